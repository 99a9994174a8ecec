//! Appends.

use runjournal::{Durability, Event};

use super::{Operation, Seen, plain};
use crate::{Acks, Outcome, Place, ensure};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "append",
        buffered: true,
        heads: true,
        operate: buffered,
        done: at_least_one,
        ..plain()
    },
    Operation { name: "append_durable", operate: durable, done: at_least_one, ..plain() },
    Operation {
        name: "append_with_key",
        buffered: true,
        heads: true,
        operate: keyed,
        holds: at_most_one,
        done: one,
        ..plain()
    },
    Operation {
        name: "append_batch",
        buffered: true,
        heads: true,
        operate: batch,
        holds: whole,
        done: whole,
        ..plain()
    },
    Operation {
        name: "append_batch_with_key",
        buffered: true,
        recovery_killed: true,
        operate: keyed_batch,
        holds: whole,
        done: whole_once,
        ..plain()
    },
    Operation {
        name: "append_large",
        buffered: true,
        heads: true,
        operate: large,
        done: at_least_one,
        ..plain()
    },
    Operation {
        name: "append_large_again",
        buffered: true,
        prepare: large,
        operate: large,
        done: at_least_one,
        ..plain()
    },
    Operation {
        name: "append_large_batch",
        buffered: true,
        operate: large_batch,
        holds: whole,
        done: whole_once,
        ..plain()
    },
];

fn note(number: u32) -> Event {
    Event::new("noted").payload(&serde_json::json!({"number": number, "text": "some text"}))
}

fn buffered(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    acks.appended(&ctx.append(note(1))?)?;
    place.end();
    Ok(())
}

fn durable(place: &Place, acks: &mut Acks) -> Outcome {
    let journal = place.ctx()?.journal()?.durability(Durability::Durable);
    place.begin();
    acks.appended(&journal.append(note(1))?)?;
    place.end();
    Ok(())
}

fn keyed(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    acks.appended(&ctx.append(note(1).key("note-1"))?)?;
    place.end();
    Ok(())
}

fn batch(place: &Place, acks: &mut Acks) -> Outcome {
    append_batch(place, acks, (0..5).map(note).collect())
}

fn keyed_batch(place: &Place, acks: &mut Acks) -> Outcome {
    let mut events: Vec<_> = (1..5).map(note).collect();
    events.insert(0, note(0).key("notes"));
    append_batch(place, acks, events)
}

/// An event whose payload is too large for a line.
fn large_note(number: u32) -> Event {
    Event::new("noted").payload(&format!("{number}").repeat(70_000))
}

fn large(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    acks.appended(&ctx.append(large_note(1))?)?;
    place.end();
    Ok(())
}

fn large_batch(place: &Place, acks: &mut Acks) -> Outcome {
    let large = [large_note(1).key("notes"), large_note(2)];
    append_batch(place, acks, large.into_iter().chain((2..5).map(note)).collect())
}

fn append_batch(place: &Place, acks: &mut Acks, events: Vec<Event>) -> Outcome {
    let journal = place.ctx()?.journal()?;
    place.begin();
    for appended in journal.append_batch(&events)? {
        acks.appended(&appended)?;
    }
    place.end();
    Ok(())
}

fn at_least_one(seen: &Seen<'_>) -> Outcome {
    ensure(seen.count("noted") > 0, || "the event is not there".into())
}

fn at_most_one(seen: &Seen<'_>) -> Outcome {
    ensure(seen.count("noted") <= 1, || "a key was appended twice".into())
}

fn one(seen: &Seen<'_>) -> Outcome {
    ensure(seen.count("noted") == 1, || "a key does not stand exactly once".into())
}

fn whole(seen: &Seen<'_>) -> Outcome {
    ensure(seen.count("noted").is_multiple_of(5), || "a batch counts in part".into())
}

fn whole_once(seen: &Seen<'_>) -> Outcome {
    ensure(seen.count("noted") == 5, || "a batch with a key does not stand exactly once".into())
}
