//! What is to be repaired, and with what.

use std::collections::BTreeSet;

use super::apply::Repaired;
use super::mend::{AGAIN, Left, why};
use super::plan::RepairPlan;
use super::site::Site;
use super::sources::Finder;
use super::unsettled::Unsettled;
use super::{Means, Mend, RepairError};
use crate::backup::Backup;
use crate::finding::{Code, Severity};
use crate::layout::HomeId;
use crate::verify::{ReadData, Verify, VerifyProgress};
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
    site: Site,
    verify: Verify,
    adopt: bool,
}

impl Repair {
    /// Of a workspace, a task with its runs, or a run; what it adopts is written under the lease that the task or
    /// the run was given.
    pub fn of(subject: impl Into<Subject>) -> Self {
        let subject = subject.into();
        let site = Site { subject: subject.clone(), backup: None };
        Self { site, verify: Verify::of(subject), adopt: false }
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
        self.site.backup = Some(backup.clone());
        self
    }

    /// Looks at everything, contents included, and says what would be done. Takes no exclusive lock, and
    /// changes nothing.
    ///
    /// # Errors
    /// Where nothing could be looked at. What a part of the tree keeps from being looked at is a finding.
    pub fn plan(&self) -> Result<RepairPlan, RepairError> {
        self.plan_with(&mut |_| {})
    }

    /// The same, and tells how far the look at everything is, about ten times a second.
    ///
    /// # Errors
    /// As [`plan`](Repair::plan).
    pub fn plan_with(
        &self,
        progress: &mut dyn FnMut(&VerifyProgress),
    ) -> Result<RepairPlan, RepairError> {
        self.plan_after(&BTreeSet::new(), progress)
    }

    fn plan_after(
        &self,
        closed_off: &BTreeSet<HomeId>,
        progress: &mut dyn FnMut(&VerifyProgress),
    ) -> Result<RepairPlan, RepairError> {
        let verify = self.verify.clone().read_data(ReadData::All);
        let findings = verify.run_with(progress)?.findings;
        let (mut mends, mut left) = (Vec::new(), Vec::new());
        let unsettled = Unsettled::of(&self.site, &findings, closed_off);
        let mut means = Finder::new(&self.site, self.adopt, unsettled);
        let has_backup = self.site.backup.is_some();
        for finding in findings {
            if is_dealt_with(finding.code) {
                continue;
            }
            let found = match self.site.spot(&finding.place.path) {
                Some(spot) => means.of(&finding, &spot),
                None => Err(why(finding.code, has_backup)),
            };
            match found {
                Ok(means) => mends.push(Mend { finding, means }),
                Err(why) => left.push(Left { finding, why }),
            }
        }
        Ok(RepairPlan { site: self.site.clone(), mends, left })
    }

    /// Plans and applies, and again for what showed only then: what a damaged genesis file hid, or what stood in the
    /// place of a directory. It ends when nothing is left to mend, when something failed, and when a round
    /// would mend only what was mended before. Artifacts of a run whose journal it closed off are left: the damage
    /// may have been their newest record. Durable, and after a crash as [`RepairPlan::apply`].
    ///
    /// # Errors
    /// As [`plan`](Repair::plan); what was mended until then stays so.
    pub fn run(&self) -> Result<Repaired, RepairError> {
        self.run_with(&mut |_| {})
    }

    /// The same, and tells how far each look at everything is, about ten times a second: with each round it begins
    /// anew.
    ///
    /// # Errors
    /// As [`run`](Repair::run).
    pub fn run_with(
        &self,
        progress: &mut dyn FnMut(&VerifyProgress),
    ) -> Result<Repaired, RepairError> {
        let mut all = Repaired { done: Vec::new(), failed: Vec::new(), left: Vec::new() };
        let mut closed_off = BTreeSet::new();
        loop {
            let plan = self.plan_after(&closed_off, progress)?;
            all.left = plan.left().to_vec();
            let is_new = plan.mends().iter().any(|mend| !all.done.contains(mend));
            if !all.failed.is_empty() {
                return Ok(all);
            }
            if !is_new {
                let again = plan.mends().iter().map(|mend| mend.finding.clone());
                all.left.extend(again.map(|finding| Left { finding, why: AGAIN }));
                return Ok(all);
            }
            let round = plan.apply();
            all.failed.extend(round.failed);
            for mend in round.done {
                if mend.means == Means::CloseOff {
                    let spot = self.site.spot(&mend.finding.place.path);
                    closed_off.extend(spot.map(|spot| spot.home));
                }
                all.done.push(mend);
            }
        }
    }
}

/// True for what needs nobody: it was dealt with, or the next append does.
fn is_dealt_with(code: Code) -> bool {
    code.severity() == Severity::Note || matches!(code, Code::TornTail | Code::HeadAhead)
}
