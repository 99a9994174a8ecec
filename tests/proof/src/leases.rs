//! The invariants of leases, looked at in the files of a task and all its runs, and by asking whoever must
//! be kept out.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use runjournal::{
    Event, JournalError, Lease, LeaseError, LeaseRef, RunContext, TaskStatus, WorkspaceError,
};

use crate::place::TASK;
use crate::raw::{self, RawRecord};
use crate::{Outcome, Place, Violation, ensure};

/// What a task's journal says of its claims.
#[derive(Debug, Default)]
struct Claims {
    /// Each token, and whose it is.
    workers: BTreeMap<u64, String>,
    /// The token that is not released.
    held: Option<u64>,
}

/// A run's journal.
#[derive(Debug)]
struct RunSeen {
    id: String,
    records: Vec<RawRecord>,
}

impl RunSeen {
    fn is_closed(&self) -> bool {
        self.records.last().is_some_and(|last| last.text("event_type") == "execution_complete")
    }

    /// The tokens that it was bound to, in order, and the worker of each.
    fn bound(&self) -> impl Iterator<Item = (u64, &str)> {
        let bound = self.records.iter().filter(|record| record.text("event_type") == "lease_bound");
        bound.map(|record| (token(record), record.payload_text("worker_id")))
    }

    fn newest_bound(&self) -> Option<u64> {
        self.bound().last().map(|(token, _)| token)
    }
}

fn token(record: &RawRecord) -> u64 {
    record.payload("token").and_then(serde_json::Value::as_u64).unwrap_or_default()
}

impl Claims {
    fn read(records: &[RawRecord]) -> Outcome<Self> {
        let mut claims = Self::default();
        for record in records {
            match record.text("event_type") {
                "lease_claimed" => {
                    claims.workers.insert(record.seq(), record.payload_text("worker_id").into());
                    claims.held = Some(record.seq());
                }
                kind @ ("lease_renewed" | "lease_released") => {
                    let token = token(record);
                    ensure(claims.held == Some(token), || {
                        format!("{kind} of token {token}, while {:?} is held", claims.held)
                    })?;
                    claims.held = claims.held.filter(|_| kind == "lease_renewed");
                }
                _ => {}
            }
        }
        Ok(claims)
    }
}

fn task_dir(place: &Place) -> Utf8PathBuf {
    place.root().join(TASK)
}

/// All runs of the task that exist.
fn runs(place: &Place) -> Outcome<Vec<RunSeen>> {
    let mut runs = Vec::new();
    for id in place.task()?.runs()? {
        let records = raw::records(&task_dir(place).join("runs").join(id.as_str()), "run.json")?;
        runs.push(RunSeen { id: id.to_string(), records });
    }
    Ok(runs)
}

/// What holds of leases at any moment: a run is bound to claims that were made, to newer ones only, and to
/// each that was acknowledged; no token was given away twice.
pub(crate) fn hold(place: &Place, acknowledged: &[String]) -> Outcome {
    let records = raw::records(&task_dir(place), "task.json")?;
    let (claims, runs) = (Claims::read(&records)?, runs(place)?);
    for run in &runs {
        let mut before = 0;
        for (token, worker) in run.bound() {
            ensure(token > before, || format!("{} went back to token {token}", run.id))?;
            ensure(claims.workers.get(&token).is_some_and(|claimed| claimed == worker), || {
                format!("{} is bound to token {token} of {worker}, which nobody claimed", run.id)
            })?;
            before = token;
        }
    }
    let mut newest = 0;
    for line in acknowledged {
        let told: Vec<_> = line.split(' ').collect();
        let [what @ ("claimed" | "renewed" | "released"), token, rest @ ..] = told.as_slice()
        else {
            continue;
        };
        let number: u64 = token.parse()?;
        let lost = || format!("acknowledged and lost: {line}");
        if *what != "claimed" {
            let of = |record: &RawRecord| {
                record.text("event_type") == format!("lease_{what}")
                    && self::token(record) == number
            };
            ensure(records.iter().any(of), lost)?;
            continue;
        }
        ensure(number > newest, || format!("token {number} was given away after {newest}"))?;
        newest = number;
        let worker = claims.workers.get(&number).map(String::as_str);
        ensure(worker == rest.first().copied(), lost)?;
        for run in &runs {
            let there = records.iter().any(|record| {
                record.text("event_type") == "run_started"
                    && record.payload_text("run_id") == run.id
                    && record.seq() < number
            });
            let bound = run.is_closed() || run.bound().any(|(token, _)| token == number);
            ensure(!there || bound, || {
                format!("token {number} was acknowledged, and {} is not bound to it", run.id)
            })?;
        }
    }
    Ok(())
}

/// Whoever has no lease, or one that is over, is let into nothing that is bound to a newer one, nor into
/// the task's journal; so at most one token is in force at each of them.
pub(crate) fn keep_others_out(place: &Place) -> Outcome {
    let records = raw::records(&task_dir(place), "task.json")?;
    let claims = Claims::read(&records)?;
    let Some((newest, _)) = claims.workers.last_key_value() else { return Ok(()) };
    let task = place.task()?;
    let of = |token: u64| LeaseRef::new(task.id().clone(), token);
    for token in claims.workers.keys().copied().filter(|token| claims.held != Some(*token)) {
        let lease = Lease::of(&task, of(token));
        is_over("moved the task", lease.task().set_status(TaskStatus::InProgress))?;
        is_over("renewed", lease.renew())?;
        if token != *newest {
            is_over("released", lease.release())?;
        }
    }
    if claims.held.is_some() {
        is_over("moved the task", task.set_status(TaskStatus::InProgress))?;
    }
    for run in runs(place)?.iter().filter(|run| !run.is_closed()) {
        let Some(bound) = run.newest_bound() else { continue };
        let ctx = task.run(run.id.as_str())?.context().clone();
        is_over("appended to a run", ctx.append(Event::new("stale")))?;
        for token in claims.workers.range(..bound).map(|(token, _)| *token) {
            let former = ctx.clone().with_lease(of(token));
            is_over("appended to a run", former.append(Event::new("stale")))?;
        }
    }
    let after = raw::records(&task_dir(place), "task.json")?;
    ensure(after.len() == records.len(), || "a lease that is over left a record".into())
}

/// Why something was refused, as far as leases are concerned.
trait Refusal: std::fmt::Debug {
    fn journal(&self) -> Option<&JournalError>;
}

impl Refusal for JournalError {
    fn journal(&self) -> Option<&JournalError> {
        Some(self)
    }
}

impl Refusal for LeaseError {
    fn journal(&self) -> Option<&JournalError> {
        if let Self::Journal(error) = self { Some(error) } else { None }
    }
}

impl Refusal for WorkspaceError {
    fn journal(&self) -> Option<&JournalError> {
        if let Self::Journal(error) = self { Some(error) } else { None }
    }
}

fn is_over<T: std::fmt::Debug, E: Refusal>(what: &str, result: Result<T, E>) -> Outcome {
    let over = |error: &E| {
        let error = error.journal();
        matches!(error, Some(JournalError::LeaseLost { .. } | JournalError::LeaseRequired { .. }))
    };
    match result {
        Err(error) if over(&error) => Ok(()),
        other => Err(Violation::new(format!("{what} without a lease that is in force: {other:?}"))),
    }
}

/// The newest claim of the task; none where it was never claimed.
pub(crate) fn newest(place: &Place) -> Outcome<Option<Lease>> {
    let task = place.task()?;
    let state = task.lease()?;
    Ok(state.map(|state| Lease::of(&task, state.lease)))
}

/// The run, for who may write to it: under the newest claim, where there was one.
pub(crate) fn writer(place: &Place) -> Outcome<RunContext> {
    let ctx = place.ctx()?;
    let lease = newest(place)?;
    Ok(lease.map_or(ctx.clone(), |lease| ctx.with_lease(lease.lease_ref().clone())))
}
