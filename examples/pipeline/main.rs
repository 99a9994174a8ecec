//! A pipeline of three nodes on a real folder: `cargo run --example pipeline [FOLDER] [--run ID]`.
//!
//! `plan` lists the files, `execute` measures each, `verify` measures again and compares.
//! Every node is a process of its own. The first `execute` is killed while it writes; the run goes on
//! all the same. Called again with the same run id, the example changes nothing.
//!
//! Read `nodes.rs` first: that is what a user writes. `show.rs` prints what is on the disk afterwards.

mod nodes;
mod show;

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};

use camino::Utf8Path;
use runjournal::{Digest, Outcome, RunContext, RunId, Step, TaskOptions, Workspace};

const USAGE: &str = "\
Usage: pipeline [FOLDER] [--run ID]

Measures the files of FOLDER (else the source of this example) in three nodes, one of which is killed
while it writes. What they leave is in ./workspaces/PIPELINE/runs/ID (else demo). Called again with the
same ID, it changes nothing.";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

fn run() -> Result<()> {
    let (mut folder, mut run_id) = (env!("CARGO_MANIFEST_DIR").to_owned(), "demo".to_owned());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--node" => return node(&arguments.collect::<Vec<_>>()),
            "--run" => run_id = arguments.next().ok_or("--run needs an id")?,
            "-h" | "--help" => {
                println!("{USAGE}");
                return Ok(());
            }
            option if option.starts_with('-') => {
                return Err(format!("{option} is no option; see --help").into());
            }
            _ => folder = argument,
        }
    }
    let absolute = Utf8Path::new(&folder).canonicalize_utf8();
    pipeline(&absolute.map_err(|error| format!("{folder}: {error}"))?, run_id.parse()?)
}

/// A node: joins the run that its environment names, and does its step unless that is done.
fn node(arguments: &[String]) -> Result<()> {
    let [name, folder, halt @ ..] = arguments else { return Err("--node NAME FOLDER".into()) };
    let ctx = RunContext::from_env()?;
    let mut attempt = None;
    let step = Step::new(name.as_str()).config(folder);
    let signal = ctx.step(step, |s| {
        attempt = Some(s.attempt());
        match name.as_str() {
            "plan" => nodes::plan(s),
            "execute" => nodes::execute(s, || if halt.is_empty() { Ok(()) } else { wait() }),
            _ => nodes::verify(s),
        }
    })?;
    match attempt {
        Some(n) => println!("  {name:<8} process {}, attempt {n}: {signal}", std::process::id()),
        None => println!("  {name:<8} process {}, not run again: {signal}", std::process::id()),
    }
    Ok(())
}

/// Tells the parent that half of the outputs are staged, and waits for what it will do about it.
fn wait() -> io::Result<()> {
    println!("half"); // to the parent; nodes tell each other nothing in this way
    io::stdout().flush()?;
    io::stdin().read_line(&mut String::new())?;
    Err(io::Error::other("nobody killed this process"))
}

fn pipeline(folder: &Utf8Path, run_id: RunId) -> Result<()> {
    let (ctx, is_new) = open("workspaces", run_id)?;
    let before = show::digest_of_run(&ctx)?;
    println!("The nodes, each a process of its own ({})", show::place(&ctx));
    start(&ctx, "plan", folder)?;
    if is_new {
        start_and_kill(&ctx, "execute", folder)?;
    }
    start(&ctx, "execute", folder)?;
    start(&ctx, "verify", folder)?;
    let verified = ctx.signal("verify")?.is_some_and(|signal| signal == "verified");
    let outcome = if verified { Outcome::Success } else { Outcome::Failed };
    ctx.run()?.complete(outcome, None)?;

    show::outputs(&ctx)?;
    show::journal(&ctx)?;
    show::digest(&ctx)?;
    show::flipped_byte(&ctx)?;
    again(&ctx, before, is_new)
}

/// Opens the run, or starts it where it is not there; true if nothing was done in it yet.
fn open(root: &str, run_id: RunId) -> Result<(RunContext, bool)> {
    let workspace = Workspace::open_or_create(root)?;
    let options = TaskOptions { title: "Measure a folder".into(), ..TaskOptions::default() };
    let task = workspace.open_or_create_task("PIPELINE", options)?;
    let ctx = task.open_or_start_run(run_id)?;
    let is_new = ctx.events()?.next().is_none();
    Ok((ctx, is_new))
}

/// This program again, as a node of this run.
fn command(ctx: &RunContext, name: &str, folder: &Utf8Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--node", name, folder.as_str()]).envs(ctx.env());
    Ok(command)
}

fn start(ctx: &RunContext, name: &str, folder: &Utf8Path) -> Result<()> {
    let status = command(ctx, name, folder)?.status()?;
    if status.success() { Ok(()) } else { Err(format!("node {name} failed: {status}").into()) }
}

/// Starts a node and kills it, without a word of warning, when half of its outputs are staged.
fn start_and_kill(ctx: &RunContext, name: &str, folder: &Utf8Path) -> Result<()> {
    let mut command = command(ctx, name, folder)?;
    command.arg("--halt").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let output = child.stdout.take().ok_or("the node has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    if line != "half\n" {
        return Err(format!("node {name} ended before it could be killed").into());
    }
    let (staged, committed) = show::staged_and_committed(ctx)?;
    child.kill()?;
    let status = child.wait()?;
    println!("  {name:<8} process {}, attempt 1: killed while it wrote ({status})", child.id());
    println!(
        "           it had staged {staged} outputs and committed none; artifacts/ has {committed}"
    );
    Ok(())
}

/// What a call changed, and what the next one would.
fn again(ctx: &RunContext, before: Digest, is_new: bool) -> Result<()> {
    let after = show::digest_of_run(ctx)?;
    println!("\nThe same run once more (one digest of all its files, journal included)");
    println!("  before  {before}\n  after   {after}");
    match (is_new, before == after) {
        (true, _) => println!("  the nodes ran; call this again, and nothing will change"),
        (false, true) => println!("  nothing changed"),
        (false, false) => println!("  an earlier call was cut off; this one went on from there"),
    }
    Ok(())
}
