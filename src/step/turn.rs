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
    New(u64, Option<LastAttempt>),
    /// Its last attempt failed, or did not end.
    Again(LastAttempt),
    /// It is complete.
    Complete(Ended),
    /// The last one is complete; where something changed since, the next is to be begun.
    UnlessUnchanged(LastAttempt),
}

impl Turn {
    pub(super) fn find(
        locked: &mut LockedLog<'_>,
        name: &StepName,
        step: &Step,
    ) -> Result<Self, StepFailure> {
        let refused = |source| StepFailure::Journal { step: name.clone(), source };
        let last = LastAttempt::read(locked, name).map_err(refused)?;
        let wanted = match (step.counted_turn(), &last) {
            (Some(turn), _) => turn,
            // Who does not count asks for the last turn, if it may be followed by another.
            (None, Some(last)) if step.skips_unchanged() => last.turn,
            (None, _) => 1,
        };
        let found = match last {
            None if wanted == 1 => Ok(Self::New(1, None)),
            None => Err(1),
            Some(last) => match &last.progress {
                _ if wanted == 0 => Err(1),
                _ if wanted < last.turn => {
                    let ended = earlier(locked, name, wanted).map_err(refused)?;
                    ended.map(Self::Complete).ok_or(wanted)
                }
                Progress::Open | Progress::Failed(_) if wanted == last.turn => {
                    Ok(Self::Again(last))
                }
                Progress::Open | Progress::Failed(_) => Err(last.turn),
                Progress::Completed(_) if wanted > last.turn => match last.turn.checked_add(1) {
                    Some(next) if wanted == next => Ok(Self::New(next, Some(last))),
                    next => Err(next.unwrap_or(last.turn)),
                },
                Progress::Completed(_)
                    if step.skips_unchanged() && step.counted_turn().is_none() =>
                {
                    Ok(Self::UnlessUnchanged(last))
                }
                Progress::Completed(_) => last.completed().map(Self::Complete).ok_or(wanted),
            },
        };
        let found = found.map_err(|next| StepFailure::TurnOutOfOrder {
            step: name.clone(),
            turn: wanted,
            next,
        })?;
        if matches!(found, Self::Again(_) | Self::Complete(_)) {
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
    Err(StepFailure::OtherItem { step: name.clone(), turn, seq: begun.seq() })
}
