//! Leases: claims, what keeps and ends them, and what is first done under them.

use std::fs::OpenOptions;
use std::time::Duration;

use runjournal::{
    Durability, Event, JournalError, Lease, Outcome as Ending, Signal, StepError, StepFailure,
    WorkspaceError,
};

use super::{Base, Operation, Seen, plain, step};
use crate::place::{RUN, TASK};
use crate::{Acks, Outcome, Place, Violation, ensure, heads, leases, raw};

pub(super) const ALL: &[Operation] = &[
    Operation { name: "lease_claim", prepare: more_runs, operate: claim, done: claimed, ..plain() },
    Operation {
        name: "lease_claim_over_an_expired_one",
        heads: true,
        prepare: |place, acks| {
            more_runs(place, acks)?;
            let lease = place.task()?.claim("worker-0", Duration::from_millis(1))?;
            acks.claimed(&lease, "worker-0")?;
            let run = lease.task().run(RUN)?;
            acks.appended(&run.context().append(Event::new("worked"))?)?;
            std::thread::sleep(Duration::from_millis(2));
            Ok(())
        },
        operate: claim,
        done: claimed,
        ..plain()
    },
    Operation {
        name: "lease_claim_again",
        prepare: |place, acks| {
            more_runs(place, acks)?;
            hold(place, acks)
        },
        operate: claim,
        done: claimed,
        ..plain()
    },
    Operation {
        name: "lease_renew",
        buffered: true,
        prepare: hold,
        operate: renew,
        done: |seen| {
            let lease = seen.place.task()?.lease()?;
            ensure(lease.is_some_and(|lease| !lease.released), || "it is not held".into())
        },
        ..plain()
    },
    Operation {
        name: "lease_release",
        prepare: hold,
        operate: release,
        holds: |seen| {
            ensure(in_task(seen, "lease_released")? <= 1, || "it was released twice".into())
        },
        done: |seen| {
            let lease = seen.place.task()?.lease()?;
            ensure(lease.is_some_and(|lease| lease.released), || "it is not released".into())?;
            ensure(in_task(seen, "lease_released")? == 1, || "it was not released once".into())
        },
        ..plain()
    },
    Operation {
        name: "lease_heartbeat",
        reads_much: true,
        prepare: |place, acks| {
            let lease = place.task()?.claim("worker-1", Duration::from_millis(15))?;
            acks.claimed(&lease, "worker-1")
        },
        operate: beat,
        done: |seen| {
            let lease = seen.place.task()?.lease()?;
            ensure(lease.is_some_and(|lease| !lease.released), || "it is not held".into())
        },
        ..plain()
    },
    Operation {
        name: "lease_first_write",
        buffered: true,
        recovery_killed: true,
        prepare: |place, _| {
            let end = journal_length(place)?;
            place.task()?.claim("worker-1", HOUR)?;
            unbind(place, end)
        },
        operate: first_write,
        holds: bound_before_noted,
        done: noted_once,
        ..plain()
    },
    Operation {
        name: "lease_first_write_over_an_older_one",
        buffered: true,
        prepare: |place, acks| {
            hold(place, acks)?;
            let end = journal_length(place)?;
            place.task()?.claim("worker-1", HOUR)?;
            unbind(place, end)
        },
        operate: first_write,
        holds: bound_before_noted,
        done: noted_once,
        ..plain()
    },
    Operation {
        name: "lease_start_run",
        heads: true,
        base: Base::Task,
        prepare: hold,
        operate: start_run,
        holds: |seen| {
            let first = seen.records.first().map(|record| record.text("event_type"));
            ensure(matches!(first, None | Some("lease_bound")), || format!("{first:?} is first"))
        },
        done: |seen| ensure(seen.count("lease_bound") == 1, || "it is not bound once".into()),
        ..plain()
    },
    Operation {
        name: "lease_step_taken_over",
        prepare: hold,
        operate: take_over,
        holds: step::all_or_none,
        done: step::complete,
        ..plain()
    },
];

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

impl Acks {
    /// A worker claimed the task.
    pub(crate) fn claimed(&mut self, lease: &Lease, worker: &str) -> Outcome {
        self.tell(&format!("claimed {} {worker}", lease.lease_ref().token))
    }
}

/// A second run that is not finished, and one that is.
fn more_runs(place: &Place, _: &mut Acks) -> Outcome {
    let task = place.task()?;
    task.start_run_as("RUN-2")?.append(Event::new("seeded"))?;
    task.start_run_as("RUN-3")?.run()?.complete(Ending::Failed, None)?;
    Ok(())
}

fn hold(place: &Place, acks: &mut Acks) -> Outcome {
    acks.claimed(&place.task()?.claim("worker-1", HOUR)?, "worker-1")
}

fn holder(place: &Place) -> Outcome<Lease> {
    leases::newest(place)?.ok_or_else(|| Violation::new("nobody claimed the task"))
}

fn claim(place: &Place, acks: &mut Acks) -> Outcome {
    let task = place.task()?;
    place.begin();
    acks.claimed(&task.claim("worker-1", HOUR)?, "worker-1")?;
    place.end();
    Ok(())
}

/// The task is held by its worker, who is let into each unfinished run; the finished one stayed as it was.
fn claimed(seen: &Seen<'_>) -> Outcome {
    let task = seen.place.task()?;
    let state = task.lease()?.filter(|state| !state.released && !state.expired);
    ensure(state.is_some_and(|state| state.worker == "worker-1"), || "it is not held".into())?;
    let lease = holder(seen.place)?;
    for run in [RUN, "RUN-2"] {
        lease.task().run(run)?.context().append(Event::new("let_in"))?;
    }
    let finished = task.run("RUN-3")?.state()?;
    ensure(finished.records == 1, || "a finished run was written to".into())
}

fn in_task(seen: &Seen<'_>, event_type: &str) -> Outcome<usize> {
    let records = raw::records(&seen.place.root().join(TASK), "task.json")?;
    Ok(records.iter().filter(|record| record.text("event_type") == event_type).count())
}

fn renew(place: &Place, acks: &mut Acks) -> Outcome {
    let lease = holder(place)?;
    place.begin();
    let ends = lease.renew()?;
    acks.tell(&format!("renewed {}", lease.lease_ref().token))?;
    place.end();
    let state = place.task()?.lease()?;
    ensure(state.is_some_and(|state| state.expires_at == ends), || "it ends otherwise".into())
}

/// Keeps the lease up until it was renewed once, by a hint beside the journal.
fn beat(place: &Place, _: &mut Acks) -> Outcome {
    let (lease, hint) = (holder(place)?, place.root().join(TASK).join("journal/.lease"));
    let before = std::fs::read(&hint).ok();
    place.begin();
    let heartbeat = lease.heartbeat()?;
    for _ in 0..1000 {
        std::thread::sleep(Duration::from_millis(8));
        if let Some(why) = heartbeat.lost() {
            return Err(Violation::new(why));
        }
        if std::fs::read(&hint).ok() != before {
            drop(heartbeat);
            place.end();
            return Ok(());
        }
    }
    Err(Violation::new("it was not renewed"))
}

fn release(place: &Place, acks: &mut Acks) -> Outcome {
    let lease = holder(place)?;
    place.begin();
    lease.release()?;
    acks.tell(&format!("released {}", lease.lease_ref().token))?;
    place.end();
    Ok(())
}

pub(crate) fn journal_length(place: &Place) -> Outcome<u64> {
    Ok(std::fs::metadata(place.ctx()?.journal_path())?.len())
}

/// What a claim leaves that died before it bound the run.
pub(crate) fn unbind(place: &Place, length: u64) -> Outcome {
    let journal = OpenOptions::new().write(true).open(place.ctx()?.journal_path())?;
    journal.set_len(length)?;
    heads::remove_all(place.root().as_ref())
}

fn first_write(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = leases::writer(place)?;
    place.begin();
    acks.appended(&ctx.append(Event::new("noted").key("note"))?)?;
    place.end();
    Ok(())
}

fn bound_before_noted(seen: &Seen<'_>) -> Outcome {
    let newest = holder(seen.place)?.lease_ref().token;
    let mut bound = false;
    for record in seen.records {
        let token = record.payload("token").and_then(serde_json::Value::as_u64);
        bound |= record.text("event_type") == "lease_bound" && token == Some(newest);
        ensure(bound || record.text("event_type") != "noted", || "written unbound".into())?;
    }
    ensure(seen.count("noted") <= 1, || "a key was appended twice".into())
}

fn noted_once(seen: &Seen<'_>) -> Outcome {
    ensure(seen.count("noted") == 1, || "a key does not stand exactly once".into())
}

fn start_run(place: &Place, acks: &mut Acks) -> Outcome {
    let lease = holder(place)?;
    place.begin();
    match lease.task().start_run_as(RUN) {
        Ok(_) => {}
        // Its maker may have died before it was bound, which its first write makes up for.
        Err(WorkspaceError::RunExists { .. }) if place.again() => {
            let journal = leases::writer(place)?.journal()?.durability(Durability::Durable);
            acks.appended(&journal.append(Event::new("noted").key("note"))?)?;
        }
        Err(error) => return Err(error.into()),
    }
    acks.tell("run")?;
    place.end();
    Ok(())
}

/// A worker that claims again takes over a step that its former self is still at.
fn take_over(place: &Place, acks: &mut Acks) -> Outcome {
    let former = leases::writer(place)?;
    let task = place.task()?;
    let told = |told: Outcome| told.map_err(|violation| StepError::message(violation.to_string()));
    let mut failed = None;
    let outcome = former.step("work", |attempt| {
        step::stage(attempt)?;
        let lease = task.claim("worker-1", HOUR)?;
        told(acks.claimed(&lease, "worker-1"))?;
        let ctx = lease.task().run(RUN)?.context().clone();
        place.begin();
        let taken = ctx.step("work", |attempt| {
            step::stage(attempt)?;
            Ok(Signal::new("done"))
        });
        let signal = taken.map_err(|failure| {
            failed = Some(Violation::from(failure));
            StepError::message("the step that took over failed")
        })?;
        told(acks.tell("step work"))?;
        place.end();
        Ok(signal)
    });
    match outcome {
        _ if failed.is_some() => failed.map_or(Ok(()), Err),
        Ok(signal) if place.again() && signal == "done" => acks.tell("step work"),
        Err(StepFailure::Journal { source: JournalError::LeaseLost { .. }, .. }) => Ok(()),
        other => Err(Violation::new(format!("the step that was taken over: {other:?}"))),
    }
}
