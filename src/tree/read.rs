//! A run as it stands on the disk: its journal, read once, and its files.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::TreeError;
use super::content::{Content, MOST_BYTES};
use super::json::Json;
use super::names::{Found, Names};
use super::options::{Options, Rules};
use crate::artifact::Last;
use crate::context::RunContext;
use crate::digest::Digest;
use crate::finding::Code;
use crate::genesis::{self, GenesisError, RunGenesis, WorkspaceGenesis};
use crate::io::{Dir, Kind};
use crate::journal::{JournalError, Record, types};
use crate::json;
use crate::layout;
use crate::name::ArtifactName;
use crate::workspace::RunState;

/// A run as it stands on the disk.
pub(super) struct Stand {
    pub(super) dir: Dir,
    pub(super) genesis: Option<RunGenesis>,
    pub(super) state: RunState,
    pub(super) records: Vec<Record>,
    /// Of the journal, in its order.
    pub(super) findings: Vec<Code>,
    /// The digest that each artifact should have; `None` where it was removed.
    expected: BTreeMap<ArtifactName, Option<Digest>>,
    /// The names under which each content was written.
    written: BTreeMap<Digest, BTreeSet<ArtifactName>>,
}

/// An artifact, or what stands in the place of one.
pub(super) struct File {
    /// Within `artifacts/`.
    pub(super) path: String,
    /// What is wrong with it.
    pub(super) mark: Option<&'static str>,
    pub(super) stands: Stands,
}

/// What stands at a path.
pub(super) enum Stands {
    Nothing,
    /// Something that is not read, in a word.
    Unread(&'static str),
    File {
        content: Content,
        size: u64,
        digest: Digest,
        found: Found,
    },
}

impl Stand {
    pub(super) fn read(ctx: &RunContext) -> Result<Self, TreeError> {
        let dir = Dir::open(&ctx.run_path())?;
        let genesis = genesis::read::<RunGenesis>(&dir).ok().map(|read| read.value);
        let mut stand = Self {
            dir,
            genesis,
            state: RunState::default(),
            records: Vec::new(),
            findings: Vec::new(),
            expected: BTreeMap::new(),
            written: BTreeMap::new(),
        };
        match stand.read_journal(ctx) {
            Ok(()) => {}
            Err(error) => stand.findings.push(damage(&error).ok_or(error)?),
        }
        Ok(stand)
    }

    fn read_journal(&mut self, ctx: &RunContext) -> Result<(), JournalError> {
        let mut events = ctx.events()?;
        for record in events.by_ref() {
            let record = record?;
            // What cannot be read of a record, its line shows.
            let _ = self.state.apply(&record);
            if let Ok(Some((name, last))) = Last::of(&record) {
                if let Some(digest) = last.digest {
                    self.written.entry(digest).or_default().insert(name.clone());
                }
                self.expected.insert(name, last.digest);
            }
            self.records.push(record);
        }
        self.findings.extend(events.findings().iter().map(|finding| finding.code));
        Ok(())
    }

    /// The names that stand for what differs from run to run.
    pub(super) fn names(&self, ctx: &RunContext, options: &Options) -> Names {
        let mut names = Names::new(options.redacts);
        if !options.redacts {
            return names;
        }
        names.places(ctx.root(), &options.places);
        let workspace = Dir::open_root(ctx.root()).ok();
        let workspace = workspace.and_then(|root| genesis::read::<WorkspaceGenesis>(&root).ok());
        if let Some(workspace) = workspace {
            names.know(workspace.value.workspace_id.to_string(), "[workspace]");
        }
        names.know_run(ctx.task_id().as_str(), ctx.run_id().as_str());
        if let Some(genesis) = &self.genesis {
            names.know(genesis.trace_id.clone(), "[trace]");
            if let Some((task, run)) = genesis.parent.as_deref().and_then(|it| it.split_once('/')) {
                names.know_run(task, run);
            }
        }
        for record in &self.records {
            names.know(record.event_id().to_string(), format!("[event-{}]", record.seq()));
        }
        names
    }

    /// All artifacts, and what stands in the places of some, in no order that is told.
    pub(super) fn files(
        &self,
        options: &Options,
        rules: &Rules,
        names: &mut Names,
    ) -> Result<Vec<File>, TreeError> {
        let mut files = Vec::new();
        let mut seen = BTreeSet::new();
        for (path, entry) in self.dir.entries_below(layout::ARTIFACTS)? {
            if path.split('/').any(|part| part.starts_with('.')) {
                continue;
            }
            let stands = match entry.kind {
                Kind::File => {
                    let most = options.max_bytes;
                    self.content(&layout::artifact(&path), &path, most, rules, names)
                }
                Kind::Dir => Stands::Unread("directory, too deep to be looked into"),
                Kind::Other => Stands::Unread("link or special file, not followed"),
            };
            let name = ArtifactName::new(path.as_str()).ok();
            let expected = name.as_ref().and_then(|name| self.expected.get(name)).copied();
            let mark = match (expected.flatten(), &stands) {
                (None, _) => Some("unjournaled"),
                (Some(expected), Stands::File { digest, .. }) if expected == *digest => None,
                (Some(_), _) => Some("changed on disk"),
            };
            seen.extend(name);
            files.push(File { path, mark, stands });
        }
        let missing =
            self.expected.iter().filter(|(name, digest)| digest.is_some() && !seen.contains(*name));
        files.extend(missing.map(|(name, _)| {
            let path = name.as_str().to_owned();
            File { path, mark: Some("missing"), stands: Stands::Nothing }
        }));
        Ok(files)
    }

    /// A file of the run, as the artifact of this name. Of what is longer than `most` nothing is held.
    fn content(
        &self,
        path: &str,
        name: &str,
        most: u64,
        rules: &Rules,
        names: &mut Names,
    ) -> Stands {
        let unreadable = Stands::Unread("unreadable");
        let Ok(mut file) = self.dir.open_read(path) else { return unreadable };
        let Ok(little) = file.read_little(MOST_BYTES) else { return unreadable };
        let (content, size, digest) = match little {
            Some(bytes) => {
                let (size, digest) = (bytes.len() as u64, Digest::of(&bytes));
                (Content::of(name, bytes), size, digest)
            }
            None => match file.digest() {
                Ok((digest, size)) => (Content::Untold("large"), size, digest),
                Err(_) => return unreadable,
            },
        };
        let rules = rules.at(name);
        let mut found = Found::same();
        if names.redacts() {
            // The text is only for the order of files whose names differ from run to run.
            let masks = names.masked(name) != name;
            let looked = content.look(masks, &rules, names);
            found = Found { masked: if masks { looked.masked } else { String::new() }, ..looked };
        }
        let is_shown = size <= most && rules.whole().is_none();
        let content = match content {
            Content::Empty => content,
            Content::Binary(_) => content.untold(),
            content if is_shown => content,
            content => content.untold(),
        };
        Stands::File { content, size, digest, found }
    }

    /// Tells the names which digests are of content that is the same in every run: of artifacts as they stand,
    /// and of objects.
    pub(super) fn learn(
        &self,
        files: &[File],
        rules: &Rules,
        names: &mut Names,
    ) -> Result<(), TreeError> {
        let mut known: BTreeMap<Digest, (bool, BTreeSet<Digest>)> = BTreeMap::new();
        let mut take_in = |digest: Digest, found: &Found| {
            let known = known.entry(digest).or_insert((true, BTreeSet::new()));
            known.0 &= found.is_stable;
            known.1.extend(&found.digests);
        };
        for file in files {
            if let Stands::File { digest, found, .. } = &file.stands {
                take_in(*digest, found);
            }
        }
        for record in self.records.iter().filter(|it| it.event_type() == types::STEP_STARTED) {
            let Ok(Configured { config: Some(config) }) = record.payload() else { continue };
            let Some(value) = Json::parse(config.get()) else { continue };
            let rules = rules.of_events();
            let found = names.look(|names| {
                value.shown("/payload/config", &rules, names);
                String::new()
            });
            let canonical = json::canonical(&config).unwrap_or_else(|_| config.get().to_owned());
            take_in(Digest::of(canonical.as_bytes()), &found);
        }
        for (path, size) in self.dir.files_below(layout::OBJECTS)? {
            let path = format!("{}/{path}", layout::OBJECTS);
            let Some(named) = layout::object_of(&path).filter(|_| size <= MOST_BYTES) else {
                continue;
            };
            let names_of = self.written.get(&named).into_iter().flatten().map(ArtifactName::as_str);
            let mut names_of: Vec<_> = names_of.collect();
            if names_of.is_empty() {
                // A payload: whoever redacts events may redact a part of it.
                names_of.push(if rules.of_events().is_empty() { "payload.json" } else { continue });
            }
            for name in names_of {
                if let Stands::File { digest, found, .. } =
                    self.content(&path, name, 0, rules, names)
                    && digest == named
                {
                    take_in(digest, &found);
                }
            }
        }
        names.learn(settled(known));
        Ok(())
    }
}

/// The start of a step, as far as its configuration goes: the end has the digest of it.
#[derive(Deserialize)]
struct Configured {
    config: Option<Box<RawValue>>,
}

/// The contents in which nothing differs, and that name only digests of such.
fn settled(known: BTreeMap<Digest, (bool, BTreeSet<Digest>)>) -> BTreeSet<Digest> {
    let mut settled = BTreeSet::new();
    loop {
        let before = settled.len();
        for (digest, (is_stable, names)) in &known {
            if *is_stable && names.iter().all(|name| settled.contains(name)) {
                settled.insert(*digest);
            }
        }
        if settled.len() == before {
            return settled;
        }
    }
}

/// What is wrong with a journal that cannot be read at all; `None` where that may pass.
fn damage(error: &JournalError) -> Option<Code> {
    match error {
        JournalError::Genesis(GenesisError::NewerFormat { .. }) => Some(Code::NewerFormat),
        JournalError::Genesis(_) => Some(Code::GenesisDamaged),
        JournalError::MissingJournal { .. } => Some(Code::JournalMissing),
        JournalError::DamagedTail { .. } => Some(Code::JournalDamaged),
        JournalError::Io(_) => Some(Code::Unreadable),
        _ => None,
    }
}
