//! Python, as most people keep a log of events: open for appending, dumps, close.

use std::process::Command;

use crate::call::LINE;
use crate::measure::{Contender, Lap};
use crate::workers::Child;

/// It times itself, so that pipes and its start cost nothing.
const SCRIPT: &str = r#"
import json, sys, time
path = sys.argv[1]
payload = {"tool": "cc", "call": 0, "ok": True, "duration_ms": 4310, "output": ""}
event = {"seq": 0, "event_id": "0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "event_type": "tool_called",
  "occurred_at": "2026-11-21T09:30:00.000000Z", "aggregate_kind": "run", "stream_id": "RUN-1",
  "stream_version": 0, "actor_kind": "node", "correlation_id": "0af7651916cd43dd8448eb211c80319c",
  "payload": payload, "hash": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"}
def append(seq):
    event["seq"] = event["stream_version"] = payload["call"] = seq
    with open(path, "a") as file:
        file.write(json.dumps(event, separators=(",", ":")) + "\n")
seq = 1000000
event["seq"] = event["stream_version"] = payload["call"] = seq
payload["output"] = "x" * (543 - 1 - len(json.dumps(event, separators=(",", ":"))))
print("ready", flush=True)
for line in sys.stdin:
    count = int(line)
    start = time.perf_counter_ns()
    for seq in range(seq, seq + count):
        append(seq)
    print(time.perf_counter_ns() - start, flush=True)
    seq += 1
"#;

/// Why Python cannot be measured, where it cannot.
pub(crate) fn missing() -> Option<String> {
    match Command::new("python3").arg("-c").arg("import json").output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("python3 ended with {}", output.status)),
        Err(error) => Some(format!("python3 cannot be started: {error}")),
    }
}

/// `open('a')`, `json.dumps`, `write`, `close` for each event.
pub(crate) fn append(name: &'static str, operations: u64) -> Contender<'static> {
    Contender::new(name, move |dir| {
        let path = dir.join("events.jsonl");
        let mut child =
            Child::start(Command::new("python3").arg("-c").arg(SCRIPT).arg(path.as_str()))?;
        let mut lines = 0;
        Ok(Box::new(move || {
            let time = child.lap(operations)?;
            lines += operations;
            let bytes = std::fs::metadata(&path)?.len();
            if bytes != lines * LINE as u64 {
                return Err(format!("{bytes} bytes for {lines} lines").into());
            }
            Ok(Lap { operations, time })
        }))
    })
}
