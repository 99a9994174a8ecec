//! Sixteen processes that are stopped and killed, for half a minute of work.

use std::time::{Duration, Instant};

use camino::Utf8Path;
use runjournal_proof::{Budget, soak};

#[test]
fn sixteen_processes_lose_nothing_while_they_are_killed_and_stopped() {
    let start = Instant::now();
    let program = Utf8Path::new(env!("CARGO_BIN_EXE_runjournal-proof"));
    let row = soak::run(&Budget::new(Duration::from_secs(30), 1), program).unwrap();
    let seconds = start.elapsed().as_secs();
    eprintln!("soak: {} records, {}, {seconds} s", row.tried, row.notes.join(", "));
    row.into_outcome().unwrap();
}
