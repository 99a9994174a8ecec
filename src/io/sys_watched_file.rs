//! An open file of which each call is shown first to whoever watches it. Only the proof's build has this.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::process::Stdio;

use super::{At, Fd};
use crate::io::watch::{Call, Node, Seen};
use crate::planted::Bug;

/// An open file.
#[derive(Debug)]
pub(crate) struct File {
    pub(super) file: std::fs::File,
    pub(super) seen: Option<Seen>,
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl At for File {
    fn at(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }
}

impl From<Fd> for File {
    fn from(Fd { fd, seen }: Fd) -> Self {
        Self { file: fd.into(), seen }
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        file.file.into()
    }
}

impl File {
    pub(in crate::io) fn metadata(&self) -> io::Result<std::fs::Metadata> {
        self.call(|node| Call::Look { node }, |file| file.metadata())
    }

    pub(in crate::io) fn set_len(&self, len: u64) -> io::Result<()> {
        self.call(|file| Call::Truncate { file, len }, |file| file.set_len(len))
    }

    pub(in crate::io) fn sync_all(&self) -> io::Result<()> {
        if Bug::Unsynced.is_planted() {
            return Ok(());
        }
        self.call(|file| Call::SyncFile { file }, |file| file.sync_all())
    }

    pub(in crate::io) fn sync_data(&self) -> io::Result<()> {
        if Bug::Unsynced.is_planted() {
            return Ok(());
        }
        self.call(|file| Call::SyncFile { file }, |file| file.sync_data())
    }

    pub(super) fn lock(
        &self,
        lock: impl FnOnce(&std::fs::File) -> io::Result<()>,
    ) -> io::Result<()> {
        self.call(|file| Call::Lock { file }, lock)
    }

    fn call<T>(
        &self,
        call: impl Fn(Node) -> Call<'static>,
        make: impl FnOnce(&std::fs::File) -> io::Result<T>,
    ) -> io::Result<T> {
        let Some(seen) = &self.seen else { return make(&self.file) };
        let call = call(seen.node);
        seen.before(&call)?;
        let made = make(&self.file)?;
        seen.watch.after(&call, None);
        Ok(made)
    }

    fn reading(
        &self,
        buffer: &mut [u8],
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Some(seen) = &self.seen else { return read(buffer) };
        let call = Call::Read { file: seen.node, len: buffer.len() };
        let most = seen.before(&call)?.unwrap_or(buffer.len()).min(buffer.len());
        let read = read(buffer.get_mut(..most).unwrap_or_default())?;
        seen.watch.after(&call, None);
        Ok(read)
    }

    fn writing(
        &self,
        bytes: &[u8],
        offset: Option<u64>,
        write: impl FnOnce(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Some(seen) = &self.seen else { return write(bytes) };
        let most = seen.before(&Call::Write { file: seen.node, offset, bytes })?;
        let most = most.unwrap_or(bytes.len()).min(bytes.len());
        let written = write(bytes.get(..most).unwrap_or_default())?;
        let offset = match offset {
            Some(offset) => offset,
            None => (&self.file).stream_position()?.saturating_sub(written as u64),
        };
        let part = bytes.get(..written).unwrap_or_default();
        seen.watch.after(&Call::Write { file: seen.node, offset: Some(offset), bytes: part }, None);
        Ok(if Bug::ShortWriteTaken.is_planted() { bytes.len() } else { written })
    }
}

impl Read for &File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reading(buffer, |buffer| (&self.file).read(buffer))
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for &File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writing(bytes, None, |bytes| (&self.file).write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&self.file).seek(to)
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}

impl FileExt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.reading(buffer, |buffer| self.file.read_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.writing(bytes, Some(offset), |bytes| self.file.write_at(bytes, offset))
    }
}
