//! The one I/O error under every room: what was tried, on which path, and why it failed.

use std::borrow::Cow;
use std::error::Error;
use std::io::ErrorKind;

use camino::{Utf8Path, Utf8PathBuf};

/// An operation of the system failed. Every room's error wraps this one, so a path is never lost.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}")]
pub struct IoError {
    /// What was tried, as a verb: `open`, `read`, `sync`.
    pub action: &'static str,
    /// The path it was tried on.
    pub path: Utf8PathBuf,
    /// What the system answered.
    pub source: std::io::Error,
}

impl IoError {
    pub(crate) fn new(action: &'static str, path: &Utf8Path, source: std::io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }

    /// For `map_err`: names the action and the path once, lazily.
    pub(crate) fn at<'a>(
        action: &'static str,
        path: &'a Utf8Path,
    ) -> impl Fn(std::io::Error) -> Self + use<'a> {
        move |source| Self::new(action, path, source)
    }

    /// True if the system said that there is no such file, be it that a parent is a file.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
    }

    /// True where nothing may be written.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.source.kind()
    }
}

/// An error and its causes, outermost first.
pub(crate) fn chain<E: Error + ?Sized>(error: &E) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts
}

/// An error and its causes, in one line.
pub(crate) fn in_one_line<E: Error + ?Sized>(error: &E) -> String {
    chain(error).join(": ")
}

/// A text as a message shows it: of a long one, the beginning.
pub(crate) fn cut(text: &str) -> Cow<'_, str> {
    const MOST: usize = 120;
    match text.char_indices().nth(MOST) {
        None => Cow::Borrowed(text),
        Some((at, _)) => {
            let beginning = text.get(..at).unwrap_or_default();
            Cow::Owned(format!("{beginning}... ({} bytes)", text.len()))
        }
    }
}
