//! Flows in files: of programs, as JSON.

use camino::Utf8Path;

use super::definition::Draft;
use super::{FlowDefects, FlowDefinition};

/// A text is no flow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowFileError {
    /// It is not JSON, or not that of a flow; the cause says where.
    #[error("it is not the JSON of a flow")]
    Json {
        /// What, with line and column.
        source: serde_json::Error,
    },
    /// It is a flow that cannot be run: all that is wrong with it.
    #[error(transparent)]
    Defects(#[from] FlowDefects),
}

impl FlowDefinition {
    /// The flow of a JSON text: a file that somebody wrote, or a definition that a journal holds.
    ///
    /// ```
    /// use runjournal::{Flow, FlowDefinition};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let text = r#"{"flow": "checks", "nodes": [
    ///     {"node": "test", "run": {"program": ["cargo", "test"], "current_dir": "."}, "edges": [
    ///         {"on": "success", "end": "SUCCESS"},
    ///         {"on_failure": true, "end": "FAILED"}
    ///     ]}
    /// ]}"#;
    /// let flow = Flow::of_programs(FlowDefinition::from_json(text)?.based_at("/repo"))?;
    /// # let _ = flow;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`FlowFileError::Json`] with line and column; [`FlowFileError::Defects`] with all that is wrong with
    /// the graph.
    pub fn from_json(text: &str) -> Result<Self, FlowFileError> {
        // A definition would flatten its defects to a text.
        let draft: Draft =
            serde_json::from_str(text).map_err(|source| FlowFileError::Json { source })?;
        Ok(Self::try_from(draft)?)
    }

    /// The same flow for a process that stands anywhere: where the path of a program (one with a slash) or a
    /// current folder is relative, it is meant from this folder, such as that of the flow's file. See
    /// [`Program::based_at`](crate::Program::based_at). A program without a current folder runs in its
    /// attempt's work folder; give it `"current_dir": "."` to run it beside the file.
    #[must_use]
    pub fn based_at(mut self, dir: impl AsRef<Utf8Path>) -> Self {
        for node in &mut self.nodes {
            node.run = node.run.take().map(|program| program.based_at(dir.as_ref()));
        }
        self
    }
}
