//! Turns of steps: each is done once, one after the other; and turns in which nothing is new.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::{
    Artifact, ArtifactName, Digest, Event, Record, RunContext, Signal, Step, StepContext,
    StepError, StepFailure, StepResult,
};
use serde_json::{Value, json};

const IN: Artifact<u32> = Artifact::json("in.json");
const OTHER: Artifact<u32> = Artifact::json("other.json");
const OUT: Artifact<u32> = Artifact::json("out.json");

pub(crate) fn begin() -> (TestWorkspace, RunContext) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    (test, ctx)
}

pub(crate) fn records(ctx: &RunContext) -> Vec<Record> {
    let (records, findings) = ctx.events().unwrap().read_all().unwrap();
    assert_eq!(findings, []);
    records
}

fn types(ctx: &RunContext) -> Vec<String> {
    records(ctx).iter().map(|record| record.event_type().to_owned()).collect()
}

fn payloads(ctx: &RunContext, event_type: &str) -> Vec<Value> {
    let records = records(ctx);
    let wanted = records.iter().filter(|record| record.event_type() == event_type);
    wanted.map(|record| record.payload().unwrap()).collect()
}

/// Takes back all but the first so many records, as if the process had been killed behind them.
pub(crate) fn cut(ctx: &RunContext, records: usize) {
    let bytes = std::fs::read(ctx.journal_path()).unwrap();
    let kept: Vec<u8> =
        bytes.split_inclusive(|byte| *byte == b'\n').take(records).flatten().copied().collect();
    let _ = std::fs::remove_file(ctx.journal_path().with_file_name(".head"));
    std::fs::write(ctx.journal_path(), kept).unwrap();
}

/// Takes back the last record.
fn died_before_the_last_record(ctx: &RunContext) {
    cut(ctx, records(ctx).len() - 1);
}

/// An attempt that is begun, and never ends.
fn die_in(ctx: &RunContext, step: Step) {
    ctx.step(step, |_| Err(StepError::message("killed"))).unwrap_err();
    died_before_the_last_record(ctx);
}

fn never(_: &StepContext) -> StepResult {
    panic!("it was done before")
}

fn done(text: &str) -> impl Fn(&StepContext) -> StepResult + use<'_> {
    move |_| Ok(Signal::new(text))
}

#[track_caller]
fn is_out_of_order(told: Result<Signal, StepFailure>, expected: u64) {
    match told {
        Err(StepFailure::TurnOutOfOrder { next, .. }) => assert_eq!(next, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_turn_is_done_once_and_tells_its_own_signal_ever_after() {
    let (_test, ctx) = begin();
    let step = |turn| Step::new("work").turn(turn);
    for turn in 1..=4_u64 {
        let signal = ctx.step(step(turn), |s| {
            assert_eq!((s.turn(), s.attempt()), (turn, turn));
            Ok(Signal::new(format!("s{turn}")))
        });
        assert_eq!(signal.unwrap().as_str(), format!("s{turn}"));
        let length = records(&ctx).len();
        for before in 1..=turn {
            assert_eq!(ctx.step(step(before), never).unwrap().as_str(), format!("s{before}"));
        }
        assert_eq!(records(&ctx).len(), length, "what is done was written of again");
        assert_eq!(ctx.signal("work").unwrap().unwrap().as_str(), format!("s{turn}"));
    }
    let turn = ["loop_iteration", "step_started", "step_completed"];
    assert_eq!(types(&ctx), [turn, turn, turn, turn].concat());
    let indexes: Vec<Value> = payloads(&ctx, "loop_iteration");
    assert_eq!(indexes, (1..=4).map(|index| json!({"index": index})).collect::<Vec<_>>());
    let keys = records(&ctx);
    let keys = keys.iter().filter(|record| record.event_type() == "loop_iteration");
    let keys: Vec<_> = keys.map(|record| record.idempotency_key().unwrap().to_owned()).collect();
    assert_eq!(keys, ["loop:work:1", "loop:work:2", "loop:work:3", "loop:work:4"]);
    let turns: Vec<_> =
        payloads(&ctx, "step_completed").iter().map(|p| p["turn"].clone()).collect();
    assert_eq!(
        turns,
        [Value::Null, json!(2), json!(3), json!(4)],
        "the first one goes without saying"
    );
}

#[test]
fn turns_are_done_in_their_order() {
    let (_test, ctx) = begin();
    let step = |turn| Step::new("work").turn(turn);
    is_out_of_order(ctx.step(step(0), never), 1);
    is_out_of_order(ctx.step(step(2), never), 1);
    is_out_of_order(ctx.step(step(u64::MAX), never), 1);
    assert_eq!(records(&ctx).len(), 0);
    ctx.step(step(1), done("one")).unwrap();
    is_out_of_order(ctx.step(step(0), never), 2);
    is_out_of_order(ctx.step(step(3), never), 2);
    is_out_of_order(ctx.step(step(u64::MAX), never), 2);
    // A turn that failed, or did not end, is to be done first.
    ctx.step(step(2), |_| Err(StepError::message("no"))).unwrap_err();
    is_out_of_order(ctx.step(step(3), never), 2);
    die_in(&ctx, step(2));
    is_out_of_order(ctx.step(step(3), never), 2);
    assert_eq!(ctx.step(step(1), never).unwrap(), "one");
    ctx.step(step(2), done("two")).unwrap();
    ctx.step(step(3), done("three")).unwrap();
}

#[test]
fn a_step_without_turns_is_the_first_turn_of_one() {
    let (_test, ctx) = begin();
    ctx.step("work", done("one")).unwrap();
    assert_eq!(types(&ctx), ["step_started", "step_completed"]);
    assert_eq!(ctx.step(Step::new("work").turn(1), never).unwrap(), "one");
    ctx.step(Step::new("work").turn(2), done("two")).unwrap();
    assert_eq!(payloads(&ctx, "loop_iteration"), [json!({"index": 2})]);
    // Who asks for no turn asks for the first.
    assert_eq!(ctx.step("work", never).unwrap(), "one");
    assert_eq!(ctx.step(Step::new("work").turn(2), never).unwrap(), "two");
}

#[test]
fn a_turn_is_for_one_item() {
    let (_test, ctx) = begin();
    let step = |turn, item: &Value| Step::new("fetch").turn(turn).item(item);
    let conflicts = |told: Result<Signal, StepFailure>| match told {
        Err(StepFailure::OtherItem { step, turn }) => {
            assert_eq!((step.as_str(), turn), ("fetch", 1));
        }
        other => panic!("{other:?}"),
    };
    let item = json!({"page": 1, "of": [1.5, "a\nb"]});
    ctx.step(step(1, &item), |s| {
        assert_eq!(s.item::<Value>()?, item);
        Err(StepError::message("no"))
    })
    .unwrap_err();
    // It failed: what it is for stays, also in another order of the members.
    conflicts(ctx.step(step(1, &json!({"page": 2})), never));
    conflicts(ctx.step(step(1, &json!(null)), never));
    die_in(&ctx, step(1, &json!({"of": [1.5, "a\nb"], "page": 1})));
    conflicts(ctx.step(step(1, &json!({"page": 2})), never));
    ctx.step(step(1, &item), done("fetched")).unwrap();
    // It is complete, and also behind the next one.
    conflicts(ctx.step(step(1, &json!({"page": 2})), never));
    assert_eq!(ctx.step(step(1, &item), never).unwrap(), "fetched");
    ctx.step(step(2, &json!("p2")), done("fetched")).unwrap();
    conflicts(ctx.step(step(1, &json!("p2")), never));
    assert_eq!(ctx.step(step(1, &item), never).unwrap(), "fetched");
    // Who names no item is told how it ended.
    assert_eq!(ctx.step(Step::new("fetch").turn(1), never).unwrap(), "fetched");
    let begun = payloads(&ctx, "loop_iteration");
    assert_eq!(begun, [json!({"index": 1, "item": item}), json!({"index": 2, "item": "p2"})]);
}

#[test]
fn attempts_go_on_over_failures_deaths_and_turns() {
    let (_test, ctx) = begin();
    let step = |turn| Step::new("work").turn(turn);
    let mut attempts = Vec::new();
    for turn in 1..=3 {
        ctx.step(step(turn), |s| {
            attempts.push((s.turn(), s.attempt()));
            s.write(OUT, &1)?;
            Err(StepError::message("no"))
        })
        .unwrap_err();
        assert_eq!(ctx.artifacts().exists(OUT).unwrap(), turn > 1);
        die_in(&ctx, step(turn));
        ctx.step(step(turn), |s| {
            attempts.push((s.turn(), s.attempt()));
            s.write(OUT, &u32::try_from(s.turn())?)?;
            Ok("done".into())
        })
        .unwrap();
        assert_eq!(u64::from(ctx.artifacts().read(OUT).unwrap()), turn);
    }
    assert_eq!(attempts, [(1, 1), (1, 3), (2, 4), (2, 6), (3, 7), (3, 9)]);
    assert_eq!(payloads(&ctx, "loop_iteration").len(), 3, "an attempt is no turn");
    assert_eq!(payloads(&ctx, "step_completed").len(), 3);
}

#[test]
fn of_many_at_one_turn_one_does_it() {
    let (_test, ctx) = begin();
    for turn in 1..=20_u64 {
        let (barrier, bodies) = (Barrier::new(6), AtomicUsize::new(0));
        let signals: Vec<String> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..6)
                .map(|number| {
                    let (ctx, barrier, bodies) = (ctx.clone(), &barrier, &bodies);
                    scope.spawn(move || {
                        barrier.wait();
                        loop {
                            let told = ctx.step(Step::new("work").turn(turn).item(&turn), |s| {
                                bodies.fetch_add(1, Ordering::SeqCst);
                                s.append(Event::new("noted"))?;
                                Ok(Signal::new(format!("by-{number}")))
                            });
                            match told {
                                Ok(signal) => return signal.as_str().to_owned(),
                                Err(StepFailure::StepTaken { .. }) => std::thread::yield_now(),
                                Err(error) => panic!("{error}"),
                            }
                        }
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(bodies.into_inner(), 1);
        assert!(signals.iter().all(|signal| *signal == signals[0]), "{signals:?}");
    }
    for event_type in ["loop_iteration", "step_started", "step_completed", "noted"] {
        assert_eq!(payloads(&ctx, event_type).len(), 20, "{event_type}");
    }
}

/// A loop whose turns need not be done where nothing is new, and how often its body ran.
struct Looped {
    ctx: RunContext,
    _test: TestWorkspace,
    turn: u64,
    ran: bool,
}

impl Looped {
    fn new() -> Self {
        let (test, ctx) = begin();
        ctx.artifacts().write(IN, &1).unwrap();
        ctx.artifacts().write(OTHER, &1).unwrap();
        Self { ctx, _test: test, turn: 0, ran: false }
    }

    /// Does the next turn; true if it was done, and not taken over from the one before.
    fn next(
        &mut self,
        change: impl Fn(Step) -> Step,
        body: impl Fn(&StepContext) -> StepResult,
    ) -> bool {
        self.turn += 1;
        self.ran = false;
        let step = change(Step::new("work").turn(self.turn).skip_if_unchanged());
        let signal = self.ctx.step(step, |s| {
            self.ran = true;
            body(s)
        });
        assert_eq!(signal.unwrap(), "done");
        self.ran
    }

    fn last(&self) -> Value {
        payloads(&self.ctx, "step_completed").pop().unwrap()
    }
}

/// Reads one artifact and writes another.
fn copy(s: &StepContext) -> StepResult {
    s.write(OUT, &(s.read(IN)? * 10))?;
    Ok("done".into())
}

fn as_it_is(step: Step) -> Step {
    step
}

#[test]
fn a_turn_with_nothing_new_is_recorded_and_not_done() {
    let mut work = Looped::new();
    assert!(work.next(as_it_is, copy));
    let first = work.last();
    assert!(!work.next(as_it_is, copy));
    let expected = json!({
        "attempt": 2, "turn": 2, "signal": "done", "same_as": 1, "duration_ms": 0,
        "inputs": first["inputs"], "outputs": first["outputs"],
    });
    assert_eq!(work.last(), expected);
    // The third one is the same as the one that was done, not as the one that was not.
    assert!(!work.next(as_it_is, copy));
    assert_eq!(work.last()["same_as"], 1);
    let turn = ["loop_iteration", "step_started", "step_completed"];
    assert_eq!(types(&work.ctx)[2..].iter().filter(|t| turn.contains(&t.as_str())).count(), 9);
    assert_eq!(payloads(&work.ctx, "artifact_written").len(), 3, "nothing was written again");
    assert_eq!(work.ctx.step(Step::new("work").turn(2), never).unwrap(), "done");
    // Without the wish it is done.
    let plain = work.ctx.step(Step::new("work").turn(4), |s| {
        assert_eq!(s.attempt(), 4);
        copy(s)
    });
    assert_eq!(plain.unwrap(), "done");
    assert_eq!(work.last()["same_as"], Value::Null);
}

#[test]
fn a_turn_is_done_for_an_input_that_changed() {
    let mut work = Looped::new();
    assert!(work.next(as_it_is, copy));
    work.ctx.artifacts().write(IN, &2).unwrap();
    assert!(work.next(as_it_is, copy), "an input that was seen");
    assert_eq!(work.ctx.artifacts().read(OUT).unwrap(), 20);
    work.ctx.artifacts().write(OTHER, &2).unwrap();
    assert!(!work.next(as_it_is, copy), "what it did not read is none");

    let declared = |step: Step| step.input(IN).input(OTHER);
    assert!(work.next(declared, copy), "it is to read other things than before");
    assert!(!work.next(declared, copy));
    work.ctx.artifacts().write(OTHER, &3).unwrap();
    assert!(work.next(declared, copy), "an input that was declared, and not read");
    assert!(work.next(|step| step.input(OTHER).input(IN), copy), "another order");
    // Changed behind the library's back, where the journal says nothing.
    std::fs::write(work.ctx.artifact_path(&IN.into()), b"7").unwrap();
    assert!(work.next(as_it_is, copy));
    assert_eq!(work.ctx.artifacts().read(OUT).unwrap(), 70);
    assert_eq!(work.last()["inputs"][0]["version"], Value::Null);
}

#[test]
fn a_turn_is_done_for_another_configuration() {
    let mut work = Looped::new();
    let with = |config: Value| move |step: Step| step.config(&config);
    assert!(work.next(as_it_is, copy));
    assert!(work.next(with(json!({"n": 1})), copy));
    assert!(!work.next(with(json!({"n": 1})), copy));
    // In the canonical form, so that equal values have one digest.
    assert_eq!(work.last()["config"], json!(Digest::of(b"{\n  \"n\": 1\n}\n")));
    assert!(work.next(with(json!({"n": 2})), copy));
    assert!(work.next(as_it_is, copy));
    // The turns of a loop over items differ in nothing but the item.
    assert!(work.next(|step| step.item(&"x"), copy));
    assert!(!work.next(|step| step.item(&"x"), copy));
    assert!(work.next(|step| step.item(&"y"), copy));
    assert!(work.next(as_it_is, copy));
}

#[test]
fn a_turn_is_done_where_an_output_is_not_as_it_was_left() {
    let mut work = Looped::new();
    let path = work.ctx.artifact_path(&OUT.into());
    assert!(work.next(as_it_is, copy));
    std::fs::write(&path, b"11").unwrap();
    assert!(work.next(as_it_is, copy), "changed behind the journal's back");
    std::fs::remove_file(&path).unwrap();
    assert!(work.next(as_it_is, copy), "removed behind the journal's back");
    assert_eq!(work.ctx.artifacts().read(OUT).unwrap(), 10);
    work.ctx
        .step("other", |s| {
            s.write(OUT, &5)?;
            Ok("done".into())
        })
        .unwrap();
    assert!(work.next(as_it_is, copy), "overwritten by another step");
    work.ctx.artifacts().remove(OUT).unwrap();
    assert!(work.next(as_it_is, copy), "removed");
    // Written to the same bytes by somebody else, it is as it was left; so it is behind a detour.
    work.ctx.artifacts().write(OUT, &5).unwrap();
    work.ctx.artifacts().write(OUT, &10).unwrap();
    assert!(!work.next(as_it_is, copy));
    assert!(!work.next(as_it_is, copy));
    // On the disk it is as it was left, and the journal's last word is another.
    let left = std::fs::read(&path).unwrap();
    work.ctx.artifacts().write(OUT, &5).unwrap();
    std::fs::write(&path, left).unwrap();
    assert!(work.next(as_it_is, copy), "the file was put back by hand");
}

#[test]
fn a_turn_that_overwrites_its_input_is_done_until_that_stays_as_it_is() {
    let mut work = Looped::new();
    let up_to_three = |s: &StepContext| {
        s.write(IN, &(s.read(IN)? + 1).min(3))?;
        Ok("done".into())
    };
    assert!(work.next(as_it_is, up_to_three));
    assert!(work.next(as_it_is, up_to_three));
    assert!(work.next(as_it_is, up_to_three), "it has not read what it wrote");
    assert_eq!(work.ctx.artifacts().read(IN).unwrap(), 3);
    assert!(!work.next(as_it_is, up_to_three));
    // A removal that stands is an output in place as well.
    let mut work = Looped::new();
    let remove = |s: &StepContext| {
        if s.context().artifacts().exists(OTHER)? {
            s.remove(OTHER)?;
        }
        Ok("done".into())
    };
    assert!(work.next(as_it_is, remove));
    assert!(!work.next(as_it_is, remove));
    work.ctx.artifacts().write(OTHER, &1).unwrap();
    assert!(work.next(as_it_is, remove));
}

#[test]
fn what_is_skipped_names_the_versions_of_today() {
    let mut work = Looped::new();
    assert!(work.next(as_it_is, copy));
    assert_eq!(work.last()["inputs"][0]["version"], 0);
    // The same bytes again: another version, and nothing new.
    work.ctx.artifacts().write(IN, &2).unwrap();
    work.ctx.artifacts().write(IN, &1).unwrap();
    assert!(!work.next(as_it_is, copy));
    let (last, begun) = (work.last(), payloads(&work.ctx, "step_started").pop().unwrap());
    assert_eq!((&last["same_as"], &last["inputs"][0]["version"]), (&json!(1), &json!(2)));
    assert_eq!((&begun["attempt"], &begun["turn"]), (&json!(2), &json!(2)));
}

#[test]
fn a_turn_that_was_begun_is_done_though_nothing_is_new() {
    let mut work = Looped::new();
    assert!(work.next(as_it_is, copy));
    // Killed between the two records of a turn that was to be skipped.
    assert!(!work.next(as_it_is, copy));
    died_before_the_last_record(&work.ctx);
    work.turn -= 1;
    assert!(work.next(as_it_is, copy));
    let last = work.last();
    assert_eq!((&last["attempt"], &last["turn"]), (&json!(3), &json!(2)));
    assert_eq!(payloads(&work.ctx, "loop_iteration").len(), 2);
    // A turn that failed is not the one that it is compared with: it is this turn's own.
    work.ctx.step(Step::new("work").turn(3), |_| Err(StepError::message("no"))).unwrap_err();
    work.turn = 2;
    assert!(work.next(as_it_is, copy));
}

#[test]
fn a_declared_input_that_is_missing_is_told_and_begins_no_turn() {
    let (_test, ctx) = begin();
    let step = Step::new("work").turn(1).input(IN).skip_if_unchanged();
    let told = ctx.step(step.clone(), never);
    assert!(matches!(told, Err(StepFailure::InputMissing { .. })), "{told:?}");
    assert_eq!(records(&ctx).len(), 0);
    ctx.artifacts().write(IN, &1).unwrap();
    ctx.step(step, copy).unwrap();
}

/// What somebody does with the turns of a step.
#[derive(Debug, Clone)]
enum Do {
    /// Asks for a turn, this many behind the one that is to be done; and what its body signals.
    Complete(i64, u8),
    Fail(i64),
    /// Its process is killed in the body.
    Die(i64),
    /// Its process is killed in the body of a turn for another item.
    Item(i64),
}

/// A map of turns to signals, and what is known of the one that is to be done.
#[derive(Default)]
struct Oracle {
    signals: BTreeMap<u64, String>,
    attempts: u64,
    begun: u64,
}

impl Oracle {
    fn next(&self) -> u64 {
        self.signals.len() as u64 + 1
    }

    /// What is told of a turn that is not to be done: its signal, or that it is out of order.
    fn of(&self, turn: u64) -> Option<&str> {
        self.signals.get(&turn).map(String::as_str)
    }
}

fn acts() -> impl Strategy<Value = Vec<Do>> {
    let by = prop_oneof![4 => Just(0_i64), 1 => -3_i64..3];
    let act = (by, 0..8_u8, 0..3_u8).prop_map(|(by, kind, signal)| match kind {
        0..4 => Do::Complete(by, signal),
        4..6 => Do::Fail(by),
        6 => Do::Die(by),
        _ => Do::Item(by),
    });
    prop::collection::vec(act, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn turns_are_as_a_map_says(acts in acts(), eager: bool) {
        let test = if eager { TestWorkspace::with_eager_heads() } else { TestWorkspace::new() };
        let test = test.unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let mut oracle = Oracle::default();
        for act in acts {
            let (Do::Complete(by, _) | Do::Fail(by) | Do::Die(by) | Do::Item(by)) = act;
            let turn = oracle.next().saturating_add_signed(by);
            let item = turn * 10;
            let step = Step::new("work").turn(turn).item(&item);
            if turn != oracle.next() {
                match (ctx.step(step, never), oracle.of(turn)) {
                    (Ok(signal), Some(expected)) => prop_assert_eq!(signal.as_str(), expected),
                    (Err(StepFailure::TurnOutOfOrder { next, .. }), None) => {
                        prop_assert_eq!(next, oracle.next());
                    }
                    (told, expected) => prop_assert!(false, "{:?} {:?}", told, expected),
                }
                continue;
            }
            if let Do::Item(_) = act {
                let told = ctx.step(Step::new("work").turn(turn).item("none"), |_| {
                    Err(StepError::message("killed"))
                });
                let is_refused = matches!(&told, Err(StepFailure::OtherItem { .. }));
                prop_assert_eq!(is_refused, oracle.begun == turn, "{:?}", told);
                if !is_refused {
                    // It never was: neither its beginning nor its end was written.
                    cut(&ctx, records(&ctx).len() - 3);
                }
                continue;
            }
            oracle.attempts += 1;
            oracle.begun = turn;
            let mut seen = None;
            let told = ctx.step(step, |s| {
                seen = Some((s.attempt(), s.turn(), s.item::<u64>()?));
                s.write(OUT, &u32::try_from(s.attempt())?)?;
                match act {
                    Do::Complete(_, signal) => Ok(Signal::new(signal.to_string())),
                    _ => Err(StepError::message("no")),
                }
            });
            prop_assert_eq!(seen, Some((oracle.attempts, turn, item)));
            match act {
                Do::Complete(_, signal) => {
                    prop_assert_eq!(told.unwrap(), Signal::new(signal.to_string()));
                    oracle.signals.insert(turn, signal.to_string());
                    prop_assert_eq!(u64::from(ctx.artifacts().read(OUT).unwrap()), oracle.attempts);
                }
                Do::Die(_) => died_before_the_last_record(&ctx),
                _ => prop_assert!(told.is_err()),
            }
        }
        let completed: Vec<(u64, String)> = payloads(&ctx, "step_completed")
            .iter()
            .map(|p| (p["turn"].as_u64().unwrap_or(1), p["signal"].as_str().unwrap().to_owned()))
            .collect();
        prop_assert_eq!(completed, oracle.signals.into_iter().collect::<Vec<_>>());
        let begun = payloads(&ctx, "loop_iteration");
        let begun: Vec<_> = begun.iter().map(|p| (p["index"].clone(), p["item"].clone())).collect();
        let expected: Vec<_> = (1..=oracle.begun).map(|n| (json!(n), json!(n * 10))).collect();
        prop_assert_eq!(begun, expected);
        prop_assert_eq!(payloads(&ctx, "step_started").len() as u64, oracle.attempts);
    }
}

#[test]
fn nobody_else_begins_a_turn() {
    let (_test, ctx) = begin();
    let refused = ctx.append(Event::new("loop_iteration").stream("step", "work"));
    assert!(refused.is_err(), "{refused:?}");
    let refused = ctx.append(Event::new("noted").key("loop:work:1"));
    assert!(refused.is_err(), "{refused:?}");
}

#[test]
fn what_is_complete_is_done_again_only_if_something_changed() {
    let (_test, ctx) = begin();
    let done = std::cell::Cell::new(0);
    let run = |step: Step| {
        ctx.step(step.skip_if_unchanged(), |s| {
            done.set(done.get() + 1);
            let read = s.read(IN).unwrap_or_default();
            s.write(OUT, &(read * 10))?;
            Ok(Signal::new(read.to_string()))
        })
    };
    let step = || Step::new("work");
    // Without an input that is there, which is recorded as one that was not.
    assert_eq!(run(step()).unwrap(), "0");
    assert_eq!(payloads(&ctx, "step_completed")[0]["inputs"], json!([{"path": "in.json"}]));
    assert_eq!(run(step()).unwrap(), "0");
    assert_eq!((done.get(), types(&ctx).len()), (1, 3));
    // It appears, changes, and stays.
    for (turn, n) in [(2, 1), (3, 2)] {
        ctx.artifacts().write(IN, &n).unwrap();
        assert_eq!(run(step()).unwrap().as_str(), n.to_string());
        assert_eq!(run(step()).unwrap().as_str(), n.to_string());
        assert_eq!(done.get(), turn);
        let begun = payloads(&ctx, "loop_iteration");
        assert_eq!(begun.last().unwrap(), &json!({"index": turn}));
    }
    // What it wrote is gone, and is made again; its configuration is another.
    std::fs::remove_file(ctx.artifact_path(&OUT.into())).unwrap();
    assert_eq!(run(step()).unwrap(), "2");
    assert_eq!((done.get(), ctx.artifacts().read(OUT).unwrap()), (4, 20));
    assert_eq!(run(step().config(&1)).unwrap(), "2");
    assert_eq!(run(step().config(&1)).unwrap(), "2");
    assert_eq!(done.get(), 5);
    // Who counts gets each turn, and who does neither, the first.
    assert_eq!(ctx.step(step().turn(4), never).unwrap(), "2");
    assert_eq!(ctx.step("work", never).unwrap(), "0");
    // One that failed, or died, is done again whatever is unchanged.
    ctx.artifacts().write(IN, &3).unwrap();
    ctx.step(step().config(&1).skip_if_unchanged(), |_| Err(StepError::message("no"))).unwrap_err();
    ctx.artifacts().write(IN, &2).unwrap();
    assert_eq!(run(step().config(&1)).unwrap(), "2");
    assert_eq!(done.get(), 6);
    assert_eq!(payloads(&ctx, "step_completed").last().unwrap()["turn"], 6);
}

#[test]
fn an_item_without_a_turn_is_for_the_first() {
    let (_test, ctx) = begin();
    let page = |item: &str| Step::new("fetch").item(item);
    ctx.step(page("a"), |_| Err(StepError::message("no"))).unwrap_err();
    assert_eq!(payloads(&ctx, "loop_iteration"), [json!({"index": 1, "item": "a"})]);
    let other = ctx.step(page("b"), never);
    assert!(matches!(other, Err(StepFailure::OtherItem { turn: 1, .. })), "{other:?}");
    // Who names none is given the one that was recorded.
    ctx.step(Step::new("fetch").turn(1), |s| Ok(Signal::new(s.item::<String>()?))).unwrap();
    assert_eq!(ctx.step(page("a"), never).unwrap(), "a");
    // A turn that was begun without one is for none.
    ctx.step("plain", done("x")).unwrap();
    let given = ctx.step(Step::new("plain").turn(1).item("a"), never);
    assert!(matches!(given, Err(StepFailure::OtherItem { .. })), "{given:?}");
}

#[test]
fn what_a_step_was_not_given_is_told_as_that() {
    let (_test, ctx) = begin();
    let failed = ctx.step("work", |s| Ok(Signal::new(s.item::<String>()?))).unwrap_err();
    let told = std::error::Error::source(&failed).unwrap().to_string();
    assert!(
        told.starts_with("the item of step work does not read as what was asked for"),
        "{told}"
    );
}

#[test]
fn a_signal_is_short() {
    let (_test, ctx) = begin();
    ctx.step("work", |_| Ok(Signal::new("x".repeat(1024)))).unwrap();
    let long = ctx.step("more", |_| Ok(Signal::new("x".repeat(1025)))).unwrap_err();
    let told = std::error::Error::source(&long).unwrap().to_string();
    assert!(told.starts_with("its signal has 1025 bytes"), "{told}");
}

#[test]
fn an_item_is_done_again_only_if_something_changed() {
    let (_test, ctx) = begin();
    let done = std::cell::Cell::new(0);
    let run = |item: &str| {
        let step = Step::new("work").item(item).skip_if_unchanged();
        let signal = ctx.step(step, |s| {
            done.set(done.get() + 1);
            Ok(Signal::new(format!("{} {}", s.item::<String>()?, s.read(IN)?)))
        });
        signal.unwrap().as_str().to_owned()
    };
    ctx.artifacts().write(IN, &1).unwrap();
    assert_eq!((run("a"), run("a")), ("a 1".into(), "a 1".into()));
    ctx.artifacts().write(IN, &2).unwrap();
    assert_eq!((run("a"), run("b"), run("b")), ("a 2".into(), "b 2".into(), "b 2".into()));
    assert_eq!(done.get(), 3);
}

#[test]
fn an_end_that_is_too_large_for_a_line_reads_as_any() {
    let (_test, ctx) = begin();
    let long = ["a", "b", "c", "d"].map(|letter| letter.repeat(240)).join("/");
    ctx.step("work", |s| {
        // What it looks for and does not find is an input as well.
        for number in 0..80 {
            assert!(s.read_bytes(ArtifactName::new(format!("{long}/{number}"))?).is_err());
        }
        s.write(OUT, &1)?;
        Ok("done".into())
    })
    .unwrap();
    let end = records(&ctx).into_iter().find(|r| r.event_type() == "step_completed").unwrap();
    assert!(end.payload_ref().is_some_and(|object| object.size > 64 << 10));
    assert_eq!(ctx.step("work", never).unwrap(), "done");
    assert_eq!(ctx.step(Step::new("work").turn(2).skip_if_unchanged(), never).unwrap(), "done");
    assert_eq!(ctx.signal("work").unwrap().unwrap(), "done");
}
