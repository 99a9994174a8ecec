//! What else is asked of artifacts: that they are what is expected, that they are on the disk, and that somebody
//! finishes what another one left.

use camino::Utf8PathBuf;
use runjournal::{ArtifactError, ArtifactName, Digest, Durability, Event, Expect};

use super::{Base, Operation, Seen, plain};
use crate::place::RUN;
use crate::{Acks, Outcome, Place, Violation, ensure};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "artifact_write_if",
        needs_order: true,
        operate: |place, acks| {
            let artifacts = place.ctx()?.artifacts();
            let expected = Expect::Digest(Digest::of(OLD.as_bytes()));
            place.begin();
            match artifacts.write_bytes_if(PLAN, NEW.as_bytes(), expected) {
                Ok(stored) => acks.stored(&stored)?,
                // It was written before.
                Err(ArtifactError::Conflict { .. }) if place.again() => {}
                Err(error) => return Err(error.into()),
            }
            place.end();
            Ok(())
        },
        holds: |seen| has(seen, "plan.json", OLD).or_else(|_| has(seen, "plan.json", NEW)),
        done: |seen| has(seen, "plan.json", NEW),
        ..plain()
    },
    Operation {
        name: "artifact_remove_if",
        reads_much: true,
        operate: |place, acks| {
            let artifacts = place.ctx()?.artifacts();
            let expected = Expect::Digest(Digest::of(OLD.as_bytes()));
            place.begin();
            match artifacts.remove_if(PLAN, expected) {
                Ok(stored) => acks.stored(&stored)?,
                Err(ArtifactError::NotFound { .. } | ArtifactError::Conflict { .. })
                    if place.again() => {}
                Err(error) => return Err(error.into()),
            }
            place.end();
            Ok(())
        },
        holds: |seen| has(seen, "plan.json", OLD).or_else(|_| has(seen, "plan.json", "")),
        done: |seen| has(seen, "plan.json", ""),
        ..plain()
    },
    // Told of once it is on the disk, and not before.
    Operation {
        name: "artifact_sync",
        durable_late: true,
        operate: |place, acks| {
            let artifacts = place.ctx()?.artifacts().durability(Durability::Buffered);
            let path = ArtifactName::new("x/late.txt")?;
            place.begin();
            let stored = artifacts.write_bytes(&path, NEW.as_bytes())?;
            artifacts.sync(&path)?;
            acks.stored(&stored)?;
            place.end();
            Ok(())
        },
        done: |seen| has(seen, "x/late.txt", NEW),
        ..plain()
    },
    // What is adopted may never have been synced, by whoever put it there.
    Operation {
        name: "artifact_adopt_buffered",
        durable_late: true,
        reads_much: true,
        operate: |place, acks| {
            let artifacts = place.ctx()?.artifacts().durability(Durability::Buffered);
            let path = ArtifactName::new("x/late.txt")?;
            place.begin();
            artifacts.write_bytes(&path, NEW.as_bytes())?;
            acks.stored(&artifacts.durability(Durability::Durable).adopt(&path)?)?;
            place.end();
            Ok(())
        },
        done: |seen| has(seen, "x/late.txt", NEW),
        ..plain()
    },
    // The first where a copy left the empty directory of all out.
    Operation {
        name: "artifact_first",
        needs_order: true,
        reads_much: true,
        base: Base::Task,
        prepare: |place, acks| {
            let run = place.task()?.start_run_as(RUN)?;
            std::fs::remove_dir(run.run_path().join("artifacts"))?;
            acks.tell("run")
        },
        operate: |place, acks| {
            let artifacts = place.ctx()?.artifacts();
            place.begin();
            // Whatever syncs the run's own names once has done that by then.
            let mut first = artifacts.transaction();
            first.append(Event::new("noted"));
            acks.committed(&first.commit()?)?;
            acks.stored(&artifacts.write_bytes(PLAN, NEW.as_bytes())?)?;
            place.end();
            Ok(())
        },
        done: |seen| has(seen, "plan.json", NEW),
        ..plain()
    },
    Operation {
        name: "catch_up",
        reads_much: true,
        prepare: leave_waiting,
        operate: |place, _| {
            let ctx = place.ctx()?;
            place.begin();
            let findings = ctx.catch_up()?;
            place.end();
            ensure(findings.is_empty(), || format!("not put in place: {findings:?}"))
        },
        holds: |seen| has(seen, "plan.json", NEW),
        done: |seen| {
            has(seen, "plan.json", NEW)?;
            has(seen, "a/b/c.txt", NEW)
        },
        ..plain()
    },
];

const PLAN: ArtifactName = ArtifactName::from_static("plan.json");
const OLD: &str = "the first plan";
const NEW: &str = "new content, of another length";

/// Two that were committed and not put in place: one over another one, and one in directories that are not there.
fn leave_waiting(place: &Place, acks: &mut Acks) -> Outcome {
    let (ctx, plan) = (place.ctx()?, file(place, "plan.json"));
    let mut tx = ctx.transaction();
    tx.write_bytes(PLAN, NEW.as_bytes())?;
    tx.write_bytes(ArtifactName::new("a/b/c.txt")?, NEW.as_bytes())?;
    let committed = tx.commit()?;
    for stored in &committed.artifacts {
        let record = ctx.events()?.in_stream("artifact", stored.name.as_str()).last(1)?.next();
        let record = record.ok_or_else(|| Violation::new("an artifact has no record"))??;
        let stage = place.run_dir().join(".tmp").join(record.event_id().to_string());
        std::fs::rename(file(place, stored.name.as_str()), stage)?;
    }
    std::fs::write(plan, OLD)?;
    std::fs::remove_dir(file(place, "a/b"))?;
    std::fs::remove_dir(file(place, "a"))?;
    acks.committed(&committed)
}

fn file(place: &Place, name: &str) -> Utf8PathBuf {
    place.run_dir().join("artifacts").join(name)
}

fn has(seen: &Seen<'_>, name: &str, content: &str) -> Outcome {
    let found = seen.artifact(name);
    ensure(found == content, || format!("{name} is {found:?} and should be {content:?}"))
}
