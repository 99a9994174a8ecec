//! The head of a journal is a cache. Whatever happens to it (deleted, damaged, old, of another run, its
//! tables gone), every append gets the number, the version and the duplicate that it would get without.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;
use runjournal::JournalError::DamagedTail;
use runjournal::testing::TestWorkspace;
use runjournal::{ArtifactName, Event, Expect, JournalWriter, RunContext};

/// Bytes of half of a head's file.
const HALF: usize = 8192;

/// The files of a head by their names.
fn files(ctx: &RunContext) -> BTreeMap<String, Utf8PathBuf> {
    let dir = ctx.journal_path().parent().unwrap().to_owned();
    let entries = dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.file_name().starts_with(".head"))
        .map(|entry| (entry.file_name().to_owned(), entry.path().to_owned()))
        .collect()
}

fn head(ctx: &RunContext) -> Utf8PathBuf {
    ctx.journal_path().with_file_name(".head")
}

/// The head's halves, the newer one first, as ranges of its file.
fn halves(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let line = |from: usize| bytes[from..].split(|byte| *byte == b'\n').next().unwrap().to_vec();
    let seq = |from: usize| {
        serde_json::from_slice::<serde_json::Value>(&line(from)).unwrap()["seq"].as_u64()
    };
    let mut starts: Vec<_> = (0..bytes.len()).step_by(HALF).collect();
    starts.sort_by_key(|start| std::cmp::Reverse(seq(*start)));
    starts.into_iter().map(|start| start..bytes.len().min(start + HALF)).collect()
}

fn copy(from: &BTreeMap<String, Vec<u8>>, to: &Utf8Path) {
    for (name, bytes) in from {
        fs::write(to.join(name), bytes).unwrap();
    }
}

fn contents(ctx: &RunContext) -> BTreeMap<String, Vec<u8>> {
    files(ctx).into_iter().map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Append {
        stream: u8,
        key: Option<u8>,
        kept: bool,
    },
    Batch {
        size: u8,
        key: Option<u8>,
        kept: bool,
    },
    /// The journal loses what was appended last, as in a power cut: so many bytes.
    LoseTail {
        bytes: u16,
    },
    /// The head, or one of its tables, is hurt.
    Delete {
        which: u8,
    },
    Flip {
        which: u8,
        at: u16,
        bit: u8,
    },
    Cut {
        which: u8,
        at: u16,
    },
    /// A head as it was before is put back: all its files, or the one alone.
    Remember,
    PutBack {
        alone: bool,
    },
    /// The head's file is partly as it was before: a copy made meanwhile, or a power cut.
    Mix {
        at: u16,
    },
    /// The head of another run of the same length.
    OfAnotherRun,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::option::weighted(0.5, 0..6_u8);
    prop_oneof![
        8 => (0..4_u8, key(), any::<bool>())
            .prop_map(|(stream, key, kept)| Step::Append { stream, key, kept }),
        3 => (2..6_u8, key(), any::<bool>())
            .prop_map(|(size, key, kept)| Step::Batch { size, key, kept }),
        1 => any::<u16>().prop_map(|bytes| Step::LoseTail { bytes }),
        1 => any::<u8>().prop_map(|which| Step::Delete { which }),
        2 => (any::<u8>(), any::<u16>(), 0..8_u8)
            .prop_map(|(which, at, bit)| Step::Flip { which, at, bit }),
        1 => (any::<u8>(), any::<u16>()).prop_map(|(which, at)| Step::Cut { which, at }),
        1 => Just(Step::Remember),
        1 => any::<bool>().prop_map(|alone| Step::PutBack { alone }),
        1 => any::<u16>().prop_map(|at| Step::Mix { at }),
        1 => Just(Step::OfAnotherRun),
    ]
}

struct History {
    test: TestWorkspace,
    ctx: RunContext,
    other: RunContext,
    kept: JournalWriter,
    remembered: BTreeMap<String, Vec<u8>>,
}

/// What the journal says, found out from all its records.
#[derive(Default)]
struct Truth {
    last_seq: u64,
    versions: HashMap<String, u64>,
    /// First seq and number of records.
    keys: HashMap<String, (u64, u64)>,
}

impl Truth {
    fn of(ctx: &RunContext) -> Self {
        let mut truth = Self::default();
        for record in ctx.events().unwrap() {
            let record = record.unwrap();
            truth.last_seq = record.seq();
            truth.versions.insert(record.stream(), record.stream_version());
            if let Some(key) = record.idempotency_key() {
                let size = record.batch_size().unwrap_or(1).into();
                truth.keys.insert(key.to_owned(), (record.seq(), size));
            }
        }
        truth
    }
}

impl History {
    fn new() -> Self {
        let test = TestWorkspace::with_eager_heads().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let other = test.start_run("RUN-2").unwrap();
        for n in 0..9 {
            other.append(event(n % 3, Some(n))).unwrap();
        }
        let kept = ctx.journal().unwrap();
        Self { test, ctx, other, kept, remembered: BTreeMap::new() }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Append { stream, key, kept } => self.append(&[event(stream, key)], key, kept),
            Step::Batch { size, key, kept } => {
                let events: Vec<_> =
                    (0..size).map(|n| event(n % 4, key.filter(|_| n == 0))).collect();
                self.append(&events, key, kept);
            }
            Step::LoseTail { bytes } => {
                let len = fs::metadata(self.ctx.journal_path()).unwrap().len();
                let file =
                    fs::OpenOptions::new().write(true).open(self.ctx.journal_path()).unwrap();
                file.set_len(len - u64::from(bytes) * len / 65_536 / 2).unwrap();
            }
            Step::Delete { which } => self.hurt(which, |_| None),
            Step::Flip { which, at, bit } => self.hurt(which, |mut bytes| {
                let at = usize::from(at) * bytes.len() / 65_536;
                bytes[at] ^= 1 << bit;
                Some(bytes)
            }),
            Step::Cut { which, at } => self.hurt(which, |mut bytes| {
                bytes.truncate(usize::from(at) * bytes.len() / 65_536);
                Some(bytes)
            }),
            Step::Remember => self.remembered = contents(&self.ctx),
            Step::PutBack { alone } => {
                let mut files = self.remembered.clone();
                files.retain(|name, _| !alone || name == ".head");
                copy(&files, self.ctx.journal_path().parent().unwrap());
            }
            Step::Mix { at } => {
                let (Some(old), Ok(mut new)) =
                    (self.remembered.get(".head"), fs::read(head(&self.ctx)))
                else {
                    return;
                };
                let at = usize::from(at) * new.len().min(old.len()) / 65_536;
                new[..at].copy_from_slice(&old[..at]);
                fs::write(head(&self.ctx), new).unwrap();
            }
            Step::OfAnotherRun => {
                copy(&contents(&self.other), self.ctx.journal_path().parent().unwrap());
            }
        }
    }

    fn hurt(&self, which: u8, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
        let files = files(&self.ctx);
        let Some(path) = files.values().nth(usize::from(which) % files.len().max(1)) else {
            return;
        };
        let bytes = fs::read(path).unwrap();
        match change(bytes) {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }

    fn append(&mut self, events: &[Event], key: Option<u8>, kept: bool) {
        let truth = Truth::of(&self.ctx);
        let new;
        let writer = if kept {
            &self.kept
        } else {
            new = self.ctx.journal().unwrap();
            &new
        };
        let result = writer.append_batch(events);
        if let Some((seq, size)) = key.and_then(|key| truth.keys.get(&key.to_string())) {
            match result {
                Ok(first) => {
                    assert_eq!(first.len() as u64, *size);
                    assert!(first[0].duplicate && first[0].seq == *seq, "{first:?}");
                }
                Err(runjournal::JournalError::KeyConflict { seq: found, .. }) => {
                    assert_eq!(found, *seq);
                }
                Err(error) => panic!("{error}"),
            }
            assert_eq!(Truth::of(&self.ctx).last_seq, truth.last_seq);
            return;
        }
        let appended = result.unwrap();
        let mut versions = truth.versions;
        for (n, (appended, event)) in (1..).zip(appended.iter().zip(events)) {
            assert!(!appended.duplicate);
            assert_eq!(appended.seq, truth.last_seq + n);
            // The stream of an event is its payload, so that the test need not look inside.
            let record =
                self.ctx.events().unwrap().after(appended.seq - 1).next().unwrap().unwrap();
            let version = versions.get(&record.stream()).map_or(0, |version| version + 1);
            assert_eq!(appended.stream_version, version, "{event:?}");
            versions.insert(record.stream(), version);
        }
    }
}

fn event(stream: u8, key: Option<u8>) -> Event {
    let event = Event::new("note_taken").stream("talk", stream.to_string());
    match key {
        Some(key) => event.key(key.to_string()),
        None => event,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    #[test]
    fn whatever_happens_to_the_head_appends_are_right(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut history = History::new();
        for step in &steps {
            history.take(step);
        }
        let (records, findings) = history.ctx.events().unwrap().read_all().unwrap();
        prop_assert!(records.iter().map(|record| record.seq()).eq(1..=records.len() as u64));
        prop_assert!(findings.iter().all(|finding| finding.code.severity() < runjournal::Severity::Error));
        drop(history.test);
    }
}

#[test]
fn many_one_shot_appends_leave_a_head_that_the_next_one_uses() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    for n in 0..100_u32 {
        let appended = ctx.append(Event::new("tick").key(n.to_string())).unwrap();
        assert_eq!((appended.seq, appended.stream_version), (u64::from(n) + 1, u64::from(n)));
    }
    let line = fs::read(head(&ctx)).unwrap();
    let line = line.split(|byte| *byte == b'\n').next().unwrap();
    let line: serde_json::Value = serde_json::from_slice(line).unwrap();
    assert!(line["seq"].as_u64().unwrap() > 64, "{line}");
    // What the head covers is not read again: the next append does not even see that it is gone.
    let mut bytes = fs::read(ctx.journal_path()).unwrap();
    bytes[..1000].fill(b'x');
    fs::write(ctx.journal_path(), &bytes).unwrap();
    assert_eq!(ctx.append(Event::new("tick")).unwrap().seq, 101);
    // But it is found as soon as somebody needs it, or reads it.
    let again = ctx.append(Event::new("tick").key("0"));
    assert!(again.as_ref().is_ok_and(|again| !again.duplicate) || again.is_err(), "{again:?}");
    let (_, findings) = ctx.events().unwrap().read_all().unwrap();
    assert_eq!(findings[0].place.offset, Some(0));
}

/// True where tables change so often that a head seldom has two halves: then there is nothing to look at.
fn heads_are_eager() -> bool {
    std::env::var_os("RUNJOURNAL_TEST_HEADS").is_some()
}

/// True if a head of which so many halves are hurt, the newer one first, is used and not made anew.
fn is_used_with_halves_hurt(hurt: usize, change: fn(&mut [u8])) -> bool {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    for n in 0..50_u32 {
        ctx.append(Event::new("tick").key(n.to_string())).unwrap();
    }
    let mut bytes = fs::read(head(&ctx)).unwrap();
    let halves = halves(&bytes);
    assert_eq!(halves.len(), 2);
    halves.into_iter().take(hurt).for_each(|half| change(&mut bytes[half]));
    fs::write(head(&ctx), bytes).unwrap();
    let appended = ctx.append(Event::new("tick").key("7")).unwrap();
    assert!(appended.duplicate && appended.seq == 8, "{appended:?}");
    let appended = ctx.append(Event::new("tick")).unwrap();
    assert_eq!((appended.seq, appended.stream_version), (51, 50));
    // One that is made anew has one half.
    fs::metadata(head(&ctx)).unwrap().len() > HALF as u64
}

#[test]
fn where_one_half_of_a_head_is_hurt_the_other_is_used() {
    if heads_are_eager() {
        return;
    }
    let hurts: [fn(&mut [u8]); 4] = [
        |half| half.fill(0),
        // A later offset, of a line that is not whole.
        |half| half[..20].copy_from_slice(b"{\"offset\":9999999999"),
        // The line is whole, and the entries are not.
        |half| half[1000..].fill(0),
        |half| half[200] ^= 1,
    ];
    for hurt in hurts {
        assert!(is_used_with_halves_hurt(0, hurt));
        assert!(is_used_with_halves_hurt(1, hurt));
        assert!(!is_used_with_halves_hurt(2, hurt));
    }
}

#[test]
fn where_the_journal_lost_what_the_newer_half_covers_the_older_is_used() {
    if heads_are_eager() {
        return;
    }
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    for n in 0..50_u32 {
        ctx.append(Event::new("tick").key(n.to_string())).unwrap();
    }
    let bytes = fs::read(head(&ctx)).unwrap();
    let newer = bytes[halves(&bytes)[0].clone()].split(|byte| *byte == b'\n').next().unwrap();
    let newer: serde_json::Value = serde_json::from_slice(newer).unwrap();
    let covered = usize::try_from(newer["offset"].as_u64().unwrap()).unwrap();
    let mut journal = fs::read(ctx.journal_path()).unwrap();
    journal.truncate(covered - 10);
    fs::write(ctx.journal_path(), journal).unwrap();
    let appended = ctx.append(Event::new("tick").key("another")).unwrap();
    assert_eq!(Some(appended.seq), newer["seq"].as_u64());
    assert_eq!(appended.stream_version + 1, appended.seq);
    // One that is made anew has one half.
    assert!(fs::metadata(head(&ctx)).unwrap().len() > HALF as u64);
}

#[test]
fn a_head_of_another_history_of_the_same_run_is_ignored() {
    let test = TestWorkspace::with_eager_heads().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    for n in 0..5 {
        ctx.append(event(0, Some(n))).unwrap();
    }
    let early = fs::read(ctx.journal_path()).unwrap();
    for n in 5..9 {
        ctx.append(event(0, Some(n))).unwrap();
    }
    let (later, late) = (contents(&ctx), fs::read(ctx.journal_path()).unwrap());
    // An older copy is restored, and grows to the same length by other records.
    fs::write(ctx.journal_path(), &early).unwrap();
    for n in 10..14_u8 {
        let appended = ctx.append(event(1, Some(n % 10 + 5))).unwrap();
        assert_eq!((appended.seq, appended.duplicate), (u64::from(n) - 4, false));
    }
    assert_eq!(fs::metadata(ctx.journal_path()).unwrap().len(), late.len() as u64);
    copy(&later, ctx.journal_path().parent().unwrap());
    let appended = ctx.append(event(1, None)).unwrap();
    assert_eq!((appended.seq, appended.stream_version), (10, 4));
}

/// A kept writer appends, the tail is cut behind its back, others append, and all is cut again.
fn cut_under_a_kept_writer(more: u64) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let kept = ctx.journal().unwrap();
    kept.append(event(0, None)).unwrap();
    kept.append(event(0, None)).unwrap();
    let len = fs::metadata(ctx.journal_path()).unwrap().len();
    let cut = |len: u64| {
        let file = fs::OpenOptions::new().write(true).open(ctx.journal_path()).unwrap();
        file.set_len(len).unwrap();
    };
    cut(len - 10);
    assert_eq!(ctx.append(event(1, Some(1))).unwrap().seq, 2);
    cut(len + more);
    let appended = kept.append(event(0, None)).unwrap();
    let records: Vec<_> = ctx.events().unwrap().map(Result::unwrap).collect();
    assert_eq!(records.last().map(|record| record.seq()), Some(appended.seq));
    assert_eq!(records.len() as u64, appended.seq);
}

#[test]
fn a_kept_writer_notices_that_the_journal_was_cut_to_the_length_it_knows() {
    cut_under_a_kept_writer(0);
}

#[test]
fn a_kept_writer_notices_that_the_journal_was_cut_behind_what_it_knows() {
    cut_under_a_kept_writer(60);
}

/// Flips one bit of the first place where the journal has this text.
fn rot(ctx: &RunContext, text: &str) {
    let mut bytes = fs::read(ctx.journal_path()).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    bytes[at + 1] ^= 1;
    fs::write(ctx.journal_path(), bytes).unwrap();
}

/// Does something where the head covers what was hurt, and where there is no head: the same comes of it.
fn the_same_without_the_head<T: std::fmt::Debug + PartialEq>(
    prepare: impl Fn(&RunContext),
    act: impl Fn(&RunContext) -> T,
) -> T {
    let [with, without] = [true, false].map(|keep| {
        let test = TestWorkspace::with_eager_heads().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        prepare(&ctx);
        assert!(head(&ctx).exists());
        if !keep {
            files(&ctx).values().for_each(|path| fs::remove_file(path).unwrap());
        }
        let done = act(&ctx);
        (done, ctx.events().unwrap().read_all().unwrap().0.len())
    });
    assert_eq!(with, without);
    with.0
}

#[test]
fn a_rotten_last_record_of_the_stream_is_not_closed_off_by_the_next_append() {
    let refused = the_same_without_the_head(
        |ctx| {
            for n in ["\"one\"", "\"two\""] {
                ctx.append(Event::new("note_taken").payload(&n)).unwrap();
            }
            rot(ctx, "two");
        },
        |ctx| matches!(ctx.append(event(9, None).stream("run", "RUN-1")), Err(DamagedTail { .. })),
    );
    assert!(refused);
}

#[test]
fn a_batch_with_a_rotten_member_does_not_count_and_its_key_is_free() {
    let first = the_same_without_the_head(
        |ctx| {
            let batch: Vec<_> = (0..3).map(|n| event(n, Some(7).filter(|_| n == 0))).collect();
            ctx.journal().unwrap().append_batch(&batch).unwrap();
            ctx.append(Event::new("note_taken")).unwrap();
            rot(ctx, "talk\",\"stream_id\":\"2");
        },
        |ctx| {
            let batch: Vec<_> = (0..3).map(|n| event(n, Some(7).filter(|_| n == 0))).collect();
            let append = || ctx.journal().unwrap().append_batch(&batch).unwrap()[0].clone();
            let (first, again) = (append(), append());
            assert!(!first.duplicate && again.duplicate && again.seq == first.seq);
            (first.seq, first.stream_version)
        },
    );
    assert_eq!(first, (5, 0));
}

#[test]
fn an_artifact_whose_commit_does_not_count_has_the_version_before() {
    let conflict = the_same_without_the_head(
        |ctx| {
            let name = ArtifactName::from_static("a.txt");
            ctx.artifacts().write_bytes(&name, b"a0").unwrap();
            let mut transaction = ctx.transaction();
            transaction.write_bytes(&name, b"a1").unwrap();
            transaction.append(Event::new("zz"));
            transaction.commit().unwrap();
            ctx.append(Event::new("note_taken")).unwrap();
            rot(ctx, "\"zz\"");
        },
        |ctx| {
            let name = ArtifactName::from_static("a.txt");
            let expect = |version| {
                ctx.artifacts().write_bytes_if(&name, b"a2", Expect::Version(version)).is_ok()
            };
            (expect(1), expect(0))
        },
    );
    assert_eq!(conflict, (false, true));
}

#[test]
fn a_journal_of_another_run_is_not_believed_because_it_brings_its_head() {
    let test = TestWorkspace::with_eager_heads().unwrap();
    let (ctx, other) = (test.start_run("RUN-1").unwrap(), test.start_run("RUN-2").unwrap());
    other.append(event(0, None)).unwrap();
    fs::copy(other.journal_path(), ctx.journal_path()).unwrap();
    copy(&contents(&other), ctx.journal_path().parent().unwrap());
    assert!(matches!(ctx.append(event(0, None)), Err(DamagedTail { offset: 0, .. })));
}

#[test]
fn only_tables_are_swept() {
    let test = TestWorkspace::with_eager_heads().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let stranger = ctx.journal_path().with_file_name(".headroom");
    fs::write(&stranger, "").unwrap();
    let left = ctx.journal_path().with_file_name(".head.00000000-0000-7000-8000-000000000000");
    fs::write(&left, "").unwrap();
    for n in 0..9 {
        ctx.append(event(n, Some(n))).unwrap();
    }
    assert!(stranger.exists() && !left.exists());
    assert!(files(&ctx).len() < 6, "{:?}", files(&ctx));
}
