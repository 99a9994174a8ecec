//! Copying one home while others write to it: its journal up to a counted record, and each file as that
//! record and those before it say.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::BackupError;
use super::keep::{Keep, Known};
use super::page::{self, Page, PageFile, PageJournal};
use super::reach::Earlier;
use super::word::Word;
use crate::checkpoint::{CheckpointError, Page as Checkpoint};
use crate::digest::Digest;
use crate::error::IoError;
use crate::finding::{Code, Finding};
use crate::genesis::GenesisError;
use crate::id::RunId;
use crate::io::{Dir, Kind, LockFile};
use crate::journal::{Cursor, Home, JournalError, Opened, Runtime, lock_shared};
use crate::layout::HomeId;
use crate::verify::traces;
use crate::{layout, line};

/// A copy of one home.
pub(super) struct Taken {
    pub(super) page: Page,
    pub(super) findings: Vec<Finding>,
    /// Of a task: the runs that it says are gone.
    pub(super) pruned: BTreeSet<RunId>,
}

/// One home, and where its content goes.
pub(super) struct Look<'a> {
    pub(super) keep: &'a dyn Keep,
    pub(super) known: &'a Known,
    /// Few others are copied at the same time.
    pub(super) is_of_few: bool,
    pub(super) root: &'a Utf8Path,
    pub(super) runtime: &'a Runtime,
    pub(super) id: &'a HomeId,
    pub(super) home: Home,
    pub(super) dir: Dir,
    pub(super) findings: Vec<Finding>,
    pub(super) files: BTreeMap<String, PageFile>,
}

/// Copies a home; `None` where there is none, be it that it was removed meanwhile. Its journal is held against
/// what an earlier snapshot knows.
pub(super) fn take(
    root: &Utf8Path,
    runtime: &Runtime,
    id: &HomeId,
    keep: &dyn Keep,
    known: &Known,
    is_of_few: bool,
    earlier: Option<&Earlier<'_>>,
) -> Result<Option<Taken>, BackupError> {
    let home = Home::of(root, id.clone(), runtime);
    let is_gone = || match Dir::open(home.dir()).and_then(|dir| dir.stat(id.genesis())) {
        Ok(found) => found.is_none(),
        Err(error) => error.is_not_found(),
    };
    let was_moved = || Dir::open(home.dir()).is_err_and(|error| error.is_not_found());
    let dir = match Dir::open(home.dir()) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    let home = home.clone();
    let (findings, files) = (Vec::new(), BTreeMap::new());
    let look = Look { keep, known, is_of_few, root, runtime, id, home, dir, findings, files };
    match look.take(earlier) {
        Err(_) if is_gone() => Ok(None),
        // What was missing went with it.
        Ok(Some(taken)) if !taken.findings.is_empty() && was_moved() => Ok(None),
        other => other,
    }
}

impl Look<'_> {
    fn take(mut self, earlier: Option<&Earlier<'_>>) -> Result<Option<Taken>, BackupError> {
        let genesis = self.id.genesis();
        let opened = match self.home.open() {
            Ok(opened) => opened,
            Err(GenesisError::Damaged { reason, .. }) => {
                return self.unread(Code::GenesisDamaged, genesis, &reason);
            }
            Err(GenesisError::Io(error)) if error.is_not_found() => {
                // Without a trace of more, somebody is making it, or died over that.
                let Some(reason) = traces(&self.dir, "") else { return Ok(None) };
                return self.unread(Code::GenesisDamaged, genesis, reason);
            }
            Err(GenesisError::Io(error)) if is_of(&error, &self.dir) => {
                return match self.no_file(genesis)? {
                    Some(reason) => self.unread(Code::GenesisDamaged, genesis, reason),
                    None => self.unread(Code::Unreadable, genesis, &unreadable(&error)),
                };
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(reason) = self.no_file(layout::JOURNAL)? {
            return self.unread(Code::JournalMissing, layout::JOURNAL, reason);
        }
        self.file(genesis, None)?;
        let manifest = self.manifest(&opened);
        let mut word = Word::default();
        word.read_on(&self.home, &opened)?;
        if self.home.is_run() {
            self.artifacts(&mut word, &opened)?;
        }
        self.beside(&word)?;
        let damage: Vec<_> = word.damage().cloned().collect();
        self.findings.extend(damage);
        self.tell_if_shorter(manifest, earlier, &word, &opened)?;
        let journal = self.journal(word.bytes(), word.cursor)?;
        let pruned = word.runs.gone().cloned().collect();
        Ok(Some(self.finish(Some(journal), pruned)))
    }

    fn finish(mut self, journal: Option<PageJournal>, pruned: BTreeSet<RunId>) -> Taken {
        // Only something else than the library has a file where a directory is to be.
        let is_below_a_file = |path: &String| {
            path.match_indices('/')
                .any(|(at, _)| path.get(..at).is_some_and(|p| self.files.contains_key(p)))
        };
        let odd: Vec<_> = self.files.keys().filter(|path| is_below_a_file(path)).cloned().collect();
        for path in odd {
            self.files.remove(&path);
            self.tell(
                Code::CommitNotApplied,
                &path,
                "a file stands where its directory is to be".into(),
            );
        }
        let page = Page::new(journal, self.files.into_values().collect());
        Taken { page, findings: self.findings, pruned }
    }

    /// A home whose journal nobody can read: every file as it is, held against nothing.
    fn unread(
        mut self,
        code: Code,
        path: &str,
        reason: &str,
    ) -> Result<Option<Taken>, BackupError> {
        self.tell(code, path, reason.to_owned());
        let lock = self.lock()?;
        if code != Code::Unreadable && self.no_file(self.id.genesis())?.is_none() {
            self.file(self.id.genesis(), None)?;
        }
        self.below(layout::ARTIFACTS)?;
        for file in self.files.values_mut() {
            file.differs = file.path.starts_with(layout::ARTIFACTS);
        }
        for beside in [layout::CHECKPOINTS, layout::OBJECTS, layout::QUARANTINE] {
            self.below(beside)?;
        }
        let journal = match self.no_file(layout::JOURNAL)? {
            None => self.dir.stat(layout::JOURNAL)?,
            Some(_) => None,
        };
        let journal = journal.map(|entry| self.journal(entry.size, None)).transpose()?;
        drop(lock);
        Ok(Some(self.finish(journal, BTreeSet::new())))
    }

    /// Copies what is beside journal and artifacts. What a record names was there before the record was.
    fn beside(&mut self, word: &Word) -> Result<(), BackupError> {
        for beside in [layout::CHECKPOINTS, layout::OBJECTS, layout::QUARANTINE] {
            self.below(beside)?;
        }
        // Without its record it is of records after these, or what a crash left: it would vouch for what the copy lacks.
        let is_told = |turn: u64| word.checkpoints.contains_key(&turn);
        self.files.retain(|path, _| layout::turn_of(path).is_none_or(is_told));
        let digest = |files: &BTreeMap<String, PageFile>, path: &str| {
            files.get(path).map(|file| file.digest)
        };
        let mut objects = word.objects.clone();
        for (turn, (expected, seq)) in &word.checkpoints {
            let path = layout::checkpoint(*turn);
            match digest(&self.files, &path) {
                None => self.tell(Code::CheckpointMissing, &path, NOTHING.to_owned()),
                Some(found) if found != *expected => {
                    self.tell(Code::CheckpointDamaged, &path, differs(found, *expected));
                }
                Some(_) => match Checkpoint::read(&self.dir, *turn, *seq, *expected) {
                    Ok(checkpoint) => objects.extend(checkpoint.artifacts.into_values()),
                    Err(error) => self.unread_checkpoint(&path, error)?,
                },
            }
        }
        for named in objects {
            let path = layout::object(named);
            if digest(&self.files, &path).is_none() {
                self.tell(Code::ObjectMissing, &path, NOTHING.to_owned());
            }
        }
        Ok(())
    }

    /// A checkpoint that is what its record names, and whose objects nobody can tell.
    fn unread_checkpoint(&mut self, path: &str, error: CheckpointError) -> Result<(), BackupError> {
        match error {
            CheckpointError::Io(error) if !is_of(&error, &self.dir) => return Err(error.into()),
            CheckpointError::Io(error) => self.tell(Code::Unreadable, path, unreadable(&error)),
            CheckpointError::NewerFormat { .. } => {
                self.tell(Code::NewerFormat, path, error.to_string());
            }
            _ => self.tell(Code::CheckpointDamaged, path, error.to_string()),
        }
        Ok(())
    }

    /// Copies every file below a directory, as it is.
    fn below(&mut self, dir: &str) -> Result<(), BackupError> {
        self.check_dir(dir)?;
        for (path, entry) in self.dir.entries_below(dir)? {
            let path = format!("{dir}/{path}");
            if entry.kind != Kind::File {
                self.tell(Code::SymbolicLink, &path, SPECIAL.to_owned());
                continue;
            }
            let object = layout::object_of(&path);
            let found = self.file(&path, object)?;
            if let (Some(found), Some(expected)) = (found, object)
                && found != expected
            {
                self.tell(Code::ObjectChanged, &path, differs(found, expected));
            }
        }
        Ok(())
    }

    /// Why no file can be read at a path; `None` where one stands. Nothing is followed on the way.
    fn no_file(&self, path: &str) -> Result<Option<&'static str>, BackupError> {
        for above in path.match_indices('/').filter_map(|(at, _)| path.get(..at)) {
            match self.dir.stat(above)?.map(|entry| entry.kind) {
                Some(Kind::Dir) => {}
                Some(_) => return Ok(Some("something else stands where its directory is to be")),
                None => return Ok(Some(NOTHING)),
            }
        }
        Ok(match self.dir.stat(path)?.map(|entry| entry.kind) {
            Some(Kind::File) => None,
            Some(Kind::Dir) => Some("a directory stands in its place"),
            Some(Kind::Other) => Some(SPECIAL),
            None => Some(NOTHING),
        })
    }

    /// Tells of what stands where a directory should, and is not looked into.
    pub(super) fn check_dir(&mut self, dir: &str) -> Result<(), BackupError> {
        if self.is_no_dir(dir)? {
            self.tell(Code::SymbolicLink, dir, SPECIAL.to_owned());
        }
        Ok(())
    }

    pub(super) fn is_no_dir(&self, path: &str) -> Result<bool, BackupError> {
        Ok(self.dir.stat(path)?.is_some_and(|entry| entry.kind != Kind::Dir))
    }

    /// Copies a file; `None` if it is gone, or cannot be read.
    fn file(
        &mut self,
        path: &str,
        probably: Option<Digest>,
    ) -> Result<Option<Digest>, BackupError> {
        if !page::is_place(path) {
            self.tell(Code::Unreadable, path, ODD.to_owned());
            return Ok(None);
        }
        let opened = self.dir.open_read(path);
        match opened.and_then(|mut file| self.keep.file(&mut file, probably, self.known)) {
            Ok((digest, size)) => {
                self.put(PageFile { path: path.to_owned(), digest, size, differs: false });
                Ok(Some(digest))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) if is_of(&error, &self.dir) => {
                self.tell(Code::Unreadable, path, unreadable(&error));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn put(&mut self, file: PageFile) {
        self.files.insert(file.path.clone(), file);
    }

    /// Copies the journal's first bytes. They never change, so no lock is needed.
    fn journal(&self, bytes: u64, cursor: Option<Cursor>) -> Result<PageJournal, BackupError> {
        let mut file = self.dir.open_read(layout::JOURNAL)?;
        let (mut at, mut pieces, mut piece) = (0, Vec::new(), Vec::new());
        while at < bytes {
            piece.clear();
            let wanted = page::PIECE.min(bytes - at);
            file.read_at(at, wanted, &mut piece)?;
            if piece.len() as u64 != wanted {
                return Err(self.changed());
            }
            pieces.push(self.keep.bytes(&piece, self.known)?);
            at += wanted;
        }
        if let Some(cursor) = cursor.filter(|cursor| cursor.seq > 0) {
            let mut end = Vec::new();
            let from = cursor.offset.saturating_sub(line::END as u64);
            file.read_at(from, line::END as u64, &mut end)?;
            if line::open(&end).is_none_or(|end| end.hash != cursor.hash) {
                return Err(self.changed());
            }
        }
        Ok(PageJournal { bytes, cursor, pieces })
    }

    fn changed(&self) -> BackupError {
        BackupError::Changed { path: self.home.dir().join(layout::JOURNAL) }
    }

    /// Notes what is not as it should be. The place is told from the root, as the copy has none of its own.
    pub(super) fn tell(&mut self, code: Code, path: &str, reason: String) {
        let path = Utf8PathBuf::from(self.id.to_string()).join(path);
        self.findings.push(Finding::whole(path, code, reason));
    }

    /// Keeps writers away while it is held. Where no file can be locked, there are none.
    pub(super) fn lock(&self) -> Result<Option<LockFile>, BackupError> {
        if self.no_file(layout::LOCK)?.is_some() {
            return Ok(None);
        }
        Ok(lock_shared(&self.home, &self.dir)?)
    }

    pub(super) fn read_on(&self, word: &mut Word, opened: &Opened) -> Result<bool, JournalError> {
        word.read_on(&self.home, opened)
    }
}

pub(super) const NOTHING: &str = "nothing stands there";
pub(super) const SPECIAL: &str =
    "a link or a special file stands there; it is neither followed nor copied";
pub(super) const ODD: &str = "no file of a task or a run has such a name; it is not copied";

pub(super) fn differs(found: Digest, expected: Digest) -> String {
    format!("it has the digest {found}, and {expected} was journaled; it is copied as it is")
}

pub(super) fn unreadable(error: &IoError) -> String {
    format!("it cannot be read ({}: {}), and is not copied", error.action, error.source)
}

/// True if an error is about a file of the home, and not of the backup.
pub(super) fn is_of(error: &IoError, dir: &Dir) -> bool {
    error.path.starts_with(dir.path())
}
