//! Repair: a plan, then its application. Nothing is deleted, and no journal is edited.
//!
//! So far it mends the one thing that stops appends: damage at the end of a journal.

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use crate::context::RunContext;
use crate::finding::Finding;
use crate::journal::{Event, Home, JournalError, LockedLog, Log, types};
use crate::layout;
use crate::workspace::Task;

/// What a repair would do.
#[derive(Debug, Clone)]
#[must_use = "a plan changes nothing until it is applied"]
pub struct RepairPlan {
    home: Home,
    damage: Vec<Finding>,
}

impl RepairPlan {
    fn of(home: Home) -> Result<Self, JournalError> {
        let mut log = Log::open(&home)?;
        let damage = damage(&home, &mut log.lock()?)?;
        Ok(Self { home, damage })
    }

    /// The damage that it closes off; empty where there is nothing to do.
    #[must_use]
    pub fn damage(&self) -> &[Finding] {
        &self.damage
    }

    /// The journal that it is about.
    #[must_use]
    pub fn journal(&self) -> Utf8PathBuf {
        journal(self.home.dir())
    }

    /// Closes the damage off: appends one record that goes on from the last counted one and vouches
    /// for the bytes in between, which stay as they are. Durable. Applied again, it changes nothing.
    ///
    /// # Errors
    /// As an append.
    pub fn apply(self) -> Result<Option<u64>, JournalError> {
        let mut log = Log::open(&self.home)?;
        let mut locked = log.lock()?;
        let damage = damage(&self.home, &mut locked)?;
        if damage.is_empty() {
            return Ok(None);
        }
        let found: Vec<_> = damage
            .iter()
            .map(|finding| {
                let place = &finding.place;
                json!({"offset": place.offset, "length": place.length, "reason": finding.reason})
            })
            .collect();
        let event_type =
            if self.home.is_run() { types::RUN_REPAIRED } else { types::TASK_REPAIRED };
        let event = Event::new(event_type).payload(
            &json!({"found": found, "done": "closed off; the bytes are kept as they are"}),
        );
        let appended = locked.append_repair(&event)?;
        locked.sync()?;
        Ok(appended.first().map(|first| first.seq))
    }
}

/// Damage behind the last counted record of a journal that can still grow.
fn damage(home: &Home, locked: &mut LockedLog<'_>) -> Result<Vec<Finding>, JournalError> {
    // What the head covers is looked at as well.
    locked.start_over()?;
    let skips = locked.rest().skips.iter();
    if locked.is_closed() {
        return Ok(Vec::new());
    }
    let path = journal(home.dir());
    Ok(skips.filter(|skip| skip.is_damage()).map(|skip| skip.finding(&path)).collect())
}

fn journal(dir: &Utf8Path) -> Utf8PathBuf {
    dir.join(layout::JOURNAL)
}

impl RunContext {
    /// Plans the repair of the run's journal.
    ///
    /// # Errors
    /// Where the journal cannot be read, or is newer than this code.
    pub fn plan_repair(&self) -> Result<RepairPlan, JournalError> {
        RepairPlan::of(self.home())
    }
}

impl Task {
    /// Plans the repair of the task's own journal.
    ///
    /// # Errors
    /// Where the journal cannot be read, or is newer than this code.
    pub fn plan_repair(&self) -> Result<RepairPlan, JournalError> {
        RepairPlan::of(self.home())
    }
}
