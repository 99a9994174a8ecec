//! Each call of each operation fails: see `runjournal_proof::faults`.

use camino::Utf8Path;
use runjournal_proof::faults;

const WORKER: &str = env!("CARGO_BIN_EXE_runjournal-proof");

#[test]
fn every_call_may_fail() {
    // Of one operation alone, where that is asked for.
    let named = std::env::var("RUNJOURNAL_TEST_OPERATION").unwrap_or_default();
    let row = faults::every_cell(Utf8Path::new(WORKER), &named, None).unwrap();
    eprintln!("{} failures: {}", row.tried, row.notes.join(", "));
    for violation in &row.violations {
        eprintln!("{violation}");
    }
    row.into_outcome().unwrap();
}
