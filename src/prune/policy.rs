//! For how long what is kept.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How old what has to be before it may go; [`Duration::MAX`] keeps it for ever.
///
/// ```
/// # use runjournal::PrunePolicy;
/// # use std::time::Duration;
/// let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
/// let policy = PrunePolicy { failed: days(7), ..PrunePolicy::default() };
/// assert_eq!(policy.success, days(90));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrunePolicy {
    /// A run that succeeded, since its end: 90 days unless said otherwise.
    pub success: Duration,
    /// A run that failed, since its end: 30 days.
    pub failed: Duration,
    /// A run that did not end, since its last record, or since it was made: 7 days.
    pub abandoned: Duration,
    /// Objects, stages and work folders that nobody names any more: a day.
    pub leftovers: Duration,
}

impl Default for PrunePolicy {
    fn default() -> Self {
        Self { success: 90 * DAY, failed: 30 * DAY, abandoned: 7 * DAY, leftovers: DAY }
    }
}

impl PrunePolicy {
    pub(super) fn age_for(&self, reason: PruneReason) -> Duration {
        match reason {
            PruneReason::Success => self.success,
            PruneReason::Failed => self.failed,
            PruneReason::Abandoned => self.abandoned,
        }
    }
}

/// Which of the ages of a [`PrunePolicy`] a run has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PruneReason {
    /// It succeeded.
    Success,
    /// It failed.
    Failed,
    /// It did not end, nobody holds it, and nothing is appended to it any more.
    Abandoned,
}

impl fmt::Display for PruneReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        })
    }
}
