//! The floors: what the system itself costs. Nothing can be faster that does the same the same way.

use std::fs::{File, OpenOptions};
use std::io::Write;

use camino::Utf8Path;
use runjournal::Durability;

use crate::call::{LINE, PlainRecord};
use crate::measure::{Contender, expect};
use crate::{Result, rows};

/// A file to append to.
pub(crate) fn open_append(path: &Utf8Path) -> Result<File> {
    Ok(OpenOptions::new().create(true).append(true).open(path)?)
}

/// One write(2) of all bytes; a short one is an error.
pub(crate) fn write_whole(mut file: &File, bytes: &[u8]) -> Result<()> {
    let written = file.write(bytes)?;
    if written == bytes.len() { Ok(()) } else { Err("a short write".into()) }
}

/// The same, and fdatasync(2).
pub(crate) fn write_synced(file: &File, bytes: &[u8]) -> Result<()> {
    write_whole(file, bytes)?;
    Ok(file.sync_data()?)
}

/// Which of the two keeps what an append at a durability keeps.
pub(crate) fn writer(durability: Durability) -> fn(&File, &[u8]) -> Result<()> {
    if durability == Durability::Durable { write_synced } else { write_whole }
}

/// Looks whether the files of a directory have as many bytes as lines were written.
pub(crate) fn written(dir: &Utf8Path, lines: u64) -> Result<()> {
    let mut bytes = 0;
    for entry in dir.read_dir_utf8()? {
        bytes += entry?.metadata()?.len();
    }
    expect("bytes", bytes, lines * LINE as u64)
}

/// write(2) of 543 ready bytes to a kept `O_APPEND` descriptor: no lock, no serialization, no hash.
pub(crate) fn raw_write<'a>(operations: u64) -> Contender<'a> {
    Contender::each(rows::WRITE, operations, |dir| {
        let file = open_append(&dir.join("file"))?;
        let line = PlainRecord::new(0).line()?;
        Ok(move |_| write_whole(&file, line.as_bytes()))
    })
    .checked(written)
}

/// The same, with fdatasync after each.
pub(crate) fn write_and_sync<'a>(operations: u64) -> Contender<'a> {
    Contender::each(rows::FDATASYNC, operations, |dir| {
        let file = open_append(&dir.join("file"))?;
        let line = PlainRecord::new(0).line()?;
        Ok(move |_| write_synced(&file, line.as_bytes()))
    })
    .checked(written)
}

/// How careful people replace a file: a temporary one, fsync, rename, fsync of the directory.
pub(crate) fn write_carefully(dir: &Utf8Path, name: &str, bytes: &[u8]) -> Result<()> {
    let temporary = dir.join(format!(".{name}.tmp"));
    let mut file = File::create_new(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, dir.join(name))?;
    Ok(File::open(dir)?.sync_all()?)
}
