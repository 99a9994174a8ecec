//! The invariants of a queue's items, looked at in the files.

use std::collections::HashMap;

use serde_json::Value;

use crate::raw::RawRecord;
use crate::{Outcome, ensure};

/// An item as far as it was read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Item {
    attempt: u64,
    owner: String,
    claimed: bool,
    over: bool,
}

/// An item is put in once, and claimed by one worker at a time, each in an attempt of its own; only whose
/// claim it is ends it; and nothing follows its end.
pub(crate) fn items(records: &[RawRecord]) -> Outcome {
    let mut items = HashMap::<String, Item>::new();
    for record in records.iter().filter(|record| record.text("aggregate_kind") == "work") {
        let stream = record.stream();
        let attempt = record.payload("attempt").and_then(Value::as_u64).unwrap_or(0);
        let owner = record.payload_text("owner").to_owned();
        let kind = record.text("event_type");
        let Some(item) = items.get_mut(&stream) else {
            ensure(kind == "work_enqueued", || format!("{stream} begins with {kind}"))?;
            items.insert(stream, Item::default());
            continue;
        };
        let mine = item.claimed && (item.attempt, &item.owner) == (attempt, &owner);
        let next = !item.claimed && attempt == item.attempt + 1;
        let right = !item.over
            && match kind {
                "work_claimed" => mine || next,
                "work_completed" | "work_failed" | "work_dead" => mine,
                _ => false,
            };
        ensure(right, || format!("{kind} in attempt {attempt} of {owner:?} follows {item:?}"))?;
        let over = matches!(kind, "work_completed" | "work_dead");
        *item = Item { attempt, owner, claimed: kind == "work_claimed", over };
    }
    Ok(())
}
