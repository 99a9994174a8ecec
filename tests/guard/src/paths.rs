//! The hot paths: what each of them stands on, and its work.

use std::sync::Barrier;
use std::time::Duration;

use camino::Utf8Path;
use runjournal::index::Index;
use runjournal::{ArtifactName, Durability, ReadData, Verify};

use crate::Result;
use crate::recorded::{STEADY, SYNCING, Tolerance, VARYING};
use crate::stage::{self, Call, SlowClock, event};

/// Events of a batch, artifacts of a transaction. Each of both is one operation: a call that it makes once would be lost in a
/// sixty-fourth.
const BATCH: u64 = 64;
/// Threads that share a durable writer: one appends, and seven hand theirs over to it.
const THREADS: usize = 8;
/// Bytes of an artifact.
const SMALL: usize = 4096;
/// What is older than this can be told from what comes later. And in the first two seconds after a journal was opened, a durable
/// append looks for a note of other processes, which takes a call.
const RACY: Duration = Duration::from_millis(2_200);

/// In a directory, so often.
type Act = fn(&Utf8Path, u64) -> Result<()>;

/// Something that is done so often that its cost is counted.
pub(crate) struct HotPath {
    pub(crate) name: &'static str,
    /// What a figure is of.
    pub(crate) per: &'static str,
    /// How often it is done at first; and then three times as often.
    pub(crate) times: u64,
    /// How much more it may cost than was recorded.
    pub(crate) tolerance: Tolerance,
    /// Makes what it stands on, outside of what is counted.
    pub(crate) prepare: Act,
    pub(crate) work: Act,
}

/// All of them. An event is made by the caller: what `event` counts is part of all that appends.
pub(crate) const PATHS: &[HotPath] = &[
    HotPath::new("event", "event", 500, nothing, make_events),
    HotPath::new("append", "event", 500, a_run, append),
    HotPath::new("append_batch", "batch", 10, a_run, batches),
    HotPath::new("append_one_shot", "event", 100, a_run, one_shot),
    HotPath::new("append_durable", "event", 50, a_run, durable),
    HotPath::new("append_together", "round of 8", 8, a_run, together).within(VARYING),
    HotPath::new("artifact", "artifact", 100, a_run, artifacts),
    HotPath::new("artifact_durable", "artifact", 50, a_run, durable_artifacts),
    HotPath::new("transaction", "transaction", 2, a_run, transactions),
    HotPath::new("transaction_durable", "transaction", 2, a_run, durable_transactions)
        .within(SYNCING),
    HotPath::new("replay", "event", 1000, stage::new_journal, typed),
    HotPath::new("replay_records", "event", 1000, stage::new_journal, records),
    HotPath::new("tail", "call", 20, a_journal, tails),
    HotPath::new("tail_in_batch", "call", 20, a_batch_at_the_end, tails),
    HotPath::new("refresh", "run", 40, an_index, refresh).within(VARYING),
    HotPath::new("rebuild", "run", 40, stage::new_tree, rebuild).within(VARYING),
    HotPath::new("verify", "run", 40, stage::new_tree, verify).within(VARYING),
];

impl HotPath {
    const fn new(
        name: &'static str,
        per: &'static str,
        times: u64,
        prepare: Act,
        work: Act,
    ) -> Self {
        Self { name, per, times, tolerance: STEADY, prepare, work }
    }

    const fn within(self, tolerance: Tolerance) -> Self {
        Self { tolerance, ..self }
    }

    /// The one of that name.
    pub(crate) fn named(name: &str) -> Result<&'static Self> {
        let known = || PATHS.iter().map(|path| path.name).collect::<Vec<_>>().join(", ");
        let found = PATHS.iter().find(|path| path.name == name);
        Ok(found.ok_or_else(|| format!("there is no path {name:?}; there are {}", known()))?)
    }
}

fn nothing(_: &Utf8Path, _: u64) -> Result<()> {
    Ok(())
}

fn a_run(dir: &Utf8Path, _: u64) -> Result<()> {
    stage::new_run(dir).map(drop)
}

/// Long enough to be read from its end.
fn a_journal(dir: &Utf8Path, _: u64) -> Result<()> {
    stage::new_journal(dir, 2000)
}

/// The last records are of a batch that goes further back than the first look.
fn a_batch_at_the_end(dir: &Utf8Path, calls: u64) -> Result<()> {
    a_journal(dir, calls)?;
    batches(dir, 1)
}

fn an_index(dir: &Utf8Path, runs: u64) -> Result<()> {
    stage::new_tree(dir, runs)?;
    // What is younger than its times are exact is read again by each refresh.
    std::thread::sleep(RACY);
    Index::of(&stage::workspace(dir)?).rebuild()?;
    Ok(())
}

fn make_events(_: &Utf8Path, events: u64) -> Result<()> {
    for number in 0..events {
        let _ = std::hint::black_box(event(number));
    }
    Ok(())
}

fn append(dir: &Utf8Path, events: u64) -> Result<()> {
    let writer = stage::run(dir)?.journal()?;
    for number in 0..events {
        writer.append(event(number))?;
    }
    Ok(())
}

fn batches(dir: &Utf8Path, batches: u64) -> Result<()> {
    let writer = stage::run(dir)?.journal()?;
    let mut batch = Vec::new();
    for first in (0..batches).map(|number| number * BATCH) {
        batch.clear();
        batch.extend((first..first + BATCH).map(event));
        writer.append_batch(&batch)?;
    }
    Ok(())
}

fn one_shot(dir: &Utf8Path, events: u64) -> Result<()> {
    let ctx = stage::run(dir)?;
    for number in 0..events {
        ctx.append(event(number))?;
    }
    Ok(())
}

fn durable(dir: &Utf8Path, events: u64) -> Result<()> {
    let writer = stage::run(dir)?.journal()?.durability(Durability::Durable);
    std::thread::sleep(RACY);
    for number in 0..events {
        writer.append(event(number))?;
    }
    Ok(())
}

fn together(dir: &Utf8Path, rounds: u64) -> Result<()> {
    let clock = SlowClock::new();
    let writer = stage::run_by(dir, clock.clone())?.journal()?.durability(Durability::Durable);
    // It opens the journal.
    writer.append(event(u64::from(u32::MAX)))?;
    std::thread::sleep(RACY);
    let all_come = Barrier::new(THREADS);
    let append = |number: u64| {
        let mut ended = Ok(());
        for round in 0..rounds {
            if all_come.wait().is_leader() {
                clock.be_slow();
            }
            all_come.wait();
            // Where it fails as well: the others wait for this thread.
            ended = ended.and(writer.append(event(number * rounds + round)).map(drop));
        }
        Ok(ended?)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS as u64).map(|number| scope.spawn(move || append(number))).collect();
        let mut ended = threads.into_iter().map(|thread| thread.join());
        ended.try_for_each(|ended| ended.map_err(|_| "a thread panicked")?)
    })
}

fn artifacts(dir: &Utf8Path, count: u64) -> Result<()> {
    write_each(dir, count, Durability::Buffered)
}

fn durable_artifacts(dir: &Utf8Path, count: u64) -> Result<()> {
    write_each(dir, count, Durability::Durable)
}

fn write_each(dir: &Utf8Path, count: u64, durability: Durability) -> Result<()> {
    let store = stage::run(dir)?.artifacts().durability(durability);
    let mut content = stage::content(SMALL);
    // The first of them opens the journal.
    store.write_bytes(name(u64::from(u32::MAX))?, &content)?;
    if durability == Durability::Durable {
        std::thread::sleep(RACY);
    }
    for number in 0..count {
        stage::stamp(&mut content, number);
        store.write_bytes(name(number)?, &content)?;
    }
    Ok(())
}

fn transactions(dir: &Utf8Path, count: u64) -> Result<()> {
    write_together(dir, count, Durability::Buffered)
}

fn durable_transactions(dir: &Utf8Path, count: u64) -> Result<()> {
    write_together(dir, count, Durability::Durable)
}

fn write_together(dir: &Utf8Path, count: u64, durability: Durability) -> Result<()> {
    let ctx = stage::run(dir)?;
    let mut content = stage::content(SMALL);
    let mut first = ctx.transaction().durability(durability);
    first.write_bytes(name(u64::from(u32::MAX))?, &content)?;
    first.commit()?;
    if durability == Durability::Durable {
        std::thread::sleep(RACY);
    }
    for first in (0..count).map(|number| number * BATCH) {
        let mut transaction = ctx.transaction().durability(durability);
        for number in first..first + BATCH {
            stage::stamp(&mut content, number);
            transaction.write_bytes(name(number)?, &content)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

/// A new name for each.
fn name(number: u64) -> Result<ArtifactName> {
    Ok(ArtifactName::new(format!("{number:08}.bin"))?)
}

fn typed(dir: &Utf8Path, events: u64) -> Result<()> {
    let mut seen = 0;
    for record in stage::run(dir)?.events()? {
        seen += u64::from(record?.payload::<Call>()?.call >= 1_000_000);
    }
    same("events", seen, events)
}

fn records(dir: &Utf8Path, events: u64) -> Result<()> {
    let mut last = 0;
    for record in stage::run(dir)?.events()? {
        last = record?.seq();
    }
    same("events", last, events)
}

fn tails(dir: &Utf8Path, calls: u64) -> Result<()> {
    let ctx = stage::run(dir)?;
    for _ in 0..calls {
        let seen = ctx.events()?.last(10)?.count();
        same("events", seen as u64, 10)?;
    }
    Ok(())
}

fn refresh(dir: &Utf8Path, _: u64) -> Result<()> {
    let built = Index::of(&stage::workspace(dir)?).refresh()?;
    same("changed runs", built.done.looked_at, 0)
}

fn rebuild(dir: &Utf8Path, runs: u64) -> Result<()> {
    let built = Index::of(&stage::workspace(dir)?).rebuild()?;
    same("runs", built.done.runs, runs)
}

fn verify(dir: &Utf8Path, runs: u64) -> Result<()> {
    let verified = Verify::of(&stage::workspace(dir)?).read_data(ReadData::All).run()?;
    same("clean runs", u64::from(verified.is_clean()) * runs, runs)
}

fn same(what: &str, found: u64, wanted: u64) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(format!("{found} {what} and not {wanted}").into()) }
}
