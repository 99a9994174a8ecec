//! The other kinds of trials, each for as long as `cargo test` has: see the crate's documentation.
mod disk;
mod simulation;
