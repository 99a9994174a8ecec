//! yoagent-state: a store of events in JSON lines, behind an async trait.

use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use yoagent_state::{ActorRef, Event, EventStore, GitEventStore, JsonlEventStore};

use crate::{LINE, Operate, Result, output};

/// So many digits are in every number.
const FIRST: u64 = 1_000_000;

/// An event of the same payload, whose line has 543 bytes.
fn event(number: u64, length: usize) -> Event {
    let payload = json!({"tool": "cc", "call": FIRST + number, "ok": true, "duration_ms": 4310,
        "output": output(length)});
    let event = Event::new(ActorRef::new("node", "cc"), "tool_called", payload);
    event.with_correlation("0af7651916cd43dd8448eb211c80319c")
}

/// Bytes of output that make a line long enough.
fn fit() -> Result<usize> {
    let bare = serde_json::to_string(&event(0, 0))?.len() + 1;
    Ok(LINE.checked_sub(bare).ok_or("an event is too long")?)
}

fn store(path: &str, events: u64) -> Result<(Runtime, JsonlEventStore, usize)> {
    let length = fit()?;
    let lines = (0..events).map(|number| Ok(serde_json::to_string(&event(number, length))? + "\n"));
    let lines = lines.collect::<Result<String>>()?;
    if lines.len() as u64 != events * LINE as u64 {
        return Err("a line has another length".into());
    }
    std::fs::write(path, lines)?;
    Ok((Builder::new_current_thread().build()?, JsonlEventStore::new(path), length))
}

/// `append` of one event to so many: it reads the file, and writes all of it anew.
pub(crate) fn append(path: &str, events: u64) -> Result<Operate> {
    let (runtime, store, length) = store(path, events)?;
    Ok(Box::new(move |number| {
        runtime.block_on(store.append(vec![event(events + number, length)]))?;
        Ok(())
    }))
}

/// `append` to the log of a git repository: a lease, which is a file, is taken or renewed; the log is opened, written and synced.
/// No commit: that is once a run.
pub(crate) fn append_to_git(dir: &str) -> Result<Operate> {
    // All that it looks at.
    std::fs::create_dir(format!("{dir}/.git"))?;
    let store = GitEventStore::open(dir, "worker")?;
    let (runtime, length) = (Builder::new_current_thread().build()?, fit()?);
    Ok(Box::new(move |number| {
        runtime.block_on(store.append(vec![event(number, length)]))?;
        if number % 1000 == 0
            && std::fs::metadata(store.events_path())?.len() != (number + 1) * LINE as u64
        {
            return Err("a line has another length".into());
        }
        Ok(())
    }))
}

/// `scan` of so many events, all of them an operation, and the payload of each as a typed value.
pub(crate) fn scan(path: &str, events: u64) -> Result<Operate> {
    let (runtime, store, _) = store(path, events)?;
    Ok(Box::new(move |_| {
        let mut sum = 0;
        for event in runtime.block_on(store.scan())? {
            sum += event.payload_as::<Call>()?.call - FIRST;
        }
        if sum == events * (events - 1) / 2 { Ok(()) } else { Err("other events were read".into()) }
    }))
}

/// The payload, as our replay reads it.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "read to be parsed")]
struct Call {
    tool: String,
    call: u64,
    ok: bool,
    duration_ms: u64,
    output: String,
}
