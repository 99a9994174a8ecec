//! The page itself, and the two digests that name a run and its outputs.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::digest::Digest;
use crate::id::{RunId, StepName, TaskId};
use crate::journal::Cursor;
use crate::layout;
use crate::name::ArtifactName;
use crate::status::RunStatus;

/// One page that describes a whole run: `manifest.json`.
///
/// It is a function of `run.json` and the counted records of the run's journal alone (the ids are those of
/// the directory), so it can be deleted and made again at any moment. [`Run::complete`](crate::Run::complete)
/// writes it; from then on it stays true, and a copy of it, kept anywhere, is a witness: a tail that the
/// journal lost since, or a file that was changed, shows when the two are [compared](Manifest::compare).
///
/// ```
/// # use runjournal::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
/// # let task = Workspace::open_or_create(&root)?.open_or_create_task("T", TaskOptions::default())?;
/// # let (ctx, other) = (task.open_or_start_run("A")?, task.open_or_start_run("B")?);
/// const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json");
/// for run in [&ctx, &other] {
///     run.artifacts().write(PLAN, &vec!["fetch".into()])?;
/// }
/// let manifest = ctx.manifest()?;
/// // Equal outputs, equal root, whatever else happened.
/// assert_eq!(manifest.artifacts_root, other.manifest()?.artifacts_root);
/// assert_ne!(manifest.root, other.manifest()?.root);
///
/// manifest.write(&ctx)?;
/// assert_eq!(Manifest::read(&ctx)?, Some(manifest.clone()));
/// assert_eq!(manifest.compare(&ctx)?, []);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// The version of the format that the run was made with.
    pub format_version: u32,
    /// The task in whose directory the run lies.
    pub task_id: TaskId,
    /// The run, as its directory is called.
    pub run_id: RunId,
    /// Its status behind the last record.
    pub status: RunStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// How far the journal reaches.
    pub journal: ManifestJournal,
    /// What the journal's last word says of each path, sorted by path; what was removed is left out.
    pub artifacts: Vec<ManifestArtifact>,
    /// Names the outputs: the BLAKE3 of the lines that `b3sum` prints for the artifacts, sorted by path.
    /// Equal outputs, equal root.
    pub artifacts_root: Digest,
    /// Names the whole run, wherever it lies: the BLAKE3 of such lines for `run.json`, for
    /// `journal/events.jsonl` (with the hash of the last record) and for `artifacts` (with the root above).
    pub root: Digest,
}

/// How far a run's journal reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ManifestJournal {
    /// How many records count.
    pub records: u64,
    /// Bytes of the journal up to the end of the last one.
    pub bytes: u64,
    /// Its seq; 0 where there is none.
    pub last_seq: u64,
    /// Its hash, which vouches for all before it; where there is none, the digest of `run.json`.
    pub hash: Digest,
}

/// What the journal's last word says of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ManifestArtifact {
    /// Its path below `artifacts/`.
    pub path: ArtifactName,
    /// The digest of its content.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// What it is, as its record says.
    pub media_type: String,
    /// The version of the file: 0 for its first record.
    pub version: u64,
    /// The record that says so.
    pub seq: u64,
    /// The step that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
}

impl Manifest {
    /// The place behind the last record that it knows: [`Events::from`](crate::Events::from) goes on there,
    /// and refuses where the journal does not reach it.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        let ManifestJournal { bytes, last_seq, hash, .. } = self.journal;
        Cursor { offset: bytes, seq: last_seq, hash }
    }

    /// True if it names the run that stands where the context says.
    pub(super) fn is_of(&self, ctx: &RunContext) -> bool {
        self.task_id == *ctx.task_id() && self.run_id == *ctx.run_id()
    }
}

/// The digest of what `b3sum` prints for artifacts, which are given sorted by path: it names them all.
pub(crate) fn artifacts_root<'a>(
    artifacts: impl Iterator<Item = (&'a ArtifactName, Digest)>,
) -> Digest {
    sums(artifacts.map(|(name, digest)| (digest, name.as_str())))
}

/// The digest of the whole run.
pub(crate) fn root(genesis: Digest, last_hash: Digest, artifacts_root: Digest) -> Digest {
    let parts =
        [(genesis, layout::RUN), (last_hash, layout::JOURNAL), (artifacts_root, layout::ARTIFACTS)];
    sums(parts.into_iter())
}

/// The digest of lines as `b3sum` prints them.
pub(crate) fn sums<'a>(lines: impl Iterator<Item = (Digest, &'a str)>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for (digest, path) in lines {
        hasher.update(format!("{}  {path}\n", digest.to_hex()).as_bytes());
    }
    Digest::from_hasher(&hasher)
}
