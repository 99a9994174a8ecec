//! Running a step.

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::attempt::Attempt;
use super::begin::{Begun, begin};
use super::ending::record_failure;
use super::history::{Ended, LastAttempt, STREAM};
use super::{Signal, Step, StepContext, StepFailure, StepResult};
use crate::artifact::ArtifactError;
use crate::context::RunContext;
use crate::error::chain;
use crate::id::EventId;
use crate::journal::JournalError;

/// What became of a step, as far as the journal says it.
pub(crate) enum Done {
    Completed(Ended),
    /// It failed, and this record says so, and whether the body had been told to end.
    Failed {
        failure: StepFailure,
        record: EventId,
        cancelled: bool,
    },
}

impl RunContext {
    /// Does a piece of work once: disk-in, disk-out.
    ///
    /// `step_started` is recorded with the final inputs and configuration; the body runs; then what
    /// it wrote is committed together with `step_completed`, whole or not at all, and durable. A step
    /// that is complete is not run again: its recorded signal is returned. One that started and did
    /// not end is taken over where its process died, by a new attempt, after which the earlier
    /// attempt's late commit is refused; so the outputs of a step come from one attempt. While the
    /// body runs no lock on the journal is held.
    ///
    /// ```no_run
    /// use runjournal::{Artifact, RunContext, Signal, StepContext, StepResult};
    ///
    /// const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json");
    ///
    /// fn plan(s: &StepContext) -> StepResult {
    ///     s.write(PLAN, &vec!["fetch".into(), "build".into()])?; // staged
    ///     Ok(Signal::new("planned")) // committed with step_completed
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ctx = RunContext::from_env()?;
    /// if ctx.step("plan", plan)? == "planned" {
    ///     ctx.step("execute", |s| {
    ///         let steps = s.read(PLAN)?; // recorded as an input
    ///         Ok(Signal::new(if steps.is_empty() { "nothing" } else { "success" }))
    ///     })?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StepFailure::Failed`] and [`StepFailure::Panicked`] where the body did not succeed: the
    /// journal says so, nothing else of the attempt is committed, and the next call is a new attempt.
    /// [`StepFailure::StepTaken`] where another process or thread is at it. Where the step cannot begin,
    /// [`InputMissing`](StepFailure::InputMissing), [`TurnOutOfOrder`](StepFailure::TurnOutOfOrder),
    /// [`OtherItem`](StepFailure::OtherItem), [`BadName`](StepFailure::BadName) or
    /// [`BadConfig`](StepFailure::BadConfig): nothing was recorded. [`StepFailure::Unfinished`] where it is
    /// complete, and the disk refused what is left to do: any later write does it. [`StepFailure::Journal`]
    /// where the start or the end was refused.
    pub fn step(
        &self,
        step: impl Into<Step>,
        body: impl FnOnce(&StepContext) -> StepResult,
    ) -> Result<Signal, StepFailure> {
        match self.run_step(&step.into(), body)? {
            Done::Completed(ended) => Ok(ended.signal),
            Done::Failed { failure, .. } => Err(failure),
        }
    }

    /// The same for somebody who goes on from the record of its end.
    pub(crate) fn run_step(
        &self,
        step: &Step,
        body: impl FnOnce(&StepContext) -> StepResult,
    ) -> Result<Done, StepFailure> {
        let attempt = match begin(self, step)? {
            Begun::Complete(ended) => return Ok(Done::Completed(ended)),
            Begun::Failed(failure, record) => {
                return Ok(Done::Failed { failure, record, cancelled: false });
            }
            Begun::Attempt(attempt) => *attempt,
        };
        let context = StepContext::new(self, attempt, step.cancel());
        let returned = catch_unwind(AssertUnwindSafe(|| body(&context)));
        let (attempt, ending) = context.finish();
        #[cfg(feature = "testing")]
        let (attempt, ending) = match super::crash::crashed(&returned) {
            true => return Err(super::crash::leave(attempt, ending)),
            false => (attempt, ending),
        };
        let returned = returned.map(|returned| returned.and_then(Signal::checked));
        match returned {
            Ok(Ok(signal)) => match ending.complete(&attempt, &signal) {
                Ok(record) => Ok(Done::Completed(Ended { signal, record })),
                Err(error) => self.not_committed(&attempt, error),
            },
            Ok(Err(error)) => {
                drop(ending);
                self.failed(&attempt, error.into_inner(), step.cancel().is_cancelled())
            }
            Err(panic) => {
                drop(ending);
                let message = panic_message(panic.as_ref());
                let error = vec![format!("panicked: {message}")];
                let cancelled = step.cancel().is_cancelled();
                let record = self.record(&attempt, error, cancelled)?;
                let (step, attempt) = (attempt.step.clone(), attempt.number());
                let failure = StepFailure::Panicked { step, attempt, message };
                Ok(Done::Failed { failure, record, cancelled })
            }
        }
    }

    /// What a step signalled, `None` while it is not complete: for whoever routes, when the nodes are
    /// other processes. It reads the whole journal, each time. Takes no lock and syncs nothing: of a step
    /// that ends just now, a power cut may still lose the end. Of a step with turns it is the last one.
    ///
    /// # Errors
    /// Where the journal cannot be read.
    pub fn signal(&self, step: &str) -> Result<Option<Signal>, JournalError> {
        let mut last = None;
        for record in self.events()?.in_stream(STREAM, step) {
            last = LastAttempt::of(&record?)?.or(last);
        }
        Ok(last.and_then(LastAttempt::completed).map(|ended| ended.signal))
    }

    /// The outputs could not be committed, or only in part be put in place.
    fn not_committed(&self, attempt: &Attempt, error: ArtifactError) -> Result<Done, StepFailure> {
        let step = attempt.step.clone();
        match error {
            ArtifactError::CommittedNotApplied { .. }
            | ArtifactError::Journal(JournalError::NotDurable { .. }) => {
                Err(StepFailure::Unfinished { step, source: error })
            }
            ArtifactError::Journal(
                source @ (JournalError::StepSuperseded { .. }
                | JournalError::LeaseLost { .. }
                | JournalError::LeaseRequired { .. }
                | JournalError::Closed { .. }),
            ) => Err(StepFailure::Journal { step, source }),
            refused => self.failed(attempt, Box::new(refused), false),
        }
    }

    fn failed(
        &self,
        attempt: &Attempt,
        error: Box<dyn Error + Send + Sync>,
        cancelled: bool,
    ) -> Result<Done, StepFailure> {
        let record = self.record(attempt, chain(error.as_ref()), cancelled)?;
        let (step, attempt) = (attempt.step.clone(), attempt.number());
        let failure = StepFailure::Failed { step, attempt, source: error };
        Ok(Done::Failed { failure, record, cancelled })
    }

    fn record(
        &self,
        attempt: &Attempt,
        error: Vec<String>,
        cancelled: bool,
    ) -> Result<EventId, StepFailure> {
        record_failure(self, attempt, error, cancelled)
            .map_err(|source| StepFailure::Journal { step: attempt.step.clone(), source })
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "with something that is no text".to_owned())
}
