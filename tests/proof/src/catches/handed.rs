//! What threads find out that share a durable writer: the first has the journal, and is held at its first write until the
//! others have handed over what they want.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use runjournal::proof::{Call, Node, Verdict, Watch};
use runjournal::{Appended, Durability, JournalError};

use super::Catch;
use super::scene::{EIO, Scene, artifact, note};
use crate::{Base, Outcome, Violation, ensure};

pub(super) const ALL: &[Catch] = &[
    Catch {
        bug: "handed-over-not-synced",
        by: "handed: failed_sync",
        says: "acknowledged though the only sync since its write failed",
        tried: failed_sync,
    },
    Catch {
        bug: "ticket-before-write",
        by: "handed: failed_sync",
        says: "acknowledged though the only sync since its write failed",
        tried: failed_sync,
    },
    Catch {
        bug: "failed-catch-up-believed",
        by: "handed: failed_catch_up",
        says: "behind what a failed catch-up left",
        tried: failed_catch_up,
    },
    Catch {
        bug: "lost-batch-given-back",
        by: "handed: panic_behind_a_write",
        says: "written 2 times",
        tried: panic_behind_a_write,
    },
];

/// A call on the journal.
struct Moment<'a> {
    call: &'a Call<'a>,
    /// Which write was the last, this one included.
    write: usize,
    /// False before the call is made.
    is_made: bool,
}

impl Moment<'_> {
    /// True right before or after this write.
    fn is(&self, write: usize, is_made: bool) -> bool {
        let is_write = matches!(self.call, Call::Write { .. });
        is_write && (self.write, self.is_made) == (write, is_made)
    }
}

/// What becomes of a call.
type Then = Box<dyn Fn(&Moment<'_>) -> Verdict + Send + Sync>;
/// What became of a thread's event; none where the thread panicked.
type Told = Option<Result<Appended, JournalError>>;

#[derive(Debug, Default)]
struct State {
    /// Who wrote to the journal, write by write.
    writers: Vec<ThreadId>,
    released: bool,
}

/// The first thread, which appends for all.
struct Turn {
    journal: Node,
    then: Then,
    state: Mutex<State>,
    changed: Condvar,
}

/// Nobody is held for longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the others have to hand over what they want, in milliseconds: on a busy machine, more.
const PAUSES: [u64; 4] = [50, 200, 1000, 4000];

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Turn {
    /// What so many threads were told, the first of them first, and where that was.
    fn of(threads: usize, then: impl Fn(&Scene) -> Outcome<Then>) -> Outcome<(Scene, Vec<Told>)> {
        for pause in PAUSES {
            let scene = Scene::with(Base::Run)?;
            let (journal, then) = (scene.journal_node()?, then(&scene)?);
            let (state, changed) = (Mutex::default(), Condvar::new());
            let turn = Arc::new(Self { journal, then, state, changed });
            let watching = scene.watched_by(&turn);
            let told = turn.take(&scene, threads, Duration::from_millis(pause))?;
            drop(watching);
            // One wrote for another: all had handed theirs over by then.
            if let [first, second, ..] = *turn.state().writers
                && first == second
            {
                return Ok((scene, told));
            }
        }
        Err(Violation::new("nobody wrote what another thread had handed over"))
    }

    fn take(&self, scene: &Scene, threads: usize, pause: Duration) -> Outcome<Vec<Told>> {
        let journal = scene.place.ctx()?.journal()?.durability(Durability::Durable);
        let append = |number: usize| journal.append(note(&format!("of thread {number}")));
        std::thread::scope(|scope| {
            let mut all = vec![scope.spawn(move || append(0))];
            self.wait(self.state(), |state| !state.writers.is_empty());
            all.extend((1..threads).map(|number| scope.spawn(move || append(number))));
            // Nothing tells when they have.
            std::thread::sleep(pause);
            self.state().released = true;
            self.changed.notify_all();
            Ok(all.into_iter().map(|thread| thread.join().ok()).collect())
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, state: MutexGuard<'_, State>, until: impl Fn(&State) -> bool) {
        drop(self.changed.wait_timeout_while(state, PATIENCE, |state| !until(state)));
    }

    fn then(&self, call: &Call<'_>, is_made: bool) -> Verdict {
        let write = self.state().writers.len();
        match *call {
            Call::Write { file, .. } | Call::SyncFile { file } | Call::Look { node: file }
                if file == self.journal =>
            {
                (self.then)(&Moment { call, write, is_made })
            }
            _ => Verdict::Go,
        }
    }
}

impl Watch for Turn {
    fn before(&self, call: &Call<'_>) -> Verdict {
        if matches!(call, Call::Write { file, .. } if *file == self.journal) {
            let mut state = self.state();
            state.writers.push(std::thread::current().id());
            self.changed.notify_all();
            self.wait(state, |state| state.released);
        }
        self.then(call, false)
    }

    fn after(&self, call: &Call<'_>, _: Option<Node>) {
        self.then(call, true);
    }
}

/// Right before a thread writes what another one handed over, somebody else syncs the journal. No sync goes well after
/// that.
fn failed_sync() -> Outcome {
    let synced = Arc::new(AtomicBool::new(false));
    let (_scene, told) = Turn::of(2, |scene| {
        let others = scene.place.ctx()?.artifacts();
        let (plan, fails) = (artifact("plan.json")?, Arc::clone(&synced));
        fails.store(false, Ordering::SeqCst);
        Ok(Box::new(move |moment| match moment.call {
            Call::SyncFile { .. } if fails.load(Ordering::SeqCst) => EIO,
            _ if moment.is(2, false) && others.sync(&plan).is_ok() => {
                fails.store(true, Ordering::SeqCst);
                Verdict::Go
            }
            _ => Verdict::Go,
        }))
    })?;
    ensure(synced.load(Ordering::SeqCst), || "nobody else could sync: no sync failed".into())?;
    for told in told {
        let acknowledged = matches!(told, Some(Ok(_)));
        ensure(!acknowledged, || {
            "acknowledged though the only sync since its write failed".into()
        })?;
        let in_doubt = matches!(told, Some(Err(JournalError::NotDurable { .. })));
        ensure(in_doubt, || "its sync failed, and it was told something else".into())?;
    }
    Ok(())
}

/// The first write is cut short, and what it left cannot be looked at when the second one wants to write. The third
/// one can.
fn failed_catch_up() -> Outcome {
    let (scene, told) = Turn::of(3, |_| {
        let fails = AtomicBool::new(false);
        Ok(Box::new(move |moment| match moment.call {
            Call::Look { .. } if fails.swap(false, Ordering::SeqCst) => EIO,
            _ if moment.is(1, false) => {
                fails.store(true, Ordering::SeqCst);
                Verdict::Short(100)
            }
            _ => Verdict::Go,
        }))
    })?;
    let appended: Vec<_> = told.into_iter().flatten().flatten().collect();
    scene.has(&appended).map_err(|found| found.at("behind what a failed catch-up left"))?;
    let count = appended.len();
    ensure(count == 1, || format!("{count} of three were appended, and two calls failed"))
}

/// A thread panics right after it wrote what another one handed over, before it can tell so.
fn panic_behind_a_write() -> Outcome {
    let (scene, told) = Turn::of(2, |_| {
        Ok(Box::new(|moment| {
            if moment.is(2, true) {
                resume_unwind(Box::new("behind the write"));
            }
            Verdict::Go
        }))
    })?;
    let (records, _) = scene.place.ctx()?.events()?.read_all()?;
    let text = |record: &runjournal::Record| record.payload::<String>().ok();
    let handed = records.iter().filter_map(text).filter(|text| text == "of thread 1").count();
    ensure(handed == 1, || format!("what was handed over was written {handed} times"))?;
    let told = matches!(*told, [None, Some(Err(JournalError::NotDurable { .. }))]);
    ensure(told, || "nobody could know whether it was written, and somebody was told".into())
}
