//! Programs: somebody else's executable as a node.

/// An executable.
#[derive(Debug, Clone)]
pub struct Program {}
