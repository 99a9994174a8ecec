//! What was written and is not on the disk yet, and the rules for it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runjournal::proof::{Call, Node, Verdict, Watch};

use super::scene::{EIO, Scene};
use crate::{Outcome, Violation};

/// What the disk does not have, and which rules were broken.
#[derive(Debug, Default)]
struct State {
    names: BTreeMap<(Node, CString), Node>,
    contents: BTreeSet<Node>,
    directories: BTreeSet<Node>,
    broken: BTreeSet<String>,
}

/// Looks whether syncs come before what depends on them.
#[derive(Debug)]
pub(super) struct Order {
    dir: PathBuf,
    /// Nothing can be put in place.
    refuses: AtomicBool,
    state: Mutex<State>,
}

impl Order {
    pub(super) fn of(scene: &Scene) -> Arc<Self> {
        let dir = scene.place.dir().as_std_path().to_owned();
        Arc::new(Self { dir, refuses: AtomicBool::new(false), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path of what is there, below the run where it is in one.
    fn path(&self, node: Node) -> Option<String> {
        let mut all = walkdir::WalkDir::new(&self.dir).into_iter().filter_map(Result::ok);
        let found = all.find(|entry| entry.metadata().is_ok_and(|there| there.ino() == node))?;
        let path = found.path().strip_prefix(&self.dir).ok()?.to_string_lossy().into_owned();
        let in_run = path.split_once("/runs/").and_then(|(_, run)| run.split_once('/'));
        Some(in_run.map_or(path.clone(), |(_, path)| path.to_owned()))
    }

    /// What has no place on the disk yet, of what is meant, in words.
    fn missing(&self, state: &State, meant: impl Fn(&str) -> bool) -> Vec<String> {
        let contents = state.contents.iter().filter_map(|node| self.path(*node));
        let names = state.directories.iter().filter_map(|node| self.path(*node));
        let contents = contents.filter(|path| meant(path)).map(|path| format!("{path} is"));
        let names = names.filter(|path| meant(path)).map(|path| format!("the names in {path} are"));
        contents.chain(names).map(|text| format!("{text} not on the disk")).collect()
    }

    fn check(&self, what: &str, meant: impl Fn(&str) -> bool) {
        let mut state = self.state();
        let missing = self.missing(&state, meant);
        state.broken.extend(missing.into_iter().map(|missing| format!("{what} while {missing}")));
    }

    fn check_rename(&self, from: Node, name: &CStr, into: Node, to: &CStr) {
        let above = self.path(from).unwrap_or_default();
        let into = self.path(into).unwrap_or_default();
        let renamed = self.state().names.get(&(from, name.to_owned())).copied();
        let is_missing = renamed.is_some_and(|node| self.state().contents.contains(&node));
        let to = to.to_string_lossy().into_owned();
        let must_be_there = to == "CURRENT" || into.starts_with("artifacts");
        if must_be_there && is_missing {
            self.state().broken.insert(format!("{to} gets its name while it is not on the disk"));
        }
        if into.starts_with("artifacts") {
            self.check("a file is put in place", |path| path == JOURNAL);
        }
        if into == "checkpoints" {
            self.check("a checkpoint gets its name", |path| path == JOURNAL);
        }
        if above.ends_with("/runs") {
            let of_task = |path: &str| path != JOURNAL && path.ends_with(JOURNAL);
            self.check("a run goes", of_task);
        }
        if into == "backup/snapshots" {
            self.check("a snapshot gets its name", |path| path.starts_with("backup/objects"));
        }
    }

    /// From now on nothing can be put in place, or everything.
    pub(super) fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    /// What was broken so far was not durable.
    pub(super) fn begin(&self) {
        self.state().broken.clear();
    }

    /// As if this file had never been synced.
    pub(super) fn forget(&self, file: Node) {
        self.state().contents.insert(file);
    }

    /// A durable call returned: what it said must not be lost by a power cut.
    pub(super) fn told(&self) -> Outcome {
        self.check("the call was told", |path| {
            path.ends_with(JOURNAL)
                || path.ends_with(".json")
                || TRUTH.iter().any(|dir| path.starts_with(dir))
        });
        let broken: Vec<_> = self.state().broken.iter().cloned().map(Violation::new).collect();
        Violation::all(&broken)
    }
}

const JOURNAL: &str = "journal/events.jsonl";
const TRUTH: [&str; 3] = ["artifacts", "objects", "checkpoints"];

impl Watch for Order {
    fn before(&self, call: &Call<'_>) -> Verdict {
        match *call {
            Call::Rename { .. } if self.refuses.load(Ordering::SeqCst) => return EIO,
            Call::Rename { from, name, into, to } => self.check_rename(from, name, into, to),
            Call::Write { file, .. } if self.path(file).is_some_and(|path| path == JOURNAL) => {
                self.check("a record is written", |path| path.starts_with("objects"));
            }
            _ => {}
        }
        Verdict::Go
    }

    fn after(&self, call: &Call<'_>, made: Option<Node>) {
        let mut state = self.state();
        match *call {
            Call::Create { dir, name, only_new } => {
                state.names.extend(made.map(|made| ((dir, name.to_owned()), made)));
                if only_new {
                    state.directories.insert(dir);
                }
            }
            Call::MakeDir { dir, .. } | Call::RemoveDir { dir, .. } => {
                state.directories.insert(dir);
            }
            Call::Rename { from, name, into, to } => {
                state.directories.extend([from, into]);
                if let Some(node) = state.names.remove(&(from, name.to_owned())) {
                    state.names.insert((into, to.to_owned()), node);
                }
            }
            Call::Link { into, .. } => {
                state.directories.insert(into);
            }
            Call::Unlink { dir, name } => {
                state.directories.insert(dir);
                state.names.remove(&(dir, name.to_owned()));
            }
            Call::Write { file, .. } | Call::Truncate { file, .. } | Call::Clone { file, .. } => {
                state.contents.insert(file);
            }
            Call::SyncFile { file } => {
                state.contents.remove(&file);
            }
            Call::SyncDir { dir } => {
                state.directories.remove(&dir);
            }
            Call::SyncAll => {
                state.contents.clear();
                state.directories.clear();
            }
            Call::Open { .. }
            | Call::List { .. }
            | Call::Look { .. }
            | Call::LookAt { .. }
            | Call::Read { .. }
            | Call::Lock { .. } => {}
        }
    }
}
