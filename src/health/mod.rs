//! Health: one page on the state of a workspace.
