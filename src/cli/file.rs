//! Writing a file of the user's.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read};

use camino::Utf8Path;

use super::error::CliError;

/// Writes a file that was not there: neither a file nor a link in its place is written to.
pub(crate) fn create(file: &Utf8Path, content: &mut impl Read) -> Result<(), CliError> {
    let opened = OpenOptions::new().write(true).create_new(true).open(file);
    let mut new = opened.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => CliError::FileExists { path: file.to_owned() },
        _ => CliError::file("create", file)(error),
    })?;
    io::copy(content, &mut new).map(|_| ()).map_err(|error| {
        // Half a copy is none; if it cannot be removed either, the error tells enough.
        let _ = fs::remove_file(file);
        CliError::file("write", file)(error)
    })
}

/// Puts a new file in the place of whatever is there; a link is replaced, never written through.
pub(crate) fn replace(file: &Utf8Path, content: &mut impl Read) -> Result<(), CliError> {
    let name = file.file_name().unwrap_or("file");
    let new = file.with_file_name(format!(".{name}.{}.new", std::process::id()));
    create(&new, content)?;
    fs::rename(&new, file).map_err(|error| {
        let _ = fs::remove_file(&new);
        CliError::file("replace", file)(error)
    })
}
