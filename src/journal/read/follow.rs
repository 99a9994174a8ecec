//! A live tail: the records of a journal as they come.

use std::time::{Duration, Instant};

use crate::finding::Finding;
use crate::journal::read::events::Events;
use crate::journal::record::Record;
use crate::journal::{Cursor, JournalError, types};
use crate::planted::Bug;

/// What a [`Follow`] yields.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "nearly all that is yielded are records")]
pub enum Followed {
    /// The next counted record.
    Record(Record),
    /// The journal is not the one that was read before: its tail was lost in a power cut, or the run
    /// was restored from a backup or replaced. All its records follow, from the first; what was
    /// derived from those before is to be thrown away.
    StartedOver,
}

/// A live tail of a journal: each counted record once, in order, as it comes, and never one that does
/// not count. As an iterator it waits for the next record, and ends behind `execution_complete`, after
/// which nothing is appended to a run.
///
/// It takes no lock and asks the file for its length, in pauses that grow from 1 ms to 100 ms while
/// nothing happens. So it works where the system cannot tell of changes, as on network disks. It goes
/// on with a run that is moved away, and with the one that is put in its place; where that does not hold
/// the records that were read, [`Followed::StartedOver`] says so. Damage at the end of the journal is
/// waited out, for a repair may come; [`findings`](Follow::findings) tells of it.
///
/// After an error it can be asked again, except after [`JournalError::Removed`], behind which it ends.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ctx = runjournal::RunContext::from_env()?;
/// use runjournal::Followed;
///
/// let mut seen = 0;
/// for item in ctx.events()?.of_type("tool_called").follow() {
///     match item? {
///         Followed::Record(record) => seen = record.seq(),
///         Followed::StartedOver => seen = 0,
///         _ => {}
///     }
/// }
/// println!("the run is complete; the last call was seq {seen}");
/// # Ok(())
/// # }
/// ```
///
/// To go on in another process, keep the [`cursor`](Follow::cursor) together with what was derived:
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ctx = runjournal::RunContext::from_env()?;
/// use runjournal::{Cursor, Followed, JournalError};
///
/// /// How many calls there were, up to a place.
/// #[derive(Default, serde::Serialize, serde::Deserialize)]
/// struct Calls {
///     count: u64,
///     up_to: Option<Cursor>,
/// }
/// # fn load() -> Calls { Calls::default() }
/// # fn save(_: &Calls) {}
///
/// let mut calls: Calls = load();
/// let events = match calls.up_to.map(|cursor| ctx.events()?.from(cursor)).transpose() {
///     Ok(Some(resumed)) => resumed,
///     Ok(None) => ctx.events()?,
///     // The run was replaced, or lost its tail, since: what was derived from it is void.
///     Err(JournalError::CursorMismatch { .. }) => {
///         calls = Calls::default();
///         ctx.events()?
///     }
///     Err(error) => return Err(error.into()),
/// };
/// let mut tail = events.of_type("tool_called").follow();
/// while let Some(item) = tail.next() {
///     match item? {
///         Followed::Record(_) => calls.count += 1,
///         Followed::StartedOver => calls.count = 0,
///         _ => {}
///     }
///     calls.up_to = Some(tail.cursor());
///     save(&calls);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Follow {
    events: Events,
    /// To be said before anything else is yielded.
    started_over: bool,
    /// It was seen whether the run was complete where this began.
    begun: bool,
    /// The length of the file at which nothing more is to be found behind the cursor.
    settled: Option<u64>,
    /// There is more of the file to read.
    midway: bool,
    /// Since when nothing stands at the path of a file that was removed.
    gone_since: Option<Instant>,
    path_checked: Instant,
    pause: Duration,
    ended: bool,
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// How often it is checked that the path still names the open file, at least.
const PATH_EVERY: Duration = Duration::from_secs(1);
/// How long a removed journal may take to come back, as it does when a run is restored.
const GONE_FOR: Duration = Duration::from_secs(2);

impl Follow {
    pub(crate) fn new(events: Events) -> Self {
        Self {
            events,
            started_over: false,
            begun: false,
            settled: None,
            midway: false,
            gone_since: None,
            path_checked: Instant::now(),
            pause: SHORTEST_PAUSE,
            ended: false,
        }
    }

    /// What is there now, without waiting; `None` if there is nothing new.
    ///
    /// # Errors
    /// Where reading fails; [`JournalError::Removed`] once the journal was removed and stayed away.
    pub fn try_next(&mut self) -> Result<Option<Followed>, JournalError> {
        while self.is_drained() && !self.ended && self.look()? {}
        Ok(self.next_ready())
    }

    /// The next that comes within this time; `None` if nothing does, or it has
    /// [ended](Follow::has_ended).
    ///
    /// # Errors
    /// As [`try_next`](Follow::try_next).
    pub fn next_within(&mut self, time: Duration) -> Result<Option<Followed>, JournalError> {
        let start = Instant::now();
        while self.is_drained() && !self.ended {
            let found = self.look()?;
            let left = time.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            if !found {
                std::thread::sleep(self.pause.min(left));
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
        }
        Ok(self.next_ready())
    }

    fn next_ready(&mut self) -> Option<Followed> {
        if std::mem::take(&mut self.started_over) {
            return Some(Followed::StartedOver);
        }
        self.events.next_ready().map(Followed::Record)
    }

    fn is_drained(&self) -> bool {
        self.events.is_drained() && !self.started_over
    }

    /// True once nothing can come any more: the run is complete and all of it was yielded, or the
    /// journal was removed.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended && self.is_drained()
    }

    /// Where this stands: behind the last record that it yielded, and behind those that followed and
    /// were not wanted. [`Events::from`] goes on there. Behind a [`Followed::StartedOver`] it is
    /// at the start of the journal.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.events.cursor()
    }

    /// What does not count, with its place, as far as the journal was read. A write that is not
    /// finished is no finding: it may be on its way.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        self.events.findings()
    }

    /// Looks at the file once; true if it found more, or has more to look at.
    fn look(&mut self) -> Result<bool, JournalError> {
        let found = self.read()?;
        if found {
            self.pause = SHORTEST_PAUSE;
        }
        if !self.ended && (!found || self.path_checked.elapsed() >= PATH_EVERY) {
            self.path_checked = Instant::now();
            return Ok(self.check_path()? || found);
        }
        Ok(found)
    }

    /// Reads what is new; true if there was something.
    fn read(&mut self) -> Result<bool, JournalError> {
        let reader = &mut self.events.reader;
        if !self.midway {
            let len = reader.file.len()?;
            if !reader.resume()? && !Bug::FollowedOn.is_planted() {
                self.start_over();
                return Ok(true);
            }
            if !self.begun {
                self.begun = true;
                self.ended = reader.stands_behind(types::EXECUTION_COMPLETE)?;
            }
            if self.ended || self.settled == Some(len) {
                return Ok(false);
            }
        }
        match self.read_piece() {
            Err(JournalError::CursorMismatch { .. }) => {
                self.start_over();
                Ok(true)
            }
            Err(error) => {
                self.midway = false;
                Err(error)
            }
            found => found,
        }
    }

    /// Reads a piece; true if something counts in it, or there is more to read.
    fn read_piece(&mut self) -> Result<bool, JournalError> {
        let reader = &mut self.events.reader;
        let before = reader.cursor();
        let Some(piece) = reader.next_live_piece()? else {
            self.midway = false;
            return Ok(false);
        };
        let (reached, cursor) = (reader.reached(), reader.cursor());
        if let Some(rest) = &piece.rest {
            // Damage was confirmed; what else does not count may be in flight, and is read again.
            let settled = rest.damage().is_some() || reached == cursor.offset;
            self.settled = settled.then_some(reached);
        }
        self.midway = piece.rest.is_none();
        self.events.take_in(piece);
        self.ended |= self.events.complete;
        Ok(cursor != before || self.midway)
    }

    /// Turns to the journal that stands at the path, if that is another one; true if it is.
    fn check_path(&mut self) -> Result<bool, JournalError> {
        let reader = &mut self.events.reader;
        if reader.file.is_at_path()? {
            self.gone_since = None;
            return Ok(false);
        }
        let at_path = match reader.reopened() {
            Ok(reader) => reader,
            // A run that was moved away goes on where it is.
            Err(_) if reader.file.is_linked()? => return Ok(false),
            Err(_) => return self.is_gone(),
        };
        self.gone_since = None;
        if reader.is_same(&at_path)? {
            return Ok(false);
        }
        let cursor = reader.cursor();
        *reader = at_path;
        self.midway = false;
        self.settled = None;
        if !reader.go_to(cursor)? {
            self.start_over();
        }
        Ok(true)
    }

    /// Waits a while for a removed journal to come back.
    fn is_gone(&mut self) -> Result<bool, JournalError> {
        if self.gone_since.get_or_insert_with(Instant::now).elapsed() < GONE_FOR {
            return Ok(false);
        }
        self.ended = true;
        Err(JournalError::Removed { path: self.events.reader.file.path().to_owned() })
    }

    /// Reads the journal from its first record, and says so.
    fn start_over(&mut self) {
        // The one at the path is the run's, if there is one.
        if let Ok(reader) = self.events.reader.reopened() {
            self.events.reader = reader;
        }
        self.events.start_over();
        self.settled = None;
        self.midway = false;
        self.started_over = true;
    }
}

impl Iterator for Follow {
    type Item = Result<Followed, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.has_ended() {
            match self.next_within(Duration::MAX) {
                Ok(Some(item)) => return Some(Ok(item)),
                Ok(None) => {}
                Err(error) => {
                    // Whoever passes over errors does not make it ask without a pause.
                    std::thread::sleep(LONGEST_PAUSE);
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
