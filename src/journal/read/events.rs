//! Reading a journal to its end, without a lock.

use std::collections::VecDeque;

use crate::finding::Finding;
use crate::journal::read::back;
use crate::journal::read::filter::Filter;
use crate::journal::read::reader::{Piece, Reader};
use crate::journal::record::Record;
use crate::journal::{Cursor, Follow, Home, JournalError, Opened, types};

/// The counted records of a journal, in order: an iterator that reads as it goes, in flat memory.
///
/// It takes no lock, waits for nobody, and ends where the file ended when it got there;
/// [`follow`](Events::follow) stays. What does not count is passed over; [`Events::findings`] tells of
/// it once the iterator has ended. Only what looks like damage is read again under the lock before it
/// is believed, and that may have to wait.
///
/// Filters hold together; of two of one kind the later holds. They are set before anything is read.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ctx = runjournal::RunContext::from_env()?;
/// for record in ctx.events()?.of_type("tool_called").in_stream("session", "S-1") {
///     let record = record?;
///     println!("{} {}", record.seq(), record.payload_json()?.as_deref().unwrap_or("null"));
/// }
/// for record in ctx.events()?.last(20)? {
///     println!("{}", record?.event_type());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Events {
    pub(crate) reader: Reader,
    filter: Filter,
    ready: VecDeque<Record>,
    /// Behind the last record that was handed out, or where this began.
    place: Cursor,
    findings: Vec<Finding>,
    /// How many of the findings stay: those behind them are of what lies at the end now.
    lasting: usize,
    /// The end of the run was read.
    pub(crate) complete: bool,
    ended: bool,
}

/// Threads can share it.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<Events>();
};

/// How far back the search for the last records begins, at most.
const WINDOW: u64 = 64 << 10;
/// The least, and what a record is allowed for in it.
const LEAST: u64 = 8 << 10;
const USUAL: u64 = 1 << 10;

impl Events {
    pub(crate) fn open(home: &Home) -> Result<Self, JournalError> {
        Self::open_in(home, home.open()?)
    }

    /// The same in a directory that was opened before.
    pub(crate) fn open_in(home: &Home, opened: Opened) -> Result<Self, JournalError> {
        let reader = Reader::open_in(home, opened)?;
        let place = reader.cursor();
        Ok(Self {
            reader,
            filter: Filter::default(),
            ready: VecDeque::new(),
            place,
            findings: Vec::new(),
            lasting: 0,
            complete: false,
            ended: false,
        })
    }

    /// Only records with a greater seq. They are found by reading those before them;
    /// [`from`](Events::from) need not.
    #[must_use]
    pub fn after(mut self, seq: u64) -> Self {
        self.filter.after = seq;
        self
    }

    /// Only records of this type.
    #[must_use]
    pub fn of_type(mut self, event_type: impl Into<String>) -> Self {
        self.filter.event_type = Some(event_type.into());
        self
    }

    /// Only records of this stream.
    #[must_use]
    pub fn in_stream(mut self, kind: impl Into<String>, id: impl Into<String>) -> Self {
        self.filter.stream = Some((kind.into(), id.into()));
        self
    }

    /// Only records with this correlation id.
    #[must_use]
    pub fn correlated(mut self, correlation_id: impl Into<String>) -> Self {
        self.filter.correlation = Some(correlation_id.into());
        self
    }

    /// Begins at a record's [`offset`](Record::offset), or at the end of the last record. For who kept
    /// offsets; a [`Cursor`] is safer, because it tells whether the journal is the same still.
    ///
    /// # Errors
    /// [`JournalError::CursorMismatch`] where no record begins there, nor the next one could.
    pub fn from_offset(mut self, offset: u64) -> Result<Self, JournalError> {
        if offset == 0 {
            return Ok(self);
        }
        match back::parent_of(&mut self.reader.file, offset)? {
            Some(parent) => self.from(parent.cursor()),
            None => Err(self.reader.mismatch(Cursor { offset, ..self.cursor() })),
        }
    }

    /// Goes on behind a record that was read before: only what follows it is read, so it costs the
    /// same in a journal of any length.
    ///
    /// # Errors
    /// [`JournalError::CursorMismatch`] where no line ends at the cursor with its hash: then the journal
    /// is another one, or lost its tail, and what was derived from it is to be thrown away. These events
    /// are gone with the error: open them anew, set the filters again, and read from the first record.
    /// While reading, the same where damage shows that the record at the cursor does not count any more.
    pub fn from(mut self, cursor: Cursor) -> Result<Self, JournalError> {
        if !self.reader.go_to(cursor)? {
            return Err(self.reader.mismatch(cursor));
        }
        self.forget();
        self.filter.from = cursor.offset;
        self.place = cursor;
        Ok(self)
    }

    /// Only the last records, at most `count`: those that reading all of it would end with. It reads
    /// backwards from the end, only as far as it has to; where there is damage on the way, it reads
    /// everything. The records are held in memory; a [`follow`](Events::follow) goes on behind them.
    ///
    /// [`findings`](Events::findings) then tells of what it came by. What lies further back than it read
    /// is not looked at: neither damage there is told, nor a line that somebody copied to another
    /// place of the file, which no crash does.
    ///
    /// # Errors
    /// As the iterator's.
    pub fn last(mut self, count: usize) -> Result<Self, JournalError> {
        let begin = self.cursor();
        let len = self.reader.file.len()?;
        // Lines are rarely longer.
        let mut window = (count as u64).saturating_mul(USUAL).clamp(LEAST, WINDOW);
        // To look at more than half of it in vain would cost more than it can save.
        while window <= len / 2 && len - window > begin.offset {
            let (from, until) = (len - window, len - window / 8);
            let further = match back::place_between(&mut self.reader.file, from, until)? {
                Some(place) => match self.last_behind(place, count)? {
                    Some(found) if found == count || place.seq <= self.filter.after => {
                        return Ok(self);
                    }
                    // Where the others are, if they lie as close together.
                    Some(found) => (count / found.max(1)).saturating_add(1).clamp(2, 8),
                    None => 8,
                },
                // What lies across, a batch or a long line, begins further back, not far.
                None => 2,
            };
            window = window.saturating_mul(further as u64);
        }
        let mut all = self.from(begin)?;
        while !all.ended {
            all.advance()?;
            all.keep_newest(count);
        }
        Ok(all)
    }

    /// Holds the last records behind a place, at most `count`, and says how many these are. `None` where the
    /// scan from there may not be the scan of the whole journal: see `back`.
    fn last_behind(&mut self, place: Cursor, count: usize) -> Result<Option<usize>, JournalError> {
        self.reader.set_cursor(place);
        self.forget();
        self.place = place;
        let mut chained = false;
        while !self.ended {
            let before = self.reader.cursor();
            let piece = self.reader.glance()?;
            chained = chained
                || piece.records.front().is_some_and(|record| record.offset() == place.offset);
            let unchained = !chained && (piece.rest.is_some() || !piece.is_empty());
            if unchained || piece.has_damage() {
                return Ok(None);
            }
            let piece = match self.reader.checked(before, piece) {
                Ok(piece) if !piece.has_damage() => piece,
                Ok(_) | Err(JournalError::CursorMismatch { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            self.take_in(piece);
            self.keep_newest(count);
        }
        Ok(Some(self.ready.len()))
    }

    /// True if the journal ends with a record of this type, by the look of it, and is so long that
    /// [`last`](Events::last) would not read all of it.
    pub(crate) fn is_long_and_ends_with(&mut self, event_type: &str) -> Result<bool, JournalError> {
        let len = self.reader.file.len()?;
        if len < 2 * WINDOW {
            return Ok(false);
        }
        let last = back::record_before(&mut self.reader.file, len)?;
        Ok(last.is_some_and(|record| record.event_type() == event_type))
    }

    /// Passes over all that is ready but the newest.
    fn keep_newest(&mut self, count: usize) {
        let old = self.ready.len().saturating_sub(count);
        if let Some(newest_of_old) = self.ready.drain(..old).next_back() {
            self.place = newest_of_old.cursor();
        }
    }

    /// Where this stands: behind the last record that it handed out, and behind those that followed and
    /// were not wanted, as far as it knows. [`from`](Events::from) goes on there, with any filters.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        let read = self.reader.cursor();
        if self.ready.is_empty() && read.offset > self.place.offset { read } else { self.place }
    }

    /// Stays at the end of the journal and yields records as they come, from where this stands.
    #[must_use]
    pub fn follow(self) -> Follow {
        Follow::new(self)
    }

    /// What did not count, with its place, as far as the iterator has come: all of it, once it ended.
    /// An interrupted write at the end is no finding while somebody holds the lock.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The findings that stay, and those of what lies at the end now.
    #[cfg(feature = "sqlite")]
    pub(crate) fn all_findings(&self) -> (&[Finding], &[Finding]) {
        self.findings.split_at_checked(self.lasting).unwrap_or((&self.findings, &[]))
    }

    /// The end of what was read.
    pub(crate) fn reached(&self) -> u64 {
        self.reader.reached()
    }

    /// True once the end of the run was read.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Reads to the end: all records, and all findings.
    ///
    /// # Errors
    /// Where reading fails, or damage cannot be confirmed because the lock is not to be had.
    pub fn read_all(mut self) -> Result<(Vec<Record>, Vec<Finding>), JournalError> {
        let records = self.by_ref().collect::<Result<Vec<_>, _>>()?;
        Ok((records, self.findings))
    }

    fn advance(&mut self) -> Result<(), JournalError> {
        let piece = self.reader.next_piece()?;
        self.take_in(piece);
        Ok(())
    }

    /// Takes in what the reader came by: the records that are wanted, and what does not count.
    pub(crate) fn take_in(&mut self, Piece { mut records, skips, rest }: Piece) {
        let journal = self.reader.file.path();
        records.retain(|record| {
            self.complete |= record.event_type() == types::EXECUTION_COMPLETE;
            self.filter.wants(record)
        });
        if self.ready.is_empty() {
            self.ready = records;
        } else {
            self.ready.append(&mut records);
        }
        self.findings.truncate(self.lasting);
        self.findings.extend(skips.iter().map(|skip| skip.finding(journal)));
        self.lasting = self.findings.len();
        self.ended = rest.is_some();
        let rest = rest.unwrap_or_default().skips;
        self.findings.extend(rest.iter().map(|skip| skip.finding(journal)));
    }

    /// Goes back to the first record, in another history: what was read of the one before is void,
    /// and so is where to begin in it.
    pub(crate) fn start_over(&mut self) {
        self.reader.start_over();
        self.forget();
        self.filter.from = 0;
        self.filter.after = 0;
        self.place = self.reader.cursor();
    }

    fn forget(&mut self) {
        self.ready.clear();
        self.findings.clear();
        self.lasting = 0;
        self.complete = false;
        self.ended = false;
    }

    /// Hands out the next record that was read.
    pub(crate) fn next_ready(&mut self) -> Option<Record> {
        let record = self.ready.pop_front()?;
        self.place = record.cursor();
        Some(record)
    }

    /// True if all that was read was handed out.
    pub(crate) fn is_drained(&self) -> bool {
        self.ready.is_empty()
    }
}

impl Iterator for Events {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.ended {
            if let Err(error) = self.advance() {
                self.ended = true;
                return Some(Err(error));
            }
        }
        self.next_ready().map(Ok)
    }
}
