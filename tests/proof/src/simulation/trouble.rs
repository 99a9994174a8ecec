//! What goes wrong within an act: the worker dies at a call, or calls fail.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use runjournal::proof::{Call, Verdict, Watch};

use crate::disk::NEVER_MADE;

/// An error of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Error {
    Io,
    NoSpace,
    Files,
    Interrupted,
    /// So many bytes are read or written, and no more.
    Short(usize),
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The worker dies as it is about to change something for the n-th time.
    Die { at: usize },
    /// Calls fail, from the n-th on, so many times.
    Fault { at: usize, error: Error, times: usize },
    /// Somebody else appends to the run right before the n-th call, if the locks let them.
    Meanwhile { at: usize },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Die { at } => write!(f, "and it dies at its change {at}"),
            Self::Fault { at, error, times } => {
                write!(f, "and {times} calls from its call {at} on end with {error:?}")
            }
            Self::Meanwhile { at } => write!(f, "and somebody appends before its call {at}"),
        }
    }
}

/// Lets calls fail as a trouble has it.
#[derive(Debug, Default)]
pub(super) struct Saboteur(Mutex<State>);

/// What somebody else does in between.
type Deed = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    trouble: Option<Trouble>,
    meanwhile: Option<Deed>,
    /// Calls since it was armed: those that the trouble counts.
    calls: usize,
    fired: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("trouble", &self.trouble).finish_non_exhaustive()
    }
}

impl Saboteur {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this goes wrong; where somebody else is to do something in between, this is what.
    pub(super) fn arm(&self, trouble: Option<Trouble>, meanwhile: Option<Deed>) {
        *self.state() = State { trouble, meanwhile, ..State::default() };
    }

    /// Nothing goes wrong any more. True if something did.
    pub(super) fn disarm(&self) -> bool {
        std::mem::take(&mut *self.state()).fired
    }

    /// True if something went wrong by now.
    pub(super) fn has_fired(&self) -> bool {
        self.state().fired
    }
}

/// The numbers that Linux gives to errors.
const EINTR: i32 = 4;
const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

impl Error {
    fn verdict(self, call: &Call<'_>) -> Verdict {
        let moves_bytes = call.bytes().is_some();
        match self {
            Self::Io => Verdict::Fail(EIO),
            Self::NoSpace if call.makes() => Verdict::Fail(ENOSPC),
            Self::Files if call.opens() => Verdict::Fail(EMFILE),
            Self::Interrupted if moves_bytes || call.syncs() => Verdict::Fail(EINTR),
            // A read of nothing is the end of a file, which a disk does not make up.
            Self::Short(most) if moves_bytes => Verdict::Short(most.max(1)),
            _ => Verdict::Go,
        }
    }
}

impl Watch for Saboteur {
    fn before(&self, call: &Call<'_>) -> Verdict {
        let mut state = self.state();
        match state.trouble {
            None => Verdict::Go,
            Some(Trouble::Meanwhile { at }) => {
                state.calls += 1;
                let deed = if state.calls > at { state.meanwhile.take() } else { None };
                // What they do is watched as well.
                drop(state);
                deed.into_iter().for_each(|deed| deed());
                Verdict::Go
            }
            Some(Trouble::Die { at }) => {
                if call.changes() || call.syncs() {
                    state.calls += 1;
                }
                if state.calls <= at {
                    return Verdict::Go;
                }
                state.fired = true;
                Verdict::Fail(NEVER_MADE)
            }
            Some(Trouble::Fault { at, error, times }) => {
                state.calls += 1;
                if state.calls <= at || state.calls > at + times {
                    return Verdict::Go;
                }
                let verdict = error.verdict(call);
                state.fired |= verdict != Verdict::Go;
                verdict
            }
        }
    }
}
