//! A run whose journal is hurt byte by byte, and held against the oracle after every blow.

use std::fs;

use runjournal::testing::TestWorkspace;
use runjournal::{Artifact, Code, Event, JournalError, Means, Record, Repair, RunContext};
use serde_json::json;

use crate::oracle::{Kind, Report, Scan};

const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json");

pub(crate) struct Lab {
    pub(crate) ctx: RunContext,
    pub(crate) test: TestWorkspace,
    genesis: Vec<u8>,
}

impl Lab {
    /// A run without records.
    pub(crate) fn new() -> Self {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let genesis = fs::read(ctx.run_path().join("run.json")).unwrap();
        Self { ctx, test, genesis }
    }

    /// A run in whose journal there is everything that can be: single events, batches, artifacts, and
    /// what writers left that were killed after a half record, after a record that lacks only its
    /// line break, after half a batch, and between two records of a batch.
    pub(crate) fn with_everything() -> Self {
        let lab = Self::new();
        let ctx = &lab.ctx;
        ctx.append(Event::new("note_taken").payload(&json!({"text": "hello", "n": 1}))).unwrap();
        // All that could be taken for a line break, for the start of a record, or for the end of one.
        let odd =
            json!({"seq": 1, "J": "*\u{2028}\u{2029}\u{85}\u{7f}\n\u{1F980}J", "a": [{"seq": 2}]});
        ctx.append(Event::new("note_taken").payload(&odd)).unwrap();
        ctx.artifacts().write(PLAN, &vec!["fetch".to_owned()]).unwrap();
        lab.killed(&notes(1), |written| written / 2);
        lab.batch(&notes(3));
        lab.killed(&notes(1), |written| written - 1);
        lab.killed(&notes(3), |written| written / 2);
        let mut transaction = ctx.transaction();
        transaction.write(PLAN, &vec!["fetch".to_owned(), "build".to_owned()]).unwrap();
        transaction.append(Event::new("planned"));
        transaction.commit().unwrap();
        lab.killed(&notes(2), |written| written / 2 + 40);
        lab.killed_between(&notes(2));
        lab.batch(&notes(2));
        lab.killed(&notes(1), |_| 3);
        ctx.append(Event::new("note_taken").stream("talk", "1")).unwrap();
        lab
    }

    /// The same in fewer bytes: one of each.
    pub(crate) fn with_little() -> Self {
        let lab = Self::new();
        lab.ctx.append(Event::new("a").payload(&json!([{"seq": 1}, "J*"]))).unwrap();
        lab.killed(&notes(2), |written| written / 2 + 40);
        lab.batch(&notes(2));
        lab.killed(&notes(1), |_| 3);
        lab.ctx.append(Event::new("b")).unwrap();
        lab.killed_between(&notes(2));
        lab.ctx.append(Event::new("c")).unwrap();
        lab
    }

    pub(crate) fn batch(&self, events: &[Event]) {
        self.ctx.journal().unwrap().append_batch(events).unwrap();
    }

    /// Appends, and then takes back all but the first bytes of what was written, as if the writer
    /// had been killed there.
    pub(crate) fn killed(&self, events: &[Event], keep: impl Fn(usize) -> usize) {
        let before = self.bytes().len();
        self.batch(events);
        let written = self.bytes().len() - before;
        self.truncate(before + keep(written));
    }

    /// The same behind the first whole line of what was written.
    pub(crate) fn killed_between(&self, events: &[Event]) {
        let before = self.bytes().len();
        self.batch(events);
        let line = self.bytes()[before..].iter().position(|byte| *byte == b'\n').unwrap();
        self.truncate(before + line + 1);
    }

    fn truncate(&self, len: usize) {
        let file = fs::OpenOptions::new().write(true).open(self.ctx.journal_path()).unwrap();
        file.set_len(len as u64).unwrap();
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(self.ctx.journal_path()).unwrap()
    }

    /// Puts these bytes in the place of the journal's.
    pub(crate) fn put(&self, bytes: &[u8]) {
        self.forget_what_a_head_covers(bytes);
        fs::write(self.ctx.journal_path(), bytes).unwrap();
    }

    /// What a head covers is not read again by the next append, so it would not be told of damage there.
    fn forget_what_a_head_covers(&self, new: &[u8]) {
        let head = self.ctx.journal_path().with_file_name(".head");
        let Ok(text) = fs::read(&head) else { return };
        let old = self.bytes();
        for half in text.chunks(8192) {
            let line = half.split(|byte| *byte == b'\n').next().unwrap();
            let line: serde_json::Value = serde_json::from_slice(line).unwrap();
            let covered = usize::try_from(line["offset"].as_u64().unwrap()).unwrap();
            let end = |bytes: &[u8]| bytes.get(covered - 76..covered).map(<[u8]>::to_vec);
            if end(new).is_some() && end(new) == end(&old) && new[..covered] != old[..covered] {
                return fs::remove_file(head).unwrap();
            }
        }
    }

    /// Flips bits of one byte, in place.
    pub(crate) fn flip(&self, at: usize, mask: u8) {
        let mut bytes = self.bytes();
        bytes[at] ^= mask;
        self.put(&bytes);
    }

    /// What the oracle says of these bytes.
    pub(crate) fn judge(&self, bytes: &[u8]) -> Scan {
        Scan::of(&self.genesis, bytes)
    }

    /// What the lock-free reader says.
    pub(crate) fn read(&self) -> (Vec<Record>, Vec<Report>) {
        read(&self.ctx)
    }

    /// Reads with both, which must agree.
    #[track_caller]
    pub(crate) fn check(&self) -> Scan {
        let scan = self.judge(&self.bytes());
        let (records, reports) = self.read();
        let ids = records.iter().map(|record| (record.seq(), record.event_id().to_string()));
        let counted = scan.counted.iter().map(|record| (record.seq, record.event_id.clone()));
        if reports != scan.reports || !ids.eq(counted) {
            let seqs: Vec<_> = records.iter().map(|record| record.seq()).collect();
            panic!(
                "the reader has {seqs:?} {reports:?}\nthe oracle has {:?} {:?}",
                scan.seqs(),
                scan.reports
            );
        }
        scan
    }

    /// [`check`](Lab::check) for these bytes, and for what follows: see [`go_on`](Lab::go_on).
    #[track_caller]
    pub(crate) fn check_all(&self, bytes: &[u8]) -> Scan {
        self.put(bytes);
        let scan = self.check();
        self.go_on(&scan);
        scan
    }

    /// Closes off damage at the journal's end; true if there was some. Nothing else is mended.
    #[track_caller]
    pub(crate) fn repair(&self) -> bool {
        let plan = Repair::of(&self.ctx).plan().unwrap();
        assert!(plan.mends().iter().all(|mend| mend.means == Means::CloseOff), "{plan:?}");
        let repaired = plan.apply();
        assert!(repaired.failed.is_empty(), "{repaired:?}");
        !repaired.done.is_empty()
    }

    /// Appends once more. It goes on, or refuses exactly where the oracle says so; then a repair
    /// closes the damage off, a second one changes nothing, and appends go on. Nothing that counted
    /// is lost, and no byte is changed.
    #[track_caller]
    pub(crate) fn go_on(&self, before: &Scan) -> Scan {
        let bytes = self.bytes();
        let mut new = 1;
        let first = self.ctx.append(Event::new("went_on"));
        assert_eq!(first.is_err(), before.refuses, "{first:?}\n{before:?}");
        if let Err(error) = first {
            assert!(matches!(error, JournalError::DamagedTail { .. }), "{error:?}");
            assert_eq!(self.bytes(), bytes, "a refused append wrote");
            assert!(self.repair());
            assert_eq!(self.check().last_seq(), before.last_seq() + 1);
            let whole = self.bytes();
            assert!(!self.repair());
            assert_eq!(self.bytes(), whole, "a second repair wrote");
            self.ctx.append(Event::new("went_on")).unwrap();
            new = 2;
        }
        assert!(self.bytes().starts_with(&bytes), "bytes were changed or cut off");

        let after = self.check();
        let (old, added) = after.counted.split_at(before.counted.len());
        assert_eq!(old, before.counted);
        assert_eq!(added.len(), new);
        assert_eq!(after.last_seq(), before.last_seq() + new as u64);
        let mut expected = before.reports.clone();
        expected.retain(|report| (report.offset as usize) < before.end);
        if before.end < bytes.len() {
            let torn = if bytes.ends_with(b"\n") { 0 } else { 2 };
            expected.push(Report {
                offset: before.end as u64,
                length: (bytes.len() - before.end + torn) as u64,
                kind: Kind::Garbage,
            });
        }
        assert_eq!(after.reports, expected, "what was closed off is garbage, the rest as before");
        after
    }
}

/// Records and reports of the lock-free reader.
pub(crate) fn read(ctx: &RunContext) -> (Vec<Record>, Vec<Report>) {
    let (records, findings) = ctx.events().unwrap().read_all().unwrap();
    let report = |finding: runjournal::Finding| Report {
        offset: finding.place.offset.unwrap(),
        length: finding.place.length.unwrap(),
        kind: match finding.code {
            Code::Garbage => Kind::Garbage,
            code if code.is_journal_damage() => Kind::Damage,
            Code::TornTail => Kind::Torn,
            other => panic!("{other}"),
        },
    };
    (records, findings.into_iter().map(report).collect())
}

impl Scan {
    pub(crate) fn last_seq(&self) -> u64 {
        self.counted.last().map_or(0, |record| record.seq)
    }

    pub(crate) fn has_damage(&self) -> bool {
        self.reports.iter().any(|report| report.kind == Kind::Damage)
    }
}

/// That many short events.
pub(crate) fn notes(count: usize) -> Vec<Event> {
    (0..count).map(|n| Event::new("noted").payload(&n)).collect()
}

/// Lines with their line breaks, and what stands behind the last one.
pub(crate) fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

/// A text as a message of the library shows it: of a long one, the beginning.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(120) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}... ({} bytes)", &text[..at], text.len()),
    }
}
