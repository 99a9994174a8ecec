//! What two writers at the same moment find out: one is held where it is about to make a call, until the other is
//! through, or waits for it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use runjournal::proof::{Call, Verdict, Watch};
use runjournal::{Appended, Durability, JournalWriter, Workspace};

use super::Catch;
use super::scene::{Meant, Scene, note};
use crate::{Base, Outcome, Violation, ensure};

pub(super) const ALL: &[Catch] = &[
    Catch {
        bug: "no-lock",
        by: "races: two_writers",
        says: "the journal is damaged",
        tried: two_writers,
    },
    Catch {
        bug: "lock-unlinked",
        by: "races: two_writers",
        says: "the journal is damaged",
        tried: two_writers,
    },
    Catch {
        bug: "not-caught-up",
        by: "races: in_turn",
        says: "the journal is damaged",
        tried: in_turn,
    },
    Catch {
        bug: "later-writes-covered",
        by: "races: late_for_a_sync",
        says: "no sync began after its write",
        tried: || (0..3).try_for_each(|_| late_for_a_sync()),
    },
    Catch {
        bug: "damage-not-confirmed",
        by: "races: read_while_written",
        says: "told of what is in flight",
        tried: read_while_written,
    },
    Catch {
        bug: "genesis-replaced",
        by: "races: two_makers",
        says: "workspace.json was replaced",
        tried: two_makers,
    },
];

#[derive(Debug, Default)]
struct State {
    armed: bool,
    held: bool,
    released: bool,
    /// How often the other one asked for a lock meanwhile.
    asked: usize,
    /// How often anybody made the call.
    made: usize,
}

/// Holds the first who comes to make a call.
struct Hold {
    at: Meant,
    /// What the other one does before it waits, and how often.
    waits: Meant,
    signs: usize,
    /// How long to wait then.
    pause: Duration,
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
    /// Until the other one waits for a lock.
    fn at(at: impl Fn(&Call<'_>) -> bool + Send + Sync + 'static) -> Arc<Self> {
        let waits = |call: &Call<'_>| matches!(call, Call::Lock { .. });
        Self::until(at, waits, ASKED, Duration::ZERO)
    }

    fn until(
        at: impl Fn(&Call<'_>) -> bool + Send + Sync + 'static,
        waits: impl Fn(&Call<'_>) -> bool + Send + Sync + 'static,
        signs: usize,
        pause: Duration,
    ) -> Arc<Self> {
        let (at, waits): (Meant, Meant) = (Box::new(at), Box::new(waits));
        let (state, changed) = (Mutex::default(), Condvar::new());
        Arc::new(Self { at, waits, signs, pause, state, changed })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As if somebody was held: who asks for a lock is counted.
    fn hold_already(&self) {
        (self.state().armed, self.state().held) = (true, true);
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
        state.made += usize::from((self.at)(call));
        if !state.armed || state.released {
            return Verdict::Go;
        }
        if state.held {
            if (self.waits)(call) {
                state.asked += 1;
                self.changed.notify_all();
            }
        } else if (self.at)(call) {
            state.held = true;
            self.changed.notify_all();
            self.wait(state, |state| state.released || state.asked >= self.signs);
            std::thread::sleep(self.pause);
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

/// One writes while another one is about to sync: that sync does not cover what it wrote.
fn late_for_a_sync() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let file = scene.journal_node()?;
    let hold = Hold::until(
        move |call| matches!(call, Call::SyncFile { file: synced } if *synced == file),
        move |call| matches!(call, Call::Write { file: written, .. } if *written == file),
        1,
        // It takes its place among those who wait.
        Duration::from_millis(50),
    );
    let _watching = scene.watched_by(&hold);
    let durable =
        || Ok::<_, Violation>(scene.place.ctx()?.journal()?.durability(Durability::Durable));
    let (one, other) = (durable()?, durable()?);
    hold.race(|| append(&one), || append(&other))?;
    let syncs = hold.state().made;
    ensure(syncs >= 2, || "durable, and no sync began after its write".into())
}

/// A reader sees what a writer, which has the lock, did not finish.
fn read_while_written() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let lock = std::fs::File::open(scene.place.run_dir().join("journal/.lock"))?;
    lock.lock()?;
    let whole = std::fs::read(scene.journal())?;
    let hold = Hold::at(|_| false);
    let _watching = scene.watched_by(&hold);
    std::fs::write(scene.journal(), [&whole[..], b"\0\0\0\0\n"].concat())?;
    hold.hold_already();
    let events = scene.place.ctx()?.events()?;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| events.read_all());
        let start = Instant::now();
        let waits = || hold.state().asked < ASKED && !reader.is_finished();
        while waits() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::fs::write(scene.journal(), &whole)?;
        lock.unlock()?;
        let read = reader.join().map_err(|_| Violation::new("the reader panicked"))?;
        let (_, findings) = read?;
        ensure(findings.is_empty(), || format!("told of what is in flight: {findings:?}"))
    })
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
