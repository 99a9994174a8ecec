//! What every checkpoint that counts has to be, at any moment: read as the format's page has it, without the
//! library.

use std::collections::BTreeMap;

use camino::Utf8Path;
use runjournal::Digest;
use serde_json::Value;

use crate::raw::RawRecord;
use crate::{Outcome, Violation, ensure};

/// Each checkpoint that a record names is whole, says what the journal said then, and its bytes are there.
pub(crate) fn hold(run: &Utf8Path, records: &[RawRecord]) -> Outcome {
    let mut said = BTreeMap::new();
    let mut turns = 0;
    for record in records {
        if record.is_artifact() {
            let path = record.payload_text("path").to_owned();
            match record.payload_text("digest") {
                "" => said.remove(&path),
                digest => said.insert(path, digest.to_owned()),
            };
        }
        if record.text("event_type") == "checkpoint_created" {
            turns += 1;
            is_whole(run, record, turns, &said).map_err(|found| found.at(record.stream()))?;
        }
    }
    Ok(())
}

fn is_whole(
    run: &Utf8Path,
    record: &RawRecord,
    turn: u64,
    said: &BTreeMap<String, String>,
) -> Outcome {
    ensure(record.stream() == format!("checkpoint/{turn}"), || format!("it is not turn {turn}"))?;
    let file = std::fs::read(run.join(format!("checkpoints/{turn}.json")))?;
    let wrong = |what: &str| Violation::new(what.to_owned());
    ensure(Digest::of(&file).to_string() == record.payload_text("digest"), || {
        "its file is not the one that the record names".into()
    })?;
    let body = file.len().checked_sub(76).and_then(|end| file.get(..end));
    let body = body.ok_or_else(|| wrong("its file is too short"))?;
    let end = format!(",\"hash\":\"{}\"}}\n", Digest::of(body).to_hex());
    ensure(file.ends_with(end.as_bytes()), || "its file does not end in its hash".into())?;
    let page: Value = serde_json::from_slice(&file)?;
    let seq = page.get("seq").and_then(Value::as_u64);
    ensure(seq.map(|seq| seq + 1) == Some(record.seq()), || format!("it is of seq {seq:?}"))?;
    let listed = page.get("artifacts").cloned().unwrap_or_default();
    let listed: BTreeMap<String, String> = serde_json::from_value(listed)?;
    ensure(listed == *said, || format!("it has {listed:?}, and the journal said {said:?}"))?;
    for (path, digest) in &listed {
        let hex = digest.strip_prefix("blake3:").unwrap_or_default();
        let object = format!("objects/{hex:.2}/{}", hex.get(2..).unwrap_or_default());
        let content = std::fs::read(run.join(object)).map_err(|_| wrong("an object is gone"))?;
        ensure(Digest::of(&content).to_string() == *digest, || {
            format!("the object of {path} is another one")
        })?;
    }
    Ok(())
}
