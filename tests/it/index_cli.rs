//! `index` and `query`, as a shell sees them.

use std::fs;
use std::path::PathBuf;

use runjournal::Digest;
use serde_json::{Value, json};

use crate::cli::Shell;

/// Two tasks with three runs, of which one succeeded.
fn shell() -> Shell {
    let shell = Shell::with_run();
    shell.write("plan.json", "[1]\n");
    shell.ok(&["artifact", "put", "-r", "RUN-1", "plan.json", "plan.json"]);
    shell.ok(&["event", "append", "-r", "RUN-1", "noted", "--command-id", "C-1"]);
    shell.ok(&["step", "run", "-r", "RUN-1", "plan", "--", "true"]);
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    shell.ok(&["task", "create", "TASK-2"]);
    shell.ok(&["run", "start", "TASK-2", "--run-id", "OTHER"]);
    let moves = ["run", "complete", "OTHER", "--status", "failed", "--reason", "no"];
    shell.ok(&moves);
    shell
}

fn column<'a>(rows: &'a Value, name: &str) -> Vec<&'a str> {
    rows.as_array().unwrap().iter().map(|row| row[name].as_str().unwrap()).collect()
}

#[test]
fn the_index_is_made_refreshed_compared_and_found() {
    let shell = shell();
    let missing = shell.refused(3, &["index", "path"]);
    assert!(missing.contains("`runjournal index rebuild`"), "{missing}");
    let missing = shell.refused(3, &["index", "path", "--index", "/there"]);
    assert!(missing.contains("`runjournal --index /there index rebuild`"), "{missing}");
    shell.refused(3, &["index", "verify"]);
    let built = shell.json(&["index", "rebuild"]);
    assert_eq!(
        (&built["tasks"], &built["runs"], &built["looked_at"]),
        (&json!(2), &json!(3), &json!(5))
    );
    assert_eq!(shell.ok(&["index", "verify"]), "the index is what the tree says\n");
    let database = PathBuf::from(shell.ok(&["index", "path"]).trim_end());
    assert!(database.starts_with(fs::canonicalize(shell.path("workspaces/.index")).unwrap()));
    assert!(database.exists());

    shell.ok(&["event", "append", "-r", "RUN-2", "noted"]);
    let answer = shell.go(&["index", "verify"]);
    assert_eq!((answer.exit, answer.err.as_str()), (1, ""));
    assert!(answer.out.starts_with("VIEW"), "{}", answer.out);
    let differences = shell.jsonl(&["index", "verify"]);
    let event = differences.iter().find(|difference| difference["view"] == "events").unwrap();
    assert_eq!(event["side"], "tree");
    assert_eq!(event["row"]["event_type"], "noted");
    let refreshed = shell.ok(&["index", "refresh"]);
    assert!(refreshed.contains("2 tasks, 3 runs; "), "{refreshed}");
    shell.ok(&["index", "verify"]);
    let read = shell.json(&["index", "refresh", "--read-data"]);
    assert_eq!(read["looked_at"], 5, "it looked at everything");
    assert_eq!(PathBuf::from(shell.ok(&["index", "path"]).trim_end()), database);
}

#[test]
fn a_query_brings_the_index_up_to_the_tree_unless_told_not_to() {
    let shell = shell();
    shell.refused(3, &["query", "--stale", "runs"]);
    assert_eq!(shell.json(&["query", "runs"])["runs"].as_array().unwrap().len(), 3);
    shell.ok(&["run", "start", "TASK-2", "--run-id", "LATER"]);
    assert_eq!(shell.json(&["query", "runs", "--stale"])["runs"].as_array().unwrap().len(), 3);
    assert_eq!(shell.ok(&["query", "latest", "TASK-2"]), "TASK-2/LATER\n");
    // A refresh would not help, for there just was one.
    assert_eq!(
        shell.refused(3, &["query", "latest", "TASK-9"]),
        "error: there is no run of TASK-9\n  to do: `runjournal run list` shows those there are\n"
    );
    let stale = shell.refused(3, &["query", "latest", "TASK-9", "--stale"]);
    assert!(stale.contains("`runjournal index refresh`"), "{stale}");
    // A damaged one is made anew, and that is told.
    fs::write(shell.path("workspaces/.index/CURRENT"), "nonsense\n").unwrap();
    let damaged = shell.refused(5, &["query", "runs", "--stale"]);
    assert!(damaged.contains("`runjournal index rebuild`"), "{damaged}");
    let answer = shell.go(&["query", "latest", "TASK-2"]);
    assert_eq!((answer.exit, answer.out.as_str()), (0, "TASK-2/LATER\n"));
    assert!(answer.err.starts_with("the index was made anew: "), "{}", answer.err);
    // Where there is no room for one, that is told, and the way out.
    fs::write(shell.path("a-file"), "").unwrap();
    let refused = shell.go(&["query", "runs", "--index", "a-file/index"]);
    assert_eq!((refused.exit, refused.out.as_str()), (6, ""));
    assert!(refused.err.contains("there can be no index at "), "{}", refused.err);
    assert!(refused.err.contains("a-file/index: "), "{}", refused.err);
    assert!(refused.err.contains("by --index, or ask it as it is with --stale"), "{}", refused.err);
}

#[test]
fn the_named_queries_answer() {
    let shell = shell();
    let ask = |name: &str, args: &[&str]| {
        let document = shell.json(&[&["query"], args].concat());
        document[name].clone()
    };
    assert_eq!(column(&ask("tasks", &["tasks"]), "task_id"), ["TASK-2", "TASK-1"]);
    assert_eq!(ask("tasks", &["tasks", "--status", "done"]), json!([]));
    assert_eq!(ask("tasks", &["tasks", "--since", "2100-01-01T00:00:00Z"]), json!([]));
    let runs = ask("runs", &["runs", "--oldest-first"]);
    assert_eq!(column(&runs, "run_id"), ["RUN-1", "RUN-2", "OTHER"]);
    assert_eq!(column(&runs, "run_path")[0], "TASK-1/runs/RUN-1");
    assert_eq!(column(&ask("runs", &["runs", "TASK-1"]), "run_id"), ["RUN-2", "RUN-1"]);
    let failed = ask("runs", &["runs", "--status", "failed"]);
    assert_eq!((&failed[0]["run_id"], &failed[0]["reason"]), (&json!("OTHER"), &json!("no")));
    assert_eq!(column(&ask("runs", &["unfinished"]), "run_id"), ["RUN-2", "RUN-1"]);
    assert_eq!(ask("runs", &["unfinished", "TASK-2"]), json!([]));
    let digest = Digest::of(b"[1]\n").to_string();
    for filter in
        [["--digest", &digest], ["--path", "plan.json"], ["--larger-than", "3"], ["-r", "RUN-1"]]
    {
        let artifacts = ask("artifacts", &[&["artifacts"], filter.as_slice()].concat());
        assert_eq!(column(&artifacts, "path"), ["plan.json"]);
        assert_eq!(column(&artifacts, "file_path"), ["TASK-1/runs/RUN-1/artifacts/plan.json"]);
    }
    assert_eq!(ask("artifacts", &["artifacts", "--larger-than", "4"]), json!([]));
    let noted = ask("events", &["events", "--command-id", "C-1", "--type", "noted", "-r", "RUN-1"]);
    assert_eq!(column(&noted, "stream_id"), ["RUN-1"]);
    let journal =
        fs::read(shell.path("workspaces").join(noted[0]["journal_path"].as_str().unwrap()))
            .unwrap();
    let (from, bytes) =
        (noted[0]["first_byte"].as_u64().unwrap(), noted[0]["bytes"].as_u64().unwrap());
    let record: Value =
        serde_json::from_slice(&journal[from as usize..][..bytes as usize]).unwrap();
    assert_eq!(record["event_id"], noted[0]["event_id"]);
    let id = noted[0]["event_id"].as_str().unwrap();
    assert_eq!(ask("events", &["causes", id]), noted);
    assert_eq!(ask("events", &["events", "--caused-by", id]), json!([]));
    let starts = ask("events", &["events", "--task", "TASK-1", "--stream", "run/RUN-2"]);
    assert_eq!(column(&starts, "event_type"), ["run_started"]);
    let last = ask("events", &["events", "-r", "RUN-1", "--last-first", "--limit", "1"]);
    assert_eq!(column(&last, "event_type"), ["step_completed"]);
    let trace = last[0]["correlation_id"].as_str().unwrap();
    assert_eq!(ask("events", &["events", "--correlation", trace]).as_array().unwrap().len(), 4);
    let steps = ask("steps", &["steps", "--state", "completed", "--name", "plan", "-r", "RUN-1"]);
    assert_eq!(column(&steps, "signal"), ["success"]);
    for name in ["tasks", "runs", "artifacts", "events", "steps", "unfinished"] {
        let table = shell.ok(&["query", name]);
        assert!(
            table.lines().count() > 1 && table.lines().all(|line| line == line.trim_end()),
            "{table}"
        );
    }
    let id = "00000000-0000-7000-8000-000000000000";
    assert_eq!(
        shell.refused(3, &["query", "causes", id]),
        format!(
            "error: there is no event {id}\n  to do: `runjournal query events` shows those there are\n"
        )
    );
    shell.refused(3, &["query", "events", "-r", "RUN-9"]);
    shell.refused(2, &["query", "runs", "--status", "bad"]);
    shell.refused(2, &["query", "runs", "--after", "bad"]);
}

#[test]
fn rows_and_views_use_the_same_words() {
    let shell = shell();
    for view in ["tasks", "runs", "artifacts", "events", "steps"] {
        let rows = shell.jsonl(&["query", view]);
        let of_view = shell.jsonl(&["query", "sql", &format!("SELECT * FROM {view}")]);
        assert_eq!(rows.len(), of_view.len());
        for (word, value) in rows[0].as_object().unwrap() {
            // A step's journal is that of its run, which its view leaves out.
            if (view, word.as_str()) == ("steps", "journal_path") {
                continue;
            }
            assert!(of_view[0].get(word).is_some(), "{view} has no {word}");
            let same = |row: &Value| row[word] == *value || value.is_null();
            assert!(of_view.iter().any(same), "{word} of {view} is never {value}");
        }
    }
}

#[test]
fn findings_are_told_as_everywhere() {
    let shell = shell();
    assert_eq!(shell.json(&["query", "findings"])["findings"], json!([]));
    fs::write(shell.run_file("artifacts/plan.json"), "[2]\n").unwrap();
    let answer = shell.go(&["query", "findings"]);
    assert_eq!(answer.exit, 1);
    assert!(
        answer.out.contains("error     artifact_changed  TASK-1/runs/RUN-1/artifacts/plan.json  "),
        "{}",
        answer.out
    );
    assert!(answer.out.contains("\nartifact_changed: to do: "), "{}", answer.out);
    let finding = &shell.json(&["query", "findings", "-r", "RUN-1"])["findings"][0];
    assert_eq!(finding["code"], "artifact_changed");
    assert!(fs::metadata(finding["place"]["path"].as_str().unwrap()).is_ok());
    assert_eq!(shell.go(&["query", "findings", "-r", "RUN-2"]).exit, 0);
    // A note comes first, and is all that the page shows.
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-0"]);
    fs::remove_dir_all(shell.run_file("../RUN-0")).unwrap();
    let answer = shell.go(&["query", "findings", "--limit", "1", "--format", "json"]);
    assert!(answer.out.contains("unborn_run"), "{}", answer.out);
    assert_eq!(answer.exit, 1);
}

#[test]
fn pages_follow_one_another() {
    let shell = shell();
    let all = shell.jsonl(&["query", "events"]);
    let mut seen = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut args = vec!["query", "events", "--limit", "3"];
        args.extend(next.iter().flat_map(|next| ["--after", next.as_str()]));
        let page = shell.json(&args);
        seen.extend(page["events"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(cursor) => next = Some(cursor.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, all);
    let next = next.unwrap();
    let answer = shell.go(&["query", "events", "--limit", "3"]);
    assert!(answer.err.starts_with("there is more: --after "), "{}", answer.err);
    let page = shell.go(&["query", "events", "--limit", "3", "--format", "json"]);
    assert_eq!((page.exit, page.err.as_str()), (0, ""));
    let other = shell.refused(4, &["query", "runs", "--after", &next]);
    assert!(other.contains("begin with the first page"), "{other}");
    shell.ok(&["index", "rebuild"]);
    shell.refused(4, &["query", "events", "--limit", "3", "--after", &next]);
}

#[test]
fn sql_is_asked_and_only_reads() {
    let shell = shell();
    let sql = "SELECT run_id, records, x'00ff' AS bytes FROM runs WHERE task_id = $1 ORDER BY 1";
    let table = shell.ok(&["query", "sql", sql, "TASK-1"]);
    assert_eq!(table, "run_id  records  bytes\nRUN-1   4        00ff\nRUN-2   0        00ff\n");
    let rows = [
        json!({"run_id": "RUN-1", "records": 4, "bytes": "00ff"}),
        json!({"run_id": "RUN-2", "records": 0, "bytes": "00ff"}),
    ];
    assert_eq!(shell.json(&["query", "sql", sql, "TASK-1"])["rows"], json!(rows));
    assert_eq!(shell.jsonl(&["query", "sql", sql, "TASK-1"]), rows);
    for sql in ["DELETE FROM t_runs", "SELECT 1; SELECT 2", "PRAGMA journal_mode = DELETE", "SELEC"]
    {
        let refused = shell.refused(2, &["query", "sql", sql]);
        assert!(refused.contains("cannot be run"), "{refused}");
    }
}

#[test]
fn the_views_are_named_where_one_looks_for_them() {
    let shell = shell();
    let refused = shell.refused(2, &["query", "sql", "SELECT * FROM nowhere"]);
    let views = refused.split("ask one of the views: ").nth(1).unwrap().trim_end();
    let help =
        shell.ok(&["query", "sql", "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
    let format = fs::read_to_string("docs/format.md").unwrap();
    for view in views.split(", ") {
        shell.ok(&["query", "sql", &format!("SELECT COUNT(*) FROM {view}")]);
        assert!(
            help.contains(&format!(" {view},")) || help.contains(&format!(" {view}.")),
            "{view}"
        );
        assert!(format.contains(&format!("`{view}`")), "{view}");
    }
}

#[test]
fn the_index_can_be_elsewhere() {
    let mut shell = shell();
    let dir = shell.path("elsewhere").to_str().unwrap().to_owned();
    shell.ok(&["query", "runs", "--index", &dir]);
    assert!(!shell.path("workspaces/.index").exists());
    assert!(shell.ok(&["--index", &dir, "index", "path"]).starts_with(&dir));
    shell.refused(3, &["index", "path"]);
    shell.variables.push(("RUNJOURNAL_INDEX", dir.clone()));
    assert!(shell.ok(&["index", "path"]).starts_with(&dir));
}
