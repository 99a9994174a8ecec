//! The library's own projectors, a file each.

mod approvals;
mod artifacts;
mod audit;
mod checkpoints;
mod leases;
mod receipts;
mod run_starts;
mod runs;
mod sessions;
mod steps;
mod tasks;
mod work;

use super::Projector;

/// All of them, without `events`, whose rows are too many for statements.
pub(super) fn all() -> Vec<&'static dyn Projector> {
    vec![
        &tasks::Tasks,
        &runs::Runs,
        &run_starts::RunStarts,
        &steps::Steps,
        &artifacts::Artifacts,
        &receipts::Receipts,
        &work::Work,
        &sessions::Sessions,
        &checkpoints::Checkpoints,
        &approvals::Approvals,
        &leases::Leases,
        &audit::Audit,
    ]
}

/// True for the name of one of them.
pub(super) fn has(name: &str) -> bool {
    all().iter().any(|projector| projector.name() == name)
}
