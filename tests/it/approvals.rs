//! Approvals: asked once, answered once, waited for.

use std::io::Write as _;
use std::process::Child;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::*;
use serde_json::Value;

use crate::concurrency::{start, worker_number};
use crate::lab::shown;
use crate::worker;

const SOON: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_secs(60);

fn count(ctx: &RunContext) -> usize {
    ctx.events().unwrap().count()
}

fn decision(approval: &Approval) -> Option<(&str, &str)> {
    approval.resolution.as_ref().map(|it| (it.decision.as_str(), it.by.as_str()))
}

#[test]
fn a_question_is_asked_once_and_answered_once() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    assert_eq!(ctx.approval("deploy").unwrap(), None);
    let not_asked = ctx.resolve_approval("deploy", "yes", "ada").unwrap_err();
    assert!(matches!(not_asked, ApprovalError::NotAsked { .. }), "{not_asked}");

    let ask = |question, options: &[&str]| ctx.request_approval("deploy", question, options);
    let first = ask("Deploy?", &["yes", "no"]).unwrap();
    let again = ask("Deploy?", &["yes", "no"]).unwrap();
    assert!(!first.duplicate && again.duplicate && again.seq == first.seq);
    for other in [ask("Deploy!", &["yes", "no"]), ask("Deploy?", &["no", "yes"])] {
        match other.unwrap_err() {
            ApprovalError::AskedOtherwise { question, options, .. } => {
                assert_eq!((question.as_str(), options.join("|")), ("Deploy?", "yes|no".into()));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(decision(&ctx.approval("deploy").unwrap().unwrap()), None);

    let refused = ctx.resolve_approval("deploy", "perhaps", "ada").unwrap_err();
    assert_eq!(
        refused.to_string(),
        r#""perhaps" does not answer "deploy"; choose one of "yes", "no""#
    );
    let refused = ctx.resolve_approval("deploy", "yes", "").unwrap_err();
    assert!(matches!(refused, ApprovalError::BadName { what: "decider", .. }), "{refused}");
    assert_eq!(count(&ctx), 1, "refusals leave nothing");

    let first = ctx.resolve_approval("deploy", "no", "ada").unwrap();
    let again = ctx.resolve_approval("deploy", "no", "ada").unwrap();
    assert!(!first.duplicate && again.duplicate && again.seq == first.seq);
    for (decision, by) in [("yes", "ada"), ("no", "bob"), ("perhaps", "bob")] {
        match ctx.resolve_approval("deploy", decision, by).unwrap_err() {
            ApprovalError::AlreadyResolved { decision, by, .. } => {
                assert_eq!((decision.as_str(), by.as_str()), ("no", "ada"));
            }
            other => panic!("{other}"),
        }
    }
    assert!(ask("Deploy?", &["yes", "no"]).unwrap().duplicate, "also once it is answered");

    let records: Vec<_> = ctx.events().unwrap().map(Result::unwrap).collect();
    let said = records.iter().map(|record| {
        let (kind, key) = (record.event_type(), record.idempotency_key().unwrap());
        let payload: Value = record.payload().unwrap();
        format!("{kind} {} {key} {} {payload}", record.stream(), record.actor_kind())
    });
    insta::assert_snapshot!(said.collect::<Vec<_>>().join("\n"), @r#"
    approval_requested approval/deploy approval:deploy node {"options":["yes","no"],"question":"Deploy?"}
    approval_resolved approval/deploy approval-end:deploy human {"by":"ada","decision":"no"}
    "#);
}

#[test]
fn a_question_without_options_takes_any_answer() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.request_approval("b", "Which name?", &[]).unwrap();
    ctx.request_approval("a", "Sure?", &["yes"]).unwrap();
    ctx.resolve_approval("b", "Ünïcode, any text", "ada").unwrap();
    let all = ctx.approvals().unwrap();
    let ids: Vec<_> = all.iter().map(|approval| approval.id.as_str()).collect();
    assert_eq!(ids, ["b", "a"], "as they were asked");
    assert_eq!(decision(&all[0]), Some(("Ünïcode, any text", "ada")));
    assert_eq!((decision(&all[1]), all[1].options.as_slice()), (None, &["yes".to_owned()][..]));
    assert_eq!(all[1].requested_seq, 2);
    assert_eq!(all[0].resolution.as_ref().unwrap().seq, 3);
    assert_eq!(ctx.approval("a").unwrap().unwrap(), all[1]);
}

#[test]
fn ids_are_names_and_options_differ() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let ask = |id: &str, options: &[&str]| ctx.request_approval(id, "?", options);
    for bad in ["", "a\tb", &"x".repeat(1025)] {
        let refused = ask(bad, &[]).unwrap_err();
        assert!(matches!(refused, ApprovalError::BadName { what: "approval id", .. }), "{refused}");
        let told = refused.to_string();
        assert!(
            told.starts_with(&format!("the approval id {:?} cannot be used: ", shown(bad))),
            "{told}"
        );
    }
    let empty = ask("a", &["yes", ""]).unwrap_err();
    assert_eq!(
        empty.to_string(),
        r#""a" cannot be asked with the options "yes", "": none may be empty"#
    );
    let twice = ask("a", &["no", "yes", "no"]).unwrap_err();
    assert!(twice.to_string().ends_with(r#""no", "yes", "no": each may stand once"#), "{twice}");
    assert!(matches!(twice, ApprovalError::BadOptions { .. }));
    assert_eq!(count(&ctx), 0);
    let longest = "x".repeat(1024);
    ask(&longest, &["yes", "Yes"]).unwrap();
    let refused = ctx.resolve_approval(&longest, "yes", "ada\n").unwrap_err();
    assert!(matches!(refused, ApprovalError::BadName { what: "decider", .. }), "{refused}");
    ctx.resolve_approval(&longest, "Yes", &longest).unwrap();
}

#[test]
fn resolving_worker() {
    let Some(number) = worker_number() else { return };
    let (mine, by) = (number.to_string(), format!("person {number}"));
    let told = match worker::context().resolve_approval("which", &mine, &by) {
        Ok(appended) => {
            assert!(!appended.duplicate);
            format!("won {mine} {by}")
        }
        Err(ApprovalError::AlreadyResolved { decision, by, .. }) => format!("lost {decision} {by}"),
        Err(error) => panic!("{error}"),
    };
    writeln!(std::io::stdout(), "told {told}.").unwrap();
}

#[test]
fn one_of_eight_answers_holds_and_the_others_are_told_which() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.request_approval("which", "Which number?", &[]).unwrap();
    let workers: Vec<Child> =
        (0..8).map(|number| start("approvals::resolving_worker", &ctx, number)).collect();
    let mut told = Vec::new();
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success());
        let out = String::from_utf8(output.stdout).unwrap();
        let said = out.split("told ").nth(1).unwrap().split('.').next().unwrap();
        told.push(said.to_owned());
    }
    let approval = ctx.approval("which").unwrap().unwrap();
    let (decision, by) = decision(&approval).unwrap();
    let holds = format!("{decision} {by}");
    told.sort();
    assert_eq!(told[..7], vec![format!("lost {holds}"); 7]);
    assert_eq!(told[7], format!("won {holds}"));
    assert_eq!(count(&ctx), 2);
}

#[test]
fn a_wait_ends_with_the_answer_with_the_time_or_with_the_run() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let timed_out = |was_asked: bool| {
        let start = Instant::now();
        let timed_out = ctx.wait_for_approval("deploy", SOON).unwrap_err();
        assert!(start.elapsed() >= SOON);
        let advice = if was_asked {
            r#"50ms; wait again, or decide it with `runjournal approval resolve "deploy" DECISION`"#
        } else {
            "50ms, and nobody asked for it; ask for it first"
        };
        assert!(timed_out.to_string().ends_with(advice), "{timed_out}");
        match timed_out {
            ApprovalError::TimedOut { asked, waited, .. } => {
                assert_eq!((asked, waited), (was_asked, SOON));
            }
            other => panic!("{other}"),
        }
    };
    timed_out(false);
    ctx.request_approval("other", "?", &[]).unwrap();
    ctx.resolve_approval("other", "yes", "ada").unwrap();
    timed_out(false);
    ctx.request_approval("deploy", "Deploy?", &["yes"]).unwrap();
    timed_out(true);

    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ctx.wait_for_approval("deploy", LATE).unwrap());
        std::thread::sleep(SOON);
        assert!(!waiting.is_finished());
        // Nothing is held: with little patience for locks, others append and answer.
        let other = ctx.clone().with_lock_timeout(SOON);
        other.append(Event::new("noted")).unwrap();
        other.resolve_approval("deploy", "yes", "ada").unwrap();
        assert_eq!(decision(&waiting.join().unwrap()), Some(("yes", "ada")));
    });
    let at_once = ctx.wait_for_approval("deploy", Duration::ZERO).unwrap();
    assert_eq!(decision(&at_once), Some(("yes", "ada")));

    ctx.request_approval("too late", "?", &[]).unwrap();
    let closed = |error| matches!(error, ApprovalError::RunClosed { .. });
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ctx.wait_for_approval("too late", LATE).unwrap_err());
        std::thread::sleep(SOON);
        ctx.run().unwrap().complete(Outcome::Failed, None).unwrap();
        assert!(closed(waiting.join().unwrap()));
    });
    assert!(closed(ctx.wait_for_approval("too late", LATE).unwrap_err()), "closed before");
    assert_eq!(decision(&ctx.wait_for_approval("deploy", LATE).unwrap()), Some(("yes", "ada")));
    let refused = ctx.resolve_approval("too late", "yes", "ada").unwrap_err();
    assert!(matches!(refused, ApprovalError::Journal(JournalError::Closed { .. })), "{refused}");
    assert!(ctx.resolve_approval("deploy", "yes", "ada").unwrap().duplicate);
}

/// An answer far back in a long journal is seen without waiting.
#[test]
fn a_long_journal_is_no_reason_to_time_out() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let journal = ctx.journal().unwrap();
    let many: Vec<Event> =
        (0..1000).map(|_| Event::new("noted").payload(&"x".repeat(8000))).collect();
    journal.append_batch(&many).unwrap();
    ctx.request_approval("deploy", "?", &[]).unwrap();
    journal.append_batch(&many).unwrap();
    ctx.resolve_approval("deploy", "yes", "ada").unwrap();
    assert!(ctx.wait_for_approval("deploy", Duration::ZERO).is_ok());
}

#[test]
fn waiting_worker() {
    if worker_number().is_none() {
        return;
    }
    writeln!(std::io::stdout(), "waiting").unwrap();
    let approval = worker::context().wait_for_approval("deploy", LATE).unwrap();
    writeln!(std::io::stdout(), "answer {}.", decision(&approval).unwrap().0).unwrap();
}

#[test]
fn another_process_waits() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let waiting = start("approvals::waiting_worker", &ctx, 0);
    std::thread::sleep(SOON * 4);
    ctx.request_approval("deploy", "Deploy?", &["yes", "no"]).unwrap();
    std::thread::sleep(SOON);
    ctx.resolve_approval("deploy", "no", "ada").unwrap();
    let output = waiting.wait_with_output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && out.contains("answer no."), "{out}");
}

#[test]
fn a_step_asks_and_a_step_that_is_over_does_not() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let mut inner = None;
    ctx.step("deploy", |s| {
        s.context().request_approval("deploy", "Deploy?", &["yes"])?;
        ctx.resolve_approval("deploy", "yes", "ada")?;
        s.context().wait_for_approval("deploy", LATE)?;
        s.context().request_approval("more", "More?", &[])?;
        inner = Some(s.context().clone());
        Ok("deployed".into())
    })
    .unwrap();
    let inner = inner.unwrap();
    let superseded =
        |error| matches!(error, ApprovalError::Journal(JournalError::StepSuperseded { .. }));
    assert!(superseded(inner.request_approval("late", "?", &[]).unwrap_err()));
    assert!(superseded(inner.resolve_approval("more", "yes", "step").unwrap_err()));
    ctx.resolve_approval("more", "yes", "ada").unwrap();
}

/// Id, question, and decision and name of the answer.
type Asked = (u8, u8, Option<(u8, u8)>);

#[derive(Debug, Clone)]
enum Act {
    Ask(u8, u8),
    Answer(u8, u8, u8),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn approvals_are_what_an_oracle_says(acts in prop::collection::vec(
        prop_oneof![
            (0..3_u8, 0..2_u8).prop_map(|(id, question)| Act::Ask(id, question)),
            (0..3_u8, 0..3_u8, 0..2_u8).prop_map(|(id, decision, by)| Act::Answer(id, decision, by)),
        ],
        1..40,
    )) {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        // In the order in which they were asked.
        let mut expected: Vec<Asked> = Vec::new();
        let mut records = 0;
        for act in acts {
            let known = |id: u8| move |asked: &&mut Asked| asked.0 == id;
            match act {
                Act::Ask(id, question) => {
                    let asked = ctx.request_approval(&id.to_string(), &question.to_string(), &["0", "1"]);
                    match expected.iter_mut().find(known(id)) {
                        None => {
                            prop_assert!(!asked.unwrap().duplicate);
                            expected.push((id, question, None));
                            records += 1;
                        }
                        Some((_, first, _)) if *first == question => prop_assert!(asked.unwrap().duplicate),
                        Some(_) => {
                            let otherwise = matches!(asked, Err(ApprovalError::AskedOtherwise { .. }));
                            prop_assert!(otherwise);
                        }
                    }
                }
                Act::Answer(id, decision, by) => {
                    let answered = ctx.resolve_approval(&id.to_string(), &decision.to_string(), &by.to_string());
                    match (expected.iter_mut().find(known(id)), answered) {
                        (None, Err(ApprovalError::NotAsked { .. })) => {}
                        (Some((_, _, Some(first))), Ok(appended)) => {
                            prop_assert!(appended.duplicate && *first == (decision, by));
                        }
                        (Some((_, _, Some(first))), Err(ApprovalError::AlreadyResolved { decision: held, by: who, .. })) => {
                            prop_assert_eq!((held, who), (first.0.to_string(), first.1.to_string()));
                            prop_assert_ne!(*first, (decision, by));
                        }
                        (Some((_, _, None)), Err(ApprovalError::NotAnOption { .. })) => prop_assert_eq!(decision, 2),
                        (Some((_, _, answer)), Ok(appended)) => {
                            prop_assert!(!appended.duplicate && decision < 2);
                            *answer = Some((decision, by));
                            records += 1;
                        }
                        (expected, answered) => prop_assert!(false, "{:?} {:?}", expected, answered),
                    }
                }
            }
            prop_assert_eq!(count(&ctx), records);
        }
        let found: Vec<_> = ctx.approvals().unwrap().into_iter().map(|approval| {
            let number = |text: &str| text.parse::<u8>().unwrap();
            let answer = decision(&approval).map(|(decision, by)| (number(decision), number(by)));
            (number(&approval.id), number(&approval.question), answer)
        }).collect();
        prop_assert_eq!(found, expected);
    }
}

#[cfg(all(feature = "sqlite", unix))]
mod with_the_index {
    use runjournal::index::Index;

    use super::*;
    use crate::index_lab::{Forger, assert_equal};

    #[test]
    fn the_index_agrees() {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let index = Index::of(test.workspace());
        let agree = || {
            index.refresh().unwrap();
            let rows = index.open().unwrap().snapshot(&ctx).unwrap().approvals;
            let mut approvals = ctx.approvals().unwrap();
            approvals.sort_by(|a, b| a.id.cmp(&b.id));
            assert_eq!(rows.len(), approvals.len());
            for (row, approval) in rows.iter().zip(&approvals) {
                assert_eq!(row.approval_id, approval.id);
                assert_eq!(row.question.as_ref(), Some(&approval.question));
                assert_eq!(row.options, Some(serde_json::to_string(&approval.options).unwrap()));
                assert_eq!(row.requested_seq, Some(approval.requested_seq));
                let answer = approval.resolution.as_ref();
                assert_eq!(row.decision.as_ref(), answer.map(|answer| &answer.decision));
                assert_eq!(row.decided_by.as_ref(), answer.map(|answer| &answer.by));
                assert_eq!(row.resolved_seq, answer.map(|answer| answer.seq));
            }
            assert_equal(&index, test.workspace());
        };
        ctx.request_approval("b", "Which?", &["x", "y"]).unwrap();
        ctx.request_approval("a", "[1]", &[]).unwrap();
        agree();
        ctx.resolve_approval("a", "null", "ada").unwrap();
        ctx.resolve_approval("b", "x", "bob").unwrap();
        agree();
    }

    #[test]
    fn what_is_no_question_is_a_typed_error() {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let key = r#","idempotency_key":"approval:A","payload":{"question":7}"#;
        Forger::behind(&ctx.run_path())
            .record("approval_requested", ("approval", "A"), key)
            .write();
        let payload = |error| matches!(error, ApprovalError::Journal(JournalError::Payload { .. }));
        assert!(payload(ctx.approvals().unwrap_err()));
        assert!(payload(ctx.approval("A").unwrap_err()));
        assert!(payload(ctx.resolve_approval("A", "yes", "ada").unwrap_err()));
        assert!(payload(ctx.request_approval("A", "?", &[]).unwrap_err()));
        assert!(payload(ctx.wait_for_approval("A", SOON).unwrap_err()));
        ctx.request_approval("B", "?", &[]).unwrap();
        ctx.resolve_approval("B", "yes", "ada").unwrap();
    }

    /// Damage took the question: it can be asked again, and the answer holds.
    #[test]
    fn an_answer_waits_for_its_question() {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let answer =
            r#","idempotency_key":"approval-end:A","payload":{"decision":"yes","by":"ada"}"#;
        Forger::behind(&ctx.run_path())
            .record("approval_resolved", ("approval", "A"), answer)
            .write();
        assert_eq!(ctx.approval("A").unwrap(), None);
        ctx.request_approval("A", "?", &["yes"]).unwrap();
        assert_eq!(decision(&ctx.wait_for_approval("A", SOON).unwrap()), Some(("yes", "ada")));
        assert!(ctx.resolve_approval("A", "yes", "ada").unwrap().duplicate);
    }

    #[test]
    fn a_person_answers_without_the_lease_and_a_worker_with_an_old_one_does_not() {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let claim = || {
            let payload =
                r#"{"worker_id":"w","ttl_ms":1000,"expires_at":"2026-01-01T00:00:00.000000Z"}"#;
            let mut task = Forger::behind(&test.task().path());
            let token = task.seq;
            task.payload("lease_claimed", ("lease", "TASK-1"), payload).write();
            ctx.clone().with_lease(LeaseRef::new(test.task().id().clone(), token))
        };
        let old = claim();
        old.request_approval("a", "?", &[]).unwrap();
        let new = claim();
        for id in ["b", "c", "d"] {
            new.request_approval(id, "?", &[]).unwrap();
        }
        let lost = |error| matches!(error, ApprovalError::Journal(JournalError::LeaseLost { .. }));
        assert!(lost(old.resolve_approval("a", "yes", "worker").unwrap_err()));
        assert!(lost(old.request_approval("e", "?", &[]).unwrap_err()));
        let required = ctx.request_approval("e", "?", &[]).unwrap_err();
        assert!(
            matches!(required, ApprovalError::Journal(JournalError::LeaseRequired { .. })),
            "{required}"
        );
        ctx.resolve_approval("a", "yes", "ada").unwrap();
        new.resolve_approval("b", "yes", "worker").unwrap();
        let inside =
            ctx.clone().with_step("step/00000000-0000-7000-8000-000000000001".parse().unwrap());
        assert!(
            inside.resolve_approval("c", "yes", "worker").is_err(),
            "who stands in a step is a worker"
        );
        let decided = ctx.approvals().unwrap();
        let decided: Vec<_> = decided.iter().map(|it| it.resolution.is_some()).collect();
        assert_eq!(decided, [true, true, false, false]);
    }
}
