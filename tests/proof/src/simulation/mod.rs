//! The whole library, simulated by seed: workers on one workspace do what a [`Plan`] says, one call at a time,
//! die, meet errors and lose power meanwhile; and after each act all is held against a simple model.
//!
//! Everything runs in this process and in memory. The model is a fold of the records in plain maps
//! (`story`); each act says beforehand what it may leave and what it has to answer (`predict`). An act that
//! went well has left all of it; one that died or met an error, a beginning of it, group by group.

mod act;
mod check;
mod expect;
mod other;
mod perform;
mod plan;
mod predict;
mod predict_work;
mod run;
mod shrink;
mod story;
mod tally;
mod trouble;
mod words;
mod world;

pub use plan::Plan;
pub use run::{LONG, TRIAL, first_failure, replay, try_seeds};
