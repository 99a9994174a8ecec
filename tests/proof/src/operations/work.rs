//! The queue of work.

use std::time::Duration;

use runjournal::{ClaimRef, Event, Work, WorkState};

use super::{Operation, Seen, plain};
use crate::{Acks, Outcome, Place, ensure};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "queue_add",
        operate: add,
        holds: |seen| at_most(seen, "work_enqueued"),
        done: |seen| is(seen, "item-1", WorkState::Waiting, 0),
        ..plain()
    },
    Operation {
        name: "queue_next",
        prepare: two_items,
        operate: next,
        done: |seen| {
            is(seen, "item-1", WorkState::Claimed, 1)?;
            ensure(seen.count("work_failed") == 0, || "an attempt failed".into())
        },
        ..plain()
    },
    Operation {
        name: "queue_next_that_reaps",
        prepare: |place, acks| {
            two_items(place, acks)?;
            let queue = place.ctx()?.queue();
            queue.next("worker-0", Duration::from_millis(1))?;
            std::thread::sleep(Duration::from_millis(2));
            Ok(())
        },
        operate: next,
        holds: |seen| at_most(seen, "work_failed"),
        done: |seen| {
            is(seen, "item-1", WorkState::Claimed, 2)?;
            ensure(seen.count("work_failed") == 1, || "it was not reaped once".into())
        },
        ..plain()
    },
    Operation {
        name: "queue_reap",
        reads_much: true,
        prepare: |place, acks| {
            two_items(place, acks)?;
            place.ctx()?.queue().next("worker-0", Duration::from_millis(1))?;
            std::thread::sleep(Duration::from_millis(2));
            Ok(())
        },
        operate: |place, acks| {
            let ctx = place.ctx()?;
            place.begin();
            let reaped = ctx.queue().reap()?;
            if reaped > 0 {
                acks.newest(&ctx)?;
            }
            place.end();
            ensure(reaped == 1 || place.again(), || format!("{reaped} items were taken back"))
        },
        holds: |seen| at_most(seen, "work_failed"),
        done: |seen| is(seen, "item-1", WorkState::Failed, 1),
        ..plain()
    },
    Operation {
        name: "queue_done",
        prepare: claimed,
        operate: |place, acks| {
            let queue = place.ctx()?.queue();
            place.begin();
            acks.appended(&queue.done(&claim())?)?;
            place.end();
            Ok(())
        },
        holds: |seen| at_most(seen, "work_completed"),
        done: |seen| is(seen, "item-1", WorkState::Completed, 1),
        ..plain()
    },
    Operation {
        name: "queue_done_with",
        heads: true,
        recovery_killed: true,
        prepare: claimed,
        operate: |place, acks| {
            let queue = place.ctx()?.queue();
            place.begin();
            let events = [Event::new("noted"), Event::new("noted")];
            acks.appended(&queue.done_with(&claim(), events)?)?;
            place.end();
            Ok(())
        },
        holds: |seen| {
            at_most(seen, "work_completed")?;
            let (ends, notes) = (seen.count("work_completed"), seen.count("noted"));
            ensure(notes == 2 * ends, || format!("{notes} events of {ends} completions"))
        },
        done: |seen| is(seen, "item-1", WorkState::Completed, 1),
        ..plain()
    },
    Operation {
        name: "queue_fail",
        prepare: claimed,
        operate: fail,
        holds: |seen| at_most(seen, "work_failed"),
        done: |seen| is(seen, "item-1", WorkState::Failed, 1),
        ..plain()
    },
    Operation {
        name: "queue_fail_to_dead",
        prepare: |place, acks| {
            let queue = place.ctx()?.queue();
            acks.appended(&queue.add(Work::new("item-1").attempts(1))?)?;
            queue.next("worker-1", HOUR)?;
            Ok(())
        },
        operate: fail,
        holds: |seen| at_most(seen, "work_dead"),
        done: |seen| is(seen, "item-1", WorkState::Dead, 1),
        ..plain()
    },
    Operation {
        name: "queue_renew",
        prepare: claimed,
        operate: |place, _| {
            let queue = place.ctx()?.queue();
            place.begin();
            queue.renew(&claim(), HOUR * 2)?;
            place.end();
            Ok(())
        },
        done: |seen| is(seen, "item-1", WorkState::Claimed, 1),
        ..plain()
    },
];

const HOUR: Duration = Duration::from_secs(3600);

fn claim() -> ClaimRef {
    ClaimRef::new("item-1", "worker-1", 1)
}

fn add(place: &Place, acks: &mut Acks) -> Outcome {
    let queue = place.ctx()?.queue();
    place.begin();
    acks.appended(&queue.add(Work::new("item-1").input(&"some text").attempts(3))?)?;
    place.end();
    Ok(())
}

fn two_items(place: &Place, acks: &mut Acks) -> Outcome {
    let queue = place.ctx()?.queue();
    acks.appended(&queue.add(Work::new("item-1").priority(1))?)?;
    acks.appended(&queue.add(Work::new("item-2"))?)
}

fn claimed(place: &Place, acks: &mut Acks) -> Outcome {
    two_items(place, acks)?;
    place.ctx()?.queue().next("worker-1", HOUR)?;
    Ok(())
}

/// Who starts over gets another item: the first one is claimed by who died. In the end nothing is left.
fn next(place: &Place, acks: &mut Acks) -> Outcome {
    let queue = place.ctx()?.queue();
    place.begin();
    let claim = queue.next("worker-1", HOUR)?;
    if let Some(claim) = &claim {
        acks.tell(&format!("work {} {} {}", claim.item, claim.attempt, claim.owner))?;
    }
    place.end();
    ensure(claim.is_some() || place.again(), || "there is nothing to do".into())
}

fn fail(place: &Place, acks: &mut Acks) -> Outcome {
    let queue = place.ctx()?.queue();
    place.begin();
    acks.appended(&queue.fail(&claim(), "it cannot be done", Duration::ZERO)?)?;
    place.end();
    Ok(())
}

fn at_most(seen: &Seen<'_>, event_type: &str) -> Outcome {
    // Of the stages, each has two items at most.
    let count = seen.records.iter().filter(|record| {
        record.text("event_type") == event_type && record.stream() == "work/item-1"
    });
    ensure(count.count() <= 1, || format!("{event_type} stands twice"))
}

fn is(seen: &Seen<'_>, item: &str, state: WorkState, attempt: u64) -> Outcome {
    let found = seen.place.ctx()?.queue().item(item)?;
    let right = found.as_ref().is_some_and(|item| (item.state, item.attempt) == (state, attempt));
    ensure(right, || format!("{item} is {found:?}"))
}
