//! Running a hot path under valgrind.

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;
use crate::callgrind::Functions;
use crate::figures::Figures;
use crate::paths::HotPath;

/// The first argument of the process that is counted.
pub(crate) const WORK: &str = "--work";

/// Why nothing can be counted here, if so.
pub(crate) fn hindrance() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    if !std::arch::is_x86_feature_detected!("avx2") {
        return Some("this processor has no AVX2, without which BLAKE3 takes another path");
    }
    if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
        return Some("instructions are counted on Linux and x86-64 alone");
    }
    answer("valgrind", &["--version"]).is_none().then_some("valgrind is not installed")
}

/// What the counts depend on beside the code: the compilers (SQLite is in C), the C library, and the
/// processor that valgrind shows.
pub(crate) fn made_with() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let all = [
        answer(&rustc, &["--version"]),
        answer(&cc, &["--version"]),
        answer("getconf", &["GNU_LIBC_VERSION"]),
        answer("valgrind", &["--version"]),
    ];
    let first = |one: String| one.lines().next().map(str::to_owned);
    all.map(|one| one.and_then(first).unwrap_or_else(|| "unknown".to_owned())).join(", ")
}

fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A directory that is removed in the end. Its name is as long in each process, for names are copied.
pub(crate) struct Scratch(Utf8PathBuf);

impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        let above = Utf8PathBuf::try_from(std::env::temp_dir())?.canonicalize_utf8()?;
        let dir = above.join(format!("runjournal-guard-{:010}", std::process::id()));
        std::fs::create_dir(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} could not be removed: {error}", self.0);
        }
    }
}

/// The figures of these paths, in their order: on each processor one is counted at a time, for most of them wait, too.
pub(crate) fn figures(scratch: &Scratch, paths: &[&HotPath]) -> Result<Vec<Figures>> {
    let queue = Mutex::new(paths.iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let count_some = |processor| {
        stay_on(processor)?;
        let mut counted = Vec::new();
        while let Some((at, path)) = next() {
            counted.push((at, Figures::of(&count(scratch, path)?)));
        }
        Ok(counted)
    };
    let count_some = &count_some;
    let mut counted = std::thread::scope(|scope| {
        let start = |processor| scope.spawn(move || count_some(processor));
        // A quota may allow fewer at a time. Not asked in what is counted: it leaves the heap as nobody else does.
        let at_a_time = std::thread::available_parallelism()?.get();
        let started: Vec<_> = processors()?.into_iter().take(at_a_time).map(start).collect();
        let died = || Err("a thread that counted died".into());
        let ended = started.into_iter().map(|thread| thread.join().unwrap_or_else(|_| died()));
        ended.collect::<Result<Vec<_>>>()
    })?
    .concat();
    counted.sort_by_key(|(at, _)| *at);
    Ok(counted.into_iter().map(|(_, figures)| figures).collect())
}

/// Those that this process may run on.
fn processors() -> Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect())
}

/// Has this thread, and what it starts, run on one processor alone.
fn stay_on(processor: usize) -> Result<()> {
    let mut one = CpuSet::new();
    one.set(processor);
    Ok(sched_setaffinity(None, &one)?)
}

/// What one operation of a path does: the path three times as often, less the path, so that what a process does at its
/// start is not counted.
pub(crate) fn count(scratch: &Scratch, path: &HotPath) -> Result<Functions> {
    let shorter = run(scratch, path, path.times)?;
    let longer = run(scratch, path, 3 * path.times)?;
    Ok(longer.per_operation(&shorter, 2.0 * path.times as f64))
}

fn run(scratch: &Scratch, path: &HotPath, times: u64) -> Result<Functions> {
    let dir = scratch.0.join(format!("{}-{times:06}", path.name));
    std::fs::create_dir(&dir)?;
    (path.prepare)(&dir, times)?;
    let counted = dir.join("callgrind.out");
    let status = Command::new("valgrind")
        // Others' variables would move the stack, and what is asked of them.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .args(["-q", "--tool=callgrind", "--collect-systime=yes"])
        .arg(format!("--callgrind-out-file={counted}"))
        .arg(std::env::current_exe()?)
        .args([WORK, path.name, &times.to_string(), dir.as_str()])
        .status()?;
    if !status.success() {
        return Err(format!("{} under valgrind ended with {status}", path.name).into());
    }
    Functions::parse(&std::fs::read_to_string(counted)?)
}

/// The process that is counted. On one processor there are always as many threads.
pub(crate) fn work(arguments: &[String]) -> Result<()> {
    let [name, times, dir] = arguments else {
        return Err("a name, a number and a directory".into());
    };
    stay_on(*processors()?.first().ok_or("this process may run nowhere")?)?;
    (HotPath::named(name)?.work)(Utf8Path::new(dir), times.parse()?)
}
