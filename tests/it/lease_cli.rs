//! `lease`, as a shell sees it.

use crate::cli::Shell;

#[test]
fn a_task_is_claimed_worked_on_and_released() {
    let mut shell = Shell::with_run();
    let never = shell.refused(3, &["lease", "show", "TASK-1"]);
    assert_eq!(
        never,
        "error: there is no lease on TASK-1, for nobody ever claimed it\n  to do: `runjournal lease claim` does\n"
    );
    let lease = shell.ok(&["lease", "claim", "TASK-1", "--worker", "w-1", "--ttl", "1h"]);
    let lease = lease.trim_end().to_owned();
    assert_eq!(lease, "TASK-1/3");

    let held = shell.refused(4, &["lease", "claim", "TASK-1", "--worker", "w-2"]);
    assert!(
        held.starts_with("error: the task TASK-1 is claimed already: worker \"w-1\""),
        "{held}"
    );
    let stranger = shell.refused(4, &["event", "append", "-r", "RUN-1", "noted"]);
    assert!(stranger.contains("TASK-1/3") && stranger.contains("RUNJOURNAL_LEASE"), "{stranger}");
    shell.refused(4, &["run", "start", "TASK-1"]);
    let shown = shell.json(&["lease", "show", "TASK-1"]);
    assert_eq!((&shown["state"], &shown["worker_id"]), (&"held".into(), &"w-1".into()));

    shell.variables.push(("RUNJOURNAL_LEASE", lease.clone()));
    shell.ok(&["event", "append", "-r", "RUN-1", "noted"]);
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    let until = shell.ok(&["lease", "renew", "TASK-1"]);
    assert!(until.starts_with("ends in "), "{until}");
    // A program that is run as a step is in the lease as well.
    let script = "runjournal event append in_step && test \"$RUNJOURNAL_LEASE\" = TASK-1/3";
    shell.ok(&["step", "run", "-r", "RUN-1", "work", "--", "sh", "-c", script]);
    // A lease of another task is passed over.
    shell.ok(&["task", "create", "TASK-2"]);
    shell.ok(&["run", "start", "TASK-2", "--run-id", "OTHER"]);
    shell.ok(&["event", "append", "-r", "OTHER", "noted"]);
    shell.refused(2, &["lease", "renew", "TASK-2"]);

    shell.ok(&["lease", "release", "TASK-1"]);
    shell.ok(&["lease", "release", "TASK-1", "--token", "3"]);
    assert!(shell.ok(&["lease", "show", "TASK-1"]).contains("released"));
    let next = shell.ok(&["lease", "claim", "TASK-1", "--worker", "w-2", "--ttl", "50ms"]);
    let lost = shell.refused(4, &["event", "append", "-r", "RUN-1", "noted"]);
    assert!(lost.contains("the lease TASK-1/3 does not hold"), "{lost}");
    shell.refused(4, &["lease", "release", "TASK-1"]);
    // Whoever waits gets it once it expired.
    let waited =
        shell.ok(&["lease", "claim", "TASK-1", "--worker", "w-3", "--ttl", "1s", "--wait", "20s"]);
    assert_ne!(next, waited);
    shell.refused(2, &["lease", "claim", "TASK-1", "--worker", "", "--ttl", "1s"]);
    shell.refused(2, &["lease", "claim", "TASK-1", "--worker", "w", "--ttl", "soon"]);
    shell.refused(3, &["lease", "claim", "TASK-9", "--worker", "w"]);
    shell.variables[0].1 = "nonsense".to_owned();
    let bad = shell.refused(2, &["event", "append", "-r", "RUN-1", "noted"]);
    assert!(bad.contains("RUNJOURNAL_LEASE"), "{bad}");
}

#[test]
fn whoever_claims_is_told_his_own_token_or_that_it_is_lost() {
    let shell = Shell::with_run();
    let tokens: Vec<_> = std::thread::scope(|scope| {
        let claim = |name: String| {
            let shell = &shell;
            move || {
                let args =
                    ["lease", "claim", "TASK-1", "--worker", &name, "--ttl", "1ms", "--wait", "5s"];
                (0..15).map(|_| (name.clone(), shell.go(&args))).collect::<Vec<_>>()
            }
        };
        let workers: Vec<_> =
            (0..4).map(|number| scope.spawn(claim(format!("w-{number}")))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let records = shell.run_file("../../journal/events.jsonl");
    let records = std::fs::read_to_string(records).unwrap();
    let mut told = 0;
    for (name, answer) in tokens {
        if answer.exit == 0 {
            told += 1;
            let token = answer.out.trim_end().strip_prefix("TASK-1/").unwrap();
            let claim =
                records.lines().find(|line| line.starts_with(&format!("{{\"seq\":{token},")));
            let owner = format!("\"worker_id\":\"{name}\"");
            assert!(claim.unwrap().contains(&owner), "{name} was told {token}");
        } else {
            assert!(answer.err.contains("does not hold"), "{}", answer.err);
        }
    }
    assert!(told > 0);
}
