//! The plan.

use super::mend::{Left, Mend};
use super::site::Site;

/// What a repair would do, and what it would leave. It changes nothing until it is applied.
#[derive(Debug, Clone)]
#[must_use = "a plan changes nothing until it is applied"]
pub struct RepairPlan {
    pub(super) site: Site,
    pub(super) mends: Vec<Mend>,
    pub(super) left: Vec<Left>,
}

impl RepairPlan {
    /// What would be mended, sorted by path.
    #[must_use]
    pub fn mends(&self) -> &[Mend] {
        &self.mends
    }

    /// What would be left, sorted by path.
    #[must_use]
    pub fn left(&self) -> &[Left] {
        &self.left
    }

    /// True if nothing is to be mended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mends.is_empty()
    }
}
