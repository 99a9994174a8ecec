//! Flows.

use runjournal::{ArtifactName, Cancel, Flow, Outcome as Ended, Signal, StepContext, StepResult};

use super::{Operation, Seen, plain};
use crate::{Acks, Outcome, Place, ensure};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "flow_resumed",
        lets_go: true,
        prepare: |place, _| {
            // In the last node, behind all that it writes. The whole way has so many states that to kill each
            // one's recovery everywhere takes many minutes.
            flow("c", 1)?.run(&place.ctx()?)?;
            Ok(())
        },
        operate: run,
        holds: on_its_way,
        done: at_its_end,
        ..plain()
    },
    Operation {
        name: "flow_cancelled",
        recovery_killed: true,
        lets_go: true,
        operate: |place, acks| {
            let (ctx, cancel) = (place.ctx()?, Cancel::new());
            cancel.cancel();
            place.begin();
            let ended = flow("", 0)?.runner(&ctx).cancelled_by(&cancel).run()?;
            ensure(ended == Ended::Failed, || format!("it ended as {ended:?}"))?;
            acks.tell("closed")?;
            place.end();
            Ok(())
        },
        done: |seen| {
            let reason = seen.records.last().map(|last| last.payload_text("reason"));
            ensure(reason == Some("cancelled"), || format!("it ended for {reason:?}"))?;
            ensure(seen.count("step_started") == 0, || "a step was begun".into())
        },
        ..plain()
    },
];

/// The way of a flow: node and turn.
const WAY: [(&str, u64); 5] = [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("c", 1)];

/// From `a` to `b`, once back, and then over `c` to the end; one turn kills its process.
fn flow(dies: &'static str, turn: u64) -> Outcome<Flow> {
    let body = move |s: &StepContext| -> StepResult {
        let text = format!("{} {}", s.name(), s.turn());
        s.write_bytes(ArtifactName::new(format!("{}.txt", s.name()))?, text.as_bytes())?;
        if (s.name().as_str(), s.turn()) == (dies, turn) {
            std::process::exit(0);
        }
        Ok(Signal::new(if s.name().as_str() == "b" && s.turn() == 1 { "again" } else { "on" }))
    };
    let flow = Flow::new("walk").node("a", body).on("on", "b").node("b", body);
    let flow = flow.again("again", "a", 1).on("on", "c").node("c", body).on("on", Ended::Success);
    Ok(flow.build()?)
}

fn run(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    let ended = flow("", 0)?.run(&ctx)?;
    ensure(ended == Ended::Success, || format!("it ended as {ended:?}"))?;
    for (node, turn) in WAY {
        acks.tell(&format!("turn {turn} {node}"))?;
    }
    acks.tell("closed")?;
    place.end();
    Ok(())
}

fn walked(seen: &Seen<'_>) -> Vec<(String, u64)> {
    let ends = seen.records.iter().filter(|record| record.text("event_type") == "step_completed");
    let turn = |value: &serde_json::Value| value.as_u64().unwrap_or_default();
    ends.map(|end| (end.text("stream_id").to_owned(), end.payload("turn").map_or(1, turn)))
        .collect()
}

/// It is somewhere on its way, and has left it nowhere.
fn on_its_way(seen: &Seen<'_>) -> Outcome {
    let walked = walked(seen);
    let is_prefix = walked.len() <= WAY.len()
        && walked.iter().zip(WAY).all(|(at, way)| (at.0.as_str(), at.1) == way);
    ensure(is_prefix, || format!("it went {walked:?}"))?;
    let last = |node: &str| walked.iter().rev().find(|at| at.0 == node).map(|at| at.1);
    for node in ["a", "b", "c"] {
        let expected = last(node).map_or(String::new(), |turn| format!("{node} {turn}"));
        let found = seen.artifact(&format!("{node}.txt"));
        ensure(found == expected, || format!("{node}.txt has {found:?}, not {expected:?}"))?;
    }
    ensure(seen.count("execution_complete") == 0 || walked.len() == WAY.len(), || {
        format!("it ended behind {walked:?}")
    })
}

fn at_its_end(seen: &Seen<'_>) -> Outcome {
    on_its_way(seen)?;
    let counts = (seen.count("loop_iteration"), seen.count("execution_complete"));
    ensure(counts == (4, 1), || format!("turns and ends: {counts:?}"))?;
    ensure(seen.count("flow_started") == 1, || "what it is was not recorded once".into())
}
