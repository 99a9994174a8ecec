//! Work that several threads share.

use crate::{Outcome, Violation};

/// Does the same on so many threads, each told its number, and waits for all of them. A panic in one of them is a
/// violation like any other, and ends none of the others.
///
/// # Errors
/// The first thing that a thread failed with.
pub(crate) fn on_threads(threads: usize, work: impl Fn(usize) -> Outcome + Sync) -> Outcome {
    let work = &work;
    std::thread::scope(|scope| {
        let start = |number| scope.spawn(move || work(number));
        let started: Vec<_> = (0..threads).map(start).collect();
        let ended: Vec<_> = started.into_iter().map(|thread| thread.join()).collect();
        ended.into_iter().try_for_each(|ended| ended.unwrap_or_else(|panic| Err(died(&*panic))))
    })
}

/// What a panic said.
fn died(panic: &(dyn std::any::Any + Send)) -> Violation {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let said = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
    Violation::new(format!("a thread of the trial panicked: {said}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_panic_is_told_and_ends_no_other_thread() {
        let done = AtomicUsize::new(0);
        let ended = on_threads(3, |number| {
            assert_ne!(number, 1, "this one dies");
            done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        assert!(ended.unwrap_err().to_string().contains("this one dies"));
        assert_eq!(done.into_inner(), 2);
        assert!(on_threads(2, |_| Ok(())).is_ok());
    }
}
