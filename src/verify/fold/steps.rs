//! Attempts of steps: each starts once, then ends at most once; and turns come in order.

use std::collections::HashMap;

use serde::Deserialize;

use crate::finding::Code;
use crate::journal::{JournalError, Record, types};

/// Attempts by step and number, and the turn that each step has come to.
#[derive(Debug, Default)]
pub(in crate::verify) struct Steps {
    steps: HashMap<String, Step>,
}

#[derive(Debug, Default)]
struct Step {
    turn: u64,
    attempts: HashMap<u64, Times>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Times {
    starts: u64,
    ends: u64,
}

/// What payloads of starts and ends have in common.
#[derive(Deserialize)]
struct Attempt {
    attempt: u64,
    #[serde(default = "first")]
    turn: u64,
}

fn first() -> u64 {
    1
}

impl Steps {
    pub(in crate::verify) fn take_in(
        &mut self,
        record: &Record,
        tell: &mut dyn FnMut(Code, String),
    ) -> Result<(), JournalError> {
        let is_start = match record.event_type() {
            types::STEP_STARTED => true,
            types::STEP_COMPLETED | types::STEP_FAILED => false,
            _ => return Ok(()),
        };
        let Attempt { attempt, turn } = record.payload()?;
        let name = record.stream_id();
        if !self.steps.contains_key(name) {
            self.steps.insert(name.to_owned(), Step::default());
        }
        let Some(step) = self.steps.get_mut(name) else { return Ok(()) };
        let times = step.attempts.entry(attempt).or_default();
        if is_start {
            times.starts += 1;
            if times.starts > 1 {
                let reason = format!("attempt {attempt} of step {name} started before");
                tell(Code::DuplicateStep, reason);
            } else if turn == 0 || (turn != step.turn && turn != step.turn + 1) {
                let reason = format!("turn {turn} of step {name} follows turn {}", step.turn);
                tell(Code::TurnOutOfSequence, reason);
            }
            step.turn = turn;
            return Ok(());
        }
        times.ends += 1;
        if times.starts == 0 {
            let reason = format!("attempt {attempt} of step {name} ends and was never started");
            tell(Code::StepWithoutStart, reason);
        } else if times.ends > 1 {
            tell(Code::DuplicateStep, format!("attempt {attempt} of step {name} ended before"));
        }
        Ok(())
    }
}
