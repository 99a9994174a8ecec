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
    let tried = row.tried;
    row.into_outcome().unwrap();
    assert!(tried >= 20_000, "only {tried} states: the trial tries less than it did");
}

/// Tries one operation with a mistake planted, in a process of its own.
fn planted(bug: &str, operation: &str) -> Result<(), String> {
    disk(bug, &["--operation", operation])
}

fn disk(bug: &str, arguments: &[&str]) -> Result<(), String> {
    let mut proof = Command::new(PROOF);
    let proof = proof.env("RUNJOURNAL_PLANTED", bug).arg("disk").args(arguments);
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

/// What is printed is the whole command, and finds the same again.
#[test]
fn what_is_found_is_found_again_by_the_command_that_is_printed() {
    for (bug, operation) in [
        ("no-fsync", "append_durable"),
        ("duplicate-not-synced", "transaction_with_key"),
        ("inputs-not-synced", "OverwriteBuffered+Step"),
    ] {
        let found = planted(bug, operation).unwrap_err();
        let (_, command) =
            found.split_once("(again: cargo run -p runjournal-proof -- disk ").unwrap();
        let (command, _) = command.split_once("): ").unwrap();
        let arguments: Vec<_> = command.split(' ').map(|word| word.trim_matches('\'')).collect();
        let again = disk(bug, &arguments).unwrap_err();
        assert!(
            again.contains(&format!("(again: cargo run -p runjournal-proof -- disk {command})")),
            "{again}"
        );
    }
    for arguments in [["--state", "nosuch"], ["--keep", "nowhere"], ["--point", "9999"]] {
        let arguments: Vec<_> =
            ["--operation", "append_durable"].into_iter().chain(arguments).collect();
        disk("", &arguments).unwrap_err();
    }
}
