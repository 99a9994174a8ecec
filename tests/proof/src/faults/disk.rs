//! A disk on which calls fail.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runjournal::proof::{Call, Node, Verdict, Watch};

use super::fault::{Fault, Kind};
use crate::Place;

/// Watches the calls of an operation between its marks, and lets some of them fail.
#[derive(Debug)]
pub(super) struct Disk {
    place: Place,
    within: Arc<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: usize,
    /// Each with how many calls it still hits.
    faults: Vec<(Fault, usize)>,
    hits: Vec<Hit>,
    /// What was made or renamed last.
    changed: String,
    /// True if what was written last is that a lease is released.
    releases: bool,
    failed_syncs: Vec<FailedSync>,
    /// The files that were synced, and not written to since: another sync covers nothing.
    synced: HashSet<Node>,
    /// The kinds of failure that can hit each call.
    open_to: Vec<Vec<Kind>>,
    /// Which calls sync a file, and which file.
    file_syncs: Vec<(usize, Node)>,
}

/// A sync that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailedSync {
    /// Of which file; `None` where it was of names, or of all there is.
    pub(super) file: Option<Node>,
    /// True if what was made or renamed last is the page that a run has once it is complete: it is derived, and
    /// that it may be missing is documented.
    pub(super) of_page: bool,
    /// True if what was written last is that a lease is released.
    pub(super) of_release: bool,
    /// How much was acknowledged then.
    pub(super) acknowledged: usize,
}

/// A call that failed, or fell short.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    pub(super) kind: Kind,
    /// Which call, in words.
    pub(super) call: String,
}

impl Disk {
    pub(super) fn new(place: &Place, faults: &[Fault]) -> Self {
        let faults = faults.iter().map(|fault| (*fault, fault.most())).collect();
        let state = Mutex::new(State { faults, ..State::default() });
        Self { place: place.clone(), within: place.within(), state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It works again.
    pub(super) fn mend(&self) {
        self.within.store(false, Ordering::SeqCst);
    }

    /// The kinds of failure that can hit each call, in the order of the calls.
    pub(super) fn open_to(&self) -> Vec<Vec<Kind>> {
        self.state().open_to.clone()
    }

    /// The calls that sync this file, by how many come before each.
    pub(super) fn syncs_of(&self, file: Node) -> Vec<usize> {
        let state = self.state();
        let of_file = state.file_syncs.iter().filter(|(_, synced)| *synced == file);
        of_file.map(|(at, _)| *at).collect()
    }

    pub(super) fn hits(&self) -> Vec<Hit> {
        self.state().hits.clone()
    }

    pub(super) fn failed_syncs(&self) -> Vec<FailedSync> {
        self.state().failed_syncs.clone()
    }
}

impl Watch for Disk {
    fn before(&self, call: &Call<'_>) -> Verdict {
        if !self.within.load(Ordering::SeqCst) {
            return Verdict::Go;
        }
        let mut state = self.state();
        let before = state.calls;
        state.calls += 1;
        let open_to = Kind::ALL.into_iter().filter(|kind| kind.hits(call)).collect();
        state.open_to.push(open_to);
        if let Call::SyncFile { file } = call {
            state.file_syncs.push((before, *file));
        }
        if let Call::Create { name, .. } | Call::Rename { name, .. } = call {
            state.changed = name.to_string_lossy().into_owned();
        }
        if let Call::Write { bytes, .. } = call {
            // A record begins with what it is.
            let text = String::from_utf8_lossy(bytes.get(..1024).unwrap_or(bytes));
            state.releases = text.contains("\"event_type\":\"lease_released\"");
        }
        let hit = state.faults.iter_mut().find_map(|(fault, left)| {
            let verdict = fault.verdict(before, call).filter(|_| *left > 0)?;
            *left -= 1;
            Some((fault.kind, verdict))
        });
        let Some((kind, verdict)) = hit else { return Verdict::Go };
        let call_in_words = words(call, &state.changed);
        state.hits.push(Hit { kind, call: call_in_words });
        // One that was only interrupted said nothing of what it covers.
        if call.syncs() && kind != Kind::Eintr {
            let file = if let Call::SyncFile { file } = call { Some(*file) } else { None };
            let acknowledged = self.place.acknowledged().map_or(0, |lines| lines.len());
            let of_release = state.releases;
            let of_page = state.changed == ".manifest.json.new";
            if file.is_none_or(|file| !state.synced.contains(&file)) {
                state.failed_syncs.push(FailedSync { file, of_page, of_release, acknowledged });
            }
        }
        verdict
    }

    fn after(&self, call: &Call<'_>, _: Option<Node>) {
        match call {
            Call::SyncFile { file } => self.state().synced.insert(*file),
            Call::Write { file, .. } | Call::Truncate { file, .. } | Call::Clone { file, .. } => {
                self.state().synced.remove(file)
            }
            _ => false,
        };
    }
}

/// A call with the name that it is about, or of a sync with what was changed before it.
fn words(call: &Call<'_>, changed: &str) -> String {
    let word = call.word();
    match call.name() {
        Some(name) => format!("{word} {}", name.to_string_lossy()),
        None if call.syncs() => format!("{word} behind {changed}"),
        None => word.to_owned(),
    }
}
