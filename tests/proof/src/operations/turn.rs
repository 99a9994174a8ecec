//! Turns of steps.

use runjournal::{ArtifactName, Event, Signal, Step, StepContext, StepError, StepResult};

use super::{Operation, Seen, plain};
use crate::{Acks, Outcome, Place, ensure};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "step_turn",
        heads: true,
        prepare: |place, acks| turn(place, acks, 1),
        operate: |place, acks| turn(place, acks, 2),
        holds: whole_turns,
        done: |seen| complete(seen, 2),
        ..plain()
    },
    Operation {
        name: "step_turn_after_failure",
        prepare: |place, acks| {
            turn(place, acks, 1)?;
            let failed = place.ctx()?.step(Step::new("work").turn(2).item(&2), |step| {
                stage(step)?;
                Err(StepError::message("it cannot be done"))
            });
            ensure(failed.is_err(), || "it did not fail".into())
        },
        operate: |place, acks| turn(place, acks, 2),
        holds: whole_turns,
        done: |seen| complete(seen, 2),
        ..plain()
    },
    Operation {
        name: "step_turn_unchanged",
        recovery_killed: true,
        prepare: |place, acks| unchanged(place, acks, 1),
        operate: |place, acks| unchanged(place, acks, 2),
        holds: whole_turns,
        done: |seen| complete(seen, 2),
        ..plain()
    },
];

/// The same in each turn, so that a turn may be passed over.
fn stage(step: &StepContext) -> StepResult {
    step.read_bytes(ArtifactName::new("plan.json")?)?;
    step.write_bytes(ArtifactName::new("out/one.txt")?, b"by a turn")?;
    step.write_bytes(ArtifactName::new("two.txt")?, b"by a turn")?;
    step.append(Event::new("noted"))?;
    Ok(Signal::new("done"))
}

fn turn(place: &Place, acks: &mut Acks, turn: u64) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    let signal = ctx.step(Step::new("work").turn(turn).item(&turn), stage)?;
    ensure(signal == "done", || format!("the turn signalled {signal}"))?;
    acks.tell(&format!("turn {turn} work"))?;
    place.end();
    Ok(())
}

/// A turn that has something new only if it is the first.
fn unchanged(place: &Place, acks: &mut Acks, turn: u64) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    let step = Step::new("work").turn(turn).skip_if_unchanged();
    let mut ran = false;
    let signal = ctx.step(step, |step| {
        ran = true;
        stage(step)
    })?;
    ensure(signal == "done", || format!("the turn signalled {signal}"))?;
    let is_new = turn == 1 || place.again();
    ensure(!ran || is_new, || "it was done though nothing is new".into())?;
    acks.tell(&format!("turn {turn} work"))?;
    place.end();
    Ok(())
}

/// Outputs and events of a turn stand with its end, and once.
fn whole_turns(seen: &Seen<'_>) -> Outcome {
    let (one, two) = (seen.artifact("out/one.txt"), seen.artifact("two.txt"));
    ensure(one == "by a turn" && two == one, || format!("outputs: {one:?}, {two:?}"))?;
    let ends = seen.records.iter().filter(|record| record.text("event_type") == "step_completed");
    let done = ends.filter(|record| record.payload("same_as").is_none()).count();
    ensure(seen.count("noted") == done, || "its event does not stand once a turn".into())?;
    ensure(seen.count("step_completed") <= 2, || "a turn was completed twice".into())
}

fn complete(seen: &Seen<'_>, turns: usize) -> Outcome {
    whole_turns(seen)?;
    let counts = (seen.count("step_completed"), seen.count("loop_iteration"));
    ensure(counts == (turns, turns), || format!("ends and beginnings of turns: {counts:?}"))
}
