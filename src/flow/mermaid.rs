//! A flow, drawn.

use std::fmt::Write;

use super::edge::{Goal, On};
use super::{FlowDefinition, FlowState};
use crate::status::Outcome;

impl FlowDefinition {
    /// The flow as a Mermaid flowchart. Nodes are numbered, so any name can stand in it.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut text = String::from("flowchart TD\n    start([start]) --> n0\n");
        for (place, node) in self.nodes.iter().enumerate() {
            let _ = writeln!(text, "    n{place}[\"{}\"]", node.node);
        }
        let mut ends = [false; 2];
        for (place, node) in self.nodes.iter().enumerate() {
            for edge in &node.edges {
                let (arrow, label) = match &edge.on {
                    On::Signal(signal) => ("-->", quoted(signal.as_str())),
                    On::Failure => ("-.->", "failure".to_owned()),
                };
                let (to, label) = match &edge.goal {
                    Goal::Node(to) => (self.number(to), label),
                    Goal::Again(to, limit) => (self.number(to), format!("{label}, {limit} times")),
                    Goal::End(completion) => {
                        let outcome = completion.outcome();
                        let (index, id) = end(outcome);
                        if let Some(end) = ends.get_mut(index) {
                            *end = true;
                        }
                        (id.to_owned(), label)
                    }
                };
                let _ = writeln!(text, "    n{place} {arrow}|\"{label}\"| {to}");
            }
        }
        for outcome in [Outcome::Success, Outcome::Failed] {
            let (index, id) = end(outcome);
            if ends.get(index).copied().unwrap_or_default() {
                let _ = writeln!(text, "    {id}([{}])", crate::status::RunStatus::from(outcome));
            }
        }
        text
    }

    fn number(&self, node: &str) -> String {
        self.place(node).map_or_else(String::new, |place| format!("n{place}"))
    }
}

impl FlowState {
    /// The flow as a Mermaid flowchart, with what became of it: nodes whose last attempt completed are green,
    /// those where it failed are red, and the node where the flow stands, or its end, has a thick border.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let definition = self.definition();
        let mut text = definition.mermaid();
        for class in [
            "done fill:#d9f2d9,stroke:#2e7d32,color:#000",
            "failed fill:#f9d6d5,stroke:#b3261e,color:#000",
            "here stroke-width:4px",
        ] {
            let _ = writeln!(text, "    classDef {class}");
        }
        for node in &self.nodes {
            let id = definition.number(node.node.as_str());
            match (&node.last_signal, &node.last_error) {
                (Some(_), _) => drop(writeln!(text, "    class {id} done")),
                (None, Some(_)) => drop(writeln!(text, "    class {id} failed")),
                (None, None) => {}
            }
        }
        let here = match (self.outcome, &self.at) {
            (Some(outcome), _) => end(outcome).1.to_owned(),
            (None, Some(at)) => definition.number(at.node.as_str()),
            (None, None) => "start".to_owned(),
        };
        // A node of another version of the flow is not in the drawing.
        if !here.is_empty() {
            let _ = writeln!(text, "    class {here} here");
        }
        text
    }
}

fn end(outcome: Outcome) -> (usize, &'static str) {
    match outcome {
        Outcome::Success => (0, "success"),
        Outcome::Failed => (1, "failed"),
    }
}

/// A signal may be any text: what Mermaid would read as its own is written as an entity.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' | '_' | '-' | '.' | ':' | '/' => quoted.push(c),
            other => {
                let _ = write!(quoted, "#{};", u32::from(other));
            }
        }
    }
    quoted
}
