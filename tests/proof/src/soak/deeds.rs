//! What a thread may do, each with how often it does it.

mod once;
mod reading;

use std::io::Write as _;

use runjournal::{ArtifactError, ArtifactName, Durability, Event};

use super::ground::NO_RUN;
use super::hand::{At, Hand};
use crate::{Outcome, Rng, Violation};

pub(crate) type Deed = fn(&mut Hand) -> Outcome;

/// All deeds, with how often of a thousand times each is done.
const ALL: &[(u64, &str, Deed)] = &[
    (120, "append", append),
    (300, "append by a kept writer", append_kept),
    (120, "batch", batch),
    (60, "key", key),
    (8, "large payload", large),
    (90, "write", write),
    (30, "remove", remove),
    (50, "transaction", transaction),
    (20, "stream", stream),
    (6, "short run", short_run),
    (30, "step", once::step),
    (30, "turn", once::turn),
    (20, "command", once::command),
    (20, "work put in", once::add_work),
    (30, "work", once::do_work),
    (20, "session", once::session),
    (4, "checkpoint", once::checkpoint),
    (20, "tail", reading::tail),
    (40, "read", reading::read),
    (10, "catch up", reading::catch_up),
    (2, "manifest", reading::manifest),
    (1, "refresh", reading::refresh),
    (1, "verify", reading::verify),
];

/// The next deed.
pub(crate) fn pick(chance: &mut Rng) -> (&'static str, Deed) {
    let mut at = chance.under(ALL.iter().map(|(often, ..)| often).sum());
    for (often, name, deed) in ALL {
        match at.checked_sub(*often) {
            Some(rest) => at = rest,
            None => return (name, *deed),
        }
    }
    ("append", append)
}

/// The deeds that end in the change of a directory, one after the other: nothing is synced behind that. Those
/// that no later step makes good come more often.
const RENAMING: &[(&str, Deed)] = &[
    ("manifest", reading::manifest),
    ("short run", short_run),
    ("write", write),
    ("manifest", reading::manifest),
    ("checkpoint", once::checkpoint),
    ("short run", short_run),
    ("remove", remove),
    ("transaction", transaction),
    ("stream", stream),
    ("large payload", large),
];

/// The deed with this number, counted round and round.
pub(crate) fn renaming(number: u64) -> Option<(&'static str, Deed)> {
    RENAMING.iter().copied().cycle().nth(usize::try_from(number % 1_000).ok()?)
}

/// The shared artifacts.
const NAMES: &[&str] = &["plan.json", "a.txt", "b/c.txt", "b/d/e.txt", "b/ü.txt", "report.json"];

fn name(hand: &mut Hand) -> Outcome<ArtifactName> {
    Ok(ArtifactName::new(hand.chance.pick(NAMES).copied().unwrap_or_default())?)
}

/// What a power cut may take is not told where power may be cut.
fn is_told(hand: &Hand, durability: Durability) -> bool {
    !hand.durable || durability == Durability::Durable
}

fn append(hand: &mut Hand) -> Outcome {
    let (at, event) = (hand.at()?, hand.note("noted"));
    let appended = at.ctx.append(event)?;
    if is_told(hand, Durability::Buffered) {
        hand.teller.appended(&at.home, &appended)
    } else {
        Ok(())
    }
}

fn append_kept(hand: &mut Hand) -> Outcome {
    let (at, event, durability) = (hand.at()?, hand.note("noted"), hand.durability());
    let writer = hand.kept(&at)?.durability(durability);
    hand.teller.appended(&at.home, &writer.append(event)?)
}

/// Each record of a batch says how many it has.
fn batch(hand: &mut Hand) -> Outcome {
    let (at, durability) = (hand.at()?, hand.durability());
    let size = 2 + hand.chance.under(if hand.chance.clone().once_in(9) { 60 } else { 6 });
    let events: Vec<Event> = (0..size).map(|_| hand.note("noted_with_others")).collect();
    let writer = hand.kept(&at)?.durability(durability);
    let appended = writer.append_batch(&events)?;
    appended.iter().try_for_each(|one| hand.teller.appended(&at.home, one))
}

/// A key that others have as well: whoever comes first appends it, and all are told of the same record.
fn key(hand: &mut Hand) -> Outcome {
    let at = hand.at()?;
    let key = format!("key-{}", hand.chance.under(3_000));
    let writer = hand.kept(&at)?.durability(hand.durability());
    let appended = writer.append(Event::new("keyed").payload(&key).key(key))?;
    hand.teller.appended(&at.home, &appended)
}

fn large(hand: &mut Hand) -> Outcome {
    let (at, event) = (hand.at()?, hand.note("said"));
    let size = 65_000 + usize::try_from(hand.chance.under(80_000))?;
    let writer = hand.kept(&at)?.durability(hand.durability());
    let appended = writer.append(event.payload(&"x".repeat(size)))?;
    hand.teller.appended(&at.home, &appended)
}

fn write(hand: &mut Hand) -> Outcome {
    let (at, name, content) = (hand.at()?, name(hand)?, hand.content());
    let artifacts = at.ctx.artifacts().durability(hand.durability());
    hand.teller.stored(&at.home, &artifacts.write_bytes(name, &content)?)
}

fn remove(hand: &mut Hand) -> Outcome {
    let (at, name) = (hand.at()?, name(hand)?);
    match at.ctx.artifacts().durability(hand.durability()).remove(name) {
        Ok(stored) => hand.teller.stored(&at.home, &stored),
        Err(ArtifactError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn transaction(hand: &mut Hand) -> Outcome {
    let at = hand.at()?;
    let mut transaction = at.ctx.transaction().durability(hand.durability());
    for path in NAMES.iter().skip(usize::try_from(hand.chance.under(4))?).take(3) {
        transaction.write_bytes(ArtifactName::new(*path)?, &hand.content())?;
    }
    transaction.append(hand.note("noted_with_files"));
    transaction.append(hand.note("noted_with_files"));
    hand.teller.committed(&at.home, &transaction.commit()?)
}

fn stream(hand: &mut Hand) -> Outcome {
    let (at, name, content) = (hand.at()?, name(hand)?, hand.content());
    let mut file = at.ctx.artifacts().durability(hand.durability()).create(name)?;
    for piece in content.chunks(50_000) {
        file.write_all(piece)?;
    }
    hand.teller.stored(&at.home, &file.commit()?)
}

/// A run of its own, from its start to its end.
fn short_run(hand: &mut Hand) -> Outcome {
    let (id, content) = (format!("OF-{}-{}", hand.name, hand.done), hand.content());
    let ctx = hand.workspace.task("TASK-2")?.start_run_as(id.as_str())?;
    hand.teller.tell(&format!("TASK-2/{NO_RUN}"), &format!("run {id}"))?;
    hand.rest();
    let at = At { ctx, home: format!("TASK-2/{id}") };
    let event = hand.note("noted");
    hand.teller
        .appended(&at.home, &at.ctx.journal()?.durability(Durability::Durable).append(event)?)?;
    let out = ArtifactName::from_static("out.txt");
    hand.teller.stored(&at.home, &at.ctx.artifacts().write_bytes(out, &content)?)?;
    if hand.chance.once_in(3) {
        return reading::write_manifest(hand, &at);
    }
    let ended = at.ctx.run()?.complete(runjournal::Outcome::Success, None)?;
    hand.teller.appended(&at.home, &ended)?;
    match at.ctx.append(Event::new("late")) {
        Err(runjournal::JournalError::Closed { .. }) => Ok(()),
        other => Err(Violation::new(format!("after its end it answers {other:?}"))),
    }
}
