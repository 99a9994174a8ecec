//! The journal, open for appending: lock, catch up, and what a caller then may ask.

mod ahead;
pub(crate) mod append;
pub(crate) mod batch;
mod doubt;
pub(crate) mod journal_sync;
pub(crate) mod lookup;
mod note;
pub(crate) mod objects;
pub(crate) mod sync;
pub(crate) mod sync_between;

use std::collections::HashMap;
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::IoError;
use crate::io::{AppendFile, Dir, LockFile};
use crate::journal::Cursor;
use crate::journal::head::entry::{Name, Place, StreamNames};
use crate::journal::head::ledger::Ledger;
use crate::journal::home::Opened;
use crate::journal::log::batch::Staged;
use crate::journal::log::journal_sync::{JournalSync, Unsynced};
use crate::journal::log::sync::{SharedSync, not_durable};

use crate::journal::scan::forward::Forward;
use crate::journal::scan::{Rest, Seen};
use crate::journal::{Event, Home, JournalError};
use crate::layout;
use crate::planted::Bug;

/// What an append survives once it returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// A killed process, but not a power cut.
    #[default]
    Buffered,
    /// A power cut: the call returns when the disk has it.
    Durable,
}

/// A journal, open for appending. Crate-private: callers reach it through a writer that also puts
/// committed artifacts in place, so that every append finishes what a crash left.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) home: Home,
    pub(crate) dir: Arc<Dir>,
    /// Its folder, for the head and the notes on syncs.
    pub(crate) journal: Arc<Dir>,
    pub(crate) file: Arc<AppendFile>,
    lock: Arc<LockFile>,
    sync: Arc<SharedSync>,
    pub(crate) correlation: Option<String>,
    /// What the journal begins with, if it is still empty.
    first: Option<Event>,
    /// The stream of events that name none.
    pub(crate) default_stream: Name,
    /// The stream of the caller's step.
    pub(crate) step_stream: Option<Name>,
    pub(crate) stream_names: StreamNames,
    pub(crate) start: Cursor,
    pub(crate) cursor: Cursor,
    pub(crate) ledger: Ledger,
    /// False before the first catch-up.
    opened: bool,
    /// True if the next one to open the journal would have as much to scan as this one had.
    head_is_due: bool,
    /// The `step_started` that the caller's own attempt was last seen to be the newest of.
    pub(crate) admitted_at: Option<Place>,
    /// True once it was seen to that the run is bound to the caller's lease, if that is the newest.
    pub(crate) asked_for_binding: bool,
    /// The newest `lease_bound`, where the caller's lease was seen to be the newest of its resource.
    pub(crate) bound_at: Option<Place>,
    /// Of the last append, kept for their room.
    pub(crate) lines: Vec<u8>,
    pub(crate) staged: Vec<Staged>,
}

impl Log {
    pub(crate) fn open(home: &Home) -> Result<Self, JournalError> {
        Self::open_in(home, home.open_writable()?)
    }

    /// The same in a directory that was opened for writing before.
    pub(crate) fn open_in(home: &Home, opened: Opened) -> Result<Self, JournalError> {
        let Opened { dir, genesis, correlation, first } = opened;
        let journal = dir.open_dir(layout::JOURNAL_DIR).map_err(JournalError::opening)?;
        let file = journal.open_append(layout::EVENTS).map_err(JournalError::opening)?;
        let lock = Arc::new(journal.open_lock(layout::LOCK_OF_EVENTS)?);
        let start = Cursor::start(genesis);
        let (kind, id) = home.default_stream();
        let default_stream = Name::stream(kind, id);
        let step_stream = home.step.as_ref().map(|step| Name::stream("step", step.name.as_str()));
        Ok(Self {
            home: home.clone(),
            dir,
            journal: Arc::new(journal),
            sync: SharedSync::of(&file)?,
            file: Arc::new(file),
            lock,
            correlation,
            first,
            default_stream,
            step_stream,
            stream_names: StreamNames::default(),
            lines: Vec::new(),
            staged: Vec::new(),
            start,
            cursor: start,
            ledger: Ledger::start(start, home.runtime.head),
            opened: false,
            head_is_due: false,
            admitted_at: None,
            bound_at: None,
            asked_for_binding: false,
        })
    }

    /// Takes the lock and catches up with what others appended.
    pub(crate) fn lock(&mut self) -> Result<LockedLog<'_>, JournalError> {
        if let Some(reason) = self.sync.failed() {
            return Err(JournalError::Poisoned { path: self.file.path().to_owned(), reason });
        }
        let waited = self.home.runtime.lock_timeout;
        let lock = Arc::clone(&self.lock);
        let taken = lock.wait(waited, |lock| {
            let taken = lock.try_exclusive()?;
            if !taken {
                // What cannot be read now is read, or fails, once the lock is held.
                let _ = self.read_ahead();
            }
            Ok(taken)
        })?;
        if !taken {
            return Err(JournalError::still_locked(&self.lock, waited));
        }
        let (rest, tail, checked) = (Rest::default(), Vec::new(), HashMap::new());
        let mut locked = LockedLog { log: self, rest, tail, stale: false, checked };
        locked.catch_up()?;
        locked.begin()?;
        Ok(locked)
    }

    /// Waits until all that anybody can read of a journal is on the disk, without reading it. True if that was in
    /// doubt: what was read before may be gone.
    pub(crate) fn make_stay(home: &Home) -> Result<bool, JournalError> {
        let dir = Dir::open(home.dir())?;
        let journal = dir.open_dir(layout::JOURNAL_DIR).map_err(JournalError::opening)?;
        let file = match journal.open_append(layout::EVENTS) {
            Ok(file) => file,
            // Who may not write there has left nothing to be written again.
            Err(error) if error.is_read_only() => {
                journal.open_read(layout::EVENTS)?.sync()?;
                return Ok(false);
            }
            Err(error) => return Err(JournalError::opening(error)),
        };
        let sync = SharedSync::of(&file)?;
        let was_in_doubt = sync.settle(&file, &journal)?;
        JournalSync::new(Arc::new(journal), Arc::new(file), sync).of(0).sync()?;
        Ok(was_in_doubt)
    }

    /// What makes everything that was appended durable.
    pub(crate) fn unsynced(&self) -> Unsynced {
        self.journal_sync().of(self.cursor.offset)
    }

    /// What brings it to the disk.
    pub(crate) fn journal_sync(&self) -> JournalSync {
        let Self { journal, file, sync, .. } = self;
        JournalSync::new(Arc::clone(journal), Arc::clone(file), Arc::clone(sync))
    }

    /// Forgets what is known of the journal.
    fn forget(&mut self) {
        self.cursor = self.start;
        self.ledger = Ledger::start(self.start, self.home.runtime.head);
        self.opened = false;
        self.admitted_at = None;
        self.bound_at = None;
        self.asked_for_binding = false;
    }

    /// Leaves a head for the next one, where that saves more than it costs. It is a cache: where it
    /// cannot be written, nothing is lost but time.
    fn leave_head(&mut self) {
        let Self { journal, file, ledger, cursor, .. } = self;
        if self.head_is_due || ledger.has_much(*cursor) {
            self.head_is_due = false;
            let _ = ledger.leave_head(journal, file, *cursor);
        }
    }
}

/// A journal whose lock is held and whose state is up to date. Only through it can be appended.
pub(crate) struct LockedLog<'a> {
    pub(crate) log: &'a mut Log,
    /// What lies behind the last counted record,
    pub(crate) rest: Rest,
    /// and its bytes.
    pub(crate) tail: Vec<u8>,
    /// A write failed, or what was written could not be read: nobody knows what lies there now.
    pub(crate) stale: bool,
    /// Where members of batches stand that were checked whole since the lock was taken, and their hashes.
    checked: HashMap<u64, Digest>,
}

impl Drop for LockedLog<'_> {
    fn drop(&mut self) {
        if !self.stale {
            self.log.leave_head();
        }
        self.log.ledger.unlocked();
        if Bug::LockUnlinked.is_planted() {
            let _ = self.log.journal.remove_file(layout::LOCK_OF_EVENTS);
        }
        self.log.lock.unlock();
    }
}

impl LockedLog<'_> {
    pub(crate) fn dir(&self) -> &Dir {
        &self.log.dir
    }

    /// The directory of the journal itself.
    pub(crate) fn journal_dir(&self) -> &Dir {
        &self.log.journal
    }

    pub(crate) fn home(&self) -> &Home {
        &self.log.home
    }

    /// The seq of the last counted record; 0 where there is none.
    pub(crate) fn last_seq(&self) -> u64 {
        self.log.cursor.seq
    }

    /// What lies behind the last counted record and does not count.
    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }

    /// True if what it knows of the journal cannot be believed: something failed on the way.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }

    /// How long the journal is, as far as we know.
    pub(crate) fn written(&self) -> u64 {
        self.log.cursor.offset
    }

    /// True if `execution_complete` was counted.
    pub(crate) fn is_closed(&self) -> bool {
        self.log.ledger.is_closed()
    }

    /// Poisons every writer of this journal after a failed sync of something that it names.
    pub(crate) fn poison(&mut self, source: IoError) -> JournalError {
        self.log.sync.fail(&source);
        not_durable(&self.log.file, source)
    }

    /// Waits until everything appended is on the disk, with the lock held.
    pub(crate) fn sync(&self) -> Result<(), JournalError> {
        self.log.unsynced().sync()
    }

    /// Makes sure that the journal begins as it has to: its maker may have died before that.
    fn begin(&mut self) -> Result<(), JournalError> {
        if self.log.cursor.seq == 0
            && self.rest.damage().is_none()
            && let Some(first) = self.log.first.take()
        {
            self.append_unfenced(std::slice::from_ref(&first))?;
        }
        Ok(())
    }

    /// Makes sure, before the first record, that what it is written in stays: who made the directory may have
    /// died before its names were on the disk, and no later sync of the journal brings them there.
    fn sync_names(&self) -> Result<(), IoError> {
        let Log { home, dir, .. } = &*self.log;
        // A run's own directory, `runs/` and the task's; a task's own, and the workspace's.
        let levels = if home.is_run() { 3 } else { 2 };
        let path = dir.path().to_owned();
        path.ancestors().take(levels).try_for_each(|path| Dir::open(path)?.sync(""))
    }

    pub(crate) fn catch_up(&mut self) -> Result<(), JournalError> {
        // Whatever fails in it leaves a state that nothing may be appended behind.
        self.stale = !Bug::FailedCatchUpBelieved.is_planted();
        self.read_on()?;
        self.stale = false;
        Ok(())
    }

    fn read_on(&mut self) -> Result<(), JournalError> {
        let len = self.len()?;
        if !self.log.opened && self.log.sync.settle(&self.log.file, &self.log.journal)? {
            return self.start_over();
        }
        let Log { home, journal, file, sync, start, cursor, ledger, opened, .. } = &mut *self.log;
        let first = !std::mem::replace(opened, true);
        if !first && Bug::NotCaughtUp.is_planted() {
            return Ok(());
        }
        if !first && !cursor.fits(file)? {
            // The journal was cut or put back under our hands.
            sync.saw_cut();
            return self.start_over();
        }
        if !first && len == cursor.offset {
            return Ok(());
        }
        if !first {
            sync.saw_others();
        }
        if first
            && let Some(known) = Ledger::from_disk(journal, file, len, *start, home.runtime.head)
        {
            *cursor = known.base();
            *ledger = known;
        }
        let from_start = cursor == start;
        let damage = match self.read_forward(len) {
            Ok(damage) => damage,
            Err(error) => {
                // Damage may have been passed already: the next one starts anew.
                self.log.forget();
                return Err(error);
            }
        };
        if damage && !from_start {
            // The cached state cannot be trusted: what counts is defined by the scan from genesis.
            self.start_over()?;
        }
        self.log.head_is_due |= first && self.log.ledger.scanned_much(self.log.cursor);
        Ok(())
    }

    /// Forgets what is known of the journal, the head included, and scans it from the start.
    pub(crate) fn start_over(&mut self) -> Result<(), JournalError> {
        self.stale = true;
        let len = self.len()?;
        self.checked.clear();
        self.log.forget();
        self.log.opened = true;
        self.log.head_is_due = true;
        self.read_forward(len)?;
        self.stale = false;
        Ok(())
    }

    fn len(&self) -> Result<u64, JournalError> {
        let file = &self.log.file;
        file.linked_len()?.ok_or_else(|| JournalError::Removed { path: file.path().to_owned() })
    }

    /// Scans from the cursor to `len`; true if there was damage.
    fn read_forward(&mut self, len: u64) -> Result<bool, JournalError> {
        let Log { file, journal, cursor, ledger, stream_names, .. } = &mut *self.log;
        let mut forward = Forward::new(*cursor);
        let mut damage = false;
        self.rest = loop {
            let mut see = |seen| match seen {
                Seen::Record(record) => {
                    let stream = stream_names.name(record.aggregate_kind(), record.stream_id());
                    ledger.apply(&record.facts(), stream, Place::of(&record));
                }
                Seen::Skip(skip) => damage |= skip.is_damage(),
            };
            let read = |offset, count, buffer: &mut _| file.read_at(offset, count, buffer);
            let ended = forward.step(len, read, &mut see)?;
            *cursor = forward.cursor;
            if let Some(rest) = ended {
                break rest;
            }
            // Where the disk has no room for a table, memory has to have it.
            let _ = ledger.flush_names(journal, *cursor);
        };
        self.tail = forward.into_tail();
        Ok(damage || self.rest.damage().is_some())
    }
}
