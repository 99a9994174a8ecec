//! What can go wrong with approvals.

use std::time::Duration;

use camino::Utf8PathBuf;

use crate::journal::JournalError;

/// Something cannot be asked, answered or waited for. Unless a journal's error says otherwise, nothing was
/// appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
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
        "{run} did not ask for {approval:?}; `runjournal approval list` shows what it asked for"
    )]
    NotAsked {
        /// The id.
        approval: String,
        /// The run's directory.
        run: Utf8PathBuf,
    },
    /// The decision is none of those there are.
    #[error("{decision:?} does not answer {approval:?}; choose one of {}", listed(.options))]
    NotAnOption {
        /// The id.
        approval: String,
        /// What was decided.
        decision: String,
        /// What there is to choose from.
        options: Vec<String>,
    },
    /// A decision needs somebody who takes it.
    #[error("a decision on {approval:?} needs the name of who takes it; give one")]
    Nobody {
        /// The id.
        approval: String,
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
    #[error("{approval:?} was not decided within {waited:?}{}; wait again, or decide it", unasked(*.asked))]
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

fn unasked(asked: bool) -> &'static str {
    if asked { "" } else { ", and nobody asked for it" }
}
