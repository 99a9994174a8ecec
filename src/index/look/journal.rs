//! What is new in a journal.

use std::sync::Arc;

use super::stamps::Stamps;
use super::{Answer, Look};
use crate::finding::{Code, Finding, Place};
use crate::index::chunk::{Chunk, End, Lag, Said};
use crate::index::projector::{IndexedEvent, IndexedJournal};
use crate::journal::{Cursor, Events, JournalError, Opened};
use crate::layout;
use crate::planted::Bug;

/// Records in a piece: so many are in memory for each thread that looks.
const PIECE: usize = 1024;
/// Bytes that projectors said, with which a piece ends as well: an object may be large.
const PIECE_BYTES: usize = 1 << 20;

/// No honest journal has more records.
const MAX_SEQ: u64 = u32::MAX as u64;

/// Where to begin.
#[derive(PartialEq)]
enum From {
    Anew,
    /// Behind what is known.
    Here(Cursor),
    /// Nothing is new in the journal.
    Nowhere,
}

impl Look<'_> {
    /// Where to begin to read the journal.
    fn from(&self, stamps: &Stamps, start: Cursor) -> From {
        let Some(known) = self.job.known.as_ref().filter(|_| !self.looker.read_data) else {
            return From::Anew;
        };
        let (Some(cursor), Some(now)) = (known.cursor, stamps.journal) else { return From::Anew };
        // Another genesis file is another history, whatever the journal's lines say.
        if known.genesis != Some(start.hash()) {
            return From::Anew;
        }
        let here = match known.stamp {
            Some(stamp)
                if (stamp == now || Bug::IndexedOn.is_planted()) && now.size == cursor.offset() =>
            {
                return From::Nowhere;
            }
            Some(stamp) if stamp == now => true,
            Some(stamp) => stamp.inode == now.inode && stamp.size < now.size,
            None => cursor.offset() < now.size,
        };
        if here { From::Here(cursor) } else { From::Anew }
    }

    /// Reads what is new in the journal. Returns the last piece, which has no end yet; `None` where nobody
    /// listens any more.
    pub(super) fn events(
        &mut self,
        journal: &Arc<IndexedJournal>,
        opened: Opened,
        stamps: &Stamps,
        end: &mut End,
        tell: &mut dyn FnMut(Answer) -> bool,
    ) -> Result<Option<Chunk>, JournalError> {
        let start = Cursor::start(opened.genesis);
        let from = self.from(stamps, start);
        end.stamp = stamps.journal;
        if let (From::Here(_) | From::Nowhere, Some(known)) = (&from, &self.job.known) {
            let cursor = known.cursor.unwrap_or(start);
            let laggards = known.details.iter().flat_map(|details| &details.laggards);
            let laggards: Vec<_> = laggards.cloned().collect();
            let mut chunk = Chunk::new(self.job.key, Some(Arc::clone(journal)));
            chunk.cursor = Some(cursor);
            chunk.begins = (from != From::Nowhere).then(|| cursor.offset());
            match self.catch_up(laggards, cursor, start, &opened, &mut chunk, tell) {
                Ok(true) if from == From::Nowhere => return Ok(Some(chunk)),
                Ok(true) => {
                    if let Some(last) = self.read(&opened, cursor, chunk, false, end, tell)? {
                        return Ok(last);
                    }
                }
                Ok(false) => return Ok(None),
                Err(JournalError::CursorMismatch { .. }) => {}
                Err(error) => return Err(error),
            }
            // What was known is of another history, or of one that was damaged since.
            end.findings.retain(|finding| finding.code == Code::IdentityDiffers);
        }
        let chunk = self.anew(Some(Arc::clone(journal)), Some(start));
        Ok(self.read(&opened, start, chunk, true, end, tell)?.flatten())
    }

    /// Reads from a cursor to the end. `None` where it does not fit: begin anew. `Some(None)` where nobody
    /// listens.
    fn read(
        &mut self,
        opened: &Opened,
        from: Cursor,
        mut chunk: Chunk,
        whole: bool,
        end: &mut End,
        tell: &mut dyn FnMut(Answer) -> bool,
    ) -> Result<Option<Option<Chunk>>, JournalError> {
        let events = Events::open_in(&self.home, opened.clone())?;
        let mut events = match if whole { Ok(events) } else { events.from(from) } {
            Err(JournalError::CursorMismatch { .. }) => return Ok(None),
            other => other?,
        };
        let (mut before, mut told, mut count) = (from, 0, 0);
        chunk.cursor = Some(from);
        while let Some(record) = events.next() {
            let record = match record {
                Err(JournalError::CursorMismatch { .. }) if !whole => return Ok(None),
                other => other?,
            };
            if !whole && events.findings().iter().any(|found| found.code.is_journal_damage()) {
                return Ok(None);
            }
            let all = 0..self.looker.projectors.len();
            self.apply(all, &record, before, &mut chunk);
            let is_first_beyond = record.seq() > MAX_SEQ && before.seq() <= MAX_SEQ;
            before = record.cursor();
            chunk.cursor = Some(before);
            count += 1;
            if is_first_beyond {
                let place = Place {
                    path: self.home.dir().join(layout::JOURNAL),
                    offset: Some(record.offset()),
                    length: Some(record.end() - record.offset()),
                };
                let reason =
                    format!("the index has no room for seq {} and what follows", record.seq());
                chunk.lasting.push(Finding { code: Code::ProjectionStopped, place, reason });
            }
            if let Some(journal) = chunk.journal.as_ref().filter(|_| record.seq() <= MAX_SEQ) {
                chunk.events.push(journal, &record);
            }
            if count % PIECE == 0 || chunk.rows.bytes > PIECE_BYTES {
                // With each piece, for a look may be cut short, and the next one goes on behind it.
                chunk.lasting.extend(events.all_findings().0.iter().skip(told).cloned());
                told = events.all_findings().0.len();
                let journal = chunk.journal.clone();
                let full = std::mem::replace(&mut chunk, Chunk::new(self.job.key, journal));
                chunk.cursor = full.cursor;
                if !tell(Answer::Chunk(Box::new(full))) {
                    return Ok(Some(None));
                }
            }
        }
        let (lasting, tail) = events.all_findings();
        if !whole && lasting.iter().any(|found| found.code.is_journal_damage()) {
            return Ok(None);
        }
        chunk.lasting.extend(lasting.iter().skip(told).cloned());
        end.findings.extend_from_slice(tail);
        self.bytes += events.reached().saturating_sub(from.offset());
        if events.reached() != before.offset() {
            // Somebody may be writing just there, and it may not be a finding for that reason alone.
            end.in_flight = tail.is_empty();
        }
        Ok(Some(Some(chunk)))
    }

    /// Has projectors say what an event means to them.
    fn apply(
        &mut self,
        who: impl IntoIterator<Item = usize>,
        record: &crate::journal::Record,
        before: Cursor,
        chunk: &mut Chunk,
    ) {
        // What is no row of `events` is none of another table.
        let Some(journal) = chunk.journal.clone().filter(|_| record.seq() <= MAX_SEQ) else {
            return;
        };
        let event = IndexedEvent { journal: &journal, record };
        for by in who {
            if self.stopped.contains(&by) {
                continue;
            }
            let Some(projector) = self.looker.projectors.get(by) else { continue };
            let said = chunk.rows.statements.len();
            match projector.apply(&event, &mut chunk.rows) {
                Ok(()) => {
                    let statements_end = chunk.rows.statements.len();
                    if statements_end > said {
                        chunk.said.push(Said { by, before, seq: record.seq(), statements_end });
                    }
                }
                Err(error) => {
                    chunk.rows.truncate(said);
                    self.stopped.push(by);
                    let (seq, error) = (record.seq(), error.to_string());
                    chunk.laggards.push((by, Lag::Stopped { before, seq, error }));
                }
            }
        }
    }

    /// Lets projectors that stand behind the journal's cursor catch up with it.
    fn catch_up(
        &mut self,
        laggards: Vec<(usize, Option<Cursor>)>,
        until: Cursor,
        start: Cursor,
        opened: &Opened,
        chunk: &mut Chunk,
        tell: &mut dyn FnMut(Answer) -> bool,
    ) -> Result<bool, JournalError> {
        for (by, stands) in laggards {
            if stands.is_none()
                && let (Some(projector), Some(journal)) =
                    (self.looker.projectors.get(by), chunk.journal.clone())
            {
                projector.begin(&journal, &mut chunk.rows);
                let statements_end = chunk.rows.statements.len();
                chunk.said.push(Said { by, before: start, seq: 0, statements_end });
            }
            let from = stands.unwrap_or(start);
            let mut before = from;
            let mut count = 0;
            for record in Events::open_in(&self.home, opened.clone())?.from(from)? {
                let record = record?;
                if before.offset() >= until.offset() || self.stopped.contains(&by) {
                    break;
                }
                self.apply([by], &record, before, chunk);
                before = record.cursor();
                count += 1;
                if (count % PIECE == 0 || chunk.rows.bytes > PIECE_BYTES)
                    && !self.stopped.contains(&by)
                {
                    let journal = chunk.journal.clone();
                    let full = std::mem::replace(chunk, Chunk::new(self.job.key, journal));
                    chunk.cursor = full.cursor;
                    let mut full = full;
                    full.laggards.push((by, Lag::Behind(before)));
                    if !tell(Answer::Chunk(Box::new(full))) {
                        return Ok(false);
                    }
                }
            }
            if !self.stopped.contains(&by) {
                chunk.laggards.push((by, Lag::CaughtUp));
            }
        }
        Ok(true)
    }
}

#[cfg(feature = "testing")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::chunk::Address;
    use crate::index::look::{Job, Looker};
    use crate::index::{ProjectionError, Projector, Rows};
    use crate::journal::Event;
    use crate::testing::TestWorkspace;

    /// Says 100 KiB of each event.
    struct Large;

    impl Projector for Large {
        fn name(&self) -> &'static str {
            "large"
        }
        fn schema(&self) -> &'static str {
            "CREATE TABLE large (journal INTEGER NOT NULL, text TEXT NOT NULL)"
        }
        fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
            let text = "x".repeat(100 << 10);
            let sql = "INSERT INTO large (journal, text) VALUES ($1, $2)";
            rows.execute(sql, [event.journal().key().into(), text.into()]);
            Ok(())
        }
    }

    /// The pieces of a first look at a run.
    fn pieces(test: &TestWorkspace, projectors: &[&dyn Projector]) -> Vec<Chunk> {
        let workspace = test.workspace();
        let (root, runtime) = (workspace.root(), workspace.runtime());
        let looker = Looker { root, runtime, projectors, read_data: false };
        let address =
            Address { task: "TASK-1".parse().unwrap(), run: Some("RUN-1".parse().unwrap()) };
        let mut pieces = Vec::new();
        looker.look(Job { key: 1, address, known: None }, &mut |answer| {
            if let Answer::Chunk(chunk) = answer {
                pieces.push(*chunk);
            }
            true
        });
        pieces
    }

    #[test]
    fn a_piece_ends_by_its_bytes_also() {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let events: Vec<_> = (0..40).map(|n| Event::new("noted").payload(&n)).collect();
        ctx.journal().unwrap().append_batch(&events).unwrap();
        let pieces = pieces(&test, &[&Large]);
        let bytes: Vec<_> = pieces.iter().map(|chunk| chunk.rows.bytes).collect();
        assert_eq!(bytes.iter().sum::<usize>(), 40 * (100 << 10));
        assert!(bytes.iter().all(|bytes| *bytes <= (1 << 20) + (100 << 10)), "{bytes:?}");
    }
}
