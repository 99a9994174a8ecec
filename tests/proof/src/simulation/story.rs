//! What a journal's records come to, in plain maps: the model that the library's own answers are held
//! against.

use std::collections::BTreeMap;

use runjournal::Timestamp;
use serde_json::Value;

use crate::RawRecord;

/// What the records of one journal say.
#[derive(Debug, Clone, Default)]
pub(super) struct Story {
    /// The last version of each stream.
    pub(super) versions: BTreeMap<String, u64>,
    /// The seq of each key.
    pub(super) keys: BTreeMap<String, u64>,
    pub(super) artifacts: BTreeMap<String, Artifact>,
    pub(super) steps: BTreeMap<String, StepSeen>,
    pub(super) items: Vec<Item>,
    /// The artifacts at each checkpoint.
    pub(super) checkpoints: BTreeMap<u64, BTreeMap<String, String>>,
    pub(super) status: String,
    pub(super) closed: bool,
    /// In a run: the newest token that it was bound to.
    pub(super) bound: Option<u64>,
    /// In a task: the last claim.
    pub(super) claim: Option<ClaimSeen>,
    pub(super) seats: usize,
    pub(super) last_seq: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Artifact {
    /// None where it was removed.
    pub(super) digest: Option<String>,
    /// The event that led to it, as text; empty where there is none.
    pub(super) cause: String,
}

/// The last attempt of a step.
#[derive(Debug, Clone, Default)]
pub(super) struct StepSeen {
    pub(super) attempt: u64,
    pub(super) turn: u64,
    pub(super) ended: Option<bool>,
    pub(super) signal: String,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) priority: i64,
    pub(super) attempt: u64,
    pub(super) most: u64,
    pub(super) owner: String,
    pub(super) not_before: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub(super) struct ClaimSeen {
    pub(super) token: u64,
    pub(super) worker: String,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) held: bool,
}

impl Story {
    pub(super) fn of(records: &[RawRecord]) -> Self {
        let mut story = Self::default();
        records.iter().for_each(|record| story.apply(record));
        story
    }

    pub(super) fn item(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.name == name)
    }

    /// The digest of an artifact that is there.
    pub(super) fn digest(&self, path: &str) -> Option<&str> {
        self.artifacts.get(path)?.digest.as_deref()
    }

    /// Path and digest of all that are there.
    pub(super) fn present(&self) -> BTreeMap<String, String> {
        let there = self.artifacts.iter().filter_map(|(path, artifact)| {
            artifact.digest.clone().map(|digest| (path.clone(), digest))
        });
        there.collect()
    }

    fn apply(&mut self, record: &RawRecord) {
        self.last_seq = record.seq();
        let stream = record.stream();
        let id = record.text("stream_id").to_owned();
        self.versions.insert(stream, record.number("stream_version").unwrap_or_default());
        let key = record.text("idempotency_key");
        if !key.is_empty() {
            self.keys.insert(key.to_owned(), record.seq());
        }
        let number = |member| record.payload(member).and_then(Value::as_u64);
        match record.text("event_type") {
            "artifact_written" | "artifact_removed" => {
                let digest = Some(record.payload_text("digest").to_owned());
                let digest = digest.filter(|digest| !digest.is_empty());
                let cause = record.text("causation_event_id").to_owned();
                let path = record.payload_text("path").to_owned();
                self.artifacts.insert(path, Artifact { digest, cause });
            }
            "step_started" => {
                let attempt = number("attempt").unwrap_or(1);
                let turn = number("turn").unwrap_or(1);
                let seen = StepSeen { attempt, turn, ended: None, signal: String::new() };
                self.steps.insert(id, seen);
            }
            kind @ ("step_completed" | "step_failed") => {
                let step = self.steps.entry(id).or_default();
                step.ended = Some(kind == "step_completed");
                step.signal = record.payload_text("signal").to_owned();
            }
            "checkpoint_created" => {
                let turn = number("turn").unwrap_or_default();
                self.checkpoints.insert(turn, self.present());
            }
            "run_status_changed" | "task_status_changed" => {
                self.status = record.payload_text("to").to_owned();
            }
            "execution_complete" => {
                self.closed = true;
                self.status = record.payload_text("status").to_owned();
            }
            "lease_bound" => self.bound = number("token"),
            kind @ ("lease_claimed" | "lease_renewed" | "lease_released") => {
                self.claim = Some(ClaimSeen {
                    token: number("token").unwrap_or(record.seq()),
                    worker: record.payload_text("worker_id").to_owned(),
                    expires_at: record.payload_text("expires_at").parse().ok(),
                    held: kind != "lease_released",
                });
            }
            "seat_taken" => self.seats += 1,
            kind if kind.starts_with("work_") => self.work(kind, &id, record),
            _ => {}
        }
    }

    fn work(&mut self, kind: &str, name: &str, record: &RawRecord) {
        if !self.items.iter().any(|item| item.name == name) {
            self.items.push(Item { name: name.to_owned(), ..Item::default() });
        }
        let Some(item) = self.items.iter_mut().find(|item| item.name == name) else { return };
        let number = |member| record.payload(member).and_then(Value::as_u64);
        let state = kind.strip_prefix("work_").unwrap_or_default();
        item.state = if state == "enqueued" { "waiting" } else { state }.to_owned();
        item.priority = record.payload("priority").and_then(Value::as_i64).unwrap_or(item.priority);
        item.attempt = number("attempt").unwrap_or(item.attempt);
        item.most = number("max_attempts").unwrap_or(item.most);
        item.owner = record.payload_text("owner").to_owned();
        item.not_before = record.payload_text("not_before").parse().ok();
        item.expires_at = record.payload_text("expires_at").parse().ok();
    }
}

impl Item {
    /// True once its claim is over by a clock. `None` where the moment is too near to be sure.
    pub(super) fn is_expired(&self, now: Timestamp) -> Option<bool> {
        if self.state != "claimed" {
            return Some(false);
        }
        self.expires_at.map_or(Some(false), |at| is_past(at, now))
    }

    /// True if it may be claimed.
    pub(super) fn is_due(&self, now: Timestamp) -> Option<bool> {
        match self.state.as_str() {
            "waiting" | "failed" => self.not_before.map_or(Some(true), |at| is_past(at, now)),
            _ => Some(false),
        }
    }
}

/// True if a moment is over by a clock; `None` where it is too near to be sure: the clock goes on by itself.
pub(super) fn is_past(at: Timestamp, now: Timestamp) -> Option<bool> {
    let left = at.as_microseconds() - now.as_microseconds();
    (left.abs() > 5_000_000).then_some(left < 0)
}
