//! The invariants, looked at from outside: through the public API, and by reading the files.

use std::collections::{BTreeMap, HashMap, HashSet};

use camino::Utf8Path;
use runjournal::{Code, Event, Events, Finding, JournalError, Severity};

use crate::operations::{Base, Operation, Seen};
use crate::place::{RUN, TASK};
use crate::raw::{self, RawRecord};
use crate::{Acks, Outcome, Place, Violation, answers, checkpoints, ensure, heads, leases, work};

/// All that must hold at a place where an operation was killed: as the crash left it, once somebody
/// caught up, once the call was made again, and after one more append.
///
/// # Errors
/// The first thing that does not hold.
pub fn after_a_crash(operation: &Operation, place: &Place) -> Outcome {
    let acknowledged = place.acknowledged()?;
    as_it_was_left(operation, place, &acknowledged).map_err(|found| found.at("as it was left"))?;

    if place.run_dir().join("run.json").exists() {
        let findings = place.ctx()?.catch_up()?;
        ensure(findings.is_empty(), || {
            Violation::new(texts(&findings)).at("not put in place").to_string()
        })?;
    }
    caught_up(operation, place, &acknowledged).map_err(|found| found.at("after catching up"))?;
    keep_others_out(operation, place).map_err(|found| found.at("after catching up"))?;
    again(operation, place).map_err(|found| found.at("made again"))?;
    keep_others_out(operation, place).map_err(|found| found.at("made again"))?;
    goes_on(operation, place).map_err(|found| found.at("afterwards"))
}

/// The same where journals have heads: they must be right with whatever head the kill left, also where
/// the call is made again before anybody caught up, and without one. `straight` and `headless` are two
/// copies of the place.
///
/// # Errors
/// The first thing that does not hold.
pub fn after_a_crash_with_heads(
    operation: &Operation,
    place: &Place,
    straight: &Place,
    headless: &Place,
) -> Outcome {
    heads::remove_all(headless.root().as_ref())?;
    let found = |how: &'static str| move |found: Violation| found.at(how);
    after_a_crash(operation, place).map_err(found("with its heads"))?;
    after_a_crash(operation, headless).map_err(found("without its heads"))?;
    let (with, without) = (answers::story(place)?, answers::story(headless)?);
    ensure(with == without, || {
        format!("with its heads it became {with:#?}, without them {without:#?}")
    })?;
    let at_once = || {
        again(operation, straight)?;
        goes_on(operation, straight)
    };
    at_once().map_err(found("before anybody caught up"))
}

/// Makes the call again, and checks what it promises.
fn again(operation: &Operation, place: &Place) -> Outcome {
    let retry = place.clone().once_more();
    (operation.operate)(&retry, &mut Acks::open(&retry)?)?;
    let acknowledged = place.acknowledged()?;
    as_it_was_left(operation, place, &acknowledged)?;
    let records = caught_up(operation, place, &acknowledged)?;
    (operation.done)(&Seen { place, records: &records })
}

/// Where the task was claimed, whoever has no lease that is in force is refused.
fn keep_others_out(operation: &Operation, place: &Place) -> Outcome {
    if operation.base < Base::Task { Ok(()) } else { leases::keep_others_out(place) }
}

/// A run that is not closed takes one more event.
fn goes_on(operation: &Operation, place: &Place) -> Outcome {
    if !place.run_dir().join("run.json").exists() {
        return Ok(());
    }
    match leases::writer(place)?.append(Event::new("went_on")) {
        Ok(appended) => Acks::open(place)?.appended(&appended)?,
        Err(JournalError::Closed { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let acknowledged = place.acknowledged()?;
    as_it_was_left(operation, place, &acknowledged)?;
    if place.has_heads() {
        answers::ask(place)?;
    }
    caught_up(operation, place, &acknowledged).map(|_| ())
}

/// What holds at any moment, for anybody who looks.
fn as_it_was_left(operation: &Operation, place: &Place, acknowledged: &[String]) -> Outcome {
    let told = |line: &str| acknowledged.iter().any(|told| told == line);
    if operation.base >= Base::Workspace || told("workspace") {
        place.workspace()?;
    }
    if operation.base >= Base::Task || told("task") {
        place.task()?;
    }
    if operation.base >= Base::Run || told("run") {
        place.run()?;
    }
    let task = place.root().join(TASK);
    if task.join("task.json").exists() {
        // A repair is what may stand before damage; only there may the reader report any.
        journal(place.task()?.events()?, &task, "task.json", false)?;
        for run in place.task()?.runs()?.iter().filter(|run| run.as_str() != RUN) {
            let home = task.join("runs").join(run.as_str());
            journal(place.task()?.run(run.clone())?.context().events()?, &home, "run.json", false)?;
        }
        leases::hold(place, acknowledged)?;
    }
    let run = place.run_dir();
    if !run.join("run.json").exists() {
        return Ok(());
    }
    let started = raw::records(&task, "task.json")?;
    ensure(started.iter().any(|record| record.stream() == format!("run/{RUN}")), || {
        "the run exists, and its task's journal does not know that it started".into()
    })?;
    let damaged = told("damaged");
    let records = journal(place.ctx()?.events()?, &run, "run.json", damaged)?;
    acknowledgements(&records, acknowledged)?;
    batches_of_steps(&records)?;
    work::items(&records)?;
    checkpoints::hold(&run, &records)?;
    for (path, last) in raw::last_words(&records) {
        old_or_new(&run, &path, &last, &records).map_err(|found| found.at(&path))?;
    }
    Ok(())
}

/// I2 and I3: both readers see the same, without gaps, doubles or damage.
pub(crate) fn journal(
    events: Events,
    home: &Utf8Path,
    genesis: &str,
    damaged: bool,
) -> Outcome<Vec<RawRecord>> {
    let (records, findings) = events.read_all()?;
    let worst = if damaged { Severity::Error } else { Severity::Warning };
    let known = |finding: &&Finding| {
        matches!(finding.code, Code::Garbage | Code::TornTail)
            || (damaged && finding.code == Code::JournalDamaged)
    };
    ensure(
        findings.iter().all(|finding| finding.code.severity() <= worst && known(&finding)),
        || texts(&findings),
    )?;
    let raw = raw::records(home, genesis)?;
    let same = raw.len() == records.len()
        && raw.iter().zip(&records).all(|(raw, record)| {
            raw.seq() == record.seq() && raw.text("event_id") == record.event_id().to_string()
        });
    ensure(same, || {
        format!("the library reads {} records, the format has {}", records.len(), raw.len())
    })?;
    let mut versions = HashMap::<String, u64>::new();
    let mut keys = HashSet::new();
    let mut ids = HashSet::new();
    for (record, seq) in raw.iter().zip(1..) {
        ensure(record.seq() == seq, || format!("seq {} stands in place {seq}", record.seq()))?;
        let next = versions.entry(record.stream()).or_default();
        let version = record.number("stream_version");
        ensure(version == Some(*next), || {
            format!("seq {seq} has version {version:?} of {}, not {next}", record.stream())
        })?;
        *next += 1;
        let key = record.text("idempotency_key");
        ensure(key.is_empty() || keys.insert(key.to_owned()), || format!("{key} stands twice"))?;
        let id = record.text("event_id").to_owned();
        ensure(ids.insert(id), || format!("the event id of seq {seq} stands twice"))?;
    }
    Ok(raw)
}

/// I1: whatever was acknowledged is in the journal.
pub(crate) fn acknowledgements(records: &[RawRecord], acknowledged: &[String]) -> Outcome {
    for line in acknowledged {
        let lost = || Violation::new(format!("acknowledged and lost: {line}"));
        let at = |seq: &str| {
            let seq: u64 = seq.parse()?;
            records.iter().find(|record| record.seq() == seq).ok_or_else(lost)
        };
        let has = |event_type: &str, stream: &str| {
            records
                .iter()
                .any(|record| record.text("event_type") == event_type && record.stream() == stream)
        };
        let there = match line.splitn(4, ' ').collect::<Vec<_>>().as_slice() {
            ["event", seq, id] => at(seq)?.text("event_id") == *id,
            ["artifact", seq, "removed", path] => {
                let record = at(seq)?;
                record.text("event_type") == "artifact_removed"
                    && record.payload_text("path") == *path
            }
            ["artifact", seq, digest, path] => {
                let record = at(seq)?;
                record.payload_text("digest") == *digest && record.payload_text("path") == *path
            }
            ["step", name] => has("step_completed", &format!("step/{name}")),
            ["turn", number, name] => records.iter().any(|record| {
                record.text("event_type") == "step_completed"
                    && record.stream() == format!("step/{name}")
                    && turn(record).to_string() == *number
            }),
            ["checkpoint", number, digest] => records.iter().any(|record| {
                record.stream() == format!("checkpoint/{number}")
                    && record.payload_text("digest") == *digest
            }),
            ["failed", name] => has("step_failed", &format!("step/{name}")),
            ["status", status] => records.iter().any(|record| record.payload_text("to") == *status),
            ["receipt", seq, how, id] => {
                let record = at(seq)?;
                let rejected = record.text("event_type") == "command_rejected";
                record.text("idempotency_key") == format!("cmd:{id}")
                    && rejected == (*how == "rejected")
            }
            ["work", item, attempt, owner] => records.iter().any(|record| {
                record.text("event_type") == "work_claimed"
                    && record.stream() == format!("work/{item}")
                    && record.payload("attempt").map(ToString::to_string).as_deref()
                        == Some(*attempt)
                    && record.payload_text("owner") == *owner
            }),
            ["session", id, status] => records.iter().any(|record| {
                record.stream() == format!("session/{id}")
                    && record.payload_text("status") == *status
            }),
            ["closed"] => has("execution_complete", &format!("run/{RUN}")),
            ["repaired"] => has("run_repaired", &format!("run/{RUN}")),
            ["workspace" | "task" | "run" | "damaged"] | ["unjournaled", _] => true,
            // The operations themselves look for these.
            ["pruned" | "held" | "lifted" | "moved" | "bound" | "archived" | "restored"] => true,
            // The task's journal has these: `leases` looks.
            ["claimed", ..] | ["renewed" | "released", _] => true,
            _ => return Err(Violation::new(format!("no check knows what this tells: {line}"))),
        };
        ensure(there, || lost().to_string())?;
    }
    Ok(())
}

/// The turn that a record of a step is of.
fn turn(record: &RawRecord) -> u64 {
    record.payload("turn").and_then(serde_json::Value::as_u64).unwrap_or(1)
}

/// A turn begins in one batch: `loop_iteration`, and the first attempt.
fn beginnings_of_turns(records: &[RawRecord]) -> Outcome {
    for pair in records.windows(2) {
        let [first, second] = pair else { continue };
        let (begins, starts) = (
            first.text("event_type") == "loop_iteration",
            second.text("event_type") == "step_started",
        );
        let index = first.payload("index").and_then(serde_json::Value::as_u64);
        let is_whole = starts
            && first.stream() == second.stream()
            && first.number("batch_size") == Some(2)
            && index == Some(turn(second));
        ensure(!begins || is_whole, || format!("seq {} begins no turn", first.seq()))?;
    }
    let last = records.last().map_or("", |last| last.text("event_type"));
    ensure(last != "loop_iteration", || "a turn begins without its attempt".into())
}

/// I4 for steps: what a batch that ends a step carries comes from the newest attempt, all of it.
pub(crate) fn batches_of_steps(records: &[RawRecord]) -> Outcome {
    let mut newest = HashMap::<String, (String, u64)>::new();
    let mut completed = HashMap::new();
    beginnings_of_turns(records)?;
    for (at, record) in records.iter().enumerate() {
        let stream = record.stream();
        let attempt = record.payload("attempt").and_then(serde_json::Value::as_u64).unwrap_or(0);
        match record.text("event_type") {
            "step_started" => {
                let before = newest.get(&stream).map_or(0, |(_, attempt)| *attempt);
                ensure(attempt == before + 1, || format!("attempt {attempt} follows {before}"))?;
                let next = completed.get(&stream).map_or(1, |done| done + 1);
                ensure(turn(record) == next, || {
                    format!("turn {} of {stream} began, not {next}", turn(record))
                })?;
                newest.insert(stream, (record.text("event_id").to_owned(), attempt));
            }
            "step_completed" => {
                let Some((started, number)) = newest.get(&stream) else {
                    return Err(Violation::new(format!("{stream} ended before it began")));
                };
                ensure(attempt == *number, || format!("attempt {attempt} ended, not {number}"))?;
                let size = record.number("batch_size").unwrap_or(1);
                let rest = usize::try_from(size - 1)?;
                let batch: Vec<_> = records.iter().skip(at + 1).take(rest).collect();
                let strangers =
                    batch.iter().filter(|member| member.text("causation_event_id") != started);
                ensure(strangers.count() == 0, || format!("{stream}: another attempt's output"))?;
                let written: BTreeMap<_, _> = batch
                    .iter()
                    .filter(|member| member.is_artifact())
                    .map(|member| (member.payload_text("path"), member.payload_text("digest")))
                    .collect();
                let outputs = record.payload("outputs").and_then(serde_json::Value::as_array);
                let text = |output: &'_ serde_json::Value, member: &str| {
                    output.get(member).and_then(|value| value.as_str().map(str::to_owned))
                };
                let told: BTreeMap<_, _> = outputs
                    .into_iter()
                    .flatten()
                    .map(|o| (text(o, "path").unwrap_or_default(), text(o, "digest")))
                    .collect();
                let same = written.len() == told.len()
                    && told.iter().all(|(path, digest)| {
                        written.get(path.as_str()).copied() == digest.as_deref().or(Some(""))
                    });
                // Nothing is written by a turn that was passed over.
                let same = if record.payload("same_as").is_some() { size == 1 } else { same };
                ensure(same, || format!("{stream}: told {told:?}, committed {written:?}"))?;
                completed.insert(stream, turn(record));
            }
            _ => {}
        }
    }
    Ok(())
}

/// I4 before anybody caught up: the file is what its last record says, or still what it was before,
/// and then the stage with the new content waits.
pub(crate) fn old_or_new(
    run: &Utf8Path,
    path: &str,
    last: &RawRecord,
    records: &[RawRecord],
) -> Outcome {
    let new = Some(last.payload_text("digest").to_owned()).filter(|digest| !digest.is_empty());
    let found = raw::digest(&run.join("artifacts").join(path))?;
    if found == new {
        return Ok(());
    }
    let before = records
        .iter()
        .filter(|record| record.is_artifact() && record.payload_text("path") == path)
        .rev()
        .nth(1)
        .map(|record| record.payload_text("digest").to_owned())
        .filter(|digest| !digest.is_empty());
    let stage = raw::digest(&run.join(".tmp").join(last.text("event_id")))?;
    let waits = stage.is_some() && (new.is_none() || stage == new);
    ensure(waits && found == before, || {
        format!(
            "the file has {found:?}, the journal says {new:?} after {before:?}, staged: {stage:?}"
        )
    })
}

/// I4 once somebody caught up: each file is what the journal says, nothing else lies there, and what
/// is left in `.tmp` belongs to no counted record.
fn caught_up(
    operation: &Operation,
    place: &Place,
    acknowledged: &[String],
) -> Outcome<Vec<RawRecord>> {
    let run = place.run_dir();
    if !run.join("run.json").exists() {
        (operation.holds)(&Seen { place, records: &[] })?;
        return Ok(Vec::new());
    }
    let records = raw::records(&run, "run.json")?;
    let last = raw::last_words(&records);
    for (path, record) in &last {
        let said = record.payload_text("digest");
        let found = raw::digest(&run.join("artifacts").join(path))?.unwrap_or_default();
        ensure(found == said, || format!("{path} has {found:?}, the journal says {said:?}"))?;
        let stage = run.join(".tmp").join(record.text("event_id"));
        ensure(!stage.exists(), || format!("the stage of {path} still waits"))?;
    }
    let artifacts = run.join("artifacts");
    let all = artifacts.exists().then(|| walkdir::WalkDir::new(&artifacts).min_depth(1));
    for entry in all.into_iter().flatten() {
        let entry = entry?;
        let path = entry.path().strip_prefix(&artifacts)?.to_string_lossy();
        if entry.file_type().is_dir() {
            let empty = std::fs::read_dir(entry.path())?.next().is_none();
            let removed = last.iter().any(|(name, record)| {
                name.starts_with(&format!("{path}/"))
                    && record.text("event_type") == "artifact_removed"
            });
            ensure(!(empty && removed), || format!("a removal left the directory {path} empty"))?;
            continue;
        }
        let known = last.contains_key(path.as_ref())
            || acknowledged.contains(&format!("unjournaled {path}"));
        ensure(known, || format!("{path} is not in the journal"))?;
    }
    (operation.holds)(&Seen { place, records: &records })?;
    Ok(records)
}

fn texts(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
