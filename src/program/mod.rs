//! Programs: somebody else's executable as a node.

/// An executable.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Program {}
