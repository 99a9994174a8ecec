//! A stage: content on its way into `.tmp/`, written and hashed at once.

use std::io::{Read, Take, Write};

use super::ArtifactError;
use super::writer::HomeWriter;
use crate::digest::{Digest, PIECE, StreamHasher};
use crate::error::IoError;
use crate::id::EventId;
use crate::io::{Dir, NewFile, ReadFile};
use crate::journal::JournalError;
use crate::layout;

/// A finished stage: what it holds, and the record that will speak of it.
#[derive(Debug)]
pub(crate) struct Content {
    pub(super) event_id: EventId,
    /// `None` for the empty stage of a removal.
    pub(super) digest: Option<Digest>,
    pub(super) size: u64,
}

/// A stage that is being written. Dropped before it is finished, it takes its file along, so only a
/// killed process leaves one, which no record names. Memory stays flat: a few pieces, whatever the
/// size.
#[derive(Debug)]
pub(super) struct Stage {
    /// `.tmp/`, open since the stage was made. A stage that was moved away meanwhile is found out by
    /// the commit, which looks for it anew from the run's directory.
    tmp: Dir,
    event_id: EventId,
    file: NewFile,
    /// What was taken in and is not written yet.
    piece: Vec<u8>,
    hasher: StreamHasher,
    size: u64,
    /// The first failure. Nobody knows what the file holds since, so nothing goes in and nothing
    /// comes out any more.
    failed: Option<IoError>,
    finished: bool,
}

impl Stage {
    /// Makes an empty stage, and `.tmp/` where it is missing.
    pub(super) fn create(writer: &HomeWriter) -> Result<Self, JournalError> {
        let run = &writer.opened()?.dir;
        let event_id = writer.home().runtime.next_event_id();
        let tmp = match run.open_dir(layout::TMP) {
            Err(error) if error.is_not_found() => {
                run.create_dir(layout::TMP)?;
                run.open_dir(layout::TMP)?
            }
            other => other?,
        };
        let file = tmp.create_new(&layout::stage_name(event_id))?;
        let (piece, hasher) = (Vec::new(), StreamHasher::default());
        Ok(Self { tmp, event_id, file, piece, hasher, size: 0, failed: None, finished: false })
    }

    /// Stages bytes that are all there.
    pub(super) fn of_bytes(writer: &HomeWriter, bytes: &[u8]) -> Result<Content, ArtifactError> {
        let mut stage = Self::create(writer)?;
        let (digest, written) = Digest::beside(bytes, || stage.file.write(bytes));
        written?;
        stage.finished = true;
        Ok(Content { event_id: stage.event_id, digest: Some(digest), size: bytes.len() as u64 })
    }

    /// Stages the empty file that stands for a removal.
    pub(super) fn of_removal(writer: &HomeWriter) -> Result<Content, ArtifactError> {
        let mut stage = Self::create(writer)?;
        stage.finished = true;
        Ok(Content { event_id: stage.event_id, digest: None, size: 0 })
    }

    /// Takes bytes in.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), IoError> {
        self.check()?;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.room()));
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.room() == 0 {
                self.write_piece()?;
            }
        }
        Ok(())
    }

    /// Takes in what a reader still holds, and returns how much that was. Where the reader fails, the
    /// content is only a part, and the stage has failed as well.
    pub(super) fn read_from(
        &mut self,
        reader: &mut (impl Read + ?Sized),
        describe: impl FnOnce(std::io::Error) -> IoError,
    ) -> Result<u64, IoError> {
        self.check()?;
        let before = self.size + self.piece.len() as u64;
        // The reader is somebody else's code: where it panics, the content is only a part as well.
        let panicked = std::io::Error::other("what it was to hold panicked while it was read");
        self.failed = Some(IoError::new("read", &self.path(), panicked));
        loop {
            let room = self.room() as u64;
            self.piece.reserve_exact(self.room());
            match Read::take(&mut *reader, room).read_to_end(&mut self.piece) {
                Ok(read) if (read as u64) < room => break,
                Ok(_) => self.write_piece()?,
                Err(error) => {
                    let error = describe(error);
                    return self.fail(error);
                }
            }
        }
        self.failed = None;
        Ok(self.size + self.piece.len() as u64 - before)
    }

    /// Takes in a file: by sharing its blocks where this is all of the content and the disk can, by
    /// copying it otherwise. What is hashed is what this stage holds, not what the file held.
    pub(super) fn import(&mut self, source: &mut ReadFile) -> Result<u64, IoError> {
        self.import_part(source, u64::MAX, &|| false)
    }

    /// The same of no more than the first `most` bytes of a file, which may grow meanwhile. `ends` is asked
    /// before each piece: once it says so, this fails.
    pub(super) fn import_part(
        &mut self,
        source: &mut ReadFile,
        most: u64,
        ends: &dyn Fn() -> bool,
    ) -> Result<u64, IoError> {
        self.check()?;
        let empty = self.size == 0 && self.piece.is_empty();
        if empty && self.remember(|stage| stage.file.share_blocks(source, most))? {
            return self.remember(|stage| stage.hash_file(ends));
        }
        let path = source.path().to_owned();
        let mut part = Part { source: source.take(most), ends };
        self.read_from(&mut part, |error| IoError::new("read", &path, error))
    }

    /// Hashes what the file was given in another way than through [`write`](Stage::write).
    fn hash_file(&mut self, ends: &dyn Fn() -> bool) -> Result<u64, IoError> {
        let mut file = self.tmp.open_read(&layout::stage_name(self.event_id))?;
        loop {
            go_on(ends).map_err(IoError::at("read", file.path()))?;
            let mut piece = std::mem::take(&mut self.piece);
            piece.reserve_exact(PIECE);
            file.read_at(self.size, PIECE as u64, &mut piece)?;
            let read = piece.len() as u64;
            self.size += read;
            self.piece = self.hasher.take(piece);
            if read == 0 {
                return Ok(self.size);
            }
        }
    }

    /// Writes what is left; the file stays, for whoever has its content now.
    pub(super) fn finish(mut self) -> Result<Content, IoError> {
        self.check()?;
        self.write_piece()?;
        let hasher = std::mem::take(&mut self.hasher);
        let digest = hasher.finish().ok_or_else(|| {
            let source = std::io::Error::other("the thread that hashes it panicked");
            IoError::new("hash", &self.path(), source)
        })?;
        self.finished = true;
        Ok(Content { event_id: self.event_id, digest: Some(digest), size: self.size })
    }

    fn room(&self) -> usize {
        PIECE.saturating_sub(self.piece.len())
    }

    fn write_piece(&mut self) -> Result<(), IoError> {
        let piece = std::mem::take(&mut self.piece);
        self.remember(|stage| stage.file.write(&piece))?;
        self.size += piece.len() as u64;
        self.piece = self.hasher.take(piece);
        Ok(())
    }

    fn path(&self) -> camino::Utf8PathBuf {
        self.tmp.path().join(layout::stage_name(self.event_id))
    }

    /// The first failure once more: the caller may have passed over it.
    fn check(&self) -> Result<(), IoError> {
        self.failed.as_ref().map_or(Ok(()), |error| Err(again(error)))
    }

    fn remember<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, IoError>,
    ) -> Result<T, IoError> {
        work(self).or_else(|error| self.fail(error))
    }

    fn fail<T>(&mut self, error: IoError) -> Result<T, IoError> {
        self.failed = Some(again(&error));
        Err(error)
    }
}

/// The beginning of a file, for as long as nobody wants its reading to end.
struct Part<'a> {
    source: Take<&'a mut ReadFile>,
    ends: &'a dyn Fn() -> bool,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        go_on(self.ends)?;
        self.source.read(buffer)
    }
}

fn go_on(ends: &dyn Fn() -> bool) -> std::io::Result<()> {
    // Not as `Interrupted`, which is tried again.
    if ends() { Err(std::io::Error::other("it was cancelled")) } else { Ok(()) }
}

/// The same error; what the system said stays as its words.
fn again(error: &IoError) -> IoError {
    let source = std::io::Error::new(error.kind(), error.source.to_string());
    IoError::new(error.action, &error.path, source)
}

impl Write for Stage {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Self::write(self, bytes).map_err(as_io_error)?;
        Ok(bytes.len())
    }

    /// Does nothing: content is promised by its commit alone.
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An error as `std::io::Write` and its kin want it, with the action and the path in its text.
fn as_io_error(error: IoError) -> std::io::Error {
    std::io::Error::new(error.kind(), error)
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.finished {
            // What stays is unnamed, and prune takes it.
            let _ = self.tmp.remove_file(&layout::stage_name(self.event_id));
        }
    }
}
