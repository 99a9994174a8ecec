//! `completions`: what a shell needs to complete the tool's verbs and options.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::args::Cli;
use super::error::CliError;
use super::exit::Exit;
use super::output::Output;

#[derive(Debug, Args)]
#[command(after_help = INSTALL)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

const INSTALL: &str = "\
It needs no workspace. To have them in each new shell:
  cd ~/.local/share/bash-completion/completions
  runjournal completions bash > runjournal
  runjournal completions fish > ~/.config/fish/completions/runjournal.fish
  runjournal completions zsh > DIR/_runjournal
For zsh, DIR is in $fpath before compinit is called.";

pub(crate) fn completions(asked: &Completions, output: &mut Output) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(asked.shell, &mut Cli::command(), "runjournal", &mut script);
    output.copy(&mut script.as_slice())?;
    Ok(Exit::Fine)
}
