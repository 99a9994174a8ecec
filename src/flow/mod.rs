//! Flows: nodes, and edges by signal.
