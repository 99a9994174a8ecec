//! What is on the disk, printed for people. `cat`, `jq` and `b3sum` show the same.

use std::fs;

use camino::Utf8Path;
use runjournal::{Digest, Record, RunContext, Signal, Workspace};
use serde::Deserialize;
use walkdir::WalkDir;

use crate::Result;

/// The run's directory, as it is called from here.
pub(crate) fn place(ctx: &RunContext) -> String {
    format!("workspaces/{}/runs/{}", ctx.task_id(), ctx.run_id())
}

/// One digest of every file of the run and its path.
pub(crate) fn digest_of_run(ctx: &RunContext) -> Result<Digest> {
    let mut listing = String::new();
    for entry in WalkDir::new(ctx.run_path()).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_file() {
            let digest = Digest::of(&fs::read(entry.path())?);
            listing.push_str(&format!("{digest} {}\n", entry.path().display()));
        }
    }
    Ok(Digest::of(listing.as_bytes()))
}

/// How many files are staged, and which artifacts are there.
pub(crate) fn staged_and_committed(ctx: &RunContext) -> Result<(usize, String)> {
    let staged = fs::read_dir(ctx.run_path().join(".tmp"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.ends_with(".live"))
        .count();
    let artifacts = ctx.artifacts().list()?;
    let names: Vec<_> = artifacts.iter().map(|artifact| artifact.name.to_string()).collect();
    Ok((staged, names.join(", ")))
}

/// The artifacts, each with the journal's word about it.
pub(crate) fn outputs(ctx: &RunContext) -> Result<()> {
    println!("\nThe artifacts ({}/artifacts)", place(ctx));
    for artifact in ctx.artifacts().list()? {
        let writes = ctx.events()?.filter_map(std::result::Result::ok).filter(|record| {
            record.event_type() == "artifact_written"
                && record.stream_id() == artifact.name.as_str()
        });
        let (size, writes) = (artifact.size.unwrap_or(0), writes.count());
        let digest = artifact.digest.ok_or("an artifact that is not in the journal")?;
        let name = artifact.name.as_str();
        let times = if writes == 1 { "once".to_owned() } else { format!("{writes} times") };
        println!("  {name:<24} {size:>6} bytes  {digest:.19}...  written {times}");
    }
    let (staged, _) = staged_and_committed(ctx)?;
    println!("  (.tmp/ keeps {staged} files of the killed attempt; no record names them)");
    Ok(())
}

/// What the library records of a step and a newcomer wants to see.
#[derive(Deserialize)]
struct StepPayload {
    attempt: u64,
    signal: Option<Signal>,
}

/// The journal without its hashes and ids, a line a record.
pub(crate) fn journal(ctx: &RunContext) -> Result<()> {
    println!("\nThe journal ({}/journal/events.jsonl)", place(ctx));
    for record in ctx.events()? {
        let record = record?;
        let (seq, event, stream) = (record.seq(), record.event_type(), record.stream());
        let line = format!("  {seq:>3}  {event:<20} {stream:<36} {}", note(&record));
        println!("{}", line.trim_end());
    }
    Ok(())
}

fn note(record: &Record) -> String {
    match record.payload::<StepPayload>() {
        Ok(StepPayload { attempt, signal: Some(signal) }) => format!("attempt {attempt}: {signal}"),
        Ok(StepPayload { attempt, signal: None }) => format!("attempt {attempt}"),
        Err(_) => String::new(),
    }
}

/// The digest that the journal has of a file, and the one that the file has.
pub(crate) fn digest(ctx: &RunContext) -> Result<()> {
    let path = ctx.executor_report_path();
    let artifacts = ctx.artifacts().list()?;
    let report = artifacts.iter().find(|artifact| artifact.name.as_str() == "executor_report.json");
    let recorded = report.and_then(|report| report.digest).ok_or("the report has no record")?;
    let found = Digest::of(&fs::read(&path)?);
    println!("\nOne digest");
    println!("  recorded    {recorded}");
    println!("  recomputed  {found}");
    println!("  b3sum {}/artifacts/executor_report.json prints these 64 digits", place(ctx));
    if recorded == found { Ok(()) } else { Err("the digests differ".into()) }
}

/// Flips one bit in a copy of the run, and reads the copy.
pub(crate) fn flipped_byte(ctx: &RunContext) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let root = Utf8Path::from_path(temporary.path()).ok_or("a path that is not UTF-8")?;
    copy(ctx, root)?;
    let task = Workspace::open(root)?.task(ctx.task_id().clone())?;
    let copied = task.run(ctx.run_id().clone())?.context().clone();

    let offset = flip(&copied)?;
    println!("\nOne flipped bit in a copy, in byte {offset} of journal/events.jsonl");
    let (records, findings) = copied.events()?.read_all()?;
    for finding in &findings {
        let (Some(offset), Some(length)) = (finding.place.offset, finding.place.length) else {
            continue;
        };
        let file = finding.place.path.strip_prefix(copied.run_path())?;
        println!("  {}: {file}, {length} bytes at {offset}: {}", finding.code, finding.reason);
    }
    let last = ctx.events()?.read_all()?.0.len() as u64;
    let lost: Vec<u64> =
        (1..=last).filter(|seq| records.iter().all(|record| record.seq() != *seq)).collect();
    println!("  seq {lost:?} do not count; the other {} records do", records.len());
    if findings.is_empty() { Err("the flipped bit was not found".into()) } else { Ok(()) }
}

/// Flips one bit amid the record of the last step's start, and returns the place of its byte.
fn flip(copied: &RunContext) -> Result<usize> {
    let (records, _) = copied.events()?.read_all()?;
    let start = records.iter().rfind(|record| record.event_type() == "step_started");
    let line = format!("{{\"seq\":{},", start.ok_or("no step started")?.seq());
    let mut journal = fs::read(copied.journal_path())?;
    let line = journal.windows(line.len()).position(|bytes| bytes == line.as_bytes());
    let offset = line.ok_or("the record is not in the file")? + 100;
    *journal.get_mut(offset).ok_or("the record is short")? ^= 1;
    fs::write(copied.journal_path(), journal)?;
    Ok(offset)
}

/// Copies a run, and what a run needs above it.
fn copy(ctx: &RunContext, root: &Utf8Path) -> Result<()> {
    for entry in WalkDir::new(ctx.run_path()) {
        let entry = entry?;
        let target = root.join_os(entry.path().strip_prefix(ctx.root())?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    let task = format!("{}/task.json", ctx.task_id());
    for genesis in ["workspace.json", task.as_str()] {
        fs::copy(ctx.root().join(genesis), root.join(genesis))?;
    }
    Ok(())
}
