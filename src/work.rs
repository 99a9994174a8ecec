//! A queue of work over a journal.
