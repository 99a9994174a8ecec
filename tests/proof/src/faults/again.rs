//! Failures that are tried again, as a violation names them.

use camino::Utf8PathBuf;

use super::cell::{Bench, Tried};
use super::fault::{Fault, Kind};
use super::{cells_of, doubt};
use crate::again::again;
use crate::trial::fast_directory;
use crate::{Outcome, Row, Violation, operations};

/// What is tried again.
#[derive(Debug, Clone, clap::Args)]
pub struct Again {
    /// The operation whose calls fail
    #[arg(long)]
    operation: String,
    /// Each journal gets a head after every record
    #[arg(long)]
    heads: bool,
    /// How many calls come before the one that fails; each call with each error, unless given. May be given again,
    /// with an error for each
    #[arg(long, requires = "error")]
    call: Vec<usize>,
    /// The error: EIO, ENOSPC, EDQUOT, EROFS, EMFILE, EINTR, or short
    #[arg(long, requires = "call")]
    error: Vec<Kind>,
    /// The failures of these errors do not go away: 1 is the first that is given
    #[arg(long, requires = "call", num_args = 0..=1, default_missing_value = "1")]
    lasting: Vec<usize>,
    /// What a failed sync of its journal left in doubt is taken up by a next writer
    #[arg(long, conflicts_with_all = ["call", "heads"])]
    in_doubt: bool,
}

impl Again {
    /// Tries one cell again, or all of an operation.
    ///
    /// # Errors
    /// With what does not hold, or where there is no such operation.
    pub fn run(&self) -> Outcome<Row> {
        let worker = Utf8PathBuf::try_from(std::env::current_exe()?)?;
        let operation = operations::named(&self.operation)?;
        let tried = Tried { operation, heads: self.heads };
        let mut row = Row::default();
        if self.in_doubt {
            row.tried = doubt::cells_of(tried, &worker, &mut row.violations)?;
            return Ok(row);
        }
        if self.call.is_empty() {
            row.tried = cells_of(tried, &worker, None, &mut row.violations)?.tried;
            return Ok(row);
        }
        if self.call.len() != self.error.len() {
            return Err(Violation::new("each call needs an error"));
        }
        let both = self.call.iter().zip(&self.error).zip(1..);
        let faults: Vec<_> = both
            .map(|((at, kind), nth)| Fault {
                kind: *kind,
                at: *at,
                lasting: self.lasting.contains(&nth),
            })
            .collect();
        let temporary = tempfile::tempdir_in(fast_directory())?;
        let dir = Utf8PathBuf::try_from(temporary.path().to_owned())?;
        let mut bench = Bench::new(tried, &worker, dir)?;
        row.violations.extend(bench.attempt(&faults).err());
        row.tried = bench.counts.tried;
        Ok(row)
    }
}

/// The command that tries the same again.
pub(super) fn command(tried: Tried, faults: &[Fault]) -> String {
    let mut command = format!("fault --operation {}", tried.operation.name);
    if tried.heads {
        command.push_str(" --heads");
    }
    for (fault, nth) in faults.iter().zip(1..) {
        command.push_str(&format!(" --call {} --error {}", fault.at, fault.kind.name()));
        if fault.lasting {
            command.push_str(&if nth == 1 {
                " --lasting".into()
            } else {
                format!(" --lasting {nth}")
            });
        }
    }
    again(&command)
}
