//! Names, and the places in the journal that they stand for.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::id::EventId;
use crate::journal::Record;

/// Bytes of an entry.
pub(crate) const ENTRY: usize = 24;

/// What an entry stands for: a stream, an idempotency key, a type of records, or an artifact record.
/// 128 bits of BLAKE3, so two texts never share a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(pub(crate) u128);

/// Names are hashes already.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct NameHasher(u64);

impl std::hash::Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, name: u128) {
        self.0 = u64::try_from(name >> 64).unwrap_or(0);
    }
}

/// A map from names.
pub(crate) type Names<T> = HashMap<Name, T, BuildHasherDefault<NameHasher>>;

impl Name {
    /// The last record of a stream.
    pub(crate) fn stream(kind: &str, id: &str) -> Self {
        Self::of(b's', &[kind, "/", id], 0)
    }

    /// The last record of a type.
    pub(crate) fn record_type(event_type: &str) -> Self {
        Self::of(b't', &[event_type], 0)
    }

    /// The first record with an idempotency key.
    pub(crate) fn key(key: &str) -> Self {
        Self::of(b'k', &[key], 1)
    }

    /// An artifact record, by its id.
    pub(crate) fn event(id: EventId) -> Self {
        Self::of(b'e', &[&id.to_string()], 0)
    }

    fn of(domain: u8, texts: &[&str], first_wins: u128) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[domain]);
        for text in texts {
            hasher.update(text.as_bytes());
        }
        let mut name = [0; 16];
        hasher.finalize_xof().fill(&mut name);
        Self(u128::from_be_bytes(name) & !1 | first_wins)
    }

    /// True for keys, of which the first record counts; of all else it is the last.
    pub(crate) fn first_wins(self) -> bool {
        self.0 & 1 == 1
    }

    /// Which of so many blocks, that divide the range of all names evenly, it belongs to.
    pub(crate) fn block(self, blocks: u64) -> u64 {
        let top = self.0 >> 64;
        u64::try_from((top * u128::from(blocks)) >> 64).unwrap_or(0)
    }
}

/// Names streams one after another, and remembers the last one: nearly always it is asked for again.
#[derive(Debug, Default)]
pub(crate) struct StreamNames {
    kind: String,
    id: String,
    name: Option<Name>,
}

impl StreamNames {
    pub(crate) fn name(&mut self, kind: &str, id: &str) -> Name {
        if let Some(name) = self.name
            && self.id == id
            && self.kind == kind
        {
            return name;
        }
        kind.clone_into(&mut self.kind);
        id.clone_into(&mut self.id);
        *self.name.insert(Name::stream(kind, id))
    }
}

/// Where a record stands: 43 bits of offset (8 TiB) and 21 of length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

impl Place {
    /// Lines are far shorter than the limit of 2 MiB that a place has.
    pub(crate) fn new(offset: u64, length: u64) -> Self {
        Self { offset, length: u32::try_from(length).unwrap_or(u32::MAX) }
    }

    /// Where a record stands that was read.
    pub(crate) fn of(record: &Record) -> Self {
        Self::new(record.offset(), record.end() - record.offset())
    }

    fn pack(self) -> u64 {
        self.offset << 21 | u64::from(self.length)
    }

    fn unpack(packed: u64) -> Self {
        let length = u32::try_from(packed & ((1 << 21) - 1)).unwrap_or(0);
        Self { offset: packed >> 21, length }
    }

    /// False for a place that an entry cannot hold.
    pub(crate) fn fits(self) -> bool {
        self.offset >> 43 == 0 && self.length >> 21 == 0
    }
}

/// One name and the record that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Name,
    pub(crate) place: Place,
}

impl Entry {
    pub(crate) fn to_bytes(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        let (name, place) = bytes.split_at_mut(16);
        name.copy_from_slice(&self.name.0.to_be_bytes());
        place.copy_from_slice(&self.place.pack().to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (name, place) = bytes.split_first_chunk::<16>()?;
        let place = Place::unpack(u64::from_le_bytes(place.try_into().ok()?));
        Some(Self { name: Name(u128::from_be_bytes(*name)), place })
    }

    /// Of two entries of one name, the one that stands.
    pub(crate) fn or(self, other: Self) -> Self {
        let earlier = other.place.offset < self.place.offset;
        if earlier == self.name.first_wins() { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_name_is_that_of_its_stream_alone() {
        let mut names = StreamNames::default();
        for (kind, id) in [("", ""), ("a", "b"), ("a", "b"), ("a", "c"), ("d", "c"), ("a", "b")] {
            assert_eq!(names.name(kind, id), Name::stream(kind, id), "{kind}/{id}");
        }
    }
}
