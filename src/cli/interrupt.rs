//! Ctrl-C, and the system's other wishes that the tool should end.

use runjournal::Cancel;

use super::error::CliError;

/// What Ctrl-C, SIGTERM and SIGHUP cancel from now on, instead of ending this process: it ends what it
/// started, and tells the journal. SIGHUP only if it is not ignored, as `nohup` has it. To be called once.
#[cfg(unix)]
pub(crate) fn cancel() -> Result<Cancel, CliError> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let cancel = Cancel::new();
    let told = cancel.clone();
    let mut signals = vec![SIGINT, SIGTERM];
    if !ignores(SIGHUP) {
        signals.push(SIGHUP);
    }
    let refused = |source| CliError::Interrupt { source };
    let mut signals = Signals::new(signals).map_err(refused)?;
    let watch = move || {
        for _ in &mut signals {
            told.cancel();
        }
    };
    let named = std::thread::Builder::new().name("runjournal-signals".to_owned());
    named.spawn(watch).map_err(refused)?;
    Ok(cancel)
}

/// True if this process was started with a signal ignored, as far as the system tells: only Linux does.
#[cfg(unix)]
fn ignores(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (signal - 1) != 0)
}

/// Where there are no such signals, Ctrl-C ends this process.
#[cfg(not(unix))]
pub(crate) fn cancel() -> Result<Cancel, CliError> {
    Ok(Cancel::new())
}
