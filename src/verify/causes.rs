//! Events that were caused by events elsewhere: every journal of the workspace is asked for them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

use super::{jobs, task};
use crate::clock::Timestamp;
use crate::finding::{Code, Finding, Place};
use crate::id::{EventId, RunId, TaskId};
use crate::io::Dir;
use crate::journal::{Events, Home, Record, Runtime, types};

/// What the records of a journal say that they were caused by, in few bytes each: there may be as many as
/// there are records.
#[derive(Debug, Default)]
pub(super) struct Causes {
    /// Of all records so far; a part at the front is sorted.
    ids: Vec<EventId>,
    /// Those that were not found among them so far.
    open: Vec<Caused>,
    /// How many may be open until they are looked for.
    most: usize,
}

/// A record, by its place, and what caused it.
#[derive(Debug, Clone, Copy)]
struct Caused {
    by: EventId,
    offset: u64,
    length: u64,
}

/// So many may be open before they are looked for, and one for so many records, and twice as many as were left
/// the last time: in all it is looked a few times only.
const FEW: usize = 1 << 12;
const ONE_OF: usize = 4;

impl Causes {
    pub(super) fn take_in(&mut self, record: &Record) {
        let caused = record.causation_event_id().map(|by| {
            let (offset, end) = (record.offset(), record.end());
            Caused { by, offset, length: end - offset }
        });
        self.add(record.event_id(), caused);
    }

    fn add(&mut self, id: EventId, caused: Option<Caused>) {
        // Most are caused by what happened just before.
        let is_last = |caused: &Caused| self.ids.last() == Some(&caused.by);
        self.open.extend(caused.filter(|caused| !is_last(caused)));
        self.ids.push(id);
        if self.open.len() > self.most {
            self.look();
        }
    }

    /// Looks for those that are open. What caused a record comes before it; what does not is looked for again.
    fn look(&mut self) {
        self.ids.sort_unstable();
        self.open.retain(|caused| self.ids.binary_search(&caused.by).is_err());
        self.most = FEW.max(self.ids.len() / ONE_OF).max(self.open.len() * 2);
    }

    /// Those that are not in this journal.
    pub(super) fn elsewhere(mut self, journal: &Utf8Path) -> Vec<Cause> {
        if self.open.is_empty() {
            return Vec::new();
        }
        self.look();
        let journal = Arc::new(journal.to_owned());
        let cause = |caused| Cause { caused, journal: Arc::clone(&journal) };
        self.open.into_iter().map(cause).collect()
    }
}

/// An event that is not in the journal of what it caused, and where that is.
#[derive(Debug)]
pub(crate) struct Cause {
    caused: Caused,
    journal: Arc<Utf8PathBuf>,
}

/// Clocks of different machines do not lie further apart.
const DAY: i64 = 86_400_000_000;

impl Cause {
    /// True if it may have been in something that was gone by then: nobody can say what that had.
    fn may_be_lost(&self, lost_at: Option<Timestamp>) -> bool {
        let Some(lost_at) = lost_at else { return false };
        let latest = lost_at.as_microseconds().saturating_add(DAY);
        self.caused.by.made_at().is_none_or(|made_at| made_at.as_microseconds() <= latest)
    }

    fn finding(&self) -> Finding {
        let Caused { by, offset, length } = self.caused;
        let path = self.journal.as_ref().clone();
        let place = Place { path, offset: Some(offset), length: Some(length) };
        let reason = format!("no journal has the event {by}, by which it was caused");
        Finding { code: Code::CausationNowhere, place, reason }
    }
}

/// A task, with its runs or without.
type Journal = (TaskId, Option<RunId>);

/// The findings about causes that no journal of the workspace has, and that were made after a run was last pruned,
/// put back as it was earlier, or seen to vanish: of what went then, nobody can say what it caused.
pub(super) fn nowhere(
    root: &Utf8Path,
    runtime: &Runtime,
    causes: Vec<Cause>,
    vanished_at: Option<Timestamp>,
) -> Vec<Finding> {
    if causes.is_empty() {
        return Vec::new();
    }
    let wanted: HashSet<EventId> = causes.iter().map(|cause| cause.caused.by).collect();
    let found = Mutex::new((HashSet::new(), vanished_at));
    let tasks = Dir::open_root(root).map(|dir| task::names(&dir, ""));
    let first: Vec<Journal> =
        tasks.into_iter().flatten().filter_map(|name| Some((name.parse().ok()?, None))).collect();
    let look = |(task, run): Journal, more: &jobs::Jobs<Journal>| {
        let home = match &run {
            Some(run) => Home::of_run(root, &task, run, runtime),
            None => Home::of_task(root, &task, runtime),
        };
        if run.is_none()
            && let Ok(dir) = Dir::open(home.dir())
        {
            let runs = task::names(&dir, crate::layout::RUNS).into_iter();
            let runs = runs.filter_map(|name| name.parse().ok());
            more.push(runs.map(|run| (task.clone(), Some(run))));
        }
        let events = Events::open(&home).into_iter().flatten();
        let (mut here, mut lost_at) = (Vec::new(), None);
        for record in events.map_while(Result::ok) {
            if wanted.contains(&record.event_id()) {
                here.push(record.event_id());
            }
            if [types::RUN_PRUNED, types::RUN_RESTORED].contains(&record.event_type()) {
                lost_at = lost_at.max(Some(record.occurred_at()));
            }
        }
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        found.0.extend(here);
        found.1 = found.1.max(lost_at);
    };
    jobs::run(first, look, &mut || {});
    let (found, lost_at) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let nowhere = causes
        .iter()
        .filter(|cause| !found.contains(&cause.caused.by) && !cause.may_be_lost(lost_at));
    nowhere.map(Cause::finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> EventId {
        // In no order.
        let mixed = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        EventId::from(uuid::Uuid::from_u128(mixed << 64 | u128::from(number)))
    }

    fn caused(by: u64, offset: u64) -> Option<Caused> {
        Some(Caused { by: id(by), offset, length: 1 })
    }

    #[test]
    fn what_was_found_is_not_kept() {
        let (records, mut causes) = (200_000, Causes::default());
        for number in 0..records {
            // Half of it, far behind; one of a thousand is elsewhere.
            let by = if number % 1000 == 7 { records + number } else { number / 2 };
            causes.add(id(number), caused(by, number));
            let most = FEW.max(causes.ids.len() / ONE_OF);
            assert!(causes.open.len() <= most + 1, "{} of {}", causes.open.len(), causes.ids.len());
        }
        let elsewhere = causes.elsewhere(Utf8Path::new("journal"));
        let offsets: Vec<_> = elsewhere.iter().map(|cause| cause.caused.offset).collect();
        let expected: Vec<_> = (0..records).filter(|number| number % 1000 == 7).collect();
        assert_eq!(offsets, expected);
    }

    #[test]
    fn what_is_never_found_is_looked_for_a_few_times_only() {
        let mut causes = Causes::default();
        let mut looks = 0;
        for number in 0..100_000 {
            let most = causes.most;
            causes.add(id(number), caused(1_000_000 + number, number));
            looks += usize::from(causes.most != most);
        }
        assert!(looks < 10, "{looks}");
        assert_eq!(causes.elsewhere(Utf8Path::new("journal")).len(), 100_000);
    }

    #[test]
    fn what_comes_later_is_here_as_well() {
        let mut causes = Causes::default();
        for number in 0..(2 * FEW as u64) {
            causes.add(id(number), caused(2 * FEW as u64 - 1 - number, number));
        }
        assert!(causes.elsewhere(Utf8Path::new("journal")).is_empty());
    }
}
