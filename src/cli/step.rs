//! `step run`: a program as a step.

use std::cell::Cell;
use std::io;
use std::process::Stdio;

use runjournal::{Program, Signal, Step};
use serde::Serialize;

use super::args::{Format, StepRun, StepVerb};
use super::error::CliError;
use super::event::parse;
use super::exit::Exit;
use super::interrupt;
use super::locate::{Locator, name_of};
use super::output::Output;

#[derive(Serialize)]
struct Ran {
    run: String,
    step: String,
    signal: Signal,
    /// False if the step was complete before, and the program was not run.
    ran: bool,
}

pub(crate) fn step(at: &Locator, verb: StepVerb, output: &mut Output) -> Result<Exit, CliError> {
    let StepVerb::Run(asked) = verb;
    let context = at.run(asked.run.run.as_deref())?;
    let program = program(&asked);
    let cancel = interrupt::cancel()?;
    let step = Step::new(asked.name.as_str()).config(&program).cancelled_by(&cancel);
    let inputs = asked.input.iter().chain(asked.stdin.iter().filter(|n| !asked.input.contains(n)));
    let step = inputs.fold(step, Step::input);
    let step = asked.turn.into_iter().fold(step, Step::turn);
    let item =
        asked.item.as_deref().map(|item| parse(item, "the text of --item", 0)).transpose()?;
    let step = item.iter().fold(step, Step::item);
    let step = if asked.if_changed { step.skip_if_unchanged() } else { step };
    // Standard output is for JSON alone where JSON was asked for.
    let apart = output.format() != Format::Table;
    let ran = Cell::new(false);
    let signal = context.step(step, |s| {
        ran.set(true);
        let stdout = if apart { Stdio::from(io::stderr()) } else { Stdio::inherit() };
        program.run_shown(s, stdout, Stdio::inherit())
    })?;
    let ran = Ran { run: name_of(&context), step: asked.name, signal, ran: ran.get() };
    output.one(&ran, |output| output.line(ran.signal.as_str()))?;
    Ok(Exit::Fine)
}

fn program(asked: &StepRun) -> Program {
    let mut words = asked.program.iter();
    let program = Program::new(words.next().map_or("", String::as_str)).args(words);
    let program = asked.stdin.iter().fold(program, Program::stdin);
    let program = asked.stdout.iter().fold(program, Program::stdout);
    let program = asked.stderr.iter().fold(program, Program::stderr);
    let program = asked.timeout.into_iter().fold(program, Program::timeout);
    let exits = asked.exit.iter().cloned();
    exits.fold(program, |program, (code, signal)| program.exit(code, signal))
}
