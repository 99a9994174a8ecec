//! Flows as graphs: what can be built, how it is drawn and written, and where it goes, against an oracle.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::{
    Cancel, Flow, FlowBuilder, FlowDefect, FlowDefects, FlowDefinition, FlowError, Outcome, Retry,
    RunContext, Signal, Step, StepContext, StepError, StepResult,
};
use serde_json::{Value, json};

use crate::turns::cut;

fn body(_: &StepContext) -> StepResult {
    Ok("done".into())
}

#[track_caller]
fn defects(flow: FlowBuilder) -> Vec<FlowDefect> {
    flow.build().unwrap_err().defects().to_vec()
}

#[track_caller]
fn told(flow: FlowBuilder) -> String {
    flow.build().unwrap_err().to_string()
}

/// A flow that can be built: from `a` by `next` to `b`, and from there to the end.
fn two() -> FlowBuilder {
    let flow = Flow::new("two").node("a", body).on("next", "b").node("b", body);
    flow.on("done", Outcome::Success)
}

#[test]
fn each_defect_is_told_for_what_it_is() {
    two().build().unwrap();
    assert_eq!(defects(Flow::new("none")), [FlowDefect::Empty]);
    assert!(matches!(defects(Flow::new("a/b")).as_slice(), [FlowDefect::BadName(_)]));
    let unnamed = Flow::new("f").node("", body).on("x", "nowhere").retry(Retry::attempts(0));
    assert!(matches!(defects(unnamed).as_slice(), [FlowDefect::BadName(_)]));
    let early = Flow::new("f").on("x", "a").again("x", "a", 1).on_failure("a");
    let early = early.retry(Retry::attempts(2)).node("a", body).on("x", Outcome::Success);
    let what = |what| FlowDefect::NoNode { what };
    assert_eq!(defects(early), [what("on"), what("again"), what("on_failure"), what("retry")]);
    let keys: BTreeMap<(u8, u8), u8> = BTreeMap::from([((1, 2), 3)]);
    let config = Flow::new("f").node(Step::new("a").config(&keys), body);
    assert!(
        matches!(defects(config).as_slice(), [FlowDefect::BadConfig { node, .. }] if node == "a")
    );
    let step = || Step::new("a");
    let cancelled = step().cancelled_by(&Cancel::new());
    let given =
        [(step().turn(1), "a turn"), (step().item(&1), "an item"), (cancelled, "a wish to end")];
    for (step, what) in given {
        let given = Flow::new("f").node(step, body).on("x", Outcome::Success);
        assert_eq!(defects(given), [FlowDefect::NotItsOwn { node: "a".into(), what }]);
    }
    let twice = two().node("a", body).on("x", Outcome::Success);
    assert!(matches!(
        defects(twice).as_slice(),
        [FlowDefect::DuplicateNode { node }] if node.as_str() == "a"
    ));
    for (edges, expected) in [
        (two().on("done", "a"), "\"done\""),
        (two().again("x", "a", 1).again("x", "b", 2), "\"x\""),
        (two().on_failure("a").on_failure(Outcome::Failed), "failure"),
    ] {
        let found = defects(edges);
        let [FlowDefect::DuplicateEdge { node, on }] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((node.as_str(), on.as_str()), ("b", expected));
    }
    for edge in [two().on("x", "c"), two().again("x", "c", 1), two().on_failure("c")] {
        let found = defects(edge);
        assert!(
            matches!(&found[..], [FlowDefect::UnknownNode { to, .. }] if to == "c"),
            "{found:?}"
        );
    }
    let lost = two().node("c", body).on("x", "a");
    assert!(
        matches!(&defects(lost)[..], [FlowDefect::Unreachable { node }] if node.as_str() == "c")
    );
    let stuck = two().on("x", "c").node("c", body);
    assert!(
        matches!(&defects(stuck)[..], [FlowDefect::NoWayToEnd { node }] if node.as_str() == "c")
    );
    let endless = |flow: FlowBuilder| match &defects(flow)[..] {
        [FlowDefect::EndlessLoop { nodes }] => {
            nodes.iter().map(|n| n.as_str().to_owned()).collect()
        }
        other => panic!("{other:?}"),
    };
    let alone: Vec<String> = endless(two().on("x", "b"));
    assert_eq!(alone, ["b"]);
    let both: BTreeSet<String> = endless(two().on_failure("a")).into_iter().collect();
    assert_eq!(both, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    two().again("x", "b", 1).again("y", "a", 1).build().unwrap();
    let zero = two().retry(Retry::attempts(0)).again("x", "a", 0);
    assert!(matches!(&defects(zero)[..], [FlowDefect::Zero { .. }, FlowDefect::Zero { .. }]));
}

#[test]
fn all_defects_are_told_at_once() {
    insta::assert_snapshot!(told(Flow::new("a/b").on("x", "y").node("é", body)));
    let flow = two().on("done", "a").on("x", "c").retry(Retry::attempts(0)).node("a", body);
    insta::assert_snapshot!(told(flow.again("x", "a", 0)));
    insta::assert_snapshot!(told(two().on("x", "c").node("c", body).on("y", "c").node("d", body)));
    let counted = Flow::new("f").node(Step::new("a").turn(2), body).node("b", body);
    insta::assert_snapshot!(told(counted));
}

#[test]
fn a_flow_is_drawn() {
    let flow = Flow::new("essay")
        .node("write", body)
        .on("written", "review")
        .on_failure("mourn")
        .node("review", body)
        .again("weak", "write", 5)
        .on("weak", Outcome::Failed)
        .on("good|\"] & <b>é", Outcome::Success)
        .node("mourn", body)
        .on("a:b/c-d_e.f g", Outcome::Failed)
        .build()
        .unwrap();
    insta::assert_snapshot!(flow.mermaid());
    assert_eq!(flow.mermaid(), flow.definition().mermaid());
    let small = Flow::new("f").node("a", body).on("x", Outcome::Success).build().unwrap();
    insta::assert_snapshot!(small.mermaid());
    assert_eq!(format!("{small:?}").matches("Flow {").count(), 1);
}

#[test]
fn a_definition_is_written_and_read() {
    let flow = Flow::new("essay")
        .node(Step::new("write").config(&json!({"model": "small"})).skip_if_unchanged(), body)
        .retry(Retry::attempts(3).backoff(std::time::Duration::from_secs(1)))
        .on("written", "review")
        .on_failure(runjournal::Completion::failure().because("no words"))
        .node("review", body)
        .again("weak", "write", 5)
        .on("good", Outcome::Success)
        .build()
        .unwrap();
    let written = serde_json::to_value(flow.definition()).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&written).unwrap());
    let read: FlowDefinition = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), written);
    assert_eq!(read.mermaid(), flow.mermaid());
    let names: Vec<_> = read.nodes().map(|node| node.as_str().to_owned()).collect();
    assert_eq!((read.name().as_str(), names), ("essay", vec!["write".into(), "review".into()]));
    let code = Flow::of_programs(read).unwrap_err();
    assert!(matches!(&code, FlowError::NotPrograms { nodes, .. } if nodes.len() == 2), "{code}");
}

#[test]
fn a_definition_that_is_none_is_refused() {
    let good =
        json!({"flow": "f", "nodes": [{"node": "a", "edges": [{"on": "x", "end": "SUCCESS"}]}]});
    serde_json::from_value::<FlowDefinition>(good.clone()).unwrap();
    let edge = |edge: Value| {
        let mut flow = good.clone();
        flow["nodes"][0]["edges"].as_array_mut().unwrap().push(edge);
        flow
    };
    let mut unknown = good.clone();
    unknown["nodes"][0]["inputz"] = json!([]);
    let mut version = good.clone();
    version["version"] = json!(2);
    for bad in [
        unknown,
        version,
        json!({"flow": "f", "nodes": []}),
        json!({"flow": "../f", "nodes": good["nodes"]}),
        edge(json!({"on": "x", "end": "FAILED"})),
        edge(json!({"on": "y", "to": "b"})),
        edge(json!({"on": "y", "to": "a"})),
        edge(json!({"on": "y", "to": "a", "limit": 1})),
        edge(json!({"on": "y", "again": "a"})),
        edge(json!({"on": "y", "again": "a", "limit": 0})),
        edge(json!({"on": "y", "again": "a", "limit": -1})),
        edge(json!({"on": "y", "on_failure": true, "end": "FAILED"})),
        edge(json!({"on_failure": true, "again": "a", "limit": 1})),
        edge(json!({"to": "a"})),
        edge(json!({"on": "y"})),
        edge(json!({"on": "y", "end": "PLANNING"})),
        edge(json!({"on": "y", "again": "a", "limit": 1, "reason": "no end"})),
    ] {
        let read = serde_json::from_value::<FlowDefinition>(bad.clone());
        assert!(read.is_err(), "{bad} was read as {read:?}");
    }
}

/// Where an edge of a random graph leads; a node's number may be none.
#[derive(Debug, Clone, Copy, PartialEq)]
enum To {
    Node(usize),
    Again(usize, u64),
    End(bool),
}

/// An edge, for a signal or for `None`, a failure.
type Leaves = (Option<u8>, To);

/// A random graph: of each node, how often it is tried, and what leaves it.
#[derive(Debug, Clone)]
struct Graph {
    nodes: Vec<(u64, Vec<Leaves>)>,
}

fn node(number: usize) -> String {
    format!("n{number}")
}

fn signal(number: u8) -> String {
    format!("s{number}")
}

impl Graph {
    /// Builds it, with these bodies.
    fn build(
        &self,
        run: impl Fn(usize, &StepContext) -> StepResult + Clone + Send + Sync + 'static,
    ) -> Result<Flow, FlowDefects> {
        let mut flow = Flow::new("random");
        for (number, (attempts, edges)) in self.nodes.iter().enumerate() {
            let run = run.clone();
            flow = flow.node(node(number), move |s: &StepContext| run(number, s));
            flow = flow.retry(Retry::attempts(*attempts));
            for (on, to) in edges {
                let outcome = |success| if success { Outcome::Success } else { Outcome::Failed };
                flow = match (on.map(signal), *to) {
                    (Some(on), To::Node(to)) => flow.on(on.as_str(), node(to)),
                    (Some(on), To::Again(to, limit)) => flow.again(on.as_str(), node(to), limit),
                    (Some(on), To::End(success)) => flow.on(on.as_str(), outcome(success)),
                    (None, To::Node(to) | To::Again(to, _)) => flow.on_failure(node(to)),
                    (None, To::End(success)) => flow.on_failure(outcome(success)),
                };
            }
        }
        flow.build()
    }

    fn edges(&self) -> impl Iterator<Item = (usize, Option<u8>, To)> {
        let nodes = self.nodes.iter().enumerate();
        nodes.flat_map(|(from, (_, edges))| edges.iter().map(move |(on, to)| (from, *on, *to)))
    }

    /// What leads from where to where in one step or more.
    fn closure(&self, with_limited: bool) -> Vec<Vec<bool>> {
        let count = self.nodes.len();
        let mut leads = vec![vec![false; count]; count];
        for (from, on, to) in self.edges() {
            match to {
                To::Node(to) => leads[from][to] = true,
                To::Again(to, _) if with_limited || on.is_none() => leads[from][to] = true,
                _ => {}
            }
        }
        for over in 0..count {
            for from in 0..count {
                for to in 0..count {
                    leads[from][to] |= leads[from][over] && leads[over][to];
                }
            }
        }
        leads
    }

    fn looped(&self, node: usize) -> bool {
        self.closure(true)[node][node]
    }

    /// What is wrong with it, by kind and node; for an endless loop, without its nodes.
    fn defects(&self) -> BTreeSet<(&'static str, usize)> {
        let mut defects = BTreeSet::new();
        let count = self.nodes.len();
        let mut kinds = BTreeSet::new();
        for (from, on, to) in self.edges() {
            let again = matches!(to, To::Again(..)) && on.is_some();
            if !kinds.insert((from, on, again)) {
                defects.insert(("duplicate", from));
            }
            if matches!(to, To::Node(to) | To::Again(to, _) if to >= count) {
                defects.insert(("unknown", from));
            }
            if matches!(to, To::Again(_, 0)) && on.is_some() {
                defects.insert(("zero", from));
            }
        }
        if !defects.is_empty() {
            return defects;
        }
        let leads = self.closure(true);
        let ends: BTreeSet<usize> = self
            .edges()
            .filter(|(_, _, to)| matches!(to, To::End(_)))
            .map(|(from, ..)| from)
            .collect();
        for (node, onward) in leads.iter().enumerate() {
            if node != 0 && !leads[0][node] {
                defects.insert(("unreachable", node));
            }
            if !ends.iter().any(|end| *end == node || onward[*end]) {
                defects.insert(("stuck", node));
            }
        }
        let unlimited = self.closure(false);
        if (0..count).any(|node| unlimited[node][node]) {
            defects.insert(("endless", 0));
        }
        defects
    }

    /// Where a node leads with a signal, or with a failure.
    fn leaves(&self, from: usize, on: Option<u8>) -> Vec<To> {
        let edges = self.nodes[from].1.iter().filter(|edge| edge.0 == on);
        edges.map(|edge| edge.1).collect()
    }

    /// The attempts of a run in which these ones, by their number in the run, die; and how it ends.
    fn walk(&self, deaths: &[usize], seed: u64) -> (Vec<Attempt>, End) {
        let (mut log, mut at) = (Vec::new(), 0);
        let (mut turns, mut numbers, mut taken) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::<(usize, u8, usize), u64>::new());
        loop {
            // A turn that failed is to be done before the next one.
            let completed: &mut u64 = turns.entry(at).or_default();
            let (turn, attempts) = (*completed + 1, self.nodes[at].0);
            let on_failure = self.leaves(at, None);
            let mut failures = 0;
            let on = loop {
                let number: &mut u64 = numbers.entry(at).or_default();
                *number += 1;
                let died = deaths.contains(&log.len());
                let ended = match act(seed, at, turn, *number) {
                    _ if died => Ended::Open,
                    Some(signal) => Ended::Completed(signal),
                    None => Ended::Failed,
                };
                // A death is no failure.
                failures += u64::from(ended == Ended::Failed);
                let used_up = failures % attempts == 0;
                log.push(Attempt { node: at, turn, number: *number, ended });
                match ended {
                    Ended::Completed(signal) => {
                        *completed += 1;
                        break Some(signal);
                    }
                    Ended::Failed if used_up && on_failure.is_empty() => {
                        return (log, End::Step(at));
                    }
                    Ended::Failed if used_up => break None,
                    Ended::Failed | Ended::Open => {}
                }
            };
            let edges = self.leaves(at, on);
            let again = edges.iter().find_map(|to| match (on, to) {
                (Some(on), To::Again(to, limit)) => Some((on, *to, *limit)),
                _ => None,
            });
            if let Some((on, to, limit)) = again {
                let times = taken.entry((at, on, to)).or_default();
                if *times < limit {
                    *times += 1;
                    at = to;
                    continue;
                }
            }
            let onward = edges.iter().find(|to| on.is_none() || !matches!(to, To::Again(..)));
            match onward {
                Some(To::Node(to) | To::Again(to, _)) => at = *to,
                Some(To::End(success)) => return (log, End::Run(*success)),
                None if again.is_some() => return (log, End::Limit(at)),
                None => return (log, End::Unrouted(at)),
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ended {
    Completed(u8),
    Failed,
    Open,
}

#[derive(Debug, Clone, PartialEq)]
struct Attempt {
    node: usize,
    turn: u64,
    number: u64,
    ended: Ended,
}

#[derive(Debug, PartialEq)]
enum End {
    Run(bool),
    Step(usize),
    Limit(usize),
    Unrouted(usize),
}

/// What an attempt signals, or that it fails: the same each time.
fn act(seed: u64, node: usize, turn: u64, attempt: u64) -> Option<u8> {
    let mut mixed = seed ^ (node as u64) << 40 ^ turn << 20 ^ attempt;
    for _ in 0..3 {
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(1);
        mixed ^= mixed >> 27;
    }
    match mixed % 8 {
        0..3 => Some(0),
        3..5 => Some(1),
        5 => Some(2),
        _ => None,
    }
}

/// The attempts that a journal tells of.
fn attempts(ctx: &RunContext) -> Vec<Attempt> {
    let mut log: Vec<Attempt> = Vec::new();
    for record in ctx.events().unwrap().read_all().unwrap().0 {
        let ended = match record.event_type() {
            "step_started" => Ended::Open,
            "step_completed" => {
                let signal = record.payload::<Value>().unwrap()["signal"].clone();
                Ended::Completed(signal.as_str().unwrap()[1..].parse().unwrap())
            }
            "step_failed" => Ended::Failed,
            _ => continue,
        };
        let node = record.stream_id()[1..].parse().unwrap();
        let payload: Value = record.payload().unwrap();
        let (turn, number) = (payload["turn"].as_u64().unwrap_or(1), payload["attempt"].as_u64());
        let attempt = Attempt { node, turn, number: number.unwrap(), ended };
        if ended == Ended::Open {
            log.push(attempt);
        } else {
            let open = log.last_mut().unwrap();
            let begun = Attempt { ended, ..open.clone() };
            assert_eq!(begun, attempt, "an attempt ended that was not the last to begin");
            *open = attempt;
        }
    }
    log
}

fn end(ran: Result<Outcome, FlowError>) -> End {
    let number = |node: &str| node[1..].parse().unwrap();
    match ran {
        Ok(outcome) => End::Run(outcome == Outcome::Success),
        Err(FlowError::Step(failure)) => {
            let text = failure.to_string();
            End::Step(number(text.split(' ').nth(1).unwrap()))
        }
        Err(FlowError::LoopLimit { node, .. }) => End::Limit(number(node.as_str())),
        Err(FlowError::Unrouted { node, .. }) => End::Unrouted(number(node.as_str())),
        Err(error) => panic!("{error}"),
    }
}

fn graphs(nodes: usize, strays: usize) -> impl Strategy<Value = Graph> {
    let to = move |count: usize| {
        prop_oneof![
            3 => (0..count + strays).prop_map(To::Node),
            3 => (0..count + strays, 0..4_u64).prop_map(move |(to, limit)| {
                To::Again(to, if strays == 0 { limit + 1 } else { limit })
            }),
            2 => any::<bool>().prop_map(To::End),
        ]
    };
    let edge = move |count| (prop::option::weighted(0.8, 0..3_u8), to(count));
    (1..=nodes).prop_flat_map(move |count| {
        let edges = prop::collection::vec(edge(count), 0..5);
        let nodes = prop::collection::vec((1..4_u64, edges), count);
        nodes.prop_map(|nodes| Graph { nodes })
    })
}

/// A graph that can be built: forward edges, and backward ones with a limit.
fn good_graphs() -> impl Strategy<Value = Graph> {
    graphs(5, 0).prop_map(|mut graph| {
        let count = graph.nodes.len();
        for (from, (_, edges)) in graph.nodes.iter_mut().enumerate() {
            let mut seen = BTreeSet::new();
            for (on, to) in edges.iter_mut() {
                *to = match *to {
                    To::Again(to, _) if on.is_none() => To::Node(to),
                    other => other,
                };
                if let To::Node(node) = to
                    && *node <= from
                {
                    *to = To::End(*node % 2 == 0);
                }
            }
            edges.retain(|(on, to)| seen.insert((*on, matches!(to, To::Again(..)))));
            // So that each can be reached, and reaches an end.
            let onward = if from + 1 == count { To::End(true) } else { To::Node(from + 1) };
            edges.retain(|(on, to)| *on != Some(0) || matches!(to, To::Again(..)));
            edges.push((Some(0), onward));
        }
        graph
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_is_built_is_what_the_oracle_lets_pass(graph in graphs(6, 1)) {
        let expected = graph.defects();
        let built = graph.build(|_, s| body(s));
        let found: BTreeSet<(&str, usize)> = match &built {
            Ok(_) => BTreeSet::new(),
            Err(defects) => defects.defects().iter().map(|defect| kind(&graph, defect)).collect(),
        };
        prop_assert_eq!(&found, &expected, "{:?}", built.err());
        if let Ok(flow) = built {
            let written = serde_json::to_string(flow.definition()).unwrap();
            let read: FlowDefinition = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), written);
            prop_assert_eq!(read.mermaid().matches("|\"").count(), graph.edges().count());
        }
    }
}

fn kind(graph: &Graph, defect: &FlowDefect) -> (&'static str, usize) {
    let number = |node: &str| node[1..].parse::<usize>().unwrap();
    match defect {
        FlowDefect::DuplicateEdge { node, .. } => ("duplicate", number(node.as_str())),
        FlowDefect::UnknownNode { node, .. } => ("unknown", number(node.as_str())),
        FlowDefect::Zero { node, .. } => ("zero", number(node.as_str())),
        FlowDefect::Unreachable { node } => ("unreachable", number(node.as_str())),
        FlowDefect::NoWayToEnd { node } => ("stuck", number(node.as_str())),
        FlowDefect::EndlessLoop { nodes } => {
            let nodes: Vec<_> = nodes.iter().map(|node| number(node.as_str())).collect();
            let next = nodes.iter().skip(1).chain(&nodes[..1]);
            for (from, to) in nodes.iter().zip(next) {
                let there = graph.edges().any(|(leaves, on, leads)| {
                    let unlimited = match leads {
                        To::Node(node) => node == *to,
                        To::Again(node, _) => on.is_none() && node == *to,
                        To::End(_) => false,
                    };
                    leaves == *from && unlimited
                });
                assert!(there, "{nodes:?} is no loop without a limit");
            }
            ("endless", 0)
        }
        other => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Killed behind any of its records, three times over, a flow goes on as the oracle says.
    #[test]
    fn a_flow_goes_where_the_oracle_goes_whenever_it_is_killed(
        graph in good_graphs(),
        seed: u64,
        kills in prop::collection::vec(0.0..1.0_f64, 3),
    ) {
        prop_assert_eq!(graph.defects(), BTreeSet::new());
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let flow = graph.build(move |number, s| match act(seed, number, s.turn(), s.attempt()) {
            Some(number) => Ok(Signal::new(signal(number))),
            None => Err(StepError::message("no")),
        });
        let flow = flow.unwrap();
        let (log, ends) = graph.walk(&[], seed);
        prop_assert_eq!(end(flow.run(&ctx)), ends);
        prop_assert_eq!(attempts(&ctx), log);
        let looped: BTreeSet<usize> = (0..graph.nodes.len()).filter(|n| graph.looped(*n)).collect();
        for record in ctx.events().unwrap() {
            let record = record.unwrap();
            let is_turn = record.batch_size().is_some();
            match record.event_type() {
                "loop_iteration" => prop_assert!(looped.contains(&record.stream_id()[1..].parse().unwrap())),
                // Only a retried attempt of a turn stands alone.
                "step_started" if !is_turn => {
                    let alone = record.payload::<Value>().unwrap()["attempt"] != 1;
                    prop_assert!(alone || !looped.contains(&record.stream_id()[1..].parse().unwrap()));
                }
                _ => {}
            }
        }
        let mut deaths = Vec::new();
        for kill in kills {
            let lines = std::fs::read_to_string(ctx.journal_path()).unwrap().lines().count();
            cut(&ctx, (kill * lines as f64) as usize);
            let before = attempts(&ctx);
            deaths.retain(|death| *death < before.len());
            if before.last().is_some_and(|last| last.ended == Ended::Open) {
                deaths.push(before.len() - 1);
            }
            let (log, ends) = graph.walk(&deaths, seed);
            prop_assert_eq!(end(flow.run(&ctx)), ends);
            prop_assert_eq!(attempts(&ctx), log);
        }
    }
}
