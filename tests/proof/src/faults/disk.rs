//! A disk on which calls fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runjournal::proof::{Call, Verdict, Watch};

use super::fault::{Fault, Kind, is_sync};
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
    /// How much was acknowledged when a sync failed first.
    acknowledged: Option<usize>,
    /// The kinds of failure that can hit each call, where that is asked.
    open_to: Vec<Vec<Kind>>,
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

    pub(super) fn hits(&self) -> Vec<Hit> {
        self.state().hits.clone()
    }

    /// How much was acknowledged when a sync failed first; `None` where none did.
    pub(super) fn acknowledged_at_failed_sync(&self) -> Option<usize> {
        self.state().acknowledged
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
        let hit = state.faults.iter_mut().find_map(|(fault, left)| {
            let verdict = fault.verdict(before, call).filter(|_| *left > 0)?;
            *left -= 1;
            Some((fault.kind, verdict))
        });
        let Some((kind, verdict)) = hit else { return Verdict::Go };
        state.hits.push(Hit { kind, call: words(call) });
        if is_sync(call) && kind != Kind::Eintr && state.acknowledged.is_none() {
            state.acknowledged = self.place.acknowledged().ok().map(|lines| lines.len());
        }
        verdict
    }
}

/// A call with the name that it is about.
fn words(call: &Call<'_>) -> String {
    let debug = format!("{call:?}");
    let word = debug.split([' ', '{']).next().unwrap_or_default();
    match call {
        Call::Open { name, .. }
        | Call::Create { name, .. }
        | Call::MakeDir { name, .. }
        | Call::Rename { name, .. }
        | Call::Link { name, .. }
        | Call::Unlink { name, .. }
        | Call::RemoveDir { name, .. }
        | Call::LookAt { name, .. } => format!("{word} {}", name.to_string_lossy()),
        _ => word.to_owned(),
    }
}
