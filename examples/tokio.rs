//! Steps that await: `cargo run --example tokio`. A page is outlined; then two questions about it are asked
//! of a model at once. Each step runs on a blocking thread, and what it awaits runs on the runtime. Called
//! again, it asks nothing and changes nothing. [docs/async.md](../docs/async.md) says why it is so.

use std::error::Error;
use std::time::Duration;

use runjournal::{Artifact, ArtifactName, RunContext, Signal, StepContext, StepError, StepResult};
use runjournal::{TaskOptions, Workspace};
use tokio::runtime::{Builder, Handle};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const OUTLINE: Artifact<Vec<String>> = Artifact::json("outline.json");

fn main() -> Result<()> {
    // A runtime of many threads does as well.
    Builder::new_current_thread().enable_time().build()?.block_on(page())
}

async fn page() -> Result<()> {
    let ctx = spawn_blocking(run).await??;
    let here = ctx.clone(); // ids and paths: nothing of it is open
    let outlined = spawn_blocking(move || here.step("outline", outline)).await??;
    println!("outline  {outlined}");

    let mut steps = JoinSet::new();
    for name in ["summary", "title"] {
        let (ctx, runtime) = (ctx.clone(), Handle::current());
        steps.spawn_blocking(move || {
            ctx.step(name, |s| answer(s, &runtime)).map(|signal| (name, signal))
        });
    }
    while let Some(step) = steps.join_next().await {
        let (name, signal) = step??;
        println!("{name:8} {signal}");
    }

    let manifest = spawn_blocking(move || ctx.manifest()).await??;
    println!("{} records, artifacts_root {}", manifest.journal.records, manifest.artifacts_root);
    Ok(())
}

fn run() -> Result<RunContext> {
    let workspace = Workspace::open_or_create("workspaces")?;
    Ok(workspace
        .open_or_create_task("ASYNC", TaskOptions::default())?
        .open_or_start_run("RUN-1")?)
}

/// A body that awaits nothing.
fn outline(s: &StepContext) -> StepResult {
    s.write(OUTLINE, &vec!["What it is".into(), "How it is used".into()])?;
    Ok(Signal::new("outlined"))
}

/// A body that awaits a model. It waits on its own thread; the call runs on the runtime.
fn answer(s: &StepContext, runtime: &Handle) -> StepResult {
    let question = format!("The {} of a page on: {}", s.name(), s.read(OUTLINE)?.join(", "));
    // The limit stands inside the body: what it drops is the call, and the attempt fails, as the journal says.
    let limit = Duration::from_secs(10);
    let answer = runtime.block_on(async { timeout(limit, ask(&question)).await })??;
    let name = ArtifactName::new(format!("{}.json", s.name()))?;
    s.write(Artifact::named(name), &answer)?; // staged
    Ok(Signal::new("answered")) // committed with step_completed
}

/// A model behind a network, as far as this example knows.
async fn ask(question: &str) -> std::result::Result<String, StepError> {
    println!("asked    {question}");
    sleep(Duration::from_millis(50)).await;
    Ok(format!("An answer to {} characters", question.len()))
}
