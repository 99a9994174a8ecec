//! Somebody else who acts while an act is going on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runjournal::{Event, Workspace};
use serde_json::{Value, json};

use super::act::Act;
use super::words;
use crate::{Outcome, RawRecord};

/// Somebody without a lease who appends while another act is going on.
#[derive(Debug, Clone, Default)]
pub(super) struct Other(Arc<Mutex<Option<bool>>>);

/// How long they wait for a lock.
const PATIENCE: Duration = Duration::from_millis(1);
/// The part of their event.
const OTHERS: u64 = 1000;

impl Other {
    pub(super) fn deed(&self, workspace: Workspace, act: &Act) -> Box<dyn FnOnce() + Send> {
        let answered = self.clone();
        let (number, task, run) = (act.number, words::task(act.task), words::run(act.run));
        Box::new(move || {
            let append = || -> Outcome {
                let task = workspace.with_lock_timeout(PATIENCE).task(task)?;
                let note = json!({"act": number, "part": OTHERS});
                let event = Event::new("noted").stream("talk", "other").payload(&note);
                // What is durable would wait for whoever syncs now, and that waits for this.
                task.run(run)?.context().append(event)?;
                Ok(())
            };
            let done = append().is_ok();
            *answered.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        })
    }

    /// None where they never came to it; true if their event was acknowledged.
    pub(super) fn answer(&self) -> Option<bool> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True for the record of their event.
pub(super) fn is_others(record: &RawRecord, act: &Act) -> bool {
    let number = |member| record.payload(member).and_then(Value::as_u64);
    number("part") == Some(OTHERS) && number("act") == Some(act.number as u64)
}
