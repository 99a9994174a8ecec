//! Cost curves: what a thing costs when there is more and more of something. One file for each kind of size.

mod artifacts;
mod crowds;
mod curve;
mod draw;
mod journal;
mod runs;

pub(crate) use curve::{Chart, words};
pub(crate) use draw::svg;

use crate::Result;
use crate::args::Plan;
use crate::lab::Lab;

pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) measure: fn(&Lab, &Plan) -> Result<Vec<Chart>>,
}

pub(crate) const ALL: &[Group] = &[
    Group { name: "journal", measure: journal::measure },
    Group { name: "runs", measure: runs::measure },
    Group { name: "artifacts", measure: artifacts::measure },
    Group { name: "threads", measure: crowds::threads },
    Group { name: "processes", measure: crowds::processes },
];

/// Fewer rounds than a row has: there are many sizes.
pub(crate) fn plan(plan: &Plan) -> Plan {
    let rounds = plan.rounds.min(if plan.quick { 3 } else { 5 });
    Plan { rounds, budget: plan.budget, quick: plan.quick }
}

/// From the first to the last, each so many times the one before.
fn steps(first: u64, last: u64, factor: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(first), move |size| Some(size * factor))
        .take_while(move |size| *size <= last)
}
