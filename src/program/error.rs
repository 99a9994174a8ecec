//! Why a program's step failed.

use std::process::ExitStatus;
use std::time::Duration;

use camino::Utf8PathBuf;

use super::outputs::OUT;
use crate::error::cut;
use crate::name::{ArtifactName, NameError};

/// A program did not do what its step needs, and nothing of it was committed. The end of its standard error
/// is the source, where it was captured; both stand in the journal's `step_failed`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// It is not there, is no program, or its current folder is not there.
    #[error("cannot start {program}; give its path, or put it into a directory of PATH")]
    NotStarted {
        /// The program.
        program: String,
        /// What the system answered.
        source: std::io::Error,
    },
    /// It ended with a code that no signal is given for.
    #[error("{program} exited with code {code}")]
    Exited {
        /// The program.
        program: String,
        /// The code.
        code: i32,
        /// The end of its standard error.
        source: Option<StderrTail>,
    },
    /// A signal of the system ended it.
    #[error("{program} was ended by a signal ({status})")]
    Killed {
        /// The program.
        program: String,
        /// Names the signal.
        status: ExitStatus,
        /// The end of its standard error.
        source: Option<StderrTail>,
    },
    /// It ran for too long, and was ended.
    #[error("{program} was ended: it ran for longer than {after:?}")]
    TimedOut {
        /// The program.
        program: String,
        /// How long it was to run at most.
        after: Duration,
        /// The end of its standard error.
        source: Option<StderrTail>,
    },
    /// The step was cancelled: the program was ended, or not started.
    #[error("{program} was cancelled")]
    Cancelled {
        /// The program.
        program: String,
        /// The end of its standard error.
        source: Option<StderrTail>,
    },
    /// Something else in this process waited for it, or this process ignores SIGCHLD.
    #[error(
        "{program} ended, and the system cannot tell how; let nothing else wait for it, and do not ignore SIGCHLD"
    )]
    Lost {
        /// The program.
        program: String,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The folder for its outputs was removed, or something else stands in its place.
    #[error("{path} is no folder any more; leave {OUT} the folder that it was")]
    NotAFolder {
        /// Where it was.
        path: Utf8PathBuf,
    },
    /// It left something else than files and folders. A long path is cut in the message, here and below.
    #[error(
        "{} in {OUT} is neither a file nor a folder, and links are not followed; leave a copy",
        cut(.path)
    )]
    NotRegular {
        /// The path in the folder.
        path: String,
    },
    /// It left a file whose path cannot name an artifact.
    #[error(
        "{} in {OUT} cannot become an artifact; rename it, or leave it outside {OUT}",
        cut(.path)
    )]
    BadName {
        /// The path in the folder.
        path: String,
        /// The rule that it breaks.
        source: NameError,
    },
    /// It left a file that has the name of one of its streams.
    #[error("{name} in {OUT} is the name of a standard stream's artifact too; rename one of them")]
    TwoOutputs {
        /// The name.
        name: ArtifactName,
    },
}

/// The end of what a program wrote to its standard error: at most 2 KiB.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its standard error ends with: {text}")]
pub struct StderrTail {
    text: String,
}

impl StderrTail {
    /// How much of the stream is kept, in bytes.
    pub(super) const MOST: u64 = 2048;

    /// Of the last bytes of a stream, which may begin inside of a character; `None` of blanks.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let is_rest = |byte: &u8| (0x80..0xC0).contains(byte);
        let cut = bytes.iter().take(3).take_while(|byte| is_rest(byte)).count();
        let whole = bytes.get(cut..).unwrap_or_default();
        let text = String::from_utf8_lossy(whole).trim().to_owned();
        (!text.is_empty()).then_some(Self { text })
    }

    /// The text, without the blanks around it; what is not UTF-8 is replaced.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
