//! Repairs, one for each means: what was damaged comes back, and what stood there is kept.

use std::fs;

use camino::Utf8PathBuf;
use runjournal::{
    ArtifactName, Backup, Durability, ReadData, Repair, RunContext, TaskOptions, Verify,
};

use super::{Base, Operation, Seen, plain};
use crate::place::TASK;
use crate::{Outcome, Place, ensure};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "repair_artifact",
        prepare: |place, _| {
            let ctx = written(place, &["plan.json"])?;
            backup(place)?.take(&ctx)?;
            strange(&file(&ctx, "artifacts/plan.json"))
        },
        ..repair()
    },
    Operation {
        name: "repair_object",
        prepare: |place, _| {
            let ctx = written(place, &["plan.json"])?;
            ctx.next_checkpoint()?;
            let digest = runjournal::Digest::of(PLAN).to_hex();
            strange(&file(&ctx, &format!("objects/{}/{}", &digest[..2], &digest[2..])))
        },
        ..repair()
    },
    Operation {
        name: "repair_checkpoint",
        prepare: |place, _| {
            let ctx = written(place, &[])?;
            ctx.next_checkpoint()?;
            strange(&file(&ctx, "checkpoints/1.json"))
        },
        ..repair()
    },
    Operation {
        name: "repair_manifest",
        recovery_killed: true,
        prepare: |place, _| {
            let ctx = written(place, &[])?;
            ctx.manifest()?.write(&ctx)?;
            strange(&file(&ctx, "manifest.json"))
        },
        ..repair()
    },
    Operation {
        name: "repair_commit",
        prepare: |place, _| {
            let ctx = written(place, &["plan.json"])?;
            let record = ctx.events()?.in_stream("artifact", "plan.json").next();
            let id = record.ok_or_else(|| crate::Violation::new("no record"))??.event_id();
            let artifact = file(&ctx, "artifacts/plan.json");
            fs::rename(&artifact, file(&ctx, &format!(".tmp/{id}")))?;
            strange(&artifact)
        },
        ..repair()
    },
    Operation {
        name: "repair_adopt",
        prepare: |place, _| {
            let ctx = written(place, &[])?;
            fs::create_dir_all(file(&ctx, "artifacts"))?;
            strange(&file(&ctx, "artifacts/by-hand.txt"))
        },
        ..repair()
    },
    Operation {
        name: "repair_place",
        prepare: |place, _| {
            let ctx = written(place, &[])?;
            let _ = fs::remove_dir_all(file(&ctx, "objects"));
            strange(&file(&ctx, "objects"))
        },
        ..repair()
    },
    // The task's own, without which its journal cannot be opened as usual.
    Operation {
        name: "repair_genesis",
        base: Base::Workspace,
        prepare: |place, _| {
            let task = place.workspace()?.create_task(TASK, TaskOptions::default())?;
            backup(place)?.take(&place.workspace()?)?;
            Ok(fs::remove_file(task.path().join("task.json"))?)
        },
        holds: |_| Ok(()),
        ..repair()
    },
];

const fn repair() -> Operation {
    Operation {
        base: Base::Task,
        reads_much: true,
        operate: |place, _| {
            let plan = whole(place)?.plan()?;
            place.begin();
            let repaired = plan.apply();
            place.end();
            match repaired.failed.into_iter().next() {
                Some(failed) => Err(failed.error.into()),
                None => Ok(()),
            }
        },
        holds: nothing_is_lost,
        done: |seen| {
            let verify = Verify::of(&seen.place.workspace()?).read_data(ReadData::All);
            let found = verify.run()?;
            ensure(found.is_clean(), || format!("{:?}", found.findings))?;
            let twice = whole(seen.place)?.plan()?;
            ensure(twice.is_empty(), || format!("{:?} is to be mended again", twice.mends()))?;
            let told = seen.place.task()?.events()?.of_type("repair_started").count();
            ensure(told >= 1, || "the task was not told".into())
        },
        ..plain()
    }
}

/// Another run than the one whose files are always held against its journal: in this one they differ.
const RUN: &str = "DAMAGED";
const PLAN: &[u8] = b"the plan";
const STRANGE: &[u8] = b"an editor's";

fn whole(place: &Place) -> Outcome<Repair> {
    let repair = Repair::of(&place.workspace()?).adopting(true);
    let backup = place.dir().join("backup");
    Ok(if backup.exists() { repair.from_backup(&Backup::open(backup)?) } else { repair })
}

fn backup(place: &Place) -> Outcome<Backup> {
    Ok(Backup::create_at(place.dir().join("backup"))?)
}

/// A run with artifacts that all have the same content.
fn written(place: &Place, names: &[&str]) -> Outcome<RunContext> {
    let ctx = place.task()?.start_run_as(RUN)?;
    let artifacts = ctx.artifacts().durability(Durability::Durable);
    for name in names {
        artifacts.write_bytes(ArtifactName::new(*name)?, PLAN)?;
    }
    Ok(ctx)
}

fn file(ctx: &RunContext, path: &str) -> Utf8PathBuf {
    ctx.run_path().join(path)
}

fn strange(path: &Utf8PathBuf) -> Outcome {
    Ok(fs::write(path, STRANGE)?)
}

/// The strange bytes are where they were, or set aside; nothing that was told of the run is gone.
fn nothing_is_lost(seen: &Seen<'_>) -> Outcome {
    let mut left = vec![seen.place.task()?.path().join("runs").join(RUN).into_std_path_buf()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            } else if fs::read(path)? == STRANGE {
                return Ok(());
            }
        }
    }
    ensure(false, || "what stood there is lost".into())
}
