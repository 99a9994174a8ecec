//! What is to be repaired, and with what.

use super::mend::Left;
use super::plan::{Place, RepairPlan};
use super::{Mend, RepairError, sources};
use crate::backup::Backup;
use crate::finding::{Code, Severity};
use crate::verify::{ReadData, Verify};
use crate::workspace::Subject;

/// A repair of a workspace, a task or a run. [`plan`](Repair::plan) changes nothing.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
/// # let workspace = runjournal::Workspace::open_or_create(&root)?;
/// # let task = workspace.open_or_create_task("TASK-1", runjournal::TaskOptions::default())?;
/// # let ctx = task.open_or_start_run("RUN-1")?;
/// # std::fs::create_dir_all(ctx.run_path().join("artifacts"))?;
/// std::fs::write(ctx.run_path().join("artifacts/notes.txt"), "by hand")?; // past the library
///
/// let plan = runjournal::Repair::of(&ctx).adopting(true).plan()?;
/// for mend in plan.mends() {
///     println!("{}: {}", mend.finding, mend.means);
/// }
/// let repaired = plan.apply();
/// assert_eq!((repaired.done.len(), repaired.failed.len()), (1, 0));
/// assert!(runjournal::Repair::of(&ctx).plan()?.is_empty()); // twice changes nothing
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is looked at before `plan`"]
pub struct Repair {
    place: Place,
    verify: Verify,
    adopt: bool,
}

impl Repair {
    /// Of a workspace, a task with its runs, or a run; what it adopts is written under the lease that the task or
    /// the run was given.
    pub fn of(subject: impl Into<Subject>) -> Self {
        let subject = subject.into();
        let place = Place { subject: subject.clone(), backup: None };
        Self { place, verify: Verify::of(subject), adopt: false }
    }

    /// Also adopts files under `artifacts/` that no record names, in runs that are not complete. They are left
    /// unless this is said.
    pub fn adopting(mut self, adopt: bool) -> Self {
        self.adopt = adopt;
        self
    }

    /// Also looks for bytes in a backup. Whatever snapshot they came with, they are good if they have the digest
    /// that the journal names.
    pub fn from_backup(mut self, backup: &Backup) -> Self {
        self.place.backup = Some(backup.clone());
        self
    }

    /// Looks at everything, contents included, and says what would be done. Takes no exclusive lock, and
    /// changes nothing.
    ///
    /// # Errors
    /// Where nothing could be looked at. What a part of the tree keeps from being looked at is a finding.
    pub fn plan(&self) -> Result<RepairPlan, RepairError> {
        let findings = self.verify.clone().read_data(ReadData::All).run()?.findings;
        let (mut mends, mut left) = (Vec::new(), Vec::new());
        let mut means = sources::Finder::new(&self.place, self.adopt);
        for finding in findings {
            if is_dealt_with(finding.code) {
                continue;
            }
            let spot = self.place.spot(&finding.place.path);
            let found = spot.and_then(|spot| means.of(&finding, &spot));
            match found {
                Some(means) => mends.push(Mend { finding, means }),
                None => left.push(Left::new(finding, self.place.backup.is_some())),
            }
        }
        Ok(RepairPlan { place: self.place.clone(), mends, left })
    }
}

/// True for what needs nobody: it was dealt with, or the next append does.
fn is_dealt_with(code: Code) -> bool {
    code.severity() == Severity::Note || matches!(code, Code::TornTail | Code::HeadAhead)
}
