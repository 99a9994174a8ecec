//! Lineage: which step made an artifact, from what; what a change makes stale.
