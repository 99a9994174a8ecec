//! runjournal's parsers under libFuzzer: `RUNJOURNAL_FUZZ=journal runjournal-fuzz CORPUS`. It takes libFuzzer's
//! arguments. What is called, and what must hold, is the library's own: `runjournal::proof::fuzz::TARGETS`.
//!
//! `cargo run --release -p runjournal-proof -- fuzz --minutes 10` builds it, and runs all targets in turn.

#![no_main]

use std::sync::LazyLock;

use runjournal::proof::fuzz::{TARGETS, Target};

/// The target that the environment names.
static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let asked = std::env::var("RUNJOURNAL_FUZZ").unwrap_or_default();
    let found = TARGETS.iter().find(|(name, _)| *name == asked);
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    match found {
        Some((_, target)) => *target,
        None => panic!("RUNJOURNAL_FUZZ must be one of {}", names.join(", ")),
    }
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| CHOSEN(data));
