//! The context that a node is handed.

use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::JournalWriter;
use crate::artifact::{Artifacts, HomeWriter, Transaction};
use crate::clock::Clock;
use crate::finding::Finding;
use crate::id::{IdSource, RunId, TaskId};
use crate::journal::{
    Actor, Appended, Event, Events, Home, JournalError, LeaseRef, Runtime, StepRef,
};
use crate::layout;
use crate::name::ArtifactName;

/// Where a node stands: an immutable value that holds ids and paths, and nothing that is open.
///
/// It is `Clone + Send + Sync`, can be serialized, and crosses processes by
/// [`from_env`](RunContext::from_env) and [`env`](RunContext::env). State is on the disk: what two
/// nodes want to tell each other, one writes as an artifact and the other reads.
///
/// ```no_run
/// use runjournal::{Artifact, Event, RunContext};
///
/// const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json");
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ctx = RunContext::from_env()?;
/// ctx.artifacts().write(PLAN, &vec!["fetch".into(), "build".into()])?;
/// ctx.append(Event::new("planned").payload(&serde_json::json!({"steps": 2})))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunContext {
    root: Utf8PathBuf,
    task_id: TaskId,
    run_id: RunId,
    actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<StepRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    /// The clock, the source of ids and the patience with locks; the system's after a journey.
    #[serde(skip)]
    runtime: Runtime,
}

impl RunContext {
    pub(crate) fn new(
        root: &Utf8Path,
        task_id: &TaskId,
        run_id: &RunId,
        runtime: &Runtime,
    ) -> Self {
        Self {
            root: root.to_owned(),
            task_id: task_id.clone(),
            run_id: run_id.clone(),
            actor: Actor::default(),
            step: None,
            lease: None,
            traceparent: None,
            runtime: runtime.clone(),
        }
    }

    /// The same context for another actor: who its events say did it.
    #[must_use]
    pub fn with_actor(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// The same context, inside an attempt of a step: what it writes names the step as its cause,
    /// and is refused once a newer attempt took over.
    #[must_use]
    pub fn with_step(mut self, step: StepRef) -> Self {
        self.step = Some(step);
        self
    }

    /// The same context, in the name of a lease on its task: what it writes is refused once a newer
    /// claim took over. What [`Lease::task`](crate::Lease::task) hands out has it already.
    #[must_use]
    pub fn with_lease(mut self, lease: LeaseRef) -> Self {
        self.lease = Some(lease);
        self
    }

    /// The same context with a W3C `traceparent` that its events carry in their metadata.
    #[must_use]
    pub fn with_traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self
    }

    /// The same context with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.runtime.clock = clock;
        self
    }

    /// The same context with another source of ids.
    #[must_use]
    pub fn with_ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.runtime.ids = ids;
        self
    }

    /// The same context that waits this long for a lock; 30 seconds unless said otherwise.
    #[must_use]
    pub fn with_lock_timeout(mut self, timeout: Duration) -> Self {
        self.runtime.lock_timeout = timeout;
        self
    }

    /// The workspace's root.
    #[must_use]
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// The task.
    #[must_use]
    pub fn task_id(&self) -> &TaskId {
        &self.task_id
    }

    /// The run.
    #[must_use]
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// The attempt of a step that this context writes for.
    #[must_use]
    pub fn step_ref(&self) -> Option<&StepRef> {
        self.step.as_ref()
    }

    /// The lease that this context writes under.
    #[must_use]
    pub fn lease_ref(&self) -> Option<&LeaseRef> {
        self.lease.as_ref()
    }

    pub(crate) fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The run's directory. Paths are for reading and display: what is written past the library is
    /// not in the journal.
    #[must_use]
    pub fn run_path(&self) -> Utf8PathBuf {
        layout::run_dir(&self.root, &self.task_id, &self.run_id)
    }

    /// Where an artifact is.
    #[must_use]
    pub fn artifact_path(&self, name: &ArtifactName) -> Utf8PathBuf {
        self.run_path().join(layout::artifact(name.as_str()))
    }

    /// `artifacts/plan.json`
    #[must_use]
    pub fn plan_path(&self) -> Utf8PathBuf {
        self.run_path().join(layout::artifact("plan.json"))
    }

    /// `artifacts/executor_report.json`
    #[must_use]
    pub fn executor_report_path(&self) -> Utf8PathBuf {
        self.run_path().join(layout::artifact("executor_report.json"))
    }

    /// `artifacts/verifier_report.json`
    #[must_use]
    pub fn verifier_report_path(&self) -> Utf8PathBuf {
        self.run_path().join(layout::artifact("verifier_report.json"))
    }

    /// `artifacts/gate_report.json`
    #[must_use]
    pub fn gate_report_path(&self) -> Utf8PathBuf {
        self.run_path().join(layout::artifact("gate_report.json"))
    }

    /// `journal/events.jsonl`
    #[must_use]
    pub fn journal_path(&self) -> Utf8PathBuf {
        self.run_path().join(layout::JOURNAL)
    }

    pub(crate) fn home(&self) -> Home {
        let mut home = Home::of_run(&self.root, &self.task_id, &self.run_id, &self.runtime);
        home.actor = self.actor.clone();
        home.step.clone_from(&self.step);
        home.lease.clone_from(&self.lease);
        home.traceparent.clone_from(&self.traceparent);
        home
    }

    pub(crate) fn writer(&self) -> Arc<HomeWriter> {
        HomeWriter::new(self.home())
    }

    /// The run's artifacts. Nothing is opened before it is used.
    #[must_use]
    pub fn artifacts(&self) -> Artifacts {
        Artifacts::new(self.writer())
    }

    /// A transaction: any number of writes, removals and events, whole or not at all.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(self.writer())
    }

    /// A writer of the run's journal to keep: appends after the first are cheap.
    ///
    /// # Errors
    /// Where the run is not there, is newer than this code, or cannot be written.
    pub fn journal(&self) -> Result<JournalWriter, JournalError> {
        JournalWriter::open(self.writer())
    }

    /// Appends one event: opens the journal, appends, closes. It survives this process, not a power
    /// cut; for that, or for many events, keep a [`journal`](RunContext::journal).
    ///
    /// # Errors
    /// See [`JournalError`]; unless a variant says otherwise, nothing was appended.
    pub fn append(&self, event: Event) -> Result<Appended, JournalError> {
        self.journal()?.append(event)
    }

    /// The run's events, read without a lock.
    ///
    /// # Errors
    /// Where the run is not there or its genesis file is damaged.
    pub fn events(&self) -> Result<Events, JournalError> {
        Events::open(&self.home())
    }

    /// Finishes what a crash left in this run, as every append does, and returns what could not be
    /// put in place.
    ///
    /// # Errors
    /// As an append.
    pub fn catch_up(&self) -> Result<Vec<Finding>, JournalError> {
        self.writer().catch_up()
    }
}
