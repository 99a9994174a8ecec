//! What the body of a step is handed.

use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::Cancel;
use super::attempt::Attempt;
use super::ending::Ending;
use super::history::Input;
use crate::artifact::{
    Artifact, ArtifactError, ArtifactReader, HomeWriter, StagedWriter, Transaction, to_json,
};
use crate::context::RunContext;
use crate::digest::Digest;
use crate::error::IoError;
use crate::id::StepName;
use crate::io::{Dir, ReadFile};
use crate::journal::{Appended, Event, JournalError};
use crate::name::ArtifactName;

/// What the body of a step is handed: it reads artifacts, which are recorded as its inputs, and
/// stages writes, removals and events, which are committed together with `step_completed`, whole or
/// not at all. It can be shared by the threads of the body.
#[derive(Debug)]
pub struct StepContext {
    context: RunContext,
    attempt: Attempt,
    writer: Arc<HomeWriter>,
    work: Mutex<Work>,
    cancel: Cancel,
}

#[derive(Debug)]
struct Work {
    transaction: Transaction,
    inputs: Vec<Input>,
}

impl StepContext {
    pub(super) fn new(context: &RunContext, attempt: Attempt, cancel: Cancel) -> Self {
        let context = context.clone().with_step(attempt.step_ref());
        let writer = context.writer();
        let transaction = Transaction::new(Arc::clone(&writer));
        let inputs = attempt.payload.inputs.clone();
        let work = Mutex::new(Work { transaction, inputs });
        Self { context, attempt, writer, work, cancel }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        // A thread of the body that panicked fails the step; until then its work is as it left it.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The step's name.
    #[must_use]
    pub fn name(&self) -> &StepName {
        &self.attempt.step
    }

    /// The attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.attempt.number()
    }

    /// The turn of the loop, from 1; 1 where nobody counts.
    #[must_use]
    pub fn turn(&self) -> u64 {
        self.attempt.payload.turn
    }

    /// What this turn is for.
    ///
    /// # Errors
    /// Where it does not have that shape; a turn without one reads as `null`.
    pub fn item<T: DeserializeOwned>(&self) -> Result<T, ArtifactError> {
        self.given("item", self.attempt.item.as_deref())
    }

    /// True once somebody wants the body to end ([`Step::cancelled_by`](super::Step::cancelled_by)): it may ask
    /// now and then, and return an error if so.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The run's context, inside this attempt: its [`env`](RunContext::env) makes a child process
    /// part of the step. What is written through it is committed at once, not with the step.
    #[must_use]
    pub fn context(&self) -> &RunContext {
        &self.context
    }

    /// The configuration as it was rendered when the step started.
    ///
    /// # Errors
    /// Where it does not have that shape; a step without one reads as `null`.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, ArtifactError> {
        self.given("configuration", self.attempt.payload.config.as_deref())
    }

    fn given<T: DeserializeOwned>(
        &self,
        what: &'static str,
        json: Option<&RawValue>,
    ) -> Result<T, ArtifactError> {
        let step = || self.name().clone();
        serde_json::from_str(json.map_or("null", RawValue::get))
            .map_err(|source| ArtifactError::Given { step: step(), what, source })
    }

    /// Reads JSON, and records it as an input. What the step staged itself is read back as staged.
    ///
    /// # Errors
    /// Where the artifact is not there or does not read as a `T`; in a step that declared its inputs,
    /// also where it is not one of them, or changed since the step started.
    pub fn read<T: DeserializeOwned>(&self, artifact: Artifact<T>) -> Result<T, ArtifactError> {
        let name = ArtifactName::from(artifact);
        let bytes = self.read_bytes(&name)?;
        serde_json::from_slice(&bytes).map_err(|source| {
            let path = self.context.artifact_path(&name);
            ArtifactError::Json { path, source }
        })
    }

    /// Reads bytes, and records them as an input.
    ///
    /// # Errors
    /// As [`read`](StepContext::read).
    pub fn read_bytes(&self, name: impl Into<ArtifactName>) -> Result<Vec<u8>, ArtifactError> {
        let name = name.into();
        let mut file = self.opened(&name)?;
        let bytes = file.read_all()?;
        if file.known().is_none() {
            self.record_input(name, Some(Digest::of(&bytes)))?;
        }
        Ok(bytes)
    }

    /// Opens an artifact to read it piece by piece, and records it as an input with the digest of what
    /// was opened: for that the file is read once from its beginning to its end, in flat memory.
    ///
    /// # Errors
    /// As [`read`](StepContext::read).
    pub fn open(&self, name: impl Into<ArtifactName>) -> Result<ArtifactReader, ArtifactError> {
        let name = name.into();
        let mut file = self.opened(&name)?;
        if file.known().is_none() {
            let digest = file.learn()?;
            self.record_input(name, Some(digest))?;
        }
        Ok(file)
    }

    /// Opens what the step staged itself, whose digest is known, or an artifact that it may read.
    fn opened(&self, name: &ArtifactName) -> Result<ArtifactReader, ArtifactError> {
        let work = self.work();
        let declared = &self.attempt.payload.inputs;
        let pinned = declared.iter().any(|input| input.path == *name);
        let staged = work.transaction.staged(name).is_some();
        if !staged && !pinned && !declared.is_empty() {
            return Err(ArtifactError::Undeclared {
                name: name.clone(),
                step: self.name().clone(),
            });
        }
        let opened = work.transaction.open(name);
        drop(work);
        if !staged && matches!(opened, Err(ArtifactError::NotFound { .. })) {
            // What the body does without it, it would not do with it.
            self.record_input(name.clone(), None)?;
        }
        opened
    }

    /// Records that content with this digest was read, or that nothing was there; it must be what was declared.
    fn record_input(&self, name: ArtifactName, found: Option<Digest>) -> Result<(), ArtifactError> {
        let mut declared = self.attempt.payload.inputs.iter();
        match (declared.find(|input| input.path == name).map(|input| input.digest), found) {
            (Some(Some(expected)), Some(found)) if expected != found => {
                let path = self.context.artifact_path(&name);
                return Err(ArtifactError::Changed { path, expected, found });
            }
            (Some(_), _) => return Ok(()),
            (None, _) => {}
        }
        let input = Input { path: name, digest: found, version: None };
        let mut work = self.work();
        if !work.inputs.contains(&input) {
            work.inputs.push(input);
        }
        Ok(())
    }

    /// Stages a value as canonical JSON.
    ///
    /// # Errors
    /// As [`Transaction::write`].
    pub fn write<T: Serialize>(
        &self,
        artifact: Artifact<T>,
        value: &T,
    ) -> Result<(), ArtifactError> {
        // The value is the caller's code: it must not run while the work is locked.
        let name = ArtifactName::from(artifact);
        let json = to_json(&name, value)?;
        self.work().transaction.write_bytes(name, json.as_bytes())
    }

    /// Stages bytes as they are.
    ///
    /// # Errors
    /// As [`Transaction::write_bytes`].
    pub fn write_bytes(
        &self,
        name: impl Into<ArtifactName>,
        bytes: &[u8],
    ) -> Result<(), ArtifactError> {
        self.work().transaction.write_bytes(name, bytes)
    }

    /// A writer for content of any size, in flat memory, which is staged once it is finished.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn create(&self, name: impl Into<ArtifactName>) -> Result<StagedWriter<'_>, ArtifactError> {
        // The work is free while the body makes the content.
        let add = |name, content, expect| self.work().transaction.add(name, content, expect);
        StagedWriter::create(&self.writer, name.into(), add)
    }

    /// Stages all that a reader holds, in flat memory.
    ///
    /// # Errors
    /// As [`Transaction::write_from`].
    pub fn write_from(
        &self,
        name: impl Into<ArtifactName>,
        content: impl Read,
    ) -> Result<(), ArtifactError> {
        let mut file = self.create(name)?;
        file.write_from(content)?;
        file.finish()
    }

    /// Stages the content of a file, as [`Artifacts::import`](crate::Artifacts::import) does.
    ///
    /// # Errors
    /// As [`Transaction::import`].
    pub fn import(
        &self,
        name: impl Into<ArtifactName>,
        source: impl AsRef<Utf8Path>,
    ) -> Result<(), ArtifactError> {
        let mut file = self.create(name)?;
        file.import(source)?;
        file.finish()
    }

    /// Stages the content of a file that is open, from its beginning where nothing was read of it, and no more
    /// than its first `most` bytes: somebody may still write to it. It ends with an error once the attempt is
    /// cancelled.
    pub(crate) fn import_open(
        &self,
        name: &ArtifactName,
        mut source: ReadFile,
        most: u64,
    ) -> Result<(), ArtifactError> {
        let mut file = self.create(name)?;
        file.import_part(&mut source, most, &|| self.is_cancelled())?;
        file.finish()
    }

    /// Stages a removal.
    ///
    /// # Errors
    /// As [`Transaction::remove`].
    pub fn remove(&self, name: impl Into<ArtifactName>) -> Result<(), ArtifactError> {
        self.work().transaction.remove(name)
    }

    /// Stages an event.
    ///
    /// # Errors
    /// Where the event is not a user's to append.
    pub fn append(&self, event: Event) -> Result<(), JournalError> {
        event.check()?;
        event.check_user()?;
        if event.key.is_some() {
            let reason = "what is staged is committed once with the step, under the step's own key; append \
                          an event with a key by append_now";
            return Err(event.bad(reason));
        }
        self.work().transaction.append(event);
        Ok(())
    }

    /// Appends an event at once: it stands whether or not the step completes. Refused once a newer
    /// attempt took over.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn append_now(&self, event: Event) -> Result<Appended, JournalError> {
        self.context.append(event)
    }

    /// A directory for this attempt alone, made when first asked for and removed when the step ends.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn work_dir(&self) -> Result<Utf8PathBuf, IoError> {
        Ok(self.attempt.work_dir()?.path().to_owned())
    }

    /// The same, held open.
    pub(crate) fn open_work_dir(&self) -> Result<Dir, IoError> {
        self.attempt.work_dir()
    }

    /// Takes the context apart once the body returned.
    pub(super) fn finish(self) -> (Attempt, Ending) {
        let Work { transaction, inputs } =
            self.work.into_inner().unwrap_or_else(PoisonError::into_inner);
        (self.attempt, Ending::new(self.context, transaction, inputs))
    }
}
