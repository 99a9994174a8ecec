//! The runner itself: what it prints and writes, what it takes for a pass, and what it refuses.

use std::process::{Command, Output};
use std::time::Duration;

use runjournal_proof::runner::{self, Asked, Verdict};
use runjournal_proof::{Budget, Outcome, Row, Trial, Violation};
use serde_json::Value;

fn proof(arguments: &[&str]) -> Output {
    let mut proof = Command::new(env!("CARGO_BIN_EXE_runjournal-proof"));
    proof.env_remove("RUNJOURNAL_PLANTED").args(arguments).output().unwrap()
}

/// What it says where it refuses something.
fn refused(arguments: &[&str]) -> String {
    let output = proof(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.status.code().is_some(), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    said
}

fn trial(name: &'static str, run: fn(&Budget) -> Outcome<Row>) -> Trial {
    Trial { name, unit: "things", run }
}

fn tried(tried: u64) -> Row {
    let mut row = Row::default();
    row.tried = tried;
    row
}

fn run(trials: &[Trial]) -> (Verdict, Value) {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("found.json");
    let asked = Asked { seed: 7, json: Some(json.clone()), ..Asked::default() };
    let verdict = runner::run(trials, &asked).unwrap();
    (verdict, serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap())
}

#[test]
fn what_tried_nothing_is_no_pass() {
    let (verdict, found) = run(&[trial("good", |_| Ok(tried(1))), trial("idle", |_| Ok(tried(0)))]);
    assert_eq!(verdict, Verdict::Failed);
    assert_eq!(found["trials"][0]["result"], "passed");
    assert_eq!(found["trials"][1]["result"], "failed");
    assert!(found["trials"][1]["violations"][0].as_str().unwrap().contains("nothing was tried"));

    let (verdict, found) = run(&[
        trial("good", |_| Ok(tried(1))),
        trial("late", |_| {
            let mut row = tried(1);
            row.no_time.push("the rest".to_owned());
            Ok(row)
        }),
    ]);
    assert_eq!((verdict, verdict.is_good()), (Verdict::NoTime, false));
    assert_eq!(found["trials"][1]["skipped"][0], "the rest");

    let (verdict, found) = run(&[trial("away", |_| Ok(Row::skipped("no such tool")))]);
    assert_eq!((verdict, verdict.is_good()), (Verdict::Skipped, true));
    assert_eq!(found["trials"][0]["skipped"][0], "no such tool");
}

#[test]
fn a_trial_that_panics_or_breaks_off_takes_no_other_with_it() {
    let (verdict, found) = run(&[
        trial("panics", |_| panic!("as planted")),
        trial("breaks", |_| Err(Violation::new("no room"))),
        trial("good", |_| Ok(tried(3))),
    ]);
    assert_eq!(verdict, Verdict::Failed);
    let of = |at: usize| found["trials"][at]["violations"][0].as_str().unwrap_or_default();
    assert!(of(0).contains("panicked") && of(0).contains("as planted"), "{}", of(0));
    assert!(of(1).contains("no room"), "{}", of(1));
    assert_eq!(found["trials"][2]["result"], "passed");
    assert_eq!((&found["result"], &found["seed"]), (&"failed".into(), &7.into()));
}

#[test]
fn the_json_has_each_row_as_soon_as_its_trial_ends() {
    static FILE: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
    let dir = tempfile::tempdir().unwrap();
    FILE.set(dir.path().join("found.json")).unwrap();
    let trials = [
        trial("first", |_| Ok(tried(1))),
        trial("second", |_| {
            let text = std::fs::read(FILE.get().unwrap())?;
            let found: Value = serde_json::from_slice(&text)?;
            assert_eq!(found["result"], "not finished");
            assert_eq!(found["trials"].as_array().unwrap().len(), 1);
            assert_eq!(found["trials"][0]["trial"], "first");
            Ok(tried(1))
        }),
    ];
    let asked =
        Asked { json: FILE.get().cloned(), time: Duration::from_secs(1), ..Asked::default() };
    assert_eq!(runner::run(&trials, &asked).unwrap(), Verdict::Passed);

    let never = [trial("never", |_| panic!("it ran, though nothing can be written"))];
    let json = dir.path().join("not-there/found.json");
    let told = runner::run(&never, &Asked { json: Some(json), ..Asked::default() }).unwrap_err();
    assert!(told.to_string().contains("not-there/found.json"), "{told}");
}

/// The real one, with the trial that is done first: one thing is tried, however little time there is.
#[test]
fn the_runner_runs() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("found.json");
    let arguments = ["--minutes", "0", "--seed", "3", "--only", "damage", "--json"];
    let output = proof(&[&arguments[..], &[json.to_str().unwrap()]].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("SKIPPED") && said.ends_with("passed\n"), "{said}");
    let found: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(found["result"], "passed");
    assert_eq!((&found["minutes"], &found["seed"]), (&0.0.into(), &3.into()));
    assert_eq!(found["build"], if cfg!(debug_assertions) { "debug" } else { "release" });
    assert_eq!(found["planted"], Value::Null);
    let row = &found["trials"][0];
    assert!(row["tried"].as_u64().unwrap() > 0 && row["skipped"].as_array().is_some(), "{row}");
}

#[test]
fn what_is_mistyped_is_refused_with_what_there_is() {
    assert!(refused(&["--only", "damages"]).contains("damage, soak"));
    assert!(refused(&["kill", "apend"]).contains("append, "));
    assert!(refused(&["feed", "jornal", "x"]).contains("journal, "));
    assert!(refused(&["feed", "journal", "/not/there"]).contains("/not/there: "));
    assert!(refused(&["fuzz", "--mutate", "--only", "jornal"]).contains("journal, "));
    for minutes in ["-1", "nan", "inf", "1e300", "soon"] {
        assert!(refused(&["--minutes", minutes]).contains("--minutes"), "{minutes}");
    }
    assert!(refused(&["--only", "damage", "kill", "append"]).contains("cannot be used with"));
    assert!(refused(&["replay", "--seed", "1", "--acts", "9999"]).contains("no act 9999"));
    assert!(refused(&["replay", "--seed", "1", "--calm", "9999"]).contains("no act 9999"));

    let mut mistyped = Command::new(env!("CARGO_BIN_EXE_runjournal-proof"));
    let output = mistyped
        .env("RUNJOURNAL_PLANTED", "no-fsink")
        .args(["--minutes=0", "--only=damage"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("no-fsync, "), "{said}");
}
