//! Calls that are made one after the other, and recorded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Image, Trace, letters};
use crate::trial::recover;
use crate::{Acks, Operation, Outcome, Place, Violation, operations, stage};

/// Operations one after the other on one tree.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    pub(super) calls: Vec<Operation>,
    /// Each journal gets a head after every record.
    pub(super) heads: bool,
    /// It is made by somebody who comes after a crash, and catches up first.
    pub(super) recovers: bool,
}

/// What a workload did.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) trace: Trace,
    /// What was acknowledged, line by line: before it began, and by each call.
    pub(super) acknowledged: Vec<Vec<String>>,
}

impl Workload {
    pub(super) fn name(&self) -> String {
        let names: Vec<_> = self.calls.iter().map(|call| call.name).collect();
        format!("{}{}", names.join("+"), if self.heads { HEADS } else { "" })
    }

    /// The workload of a name.
    pub(super) fn find(name: &str) -> Option<Self> {
        let (names, heads) = name.strip_suffix(HEADS).map_or((name, false), |names| (names, true));
        let of = |name: &str| {
            letters::ALL
                .iter()
                .find(|letter| letter.name == name)
                .or_else(|| operations::find(name))
        };
        let calls: Option<Vec<_>> = names.split('+').map(|name| of(name).copied()).collect();
        Some(Self { calls: calls?, heads, recovers: false })
    }

    /// Sets the stage of the first call in a directory, in a process of its own: some end theirs.
    pub(super) fn prepare(&self, dir: &Utf8Path, worker: &Utf8Path) -> Outcome {
        let first = self.calls.first().ok_or_else(|| Violation::new("nothing is called"))?;
        if self.heads {
            Place::new(dir).leave_heads()?;
        }
        if letters::ALL.iter().any(|letter| letter.name == first.name) {
            let place = Place::new(dir);
            return first.base.prepare(&place, &mut Acks::open(&place)?);
        }
        stage::prepare(first, worker, dir)
    }

    /// Makes the calls on the tree in a directory.
    pub(super) fn record(&self, dir: &Utf8Path) -> Outcome<Recorded> {
        let place = Place::new(dir);
        let teller = Teller::of(&place, 0);
        let mut acknowledged = vec![place.acknowledged()?];
        let work = || -> Outcome {
            for (at, operation) in self.calls.iter().enumerate() {
                let place = match at == 0 && !self.recovers {
                    true => place.clone(),
                    false => place.clone().once_more(),
                };
                let mut acks = Acks::open(&place)?;
                let made = match self.recovers {
                    true => recover(operation, &place, &mut acks),
                    false => (operation.operate)(&place, &mut acks),
                };
                made.map_err(|found| found.at(operation.name).at("undisturbed"))?;
                teller.returned(&mut acknowledged)?;
            }
            Ok(())
        };
        let (trace, done) = Trace::record(dir, teller.moment(), work)?;
        done?;
        Recorded { trace, acknowledged }.checked(dir)
    }
}

/// Says how far a record is: how many calls were made, and how much was told.
#[derive(Debug)]
struct Teller {
    place: Place,
    calls: Arc<AtomicUsize>,
}

impl Teller {
    /// Once so many calls were made.
    fn of(place: &Place, calls: usize) -> Self {
        Self { place: place.clone(), calls: Arc::new(AtomicUsize::new(calls)) }
    }

    /// Both in one number.
    fn moment(&self) -> impl Fn() -> usize + Send + Sync + 'static {
        let (place, calls) = (self.place.clone(), Arc::clone(&self.calls));
        move || {
            let told = place.acknowledged().map_or(0, |lines| lines.len());
            calls.load(Ordering::SeqCst) * MOMENT + told
        }
    }

    /// A call returned, and all that was told by then is its, but for what is known.
    fn returned(&self, acknowledged: &mut Vec<Vec<String>>) -> Outcome {
        let before = acknowledged.iter().map(Vec::len).sum();
        acknowledged.push(self.place.acknowledged()?.split_off(before));
        self.calls.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Recorded {
    /// The tree in this directory is as it was when so many steps had been taken and the process died: records what
    /// another one does then.
    pub(super) fn go_on(
        &self,
        steps: usize,
        dir: &Utf8Path,
        make: impl FnOnce(&Place) -> Outcome,
    ) -> Outcome<Self> {
        let place = Place::new(dir);
        let teller = Teller::of(&place, 1);
        let before = self.acknowledged.first().cloned().unwrap_or_default();
        let told = place.acknowledged()?.split_off(before.len());
        let mut acknowledged = vec![before, told];
        let work = || -> Outcome {
            make(&place)?;
            teller.returned(&mut acknowledged)
        };
        let (trace, done) = self.trace.record_behind(steps, dir, teller.moment(), work)?;
        done?;
        Self { trace, acknowledged }.checked(dir)
    }

    /// What the model has in the end must be what is there.
    fn checked(self, dir: &Utf8Path) -> Outcome<Self> {
        let model = self.trace.disk_after(self.trace.len()).now().without(ACKS);
        let real = Image::read(dir)?.without(ACKS);
        model.same_as(&real).map_err(|found| found.at("the model is not what is there"))?;
        Ok(self)
    }

    /// How many calls had returned when so many steps had been taken.
    pub(super) fn calls_after(&self, steps: usize) -> usize {
        self.trace.acknowledged_after(steps) / MOMENT
    }

    /// Each line that was acknowledged, and the call that told it.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &String)> {
        let lines = self.acknowledged.iter().enumerate();
        lines.flat_map(|(call, lines)| lines.iter().map(move |line| (call, line)))
    }

    /// What was acknowledged then, of what these calls had told: the first is what was told before all of them.
    pub(super) fn acknowledged_after(
        &self,
        steps: usize,
        of: impl Fn(usize) -> bool,
    ) -> Vec<String> {
        let told = self.trace.acknowledged_after(steps) % MOMENT;
        let lines = self.lines().take(told).filter(|(call, _)| of(*call));
        lines.map(|(_, line)| line.clone()).collect()
    }
}

/// More than ever is acknowledged.
const MOMENT: usize = 1_000_000;

const HEADS: &str = " with heads";

/// What the worker was told; it is not on the disk that is cut off.
pub(super) const ACKS: &str = "acks";

/// A directory of a name below another one, that is new and empty.
pub(super) fn fresh(below: &Utf8Path, name: &str) -> Outcome<Utf8PathBuf> {
    let dir = below.join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir(&dir)?;
    Ok(dir)
}
