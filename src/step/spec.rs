//! What a step is called, and what it is given.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Cancel, StepFailure};
use crate::id::{EventId, IdError, StepName};
use crate::json;
use crate::name::ArtifactName;

/// A step to run: its name, its configuration, its declared inputs. A `&str` is a step with neither.
///
/// ```
/// use runjournal::{Artifact, Step};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Plan;
/// const PLAN: Artifact<Plan> = Artifact::json("plan.json");
/// let step = Step::new("execute").input(PLAN).config(&serde_json::json!({"model": "small"}));
/// # let _ = step;
/// ```
#[derive(Debug, Clone)]
#[must_use = "a step does nothing until it is run"]
pub struct Step {
    name: String,
    config: Option<Rendered>,
    inputs: Vec<ArtifactName>,
    turn: Option<u64>,
    item: Option<Rendered>,
    unless_unchanged: bool,
    cancel: Option<Cancel>,
    origin: Option<Origin>,
}

/// A value as JSON on one line, or why it is none.
type Rendered = Result<Box<RawValue>, String>;

/// What led to a step, where somebody routes by the journal.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The record that led to it.
    pub(crate) causation: Option<EventId>,
    /// Stands in the records with which an attempt begins.
    pub(crate) metadata: String,
}

impl Step {
    /// A step. Its name follows the rule of ids: `A-Z a-z 0-9 . _ -`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            config: None,
            inputs: Vec::new(),
            turn: None,
            item: None,
            unless_unchanged: false,
            cancel: None,
            origin: None,
        }
    }

    /// The configuration, as it is rendered for this run: it is recorded when the step starts, and
    /// it is all the configuration that the body reads.
    pub fn config<T: Serialize + ?Sized>(mut self, config: &T) -> Self {
        self.config = Some(rendered(config));
        self
    }

    /// Declares an input: its digest is recorded when the step starts, and the body reads exactly
    /// that. A step that declares inputs reads no others; one that declares none may read any, and
    /// what it read is recorded at its end.
    pub fn input(mut self, input: impl Into<ArtifactName>) -> Self {
        let input = input.into();
        if !self.inputs.contains(&input) {
            self.inputs.push(input);
        }
        self
    }

    /// Which turn of a loop this is, from 1; without it, the first. Each turn is done once, one after
    /// the other, in attempts of its own; the first attempt of a turn begins with `loop_iteration`.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    /// # let task = runjournal::Workspace::open_or_create(&root)?
    /// #     .open_or_create_task("TASK-1", runjournal::TaskOptions::default())?;
    /// # let ctx = task.open_or_start_run("RUN-1")?;
    /// use runjournal::{ArtifactName, Signal, Step};
    ///
    /// for (turn, page) in (1..).zip(["start", "end"]) {
    ///     // Called again after a crash, it goes on with the page that was not done.
    ///     ctx.step(Step::new("fetch").turn(turn).item(page), |s| {
    ///         let page: String = s.item()?;
    ///         s.write_bytes(ArtifactName::new(format!("pages/{page}.html"))?, b"...")?;
    ///         Ok(Signal::new("fetched"))
    ///     })?;
    /// }
    /// # assert_eq!(ctx.artifacts().list()?.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn turn(mut self, turn: u64) -> Self {
        self.turn = Some(turn);
        self
    }

    /// What this turn is for (the first, where no turn is given): it is recorded when the turn begins. To ask
    /// for a turn that was begun, or is complete, for another item is an error.
    pub fn item<T: Serialize + ?Sized>(mut self, item: &T) -> Self {
        self.item = Some(rendered(item));
        self
    }

    /// Does what is complete again only if something changed. Nothing did where the turn before completed with the
    /// same configuration and for the same item, each artifact that it read has the same digest still, and what it
    /// staged is in place. A [`turn`](Step::turn) that was asked for is then recorded as complete, with the signal of that
    /// one; without a turn, nothing is recorded, and otherwise the next turn is done. For work that is a function
    /// of its artifacts and its configuration alone.
    ///
    /// What a [`Program`](crate::Program) reads by a path is no recorded input: it has to be declared
    /// ([`input`](Step::input), [`Program::stdin`](crate::Program::stdin)), or its change is not seen.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    /// # let task = runjournal::Workspace::open_or_create(&root)?
    /// #     .open_or_create_task("TASK-1", runjournal::TaskOptions::default())?;
    /// # let ctx = task.open_or_start_run("RUN-1")?;
    /// # let done = std::cell::Cell::new(0);
    /// use runjournal::{Artifact, Signal, Step};
    ///
    /// const PAGE: Artifact<String> = Artifact::json("page.json");
    /// const SIZE: Artifact<usize> = Artifact::json("size.json");
    ///
    /// let measure = || {
    ///     ctx.step(Step::new("measure").input(PAGE).skip_if_unchanged(), |s| {
    /// #       done.set(done.get() + 1);
    ///         s.write(SIZE, &s.read(PAGE)?.len())?;
    ///         Ok(Signal::new("measured"))
    ///     })
    /// };
    /// ctx.artifacts().write(PAGE, &"short".into())?;
    /// measure()?;
    /// measure()?; // not done again
    /// ctx.artifacts().write(PAGE, &"not so short".into())?;
    /// measure()?; // turn 2
    /// assert_eq!(ctx.artifacts().read(SIZE)?, 12);
    /// # assert_eq!(done.get(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn skip_if_unchanged(mut self) -> Self {
        self.unless_unchanged = true;
        self
    }

    /// What tells the body that it should end: it asks [`StepContext::is_cancelled`](super::StepContext::is_cancelled).
    pub fn cancelled_by(mut self, cancel: &Cancel) -> Self {
        self.cancel = Some(cancel.clone());
        self
    }

    pub(crate) fn led_to_by(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    pub(super) fn cancel(&self) -> Cancel {
        self.cancel.clone().unwrap_or_default()
    }

    pub(crate) fn checked_name(&self) -> Result<StepName, IdError> {
        StepName::new(self.name.as_str())
    }

    pub(crate) fn rendered_config(
        &self,
        step: &StepName,
    ) -> Result<Option<Box<RawValue>>, StepFailure> {
        or_bad(self.config.as_ref(), step, "configuration")
    }

    pub(crate) fn rendered_item(
        &self,
        step: &StepName,
    ) -> Result<Option<Box<RawValue>>, StepFailure> {
        or_bad(self.item.as_ref(), step, "item")
    }

    pub(crate) fn inputs(&self) -> &[ArtifactName] {
        &self.inputs
    }

    /// The turn that was asked for.
    pub(super) fn asked_turn(&self) -> Option<u64> {
        self.turn
    }

    /// The turn, where somebody counts them: an item is for one.
    pub(super) fn counted_turn(&self) -> Option<u64> {
        self.turn.or(self.item.as_ref().map(|_| 1))
    }

    /// What somebody gave it that belongs to one call, and not to all runs of a node.
    pub(crate) fn of_one_call(&self) -> Option<&'static str> {
        let given = [
            ("a turn", self.turn.is_some()),
            ("an item", self.item.is_some()),
            ("a wish to end", self.cancel.is_some()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(what, _)| what)
    }

    pub(crate) fn skips_unchanged(&self) -> bool {
        self.unless_unchanged
    }

    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }
}

fn rendered<T: Serialize + ?Sized>(value: &T) -> Rendered {
    json::on_one_line(value).and_then(RawValue::from_string).map_err(|error| error.to_string())
}

fn or_bad(
    value: Option<&Rendered>,
    step: &StepName,
    what: &'static str,
) -> Result<Option<Box<RawValue>>, StepFailure> {
    value.cloned().transpose().map_err(|message| StepFailure::BadConfig {
        step: step.clone(),
        what,
        source: serde::ser::Error::custom(message),
    })
}

impl From<&str> for Step {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Step {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}
