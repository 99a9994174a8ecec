//! What comes to stand at a name between the last look at it and the rename to it: it stays, and who wanted the name
//! is refused and loses nothing.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::Utf8PathBuf;
use runjournal::proof::{Call, Node, Verdict, Watch};
use runjournal::{Backup, RunId, Scope, TaskId, TaskOptions, Workspace};

use super::Catch;
use super::scene::{Scene, node};
use crate::place::{RUN, TASK};
use crate::{Base, Outcome, ensure, raw};

pub(super) const ALL: &[Catch] = &[Catch {
    bug: "restored-over",
    by: "taken: names",
    says: "4 names were taken from who had them: workspace.json, a restored task, a restored run, a moved run",
    tried: names,
}];

/// Each place where something whole gets a name that must not be taken.
fn names() -> Outcome {
    let mut taken = Vec::new();
    for (what, stays) in [
        ("workspace.json", workspace()?),
        ("a restored task", restored_task()?),
        ("a restored run", restored_run()?),
        ("a moved run", moved_run()?),
    ] {
        taken.extend((!stays).then_some(what));
    }
    ensure(taken.is_empty(), || {
        format!("{} names were taken from who had them: {}", taken.len(), taken.join(", "))
    })
}

/// Somebody makes a directory right before something else gets its name: an empty one, which a plain rename to it
/// would replace without a word.
#[derive(Debug)]
struct Maker {
    path: Utf8PathBuf,
    came: AtomicBool,
}

impl Maker {
    fn comes(&self, to: &CStr) {
        let is_meant = self.path.file_name().map(str::as_bytes) == Some(to.to_bytes());
        if is_meant && !self.came.swap(true, Ordering::SeqCst) {
            // Whether it could be made is looked at afterwards.
            let _ = std::fs::create_dir(&self.path);
        }
    }
}

impl Watch for Maker {
    fn before(&self, call: &Call<'_>) -> Verdict {
        if let Call::Rename { to, .. } = call {
            self.comes(to);
        }
        Verdict::Go
    }
}

/// True if what came between stayed. Then it was refused, and goes through once the name is free.
fn stays(scene: &Scene, path: Utf8PathBuf, call: impl Fn() -> Outcome) -> Outcome<bool> {
    let maker = Arc::new(Maker { path: path.clone(), came: AtomicBool::new(false) });
    let watching = scene.watched_by(&maker);
    let made = call();
    drop(watching);
    ensure(maker.came.load(Ordering::SeqCst), || format!("nothing was to get the name of {path}"))?;
    if std::fs::read_dir(&path)?.next().is_some() {
        return Ok(false);
    }
    ensure(made.is_err(), || format!("it went well, and {path} is somebody else's"))?;
    std::fs::remove_dir(&path)?;
    call().map_err(|found| found.at(format_args!("made again, once {path} was free")))?;
    Ok(true)
}

/// Somebody makes a workspace where one is about to be restored.
fn workspace() -> Outcome<bool> {
    let scene = Scene::with(Base::Run)?;
    let backup = Backup::create_at(scene.place.dir().join("backup"))?;
    let snapshot = backup.take(&scene.place.workspace()?)?;
    let root = scene.place.dir().join("restored");
    let plan = snapshot.restore_to(&root).plan()?;
    Workspace::create(&root)?;
    let file = root.join("workspace.json");
    let made: (Node, _) = (node(&file)?, std::fs::read(&file)?);
    // Refused or not, what stands there stays.
    let _ = plan.apply();
    Ok((node(&file)?, std::fs::read(&file)?) == made)
}

fn restored_task() -> Outcome<bool> {
    restored(TASK, Scope::task(TaskId::new(TASK)?))
}

fn restored_run() -> Outcome<bool> {
    let run = Scope::run(TaskId::new(TASK)?, RunId::new(RUN)?);
    restored(&format!("{TASK}/runs/{RUN}"), run)
}

/// What is at this path is lost, and restored.
fn restored(path: &str, scope: Scope) -> Outcome<bool> {
    let scene = Scene::with(Base::Run)?;
    let backup = Backup::create_at(scene.place.dir().join("backup"))?;
    let snapshot = backup.take(&scene.place.workspace()?)?;
    let path = scene.place.root().join(path);
    std::fs::remove_dir_all(&path)?;
    let stays = stays(&scene, path, || {
        snapshot.restore_to(scene.place.root()).scope(scope.clone()).plan()?.apply()?;
        Ok(())
    })?;
    ensure(!stays || scene.artifact("plan.json")? == "the first plan", || {
        "it was not restored".into()
    })?;
    Ok(stays)
}

fn moved_run() -> Outcome<bool> {
    let scene = Scene::with(Base::Run)?;
    let other = scene.place.workspace()?.create_task("TASK-2", TaskOptions::default())?;
    let (here, there) = (scene.place.run_dir(), other.path().join("runs").join(RUN));
    let before = raw::records(&here, "run.json")?.len();
    let stays = stays(&scene, there.clone(), || {
        // Whether or not it is let go, it is whole where it is.
        let whole = raw::records(&here, "run.json")?.len();
        ensure(whole == before, || format!("{whole} of {before} records are left of it"))?;
        scene.place.run()?.move_to(&scene.place.workspace()?.task("TASK-2")?)?;
        Ok(())
    })?;
    let moved = raw::records(&there, "run.json").map_or(0, |records| records.len());
    ensure(!stays || moved == before, || format!("{moved} of {before} records came along"))?;
    Ok(stays)
}
