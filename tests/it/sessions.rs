//! Sessions with providers: started once, resumed after a crash, ended by one handle for all.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::Child;

use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::*;
use serde_json::{Value, json};

use crate::concurrency::{start, worker_number};
use crate::lab::shown;
use crate::worker;

fn of_type(ctx: &RunContext, event_type: &str) -> Vec<Record> {
    ctx.events().unwrap().of_type(event_type).map(Result::unwrap).collect()
}

fn count(ctx: &RunContext) -> usize {
    ctx.events().unwrap().count()
}

#[test]
fn a_session_is_resumed_until_it_stops_and_then_started_anew() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    assert!(ctx.sessions().unwrap().is_empty());
    let session = ctx.session("claude-1", "anthropic").unwrap();
    assert_eq!(session.id(), "claude-1");
    assert_eq!(session.resume_cursor::<Value>().unwrap(), None);
    session.update_with(SessionStatus::Running, &json!({"turn": 4})).unwrap();
    let first = session.state().unwrap();
    assert_eq!((first.status, first.started_seq, first.seq), (SessionStatus::Running, 1, 2));

    let resumed = ctx.session("claude-1", "anthropic").unwrap();
    assert_eq!(count(&ctx), 2, "to resume is no record");
    assert_eq!(resumed.resume_cursor::<Value>().unwrap(), Some(json!({"turn": 4})));
    resumed.seen().unwrap();
    let seen = session.state().unwrap();
    assert!(seen.last_seen > first.last_seen);
    assert_eq!(seen.status, SessionStatus::Running);
    assert_eq!(seen.resume_cursor::<Value>().unwrap(), Some(json!({"turn": 4})));
    session.update(SessionStatus::Starting).unwrap();
    assert_eq!(session.resume_cursor::<Value>().unwrap(), Some(json!({"turn": 4})), "it stays");
    resumed.stop().unwrap();
    session.stop().unwrap();
    assert_eq!(of_type(&ctx, "session_stopped").len(), 1, "a second stop changes nothing");

    let anew = ctx.session("claude-1", "anthropic").unwrap();
    let state = anew.state().unwrap();
    assert_eq!((state.status, state.started_seq), (SessionStatus::Starting, 6));
    assert_eq!(state.resume_cursor::<Value>().unwrap(), Some(json!({"turn": 4})));
    anew.fail("no answer").unwrap();
    anew.fail("no answer").unwrap();
    let failed = &ctx.sessions().unwrap()[0];
    assert_eq!(failed.status, SessionStatus::Error);
    assert_eq!(failed.reason.as_deref(), Some("no answer"));
    assert_eq!(ctx.session("claude-1", "anthropic").unwrap().state().unwrap().reason, None);

    let records: Vec<_> = ctx.events().unwrap().map(Result::unwrap).collect();
    let said: Vec<String> = records
        .iter()
        .map(|record| {
            let mut payload: Value = record.payload().unwrap();
            assert!(payload.as_object_mut().unwrap().remove("last_seen").is_some());
            format!("{} {} {payload}", record.event_type(), record.stream())
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    session_started session/claude-1 {"provider":"anthropic","status":"starting"}
    session_updated session/claude-1 {"provider":"anthropic","resume_cursor":{"turn":4},"started":1,"status":"running"}
    session_updated session/claude-1 {"provider":"anthropic","resume_cursor":{"turn":4},"started":1,"status":"running"}
    session_updated session/claude-1 {"provider":"anthropic","resume_cursor":{"turn":4},"started":1,"status":"starting"}
    session_stopped session/claude-1 {"provider":"anthropic","resume_cursor":{"turn":4},"started":1,"status":"stopped"}
    session_started session/claude-1 {"provider":"anthropic","resume_cursor":{"turn":4},"status":"starting"}
    session_stopped session/claude-1 {"provider":"anthropic","reason":"no answer","resume_cursor":{"turn":4},"started":6,"status":"error"}
    session_started session/claude-1 {"provider":"anthropic","resume_cursor":{"turn":4},"status":"starting"}
    "#);
}

#[test]
fn a_session_that_is_over_is_not_changed_by_an_old_handle() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let old = ctx.session("S", "p").unwrap();
    let refused = ctx.session("S", "q").unwrap_err();
    assert!(
        matches!(&refused, SessionError::OtherProvider { provider, .. } if provider == "p"),
        "{refused}"
    );
    for to in [SessionStatus::Stopped, SessionStatus::Error] {
        let refused = old.update(to).unwrap_err();
        assert!(matches!(refused, SessionError::IllegalMove { .. }), "{refused}");
    }
    let over = |refused: Result<(), SessionError>, why: &str| match refused {
        Err(SessionError::Over { newest, .. }) => assert!(newest.contains(why), "{newest}"),
        other => panic!("{other:?}"),
    };
    let all = |why: &str| {
        over(old.update_with(SessionStatus::Running, "x"), why);
        over(old.seen(), why);
        over(old.fail("no"), why);
    };
    old.stop().unwrap();
    let before = count(&ctx);
    all("stopped since seq 2");
    assert!(matches!(ctx.session("S", "q"), Err(SessionError::OtherProvider { .. })));
    let new = ctx.session("S", "p").unwrap();
    all("anew by seq 3");
    over(old.stop(), "anew by seq 3");
    assert_eq!(count(&ctx), before + 1);
    assert_eq!(new.state().unwrap().status, SessionStatus::Starting);
    new.fail("first").unwrap();
    over(new.fail("second"), "error (first) since seq 4");
    over(new.stop(), "error (first) since seq 4");
}

#[test]
fn a_closed_run_has_no_sessions_to_go_on_with() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let session = ctx.session("S", "p").unwrap();
    ctx.run().unwrap().complete(Outcome::Failed, None).unwrap();
    let closed = |error| matches!(error, SessionError::Journal(JournalError::Closed { .. }));
    assert!(closed(session.seen().unwrap_err()));
    assert!(closed(ctx.session("S", "p").unwrap_err()), "not resumed");
    assert!(closed(ctx.session("T", "p").unwrap_err()), "not started");
    assert_eq!(ctx.sessions().unwrap().len(), 1);
}

#[test]
fn a_cursor_is_any_json_and_exact() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let session = ctx.session("S", "p").unwrap().durability(Durability::Buffered);
    let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
    let large = format!("[{}0]", "1234567890123456789012345678901234567890,".repeat(2000));
    for json in [
        "340282366920938463463374607431768211456",
        "-0.0",
        "1e400",
        r#""a\u2028b""#,
        "[]",
        r#"{"b":1,"a":{"deep":[null,true]}}"#,
        "false",
        &large,
    ] {
        session.update_with(SessionStatus::Running, &raw(json)).unwrap();
        session.seen().unwrap();
        let read = session.resume_cursor::<Box<serde_json::value::RawValue>>().unwrap().unwrap();
        assert_eq!(read.get(), json);
        let again = ctx.session("S", "p").unwrap().resume_cursor::<Box<_>>().unwrap().unwrap();
        let again: &serde_json::value::RawValue = &again;
        assert_eq!(again.get(), json);
    }
    session.update_with(SessionStatus::Running, &u128::MAX).unwrap();
    assert_eq!(session.resume_cursor::<u128>().unwrap(), Some(u128::MAX));
    let shape = session.resume_cursor::<bool>().unwrap_err();
    assert!(matches!(shape, SessionError::CursorShape { .. }), "{shape}");

    let before = count(&ctx);
    let no_json = session.update_with(SessionStatus::Running, &HashMap::from([((1, 2), 3)]));
    assert!(matches!(no_json, Err(SessionError::NotJson { .. })));
    assert_eq!(count(&ctx), before);
    session.update_with(SessionStatus::Running, &Value::Null).unwrap();
    assert_eq!(session.resume_cursor::<u128>().unwrap(), None, "null is none");
    let last = of_type(&ctx, "session_updated").pop().unwrap();
    assert!(!last.payload_json().unwrap().unwrap().contains("resume_cursor"), "and left out");
}

#[test]
fn ids_and_providers_are_names() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    for bad in ["", "a\nb", "\u{85}", &"x".repeat(1025)] {
        for (id, provider, should) in [(bad, "p", "session id"), ("S", bad, "provider")] {
            let refused = ctx.session(id, provider).unwrap_err();
            let told = refused.to_string();
            let bad = shown(bad);
            assert!(told.starts_with(&format!("the {should} {bad:?} cannot be used: ")), "{told}");
            assert!(matches!(refused, SessionError::BadName { what, .. } if what == should));
        }
    }
    assert_eq!(count(&ctx), 0);
    for id in ["é/1 ", "b", "a", &"x".repeat(1024)] {
        ctx.session(id, "p").unwrap().seen().unwrap();
        assert_eq!(ctx.session_state(id).unwrap().unwrap().id, id);
    }
    assert!(ctx.session_state("x").unwrap().is_none());
    let ids: Vec<_> = ctx.sessions().unwrap().into_iter().map(|state| state.id).collect();
    assert_eq!(ids, ["a".to_owned(), "b".into(), "x".repeat(1024), "é/1 ".into()]);
}

#[test]
fn starting_worker() {
    let Some(number) = worker_number() else { return };
    let session = worker::context().session("S", "p").unwrap();
    session.update_with(SessionStatus::Running, &number).unwrap();
}

#[test]
fn one_of_eight_processes_starts_a_session() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let workers: Vec<Child> =
        (0..8).map(|number| start("sessions::starting_worker", &ctx, number)).collect();
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
    assert_eq!(of_type(&ctx, "session_started").len(), 1);
    assert_eq!(of_type(&ctx, "session_updated").len(), 8);
}

#[test]
fn resuming_worker() {
    let Some(turns) = worker_number() else { return };
    let session = worker::context().session("S", "p").unwrap();
    let from = session.resume_cursor::<usize>().unwrap().unwrap_or(0);
    for turn in from + 1..=from + turns {
        session.update_with(SessionStatus::Running, &turn).unwrap();
    }
    writeln!(std::io::stdout(), "from {from}.").unwrap();
    std::process::abort();
}

#[test]
fn a_process_that_died_is_resumed_by_the_next_one() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    for (turns, from) in [(3, 0), (2, 3), (1, 5)] {
        let worker = start("sessions::resuming_worker", &ctx, turns);
        let output = worker.wait_with_output().unwrap();
        assert!(!output.status.success(), "it died");
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(out.contains(&format!("from {from}.")), "{out}");
    }
    let session = ctx.session("S", "p").unwrap();
    assert_eq!(session.resume_cursor::<usize>().unwrap(), Some(6));
    assert_eq!(of_type(&ctx, "session_started").len(), 1);
}

/// What a session should be: who wrote the records is not asked.
#[derive(Debug, Clone, PartialEq)]
struct Expected {
    provider: &'static str,
    status: SessionStatus,
    cursor: Option<u8>,
    reason: Option<String>,
    start: usize,
}

#[derive(Debug, Clone)]
enum Act {
    Open(usize, bool),
    Update(usize, bool, Option<u8>),
    Seen(usize),
    Stop(usize),
    Fail(usize, u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let slot = 0..3_usize;
    let act = prop_oneof![
        3 => (slot.clone(), prop::bool::weighted(0.2)).prop_map(|(slot, other)| Act::Open(slot, other)),
        4 => (slot.clone(), any::<bool>(), any::<Option<u8>>())
            .prop_map(|(slot, running, cursor)| Act::Update(slot, running, cursor)),
        2 => slot.clone().prop_map(Act::Seen),
        1 => slot.clone().prop_map(Act::Stop),
        1 => (slot, 0..2_u8).prop_map(|(slot, why)| Act::Fail(slot, why)),
    ];
    prop::collection::vec(act, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn sessions_are_what_an_oracle_says(acts in acts()) {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let mut handles: [Option<(Session, usize)>; 3] = [None, None, None];
        let mut expected: Option<Expected> = None;
        let mut records = 0;
        for act in acts {
            let before = expected.clone();
            // Whether it goes well, and whether it is a record.
            let (went, should) = match act {
                Act::Open(slot, other) => {
                    let provider = if other { "q" } else { "p" };
                    let should = expected.as_ref().is_none_or(|now| now.provider == provider);
                    if should && expected.as_ref().is_none_or(|now| now.status.is_over()) {
                        let last = expected.take();
                        expected = Some(Expected {
                            provider,
                            status: SessionStatus::Starting,
                            cursor: last.as_ref().and_then(|last| last.cursor),
                            reason: None,
                            start: last.map_or(0, |last| last.start + 1),
                        });
                    }
                    let opened = ctx.session("S", provider);
                    let went = opened.is_ok();
                    if let Ok(session) = opened {
                        let session = session.durability(Durability::Buffered);
                        handles[slot] = Some((session, expected.as_ref().unwrap().start));
                    }
                    (went, should)
                }
                Act::Update(slot, ..) | Act::Seen(slot) | Act::Stop(slot) | Act::Fail(slot, _) => {
                    let Some((handle, start)) = &handles[slot] else { continue };
                    let now = expected.as_mut().unwrap();
                    let own = now.start == *start;
                    let alive = own && !now.status.is_over();
                    match act {
                        Act::Update(_, running, cursor) => {
                            let running = if running { SessionStatus::Running } else { SessionStatus::Starting };
                            if alive {
                                now.status = running;
                                now.cursor = cursor.or(now.cursor);
                            }
                            let updated = match cursor {
                                Some(cursor) => handle.update_with(running, &cursor),
                                None => handle.update(running),
                            };
                            (updated.is_ok(), alive)
                        }
                        Act::Seen(_) => {
                            records += usize::from(alive);
                            (handle.seen().is_ok(), alive)
                        }
                        Act::Stop(_) => {
                            let should = alive || own && now.status == SessionStatus::Stopped;
                            if alive {
                                now.status = SessionStatus::Stopped;
                            }
                            (handle.stop().is_ok(), should)
                        }
                        Act::Fail(_, why) => {
                            let why = why.to_string();
                            let same = now.status == SessionStatus::Error
                                && now.reason.as_ref() == Some(&why);
                            if alive {
                                (now.status, now.reason) =
                                    (SessionStatus::Error, Some(why.clone()));
                            }
                            (handle.fail(why).is_ok(), alive || own && same)
                        }
                        Act::Open(..) => unreachable!(),
                    }
                }
            };
            prop_assert_eq!(went, should);
            if !matches!(act, Act::Seen(_)) {
                let is_update = matches!(act, Act::Update(..)) && should;
                records += usize::from(is_update || before != expected);
            }
            prop_assert_eq!(count(&ctx), records);
            let found = ctx.sessions().unwrap().into_iter().next().map(|state| Expected {
                provider: if state.provider == "p" { "p" } else { "q" },
                status: state.status,
                cursor: state.resume_cursor().unwrap(),
                reason: state.reason.clone(),
                start: of_type(&ctx, "session_started").len() - 1,
            });
            prop_assert_eq!(&found, &expected);
        }
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
        let session = ctx.session("S", "p").unwrap();
        session.update_with(SessionStatus::Running, &[u128::MAX]).unwrap();
        let index = Index::of(test.workspace());
        let rows = || {
            index.refresh().unwrap();
            let sessions = index.open().unwrap().snapshot(&ctx).unwrap().sessions;
            let states = ctx.sessions().unwrap();
            assert_eq!(sessions.len(), states.len());
            for (row, state) in sessions.iter().zip(&states) {
                assert_eq!(row.session_id, state.id);
                assert_eq!(row.provider.as_ref(), Some(&state.provider));
                assert_eq!(row.status, Some(state.status.to_string()));
                assert_eq!(row.last_seen, Some(state.last_seen.to_string()));
                assert_eq!((&row.reason, row.seq), (&state.reason, state.seq));
            }
            sessions.into_iter().map(|row| row.resume_cursor).collect::<Vec<_>>()
        };
        assert_eq!(rows(), [Some(format!("[{}]", u128::MAX))]);
        session.update_with(SessionStatus::Running, "page 7").unwrap();
        assert_eq!(rows(), [Some("page 7".to_owned())]);
        session.update_with(SessionStatus::Running, &()).unwrap();
        session.fail("gone").unwrap();
        ctx.session("T", "q").unwrap();
        assert_eq!(rows(), [None, None]);
        ctx.session("S", "p").unwrap();
        rows();
        assert_equal(&index, test.workspace());
    }

    #[test]
    fn what_is_no_state_is_a_typed_error() {
        for bad in
            ["{}", "17", r#"{"provider":"p","status":"asleep","last_seen":"2026-01-01T00:00:00Z"}"#]
        {
            let test = TestWorkspace::new().unwrap();
            let ctx = test.start_run("RUN-1").unwrap();
            Forger::behind(&ctx.run_path())
                .payload("session_started", ("session", "S"), bad)
                .write();
            let payload =
                |error| matches!(error, SessionError::Journal(JournalError::Payload { .. }));
            assert!(payload(ctx.session("S", "p").unwrap_err()), "{bad}");
            assert!(payload(ctx.sessions().unwrap_err()), "{bad}");
            assert!(payload(ctx.session_state("S").unwrap_err()), "{bad}");
            ctx.session("T", "p").unwrap().stop().unwrap();
        }
    }

    /// What a worker whose lease is over may not even read on from.
    #[test]
    fn only_the_newest_lease_goes_on_with_a_session() {
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
        let first = claim();
        let session = first.session("S", "p").unwrap();
        let second = claim();
        second.session("S", "p").unwrap().seen().unwrap();
        let lost = |error| matches!(error, SessionError::Journal(JournalError::LeaseLost { .. }));
        assert!(lost(session.seen().unwrap_err()));
        assert!(lost(first.session("S", "p").unwrap_err()), "not resumed");
        let required = ctx.session("S", "p").unwrap_err();
        assert!(
            matches!(required, SessionError::Journal(JournalError::LeaseRequired { .. })),
            "{required}"
        );
        assert_eq!(of_type(&ctx, "session_started").len(), 1);
        assert_eq!(of_type(&ctx, "session_updated").len(), 1);
    }
}
