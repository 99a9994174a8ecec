//! The questions.

use camino::Utf8PathBuf;

use super::ledger::Ledger;
use super::{LineageError, Stale, Why, judge};
use crate::context::RunContext;
use crate::name::ArtifactName;

/// What a run's journal said of its artifacts when it was read: which step made which, from what.
#[derive(Debug)]
pub struct Lineage {
    run: Utf8PathBuf,
    ledger: Ledger,
}

impl RunContext {
    /// Reads where the run's artifacts come from: the journal once, without a lock. It takes memory for each
    /// record of an artifact and each attempt of a step with its inputs, and for no other record.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    /// # let task = runjournal::Workspace::open_or_create(&root)?
    /// #     .open_or_create_task("TASK-1", runjournal::TaskOptions::default())?;
    /// # let ctx = task.open_or_start_run("RUN-1")?;
    /// use runjournal::{Artifact, Signal};
    ///
    /// const GOAL: Artifact<String> = Artifact::json("goal.json");
    /// const PLAN: Artifact<usize> = Artifact::json("plan.json");
    ///
    /// ctx.artifacts().write(GOAL, &"ship".to_owned())?;
    /// ctx.step("plan", |s| {
    ///     s.write(PLAN, &s.read(GOAL)?.len())?;
    ///     Ok(Signal::new("planned"))
    /// })?;
    /// let why = ctx.lineage()?.why(&PLAN)?;
    /// assert!(why.to_string().contains("└─ goal.json v0")); // it draws a tree
    /// assert!(ctx.lineage()?.stale().is_empty());
    ///
    /// ctx.artifacts().write(GOAL, &"ship it".to_owned())?;
    /// let stale = ctx.lineage()?.stale();
    /// assert_eq!(stale.to_string(), "step plan, attempt 1: goal.json is now v1, it read v0");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LineageError::Journal`] where the journal cannot be read, or a record of an artifact or a step has
    /// a payload that is not what the format says. Records that do not count are passed over.
    pub fn lineage(&self) -> Result<Lineage, LineageError> {
        let mut ledger = Ledger::default();
        for record in self.events()? {
            ledger.apply(&record?)?;
        }
        Ok(Lineage { run: self.run_path(), ledger })
    }
}

impl Lineage {
    /// Which step made an artifact as it is now, or removed it; from what; what made that; and so on.
    /// Takes time and memory for the versions that it goes back to and the inputs of the attempts that made
    /// them.
    ///
    /// # Errors
    /// [`LineageError::NotInJournal`] where the journal says nothing of it.
    pub fn why(&self, name: impl Into<ArtifactName>) -> Result<Why, LineageError> {
        let name = name.into();
        match self.ledger.last(&name) {
            Some(word) => Ok(Why::of(&self.ledger, word)),
            None => Err(LineageError::NotInJournal { name, run: self.run.clone() }),
        }
    }

    /// The steps that would read something else now, and those that read what these wrote, and so on. Takes
    /// time for what the journal says of artifacts and steps.
    #[must_use]
    pub fn stale(&self) -> Stale {
        judge::now(&self.ledger)
    }

    /// The steps that would be stale if these changed, because they read them, or what such a step wrote;
    /// whatever is stale as it is. An artifact that no step read makes nothing stale.
    #[must_use]
    pub fn stale_if(&self, changed: impl IntoIterator<Item = impl Into<ArtifactName>>) -> Stale {
        judge::if_changed(&self.ledger, &changed.into_iter().map(Into::into).collect())
    }
}
