//! The whole library by seed: see `simulation` of the crate.

use runjournal_proof::simulation::try_seeds;

const SEEDS: u64 = 1000;

/// About how many acts the plans have.
const LENGTH: usize = 14;

#[test]
fn seeds() {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let row = try_seeds(0, SEEDS, LENGTH, threads, || false).unwrap();
    println!("{} seeds, {}", row.tried, row.notes.join(", "));
    row.into_outcome().unwrap();
}
