//! One operation, moment, state or death of the trial, tried again.

use std::time::Duration;

use camino::Utf8PathBuf;

use super::bench::Bench;
use super::trial::{FEW, row};
use super::workload::{Recorded, Workload};
use crate::{Budget, Outcome, Row, Violation, ensure};

/// What is tried again.
#[derive(Debug, Clone, clap::Args)]
pub struct Again {
    /// The operation, or calls that are joined by `+`
    #[arg(long)]
    operation: String,
    /// After how many steps the power is cut; at each, unless given
    #[arg(long)]
    point: Option<usize>,
    /// The name of the state; each of that moment, unless given
    #[arg(long, requires = "point")]
    state: Option<String>,
    /// After how many steps, right before a last sync, a process dies, and another one calls again
    #[arg(long, conflicts_with = "point")]
    death: Option<usize>,
    /// The seed that it was found with
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many states of a moment, where there are more
    #[arg(long, default_value_t = FEW)]
    most: usize,
    /// A directory to write the state to, as it was left; it must not be there
    #[arg(long, requires = "state")]
    keep: Option<Utf8PathBuf>,
}

impl Again {
    /// Tries an operation again, or one moment, state or death of it; the recovery of one state is cut off as well.
    ///
    /// # Errors
    /// Where there is no such operation, moment or state. What does not hold is in the row.
    pub fn run(&self) -> Outcome<Row> {
        let worker = Utf8PathBuf::try_from(std::env::current_exe()?)?;
        let workload = Workload::find(&self.operation)
            .ok_or_else(|| Violation::new(format!("nothing is called {}", self.operation)))?;
        let mut bench = Bench::new(&worker, self.seed, self.most)?;
        let budget = Budget::new(Duration::from_secs(86_400), self.seed);
        if self.point.is_none() && self.death.is_none() {
            bench.try_all(&workload, &budget)?;
            return Ok(row(bench.found));
        }
        let recorded = bench.record(&workload)?;
        if let Some(steps) = self.death {
            ensure(workload.calls.len() == 1, || "who dies makes one call".into())?;
            let is_one = recorded.trace.before_last_syncs().contains(&steps);
            ensure(is_one, || "no last sync comes after so many steps".into())?;
            bench.try_death(&workload, &recorded, steps)?;
        }
        if let Some(point) = self.point {
            let steps = recorded.trace.len();
            ensure(point <= steps, || format!("it takes {steps} steps, and not {point}"))?;
            println!("after step {point}: {}", recorded.trace.step(point));
            match &self.state {
                None => bench.try_points(&workload, &recorded, &[point], &budget)?,
                Some(name) => self.try_state(&mut bench, &workload, &recorded, point, name)?,
            }
        }
        Ok(row(bench.found))
    }

    fn try_state(
        &self,
        bench: &mut Bench,
        workload: &Workload,
        recorded: &Recorded,
        point: usize,
        name: &str,
    ) -> Outcome {
        let states = bench.states(workload, recorded, point).0;
        let state = states.iter().find(|state| state.name() == *name);
        let state = state.ok_or_else(|| Violation::new("no state of that moment has this name"))?;
        state.lost().iter().for_each(|lost| println!("lost: {lost}"));
        if let Some(keep) = &self.keep {
            ensure(!keep.exists(), || format!("{keep} is there already"))?;
            std::fs::create_dir_all(keep)?;
            state.write_to(keep)?;
        }
        bench.recoveries = 1;
        bench.try_one(workload, recorded, point, state);
        Ok(())
    }
}
