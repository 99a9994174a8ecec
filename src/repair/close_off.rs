//! Damage at the end of a journal, which stops appends: one record in that journal closes it off, and tells of it.

use camino::Utf8Path;
use serde_json::json;

use crate::finding::Finding;
use crate::journal::{Event, Events, Home, JournalError, LockedLog, Log, types};
use crate::layout;

/// The damage behind the last counted record, and whether the run is closed; read without the exclusive lock.
pub(super) fn damage_at_end(home: &Home) -> Result<(Vec<Finding>, bool), JournalError> {
    let mut events = Events::open(home)?;
    let mut closed = false;
    for record in events.by_ref() {
        closed = record?.event_type() == types::EXECUTION_COMPLETE;
    }
    let end = events.cursor().offset;
    let mut damage = events.findings().to_vec();
    damage.retain(|found| found.code.is_journal_damage() && found.place.offset >= Some(end));
    Ok((damage, closed))
}

/// Appends one record that goes on from the last counted one and vouches for the bytes in between, which
/// stay as they are. Durable. `None` where there is nothing, or nothing any more, to close off.
pub(super) fn close_off(home: &Home) -> Result<Option<u64>, JournalError> {
    close_off_in(home, Log::open(home)?)
}

/// The same in a journal that is open.
pub(super) fn close_off_in(home: &Home, mut log: Log) -> Result<Option<u64>, JournalError> {
    let mut locked = log.lock()?;
    let found: Vec<_> = damage(home.dir(), &mut locked)?
        .iter()
        .map(|finding| {
            let place = &finding.place;
            json!({"offset": place.offset, "length": place.length, "reason": finding.reason})
        })
        .collect();
    if found.is_empty() {
        return Ok(None);
    }
    let event_type = if home.is_run() { types::RUN_REPAIRED } else { types::TASK_REPAIRED };
    let payload = json!({"found": found, "done": "closed off; the bytes are kept as they are"});
    let appended = locked.append_repair(&Event::new(event_type).payload(&payload))?;
    locked.sync()?;
    Ok(appended.first().map(|first| first.seq))
}

/// Where damage at the end of a journal that is open begins, if it could be closed off.
pub(super) fn start_of_damage(home: &Home, log: &mut Log) -> Result<Option<u64>, JournalError> {
    let found = damage(home.dir(), &mut log.lock()?)?;
    Ok(found.first().and_then(|first| first.place.offset))
}

/// Damage behind the last counted record of a journal that can still grow.
fn damage(dir: &Utf8Path, locked: &mut LockedLog<'_>) -> Result<Vec<Finding>, JournalError> {
    // What the head covers is looked at as well.
    locked.start_over()?;
    if locked.is_closed() {
        return Ok(Vec::new());
    }
    let journal = dir.join(layout::JOURNAL);
    let skips = locked.rest().skips.iter().filter(|skip| skip.is_damage());
    Ok(skips.map(|skip| skip.finding(&journal)).collect())
}
