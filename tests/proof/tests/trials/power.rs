//! Real power cuts, of disks in files.

use std::time::{Duration, Instant};

use camino::Utf8Path;
use runjournal_proof::{Budget, power};

#[test]
fn what_was_told_as_durable_survives_real_power_cuts() {
    let start = Instant::now();
    let program = Utf8Path::new(env!("CARGO_BIN_EXE_runjournal-proof"));
    let row = power::run(20, &Budget::new(Duration::ZERO, 1), program).unwrap();
    let seconds = start.elapsed().as_secs();
    eprintln!("power: {} cuts, {}, {seconds} s", row.tried, row.notes.join(", "));
    row.into_outcome().unwrap();
}
