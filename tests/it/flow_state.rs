//! Where a flow stands, as the journal says it; flows that are stopped; flows in files.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use runjournal::testing::TestWorkspace;
use runjournal::*;
use serde_json::Value;

fn run() -> (TestWorkspace, RunContext) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    (test, ctx)
}

fn state(flow: &Flow, ctx: &RunContext) -> FlowState {
    flow.definition().state(ctx).unwrap()
}

fn stand(flow: &Flow, ctx: &RunContext) -> FlowStand {
    state(flow, ctx).at.unwrap().stand
}

fn next_node(name: &str, turn: u64) -> Option<FlowNext> {
    Some(FlowNext::Node { node: StepName::new(name).unwrap(), turn })
}

/// `write` and `review`, as often as it takes; each body is called with its turn.
fn essay(good: u64, body: impl Fn(&StepContext) + Clone + Send + Sync + 'static) -> Flow {
    let before = body.clone();
    let write = move |s: &StepContext| {
        before(s);
        Ok(Signal::new("written"))
    };
    let review = move |s: &StepContext| {
        body(s);
        Ok(Signal::new(if s.turn() < good { "weak" } else { "good" }))
    };
    Flow::new("essay")
        .node("write", write)
        .on("written", "review")
        .node("review", review)
        .again("weak", "write", 3)
        .on("good", Outcome::Success)
        .build()
        .unwrap()
}

#[test]
fn a_state_says_what_was_done_and_what_is_next() {
    let (_test, ctx) = run();
    let seen: Arc<Mutex<Vec<FlowState>>> = Arc::default();
    let (kept, of) = (seen.clone(), essay(2, |_| {}).definition().clone());
    let at = ctx.clone();
    let flow = essay(2, move |_| kept.lock().unwrap().push(of.state(&at).unwrap()));

    let before = state(&flow, &ctx);
    assert_eq!((before.status, before.outcome, &before.at), (RunStatus::default(), None, &None));
    assert_eq!((before.next, before.holder), (next_node("write", 1), None));
    assert!(before.nodes.iter().all(|node| node.visits == 0 && node.last_ended_at.is_none()));

    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    let seen = seen.lock().unwrap();
    let told: Vec<_> = seen
        .iter()
        .map(|state| {
            let at = state.at.clone().unwrap();
            assert_eq!((at.stand, &state.next), (FlowStand::Running, &None));
            assert!(state.holder.as_deref().unwrap().contains("which is this one"));
            assert_eq!(state.status, RunStatus::Executing);
            (at.node.to_string(), at.turn, at.attempt)
        })
        .collect();
    let told: Vec<_> = told.iter().map(|(node, turn, n)| (node.as_str(), *turn, *n)).collect();
    assert_eq!(told, [("write", 1, 1), ("review", 1, 1), ("write", 2, 2), ("review", 2, 2)]);

    let after = state(&flow, &ctx);
    assert_eq!((after.status, after.outcome), (RunStatus::Success, Some(Outcome::Success)));
    assert_eq!((after.next, after.holder), (None, None));
    assert_eq!(after.at.unwrap().stand, FlowStand::Completed("good".into()));
    let counts: Vec<_> = after
        .nodes
        .iter()
        .map(|node| (node.visits, node.attempts, node.last_signal.clone().unwrap().to_string()))
        .collect();
    assert_eq!(counts, [(2, 2, "written".to_owned()), (2, 2, "good".to_owned())]);
}

#[test]
fn a_stop_leaves_the_run_open_and_the_state_names_the_node_that_follows() {
    let (_test, ctx) = run();
    let visited: Arc<Mutex<Vec<(String, u64)>>> = Arc::default();
    let wish: Arc<Mutex<Cancel>> = Arc::default();
    let (kept, told) = (visited.clone(), wish.clone());
    let flow = essay(3, move |s| {
        kept.lock().unwrap().push((s.name().to_string(), s.turn()));
        told.lock().unwrap().cancel();
    });
    let outcome = loop {
        let state = state(&flow, &ctx);
        assert_eq!(state.holder, None);
        let stop = Cancel::new();
        *wish.lock().unwrap() = stop.clone();
        let count = visited.lock().unwrap().len();
        let ended = flow.runner(&ctx).stopped_by(&stop).run();
        match (state.next.unwrap(), visited.lock().unwrap().get(count)) {
            (FlowNext::Node { node, turn }, Some(visit)) => {
                assert_eq!((node.as_str(), turn), (visit.0.as_str(), visit.1));
            }
            (FlowNext::End { outcome, .. }, None) => break (outcome, ended.unwrap()),
            other => panic!("{other:?}"),
        }
        assert!(matches!(ended, Err(FlowError::Stopped { .. })), "{ended:?}");
        assert!(!ctx.run().unwrap().state().unwrap().status.is_final());
    };
    assert_eq!(outcome, (Outcome::Success, Outcome::Success));
    assert_eq!(visited.lock().unwrap().len(), 6);
}

/// A node that has one attempt, and fails once it is told to end.
fn told_to_end(cancel: &Cancel) -> (Flow, Arc<AtomicU64>) {
    let (calls, cancel) = (Arc::new(AtomicU64::new(0)), cancel.clone());
    let counted = calls.clone();
    let body = move |s: &StepContext| {
        if counted.fetch_add(1, Ordering::Relaxed) == 0 {
            cancel.cancel();
            assert!(s.is_cancelled(), "the step hears it");
            return Err(StepError::message("told to end\nand did"));
        }
        Ok(Signal::new("done"))
    };
    let flow = Flow::new("one").node("work", body).on("done", Outcome::Success);
    (flow.on_failure(Outcome::Failed).build().unwrap(), calls)
}

#[test]
fn an_attempt_that_a_stop_ended_takes_no_attempt_away() {
    let (_test, ctx) = run();
    let stop = Cancel::new();
    let (flow, calls) = told_to_end(&stop);
    let stopped = flow.runner(&ctx).stopped_by(&stop).run().unwrap_err();
    assert_eq!(
        stopped.to_string(),
        "the flow one was stopped; run it again, and it goes on from where it stands"
    );
    let failed = ctx.events().unwrap().of_type("step_failed").last(1).unwrap().next().unwrap();
    assert_eq!(failed.unwrap().payload::<Value>().unwrap()["cancelled"], true);
    assert_eq!(stand(&flow, &ctx), FlowStand::Failed("told to end\nand did".to_owned()));
    // Its one attempt is not used up: it is tried again, instead of following the edge of a failure.
    assert_eq!(state(&flow, &ctx).next, next_node("work", 1));
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    let work = &state(&flow, &ctx).nodes[0];
    assert_eq!((work.visits, work.attempts), (1, 2));
}

#[test]
fn a_stop_is_heard_in_a_pause() {
    let (_test, ctx) = run();
    let flow = Flow::new("slow")
        .node("work", |_: &StepContext| Err(StepError::message("not yet")))
        .retry(Retry::attempts(2).backoff(Duration::from_secs(60)))
        .on("done", Outcome::Success)
        .build()
        .unwrap();
    let (stop, from) = (Cancel::new(), Instant::now());
    let stopped = std::thread::scope(|scope| {
        let running = scope.spawn(|| flow.runner(&ctx).stopped_by(&stop).run());
        while state(&flow, &ctx).nodes[0].last_error.is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.cancel();
        running.join().unwrap()
    });
    assert!(matches!(stopped, Err(FlowError::Stopped { .. })), "{stopped:?}");
    assert!(from.elapsed() < Duration::from_secs(30));
    let failed = ctx.events().unwrap().of_type("step_failed").last(1).unwrap().next().unwrap();
    let failed = failed.unwrap().payload::<Value>().unwrap();
    assert_eq!(failed.get("cancelled"), None, "it failed by itself, before the stop");
}

#[test]
fn who_looks_keeps_nobody_from_running() {
    let (test, ctx) = run();
    let flow = essay(1, |_| {});
    flow.run(&ctx).unwrap();
    let ctx = test.start_run("RUN-2").unwrap();
    // As a look has it, only longer.
    let lock = ctx.task().unwrap().path().join("journal/.flow");
    let lock = std::fs::File::open(lock).unwrap();
    lock.lock_shared().unwrap();
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            lock.unlock().unwrap();
        });
        flow.run(&ctx)
    });
    assert_eq!(ended.unwrap(), Outcome::Success);
}

#[test]
fn a_cancelled_flow_ends_and_wins_over_a_stop() {
    let (_test, ctx) = run();
    let cancel = Cancel::new();
    let (flow, _) = told_to_end(&cancel);
    let ended = flow.runner(&ctx).stopped_by(&cancel).cancelled_by(&cancel).run().unwrap();
    assert_eq!(ended, Outcome::Failed);
    assert_eq!(state(&flow, &ctx).reason.as_deref(), Some("cancelled"));
}

#[test]
fn a_failure_an_unknown_signal_and_a_limit_are_told() {
    let (test, ctx) = run();
    let fails = Arc::new(AtomicBool::new(true));
    let wish = fails.clone();
    let work = move |_: &StepContext| match wish.load(Ordering::Relaxed) {
        true => Err(StepError::message("no disk")),
        false => Ok(Signal::new("what")),
    };
    let flow = Flow::new("one").node("work", work).on("done", Outcome::Success).build().unwrap();
    assert!(matches!(flow.run(&ctx), Err(FlowError::Step(_))));
    let failed = state(&flow, &ctx);
    assert_eq!(failed.at.unwrap().stand, FlowStand::Failed("no disk".to_owned()));
    assert_eq!(failed.next, next_node("work", 1));
    let work = &failed.nodes[0];
    assert_eq!((&work.last_signal, work.last_error.as_deref()), (&None, Some("no disk")));

    fails.store(false, Ordering::Relaxed);
    let error = flow.run(&ctx).unwrap_err();
    let unrouted = state(&flow, &ctx);
    assert_eq!(unrouted.next, Some(FlowNext::Stops(error.to_string())));
    assert_eq!(unrouted.nodes[0].last_error, None);

    let ctx = test.start_run("RUN-2").unwrap();
    let flow = essay(9, |_| {});
    let error = flow.run(&ctx).unwrap_err();
    assert!(matches!(error, FlowError::LoopLimit { limit: 3, .. }), "{error}");
    let limited = state(&flow, &ctx);
    assert_eq!(limited.next, Some(FlowNext::Stops(error.to_string())));
    assert_eq!(limited.nodes[0].visits, 4);
}

#[test]
fn a_drawing_shows_where_it_stands() {
    let (_test, ctx) = run();
    let fails = |_: &StepContext| Err(StepError::message("no"));
    let flow = Flow::new("two")
        .node("a", |_: &StepContext| Ok(Signal::new("on")))
        .on("on", "b")
        .node("b", fails)
        .on("done", Outcome::Success)
        .build()
        .unwrap();
    let start = state(&flow, &ctx).mermaid();
    assert!(start.starts_with(&flow.mermaid()) && start.ends_with("class start here\n"), "{start}");
    flow.run(&ctx).unwrap_err();
    let drawn = state(&flow, &ctx).mermaid();
    insta::assert_snapshot!(drawn, @r#"
    flowchart TD
        start([start]) --> n0
        n0["a"]
        n1["b"]
        n0 -->|"on"| n1
        n1 -->|"done"| success
        success([SUCCESS])
        classDef done fill:#d9f2d9,stroke:#2e7d32,color:#000
        classDef failed fill:#f9d6d5,stroke:#b3261e,color:#000
        classDef here stroke-width:4px
        class n0 done
        class n1 failed
        class n1 here
    "#);
    let lease = ctx.task().unwrap().claim("me", Duration::from_secs(60)).unwrap();
    lease.task().run("RUN-1").unwrap().complete(Outcome::Failed, None).unwrap();
    assert!(state(&flow, &ctx).mermaid().ends_with("class failed here\n"));
}

#[test]
fn a_file_that_is_no_flow_is_told_where_and_what() {
    let text = "{\"flow\": \"x\",\n \"nodes\": [{\"node\": \"a\", \"edge\": []}]}";
    let Err(FlowFileError::Json { source }) = FlowDefinition::from_json(text) else { panic!() };
    assert_eq!((source.line(), source.column()), (2, 31));
    let text = r#"{"flow": "x", "nodes": [
        {"node": "a", "edges": [{"on": "go", "to": "b"}, {"on": "no", "again": "a", "limit": 0}]},
        {"node": "a", "edges": []}]}"#;
    let Err(FlowFileError::Defects(defects)) = FlowDefinition::from_json(text) else { panic!() };
    let kinds = defects.defects();
    assert!(matches!(
        kinds,
        [FlowDefect::Zero { .. }, FlowDefect::DuplicateNode { .. }, FlowDefect::UnknownNode { .. }]
    ));
}

#[test]
fn paths_of_a_file_are_meant_from_its_folder() {
    let text = r#"{"flow": "x", "nodes": [
        {"node": "a", "run": {"program": ["./a.sh", "./b"], "current_dir": "."},
         "edges": [{"on": "success", "to": "b"}]},
        {"node": "b", "run": {"program": ["/bin/sh"], "current_dir": "/tmp"},
         "edges": [{"on": "success", "to": "c"}]},
        {"node": "c", "run": {"program": ["sh"]}, "edges": [{"on": "success", "end": "SUCCESS"}]}]}"#;
    let flow = FlowDefinition::from_json(text).unwrap().based_at("/repo/flows");
    let flow = serde_json::to_value(flow).unwrap();
    let runs: Vec<_> = (0..3).map(|node| flow["nodes"][node]["run"].to_string()).collect();
    assert_eq!(
        runs,
        [
            r#"{"current_dir":"/repo/flows","program":["/repo/flows/a.sh","./b"]}"#,
            r#"{"current_dir":"/tmp","program":["/bin/sh"]}"#,
            r#"{"program":["sh"]}"#,
        ]
    );
}
