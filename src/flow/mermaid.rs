//! A flow, drawn.

use std::fmt::Write;

use super::FlowDefinition;
use super::edge::{Goal, On};
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
