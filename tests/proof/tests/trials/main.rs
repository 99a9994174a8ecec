//! The other kinds of trials, each for as long as `cargo test` has: see the crate's documentation.

mod corpus;
mod damage;
mod disk;
mod faults;
mod planted;
mod power;
mod public;
#[cfg(test)]
mod runner;
mod simulation;
mod soak;
