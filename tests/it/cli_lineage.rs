//! `lineage`, as a shell sees it.

use serde_json::{Value, json};

use crate::cli::{Shell, check};

fn step(shell: &Shell, name: &str, input: &str, script: &str) {
    let args = ["step", "run", "-r", "RUN-1", name, "--input", input, "--", "sh", "-c", script];
    shell.ok(&args);
}

#[test]
fn lineage_is_shown_to_people_and_programs() {
    let shell = Shell::with_run();
    shell.write("goal", "ship");
    shell.ok(&["artifact", "put", "-r", "RUN-1", "goal.txt", "goal"]);
    step(&shell, "plan", "goal.txt", "echo plan > $RUNJOURNAL_OUT/plan.txt");
    step(&shell, "work", "plan.txt", "echo report > $RUNJOURNAL_OUT/report.txt");
    let fresh = shell.go(&["lineage", "stale", "-r", "RUN-1"]);
    assert_eq!((fresh.exit, fresh.out.as_str(), fresh.err.as_str()), (0, "", "nothing is stale\n"));
    assert_eq!(shell.json(&["lineage", "stale", "-r", "RUN-1"])["steps"], json!([]));
    let told = [
        shell.ok(&["lineage", "why", "-r", "RUN-1", "report.txt"]),
        shell.ok(&["lineage", "stale", "-r", "RUN-1", "goal.txt"]),
        shell.refused(3, &["lineage", "why", "-r", "RUN-1", "none.txt"]),
    ];
    check(&told.join("\n"), |told| {
        insta::assert_snapshot!(told, @"
        report.txt v0 blake3:3258941ccb89... by step work, attempt 1, seq 7
        └─ plan.txt v0 blake3:abec779bf623... by step plan, attempt 1, seq 4
           └─ goal.txt v0 blake3:64e5c6d18adb... written outside of a step by node, seq 1

        STEP  TURN  ATTEMPT  OUTPUTS     BECAUSE
        plan  1     1        plan.txt    goal.txt would change, it read v0
        work  1     1        report.txt  plan.txt v0 is by step plan, attempt 1, which is stale

        error: the journal of [DIR]/workspaces/TASK-1/runs/RUN-1 says nothing of none.txt
          to do: `runjournal artifact list` shows what it knows, and `runjournal artifact adopt` takes in a file that is there
        ")
    });

    shell.write("goal", "ship it");
    shell.ok(&["artifact", "put", "-r", "RUN-1", "goal.txt", "goal"]);
    let answer = shell.go(&["lineage", "stale", "-r", "RUN-1"]);
    assert_eq!(answer.exit, 1);
    insta::assert_snapshot!(answer.err, @"to do: each again as its next turn, from the top: `runjournal step run --if-changed`, `Step::skip_if_unchanged`, or a later turn of the flow");
    insta::assert_snapshot!(answer.out, @"
    STEP  TURN  ATTEMPT  OUTPUTS     BECAUSE
    plan  1     1        plan.txt    goal.txt is now v1, it read v0
    work  1     1        report.txt  plan.txt v0 is by step plan, attempt 1, which is stale
    ");
    let steps = shell.json(&["lineage", "stale", "-r", "RUN-1"]);
    check(&serde_json::to_string_pretty(&steps["steps"][1]).unwrap(), |told| {
        insta::assert_snapshot!(told, @r#"
    {
      "attempt": 1,
      "input": {
        "digest": "[DIGEST]",
        "path": "plan.txt",
        "seq": 4,
        "version": 0
      },
      "now": {
        "digest": "[DIGEST]",
        "seq": 4,
        "version": 0
      },
      "outputs": [
        "report.txt"
      ],
      "reason": "suspect",
      "seq": 6,
      "step": "work",
      "through": "plan",
      "turn": 1
    }
    "#);
    });
    assert_eq!(steps["steps"][0]["reason"], "changed");
    assert_eq!(steps["steps"][0]["now"]["version"], 1);

    let versions = shell.json(&["lineage", "why", "-r", "RUN-1", "report.txt"]);
    let lines = shell.jsonl(&["lineage", "why", "-r", "RUN-1", "report.txt"]);
    assert_eq!(versions["versions"], Value::Array(lines));
    check(&serde_json::to_string_pretty(&versions["versions"]).unwrap(), |told| {
        insta::assert_snapshot!(told, @r#"
    [
      {
        "adopted": false,
        "attempt": {
          "attempt": 1,
          "seq": 6,
          "state": "completed",
          "step": "work",
          "turn": 1
        },
        "digest": "[DIGEST]",
        "path": "report.txt",
        "seq": 7,
        "sources": [
          {
            "digest": "[DIGEST]",
            "path": "plan.txt",
            "seq": 4,
            "version": 0
          }
        ],
        "version": 0
      },
      {
        "adopted": false,
        "attempt": {
          "attempt": 1,
          "seq": 3,
          "state": "completed",
          "step": "plan",
          "turn": 1
        },
        "digest": "[DIGEST]",
        "path": "plan.txt",
        "seq": 4,
        "sources": [
          {
            "digest": "[DIGEST]",
            "path": "goal.txt",
            "seq": 1,
            "version": 0
          }
        ],
        "version": 0
      },
      {
        "actor": {
          "id": null,
          "kind": "node"
        },
        "adopted": false,
        "digest": "[DIGEST]",
        "path": "goal.txt",
        "seq": 1,
        "sources": [],
        "version": 0
      }
    ]
    "#);
    });

    // As it says: what is done again is not stale, and what follows need not be done if it would be the same.
    let again = |name, input, script: &str| {
        let args = ["step", "run", "-r", "RUN-1", name, "--if-changed", "--input", input, "--"];
        shell.ok(&[&args[..], &["sh", "-c", script]].concat());
    };
    again("plan", "goal.txt", "echo plan > $RUNJOURNAL_OUT/plan.txt");
    again("work", "plan.txt", "echo report > $RUNJOURNAL_OUT/report.txt");
    let done = shell.go(&["lineage", "stale", "-r", "RUN-1"]);
    assert_eq!((done.exit, done.err.as_str()), (0, "nothing is stale\n"), "{}", done.out);
    let report = shell.json(&["lineage", "why", "-r", "RUN-1", "report.txt"]);
    assert_eq!(report["versions"][0]["version"], 0, "{report}");
}
