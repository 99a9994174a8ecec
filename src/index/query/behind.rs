//! How far the index is behind the tree.

use super::IndexReader;
use super::columns::Columns;
use super::select::Select;
use crate::index::IndexError;
use crate::io::{Dir, Stamp};
use crate::layout;

impl IndexReader {
    /// How many journals grew, came or went since the index was brought up to the tree, as far as their
    /// lengths tell.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] where the index is; where the tree cannot be listed.
    pub fn behind(&self) -> Result<u64, IndexError> {
        let columns = "j.bytes, j.stamp FROM t_journals j WHERE j.genesis IS NOT NULL";
        let select = Select::new(&["j.task_id", "j.run_id"], columns);
        let known = self.ask(&select, |row| {
            let mut columns = Columns::from(row, 0);
            let (task, run): (String, String) = (columns.next()?, columns.next()?);
            let bytes: u64 = columns.number()?;
            let stamp: Option<Vec<u8>> = columns.next()?;
            // What does not count at the end was looked at as well.
            let seen = stamp.and_then(|stamp| Stamp::from_bytes(&stamp)).map(|stamp| stamp.size);
            Ok((task, run, seen.unwrap_or(bytes)))
        })?;
        let root = Dir::open_root(self.workspace.root())?;
        let (mut behind, mut there) = (0, 0);
        for (task, run, seen) in known {
            let home = match run.as_str() {
                "" => task,
                run => format!("{task}/{}/{run}", layout::RUNS),
            };
            match root.stat(&format!("{home}/{}", layout::JOURNAL))? {
                Some(entry) => {
                    there += 1;
                    behind += u64::from(entry.size != seen);
                }
                None => behind += 1,
            }
        }
        Ok(behind + self.journals()?.saturating_sub(there))
    }

    /// How many journals there are in the tree.
    fn journals(&self) -> Result<u64, IndexError> {
        let tasks = self.workspace.tasks()?;
        let mut journals = tasks.len() as u64;
        for task in tasks {
            // One that cannot be read has no runs that could be counted.
            let runs = self.workspace.task(task).and_then(|task| task.runs());
            journals += runs.map_or(0, |runs| runs.len() as u64);
        }
        Ok(journals)
    }
}
