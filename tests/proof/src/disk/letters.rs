//! Short calls that can be made in any order, as often as one likes, on one run: what workloads are made of.

use runjournal::{
    ArtifactError, ArtifactName, Digest, Durability, Event, RunStatus, Signal, Step, StepResult,
    Work, WorkError, WorkspaceError,
};

use crate::operations::{Operation, plain};
use crate::{Acks, Outcome, Place, Violation};

/// All of them.
pub(crate) const ALL: &[Operation] = &[
    Operation { name: "Append", operate: |p, a| append(p, a, Durability::Durable), ..plain() },
    Operation {
        name: "AppendBuffered",
        buffered: true,
        operate: |p, a| append(p, a, Durability::Buffered),
        ..plain()
    },
    Operation { name: "LargeBuffered", buffered: true, operate: large, ..plain() },
    Operation { name: "Batch", operate: batch, ..plain() },
    Operation {
        name: "New",
        operate: |p, a| write(p, a, "new.txt", Durability::Durable),
        ..plain()
    },
    Operation {
        name: "NewBuffered",
        buffered: true,
        operate: |p, a| write(p, a, "loose/one.txt", Durability::Buffered),
        ..plain()
    },
    Operation {
        name: "Overwrite",
        operate: |p, a| write(p, a, "plan.json", Durability::Durable),
        ..plain()
    },
    Operation {
        name: "OverwriteBuffered",
        buffered: true,
        operate: |p, a| write(p, a, "plan.json", Durability::Buffered),
        ..plain()
    },
    Operation { name: "Remove", operate: remove, ..plain() },
    Operation { name: "Transaction", operate: transaction, ..plain() },
    Operation { name: "Step", operate: step, ..plain() },
    Operation { name: "Checkpoint", operate: checkpoint, ..plain() },
    Operation { name: "Status", operate: status, ..plain() },
    Operation { name: "Queue", operate: queue, ..plain() },
];

/// How many records the run has: what is written differs each time.
fn number(place: &Place) -> Outcome<usize> {
    Ok(place.ctx()?.events()?.count())
}

fn append(place: &Place, acks: &mut Acks, how: Durability) -> Outcome {
    let journal = place.ctx()?.journal()?.durability(how);
    acks.appended(&journal.append(Event::new("noted").payload(&"some text"))?)
}

fn large(place: &Place, acks: &mut Acks) -> Outcome {
    acks.appended(&place.ctx()?.append(Event::new("noted").payload(&"large ".repeat(12_000)))?)
}

fn batch(place: &Place, acks: &mut Acks) -> Outcome {
    let journal = place.ctx()?.journal()?.durability(Durability::Durable);
    let events = [Event::new("noted").key("batch"), Event::new("noted"), Event::new("noted")];
    journal.append_batch(&events)?.iter().try_for_each(|appended| acks.appended(appended))
}

fn write(place: &Place, acks: &mut Acks, name: &str, how: Durability) -> Outcome {
    let text = format!("content {}", number(place)?);
    let artifacts = place.ctx()?.artifacts().durability(how);
    acks.stored(&artifacts.write_bytes(ArtifactName::new(name)?, text.as_bytes())?)
}

fn remove(place: &Place, acks: &mut Acks) -> Outcome {
    match place.ctx()?.artifacts().remove(ArtifactName::new("deep/below/note.txt")?) {
        Ok(stored) => acks.stored(&stored),
        Err(ArtifactError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn transaction(place: &Place, acks: &mut Acks) -> Outcome {
    let text = format!("content {}", number(place)?);
    let mut tx = place.ctx()?.transaction();
    tx.write_bytes(ArtifactName::new("plan.json")?, text.as_bytes())?;
    tx.write_bytes(ArtifactName::new("x/one.txt")?, text.as_bytes())?;
    match tx.remove(ArtifactName::new("old.txt")?) {
        Err(ArtifactError::NotFound { .. }) => {}
        other => other?,
    }
    tx.append(Event::new("noted"));
    acks.committed(&tx.commit()?)
}

/// What it read has to stay once it ended, however loosely it was written.
fn step(place: &Place, acks: &mut Acks) -> Outcome {
    let (ctx, plan) = (place.ctx()?, ArtifactName::new("plan.json")?);
    let mut read = None;
    ctx.step(Step::new("work"), |step| -> StepResult {
        read = Some(Digest::of(&step.read_bytes(plan.clone())?));
        step.write_bytes(ArtifactName::new("out/one.txt")?, b"by a step")?;
        step.append(Event::new("noted"))?;
        Ok(Signal::new("done"))
    })?;
    if let Some(digest) = read {
        let entry = ctx.artifacts().list()?.into_iter().find(|entry| entry.name == plan);
        let seq = entry.and_then(|entry| entry.seq);
        let seq = seq.ok_or_else(|| Violation::new("no record is of what the step read"))?;
        acks.tell(&format!("artifact {seq} {digest} {plan}"))?;
    }
    acks.tell("step work")
}

fn checkpoint(place: &Place, acks: &mut Acks) -> Outcome {
    let made = place.ctx()?.next_checkpoint()?;
    acks.tell(&format!("checkpoint {} {}", made.turn, made.digest))
}

fn status(place: &Place, acks: &mut Acks) -> Outcome {
    match place.run()?.set_status(RunStatus::Executing, Some("it is time")) {
        Ok(()) => acks.tell("status EXECUTING"),
        Err(WorkspaceError::IllegalRunMove { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn queue(place: &Place, acks: &mut Acks) -> Outcome {
    match place.ctx()?.queue().add(Work::new("item-1")) {
        Ok(added) => acks.appended(&added),
        Err(WorkError::Journal(runjournal::JournalError::KeyConflict { .. })) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
