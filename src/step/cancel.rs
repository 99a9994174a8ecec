//! The wish that work should end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells work that it should end: clones tell, and are told, the same. A flow looks between steps, a
/// program's node while it waits, and any body that asks [`StepContext::is_cancelled`](crate::StepContext::is_cancelled).
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    told: Arc<AtomicBool>,
    /// Others that are listened to.
    also: Vec<Arc<AtomicBool>>,
}

impl Cancel {
    /// One that nobody cancelled yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells all who ask that they should end.
    pub fn cancel(&self) {
        self.told.store(true, Ordering::Release);
    }

    /// True once somebody cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        std::iter::once(&self.told).chain(&self.also).any(|told| told.load(Ordering::Acquire))
    }

    /// One that is told whatever this one is told, and hears the other as well.
    pub(crate) fn or(&self, other: &Self) -> Self {
        let others = std::iter::once(&other.told).chain(&other.also);
        Self { told: self.told.clone(), also: self.also.iter().chain(others).cloned().collect() }
    }
}
