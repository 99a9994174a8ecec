//! Where content goes: into the objects of a backup, or nowhere, to learn its digest alone.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::progress::Counts;
use crate::digest::Digest;
use crate::error::IoError;
use crate::io::{Dir, Kind, NewFile, ReadFile, SYNCS_FILE_SYSTEM};
use crate::journal::Runtime;
use crate::layout;

/// Content that is read whole, and hashed before anything is written.
const SMALL: u64 = 1 << 20;
/// What larger content is copied in.
const BUFFER: usize = 256 << 10;

/// The objects that the snapshot before names, with their sizes: trusted to be what they were.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<Digest, u64>);

impl Known {
    pub(super) fn of(objects: impl Iterator<Item = (Digest, u64)>) -> Self {
        Self(objects.collect())
    }
}

/// Takes content in.
pub(super) trait Keep: Sync {
    /// Bytes that are all there.
    fn bytes(&self, bytes: &[u8], known: &Known) -> Result<Digest, IoError>;
    /// All of a file, which is probably that of this digest; its digest and its size.
    fn file(
        &self,
        file: &mut ReadFile,
        probably: Option<Digest>,
        known: &Known,
    ) -> Result<(Digest, u64), IoError>;
}

/// Keeps nothing.
pub(super) struct HashOnly<'a>(pub(super) &'a Counts);

impl Keep for HashOnly<'_> {
    fn bytes(&self, bytes: &[u8], _: &Known) -> Result<Digest, IoError> {
        self.0.add_bytes(bytes.len() as u64);
        Ok(Digest::of(bytes))
    }

    fn file(
        &self,
        file: &mut ReadFile,
        _: Option<Digest>,
        _: &Known,
    ) -> Result<(Digest, u64), IoError> {
        digest(file, self.0)
    }
}

/// The objects of a backup. Nothing is synced here, unless the system cannot sync everything at once: that
/// is waited for once, before a snapshot names them.
#[derive(Debug)]
pub(super) struct Pool<'a> {
    counts: &'a Counts,
    objects: Dir,
    tmp: Dir,
    runtime: Runtime,
    /// Made or checked by this pool.
    sure: Mutex<HashSet<Digest>>,
    shares_blocks: AtomicBool,
    written: AtomicU64,
}

impl<'a> Pool<'a> {
    pub(super) fn open(
        backup: &Dir,
        runtime: &Runtime,
        counts: &'a Counts,
    ) -> Result<Self, IoError> {
        for dir in [layout::OBJECTS, layout::TMP] {
            backup.create_dir(dir)?;
        }
        Ok(Self {
            counts,
            objects: backup.open_dir(layout::OBJECTS)?,
            tmp: backup.open_dir(layout::TMP)?,
            runtime: runtime.clone(),
            sure: Mutex::default(),
            shares_blocks: AtomicBool::new(true),
            written: AtomicU64::new(0),
        })
    }

    /// Bytes that were not there before.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Waits until every object is on the disk, with its name.
    pub(super) fn sync(&self) -> Result<(), IoError> {
        if SYNCS_FILE_SYSTEM {
            return self.objects.sync_file_system();
        }
        for (name, kind) in self.objects.list("")? {
            if kind == Kind::Dir {
                self.objects.sync(&name)?;
            }
        }
        self.objects.sync("")
    }

    /// True if the object stands, as the snapshot before or this pool knows it.
    fn is_trusted(&self, digest: Digest, known: &Known) -> Result<bool, IoError> {
        if self.sure.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest) {
            return Ok(true);
        }
        let Some(size) = known.0.get(&digest) else { return Ok(false) };
        let entry = self.objects.stat(&name(digest))?;
        Ok(entry.is_some_and(|entry| entry.kind == Kind::File && entry.size == *size))
    }

    /// True if the object stands and is what its name says. One that no snapshot names may be half of what
    /// a killed process was writing when the power went.
    fn is_whole(&self, digest: Digest) -> Result<bool, IoError> {
        let path = name(digest);
        if self.objects.stat(&path)?.is_some_and(|entry| entry.kind != Kind::File) {
            // Put in its place, the object replaces a link, and what that leads to is not touched.
            return Ok(false);
        }
        let whole = match self.objects.open_read(&path) {
            Ok(mut file) => {
                let whole = self::digest(&mut file, self.counts)?.0 == digest;
                if whole && !SYNCS_FILE_SYSTEM {
                    file.sync()?;
                }
                whole
            }
            Err(error) if error.is_not_found() => false,
            Err(error) => return Err(error),
        };
        if whole {
            self.note(digest);
        }
        Ok(whole)
    }

    fn note(&self, digest: Digest) {
        self.sure.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
    }

    /// Writes a new object under a name of its own, and puts it in its place.
    fn put<T>(
        &self,
        write: impl FnOnce(&mut NewFile) -> Result<(T, Digest, u64), IoError>,
    ) -> Result<T, IoError> {
        let temporary = self.runtime.next_event_id().to_string();
        let mut file = self.tmp.create_new(&temporary)?;
        let put = write(&mut file).and_then(|(made, digest, size)| {
            if !SYNCS_FILE_SYSTEM {
                file.sync()?;
            }
            self.name(&temporary, digest)?;
            self.written.fetch_add(size, Ordering::Relaxed);
            self.note(digest);
            Ok(made)
        });
        if put.is_err() {
            // The caller hears of the failure; what is left is nobody's, and prune takes it.
            let _ = self.tmp.remove_file(&temporary);
        }
        put
    }

    fn name(&self, temporary: &str, digest: Digest) -> Result<(), IoError> {
        let name = name(digest);
        match self.tmp.rename(temporary, &self.objects, &name) {
            Err(error) if error.is_not_found() => {
                self.objects.create_dir(name.get(..2).unwrap_or_default())?;
                self.tmp.rename(temporary, &self.objects, &name)
            }
            Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => {
                let source = std::io::Error::other("a directory stands there; move it away");
                Err(IoError::new("put an object at", &self.objects.path().join(name), source))
            }
            other => other,
        }
    }

    /// Copies a file into a new one, hashing it on the way.
    fn copy(&self, file: &mut ReadFile, into: &mut NewFile) -> Result<(Digest, u64), IoError> {
        if self.shares_blocks.load(Ordering::Relaxed) {
            if into.share_blocks(file, u64::MAX)? {
                let mut shared = self.tmp.open_read(into.name())?;
                return digest(&mut shared, self.counts);
            }
            self.shares_blocks.store(false, Ordering::Relaxed);
        }
        copy(file, self.counts, |part| into.write(part))
    }
}

impl Keep for Pool<'_> {
    fn bytes(&self, bytes: &[u8], known: &Known) -> Result<Digest, IoError> {
        self.counts.add_bytes(bytes.len() as u64);
        let digest = Digest::of(bytes);
        if !self.is_trusted(digest, known)? && !self.is_whole(digest)? {
            self.put(|file| {
                file.write(bytes)?;
                Ok(((), digest, bytes.len() as u64))
            })?;
        }
        Ok(digest)
    }

    fn file(
        &self,
        file: &mut ReadFile,
        probably: Option<Digest>,
        known: &Known,
    ) -> Result<(Digest, u64), IoError> {
        if file.len()? <= SMALL
            && let Some(bytes) = file.read_little(SMALL)?
        {
            return Ok((self.bytes(&bytes, known)?, bytes.len() as u64));
        }
        if let Some(probable) = probably
            && (self.is_trusted(probable, known)? || self.is_whole(probable)?)
        {
            let found = digest(file, self.counts)?;
            if found.0 == probable {
                return Ok(found);
            }
        }
        file.rewind()?;
        self.put(|new| {
            let (digest, size) = self.copy(file, new)?;
            Ok(((digest, size), digest, size))
        })
    }
}

/// The digest of all of a file, and its size; read in parts, so that a long one is told of while it is read.
pub(super) fn digest(file: &mut ReadFile, counts: &Counts) -> Result<(Digest, u64), IoError> {
    if file.len()? <= SMALL {
        let found = file.digest()?;
        counts.add_bytes(found.1);
        return Ok(found);
    }
    file.rewind()?;
    copy(file, counts, |_| Ok(()))
}

/// Reads on to the end of a file, hands its parts on, and hashes them.
pub(super) fn copy(
    file: &mut ReadFile,
    counts: &Counts,
    mut write: impl FnMut(&[u8]) -> Result<(), IoError>,
) -> Result<(Digest, u64), IoError> {
    let mut buffer = vec![0; BUFFER];
    let mut hasher = blake3::Hasher::new();
    loop {
        let read = match file.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(IoError::new("read", file.path(), error)),
        };
        let part = buffer.get(..read).unwrap_or_default();
        if part.is_empty() {
            return Ok((Digest::from_hasher(&hasher), hasher.count()));
        }
        hasher.update(part);
        counts.add_bytes(part.len() as u64);
        write(part)?;
    }
}

/// An object by its digest, within `objects/`.
pub(super) fn name(digest: Digest) -> String {
    let hex = digest.to_hex();
    format!("{hex:.2}/{}", hex.get(2..).unwrap_or_default())
}
