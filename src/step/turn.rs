//! Which turn of a step is to be done: each is done once, one after the other.

use serde_json::value::RawValue;

use super::history::{Ended, Iteration, LastAttempt, Progress, Started, end_key, turn_key};
use super::{Step, StepFailure};
use crate::id::StepName;
use crate::journal::{JournalError, LockedLog};
use crate::json;

/// What stands of the turn that is asked for.
pub(super) enum Turn {
    /// It is to be begun: it follows this attempt, which completed the one before.
    New(u64, Option<LastAttempt>),
    /// Its last attempt failed, or did not end.
    Again(LastAttempt),
    /// It is complete.
    Complete(u64, Ended),
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
        let asked = step.asked_turn();
        let wanted = match (asked, &last) {
            (Some(turn), _) => turn,
            // Who does not count asks for the last turn, if it may be followed by another.
            (None, Some(last)) if step.skips_unchanged() => last.turn,
            (None, _) => 1,
        };
        let found = match last {
            None if wanted == 1 => Ok(Self::New(1, None)),
            None => Err(1),
            Some(last) => match &last.progress {
                Progress::Completed(_) if wanted == 0 => Err(last.turn.saturating_add(1)),
                _ if wanted == 0 => Err(last.turn),
                _ if wanted < last.turn => {
                    let ended = earlier(locked, name, wanted).map_err(refused)?;
                    ended.map(|ended| Self::Complete(wanted, ended)).ok_or(wanted)
                }
                Progress::Open | Progress::Failed(_) if wanted == last.turn => {
                    Ok(Self::Again(last))
                }
                Progress::Open | Progress::Failed(_) => Err(last.turn),
                Progress::Completed(_) if wanted > last.turn => match last.turn.checked_add(1) {
                    Some(next) if wanted == next => Ok(Self::New(next, Some(last))),
                    next => Err(next.unwrap_or(last.turn)),
                },
                Progress::Completed(_) if step.skips_unchanged() && asked.is_none() => {
                    Ok(Self::UnlessUnchanged(last))
                }
                Progress::Completed(_) => {
                    let ended = last.completed();
                    ended.map(|ended| Self::Complete(wanted, ended)).ok_or(wanted)
                }
            },
        };
        found.map_err(|next| StepFailure::TurnOutOfOrder { step: name.clone(), turn: wanted, next })
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

/// The item of a turn that was begun: the one that the journal has, which must be the one that is given.
pub(super) fn item_of(
    locked: &mut LockedLog<'_>,
    name: &StepName,
    turn: u64,
    given: Option<Box<RawValue>>,
) -> Result<Option<Box<RawValue>>, StepFailure> {
    let refused = |source| StepFailure::Journal { step: name.clone(), source };
    let recorded = recorded_item(locked, name, turn).map_err(refused)?;
    if given.is_some() && !is_same(recorded.as_deref(), given.as_deref()) {
        return Err(StepFailure::OtherItem { step: name.clone(), turn });
    }
    Ok(recorded)
}

/// True if both items are the same value, or none.
pub(super) fn is_same(a: Option<&RawValue>, b: Option<&RawValue>) -> bool {
    json::same_value(a.map(RawValue::get), b.map(RawValue::get))
}

/// What the journal says that a turn is for.
pub(super) fn recorded_item(
    locked: &mut LockedLog<'_>,
    name: &StepName,
    turn: u64,
) -> Result<Option<Box<RawValue>>, JournalError> {
    let begun = locked.keyed(&turn_key(name, turn))?;
    let begun = begun.as_deref().and_then(|records| records.first());
    begun.map_or(Ok(None), |record| Ok(record.payload::<Iteration>()?.item))
}
