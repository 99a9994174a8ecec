//! How often a node is tried.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(300);

/// How often a node is tried before its flow gives up on the visit, and the pauses in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    attempts: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    backoff_ms: u64,
}

impl Retry {
    /// So many attempts in all, one after the other.
    #[must_use]
    pub fn attempts(attempts: u64) -> Self {
        Self { attempts, backoff_ms: 0 }
    }

    /// A pause before the second attempt, twice as long before each further one, five minutes at most.
    #[must_use]
    pub fn backoff(mut self, first: Duration) -> Self {
        self.backoff_ms = u64::try_from(first.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// The pause behind so many attempts that failed.
    pub(super) fn pause(self, failed: u64) -> Duration {
        let doubled = u32::try_from(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 1_u64.checked_shl(doubled).unwrap_or(u64::MAX);
        Duration::from_millis(self.backoff_ms.saturating_mul(factor)).min(LONGEST)
    }

    /// True if so many attempts are all that a visit has, or a multiple of it: whoever runs the flow again
    /// after it gave up gives the node as many once more.
    pub(super) fn is_used_up(self, attempts: u64) -> bool {
        attempts > 0 && attempts.is_multiple_of(self.attempts.max(1))
    }

    pub(super) fn count(self) -> u64 {
        self.attempts
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::attempts(1)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
