//! Rows 12 to 14: the index of a workspace. What it is measured on and against, row 15 uses as well.

use std::fs::File;
use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::index::{
    ArtifactQuery, Built, EventQuery, FindingQuery, Index, IndexReader, RunQuery, StepQuery,
    StepState,
};
use runjournal::{Digest, Event, RunStatus, Workspace};

use super::alone;
use crate::args::Plan;
use crate::lab::Lab;
use crate::measure::{Contender, Lap, Laps, interleave};
use crate::report::{Entry, Goal};
use crate::{Result, tree};

/// Files that are younger than this are read again, for their times may not be exact.
pub(crate) const RACY: Duration = Duration::from_millis(2_200);

pub(crate) const REBUILD: &str = "Index::rebuild";
pub(crate) const REFRESH: &str = "Index::refresh";
const CHANGED: &str = "Index::refresh after changes";
const ALONE: &str = "SQLite alone: these rows and their indexes, from another database";
pub(crate) const FLOOR: &str = "walking, reading and hashing every byte";

pub(super) const CHAINED: &str = "bound: the floor, with a hash of each record";

/// So far apart are runs that grow: those that are open, and about a hundredth of all.
const ONE_PERCENT: usize = tree::OPEN as usize * 6;

/// The size that the goals of queries and of memory are about, in runs.
pub(super) const GOAL_RUNS: u64 = 100_000;

/// The size that those of a rebuild, a refresh and verify are about.
pub(super) const GOAL: u64 = 20_000;

/// Sizes of the tree, in runs.
pub(super) fn sizes(plan: &Plan) -> &'static [u64] {
    if plan.quick { &[2_000, GOAL] } else { &[2_000, GOAL, GOAL_RUNS] }
}

/// A workspace whose index is measured.
pub(crate) struct Tree {
    root: Utf8PathBuf,
    runs: u64,
    index: Index,
}

impl Tree {
    pub(crate) fn root(&self) -> &Utf8Path {
        &self.root
    }

    pub(crate) fn of(lab: &Lab, runs: u64) -> Result<Self> {
        let root = tree::of(lab, runs)?;
        let index = Index::of(&Workspace::open(&root)?);
        Ok(Self { root, runs, index })
    }

    /// The index, sound and with everything in it.
    pub(crate) fn built(&self) -> Result<IndexReader> {
        let runs = self.index.refresh()?.done.runs;
        let index = self.index.open()?;
        let findings = index.findings(&FindingQuery::new().limit(1))?.rows;
        if !findings.is_empty() || runs != self.runs {
            return Err(format!("the index has {runs} runs, and {findings:?}").into());
        }
        Ok(index)
    }

    /// A lap is one call, of which a figure is of one run.
    pub(crate) fn contender<'a>(
        &'a self,
        name: &'static str,
        before: impl Fn() -> Result<()> + Clone + 'a,
        call: impl Fn() -> Result<u64> + Clone + 'a,
        wanted: u64,
    ) -> Contender<'a> {
        Contender::new(name, move |_| {
            let (before, call) = (before.clone(), call.clone());
            Ok(Box::new(move || {
                before()?;
                let start = Instant::now();
                let done = call()?;
                let time = start.elapsed();
                if done != wanted {
                    return Err(format!("{done} instead of {wanted} were done").into());
                }
                Ok(Lap { operations: self.runs, time })
            }))
        })
    }

    pub(crate) fn floor(&self) -> Contender<'_> {
        self.contender(FLOOR, || Ok(()), || read_all(&self.root, hash_whole), self.files())
    }

    /// The same, with a hash for each record of a journal: the chain, and nothing else of it.
    pub(super) fn chained(&self) -> Contender<'_> {
        self.contender(CHAINED, || Ok(()), || read_all(&self.root, hash_records), self.files())
    }

    fn files(&self) -> u64 {
        self.runs * (tree::ARTIFACTS + 2) + self.runs.div_ceil(tree::TASK) * 2
    }

    pub(crate) fn rebuild(&self) -> Contender<'_> {
        let runs = |built: Built| built.done.runs;
        self.contender(REBUILD, || Ok(()), move || Ok(runs(self.index.rebuild()?)), self.runs)
    }

    /// What of a rebuild is SQLite's own.
    fn alone(&self) -> Contender<'_> {
        Contender::new(ALONE, move |dir| {
            let (dir, mut lap) = (dir.to_owned(), 0);
            Ok(Box::new(move || {
                lap += 1;
                let start = Instant::now();
                let rows = alone::copy_index(&self.root, &dir.join(format!("{lap}.db")))?;
                let time = start.elapsed();
                if rows < self.runs {
                    return Err(format!("{rows} rows are too few").into());
                }
                Ok(Lap { operations: self.runs, time })
            }))
        })
    }

    pub(crate) fn refresh(&self) -> Contender<'_> {
        let before = || {
            std::thread::sleep(RACY);
            self.index.refresh()?;
            Ok(())
        };
        self.contender(REFRESH, before, || Ok(self.index.refresh()?.done.looked_at), 0)
    }

    /// About a hundredth of the runs has grown by one event.
    fn changed(&self) -> Contender<'_> {
        let grow = || {
            let workspace = Workspace::open(&self.root)?;
            for run in (0..self.runs).step_by(ONE_PERCENT) {
                let task = workspace.task(tree::task_id(run / tree::TASK))?;
                let run = task.run(tree::run_id(run))?;
                run.context().append(Event::new("grown"))?;
            }
            Ok(())
        };
        let call = || Ok(self.index.refresh()?.done.looked_at);
        self.contender(CHANGED, grow, call, self.runs.div_ceil(ONE_PERCENT as u64))
    }
}

/// Row 12: an index from nothing.
pub(super) fn rebuild(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for runs in sizes(plan) {
        let tree = Tree::of(lab, *runs)?;
        tree.built()?;
        let contenders = [tree.floor(), tree.rebuild(), tree.alone()];
        let series = interleave(lab, plan, Laps { warm: 0, counted: 1 }, &contenders)?;
        let (work, goal) = (format!("rebuild, {runs} runs; per run"), Goal::AtMost(3.0, 1.5));
        let goal = goal.only_if(*runs == GOAL);
        entries.push(Entry::compare("12", &work, &series, REBUILD, FLOOR, goal));
        entries.push(Entry::compare("12", &work, &series, REBUILD, ALONE, Goal::Context));
    }
    Ok(entries)
}

/// Row 13: an index brought up to date.
pub(super) fn refresh(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for runs in sizes(plan) {
        let tree = Tree::of(lab, *runs)?;
        tree.built()?;
        let contenders = [tree.floor(), tree.refresh(), tree.changed()];
        let series = interleave(lab, plan, Laps { warm: 0, counted: 1 }, &contenders)?;
        let goal = Goal::AtMost(0.4, 0.2).only_if(*runs == GOAL);
        let work = |what| format!("refresh, {what} of {runs} runs changed; per run");
        entries.push(Entry::compare("13", work("none"), &series, REFRESH, FLOOR, goal));
        let entry = Entry::compare("13", work("1 %"), &series, CHANGED, FLOOR, Goal::Context);
        entries.push(entry);
    }
    Ok(entries)
}

/// Asks for something, and returns how many rows came.
type Ask = Box<dyn Fn(&IndexReader) -> Result<usize>>;

/// Makes ready what is asked about a run, which is no part of the time.
pub(crate) type Prepare = fn(u64) -> Result<Ask>;

/// What is asked, of a run that differs each time.
pub(crate) const QUERIES: &[(&str, Prepare)] = &[
    ("50 newest runs of a status", |_| {
        let query = RunQuery::new().status(RunStatus::Success).newest_first().limit(50);
        Ok(Box::new(move |index| Ok(index.runs(&query)?.rows.len())))
    }),
    ("latest run of a task", |run| {
        let task = tree::task_id(run / tree::TASK);
        Ok(Box::new(move |index| Ok(usize::from(index.latest_run(task.as_str())?.is_some()))))
    }),
    ("artifacts by digest", |run| {
        let query = ArtifactQuery::new().digest(Digest::of(&tree::content(run, 0))).limit(50);
        Ok(Box::new(move |index| Ok(index.artifacts(&query)?.rows.len())))
    }),
    ("50 artifacts by path", |run| {
        let query = ArtifactQuery::new().path(tree::path(run % tree::ARTIFACTS)).limit(50);
        Ok(Box::new(move |index| Ok(index.artifacts(&query)?.rows.len())))
    }),
    ("50 events of a type", |_| {
        let query = EventQuery::new().of_type("step_failed").limit(50);
        Ok(Box::new(move |index| Ok(index.events(&query)?.rows.len())))
    }),
    ("events of a correlation", |run| {
        let query = EventQuery::new().correlated(tree::trace_id(tree::traced_by(run))).limit(50);
        Ok(Box::new(move |index| Ok(index.events(&query)?.rows.len())))
    }),
    ("event by id", |run| {
        let query = EventQuery::new().id(tree::event_id(run, run % tree::EVENTS + 1).parse()?);
        Ok(Box::new(move |index| Ok(index.events(&query)?.rows.len())))
    }),
    ("50 steps of a state", |_| {
        let query = StepQuery::new().state(StepState::Failed).limit(50);
        Ok(Box::new(move |index| Ok(index.steps(&query)?.rows.len())))
    }),
];

/// Row 14: what the index answers.
pub(super) fn queries(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let Some(runs) = sizes(plan).last() else { return Ok(Vec::new()) };
    let tree = Tree::of(lab, *runs)?;
    let index = tree.built()?;
    let (mut entries, mut slowest) = (Vec::new(), 0.0_f64);
    for (name, prepare) in QUERIES {
        let mut times = times(&index, *runs, name, *prepare)?;
        times.sort_by(f64::total_cmp);
        let tail = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
        slowest = slowest.max(tail);
        let work = format!("query of {runs} runs: {name}");
        let goal = Goal::Microseconds(200.0, 200.0).only_if(*runs == GOAL_RUNS);
        entries.push(Entry::alone("14", work, "a time", times, goal));
    }
    let work = format!("query of {runs} runs: the 99th of 100 calls, of the slowest query");
    let goal = Goal::Microseconds(10_000.0, 1_000.0).only_if(*runs == GOAL_RUNS);
    entries.push(Entry::alone("14", work, "a time", vec![slowest], goal));
    Ok(entries)
}

/// How long each call of a query took.
pub(crate) fn times(
    index: &IndexReader,
    runs: u64,
    name: &str,
    prepare: Prepare,
) -> Result<Vec<f64>> {
    /// Those that count; a tenth of them before, to warm up.
    const CALLS: u64 = 2_000;
    let mut times = Vec::new();
    for call in 0..CALLS + CALLS / 10 {
        let run = call.wrapping_mul(0x9e37_79b9_7f4a_7c15) % runs;
        let ask = prepare(run)?;
        let start = Instant::now();
        let found = ask(index)?;
        let time = start.elapsed();
        if found == 0 {
            return Err(format!("{name}: nothing was found for run {run}").into());
        }
        if call >= CALLS / 10 {
            times.push(time.as_nanos() as f64);
        }
    }
    Ok(times)
}

fn hash_whole(content: &[u8]) {
    std::hint::black_box(blake3::hash(content));
}

fn hash_records(journal: &[u8]) {
    journal.split_inclusive(|byte| *byte == b'\n').for_each(hash_whole);
}

/// Walks a tree, reads every file of the journals and artifacts, and hashes it, with as many threads as cores.
/// Returns how many files there were.
fn read_all(root: &Utf8Path, hash_journal: fn(&[u8])) -> Result<u64> {
    let mut runs = Vec::new();
    for task in list(root)? {
        runs.extend(list(&task.join("runs"))?);
        runs.push(task);
    }
    let (next, files) = (AtomicU64::new(0), AtomicU64::new(0));
    let read_some = || -> Result<()> {
        let mut content = Vec::new();
        while let Some(home) = runs.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let mut read_by = |path: &Utf8Path, hash: fn(&[u8])| -> Result<()> {
                content.clear();
                File::open(path)?.read_to_end(&mut content)?;
                hash(&content);
                files.fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            read_by(&home.join("journal/events.jsonl"), hash_journal)?;
            let mut read = |path: &Utf8Path| read_by(path, hash_whole);
            let genesis = home.join("run.json");
            if !genesis.try_exists()? {
                read(&home.join("task.json"))?;
                continue;
            }
            read(&genesis)?;
            let mut dirs = vec![home.join("artifacts")];
            while let Some(dir) = dirs.pop() {
                for entry in dir.read_dir_utf8()? {
                    let entry = entry?;
                    if entry.file_type()?.is_dir() {
                        dirs.push(entry.into_path());
                    } else {
                        read(entry.path())?;
                    }
                }
            }
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(read_some)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread died")?)
    })?;
    Ok(files.into_inner())
}

/// The directories in one that the library does not keep for itself.
fn list(dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut found = Vec::new();
    for entry in dir.read_dir_utf8()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && !entry.file_name().starts_with('.') {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}
