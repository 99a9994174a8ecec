//! A snapshot of a backup as a witness: what was lost or forged since is told of, and what went on is not.

use std::fs;

use runjournal::{
    Code, Event, Finding, Prune, PrunePolicy, ReadData, Snapshot, Verify, VerifyError, Workspace,
};

use crate::backups::Lab;
use crate::prune::days;
use crate::verify_fixtures::{Made, name};

fn held_against(workspace: &Workspace, snapshot: &Snapshot) -> Vec<Finding> {
    let verify = Verify::of(workspace).read_data(ReadData::All);
    snapshot.witness(verify).unwrap().run().unwrap().findings
}

#[track_caller]
fn assert_told(findings: &[Finding], code: Code, path: &str, snapshot: &Snapshot) {
    let by = format!("snapshot {}", snapshot.id());
    let told = findings.iter().any(|finding| {
        finding.code == code && finding.place.path.ends_with(path) && finding.reason.contains(&by)
    });
    assert!(told, "{code} at {path}: {findings:?}");
}

#[test]
fn every_cut_at_a_records_end_is_told_of_by_a_snapshot() {
    let lab = Lab::with_runs();
    let snapshot = lab.take();
    assert_eq!(held_against(lab.test.workspace(), &snapshot), []);
    for home in ["TASK-1/runs/RUN-1", "TASK-1/runs/RUN-2", "TASK-1", "TASK-2"] {
        let path = format!("{home}/journal/events.jsonl");
        let file = lab.test.root().join(&path);
        // Nobody else in the run knows how far it went.
        let _ = fs::remove_file(lab.test.root().join(home).join("manifest.json"));
        let journal = fs::read(&file).unwrap();
        let ends = journal.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let ends: Vec<_> = ends.map(|(at, _)| at + 1).filter(|end| *end < journal.len()).collect();
        for cut in [0].into_iter().chain(ends) {
            fs::write(&file, &journal[..cut]).unwrap();
            let findings = held_against(lab.test.workspace(), &snapshot);
            assert_told(&findings, Code::JournalShorter, &path, &snapshot);
        }
        fs::write(&file, &journal).unwrap();
    }
    assert_eq!(held_against(lab.test.workspace(), &snapshot), []);
}

#[test]
fn what_goes_on_since_is_no_finding() {
    let lab = Lab::with_runs();
    let snapshot = lab.take();
    let open = lab.ctx("RUN-2");
    open.append(Event::new("noted")).unwrap();
    open.artifacts().write_bytes(name("a.txt"), b"third").unwrap();
    open.artifacts().write_bytes(name("new.txt"), b"new").unwrap();
    open.artifacts().remove(name("large.bin")).unwrap();
    lab.run("RUN-3");
    assert_eq!(held_against(lab.test.workspace(), &snapshot), []);
    let run = snapshot.witness(Verify::of(&open).read_data(ReadData::All)).unwrap();
    assert_eq!(run.run().unwrap().findings, []);
}

/// What was damaged when the snapshot was taken is not held against what was mended since.
#[test]
fn what_a_snapshot_has_as_damaged_bears_no_witness() {
    let lab = Lab::with_runs();
    let (a, large) = (lab.ctx("RUN-1").artifact_path(&name("a.txt")), name("large.bin"));
    let large = lab.ctx("RUN-1").artifact_path(&large);
    let whole = [&a, &large].map(|path| fs::read(path).unwrap());
    fs::write(&a, "changed").unwrap();
    fs::remove_file(&large).unwrap();
    let snapshot = lab.take();
    assert_eq!(snapshot.findings().len(), 2);
    fs::write(&a, &whole[0]).unwrap();
    fs::write(&large, &whole[1]).unwrap();
    assert_eq!(held_against(lab.test.workspace(), &snapshot), []);
}

#[test]
fn a_forged_history_is_told_of_by_a_snapshot() {
    let made = Made::new();
    made.write("a.txt", "first");
    let lab = Lab::new();
    let snapshot = lab.backup().take(made.test.workspace()).unwrap();
    // The artifact and its record are others, and the chain is whole.
    fs::write(made.ctx.journal_path(), b"").unwrap();
    // Who forges leaves no cache that knows better.
    let _ = fs::remove_file(made.ctx.run_path().join("journal/.head"));
    fs::remove_file(made.ctx.artifact_path(&name("a.txt"))).unwrap();
    made.forge("note_taken", "run/RUN-1", 0, &serde_json::json!({"text": "another"}));
    let alone = Verify::of(made.test.workspace()).read_data(ReadData::All);
    assert!(alone.run().unwrap().is_clean());
    let findings = held_against(made.test.workspace(), &snapshot);
    assert_told(&findings, Code::JournalShorter, "RUN-1/journal/events.jsonl", &snapshot);
    let missing = |finding: &Finding| finding.code == Code::ArtifactMissing;
    assert!(findings.iter().any(missing), "{findings:?}");
}

#[test]
fn a_run_or_a_task_that_is_gone_is_told_unless_it_was_pruned() {
    let lab = Lab::with_runs();
    let snapshot = lab.take();
    let policy = PrunePolicy { success: days(0), ..PrunePolicy::default() };
    lab.test.clock().advance(1_000_000);
    let plan = Prune::of(lab.test.workspace()).policy(policy).plan().unwrap();
    assert_eq!(plan.apply().unwrap().runs.len(), 1);
    assert_eq!(held_against(lab.test.workspace(), &snapshot), []);

    let gone = lab.test.root().join("TASK-1/runs/RUN-2");
    fs::remove_dir_all(&gone).unwrap();
    // As a removal that was interrupted leaves it.
    for _ in 0..2 {
        let findings = held_against(lab.test.workspace(), &snapshot);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_told(&findings, Code::JournalMissing, "TASK-1/runs/RUN-2", &snapshot);
        fs::create_dir_all(gone.join("journal")).unwrap();
    }
    // Also where the task's journal does not know it any more.
    fs::write(lab.test.task().path().join("journal/events.jsonl"), b"").unwrap();
    let findings = held_against(lab.test.workspace(), &snapshot);
    assert_told(&findings, Code::JournalMissing, "TASK-1/runs/RUN-2", &snapshot);
    assert_told(&findings, Code::JournalMissing, "TASK-1/runs/RUN-1", &snapshot);

    fs::remove_dir_all(lab.test.root().join("TASK-2")).unwrap();
    let findings = held_against(lab.test.workspace(), &snapshot);
    assert_told(&findings, Code::JournalMissing, "TASK-2", &snapshot);
    // What is not looked at is not held against anything.
    let verify = Verify::of(lab.test.task());
    let findings = snapshot.witness(verify).unwrap().run().unwrap().findings;
    assert!(!findings.iter().any(|finding| finding.place.path.ends_with("TASK-2")));
}

#[test]
fn a_manifest_of_what_is_not_looked_at_is_refused() {
    let lab = Lab::with_runs();
    let page = lab.ctx("RUN-1").manifest().unwrap();
    let refused = Verify::of(&lab.ctx("RUN-2")).witness(&page).run().unwrap_err();
    assert!(matches!(refused, VerifyError::WitnessOutside { .. }));
    insta::assert_snapshot!(refused, @"the manifest is of TASK-1/RUN-1, which is no part of what is verified (TASK-1/RUN-2); verify TASK-1/RUN-1 or the whole workspace, or leave it away");
    for verify in [
        Verify::of(&lab.ctx("RUN-1")),
        Verify::of(lab.test.task()),
        Verify::of(lab.test.workspace()),
    ] {
        assert_eq!(verify.witness(&page).run().unwrap().findings, []);
    }
}

/// A start that was interrupted leaves a run that was never there. What was held was there.
#[test]
fn a_held_run_that_is_gone_is_no_interrupted_start() {
    let lab = Lab::with_runs();
    let task = lab.test.task();
    task.hold_run(lab.ctx("RUN-1").run_id(), "the audit").unwrap();
    for run in ["RUN-1", "RUN-2"] {
        fs::remove_dir_all(lab.ctx(run).run_path()).unwrap();
    }
    let found = Verify::of(task).run().unwrap().findings;
    let codes: Vec<_> =
        found.iter().map(|found| (found.place.path.file_name(), found.code)).collect();
    assert_eq!(
        codes,
        [(Some("RUN-1"), Code::JournalMissing), (Some("RUN-2"), Code::UnbornRun)],
        "{found:?}"
    );
    assert!(found[0].reason.contains("it was held"), "{}", found[0].reason);
}
