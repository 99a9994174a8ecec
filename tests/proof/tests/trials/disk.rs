//! What a power cut may leave, of every operation and of every two short calls.

use std::process::Command;

use camino::Utf8Path;
use runjournal_proof::disk::trial;

const PROOF: &str = env!("CARGO_BIN_EXE_runjournal-proof");

#[test]
fn every_state_that_a_power_cut_may_leave_is_recovered_from() {
    let start = std::time::Instant::now();
    let row = trial::in_short(Utf8Path::new(PROOF), 1).unwrap();
    println!("{} crash states, {:?}, in {:?}", row.tried, row.notes, start.elapsed());
    assert!(row.tried >= 20_000 || !row.violations.is_empty(), "{} states", row.tried);
    row.into_outcome().unwrap();
}

/// Tries one operation with a mistake planted, in a process of its own.
fn planted(bug: &str, operation: &str) -> Result<(), String> {
    let mut proof = Command::new(PROOF);
    let proof = proof.env("RUNJOURNAL_PLANTED", bug).args(["disk", "--operation", operation]);
    let output = proof.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_missing_sync_of_content_or_of_names_is_found() {
    planted("", "artifact_overwrite").unwrap();
    for (bug, operation) in [
        ("no-fsync", "append_durable"),
        ("no-fsync", "artifact_overwrite"),
        ("no-directory-fsync", "artifact_new"),
        ("no-directory-fsync", "start_run"),
    ] {
        let found = planted(bug, operation).unwrap_err();
        assert!(found.contains("the power cut after step"), "{bug}, {operation}: {found}");
    }
}
