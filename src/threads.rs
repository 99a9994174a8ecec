//! The same work on many things, by several threads.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Work on fewer bytes is done before another thread has begun.
const WORTH_IT: u64 = 4 << 20;

/// As many as there are cores, and not fewer than two: one reads while the other hashes.
pub(crate) fn all() -> usize {
    thread::available_parallelism().map_or(2, NonZero::get).clamp(2, 16)
}

/// How many for work on so many bytes. How many cores there are is asked only where it matters.
pub(crate) fn for_bytes(bytes: u64) -> usize {
    if bytes < WORTH_IT { 1 } else { all() }
}

/// What `work` yields for each item, in their order. After the first failure nothing else is begun. A single
/// item costs no thread.
pub(crate) fn each<I: Sync, T: Send, E: Send>(
    threads: usize,
    items: &[I],
    work: impl Fn(&I) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let threads = threads.min(items.len());
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let some = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else { break };
            let result = work(item);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.push((number, result));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, some).ok())
            .collect();
        let mut done = some();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}
