//! A second reader of journals: the format's page, written down again without the library's code, for
//! what a killed writer can leave. It knows no damage; the library's reader must report none.

use std::collections::BTreeMap;

use camino::Utf8Path;
use runjournal::Digest;
use serde_json::Value;

use crate::{Outcome, Violation};

/// A counted record, as JSON.
#[derive(Debug, Clone)]
pub struct RawRecord(Value);

impl RawRecord {
    /// The record on a line that somebody else found to count.
    pub(crate) fn told(line: &str, home: &Utf8Path) -> Outcome<Self> {
        let mut record = Self(serde_json::from_str(line)?);
        record.read_payload(home)?;
        Ok(record)
    }

    /// A member as text; empty where there is none.
    #[must_use]
    pub fn text(&self, member: &str) -> &str {
        self.0.get(member).and_then(Value::as_str).unwrap_or_default()
    }

    /// A member as a number.
    #[must_use]
    pub fn number(&self, member: &str) -> Option<u64> {
        self.0.get(member).and_then(Value::as_u64)
    }

    /// The seq.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.number("seq").unwrap_or_default()
    }

    /// Reads the payload from the object that the record names, which has to be there and right.
    fn read_payload(&mut self, home: &Utf8Path) -> Outcome {
        let Some(named) = self.0.get("payload_ref").cloned() else { return Ok(()) };
        let digest = named.get("digest").and_then(Value::as_str).unwrap_or_default();
        let hex = digest.strip_prefix("blake3:").unwrap_or_default();
        let name = format!("objects/{:.2}/{}", hex, hex.get(2..).unwrap_or_default());
        let wrong =
            |what: &str| Violation::new(format!("{what} {name}, which seq {} names", self.seq()));
        let content = std::fs::read(home.join(&name)).map_err(|_| wrong("there is no"))?;
        let right = Digest::of(&content).to_string() == digest
            && named.get("size").and_then(Value::as_u64) == Some(content.len() as u64);
        let payload = serde_json::from_slice(&content).ok().filter(|_| right);
        let payload: Value = payload.ok_or_else(|| wrong("wrong content in"))?;
        if let Some(members) = self.0.as_object_mut() {
            members.insert("payload".into(), payload);
        }
        Ok(())
    }

    /// A member of the payload.
    #[must_use]
    pub fn payload(&self, member: &str) -> Option<&Value> {
        self.0.get("payload")?.get(member)
    }

    /// A member of the payload, as text; empty where there is none.
    #[must_use]
    pub fn payload_text(&self, member: &str) -> &str {
        self.payload(member).and_then(Value::as_str).unwrap_or_default()
    }

    /// The stream, as `kind/id`.
    #[must_use]
    pub fn stream(&self) -> String {
        format!("{}/{}", self.text("aggregate_kind"), self.text("stream_id"))
    }

    /// True for the records of artifacts.
    #[must_use]
    pub fn is_artifact(&self) -> bool {
        self.text("event_type").starts_with("artifact_")
    }
}

/// The counted records of the journal in a task's or run's directory.
pub(crate) fn records(home: &Utf8Path, genesis: &str) -> Outcome<Vec<RawRecord>> {
    let genesis = std::fs::read(home.join(genesis))?;
    let bytes = std::fs::read(home.join("journal/events.jsonl"))?;
    let mut counted = Vec::new();
    let mut hash = Digest::of(&genesis);
    let mut pending: Vec<(RawRecord, Digest)> = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let tip = pending.last().map_or(hash, |(_, hash)| *hash);
        let next = follow(tip, line)
            .filter(|(record, _)| record.number("batch_index").unwrap_or(0) == pending.len() as u64)
            .or_else(|| {
                pending.clear();
                follow(hash, line)
            });
        let Some((record, own)) = next else {
            pending.clear();
            continue;
        };
        let size = record.number("batch_size").unwrap_or(1);
        pending.push((record, own));
        if pending.len() as u64 == size {
            hash = own;
            for (mut record, _) in pending.drain(..) {
                record.read_payload(home)?;
                counted.push(record);
            }
        }
    }
    Ok(counted)
}

/// The record on a line, with its hash, if it chains on this hash.
fn follow(tip: Digest, line: &[u8]) -> Option<(RawRecord, Digest)> {
    let body = line.get(..line.len().checked_sub(76)?)?;
    let end = std::str::from_utf8(line.get(line.len() - 76..)?).ok()?;
    let told = end.strip_prefix(",\"hash\":\"")?.strip_suffix("\"}\n")?;
    let mut chained = unhex(&tip.to_hex())?;
    chained.extend_from_slice(body);
    let own = Digest::of(&chained);
    (own.to_string() == format!("blake3:{told}"))
        .then(|| serde_json::from_slice(line).ok().map(|value| (RawRecord(value), own)))?
}

pub(crate) fn unhex(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(hex.get(at * 2..at * 2 + 2)?, 16).ok()).collect()
}

/// The last record of each path, be it a removal.
pub(crate) fn last_words(records: &[RawRecord]) -> BTreeMap<String, RawRecord> {
    let artifacts = records.iter().filter(|record| record.is_artifact());
    artifacts.map(|record| (record.payload_text("path").to_owned(), record.clone())).collect()
}

/// The digest of a file, as text; `None` where there is none.
pub(crate) fn digest(path: &Utf8Path) -> Outcome<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(Digest::of(&bytes).to_string())),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(Violation::from(error).at(path)),
    }
}
