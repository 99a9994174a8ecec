//! The page held against the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Manifest, ManifestArtifact, ManifestError};
use crate::artifact::Catalog;
use crate::context::RunContext;
use crate::digest::Digest;
use crate::error::IoError;
use crate::finding::{Code, Finding, Place};
use crate::id::EventId;
use crate::io::{Dir, Kind, ReadFile};
use crate::journal::{Events, Home, JournalError, lock_shared};
use crate::layout;
use crate::name::ArtifactName;

impl Manifest {
    /// Compares the page with the disk, hashing every file; what differs is returned, sorted by path, and
    /// nothing is changed. The page may be older than the run, or come from a backup: what the journal
    /// says behind the page's last record holds, and a journal that does not reach that record is found.
    /// What in the journal does not count is told by [`Run::state`](crate::Run::state).
    ///
    /// It takes no lock for what is as it should be. What is not is looked at once more while nothing is
    /// in flight, so a run can be compared while others write to it. A link, a pipe or a device under
    /// `artifacts/` is a finding; it is neither followed nor opened.
    ///
    /// # Errors
    /// Where the journal, or a directory, cannot be read. A file that cannot be read is a finding.
    pub fn compare(&self, ctx: &RunContext) -> Result<Vec<Finding>, ManifestError> {
        let home = ctx.home();
        let mut comparison = Comparison::open(self, &home)?;
        let mut findings = Vec::new();
        if !comparison.reaches {
            let reason = format!(
                "it does not reach the record with seq {} at whose end, byte {}, the manifest stands, or \
                 has another one there",
                self.journal.last_seq, self.journal.bytes
            );
            let path = ctx.journal_path();
            let place = Place { path, offset: None, length: None };
            findings.push(Finding { code: Code::JournalShorter, place, reason });
        }
        let (names, mut different) = comparison.names()?;
        for name in names {
            if comparison.look(&name)?.is_none() {
                continue;
            }
            let found = comparison.look_again(&name)?;
            different.extend(found.map(|finding| (name.to_string(), finding)));
        }
        findings.extend(different.into_values());
        Ok(findings)
    }
}

struct Comparison<'a> {
    manifest: &'a Manifest,
    home: &'a Home,
    dir: Arc<Dir>,
    page: BTreeMap<&'a ArtifactName, &'a ManifestArtifact>,
    /// True if the journal has the page's last record where the page says.
    reaches: bool,
    catalog: Catalog,
}

/// What should be at a path: the digest, `None` for nothing; and the stage that may still wait.
struct Word {
    digest: Option<Digest>,
    stage: Option<EventId>,
}

/// What is at a path.
enum Found {
    Nothing,
    Dir,
    Special,
    File(ReadFile),
    Unreadable(IoError),
    /// Something on the way there is no directory.
    Unreachable(IoError),
}

impl<'a> Comparison<'a> {
    fn open(manifest: &'a Manifest, home: &'a Home) -> Result<Self, ManifestError> {
        let reaches = match Events::open(home)?.from(manifest.cursor()) {
            Ok(_) => true,
            Err(JournalError::CursorMismatch { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        let page = manifest.artifacts.iter().map(|artifact| (&artifact.path, artifact)).collect();
        let dir = home.open()?.dir;
        Ok(Self { manifest, home, dir, page, reaches, catalog: Catalog::read(home)? })
    }

    /// Every path to look at; and what stands under a name that no artifact can have.
    fn names(&self) -> Result<(BTreeSet<ArtifactName>, BTreeMap<String, Finding>), ManifestError> {
        let journaled = self.catalog.iter().map(|(name, _)| name);
        let mut names: BTreeSet<_> = self.page.keys().copied().chain(journaled).cloned().collect();
        let mut odd = BTreeMap::new();
        if self.dir.stat(layout::ARTIFACTS)?.is_some_and(|entry| entry.kind != Kind::Dir) {
            let reason = "it is no directory, and is not looked into".to_owned();
            odd.insert(String::new(), self.finding(Code::ArtifactUnjournaled, "", reason));
        }
        for (path, _) in self.dir.entries_below(layout::ARTIFACTS)? {
            match ArtifactName::new(path) {
                Ok(name) => {
                    names.insert(name);
                }
                Err(error) => {
                    let reason = format!("no artifact can have this name: {}", error.reason);
                    let finding = self.finding(Code::ArtifactUnjournaled, &error.name, reason);
                    odd.insert(error.name, finding);
                }
            }
        }
        Ok((names, odd))
    }

    /// What should be at a path. The page has the word about what it knows, as it outlives damage to the
    /// journal; the journal about what came later, and where it is another one, about all else.
    fn word(&self, name: &ArtifactName) -> Word {
        let last = self.catalog.last(name);
        let is_later = last.is_some_and(|last| last.seq > self.manifest.journal.last_seq);
        let digest = match self.page.get(name) {
            Some(known) if !(self.reaches && is_later) => Some(known.digest),
            None if self.reaches && !is_later => None,
            _ => last.and_then(|last| last.digest),
        };
        let stage = last.filter(|last| last.digest == digest).map(|last| last.event_id);
        Word { digest, stage }
    }

    fn look(&self, name: &ArtifactName) -> Result<Option<Finding>, ManifestError> {
        let word = self.word(name);
        let (found, stage) = self.opened(name, &word);
        Ok(self.judge(name, &word, found, stage))
    }

    /// The same with nothing in flight while the files are opened: what is open is not changed by writers,
    /// who replace, so that they need not wait while it is hashed.
    fn look_again(&mut self, name: &ArtifactName) -> Result<Option<Finding>, ManifestError> {
        let lock = lock_shared(self.home, &self.dir)?;
        self.catalog.read_on(self.home)?;
        let word = self.word(name);
        let (found, stage) = self.opened(name, &word);
        drop(lock);
        Ok(self.judge(name, &word, found, stage))
    }

    fn opened(&self, name: &ArtifactName, word: &Word) -> (Found, Option<ReadFile>) {
        let found = found(&self.dir, &layout::artifact(name.as_str()));
        let stage = word.stage.map(|stage| self::found(&self.dir, &layout::stage(stage)));
        match stage {
            Some(Found::File(stage)) => (found, Some(stage)),
            _ => (found, None),
        }
    }

    fn judge(
        &self,
        name: &ArtifactName,
        word: &Word,
        found: Found,
        stage: Option<ReadFile>,
    ) -> Option<Finding> {
        let (code, reason) = difference(word, found)?;
        // A removal's stage is empty.
        let staged = word.digest.unwrap_or_else(|| Digest::of(b""));
        let waits =
            stage.is_some_and(|mut stage| stage.digest().is_ok_and(|(digest, _)| digest == staged));
        let (code, reason) = if waits {
            let reason = format!("{reason}; the committed content waits in `.tmp/`");
            (Code::CommitNotApplied, reason)
        } else {
            (code, reason)
        };
        Some(self.finding(code, name.as_str(), reason))
    }

    fn finding(&self, code: Code, path: &str, reason: String) -> Finding {
        let path = self.dir.path().join(layout::artifact(path));
        Finding { code, place: Place { path, offset: None, length: None }, reason }
    }
}

/// How what is there differs from what should be.
fn difference(word: &Word, found: Found) -> Option<(Code, String)> {
    const SPECIAL: &str = "a link or a special file stands there, and neither is followed";
    let reason = match (word.digest, found) {
        (None, Found::Nothing | Found::Dir | Found::Unreachable(_)) => return None,
        (Some(_), Found::Nothing) => {
            return Some((Code::ArtifactMissing, "nothing stands there".to_owned()));
        }
        (Some(expected), Found::File(mut file)) => match file.digest() {
            Ok((digest, _)) if digest == expected => return None,
            Ok((digest, _)) => format!("it has the digest {digest}, and {expected} was journaled"),
            Err(error) => unreadable(&error),
        },
        (Some(_), Found::Dir) => "a directory stands there".to_owned(),
        (None, Found::File(_)) if word.stage.is_some() => "the artifact was removed".to_owned(),
        (None, Found::File(_)) => "no record names it".to_owned(),
        (_, Found::Special) => SPECIAL.to_owned(),
        (_, Found::Unreadable(error) | Found::Unreachable(error)) => unreadable(&error),
    };
    let known = word.digest.is_some();
    Some((if known { Code::ArtifactChanged } else { Code::ArtifactUnjournaled }, reason))
}

fn unreadable(error: &IoError) -> String {
    format!("it cannot be read ({}: {})", error.action, error.source)
}

/// Only a regular file is opened: to open a pipe or a device may be more than to look at it.
fn found(dir: &Dir, path: &str) -> Found {
    let file = match dir.stat(path) {
        Ok(None) => return Found::Nothing,
        Ok(Some(entry)) => match entry.kind {
            Kind::Dir => return Found::Dir,
            Kind::Other => return Found::Special,
            Kind::File => dir.open_read(path),
        },
        Err(error) => return Found::Unreachable(error),
    };
    match file {
        Ok(file) => Found::File(file),
        Err(error) if error.is_not_found() => Found::Nothing,
        Err(error) => Found::Unreadable(error),
    }
}
