//! One look at a task or a run: is anything new, and what. Nothing here knows the index's database,
//! so that many looks go on at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Projector;
use super::chunk::{Address, Anew, Chunk, End, FileRow, Lag, Said};
use super::projector::{IndexedEvent, IndexedGenesis, IndexedJournal};
use crate::digest::Digest;
use crate::error::IoError;
use crate::finding::{Code, Finding, Place};
use crate::genesis::{self, Genesis, GenesisError, RunGenesis, TaskGenesis};
use crate::id::EventId;
use crate::io::{Dir, Kind, Stamp};
use crate::journal::{Cursor, Events, Home, JournalError, Opened, Runtime};
use crate::layout;
use crate::name::ArtifactName;

/// What to look at.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: i64,
    pub(super) address: Address,
    pub(super) known: Option<Known>,
}

/// What the index knows of it.
#[derive(Debug)]
pub(super) struct Known {
    /// The digest of the genesis file.
    pub(super) genesis: Option<Digest>,
    pub(super) cursor: Option<Cursor>,
    pub(super) signature: Option<[u8; 16]>,
    pub(super) stamp: Option<Stamp>,
    pub(super) has_laggards: bool,
    /// What is needed only where something changed.
    pub(super) details: Option<Details>,
}

#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) files: BTreeMap<String, FileRow>,
    pub(super) laggards: Vec<(usize, Lag)>,
}

/// What came of it.
pub(super) enum Answer {
    /// Nothing is new.
    Same,
    /// Something is, and to tell what, the details are needed.
    Changed(Box<Job>),
    /// It is not there.
    Gone(i64),
    /// A piece of what is new; the last one has an end.
    Chunk(Box<Chunk>),
    /// A projector of the caller's panicked.
    Panicked(Box<dyn std::any::Any + Send>),
}

/// Records in a piece: so many are in memory for each thread that looks.
const PIECE: usize = 1024;

/// No honest journal has more records.
const MAX_SEQ: u64 = u32::MAX as u64;

/// What all looks share.
pub(super) struct Looker<'a> {
    pub(super) root: &'a camino::Utf8Path,
    pub(super) runtime: &'a Runtime,
    pub(super) projectors: &'a [&'a dyn Projector],
    /// Nothing that is known is trusted.
    pub(super) read_data: bool,
}

/// What stands in a directory, as far as stamps tell.
struct Stamps {
    genesis: Option<Stamp>,
    journal: Option<Stamp>,
    files: Vec<(String, Kind, Stamp)>,
    stages: Vec<EventId>,
    /// What stands in the way of looking, such as a link in the place of a directory.
    unreadable: Vec<Finding>,
}

impl Looker<'_> {
    /// Looks, and hands on what came of it; false where nobody listens any more.
    pub(super) fn look(&self, job: Job, tell: &mut dyn FnMut(Answer) -> bool) {
        let (key, at) = (job.key, Stamp::now());
        let answer = match self.stamps(&job.address) {
            Ok(None) => Answer::Gone(key),
            Err(_) if job.known.as_ref().is_some_and(|known| known.details.is_none()) => {
                Answer::Changed(Box::new(job))
            }
            Err(error) => nothing(job, error),
            Ok(Some((dir, stamps))) => match &job.known {
                Some(known) if !self.read_data && known.is_settled(&stamps) => Answer::Same,
                Some(Known { details: None, .. }) => Answer::Changed(Box::new(job)),
                _ => self.look_for(job, dir, at).all(stamps, tell),
            },
        };
        tell(answer);
    }

    fn look_for(&self, job: Job, dir: Dir, at: i64) -> Look<'_> {
        let (home, dir) = (self.home(&job.address), Arc::new(dir));
        Look { looker: self, home, dir, job, at, bytes: 0, begun: false, stopped: Vec::new() }
    }

    fn home(&self, address: &Address) -> Home {
        match &address.run {
            Some(run) => Home::of_run(self.root, &address.task, run, self.runtime),
            None => Home::of_task(self.root, &address.task, self.runtime),
        }
    }

    fn stamps(&self, address: &Address) -> Result<Option<(Dir, Stamps)>, IoError> {
        let home = self.home(address);
        let dir = match Dir::open(home.dir()) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let file = |name| Ok(dir.stamp(name)?.map(|(_, stamp)| stamp));
        let genesis = file(if address.run.is_some() { layout::RUN } else { layout::TASK })?;
        if genesis.is_none() {
            return Ok(None);
        }
        // Why it cannot be looked at, who opens it is told.
        let journal = file(layout::JOURNAL).unwrap_or_default();
        let mut stamps = Stamps {
            genesis,
            journal,
            files: Vec::new(),
            stages: Vec::new(),
            unreadable: Vec::new(),
        };
        if address.run.is_some() {
            match dir.stamps_below(layout::ARTIFACTS) {
                Ok(files) => stamps.files = files,
                Err(error) => stamps.unreadable.push(unreadable(error)),
            }
            match dir.list(layout::TMP) {
                Ok(staged) => {
                    stamps.stages =
                        staged.iter().filter_map(|(name, _)| name.parse().ok()).collect();
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => stamps.unreadable.push(unreadable(error)),
            }
        }
        Ok(Some((dir, stamps)))
    }
}

impl Known {
    /// True if this is what was there at the last look, and that can be told.
    fn is_settled(&self, stamps: &Stamps) -> bool {
        !self.has_laggards && self.signature.is_some() && self.signature == Some(stamps.signature())
    }
}

impl Stamps {
    /// The same for the same stamps.
    fn signature(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        let mut stamp = |stamp: Option<Stamp>| {
            hasher.update(&stamp.map_or([0; 32], Stamp::to_bytes));
        };
        stamp(self.genesis);
        stamp(self.journal);
        for (name, kind, stamp) in &self.files {
            hasher.update(&stamp.to_bytes());
            hasher.update(&[u8::from(*kind == Kind::File)]);
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
        }
        for stage in &self.stages {
            hasher.update(stage.as_bytes());
        }
        let mut signature = [0; 16];
        hasher.finalize_xof().fill(&mut signature);
        signature
    }

    /// True if none of it can change without another stamp.
    fn are_older_than(&self, look: i64) -> bool {
        let single = [self.genesis, self.journal].into_iter().flatten();
        let mut all = single.chain(self.files.iter().map(|(_, _, stamp)| *stamp));
        all.all(|stamp| stamp.is_older_than(look))
    }
}

/// A look at a journal that is new, or has changed.
struct Look<'a> {
    looker: &'a Looker<'a>,
    home: Home,
    dir: Arc<Dir>,
    job: Job,
    /// When it began.
    at: i64,
    bytes: u64,
    /// Something was told of it as of a new one.
    begun: bool,
    /// Projectors that an event stopped.
    stopped: Vec<usize>,
}

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
    fn all(&mut self, stamps: Stamps, tell: &mut dyn FnMut(Answer) -> bool) -> Answer {
        let mut end = End::default();
        let (journal, opened) = match self.genesis() {
            Ok((journal, opened)) => (Some(Arc::new(journal)), Some(opened)),
            Err(GenesisError::Io(error)) if error.is_not_found() => {
                return Answer::Gone(self.job.key);
            }
            Err(error) => {
                end.findings.push(self.unreadable(Code::GenesisDamaged, error));
                (None, None)
            }
        };
        let start = opened.as_ref().map(|opened| Cursor::start(opened.genesis));
        let outcome = match (&journal, opened) {
            (Some(journal), Some(opened)) => {
                end.findings.extend(self.identity(journal));
                self.events(journal, opened, &stamps, &mut end, tell)
            }
            _ => Ok(Some(self.anew(None, None))),
        };
        let mut last = match outcome {
            Ok(Some(chunk)) => chunk,
            // Nobody listens.
            Ok(None) => return Answer::Same,
            Err(JournalError::Removed { .. }) => return Answer::Gone(self.job.key),
            Err(error) => {
                let code = match &error {
                    JournalError::MissingJournal { .. } => Code::JournalMissing,
                    _ => Code::Unreadable,
                };
                end.findings.push(self.unreadable(code, error));
                end.stamp = None;
                self.anew(journal, start)
            }
        };
        let settled = self.files(&stamps, &mut end);
        end.findings.extend(stamps.unreadable.iter().cloned());
        let read_all = end.findings.iter().all(|finding| finding.code != Code::Unreadable);
        let ended = end.stamp.take();
        if settled
            && read_all
            && ended.is_some()
            && !end.in_flight
            && stamps.are_older_than(self.at)
        {
            end.signature = Some(stamps.signature());
        }
        let is_certain = |stamp: &Stamp| !end.in_flight && stamp.is_older_than(self.at);
        end.stamp =
            ended.map(|stamp| if is_certain(&stamp) { stamp } else { stamp.without_times() });
        end.stages = stamps.stages;
        end.looked_at = (stamps.files.len() as u64, self.bytes);
        last.end = Some(end);
        Answer::Chunk(Box::new(last))
    }

    /// The files that the index knows, for once.
    fn known_files(&mut self) -> BTreeMap<String, FileRow> {
        let details = self.job.known.as_mut().and_then(|known| known.details.as_mut());
        details.map(|details| std::mem::take(&mut details.files)).unwrap_or_default()
    }

    /// A chunk that makes the index forget what it knows, or thought it knew.
    fn anew(&mut self, journal: Option<Arc<IndexedJournal>>, start: Option<Cursor>) -> Chunk {
        self.stopped.clear();
        let mut chunk = Chunk::new(self.job.key, journal);
        let known = self.job.known.is_some() || std::mem::replace(&mut self.begun, true);
        chunk.anew = Some(Anew { address: self.job.address.clone(), start, known });
        if let (Some(journal), Some(start)) = (&chunk.journal, start) {
            for (by, projector) in self.looker.projectors.iter().enumerate() {
                projector.begin(journal, &mut chunk.rows);
                let statements_end = chunk.rows.statements.len();
                chunk.said.push(Said { by, before: start, seq: 0, statements_end });
            }
        }
        chunk
    }

    fn genesis(&self) -> Result<(IndexedJournal, Opened), GenesisError> {
        let Address { task, run } = &self.job.address;
        let (genesis, digest) = match run {
            Some(_) => {
                let read = genesis::read::<RunGenesis>(&self.dir)?;
                (IndexedGenesis::Run(read.value), read.digest)
            }
            None => {
                let read = genesis::read::<TaskGenesis>(&self.dir)?;
                (IndexedGenesis::Task(read.value), read.digest)
            }
        };
        let (task, run, key) = (task.clone(), run.clone(), self.job.key);
        let journal = IndexedJournal { key, task, run, genesis };
        let opened = Opened { dir: Arc::clone(&self.dir), genesis: digest, correlation: None };
        Ok((journal, opened))
    }

    /// The path is the identity: what the file says otherwise is a finding.
    fn identity(&self, journal: &IndexedJournal) -> Option<Finding> {
        let (file, same) = match &journal.genesis {
            IndexedGenesis::Task(genesis) => (TaskGenesis::FILE, genesis.task_id == journal.task),
            IndexedGenesis::Run(genesis) => {
                let same = genesis.task_id == journal.task
                    && Some(&genesis.run_id) == journal.run.as_ref();
                (RunGenesis::FILE, same)
            }
        };
        let reason = "its ids are not those of its place: it was moved or copied";
        (!same).then(|| self.finding(Code::IdentityDiffers, file, reason))
    }

    fn finding(&self, code: Code, file: &str, reason: &str) -> Finding {
        let place = Place { path: self.home.dir().join(file), offset: None, length: None };
        Finding { code, place, reason: reason.to_owned() }
    }

    fn unreadable(&self, code: Code, error: impl Into<JournalError>) -> Finding {
        let (path, reason) = match error.into() {
            JournalError::Genesis(GenesisError::Damaged { path, reason }) => (path, reason),
            JournalError::Genesis(GenesisError::Io(error)) | JournalError::Io(error) => {
                let reason = format!("cannot {}: {}", error.action, error.source);
                (error.path, reason)
            }
            JournalError::MissingJournal { path } => (path, "it is not there".to_owned()),
            JournalError::LockTimeout { path, .. } => (
                path,
                "something looks like damage, and the lock was not to be had to look again".into(),
            ),
            _ => (self.home.dir().to_owned(), "it cannot be read".to_owned()),
        };
        Finding { code, place: Place { path, offset: None, length: None }, reason }
    }

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
            Some(stamp) if stamp == now && now.size == cursor.offset() => return From::Nowhere,
            Some(stamp) if stamp == now => true,
            Some(stamp) => stamp.inode == now.inode && stamp.size < now.size,
            None => cursor.offset() < now.size,
        };
        if here { From::Here(cursor) } else { From::Anew }
    }

    /// Reads what is new in the journal. Returns the last piece, which has no end yet; `None` where nobody
    /// listens any more.
    fn events(
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
        let (mut before, mut told) = (from, 0);
        chunk.cursor = Some(from);
        while let Some(record) = events.next() {
            let record = match record {
                Err(JournalError::CursorMismatch { .. }) if !whole => return Ok(None),
                other => other?,
            };
            if !whole && events.findings().iter().any(|found| found.code == Code::JournalDamaged) {
                return Ok(None);
            }
            let all = 0..self.looker.projectors.len();
            self.apply(all, &record, before, &mut chunk);
            before = record.cursor();
            chunk.cursor = Some(before);
            if record.seq() > MAX_SEQ {
                let place = Place {
                    path: self.home.dir().join(layout::JOURNAL),
                    offset: Some(record.offset()),
                    length: Some(record.end() - record.offset()),
                };
                let reason = format!("the index has no room for seq {}", record.seq());
                chunk.lasting.push(Finding { code: Code::ProjectionStopped, place, reason });
                continue;
            }
            if let Some(journal) = &chunk.journal {
                chunk.events.push(journal, &record);
            }
            if chunk.events.len() == PIECE {
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
        if !whole && lasting.iter().any(|found| found.code == Code::JournalDamaged) {
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
        let Some(journal) = chunk.journal.clone() else { return };
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
        laggards: Vec<(usize, Lag)>,
        until: Cursor,
        start: Cursor,
        opened: &Opened,
        chunk: &mut Chunk,
        tell: &mut dyn FnMut(Answer) -> bool,
    ) -> Result<bool, JournalError> {
        for (by, lag) in laggards {
            let from = match lag {
                Lag::Behind(from) | Lag::Stopped { before: from, .. } => from,
                Lag::None => continue,
            };
            let from = if from.seq() == 0 { start } else { from };
            if from == start
                && let (Some(projector), Some(journal)) =
                    (self.looker.projectors.get(by), chunk.journal.clone())
            {
                projector.begin(&journal, &mut chunk.rows);
                let statements_end = chunk.rows.statements.len();
                chunk.said.push(Said { by, before: start, seq: 0, statements_end });
            }
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
                if count % PIECE == 0 && !self.stopped.contains(&by) {
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
                chunk.laggards.push((by, Lag::None));
            }
        }
        Ok(true)
    }

    /// Hashes the files that are new or may have changed. False where they have to be looked at again.
    fn files(&mut self, stamps: &Stamps, end: &mut End) -> bool {
        let mut known = self.known_files();
        let mut settled = true;
        let mut folder = Folder { home: Arc::clone(&self.dir), opened: None };
        for (path, kind, stamp) in &stamps.files {
            let name = format!("{}/{path}", layout::ARTIFACTS);
            if *kind != Kind::File {
                let reason = "a link or a special file, which is never followed or opened";
                end.findings.push(self.finding(Code::ArtifactUnjournaled, &name, reason));
                continue;
            }
            if let Err(error) = ArtifactName::new(path.as_str()) {
                end.findings.push(self.finding(Code::ArtifactUnjournaled, &name, error.reason));
                continue;
            }
            let before = known.remove(path);
            let trusted = before.as_ref().filter(|_| !self.looker.read_data);
            if trusted.is_some_and(|before| before.stamp == Some(*stamp)) {
                continue;
            }
            let (digest, size) = match folder.digest(&name) {
                Ok(read) => read,
                Err(error) => {
                    settled = false;
                    if !error.is_not_found() {
                        end.findings.push(unreadable(error));
                    }
                    end.gone.push(path.clone());
                    continue;
                }
            };
            self.bytes += size;
            let stamp = Some(*stamp).filter(|stamp| stamp.is_older_than(self.at));
            settled &= stamp.is_some();
            end.files.push(FileRow { path: path.clone(), digest, size, stamp });
        }
        end.gone.extend(known.into_keys());
        settled
    }
}

/// There is a directory, and it cannot be looked into.
fn nothing(job: Job, error: IoError) -> Answer {
    let Job { key, address, known } = job;
    let mut chunk = Chunk::new(key, None);
    chunk.anew = Some(Anew { address, start: None, known: known.is_some() });
    let files = known.and_then(|known| known.details).unwrap_or_default().files;
    let (findings, gone) = (vec![unreadable(error)], files.into_keys().collect());
    chunk.end = Some(End { findings, gone, ..End::default() });
    Answer::Chunk(Box::new(chunk))
}

/// Something is there, and the system does not let us see it.
pub(super) fn unreadable(error: IoError) -> Finding {
    let reason = format!("cannot {}: {}", error.action, error.source);
    Finding {
        code: Code::Unreadable,
        place: Place { path: error.path, offset: None, length: None },
        reason,
    }
}

/// The directory that was opened last: files come directory by directory.
struct Folder {
    home: Arc<Dir>,
    opened: Option<(String, Dir)>,
}

impl Folder {
    fn digest(&mut self, path: &str) -> Result<(Digest, u64), IoError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        let dir = match self.opened.take().filter(|(opened, _)| opened == parent) {
            Some((_, dir)) => dir,
            None => self.home.open_dir(parent)?,
        };
        let digest = dir.open_read(name).and_then(|mut file| file.digest());
        self.opened = Some((parent.to_owned(), dir));
        digest
    }
}
