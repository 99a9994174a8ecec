//! `checkpoint` and `diff`, as a shell sees them.

use std::fs;

use serde_json::json;

use crate::cli::{Shell, check};

fn put(shell: &Shell, name: &str, content: &str) {
    shell.write("content", content);
    shell.ok(&["artifact", "put", "-r", "RUN-1", name, "content"]);
}

/// A run with two turns.
fn two_turns() -> Shell {
    let shell = Shell::with_run();
    put(&shell, "plan.txt", "one\ntwo\n");
    put(&shell, "dir/gone.txt", "soon\n");
    shell.ok(&["checkpoint", "create", "-r", "RUN-1"]);
    put(&shell, "plan.txt", "one\n2\n");
    put(&shell, "image.png", "\0");
    shell.ok(&["artifact", "remove", "-r", "RUN-1", "dir/gone.txt"]);
    shell.ok(&["checkpoint", "create", "-r", "RUN-1"]);
    shell
}

fn artifact(shell: &Shell, name: &str) -> std::path::PathBuf {
    shell.path("workspaces/TASK-1/runs/RUN-1/artifacts").join(name)
}

#[test]
fn turns_are_made_listed_and_shown() {
    let shell = Shell::with_run();
    put(&shell, "plan.txt", "one\ntwo\n");
    fs::write(artifact(&shell, "by-hand.txt"), "mine").unwrap();
    let made = shell.go(&["checkpoint", "create", "-r", "RUN-1"]);
    let told = [
        made.out,
        made.err,
        shell.ok(&["checkpoint", "create", "-r", "RUN-1", "--turn", "1"]),
        shell.ok(&["checkpoint", "list", "-r", "RUN-1"]),
        shell.ok(&["checkpoint", "cat", "-r", "RUN-1", "1", "plan.txt"]),
        shell.refused(4, &["checkpoint", "create", "-r", "RUN-1", "--turn", "5"]),
        shell.refused(3, &["checkpoint", "cat", "-r", "RUN-1", "2", "plan.txt"]),
        shell.refused(3, &["checkpoint", "cat", "-r", "RUN-1", "1", "none.txt"]),
    ];
    check(&told.join("\n"), |told| {
        insta::assert_snapshot!(told, @"
        turn 1  seq 1  1 artifact  715a3cbb9b87

        not kept: 1 file under artifacts/ that no record names; see `artifact list`

        turn 1  seq 1  1 artifact  715a3cbb9b87  (stood there)

        TURN  SEQ  CREATED ARTIFACTS
        1     1    [AGO] 715a3cbb9b87

        one
        two

        error: turn 5 cannot be checkpointed: the next turn of [DIR]/workspaces/TASK-1/runs/RUN-1 is 2
          to do: leave the turn out, or checkpoint that one first

        error: [DIR]/workspaces/TASK-1/runs/RUN-1 has no checkpoint of turn 2
          to do: `runjournal checkpoint list` shows those there are

        error: turn 1 of [DIR]/workspaces/TASK-1/runs/RUN-1 has no artifact none.txt
          to do: `runjournal checkpoint restore 1 --to DIR` writes out those that it has
        ")
    });
    let listed = shell.json(&["checkpoint", "list", "-r", "RUN-1"]);
    assert_eq!(
        (&listed["checkpoints"][0]["turn"], &listed["checkpoints"][0]["seq"]),
        (&json!(1), &json!(1))
    );
    let again = shell.json(&["checkpoint", "create", "-r", "RUN-1", "--turn", "1"]);
    assert_eq!((&again["created"], &again["artifacts"]), (&json!(false), &json!(1)));

    fs::write(artifact(&shell, "plan.txt"), "by hand").unwrap();
    put(&shell, "new.txt", "new");
    fs::write(artifact(&shell, "new.txt"), "by hand").unwrap();
    let refused = shell.refused(4, &["checkpoint", "create", "-r", "RUN-1"]);
    check(&refused, |told| {
        insta::assert_snapshot!(told, @"
        error: [DIR]/workspaces/TASK-1/runs/RUN-1/artifacts/new.txt has the digest [DIGEST], and the journal says [DIGEST]
          to do: `runjournal artifact adopt new.txt` journals what is there, `runjournal verify` tells of all such files
        ")
    });
    let object = shell.path("workspaces/TASK-1/runs/RUN-1/checkpoints/1.json");
    fs::write(object, "{}").unwrap();
    let refused = shell.refused(5, &["checkpoint", "cat", "-r", "RUN-1", "1", "plan.txt"]);
    check(&refused, |told| {
        insta::assert_snapshot!(told, @"
        error: [DIR]/workspaces/TASK-1/runs/RUN-1/checkpoints/1.json is damaged: it has the digest [DIGEST], and seq 2 names [DIGEST]
          to do: `runjournal repair --apply` makes it again from the journal
        ")
    });
}

#[test]
fn a_turn_is_restored_here_or_elsewhere() {
    let shell = two_turns();
    fs::write(artifact(&shell, "mine.txt"), "mine").unwrap();
    let planned = shell.go(&["checkpoint", "restore", "-r", "RUN-1", "1"]);
    assert_eq!((planned.exit, planned.err.as_str()), (1, ""));
    assert!(artifact(&shell, "image.png").exists());
    let told = [
        shell.ok(&["checkpoint", "restore", "-r", "RUN-1", "1", "--to", "out/turn-1"]),
        shell.refused(4, &["checkpoint", "restore", "-r", "RUN-1", "1", "--to", "out/turn-1"]),
        planned.out,
        shell.ok(&["checkpoint", "restore", "-r", "RUN-1", "1", "--apply"]),
        shell.go(&["checkpoint", "restore", "-r", "RUN-1", "1"]).err,
    ];
    check(&told.join("\n"), |told| {
        insta::assert_snapshot!(told, @"
        turn 1: 2 artifacts in out/turn-1

        error: out/turn-1 is not empty
          to do: name a directory that is, or that is not there yet

        would restore  dir/gone.txt
        would restore  plan.txt
        would remove   image.png
        3 artifacts to change; the same with `--apply` does it

        restored  dir/gone.txt
        restored  plan.txt
        removed   image.png

        nothing differs from that turn
        ")
    });
    for path in [artifact(&shell, "dir/gone.txt"), shell.path("out/turn-1/dir/gone.txt")] {
        assert_eq!(fs::read_to_string(path).unwrap(), "soon\n");
    }
    assert!(!artifact(&shell, "image.png").exists());
    assert_eq!(fs::read_to_string(artifact(&shell, "mine.txt")).unwrap(), "mine");
    for apply in [false, true] {
        let words: &[&str] = if apply { &["--apply"] } else { &[] };
        let back = shell.json(&[&["checkpoint", "restore", "-r", "RUN-1", "2"], words].concat());
        let told = (&back["applied"], &back["written"], &back["removed"]);
        let (written, removed) = (json!(["image.png", "plan.txt"]), json!(["dir/gone.txt"]));
        assert_eq!(told, (&json!(apply), &written, &removed));
    }
}

#[test]
fn an_evening_of_work_is_not_lost_by_going_back() {
    let shell = two_turns();
    fs::write(artifact(&shell, "plan.txt"), "an evening").unwrap();
    let back = ["checkpoint", "restore", "-r", "RUN-1", "1"];
    let refused = shell.refused(4, &back);
    assert_eq!(refused, shell.refused(4, &[&back[..], &["--apply"]].concat()));
    check(&refused, |told| {
        insta::assert_snapshot!(told, @"
    error: [DIR]/workspaces/TASK-1/runs/RUN-1/artifacts/plan.txt has the digest [DIGEST], and the journal says [DIGEST], so that restoring would lose what is there
      to do: `runjournal artifact adopt plan.txt` and `runjournal checkpoint create` keep it, `--force` loses it
    ")
    });
    assert_eq!(fs::read_to_string(artifact(&shell, "plan.txt")).unwrap(), "an evening");
    let forced = shell.go(&[&back[..], &["--force"]].concat());
    assert_eq!((forced.exit, forced.err.as_str()), (1, ""));
    assert_eq!(fs::read_to_string(artifact(&shell, "plan.txt")).unwrap(), "an evening");
    shell.ok(&[&back[..], &["--force", "--apply"]].concat());
    assert_eq!(fs::read_to_string(artifact(&shell, "plan.txt")).unwrap(), "one\ntwo\n");
}

#[test]
fn turns_and_runs_are_compared() {
    let shell = two_turns();
    let differ = |args: &[&str]| {
        let answer = shell.go(args);
        assert_eq!((answer.exit, answer.err.as_str()), (1, ""), "{args:?}");
        answer.out
    };
    let told = [
        differ(&["diff", "RUN-1@1", "RUN-1@2"]),
        differ(&["diff", "TASK-1/RUN-1@1", "RUN-1", "--stat"]),
        differ(&["diff", "RUN-1@2", "RUN-1@1", "--name-only", "dir", "plan.txt"]),
    ];
    check(&told.join("\n"), |told| {
        insta::assert_snapshot!(told, @"
        diff --git a/dir/gone.txt b/dir/gone.txt
        deleted file mode 100644
        --- a/dir/gone.txt
        +++ /dev/null
        @@ -1 +0,0 @@
        -soon
        diff --git a/image.png b/image.png
        new file mode 100644
        Binary files /dev/null and b/image.png differ
        diff --git a/plan.txt b/plan.txt
        --- a/plan.txt
        +++ b/plan.txt
        @@ -1,2 +1,2 @@
         one
        -two
        +2

        NAME          CHANGE   LINES    SIZE  NOW
        dir/gone.txt  removed  +0 -1    5 B   -
        image.png     added    no text  -     1 B
        plan.txt      changed  +1 -1    8 B   6 B

        dir/gone.txt
        plan.txt
        ")
    });
    let changes = shell.go(&["diff", "RUN-1@1", "RUN-1@2", "image.png", "--format", "json"]);
    check(&changes.out, |told| {
        insta::assert_snapshot!(told, @r#"
    {
      "version": 1,
      "changes": [
        {
          "path": "image.png",
          "kind": "added",
          "after": {
            "digest": "[DIGEST]",
            "size": 1
          }
        }
      ]
    }
    "#)
    });
    let same = shell.go(&["diff", "RUN-1@2", "RUN-1"]);
    assert_eq!((same.exit, same.out.as_str(), same.err.as_str()), (0, "", "nothing differs\n"));
    let same = shell.go(&["diff", "RUN-1@1", "RUN-1@2", "other"]);
    assert_eq!((same.exit, same.out.as_str()), (0, ""));

    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    assert!(differ(&["diff", "RUN-2", "RUN-1"]).contains("+++ b/plan.txt"));
    shell.refused(3, &["diff", "RUN-1@3", "RUN-1"]);
    shell.refused(3, &["diff", "RUN-7", "RUN-1"]);
    let refused = shell.refused(2, &["diff", "RUN-1@last", "RUN-1"]);
    check(&refused, |told| {
        insta::assert_snapshot!(told, @r#"
        error: "RUN-1@last" names no turn
          to do: give its number behind the @, as in RUN@3
        "#)
    });
}
