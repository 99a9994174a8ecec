//! What lies in a workspace and nobody names any more.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::PrunePolicy;
use super::keep::Trouble;
use super::named::Unnamed;
use crate::artifact::HomeLog;
use crate::clock::Timestamp;
use crate::finding::Severity;
use crate::id::{EventId, RunId, TaskId};
use crate::io::Dir;
use crate::journal::{Events, Home};
use crate::layout;

/// What a leftover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LeftoverKind {
    /// An object that no counted record and no checkpoint names.
    Object,
    /// An object that was never given its name.
    NewObject,
    /// Staged content that no record waits for.
    Stage,
    /// The liveness file of an attempt of a step that does not live.
    Liveness,
    /// The work folder of such an attempt.
    WorkFolder,
    /// What a crash left in `.trash/`.
    Trash,
}

/// Something that goes with a prune and that no run is the poorer for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Leftover {
    /// What it is.
    pub kind: LeftoverKind,
    /// The task that it lies in; `None` for trash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The run that it lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Where it is, relative to the workspace's root.
    pub path: Utf8PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
}

/// The same within its run or its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) kind: LeftoverKind,
    pub(super) path: String,
    pub(super) bytes: u64,
}

/// What nobody names in a run or a task, read without a lock; nothing, where the journal is not whole, for what
/// its damaged records named is not known.
pub(super) fn parts(
    home: &Home,
    policy: &PrunePolicy,
    now: Timestamp,
) -> Result<Vec<Part>, Trouble> {
    let dir = Dir::open(home.dir())?;
    let mut unnamed = Unnamed::list(&dir, policy.leftovers, now)?;
    if unnamed.asks_journal() {
        let mut events = Events::open(home)?;
        for record in events.by_ref() {
            unnamed.apply(&record?)?;
        }
        if events.findings().iter().any(|finding| finding.code.severity() > Severity::Note) {
            return Ok(Vec::new());
        }
    }
    Ok(unnamed.settle(&dir))
}

/// Removes what was planned of a run or a task, if it is still so under the lock of the journal.
pub(super) fn remove_parts(
    home: &Home,
    planned: &[&Leftover],
    policy: &PrunePolicy,
    now: Timestamp,
) -> Result<Vec<Part>, Trouble> {
    let mut log = HomeLog::open(home)?;
    let mut locked = log.lock()?;
    locked.check_not_damaged()?;
    let mut unnamed = Unnamed::list(locked.dir(), policy.leftovers, now)?;
    if unnamed.asks_journal() {
        locked.replay(None, &mut |record| unnamed.apply(record))?;
    }
    let mut parts = unnamed.settle(locked.dir());
    parts.retain(|part| planned.iter().any(|planned| planned.path.ends_with(&part.path)));
    for part in &parts {
        locked.dir().remove_tree(&part.path)?;
    }
    Ok(parts)
}

/// What lies in `.trash/`.
pub(super) fn trash(root: &Dir) -> Result<Vec<Leftover>, Trouble> {
    let names = match root.list(layout::TRASH) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        other => other?,
    };
    let names = names.into_iter().filter(|(name, _)| name.parse::<EventId>().is_ok());
    names
        .map(|(name, _)| {
            let path = Utf8PathBuf::from(layout::TRASH).join(name);
            let bytes = root.files_below(path.as_str())?.iter().map(|(_, size)| size).sum();
            Ok(Leftover { kind: LeftoverKind::Trash, task: None, run: None, path, bytes })
        })
        .collect()
}
