//! How much was done.

/// What was done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) acts: u64,
    pub(super) deaths: u64,
    pub(super) faults: u64,
    /// Acts between whose calls somebody else acted.
    pub(super) races: u64,
    pub(super) cuts: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.acts += other.acts;
        self.deaths += other.deaths;
        self.faults += other.faults;
        self.races += other.races;
        self.cuts += other.cuts;
    }
}
