//! Soak: many processes of many threads on one workspace, doing all that can be done, while they are
//! stopped, continued and killed. At quiet moments in between the whole workspace is judged.

mod deeds;
pub(crate) mod ground;
pub(crate) mod hand;
mod index;
pub(crate) mod judge;
mod said;
pub(crate) mod team;

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::trial::fast_directory;
use crate::{Budget, Outcome, Rng, Row, Trial};
use ground::Ground;
use hand::Manner;
use judge::{Depth, Judged};
use team::{Done, Team};

/// The row of the table.
pub const TRIAL: Trial =
    Trial { name: "soak", unit: "records", run: |budget| run(budget, &program()?) };

const PROCESSES: usize = 16;
const THREADS: u64 = 4;

/// How long a workspace is worked on before another one is made, and how often it is quiet meanwhile.
const ROUND: Duration = Duration::from_secs(60);
const QUIET: u32 = 3;

/// This program, of which workers are started.
pub(crate) fn program() -> Outcome<Utf8PathBuf> {
    Ok(Utf8PathBuf::try_from(std::env::current_exe()?)?)
}

/// What a child process of the trial does: works with so many threads until it is asked to stop.
///
/// # Errors
/// Where it cannot tell what it does.
pub fn hand(root: &Utf8Path, told: &Utf8Path, numbers: [u64; 3], durable: bool) -> Outcome {
    let [seed, number, threads] = numbers;
    hand::work(&Ground::new(root, told), Manner { seed, number, threads, durable })
}

/// Rounds for as long as the budget lasts, in memory and on the disk in turns. `program` is
/// `runjournal-proof`, of which the workers are processes.
///
/// # Errors
/// Where the trial cannot be made.
pub fn run(budget: &Budget, program: &Utf8Path) -> Outcome<Row> {
    let (mut row, mut done, mut judged) = (Row::default(), Done::default(), Judged::default());
    let mut rounds = 0;
    // What is tried once is tried in memory: there more happens.
    while rounds == 0 || (!budget.is_over() && row.violations.is_empty()) {
        let place = if rounds % 2 == 0 { fast_directory() } else { std::env::temp_dir() };
        let seed = budget.seed.wrapping_add(rounds << 32);
        let dir = tempfile::tempdir_in(&place)?;
        let path = Utf8PathBuf::try_from(dir.path().to_owned())?;
        let round = Round { budget, program, seed, done: &mut done };
        match round.run(&path) {
            Ok(found) => {
                judged.records += found.records;
                judged.told += found.told;
            }
            Err(found) => {
                let kept = dir.keep();
                let place = format!("seed {seed}, kept in {}", kept.display());
                row.violations.push(found.at(place));
            }
        }
        rounds += 1;
    }
    row.tried = judged.records;
    row.notes = vec![
        format!("{} acknowledgements", judged.told),
        format!("{} kills", done.kills),
        format!("{} stops", done.stops),
        format!("{rounds} rounds of {PROCESSES} processes with {THREADS} threads"),
    ];
    Ok(row)
}

/// One workspace, from its creation to its last judgement.
struct Round<'a> {
    budget: &'a Budget,
    program: &'a Utf8Path,
    seed: u64,
    done: &'a mut Done,
}

impl Round<'_> {
    fn run(self, dir: &Utf8Path) -> Outcome<Judged> {
        let ground = Ground::new(dir.join("workspaces"), dir.join("told"));
        ground.prepare()?;
        let manner = Manner { seed: self.seed, number: 0, threads: THREADS, durable: false };
        let mut team = Team::new(self.program, &ground, manner);
        let mut chance = Rng::new(self.seed);
        let mut judged = Judged::default();
        let round = Budget::new(ROUND.min(self.budget.left()), self.seed);
        for quiet in 1..=QUIET {
            // The rest is for judging: each time all there is is judged.
            let share = round.left() * 2 / (3 * (QUIET - quiet + 1));
            let ended = team.work(PROCESSES, &Budget::new(share, self.seed));
            self.done.kills += team.done.kills;
            self.done.stops += team.done.stops;
            // Why a worker ended by itself, it told.
            ended.map_err(|found| ground.acknowledged().err().unwrap_or(found))?;
            team.end(chance.once_in(2))?;
            team.done = Done::default();
            let depth = if quiet == QUIET { Depth::All } else { Depth::Records };
            judged =
                judge::judge(&ground, depth).map_err(|found| found.at(format!("quiet {quiet}")))?;
        }
        Ok(judged)
    }
}
