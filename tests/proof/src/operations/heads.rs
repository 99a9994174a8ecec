//! What is tried with heads: operations of the other groups, and some that are about heads alone.

use runjournal::{ArtifactName, Durability, Event};

use super::{Operation, Seen, plain};
use crate::{Acks, Outcome, Place, ensure, heads};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "head_rebuilt",
        buffered: true,
        heads: true,
        prepare: long,
        operate: add,
        holds: |seen| ensure(seen.count("noted") <= 1, || "a key was appended twice".into()),
        done: |seen| ensure(seen.count("noted") == 1, || "a key does not stand once".into()),
        ..plain()
    },
    Operation {
        name: "head_ahead_of_files",
        buffered: true,
        heads: true,
        operate: |place, acks| {
            put_off(place, acks, |place| {
                place.ctx()?.append(Event::new("came_by"))?;
                Ok(())
            })
        },
        done: in_place,
        ..plain()
    },
];

/// A journal of more than is scanned at once, with many keys and streams, and without a head.
fn long(place: &Place, acks: &mut Acks) -> Outcome {
    let journal = place.ctx()?.journal()?;
    let fill = "x".repeat(60_000);
    for number in 0..18_u32 {
        let event = Event::new("filled").stream("talk", (number % 7).to_string());
        acks.appended(&journal.append(event.key(format!("fill-{number}")).payload(&fill))?)?;
    }
    drop(journal);
    heads::remove_all(place.root().as_ref())
}

fn add(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    acks.appended(&ctx.append(Event::new("noted").stream("talk", "3").key("note"))?)?;
    place.end();
    Ok(())
}

/// A commit whose rename failed, so that a head covers its record while its stage waits: whoever comes
/// next has to look for stages whatever the head says. `recover` is what comes by first.
pub(crate) fn put_off(place: &Place, acks: &mut Acks, recover: fn(&Place) -> Outcome) -> Outcome {
    let ctx = place.ctx()?;
    let name = ArtifactName::new("new.txt")?;
    let (file, tmp) = (ctx.artifact_path(&name), place.run_dir().join(".tmp"));
    place.begin();
    recover(place)?;
    if !ctx.artifacts().list()?.iter().any(|entry| entry.name == name) {
        let artifacts = ctx.artifacts().durability(Durability::Buffered);
        let stored = artifacts.write_bytes(name, b"content")?;
        let written = ctx.events()?.last(1)?.collect::<Result<Vec<_>, _>>()?;
        let stage = written.first().map(|record| tmp.join(record.event_id().to_string()));
        let stage = stage.unwrap_or_default();
        std::fs::rename(&file, &stage)?;
        std::fs::rename(&stage, &file)?;
        acks.stored(&stored)?;
    }
    place.end();
    Ok(())
}

fn in_place(seen: &Seen<'_>) -> Outcome {
    ensure(seen.artifact("new.txt") == "content", || "the artifact is not in place".into())
}
