//! `flow`: flows of programs, from files; and where any flow stands.

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Subcommand};
use runjournal::{
    Flow, FlowDefinition, FlowError, FlowFileError, Outcome, RunContext, RunStatus, StepName,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::args::{InRun, path};
use super::error::CliError;
use super::exit::{Exit, of_io, of_journal, of_lease, of_step, of_workspace};
use super::flow_page::{self, FlowPage};
use super::interrupt;
use super::locate::{Locator, in_full, name_of};
use super::output::Output;
use super::units::count;

const RUN: &str = "\
FILE is the JSON of a flow of which each node is a program; `docs/format.md` has its members. Relative paths of \
programs (those with a slash) and current folders are meant from the folder of FILE, and recorded in full, so that \
`flow resume` works anywhere. A program without `current_dir` runs in a folder of its own, which goes when it ends; \
what it leaves in $RUNJOURNAL_OUT is committed. What it prints is not shown: `stdout` and `stderr` name artifacts.

It runs from where the run stands: killed anywhere, call it again. Ctrl-C, SIGTERM and SIGHUP end the running program, \
record its step as failed, and leave the run open, to go on later. To end it instead, claim the task (`lease claim`), \
then `run complete`.

Exit codes: 0 the run ended as SUCCESS; 1 it ended as FAILED, or the flow stopped before its end, and the run is open; \
3 an input is not there; 4 somebody is at the task.

Example: runjournal flow run checks.json -r TASK-1/RUN-1";

#[derive(Debug, Subcommand)]
pub(crate) enum FlowVerb {
    /// Run a flow of programs, from where it stands to the end of the run
    #[command(after_help = RUN)]
    Run {
        /// Where its JSON is
        #[arg(value_parser = path)]
        file: Utf8PathBuf,
        #[command(flatten)]
        run: InRun,
    },
    /// Go on with the flow that a run began, as `flow run` does with its file
    Resume {
        #[command(flatten)]
        run: InRun,
    },
    /// Show where a run's flow stands, and what is next
    Show {
        #[command(flatten)]
        run: InRun,
        #[command(flatten)]
        drawn: Drawn,
    },
    /// Tell what is wrong with a flow, without running it
    #[command(after_help = "Exit codes: 0 nothing is; 1 something is.")]
    Check {
        /// Where its JSON is
        #[arg(value_parser = path)]
        file: Utf8PathBuf,
        #[command(flatten)]
        drawn: Drawn,
    },
}

/// How a flow is shown.
#[derive(Debug, Args)]
pub(crate) struct Drawn {
    /// As a Mermaid flowchart
    #[arg(long)]
    pub(crate) mermaid: bool,
}

pub(crate) fn flow(at: &Locator, verb: FlowVerb, output: &mut Output) -> Result<Exit, CliError> {
    match verb {
        FlowVerb::Run { file, run } => {
            let context = at.run(run.run.as_deref())?;
            let bad = |source| CliError::BadFlow { file: file.clone(), source };
            go(&context, read(&file)?.map_err(bad)?, output)
        }
        FlowVerb::Resume { run } => {
            let context = at.run(run.run.as_deref())?;
            go(&context, recorded(&context)?, output)
        }
        FlowVerb::Show { run, drawn } => show(&at.run(run.run.as_deref())?, &drawn, output),
        FlowVerb::Check { file, drawn } => check(&file, &drawn, output),
    }
}

/// The flow of a file, as it runs anywhere.
fn read(file: &Utf8Path) -> Result<Result<FlowDefinition, FlowFileError>, CliError> {
    let bytes = std::fs::read(file).map_err(CliError::file("read", file))?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Ok(Err(not_utf8(error.as_bytes()))),
    };
    let from = in_full(file);
    let dir = from.parent().unwrap_or(&from);
    Ok(FlowDefinition::from_json(&text).map(|definition| definition.based_at(dir)))
}

/// What JSON says to bytes that are not UTF-8.
fn not_utf8(bytes: &[u8]) -> FlowFileError {
    let read = serde_json::from_slice::<Box<RawValue>>(bytes);
    let source = read.err().unwrap_or_else(|| serde::ser::Error::custom("it is not UTF-8"));
    FlowFileError::Json { source }
}

/// The flow that the run's journal holds.
fn recorded(context: &RunContext) -> Result<FlowDefinition, CliError> {
    let what = || format!("flow in {}", name_of(context));
    FlowDefinition::recorded(context)?.ok_or_else(|| CliError::NotThere {
        what: what(),
        to_do: "`runjournal flow run FILE` starts one",
    })
}

#[derive(Serialize)]
struct Ended<'a> {
    run: String,
    flow: &'a StepName,
    status: Outcome,
    reason: Option<String>,
}

fn go(
    context: &RunContext,
    definition: FlowDefinition,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let flow = Flow::of_programs(definition)?;
    let stop = interrupt::cancel()?;
    let outcome = flow.runner(context).stopped_by(&stop).run()?;
    let reason = context.run()?.state()?.reason;
    let (run, flow) = (name_of(context), flow.definition().name());
    let ended = Ended { run, flow, status: outcome, reason };
    output.one(&ended, |output| {
        let reason = ended.reason.as_ref().map(|reason| format!(": {reason}"));
        let (run, status) = (&ended.run, RunStatus::from(outcome));
        output.line(&format!("{run} {status}{}", reason.unwrap_or_default()))
    })?;
    Ok(match outcome {
        Outcome::Success => Exit::Fine,
        Outcome::Failed => Exit::Findings,
    })
}

/// The flow of a run, and where it stands, in a line; nothing where there is none that this tool can read.
pub(super) fn line(context: &RunContext) -> String {
    let flow = FlowDefinition::recorded(context).ok().flatten();
    let state = flow.and_then(|flow| flow.state(context).ok());
    state.map(|state| FlowPage::of(String::new(), state).line()).unwrap_or_default()
}

#[derive(Serialize)]
struct Drawing {
    mermaid: String,
}

fn show(context: &RunContext, drawn: &Drawn, output: &mut Output) -> Result<Exit, CliError> {
    let state = recorded(context)?.state(context)?;
    if drawn.mermaid {
        let drawing = Drawing { mermaid: state.mermaid() };
        output.one(&drawing, |output| output.copy(&mut drawing.mermaid.as_bytes()))?;
    } else {
        let page = FlowPage::of(name_of(context), state);
        output.one(&page, |output| flow_page::show(&page, output))?;
    }
    Ok(Exit::Fine)
}

/// What a check found.
#[derive(Serialize)]
struct Checked<'a> {
    file: &'a Utf8Path,
    flow: Option<StepName>,
    nodes: Vec<StepName>,
    /// What is wrong; nothing, if it can be run.
    defects: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mermaid: Option<String>,
}

fn check(file: &Utf8Path, drawn: &Drawn, output: &mut Output) -> Result<Exit, CliError> {
    let mut page = Checked { file, flow: None, nodes: vec![], defects: vec![], mermaid: None };
    match read(file)? {
        Ok(definition) => {
            page.flow = Some(definition.name().clone());
            page.nodes = definition.nodes().cloned().collect();
            page.mermaid = drawn.mermaid.then(|| definition.mermaid());
            if let Err(error) = Flow::of_programs(definition) {
                page.defects.push(match error {
                    FlowError::NotPrograms { nodes, .. } => no_programs(&nodes),
                    other => other.to_string(),
                });
            }
        }
        Err(FlowFileError::Defects(defects)) => {
            page.defects = defects.defects().iter().map(ToString::to_string).collect();
        }
        Err(error) => {
            page.defects.push(CliError::BadFlow { file: file.to_owned(), source: error }.why())
        }
    }
    output.one(&page, |output| {
        for defect in &page.defects {
            output.text(&format!("error: {defect}"), 2)?;
        }
        match (&page.mermaid, &page.flow) {
            (Some(mermaid), _) => output.copy(&mut mermaid.as_bytes()),
            (None, Some(flow)) if page.defects.is_empty() => {
                output.line(&format!("{flow}: {}, fine", count(page.nodes.len(), "node")))
            }
            _ => Ok(()),
        }
    })?;
    Ok(if page.defects.is_empty() { Exit::Fine } else { Exit::Findings })
}

fn no_programs(nodes: &[StepName]) -> String {
    let names: Vec<_> = nodes.iter().map(StepName::as_str).collect();
    format!("no program is given for {}: add `run`", names.join(", "))
}

/// What kind of trouble it is.
pub(super) fn exit_of(error: &FlowError) -> Exit {
    match error {
        FlowError::AlreadyRunning { .. }
        | FlowError::LeaseLost { .. }
        | FlowError::NoSuchNode { .. } => Exit::Conflict,
        FlowError::Stopped { .. } | FlowError::Unrouted { .. } | FlowError::LoopLimit { .. } => {
            Exit::Findings
        }
        FlowError::NotPrograms { .. } => Exit::Usage,
        FlowError::Step(error) => of_step(error),
        FlowError::Lease(error) => of_lease(error),
        FlowError::Workspace(error) => of_workspace(error),
        FlowError::Journal(error) => of_journal(error),
        FlowError::Io(error) => of_io(error),
        _ => Exit::Internal,
    }
}
