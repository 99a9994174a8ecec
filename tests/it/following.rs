//! Live tails.
