//! `queue`: work that is put in, taken and done.

use std::io::{self, Read as _};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use runjournal::{
    Appended, Claim, ClaimRef, Clock as _, Queue, SystemClock, Timestamp, Work, WorkError, WorkItem,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::args::InJournal;
use super::duration::duration;
use super::error::CliError;
use super::exit::{Exit, of_journal};
use super::locate::{Journal, Locator};
use super::output::{Output, hint};
use super::units::until;

#[derive(Debug, Subcommand)]
pub(crate) enum QueueVerb {
    /// Put a piece of work in, once
    #[command(
        after_help = "Example: runjournal queue add page-17 -t PAGES --input '{\"url\": \"x\"}'"
    )]
    Add(Add),
    /// Claim the next piece that is due, and print it
    #[command(
        after_help = "Example: runjournal queue next -t PAGES --owner \"worker-$$\" --format json"
    )]
    Next {
        #[command(flatten)]
        journal: InJournal,
        /// Who works on it
        #[arg(long, value_name = "WORKER")]
        owner: String,
        /// After this time without an end the piece goes to another worker
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
        ttl: Duration,
        /// How long to wait while no piece is due, but some are open
        #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
        #[arg(hide_default_value = true)]
        wait: Duration,
    },
    /// Make a claim last for a time from now on
    Renew {
        #[command(flatten)]
        journal: InJournal,
        #[command(flatten)]
        claim: Claimed,
        /// After this time without an end the piece goes to another worker
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
        ttl: Duration,
    },
    /// Say that a claimed piece is done
    #[command(
        after_help = "Example: runjournal queue done page-17 -t PAGES --owner w1 --attempt 1"
    )]
    Done {
        #[command(flatten)]
        journal: InJournal,
        #[command(flatten)]
        claim: Claimed,
    },
    /// Say that an attempt failed: the piece goes to the next attempt
    #[command(after_help = "After its last attempt it is dead: it is not tried again.")]
    Fail {
        #[command(flatten)]
        journal: InJournal,
        #[command(flatten)]
        claim: Claimed,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "failed", hide_default_value = true)]
        error: String,
        /// How long to wait before the next attempt
        #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
        #[arg(hide_default_value = true)]
        delay: Duration,
    },
    /// List all pieces, those that are over included
    List {
        #[command(flatten)]
        journal: InJournal,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    #[command(flatten)]
    journal: InJournal,
    /// Its id, which makes it be put in once
    item: String,
    /// Greater ones come first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i64,
    /// What a worker needs to know, as JSON; `-`: standard input
    #[arg(long, value_name = "JSON")]
    input: Option<String>,
    /// How often it is tried; 10 times unless given
    #[arg(long, value_name = "N")]
    attempts: Option<u64>,
    /// How long to wait before the first attempt
    #[arg(long, value_name = "TIME", value_parser = duration)]
    delay: Option<Duration>,
}

/// The claim that `queue next` printed.
#[derive(Debug, Args)]
pub(crate) struct Claimed {
    /// The piece of work
    item: String,
    /// Who claimed it
    #[arg(long, value_name = "WORKER")]
    owner: String,
    /// In which attempt
    #[arg(long, value_name = "N")]
    attempt: u64,
}

impl From<Claimed> for ClaimRef {
    fn from(claimed: Claimed) -> Self {
        Self::new(claimed.item, claimed.owner, claimed.attempt)
    }
}

pub(crate) fn queue(at: &Locator, verb: QueueVerb, output: &mut Output) -> Result<Exit, CliError> {
    match verb {
        QueueVerb::Add(args) => add(&queue_of(at, &args.journal)?, args, output),
        QueueVerb::Next { journal, owner, ttl, wait } => {
            let queue = queue_of(at, &journal)?;
            let claim = next(&queue, &owner, ttl, wait)?;
            claimed(&claim, claim.expires_at(), Some(claim.input()?), output)
        }
        QueueVerb::Renew { journal, claim, ttl } => {
            let claim = ClaimRef::from(claim);
            let expires_at = queue_of(at, &journal)?.renew(&claim, ttl)?;
            claimed(&claim, expires_at, None, output)
        }
        QueueVerb::Done { journal, claim } => {
            let claim = ClaimRef::from(claim);
            let appended = queue_of(at, &journal)?.done(&claim)?;
            said(claim.item, &appended, "said before", output)
        }
        QueueVerb::Fail { journal, claim, error, delay } => {
            let claim = ClaimRef::from(claim);
            let appended = queue_of(at, &journal)?.fail(&claim, error, delay)?;
            said(claim.item, &appended, "said before", output)
        }
        QueueVerb::List { journal } => list(&queue_of(at, &journal)?, output),
    }
}

fn queue_of(at: &Locator, named: &InJournal) -> Result<Queue, CliError> {
    Ok(match at.journal(named)? {
        Journal::Run(run) => run.queue(),
        Journal::Task(task) => task.queue(),
    })
}

fn add(queue: &Queue, args: Add, output: &mut Output) -> Result<Exit, CliError> {
    let mut work = Work::new(args.item.as_str()).priority(args.priority);
    if let Some(input) = args.input {
        work = work.input(&read_input(input)?);
    }
    if let Some(attempts) = args.attempts {
        work = work.attempts(attempts);
    }
    if let Some(delay) = args.delay {
        let delay = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        let due = SystemClock.now().as_microseconds().saturating_add(delay);
        work = work.not_before(Timestamp::from_microseconds(due));
    }
    let appended = queue.add(work)?;
    said(args.item, &appended, "added before", output)
}

fn read_input(text: String) -> Result<Box<RawValue>, CliError> {
    let (json, origin) = if text == "-" {
        let mut json = String::new();
        let read = io::stdin().lock().read_to_string(&mut json);
        read.map_err(|source| CliError::Input { source })?;
        (json, "standard input")
    } else {
        (text, "the text of --input")
    };
    serde_json::from_str(&json).map_err(|source| CliError::BadPayload {
        origin: origin.to_owned(),
        before: 0,
        source,
    })
}

/// What was recorded of an item.
#[derive(Serialize)]
struct Said {
    item: String,
    seq: u64,
    duplicate: bool,
}

fn said(
    item: String,
    appended: &Appended,
    before: &str,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let said = Said { item, seq: appended.seq, duplicate: appended.duplicate };
    output.one(&said, |output| {
        let before = if said.duplicate { format!("  ({before})") } else { String::new() };
        output.line(&format!("{}  seq {}{before}", said.item, said.seq))
    })?;
    Ok(Exit::Fine)
}

/// How often it is looked whether somebody put work in, gave it up, or is done with it.
const PAUSE: Duration = Duration::from_millis(100);

/// The next piece of work, once one is due.
fn next(queue: &Queue, owner: &str, ttl: Duration, wait: Duration) -> Result<Claim, CliError> {
    let start = Instant::now();
    loop {
        if let Some(claim) = queue.next(owner, ttl)? {
            return Ok(claim);
        }
        let Some(due) = queue.due()? else {
            let what = "work left: all that was put in is completed or dead";
            let to_do = "`runjournal queue add` puts in more";
            return Err(CliError::NotThere { what: what.to_owned(), to_do });
        };
        let left = wait.saturating_sub(start.elapsed());
        if left.is_zero() {
            let what = format!("work that is due: the next is due {}, at {due}", until(due));
            let to_do = "wait for it with --wait TIME";
            return Err(CliError::NotThere { what, to_do });
        }
        thread::sleep(PAUSE.min(left));
    }
}

/// A piece of work that somebody holds.
#[derive(Serialize)]
struct Held<'a> {
    #[serde(flatten)]
    claim: &'a ClaimRef,
    expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Option<Box<RawValue>>>,
}

fn claimed(
    claim: &ClaimRef,
    expires_at: Timestamp,
    input: Option<Option<Box<RawValue>>>,
    output: &mut Output,
) -> Result<Exit, CliError> {
    output.one(&Held { claim, expires_at, input }, |output| {
        let ClaimRef { item, attempt, .. } = claim;
        output.line(&format!("{item}  attempt {attempt}  ends {}", until(expires_at)))
    })?;
    Ok(Exit::Fine)
}

fn list(queue: &Queue, output: &mut Output) -> Result<Exit, CliError> {
    let items = queue.items()?;
    output.many("items", &items, |output| {
        if items.is_empty() {
            hint("no work yet; put some in with `runjournal queue add ITEM`");
            return Ok(());
        }
        let rows: Vec<_> = items.iter().map(|item| row(item, output)).collect();
        output.table(["ITEM", "STATE", "PRIORITY", "ATTEMPT", "OWNER", "DUE", "ERROR"], &rows)
    })?;
    Ok(Exit::Fine)
}

fn row(item: &WorkItem, output: &Output) -> [String; 7] {
    // When something may happen to it again.
    let due = item.expires_at.or(item.not_before).filter(|_| !item.state.is_over());
    [
        item.item.clone(),
        item.state.to_string(),
        item.priority.to_string(),
        format!("{} of {}", item.attempt, item.max_attempts),
        item.owner.clone().unwrap_or_default(),
        due.map(|due| output.ago(due)).unwrap_or_default(),
        item.error.clone().unwrap_or_default(),
    ]
}

/// The exit code that says what kind of trouble it is.
pub(super) fn exit_of(error: &WorkError) -> Exit {
    match error {
        WorkError::Journal(error) => of_journal(error),
        WorkError::BadName { .. }
        | WorkError::NoAttempts { .. }
        | WorkError::NoTime
        | WorkError::BadInput { .. } => Exit::Usage,
        WorkError::Conflict { .. } | WorkError::NotOwner { .. } => Exit::Conflict,
        WorkError::NotFound { .. } => Exit::NotFound,
        WorkError::Foreign { .. } => Exit::ReadOnly,
        _ => Exit::Internal,
    }
}
