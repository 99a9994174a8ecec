//! The order of writes, renames and syncs behind `Durable`: what a power cut would find out. The rules are those of
//! docs/durability.md: contents before names, what a record names before the record, the record before its
//! application, all of it before the call returns.

use std::os::unix::fs::MetadataExt as _;

use runjournal::index::Index;
use runjournal::{Backup, Durability, Signal};

use super::Catch;
use super::scene::{Scene, artifact, node, note, operation};
use super::unsynced::Order;
use crate::{Acks, Base, Outcome, ensure};

pub(super) const ALL: &[Catch] = &[
    Catch {
        bug: "no-fsync",
        by: "order: durable append_durable",
        says: "told while journal/events.jsonl is not on the disk",
        tried: || durable("append_durable"),
    },
    Catch {
        bug: "no-directory-fsync",
        by: "order: durable artifact_new",
        says: "told while the names in artifacts are not on the disk",
        tried: || durable("artifact_new"),
    },
    Catch {
        bug: "record-not-synced",
        by: "order: durable artifact_overwrite",
        says: "put in place while journal/events.jsonl is not on the disk",
        tried: || durable("artifact_overwrite"),
    },
    Catch {
        bug: "object-not-synced",
        by: "order: large",
        says: "a record is written while objects/",
        tried: large,
    },
    Catch {
        bug: "object-name-not-synced",
        by: "order: large",
        says: "a record is written while the names in objects",
        tried: large,
    },
    Catch {
        bug: "old-object-not-synced",
        by: "order: large_again",
        says: "a record is written while objects/",
        tried: large_again,
    },
    Catch {
        bug: "inputs-not-synced",
        by: "order: step_that_reads",
        says: "told while artifacts/plan.json is not on the disk",
        tried: step_that_reads,
    },
    Catch {
        bug: "duplicate-not-synced",
        by: "order: twice",
        says: "told while journal/events.jsonl is not on the disk",
        tried: twice,
    },
    Catch {
        bug: "binding-not-synced",
        by: "order: durable lease_claim",
        says: "told while journal/events.jsonl is not on the disk",
        tried: || durable("lease_claim"),
    },
    Catch {
        bug: "current-not-synced",
        by: "order: current",
        says: "CURRENT gets its name while it is not on the disk",
        tried: current,
    },
    Catch {
        bug: "snapshot-named-early",
        by: "order: snapshot",
        says: "a snapshot gets its name while backup/objects/",
        tried: snapshot,
    },
    Catch {
        bug: "stage-not-synced",
        by: "order: durable artifact_new",
        says: "new.txt gets its name while it is not on the disk",
        tried: || durable("artifact_new"),
    },
    Catch {
        bug: "parents-not-synced",
        by: "order: durable artifact_nested",
        says: "told while the names in artifacts/a",
        tried: || durable("artifact_nested"),
    },
    Catch {
        bug: "recovered-before-sync",
        by: "order: recovered",
        says: "put in place while journal/events.jsonl is not on the disk",
        tried: recovered,
    },
    Catch {
        bug: "recovered-stage-not-synced",
        by: "order: recovered",
        says: "plan.json gets its name while it is not on the disk",
        tried: recovered,
    },
    Catch {
        bug: "archived-not-synced",
        by: "order: archived",
        says: "told while above/workspaces/TASK-1/journal/events.jsonl is not on the disk",
        tried: archived,
    },
    Catch {
        bug: "checkpoint-before-sync",
        by: "order: checkpoint",
        says: "a checkpoint gets its name while journal/events.jsonl is not on the disk",
        tried: checkpoint,
    },
    Catch {
        bug: "pruned-before-sync",
        by: "order: durable prune_run",
        says: "a run goes while above/workspaces/TASK-1/journal/events.jsonl is not on the disk",
        tried: || durable("prune_run"),
    },
    Catch {
        bug: "old-sync-believed",
        by: "order: old_sync",
        says: "told while journal/events.jsonl is not on the disk",
        tried: old_sync,
    },
];

/// An operation that is durable keeps the order.
fn durable(name: &str) -> Outcome {
    let operation = operation(name)?;
    let scene = Scene::before(operation)?;
    let order = Order::of(&scene);
    let _watching = scene.watched_by(&order);
    (operation.operate)(&scene.place, &mut Acks::open(&scene.place)?)?;
    order.told()
}

/// An event whose payload is an object.
fn large() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let order = Order::of(&scene);
    let _watching = scene.watched_by(&order);
    append_large(&scene)?;
    order.told()
}

/// The same when it stands there, in a run that was copied and never synced.
fn large_again() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    append_large(&scene)?;
    let order = Order::of(&scene);
    for file in walkdir::WalkDir::new(scene.place.run_dir().join("objects")) {
        let file = file?.metadata()?;
        if file.is_file() {
            order.forget(file.ino());
        }
    }
    let _watching = scene.watched_by(&order);
    append_large(&scene)?;
    order.told()
}

fn append_large(scene: &Scene) -> Outcome {
    let journal = scene.place.ctx()?.journal()?.durability(Durability::Durable);
    journal.append(note(&"much ".repeat(20_000)))?;
    Ok(())
}

/// A step reads what somebody wrote and did not sync.
fn step_that_reads() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let order = Order::of(&scene);
    let _watching = scene.watched_by(&order);
    let (ctx, plan) = (scene.place.ctx()?, artifact("plan.json")?);
    ctx.artifacts().durability(Durability::Buffered).write_bytes(plan.clone(), b"the other")?;
    order.begin();
    ctx.step("work", |step| {
        step.read_bytes(plan)?;
        Ok(Signal::new("done"))
    })?;
    order.told()
}

/// A transaction that was not durable is asked for again, and has to be.
fn twice() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let order = Order::of(&scene);
    let _watching = scene.watched_by(&order);
    for durability in [Durability::Buffered, Durability::Durable] {
        order.begin();
        let mut transaction = scene.place.ctx()?.transaction().durability(durability).key("once");
        transaction.write_bytes(artifact("plan.json")?, b"the other")?;
        transaction.commit()?;
    }
    order.told()
}

/// Somebody puts in place what another one committed and did not sync.
fn recovered() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let order = Order::of(&scene);
    let _watching = scene.watched_by(&order);
    order.refuse(true);
    let artifacts = scene.place.ctx()?.artifacts();
    let written = artifacts
        .durability(Durability::Buffered)
        .write_bytes(artifact("plan.json")?, b"the other");
    ensure(written.is_err(), || "it was put in place".into())?;
    order.refuse(false);
    scene.place.ctx()?.catch_up()?;
    order.told()
}

/// Somebody archived the task, and died before that was on the disk.
fn archived() -> Outcome {
    let scene = Scene::with(Base::Task)?;
    let task = scene.place.task()?;
    task.archive()?;
    let journal = task.path().join("journal");
    let order = Order::of(&scene);
    order.forget(node(&journal.join("events.jsonl"))?);
    let _watching = scene.watched_by(&order);
    let archived = task.archive()?;
    ensure(!archived, || "it was not archived before".into())?;
    order.told()
}

/// What was appended before a checkpoint was not synced.
fn checkpoint() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let order = Order::of(&scene);
    let _watching = scene.watched_by(&order);
    let ctx = scene.place.ctx()?;
    ctx.append(note("some text"))?;
    ctx.next_checkpoint()?;
    order.told()
}

fn current() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let order = Order::of(&scene);
    let _watching = scene.watched_by(&order);
    Index::of(&scene.place.workspace()?).rebuild()?;
    order.told()
}

fn snapshot() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let order = Order::of(&scene);
    let _watching = scene.watched_by(&order);
    let backup = Backup::create_at(scene.place.dir().join("backup"))?;
    backup.take(&scene.place.workspace()?)?;
    order.told()
}

/// Another process notes how much a sync of its covered; a power cut takes the end of that, the note stays.
fn old_sync() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let len = scene.journal_len()?;
    shared_sync(&scene, &"much ".repeat(1000))?;
    scene.cut_journal(len)?;
    let order = Order::of(&scene);
    let _watching = scene.watched_by(&order);
    shared_sync(&scene, "little")?;
    order.told()
}

/// A writer that saw another one append shares its sync with it, or would.
fn shared_sync(scene: &Scene, text: &str) -> Outcome {
    let (one, other) = (scene.place.ctx()?.journal()?, scene.place.ctx()?.journal()?);
    one.append(note("first"))?;
    other.append(note(text))?;
    one.durability(Durability::Durable).append(note("last"))?;
    Ok(())
}
