//! Tries the library for as long as is asked: `runjournal-proof --minutes 10`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Parser, Subcommand};
use runjournal_proof::simulation::{self, Plan};
use runjournal_proof::{
    Acks, Budget, Outcome, Place, Row, Violation, catches, damage, disk, ensure, faults, fuzz,
    kills, operations, power, runner, soak, trial,
};

/// Crashes, faults, damage and races, tried on runjournal for as long as is asked.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    /// How long, in minutes, for all trials together
    #[arg(long, default_value = "10", value_parser = minutes, allow_negative_numbers = true)]
    minutes: Duration,
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
        #[arg(long, default_value = "10", value_parser = minutes, allow_negative_numbers = true)]
        minutes: Duration,
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
    /// Kills an operation again at each of its system calls, and its recovery too
    Kill {
        operation: String,
        /// Where every journal gets a head after every record
        #[arg(long)]
        heads: bool,
    },
    /// Damages a file again as a trial did
    Damage {
        /// The seed of the trial
        #[arg(long)]
        seed: u64,
        /// The number of the damage
        #[arg(long)]
        number: u64,
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
    /// Lets calls of an operation fail again, all of them or some
    Fault(faults::Again),
}

/// The longest run that can be asked for: a year.
const LONGEST: f64 = 366.0 * 24.0 * 60.0;

/// A time in minutes.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if !(0.0..=LONGEST).contains(&minutes) {
        return Err(format!("it is not between 0 and {LONGEST}"));
    }
    Duration::try_from_secs_f64(minutes * 60.0).map_err(|error| error.to_string())
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
    catches::check_planted()?;
    match (&cli.act, catches::planted()) {
        (Some(act), _) if act.is_a_part() => {}
        (_, Some(bug)) => eprintln!("planted: {bug}"),
        (_, None) => {}
    }
    if let Some(act) = &cli.act {
        return act.run();
    }
    let (time, seed) = (cli.minutes, cli.seed);
    let asked = runner::Asked { time, seed, only: cli.only.clone(), json: cli.json.clone() };
    let verdict = runner::run(runner::TRIALS, &asked)?;
    Ok(if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Act {
    /// True of what trials start, and read what it says.
    fn is_a_part(&self) -> bool {
        matches!(
            self,
            Self::Worker { .. } | Self::Catch { .. } | Self::Hand { .. } | Self::Power { .. }
        )
    }

    fn run(&self) -> Outcome<ExitCode> {
        match self {
            Self::Replay { seed, length, acts, calm } => {
                replay(&Plan::of(*seed, *length), acts.as_deref(), calm)?;
            }
            Self::Simulate { count, length } => {
                return simulation::first_failure(0, *count, *length)
                    .map_or(Ok(ExitCode::SUCCESS), Err);
            }
            Self::Disk(again) => {
                let row = again.run()?;
                println!("{} crash states tried", row.tried);
                row.into_outcome()?;
            }
            Self::Fault(again) => tell(again.run()?, "failures")?,
            Self::Kill { operation, heads } => tell(kills::again_at(operation, *heads)?, "kills")?,
            Self::Damage { seed, number } => {
                tell(damage::again_at(*seed, *number)?, "damaged states")?;
            }
            Self::Worker { act, operation, dir } => work(act, operation, dir)?,
            Self::Fuzz { minutes, seed, only, mutate: true, .. } => {
                tell(fuzz::mutated(*minutes, *seed, only)?, "executions")?;
            }
            Self::Fuzz { minutes, seed, only, seeds, keep, .. } => {
                feed_all(*minutes, *seed, only, *seeds, *keep)?;
            }
            Self::Feed { target, file } => {
                let target = fuzz::target(target)?;
                let bytes = std::fs::read(file)
                    .map_err(|error| Violation::from(error).at(file.display()))?;
                target(&bytes);
                println!("passed");
            }
            Self::Catch { bug } => return catch(bug),
            Self::Power { kind, least, seconds, seed } => {
                power::child(kind, *least, *seconds, *seed)?;
            }
            Self::Hand { root, told, seed, number, threads, durable } => {
                soak::hand(root, told, [*seed, *number, *threads], *durable)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn replay(plan: &Plan, acts: Option<&[usize]>, calm: &[usize]) -> Outcome {
    let all: Vec<_> = (0..plan.len()).collect();
    let acts = acts.unwrap_or(&all);
    for act in acts.iter().chain(calm) {
        ensure(all.contains(act), || {
            format!("there is no act {act}: the plan has {} acts, from 0 on", plan.len())
        })?;
    }
    simulation::replay(&plan.clone().only(acts, calm))?;
    println!("passed");
    Ok(())
}

fn feed_all(time: Duration, seed: u64, only: &[String], seeds: bool, keep: bool) -> Outcome {
    if seeds {
        println!("{} seeds", fuzz::add_seeds()?);
    }
    // Without a time for the targets, what is asked for is the corpus, however long it takes to build.
    let corpus_alone = time.is_zero() && (seeds || keep);
    let budget = Budget::new(if corpus_alone { FOR_THE_BUILD } else { time }, seed);
    let engine = match fuzz::Engine::build(&budget) {
        Ok(engine) => engine,
        Err(unbuilt) => return unbuilt.into_row().into_outcome(),
    };
    if !corpus_alone {
        tell(fuzz::fuzz(&engine, budget.left(), seed, only)?, "executions")?;
    }
    if keep {
        fuzz::minimize(&engine)?;
    }
    Ok(())
}

/// Long enough for any machine.
const FOR_THE_BUILD: Duration = Duration::from_secs(3600);

fn tell(row: Row, unit: &str) -> Outcome {
    for note in &row.notes {
        println!("{note}");
    }
    println!("{} {unit}, {} violations", row.tried, row.violations.len());
    row.into_outcome()?;
    println!("passed");
    Ok(())
}

/// Says what was found.
fn catch(bug: &str) -> Outcome<ExitCode> {
    let Err(violation) = catches::try_here(bug)? else { return Ok(ExitCode::SUCCESS) };
    println!("{violation}");
    Ok(ExitCode::from(catches::CAUGHT))
}

fn work(act: &str, operation: &str, dir: &str) -> Outcome {
    let operation = operations::named(operation)?;
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
