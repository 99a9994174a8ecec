//! Work that is shared out among threads, and that makes more work.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is to be done. The newest is taken first, so that what a task led to is done before the next task
/// leads to more.
#[derive(Debug)]
pub(super) struct Jobs<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<J> {
    waiting: Vec<J>,
    under_way: usize,
}

/// How often whoever waits is told how far it is.
const TICK: Duration = Duration::from_millis(100);

/// Does all of it, and what it leads to; `tick` is called now and then meanwhile, and at the end.
pub(super) fn run<J: Send>(
    first: Vec<J>,
    work: impl Fn(J, &Jobs<J>) + Sync,
    tick: &mut dyn FnMut(),
) {
    let state = State { waiting: first, under_way: 0 };
    let jobs = Jobs { state: Mutex::new(state), changed: Condvar::new() };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((job, _taken)) = jobs.next() {
                    work(job, &jobs);
                }
            });
        }
        let mut state = jobs.lock();
        while !state.is_over() {
            let waited = jobs.changed.wait_timeout(state, TICK);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            tick();
            state = jobs.lock();
        }
    });
    tick();
}

impl<J> State<J> {
    fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }
}

impl<J> Jobs<J> {
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds work.
    pub(super) fn push(&self, more: impl IntoIterator<Item = J>) {
        let mut state = self.lock();
        let had = state.waiting.len();
        state.waiting.extend(more);
        if state.waiting.len() > had {
            self.changed.notify_all();
        }
    }

    /// The next job; `None` once there is none, and none can come.
    fn next(&self) -> Option<(J, Taken<'_, J>)> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.waiting.pop() {
                state.under_way += 1;
                return Some((job, Taken(self)));
            }
            if state.is_over() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A job is over when this goes, also where it panicked.
struct Taken<'a, J>(&'a Jobs<J>);

impl<J> Drop for Taken<'_, J> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.under_way -= 1;
        if state.is_over() {
            self.0.changed.notify_all();
        }
    }
}
