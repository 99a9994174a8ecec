//! Flows that run: where they go, what stops them, and what the journal says of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use runjournal::{
    Artifact, Cancel, Completion, Event, Flow, FlowDefinition, FlowError, Node, Outcome, Record,
    Retry, RunContext, RunStatus, Signal, Step, StepContext, StepError, StepFailure, StepResult,
    WorkspaceError, assert_run_snapshot,
};
use serde_json::{Value, json};

use crate::turns::{begin, cut, records};

const IN: Artifact<u32> = Artifact::json("in.json");
const OUT: Artifact<u32> = Artifact::json("out.json");
const REPORT: Artifact<Value> = Artifact::json("report.json");
const DAY: i64 = 86_400_000_000;

fn of_type(ctx: &RunContext, event_type: &str) -> Vec<Record> {
    records(ctx).into_iter().filter(|record| record.event_type() == event_type).collect()
}

/// The ends of attempts: `a done` for a signal, `a !` for a failure.
fn ends(ctx: &RunContext) -> Vec<String> {
    let end = |record: &Record| match record.event_type() {
        "step_completed" => {
            let payload: Value = record.payload().unwrap();
            Some(format!("{} {}", record.stream_id(), payload["signal"].as_str().unwrap()))
        }
        "step_failed" => Some(format!("{} !", record.stream_id())),
        _ => None,
    };
    records(ctx).iter().filter_map(end).collect()
}

fn errors(ctx: &RunContext) -> Vec<String> {
    let failed = of_type(ctx, "step_failed");
    let error = |record: &Record| record.payload::<Value>().unwrap()["error"].clone();
    let texts = failed.iter().map(|record| serde_json::from_value::<Vec<String>>(error(record)));
    texts.map(|texts| texts.unwrap().join(": ")).collect()
}

fn reason(ctx: &RunContext) -> Option<String> {
    ctx.run().unwrap().state().unwrap().reason
}

/// A node that always signals the same.
fn go(signal: &'static str) -> impl Fn(&StepContext) -> StepResult {
    move |_| Ok(signal.into())
}

fn fail(_: &StepContext) -> StepResult {
    Err(StepError::message("it cannot be done"))
}

fn never(_: &StepContext) -> StepResult {
    panic!("nobody leads here")
}

/// Signals `s1` at its first attempt, `s2` at the next one.
fn count(s: &StepContext) -> StepResult {
    Ok(Signal::new(format!("s{}", s.attempt())))
}

#[test]
fn signals_lead_from_node_to_node_and_the_journal_says_what_led_to_what() {
    let (test, ctx) = begin();
    let flow = Flow::new("walk")
        .node("a", go("left"))
        .on("right", "never")
        .on("left", "b")
        .node("b", count)
        .again("s1", "a", 1)
        .on("s2", Outcome::Success)
        .node("never", never)
        .on("x", Outcome::Failed)
        .build()
        .unwrap();
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx), ["a left", "b s1", "a left", "b s2"]);
    // The first visit has no cause; each further one has the end that led to it.
    let mut last = None;
    for record in records(&ctx) {
        match record.event_type() {
            "loop_iteration" | "step_started" => {
                assert_eq!(record.causation_event_id(), last, "seq {}", record.seq());
                assert_eq!(record.metadata::<Value>().unwrap()["flow"], "walk");
            }
            "step_completed" => last = Some(record.event_id()),
            _ => {}
        }
    }
    let turns: Vec<Value> =
        of_type(&ctx, "loop_iteration").iter().map(|r| r.payload().unwrap()).collect();
    assert_eq!(
        turns.iter().map(|p| p["index"].as_u64().unwrap()).collect::<Vec<_>>(),
        [1, 1, 2, 2]
    );
    let again: Vec<Value> =
        of_type(&ctx, "loop_iteration").iter().map(|r| r.metadata().unwrap()).collect();
    assert_eq!(again[2], json!({"flow": "walk", "from": "b", "signal": "s1", "again": 1}));
    // It holds nothing any more, and called again it changes nothing.
    assert!(test.task().lease().unwrap().unwrap().released);
    let length = records(&ctx).len();
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(records(&ctx).len(), length);
    let state = ctx.run().unwrap().state().unwrap();
    assert_eq!((state.steps_completed, state.steps_failed), (4, 0));
    assert_eq!(test.task().events().unwrap().of_type("lease_claimed").count(), 1);
}

#[test]
fn a_loop_goes_back_so_often_and_then_where_it_is_told() {
    let weak = |_: &StepContext| -> StepResult { Ok("weak".into()) };
    let (_test, ctx) = begin();
    let flow = Flow::new("loop").node("a", weak).again("weak", "a", 3).on("weak", Outcome::Failed);
    assert_eq!(flow.build().unwrap().run(&ctx).unwrap(), Outcome::Failed);
    assert_eq!(ends(&ctx).len(), 4);

    let (_test, ctx) = begin();
    let flow = |limit| {
        let flow = Flow::new("loop").node("a", weak).again("weak", "a", limit);
        flow.on("good", Outcome::Success).build().unwrap()
    };
    for _ in 0..2 {
        let stopped = flow(2).run(&ctx).unwrap_err();
        assert!(matches!(&stopped, FlowError::LoopLimit { limit: 2, .. }), "{stopped}");
        assert_eq!(ends(&ctx).len(), 3, "a limit that is reached runs nothing");
    }
    insta::assert_snapshot!(flow(2).run(&ctx).unwrap_err().to_string());
    // A limit that is raised, or lowered, counts all that was gone before.
    flow(4).run(&ctx).unwrap_err();
    assert_eq!(ends(&ctx).len(), 5);
    flow(1).run(&ctx).unwrap_err();
    assert_eq!(ends(&ctx).len(), 5);
    assert_eq!(ctx.run().unwrap().state().unwrap().status, RunStatus::Executing);
}

#[test]
fn two_edges_back_are_counted_each_for_itself() {
    let (_test, ctx) = begin();
    let turns = |s: &StepContext| Ok(Signal::new(if s.turn() % 2 == 1 { "odd" } else { "even" }));
    let flow = Flow::new("loop")
        .node("a", turns)
        .again("odd", "a", 3)
        .again("even", "a", 2)
        .on("even", Outcome::Success)
        .on("odd", Outcome::Failed);
    // odd 1, even 1, odd 2, even 2, odd 3, and the sixth turn is even.
    assert_eq!(flow.build().unwrap().run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx).len(), 6);
}

#[test]
fn a_signal_without_an_edge_stops_the_flow_until_there_is_one() {
    let (_test, ctx) = begin();
    let first = Flow::new("f").node("a", go("odd")).on("even", Outcome::Success).on("x\n", "a2");
    let first = first.node("a2", never).on("y", Outcome::Failed).build().unwrap();
    let told = first.run(&ctx).unwrap_err();
    let FlowError::Unrouted { node, signal, routed, .. } = &told else { panic!("{told}") };
    assert_eq!((node.as_str(), signal.as_str(), routed.len()), ("a", "odd", 2));
    insta::assert_snapshot!(told.to_string());
    first.run(&ctx).unwrap_err();
    assert_eq!(ends(&ctx), ["a odd"]);
    let mended = Flow::new("f").node("a", never).on("odd", "b").on("even", Outcome::Success);
    let mended = mended.node("b", go("done")).on("done", Outcome::Success).build().unwrap();
    assert_eq!(mended.run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx), ["a odd", "b done"]);
    // What it is was recorded when it began, and again when it was another.
    let recorded = of_type(&ctx, "flow_started");
    assert_eq!(recorded.len(), 2);
    assert_eq!((recorded[0].stream(), recorded[1].stream_version()), ("flow/RUN-1".into(), 1));
    let last = FlowDefinition::recorded(&ctx).unwrap().unwrap();
    let json = |flow: &FlowDefinition| serde_json::to_value(flow).unwrap();
    assert_eq!(json(&last), json(mended.definition()));
    let payload: Value = recorded[0].payload().unwrap();
    assert_eq!(payload, json!({"definition": json(first.definition())}));
}

#[test]
fn a_run_without_a_flow_has_none_recorded() {
    let (_test, ctx) = begin();
    ctx.append(Event::new("noted")).unwrap();
    assert!(FlowDefinition::recorded(&ctx).unwrap().is_none());
    assert!(ctx.append(Event::new("flow_started")).is_err(), "the library's own");
    assert!(ctx.append(Event::new("noted").stream("flow", "RUN-1")).is_err());
}

#[test]
fn a_node_that_fails_is_tried_again_and_then_left_by_its_failure_edge() {
    let (_test, ctx) = begin();
    let tried = |attempts| {
        let flow = Flow::new("f").node("a", fail).retry(Retry::attempts(attempts)).on_failure("b");
        flow.node("b", go("done")).on("done", Outcome::Failed).build().unwrap()
    };
    assert_eq!(tried(3).run(&ctx).unwrap(), Outcome::Failed);
    assert_eq!(ends(&ctx), ["a !", "a !", "a !", "b done"]);
    let begun = of_type(&ctx, "step_started");
    let failed = of_type(&ctx, "step_failed");
    for (begun, failed) in begun[1..].iter().zip(&failed) {
        assert_eq!(begun.causation_event_id(), Some(failed.event_id()));
    }
    let mark: Value = begun[3].metadata().unwrap();
    assert_eq!(mark, json!({"flow": "f", "from": "a"}));

    let (_test, ctx) = begin();
    let mend = |s: &StepContext| if s.attempt() == 2 { Ok("ok".into()) } else { fail(s) };
    let flow = Flow::new("f").node("a", mend).retry(Retry::attempts(3)).on("ok", Outcome::Success);
    assert_eq!(flow.build().unwrap().run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx), ["a !", "a ok"]);
}

#[test]
fn failures_are_counted_over_calls_and_deaths_are_none() {
    let flow = Flow::new("f").node("a", fail).retry(Retry::attempts(3)).on_failure(Outcome::Failed);
    let flow = flow.build().unwrap();
    let (_test, ctx) = begin();
    flow.run(&ctx).unwrap();
    let whole = records(&ctx);
    let at = |event_type: &str, n: usize| {
        let mut found = whole.iter().filter(|record| record.event_type() == event_type);
        usize::try_from(found.nth(n).unwrap().seq()).unwrap()
    };
    // Its process died behind two failures: one attempt is left.
    cut(&ctx, at("step_failed", 1));
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Failed);
    assert_eq!((of_type(&ctx, "step_started").len(), errors(&ctx).len()), (3, 3));
    // It died in the second one: two are left.
    cut(&ctx, at("step_started", 1));
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Failed);
    assert_eq!((of_type(&ctx, "step_started").len(), errors(&ctx).len()), (4, 3));
    // And in the one after two failures.
    cut(&ctx, of_type(&ctx, "step_started")[3].seq() as usize);
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Failed);
    assert_eq!((of_type(&ctx, "step_started").len(), errors(&ctx).len()), (5, 3));
    assert_eq!(ctx.run().unwrap().state().unwrap().steps_failed, 3);
}

#[test]
fn a_call_after_the_flow_gave_up_tries_as_often_again() {
    let (_test, ctx) = begin();
    let tries = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&tries);
    let flaky = move |s: &StepContext| {
        counted.fetch_add(1, Ordering::SeqCst);
        if s.attempt() == 8 { Ok("done".into()) } else { fail(s) }
    };
    let flow =
        Flow::new("f").node("a", flaky).retry(Retry::attempts(3)).on("done", Outcome::Success);
    let flow = flow.build().unwrap();
    for round in 1..=2 {
        let told = flow.run(&ctx).unwrap_err();
        let FlowError::Step(StepFailure::Failed { attempt, .. }) = &told else { panic!("{told}") };
        assert_eq!((*attempt, tries.load(Ordering::SeqCst)), (3 * round, 3 * round));
        assert_eq!(std::error::Error::source(&told).unwrap().to_string(), "it cannot be done");
    }
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(tries.load(Ordering::SeqCst), 8);
}

#[test]
fn a_pause_lies_between_attempts_and_grows() {
    let (_test, ctx) = begin();
    let starts = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&starts);
    let body = move |s: &StepContext| {
        noted.lock().unwrap().push(Instant::now());
        fail(s)
    };
    let retry = Retry::attempts(4).backoff(Duration::from_millis(40));
    let flow = Flow::new("f").node("a", body).retry(retry).on_failure(Outcome::Failed);
    flow.build().unwrap().run(&ctx).unwrap();
    let starts = starts.lock().unwrap();
    let pauses: Vec<_> = starts.windows(2).map(|two| two[1] - two[0]).collect();
    for (pause, least) in pauses.iter().zip([40, 80, 160]) {
        assert!(*pause >= Duration::from_millis(least), "{pauses:?}");
    }
}

#[test]
fn a_node_that_panics_or_writes_half_leaves_nothing_and_is_left_by_its_edge() {
    let (_test, ctx) = begin();
    ctx.artifacts().write(IN, &1).unwrap();
    let half = |s: &StepContext| {
        s.write(OUT, &(s.read(IN)? + 1))?;
        s.append(Event::new("noted"))?;
        // The other one it never comes to.
        fail(s)
    };
    let panics = |s: &StepContext| -> StepResult {
        s.remove(IN)?;
        panic!("oh no")
    };
    let flow = Flow::new("f")
        .node("half", half)
        .on_failure("panics")
        .node("panics", panics)
        .retry(Retry::attempts(2))
        .on_failure("last")
        .node("last", go("done"))
        .on("done", Outcome::Success);
    assert_eq!(flow.build().unwrap().run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx), ["half !", "panics !", "panics !", "last done"]);
    let panicked = "panicked: oh no";
    assert_eq!(errors(&ctx), ["it cannot be done", panicked, panicked]);
    assert!(!ctx.artifacts().exists(OUT).unwrap());
    assert_eq!(ctx.artifacts().read(IN).unwrap(), 1);
    assert_eq!(of_type(&ctx, "noted").len(), 0);
    assert_eq!(ctx.manifest().unwrap().compare(&ctx).unwrap(), []);
    assert_eq!(std::fs::read_dir(ctx.run_path().join(".tmp")).unwrap().count(), 0);
    assert_run_snapshot!(ctx);

    // Without an edge it is told, and the run is open.
    let (_test, ctx) = begin();
    ctx.artifacts().write(IN, &1).unwrap();
    let flow = Flow::new("f").node("panics", panics).on("x", Outcome::Success).build().unwrap();
    let told = flow.run(&ctx).unwrap_err();
    assert!(
        matches!(&told, FlowError::Step(StepFailure::Panicked { message, .. }) if message == "oh no")
    );
    assert!(!ctx.run().unwrap().state().unwrap().status.is_final());
}

#[test]
fn a_node_may_remove_what_it_reads_and_who_misses_it_is_told() {
    let (_test, ctx) = begin();
    ctx.artifacts().write(IN, &1).unwrap();
    let remove = |s: &StepContext| {
        s.read(IN)?;
        s.remove(IN)?;
        Ok("removed".into())
    };
    let flow = Flow::new("f")
        .node("remove", remove)
        .on("removed", "declared")
        .node(Step::new("declared").input(IN), never)
        .retry(Retry::attempts(2))
        .on_failure("seen")
        .node("seen", |s: &StepContext| Ok(Signal::new(s.read(IN)?.to_string())))
        .on("1", Outcome::Failed)
        .on_failure(Outcome::Success);
    assert_eq!(flow.build().unwrap().run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx), ["remove removed", "declared !", "declared !", "seen !"]);
    let errors = errors(&ctx);
    assert!(errors[0].contains("its input in.json is not there"), "{errors:?}");
    assert_eq!(of_type(&ctx, "step_started").len(), 4, "a missing input is an attempt");
}

#[test]
fn an_input_that_vanishes_behind_the_journals_back_fails_the_node() {
    let (_test, ctx) = begin();
    ctx.artifacts().write(IN, &1).unwrap();
    let path = ctx.artifact_path(&IN.into());
    let behind = move |s: &StepContext| {
        s.read(IN)?;
        std::fs::remove_file(&path)?;
        s.write(OUT, &2)?;
        Ok("done".into())
    };
    let declared = |s: &StepContext| Ok(Signal::new(s.read(IN)?.to_string()));
    let flow = Flow::new("f")
        .node("behind", behind)
        .on("done", "declared")
        .on_failure("failed")
        .node(Step::new("declared").input(IN), declared)
        .on("1", Outcome::Success)
        .on_failure("failed")
        .node("failed", go("done"))
        .on("done", Outcome::Failed)
        .build()
        .unwrap();
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Failed);
    assert_eq!(ends(&ctx).last().unwrap(), "failed done");
    // Whatever the node came to, its output is there whole or not at all.
    let completed = of_type(&ctx, "step_completed").iter().any(|r| r.stream_id() == "behind");
    assert_eq!(ctx.artifacts().exists(OUT).unwrap(), completed);
}

#[test]
fn a_missing_input_without_an_edge_is_told_and_later_found() {
    let (_test, ctx) = begin();
    let read = |s: &StepContext| Ok(Signal::new(s.read(IN)?.to_string()));
    let flow = Flow::new("f").node(Step::new("read").input(IN), read).on("1", Outcome::Success);
    let flow = flow.build().unwrap();
    let told = flow.run(&ctx).unwrap_err();
    assert!(matches!(told, FlowError::Step(StepFailure::InputMissing { .. })), "{told}");
    // By now nobody holds the task, and its runs are closed to strangers: who claims it writes.
    let claimed = ctx.task().unwrap().claim("ana", Duration::from_secs(60)).unwrap();
    let mine = claimed.task().run("RUN-1").unwrap().context().clone();
    mine.artifacts().write(IN, &1).unwrap();
    claimed.release().unwrap();
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx), ["read !", "read 1"]);
}

#[test]
fn who_cancels_ends_the_run_before_its_next_step() {
    let (_test, ctx) = begin();
    let cancel = Cancel::new();
    let theirs = cancel.clone();
    let first = move |s: &StepContext| {
        theirs.cancel();
        s.write(OUT, &1)?;
        Ok("on".into())
    };
    let flow = Flow::new("f").node("a", first).on("on", "b").node("b", never);
    let flow = flow.on("x", Outcome::Success).build().unwrap();
    assert_eq!(flow.runner(&ctx).cancelled_by(&cancel).run().unwrap(), Outcome::Failed);
    assert_eq!(ends(&ctx), ["a on"], "what was under way is finished");
    assert_eq!(reason(&ctx).as_deref(), Some("cancelled"));
    assert_eq!(ctx.artifacts().read(OUT).unwrap(), 1);
    // It is over, for who does not cancel as well.
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Failed);

    let (_test, ctx) = begin();
    assert_eq!(flow.runner(&ctx).cancelled_by(&cancel).run().unwrap(), Outcome::Failed);
    assert_eq!((ends(&ctx).len(), reason(&ctx).as_deref()), (0, Some("cancelled")));
    // A run that ended before is not cancelled.
    let (_test, ctx) = begin();
    ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
    assert_eq!(flow.runner(&ctx).cancelled_by(&cancel).run().unwrap(), Outcome::Success);
}

#[test]
fn a_pause_and_a_body_that_asks_end_when_somebody_cancels() {
    let hour = Retry::attempts(2).backoff(Duration::from_secs(3600));
    let asks = |s: &StepContext| {
        while !s.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(StepError::message("told to end"))
    };
    let paused = Flow::new("f").node("a", fail).retry(hour).on("x", Outcome::Success);
    let asking = Flow::new("f").node("a", asks).retry(hour).on_failure("b").node("b", never);
    for (flow, error) in
        [(paused, "it cannot be done"), (asking.on("x", Outcome::Success), "told to end")]
    {
        let (_test, ctx) = begin();
        let (flow, cancel) = (flow.build().unwrap(), Cancel::new());
        let ended = std::thread::scope(|scope| {
            let runner = scope.spawn(|| flow.runner(&ctx).cancelled_by(&cancel).run());
            std::thread::sleep(Duration::from_millis(150));
            assert!(!runner.is_finished());
            let asked = Instant::now();
            cancel.cancel();
            let ended = runner.join().unwrap().unwrap();
            assert!(asked.elapsed() < Duration::from_secs(20));
            ended
        });
        assert_eq!((ended, reason(&ctx).as_deref()), (Outcome::Failed, Some("cancelled")));
        assert_eq!(errors(&ctx), [error]);
    }
}

#[test]
fn a_run_that_somebody_else_ends_meanwhile_has_ended_so() {
    let (_test, ctx) = begin();
    let ends_it = |s: &StepContext| {
        s.context().run()?.complete(Outcome::Failed, Some("enough"))?;
        Ok("done".into())
    };
    let flow = Flow::new("f").node("a", ends_it).on("done", Outcome::Success).build().unwrap();
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Failed);
    assert_eq!(reason(&ctx).as_deref(), Some("enough"));
    assert_eq!(records(&ctx).last().unwrap().event_type(), "execution_complete");
}

#[test]
fn an_end_that_requires_a_report_waits_for_one_that_passes() {
    let (_test, ctx) = begin();
    let status = Arc::new(Mutex::new("failed"));
    let theirs = Arc::clone(&status);
    let report = move |s: &StepContext| {
        s.write(REPORT, &json!({"status": *theirs.lock().unwrap()}))?;
        Ok("reported".into())
    };
    let flow = Flow::new("f")
        .node("report", report)
        .on("reported", Completion::success().require(REPORT).because("all is well"))
        .build()
        .unwrap();
    for _ in 0..2 {
        let told = flow.run(&ctx).unwrap_err();
        assert!(matches!(told, FlowError::Workspace(WorkspaceError::NotPassed { .. })), "{told}");
    }
    assert_eq!(ends(&ctx), ["report reported"]);
    let claimed = ctx.task().unwrap().claim("ana", Duration::from_secs(60)).unwrap();
    let mine = claimed.task().run("RUN-1").unwrap().context().clone();
    mine.artifacts().write(REPORT, &json!({"status": "passed"})).unwrap();
    claimed.release().unwrap();
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(reason(&ctx).as_deref(), Some("all is well"));
    let last: Value = records(&ctx).pop().unwrap().payload().unwrap();
    assert_eq!(last["required"][0]["path"], "report.json");
}

#[test]
fn a_flow_that_was_changed_goes_on_from_where_the_run_stands() {
    let (_test, ctx) = begin();
    let old = Flow::new("f").node("a", go("on")).on("on", "b").node("b", fail);
    old.on("x", Outcome::Success).build().unwrap().run(&ctx).unwrap_err();
    // The node where it stands is gone.
    let gone = Flow::new("f").node("a", never).on("on", Outcome::Success).build().unwrap();
    let told = gone.run(&ctx).unwrap_err();
    let FlowError::NoSuchNode { node, .. } = &told else { panic!("{told}") };
    assert_eq!(node.as_str(), "b");
    assert_eq!(ends(&ctx), ["a on", "b !"]);
    // Another one comes before it, and one behind.
    let added = Flow::new("f").node("new", never).on("on", "a").node("a", never).on("on", "b");
    let added = added.node("b", go("x")).on("x", "c").node("c", go("x")).on("x", Outcome::Success);
    assert_eq!(added.build().unwrap().run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx), ["a on", "b !", "b x", "c x"]);
    assert_eq!(of_type(&ctx, "flow_started").len(), 3);
}

#[test]
fn two_flows_in_one_run_stand_each_for_itself() {
    let (_test, ctx) = begin();
    let first = |at: &'static str| {
        let flow = Flow::new("first").node("a", go("on")).on("on", "b").node("b", count);
        flow.on(at, Outcome::Success).build().unwrap()
    };
    assert!(matches!(first("s9").run(&ctx), Err(FlowError::Unrouted { .. })));
    let second = Flow::new("second").node("c", go("on")).on("on", "d").node("d", fail);
    let second = second.on("x", Outcome::Success).build().unwrap();
    assert!(matches!(second.run(&ctx), Err(FlowError::Step(_))));
    // What the second one did is not where the first one stands.
    assert!(matches!(first("s9").run(&ctx), Err(FlowError::Unrouted { .. })));
    assert_eq!(ends(&ctx), ["a on", "b s1", "c on", "d !"]);
    assert_eq!(first("s1").run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(second.run(&ctx).unwrap(), Outcome::Success, "the run is over for both");
    assert_eq!(of_type(&ctx, "flow_started").len(), 4, "each that follows another says what it is");
}

#[test]
fn a_node_that_was_run_by_hand_is_not_run_again() {
    let (_test, ctx) = begin();
    ctx.step("a", go("on")).unwrap();
    ctx.step("b", fail).unwrap_err();
    let flow = Flow::new("f").node("a", never).on("on", "b").node("b", count);
    let flow = flow.on("s2", Outcome::Success).build().unwrap();
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx), ["a on", "b !", "b s2"]);

    // A node that a flow gave up on, done by hand: the flow goes on behind it.
    let (test, ctx) = begin();
    let flow = Flow::new("f").node("a", fail).on("by_hand", "b").node("b", go("x"));
    let flow = flow.on("x", Outcome::Success).build().unwrap();
    flow.run(&ctx).unwrap_err();
    let claimed = test.task().claim("ana", Duration::from_secs(60)).unwrap();
    let mine = claimed.task().run("RUN-1").unwrap().context().clone();
    mine.step("a", go("by_hand")).unwrap();
    claimed.release().unwrap();
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx), ["a !", "a by_hand", "b x"]);
}

#[test]
fn a_loop_over_a_node_that_was_run_by_hand_goes_the_same_way_after_a_crash() {
    let flow = Flow::new("f").node("a", count).on("s1", "b").on("s2", "b").on("s3", "b");
    let flow =
        flow.node("b", count).again("s1", "a", 5).again("s2", "a", 5).on("s3", Outcome::Success);
    let flow = flow.build().unwrap();
    let (_test, ctx) = begin();
    ctx.step("a", count).unwrap();
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    let whole = ends(&ctx);
    assert_eq!(whole, ["a s1", "b s1", "a s2", "b s2", "a s3", "b s3"]);
    // Killed as `b` was done for the first time: `a` was never begun by the flow.
    let killed = of_type(&ctx, "step_completed")[1].seq();
    cut(&ctx, usize::try_from(killed).unwrap());
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx), whole);
}

#[test]
fn a_node_of_a_loop_that_is_left_by_its_failure_edge_is_come_back_to() {
    let (_test, ctx) = begin();
    let flaky = |s: &StepContext| {
        if s.attempt() > 3 { Ok(Signal::new(s.turn().to_string())) } else { fail(s) }
    };
    let flow = Flow::new("f")
        .node("try", flaky)
        .again("1", "try", 1)
        .on("2", Outcome::Success)
        .on_failure("help")
        .node("help", go("helped"))
        .again("helped", "try", 5);
    let flow = flow.on("helped", Outcome::Failed).build().unwrap();
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    let way =
        ["try !", "help helped", "try !", "help helped", "try !", "help helped", "try 1", "try 2"];
    assert_eq!(ends(&ctx), way);
    // A turn that failed is no turn that is done: the next visit does it.
    let begun = of_type(&ctx, "loop_iteration");
    assert_eq!(begun.iter().filter(|record| record.stream_id() == "try").count(), 2);
    for records in 1..records(&ctx).len() {
        cut(&ctx, records);
        assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
        let again: Vec<_> = ends(&ctx).into_iter().filter(|end| end.starts_with("help")).collect();
        assert!(again.len() <= 3, "{again:?}");
        assert_eq!(ends(&ctx).last().unwrap(), "try 2");
    }
}

#[test]
fn a_loop_that_is_taken_out_is_finished_where_it_stands() {
    let (_test, ctx) = begin();
    let body = |s: &StepContext| match (s.turn(), s.attempt()) {
        (1, _) => Ok("again".into()),
        (_, 2) => fail(s),
        _ => Ok("second".into()),
    };
    let looped =
        Flow::new("f").node("a", body).again("again", "a", 3).on("second", Outcome::Success);
    looped.build().unwrap().run(&ctx).unwrap_err();
    let straight = Flow::new("f").node("a", body).on("second", Outcome::Success);
    assert_eq!(straight.build().unwrap().run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx), ["a again", "a !", "a second"]);
}

/// A node that works while the run is in a state.
struct In(RunStatus, &'static str);

impl Node for In {
    fn run(&self, s: &StepContext) -> StepResult {
        let status = s.context().run()?.state()?.status;
        assert!(
            status == self.0 || self.0.is_final() && status == RunStatus::Executing,
            "{status}"
        );
        Ok(self.1.into())
    }

    fn phase(&self) -> RunStatus {
        self.0
    }
}

#[test]
fn the_run_is_in_the_state_of_the_node_that_works() {
    use RunStatus::{Executing, Planning, Verifying};
    let (_test, ctx) = begin();
    let flow = Flow::new("f")
        .node("check", In(Verifying, "x"))
        .on("x", "plan")
        .node("plan", In(Planning, "x"))
        .on("x", "verify")
        .node("verify", In(Verifying, "x"))
        .on("x", "work")
        .node("work", In(Executing, "x"))
        .on("x", "more")
        .node("more", In(Executing, "x"))
        .on("x", "end")
        .node("end", In(Executing, "x"))
        .on("x", "replan")
        .node("replan", In(Planning, "x"))
        .on("x", Outcome::Success);
    assert_eq!(flow.build().unwrap().run(&ctx).unwrap(), Outcome::Success);
    let moves: Vec<Value> =
        of_type(&ctx, "run_status_changed").iter().map(|r| r.payload().unwrap()).collect();
    let to: Vec<_> = moves.iter().map(|moved| moved["to"].as_str().unwrap()).collect();
    assert_eq!(
        to,
        [
            "EXECUTING",
            "VERIFYING",
            "PLANNING",
            "EXECUTING",
            "VERIFYING",
            "EXECUTING",
            "PLANNING",
            "EXECUTING"
        ]
    );
}

#[test]
fn one_flow_at_a_time_runs_in_a_task() {
    let (test, ctx) = begin();
    let other = test.start_run("RUN-2").unwrap();
    let inner = Flow::new("inner").node("a", never).on("x", Outcome::Success).build().unwrap();
    let tried = Arc::new(AtomicU64::new(0));
    let (runs, count) = ([ctx.clone(), other.clone()], Arc::clone(&tried));
    let outer = move |_: &StepContext| -> StepResult {
        for run in &runs {
            let told = inner.run(run).unwrap_err();
            let FlowError::AlreadyRunning { flow, run: named, holder, .. } = &told else {
                panic!("{told}")
            };
            assert_eq!((flow.as_str(), named), ("inner", run.run_id()));
            assert!(holder.contains(&std::process::id().to_string()), "{holder}");
            count.fetch_add(1, Ordering::SeqCst);
        }
        // From another thread it is told the same.
        let told = std::thread::scope(|scope| scope.spawn(|| inner.run(&runs[1])).join().unwrap());
        assert!(matches!(told, Err(FlowError::AlreadyRunning { .. })));
        Ok("x".into())
    };
    let flow = Flow::new("outer").node("a", outer).on("x", Outcome::Success).build().unwrap();
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(tried.load(Ordering::SeqCst), 2);
    let told: Vec<_> = records(&other).iter().map(|r| r.event_type().to_owned()).collect();
    assert_eq!(told, ["lease_bound"], "who is refused writes nothing");
    // Now it is free, in the other run as well.
    let free = Flow::new("inner").node("a", go("x")).on("x", Outcome::Success).build().unwrap();
    assert_eq!(free.run(&other).unwrap(), Outcome::Success);
}

#[test]
fn a_flow_does_not_run_where_a_worker_holds_the_task() {
    let (test, ctx) = begin();
    let flow = Flow::new("f").node("a", go("x")).on("x", Outcome::Success).build().unwrap();
    let lease = test.task().claim("ana", Duration::from_secs(60)).unwrap();
    let told = flow.run(&ctx).unwrap_err();
    insta::assert_snapshot!(told.to_string());
    assert!(matches!(told, FlowError::AlreadyRunning { .. }));
    // With her lease it does, and keeps it.
    let hers = lease.task().run("RUN-1").unwrap().context().clone();
    assert_eq!(flow.run(&hers).unwrap(), Outcome::Success);
    assert!(!test.task().lease().unwrap().unwrap().released);
    assert_eq!(test.task().events().unwrap().of_type("lease_claimed").count(), 1);
    lease.release().unwrap();
}

#[test]
fn of_two_runners_with_one_lease_one_does_a_step() {
    let (test, ctx) = begin();
    let lease = test.task().claim("ana", Duration::from_secs(60)).unwrap();
    let hers = lease.task().run("RUN-1").unwrap().context().clone();
    let flow = |body: fn(&StepContext) -> StepResult| {
        Flow::new("f").node("a", body).on("x", Outcome::Success).build().unwrap()
    };
    let second = flow(never);
    let (theirs, outer) = (hers.clone(), Flow::new("f"));
    let outer = outer.node("a", move |_: &StepContext| {
        let told = second.run(&theirs).unwrap_err();
        assert!(matches!(&told, FlowError::AlreadyRunning { .. }), "{told}");
        Ok("x".into())
    });
    let outer = outer.on("x", Outcome::Success).build().unwrap();
    assert_eq!(outer.run(&hers).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx), ["a x"]);
}

#[test]
fn a_flow_whose_task_somebody_else_claims_is_refused_and_commits_nothing() {
    let (test, ctx) = begin();
    let task = test.task().clone();
    let clock = Arc::new(test);
    let theirs = Arc::clone(&clock);
    let stolen = move |s: &StepContext| {
        s.write(OUT, &1)?;
        theirs.clock().advance(2 * DAY);
        task.claim("thief", Duration::from_secs(60))?;
        Ok("x".into())
    };
    let flow = Flow::new("f").node("a", stolen).on("x", Outcome::Success).on_failure("b");
    let flow = flow.node("b", never).on("x", Outcome::Failed).build().unwrap();
    let told = flow.run(&ctx).unwrap_err();
    assert!(matches!(told, FlowError::LeaseLost { .. }), "{told:?}");
    assert!(!ctx.artifacts().exists(OUT).unwrap());
    assert_eq!(ends(&ctx).len(), 0);
    assert!(matches!(flow.run(&ctx), Err(FlowError::AlreadyRunning { .. })));
}

#[test]
fn clocks_may_jump_by_days() {
    let (test, ctx) = begin();
    let test = Arc::new(test);
    let jumps = Arc::clone(&test);
    let jump = move |s: &StepContext| {
        jumps.clock().advance(if s.turn() % 2 == 1 { 10 * DAY } else { -19 * DAY });
        Ok("x".into())
    };
    let flow = Flow::new("f").node("a", jump).again("x", "a", 9).on("x", Outcome::Success);
    assert_eq!(flow.build().unwrap().run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ends(&ctx).len(), 10);
    let durations: BTreeMap<u64, Value> = of_type(&ctx, "step_completed")
        .iter()
        .map(|record| (record.seq(), record.payload::<Value>().unwrap()["duration_ms"].clone()))
        .collect();
    assert!(durations.values().all(Value::is_u64), "{durations:?}");
}

#[test]
fn a_node_that_goes_around_is_skipped_where_nothing_is_new() {
    let (_test, ctx) = begin();
    ctx.artifacts().write(IN, &1).unwrap();
    let ran = Arc::new(AtomicU64::new(0));
    let theirs = Arc::clone(&ran);
    let copy = move |s: &StepContext| {
        theirs.fetch_add(1, Ordering::SeqCst);
        s.write(OUT, &s.read(IN)?)?;
        Ok("copied".into())
    };
    let change = |s: &StepContext| {
        if s.turn() == 2 {
            s.write(IN, &2)?;
        }
        Ok("again".into())
    };
    let flow = Flow::new("f")
        .node(Step::new("copy").skip_if_unchanged(), copy)
        .on("copied", "change")
        .node("change", change)
        .again("again", "copy", 3)
        .on("again", Outcome::Success);
    assert_eq!(flow.build().unwrap().run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(ran.load(Ordering::SeqCst), 2);
    let copies = of_type(&ctx, "step_completed");
    let copies = copies.iter().filter(|record| record.stream_id() == "copy");
    let same: Vec<Value> =
        copies.map(|record| record.payload::<Value>().unwrap()["same_as"].clone()).collect();
    assert_eq!(same, [json!(null), json!(1), json!(null), json!(3)]);
    assert_eq!(ctx.artifacts().read(OUT).unwrap(), 2);
}

struct Phased(RunStatus);

impl Node for Phased {
    fn run(&self, _: &StepContext) -> StepResult {
        Ok("y".into())
    }

    fn phase(&self) -> RunStatus {
        self.0
    }
}

#[test]
fn who_waits_while_another_ends_the_run_is_told_how() {
    let (_test, ctx) = begin();
    let gate = Arc::new(AtomicU64::new(0));
    let cancel = Cancel::new();
    let (g, c) = (gate.clone(), cancel.clone());
    let flow = Flow::new("f")
        .node("a", move |_: &StepContext| {
            g.store(1, Ordering::SeqCst);
            while g.load(Ordering::SeqCst) < 2 {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(60));
            c.cancel();
            Ok("x".into())
        })
        .on("x", "b")
        .node("b", Phased(RunStatus::Verifying))
        .on("y", Outcome::Success)
        .build()
        .unwrap();
    std::thread::scope(|s| {
        let one = s.spawn(|| flow.runner(&ctx).cancelled_by(&cancel).run());
        while gate.load(Ordering::SeqCst) < 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
        gate.store(2, Ordering::SeqCst);
        let two = flow.run(&ctx);
        let one = one.join().unwrap();
        assert_eq!(one.unwrap(), Outcome::Failed);
        assert_eq!(two.unwrap(), Outcome::Failed);
    });
}

#[test]
fn a_later_turn_that_fails_by_hand_is_not_the_flow_s() {
    let (_test, ctx) = begin();
    let stop = Cancel::new();
    let s1 = stop.clone();
    let flow = Flow::new("f")
        .node("a", move |_: &StepContext| {
            s1.cancel();
            Ok("ok".into())
        })
        .on("ok", "b")
        .on_failure(Completion::failure().because("a failed"))
        .node("b", |_: &StepContext| Ok("y".into()))
        .on("y", Outcome::Success)
        .build()
        .unwrap();
    assert!(matches!(flow.runner(&ctx).stopped_by(&stop).run(), Err(FlowError::Stopped { .. })));
    let lease = ctx.task().unwrap().claim("me", Duration::from_secs(60)).unwrap();
    let mine = lease.task().open_or_start_run("RUN-1").unwrap();
    assert!(mine.step(Step::new("a").turn(2), |_| Err(StepError::message("by hand"))).is_err());
    lease.release().unwrap();
    let ended = flow.run(&ctx);
    assert_eq!(ended.unwrap(), Outcome::Success, "{:?}", reason(&ctx));
}

#[test]
fn a_later_turn_by_hand_does_not_route_the_one_before() {
    let (_test, ctx) = begin();
    let stop = Cancel::new();
    let s1 = stop.clone();
    let n = Arc::new(AtomicU64::new(0));
    let n2 = n.clone();
    let flow = Flow::new("f")
        .node("a", move |s: &StepContext| {
            s1.cancel();
            Ok(if s.turn() == 1 { "weak" } else { "good" }.into())
        })
        .on("weak", "b")
        .on("good", Outcome::Success)
        .node("b", move |_: &StepContext| {
            n2.fetch_add(1, Ordering::SeqCst);
            Ok("y".into())
        })
        .again("y", "a", 3)
        .on("y", Outcome::Failed)
        .build()
        .unwrap();
    assert!(matches!(flow.runner(&ctx).stopped_by(&stop).run(), Err(FlowError::Stopped { .. })));
    let lease = ctx.task().unwrap().claim("me", Duration::from_secs(60)).unwrap();
    let mine = lease.task().open_or_start_run("RUN-1").unwrap();
    mine.step(Step::new("a").turn(2), |_| Ok("good".into())).unwrap();
    lease.release().unwrap();
    flow.run(&ctx).unwrap();
    assert_eq!(n.load(Ordering::SeqCst), 1, "b was skipped");
}
