//! The event that everybody writes: a tool call, whose line in the journal has 543 bytes.

use std::borrow::Cow;

use runjournal::{Appended, Event, JournalWriter, RunContext};
use serde::{Deserialize, Serialize};

use crate::Result;

/// Bytes of a line, its line break included.
pub(crate) const LINE: usize = 543;

/// What fills a line up.
const OUTPUT: &str = "warning: unused variable `x`, help: if this is intentional, prefix it with an \
    underscore; 2 warnings emitted; finished `dev` profile in 4.31 s; linking with cc; 17 tests passed, \
    0 failed, 2 ignored, in 0.93 s; warning: field is never read; note: the field is ignored during dead \
    code analysis; compiling serde; compiling runjournal; compiling the tests of runjournal; all is well";

/// The payload of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) tool: Cow<'static, str>,
    pub(crate) call: u64,
    pub(crate) ok: bool,
    pub(crate) duration_ms: u64,
    pub(crate) output: Cow<'static, str>,
}

impl Call {
    /// A call whose output has so many bytes.
    pub(crate) fn new(call: u64, output: usize) -> Self {
        let output = OUTPUT.get(..output).unwrap_or(OUTPUT);
        Self { tool: "cc".into(), call, ok: true, duration_ms: 4310, output: output.into() }
    }
}

/// Makes lines of runjournal's 543 bytes long: it knows how many bytes all else takes.
#[derive(Clone, Copy)]
pub(crate) struct Fit {
    /// Bytes of a line without output and without the digits of its numbers.
    bare: usize,
}

/// The numbers of a line, which have more digits in a longer journal.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) seq: u64,
    pub(crate) version: u64,
    /// Bytes of members that most lines do not have.
    pub(crate) extra: usize,
}

impl Place {
    /// The place behind an append, with nothing else between.
    pub(crate) fn after(last: &Appended) -> Self {
        Self { seq: last.seq + 1, version: last.stream_version + 1, extra: 0 }
    }

    /// The seq stands in the line twice: the payload repeats it.
    fn digits(self) -> usize {
        2 * digits(self.seq) + digits(self.version)
    }

    /// A member of a batch.
    pub(crate) fn in_batch(mut self, index: usize, size: usize) -> Self {
        self.extra += ",\"batch_index\":,\"batch_size\":".len();
        self.extra += digits(index as u64) + digits(size as u64);
        self
    }

    /// An event with an idempotency key.
    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.extra += ",\"idempotency_key\":\"\"".len() + key.len();
        self
    }
}

impl Fit {
    /// Finds out by appending one event to an empty journal.
    pub(crate) fn find(ctx: &RunContext, writer: &JournalWriter) -> Result<(Self, Appended)> {
        let before = std::fs::metadata(ctx.journal_path())?.len();
        let first = writer.append(event(&Call::new(1, 0)))?;
        let length = std::fs::metadata(ctx.journal_path())?.len() - before;
        let place = Place { seq: 1, version: first.stream_version, extra: 0 };
        if before != 0 || first.seq != 1 {
            return Err("the journal was not empty".into());
        }
        Ok((Self { bare: usize::try_from(length)? - place.digits() }, first))
    }

    /// As an argument for a worker.
    pub(crate) fn to_argument(self) -> String {
        self.bare.to_string()
    }

    /// From a worker's argument.
    pub(crate) fn parse(argument: &str) -> Result<Self> {
        Ok(Self { bare: argument.parse()? })
    }

    /// The call for a place.
    pub(crate) fn call(self, place: Place) -> Call {
        let taken = self.bare + place.digits() + place.extra;
        Call::new(place.seq, LINE.saturating_sub(taken))
    }
}

/// The event of a call.
pub(crate) fn event(call: &Call) -> Event {
    Event::new("tool_called").payload(call)
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// A record as a user without runjournal would keep it: the same members, the same bytes. Its id, its time and its hash are
/// made once: peers get what they cost for nothing.
#[derive(Serialize)]
pub(crate) struct PlainRecord {
    pub(crate) seq: u64,
    pub(crate) event_id: &'static str,
    pub(crate) event_type: &'static str,
    pub(crate) occurred_at: &'static str,
    pub(crate) aggregate_kind: &'static str,
    pub(crate) stream_id: &'static str,
    pub(crate) stream_version: u64,
    pub(crate) actor_kind: &'static str,
    pub(crate) correlation_id: &'static str,
    pub(crate) payload: Call,
    pub(crate) hash: &'static str,
}

/// Where the numbers of plain records begin, so that all have as many digits.
const FIRST: u64 = 1_000_000;

impl PlainRecord {
    /// A record whose line has 543 bytes, for numbers below nine millions.
    pub(crate) fn new(number: u64) -> Self {
        /// Bytes of a line with an empty output.
        const BARE: usize = 431;
        let seq = FIRST + number;
        Self {
            seq,
            event_id: "0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
            event_type: "tool_called",
            occurred_at: "2026-11-21T09:30:00.000000Z",
            aggregate_kind: "run",
            stream_id: "RUN-1",
            stream_version: seq,
            actor_kind: "node",
            correlation_id: "0af7651916cd43dd8448eb211c80319c",
            payload: Call::new(seq, LINE - BARE),
            hash: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        }
    }

    /// Its line, with the line break.
    pub(crate) fn line(&self) -> Result<String> {
        let mut line = serde_json::to_string(self)?;
        line.push('\n');
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_is_as_long_as_ours() -> Result<()> {
        for number in [0, 9, 8_999_999] {
            assert_eq!(PlainRecord::new(number).line()?.len(), LINE);
        }
        Ok(())
    }

    #[test]
    fn the_output_is_long_enough_and_has_no_escapes() {
        assert!(OUTPUT.len() >= 300 && OUTPUT.is_ascii());
        assert!(!OUTPUT.contains(['"', '\\', '\n']));
    }
}
