//! Sessions with providers, and questions to people.

use runjournal::{ApprovalError, SessionStatus};
use serde_json::json;

use super::{Operation, Seen, plain};
use crate::{Acks, Outcome, Place, ensure};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "session_start",
        operate: |place, acks| {
            let ctx = place.ctx()?;
            place.begin();
            ctx.session("S-1", "provider")?;
            acks.tell("session S-1 starting")?;
            place.end();
            Ok(())
        },
        holds: started_once,
        done: |seen| is(seen, SessionStatus::Starting),
        ..plain()
    },
    Operation {
        name: "session_update",
        recovery_killed: true,
        prepare: started,
        operate: |place, acks| {
            let session = place.ctx()?.session("S-1", "provider")?;
            place.begin();
            session.update_with(SessionStatus::Running, &json!({"turn": 4}))?;
            acks.tell("session S-1 running")?;
            place.end();
            Ok(())
        },
        holds: started_once,
        done: |seen| {
            let session = seen.place.ctx()?.session("S-1", "provider")?;
            let cursor: Option<serde_json::Value> = session.resume_cursor()?;
            ensure(cursor == Some(json!({"turn": 4})), || format!("it goes on at {cursor:?}"))?;
            is(seen, SessionStatus::Running)
        },
        ..plain()
    },
    Operation {
        name: "session_seen",
        prepare: |place, acks| {
            place.ctx()?.session("S-1", "provider")?.update(SessionStatus::Running)?;
            acks.tell("session S-1 running")
        },
        operate: |place, acks| {
            let ctx = place.ctx()?;
            let session = ctx.session("S-1", "provider")?;
            place.begin();
            session.seen()?;
            acks.newest(&ctx)?;
            place.end();
            Ok(())
        },
        holds: started_once,
        done: |seen| {
            let said = seen.count("session_updated");
            ensure(said >= 2, || format!("{said} records say that it was heard of"))?;
            is(seen, SessionStatus::Running)
        },
        ..plain()
    },
    Operation {
        name: "session_stop",
        prepare: started,
        operate: |place, acks| {
            let ctx = place.ctx()?;
            // Asked for once more, one that stopped would start anew.
            let last = ctx.sessions()?.pop().map(|state| state.status);
            if last == Some(SessionStatus::Stopped) {
                return ensure(place.again(), || "it stopped before".into());
            }
            let session = ctx.session("S-1", "provider")?;
            place.begin();
            session.stop()?;
            acks.tell("session S-1 stopped")?;
            place.end();
            Ok(())
        },
        holds: |seen| {
            started_once(seen)?;
            ensure(seen.count("session_stopped") <= 1, || "it stopped twice".into())
        },
        done: |seen| is(seen, SessionStatus::Stopped),
        ..plain()
    },
    Operation {
        name: "approval_request",
        operate: request,
        holds: |seen| at_most(seen, "approval_requested"),
        done: |seen| {
            let asked = seen.place.ctx()?.approval("deploy")?;
            ensure(asked.is_some_and(|asked| asked.resolution.is_none()), || "not asked".into())
        },
        ..plain()
    },
    Operation {
        name: "approval_resolve",
        prepare: request,
        operate: |place, acks| {
            let ctx = place.ctx()?;
            place.begin();
            acks.appended(&ctx.resolve_approval("deploy", "yes", "a person")?)?;
            place.end();
            Ok(())
        },
        holds: |seen| at_most(seen, "approval_resolved"),
        done: |seen| {
            let ctx = seen.place.ctx()?;
            match ctx.resolve_approval("deploy", "no", "somebody else") {
                Err(ApprovalError::AlreadyResolved { decision, by, .. })
                    if (decision.as_str(), by.as_str()) == ("yes", "a person") =>
                {
                    Ok(())
                }
                other => ensure(false, || format!("who comes later is told {other:?}")),
            }
        },
        ..plain()
    },
];

fn started(place: &Place, acks: &mut Acks) -> Outcome {
    place.ctx()?.session("S-1", "provider")?;
    acks.tell("session S-1 starting")
}

fn started_once(seen: &Seen<'_>) -> Outcome {
    at_most(seen, "session_started")
}

fn at_most(seen: &Seen<'_>, event_type: &str) -> Outcome {
    ensure(seen.count(event_type) <= 1, || format!("{event_type} stands twice"))
}

fn is(seen: &Seen<'_>, status: SessionStatus) -> Outcome {
    let found = seen.place.ctx()?.sessions()?.pop().map(|state| state.status);
    ensure(found == Some(status), || format!("the session is {found:?}"))
}

fn request(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    acks.appended(&ctx.request_approval("deploy", "Deploy to production?", &["yes", "no"])?)?;
    place.end();
    Ok(())
}
