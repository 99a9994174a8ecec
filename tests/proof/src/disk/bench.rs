//! Workloads cut off at every step, each state that this may leave taken up by the library.

use std::collections::HashSet;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::Digest;

use super::workload::{Recorded, Workload, fresh};
use super::{Image, check, death};
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
    /// Processes that died before a last sync of theirs, and states after others were told that all stands.
    pub(super) deaths: u64,
    pub(super) after_deaths: u64,
    pub(super) violations: Vec<Violation>,
}

impl Found {
    pub(super) fn add(&mut self, other: Self) {
        self.states += other.states;
        self.points += other.points;
        self.sampled += other.sampled;
        self.recoveries += other.recoveries;
        self.deaths += other.deaths;
        self.after_deaths += other.after_deaths;
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

    /// Cuts the power at every step of the last call of a workload, until the time is over; then after each death of
    /// a single call.
    pub(super) fn try_all(&mut self, workload: &Workload, budget: &Budget) -> Outcome {
        let recorded = self.record(workload)?;
        let before = workload.calls.len() - 1;
        let points: Vec<_> = (0..=recorded.trace.len())
            .filter(|point| recorded.calls_after(*point) >= before)
            .collect();
        self.try_points(workload, &recorded, &points, budget)?;
        for steps in recorded.trace.before_last_syncs() {
            if is_one_promise(workload) && !budget.is_over() {
                self.try_death(workload, &recorded, steps)?;
            }
        }
        Ok(())
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
        for point in points.iter().copied() {
            let (states, all) = self.states(workload, recorded, point);
            self.found.points += 1;
            self.found.sampled += u64::from(!all);
            for state in states {
                let told = recorded.trace.acknowledged_after(point);
                if !seen.insert((state.digest(), told)) {
                    continue;
                }
                // One at least, however little time there is.
                if self.found.states > 0 && budget.is_over() {
                    return Ok(());
                }
                self.try_one(workload, recorded, point, &state);
            }
        }
        Ok(())
    }

    /// Lets the library loose on a state, and of some states cuts off the recovery as well.
    pub(super) fn try_one(
        &mut self,
        workload: &Workload,
        recorded: &Recorded,
        point: usize,
        state: &Image,
    ) {
        self.found.states += 1;
        let name = state.name();
        // Of this state alone, so that it is the same whatever was tried before.
        let mut rng =
            Rng::of(self.seed, &[&workload.name(), &point.to_string(), &name, "recovery"]);
        let recovers = is_one_promise(workload) && rng.once_in(self.recoveries);
        let mut found = self.try_state(workload, recorded, point, state);
        if found.is_ok() && recovers {
            found = self.try_recovery(workload, recorded, point, state, &mut rng);
        }
        if let Err(found) = found {
            let (step, lost) = (recorded.trace.step(point), lost(state));
            let how = format!("the power cut after step {point} ({step}), {lost}");
            let again = format!("--point {point} --state {name}");
            let found = self.words(workload, &how, &again, found);
            self.note(found);
        }
    }

    /// A process dies right before a sync, another one calls again, and once that is told that all is well the power
    /// goes: nothing is left but what was synced.
    pub(super) fn try_death(
        &mut self,
        workload: &Workload,
        recorded: &Recorded,
        steps: usize,
    ) -> Outcome {
        let Some(operation) = workload.calls.first() else { return Ok(()) };
        let dir = fresh(&self.dir, "died")?;
        self.found.deaths += 1;
        let died = match death::record(operation, recorded, steps, &dir) {
            Ok(died) => died,
            Err(found) => {
                let how = format!("dead after step {steps}");
                let found = self.words(workload, &how, &format!("--death {steps}"), found);
                self.note(found);
                return Ok(());
            }
        };
        let again = Workload { recovers: true, ..workload.clone() };
        let mut rng = Rng::of(self.seed, &[&workload.name(), "death"]);
        let mut seen = HashSet::new();
        for point in died.told_again() {
            for state in died.trace.disk_after(point).least(&mut rng) {
                if !seen.insert((state.digest(), died.trace.acknowledged_after(point))) {
                    continue;
                }
                self.found.after_deaths += 1;
                if let Err(found) = self.try_state(&again, &died, point, &state) {
                    let step = died.trace.step(point);
                    let lost = lost(&state);
                    let how = format!(
                        "dead after step {steps}, called again, and the power cut after step \
                         {point} ({step}), {lost}"
                    );
                    let found = self.words(workload, &how, &format!("--death {steps}"), found);
                    self.note(found);
                }
            }
        }
        Ok(())
    }

    /// Told at once, and not only in the end, which may be far.
    fn note(&mut self, violation: Violation) {
        eprintln!("{violation}");
        self.found.violations.push(violation);
    }

    /// What was found, with where, and how it is tried again.
    fn words(&self, workload: &Workload, how: &str, again: &str, found: Violation) -> Violation {
        let (name, seed, most) = (workload.name(), self.seed, self.most);
        found.at(format!(
            "{name}, {how} (again: cargo run -p runjournal-proof -- disk --operation '{name}' \
             {again} --seed {seed} --most {most})"
        ))
    }

    /// Lets the library loose on a state.
    fn try_state(
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
                    let lost = lost(&state);
                    found.at(format!("recovered, and cut after step {point} ({step}), {lost}"))
                })?;
            }
        }
        Ok(())
    }
}

/// True of a single call that is durable: it can be made again, and then has to stay.
fn is_one_promise(workload: &Workload) -> bool {
    matches!(workload.calls.as_slice(), [call] if !call.buffered && !call.needs_order)
}

/// What of the record is not on the disk, in words.
fn lost(state: &Image) -> String {
    match state.lost() {
        [] => "all of it on the disk".to_owned(),
        lost => lost.join("; "),
    }
}
