//! `verify`, as a shell sees it.

use std::fs;

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
    let told =
        shell.go(&["verify", "TASK-1/RUN-1", "--read-data", "--manifest", kept.to_str().unwrap()]);
    check(&told.out, |told| {
        insta::assert_snapshot!(told.lines().take(5).collect::<Vec<_>>().join("\n"), @"
        SEVERITY  CODE                      PLACE                                 REASON
        error     status_without_artifacts  TASK-1/runs/RUN-1                     it succeeded, and artifacts of it are missing or changed
        error     artifact_changed          TASK-1/runs/RUN-1/artifacts/plan.txt  it has the digest [DIGEST], and [DIGEST] was journaled
        artifact_changed: to do: `runjournal repair` brings it back if the run has its content elsewhere, with `--from BACKUP` also from there; or, while the run is not complete, keep what is there with `runjournal artifact adopt`
        status_without_artifacts: to do: `runjournal repair`: see the findings of the run's artifacts
        ");
    });

    shell.refused(2, &["verify", "--read-data=3/2"]);
    shell.refused(3, &["verify", "RUN-9"]);
    shell.refused(3, &["verify", "--manifest", "none.json"]);
    shell.refused(5, &["verify", "--manifest", "plan"]);
}
