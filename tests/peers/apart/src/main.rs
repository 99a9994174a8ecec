//! Peers that are built apart, as a worker of `runjournal-peers`: it says that it is ready, then does so many operations for
//! each number that it is told, and says how many nanoseconds they took.

mod cache;
mod task_journal;
mod yoagent;

use std::process::ExitCode;
use std::time::Instant;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// One operation, told its number.
type Operate = Box<dyn FnMut(u64) -> Result<()>>;

/// Bytes of a line, its line break included: as of every contender.
const LINE: usize = 543;

/// What fills a line up.
fn output(length: usize) -> String {
    "x".repeat(length)
}

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    match open(&arguments).and_then(obey) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runjournal-peers-apart: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Sets up in an empty directory.
fn open(arguments: &[String]) -> Result<Operate> {
    let arguments = arguments.iter().map(String::as_str).collect::<Vec<_>>();
    let path = |dir: &str| format!("{dir}/events.jsonl");
    match arguments.as_slice() {
        [dir, "cacache", size] => cache::write(dir, size.parse()?),
        [dir, "task-journal-append"] => task_journal::append(&path(dir), false),
        [dir, "task-journal-append-synced"] => task_journal::append(&path(dir), true),
        [dir, "task-journal-rebuild", events] => {
            task_journal::rebuild(&path(dir), dir, events.parse()?)
        }
        [dir, "yoagent-append", events] => yoagent::append(&path(dir), events.parse()?),
        [dir, "yoagent-append-to-git"] => yoagent::append_to_git(dir),
        [dir, "yoagent-scan", events] => yoagent::scan(&path(dir), events.parse()?),
        _ => Err(format!("{arguments:?} is no work").into()),
    }
}

fn obey(mut operate: Operate) -> Result<()> {
    println!("ready");
    let mut next = 0;
    for line in std::io::stdin().lines() {
        let count = line?.parse::<u64>()?;
        let start = Instant::now();
        for number in next..next + count {
            operate(number)?;
        }
        println!("{}", start.elapsed().as_nanos());
        next += count;
    }
    Ok(())
}
