//! How a run stands: by its journal, by who works on it, and by whether it is whole.

use std::time::Duration;

use serde::Serialize;

use super::keep::{Keep, Trouble};
use super::{PrunePolicy, PruneReason};
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::digest::Digest;
use crate::finding::Severity;
use crate::genesis::{self, RunGenesis};
use crate::id::{EventId, RunId, TaskId};
use crate::io::{Dir, Kind};
use crate::journal::{Cursor, Record, types};
use crate::layout;
use crate::manifest::{Draft, Manifest};
use crate::status::{Completed, Counts, Outcome, RunStatus};
use crate::workspace::{Task, running};

/// A run that is old enough to go, and that nothing keeps.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PrunableRun {
    /// Its task.
    pub task: TaskId,
    /// The run.
    pub run: RunId,
    /// Which age it has reached.
    pub reason: PruneReason,
    /// Its status.
    pub status: RunStatus,
    /// Its end; of one that did not end, its last record, or when it was made.
    pub since: Timestamp,
    /// How long ago that was when the plan was made.
    #[serde(rename = "age_ms", serialize_with = "in_milliseconds")]
    pub age: Duration,
    /// Bytes of its files.
    pub bytes: u64,
    /// Names its outputs.
    pub artifacts_root: Digest,
    /// How far its journal reached.
    #[serde(skip)]
    pub(super) journal: Cursor,
    #[serde(skip)]
    pub(super) end: End,
}

fn in_milliseconds<S: serde::Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(milliseconds(*duration))
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How long ago something was; not at all, where the clock was put back since.
pub(super) fn age(since: Timestamp, now: Timestamp) -> Duration {
    let age = now.as_microseconds().saturating_sub(since.as_microseconds());
    Duration::from_micros(u64::try_from(age).unwrap_or(0))
}

/// How a run ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// It did not: this many steps of it completed and failed.
    Open(Counts),
    /// By itself.
    Own,
    /// By the prune that appended this `run_pruned`, and that a crash kept from going on.
    Pruned(EventId),
}

/// What the last record of a run says of its age.
struct Last {
    reason: PruneReason,
    since: Timestamp,
    pruned_by: Option<EventId>,
}

impl Last {
    fn of(
        ctx: &RunContext,
        record: Option<Record>,
        pruned: Option<EventId>,
    ) -> Result<Self, Trouble> {
        let abandoned = |since, pruned_by| {
            let reason = PruneReason::Abandoned;
            Ok(Self { reason, since, pruned_by })
        };
        let Some(record) = record else {
            let run = genesis::read::<RunGenesis>(&Dir::open(&ctx.run_path())?)?.value;
            return abandoned(run.created_at, None);
        };
        let since = record.occurred_at();
        let pruned_by = pruned.filter(|_| record.causation_event_id() == pruned);
        if record.event_type() != types::EXECUTION_COMPLETE || pruned_by.is_some() {
            return abandoned(since, pruned_by);
        }
        let reason = match record.payload::<Completed>()?.status {
            Outcome::Success => PruneReason::Success,
            Outcome::Failed => PruneReason::Failed,
        };
        Ok(Self { reason, since, pruned_by })
    }
}

/// What came of a look at a run.
pub(super) enum Looked {
    /// It is not old enough.
    Young,
    Kept(Keep),
    Prunable(Box<PrunableRun>),
}

/// Looks at a run without a lock: from its last record first, for most runs are not old enough.
pub(super) fn look(
    task: &Task,
    run: &RunId,
    policy: &PrunePolicy,
    now: Timestamp,
    pruned: Option<EventId>,
    keeps: impl FnOnce(bool) -> Option<Keep>,
) -> Result<Looked, Trouble> {
    let ctx = task.context(run);
    let last = ctx.events()?.last(1)?.next().transpose()?;
    let last = Last::of(&ctx, last, pruned)?;
    let age = age(last.since, now);
    if age < policy.age_for(last.reason) && last.pruned_by.is_none() {
        return Ok(Looked::Young);
    }
    let dir = Dir::open(&ctx.run_path())?;
    let is_open = last.reason == PruneReason::Abandoned && last.pruned_by.is_none();
    if let Some(keep) = keeps(is_open) {
        return Ok(Looked::Kept(keep));
    }
    if let Some(holder) = running(&dir)? {
        return Ok(Looked::Kept(Keep::Running { holder }));
    }
    let (page, counts) = match read_whole(&ctx, &dir)? {
        Ok(read) => read,
        Err(reason) => return Ok(Looked::Kept(Keep::Damaged { reason })),
    };
    let files = Dir::open(&task.path())?.files_below(&format!("{}/{run}", layout::RUNS))?;
    Ok(Looked::Prunable(Box::new(PrunableRun {
        task: task.id().clone(),
        run: run.clone(),
        reason: last.reason,
        status: page.status,
        since: last.since,
        age,
        bytes: files.iter().map(|(_, size)| size).sum(),
        artifacts_root: page.artifacts_root,
        journal: page.cursor(),
        end: match last.pruned_by {
            Some(event) => End::Pruned(event),
            None if is_open => End::Open(counts),
            None => End::Own,
        },
    })))
}

/// The page of a run that is whole, as far as can be told without reading its artifacts, and how many steps
/// ended; or what is wrong.
fn read_whole(ctx: &RunContext, dir: &Dir) -> Result<Result<(Manifest, Counts), String>, Trouble> {
    let run = genesis::read::<RunGenesis>(dir)?;
    let (mut draft, mut events) = (Draft::default(), ctx.events()?);
    let mut counts = Counts { steps_completed: 0, steps_failed: 0 };
    for record in events.by_ref() {
        let record = record?;
        draft.apply(&record);
        counts.steps_completed += u64::from(record.event_type() == types::STEP_COMPLETED);
        counts.steps_failed += u64::from(record.event_type() == types::STEP_FAILED);
    }
    let wrong = events.findings().iter().find(|found| found.code.severity() == Severity::Error);
    if let Some(wrong) = wrong {
        return Ok(Err(format!("{}: {}", wrong.code, wrong.reason)));
    }
    let page = draft.finish((ctx.task_id(), ctx.run_id()), &run)?;
    // What a crash left to be put in place is, once the journal is locked.
    let waits = names(dir)?.iter().any(|name| name.parse::<EventId>().is_ok());
    for artifact in page.artifacts.iter().filter(|_| !waits) {
        let entry = dir.stat(&layout::artifact(artifact.path.as_str()))?;
        let size = entry.filter(|entry| entry.kind == Kind::File).map(|entry| entry.size);
        if size != Some(artifact.size) {
            return Ok(Err(format!("the artifact {} is not as its record says", artifact.path)));
        }
    }
    Ok(Ok((page, counts)))
}

/// The names in `.tmp/`.
fn names(home: &Dir) -> Result<Vec<String>, Trouble> {
    match home.list(layout::TMP) {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        other => Ok(other?.into_iter().map(|(name, _)| name).collect()),
    }
}
