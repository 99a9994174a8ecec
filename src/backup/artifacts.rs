//! The artifacts of a run while others write to it: each as the journal says at one record, or as it is at
//! rest, and then it is told.

use std::collections::{BTreeMap, BTreeSet};

use super::BackupError;
use super::look::{Look, NOTHING, ODD, SPECIAL, differs, is_of, unreadable};
use super::page::{self, PageFile};
use super::word::Word;
use crate::artifact::Last;
use crate::digest::Digest;
use crate::error::IoError;
use crate::finding::Code;
use crate::io::{Entry, Kind, ReadFile};
use crate::journal::Opened;
use crate::layout;
use crate::threads;

/// How often what differs is looked at anew, with what was appended meanwhile, before writers have to wait.
const ROUNDS: usize = 4;
/// How many files are open at once while writers wait.
const AT_ONCE: usize = 128;

/// What stands below the run at one moment.
struct Sight {
    /// Under `artifacts/`, by the path below it.
    files: BTreeMap<String, Entry>,
    /// The names in `.tmp/`.
    stages: BTreeSet<String>,
}

/// One path, opened.
struct Seen {
    name: String,
    kind: Option<Kind>,
    file: Option<Result<ReadFile, IoError>>,
    stage: Option<ReadFile>,
}

/// What becomes of one path.
#[derive(Default)]
struct Judged {
    files: Vec<PageFile>,
    /// How it differs from what the journal says; at rest, a finding.
    differs: Option<(Code, String)>,
}

impl Look<'_> {
    /// Copies the artifacts, and reads the journal on until each of them is what it says.
    pub(super) fn artifacts(
        &mut self,
        word: &mut Word,
        opened: &Opened,
    ) -> Result<(), BackupError> {
        self.check_dir(layout::ARTIFACTS)?;
        self.check_dir(layout::TMP)?;
        for _ in 0..ROUNDS {
            let sight = self.sight()?;
            let seen = self.left(word, &sight);
            let sizes = seen.iter().filter_map(|name| sight.files.get(name));
            let bytes = sizes.filter(|_| self.is_of_few).map(|entry| entry.size).sum();
            let judged = threads::each(threads::for_bytes(bytes), &seen, |name| {
                self.judge(self.open(name, &sight, word), word)
            })?;
            let all_fit = judged.iter().all(|judged| judged.differs.is_none());
            for (name, judged) in seen.iter().zip(judged) {
                self.take_in(name, judged.differs.is_none(), judged.files);
            }
            if all_fit {
                return Ok(());
            }
            if !self.read_on(word, opened)? {
                break;
            }
        }
        self.settle(word, opened)
    }

    /// The same with nothing in flight: what is open then is not changed by writers, who replace, so that
    /// they need not wait while it is copied.
    fn settle(&mut self, word: &mut Word, opened: &Opened) -> Result<(), BackupError> {
        let mut lock = self.lock()?;
        self.read_on(word, opened)?;
        let sight = self.sight()?;
        let names = self.left(word, &sight);
        let mut chunks = names.chunks(AT_ONCE).peekable();
        while let Some(names) = chunks.next() {
            let seen: Vec<_> = names.iter().map(|name| self.open(name, &sight, word)).collect();
            if chunks.peek().is_none() {
                lock = None;
            }
            for seen in seen {
                let name = seen.name.clone();
                let judged = self.judge(seen, word)?;
                self.take_in(&name, true, judged.files);
                if let Some((code, reason)) = judged.differs {
                    self.tell(code, &layout::artifact(&name), reason);
                }
            }
        }
        drop(lock);
        Ok(())
    }

    /// Stages first: one that is gone by the time the files are listed is among these.
    fn sight(&self) -> Result<Sight, BackupError> {
        let stages = match self.dir.list(layout::TMP) {
            Err(error) if error.is_not_found() => Vec::new(),
            Err(_) if self.is_no_dir(layout::TMP)? => Vec::new(),
            other => other?,
        };
        let files = self.dir.entries_below(layout::ARTIFACTS)?.into_iter();
        Ok(Sight {
            files: files.collect(),
            stages: stages.into_iter().map(|(name, _)| name).collect(),
        })
    }

    /// The paths that are not yet copied as the journal says; what is gone by its word is let go.
    fn left(&mut self, word: &Word, sight: &Sight) -> Vec<String> {
        let names: BTreeSet<&str> =
            sight.files.keys().map(String::as_str).chain(word.names()).collect();
        self.files.retain(|_, file| {
            let name = file.path.strip_prefix(layout::ARTIFACTS).and_then(|n| n.strip_prefix('/'));
            name.is_none_or(|name| names.contains(name))
        });
        let fits = |name: &str| {
            let copied = self.files.get(&layout::artifact(name));
            copied.is_some_and(|copied| Some(copied.digest) == word.digest(name))
        };
        names.into_iter().filter(|name| !fits(name)).map(str::to_owned).collect()
    }

    fn open(&self, name: &str, sight: &Sight, word: &Word) -> Seen {
        let below = format!("{name}/");
        let first = sight.files.range(below.clone()..).next();
        let is_dir = first.is_some_and(|(path, _)| path.starts_with(&below));
        let kind = sight.files.get(name).map(|entry| entry.kind).or(is_dir.then_some(Kind::Dir));
        let path = layout::artifact(name);
        let is_file = kind == Some(Kind::File) && page::is_place(&path);
        let file = is_file.then(|| self.dir.open_read(&path));
        let stage = word.artifacts.get(name).map(|last| last.event_id);
        let stage = stage.filter(|stage| sight.stages.contains(&layout::stage_name(*stage)));
        let stage = stage.and_then(|stage| self.dir.open_read(&layout::stage(stage)).ok());
        Seen { name: name.to_owned(), kind, file, stage }
    }

    fn judge(&self, seen: Seen, word: &Word) -> Result<Judged, BackupError> {
        let Seen { name, kind, file, stage } = seen;
        let last = word.artifacts.get(&name);
        let expected = word.digest(&name);
        let is_there = file.is_some();
        let found = match file {
            Some(opened) => self.copied(&layout::artifact(&name), opened, expected)?,
            None => Ok(None),
        };
        let waits = match (stage, last) {
            (Some(stage), Some(last)) => self.waiting(stage, last)?,
            _ => None,
        };
        let digest = found.as_ref().map(|found| found.as_ref().map(|found| found.digest));
        if let (Some(stage), Some(last), Ok(digest)) = (&waits, last, &digest)
            && !matches!(kind, Some(Kind::Other | Kind::Dir))
            && (*digest == expected || last.may_replace(*digest))
        {
            // Whoever opens the run next puts it in place: so the copy has it there.
            let path = layout::artifact(&name);
            let put = expected.map(|_| PageFile { path, ..stage.clone() });
            return Ok(Judged { files: put.into_iter().collect(), differs: None });
        }
        let differs = match (expected, &digest) {
            _ if is_there && matches!(digest, Ok(None)) => {
                Some((Code::Unreadable, GONE.to_owned()))
            }
            (_, Err(error)) => Some((Code::Unreadable, unreadable(error))),
            _ if kind == Some(Kind::Other) => Some((Code::SymbolicLink, SPECIAL.to_owned())),
            _ if kind == Some(Kind::File) && !is_there => Some((Code::Unreadable, ODD.to_owned())),
            (None, Ok(None)) => None,
            (None, Ok(Some(_))) => {
                let reason = if last.is_some() { REMOVED } else { UNKNOWN };
                Some((Code::ArtifactUnjournaled, reason.to_owned()))
            }
            (Some(_), Ok(None)) => Some((Code::ArtifactMissing, NOTHING.to_owned())),
            (Some(expected), Ok(Some(found))) if *found == expected => None,
            (Some(expected), Ok(Some(found))) => {
                Some((Code::ArtifactChanged, differs(*found, expected)))
            }
        };
        let mut judged = Judged { files: found.ok().flatten().into_iter().collect(), differs };
        if let (Some((code, _)), Some(stage)) = (&mut judged.differs, waits) {
            *code = Code::CommitNotApplied;
            judged.files.push(stage);
        }
        for file in &mut judged.files {
            file.differs = judged.differs.is_some();
        }
        Ok(judged)
    }

    /// Takes content in; an inner error is of the file itself, which is told.
    fn copied(
        &self,
        path: &str,
        opened: Result<ReadFile, IoError>,
        expected: Option<Digest>,
    ) -> Result<Result<Option<PageFile>, IoError>, BackupError> {
        match opened.and_then(|mut file| self.keep.file(&mut file, expected, self.known)) {
            Ok((digest, size)) => {
                Ok(Ok(Some(PageFile { path: path.to_owned(), digest, size, differs: false })))
            }
            Err(error) if error.is_not_found() && is_of(&error, &self.dir) => Ok(Ok(None)),
            Err(error) if is_of(&error, &self.dir) => Ok(Err(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// A stage, if it is what its record names: for a removal, empty.
    fn waiting(&self, stage: ReadFile, last: &Last) -> Result<Option<PageFile>, BackupError> {
        let expected = last.staged();
        let copied = self.copied(&layout::stage(last.event_id), Ok(stage), Some(expected))?;
        Ok(copied.ok().flatten().filter(|stage| stage.digest == expected))
    }

    fn take_in(&mut self, name: &str, is_final: bool, files: Vec<PageFile>) {
        self.files.remove(&layout::artifact(name));
        if is_final {
            files.into_iter().for_each(|file| self.put(file));
        }
    }
}

const GONE: &str = "it is listed and cannot be opened: its name is not UTF-8, or it is being changed by \
                    something else; it is not copied";
const REMOVED: &str = "the artifact was removed; it is copied as it is";
const UNKNOWN: &str = "no record names it; it is copied as it is";
