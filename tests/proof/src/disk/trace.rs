//! What was done to a tree: each call that changed or synced something, as a watch saw it.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::proof::{Call, Node, Verdict, Watch, watch};

use super::model::{Disk, Id, TOP};
use super::step::Step;
use crate::{Outcome, Violation};

/// The error of a call that was never made, since who would have made it died before: a sync that ends so did
/// not fail. No call of the library ends with it otherwise.
pub const NEVER_MADE: i32 = 108;

/// A sync that a signal cut off did not fail either.
const EINTR: i32 = 4;

/// What was done to a tree, in order.
#[derive(Debug, Clone)]
pub struct Trace {
    start: Disk,
    /// Each step, and how much was acknowledged before it.
    steps: Vec<(Step, usize)>,
    acknowledged: usize,
}

impl Trace {
    /// Watches the tree at `root` while `work` is done, in this process. `acknowledged` is asked at each step how
    /// much was told by then.
    ///
    /// # Errors
    /// Where the tree cannot be read, or something was done that the model does not know.
    pub fn record<T>(
        root: &Utf8Path,
        acknowledged: impl Fn() -> usize + Send + Sync + 'static,
        work: impl FnOnce() -> T,
    ) -> Outcome<(Self, T)> {
        Self::record_beside(root, Arc::new(Nobody), acknowledged, work)
    }

    /// The same where somebody else watches as well, and may let calls fail or cut them short. What fails is not
    /// done, so it is not recorded, but for a failed sync of a file.
    ///
    /// # Errors
    /// As [`record`](Trace::record).
    pub fn record_beside<T>(
        root: &Utf8Path,
        beside: Arc<dyn Watch>,
        acknowledged: impl Fn() -> usize + Send + Sync + 'static,
        work: impl FnOnce() -> T,
    ) -> Outcome<(Self, T)> {
        let mut state = State::default();
        let start = state.read(root)?;
        Self::go_on(root, (state, start), beside, acknowledged, work)
    }

    /// The same on a tree that is as this one was when so many steps had been taken; what was on the disk then, and
    /// what was not, is so still. The record begins with those steps.
    pub(super) fn record_behind<T>(
        &self,
        steps: usize,
        root: &Utf8Path,
        acknowledged: impl Fn() -> usize + Send + Sync + 'static,
        work: impl FnOnce() -> T,
    ) -> Outcome<(Self, T)> {
        let mut state = State { steps: self.steps.clone(), ..State::default() };
        state.steps.truncate(steps);
        state.know(root, &self.disk_after(steps))?;
        Self::go_on(root, (state, self.start.clone()), Arc::new(Nobody), acknowledged, work)
    }

    fn go_on<T>(
        root: &Utf8Path,
        (state, start): (State, Disk),
        beside: Arc<dyn Watch>,
        acknowledged: impl Fn() -> usize + Send + Sync + 'static,
        work: impl FnOnce() -> T,
    ) -> Outcome<(Self, T)> {
        let acknowledged = Box::new(acknowledged);
        let recorder = Arc::new(Recorder { beside, state: Mutex::new(state), acknowledged });
        let watching = watch(root.as_std_path(), Arc::clone(&recorder) as Arc<dyn Watch>);
        let done = work();
        drop(watching);
        let acknowledged = (recorder.acknowledged)();
        let mut state = recorder.state();
        if let Some(unknown) = state.unknown.take() {
            return Err(Violation::new(unknown).at("the record of what was done"));
        }
        let steps = std::mem::take(&mut state.steps);
        Ok((Self { start, steps, acknowledged }, done))
    }

    /// Steps that changed or synced something.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// True if nothing was done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The disk once so many steps were taken.
    #[must_use]
    pub fn disk_after(&self, steps: usize) -> Disk {
        let mut disk = self.start.clone();
        for (at, (step, _)) in self.steps.iter().take(steps).enumerate() {
            disk.take(at, step);
        }
        disk
    }

    /// How much had been acknowledged before the step that follows so many: as much as may be when a power cut
    /// comes there.
    #[must_use]
    pub fn acknowledged_after(&self, steps: usize) -> usize {
        self.steps.get(steps).map_or(self.acknowledged, |(_, acknowledged)| *acknowledged)
    }

    /// For each file and directory that was synced how many steps were taken before its last sync.
    #[must_use]
    pub fn before_last_syncs(&self) -> Vec<usize> {
        let mut last = HashMap::new();
        for (at, (step, _)) in self.steps.iter().enumerate() {
            match step {
                Step::Sync { node, .. } => last.insert(Some(*node), at),
                Step::SyncAll { .. } => last.insert(None, at),
                _ => None,
            };
        }
        let mut last: Vec<_> = last.into_values().collect();
        last.sort_unstable();
        last
    }

    /// The last of so many steps, in words.
    #[must_use]
    pub fn step(&self, steps: usize) -> String {
        let last = steps.checked_sub(1).and_then(|last| self.steps.get(last));
        last.map_or_else(
            || "nothing was done".to_owned(),
            |(step, _)| self.disk_after(steps - 1).words(step),
        )
    }
}

/// How long a thread is waited for that is about to say what it did.
const PATIENCE: Duration = Duration::from_secs(5);

/// Watches nothing.
#[derive(Debug)]
struct Nobody;

impl Watch for Nobody {}

/// Writes down what is done.
struct Recorder<F: ?Sized = dyn Fn() -> usize + Send + Sync> {
    beside: Arc<dyn Watch>,
    state: Mutex<State>,
    acknowledged: Box<F>,
}

impl<F: ?Sized> fmt::Debug for Recorder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl<F: ?Sized> Recorder<F> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Fn() -> usize + Send + Sync + ?Sized> Watch for Recorder<F> {
    fn before(&self, call: &Call<'_>) -> Verdict {
        let verdict = self.beside.before(call);
        let mut state = self.state();
        match (call, verdict) {
            (Call::SyncFile { file }, Verdict::Fail(error))
                if !matches!(error, EINTR | NEVER_MADE) =>
            {
                let file = state.known(*file);
                let acknowledged = (self.acknowledged)();
                state.steps.extend(file.map(|file| (Step::SyncFailed { file }, acknowledged)));
            }
            (call, Verdict::Go) if call.syncs() => {
                let began = state.steps.len();
                state.syncs.insert(std::thread::current().id(), began);
            }
            _ => {}
        }
        verdict
    }

    fn after(&self, call: &Call<'_>, made: Option<Node>) {
        self.beside.after(call, made);
        let acknowledged = (self.acknowledged)();
        let mut state = self.state();
        // Another thread may have made the directory, and not have come to say so.
        let start = Instant::now();
        while !state.knows_place_of(call) && start.elapsed() < PATIENCE {
            drop(state);
            std::thread::yield_now();
            state = self.state();
        }
        let step = state.step(call, made);
        state.steps.extend(step.map(|step| (step, acknowledged)));
    }
}

/// The record, and what it needs to know of the tree as it is.
#[derive(Debug, Default)]
struct State {
    steps: Vec<(Step, usize)>,
    /// What a node's number stands for now: it may be given again.
    ids: HashMap<Node, Id>,
    /// What each name stands for now.
    names: HashMap<(Id, String), Id>,
    next: Id,
    /// How many steps there were when the sync that a thread is at began.
    syncs: HashMap<ThreadId, usize>,
    unknown: Option<String>,
}

impl State {
    /// The tree as it is, all of it on the disk.
    fn read(&mut self, root: &Utf8Path) -> Outcome<Disk> {
        let mut disk = Disk::default();
        let top = self.make(std::fs::metadata(root)?.ino());
        let mut dirs = vec![(root.to_owned(), top)];
        while let Some((path, dir)) = dirs.pop() {
            for entry in path.read_dir_utf8()? {
                let entry = entry?;
                let metadata = entry.metadata()?;
                let node = self.ids.get(&metadata.ino()).copied();
                let id = node.unwrap_or_else(|| self.make(metadata.ino()));
                let name = entry.file_name().to_owned();
                if metadata.is_dir() {
                    dirs.push((entry.path().to_owned(), id));
                    disk.put(dir, &name, id, None);
                } else {
                    disk.put(dir, &name, id, Some(std::fs::read(entry.path())?));
                }
                self.names.insert((dir, name), id);
            }
        }
        Ok(disk)
    }

    /// A tree that was written as a disk had it.
    fn know(&mut self, root: &Utf8Path, disk: &Disk) -> Outcome {
        self.next = disk.names.most() + 1;
        self.ids.insert(std::fs::metadata(root)?.ino(), TOP);
        let mut ids = HashMap::from([(Utf8PathBuf::new(), TOP)]);
        for (path, id) in disk.names.newest().paths {
            self.ids.insert(std::fs::symlink_metadata(root.join(&path))?.ino(), id);
            let above = path.parent().and_then(|above| ids.get(above)).copied();
            if let (Some(above), Some(name)) = (above, path.file_name()) {
                self.names.insert((above, name.to_owned()), id);
            }
            ids.insert(path, id);
        }
        Ok(())
    }

    /// True if the directories are known that a call changes.
    fn knows_place_of(&self, call: &Call<'_>) -> bool {
        let knows = |dir: &Node| self.ids.contains_key(dir);
        match call {
            Call::Create { dir, .. } | Call::MakeDir { dir, .. } => knows(dir),
            Call::Rename { from, into, .. } | Call::Link { from, into, .. } => {
                knows(from) && knows(into)
            }
            _ => true,
        }
    }

    fn make(&mut self, node: Node) -> Id {
        let id = self.next;
        self.next += 1;
        self.ids.insert(node, id);
        id
    }

    fn known(&mut self, node: Node) -> Option<Id> {
        let id = self.ids.get(&node).copied();
        if id.is_none() {
            self.unknown.get_or_insert_with(|| format!("nobody knows the node {node}"));
        }
        id
    }

    /// The directory and the last name of a path.
    fn at(&mut self, dir: Node, path: &CStr) -> Option<(Id, String)> {
        let mut dir = self.known(dir)?;
        let path = path.to_str().ok()?;
        let mut parts = path.split('/').filter(|part| !matches!(*part, "" | ".")).peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return Some((dir, part.to_owned()));
            }
            dir = self.names.get(&(dir, part.to_owned())).copied()?;
        }
        None
    }

    fn began(&mut self) -> usize {
        let began = self.syncs.remove(&std::thread::current().id());
        began.unwrap_or(self.steps.len())
    }

    fn name(&mut self, dir: Id, name: String, to: Id, is_dir: bool) -> Step {
        self.names.insert((dir, name.clone()), to);
        Step::Name { dir, name, to, is_dir }
    }

    fn step(&mut self, call: &Call<'_>, made: Option<Node>) -> Option<Step> {
        let known = self.unknown.is_none();
        let step = self.step_of(call, made);
        if let Some(unknown) = self.unknown.as_mut().filter(|_| known) {
            unknown.push_str(&format!(" of {call:?}"));
        }
        step
    }

    fn step_of(&mut self, call: &Call<'_>, made: Option<Node>) -> Option<Step> {
        match *call {
            Call::Create { dir, name, .. } => {
                let (dir, name) = self.at(dir, name)?;
                // What was there before was only opened.
                if self.names.contains_key(&(dir, name.clone())) {
                    return None;
                }
                let file = self.make(made?);
                Some(self.name(dir, name, file, false))
            }
            Call::MakeDir { dir, name } => {
                let (dir, name) = self.at(dir, name)?;
                let new = self.make(made?);
                Some(self.name(dir, name, new, true))
            }
            Call::Link { from, name, into, to } => {
                let from = self.at(from, name)?;
                let file = *self.names.get(&from)?;
                let (dir, name) = self.at(into, to)?;
                Some(self.name(dir, name, file, false))
            }
            Call::Rename { from, name, into, to } => {
                let (from, name) = self.at(from, name)?;
                let (into, to) = self.at(into, to)?;
                let old = self.names.get(&(from, name.clone())).copied()?;
                // Two names of one file are both left as they are.
                if self.names.get(&(into, to.clone())) == Some(&old) {
                    return None;
                }
                self.names.remove(&(from, name.clone()));
                self.names.insert((into, to.clone()), old);
                Some(Step::Rename { from, name, into, to })
            }
            Call::Unlink { dir, name } | Call::RemoveDir { dir, name } => {
                let (dir, name) = self.at(dir, name)?;
                // What came there past the library is none of the model's.
                self.names.remove(&(dir, name.clone()))?;
                Some(Step::Unname { dir, name })
            }
            Call::Write { file, offset, bytes } => {
                let file = self.known(file)?;
                let bytes = bytes.into();
                Some(Step::Write { file, offset: offset?, bytes })
            }
            Call::Truncate { file, len } => Some(Step::Truncate { file: self.known(file)?, len }),
            Call::Clone { file, source } => {
                Some(Step::Clone { file: self.known(file)?, source: self.known(source)? })
            }
            Call::SyncFile { file: node } | Call::SyncDir { dir: node } => {
                let began = self.began();
                Some(Step::Sync { node: self.known(node)?, began })
            }
            Call::SyncAll => Some(Step::SyncAll { began: self.began() }),
            Call::Open { .. }
            | Call::List { .. }
            | Call::Look { .. }
            | Call::LookAt { .. }
            | Call::Read { .. }
            | Call::Lock { .. } => None,
        }
    }
}
