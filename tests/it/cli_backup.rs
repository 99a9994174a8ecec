//! `backup`, as a shell sees it.

use std::fs;

use crate::cli::{Shell, check};

fn with_artifact() -> Shell {
    let shell = Shell::with_run();
    shell.write("goal", "ship");
    shell.ok(&["artifact", "put", "-r", "RUN-1", "goal.txt", "goal"]);
    shell
}

fn id(shell: &Shell, number: usize) -> String {
    let list = shell.json(&["backup", "list", "copies"]);
    list["snapshots"][number]["snapshot_id"].as_str().unwrap().to_owned()
}

/// A path of the workspace, as JSON has it.
fn in_full(shell: &Shell, path: &str) -> String {
    shell.path("workspaces").join(path).display().to_string()
}

#[test]
fn a_run_is_backed_up_lost_and_restored() {
    let shell = with_artifact();
    let created = shell.ok(&["backup", "create", "copies"]);
    assert!(created.starts_with("snapshot "), "{created}");
    assert!(created.contains(" of workspace: 1 run, 5 files, "), "{created}");
    let again = shell.json(&["backup", "create", "copies", "TASK-1/RUN-1"]);
    assert_eq!((&again["scope"], &again["new_bytes"]), (&"TASK-1/RUN-1".into(), &0.into()));
    assert_eq!(shell.json(&["backup", "create", "copies", "TASK-1"])["scope"], "TASK-1");
    assert_eq!(shell.json(&["backup", "list", "copies"])["snapshots"].as_array().unwrap().len(), 3);
    let verified = shell.ok(&["backup", "verify", "copies", "--read-data"]);
    assert!(verified.starts_with("3 snapshots, 8 objects, "), "{verified}");

    fs::remove_dir_all(shell.run_file("")).unwrap();
    let plan = shell.ok(&["backup", "restore", "copies", "--dry-run"]);
    assert!(plan.contains("TASK-1/runs/RUN-1") && plan.contains("put"), "{plan}");
    let plan = shell.json(&["backup", "restore", "copies", "--dry-run"]);
    assert_eq!((&plan["applied"], &plan["restored"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(plan["plan"][1]["path"], in_full(&shell, "TASK-1/runs/RUN-1"));
    shell.refused(3, &["run", "show", "RUN-1"]);
    let restored = shell.json(&["backup", "restore", "copies", "TASK-1/RUN-1"]);
    assert_eq!(
        restored["restored"]["put"],
        serde_json::json!([in_full(&shell, "TASK-1/runs/RUN-1")])
    );
    assert_eq!(restored["applied"], true);
    assert_eq!(shell.ok(&["artifact", "get", "-r", "RUN-1", "goal.txt"]), "ship");
    let done = shell.ok(&["backup", "restore", "copies"]);
    assert!(done.contains("0 put into ") && done.contains("2 there already"), "{done}");

    let elsewhere = shell.ok(&["backup", "restore", "copies", "--to", "elsewhere"]);
    assert!(elsewhere.contains("2 put into "), "{elsewhere}");
    let moved = ["--root", "elsewhere", "artifact", "get", "-r", "RUN-1", "goal.txt"];
    assert_eq!(shell.ok(&moved), "ship");
}

#[test]
fn what_is_wrong_has_its_exit_code() {
    let shell = with_artifact();
    fs::create_dir(shell.path("mine")).unwrap();
    fs::write(shell.path("mine/file"), "of mine").unwrap();
    let root = shell.path("workspaces/copies").display().to_string();
    let told = [
        shell.refused(3, &["backup", "list", "nowhere"]),
        shell.refused(4, &["backup", "create", "mine"]),
        shell.refused(2, &["backup", "create", &root]),
        shell.refused(3, &["backup", "create", "copies", "RUN-9"]),
    ];
    check(&told.join(""), |told| {
        insta::assert_snapshot!(told);
    });
    assert!(!shell.path("copies").exists(), "nothing is made for a run that is not there");
    shell.ok(&["backup", "create", "copies"]);
    let first = id(&shell, 0);
    shell.refused(3, &["backup", "restore", "copies", "--snapshot", "x"]);
    shell.refused(3, &["backup", "restore", "copies", "TASK-9"]);
    shell.refused(2, &["backup", "restore", "copies", "TASK-1/RUN 1"]);
    let usage = shell.refused(2, &["backup", "prune", "copies"]);
    let both = "<--keep-last <N>|--keep-within <TIME>>";
    assert!(usage.contains(both), "{usage}");
    shell.refused(2, &["backup", "prune", "copies", "--keep-within", "soon"]);
    for time in ["30", "30d", "12h", "never"] {
        let plan = shell.ok(&["backup", "prune", "copies", "--keep-within", time]);
        assert!(plan.starts_with("0 snapshots and "), "{plan}");
    }
    shell.ok(&["event", "append", "-r", "RUN-1", "went_on"]);
    shell.refused(4, &["backup", "restore", "copies", "--snapshot", &first]);
    let plan = shell.go(&["backup", "restore", "copies", "--dry-run"]);
    assert_eq!(plan.exit, 4);
    assert!(plan.out.contains("refused: it stands there, and is not what"), "{}", plan.out);

    fs::write(shell.run_file("artifacts/goal.txt"), "changed").unwrap();
    let found = shell.go(&["backup", "create", "copies"]);
    assert_eq!((found.exit, found.err.as_str()), (1, ""));
    assert!(
        found.out.contains("error     artifact_changed  TASK-1/runs/RUN-1/artifacts/goal.txt  ")
    );
}

#[test]
fn old_snapshots_are_planned_away() {
    let shell = with_artifact();
    for number in 0..3 {
        shell.ok(&["backup", "create", "copies"]);
        shell.ok(&["event", "append", "-r", "RUN-1", &format!("went_on_{number}")]);
    }
    let (first, prune) = (id(&shell, 0), ["backup", "prune", "copies", "--keep-last", "1"]);
    shell.ok(&["backup", "hold", "copies", &first, "--reason", "the first"]);
    assert!(shell.ok(&["backup", "list", "copies"]).contains("the first"));
    let plan = shell.ok(&prune);
    assert!(plan.contains("1 snapshot and 2 objects of "), "{plan}");
    assert!(
        plan.contains("to remove, 2 others to keep; the same with `--apply` does it"),
        "{plan}"
    );
    let lifted = shell.ok(&["backup", "unhold", "copies", &first]);
    assert_eq!(lifted, format!("snapshot {first} is not held any more\n"));
    let again = shell.ok(&["backup", "unhold", "copies", &first]);
    assert_eq!(again, format!("snapshot {first} was not held\n"));
    assert_eq!(shell.json(&prune)["applied"], false);
    let pruned = shell.json(&[&prune[..], &["--apply"]].concat());
    assert_eq!((&pruned["applied"], &pruned["pruned"]["snapshots"]), (&true.into(), &2.into()));
    assert_eq!(pruned["keep"][0]["why"], "newest");
    assert_eq!(shell.json(&["backup", "list", "copies"])["snapshots"].as_array().unwrap().len(), 1);
    shell.ok(&["backup", "verify", "copies", "--read-data"]);
}

#[test]
fn a_run_of_a_backup_is_named_by_what_its_id_begins_with() {
    let shell = with_artifact();
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-20"]);
    shell.ok(&["backup", "create", "copies"]);
    // The newest does not have it, and does not keep it from being found.
    fs::remove_dir_all(shell.path("workspaces/TASK-1/runs/RUN-20")).unwrap();
    assert_eq!(shell.go(&["backup", "create", "copies"]).exit, 1);
    let restore = |what: &str| shell.json(&["backup", "restore", "copies", what]);
    let put = serde_json::json!([in_full(&shell, "TASK-1/runs/RUN-20")]);
    assert_eq!(restore("RUN-2")["restored"]["put"], put);
    assert_eq!(restore("TASK-1/RUN-2")["restored"]["put"], serde_json::json!([]));
    assert_eq!(restore("RUN-1")["plan"][1]["path"], in_full(&shell, "TASK-1/runs/RUN-1"));
    let several = shell.refused(2, &["backup", "restore", "copies", "RUN-"]);
    assert!(several.contains("TASK-1/RUN-1") && several.contains("TASK-1/RUN-20"), "{several}");
    let none = shell.refused(3, &["backup", "restore", "copies", "RUN-3"]);
    assert!(none.contains("there is no snapshot of RUN-3 in "), "{none}");
    let newest = id(&shell, 1);
    shell.refused(3, &["backup", "restore", "copies", "RUN-2", "--snapshot", &newest]);
}

#[test]
fn ids_of_snapshots_are_as_long_as_they_need_to_be() {
    let shell = with_artifact();
    for _ in 0..2 {
        shell.ok(&["backup", "create", "copies"]);
    }
    let ids = [id(&shell, 0), id(&shell, 1)];
    let list = shell.ok(&["backup", "list", "copies"]);
    let shown: Vec<_> = list.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    for (id, shown) in ids.iter().zip(&shown) {
        assert!(id.starts_with(shown) && (8..id.len()).contains(&shown.len()), "{list}");
        shell.ok(&["backup", "hold", "copies", shown, "--reason", "why"]);
        shell.ok(&["backup", "unhold", "copies", shown]);
        shell.ok(&["backup", "restore", "copies", "--snapshot", shown, "--dry-run"]);
    }
    assert_ne!(shown[0], shown[1]);
    assert!(list.lines().all(|line| line.len() <= 80), "{list}");
}

#[test]
fn damage_of_a_backup_is_told() {
    let shell = with_artifact();
    shell.ok(&["backup", "create", "copies"]);
    let digest = runjournal::Digest::of(b"ship").to_hex();
    let object = shell.path("copies/objects").join(&digest[..2]).join(&digest[2..]);
    fs::write(object, "shop").unwrap();
    shell.ok(&["backup", "verify", "copies"]);
    let found = shell.go(&["backup", "verify", "copies", "--read-data"]);
    assert_eq!(found.exit, 1);
    assert!(found.out.contains("error     object_changed  objects/"), "{}", found.out);
    assert!(
        found.out.contains("object_changed: to do: remove this file; the next"),
        "{}",
        found.out
    );
    let refused = shell.refused(5, &["backup", "restore", "copies", "--to", "elsewhere"]);
    assert!(refused.contains("is damaged"), "{refused}");
    assert!(!shell.path("elsewhere/TASK-1").exists());
}

/// Flips a bit in the journal of the run, and makes a snapshot of that.
fn back_up_damage(shell: &Shell) {
    let journal = shell.run_file("journal/events.jsonl");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[0] ^= 4;
    fs::write(&journal, bytes).unwrap();
    assert_eq!(shell.go(&["backup", "create", "copies"]).exit, 1);
}

/// What a call says that ends with findings.
fn told(shell: &Shell, args: &[&str]) -> String {
    let told = shell.go(args);
    assert_eq!(told.exit, 1, "{args:?}: {}{}", told.out, told.err);
    told.out
}

fn told_as_json(shell: &Shell, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&told(shell, &[args, &["--format", "json"]].concat())).unwrap()
}

#[test]
fn a_snapshot_of_damage_is_passed_over() {
    let shell = with_artifact();
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    shell.ok(&["backup", "create", "copies"]);
    let journal = fs::read(shell.run_file("journal/events.jsonl")).unwrap();
    shell.ok(&["event", "append", "-r", "RUN-2", "went_on"]);
    back_up_damage(&shell);
    fs::rename(shell.path("workspaces/TASK-1"), shell.path("aside")).unwrap();
    let (good, newest) = (id(&shell, 0), id(&shell, 1));

    let restore = ["backup", "restore", "copies", "TASK-1/RUN-1"];
    let plan = told(&shell, &[&restore[..], &["--dry-run"]].concat());
    let newer = format!("TASK-1/runs/RUN-1: snapshot {newest}, taken ");
    assert!(plan.contains(&newer) && plan.contains("broken_chain"), "{plan}");
    assert!(plan.contains(&format!("so it is put from snapshot {good}, taken ")), "{plan}");
    let task = format!("TASK-1: put from snapshot {good}, taken ");
    assert!(plan.contains(&task) && plan.contains(", as its run is\n"), "{plan}");
    let done = told_as_json(&shell, &restore);
    assert_eq!(
        (&done["snapshot_id"], &done["passed_over"]["snapshot_id"]),
        (&good.into(), &newest.clone().into())
    );
    assert_eq!(done["passed_over"]["findings"][0]["code"], "broken_chain");
    assert_eq!(fs::read(shell.run_file("journal/events.jsonl")).unwrap(), journal);
    // The damage of one run says nothing of another.
    let other = shell.json(&["backup", "restore", "copies", "TASK-1/RUN-2"]);
    assert_eq!(
        (&other["snapshot_id"], &other["passed_over"]),
        (&newest.into(), &serde_json::Value::Null)
    );
}

#[test]
fn damage_that_is_restored_is_told() {
    let shell = with_artifact();
    back_up_damage(&shell);
    let restore = |to: &str| shell.go(&["backup", "restore", "copies", "TASK-1/RUN-1", "--to", to]);
    let only = restore("first");
    assert_eq!(only.exit, 1, "{}", only.err);
    assert!(only.err.contains("no snapshot has TASK-1/RUN-1 without errors"), "{}", only.err);
    assert!(only.out.contains("\nerror     broken_chain "), "{}", only.out);
    assert!(shell.path("first/TASK-1/runs/RUN-1/run.json").exists());
    let there = restore("first");
    assert_eq!(there.exit, 0, "nothing was put in place: {}", there.out);
    let named = ["backup", "restore", "copies", "--snapshot", &id(&shell, 0), "--to", "second"];
    let named = shell.go(&[&named[..], &["--format", "json"]].concat());
    assert_eq!(named.exit, 1);
    let page: serde_json::Value = serde_json::from_str(&named.out).unwrap();
    assert_eq!(page["plan"][0]["findings"], serde_json::json!([]), "the task is whole");
    assert_eq!(page["plan"][1]["findings"][1]["code"], "broken_chain");
}

#[test]
fn each_run_comes_from_the_newest_snapshot_that_is_good() {
    let shell = with_artifact();
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    shell.ok(&["backup", "create", "copies"]);
    let journal = fs::read(shell.run_file("journal/events.jsonl")).unwrap();
    shell.ok(&["event", "append", "-r", "RUN-2", "went_on"]);
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-3"]);
    back_up_damage(&shell);
    let (good, newest) = (id(&shell, 0), id(&shell, 1));
    let show = ["backup", "restore", "copies", "--to", "first", "--dry-run"];
    let shown = told(&shell, &show);
    let passed = format!("TASK-1/runs/RUN-1: snapshot {newest}, taken ");
    assert!(shown.contains(&passed) && shown.contains("broken_chain"), "{shown}");
    assert!(shown.contains(&format!("so it is put from snapshot {good}, taken ")), "{shown}");

    let done = told_as_json(&shell, &["backup", "restore", "copies", "--to", "first"]);
    assert_eq!(done["snapshot_id"], serde_json::Value::Null, "it is from two of them");
    let shown = told(&shell, &["backup", "restore", "copies", "--to", "third"]);
    assert!(shown.contains("4 put into third from 2 snapshots, 0 there"), "{shown}");
    let from = |number: usize| {
        let item = &done["plan"][number];
        (item["path"].as_str().unwrap(), item["snapshot_id"].as_str().unwrap())
    };
    let to = shell.path("first").display().to_string();
    let run = |id: &str| format!("{to}/TASK-1/runs/{id}");
    assert_eq!(from(0), (format!("{to}/TASK-1").as_str(), newest.as_str()));
    assert_eq!(from(1), (run("RUN-1").as_str(), good.as_str()));
    assert_eq!(from(2), (run("RUN-2").as_str(), newest.as_str()));
    assert_eq!(from(3), (run("RUN-3").as_str(), newest.as_str()));
    assert_eq!(done["plan"][1]["passed_over"][0]["code"], "broken_chain");
    assert_eq!(done["plan"][2]["passed_over"], serde_json::json!([]));
    let first = shell.path("first/TASK-1/runs");
    assert_eq!(fs::read(first.join("RUN-1/journal/events.jsonl")).unwrap(), journal);
    let went_on = fs::read_to_string(first.join("RUN-2/journal/events.jsonl")).unwrap();
    assert!(went_on.contains("went_on"));
    // Into a task that stands, each run is told of with the snapshot that it is from.
    fs::rename(shell.run_file(""), shell.path("aside")).unwrap();
    let again = told_as_json(&shell, &["backup", "restore", "copies", "TASK-1"]);
    let put = in_full(&shell, "TASK-1/runs/RUN-1");
    assert_eq!(again["restored"]["put"], serde_json::json!([put]));
    let task = fs::read_to_string(shell.path("workspaces/TASK-1/journal/events.jsonl")).unwrap();
    assert!(task.lines().last().unwrap().contains(&good), "{task}");
}

#[test]
fn no_run_is_newer_than_its_task() {
    let shell = with_artifact();
    shell.ok(&["backup", "create", "copies"]);
    let journal = fs::read(shell.run_file("journal/events.jsonl")).unwrap();
    shell.ok(&["event", "append", "-r", "RUN-1", "went_on"]);
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    let of_task = shell.path("workspaces/TASK-1/journal/events.jsonl");
    let mut bytes = fs::read(&of_task).unwrap();
    bytes[0] ^= 4;
    fs::write(&of_task, bytes).unwrap();
    assert_eq!(shell.go(&["backup", "create", "copies"]).exit, 1);
    let (good, newest) = (id(&shell, 0), id(&shell, 1));
    let restore = ["backup", "restore", "copies", "--to", "first", "--format", "json"];
    let done = shell.go(&restore);
    assert_eq!(done.exit, 1, "not all of it was restored: {}", done.err);
    let page: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(page["snapshot_id"], good.as_str(), "nothing is put from {newest}");
    for number in [0, 1] {
        assert_eq!(page["plan"][number]["snapshot_id"], good.as_str());
    }
    let left = page["plan"][2]["action"]["left"].as_str().unwrap();
    let advice = format!("TASK-1/RUN-2 --to {}` puts it in", shell.path("first").display());
    assert!(left.contains("backup restore") && left.contains(&advice), "{left}");
    let first = shell.path("first/TASK-1/runs");
    assert_eq!(fs::read(first.join("RUN-1/journal/events.jsonl")).unwrap(), journal);
    assert!(!first.join("RUN-2").exists());
    // By its name it comes, and the task is told.
    let by_name = ["backup", "restore", "copies", "TASK-1/RUN-2", "--to", "first"];
    shell.ok(&by_name);
    assert_eq!(shell.go(&["--root", "first", "verify"]).exit, 0);
}
