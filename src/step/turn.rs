//! Which turn of a step is to be done: each is done once, one after the other.

use super::history::{Ended, Iteration, LastAttempt, Progress, Started, end_key, turn_key};
use super::{Step, StepFailure};
use crate::id::StepName;
use crate::journal::JournalError;
use crate::journal::LockedLog;
use crate::json;

/// What stands of the turn that is asked for.
pub(super) enum Turn {
    /// It is to be begun: it follows this attempt, which completed the one before.
    New(Option<LastAttempt>),
    /// Its last attempt failed, or did not end.
    Again(LastAttempt),
    /// It is complete.
    Complete(Ended),
}

impl Turn {
    pub(super) fn find(
        locked: &mut LockedLog<'_>,
        name: &StepName,
        step: &Step,
    ) -> Result<Self, StepFailure> {
        let refused = |source| StepFailure::Journal { step: name.clone(), source };
        let wanted = step.turn_or_first();
        let last = LastAttempt::read(locked, name).map_err(refused)?;
        let found = match last {
            None if wanted == 1 => Ok(Turn::New(None)),
            None => Err(1),
            Some(last) => match (&last.progress, wanted) {
                (_, 0) => Err(1),
                (_, wanted) if wanted < last.turn => {
                    let ended = earlier(locked, name, wanted).map_err(refused)?;
                    ended.map(Turn::Complete).ok_or(wanted)
                }
                (Progress::Open | Progress::Failed(_), wanted) if wanted == last.turn => {
                    Ok(Turn::Again(last))
                }
                (Progress::Completed(_), wanted) if wanted == last.turn => {
                    last.completed().map(Turn::Complete).ok_or(wanted)
                }
                (Progress::Completed(_), wanted) if Some(wanted) == last.turn.checked_add(1) => {
                    Ok(Turn::New(Some(last)))
                }
                (Progress::Completed(_), _) => Err(last.turn.saturating_add(1)),
                (Progress::Open | Progress::Failed(_), _) => Err(last.turn),
            },
        };
        let found = found.map_err(|next| StepFailure::TurnOutOfOrder {
            step: name.clone(),
            turn: wanted,
            next,
        })?;
        if !matches!(found, Turn::New(_)) {
            check_item(locked, name, step, wanted)?;
        }
        Ok(found)
    }
}

/// How a turn ended that is not the last one: with the attempt before the one that began the next.
fn earlier(
    locked: &mut LockedLog<'_>,
    name: &StepName,
    turn: u64,
) -> Result<Option<Ended>, JournalError> {
    let Some(next) = locked.keyed(&turn_key(name, turn.saturating_add(1)))? else {
        return Ok(None);
    };
    let Some(started) = next.get(1) else { return Ok(None) };
    let attempt = started.payload::<Started>()?.attempt.saturating_sub(1);
    let Some(end) = locked.keyed(&end_key(name, attempt))? else { return Ok(None) };
    let Some(end) = end.first() else { return Ok(None) };
    Ok(LastAttempt::of(end)?.and_then(LastAttempt::completed))
}

/// A turn is for one item: whoever asks for it with another one is told so.
fn check_item(
    locked: &mut LockedLog<'_>,
    name: &StepName,
    step: &Step,
    turn: u64,
) -> Result<(), StepFailure> {
    let refused = |source| StepFailure::Journal { step: name.clone(), source };
    let Some(item) = step.rendered_item(name)? else { return Ok(()) };
    let key = turn_key(name, turn);
    let begun = locked.keyed(&key).map_err(refused)?;
    let Some(begun) = begun.as_deref().and_then(|records| records.first()) else {
        return Ok(());
    };
    let recorded = begun.payload::<Iteration>().map_err(refused)?.item;
    if json::same_value(recorded.as_deref().map(|item| item.get()), Some(item.get())) {
        return Ok(());
    }
    Err(refused(locked.key_conflict(&key, begun.seq(), "item")))
}
