//! Exit codes as members of a JSON object: text there, numbers in memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::step::Signal;

pub(super) fn serialize<S: Serializer>(
    exits: &BTreeMap<i32, Signal>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let exits = exits.iter().map(|(code, signal)| (code.to_string(), signal));
    exits.collect::<BTreeMap<_, _>>().serialize(serializer)
}

/// Also where the value was read before, and its keys are text whatever is asked for.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<i32, Signal>, D::Error> {
    let exits = BTreeMap::<String, Signal>::deserialize(deserializer)?;
    let exits = exits.into_iter().map(|(text, signal)| match text.parse::<i32>() {
        // One spelling a code, or two members could mean the same.
        Ok(code) if code.to_string() == text => Ok((code, signal)),
        _ => Err(serde::de::Error::custom(format!("{text:?} in `exits` is no exit code"))),
    });
    exits.collect()
}
