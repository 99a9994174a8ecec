//! Files put back: what was damaged comes back, and what stood there is kept.

use std::fs;

use camino::Utf8PathBuf;
use runjournal::{ArtifactName, Durability, ReadData, Repair, RunContext, Verify};

use super::{Base, Operation, Seen};
use crate::{Acks, Outcome, Place, ensure};

pub(super) const ALL: &[Operation] = &[Operation {
    name: "repair_files",
    base: Base::Task,
    reads_much: true,
    prepare: damage,
    operate: |place, _| {
        let plan = Repair::run_of(&damaged(place)?).plan()?;
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
        let ctx = damaged(seen.place)?;
        let found = Verify::run_of(&ctx).read_data(ReadData::All).run()?;
        ensure(found.is_clean(), || format!("{:?}", found.findings))?;
        let twice = Repair::run_of(&ctx).plan()?;
        ensure(twice.is_empty(), || format!("{:?} is to be mended again", twice.mends()))?;
        let told = seen.place.task()?.events()?.of_type("repair_started").count();
        ensure(told >= 1, || "the task was not told".into())
    },
}];

/// Another run than the one whose files are always held against its journal: in this one they differ.
const RUN: &str = "DAMAGED";
const PLAN: &[u8] = b"the plan";
const STRANGE: &[u8] = b"an editor's";

fn damaged(place: &Place) -> Outcome<RunContext> {
    Ok(place.task()?.run(RUN)?.context().clone())
}

fn file(ctx: &RunContext, name: &str) -> Utf8PathBuf {
    ctx.run_path().join("artifacts").join(name)
}

/// Of two artifacts with the same content one is changed; and a checkpoint's object is.
fn damage(place: &Place, _: &mut Acks) -> Outcome {
    let ctx = place.task()?.start_run_as(RUN)?;
    let artifacts = ctx.artifacts().durability(Durability::Durable);
    for name in ["plan.json", "deep/copy.json"] {
        artifacts.write_bytes(ArtifactName::new(name)?, PLAN)?;
    }
    ctx.next_checkpoint()?;
    fs::write(file(&ctx, "deep/copy.json"), STRANGE)?;
    for entry in fs::read_dir(ctx.run_path().join("objects"))? {
        for object in fs::read_dir(entry?.path())? {
            fs::write(object?.path(), "rot")?;
        }
    }
    Ok(())
}

/// The strange bytes are where they were, or set aside; the good ones are somewhere all along.
fn nothing_is_lost(seen: &Seen<'_>) -> Outcome {
    let ctx = damaged(seen.place)?;
    let good = fs::read(file(&ctx, "plan.json"))?;
    ensure(good == PLAN, || "the good copy was changed".into())?;
    let mut left = vec![ctx.run_path().into_std_path_buf()];
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
