//! `run show --tree`: all of a run as one text.

use runjournal::{RunContext, tree};
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::locate::name_of;
use super::output::{Output, exit_for};

#[derive(Serialize)]
struct Tree {
    run: String,
    tree: String,
}

pub(crate) fn show(
    context: &RunContext,
    redacted: bool,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let options = if redacted { tree::Options::new() } else { tree::Options::plain() };
    let told = Tree { run: name_of(context), tree: tree::render(context, &options)? };
    output.one(&told, |output| output.copy(&mut told.tree.as_bytes()))?;
    let state = context.run().and_then(|run| run.state());
    Ok(state.map_or(Exit::Findings, |state| exit_for(&state.findings)))
}
