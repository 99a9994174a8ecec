//! What is asked of a verify, and how it goes over a workspace.

use std::collections::BTreeMap;

use super::last::LastVerify;
use super::survey::Survey;
use super::{ReadData, Verified, VerifyError, VerifyProgress};
use crate::id::{RunId, TaskId};
use crate::io::Dir;
use crate::manifest::{Manifest, Witness};
use crate::workspace::{Scope, Subject};

/// Holds everything against everything: records against their chain, files against the journal, journals
/// against each other and against what others know of them.
///
/// It is a function of what is on the disk, and only reads: nothing is changed, no link is followed, no pipe
/// is opened, and no lock is taken that keeps readers out. Others may write meanwhile: what differs is looked
/// at again with nothing in flight before it is told, so what they do is no finding. A run that is removed
/// meanwhile is none either.
///
/// As many journals and files are read at once as there are processors, and of none more than a piece is in
/// memory. What grows is: with the records of a journal that is being read, about 16 bytes each, and up to 8 more
/// where they say what caused them; with the streams, steps, artifacts, objects and checkpoints that it names,
/// some hundred bytes each; and over all of them, with the findings, and with the records that were caused by
/// records of other journals. A journal of a million records, each caused by the one before, takes 20 MB.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
/// use runjournal::{ArtifactName, Code, ReadData, TaskOptions, Verify, Workspace};
///
/// let workspace = Workspace::create(&root)?;
/// let ctx = workspace.create_task("TASK-1", TaskOptions::default())?.start_run()?;
/// let plan = ArtifactName::new("plan.md")?;
/// ctx.artifacts().write_bytes(&plan, b"fetch, then build")?;
/// assert!(Verify::of(&workspace).run()?.is_clean());
///
/// std::fs::write(ctx.artifact_path(&plan), b"fetch, then break")?;
/// // As long as it was, so that only its content tells.
/// assert!(Verify::of(&workspace).run()?.is_clean());
/// let verified = Verify::of(&workspace).read_data(ReadData::All).run()?;
/// assert_eq!(verified.findings[0].code, Code::ArtifactChanged);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is looked at until it is run"]
pub struct Verify {
    subject: Subject,
    read_data: ReadData,
    witnesses: BTreeMap<(TaskId, Option<RunId>), Vec<Witness>>,
    #[cfg(feature = "sqlite")]
    index: Option<crate::index::Index>,
}

impl Verify {
    /// Of a workspace, a task with its runs, or a run alone, of which it is not asked whether its task knows it.
    pub fn of(subject: impl Into<Subject>) -> Self {
        Self {
            subject: subject.into(),
            read_data: ReadData::default(),
            witnesses: BTreeMap::new(),
            #[cfg(feature = "sqlite")]
            index: None,
        }
    }

    /// Of which artifacts and objects the content is read; of none unless said otherwise.
    pub fn read_data(mut self, read_data: ReadData) -> Self {
        self.read_data = read_data;
        self
    }

    /// Holds the run that a page names against it as well: a copy of a manifest that was kept elsewhere tells
    /// of records that were lost from a journal's end, of files that were changed together with their
    /// records, and of a run that is gone though its task's journal does not say that it was pruned.
    /// [`Snapshot::witness`](crate::Snapshot::witness) does it with a backup. Of a run that is not looked at it is
    /// refused.
    pub fn witness(self, page: &Manifest) -> Self {
        self.witnessed(page.task_id.clone(), Some(page.run_id.clone()), page.into())
    }

    /// Which part of the workspace is looked at.
    pub(crate) fn scope(&self) -> &Scope {
        self.subject.scope()
    }

    /// The same with what somebody else knows of a task or a run.
    pub(crate) fn witnessed(mut self, task: TaskId, run: Option<RunId>, known: Witness) -> Self {
        self.witnesses.entry((task, run)).or_default().push(known);
        self
    }

    /// Compares an index with the tree as well, if it was built; one that is behind is brought up to the tree
    /// first. It costs as much as to build it, and three times that where they differ.
    #[cfg(feature = "sqlite")]
    pub fn index(mut self, index: crate::index::Index) -> Self {
        self.index = Some(index);
        self
    }

    /// Looks.
    ///
    /// # Errors
    /// [`VerifyError`] where it could not look at all. What is there and cannot be read is a finding.
    pub fn run(self) -> Result<Verified, VerifyError> {
        self.run_with(&mut |_| {})
    }

    /// The same, and tells how far it is about ten times a second.
    ///
    /// # Errors
    /// As [`run`](Verify::run).
    pub fn run_with(
        self,
        progress: &mut dyn FnMut(&VerifyProgress),
    ) -> Result<Verified, VerifyError> {
        self.read_data.check()?;
        let (scope, runtime) = (self.subject.scope(), self.subject.runtime());
        let outside =
            self.witnesses.iter().find(|((task, run), _)| !scope.covers(task, run.as_ref()));
        if let Some(((task, run), known)) = outside {
            let by = known.first().map(|known| known.by.clone()).unwrap_or_default();
            let of = Scope { task: Some(task.clone()), run: run.clone() }.to_string();
            return Err(VerifyError::WitnessOutside { by, of, scope: scope.to_string() });
        }
        let root = Dir::open_root(self.subject.root()).map_err(|error| self.not_there(error))?;
        let mut seed = [0; 16];
        if let ReadData::Percent(_) = self.read_data {
            let id = runtime.ids.next_id(runtime.clock.now());
            seed.copy_from_slice(id.as_bytes());
        }
        let survey =
            Survey::new(self.subject.root(), runtime, self.read_data, seed, &self.witnesses);
        let mut verified = match (&scope.task, &scope.run) {
            (None, _) => survey.workspace(&root, progress)?,
            (Some(task), None) => survey.task(task, progress)?,
            (Some(task), Some(run)) => survey.run(task, run, progress)?,
        };
        #[cfg(feature = "sqlite")]
        verified.findings.extend(self.index.iter().flat_map(super::index::look));
        verified.sort();
        if scope.task.is_none() {
            let now = runtime.clock.now();
            let unique = runtime.ids.next_id(now);
            // It is derived, and the tree may be read-only.
            let _ = LastVerify::new(now, self.read_data, &verified).leave(&root, unique);
        }
        Ok(verified)
    }

    fn not_there(&self, error: crate::error::IoError) -> VerifyError {
        if error.is_not_found() {
            return VerifyError::NotThere { path: self.subject.root().to_owned() };
        }
        error.into()
    }
}
