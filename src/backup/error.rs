//! What can go wrong with backups.

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{IoError, cut};
use crate::genesis::GenesisError;
use crate::journal::JournalError;
use crate::layout;
use crate::manifest::ManifestError;
use crate::workspace::WorkspaceError;

/// A backup cannot be made, read, put back or pruned. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A genesis file, or that of the backup, is damaged, or newer than this code.
    #[error(transparent)]
    Genesis(GenesisError),
    /// A journal cannot be read, or refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The workspace, or the task, cannot be opened.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The page of a run that was put back cannot be made.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// There is no backup.
    #[error(
        "there is no backup at {path}; make one with `runjournal backup create`, or choose another path"
    )]
    NotABackup {
        /// Where it was looked for.
        path: Utf8PathBuf,
    },
    /// A new backup was to be made among other things.
    #[error("{path} is no backup, and not empty; choose a directory that is empty or not there")]
    NotEmpty {
        /// The directory.
        path: Utf8PathBuf,
    },
    /// One of them would hold the other.
    #[error(
        "{backup} and {workspace} lie in one another; put the backup elsewhere, best on another disk"
    )]
    Inside {
        /// The backup.
        backup: Utf8PathBuf,
        /// The workspace.
        workspace: Utf8PathBuf,
    },
    /// The backup is being pruned, or others use what is to be pruned, or the place is being restored to.
    #[error("{path} is in use, and was for {waited:?}; wait until that is over")]
    Busy {
        /// The lock.
        path: Utf8PathBuf,
        /// How long it was waited for.
        waited: std::time::Duration,
    },
    /// Something in the backup is not what was written.
    #[error("{path} is damaged: {reason}; {}", way_out(.path))]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A hold cannot be read, and holds all the same.
    #[error(
        "{path} cannot be read: {reason}; `runjournal backup hold {dest} {snapshot} --reason REASON` places it anew, \
         `runjournal backup unhold {dest} {snapshot}` removes it"
    )]
    HoldDamaged {
        /// Its file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        reason: String,
        /// The backup.
        dest: Utf8PathBuf,
        /// The snapshot that is held.
        snapshot: String,
    },
    /// A prune goes no further: what a file of the backup names is not known.
    #[error(
        "nothing is pruned, for nobody knows what {path} names: {reason}; bring it back from another copy of the \
         backup, or move {of} out of `snapshots/`, and then what only that names goes"
    )]
    PruneStopped {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        reason: String,
        /// The file of `snapshots/` that needs it.
        of: Utf8PathBuf,
    },
    /// Somebody put another journal in its place while it was copied: a restore, or a person.
    #[error("{path} became another journal while it was copied; take the backup again")]
    Changed {
        /// The journal.
        path: Utf8PathBuf,
    },
    /// Newer code wrote it.
    #[error(
        "{path} has format version {found}, and this runjournal reads version {supported}; use a newer runjournal"
    )]
    NewerFormat {
        /// The file that says so.
        path: Utf8PathBuf,
        /// The version that it has.
        found: u32,
        /// The newest version that this code reads.
        supported: u32,
    },
    /// There is no such snapshot.
    #[error("there is no snapshot {} in {path}; `runjournal backup list` shows those there are", cut(.id))]
    NoSnapshot {
        /// The backup.
        path: Utf8PathBuf,
        /// What was asked for: an id, its beginning, or `of TASK-1`.
        id: String,
    },
    /// The text fits several snapshots.
    #[error(
        "{id:?} fits {} snapshots of {path}: {}; give more of the id, which `runjournal backup list` shows",
        candidates.len(), few(.candidates)
    )]
    AmbiguousSnapshot {
        /// The backup.
        path: Utf8PathBuf,
        /// The text.
        id: String,
        /// The ids that begin with it, as they are listed.
        candidates: Vec<String>,
    },
    /// The snapshot does not hold it.
    #[error(
        "snapshot {snapshot} does not hold {what}; leave `--snapshot` out, and one that does is chosen"
    )]
    NotInSnapshot {
        /// The snapshot.
        snapshot: String,
        /// The task, or `TASK/RUN`.
        what: String,
    },
    /// Something stands where something else was to be put. Nothing was put in place.
    #[error(
        "nothing was restored, because of {path}: {reason}; clear the way (move away what stands there, have a \
         lease released), or restore elsewhere: `--to ROOT`"
    )]
    Refused {
        /// What stands there.
        path: Utf8PathBuf,
        /// Why it is in the way.
        reason: String,
    },
    /// Something came to stand where something was to be put, since the restore was planned. It was left as it
    /// is; what was put in place before it stays.
    #[error(
        "{path} came to stand there since the restore was planned, and was left as it is; run the \
         same command again, and it tells whether that is what the snapshot has"
    )]
    CameBetween {
        /// What stands there.
        path: Utf8PathBuf,
    },
    /// A snapshot cannot be held with these words.
    #[error("the snapshot cannot be held: the reason {reason}")]
    BadHold {
        /// What is wrong with them.
        reason: &'static str,
    },
    /// A value cannot be written as JSON.
    #[error("cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// The first of many ids.
fn few(ids: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = ids.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = ids.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// What to do about a damaged file of a backup.
fn way_out(path: &Utf8Path) -> String {
    let is_part = |dir: &&Utf8Path| {
        matches!(dir.file_name(), Some(layout::SNAPSHOTS | layout::OBJECTS | layout::BACKUP))
    };
    let dest = path.ancestors().find(is_part).and_then(Utf8Path::parent);
    let dest = dest.unwrap_or(Utf8Path::new("DEST"));
    match path.file_name() {
        Some(layout::BACKUP) => format!(
            "`runjournal backup create OTHER` makes another one: copy OTHER/{} to {dest}",
            layout::BACKUP
        ),
        _ => format!(
            "`runjournal backup verify {dest} --read-data` tells of all that is, and what to do: use another \
             snapshot, or another copy of the backup"
        ),
    }
}

impl From<GenesisError> for BackupError {
    fn from(error: GenesisError) -> Self {
        match error {
            GenesisError::Io(error) => Self::Io(error),
            GenesisError::Damaged { path, reason } if path.file_name() == Some(layout::BACKUP) => {
                Self::Damaged { path, reason }
            }
            other => Self::Genesis(other),
        }
    }
}
