//! Seeds: what fixtures, and the trees that each operation of the trials leaves, have for each target.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use walkdir::WalkDir;

use super::corpus::sources;
use crate::trial::fast_directory;
use crate::{Outcome, Place, operations};

/// Bytes of a sealed line's end.
const END: usize = 76;

/// Seeds, each with the target that it is for.
type Seeds = BTreeSet<(&'static str, Vec<u8>)>;

/// Names as people give them, good and bad.
const NAMES: &[&str] = &[
    "plan.json",
    "a/b/c.txt",
    "notes/day 1.md",
    "größe/ünï.txt",
    "日本語",
    "a..b",
    "../x",
    "/etc/passwd",
    "con",
    "LPT1.txt",
    "a\\b",
    ".hidden",
    "x ",
    "",
    "TASK-1",
    "01890000-0000-7000-8000-000000000001",
    "e\u{301}",
];

/// Text that is JSON to some.
const JSON: &[&str] = &[
    "{\"b\":1,\"a\":[true,null]}",
    "[1e400,-0.0,1E5,123456789012345678901234567890]",
    "\"\\ud800\\u2028\u{85}\"",
    "{\"a\":1,\"a\":2}",
    " [ 1 , 2 ]\n",
    "0.1000000000000000055",
    "[[[[[[[[[[]]]]]]]]]]",
];

/// Text that is a flow to some.
const FLOWS: &[&str] = &[
    r#"{"flow":"checks","nodes":[{"node":"test","run":{"program":["cargo","test"],"current_dir":"."},"edges":[{"on":"success","end":"SUCCESS"},{"on_failure":true,"end":"FAILED"}]}]}"#,
    r#"{"flow":"f","nodes":[{"node":"a","phase":"PLANNING","config":{"x":1},"inputs":["p.json"],"skip_if_unchanged":true,"edges":[{"on":"go","to":"b"}]},{"node":"b","edges":[{"on":"again","to":"a","limit":3},{"on":"done","end":"SUCCESS"}]}]}"#,
];

/// All seeds.
///
/// # Errors
/// Where a tree cannot be made or read.
pub(super) fn all() -> Outcome<Seeds> {
    let mut seeds = Seeds::new();
    seeds.extend(NAMES.iter().map(|name| ("names", name.as_bytes().to_vec())));
    seeds.extend(JSON.iter().map(|json| ("json", json.as_bytes().to_vec())));
    seeds.extend(FLOWS.iter().map(|flow| ("flow", flow.as_bytes().to_vec())));
    from_tree(&sources().join("../../fixtures"), &mut seeds)?;
    for operation in operations::ALL.iter().copied().flatten().chain(operations::with_heads()) {
        let dir = tempfile::tempdir_in(fast_directory())?;
        let place = Place::new(camino::Utf8PathBuf::try_from(dir.path().to_owned())?);
        place.leave_heads()?;
        for act in ["prepare", "operate"] {
            let mut worker = Command::new(std::env::current_exe()?);
            worker.args(["worker", act, operation.name]).arg(dir.path());
            // One that says that it cannot leaves a tree all the same.
            let _ = worker.output()?;
        }
        from_tree(dir.path(), &mut seeds)?;
    }
    Ok(seeds)
}

fn from_tree(dir: &Path, seeds: &mut Seeds) -> Outcome {
    for entry in WalkDir::new(dir).sort_by_file_name() {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        let content = std::fs::read(entry.path())?;
        let name = entry.file_name().to_string_lossy();
        match &*name {
            "events.jsonl" => journal(entry.path(), &content, seeds),
            "run.json" | "task.json" | "workspace.json" => page("genesis", &content, seeds),
            "manifest.json" => page("manifest", &content, seeds),
            ".head" => head(&content, seeds),
            "expected.json" => {}
            _ if entry.path().to_string_lossy().contains("/checkpoints/") => {
                page("checkpoint", &content, seeds);
            }
            // An artifact, or a file of a backup.
            _ => {
                page("backup", &content, seeds);
                if name.ends_with(".json") {
                    seeds.insert(("json", content));
                }
            }
        }
    }
    Ok(())
}

/// The body of a sealed line, which the targets seal themselves.
fn body(line: &[u8]) -> Option<&[u8]> {
    let (body, end) = line.split_at_checked(line.len().checked_sub(END)?)?;
    end.starts_with(b",\"hash\":\"").then_some(body)
}

fn page(target: &'static str, content: &[u8], seeds: &mut Seeds) {
    if let Some(body) = body(content) {
        seeds.insert((target, [body, b"~"].concat()));
    }
}

fn journal(path: &Path, content: &[u8], seeds: &mut Seeds) {
    let home = path.parent().and_then(Path::parent).unwrap_or(path);
    let genesis = ["run.json", "task.json"].map(|name| std::fs::read(home.join(name)));
    let genesis = genesis.into_iter().flatten().next().unwrap_or_default();
    seeds.insert(("journal", [&*genesis, content].concat()));
    let mut open = Vec::new();
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let Some(body) = body(line) else {
            open.extend_from_slice(line);
            continue;
        };
        let garbage = body.windows(11).rposition(|window| window == b",\"garbage\":");
        let (end, mark) = garbage.map_or((body.len(), b"~0\n"), |at| (at, b"~a\n"));
        open.extend_from_slice(body.get(..end).unwrap_or_default());
        open.extend_from_slice(mark);
        seeds.insert(("line", body.to_vec()));
        record(line, seeds);
    }
    seeds.insert(("replayed", open.clone()));
    seeds.insert(("journal", [b"\n", &*open].concat()));
}

/// What a record holds for others.
fn record(line: &[u8], seeds: &mut Seeds) {
    let Ok(record) = serde_json::from_slice::<Value>(line) else { return };
    if let Some(payload) = record.get("payload") {
        seeds.insert(("json", payload.to_string().into_bytes()));
        if let Some(definition) = payload.get("definition") {
            seeds.insert(("flow", definition.to_string().into_bytes()));
        }
        if let Some(path) = payload.get("path").and_then(Value::as_str) {
            seeds.insert(("names", path.as_bytes().to_vec()));
        }
    }
}

/// Halves of a head, and the entries in them as those of a table.
fn head(content: &[u8], seeds: &mut Seeds) {
    for half in content.chunks(8 << 10) {
        let Some(end) = half.iter().position(|byte| *byte == b'\n') else { continue };
        let (line, behind) = half.split_at(end + 1);
        let Some(body) = body(line) else { continue };
        let body = String::from_utf8_lossy(body);
        let number = |text: &str| {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().unwrap_or(0)
        };
        let entries = body.split_once("\"entries\":").map_or(0, |(_, rest)| number(rest));
        let entries = behind.get(..entries * 24).unwrap_or_default();
        let body = match body.split_once(",\"entries\":") {
            Some((before, _)) => format!("{before},\"entries\":?,\"recent\":\"?\""),
            None => body.into_owned(),
        };
        seeds.insert(("head", [body.as_bytes(), b"~\n", entries].concat()));
        seeds.insert(("head", half.get(..end + 1 + entries.len()).unwrap_or_default().to_vec()));
        seeds.insert(("table", [&[0], entries].concat()));
        // The number of the block and that of its entries, then those.
        let count = u16::try_from(entries.len() / 24).unwrap_or(0).to_le_bytes();
        seeds.insert(("table", [&[1][..], &count, entries].concat()));
    }
}
