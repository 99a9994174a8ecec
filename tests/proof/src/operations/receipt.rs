//! Commands that are decided once.

use runjournal::{Command, CommandOutcome, Event, Fold, JournalError, Receipt, Record, Rejection};

use super::{Operation, Seen, plain};
use crate::{Acks, Outcome, Place, Violation, ensure};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "dispatch_accepted",
        heads: true,
        recovery_killed: true,
        operate: |place, acks| take(place, acks, "cmd-1"),
        holds: sold_whole,
        done: |seen| sold_once(seen).and_then(|()| answered(seen, 1, 0)),
        ..plain()
    },
    Operation {
        name: "dispatch_rejected",
        prepare: |place, acks| take(place, acks, "cmd-0"),
        operate: |place, acks| take(place, acks, "cmd-1"),
        holds: sold_once,
        done: |seen| sold_once(seen).and_then(|()| answered(seen, 1, 1)),
        ..plain()
    },
    Operation {
        name: "dispatch_duplicate",
        prepare: |place, acks| take(place, acks, "cmd-1"),
        operate: |place, acks| take(place, acks, "cmd-1"),
        holds: sold_once,
        done: |seen| sold_once(seen).and_then(|()| answered(seen, 1, 0)),
        ..plain()
    },
];

#[derive(Default)]
pub(crate) struct Seats {
    taken: u32,
}

impl Fold for Seats {
    fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
        self.taken += u32::from(record.event_type() == "seat_taken");
        Ok(())
    }
}

/// Takes the only seat, for whoever comes first.
pub(crate) fn take(place: &Place, acks: &mut Acks, id: &str) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    let command = Command::new(id, "take_seat").on("show", "S-1");
    let receipt = ctx.dispatch(command, |seats: &Seats| {
        if seats.taken > 0 {
            return Err(Rejection::new("sold out"));
        }
        Ok(vec![Event::new("seat_taken"), Event::new("seat_paid"), Event::new("guest_told")])
    })?;
    acks.answered(&receipt)?;
    place.end();
    Ok(())
}

impl Acks {
    /// A command was decided, now or before.
    fn answered(&mut self, receipt: &Receipt) -> Outcome {
        let (how, seq) = match receipt.outcome() {
            CommandOutcome::Accepted { seq, .. } => ("accepted", seq),
            CommandOutcome::Rejected { seq, .. } => ("rejected", seq),
            other => return Err(Violation::new(format!("it was answered with {other:?}"))),
        };
        self.tell(&format!("receipt {seq} {how} {}", receipt.command_id()))
    }
}

fn sold_whole(seen: &Seen<'_>) -> Outcome {
    if seen.count("seat_taken") == 0 { parts(seen, 0) } else { sold_once(seen) }
}

fn sold_once(seen: &Seen<'_>) -> Outcome {
    parts(seen, 1)
}

fn parts(seen: &Seen<'_>, count: usize) -> Outcome {
    let parts = ["seat_taken", "seat_paid", "guest_told"].map(|part| seen.count(part));
    ensure(parts == [count; 3], || format!("the parts of the acceptance stand {parts:?} times"))
}

/// So many acceptances and rejections, and the same is told of the command to whoever asks.
fn answered(seen: &Seen<'_>, accepted: usize, rejected: usize) -> Outcome {
    let counts = (seen.count("seat_taken"), seen.count("command_rejected"));
    ensure(counts == (accepted, rejected), || format!("accepted and rejected: {counts:?}"))?;
    let receipt = seen.place.ctx()?.receipt("cmd-1")?;
    ensure(receipt.is_some_and(|told| told.is_accepted() == (rejected == 0)), || {
        "the receipt says something else".into()
    })
}
