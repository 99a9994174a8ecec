//! `verify`, as a shell sees it.

use std::fs;

use runjournal::Code;

use crate::cli::{Shell, check};

#[test]
fn verify_is_shown_to_people_and_programs() {
    let shell = Shell::with_run();
    shell.write("plan", "fetch");
    shell.ok(&["artifact", "put", "-r", "RUN-1", "plan.txt", "plan"]);
    let clean = shell.go(&["verify", "--read-data"]);
    assert_eq!((clean.exit, clean.err.as_str()), (0, ""));
    assert!(
        clean.out.starts_with("0 errors, 0 warnings, 0 notes; 1 task, 1 run,"),
        "{}",
        clean.out
    );

    let kept = shell.run_file("journal/kept.json");
    shell.ok(&["run", "complete", "-r", "RUN-1", "--status", "success"]);
    fs::copy(shell.run_file("manifest.json"), &kept).unwrap();
    fs::write(shell.run_file("artifacts/plan.txt"), "f3tch").unwrap();
    assert_eq!(shell.go(&["verify"]).exit, 0, "as long as it was");
    for args in [&["verify", "--read-data"][..], &["verify", "RUN-1", "--read-data=1/1"]] {
        let found = shell.go(args);
        assert_eq!(found.exit, 1, "{args:?}: {}", found.out);
        assert!(found.out.contains("error     artifact_changed"), "{}", found.out);
    }
    let page = shell.json(&["verify", "TASK-1", "--read-data=100%"]);
    assert_eq!(
        (&page["errors"], &page["findings"][1]["code"]),
        (&2.into(), &"artifact_changed".into())
    );
    for finding in page["findings"].as_array().unwrap() {
        let code: Code = serde_json::from_value(finding["code"].clone()).unwrap();
        assert_eq!(
            (&finding["severity"], &finding["advice"]),
            (&"error".into(), &code.advice().into())
        );
        let place = finding["place"]["path"].as_str().unwrap();
        assert!(place.ends_with("/plan.txt") || place.ends_with("/RUN-1"), "{place}");
        assert!(fs::exists(place).unwrap(), "{place}");
    }
    let told =
        shell.go(&["verify", "TASK-1/RUN-1", "--read-data", "--manifest", kept.to_str().unwrap()]);
    check(&told.out, |told| {
        insta::assert_snapshot!(told.lines().take(5).collect::<Vec<_>>().join("\n"), @"
        SEVERITY  CODE                      PLACE REASON
        error     status_without_artifacts  TASK-1/runs/RUN-1                     it succeeded, and artifacts of it are missing or changed
        error     artifact_changed          TASK-1/runs/RUN-1/artifacts/plan.txt  it has the digest blake3:5e73fb4cff60..., and blake3:1ae40f607fd9... was journaled
        artifact_changed: to do: `runjournal repair` brings it back if the run has its content elsewhere, with `--from BACKUP` also from there; or, while the run is not complete, keep what is there with `runjournal artifact adopt`
        status_without_artifacts: to do: `runjournal repair`: see the findings of the run's artifacts
        ");
    });

    shell.refused(2, &["verify", "--read-data=3/2"]);
    let nothing = shell.refused(3, &["verify", "RUN-9"]);
    assert!(nothing.contains("no task RUN-9, and no run's id is RUN-9 or starts"), "{nothing}");
    shell.refused(3, &["verify", "--manifest", "none.json"]);
    let damaged = shell.refused(5, &["verify", "--manifest", "plan"]);
    assert!(
        damaged.contains("`runjournal repair --apply`") && !damaged.contains("::"),
        "{damaged}"
    );
}

#[test]
fn a_backup_bears_witness() {
    let shell = Shell::with_run();
    shell.ok(&["event", "append", "-r", "RUN-1", "noted"]);
    shell.ok(&["backup", "create", "first"]);
    let whole = fs::read(shell.run_file("journal/events.jsonl")).unwrap();
    shell.ok(&["event", "append", "-r", "RUN-1", "noted"]);
    shell.ok(&["backup", "create", "second"]);
    for what in [None, Some("TASK-1"), Some("RUN-1")] {
        let args = ["verify", "--backup", "second"].into_iter().chain(what);
        assert!(shell.ok(&args.collect::<Vec<_>>()).starts_with("0 errors, 0 warnings, 0 notes"));
    }
    // An older copy of the journal, as it was at the first backup.
    fs::write(shell.run_file("journal/events.jsonl"), whole).unwrap();
    assert_eq!(shell.go(&["verify"]).exit, 0);
    assert_eq!(shell.go(&["verify", "--backup", "first"]).exit, 0);
    let list = shell.json(&["backup", "list", "second"]);
    let id = list["snapshots"][0]["snapshot_id"].as_str().unwrap().to_owned();
    for args in [
        &["verify", "--backup", "second"][..],
        &["verify", "RUN-1", "--backup", "second", "--snapshot", &id],
    ] {
        let told = shell.go(args);
        assert_eq!(told.exit, 1, "{}", told.out);
        assert!(
            told.out.contains("journal_shorter") && told.out.contains(&format!("snapshot {id}"))
        );
    }
    fs::remove_dir_all(shell.run_file("")).unwrap();
    let told = shell.go(&["verify", "--backup", "first"]);
    assert_eq!(told.exit, 1);
    assert!(told.out.contains("journal_missing") && told.out.contains("TASK-1/runs/RUN-1"));

    shell.refused(3, &["verify", "--backup", "nowhere"]);
    shell.refused(3, &["verify", "--backup", "first", "--snapshot", "ffffffff"]);
    shell.refused(2, &["verify", "--snapshot", &id]);
    // A snapshot of another workspace is not taken by itself.
    shell.ok(&["--root", "other", "init"]);
    shell.refused(3, &["--root", "other", "verify", "--backup", "first"]);
}

/// What a damaged genesis file keeps from being opened is found by the name of its directory.
#[test]
fn what_cannot_be_opened_is_verified_repaired_and_copied_by_its_name() {
    let shell = Shell::with_run();
    shell.write("plan", "fetch");
    shell.ok(&["artifact", "put", "-r", "RUN-1", "plan.txt", "plan"]);
    shell.ok(&["backup", "create", "kept"]);
    let task = shell.run_file("../../task.json");
    for (file, names, place) in [
        (shell.run_file("run.json"), &["RUN-1", "TASK-1/RUN-1"][..], "TASK-1/runs/RUN-1/run.json"),
        (task, &["TASK-1", "TASK-1/RUN-1"], "TASK-1/task.json"),
    ] {
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[1..]).unwrap();
        for name in names {
            let is_told = place.ends_with("run.json") || *name == "TASK-1";
            let told = shell.go(&["verify", name]);
            assert_eq!(told.exit, i32::from(is_told), "{name}: {}{}", told.out, told.err);
            assert_eq!(told.out.contains(place), is_told, "{}", told.out);
            let copied = shell.go(&["backup", "create", "another", name]);
            assert_eq!(copied.exit, 1, "{name}: {}{}", copied.out, copied.err);
        }
        shell.ok(&["repair", names[0], "--apply", "--from", "kept"]);
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
    shell.refused(3, &["verify", "RUN-9"]);
    shell.refused(3, &["verify", "TASK-1/RUN-9"]);
    fs::create_dir(shell.run_file("../../../no-task")).unwrap();
    shell.refused(3, &["verify", "no-task"]);
}
