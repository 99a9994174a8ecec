//! What needs processes of its own. This program starts itself again as a worker.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use camino::Utf8Path;
use runjournal::index::Index;
use runjournal::{Backup, Durability, RunContext, Workspace};

use crate::call::{Call, Fit, LINE, Place, PlainRecord, event};
use crate::rows::{bounds, care};
use crate::{Result, floor, large};

/// The first argument of a worker.
pub(crate) const WORKER: &str = "worker";

/// A child that says a line for each line it is told, and first that it is ready.
pub(crate) struct Child {
    child: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or("the child has no output")?);
        let mut child = Self { child, input, output };
        match child.hear()?.as_str() {
            "ready" => Ok(child),
            said => Err(format!("the child said {said:?} instead of ready").into()),
        }
    }

    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().ok_or("the child's input is closed")?;
        Ok(input.write_all(format!("{line}\n").as_bytes())?)
    }

    pub(crate) fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("the child ended early".into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Lets it do so many operations, and returns how long they took by its own clock: pipes cost nothing.
    pub(crate) fn lap(&mut self, operations: u64) -> Result<Duration> {
        self.say(&operations.to_string())?;
        Ok(Duration::from_nanos(self.hear()?.parse()?))
    }
}

impl Drop for Child {
    /// A worker ends when its input does.
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

/// This program as a worker.
pub(crate) fn command(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(WORKER).args(arguments);
    Ok(command)
}

/// Runs a worker to its end and returns what it printed.
pub(crate) fn ask(ctx: &RunContext, arguments: &[&str]) -> Result<String> {
    let output = command(arguments)?.envs(ctx.env()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("worker {} ended with {}", arguments.join(" "), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// What a worker does.
pub(crate) fn work(arguments: &[String]) -> Result<()> {
    let arguments = arguments.iter().map(String::as_str).collect::<Vec<_>>();
    match arguments.as_slice() {
        ["append", bare, durability] => append(Fit::parse(bare)?, parsed(durability)),
        ["write", path, durability] => write(Utf8Path::new(path), parsed(durability)),
        ["bound", dir] => obey(bounds::shared(Utf8Path::new(dir))?),
        ["once", key] => {
            RunContext::from_env()?.append(event(&Call::new(0, 0)).key(*key))?;
            Ok(())
        }
        ["idle"] => Ok(()),
        ["nothing"] => peak(),
        ["replay", records] => replay(records.parse()?),
        ["rebuild"] => {
            let workspace = Workspace::open(RunContext::from_env()?.root())?;
            Index::of(&workspace).rebuild()?;
            peak()
        }
        ["backup", _, to] => {
            care::take(RunContext::from_env()?.root(), Utf8Path::new(to))?;
            peak()
        }
        ["restore", from, to] => {
            let snapshot = Backup::open(from)?.snapshots()?.pop().ok_or("no snapshot")?;
            care::restore(&snapshot, Utf8Path::new(to))?;
            peak()
        }
        ["put", size] => {
            let store = RunContext::from_env()?.artifacts().durability(Durability::Buffered);
            large::write(&store, LARGE, &mut large::Content::new(size.parse()?))?;
            peak()
        }
        ["get", size] => {
            let read = large::read(&RunContext::from_env()?.artifacts(), LARGE)?;
            if read != size.parse::<u64>()? {
                return Err(format!("{read} bytes were read instead of {size}").into());
            }
            peak()
        }
        _ => Err(format!("{arguments:?} is no work").into()),
    }
}

const DURABLE: &str = "durable";

/// As an argument for a worker.
pub(crate) fn durability(durability: Durability) -> &'static str {
    if durability == Durability::Durable { DURABLE } else { "buffered" }
}

/// From a worker's argument.
fn parsed(argument: &str) -> Durability {
    if argument == DURABLE { Durability::Durable } else { Durability::Buffered }
}

/// The artifact that `put` writes and `get` reads.
pub(crate) const LARGE: &str = "large.bin";

/// Says that it is ready, then does so many operations for each number that it is told.
fn obey(mut operate: impl FnMut() -> Result<()>) -> Result<()> {
    println!("ready");
    for line in std::io::stdin().lines() {
        for _ in 0..line?.parse::<u64>()? {
            operate()?;
        }
        println!("done");
    }
    Ok(())
}

/// Appends to a run that others append to as well: its lines may miss 543 bytes by a digit.
fn append(fit: Fit, durability: Durability) -> Result<()> {
    let writer = RunContext::from_env()?.journal()?.durability(durability);
    let mut place = Place { seq: 1, version: 0, extra: 0 };
    obey(|| {
        place = Place::after(&writer.append(event(&fit.call(place)))?);
        Ok(())
    })
}

fn write(path: &Utf8Path, durability: Durability) -> Result<()> {
    let (file, line) = (floor::open_append(path)?, PlainRecord::new(0).line()?);
    debug_assert_eq!(line.len(), LINE);
    let write = floor::writer(durability);
    obey(|| write(&file, line.as_bytes()))
}

fn replay(records: u64) -> Result<()> {
    let mut found = 0;
    for record in RunContext::from_env()?.events()? {
        std::hint::black_box(record?.payload::<Call>()?);
        found += 1;
    }
    if found != records {
        return Err(format!("{found} records were read instead of {records}").into());
    }
    peak()
}

/// Prints the most memory that this process ever held, in bytes.
fn peak() -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    println!(
        "{}",
        kilobytes.ok_or("the system does not say how much memory was used")?.parse::<u64>()? * 1024
    );
    Ok(())
}
