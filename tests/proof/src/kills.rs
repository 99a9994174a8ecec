//! Kills for as long as is asked: every operation at each of its system calls, and its recovery too.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use camino::Utf8PathBuf;

use crate::again::again;
use crate::threads::on_threads;
use crate::trial::{Recovery, kill_everywhere};
use crate::{Budget, Operation, Outcome, Row, Trial, Violation, operations, strace};

/// The row of the table.
pub const TRIAL: Trial = Trial { name: "kills", unit: "kills", run };

/// So many violations of one operation are told: the first ones say it all.
const MOST: usize = 10;

/// An operation, and whether every journal gets a head after every record.
type Tried = (&'static Operation, bool);

/// What was found, by what it was found of.
#[derive(Debug, Default)]
struct Found {
    row: Row,
    of_recovery: u64,
    not_reached: u64,
    /// How many violations of each that was tried.
    violations: BTreeMap<String, usize>,
}

/// Operations in an order that the seed says, on both cores, each once before any comes again. Recovery is
/// killed by SIGKILL.
fn run(budget: &Budget) -> Outcome<Row> {
    if let Some(why) = strace::missing() {
        return Ok(Row::skipped(why));
    }
    let worker = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let plain = operations::ALL.iter().copied().flatten().map(|operation| (operation, false));
    let heads = operations::with_heads().map(|operation| (operation, true));
    let mut all: Vec<Tried> = plain.chain(heads).collect();
    all.sort_by_key(|(operation, heads)| {
        let name = format!("{} {} {heads}", budget.seed, operation.name);
        runjournal::Digest::of(name.as_bytes()).to_hex()
    });
    let next = Mutex::new(all.iter().cycle());
    let found = Mutex::new(Found::default());
    let work = || {
        loop {
            let drawn = next.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(tried) = drawn else { break };
            let made = kill_everywhere(tried.0, tried.1, Recovery::Killed, &worker);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            let violations = match made {
                Ok(report) => {
                    found.row.tried += (report.kills + report.recovery_kills) as u64;
                    found.of_recovery += report.recovery_kills as u64;
                    found.not_reached += report.not_reached as u64;
                    report.violations
                }
                Err(violation) => vec![violation],
            };
            found.add(*tried, violations);
            if budget.is_over() {
                break;
            }
        }
    };
    let ended = on_threads(2, |_| {
        work();
        Ok(())
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut row = found.into_row(all.len());
    row.violations.extend(ended.err());
    Ok(row)
}

impl Found {
    /// Adds the violations of an operation that was tried.
    fn add(&mut self, (operation, heads): Tried, violations: Vec<Violation>) {
        let at = format!("{}{}", operation.name, if heads { " with heads" } else { "" });
        let command = format!("kill {}{}", operation.name, if heads { " --heads" } else { "" });
        let count = self.violations.entry(at.clone()).or_default();
        for violation in violations {
            *count += 1;
            if *count > MOST {
                self.row.untold += 1;
                continue;
            }
            let violation = violation.at(&at).and(again(&command));
            // At once, and not only in the end, which may be far.
            eprintln!("{violation}");
            self.row.violations.push(violation);
        }
    }

    fn into_row(self, all: usize) -> Row {
        let mut row = self.row;
        row.notes.push(format!("{} of {all} operations", self.violations.len()));
        row.notes.push(format!("{} of them of recovery", self.of_recovery));
        row.notes.push(format!("{} calls not reached", self.not_reached));
        for (at, count) in self.violations.into_iter().filter(|(_, count)| *count > MOST) {
            // They are counted already.
            row.untold = row.untold.saturating_sub(1);
            row.violations.push(Violation::new(format!("{at}: and {} more", count - MOST)));
        }
        row
    }
}

/// Kills one operation again at each of its system calls, and its recovery too.
///
/// # Errors
/// Where there is no such operation, or it cannot be killed here.
pub fn again_at(operation: &str, heads: bool) -> Outcome<Row> {
    let operation = operations::named(operation)?;
    if let Some(why) = strace::missing() {
        return Err(Violation::new(why));
    }
    let worker = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let report = kill_everywhere(operation, heads, Recovery::Killed, &worker)?;
    let mut row = Row { violations: report.violations, ..Row::default() };
    row.tried = (report.kills + report.recovery_kills) as u64;
    row.notes.push(format!("{} of them of recovery", report.recovery_kills));
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_violations_of_an_operation_are_told_and_all_are_counted() {
        let append = operations::named("append").unwrap();
        let some = |count: usize| (0..count).map(|at| Violation::new(at.to_string())).collect();
        let mut found = Found::default();
        found.add((append, false), some(8));
        found.add((append, true), some(1));
        found.add((append, false), some(5));
        let row = found.into_row(100);
        assert_eq!(row.failed(), 14);
        let told: Vec<_> = row.violations.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 12, "{told:#?}");
        assert!(
            told[0].contains("cargo run") && told[0].ends_with("-- kill append"),
            "{}",
            told[0]
        );
        assert!(told[8].ends_with("-- kill append --heads"), "{}", told[8]);
        assert_eq!(told[11], "append: and 3 more");
        assert_eq!(row.notes[0], "2 of 100 operations");
    }
}
