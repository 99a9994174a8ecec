//! A flow of three nodes, one of them a program, with a loop: `cargo run --example flow`.
//!
//! It is run twice in ./workspaces: once undisturbed, and once in a process that dies in the middle of a step,
//! after which another goes on. What both leave is the same.

use std::error::Error;
use std::process::{Command, ExitCode};

use runjournal::{
    Artifact, ArtifactName, Flow, FlowDefects, Outcome, Program, Retry, RunContext, Signal, Step,
    StepContext, StepResult, TaskOptions, Workspace,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const DRAFT: Artifact<Vec<String>> = Artifact::json("draft.json");
const LINES: ArtifactName = ArtifactName::from_static("lines.txt");

/// Tells a process in which turn of `write` it is to die.
const DIES_IN: &str = "DIES_IN";

fn essay() -> std::result::Result<Flow, FlowDefects> {
    let count = Step::new("count").input(DRAFT);
    Flow::new("essay")
        .node("write", write)
        .retry(Retry::attempts(3))
        .on("written", "count")
        .node(count, Program::new("wc").arg("-l").stdin(DRAFT).stdout(LINES)) // any program
        .on("success", "review")
        .on_failure(Outcome::Failed)
        .node("review", |s: &StepContext| {
            let lines = String::from_utf8(s.read_bytes(LINES)?)?;
            Ok(Signal::new(if lines.trim().parse::<u32>()? < 6 { "weak" } else { "good" }))
        })
        .again("weak", "write", 5) // back, five times at most,
        .on("weak", Outcome::Failed) // and then there
        .on("good", Outcome::Success)
        .build()
}

/// Adds a sentence in each turn.
fn write(s: &StepContext) -> StepResult {
    let mut draft = if s.turn() == 1 { Vec::new() } else { s.read(DRAFT)? };
    draft.push(format!("This is sentence {}.", s.turn()));
    s.write(DRAFT, &draft)?; // staged
    if std::env::var(DIES_IN).is_ok_and(|turn| turn == s.turn().to_string()) {
        std::process::exit(137); // before it is committed, and with no chance to say so
    }
    Ok(Signal::new("written"))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let flow = essay()?;
    if let Some(id) = std::env::args().nth(1) {
        let outcome = flow.run(&open(&id)?)?;
        println!("  process {} ended the run: {outcome:?}", std::process::id());
        return Ok(());
    }
    println!("{}", flow.mermaid());
    println!("Undisturbed");
    start("undisturbed", None)?;
    println!("Killed in the third turn of `write`");
    start("killed", Some("3"))?;
    println!("Once more");
    start("killed", None)?;

    println!("\nThe journal of the second");
    for record in open("killed")?.events()? {
        let record = record?;
        if record.aggregate_kind() == "step" {
            let said = record.payload_json()?.unwrap_or_default();
            println!(
                "  {:>3}  {:<15} {:<7} {:.36}",
                record.seq(),
                record.event_type(),
                record.stream_id(),
                said
            );
        }
    }
    let (first, second) = (root(&open("undisturbed")?)?, root(&open("killed")?)?);
    println!("\nartifacts_root\n  {first}\n  {second}");
    println!("  {}", if first == second { "what both leave is the same" } else { "they differ" });
    Ok(())
}

fn open(id: &str) -> Result<RunContext> {
    let task = Workspace::open_or_create("workspaces")?
        .open_or_create_task("ESSAY", TaskOptions::default())?;
    Ok(task.open_or_start_run(id)?)
}

/// Runs the flow in a process of its own.
fn start(id: &str, dies_in: Option<&str>) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(id).env_remove(DIES_IN).envs(dies_in.map(|turn| (DIES_IN, turn)));
    let status = command.status()?;
    if !status.success() {
        println!("  the process died: {status}");
    }
    Ok(())
}

fn root(ctx: &RunContext) -> Result<String> {
    Ok(ctx.manifest()?.artifacts_root.to_string())
}
