//! task-journal-core: an append-only log of JSON lines, and a state in SQLite that is derived from it.

use serde_json::json;
use tj_core::db;
use tj_core::event::{Author, Event, EventType, Source};
use tj_core::storage::JsonlWriter;

use crate::{LINE, Operate, Result, output};

const TASK: &str = "tj-runjournal";
/// So many digits are in every number.
const FIRST: u64 = 1_000_000;

/// An event of the same payload, whose line has 543 bytes.
fn event(number: u64, length: usize) -> Event {
    let (task, text) = (TASK, output(length));
    let mut event = Event::new(task, EventType::Finding, Author::Agent, Source::Cli, text);
    event.meta = json!({"tool": "cc", "call": FIRST + number, "ok": true, "duration_ms": 4310});
    event
}

/// Bytes of output that make a line long enough.
fn fit() -> Result<usize> {
    let bare = serde_json::to_string(&event(0, 0))?.len() + 1;
    Ok(LINE.checked_sub(bare).ok_or("an event is too long")?)
}

/// A kept writer: a lock, a look at the last byte, a write, an unlock; and fsync, where it is to be durable.
pub(crate) fn append(path: &str, synced: bool) -> Result<Operate> {
    let (mut writer, length) = (JsonlWriter::open(path)?, fit()?);
    let path = path.to_owned();
    Ok(Box::new(move |number| {
        writer.append(&event(number, length))?;
        if synced {
            writer.flush_durable()?;
        }
        if number % 1000 == 0 && std::fs::metadata(&path)?.len() != (number + 1) * LINE as u64 {
            return Err("a line has another length".into());
        }
        Ok(())
    }))
}

/// `rebuild_state` from so many events into a new database, one of all events an operation: its own tables, and the text of each for
/// full-text search.
pub(crate) fn rebuild(path: &str, dir: &str, events: u64) -> Result<Operate> {
    let length = fit()?;
    let lines = (0..events).map(|number| Ok(serde_json::to_string(&event(number, length))? + "\n"));
    std::fs::write(path, lines.collect::<Result<String>>()?)?;
    let (path, dir) = (path.to_owned(), dir.to_owned());
    Ok(Box::new(move |number| {
        let connection = db::open(format!("{dir}/state-{number}.sqlite"))?;
        let indexed = db::rebuild_state(&connection, &path, "project")?;
        if indexed as u64 == events {
            return Ok(());
        }
        Err(format!("{indexed} instead of {events} events were indexed").into())
    }))
}
