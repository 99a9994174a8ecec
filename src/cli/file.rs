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

/// Puts a new file in the place of a file, of a link to one, or of nothing; a link is replaced, never written through.
/// A device, a pipe or a directory is refused, and so is a link to one.
pub(crate) fn replace(file: &Utf8Path, content: &mut impl Read) -> Result<(), CliError> {
    check_replaceable(file)?;
    let name = file.file_name().unwrap_or("file");
    let new = file.with_file_name(format!(".{name}.{}.new", std::process::id()));
    create(&new, content)?;
    fs::rename(&new, file).map_err(|error| {
        let _ = fs::remove_file(&new);
        CliError::file("replace", file)(error)
    })
}

fn check_replaceable(file: &Utf8Path) -> Result<(), CliError> {
    let found = match fs::symlink_metadata(file) {
        // Behind a link that leads nowhere is nothing.
        Ok(found) if found.is_symlink() => fs::metadata(file),
        other => other,
    };
    match found {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(CliError::NotAFile { path: file.to_owned() }),
        Err(error) => Err(CliError::file("look at", file)(error)),
    }
}
