//! A workspace with everything in it, and a backup of it: what is there to be damaged.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::index::Index;
use runjournal::testing::with_eager_heads;
use runjournal::{
    ArtifactName, Backup, Durability, Event, Manifest, Repair, RunContext, RunId, Session,
    SessionStatus, Signal, Snapshot, Task, TaskId, TaskOptions, Work, Workspace,
};
use serde_json::json;

use super::answers::Answers;
use super::{backup, index};
use crate::tree::settle;
use crate::{Outcome, Violation};

const A: ArtifactName = ArtifactName::from_static("a.txt");
const B: ArtifactName = ArtifactName::from_static("below/b.json");
const GONE: ArtifactName = ArtifactName::from_static("gone.txt");
const WAITS: ArtifactName = ArtifactName::from_static("waits.txt");

/// The workspace, within a directory.
const WORKSPACE: &str = "workspace";
/// The backup.
const BACKUP: &str = "backup";

/// What was made, and what it answers while it is whole.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) dir: Utf8PathBuf,
    /// Every file, by its path from there.
    pub(super) files: Vec<Utf8PathBuf>,
    /// The same, by what is alike.
    pub(super) kinds: Vec<Vec<Utf8PathBuf>>,
    /// What the workspace answers.
    pub(super) answers: Answers,
    /// What the index answers.
    pub(super) index: String,
    /// What a restore brings back.
    pub(super) restored: backup::Files,
    /// What knows how far the runs' journals reach.
    pub(super) witnesses: Vec<Manifest>,
}

pub(super) fn workspace(dir: &Utf8Path) -> Outcome<Workspace> {
    Ok(with_eager_heads(Workspace::open(dir.join(WORKSPACE))?))
}

pub(super) fn backup_of(dir: &Utf8Path) -> Outcome<Backup> {
    Ok(Backup::open(dir.join(BACKUP))?)
}

/// What is in which part of the scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Workspace,
    Index,
    Backup,
}

/// The part that a file is in.
pub(super) fn part(file: &Utf8Path) -> Part {
    if file.starts_with(BACKUP) {
        Part::Backup
    } else if file.starts_with(WORKSPACE.to_owned() + "/.index") {
        Part::Index
    } else {
        Part::Workspace
    }
}

impl Scene {
    /// Makes it in a directory that is not there yet.
    pub(super) fn make(dir: &Utf8Path) -> Outcome<Self> {
        fs::create_dir_all(dir)?;
        let workspace = with_eager_heads(Workspace::create(dir.join(WORKSPACE))?);
        let options = TaskOptions { title: "All".into(), objective: "To be damaged".into() };
        let task = workspace.create_task(TaskId::new("TASK-1")?, options)?;
        for run in ["RUN-1", "RUN-2", "RUN-3"] {
            fill(&task, run)?;
        }
        task.run("RUN-1")?.complete(runjournal::Outcome::Success, None)?;
        task.run("RUN-3")?.complete(runjournal::Outcome::Failed, Some("for the trial"))?;
        let open = task.run("RUN-2")?.context().clone();
        quarantine(&workspace, &open)?;
        claimed(&workspace)?;
        waits(&open)?;
        let kept = Backup::create_at(dir.join(BACKUP))?;
        let mut first = kept.take(&workspace)?;
        open.append(Event::new("noted").payload(&"between two snapshots"))?;
        first.hold("to be kept")?;
        kept.take(&workspace)?;
        Index::of(&workspace).rebuild()?;
        settle(dir)?;
        Self::look(dir)
    }

    fn look(dir: &Utf8Path) -> Outcome<Self> {
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
            let entry = entry?;
            let path = Utf8Path::from_path(entry.path())
                .ok_or_else(|| Violation::new("a path is not UTF-8"))?;
            // A lock file holds nothing.
            if entry.file_type().is_file() && path.file_name() != Some(".lock") {
                files.push(path.strip_prefix(dir)?.to_owned());
            }
        }
        let workspace = workspace(dir)?;
        let task = workspace.task("TASK-1")?;
        let witnesses = ["RUN-1", "RUN-2", "RUN-3"].into_iter().map(|run| {
            let run = task.run(run)?;
            Ok(run.context().manifest()?)
        });
        let witnesses = witnesses.collect::<Outcome<Vec<_>>>()?;
        Ok(Self {
            dir: dir.to_owned(),
            answers: Answers::of(&workspace, &witnesses, &newest(dir)?)?,
            index: index::answer(&Index::of(&workspace))?,
            restored: backup::restored(dir, &dir.with_file_name("restored-whole"))?,
            witnesses,
            kinds: kinds(&files),
            files,
        })
    }

    /// The file that a blow with this number is for, and how many came before on this file.
    pub(super) fn file(&self, number: u64) -> Outcome<(&Utf8PathBuf, u64)> {
        let none = || Violation::new("there is no file");
        let (number, kinds) = (usize::try_from(number)?, self.kinds.len().max(1));
        let of_kind = self.kinds.get(number % kinds).ok_or_else(none)?;
        let (turn, count) = (number / kinds, of_kind.len().max(1));
        let file = of_kind.get(turn % count).ok_or_else(none)?;
        Ok((file, (turn / count) as u64))
    }

    /// Files of others that could stand in the place of this one.
    pub(super) fn alike(&self, file: &Utf8Path) -> Vec<Utf8PathBuf> {
        let kind = kind(file);
        let others = self.files.iter().filter(|other| *other != file && self::kind(other) == kind);
        others.cloned().collect()
    }
}

fn kinds(files: &[Utf8PathBuf]) -> Vec<Vec<Utf8PathBuf>> {
    let mut kinds = BTreeMap::<String, Vec<Utf8PathBuf>>::new();
    for file in files {
        kinds.entry(kind(file)).or_default().push(file.clone());
    }
    kinds.into_values().collect()
}

/// What is alike in files of the same kind: their name; of what has a name of its own, its directory's.
fn kind(file: &Utf8Path) -> String {
    let name = file.file_name().unwrap_or_default();
    for kind in ["objects", "artifacts", "snapshots", ".tmp", ".quarantine", "checkpoints"] {
        if file.components().any(|part| part.as_str() == kind) {
            return format!("{kind} {:?}", part(file));
        }
    }
    if name.starts_with(".head.") { ".head.".to_owned() } else { name.to_owned() }
}

pub(super) fn newest(dir: &Utf8Path) -> Outcome<Snapshot> {
    let newest = backup_of(dir)?.snapshots()?.pop();
    newest.ok_or_else(|| Violation::new("there is no snapshot"))
}

/// A run with all that a run can have.
fn fill(task: &Task, run: &str) -> Outcome {
    let ctx = task.start_run_as(RunId::new(run)?)?;
    let store = ctx.artifacts();
    store.write_bytes(A, b"first")?;
    store.write_bytes(B, format!("{{\"of\": \"{run}\"}}\n").as_bytes())?;
    store.write_bytes(GONE, b"to be removed")?;
    ctx.step("work", |s| {
        s.write_bytes(A, format!("second, of {run}").as_bytes())?;
        s.write_bytes(ArtifactName::from_static("large.txt"), run.repeat(1500).as_bytes())?;
        Ok(Signal::new("done"))
    })?;
    store.remove(GONE)?;
    ctx.append(Event::new("said").payload(&format!("{run} ").repeat(12_000)))?;
    let event = |n: u64| Event::new("noted").stream("talk", "1").payload(&json!({"n": n}));
    ctx.journal()?.append_batch(&[event(1), event(2), event(3)])?;
    ctx.append(event(4).key("once"))?;
    ctx.queue().add(Work::new("item").input(&json!({"of": run})))?;
    let session: Session = ctx.session("talk", "provider")?;
    session.update_with(SessionStatus::Running, &json!({"turn": 7}))?;
    session.stop()?;
    ctx.request_approval("ask", "May I?", &["yes", "no"])?;
    ctx.resolve_approval("ask", "yes", "somebody")?;
    ctx.checkpoint(1)?;
    store.write_bytes(A, format!("third, of {run}").as_bytes())?;
    ctx.checkpoint(2)?;
    Ok(())
}

/// What a repair set aside.
fn quarantine(workspace: &Workspace, ctx: &RunContext) -> Outcome {
    fs::write(ctx.artifact_path(&A), "by hand")?;
    let repaired = Repair::of(workspace).run()?;
    crate::ensure(repaired.failed.is_empty() && repaired.done.len() == 1, || {
        format!("the scene cannot be repaired: {repaired:?}")
    })
}

/// A task under a lease, with its hint, and a run of it.
fn claimed(workspace: &Workspace) -> Outcome {
    let task = workspace.create_task(TaskId::new("TASK-2")?, TaskOptions::default())?;
    let lease = task.claim("worker", Duration::from_secs(3600))?;
    let ctx = lease.task().start_run_as(RunId::new("RUN-1")?)?;
    ctx.artifacts().write_bytes(A, b"under a lease")?;
    ctx.journal()?.durability(Durability::Durable).append(Event::new("noted"))?;
    lease.renew()?;
    let beating = lease.heartbeat()?;
    drop(beating);
    Ok(())
}

/// A commit that a crash kept from being put in place.
fn waits(ctx: &RunContext) -> Outcome {
    ctx.artifacts().write_bytes(WAITS, b"committed, not applied")?;
    let record = ctx.events()?.in_stream("artifact", WAITS.as_str()).next();
    let record = record.ok_or_else(|| Violation::new("nothing was committed"))??;
    let stage = ctx.run_path().join(format!(".tmp/{}", record.event_id()));
    Ok(fs::rename(ctx.artifact_path(&WAITS), stage)?)
}
