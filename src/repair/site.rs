//! Where a repair works, and where in it a finding is.

use camino::Utf8Path;

use crate::backup::Backup;
use crate::context::RunContext;
use crate::id::EventId;
use crate::journal::Home;
use crate::layout::HomeId;
use crate::workspace::Subject;

/// Where a repair works, in whose name, and with what backup.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) subject: Subject,
    pub(super) backup: Option<Backup>,
}

/// Where a finding is: in which run or task, and at which path from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) home: HomeId,
    pub(super) path: String,
}

impl Site {
    /// `None` for what is in no task.
    pub(super) fn spot(&self, path: &Utf8Path) -> Option<Spot> {
        let (home, path) = HomeId::of_path(self.subject.root(), path)?;
        Some(Spot { home, path: path.to_owned() })
    }

    /// The run, or the task, that a spot is in.
    pub(super) fn home(&self, spot: &Spot) -> Home {
        Home::of(self.subject.root(), spot.home.clone(), self.subject.runtime())
    }

    /// The run that a spot is in.
    pub(super) fn context(&self, spot: &Spot) -> Option<RunContext> {
        let HomeId { task, run } = &spot.home;
        let subject = &self.subject;
        let context = RunContext::new(subject.root(), task, run.as_ref()?, subject.runtime());
        Some(match subject.lease() {
            Some(lease) => context.with_lease(lease.clone()),
            None => context,
        })
    }

    pub(super) fn new_id(&self) -> EventId {
        self.subject.runtime().next_event_id()
    }
}
