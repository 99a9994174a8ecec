//! Workloads cut off at every step, each state that this may leave taken up by the library.

use std::collections::HashSet;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::Digest;

use super::Image;
use super::check;
use super::workload::{Recorded, Workload, fresh};
use crate::trial::fast_directory;
use crate::{Budget, Outcome, Place, Rng, Violation};

/// What was tried, and what was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// States that differ, in their tree or in what was acknowledged.
    pub(super) states: u64,
    /// Moments at which the power was cut, and those with more states than were tried.
    pub(super) points: u64,
    pub(super) sampled: u64,
    /// States of which the recovery was cut off as well.
    pub(super) recoveries: u64,
    pub(super) violations: Vec<Violation>,
}

impl Found {
    pub(super) fn add(&mut self, other: Self) {
        self.states += other.states;
        self.points += other.points;
        self.sampled += other.sampled;
        self.recoveries += other.recoveries;
        self.violations.extend(other.violations);
    }
}

/// A place to try workloads at.
#[derive(Debug)]
pub(super) struct Bench {
    /// Removed with the bench.
    _temporary: tempfile::TempDir,
    dir: Utf8PathBuf,
    /// The program that sets stages.
    worker: Utf8PathBuf,
    pub(super) seed: u64,
    /// So many states of one moment, where there are more.
    pub(super) most: usize,
    /// Of so many states, the recovery of one is cut off as well.
    pub(super) recoveries: usize,
    pub(super) found: Found,
}

impl Bench {
    pub(super) fn new(worker: &Utf8Path, seed: u64, most: usize) -> Outcome<Self> {
        let recoveries = 60;
        let temporary = tempfile::tempdir_in(fast_directory())?;
        let dir = Utf8PathBuf::try_from(temporary.path().to_owned())?;
        let (worker, found) = (worker.to_owned(), Found::default());
        Ok(Self { _temporary: temporary, dir, worker, seed, most, recoveries, found })
    }

    /// Sets the stage of a workload, and records it.
    pub(super) fn record(&self, workload: &Workload) -> Outcome<Recorded> {
        let dir = fresh(&self.dir, "recorded")?;
        workload.prepare(&dir, &self.worker)?;
        workload.record(&dir)
    }

    /// The states of one moment.
    pub(super) fn states(
        &self,
        workload: &Workload,
        recorded: &Recorded,
        point: usize,
    ) -> (Vec<Image>, bool) {
        let mut rng = Rng::of(self.seed, &[&workload.name(), &point.to_string()]);
        recorded.trace.disk_after(point).states(self.most, &mut rng)
    }

    /// Cuts the power at every step of the last call of a workload, until the time is over.
    pub(super) fn try_all(&mut self, workload: &Workload, budget: &Budget) -> Outcome {
        let recorded = self.record(workload)?;
        let before = workload.calls.len() - 1;
        let points: Vec<_> = (0..=recorded.trace.len())
            .filter(|point| recorded.calls_after(*point) >= before)
            .collect();
        self.try_points(workload, &recorded, &points, budget)
    }

    /// Cuts the power at some steps of a workload.
    pub(super) fn try_points(
        &mut self,
        workload: &Workload,
        recorded: &Recorded,
        points: &[usize],
        budget: &Budget,
    ) -> Outcome {
        let mut seen = HashSet::<(Digest, usize)>::new();
        let mut rng = Rng::of(self.seed, &[&workload.name(), "recoveries"]);
        for point in points.iter().copied() {
            let (states, all) = self.states(workload, recorded, point);
            self.found.points += 1;
            self.found.sampled += u64::from(!all);
            for state in states {
                let told = recorded.trace.acknowledged_after(point);
                if !seen.insert((state.digest(), told)) {
                    continue;
                }
                if budget.is_over() {
                    return Ok(());
                }
                self.found.states += 1;
                let mut found = self.try_state(workload, recorded, point, &state);
                let is_one =
                    workload.calls.len() == 1 && !workload.calls.iter().any(|call| call.buffered);
                if found.is_ok() && is_one && rng.once_in(self.recoveries) {
                    found = self.try_recovery(workload, recorded, point, &state, &mut rng);
                }
                if let Err(violation) = found {
                    let words = words(self.seed, self.most, workload, recorded, point, &state);
                    let violation = violation.at(words);
                    // At once, and not only in the end, which may be far.
                    eprintln!("{violation}");
                    self.found.violations.push(violation);
                }
            }
        }
        Ok(())
    }

    /// Lets the library loose on a state.
    pub(super) fn try_state(
        &self,
        workload: &Workload,
        recorded: &Recorded,
        point: usize,
        state: &Image,
    ) -> Outcome {
        let dir = fresh(&self.dir, "state")?;
        state.write_to(&dir)?;
        check::after_a_power_cut(workload, recorded, point, &Place::new(dir))
    }

    /// Records how a state is recovered from, and cuts the power once more at each step of that.
    fn try_recovery(
        &mut self,
        workload: &Workload,
        recorded: &Recorded,
        point: usize,
        state: &Image,
        rng: &mut Rng,
    ) -> Outcome {
        let dir = fresh(&self.dir, "recovered")?;
        state.write_to(&dir)?;
        let place = Place::new(dir.as_str());
        check::tell(&place, &recorded.acknowledged_after(point, |_| true))?;
        // Who finds damage repairs it by hand, which is an operation of its own.
        if check::is_damaged(&place)? {
            return Ok(());
        }
        let again = Workload { recovers: true, ..workload.clone() };
        let again_recorded = again.record(&dir)?;
        for point in 0..=again_recorded.trace.len() {
            let disk = again_recorded.trace.disk_after(point);
            for state in disk.states(self.most.min(3), rng).0 {
                self.found.recoveries += 1;
                self.try_state(&again, &again_recorded, point, &state).map_err(|found| {
                    let step = again_recorded.trace.step(point);
                    let lost = state.lost().join("; ");
                    found.at(format!("recovered, and cut after step {point} ({step}), {lost}"))
                })?;
            }
        }
        Ok(())
    }
}

/// Which state it is, and how it is tried again.
fn words(
    seed: u64,
    most: usize,
    workload: &Workload,
    recorded: &Recorded,
    point: usize,
    state: &Image,
) -> String {
    let step = recorded.trace.step(point);
    let name = workload.name();
    let lost = match state.lost() {
        [] => "all of it on the disk".to_owned(),
        lost => lost.join("; "),
    };
    format!(
        "{name}, the power cut after step {point} ({step}), {lost} (again: runjournal-proof disk \
         --operation '{name}' --point {point} --state {} --seed {seed} --most {most})",
        state.name()
    )
}
