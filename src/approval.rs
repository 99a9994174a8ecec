//! Questions that a run asks people, answered once.
