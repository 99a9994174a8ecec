//! A worker of a race: it claims, writes in the name of what it claimed, goes on with what it lost, and
//! says on its output what was acknowledged and what was refused.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use runjournal::{
    ArtifactError, Clock, Cursor, Durability, Event, Heartbeat, JournalError, JournalWriter, Lease,
    LeaseError, Outcome, RunContext, RunId, Signal, Step, StepError, StepFailure, SystemClock,
    Task, Timestamp, WorkspaceError,
};
use serde_json::json;

use super::judge::token_of;
use super::{BASE_RUNS, Random};
use crate::worker;

/// How long a racer waits for a lock: shorter than some stops.
const PATIENCE: Duration = Duration::from_millis(120);
/// Runs that a task may have before no more are started.
const MOST_RUNS: usize = 5;
const DAY: i64 = 86_400_000_000;

/// A line for the parent. It goes out by one write, so a kill leaves all of it or nothing.
pub(super) fn say(text: &str) {
    writeln!(std::io::stdout(), "@ {text}").unwrap();
}

/// A clock that is off by minutes to days, and by another time whenever it is moved.
#[derive(Debug, Default)]
struct SkewedClock {
    offset: AtomicI64,
}

impl SkewedClock {
    fn jump(&self, random: &mut Random) {
        let most = [DAY / 500, DAY / 24, DAY * 3][random.below(3)];
        let offset = random.below(usize::try_from(most * 2).unwrap());
        self.offset.store(i64::try_from(offset).unwrap() - most, Ordering::Relaxed);
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let now = SystemClock.now().as_microseconds();
        Timestamp::from_microseconds(now + self.offset.load(Ordering::Relaxed))
    }
}

/// What a journal said, whichever room was asked.
pub(super) trait Told: Debug {
    fn journal(&self) -> Option<&JournalError>;
}

impl Told for JournalError {
    fn journal(&self) -> Option<&JournalError> {
        Some(self)
    }
}

impl Told for ArtifactError {
    fn journal(&self) -> Option<&JournalError> {
        if let Self::Journal(error) = self { Some(error) } else { None }
    }
}

impl Told for WorkspaceError {
    fn journal(&self) -> Option<&JournalError> {
        if let Self::Journal(error) = self { Some(error) } else { None }
    }
}

impl Told for LeaseError {
    fn journal(&self) -> Option<&JournalError> {
        match self {
            Self::Journal(error) => Some(error),
            Self::NotBound { source, .. } => Some(source),
            Self::Workspace(error) => error.journal(),
            _ => None,
        }
    }
}

impl Told for StepFailure {
    fn journal(&self) -> Option<&JournalError> {
        match self {
            Self::Journal { source, .. } => Some(source),
            Self::Failed { source, .. } => {
                let source: &(dyn Error + 'static) = source.as_ref();
                let artifact = source.downcast_ref::<ArtifactError>();
                source.downcast_ref().or_else(|| artifact.and_then(ArtifactError::journal))
            }
            _ => None,
        }
    }
}

/// True for what is refused because somebody else may write, or nobody any more.
pub(super) fn is_refusal(error: &impl Told) -> bool {
    use JournalError::{Closed, LeaseLost, LeaseRequired, StepSuperseded};
    let refusal = |error: &JournalError| {
        matches!(
            error,
            LeaseLost { .. } | LeaseRequired { .. } | Closed { .. } | StepSuperseded { .. }
        )
    };
    error.journal().is_some_and(refusal)
}

fn is_busy(error: &impl Told) -> bool {
    matches!(error.journal(), Some(JournalError::LockTimeout { .. }))
}

/// One write: what is tried is said before, what came of it afterwards.
struct Attempt<'a> {
    id: &'a str,
    token: u64,
    run: &'a RunId,
}

impl Attempt<'_> {
    fn write<T, E: Told>(&self, kind: &str, write: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let Self { id, token, run } = self;
        say(&format!("try {id} {token} {run} {kind}"));
        let written = write();
        match &written {
            Ok(_) => say(&format!("done {id}")),
            Err(error) if is_refusal(error) => say(&format!("refused {id}")),
            Err(error) if is_busy(error) => say(&format!("busy {id}")),
            Err(error) => panic!("{kind} {id} in {run} under {token}: {error:?}"),
        }
        written
    }

    fn event(&self, event_type: &str) -> Event {
        Event::new(event_type).payload(&json!({"id": self.id, "token": self.token}))
    }

    fn content(&self) -> String {
        super::judge::content(self.id, self.token)
    }
}

/// A lease that was claimed once, and is used until the worker tires of it.
struct Tenure {
    lease: Lease,
    kept: BTreeMap<RunId, JournalWriter>,
    /// Where the runs stood right after the claim had returned; `None` if it did not return it.
    seen: Option<BTreeMap<RunId, Cursor>>,
    heartbeat: Option<Heartbeat>,
}

impl Tenure {
    fn token(&self) -> u64 {
        self.lease.lease_ref().token
    }

    fn context(&self, run: &RunId) -> RunContext {
        self.lease.task().run(run).unwrap().context().clone()
    }
}

pub(super) struct Racer {
    name: String,
    random: Random,
    clock: Option<Arc<SkewedClock>>,
    task: Task,
    writes: u64,
    /// Leases of former claims: most are lost by now.
    former: Vec<Tenure>,
}

impl Racer {
    /// A worker with this name and what else the environment says.
    pub(super) fn new(name: String) -> Self {
        let seed = std::env::var("RUNJOURNAL_TEST_SEED").unwrap().parse().unwrap();
        let mut workspace = worker::workspace().with_lock_timeout(PATIENCE);
        let mut random = Random(seed);
        let clock =
            std::env::var_os("RUNJOURNAL_TEST_SKEWED").map(|_| Arc::new(SkewedClock::default()));
        if let Some(clock) = &clock {
            clock.jump(&mut random);
            workspace = workspace.with_clock(Arc::clone(clock) as Arc<dyn Clock>);
        }
        let task = workspace.task("TASK-1").unwrap();
        Self { name, random, clock, task, writes: 0, former: Vec::new() }
    }

    /// Races until the parent has had enough, or is gone.
    pub(super) fn race(&mut self) {
        let parent = rustix::process::getppid();
        while !self.task.path().join("../enough").exists() && rustix::process::getppid() == parent {
            if self.random.below(8) == 0
                && let Some(clock) = &self.clock
            {
                clock.jump(&mut self.random);
            }
            match self.claim() {
                Some(tenure) => self.serve(tenure),
                None => self.nap(6),
            }
            if !self.former.is_empty() && self.random.below(3) == 0 {
                let mut old = self.former.swap_remove(self.random.below(self.former.len()));
                self.write(&mut old);
                self.former.push(old);
            }
            self.nap(3);
        }
    }

    fn nap(&mut self, most: usize) {
        std::thread::sleep(Duration::from_micros(self.random.below(most * 1000) as u64));
    }

    fn claim(&mut self) -> Option<Tenure> {
        // The others try in vain for as long: that is what a race takes, so it is little, and still more than a
        // write takes.
        let ttl = Duration::from_millis(5 + self.random.below(25) as u64);
        let claimed = if self.random.below(4) == 0 {
            let patience = Duration::from_millis(self.random.below(60) as u64);
            self.task.claim_within(&self.name, ttl, patience)
        } else {
            self.task.claim(&self.name, ttl)
        };
        let (lease, bound) = match claimed {
            Ok(lease) => (lease, true),
            // The claim stands. Who goes on with it, though it was not handed out, does no harm either.
            Err(LeaseError::NotBound { lease, .. }) if self.random.below(2) == 0 => {
                (Lease::of(&self.task, lease), false)
            }
            Err(LeaseError::LeaseHeld { .. }) => return None,
            Err(error) if is_busy(&error) => return None,
            Err(error) => panic!("{error:?}"),
        };
        say(&format!("claimed {}", lease.lease_ref().token));
        let seen = bound.then(|| self.places());
        Some(Tenure { lease, kept: BTreeMap::new(), seen, heartbeat: None })
    }

    /// Where the runs stand.
    fn places(&self) -> BTreeMap<RunId, Cursor> {
        let place = |run: RunId| {
            let last = self.task.run(&run).unwrap().context().events().unwrap().last(1).unwrap();
            let last = last.map(|record| record.unwrap().cursor()).next();
            last.map(|cursor| (run, cursor))
        };
        self.task.runs().unwrap().into_iter().filter_map(place).collect()
    }

    /// Does some work under a new lease, and leaves it in one way or another.
    fn serve(&mut self, mut tenure: Tenure) {
        if self.random.below(4) == 0 {
            // It may be over already.
            tenure.heartbeat = tenure.lease.heartbeat().ok();
        }
        for _ in 0..self.random.below(7) {
            self.write(&mut tenure);
            if self.random.below(4) == 0 {
                self.nap(3);
            }
        }
        if self.random.below(3) == 0 {
            self.write_without_lease();
        }
        self.nobody_older_wrote(&tenure);
        tenure.heartbeat = None;
        match self.random.below(3) {
            0 => match tenure.lease.release() {
                Ok(()) => {}
                Err(error) => assert!(is_refusal(&error) || is_busy(&error), "{error:?}"),
            },
            1 => {
                if self.former.len() == 3 {
                    self.former.swap_remove(self.random.below(3));
                }
                self.former.push(tenure);
            }
            _ => {}
        }
    }

    /// What came since the claim returned was written under it, or under a later one.
    fn nobody_older_wrote(&self, tenure: &Tenure) {
        let Some(seen) = &tenure.seen else { return };
        for run in self.task.runs().unwrap() {
            let events = self.task.run(&run).unwrap().context().events().unwrap();
            let events = match seen.get(&run) {
                Some(cursor) => events.from(*cursor).unwrap(),
                None => events,
            };
            for record in events {
                let record = record.unwrap();
                let (token, mine) = (token_of(&record), tenure.token());
                assert!(
                    token.is_none_or(|token| token >= mine),
                    "two writers: after the claim {mine} had returned, {run} got {}",
                    record.line()
                );
            }
        }
    }

    /// Who has no lease is not let in.
    fn write_without_lease(&mut self) {
        let run = RunId::new(BASE_RUNS[self.random.below(BASE_RUNS.len())]).unwrap();
        let ctx = self.task.run(&run).unwrap().context().clone();
        let id = self.next_id();
        let attempt = Attempt { id: &id, token: 0, run: &run };
        let written = attempt.write("event", || ctx.append(attempt.event("raced")));
        assert!(written.is_err(), "a stranger was let in");
    }

    fn next_id(&mut self) -> String {
        self.writes += 1;
        format!("{}.{}", self.name, self.writes)
    }

    /// One write of some kind, somewhere, under a lease that may be lost.
    fn write(&mut self, tenure: &mut Tenure) {
        let runs = self.task.runs().unwrap();
        let id = self.next_id();
        let token = tenure.token();
        let kind = self.random.below(16);
        if kind == 15 && runs.len() < MOST_RUNS {
            let run = RunId::new(format!("X-{token}-{id}")).unwrap();
            let attempt = Attempt { id: &id, token, run: &run };
            let _ = attempt.write("start", || tenure.lease.task().start_run_as(&run));
            return;
        }
        if kind == 14 {
            match tenure.lease.renew() {
                Ok(_) => {}
                Err(error) => assert!(is_refusal(&error) || is_busy(&error), "{error:?}"),
            }
            return;
        }
        let run = &runs[self.random.below(runs.len())];
        let ctx = tenure.context(run);
        let attempt = Attempt { id: &id, token, run };
        // What came of it is said, and judged by the parent.
        let _ = match kind {
            13 if run.as_str().starts_with('X') => {
                let end = || match ctx.run()?.complete(Outcome::Failed, Some(&attempt.content())) {
                    Err(WorkspaceError::EndedOtherwise { .. }) => {
                        Err(JournalError::Closed { path: ctx.journal_path() }.into())
                    }
                    other => other,
                };
                attempt.write("end", end).is_ok()
            }
            10..=12 => self.step(&attempt, &ctx).is_ok(),
            8 | 9 => {
                let store = ctx.artifacts().durability(Durability::Buffered);
                let write = || store.write_bytes(super::note(), attempt.content().as_bytes());
                attempt.write("file", write).is_ok()
            }
            6 | 7 => {
                let both = || {
                    let mut both = ctx.transaction().durability(Durability::Buffered);
                    both.write_bytes(super::note(), attempt.content().as_bytes())?;
                    both.append(attempt.event("raced"));
                    both.commit()
                };
                attempt.write("both", both).is_ok()
            }
            2..=5 => {
                let kept = match tenure.kept.get(run) {
                    Some(kept) => kept.clone(),
                    None => match ctx.journal() {
                        Ok(kept) => kept,
                        Err(error) => panic!("{error:?}"),
                    },
                };
                tenure.kept.insert(run.clone(), kept.clone());
                let batch = [attempt.event("raced"), attempt.event("raced_too")];
                if kind == 2 {
                    attempt.write("batch", || kept.append_batch(&batch)).is_ok()
                } else {
                    attempt.write("event", || kept.append(attempt.event("raced"))).is_ok()
                }
            }
            _ => attempt.write("event", || ctx.append(attempt.event("raced"))).is_ok(),
        };
    }

    /// A step that others try as well, and that appends at once and at its end.
    fn step(&mut self, attempt: &Attempt<'_>, ctx: &RunContext) -> Result<(), StepFailure> {
        let Attempt { id, token, run } = attempt;
        // So few that a race, short as it is, comes to the same one more than once.
        let name = format!("step-{}", self.random.below(150));
        let pause = Duration::from_micros(self.random.below(1500) as u64);
        let mut ran = false;
        say(&format!("try {id} {token} {run} step"));
        let step = Step::new(name).config(&json!({"id": id, "token": token}));
        let signal = ctx.step(step, |s| {
            ran = true;
            s.write_bytes(super::note(), attempt.content().as_bytes())?;
            let inner = format!("{id}i");
            let now = Attempt { id: &inner, token: *token, run };
            now.write("event", || s.append_now(now.event("raced"))).map_err(StepError::from)?;
            std::thread::sleep(pause);
            Ok(Signal::new(*id))
        });
        match signal {
            Ok(_) if ran => say(&format!("done {id}")),
            // Somebody completed it before, or is at it.
            Ok(_) | Err(StepFailure::StepTaken { .. }) => {}
            Err(error) if is_refusal(&error) => say(&format!("refused {id}")),
            Err(error) if is_busy(&error) => say(&format!("busy {id}")),
            Err(error) => panic!("step {id} in {run} under {token}: {error:?}"),
        }
        Ok(())
    }
}
