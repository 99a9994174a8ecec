//! Each call of each operation fails: see `runjournal_proof::faults`.

use camino::Utf8Path;
use runjournal_proof::{Outcome, Row, faults};

const WORKER: &str = env!("CARGO_BIN_EXE_runjournal-proof");

fn tell(row: Outcome<Row>) -> Outcome {
    let row = row?;
    eprintln!("{} failures: {}", row.tried, row.notes.join(", "));
    for violation in &row.violations {
        eprintln!("{violation}");
    }
    row.into_outcome()
}

#[test]
fn every_call_may_fail() -> Outcome {
    tell(faults::every_cell(Utf8Path::new(WORKER), None))
}

/// The long run makes many more.
#[test]
fn two_calls_of_one_operation_may_fail() -> Outcome {
    tell(faults::some_pairs(Utf8Path::new(WORKER), 1, 6))
}

#[test]
fn what_a_failed_sync_left_in_doubt_is_durable_before_anything_behind_it() -> Outcome {
    tell(faults::in_doubt(Utf8Path::new(WORKER), None))
}
