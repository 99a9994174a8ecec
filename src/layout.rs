//! Every file name on disk, and nothing else.

mod home_id;

use camino::{Utf8Path, Utf8PathBuf};
use uuid::Uuid;

pub(crate) use home_id::HomeId;

use crate::digest::Digest;
use crate::id::{EventId, RunId, TaskId};
use crate::name::ArtifactName;

/// The version of the format that this code writes.
pub(crate) const FORMAT_VERSION: u32 = 1;

pub(crate) const WORKSPACE: &str = "workspace.json";
pub(crate) const TASK: &str = "task.json";
pub(crate) const RUN: &str = "run.json";
pub(crate) const MANIFEST: &str = "manifest.json";
/// The manifest on its way into its place; whoever holds the journal's lock may write it.
pub(crate) const NEW_MANIFEST: &str = ".manifest.json.new";
pub(crate) const RUNS: &str = "runs";
pub(crate) const ARTIFACTS: &str = "artifacts";
pub(crate) const JOURNAL_DIR: &str = "journal";
pub(crate) const JOURNAL: &str = "journal/events.jsonl";
pub(crate) const LOCK: &str = "journal/.lock";
pub(crate) const SYNC_OF_HOME: &str = "journal/.sync";
pub(crate) const HEAD_OF_HOME: &str = "journal/.head";

/// Within `journal/`.
pub(crate) const EVENTS: &str = "events.jsonl";
pub(crate) const LOCK_OF_EVENTS: &str = ".lock";
pub(crate) const SYNC: &str = ".sync";
pub(crate) const HEAD: &str = ".head";
/// In a task's.
pub(crate) const LEASE: &str = ".lease";
/// Locked by whoever runs a flow in a run of the task.
pub(crate) const FLOW: &str = ".flow";
#[cfg(feature = "sqlite")]
pub(crate) const INDEX: &str = ".index";
pub(crate) const TMP: &str = ".tmp";
pub(crate) const OBJECTS: &str = "objects";
pub(crate) const CHECKPOINTS: &str = "checkpoints";
/// A checkpoint on its way into its place; whoever holds the journal's lock may write it.
pub(crate) const NEW_CHECKPOINT: &str = ".tmp/checkpoint.new";
/// What a repair set aside, in a run, in a task or in the root.
pub(crate) const QUARANTINE: &str = ".quarantine";
/// Runs on their way out, in the root.
pub(crate) const TRASH: &str = ".trash";
/// Directories that a restore has not put in place yet, in the root.
pub(crate) const RESTORING: &str = ".restoring";
/// What the last verify of the whole workspace found, in the root; derived.
pub(crate) const LAST_VERIFY: &str = ".last-verify.json";

/// In a backup.
pub(crate) const BACKUP: &str = "backup.json";
pub(crate) const SNAPSHOTS: &str = "snapshots";
/// In a backup, shared by who reads it or adds to it; in the place of a restore, held by the one who restores.
pub(crate) const LOCK_OF_WHOLE: &str = ".lock";

pub(crate) fn task_dir(root: &Utf8Path, task: &TaskId) -> Utf8PathBuf {
    root.join(task.as_str())
}

pub(crate) fn run_dir(root: &Utf8Path, task: &TaskId, run: &RunId) -> Utf8PathBuf {
    // Lists make many: one allocation, with room for its journal's path.
    let parts = [root.as_str(), task.as_str(), RUNS, run.as_str()];
    let room = parts.iter().map(|part| part.len() + 1).sum::<usize>() + JOURNAL.len();
    let mut path = Utf8PathBuf::with_capacity(room);
    path.extend(parts);
    path
}

/// Staged content of the artifact record with this id, relative to the run.
pub(crate) fn stage(event: EventId) -> String {
    format!("{TMP}/{}", stage_name(event))
}

/// The same within the directory of stages.
pub(crate) fn stage_name(event: EventId) -> String {
    event.to_string()
}

/// An object on its way into its place.
pub(crate) fn new_object(id: EventId) -> String {
    format!("{TMP}/{id}.object")
}

/// The directory of the object with this digest.
pub(crate) fn object_dir(digest: Digest) -> String {
    format!("{OBJECTS}/{:.2}", digest.to_hex())
}

/// The object with this digest, relative to the run or the task.
pub(crate) fn object(digest: Digest) -> String {
    let hex = digest.to_hex();
    format!("{OBJECTS}/{hex:.2}/{}", hex.get(2..).unwrap_or_default())
}

/// The digest that the path of an object, relative to the run or the task, says.
pub(crate) fn object_of(path: &str) -> Option<Digest> {
    let (two, rest) = path.strip_prefix(OBJECTS)?.strip_prefix('/')?.split_once('/')?;
    let digest = Digest::from_hex(format!("{two}{rest}").as_bytes().try_into().ok()?)?;
    (object(digest) == path).then_some(digest)
}

/// The checkpoint of a turn, relative to the run.
pub(crate) fn checkpoint(turn: u64) -> String {
    format!("{CHECKPOINTS}/{turn}.json")
}

/// The turn whose checkpoint this path, relative to the run, is of.
pub(crate) fn turn_of(path: &str) -> Option<u64> {
    path.strip_prefix(CHECKPOINTS)?.strip_prefix('/')?.strip_suffix(".json")?.parse().ok()
}

/// A table of the head, within `journal/`.
pub(crate) fn head_table(id: Uuid) -> String {
    format!("{HEAD}.{id}")
}

/// The liveness file of the attempt that this `step_started` began.
pub(crate) fn liveness(started: EventId) -> String {
    format!("{TMP}/{started}.live")
}

/// The work folder of this attempt of a step.
pub(crate) fn work(started: EventId) -> String {
    format!("{TMP}/{started}.work")
}

/// An artifact's path, relative to the run.
pub(crate) fn artifact(name: &str) -> String {
    format!("{ARTIFACTS}/{name}")
}

/// The artifact that a path, relative to the run, is of.
pub(crate) fn artifact_of(path: &str) -> Option<ArtifactName> {
    ArtifactName::new(path.strip_prefix(ARTIFACTS)?.strip_prefix('/')?).ok()
}

/// The record whose staged content a path, relative to the run, is.
pub(crate) fn stage_of(path: &str) -> Option<EventId> {
    path.strip_prefix(TMP)?.strip_prefix('/')?.parse().ok()
}

/// A snapshot, within `snapshots/`.
pub(crate) fn snapshot(id: Uuid) -> String {
    format!("{id}.json")
}

/// What keeps a snapshot, within `snapshots/`.
pub(crate) fn hold(id: Uuid) -> String {
    format!("{id}.hold")
}
