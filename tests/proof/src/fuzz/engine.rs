//! libFuzzer: built from `tests/fuzz`, and run on one target after the other.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use super::build::{Unbuilt, run_until};
use super::corpus::{Corpus, kept, sources};
use crate::again::again;
use crate::trial::fast_directory;
use crate::{Budget, Outcome, Row, Violation};

/// What makes the compiler count which code is reached, on a stable toolchain.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Memory that is not ours is found as well.
const ADDRESSES: &str = "-Zsanitizer=address -Ccodegen-units=1";

/// A program that feeds the targets.
#[derive(Debug)]
pub struct Engine {
    program: PathBuf,
    /// Where it is built, what it works on is kept, and what it finds is left.
    dir: PathBuf,
}

impl Engine {
    /// Builds it, beside this program, unless that takes longer than there is time.
    ///
    /// # Errors
    /// Why it is not built.
    pub fn build(budget: &Budget) -> Result<Self, Unbuilt> {
        if !sources().join("Cargo.toml").is_file() {
            return Err(Unbuilt::cannot(format!("{} is not there", sources().display())));
        }
        let dir = home().ok_or_else(|| Unbuilt::cannot("it is not known where to build"))?;
        let host = host().map_err(Unbuilt::cannot)?;
        eprintln!("building the fuzz targets, for {} s at most", budget.left().as_secs());
        let mut why = String::new();
        for flags in [format!("{COVERAGE} {ADDRESSES}"), COVERAGE.to_owned()] {
            let mut cargo = Command::new(std::env::var("CARGO").unwrap_or("cargo".to_owned()));
            cargo.args(["build", "--release", "--locked", "--target", &host, "--manifest-path"]);
            cargo.arg(sources().join("Cargo.toml"));
            cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", &dir);
            let output = run_until(&mut cargo, budget)
                .map_err(|error| Unbuilt::cannot(format!("cargo: {error}")))?;
            let Some(output) = output else { return Err(Unbuilt::TooSlow) };
            if output.status.success() {
                let program = dir.join(&host).join("release/runjournal-fuzz");
                return Ok(Self { program, dir });
            }
            why = last_lines(&output, 3);
        }
        Err(Unbuilt::cannot(format!("it cannot be built: {why}")))
    }

    /// Runs a target for so long.
    ///
    /// # Errors
    /// Where it cannot be started. What it finds is a violation of the row.
    pub fn run(&self, target: &str, time: Duration, seed: u64) -> Outcome<Row> {
        let found = self.dir.join("found").join(format!("{target}-"));
        std::fs::create_dir_all(self.dir.join("found"))?;
        let memory = tempfile::tempdir_in(fast_directory())?;
        let mut fuzzer = self.fuzzer(target, memory.path())?;
        fuzzer.arg(worked_on(target)?);
        if kept(target).is_dir() {
            fuzzer.arg(kept(target));
        }
        fuzzer.args([
            format!("-max_total_time={}", time.as_secs().max(1)),
            // 0 would be one that it chooses itself.
            format!("-seed={}", u32::try_from(seed % 0xffff_ffff).unwrap_or(0).max(1)),
            format!("-artifact_prefix={}", found.display()),
            format!("-dict={}", sources().join("words.dict").display()),
        ]);
        let max = if matches!(target, "journal" | "replayed" | "table") { 8192 } else { 4096 };
        fuzzer.args([&format!("-max_len={max}"), "-print_final_stats=1", "-reload=0"]);
        let output = fuzzer.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let stat = |name: &str| {
            let rest = said.split(&format!("stat::{name}:")).nth(1)?;
            rest.lines().next()?.trim().parse::<u64>().ok()
        };
        let mut row =
            Row { tried: stat("number_of_executed_units").unwrap_or(0), ..Row::default() };
        row.notes.push(format!(
            "{target} {} at {}/s, {} MB",
            row.tried,
            stat("average_exec_per_sec").unwrap_or(0),
            stat("peak_rss_mb").unwrap_or(0)
        ));
        if !output.status.success() {
            let kept = said.lines().find_map(|line| line.split("Test unit written to ").nth(1));
            let panic = said.lines().skip_while(|line| !line.contains("panicked at")).take(6);
            let mut why = panic.collect::<Vec<_>>().join(" ");
            if why.is_empty() {
                why = said.lines().filter(|line| line.contains("ERROR:")).collect();
            }
            let kept = kept.unwrap_or("no file");
            row.violations.push(Violation::new(format!(
                "{target}: {why}; {}",
                again(&format!("feed {target} {kept}"))
            )));
        }
        Ok(row)
    }

    /// As few files as reach what all that it works on, and all that is kept, reach.
    pub(super) fn merged(&self, target: &str) -> Outcome<Corpus> {
        let (least, memory) = (tempfile::tempdir()?, tempfile::tempdir_in(fast_directory())?);
        let mut fuzzer = self.fuzzer(target, memory.path())?;
        fuzzer.arg("-set_cover_merge=1").arg(least.path()).arg(worked_on(target)?);
        if kept(target).is_dir() {
            fuzzer.arg(kept(target));
        }
        let output = fuzzer.output()?;
        if !output.status.success() {
            return Err(Violation::new(format!("{target}: {}", last_lines(&output, 5))));
        }
        Corpus::read(least.path())
    }

    /// Memory is bounded: no allocation of more than 64 MiB for inputs of kilobytes, and 1 GiB for all of the
    /// process. So is the time for one input.
    fn fuzzer(&self, target: &str, memory: &Path) -> Outcome<Command> {
        let mut fuzzer = Command::new(&self.program);
        fuzzer.env("RUNJOURNAL_FUZZ", target).env("TMPDIR", memory);
        fuzzer.env("ASAN_OPTIONS", "quarantine_size_mb=16:detect_leaks=0:detect_odr_violation=0");
        fuzzer.args(["-rss_limit_mb=1024", "-malloc_limit_mb=64", "-timeout=10"]);
        Ok(fuzzer)
    }
}

/// Beside this program: target/release/runjournal-proof, or target/debug/deps/...
fn home() -> Option<PathBuf> {
    let here = std::env::current_exe().ok()?;
    let built = here.ancestors().find(|dir| dir.ends_with("release") || dir.ends_with("debug"))?;
    Some(built.parent()?.join("fuzz"))
}

/// What libFuzzer works on for a target, and adds to.
pub(super) fn worked_on(target: &str) -> Outcome<PathBuf> {
    let home = home().ok_or_else(|| Violation::new("it is not known where to build"))?;
    let dir = home.join("corpus").join(target);
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// The machine that is compiled for.
fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.map_err(|error| format!("rustc: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not say what it compiles for".to_owned())
}

fn last_lines(output: &Output, count: usize) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join(" / ")
}
