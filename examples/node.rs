//! A node in one look: `cargo run --example node`. It works in the run that its environment names, as
//! a child of a pipeline would; without one, in a run of its own.

use runjournal::{Artifact, Event, RunContext, Signal, Step, StepContext, StepResult};
use runjournal::{TaskOptions, Workspace};

const GREETINGS: Artifact<Vec<String>> = Artifact::json("greetings.json");

fn greet(s: &StepContext) -> StepResult {
    let names: Vec<String> = s.config()?; // as it was recorded when the step started
    let greetings = names.iter().map(|name| format!("Hello, {name}!")).collect();
    s.write(GREETINGS, &greetings)?; // staged
    s.append(Event::new("greeted").payload(&serde_json::json!({"names": names.len()})))?;
    Ok(Signal::new("success")) // committed with step_completed, whole or not at all
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ctx = RunContext::from_env().or_else(|_| own_run())?;
    let step = Step::new("greet").config(&["Ada", "Grace"]);
    let signal = ctx.step(step, greet)?; // called again in this run: the signal, without running
    println!("{signal}: {}", ctx.artifact_path(GREETINGS.name()));
    Ok(())
}

fn own_run() -> Result<RunContext, Box<dyn std::error::Error>> {
    let workspace = Workspace::open_or_create("workspaces")?;
    let task = workspace.open_or_create_task("GREET", TaskOptions::default())?;
    Ok(task.start_run()?)
}
