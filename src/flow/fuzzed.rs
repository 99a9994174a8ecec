//! What a fuzzer calls of a flow's file.

use super::{FlowDefinition, FlowFileError};

/// The text of a flow: what is read is written as a text that reads the same, and drawn. What is refused says
/// why.
pub fn flow(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match FlowDefinition::from_json(text) {
        Ok(read) => {
            let written = serde_json::to_string(&read).unwrap_or_default();
            let again = FlowDefinition::from_json(&written);
            let again = again.map(|again| (serde_json::to_string(&again).ok(), again.mermaid()));
            assert_eq!(again.ok(), Some((Some(written), read.mermaid())));
            assert!(read.nodes().all(|node| read.place(node.as_str()).is_some()));
        }
        Err(FlowFileError::Json { source }) => assert!(!source.to_string().is_empty()),
        Err(FlowFileError::Defects(defects)) => assert!(!defects.to_string().is_empty()),
    }
}
