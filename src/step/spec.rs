//! What a step is called, and what it is given.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Cancel, StepFailure};
use crate::id::{IdError, StepName};
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
    config: Option<Result<Box<RawValue>, String>>,
    inputs: Vec<ArtifactName>,
    cancel: Cancel,
}

impl Step {
    /// A step. Its name follows the rule of ids: `A-Z a-z 0-9 . _ -`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), config: None, inputs: Vec::new(), cancel: Cancel::new() }
    }

    /// The configuration, as it is rendered for this run: it is recorded when the step starts, and
    /// it is all the configuration that the body reads.
    pub fn config<T: Serialize + ?Sized>(mut self, config: &T) -> Self {
        self.config = Some(
            json::on_one_line(config)
                .and_then(RawValue::from_string)
                .map_err(|error| error.to_string()),
        );
        self
    }

    /// Declares an input: its digest is recorded when the step starts, and the body reads exactly
    /// that. A step that declares inputs reads no others; one that declares none may read any, and
    /// what it read is recorded at its end.
    pub fn input(mut self, input: impl Into<ArtifactName>) -> Self {
        self.inputs.push(input.into());
        self
    }

    /// What tells the body that it should end: it asks [`StepContext::cancel`](super::StepContext::cancel).
    pub fn cancelled_by(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    pub(super) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    pub(super) fn checked_name(&self) -> Result<StepName, IdError> {
        StepName::new(self.name.as_str())
    }

    pub(super) fn rendered_config(
        &self,
        step: &StepName,
    ) -> Result<Option<Box<RawValue>>, StepFailure> {
        self.config.clone().transpose().map_err(|message| StepFailure::BadConfig {
            step: step.clone(),
            source: serde::ser::Error::custom(message),
        })
    }

    pub(super) fn inputs(&self) -> &[ArtifactName] {
        &self.inputs
    }
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
