//! What it was measured on: figures mean nothing without it.

use std::fs::{File, read_to_string};
use std::process::Command;
use std::time::Instant;

use camino::Utf8Path;
use runjournal::{Clock, SystemClock};

use crate::Result;
use crate::args::Args;

pub(crate) type Header = Vec<(&'static str, String)>;

pub(crate) fn describe(dir: &Utf8Path, args: &Args) -> Header {
    let (cores, memory) = (std::thread::available_parallelism().map_or(0, usize::from), memory());
    let rounds = args.plan.rounds;
    vec![
        ("date", SystemClock.now().to_string()),
        ("machine", format!("{}, {cores} cores, {memory}", processor())),
        ("load", load()),
        ("kernel", format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease"))),
        ("file system", mount(dir).map_or_else(|| "unknown".into(), |mount| mount.words)),
        ("a new file", creation(dir).unwrap_or_else(|error| error.to_string())),
        (
            "runjournal",
            said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]),
        ),
        ("compiler", said("rustc", &["--version"])),
        ("sqlite", format!("{} (bundled by rusqlite)", rusqlite::version())),
        ("peers", peers()),
        ("python", said("python3", &["--version"])),
        ("plan", format!("{rounds} rounds{}", if args.plan.quick { ", --quick" } else { "" })),
    ]
}

/// The versions of all peers that are crates, from what their builds are locked to.
fn peers() -> String {
    const OWN: &str = include_str!("../Cargo.lock");
    const APART: &str = include_str!("../apart/Cargo.lock");
    let peers = [
        (OWN, "rusqlite"),
        (OWN, "redb"),
        (OWN, "fjall"),
        (OWN, "okaywal"),
        (APART, "cacache"),
        (APART, "task-journal-core"),
        (APART, "yoagent-state"),
    ];
    let words = peers.map(|(lock, name)| format!("{name} {}", locked(lock, name)));
    words.join(", ")
}

/// The version of a package in a lock file.
fn locked<'a>(lock: &'a str, name: &str) -> &'a str {
    let package = format!("name = \"{name}\"\nversion = \"");
    let version = lock.split_once(&package).and_then(|(_, after)| after.split_once('"'));
    version.map_or("unknown", |(version, _)| version)
}

/// How much else went on: figures of a busy machine mean little.
pub(crate) fn load() -> String {
    read("/proc/loadavg")
}

fn read(path: &str) -> String {
    read_to_string(path).map_or_else(|_| "unknown".into(), |text| text.trim().to_owned())
}

fn after_colon(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn processor() -> String {
    after_colon(&read("/proc/cpuinfo"), "model name")
        .unwrap_or_else(|| std::env::consts::ARCH.into())
}

fn memory() -> String {
    after_colon(&read("/proc/meminfo"), "MemTotal").unwrap_or_else(|| "unknown memory".into())
}

/// What a command prints first, or why it cannot be asked.
fn said(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(error) => format!("none ({error})"),
    }
}

/// What an empty file costs. Where files were removed within the last minute, some file systems take ten times as
/// long, and the rows of artifacts mean little.
fn creation(dir: &Utf8Path) -> Result<String> {
    const FILES: u32 = 200;
    let dir = dir.join("creation");
    std::fs::create_dir(&dir)?;
    let start = Instant::now();
    for number in 0..FILES {
        File::create_new(dir.join(number.to_string()))?;
    }
    Ok(format!("{:.1} us", start.elapsed().as_secs_f64() * 1e6 / f64::from(FILES)))
}

/// The file system that a directory is on.
pub(crate) struct Mount {
    pub(crate) kind: String,
    pub(crate) words: String,
}

/// From `/proc/self/mounts`: the mount with the longest path above the directory.
pub(crate) fn mount(dir: &Utf8Path) -> Option<Mount> {
    let dir = dir.canonicalize_utf8().ok()?;
    let mounts = read_to_string("/proc/self/mounts").ok()?;
    let above = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, path, kind, options) =
            (words.next()?, words.next()?, words.next()?, words.next()?);
        let words = format!("{kind} on {device} ({options})");
        dir.starts_with(path).then(|| (path.len(), Mount { kind: kind.to_owned(), words }))
    });
    above.max_by_key(|(length, _)| *length).map(|(_, mount)| mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_a_version() {
        assert!(!peers().contains("unknown"), "{}", peers());
        let lock = "name = \"a\"\nversion = \"1\"\n\nname = \"b\"\nversion = \"2\"\n";
        assert_eq!([locked(lock, "b"), locked(lock, "c")], ["2", "unknown"]);
    }
}
