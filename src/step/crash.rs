//! A crash in the middle of a step, for tests.

use std::thread;

use super::attempt::Attempt;
use super::ending::Ending;
use super::{StepError, StepFailure, StepResult};

/// What ends a step as a crash would.
#[derive(Debug, thiserror::Error)]
#[error("the test has the step crash here")]
pub(super) struct Crash;

/// What the body of a step returns in a test to have it crash there: `return Err(testing::crash())`.
///
/// The disk is then as a process leaves it that was killed at this moment: the attempt started and did not end,
/// what was staged lies in `.tmp/`, and nobody holds the attempt. [`RunContext::step`](crate::RunContext::step)
/// returns [`StepFailure::Failed`] with this error, which the journal does not tell of; the next call takes
/// the step over. A step around it crashes as well if its body passes the error on. In a flow, the call of it returns as well, and has released its claim, which a killed
/// process does not. What a writer of the body has not finished by then is removed, as it is dropped with the
/// body.
#[must_use]
pub fn crash() -> StepError {
    Crash.into()
}

/// True if the body asked for a crash.
pub(super) fn crashed(returned: &thread::Result<StepResult>) -> bool {
    matches!(returned, Ok(Err(error)) if error.is_crash())
}

/// Ends an attempt, and leaves what it has on the disk.
pub(super) fn leave(mut attempt: Attempt, ending: Ending) -> StepFailure {
    // Dropped, it would remove what is staged.
    std::mem::forget(ending);
    attempt.crashed = true;
    let (step, attempt) = (attempt.step.clone(), attempt.number());
    StepFailure::Failed { step, attempt, source: Box::new(Crash) }
}
