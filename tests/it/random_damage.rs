//! Random histories of writers, kills and damage. After each step the lock-free reader agrees with
//! the oracle, and every append does what the oracle foretells, be the writer new or kept open.

use proptest::prelude::*;
use runjournal::{Event, JournalError, JournalWriter};

use crate::lab::{Lab, lines};
use crate::oracle::Scan;

/// One step. Places are fractions of 65,536 of what there is when the step is taken.
#[derive(Debug, Clone)]
enum Step {
    /// Appends one event to one of three streams, with one of two keys or none.
    Append {
        stream: u8,
        key: Option<u8>,
        kept: bool,
    },
    Batch {
        size: usize,
        kept: bool,
    },
    /// Appends, and keeps only part of what was written.
    Killed {
        size: usize,
        keep: u16,
        key: Option<u8>,
    },
    /// The same at the end of a line of what was written.
    KilledBetween {
        size: usize,
    },
    Repair,
    Flip {
        at: u16,
        bit: u8,
    },
    /// Flips a bit in the last bytes, where it matters most.
    FlipNearEnd {
        back: u16,
        bit: u8,
    },
    /// Flips a bit of a line break.
    FlipBreak {
        line: u16,
        bit: u8,
    },
    /// Flips a bit in the 76 bytes at the end of a line.
    FlipEnd {
        line: u16,
        at: usize,
        bit: u8,
    },
    Delete {
        line: u16,
    },
    Double {
        line: u16,
        to: u16,
    },
    Swap {
        line: u16,
        with: u16,
    },
    Insert {
        at: u16,
        what: usize,
    },
    Nul {
        at: u16,
        size: usize,
    },
    Tail {
        what: usize,
    },
}

const FOREIGN: [&[u8]; 8] = [
    b"hello\n",
    b"foo#\n",
    b"\n",
    b"#\n",
    b"{\"seq\":3}",
    b"\x0b{\"seq\":3}\n",
    b"\0\0\0\0\0\0\0\0",
    b"\xff\xfe, and long enough for a body and an end: ................................................\n",
];

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::option::weighted(0.5, 0..2_u8);
    prop_oneof![
        6 => (0..3_u8, key(), any::<bool>())
            .prop_map(|(stream, key, kept)| Step::Append { stream, key, kept }),
        3 => (2..5_usize, any::<bool>()).prop_map(|(size, kept)| Step::Batch { size, kept }),
        4 => (1..4_usize, any::<u16>(), key())
            .prop_map(|(size, keep, key)| Step::Killed { size, keep, key }),
        2 => (1..4_usize).prop_map(|size| Step::KilledBetween { size }),
        2 => Just(Step::Repair),
        1 => (any::<u16>(), 0..8_u8).prop_map(|(at, bit)| Step::Flip { at, bit }),
        1 => (0..900_u16, 0..8_u8).prop_map(|(back, bit)| Step::FlipNearEnd { back, bit }),
        2 => (any::<u16>(), 0..8_u8).prop_map(|(line, bit)| Step::FlipBreak { line, bit }),
        1 => (any::<u16>(), 0..76_usize, 0..8_u8)
            .prop_map(|(line, at, bit)| Step::FlipEnd { line, at, bit }),
        1 => any::<u16>().prop_map(|line| Step::Delete { line }),
        1 => (any::<u16>(), any::<u16>()).prop_map(|(line, to)| Step::Double { line, to }),
        1 => (any::<u16>(), any::<u16>()).prop_map(|(line, with)| Step::Swap { line, with }),
        1 => (any::<u16>(), 0..FOREIGN.len()).prop_map(|(at, what)| Step::Insert { at, what }),
        1 => (any::<u16>(), 1..600_usize).prop_map(|(at, size)| Step::Nul { at, size }),
        1 => (0..FOREIGN.len()).prop_map(|what| Step::Tail { what }),
    ]
}

fn pick(of: usize, fraction: u16) -> usize {
    of * usize::from(fraction) / 65_536
}

/// A run under test, and a writer that is kept open through what happens to it.
struct History {
    lab: Lab,
    kept: JournalWriter,
    /// The bytes that the kept writer has taken in, up to its cursor.
    taken_in: Vec<u8>,
    scan: Scan,
    /// What has been seen, so that a run of the test can be told to have tried everything.
    seen: Seen,
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    appended: usize,
    duplicates: usize,
    refused: usize,
    repaired: usize,
    damaged: usize,
    kept: usize,
}

impl History {
    fn new() -> Self {
        let lab = Lab::new();
        let kept = lab.ctx.journal().unwrap();
        let scan = lab.check();
        Self { lab, kept, taken_in: Vec::new(), scan, seen: Seen::default() }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append { stream, key, kept } => {
                self.append(&[event(*stream, *key)], *key, *kept);
            }
            Step::Batch { size, kept } => {
                let events: Vec<_> = (0..*size).map(|n| event((n % 3) as u8, None)).collect();
                self.append(&events, None, *kept);
            }
            Step::Killed { size, keep, key } => {
                self.killed(*size, *key, |bytes| pick(bytes.len(), *keep))
            }
            Step::KilledBetween { size } => self.killed(*size, None, |bytes| lines(bytes)[0].len()),
            Step::Repair => self.repair(),
            hurt => {
                let mut bytes = self.lab.bytes();
                damage(&mut bytes, hurt);
                self.lab.put(&bytes);
            }
        }
        self.scan = self.lab.check();
        self.seen.damaged += usize::from(self.scan.has_damage());
    }

    /// Appends, and holds what happens against what the oracle foretells.
    fn append(&mut self, events: &[Event], key: Option<u8>, kept: bool) {
        let before = self.lab.bytes();
        let old = self.scan.clone();
        let (records, _) = self.lab.read();
        if !before.starts_with(&self.taken_in) {
            // What a writer has taken in it does not read again, so it is not told of this.
            self.kept = self.lab.ctx.journal().unwrap();
        }
        let new;
        let writer = if kept {
            self.seen.kept += 1;
            &self.kept
        } else {
            new = self.lab.ctx.journal().unwrap();
            &new
        };
        let result = writer.append_batch(events);
        if kept {
            self.taken_in = before[..old.end].to_vec();
        }
        if old.refuses {
            self.seen.refused += 1;
            assert!(matches!(result, Err(JournalError::DamagedTail { .. })), "{result:?}");
            assert_eq!(self.lab.bytes(), before);
            return;
        }
        let key = key.map(|key| key.to_string());
        let first = records.iter().find(|r| key.is_some() && r.idempotency_key() == key.as_deref());
        if let Some(first) = first {
            self.seen.duplicates += 1;
            match result {
                Ok(appended) => {
                    assert!(appended[0].duplicate);
                    assert_eq!(appended[0].seq, first.seq());
                }
                // A batch under this key has another number of records, or another stream.
                Err(JournalError::KeyConflict { seq, .. }) => assert_eq!(seq, first.seq()),
                Err(other) => panic!("{other:?}"),
            }
            assert_eq!(self.lab.bytes(), before);
            return;
        }
        let appended = result.unwrap();
        self.seen.appended += appended.len();
        let bytes = self.lab.bytes();
        assert!(bytes.starts_with(&before));
        let now = self.lab.check();
        let (same, new) = now.counted.split_at(old.counted.len());
        assert_eq!(same, old.counted);
        assert_eq!(new.len(), events.len());
        let (all, _) = self.lab.read();
        let mut versions: std::collections::BTreeMap<_, _> =
            records.iter().map(|record| (record.stream(), record.stream_version())).collect();
        for (n, (appended, record)) in appended.iter().zip(&all[records.len()..]).enumerate() {
            let version = versions.get(&record.stream()).map_or(0, |version| version + 1);
            versions.insert(record.stream(), version);
            assert_eq!(
                (record.seq(), record.stream_version()),
                (old.last_seq() + 1 + n as u64, version)
            );
            assert_eq!((appended.seq, appended.stream_version), (record.seq(), version));
        }
        if kept {
            self.taken_in = bytes;
        }
    }

    fn killed(&mut self, size: usize, key: Option<u8>, keep: impl Fn(&[u8]) -> usize) {
        if self.scan.refuses {
            return;
        }
        let events: Vec<_> =
            (0..size).map(|n| event(n as u8, if n == 0 { key } else { None })).collect();
        let before = self.lab.bytes();
        let result = self.lab.ctx.journal().unwrap().append_batch(&events);
        let after = self.lab.bytes();
        if result.is_ok() && after.len() > before.len() {
            let kept = keep(&after[before.len()..]);
            self.lab.put(&after[..before.len() + kept]);
        }
    }

    fn repair(&mut self) {
        let before = self.lab.bytes();
        let done = self.lab.repair();
        assert_eq!(done, self.scan.refuses);
        let bytes = self.lab.bytes();
        assert!(bytes.starts_with(&before));
        assert_eq!((self.lab.repair(), self.lab.bytes()), (false, bytes));
        if done {
            self.seen.repaired += 1;
            let now = self.lab.check();
            assert_eq!(now.last_seq(), self.scan.last_seq() + 1);
            assert_eq!(now.counted.len(), self.scan.counted.len() + 1);
            assert!(!now.refuses);
        }
    }
}

/// The same event for the same key, so that a second append with it is a duplicate.
fn event(stream: u8, key: Option<u8>) -> Event {
    match key {
        Some(key) => Event::new("keyed").key(key.to_string()).payload(&[{ key }]),
        None => Event::new("noted").stream("talk", stream.to_string()).payload("J*{\"seq\":1}"),
    }
}

fn damage(bytes: &mut Vec<u8>, step: &Step) {
    if let Step::Tail { what } = step {
        bytes.extend_from_slice(FOREIGN[*what]);
        return;
    }
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    let mut all: Vec<Vec<u8>> = lines(bytes).iter().map(|line| line.to_vec()).collect();
    let count = all.len();
    match *step {
        Step::Flip { at, bit } => return bytes[pick(len, at)] ^= 1 << bit,
        Step::FlipNearEnd { back, bit } => {
            return bytes[len - 1 - usize::from(back) % len] ^= 1 << bit;
        }
        Step::FlipBreak { line, bit } => {
            *all[pick(count, line)].last_mut().unwrap() ^= 1 << bit;
        }
        Step::FlipEnd { line, at, bit } => {
            let line = &mut all[pick(count, line)];
            let len = line.len();
            line[len - 1 - at % len] ^= 1 << bit;
        }
        Step::Delete { line } => drop(all.remove(pick(count, line))),
        Step::Double { line, to } => {
            let again = all[pick(count, line)].clone();
            all.insert(pick(count, to), again);
        }
        Step::Swap { line, with } => all.swap(pick(count, line), pick(count, with)),
        Step::Insert { at, what } => all.insert(pick(count, at), FOREIGN[what].to_vec()),
        Step::Nul { at, size } => {
            let at = pick(len, at);
            return bytes[at..(at + size).min(len)].fill(0);
        }
        ref other => unreachable!("{other:?} is not damage"),
    }
    *bytes = all.concat();
}

#[test]
fn random_histories() {
    // As many cases as the environment's PROPTEST_CASES says, or 256; always the same ones.
    let config = ProptestConfig { failure_persistence: None, ..Default::default() };
    let rng = prop::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = prop::test_runner::TestRunner::new_with_rng(config, rng);
    let seen = std::cell::Cell::new(Seen::default());
    let steps = prop::collection::vec(step(), 1..30);
    let result = runner.run(&steps, |steps| {
        let mut history = History::new();
        history.seen = seen.get();
        for step in &steps {
            history.take(step);
        }
        let scan = history.scan.clone();
        history.lab.go_on(&scan);
        seen.set(history.seen);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let Seen { appended, duplicates, refused, repaired, damaged, kept } = seen.get();
    for (what, count) in [
        ("appended", appended),
        ("duplicates", duplicates),
        ("refused", refused),
        ("repaired", repaired),
        ("damaged", damaged),
        ("kept", kept),
    ] {
        assert!(count >= 30, "only {count} {what}: {:?}", seen.get());
    }
}
