//! Workers that are killed, and a queue that does not mind: `cargo run --example workers [NUMBERS]`.
//!
//! Numbers are put into a queue. Processes take one after the other, square it, and commit the square
//! with the end of the item. Some are killed without a word of warning, at any moment, and others take
//! their place. In the end each number was counted once, though some were worked on twice.

use std::collections::BTreeMap;
use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use camino::Utf8Path;
use runjournal::{Durability, Event, Outcome, Queue, RunContext, TaskOptions, Work, WorkError};
use runjournal::{WorkState, Workspace};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const WORKERS: u64 = 4;
const KILLS: u64 = 8;
/// Short, so that what a killed worker held goes soon to another.
const TTL: Duration = Duration::from_millis(300);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [worker, name] if worker == "--worker" => work(&RunContext::from_env()?, name),
        [numbers] => supervise(numbers.parse()?),
        _ => supervise(500),
    }
}

/// A worker: takes items until all are over.
fn work(ctx: &RunContext, name: &str) -> Result<()> {
    let queue = quick(ctx);
    loop {
        let Some(claim) = queue.next(name, TTL)? else {
            if queue.due()?.is_none() {
                return Ok(()); // nothing is open any more
            }
            sleep(Duration::from_millis(20)); // another one is at the last items, or died over them
            continue;
        };
        let number: u64 = claim.input()?;
        sleep(Duration::from_millis(2 + random(8))); // hard work
        let square = Event::new("squared").payload(&(number * number));
        match queue.done_with(&claim, [square]) {
            Ok(_) => {}
            // It took too long, and somebody else has the item: what was made of it is dropped.
            Err(WorkError::NotOwner { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Puts numbers into a queue, starts workers, kills some, and checks what came of it.
fn supervise(numbers: u64) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let root = Utf8Path::from_path(dir.path()).ok_or("the path is not UTF-8")?.join("workspaces");
    let workspace = Workspace::create(&root)?;
    let ctx = workspace.create_task("SQUARES", TaskOptions::default())?.start_run_as("RUN-1")?;
    let queue = quick(&ctx);
    for number in 1..=numbers {
        queue.add(Work::new(format!("number-{number}")).input(&number).attempts(100))?;
    }
    println!("{numbers} numbers to square, {WORKERS} workers, {KILLS} of them killed on the way");

    let mut workers = (0..WORKERS).map(|name| start(&ctx, name)).collect::<Result<Vec<_>>>()?;
    let mut killed = 0;
    for name in WORKERS..WORKERS + KILLS {
        sleep(Duration::from_millis(random(80)));
        let mut victim = workers.swap_remove(usize::try_from(random(WORKERS))?);
        let sent = victim.kill(); // SIGKILL: it cannot clean up
        killed += u32::from(!victim.wait()?.success());
        sent?;
        workers.push(start(&ctx, name)?);
    }
    for mut worker in workers {
        let status = worker.wait()?;
        if !status.success() {
            return Err(format!("a worker failed: {status}").into());
        }
    }
    if killed == 0 {
        return Err(
            "all work was done before a worker could be killed: give them more numbers".into()
        );
    }
    println!("{killed} were killed; the others ended when nothing was left\n");
    account(&ctx, &queue, numbers)
}

/// This program again, as a worker in this run.
fn start(ctx: &RunContext, name: u64) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.args(["--worker", &format!("worker-{name}")]).envs(ctx.env()).spawn()?)
}

/// The queue of the run, for work that a power cut may take: a killed process takes nothing.
fn quick(ctx: &RunContext) -> Queue {
    ctx.queue().durability(Durability::Buffered)
}

/// What the journal says.
fn account(ctx: &RunContext, queue: &Queue, numbers: u64) -> Result<()> {
    let (mut squares, mut sum, mut claims) = (0, 0, 0);
    for record in ctx.events()? {
        let record = record?;
        match record.event_type() {
            "squared" => (squares, sum) = (squares + 1, sum + record.payload::<u64>()?),
            "work_claimed" => claims += 1,
            _ => {}
        }
    }
    let mut states = BTreeMap::new();
    for item in queue.items()? {
        *states.entry(item.state.to_string()).or_insert(0_u64) += 1;
    }
    let wanted: u64 = (1..=numbers).map(|number| number * number).sum();
    println!("claims   {claims} ({} after the owner before was killed)", claims - squares);
    println!("squares  {squares}");
    println!("sum      {sum} (and it should be {wanted})");
    println!("items    {states:?}");
    let completed = states.get(&WorkState::Completed.to_string()) == Some(&numbers);
    if (squares, sum, completed) != (numbers, wanted, true) {
        return Err("a number was lost, or counted twice".into());
    }
    ctx.run()?.complete(Outcome::Success, None)?;
    println!("each number was counted once");
    Ok(())
}

/// A random number below a limit.
fn random(limit: u64) -> u64 {
    RandomState::new().build_hasher().finish() % limit
}
