//! What can go wrong with approvals.

use std::time::Duration;

use camino::Utf8PathBuf;

use crate::error::cut;
use crate::journal::JournalError;

/// Something cannot be asked, answered or waited for. Unless a journal's error says otherwise, nothing was
/// appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The id, or who decides, breaks the rule of names.
    #[error("the {what} {:?} cannot be used: {reason}", cut(.name))]
    BadName {
        /// What it should name: `approval id`, `decider`.
        what: &'static str,
        /// The refused name.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// Nobody could choose well among the options.
    #[error("{approval:?} cannot be asked with the options {}: {reason}", listed(.options))]
    BadOptions {
        /// The id.
        approval: String,
        /// The refused options.
        options: Vec<String>,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// Something else was asked under this id.
    #[error(
        "{approval:?} was asked before, as {question:?} with {}; choose another id for another question",
        listed(.options)
    )]
    AskedOtherwise {
        /// Its id.
        approval: String,
        /// What was asked.
        question: String,
        /// Among which decisions.
        options: Vec<String>,
    },
    /// Nobody asked.
    #[error(
        "{run} did not ask for {:?}; `runjournal approval list` shows what it asked for",
        cut(.approval)
    )]
    NotAsked {
        /// The id.
        approval: String,
        /// The run's directory.
        run: Utf8PathBuf,
    },
    /// The decision is none of those there are.
    #[error("{:?} does not answer {approval:?}; choose one of {}", cut(.decision), listed(.options))]
    NotAnOption {
        /// The id.
        approval: String,
        /// What was decided.
        decision: String,
        /// What there is to choose from.
        options: Vec<String>,
    },
    /// It was decided before, otherwise or by somebody else; that holds.
    #[error(
        "{approval:?} was decided before: {decision:?}, by {by:?}, and that holds; ask anew, under another \
         id, to decide anew"
    )]
    AlreadyResolved {
        /// The id.
        approval: String,
        /// What was decided.
        decision: String,
        /// By whom.
        by: String,
    },
    /// Nobody answered in time.
    #[error("{approval:?} was not decided within {waited:?}{}", advice(.approval, *.asked))]
    TimedOut {
        /// The id.
        approval: String,
        /// How long the caller would wait.
        waited: Duration,
        /// False if nobody even asked.
        asked: bool,
    },
    /// The run is complete, so nobody can answer any more.
    #[error("{path} is closed, and {approval:?} was not decided; start a new run to ask again")]
    RunClosed {
        /// The id.
        approval: String,
        /// The run's journal.
        path: Utf8PathBuf,
    },
}

fn listed(options: &[String]) -> String {
    if options.is_empty() {
        return "any decision".to_owned();
    }
    options.iter().map(|option| format!("{option:?}")).collect::<Vec<_>>().join(", ")
}

fn advice(approval: &str, asked: bool) -> String {
    if asked {
        format!(
            "; wait again, or decide it with `runjournal approval resolve {approval:?} DECISION`"
        )
    } else {
        ", and nobody asked for it; ask for it first".to_owned()
    }
}
