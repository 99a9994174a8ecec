//! Checkpoints: one is made, and a turn is restored.

use runjournal::{ArtifactName, Durability};

use super::{Operation, Seen, plain};
use crate::{Acks, Outcome, Place, ensure};

pub(super) const ALL: &[Operation] = &[
    // What holds of every checkpoint is checked at any moment: see `checkpoints`.
    Operation {
        name: "checkpoint",
        recovery_killed: true,
        prepare: |place, acks| {
            make(place, acks, 1)?;
            acks.stored(&place.ctx()?.artifacts().write_bytes(PLAN, b"another plan")?)
        },
        operate: |place, acks| make(place, acks, 2),
        done: |seen| {
            ensure(seen.count("checkpoint_created") == 2, || "it is not there once".into())
        },
        ..plain()
    },
    Operation {
        name: "checkpoint_restore",
        prepare: |place, acks| {
            make(place, acks, 1)?;
            change(place, acks)
        },
        operate: restore,
        holds: |seen| changed(seen).or_else(|_| restored(seen)),
        done: restored,
        ..plain()
    },
    Operation {
        name: "checkpoint_export",
        reads_much: true,
        prepare: |place, acks| make(place, acks, 1),
        operate: |place, _| {
            let turn = place.ctx()?.checkpoint_at(1)?.artifacts()?;
            let dir = (1..).map(|number| exported(place, number)).find(|dir| !dir.exists());
            let dir = dir.unwrap_or_default();
            place.begin();
            turn.export(dir)?;
            place.end();
            Ok(())
        },
        done: |seen| {
            let exports = (1..).map(|number| exported(seen.place, number));
            let last = exports.take_while(|dir| dir.exists()).last().unwrap_or_default();
            for (name, content) in [
                ("plan.json", "the first plan"),
                ("deep/below/note.txt", "to be removed with its directories"),
            ] {
                let found = std::fs::read_to_string(last.join(name))?;
                ensure(found == content, || format!("{name} was exported as {found:?}"))?;
            }
            Ok(())
        },
        ..plain()
    },
];

const PLAN: ArtifactName = ArtifactName::from_static("plan.json");

/// Who was killed leaves a part; who comes later exports to another place.
fn exported(place: &Place, number: u32) -> camino::Utf8PathBuf {
    place.dir().join(format!("exported-{number}"))
}

fn make(place: &Place, acks: &mut Acks, turn: u64) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    let made = ctx.checkpoint(turn)?;
    acks.tell(&format!("checkpoint {turn} {}", made.digest))?;
    place.end();
    Ok(())
}

/// One artifact is changed, and one comes.
fn change(place: &Place, acks: &mut Acks) -> Outcome {
    let mut tx = place.ctx()?.transaction().durability(Durability::Durable);
    tx.write_bytes(PLAN, b"another plan")?;
    tx.write_bytes(ArtifactName::new("x/new.txt")?, b"new")?;
    acks.committed(&tx.commit()?)
}

fn restore(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    let turn = ctx.checkpoint_at(1)?.artifacts()?;
    acks.committed(&turn.restore(&ctx)?)?;
    place.end();
    Ok(())
}

fn changed(seen: &Seen<'_>) -> Outcome {
    is(seen, "another plan", "new")
}

fn restored(seen: &Seen<'_>) -> Outcome {
    is(seen, "the first plan", "")
}

fn is(seen: &Seen<'_>, plan: &str, new: &str) -> Outcome {
    let (found_plan, found_new) = (seen.artifact("plan.json"), seen.artifact("x/new.txt"));
    ensure(found_plan == plan && found_new == new, || format!("{found_plan:?}, {found_new:?}"))
}
