//! Runs and tasks whose journals do not have all records that they had.

use std::collections::BTreeSet;

use super::site::Site;
use crate::finding::{Code, Finding};
use crate::layout::HomeId;

/// Those, by the findings of a verify.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    /// Records are damaged, missing, or were closed off just now.
    homes: BTreeSet<HomeId>,
    /// Somebody else knows records that the journal does not have.
    pub(super) shorter: BTreeSet<HomeId>,
}

impl Unsettled {
    /// With those that a repair which is under way closed off.
    pub(super) fn of(site: &Site, findings: &[Finding], closed_off: &BTreeSet<HomeId>) -> Self {
        let mut unsettled = Self { homes: closed_off.clone(), shorter: BTreeSet::new() };
        for finding in findings {
            let Some(spot) = site.spot(&finding.place.path) else { continue };
            match finding.code {
                Code::JournalShorter => {
                    unsettled.shorter.insert(spot.home.clone());
                    unsettled.homes.insert(spot.home);
                }
                Code::JournalDamaged | Code::BrokenChain | Code::SequenceGap => {
                    unsettled.homes.insert(spot.home);
                }
                _ => {}
            }
        }
        unsettled
    }

    pub(super) fn holds(&self, home: &HomeId) -> bool {
        self.homes.contains(home)
    }

    /// True for what is mended by the word of an artifact's last record, which may be among those that are lost.
    pub(super) fn keeps(code: Code) -> bool {
        matches!(
            code,
            Code::ArtifactMissing
                | Code::ArtifactChanged
                | Code::ArtifactUnjournaled
                | Code::StageDamaged
                | Code::CommitNotApplied
        )
    }
}
