//! Tries the library for as long as is asked: `runjournal-proof --minutes 10`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use runjournal_proof::simulation::{self, Plan};
use runjournal_proof::{Acks, Outcome, Place, Violation, disk, operations, runner, trial};

/// Crashes, faults, damage and races, tried on runjournal for as long as is asked.
#[derive(Parser)]
struct Cli {
    /// How long, in minutes, for all trials together
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Where what is random begins: the same seed tries the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the trials of this name; may be given again
    #[arg(long)]
    only: Vec<String>,
    /// Where to write what was found as JSON as well
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(subcommand)]
    act: Option<Act>,
}

/// What the trials start as a process of its own.
#[derive(Subcommand)]
enum Act {
    /// Does a part of a trial of kills, and may be killed meanwhile
    #[command(hide = true)]
    Worker { act: String, operation: String, dir: String },
    /// Tries plans of the simulation until one fails
    #[command(hide = true)]
    Simulate { count: u64, length: usize },
    /// Does a plan of the simulation again, or a part of it
    Replay {
        /// The seed of the plan
        #[arg(long)]
        seed: u64,
        /// About how many acts plans have
        #[arg(long, default_value_t = simulation::LONG)]
        length: usize,
        /// Only these acts, by their numbers
        #[arg(long, value_delimiter = ',')]
        acts: Option<Vec<usize>>,
        /// Nothing goes wrong in these acts
        #[arg(long, value_delimiter = ',')]
        calm: Vec<usize>,
    },
    /// Cuts the power at an operation again, at all its moments or at one
    Disk(disk::trial::Again),
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(violation) => {
            eprintln!("{violation}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Outcome<ExitCode> {
    if let Some(act) = &cli.act {
        match act {
            Act::Replay { seed, length, acts, calm } => {
                let plan = Plan::of(*seed, *length);
                let all: Vec<_> = (0..plan.len()).collect();
                simulation::replay(&plan.only(acts.as_ref().unwrap_or(&all), calm))?;
            }
            Act::Simulate { count, length } => {
                return simulation::first_failure(0, *count, *length)
                    .map_or(Ok(ExitCode::SUCCESS), Err);
            }
            Act::Disk(again) => {
                let row = again.run()?;
                println!("{} crash states tried", row.tried);
                row.into_outcome()?;
            }
            Act::Worker { act, operation, dir } => work(act, operation, dir)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let time = Duration::try_from_secs_f64(cli.minutes * 60.0)?;
    let lines = runner::run(time, cli.seed, &cli.only)?;
    if let Some(file) = &cli.json {
        std::fs::write(file, format!("{lines:#}\n"))?;
    }
    Ok(if runner::has_failed(&lines) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn work(act: &str, operation: &str, dir: &str) -> Outcome {
    let operation = operations::find(operation)
        .ok_or_else(|| Violation::new(format!("there is no operation {operation}")))?;
    let place = Place::new(dir);
    let mut acks = Acks::open(&place)?;
    match act {
        "prepare" => {
            operation.base.prepare(&place, &mut acks)?;
            (operation.prepare)(&place, &mut acks)
        }
        "operate" => (operation.operate)(&place, &mut acks),
        "recover" => {
            place.begin();
            trial::recover(operation, &place.clone().once_more(), &mut acks)?;
            place.end();
            Ok(())
        }
        _ => Err(Violation::new(format!("{act} is none of prepare, operate, recover"))),
    }
}
