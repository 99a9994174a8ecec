//! Two turns, or two runs, held against each other.
