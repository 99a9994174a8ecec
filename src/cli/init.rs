//! `init`: makes a workspace.

use camino::Utf8PathBuf;
use runjournal::Workspace;
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::locate::{Locator, is_restored_to};
use super::output::Output;

#[derive(Serialize)]
struct Made<'a> {
    root: &'a str,
    workspace_id: String,
}

pub(crate) fn init(
    at: &Locator,
    dir: Option<Utf8PathBuf>,
    if_absent: bool,
    output: &mut Output,
) -> Result<Exit, CliError> {
    if let Some(dir) = dir.clone().filter(|_| at.has_root_argument()) {
        return Err(CliError::TwoPlaces { dir });
    }
    let root = dir.or_else(|| at.named_root()).unwrap_or_else(|| "workspaces".into());
    if is_restored_to(&root) {
        return Err(CliError::RestoreNotEnded { root });
    }
    let workspace =
        if if_absent { Workspace::open_or_create(&root)? } else { Workspace::create(&root)? };
    let made = Made {
        root: workspace.root().as_str(),
        workspace_id: workspace.genesis().workspace_id.to_string(),
    };
    output.one(&made, |output| output.line(made.root))?;
    Ok(Exit::Fine)
}
