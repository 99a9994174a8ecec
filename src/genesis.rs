//! Genesis files: `workspace.json`, `task.json`, `run.json`, written once and never changed.

use std::marker::PhantomData;

use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::IoError;
use crate::id::{RunId, TaskId};
use crate::io::{Dir, ReadFile};
use crate::layout::{self, FORMAT_VERSION};
use crate::line;
use crate::planted::Bug;

/// A genesis file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The file is there, and is not what was written.
    #[error("{path} is damaged: {reason}, and it is never rewritten; {}", way_back(.path))]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file was written by newer code; it can be read, but nothing may be written beside it.
    #[error(
        "{path} has format version {found}, and this runjournal writes version {supported}: it is open \
         for reading only; use a newer runjournal to write"
    )]
    NewerFormat {
        /// The file that says so.
        path: Utf8PathBuf,
        /// The version that the file has.
        found: u32,
        /// The newest version that this code writes.
        supported: u32,
    },
    /// The file would be too long. Nothing was written.
    #[error("{path} would be {length} bytes long, and at most {most} are read; shorten its texts")]
    TooLong {
        /// The file.
        path: Utf8PathBuf,
        /// How long it would be.
        length: u64,
        /// How long it may be.
        most: u64,
    },
}

/// How a damaged one is put back.
fn way_back(path: &Utf8Path) -> &'static str {
    match path.file_name() {
        Some(layout::TASK | layout::RUN) => "`runjournal repair --from BACKUP` puts it back",
        Some(layout::WORKSPACE) => {
            "copy it from a backup by hand, as docs/operations.md says under \"workspace.json\""
        }
        _ => "take it from another copy",
    }
}

/// No genesis file is longer: whoever reads one holds it in memory.
const MAX_BYTES: u64 = 1 << 20;

/// What `workspace.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkspaceGenesis {
    /// The version of the format that the workspace was made with.
    pub format_version: u32,
    /// Made once; tells this workspace from its copies' namesakes.
    pub workspace_id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What `task.json` says. Later changes are records of the task's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskGenesis {
    /// The task; equal to the name of its directory.
    pub task_id: TaskId,
    /// One line for people.
    pub title: String,
    /// What the task is to reach.
    pub objective: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The version of the format that the task was made with.
    pub schema_version: u32,
}

/// What `run.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunGenesis {
    /// The version of the format that the run was made with.
    pub format_version: u32,
    /// The task that the run belongs to.
    pub task_id: TaskId,
    /// The run; equal to the name of its directory.
    pub run_id: RunId,
    /// When it was made.
    pub created_at: Timestamp,
    /// 32 hex digits, as in a W3C `traceparent`; the correlation id of the run's events.
    pub trace_id: String,
    /// The run that started this one, as `TASK/RUN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

impl TaskGenesis {
    pub(crate) fn new(
        task_id: TaskId,
        title: String,
        objective: String,
        created_at: Timestamp,
    ) -> Self {
        Self { task_id, title, objective, created_at, schema_version: FORMAT_VERSION }
    }
}

/// Genesis files, for a fuzzer: what is read is written as a file that reads the same.
#[cfg(runjournal_proof)]
pub(crate) mod fuzzed {
    use super::{Genesis, RunGenesis, TaskGenesis, WorkspaceGenesis, seal};
    use crate::fuzzed::{page, sealed};

    /// The bytes of `workspace.json`, `task.json` or `run.json`.
    pub fn genesis(data: &[u8]) {
        let file = sealed(data);
        check::<WorkspaceGenesis>(&file);
        check::<TaskGenesis>(&file);
        check::<RunGenesis>(&file);
    }

    fn check<G: Genesis + PartialEq + std::fmt::Debug>(file: &[u8]) {
        let Some(value) = page::<G>(file) else { return };
        let sealed = seal("".into(), &value).map(|sealed| crate::line::read(&sealed.bytes));
        assert_eq!(sealed.ok(), Some(Ok(value)));
    }
}

/// A kind of genesis file.
pub(crate) trait Genesis: Serialize + DeserializeOwned {
    /// Its name within its directory.
    const FILE: &'static str;
    fn version(&self) -> u32;
    /// What joins events of this journal with those of others, unless an event says otherwise.
    fn correlation(&self) -> Option<&str> {
        None
    }
}

impl Genesis for WorkspaceGenesis {
    const FILE: &'static str = layout::WORKSPACE;
    fn version(&self) -> u32 {
        self.format_version
    }
}

impl Genesis for TaskGenesis {
    const FILE: &'static str = layout::TASK;
    fn version(&self) -> u32 {
        self.schema_version
    }
}

impl Genesis for RunGenesis {
    const FILE: &'static str = layout::RUN;
    fn version(&self) -> u32 {
        self.format_version
    }
    fn correlation(&self) -> Option<&str> {
        Some(&self.trace_id)
    }
}

/// A genesis file that was read and is whole.
#[derive(Debug, Clone)]
pub(crate) struct Read<G> {
    pub(crate) value: G,
    /// The digest of all its bytes: where the chain of its journal begins.
    pub(crate) digest: Digest,
}

impl<G: Genesis> Read<G> {
    /// Refuses if the file is newer than this code.
    pub(crate) fn writable(&self, dir: &Utf8Path) -> Result<(), GenesisError> {
        let found = self.value.version();
        if found <= FORMAT_VERSION || Bug::NewerWritten.is_planted() {
            return Ok(());
        }
        let path = dir.join(G::FILE);
        Err(GenesisError::NewerFormat { path, found, supported: FORMAT_VERSION })
    }
}

/// Reads and checks a genesis file.
pub(crate) fn read<G: Genesis>(dir: &Dir) -> Result<Read<G>, GenesisError> {
    checked(dir.read_page(G::FILE, MAX_BYTES)?, || dir.path().join(G::FILE))
}

/// That of the workspace with this root.
pub(crate) fn read_of_workspace(root: &Utf8Path) -> Result<Read<WorkspaceGenesis>, GenesisError> {
    let page = Dir::read_page_in_root(root, layout::WORKSPACE, MAX_BYTES)?;
    checked(page, || root.join(layout::WORKSPACE))
}

/// The same wherever the file is.
pub(crate) fn read_from<G: Genesis>(file: &mut ReadFile) -> Result<Read<G>, GenesisError> {
    checked(file.read_little(MAX_BYTES)?, || file.path().to_owned())
}

fn checked<G: Genesis>(
    bytes: Option<Vec<u8>>,
    path: impl Fn() -> Utf8PathBuf,
) -> Result<Read<G>, GenesisError> {
    let damaged = |reason| GenesisError::Damaged { path: path(), reason };
    let bytes = bytes.ok_or_else(|| damaged("it is longer than any genesis file".to_owned()))?;
    let value = line::read(&bytes).map_err(damaged)?;
    Ok(Read { value, digest: Digest::of(&bytes) })
}

/// The bytes of a genesis file that will be in a directory, before there is anything of it.
pub(crate) fn seal<G: Genesis>(dir: &Utf8Path, value: &G) -> Result<Sealed<G>, GenesisError> {
    let path = || dir.join(G::FILE);
    let json = serde_json::to_string(value)
        .map_err(|error| GenesisError::Damaged { path: path(), reason: error.to_string() })?;
    let (bytes, _) = line::seal(&json, Digest::of);
    let length = bytes.len() as u64;
    if length > MAX_BYTES {
        return Err(GenesisError::TooLong { path: path(), length, most: MAX_BYTES });
    }
    Ok(Sealed { bytes, of: PhantomData })
}

/// A genesis file that is ready to be written.
#[derive(Debug)]
pub(crate) struct Sealed<G> {
    bytes: Vec<u8>,
    of: PhantomData<G>,
}

impl<G> Sealed<G> {
    /// Where the chain of its journal will begin.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// Writes a genesis file, durably and exclusively: exactly one of many callers wins; the others get
/// an I/O error of kind `AlreadyExists`. A crash leaves the file whole or absent.
pub(crate) fn create<G: Genesis>(
    dir: &Dir,
    sealed: &Sealed<G>,
    unique: Uuid,
) -> Result<(), GenesisError> {
    let temporary = format!(".{}.{unique}", G::FILE);
    let mut file = dir.create_new(&temporary)?;
    let linked = file.write(&sealed.bytes).and_then(|()| file.sync()).and_then(|()| {
        match Bug::GenesisReplaced.is_planted() {
            true => dir.rename(&temporary, dir, G::FILE),
            false => dir.link_new(&temporary, G::FILE),
        }
    });
    let removed = dir.remove_file(&temporary);
    linked?;
    removed?;
    Ok(dir.sync("")?)
}
