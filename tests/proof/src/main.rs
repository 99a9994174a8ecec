//! The worker of the kill harness.
fn main() {}
