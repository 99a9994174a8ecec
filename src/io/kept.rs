//! Memory that a thread keeps.

use std::cell::RefCell;

/// Lends memory that a thread keeps, for the content of a short file: of those there are many.
pub(super) fn with_kept<T>(len: u64, borrow: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static KEPT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    KEPT.with_borrow_mut(|kept| {
        let len = usize::try_from(len).unwrap_or(0);
        if kept.len() < len {
            kept.resize(len, 0);
        }
        borrow(kept.get_mut(..len).unwrap_or_default())
    })
}
