//! Reading a part of a journal: from a cursor, the last few, filtered, as types.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::{Cursor, Event, JournalError, Record, RunContext, SessionStatus, Work, WorkState};
use serde::Deserialize;
use serde_json::json;

use crate::lab::{Lab, lines, notes};

/// Records as what tells them apart: where they stand, and their line.
fn told<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<(u64, String)> {
    records.into_iter().map(|record| (record.offset(), record.line().to_owned())).collect()
}

fn all(ctx: &RunContext) -> Vec<Record> {
    ctx.events().unwrap().read_all().unwrap().0
}

fn records(events: impl Iterator<Item = Result<Record, JournalError>>) -> Vec<Record> {
    events.map(Result::unwrap).collect()
}

#[track_caller]
fn check_last(ctx: &RunContext) {
    let mut reading = ctx.events().unwrap();
    let all = records(reading.by_ref());
    for count in [0, 1, 2, 5, 20, all.len().saturating_sub(1), all.len(), usize::MAX] {
        let mut events = ctx.events().unwrap().last(count).unwrap();
        let wanted = &all[all.len() - count.min(all.len())..];
        assert_eq!(told(&records(events.by_ref())), told(wanted), "the last {count}");
        assert_eq!(events.cursor(), reading.cursor());
        // It tells what it came by, which is at least what lies between the records.
        let from = wanted.first().map_or(reading.cursor().offset(), Record::offset);
        let passed = reading.findings().len() - events.findings().len();
        assert_eq!(reading.findings()[passed..], *events.findings());
        let untold = &reading.findings()[..passed];
        assert!(untold.iter().all(|finding| finding.place.offset.unwrap() < from), "{untold:?}");
    }
    let b = records(ctx.events().unwrap().of_type("b").last(2).unwrap());
    let wanted: Vec<_> = all.iter().filter(|record| record.event_type() == "b").collect();
    assert_eq!(told(&b), told(wanted[wanted.len().saturating_sub(2)..].iter().copied()));
}

/// Every cursor leads to what follows it, also through text, and also within a batch.
#[track_caller]
fn check_cursors(ctx: &RunContext) {
    let all = all(ctx);
    for (nth, record) in all.iter().enumerate() {
        let cursor: Cursor = record.cursor().to_string().parse().unwrap();
        let rest = ctx.events().unwrap().from(cursor).unwrap();
        let rest = rest.collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(told(&rest), told(&all[nth + 1..]), "behind seq {}", record.seq());
        let last = records(ctx.events().unwrap().from(cursor).unwrap().last(2).unwrap());
        let behind = &all[nth + 1..];
        assert_eq!(told(&last), told(&behind[behind.len().saturating_sub(2)..]));
    }
    let types: BTreeSet<&str> = all.iter().map(Record::event_type).collect();
    for wanted in types {
        let of_type = |cursor: Option<Cursor>| match cursor {
            Some(cursor) => ctx.events().unwrap().from(cursor).unwrap().of_type(wanted),
            None => ctx.events().unwrap().of_type(wanted),
        };
        let every = records(of_type(None));
        let (mut read, mut last) = (of_type(None), of_type(None).last(every.len()).unwrap());
        for nth in 0..=every.len() {
            for cursor in [read.cursor(), last.cursor()] {
                assert_eq!(told(&records(of_type(Some(cursor)))), told(&every[nth..]), "{wanted}");
            }
            // What was read of it and is not handed out yet is not lost to `last`.
            let mut partly = of_type(Some(read.cursor()));
            let one = partly.next().map(Result::unwrap);
            let rest = records(partly.last(usize::MAX).unwrap());
            assert_eq!(told(one.iter().chain(&rest)), told(&every[nth..]), "{wanted}");
            assert_eq!(told(read.next().map(Result::unwrap).iter()), told(every.get(nth)));
            assert_eq!(told(last.next().map(Result::unwrap).iter()), told(every.get(nth)));
        }
    }
}

#[test]
fn a_journal_with_everything_reads_from_every_cursor() {
    let lab = Lab::with_everything();
    check_cursors(&lab.ctx);
    check_last(&lab.ctx);
}

#[test]
fn a_cursor_of_another_history_is_refused() {
    let lab = Lab::new();
    lab.batch(&notes(3));
    let before = lab.bytes();
    let kept = all(&lab.ctx)[1].cursor();
    lab.batch(&notes(1));
    let lost = all(&lab.ctx)[3].cursor();
    let refused = |cursor: Cursor| match lab.ctx.events().unwrap().from(cursor) {
        Err(JournalError::CursorMismatch { seq, .. }) => assert_eq!(seq, cursor.seq()),
        other => panic!("{other:?}"),
    };
    // The tail is lost in a power cut, and another is written.
    lab.put(&before);
    refused(lost);
    lab.ctx.append(Event::new("another").payload(&"x".repeat(500))).unwrap();
    refused(lost);
    assert_eq!(lab.ctx.events().unwrap().from(kept).unwrap().count(), 2);
    // Another run, and a seq that the line does not have.
    let other = lab.test.start_run("RUN-2").unwrap();
    other.append(Event::new("a")).unwrap();
    let cursor = all(&other)[0].cursor();
    refused(cursor);
    let text = kept.to_string().replacen(":2:", ":3:", 1);
    refused(text.parse().unwrap());
    refused(format!("0:0:{}", kept.hash().to_hex()).parse().unwrap());
}

/// The line at the cursor still stands, but what comes behind it follows another history.
#[test]
fn a_cursor_whose_record_counts_no_more_is_refused_when_damage_shows_it() {
    let lab = Lab::new();
    for n in 0..4 {
        lab.ctx.append(Event::new("noted").payload(&n)).unwrap();
    }
    let records = all(&lab.ctx);
    let cursor = records[3].cursor();
    // The third record is wiped, so the fourth follows nothing, until a repair closes both off.
    let mut bytes = lab.bytes();
    let (from, to) = (records[2].offset() as usize, records[3].offset() as usize);
    bytes[from..to - 1].fill(b'x');
    lab.put(&bytes);
    lab.repair();
    lab.ctx.append(Event::new("after")).unwrap();
    assert_eq!(all(&lab.ctx).len(), 4);
    let mut events = lab.ctx.events().unwrap().from(cursor).unwrap();
    let error = events.next().unwrap().unwrap_err();
    assert!(matches!(error, JournalError::CursorMismatch { .. }), "{error}");
    assert!(events.next().is_none());
    // With the same damage behind a cursor that counts, it goes on.
    let cursor = records[1].cursor();
    let rest: Vec<_> =
        lab.ctx.events().unwrap().from(cursor).unwrap().map(|r| r.unwrap()).collect();
    assert_eq!(rest.iter().map(Record::event_type).collect::<Vec<_>>(), ["run_repaired", "after"]);
}

#[test]
fn filters_hold_together() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    for n in 0..12 {
        let event = Event::new(["a", "b"][n % 2]).stream("talk", (n % 3).to_string());
        let event = if n < 6 { event.correlation("early") } else { event };
        ctx.append(event.payload(&n)).unwrap();
    }
    let payloads = |events: runjournal::Events| -> Vec<usize> {
        events.map(|record| record.unwrap().payload().unwrap()).collect()
    };
    let events = || ctx.events().unwrap();
    assert_eq!(payloads(events().of_type("b")), [1, 3, 5, 7, 9, 11]);
    assert_eq!(payloads(events().in_stream("talk", "1")), [1, 4, 7, 10]);
    assert_eq!(payloads(events().correlated("early")), [0, 1, 2, 3, 4, 5]);
    assert_eq!(payloads(events().of_type("b").in_stream("talk", "1").after(2)), [7]);
    assert_eq!(payloads(events().of_type("b").correlated("early").after(3)), [3, 5]);
    assert!(payloads(events().in_stream("tal", "k/1")).is_empty());
    assert_eq!(payloads(events().in_stream("talk", "1").last(2).unwrap()), [7, 10]);
    assert_eq!(payloads(events().of_type("a").of_type("b").after(9).after(8)), [9, 11]);
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mine {
    Called {
        tool: String,
    },
    Scored(Option<u32>),
    Moved(i32, i32),
    GaveUp,
    #[serde(alias = "older_name")]
    Renamed {},
}

#[derive(Debug, PartialEq, Deserialize)]
struct Wrapped(Mine);

#[test]
fn records_decode_by_their_type() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let decode = |event: Event| {
        ctx.append(event).unwrap();
        ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap().decode::<Wrapped>()
    };
    let read = |event: Event| decode(event).unwrap().map(|wrapped| wrapped.0);
    let called = Event::new("called").payload(&json!({"tool": "c\u{2028}\"c", "since": [1]}));
    assert_eq!(read(called), Some(Mine::Called { tool: "c\u{2028}\"c".into() }));
    assert_eq!(read(Event::new("scored").payload(&7)), Some(Mine::Scored(Some(7))));
    assert_eq!(read(Event::new("scored")), Some(Mine::Scored(None)));
    assert_eq!(read(Event::new("moved").payload(&(1, -2))), Some(Mine::Moved(1, -2)));
    assert_eq!(read(Event::new("gave_up")), Some(Mine::GaveUp));
    assert_eq!(read(Event::new("gave_up").payload(&"of late")), Some(Mine::GaveUp));
    assert_eq!(read(Event::new("older_name").payload(&json!({}))), Some(Mine::Renamed {}));
    assert_eq!(read(Event::new("renamed")), Some(Mine::Renamed {}));
    assert_eq!(read(Event::new("unheard_of").payload(&7)), None);

    for event in [
        Event::new("called"),
        Event::new("called").payload(&json!({"tool": 1})),
        Event::new("scored").payload(&-1),
        Event::new("moved").payload(&(1, 2, 3)),
    ] {
        let error = decode(event).unwrap_err();
        assert!(matches!(error, JournalError::Payload { .. }), "{error:?}");
    }
    let record = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    // What is no enum is refused, whatever the payload; so is one that looks for its tag in it.
    for refused in [
        record.decode::<u32>().unwrap_err(),
        record.decode::<Option<Mine>>().unwrap_err(),
        record.decode::<Tagged>().unwrap_err(),
        record.decode::<serde_json::Value>().unwrap_err(),
    ] {
        assert!(matches!(refused, JournalError::NotAnEnum { .. }), "{refused:?}");
        assert!(refused.to_string().contains("must be an enum"), "{refused}");
    }
    assert_eq!(record.decode::<Rest>().unwrap(), Some(Rest::AllElse));
    ctx.append(Event::new("gave_up")).unwrap();
    let record = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    assert_eq!(record.decode::<Rest>().unwrap(), Some(Rest::GaveUp));
    // A variant that the payload names is not the event's.
    ctx.append(Event::new("holds").payload(&"unheard_of")).unwrap();
    let record = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    assert!(matches!(record.decode::<Rest>(), Err(JournalError::Payload { .. })));
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    A {},
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rest {
    GaveUp,
    Holds(Mine),
    #[serde(other)]
    AllElse,
}

/// Things that happen to a journal, large enough that its end is found without reading all of it. No
/// line is copied or moved: what that does far before the end, only reading everything shows.
#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Batch(usize, usize),
    Killed(usize, u16),
    KilledBetween(usize),
    Repair,
    Flip(u16, u8),
    FlipEnd(u16, usize, u8),
    Delete(u16),
    Insert(u16, usize),
    Nul(u16, usize),
}

const FOREIGN: [&str; 4] = ["hello\n", "foo#\n", "\n", "{\"seq\":3}"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1..20_000_usize).prop_map(Step::Append),
        6 => (2..40_usize, 1..3000_usize).prop_map(|(count, size)| Step::Batch(count, size)),
        3 => (1..4_usize, any::<u16>()).prop_map(|(count, keep)| Step::Killed(count, keep)),
        3 => (2..9_usize).prop_map(Step::KilledBetween),
        3 => Just(Step::Repair),
        1 => (any::<u16>(), 0..8_u8).prop_map(|(at, bit)| Step::Flip(at, bit)),
        1 => (any::<u16>(), 0..76_usize, 0..8_u8).prop_map(|(n, at, bit)| Step::FlipEnd(n, at, bit)),
        1 => any::<u16>().prop_map(Step::Delete),
        1 => (any::<u16>(), 0..FOREIGN.len()).prop_map(|(at, what)| Step::Insert(at, what)),
        1 => (any::<u16>(), 1..600_usize).prop_map(|(at, size)| Step::Nul(at, size)),
    ]
}

fn take(lab: &Lab, step: &Step) {
    let event = |kind: &str, size| Event::new(kind).payload(&"x".repeat(size));
    let hurt = |by: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = lab.bytes();
        if !bytes.is_empty() {
            by(&mut bytes);
            lab.put(&bytes);
        }
    };
    let pick = |of: usize, fraction: u16| of * usize::from(fraction) / 65_536;
    let writer = || lab.ctx.journal().unwrap();
    let stopped = || runjournal::Repair::of(&lab.ctx).plan().is_ok_and(|plan| !plan.is_empty());
    match *step {
        Step::Append(size) => {
            let _ = writer().append(event(["a", "b"][size % 2], size));
        }
        Step::Batch(count, size) => {
            let events: Vec<_> = (0..count).map(|n| event(["a", "b"][n % 2], size)).collect();
            let _ = writer().append_batch(&events);
        }
        Step::Killed(count, keep) if !stopped() => {
            lab.killed(&notes(count), |written| pick(written, keep));
        }
        Step::KilledBetween(count) if !stopped() => lab.killed_between(&notes(count)),
        Step::Killed(..) | Step::KilledBetween(_) => {}
        Step::Repair => {
            lab.repair();
        }
        Step::Flip(at, bit) => hurt(&|bytes| {
            let at = pick(bytes.len(), at);
            bytes[at] ^= 1 << bit;
        }),
        Step::FlipEnd(nth, at, bit) => hurt(&|bytes| {
            let all: Vec<usize> = lines(bytes).iter().map(|line| line.len()).collect();
            let end: usize = all[..=pick(all.len(), nth)].iter().sum();
            bytes[end.saturating_sub(1 + at)] ^= 1 << bit;
        }),
        Step::Delete(nth) => hurt(&|bytes| {
            let mut all = lines(bytes);
            all.remove(pick(all.len(), nth));
            *bytes = all.concat();
        }),
        Step::Insert(nth, what) => hurt(&|bytes| {
            let mut all = lines(bytes);
            all.insert(pick(all.len(), nth), FOREIGN[what].as_bytes());
            *bytes = all.concat();
        }),
        Step::Nul(at, size) => hurt(&|bytes| {
            let from = pick(bytes.len(), at);
            let to = (from + size).min(bytes.len());
            bytes[from..to].fill(0);
        }),
    }
}

#[test]
fn the_last_records_are_those_of_the_full_scan() {
    let cases = ProptestConfig::default().cases.min(64);
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let rng = prop::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = prop::test_runner::TestRunner::new_with_rng(config, rng);
    let steps = prop::collection::vec(step(), 20..60);
    let result = runner.run(&steps, |steps| {
        let lab = Lab::new();
        for step in &steps {
            take(&lab, step);
        }
        check_last(&lab.ctx);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// A record chains to a damaged one over so much garbage that the full scan does not find its parent.
/// A scan that begins between the two would.
#[test]
fn a_search_begins_only_directly_before_a_record() {
    let lab = Lab::new();
    for _ in 0..2 {
        lab.ctx.append(Event::new("large").payload(&"x".repeat(60_000))).unwrap();
    }
    let damaged = lab.bytes().len();
    lab.ctx.append(Event::new("damaged").payload(&"damaged")).unwrap();
    let before = lab.bytes().len();
    lab.batch(&(0..20).map(|_| Event::new("void").payload(&"y".repeat(1800))).collect::<Vec<_>>());
    let written = lab.bytes();
    let last = lines(&written[before..]).last().unwrap().len();
    lab.put(&written[..written.len() - last]);
    lab.batch(&notes(1));
    lab.batch(&notes(1));
    let mut bytes = lab.bytes();
    // So the search meets the damaged line first.
    assert!((33_000..65_000).contains(&(bytes.len() - before)) && bytes.len() - damaged < 65_000);
    let at = bytes.windows(9).rposition(|word| word == b"\"damaged\"").unwrap();
    bytes[at + 1] ^= 1;
    lab.put(&bytes);
    let seqs: Vec<u64> = all(&lab.ctx).iter().map(Record::seq).collect();
    assert_eq!(seqs, [1, 2, 5]);
    check_last(&lab.ctx);
}

/// Records that somebody appended a second time, and a repair closed off, do not count.
#[test]
fn a_search_does_not_begin_among_copies_that_were_closed_off() {
    let lab = Lab::new();
    for _ in 0..30 {
        lab.ctx.append(Event::new("b").payload(&"x".repeat(4000))).unwrap();
    }
    let bytes = lab.bytes();
    let copied = &lines(&bytes)[8..];
    lab.put(&[&bytes[..], &copied.concat()].concat());
    lab.repair();
    lab.batch(&notes(1));
    check_last(&lab.ctx);
}

/// The last records of a long journal cost what they cost in a short one.
#[test]
fn the_last_records_are_found_without_reading_the_journal() {
    let lab = Lab::new();
    for n in 0..40 {
        lab.batch(&(0..64).map(|_| Event::new("b").payload(&"x".repeat(5000))).collect::<Vec<_>>());
        lab.ctx.append(Event::new("a").payload(&n)).unwrap();
    }
    let sizes = lab.bytes().len();
    assert!(sizes > 10 << 20);
    check_last(&lab.ctx);
    let start = std::time::Instant::now();
    let few = records(lab.ctx.events().unwrap().last(5).unwrap());
    let took = start.elapsed();
    let start = std::time::Instant::now();
    let every = all(&lab.ctx).len();
    assert_eq!((few.len(), every), (5, 40 * 65));
    assert!(took * 3 < start.elapsed(), "{took:?} of {:?}", start.elapsed());
}

#[test]
fn a_journal_with_everything_reads_from_every_offset() {
    let lab = Lab::with_everything();
    let all = all(&lab.ctx);
    let from = |offset| lab.ctx.events().unwrap().from_offset(offset);
    for (n, record) in all.iter().enumerate() {
        assert_eq!(told(&records(from(record.offset()).unwrap())), told(&all[n..]));
    }
    let end = all.last().unwrap().cursor().offset();
    assert_eq!(from(end).unwrap().count(), 0);
    assert_eq!(told(&records(from(0).unwrap())), told(&all));
    let within = all[1].offset() + 7;
    for nowhere in [within, end + 1, u64::MAX] {
        let error = from(nowhere).unwrap_err();
        assert!(matches!(error, JournalError::CursorMismatch { .. }), "{error}");
    }
    let far = format!("{}:9:{}", u64::MAX - 1, "0".repeat(64)).parse().unwrap();
    let error = lab.ctx.events().unwrap().from(far).unwrap_err();
    assert!(matches!(error, JournalError::CursorMismatch { .. }), "{error}");
}

/// Damage far back, which to believe would take the lock, is not even looked at.
#[test]
fn one_item_session_or_approval_is_read_from_the_end() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let journal = ctx.journal().unwrap();
    for _ in 0..100 {
        journal.append(Event::new("noted").payload(&"x".repeat(8000))).unwrap();
    }
    let queue = ctx.queue();
    queue.add(Work::new("a")).unwrap();
    let _ = queue.next("w", Duration::from_secs(60)).unwrap().unwrap();
    ctx.session("S", "p").unwrap().update(SessionStatus::Running).unwrap();
    ctx.request_approval("deploy", "?", &[]).unwrap();
    ctx.resolve_approval("deploy", "yes", "ada").unwrap();
    ctx.request_approval("open", "?", &[]).unwrap();
    let mut bytes = std::fs::read(ctx.journal_path()).unwrap();
    bytes[10] ^= 1;
    std::fs::write(ctx.journal_path(), bytes).unwrap();
    let lock = std::fs::File::open(ctx.run_path().join("journal/.lock")).unwrap();
    lock.lock().unwrap();

    let ctx = ctx.with_lock_timeout(Duration::ZERO);
    let item = ctx.queue().item("a").unwrap().unwrap();
    assert_eq!((item.state, item.seq), (WorkState::Claimed, 102));
    assert_eq!(ctx.session_state("S").unwrap().unwrap().status, SessionStatus::Running);
    let answered = ctx.approval("deploy").unwrap().unwrap();
    assert_eq!((answered.requested_seq, answered.resolution.unwrap().seq), (105, 106));
    assert_eq!(ctx.approval("open").unwrap().unwrap().resolution, None);
    let locked = |error: &dyn Display| error.to_string().contains("was not freed within");
    assert!(locked(&ctx.queue().items().unwrap_err()));
    assert!(locked(&ctx.sessions().unwrap_err()));
    assert!(locked(&ctx.approvals().unwrap_err()));
}
