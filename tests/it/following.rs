//! Live tails: under writers that are killed, and on runs that are moved, restored, cut and removed.

use std::fs;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use runjournal::testing::TestWorkspace;
use runjournal::{
    Code, Cursor, Event, Follow, Followed, JournalError, Outcome, Record, RunContext,
};

use crate::lab::{Lab, notes};
use crate::worker;

const SOON: Duration = Duration::from_secs(10);
const NOTHING: Duration = Duration::from_millis(250);

fn start(test: &TestWorkspace) -> RunContext {
    test.start_run("RUN-1").unwrap()
}

fn note(ctx: &RunContext, n: usize) {
    ctx.append(Event::new("noted").payload(&n)).unwrap();
}

/// The next payloads, or `-1` where it started over.
#[track_caller]
fn expect(tail: &mut Follow, wanted: &[i64]) {
    for wanted in wanted {
        let found = match tail.next_within(SOON).unwrap() {
            Some(Followed::Record(record)) => record.payload().unwrap(),
            Some(_) => -1,
            None => panic!("nothing comes instead of {wanted}"),
        };
        assert_eq!(found, *wanted);
    }
}

#[track_caller]
fn expect_nothing(tail: &mut Follow) {
    let found = tail.next_within(NOTHING).unwrap();
    assert!(found.is_none(), "{found:?}");
    assert!(!tail.has_ended());
}

#[test]
fn records_come_as_they_are_appended_until_the_run_is_complete() {
    let test = TestWorkspace::new().unwrap();
    let ctx = start(&test);
    note(&ctx, 1);
    let mut tail = ctx.events().unwrap().follow();
    expect(&mut tail, &[1]);
    assert!(tail.try_next().unwrap().is_none());
    let writer = std::thread::spawn({
        let ctx = ctx.clone();
        move || {
            std::thread::sleep(Duration::from_millis(150));
            note(&ctx, 2);
            ctx.journal().unwrap().append_batch(&notes(3)).unwrap();
            ctx.run().unwrap().complete(Outcome::Failed, None).unwrap();
        }
    });
    let rest: Vec<Followed> = tail.by_ref().map(Result::unwrap).collect();
    writer.join().unwrap();
    let types: Vec<_> = rest
        .iter()
        .map(|item| match item {
            Followed::Record(record) => record.event_type().to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(types[..4], ["noted"; 4]);
    assert_eq!(types.last().unwrap(), "execution_complete");
    assert!(tail.has_ended());
    assert!(tail.next().is_none());
    // Also where it begins behind the end, or does not want to see it.
    let end = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap().cursor();
    assert!(ctx.events().unwrap().from(end).unwrap().follow().next().is_none());
    let mut read = ctx.events().unwrap();
    assert_eq!(read.by_ref().count(), 1 + rest.len());
    assert!(read.follow().next().is_none());
    assert_eq!(ctx.events().unwrap().of_type("noted").follow().count(), 5);
}

#[test]
fn what_does_not_count_is_waited_out() {
    let lab = Lab::new();
    lab.batch(&notes(2));
    let mut tail = lab.ctx.events().unwrap().follow();
    expect(&mut tail, &[0, 1]);
    // Half a record, half a batch, and what the next writer makes of them.
    lab.killed(&notes(1), |written| written / 2);
    expect_nothing(&mut tail);
    note(&lab.ctx, 7);
    expect(&mut tail, &[7]);
    lab.killed_between(&notes(2));
    expect_nothing(&mut tail);
    note(&lab.ctx, 8);
    expect(&mut tail, &[8]);
    assert!(tail.findings().iter().all(|finding| finding.code == Code::Garbage));
    assert_eq!(tail.findings().len(), 2);
    // A record that comes in pieces.
    let before = lab.bytes();
    note(&lab.ctx, 9);
    let whole = lab.bytes();
    for len in [before.len() + 1, before.len() + 100, whole.len() - 1] {
        lab.put(&whole[..len]);
        // It was shown whole only for a moment in which nobody looked.
        assert!(tail.try_next().unwrap().is_none());
    }
    // A network disk tells of the length first.
    let unseen = [&before[..], &vec![0; whole.len() - before.len()]].concat();
    lab.put(&unseen);
    expect_nothing(&mut tail);
    lab.put(&whole);
    expect(&mut tail, &[9]);
    // Damage stays, and is told of, until a repair comes.
    let mut file = fs::OpenOptions::new().append(true).open(lab.ctx.journal_path()).unwrap();
    file.write_all(b"hello\n").unwrap();
    expect_nothing(&mut tail);
    assert_eq!(tail.findings().last().unwrap().code, Code::JournalDamaged);
    lab.repair();
    note(&lab.ctx, 10);
    assert!(matches!(
        tail.next_within(SOON).unwrap(),
        Some(Followed::Record(record)) if record.event_type() == "run_repaired"
    ));
    expect(&mut tail, &[10]);
    assert!(tail.findings().iter().all(|finding| finding.code == Code::Garbage));
}

/// What looks like damage is not believed while a writer is at work.
#[test]
fn damage_is_confirmed_under_the_lock() {
    let lab = Lab::new();
    note(&lab.ctx, 1);
    let mut tail = lab.ctx.events().unwrap().follow();
    expect(&mut tail, &[1]);
    let before = lab.bytes();
    note(&lab.ctx, 2);
    let after = lab.bytes();
    let lock = fs::File::open(lab.ctx.run_path().join("journal/.lock")).unwrap();
    lock.lock().unwrap();
    // A network disk shows the end of a write before its beginning.
    let mut shown = after.clone();
    shown[before.len()..before.len() + 50].fill(0);
    lab.put(&shown);
    expect_nothing(&mut tail);
    assert!(tail.findings().is_empty());
    lab.put(&after);
    drop(lock);
    expect(&mut tail, &[2]);
}

#[test]
fn a_lost_tail_starts_over() {
    let lab = Lab::new();
    for n in 1..=3 {
        note(&lab.ctx, n);
    }
    let mut tail = lab.ctx.events().unwrap().follow();
    expect(&mut tail, &[1, 2, 3]);
    let bytes = lab.bytes();
    let second =
        lab.ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap().offset() as usize;
    lab.put(&bytes[..second]);
    expect(&mut tail, &[-1, 1, 2]);
    // Lost and grown again between two looks, be it to the same length.
    note(&lab.ctx, 4);
    expect(&mut tail, &[4]);
    lab.put(&bytes[..second]);
    note(&lab.ctx, 5);
    expect(&mut tail, &[-1, 1, 2, 5]);
}

#[test]
fn what_was_passed_over_in_another_history_is_not_passed_over_in_this() {
    let lab = Lab::new();
    let start = lab.bytes();
    for n in 1..=4 {
        note(&lab.ctx, n);
    }
    let third = lab.ctx.events().unwrap().nth(2).unwrap().unwrap().cursor();
    let mut after = lab.ctx.events().unwrap().after(3).follow();
    let mut from = lab.ctx.events().unwrap().from(third).unwrap().follow();
    expect(&mut after, &[4]);
    expect(&mut from, &[4]);
    lab.put(&start);
    for n in 11..=14 {
        note(&lab.ctx, n);
    }
    for mut tail in [after, from] {
        expect(&mut tail, &[-1]);
        assert_eq!(tail.cursor().seq(), 0);
        expect(&mut tail, &[11, 12, 13, 14]);
    }
}

#[test]
fn a_tail_goes_on_from_its_cursor() {
    let lab = Lab::new();
    for n in 1..=9 {
        note(&lab.ctx, n);
        lab.ctx.append(Event::new("other")).unwrap();
    }
    let again = |cursor| lab.ctx.events().unwrap().from(cursor).unwrap().of_type("noted").follow();
    let mut tail = lab.ctx.events().unwrap().of_type("noted").follow();
    assert_eq!(tail.cursor().seq(), 0);
    for n in 1..=9 {
        expect(&mut tail, &[n]);
        assert_eq!(tail.cursor().seq(), if n < 9 { n as u64 * 2 - 1 } else { 18 });
        let rest: Vec<i64> = (n + 1..=9).collect();
        expect(&mut again(tail.cursor()), &rest);
    }
    // What is not wanted moves it too, so that it is not read again.
    lab.ctx.append(Event::new("other")).unwrap();
    assert!(tail.try_next().unwrap().is_none());
    assert_eq!(tail.cursor().seq(), 19);
    let mut last = lab.ctx.events().unwrap().of_type("noted").last(2).unwrap().follow();
    assert_eq!(last.cursor().seq(), 13);
    expect(&mut last, &[8, 9]);
    note(&lab.ctx, 10);
    expect(&mut last, &[10]);
}

/// A record that was read is wiped and closed off later: then another history goes on.
#[test]
fn a_history_that_goes_on_elsewhere_starts_over() {
    let lab = Lab::new();
    for n in 1..=4 {
        note(&lab.ctx, n);
    }
    let mut tail = lab.ctx.events().unwrap().follow();
    expect(&mut tail, &[1, 2, 3, 4]);
    let records = lab.ctx.events().unwrap().read_all().unwrap().0;
    let mut bytes = lab.bytes();
    bytes[records[2].offset() as usize..records[3].offset() as usize - 1].fill(b'x');
    lab.put(&bytes);
    expect_nothing(&mut tail);
    lab.repair();
    expect(&mut tail, &[-1, 1, 2]);
    assert!(matches!(
        tail.next_within(SOON).unwrap(),
        Some(Followed::Record(record)) if record.event_type() == "run_repaired"
    ));
    // Damage between records that were not read yet changes nothing for those before it.
    note(&lab.ctx, 6);
    expect(&mut tail, &[6]);
    let before = lab.bytes().len();
    note(&lab.ctx, 7);
    let mut bytes = lab.bytes();
    bytes[before + 10] ^= 1;
    lab.put(&bytes);
    expect_nothing(&mut tail);
}

#[test]
fn a_moved_run_goes_on_and_the_one_put_in_its_place_too() {
    let test = TestWorkspace::new().unwrap();
    let ctx = start(&test);
    note(&ctx, 1);
    let mut tail = ctx.events().unwrap().follow();
    expect(&mut tail, &[1]);
    let run = ctx.run_path();
    let away = run.with_file_name("RUN-AWAY");
    let kept = ctx.journal().unwrap();
    fs::rename(&run, &away).unwrap();
    // Whoever has it open goes on writing to it.
    kept.append(Event::new("noted").payload(&2)).unwrap();
    expect(&mut tail, &[2]);
    expect_nothing(&mut tail);
    // A copy that is put in its place has the same records: it goes on.
    copy(&away, &run);
    expect_nothing(&mut tail);
    note(&ctx, 3);
    expect(&mut tail, &[3]);
    // A run with another history does not.
    fs::rename(&run, run.with_file_name("RUN-OLD")).unwrap();
    fs::rename(&away, &run).unwrap();
    note(&ctx, 4);
    expect(&mut tail, &[-1, 1, 2, 4]);
}

#[test]
fn a_restored_run_starts_over() {
    let test = TestWorkspace::new().unwrap();
    let ctx = start(&test);
    note(&ctx, 1);
    let run = ctx.run_path();
    let backup = test.root().join("backup");
    copy(&run, &backup);
    note(&ctx, 2);
    let mut tail = ctx.events().unwrap().follow();
    expect(&mut tail, &[1, 2]);
    // Over the file, as `cp` does; then as a new directory.
    fs::copy(backup.join("journal/events.jsonl"), ctx.journal_path()).unwrap();
    expect(&mut tail, &[-1]);
    expect(&mut tail, &[1]);
    note(&ctx, 3);
    expect(&mut tail, &[3]);
    fs::remove_dir_all(&run).unwrap();
    expect_nothing(&mut tail);
    copy(&backup, &run);
    let mut items = Vec::new();
    while items.last() != Some(&1) {
        items.push(match tail.next_within(SOON).unwrap().unwrap() {
            Followed::Record(record) => record.payload::<i64>().unwrap(),
            _ => -1,
        });
    }
    assert_eq!(items[0], -1);
    note(&ctx, 4);
    expect(&mut tail, &[4]);
}

#[test]
fn a_removed_run_ends_it() {
    let test = TestWorkspace::new().unwrap();
    let ctx = start(&test);
    note(&ctx, 1);
    let mut tail = ctx.events().unwrap().follow();
    note(&ctx, 2);
    fs::remove_dir_all(ctx.run_path()).unwrap();
    let items: Vec<_> = tail.by_ref().collect();
    assert_eq!(items.len(), 3);
    assert!(items[..2].iter().all(Result::is_ok));
    assert!(matches!(items[2], Err(JournalError::Removed { .. })));
    assert!(tail.has_ended());
    assert!(tail.try_next().unwrap().is_none());
}

fn copy(from: &camino::Utf8Path, to: &camino::Utf8Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

const WRITERS: usize = 8;

/// In a worker: appends until it is killed, with writers that are kept and others, single records,
/// batches and keyed ones; now and then it leaves what a killed writer leaves.
#[test]
fn following_worker() {
    let Ok(number) = std::env::var("RUNJOURNAL_TEST_FOLLOWED") else { return };
    let ctx = worker::context();
    let kept = ctx.journal().unwrap();
    for n in 0_u64.. {
        let name = format!("{number}-{n}");
        let event = Event::new("worked").payload(&(&name, "x".repeat(n as usize * 37 % 3000)));
        let result = match n % 4 {
            0 => kept.append(event).map(drop),
            1 => ctx.append(event).map(drop),
            2 => kept.append(event.key(name)).map(drop),
            _ => {
                let more = (0..n % 30).map(|n| Event::new("also").payload(&n));
                let batch: Vec<_> = std::iter::once(event).chain(more).collect();
                kept.append_batch(&batch).map(drop)
            }
        };
        result.unwrap();
        if n % 16 == 7 {
            torn(&ctx, n);
        }
    }
}

/// What a writer leaves that is killed within its write: the beginning of a record.
fn torn(ctx: &RunContext, n: u64) {
    let lock = fs::File::open(ctx.run_path().join("journal/.lock")).unwrap();
    lock.lock().unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(ctx.journal_path()).unwrap();
    let bytes = fs::read(ctx.journal_path()).unwrap();
    if bytes.ends_with(b"\n") {
        let part = &b"{\"seq\":17,\"event_id\":\"019ca8a0-4268-7000-8000-0000000000"[..];
        file.write_all(&part[..1 + n as usize % (part.len() - 1)]).unwrap();
    }
}

fn worker(ctx: &RunContext, number: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "following::following_worker", "--nocapture", "--test-threads=1"])
        .envs(ctx.env())
        .env("RUNJOURNAL_TEST_FOLLOWED", number.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn collect(tail: Follow) -> Vec<Record> {
    let records = tail.map(|item| match item.unwrap() {
        Followed::Record(record) => record,
        other => panic!("{other:?}"),
    });
    records.collect()
}

#[test]
fn every_counted_record_is_seen_once_and_in_order_under_writers_that_are_killed() {
    let test = TestWorkspace::new().unwrap();
    let ctx = start(&test);
    let first = std::thread::spawn({
        let tail = ctx.events().unwrap().follow();
        move || collect(tail)
    });
    let mut workers: Vec<Child> = (0..WRITERS).map(|number| worker(&ctx, number)).collect();
    let began = Instant::now();
    let mut second = None;
    let mut kills = 0;
    while began.elapsed() < Duration::from_secs(6) {
        std::thread::sleep(Duration::from_millis(23 + kills as u64 * 7 % 90));
        let victim = kills % WRITERS;
        workers[victim].kill().unwrap();
        workers[victim].wait().unwrap();
        kills += 1;
        workers[victim] = worker(&ctx, WRITERS + kills);
        if second.is_none() && kills == 12 {
            let cursor: Cursor = ctx.events().unwrap().last(0).unwrap().cursor();
            let tail = ctx.events().unwrap().from(cursor).unwrap().follow();
            second = Some((cursor.seq(), std::thread::spawn(move || collect(tail))));
        }
    }
    for worker in &mut workers {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    ctx.run().unwrap().complete(Outcome::Failed, None).unwrap();
    let (all, findings) = ctx.events().unwrap().read_all().unwrap();
    assert!(findings.iter().all(|finding| finding.code == Code::Garbage), "{findings:?}");
    assert!(kills > 20 && findings.len() > 20 && all.len() > 500, "{kills} {}", findings.len());
    let seen = |records: &[Record]| -> Vec<(u64, String)> {
        records.iter().map(|record| (record.seq(), record.line().to_owned())).collect()
    };
    let (first, (from, second)) = (first.join().unwrap(), second.unwrap());
    assert!(seen(&first) == seen(&all), "{} of {}", first.len(), all.len());
    let second = second.join().unwrap();
    assert!(seen(&second) == seen(&all[from as usize..]), "{} of {}", second.len(), all.len());
}
