//! How it is measured: A B A B within one process, in slices (*laps*) of a few milliseconds, so that what
//! drifts drifts for all. A round is some laps in a fresh directory; what is compared is the ratio of
//! each round.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use crate::args::Plan;
use crate::lab::Lab;
use crate::{Error, Result};

/// A slice of work: how many operations, and how long they took together.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lap {
    pub(crate) operations: u64,
    pub(crate) time: Duration,
}

/// Work that was set up; each call does one lap and times itself.
pub(crate) type Work<'a> = Box<dyn FnMut() -> Result<Lap> + 'a>;

/// What sets work up.
type Open<'a> = Box<dyn Fn(&Utf8Path) -> Result<Work<'a>> + 'a>;

/// What looks at what was written, once the work is over: told the directory, and how many operations were done in it.
type Check<'a> = Box<dyn Fn(&Utf8Path, u64) -> Result<()> + 'a>;

/// Somebody who does the work. Setting up is not timed, and neither is the check behind it.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    open: Open<'a>,
    check: Option<Check<'a>>,
    /// What a figure is of: one operation, or a part of it.
    parts: u64,
}

impl<'a> Contender<'a> {
    /// `open` sets up in an empty directory.
    pub(crate) fn new(
        name: &'static str,
        open: impl Fn(&Utf8Path) -> Result<Work<'a>> + 'a,
    ) -> Self {
        Self { name, open: Box::new(open), check: None, parts: 1 }
    }

    /// An operation does so many things, and a figure is of one of them.
    pub(crate) fn per(self, parts: u64) -> Self {
        Self { parts, ..self }
    }

    /// After each round, when all is closed, this looks whether everything was written.
    pub(crate) fn checked(self, check: impl Fn(&Utf8Path, u64) -> Result<()> + 'a) -> Self {
        Self { check: Some(Box::new(check)), ..self }
    }

    /// A lap is `operations` calls of what `open` returns; they are numbered from 0 through all laps.
    pub(crate) fn each<F: FnMut(u64) -> Result<()> + 'a>(
        name: &'static str,
        operations: u64,
        open: impl Fn(&Utf8Path) -> Result<F> + 'a,
    ) -> Self {
        Self::new(name, move |dir| {
            let mut operate = open(dir)?;
            let mut next = 0;
            Ok(Box::new(move || {
                let start = Instant::now();
                for number in next..next + operations {
                    operate(number)?;
                }
                let time = start.elapsed();
                next += operations;
                Ok(Lap { operations, time })
            }))
        })
    }
}

/// Laps of a round: some to warm up, and those that count.
#[derive(Clone, Copy)]
pub(crate) struct Laps {
    pub(crate) warm: usize,
    pub(crate) counted: usize,
}

/// Of each contender, nanoseconds an operation, by round.
pub(crate) struct Series(Vec<(&'static str, Vec<f64>)>);

impl Series {
    pub(crate) fn of(&self, name: &str) -> Vec<f64> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map_or_else(Vec::new, |(_, samples)| samples.clone())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(&'static str, Vec<f64>)> {
        self.0.iter()
    }
}

/// A contender's place in the order of a round.
struct Turn<'a, 'b> {
    contender: &'b Contender<'a>,
    samples: Vec<f64>,
}

/// What a contender did in a round.
struct Done<'a> {
    work: Work<'a>,
    dir: Utf8PathBuf,
    /// Of all laps, those to warm up as well.
    operations: u64,
    counted: Lap,
}

/// Lets contenders take turns; each round begins with another one. The first round is thrown away; of the others at least
/// three are run, and no more once the time is up.
pub(crate) fn interleave(
    lab: &Lab,
    plan: &Plan,
    laps: Laps,
    contenders: &[Contender<'_>],
) -> Result<Series> {
    let turn = |contender| Turn { contender, samples: Vec::new() };
    let mut turns = contenders.iter().map(turn).collect::<VecDeque<_>>();
    let start = Instant::now();
    for round in 0..=plan.rounds {
        if round > 3 && start.elapsed() > plan.budget {
            break;
        }
        let totals = one_round(lab, laps, turns.iter().map(|turn| turn.contender))?;
        if round > 0 {
            for (turn, total) in turns.iter_mut().zip(&totals) {
                turn.samples.push(total.time.as_nanos() as f64 / total.operations as f64);
            }
        }
        let first = turns.pop_front();
        turns.extend(first);
    }
    let samples = |name| turns.iter().find(|turn| turn.contender.name == name);
    let of = |one: &Contender<'_>| {
        (one.name, samples(one.name).map_or_else(Vec::new, |turn| turn.samples.clone()))
    };
    Ok(Series(contenders.iter().map(of).collect()))
}

/// A round, in this order: what each contender did in the laps that count.
fn one_round<'a: 'b, 'b>(
    lab: &Lab,
    laps: Laps,
    contenders: impl Iterator<Item = &'b Contender<'a>> + Clone,
) -> Result<Vec<Lap>> {
    let mut round = Vec::new();
    for contender in contenders.clone() {
        let dir = lab.fresh()?;
        let work = (contender.open)(&dir).map_err(|error| told(contender, error))?;
        round.push(Done { work, dir, operations: 0, counted: Lap::default() });
    }
    lab.settle()?;
    for lap in 0..laps.warm + laps.counted {
        for (done, contender) in round.iter_mut().zip(contenders.clone()) {
            let one = (done.work)().map_err(|error| told(contender, error))?;
            done.operations += one.operations;
            if lap >= laps.warm {
                done.counted.operations += one.operations * contender.parts;
                done.counted.time += one.time;
            }
        }
    }
    let mut totals = Vec::new();
    for (Done { work, dir, operations, counted }, contender) in round.into_iter().zip(contenders) {
        drop(work);
        if let Some(check) = &contender.check {
            check(&dir, operations).map_err(|error| told(contender, error))?;
        }
        totals.push(counted);
    }
    Ok(totals)
}

/// Fails unless there are as many as there should be.
pub(crate) fn expect(what: &str, found: u64, wanted: u64) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(format!("{found} instead of {wanted} {what}").into()) }
}

fn told(contender: &Contender<'_>, error: Error) -> Error {
    let mut text = format!("{}: {error}", contender.name);
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.into()
}

/// The middle of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` of nothing.
    pub(crate) fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted.get((sorted.len() - 1) / 2)?, sorted.get(sorted.len() / 2)?);
        Some(Self { median: (low + high) / 2.0, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_odd_even_and_no_figures() {
        let spread = |figures: &[f64]| Spread::of(figures).map(|s| (s.median, s.min, s.max));
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Some((2.5, 1.0, 4.0)));
        assert_eq!(spread(&[]), None);
    }
}
