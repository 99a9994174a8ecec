//! Objects: content by its digest, in `objects/` of a run or a task. Each is on the disk before a record
//! that names it is written; its name is, once [`sync_names`] returned.

use std::collections::BTreeSet;
use std::io::Read as _;

use crate::digest::{Digest, PIECE, StreamHasher};
use crate::error::IoError;
use crate::id::EventId;
use crate::io::{Dir, Entry, Kind, NewFile, ReadFile};
use crate::layout;
use crate::planted::Bug;

/// What stands in the place of an object, if that is a file.
pub(crate) fn look_at(dir: &Dir, digest: Digest) -> Result<Option<Entry>, IoError> {
    let entry = dir.stat(&layout::object(digest))?;
    Ok(entry.filter(|entry| entry.kind == Kind::File))
}

/// Opens an object; that it holds what it is named after is not checked.
pub(crate) fn open(dir: &Dir, digest: Digest) -> Result<ReadFile, IoError> {
    dir.open_read(&layout::object(digest))
}

/// Makes sure that these bytes are an object in its place, and its content on the disk. The id is for the
/// name of a temporary file. A file that stands in the place with other content is replaced.
pub(crate) fn keep_bytes(
    dir: &Dir,
    new_id: &(dyn Fn() -> EventId + Sync),
    content: &[u8],
) -> Result<Digest, IoError> {
    let digest = Digest::of(content);
    if !is_good(dir, digest)? {
        let fill = |file: &mut NewFile, _: &str| file.write(content).map(|()| digest);
        put(dir, new_id(), digest, fill, || Ok(()))?;
    }
    Ok(digest)
}

/// The same with the content of an open file that should have this digest: where the disk can, by sharing its
/// blocks, else by copying. Returns the digest that the content has; where that is another one, no object
/// was made. A file is never kept as a second name of an object: who edits the one would change the other.
pub(crate) fn keep_file(
    dir: &Dir,
    new_id: &(dyn Fn() -> EventId + Sync),
    source: &mut ReadFile,
    digest: Digest,
) -> Result<Digest, IoError> {
    if is_good(dir, digest)? {
        return Ok(digest);
    }
    put(dir, new_id(), digest, take_in(dir, source), || Ok(()))
}

/// The same for an object that is damaged: what stands in its place is moved away by `aside`, once the content
/// that takes its place is there, and has the digest. One that is good after all is left alone.
pub(crate) fn replace_file(
    dir: &Dir,
    new_id: &(dyn Fn() -> EventId + Sync),
    source: &mut ReadFile,
    digest: Digest,
    aside: impl FnOnce() -> Result<(), IoError>,
) -> Result<Digest, IoError> {
    // Anything else than a file may stand there.
    if is_good(dir, digest).unwrap_or(false) {
        return Ok(digest);
    }
    put(dir, new_id(), digest, take_in(dir, source), aside)
}

fn take_in<'a>(
    dir: &'a Dir,
    source: &'a mut ReadFile,
) -> impl FnOnce(&mut NewFile, &str) -> Result<Digest, IoError> + 'a {
    |file, temporary| {
        if file.share_blocks(source, u64::MAX)? {
            // What was taken in is hashed, whatever the file holds by now.
            return Ok(dir.open_read(temporary)?.digest()?.0);
        }
        copy(source, file)
    }
}

/// Waits until the names of these objects are on the disk, also of those that stood there before: who
/// made them may have died before this.
pub(crate) fn sync_names(
    dir: &Dir,
    digests: impl IntoIterator<Item = Digest>,
) -> Result<(), IoError> {
    let dirs: BTreeSet<_> = digests.into_iter().map(layout::object_dir).collect();
    if dirs.is_empty() || Bug::ObjectNameUnsynced.is_planted() {
        return Ok(());
    }
    dirs.iter().map(String::as_str).chain([layout::OBJECTS, ""]).try_for_each(|dir_| dir.sync(dir_))
}

/// Copies all that a file still holds into another, and returns the digest of what was copied.
pub(crate) fn copy(source: &mut ReadFile, file: &mut NewFile) -> Result<Digest, IoError> {
    let mut hasher = StreamHasher::default();
    let mut piece = Vec::new();
    loop {
        piece.reserve_exact(PIECE);
        let read = source.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        if read.map_err(IoError::at("read", source.path()))? == 0 {
            break;
        }
        file.write(&piece)?;
        piece = hasher.take(piece);
    }
    hasher.finish().ok_or_else(|| {
        let panicked = std::io::Error::other("the thread that hashes it panicked");
        IoError::new("hash", source.path(), panicked)
    })
}

/// True if the object is there, is what it is named after, and is on the disk: a copy of a run may never have
/// been synced. What cannot be read or synced is made anew.
fn is_good(dir: &Dir, digest: Digest) -> Result<bool, IoError> {
    match open(dir, digest) {
        Ok(mut file) => {
            let is_same = file.digest().is_ok_and(|(found, _)| found == digest);
            let is_sure = || Bug::OldObjectUnsynced.is_planted() || file.sync().is_ok();
            Ok((is_same || Bug::ObjectUnchecked.is_planted()) && is_sure())
        }
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Fills a temporary file and puts it in an object's place, if its content turned out to have the digest.
fn put(
    dir: &Dir,
    id: EventId,
    digest: Digest,
    fill: impl FnOnce(&mut NewFile, &str) -> Result<Digest, IoError>,
    before: impl FnOnce() -> Result<(), IoError>,
) -> Result<Digest, IoError> {
    for parent in [layout::TMP, layout::OBJECTS, &layout::object_dir(digest)] {
        dir.create_dir(parent)?;
    }
    let temporary = layout::new_object(id);
    let put = || {
        let mut file = dir.create_new(&temporary)?;
        let found = fill(&mut file, &temporary)?;
        if found == digest {
            if !Bug::ObjectUnsynced.is_planted() {
                file.sync()?;
            }
            before()?;
            dir.rename(&temporary, dir, &layout::object(digest))?;
        }
        Ok(found)
    };
    let put = put();
    if !put.as_ref().is_ok_and(|found| *found == digest) {
        // The caller hears of it; a half object is nobody's, and prune takes it.
        let _ = dir.remove_file(&temporary);
    }
    put
}
