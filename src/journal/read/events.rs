//! Reading a journal to its end, without a lock.

use std::collections::VecDeque;

use camino::Utf8Path;

use crate::finding::{Code, Finding, Place};
use crate::journal::read::filter::Filter;
use crate::journal::read::reader::{Piece, Reader};
use crate::journal::record::Record;
use crate::journal::scan::{Seen, Skip, SkipKind};
use crate::journal::{Cursor, Follow, Home, JournalError};

/// The counted records of a journal, in order: an iterator that reads as it goes, in flat memory.
///
/// It takes no lock, waits for nobody, and ends where the file ended when it got there;
/// [`follow`](Events::follow) stays. What does not count is passed over; [`Events::findings`] tells of
/// it once the iterator has ended. Only what looks like damage is read again under the lock before it
/// is believed, and that may have to wait.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ctx = runjournal::RunContext::from_env()?;
/// for record in ctx.events()?.of_type("tool_called").in_stream("session", "S-1") {
///     let record = record?;
///     println!("{} {}", record.seq(), record.payload_json().unwrap_or("null"));
/// }
/// for record in ctx.events()?.last(20)? {
///     println!("{} {}", record.seq(), record.event_type());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Events {
    pub(crate) reader: Reader,
    pub(crate) filter: Filter,
    pub(crate) ready: VecDeque<Record>,
    pub(crate) findings: Vec<Finding>,
    /// How many of the findings stay, whatever is appended.
    pub(crate) lasting: usize,
    ended: bool,
}

/// How far back the search for the last records begins; it goes on twice as far each time.
const WINDOW: u64 = 64 << 10;

impl Events {
    pub(crate) fn open(home: &Home) -> Result<Self, JournalError> {
        Ok(Self {
            reader: Reader::open(home)?,
            filter: Filter::default(),
            ready: VecDeque::new(),
            findings: Vec::new(),
            lasting: 0,
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

    /// Goes on behind a record that was read before: only what follows it is read, so it costs the
    /// same in a journal of any length.
    ///
    /// # Errors
    /// [`JournalError::CursorMismatch`] where no line ends at the cursor with its hash: then the journal
    /// is another one, or lost its tail. While reading, the same where damage shows that the record
    /// at the cursor does not count any more.
    pub fn from(mut self, cursor: Cursor) -> Result<Self, JournalError> {
        if !self.reader.go_to(cursor)? {
            return Err(self.reader.mismatch(cursor));
        }
        self.filter.from = cursor.offset;
        self.ready.clear();
        self.findings.clear();
        self.lasting = 0;
        self.ended = false;
        Ok(self)
    }

    /// The last records, at most `count`, in the order of the journal: those that reading all of it
    /// would end with. It reads backwards from the end, only as far as it has to; where there is
    /// damage on the way, it reads everything.
    ///
    /// What lies further back than it read is not checked. So a line that somebody copied to another
    /// place of the file, which no crash does, can go unnoticed.
    ///
    /// # Errors
    /// As the iterator's.
    pub fn last(mut self, count: usize) -> Result<Vec<Record>, JournalError> {
        let begin = self.reader.cursor();
        let len = self.reader.file.len()?;
        let mut window = WINDOW;
        while let Some(from) = len.checked_sub(window).filter(|from| *from > begin.offset) {
            let until = len - window / 2;
            let place =
                crate::journal::read::back::place_between(&mut self.reader.file, from, until)?;
            if let Some(place) = place
                && let Some(newest) = self.last_behind(place, count)?
            {
                return Ok(newest.into());
            }
            window = window.saturating_mul(2);
        }
        self.reader.set_cursor(begin);
        self.ended = false;
        let mut newest = Newest { count, records: VecDeque::new() };
        for record in self {
            newest.push(record?);
        }
        Ok(newest.records.into())
    }

    /// The last records, if they stand behind a place, and the scan from there is the scan of the
    /// whole journal: see `back`.
    fn last_behind(
        &mut self,
        place: Cursor,
        count: usize,
    ) -> Result<Option<VecDeque<Record>>, JournalError> {
        self.reader.set_cursor(place);
        let mut newest = Newest { count, records: VecDeque::new() };
        let mut chained = false;
        loop {
            let piece = self.reader.glance()?;
            let ended = piece.rest.is_some();
            chained = chained
                || match piece.seen.first() {
                    Some(Seen::Record { offset, .. }) => *offset == place.offset,
                    _ => false,
                };
            if piece.has_damage() || (!chained && (ended || !piece.seen.is_empty())) {
                return Ok(None);
            }
            for item in piece.seen {
                if let Seen::Record { record, .. } = item
                    && self.filter.wants(&record)
                {
                    newest.push(record);
                }
            }
            if ended {
                let all = newest.records.len() == count || place.seq <= self.filter.after;
                return Ok(all.then_some(newest.records));
            }
        }
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

    /// Reads to the end: all records, and all findings.
    ///
    /// # Errors
    /// Where reading fails, or damage cannot be confirmed because the lock is not to be had.
    pub fn read_all(mut self) -> Result<(Vec<Record>, Vec<Finding>), JournalError> {
        let records = self.by_ref().collect::<Result<Vec<_>, _>>()?;
        Ok((records, self.findings))
    }

    /// Bytes that do not count, as a finding.
    pub(crate) fn finding(journal: &Utf8Path, skip: &Skip) -> Finding {
        let (code, reason) = match skip.kind {
            SkipKind::Garbage => (Code::Garbage, "left by a killed writer and sealed off"),
            SkipKind::Repaired => (Code::Garbage, "damage that a repair closed off"),
            SkipKind::Torn => (Code::TornTail, "a write that was not finished"),
            SkipKind::Damage(reason) => (Code::JournalDamaged, reason),
        };
        let place = Place {
            path: journal.to_owned(),
            offset: Some(skip.offset),
            length: Some(skip.length),
        };
        Finding { code, place, reason: reason.to_owned() }
    }

    fn advance(&mut self) -> Result<(), JournalError> {
        let Piece { seen, rest } = self.reader.next_piece()?;
        let journal = self.reader.file.path();
        for item in seen {
            match item {
                Seen::Record { record, .. } if self.filter.wants(&record) => {
                    self.ready.push_back(record);
                }
                Seen::Record { .. } => {}
                Seen::Skip(skip) => self.findings.push(Self::finding(journal, &skip)),
            }
        }
        self.lasting = self.findings.len();
        self.ended = rest.is_some();
        let rest = rest.unwrap_or_default().skips;
        self.findings.extend(rest.iter().map(|skip| Self::finding(journal, skip)));
        Ok(())
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
        self.ready.pop_front().map(Ok)
    }
}

/// The newest of the records that it was given.
struct Newest {
    count: usize,
    records: VecDeque<Record>,
}

impl Newest {
    fn push(&mut self, record: Record) {
        self.records.push_back(record);
        if self.records.len() > self.count {
            self.records.pop_front();
        }
    }
}
