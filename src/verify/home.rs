//! A look at one task or one run: what is wrong with it, and what it says that others must agree with.

use std::sync::Arc;

use super::causes::Cause;
use super::checkpoint;
use super::contents::Contents;
use super::object::Named;
use super::pass::Pass;
use super::places::{Places, case_collisions, unreadable};
use super::read_data::Choice;
use super::settle::settled;
use super::start::Start;
use super::verified::Verified;
use crate::artifact::Catalog;
use crate::finding::{Code, Finding};
use crate::io::{Dir, Entry, Kind};
use crate::journal::{Cursor, Home, JournalError, Opened};
use crate::layout;
use crate::manifest::{Comparison, Manifest, Witness};
use crate::name::ArtifactName;
use crate::status::{RunStatus, TaskStatus};
use crate::workspace::RunWords;

/// Files that are longer are looked at one by one, each by whoever is free.
const LARGE: u64 = 1 << 20;

/// What a look at a task or a run yields.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// Findings, and what was looked at.
    pub(crate) verified: Verified,
    /// Files that are still to be read: see [`Large::look`].
    pub(crate) large: Vec<Large>,
    /// What the journal says; `None` where it could not be read.
    pub(crate) said: Option<Said>,
}

/// What a journal says that others must agree with.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(super) run: RunStatus,
    pub(super) task: TaskStatus,
    pub(super) runs: RunWords,
    /// Behind the last record that counts.
    pub(super) cursor: Option<Cursor>,
    pub(super) causes: Vec<Cause>,
}

/// A long file of which the content is still to be read.
#[derive(Debug)]
pub(crate) struct Large {
    of: Arc<Contents>,
    what: What,
    size: u64,
}

#[derive(Debug)]
enum What {
    Artifact(ArtifactName),
    Object(Named),
}

impl Large {
    /// Reads it: what is wrong with it.
    pub(crate) fn look(&self) -> Verified {
        let comparison = &self.of.comparison;
        let (home, dir) = (comparison.home(), comparison.dir());
        let look = || {
            let findings: Vec<Finding> = match &self.what {
                What::Artifact(name) => {
                    let mut opener = comparison.opener();
                    let is_good = comparison.has_digest(name, self.size, &mut opener);
                    if is_good { Vec::new() } else { self.of.look([name]) }
                }
                What::Object(named) => named.look(home, dir, true).into_iter().collect(),
            };
            // Where that cannot be told, what was found is told.
            if dir.is_at_path().unwrap_or(true) { findings } else { Vec::new() }
        };
        let findings = settled(home.dir(), look, Vec::as_slice);
        Verified { findings, files: 1, bytes: self.size, ..Verified::default() }
    }
}

/// Looks at a task or a run. `None` where it is not there, or was removed or moved while it was looked at.
pub(crate) fn look(home: &Home, choice: &Choice, witnesses: &[Witness]) -> Option<Looked> {
    settled(
        home.dir(),
        || look_once(home, choice, witnesses),
        |looked| looked.as_ref().map_or(&[], |looked| &looked.verified.findings),
    )
}

fn look_once(home: &Home, choice: &Choice, witnesses: &[Witness]) -> Option<Looked> {
    let dir = match Dir::open(home.dir()) {
        Ok(dir) => Arc::new(dir),
        Err(error) if error.is_not_found() => return None,
        Err(error) => {
            let mut looked = Looked::default();
            looked.verified.findings.push(unreadable(&error));
            return Some(looked);
        }
    };
    let (looked, places) = (Looked::default(), Places::default());
    let mut look = Look { home, dir, choice, witnesses, looked, places };
    let is_there = look.all();
    match look.dir.is_at_path() {
        Ok(stands) => (is_there && stands).then_some(look.looked),
        // What is not known to be gone is not passed over.
        Err(error) => {
            look.tell(unreadable(&error));
            Some(look.looked)
        }
    }
}

pub(super) struct Look<'a> {
    pub(super) home: &'a Home,
    pub(super) dir: Arc<Dir>,
    choice: &'a Choice,
    pub(super) witnesses: &'a [Witness],
    pub(super) looked: Looked,
    pub(super) places: Places,
}

impl Look<'_> {
    pub(super) fn tell(&mut self, finding: Finding) {
        self.looked.verified.findings.push(finding);
    }

    /// False where there is no task and no run.
    fn all(&mut self) -> bool {
        // The names first: they tell what need not be looked at.
        match Places::list(&self.dir) {
            Ok(places) => self.places = places,
            Err(error) => self.tell(unreadable(&error)),
        }
        let start = match self.start() {
            Ok(Some(start)) => Some(start),
            Ok(None) => return false,
            Err(finding) => {
                self.tell(finding);
                None
            }
        };
        let findings = &mut self.looked.verified.findings;
        self.places.misplaced(&self.dir, self.home.is_run(), findings);
        if let Some(start) = start {
            self.journal(&start);
        }
        true
    }

    /// The journal, and all that it speaks of.
    fn journal(&mut self, start: &Start) {
        // What is derived from the journal is read before it, so that a writer is never behind.
        let heads = match self.heads(start.digest()) {
            Ok(heads) => heads,
            Err(error) => {
                self.tell(unreadable(&error));
                Vec::new()
            }
        };
        let page = match start {
            Start::Run(read) => self.page(read),
            Start::Task(_) => None,
        };
        let mut known: Vec<Cursor> = heads.clone();
        known.extend(page.iter().map(Manifest::cursor));
        known.extend(self.witnesses.iter().map(|witness| witness.cursor));
        let genesis = start.digest();
        let opened = Opened { dir: Arc::clone(&self.dir), genesis, correlation: None, first: None };
        let mut pass = match self.read_journal(opened, known, page.as_ref()) {
            Ok(pass) => pass,
            Err(finding) => {
                self.tell(finding);
                return;
            }
        };
        self.tell_of_reach(&heads, page.as_ref(), &pass);
        self.looked.verified.findings.append(&mut pass.findings);
        self.looked.verified.records += pass.records;
        self.looked.verified.bytes += pass.bytes;
        if let (Start::Run(read), Some(page)) = (start, &page) {
            self.judge_page(page, read, &mut pass);
        }
        self.contents(page.as_ref(), &mut pass);
        let causes = pass.causes();
        let Pass { ending, runs, cursor, .. } = pass;
        self.looked.said = Some(Said { run: ending.run, task: ending.task, runs, cursor, causes });
    }

    fn read_journal(
        &self,
        opened: Opened,
        known: Vec<Cursor>,
        page: Option<&Manifest>,
    ) -> Result<Pass, Finding> {
        let path = self.dir.path().join(layout::JOURNAL);
        let stands = match self.places.kind(layout::JOURNAL) {
            None | Some(Kind::File) => None,
            Some(Kind::Dir) => Some("a directory stands in its place"),
            Some(Kind::Other) => Some("a link or a special file stands in its place"),
        };
        if let Some(stands) = stands {
            return Err(self.missing(stands, page));
        }
        Pass::read(self.home, opened, known, page).map_err(|error| match error {
            JournalError::MissingJournal { .. } => self.missing("it is not there", page),
            JournalError::Io(error) => unreadable(&error),
            JournalError::LockTimeout { path, .. } => {
                let reason =
                    "something looks like damage, and the lock was not to be had to look again";
                Finding::whole(&path, Code::Unreadable, reason)
            }
            error => Finding::whole(&path, Code::Unreadable, error.to_string()),
        })
    }

    /// Artifacts, checkpoints and objects.
    fn contents(&mut self, page: Option<&Manifest>, pass: &mut Pass) {
        let catalog: Catalog = std::mem::take(&mut pass.catalog);
        let own = page.map(Witness::from);
        // The one that knows most.
        let newest = self.witnesses.iter().chain(&own).max_by_key(|witness| witness.cursor.seq());
        let witness = newest.map(|witness| (witness.clone(), pass.reaches(witness.cursor)));
        let (home, dir) = (self.home.clone(), Arc::clone(&self.dir));
        let comparison = Comparison::new(home, dir, catalog, witness);
        let succeeded = pass.ending.run == RunStatus::Success;
        let contents = Arc::new(Contents::new(comparison, succeeded));
        if self.home.is_run() {
            self.artifacts(&contents);
        }
        let mut named = Vec::new();
        let has_some = self.places.kind(layout::CHECKPOINTS).is_some();
        if self.home.is_run() && (has_some || !pass.checkpoints.created.is_empty()) {
            let (dir, findings) = (&self.dir, &mut self.looked.verified.findings);
            named = checkpoint::look(self.home, dir, pass, findings);
        }
        named.extend(pass.objects().map(|object| Named {
            digest: object.digest,
            size: Some(object.size),
            by: "a record".to_owned(),
        }));
        for named in named {
            self.object(&contents, named);
        }
    }

    fn artifacts(&mut self, contents: &Arc<Contents>) {
        let mut listed = match contents.comparison.names() {
            Ok(listed) => listed,
            Err(error) => return self.tell(unreadable(&error)),
        };
        // What stands in place of the directory was told of as any place's.
        listed.odd.remove("");
        let base = self.dir.path().join(layout::ARTIFACTS);
        let there = listed.names.iter().filter(|(_, entry)| entry.is_some());
        let there = there.map(|(name, _)| name.as_str());
        case_collisions(&base, there, &mut self.looked.verified.findings);
        for odd in listed.odd.into_values() {
            let found = contents.findings(odd);
            self.looked.verified.findings.extend(found);
        }
        let mut opener = contents.comparison.opener();
        let mut suspects = Vec::new();
        for (name, entry) in listed.names {
            let is_file = entry.filter(|entry| entry.kind == Kind::File);
            let read = is_file.filter(|_| {
                contents.comparison.expects(&name) && self.takes(&layout::artifact(name.as_str()))
            });
            let is_good = match read {
                Some(Entry { size, .. }) if size > LARGE => {
                    let (of, what) = (Arc::clone(contents), What::Artifact(name));
                    self.looked.large.push(Large { of, what, size });
                    continue;
                }
                Some(Entry { size, .. }) => {
                    self.looked.verified.files += 1;
                    self.looked.verified.bytes += size;
                    contents.comparison.has_digest(&name, size, &mut opener)
                }
                None => contents.comparison.fits(&name, entry),
            };
            if !is_good {
                suspects.push(name);
            }
        }
        self.looked.verified.findings.extend(contents.look(&suspects));
    }

    fn object(&mut self, contents: &Arc<Contents>, named: Named) {
        let entry = named.entry(&self.dir).filter(|entry| entry.kind == Kind::File);
        let read = entry.is_some() && self.takes(&layout::object(named.digest));
        let size = entry.map_or(0, |entry| entry.size);
        if read && size > LARGE {
            let (of, what) = (Arc::clone(contents), What::Object(named));
            return self.looked.large.push(Large { of, what, size });
        }
        if read {
            self.looked.verified.files += 1;
            self.looked.verified.bytes += size;
        }
        let found = named.look(self.home, &self.dir, read);
        self.looked.verified.findings.extend(found);
    }

    /// True if the content of a file is to be read.
    fn takes(&self, relative: &str) -> bool {
        if let Some(all_or_none) = self.choice.is_of_all() {
            return all_or_none;
        }
        self.choice.takes(&format!("{}/{relative}", self.home.id()))
    }
}
