//! Checkpoints: the artifacts of a run as they were at a turn.
