//! One look at a task or a run: is anything new, and what. Nothing here knows the index's database,
//! so that many looks go on at once.

mod files;
mod journal;
mod stamps;

use std::collections::BTreeMap;
use std::sync::Arc;

use stamps::Stamps;

use super::Projector;
use super::chunk::{Address, Anew, Chunk, End, FileRow, Said};
use super::projector::{IndexedGenesis, IndexedJournal};
use crate::digest::Digest;
use crate::error::IoError;
use crate::finding::{Code, Finding};
use crate::genesis::{self, Genesis, GenesisError, RunGenesis, TaskGenesis};
use crate::io::{Dir, Stamp};
use crate::journal::{Cursor, Home, JournalError, Opened, Runtime};
use crate::layout;

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
    /// Projectors that stand elsewhere than the journal's cursor, and where; `None` for one that has not begun.
    pub(super) laggards: Vec<(usize, Option<Cursor>)>,
}

/// What came of it.
pub(super) enum Answer {
    /// Nothing is new in so many.
    Same(usize),
    /// Something is, and to tell what, the details are needed.
    Changed(Box<Job>),
    /// It is not there.
    Gone(i64, Address),
    /// A piece of what is new; the last one has an end.
    Chunk(Box<Chunk>),
    /// A projector of the caller's panicked.
    Panicked(Box<dyn std::any::Any + Send>),
}

/// What all looks share.
pub(super) struct Looker<'a> {
    pub(super) root: &'a camino::Utf8Path,
    pub(super) runtime: &'a Runtime,
    pub(super) projectors: &'a [&'a dyn Projector],
    /// Nothing that is known is trusted.
    pub(super) read_data: bool,
}

impl Looker<'_> {
    /// Looks, and hands on what came of it; false where nobody listens any more.
    pub(super) fn look(&self, job: Job, tell: &mut dyn FnMut(Answer) -> bool) {
        let at = Stamp::now();
        let answer = match self.stamps(&job.address) {
            Ok(None) => Answer::Gone(job.key, job.address),
            Err(_) if job.known.as_ref().is_some_and(|known| known.details.is_none()) => {
                Answer::Changed(Box::new(job))
            }
            Err(error) => nothing(job, error),
            Ok(Some((dir, stamps))) => match &job.known {
                Some(known) if !self.read_data && known.is_settled(&stamps) => Answer::Same(1),
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

impl Look<'_> {
    fn all(&mut self, stamps: Stamps, tell: &mut dyn FnMut(Answer) -> bool) -> Answer {
        let mut end = End::default();
        let (journal, opened) = match self.genesis() {
            Ok((journal, opened)) => (Some(Arc::new(journal)), Some(opened)),
            Err(GenesisError::Io(error)) if error.is_not_found() => {
                if !self.has_records() {
                    return self.gone();
                }
                let reason = "it is missing though its journal holds records";
                end.findings.push(Finding::whole(error.path, Code::GenesisDamaged, reason));
                (None, None)
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
            Ok(None) => return Answer::Same(1),
            Err(JournalError::Removed { .. }) => return self.gone(),
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

    fn gone(&self) -> Answer {
        Answer::Gone(self.job.key, self.job.address.clone())
    }

    /// True if the journal that is there now is not empty.
    fn has_records(&self) -> bool {
        let journal = self.dir.stamp(layout::JOURNAL).unwrap_or_default();
        journal.is_some_and(|(_, journal)| journal.size > 0)
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
        let opened =
            Opened { dir: Arc::clone(&self.dir), genesis: digest, correlation: None, first: None };
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
        Finding::whole(self.home.dir().join(file), code, reason)
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
        Finding::whole(path, code, reason)
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
    Finding::whole(error.path, Code::Unreadable, reason)
}
