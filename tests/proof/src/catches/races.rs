//! What two writers at the same moment find out: one is held where it is about to make a call, until the other is
//! through, or waits for it.

use std::ffi::CStr;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use runjournal::proof::{Call, Verdict, Watch};
use runjournal::{
    Appended, ArtifactName, Digest, Durability, JournalWriter, RunContext, Workspace,
};

use super::Catch;
use super::scene::{Meant, Scene, note};
use crate::{Base, Outcome, Violation, checkpoints, ensure, raw};

pub(super) const ALL: &[Catch] = &[
    Catch {
        bug: "no-lock",
        by: "races: two_writers",
        says: "both were let in by one lock: the journal is damaged: broken_chain",
        tried: two_writers,
    },
    Catch {
        bug: "lock-unlinked",
        by: "races: two_writers",
        says: "each had a lock of its own: the journal is damaged: broken_chain",
        tried: two_writers,
    },
    Catch {
        bug: "not-caught-up",
        by: "races: in_turn",
        says: "composed as if what another one appended were not there",
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
        bug: "checkpoint-not-caught-up",
        by: "races: written_meanwhile",
        says: "and the journal said",
        tried: written_meanwhile,
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
    let lock = scene.lock_node();
    // Each has a lock file open, as it was when it came.
    let one = scene.place.ctx()?.journal()?;
    let mut appended = vec![append(&one)?];
    let other = scene.place.ctx()?.journal()?;
    appended.push(append(&other)?);
    let (first, second) = hold.race(|| append(&one), || append(&other))?;
    appended.extend([first, second]);
    let is_one = lock.is_some() && scene.lock_node() == lock;
    let locks = if is_one { "both were let in by one lock" } else { "each had a lock of its own" };
    scene.has(&appended).map_err(|found| found.at(locks))
}

/// Two who keep the journal open write in turn.
fn in_turn() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let (one, other) = (scene.place.ctx()?.journal()?, scene.place.ctx()?.journal()?);
    let appended = [append(&one)?, append(&other)?, append(&one)?, append(&other)?];
    for pair in appended.windows(2) {
        let [before, after] = pair else { continue };
        ensure(after.seq == before.seq + 1, || {
            let (after, before) = (after.seq, before.seq);
            format!(
                "composed as if what another one appended were not there: {after} after {before}"
            )
        })?;
    }
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

/// Writes an artifact anew each time that a checkpoint keeps what it was before.
#[derive(Debug)]
struct Changes {
    ctx: RunContext,
    /// What it is now, and how often it was changed.
    now: Mutex<(String, usize)>,
}

impl Changes {
    /// A checkpoint gives up to be there first after as many times: the last change is made behind its back.
    const MOST: usize = 3;

    /// What to write once an object of this name is kept.
    fn next(&self, object: &CStr) -> Option<String> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, count) = &mut *now;
        let hex = Digest::of(text.as_bytes()).to_hex();
        if *count == Self::MOST || hex.get(2..).map(str::as_bytes) != Some(object.to_bytes()) {
            return None;
        }
        *count += 1;
        *text = format!("changed {count} times");
        Some(text.clone())
    }
}

impl Watch for Changes {
    fn before(&self, call: &Call<'_>) -> Verdict {
        let (Call::Link { to, .. } | Call::Rename { to, .. }) = call else { return Verdict::Go };
        if let Some(text) = self.next(to) {
            let artifacts = self.ctx.artifacts();
            // Whether it was written is looked at afterwards.
            let _ = artifacts.write_bytes(PLAN, text.as_bytes());
        }
        Verdict::Go
    }
}

const PLAN: ArtifactName = ArtifactName::from_static("plan.json");

/// An artifact is changed whenever a checkpoint that is being made has kept it: what the checkpoint has is what the
/// journal said of it last.
fn written_meanwhile() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let now = Mutex::new(("the first plan".to_owned(), 0));
    // Its own writes are not watched.
    let changes = Arc::new(Changes { ctx: scene.place.ctx()?, now });
    let watching = scene.watched_by(&changes);
    scene.place.ctx()?.checkpoint(1)?;
    drop(watching);
    let text = scene.artifact("plan.json")?;
    let last = format!("changed {} times", Changes::MOST);
    ensure(text == last, || format!("the plan was {text:?} and should be {last:?}"))?;
    let records = raw::records(&scene.place.run_dir(), "run.json")?;
    checkpoints::hold(&scene.place.run_dir(), &records)
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
