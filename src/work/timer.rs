//! When time is up, for one who does not trust clocks.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::clock::Timestamp;

/// A point in time, by the clock and by the watch of one who looks: the clock may be wrong by days, and
/// the watch knows only what it saw.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) clock: Timestamp,
    pub(super) watch: Instant,
}

/// Until when something lasts: a time of the writer's clock, or as long as it was meant to last since it
/// was first seen here, whichever comes first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    at: Timestamp,
    watch: Option<Instant>,
}

impl Until {
    /// Seen just now, to last until `at`, which was so many milliseconds away when it was written.
    pub(super) fn seen(at: Timestamp, lasts_ms: Option<u64>) -> Self {
        // A time beyond what a watch shows is never up.
        let lasts = lasts_ms.map(Duration::from_millis);
        Self { at, watch: lasts.and_then(|lasts| Instant::now().checked_add(lasts)) }
    }
}

/// Numbers of things, each with its time.
#[derive(Debug, Default)]
pub(super) struct Timer {
    by_clock: BTreeSet<(Timestamp, u64)>,
    by_watch: BTreeSet<(Instant, u64)>,
}

impl Timer {
    pub(super) fn set(&mut self, number: u64, until: Until) {
        self.by_clock.insert((until.at, number));
        self.by_watch.extend(until.watch.map(|watch| (watch, number)));
    }

    pub(super) fn unset(&mut self, number: u64, until: Until) {
        self.by_clock.remove(&(until.at, number));
        if let Some(watch) = until.watch {
            self.by_watch.remove(&(watch, number));
        }
    }

    /// Up to `limit` of those whose time is up.
    pub(super) fn over(&self, now: Now, limit: usize) -> Vec<u64> {
        let by_clock = self.by_clock.range(..=(now.clock, u64::MAX)).map(|(_, number)| *number);
        let by_watch = self.by_watch.range(..=(now.watch, u64::MAX)).map(|(_, number)| *number);
        let over: BTreeSet<u64> = by_clock.take(limit).chain(by_watch.take(limit)).collect();
        over.into_iter().take(limit).collect()
    }

    /// When the first time will be up, by the caller's clock.
    pub(super) fn first(&self, now: Now) -> Option<Timestamp> {
        let by_clock = self.by_clock.first().map(|(at, _)| *at);
        let by_watch = self
            .by_watch
            .first()
            .map(|(watch, _)| after(now.clock, watch.saturating_duration_since(now.watch)));
        by_clock.into_iter().chain(by_watch).min()
    }
}

/// That much later, or the end of time.
pub(super) fn after(time: Timestamp, duration: Duration) -> Timestamp {
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_microseconds(time.as_microseconds().saturating_add(microseconds))
}

/// In whole milliseconds: a little longer rather than shorter.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    let whole = duration.as_nanos().div_ceil(1_000_000);
    u64::try_from(whole).unwrap_or(u64::MAX)
}
