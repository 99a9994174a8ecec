//! From the command line to a verb, and from its result to an exit code.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use super::args::{Cli, Verb};
use super::error::CliError;
use super::exit::Exit;
use super::locate::Locator;
use super::output::{Output, hint_lines};
use super::{
    approval, artifact, backup, checkpoint, completions, diff, event, flow, health, index, init,
    lease, lineage, prune, query, queue, receipt, repair, run, session, status, step, task, usage,
    verify,
};

/// Runs the tool.
pub(crate) fn main() -> ExitCode {
    let (cli, verb) = match typed() {
        Ok(typed) => typed,
        Err(answer) => {
            // Of a verb that wants another behind it, and of none, clap shows the help.
            let is_help = answer.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
            if answer.use_stderr() && !is_help {
                hint_lines(&usage::told(&answer));
                return Exit::Usage.into();
            }
            // Help is an answer too. Where nobody reads it any more, nothing is lost.
            let _ = answer.print();
            return if answer.use_stderr() { Exit::Usage.into() } else { Exit::Fine.into() };
        }
    };
    let mut output = Output::new(cli.format);
    let index = cli.index.clone();
    let result = run_verb(cli, &mut output);
    if result.is_err() {
        output.give_up();
    }
    let flushed = output.flush().map_err(CliError::from);
    match result.and_then(|exit| flushed.map(|()| exit)) {
        Ok(exit) => exit.into(),
        Err(error) => error.print(&verb, index.as_deref()).into(),
    }
}

/// What was typed, and the words that name its verb.
fn typed() -> Result<(Cli, String), clap::Error> {
    let mut command = Cli::command();
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    let (mut verb, mut inner) = (Vec::new(), Some(&matches));
    while let Some((name, below)) = inner.and_then(ArgMatches::subcommand) {
        verb.push(name.to_owned());
        inner = Some(below);
    }
    let cli = Cli::from_arg_matches_mut(&mut matches);
    Ok((cli.map_err(|error| error.format(&mut command))?, verb.join(" ")))
}

fn run_verb(cli: Cli, output: &mut Output) -> Result<Exit, CliError> {
    let at = Locator::new(cli.root, cli.index);
    match cli.verb {
        Verb::Init { dir, if_absent } => init::init(&at, dir, if_absent, output),
        Verb::Status => status::status(&at, output),
        Verb::Task(verb) => task::task(&at, verb, output),
        Verb::Run(verb) => run::run(&at, verb, output),
        Verb::Artifact(verb) => artifact::artifact(&at, verb, output),
        Verb::Event(verb) => event::event(&at, verb, output),
        Verb::Lease(verb) => lease::lease(&at, verb, output),
        Verb::Queue(verb) => queue::queue(&at, verb, output),
        Verb::Receipt(verb) => receipt::receipt(&at, verb, output),
        Verb::Session(verb) => session::session(&at, verb, output),
        Verb::Approval(verb) => approval::approval(&at, verb, output),
        Verb::Step(verb) => step::step(&at, verb, output),
        Verb::Flow(verb) => flow::flow(&at, verb, output),
        Verb::Lineage(verb) => lineage::lineage(&at, verb, output),
        Verb::Checkpoint(verb) => checkpoint::checkpoint(&at, verb, output),
        Verb::Diff(asked) => diff::diff(&at, &asked, output),
        Verb::Index(verb) => index::index(&at, verb, output),
        Verb::Query(asked) => query::query(&at, asked, output),
        Verb::Repair(args) => repair::repair(&at, args, output),
        Verb::Prune(asked) => prune::prune(&at, &asked, output),
        Verb::Health => health::health(&at, output),
        Verb::Verify(asked) => verify::verify(&at, asked, output),
        Verb::Completions(asked) => completions::completions(&asked, output),
        Verb::Backup(verb) => backup::backup(&at, verb, output),
    }
}
