//! What happens once, however many ask for it.

use std::time::Duration;

use runjournal::{
    ArtifactName, Command, CommandOutcome, Event, Fold, JournalError, Record, Rejection,
    RunContext, SessionError, SessionStatus, Signal, Step, StepContext, StepFailure, StepResult,
    Work, WorkError,
};
use serde_json::json;

use crate::soak::ground::NO_RUN;
use crate::soak::hand::{At, Hand};
use crate::{Outcome, Violation};

/// A step that many want to do; one does it.
pub(super) fn step(hand: &mut Hand) -> Outcome {
    let (at, content) = (hand.at()?, hand.content());
    let name = format!("once-{}", hand.chance.under(400));
    let mut ran = false;
    let ended = at.ctx.step(name.as_str(), |step| {
        ran = true;
        body(step, &name, &content)
    });
    match ended {
        // Who finds it done knows that it is done, and not that it is durable.
        Ok(_) if hand.durable && !ran => Ok(()),
        Ok(_) => hand.teller.tell(&at.home, &format!("step {name}")),
        Err(StepFailure::StepTaken { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn body(step: &StepContext, name: &str, content: &[u8]) -> StepResult {
    step.write_bytes(ArtifactName::new(format!("steps/{name}.txt"))?, content)?;
    step.append(Event::new("noted_in_step"))?;
    Ok(Signal::new("done"))
}

/// The next turn of a loop that many are in.
pub(super) fn turn(hand: &mut Hand) -> Outcome {
    let (at, content) = (hand.at()?, hand.content());
    let name = format!("loop-{}", hand.chance.under(4));
    let known = format!("{} {name}", at.home);
    for _ in 0..3 {
        let turn = hand.turns.get(&known).copied().unwrap_or(1);
        let ended =
            at.ctx.step(Step::new(name.as_str()).turn(turn), |step| body(step, &name, &content));
        let next = match ended {
            Ok(_) if hand.durable => turn + 1,
            Ok(_) => {
                hand.teller.tell(&at.home, &format!("turn {turn} {name}"))?;
                turn + 1
            }
            Err(StepFailure::StepTaken { .. }) => return Ok(()),
            Err(StepFailure::TurnOutOfOrder { next, .. }) => next,
            Err(error) => return Err(error.into()),
        };
        hand.turns.insert(known.clone(), next);
        if next == turn + 1 {
            break;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Seats {
    taken: u64,
}

impl Fold for Seats {
    fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
        self.taken += u64::from(record.event_type() == "seat_taken");
        Ok(())
    }
}

/// A command that others may have given before; of each hall only so many seats can be had.
pub(super) fn command(hand: &mut Hand) -> Outcome {
    let at = hand.at()?;
    let number = hand.chance.under(1_000);
    let command = Command::new(format!("take-{number}"), "take_seat");
    let command = command.on("hall", format!("H-{}", number % 50));
    let receipt = at.ctx.dispatch(command, |seats: &Seats| match seats.taken {
        0..3 => Ok(vec![Event::new("seat_taken"), Event::new("seat_paid")]),
        _ => Err(Rejection::new("sold out")),
    })?;
    let (how, seq) = match receipt.outcome() {
        CommandOutcome::Accepted { seq, .. } => ("accepted", seq),
        CommandOutcome::Rejected { seq, .. } => ("rejected", seq),
        other => return Err(Violation::new(format!("it was answered with {other:?}"))),
    };
    hand.teller.tell(&at.home, &format!("receipt {seq} {how} {}", receipt.command_id()))
}

/// A queue: of a run, or of a task.
enum Queues {
    Run(RunContext),
    Task(runjournal::Task),
}

impl Queues {
    fn pick(hand: &mut Hand) -> Outcome<(Self, String)> {
        if hand.chance.once_in(2) {
            let home = format!("TASK-1/{NO_RUN}");
            return Ok((Self::Task(hand.workspace.task("TASK-1")?), home));
        }
        let At { ctx, home } = hand.at()?;
        Ok((Self::Run(ctx), home))
    }

    fn queue(&self) -> runjournal::Queue {
        match self {
            Self::Run(ctx) => ctx.queue(),
            Self::Task(task) => task.queue(),
        }
    }
}

/// New work, or work that others put in as well.
pub(super) fn add_work(hand: &mut Hand) -> Outcome {
    let (queues, home) = Queues::pick(hand)?;
    let item = match hand.chance.under(3) {
        0 => format!("shared-{}", hand.chance.under(200)),
        _ => format!("of-{}-{}", hand.name, hand.done),
    };
    let queue = queues.queue().durability(hand.durability());
    let added = queue.add(Work::new(item).input(&1).attempts(1_000))?;
    hand.teller.appended(&home, &added)
}

/// Claims work, some of it for a moment only, and ends it well, badly or not at all.
pub(super) fn do_work(hand: &mut Hand) -> Outcome {
    let (queues, home) = Queues::pick(hand)?;
    let queue = queues.queue().durability(hand.durability());
    let time = if hand.chance.once_in(4) { 1 } else { 3_000 };
    let Some(claim) = queue.next(&hand.name, Duration::from_millis(time))? else { return Ok(()) };
    let claimed = format!("work {} {} {}", claim.item, claim.attempt, claim.owner);
    hand.teller.tell(&home, &claimed)?;
    let ended = match hand.chance.under(8) {
        0 => return Ok(()),
        1 => queue.fail(&claim, "it did not work", Duration::ZERO),
        _ => queue.done_with(&claim, [hand.note("worked")]),
    };
    match ended {
        Ok(ended) => hand.teller.appended(&home, &ended),
        Err(WorkError::NotOwner { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A session that others are in as well.
pub(super) fn session(hand: &mut Hand) -> Outcome {
    let at = hand.at()?;
    let id = format!("S-{}", hand.chance.under(6));
    let session = at.ctx.session(&id, "provider")?.durability(hand.durability());
    let (ended, status) = match hand.chance.under(5) {
        0 => (session.stop(), "stopped"),
        _ => (session.update_with(SessionStatus::Running, &json!({"at": hand.done})), "running"),
    };
    match ended {
        Ok(()) => hand.teller.tell(&at.home, &format!("session {id} {status}")),
        Err(SessionError::Over { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn checkpoint(hand: &mut Hand) -> Outcome {
    let at = hand.at()?;
    let made = at.ctx.next_checkpoint()?;
    hand.teller.tell(&at.home, &format!("checkpoint {} {}", made.turn, made.digest))
}
