//! Verify: everything held against everything, by reading alone.
