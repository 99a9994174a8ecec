//! What was acknowledged, held against the records of one journal, of which there may be very many.

use std::collections::{HashMap, HashSet};

use crate::raw::RawRecord;
use crate::{Outcome, Violation, ensure};

/// Records by what acknowledgements name.
struct Known<'a> {
    records: &'a [RawRecord],
    /// What was completed, claimed and so on, as the acknowledgement has it.
    facts: HashSet<String>,
}

/// I1: whatever was acknowledged is in the journal.
pub(super) fn hold(records: &[RawRecord], told: &[String]) -> Outcome {
    let known = Known { records, facts: records.iter().flat_map(facts).collect() };
    let mut events = HashMap::new();
    for line in told {
        let there = known.has(line)?;
        ensure(there, || format!("acknowledged and lost: {line}"))?;
        // Those with a key are told to many, and it is always the same one.
        if let Some((seq, id)) = line.strip_prefix("event ").and_then(|event| event.split_once(' '))
        {
            let before = events.insert(seq, id);
            ensure(before.is_none_or(|before| before == id), || {
                format!("seq {seq} is two events")
            })?;
        }
    }
    Ok(())
}

fn facts(record: &RawRecord) -> Vec<String> {
    let id = record.text("stream_id");
    let number = |member: &str| record.payload(member).and_then(serde_json::Value::as_u64);
    match (record.text("aggregate_kind"), record.text("event_type")) {
        ("step", "step_completed") => {
            let turn = number("turn").unwrap_or(1);
            vec![format!("step {id}"), format!("turn {turn} {id}")]
        }
        ("checkpoint", _) => vec![format!("checkpoint {id} {}", record.payload_text("digest"))],
        ("work", "work_claimed") => {
            let attempt = number("attempt").unwrap_or_default();
            vec![format!("work {id} {attempt} {}", record.payload_text("owner"))]
        }
        ("session", _) => vec![format!("session {id} {}", record.payload_text("status"))],
        ("run", "run_started") => vec![format!("run {id}")],
        _ => Vec::new(),
    }
}

impl Known<'_> {
    fn at(&self, seq: &str) -> Outcome<Option<&RawRecord>> {
        let place = seq.parse::<usize>()?.checked_sub(1);
        Ok(place.and_then(|place| self.records.get(place)).filter(|r| r.seq().to_string() == seq))
    }

    fn has(&self, line: &str) -> Outcome<bool> {
        match line.splitn(4, ' ').collect::<Vec<_>>().as_slice() {
            ["event", seq, id] => self.is(seq, |record| record.text("event_id") == *id),
            ["artifact", seq, digest, path] => self.is(seq, |record| {
                record.is_artifact()
                    && record.payload_text("digest") == digest.trim_start_matches("removed")
                    && record.payload_text("path") == *path
            }),
            ["receipt", seq, how, id] => self.is(seq, |record| {
                let rejected = record.text("event_type") == "command_rejected";
                record.text("idempotency_key") == format!("cmd:{id}")
                    && rejected == (*how == "rejected")
            }),
            ["step" | "turn" | "checkpoint" | "work" | "session" | "run", ..] => {
                Ok(self.facts.contains(line))
            }
            // The page itself is held against this.
            ["manifest", _] => Ok(true),
            _ => Err(Violation::new(format!("no check knows what this tells: {line}"))),
        }
    }

    fn is(&self, seq: &str, is_it: impl Fn(&RawRecord) -> bool) -> Outcome<bool> {
        Ok(self.at(seq)?.is_some_and(is_it))
    }
}
