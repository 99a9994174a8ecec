//! Artifacts and transactions.

use std::io::Write as _;

use runjournal::{ArtifactError, ArtifactName, Durability, Event};

use super::{Operation, Seen, plain};
use crate::{Acks, Outcome, Place, ensure};

pub(super) const ALL: &[Operation] = &[
    Operation { name: "artifact_new", operate: new, done: |s| has(s, "new.txt", NEW), ..plain() },
    Operation {
        name: "artifact_new_buffered",
        buffered: true,
        heads: true,
        operate: new_buffered,
        done: |s| has(s, "new.txt", NEW),
        ..plain()
    },
    Operation {
        name: "artifact_overwrite",
        heads: true,
        recovery_killed: true,
        operate: overwrite,
        holds: |s| either(s, "plan.json", "the first plan", NEW),
        done: |s| has(s, "plan.json", NEW),
        ..plain()
    },
    Operation {
        name: "artifact_equal",
        operate: equal,
        holds: |s| has(s, "plan.json", "the first plan"),
        done: |s| has(s, "plan.json", "the first plan"),
        ..plain()
    },
    Operation {
        name: "artifact_nested",
        operate: nested,
        done: |s| has(s, "a/b/c.txt", NEW),
        ..plain()
    },
    Operation {
        name: "artifact_streamed",
        operate: streamed,
        holds: |s| large_or(s, "plan.json", "the first plan"),
        done: |s| has(s, "plan.json", &large()),
        ..plain()
    },
    Operation {
        name: "artifact_import",
        buffered: true,
        prepare: put_outside,
        operate: import,
        holds: |s| large_or(s, "x/imported.txt", ""),
        done: |s| has(s, "x/imported.txt", &large()),
        ..plain()
    },
    Operation {
        name: "transaction_streamed",
        operate: streamed_and_plain,
        holds: |s| {
            streamed_both(s).or_else(|_| {
                has(s, "plan.json", "the first plan")?;
                has(s, "x/one.txt", "")
            })
        },
        done: streamed_both,
        ..plain()
    },
    Operation {
        name: "artifact_remove",
        operate: remove,
        done: |s| has(s, "deep/below/note.txt", ""),
        ..plain()
    },
    Operation {
        name: "artifact_adopt",
        prepare: put_by_hand,
        operate: adopt,
        holds: |s| has(s, "foreign.txt", NEW),
        done: |s| has(s, "foreign.txt", NEW),
        ..plain()
    },
    Operation {
        name: "transaction",
        operate: |place, acks| transaction(place, acks, Durability::Durable, None),
        holds: all_or_none,
        done: all,
        ..plain()
    },
    Operation {
        name: "transaction_buffered",
        buffered: true,
        operate: |place, acks| transaction(place, acks, Durability::Buffered, None),
        holds: all_or_none,
        done: all,
        ..plain()
    },
    Operation {
        name: "transaction_with_key",
        heads: true,
        recovery_killed: true,
        operate: |place, acks| transaction(place, acks, Durability::Durable, Some("change")),
        holds: all_or_none,
        done: all_once,
        ..plain()
    },
    Operation {
        name: "transaction_moving",
        operate: moving,
        holds: |s| moved(s).or_else(|_| has(s, "deep/below/other.txt", "")),
        done: moved,
        ..plain()
    },
];

const NEW: &str = "new content, of another length";

fn name(text: &str) -> Outcome<ArtifactName> {
    Ok(ArtifactName::new(text)?)
}

fn write(place: &Place, acks: &mut Acks, path: &str, content: &str, how: Durability) -> Outcome {
    let artifacts = place.ctx()?.artifacts().durability(how);
    let path = name(path)?;
    place.begin();
    acks.stored(&artifacts.write_bytes(path, content.as_bytes())?)?;
    place.end();
    Ok(())
}

fn new(place: &Place, acks: &mut Acks) -> Outcome {
    write(place, acks, "new.txt", NEW, Durability::Durable)
}

fn new_buffered(place: &Place, acks: &mut Acks) -> Outcome {
    write(place, acks, "new.txt", NEW, Durability::Buffered)
}

fn overwrite(place: &Place, acks: &mut Acks) -> Outcome {
    write(place, acks, "plan.json", NEW, Durability::Durable)
}

fn equal(place: &Place, acks: &mut Acks) -> Outcome {
    write(place, acks, "plan.json", "the first plan", Durability::Durable)
}

fn nested(place: &Place, acks: &mut Acks) -> Outcome {
    write(place, acks, "a/b/c.txt", NEW, Durability::Durable)
}

/// Long enough to be hashed on a second thread.
fn large() -> String {
    "a line of a large file\n".repeat(60_000)
}

fn streamed(place: &Place, acks: &mut Acks) -> Outcome {
    let artifacts = place.ctx()?.artifacts();
    let (path, large) = (name("plan.json")?, large());
    place.begin();
    let mut file = artifacts.create(path)?;
    for piece in large.as_bytes().chunks(500_000) {
        file.write_all(piece)?;
    }
    acks.stored(&file.commit()?)?;
    place.end();
    Ok(())
}

fn outside(place: &Place) -> camino::Utf8PathBuf {
    place.run_dir().join("outside.txt")
}

fn put_outside(place: &Place, _: &mut Acks) -> Outcome {
    Ok(std::fs::write(outside(place), large())?)
}

fn import(place: &Place, acks: &mut Acks) -> Outcome {
    let artifacts = place.ctx()?.artifacts().durability(Durability::Buffered);
    let path = name("x/imported.txt")?;
    place.begin();
    acks.stored(&artifacts.import(path, outside(place))?)?;
    place.end();
    Ok(())
}

fn streamed_and_plain(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    let large = large();
    place.begin();
    let mut tx = ctx.transaction();
    tx.write_from(name("plan.json")?, large.as_bytes())?;
    tx.write_bytes(name("x/one.txt")?, b"one")?;
    acks.committed(&tx.commit()?)?;
    place.end();
    Ok(())
}

fn streamed_both(seen: &Seen<'_>) -> Outcome {
    has(seen, "plan.json", &large())?;
    has(seen, "x/one.txt", "one")
}

fn large_or(seen: &Seen<'_>, name: &str, old: &str) -> Outcome {
    has(seen, name, &large()).or_else(|_| has(seen, name, old))
}

fn remove(place: &Place, acks: &mut Acks) -> Outcome {
    let artifacts = place.ctx()?.artifacts();
    let path = name("deep/below/note.txt")?;
    place.begin();
    match artifacts.remove(path) {
        Ok(stored) => acks.stored(&stored)?,
        Err(ArtifactError::NotFound { .. }) if place.again() => {}
        Err(error) => return Err(error.into()),
    }
    place.end();
    Ok(())
}

fn put_by_hand(place: &Place, acks: &mut Acks) -> Outcome {
    std::fs::write(place.run_dir().join("artifacts/foreign.txt"), NEW)?;
    acks.tell("unjournaled foreign.txt")
}

fn adopt(place: &Place, acks: &mut Acks) -> Outcome {
    let artifacts = place.ctx()?.artifacts();
    let path = name("foreign.txt")?;
    place.begin();
    acks.stored(&artifacts.adopt(path)?)?;
    place.end();
    Ok(())
}

fn transaction(place: &Place, acks: &mut Acks, how: Durability, key: Option<&str>) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    let mut tx = ctx.transaction().durability(how);
    if let Some(key) = key {
        tx = tx.key(key);
    }
    tx.write_bytes(name("plan.json")?, NEW.as_bytes())?;
    tx.write_bytes(name("x/one.txt")?, b"one")?;
    tx.write_bytes(name("x/two.txt")?, b"two, two")?;
    match tx.remove(name("old.txt")?) {
        Err(ArtifactError::NotFound { .. }) if place.again() => {}
        other => other?,
    }
    tx.append(Event::new("noted").payload(&1));
    tx.append(Event::new("noted").payload(&2));
    acks.committed(&tx.commit()?)?;
    place.end();
    Ok(())
}

/// A removal that empties a directory, and a write into the same.
fn moving(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    let mut tx = ctx.transaction().key("moving");
    tx.remove(name("deep/below/note.txt")?)?;
    tx.write_bytes(name("deep/below/other.txt")?, NEW.as_bytes())?;
    acks.committed(&tx.commit()?)?;
    place.end();
    Ok(())
}

fn moved(seen: &Seen<'_>) -> Outcome {
    has(seen, "deep/below/note.txt", "")?;
    has(seen, "deep/below/other.txt", NEW)
}

fn has(seen: &Seen<'_>, name: &str, content: &str) -> Outcome {
    let found = seen.artifact(name);
    let shown = |text: &str| match text.len() {
        0..100 => format!("{text:?}"),
        length => format!("{length} bytes"),
    };
    ensure(found == content, || {
        format!("{name} is {} and should be {}", shown(&found), shown(content))
    })
}

fn either(seen: &Seen<'_>, name: &str, old: &str, new: &str) -> Outcome {
    has(seen, name, old).or_else(|_| has(seen, name, new))
}

fn all(seen: &Seen<'_>) -> Outcome {
    has(seen, "plan.json", NEW)?;
    has(seen, "x/one.txt", "one")?;
    has(seen, "x/two.txt", "two, two")?;
    has(seen, "old.txt", "")?;
    ensure(seen.count("noted") >= 2, || "the events are not there".into())
}

fn none(seen: &Seen<'_>) -> Outcome {
    has(seen, "plan.json", "the first plan")?;
    has(seen, "x/one.txt", "")?;
    has(seen, "x/two.txt", "")?;
    has(seen, "old.txt", "to be removed")?;
    ensure(seen.count("noted") == 0, || "the events are there".into())
}

fn all_or_none(seen: &Seen<'_>) -> Outcome {
    none(seen).or_else(|not_none| {
        all(seen).map_err(|not_all| not_all.at(format_args!("neither none ({not_none}) nor all")))
    })
}

fn all_once(seen: &Seen<'_>) -> Outcome {
    all(seen)?;
    ensure(seen.count("noted") == 2, || "a key stands twice".into())
}
