//! Tries the library for as long as is asked: `runjournal-proof --minutes 10`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Parser, Subcommand};
use runjournal_proof::simulation::{self, Plan};
use runjournal_proof::{
    Acks, Outcome, Place, Row, Violation, catches, disk, fuzz, operations, power, runner, soak,
    trial,
};

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
    /// Runs libFuzzer on the parsers, on all targets in turn
    Fuzz {
        /// How long, in minutes, for all targets together
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
        /// Where what is random begins
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only the targets of this name; may be given again
        #[arg(long)]
        only: Vec<String>,
        /// Without libFuzzer: mutations of the corpora alone
        #[arg(long, conflicts_with_all = ["seeds", "keep"])]
        mutate: bool,
        /// First adds seeds from fixtures and real runs
        #[arg(long)]
        seeds: bool,
        /// Afterwards keeps as few files as reach the same, as the corpus among the sources
        #[arg(long)]
        keep: bool,
    },
    /// Feeds one file to one target
    Feed { target: String, file: PathBuf },
    /// Tries to catch a mistake that is planted in the library, or not
    #[command(hide = true)]
    Catch { bug: String },
    /// Works on a workspace until it is asked to stop
    #[command(hide = true)]
    Hand {
        root: Utf8PathBuf,
        told: Utf8PathBuf,
        seed: u64,
        number: u64,
        threads: u64,
        #[arg(long)]
        durable: bool,
    },
    /// Cuts the power of a kind of disk, in a namespace of mounts of its own
    #[command(hide = true)]
    Power { kind: String, least: u64, seconds: f64, seed: u64 },
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
    /// Cuts the power at an operation again: at all its moments, or at one
    Disk(disk::Again),
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
            Act::Fuzz { minutes, seed, only, mutate, seeds, keep } => {
                let time = Duration::try_from_secs_f64(minutes * 60.0)?;
                match mutate {
                    true => tell(&fuzz::mutated(time, *seed, only)?)?,
                    false => feed_all(time, *seed, only, *seeds, *keep)?,
                }
            }
            Act::Feed { target, file } => {
                let found = fuzz::target(target);
                let target = found.ok_or_else(|| Violation::new("there is no such target"))?;
                target(&std::fs::read(file)?);
            }
            Act::Catch { bug } => return catch(bug),
            Act::Power { kind, least, seconds, seed } => {
                power::child(kind, *least, *seconds, *seed)?;
            }
            Act::Hand { root, told, seed, number, threads, durable } => {
                soak::hand(root, told, [*seed, *number, *threads], *durable)?;
            }
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

fn feed_all(time: Duration, seed: u64, only: &[String], seeds: bool, keep: bool) -> Outcome {
    if seeds {
        println!("{} seeds", fuzz::add_seeds()?);
    }
    let engine = match fuzz::Engine::build() {
        Ok(engine) => engine,
        Err(why) => {
            println!("skipped: {why}");
            return Ok(());
        }
    };
    let row = if time.is_zero() { Row::default() } else { fuzz::fuzz(&engine, time, seed, only)? };
    tell(&row)?;
    if keep {
        fuzz::minimize(&engine)?;
    }
    Ok(())
}

fn tell(row: &Row) -> Outcome {
    for note in &row.notes {
        println!("{note}");
    }
    println!("{} executions, {} findings", row.tried, row.violations.len());
    Violation::all(&row.violations)
}

/// Says what was found.
fn catch(bug: &str) -> Outcome<ExitCode> {
    let Err(violation) = catches::try_here(bug)? else { return Ok(ExitCode::SUCCESS) };
    println!("{violation}");
    Ok(ExitCode::from(catches::CAUGHT))
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
