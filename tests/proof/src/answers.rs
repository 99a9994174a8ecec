//! What a journal answers to those who append: asked by appends that have to be refused, so that the
//! answers come from wherever the library looks, its head first of all.

use std::collections::BTreeMap;

use runjournal::{
    ArtifactError, ArtifactName, Durability, Event, Expect, ExpectedVersion, JournalError,
};

use crate::{Outcome, Place, ensure, leases, raw};

/// A version that no stream has.
const NO_VERSION: u64 = u64::MAX;

/// Asks a run for each of the user's keys, and for the version of each artifact and of each of the user's
/// streams, that its records have.
pub(crate) fn ask(place: &Place) -> Outcome {
    if !place.run_dir().join("run.json").exists() {
        return Ok(());
    }
    let records = raw::records(&place.run_dir(), "run.json")?;
    let ctx = leases::writer(place)?;
    for record in &records {
        let key = record.text("idempotency_key");
        // Those with a colon are the library's.
        if key.is_empty() || key.contains(':') {
            continue;
        }
        match ctx.append(Event::new("asked").key(key)) {
            Err(JournalError::KeyConflict { seq, .. }) if seq == record.seq() => {}
            other => return ensure(false, || format!("the key {key} is answered by {other:?}")),
        }
    }
    let versions: BTreeMap<String, Option<u64>> =
        records.iter().map(|record| (record.stream(), record.number("stream_version"))).collect();
    for (stream, version) in versions {
        let (kind, id) = stream.split_once('/').unwrap_or_default();
        let answer = match kind {
            "run" | "talk" => {
                let expected = ExpectedVersion::Exact(NO_VERSION);
                match ctx.append(Event::new("asked").stream(kind, id).expect(expected)) {
                    Err(JournalError::VersionConflict { found, .. }) => Ok(found),
                    Err(JournalError::Closed { .. }) => return Ok(()),
                    other => Err(format!("{other:?}")),
                }
            }
            "artifact" => {
                let artifacts = ctx.artifacts().durability(Durability::Buffered);
                let expected = Expect::Version(NO_VERSION);
                match artifacts.write_bytes_if(ArtifactName::new(id)?, b"asked", expected) {
                    Err(ArtifactError::Conflict { found, .. }) => {
                        Ok(found.strip_prefix("has version ").and_then(|found| found.parse().ok()))
                    }
                    Err(ArtifactError::Journal(JournalError::Closed { .. })) => return Ok(()),
                    other => Err(format!("{other:?}")),
                }
            }
            _ => continue,
        };
        ensure(answer == Ok(version), || {
            format!("the version of {stream} is {version:?}, and the answer {answer:?}")
        })?;
    }
    let after = raw::records(&place.run_dir(), "run.json")?.len();
    ensure(after == records.len(), || "a question was appended".into())
}

/// What became of a run, whatever ids and times were made: its records and its artifacts.
pub(crate) fn story(place: &Place) -> Outcome<Vec<String>> {
    let run = place.run_dir();
    if !run.join("run.json").exists() {
        return Ok(Vec::new());
    }
    let records = raw::records(&run, "run.json")?;
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let mut story: Vec<String> = records
        .iter()
        .map(|record| {
            let [version, index, size] = ["stream_version", "batch_index", "batch_size"]
                .map(|member| number(record.number(member)));
            format!(
                "{} {} {} {version} {index}/{size} {:?} {:?}",
                record.seq(),
                record.text("event_type"),
                record.stream(),
                record.text("idempotency_key"),
                record.payload_text("digest"),
            )
        })
        .collect();
    for path in raw::last_words(&records).into_keys() {
        let digest = raw::digest(&run.join("artifacts").join(&path))?;
        story.push(format!("{path} {digest:?}"));
    }
    Ok(story)
}
