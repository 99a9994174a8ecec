//! What two writers at the same moment find out: one is held where it is about to make a call, until the other is
//! through, or waits for it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runjournal::proof::{Call, Verdict, Watch};
use runjournal::{Appended, JournalWriter, Workspace};

use super::Catch;
use super::scene::{Scene, note};
use crate::{Base, Outcome, Violation, ensure};

pub(super) const ALL: &[Catch] = &[
    Catch { bug: "no-lock", says: "the journal is damaged", tried: two_writers },
    Catch { bug: "lock-unlinked", says: "the journal is damaged", tried: two_writers },
    Catch { bug: "not-caught-up", says: "the journal is damaged", tried: in_turn },
    Catch { bug: "genesis-replaced", says: "workspace.json was replaced", tried: two_makers },
];

#[derive(Debug, Default)]
struct State {
    armed: bool,
    held: bool,
    released: bool,
    /// How often the other one asked for a lock meanwhile.
    asked: usize,
}

/// Holds the first who comes to make a call.
struct Hold {
    at: Box<dyn Fn(&Call<'_>) -> bool + Send + Sync>,
    state: Mutex<State>,
    changed: Condvar,
}

/// Nobody is held for longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Who asked so often for a lock waits for it.
const ASKED: usize = 3;

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Hold {
    fn at(at: impl Fn(&Call<'_>) -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { at: Box::new(at), state: Mutex::default(), changed: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, state: MutexGuard<'_, State>, until: impl Fn(&State) -> bool) {
        drop(self.changed.wait_timeout_while(state, PATIENCE, |state| !until(state)));
    }

    /// Runs the first, and the second while the first is held.
    fn race<A: Send, B>(
        &self,
        first: impl FnOnce() -> Outcome<A> + Send,
        second: impl FnOnce() -> Outcome<B>,
    ) -> Outcome<(A, B)> {
        self.state().armed = true;
        std::thread::scope(|scope| {
            let first = scope.spawn(first);
            self.wait(self.state(), |state| state.held);
            ensure(self.state().held, || "the first one was not held".into())?;
            let second = second();
            self.state().released = true;
            self.changed.notify_all();
            let first = first.join().map_err(|_| Violation::new("the first one panicked"))?;
            Ok((first?, second?))
        })
    }
}

impl Watch for Hold {
    fn before(&self, call: &Call<'_>) -> Verdict {
        let mut state = self.state();
        if !state.armed || state.released {
            return Verdict::Go;
        }
        if state.held {
            if matches!(call, Call::Lock { .. }) {
                state.asked += 1;
                self.changed.notify_all();
            }
        } else if (self.at)(call) {
            state.held = true;
            self.changed.notify_all();
            self.wait(state, |state| state.released || state.asked >= ASKED);
        }
        Verdict::Go
    }
}

fn append(journal: &JournalWriter) -> Outcome<Appended> {
    Ok(journal.append(note("some text"))?)
}

/// One is about to write what it composed, and another one comes.
fn two_writers() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let file = scene.journal_node()?;
    let hold =
        Hold::at(move |call| matches!(call, Call::Write { file: written, .. } if *written == file));
    let _watching = scene.watched_by(&hold);
    // Each has a lock file open, as it was when it came.
    let one = scene.place.ctx()?.journal()?;
    let mut appended = vec![append(&one)?];
    let other = scene.place.ctx()?.journal()?;
    appended.push(append(&other)?);
    let (first, second) = hold.race(|| append(&one), || append(&other))?;
    appended.extend([first, second]);
    scene.has(&appended)
}

/// Two who keep the journal open write in turn.
fn in_turn() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let (one, other) = (scene.place.ctx()?.journal()?, scene.place.ctx()?.journal()?);
    let appended = [append(&one)?, append(&other)?, append(&one)?, append(&other)?];
    scene.has(&appended)
}

/// Two make the same workspace: whoever was told first that it exists has seen it as it stays.
fn two_makers() -> Outcome {
    const NAME: &str = "workspace.json";
    let scene = Scene::with(Base::Nothing)?;
    let hold = Hold::at(|call| match call {
        Call::Link { to, .. } | Call::Rename { to, .. } => to.to_bytes() == NAME.as_bytes(),
        _ => false,
    });
    let _watching = scene.watched_by(&hold);
    let root = scene.place.root();
    let make = || {
        let _ = Workspace::create(&root);
        Ok(std::fs::read(root.join(NAME))?)
    };
    let (_, seen) = hold.race(make, make)?;
    let now = std::fs::read(root.join(NAME))?;
    ensure(now == seen, || "workspace.json was replaced".into())
}
