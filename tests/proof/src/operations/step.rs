//! Steps.

use runjournal::{
    ArtifactName, Event, Signal, Step, StepContext, StepError, StepFailure, StepResult,
};

use super::{Operation, Seen, plain};
use crate::{Acks, Outcome, Place, Violation, ensure};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "step",
        heads: true,
        operate: step,
        holds: all_or_none,
        done: complete,
        ..plain()
    },
    Operation {
        name: "step_failing",
        recovery_killed: true,
        operate: failing,
        holds: none,
        done: failed,
        ..plain()
    },
    Operation {
        name: "step_after_failure",
        prepare: |place, acks| failing(place, acks),
        operate: step,
        holds: all_or_none,
        done: complete,
        ..plain()
    },
    Operation {
        name: "step_saying_much",
        operate: saying_much,
        holds: all_or_none,
        done: complete,
        ..plain()
    },
    Operation {
        name: "step_taking_over",
        prepare: die_within,
        operate: step,
        holds: all_or_none,
        done: complete,
        ..plain()
    },
];

pub(super) fn stage(step: &StepContext) -> Result<(), StepError> {
    let attempt = format!("by attempt {}", step.attempt());
    step.read_bytes(ArtifactName::new("plan.json")?)?;
    step.write_bytes(ArtifactName::new("out/one.txt")?, attempt.as_bytes())?;
    step.write_bytes(ArtifactName::new("two.txt")?, attempt.as_bytes())?;
    step.append(Event::new("noted"))?;
    Ok(())
}

fn step(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    let signal = ctx.step("work", |step| -> StepResult {
        step.append_now(Event::new("began"))?;
        stage(step)?;
        std::fs::write(step.work_dir()?.join("scratch"), "scratch")?;
        Ok(Signal::new("done"))
    })?;
    ensure(signal == "done", || format!("the step signalled {signal}"))?;
    acks.tell("step work")?;
    place.end();
    Ok(())
}

/// A step whose start has a payload that is too large for a line.
fn saying_much(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    let much = Step::new("work").config(&"much ".repeat(20_000));
    place.begin();
    let signal = ctx.step(much, |step| -> StepResult {
        step.write_bytes(ArtifactName::new("out/one.txt")?, b"by attempt")?;
        step.write_bytes(ArtifactName::new("two.txt")?, b"by attempt")?;
        step.append(Event::new("noted"))?;
        Ok(Signal::new("done"))
    })?;
    ensure(signal == "done", || format!("the step signalled {signal}"))?;
    acks.tell("step work")?;
    place.end();
    Ok(())
}

fn failing(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    let failure = ctx.step("work", |step| {
        stage(step)?;
        Err(StepError::message("it cannot be done"))
    });
    match failure {
        Err(StepFailure::Failed { .. }) => acks.tell("failed work")?,
        Err(error) => return Err(error.into()),
        Ok(signal) => return Err(Violation::new(format!("it signalled {signal}"))),
    }
    place.end();
    Ok(())
}

fn die_within(place: &Place, _: &mut Acks) -> Outcome {
    place.ctx()?.step("work", |step| {
        stage(step)?;
        std::process::exit(0)
    })?;
    Ok(())
}

pub(super) fn complete(seen: &Seen<'_>) -> Outcome {
    let (one, two) = (seen.artifact("out/one.txt"), seen.artifact("two.txt"));
    ensure(one == two && one.starts_with("by attempt"), || format!("outputs: {one:?}, {two:?}"))?;
    ensure(seen.count("step_completed") == 1, || "the step did not complete once".into())?;
    ensure(seen.count("noted") == 1, || "its event does not stand once".into())
}

fn none(seen: &Seen<'_>) -> Outcome {
    let outputs = seen.artifact("out/one.txt") + &seen.artifact("two.txt");
    ensure(outputs.is_empty(), || format!("outputs of a step that did not complete: {outputs:?}"))?;
    ensure(seen.count("noted") == 0, || "an event of a step that did not complete".into())?;
    ensure(seen.count("step_completed") == 0, || "the step completed".into())
}

pub(super) fn all_or_none(seen: &Seen<'_>) -> Outcome {
    complete(seen).or_else(|not_all| {
        none(seen).map_err(|not_none| not_none.at(format_args!("neither all ({not_all}) nor none")))
    })
}

fn failed(seen: &Seen<'_>) -> Outcome {
    none(seen)?;
    ensure(seen.count("step_failed") > 0, || "the failure is not in the journal".into())
}
