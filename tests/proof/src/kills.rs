//! Kills for as long as is asked: every operation at each of its system calls, and its recovery too.

use std::sync::{Mutex, PoisonError};

use camino::Utf8PathBuf;

use crate::threads::on_threads;
use crate::trial::{Recovery, kill_everywhere};
use crate::{Budget, Operation, Outcome, Row, Trial, operations, strace};

/// The row of the table.
pub const TRIAL: Trial = Trial { name: "kills", unit: "kills", run };

/// Operations in an order that the seed says, on both cores, each once before any comes again. Recovery is
/// killed by SIGKILL.
fn run(budget: &Budget) -> Outcome<Row> {
    if let Some(why) = strace::missing() {
        return Ok(Row::skipped(why));
    }
    let worker = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let plain = operations::ALL.iter().copied().flatten().map(|operation| (operation, false));
    let heads = operations::with_heads().map(|operation| (operation, true));
    let mut all: Vec<(&Operation, bool)> = plain.chain(heads).collect();
    all.sort_by_key(|(operation, heads)| {
        let name = format!("{} {} {heads}", budget.seed, operation.name);
        runjournal::Digest::of(name.as_bytes()).to_hex()
    });
    let next = Mutex::new(all.iter().cycle());
    let (row, recovery) = (Mutex::new(Row::default()), Mutex::new(0));
    let work = || {
        loop {
            let drawn = next.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((operation, heads)) = drawn else { break };
            let made = kill_everywhere(operation, *heads, Recovery::Killed, &worker);
            let mut row = row.lock().unwrap_or_else(PoisonError::into_inner);
            let at = format!("{}{}", operation.name, if *heads { " with heads" } else { "" });
            match made {
                Ok(report) => {
                    row.tried += (report.kills + report.recovery_kills) as u64;
                    *recovery.lock().unwrap_or_else(PoisonError::into_inner) +=
                        report.recovery_kills;
                    row.violations.extend(report.violations.into_iter().map(|found| found.at(&at)));
                }
                Err(violation) => row.violations.push(violation.at(&at)),
            }
            if budget.is_over() {
                break;
            }
        }
    };
    let ended = on_threads(2, |_| {
        work();
        Ok(())
    });
    let mut row = row.into_inner().unwrap_or_else(PoisonError::into_inner);
    row.violations.extend(ended.err());
    let recovery = recovery.into_inner().unwrap_or_else(PoisonError::into_inner);
    row.notes.push(format!("{recovery} of them of recovery"));
    Ok(row)
}
