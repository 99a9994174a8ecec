//! What the journal says of each artifact: its last word about every path.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{EventId, StepName};
use crate::journal::{Cursor, Event, Events, Home, JournalError, LockedLog, Record, types};
use crate::name::ArtifactName;

/// The kind of the streams of artifacts; their ids are the paths.
pub(super) const STREAM: &str = "artifact";

/// The payload of an artifact record, in the order of its members.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ArtifactPayload {
    pub(crate) path: ArtifactName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<StepName>,
}

impl ArtifactPayload {
    /// What a record says of an artifact, if it says something.
    pub(crate) fn of(record: &Record) -> Result<Option<Self>, JournalError> {
        if Self::is_told_by(record) { record.payload().map(Some) } else { Ok(None) }
    }

    /// True for the records that say something of an artifact.
    pub(crate) fn is_told_by(record: &Record) -> bool {
        let says = [types::ARTIFACT_WRITTEN, types::ARTIFACT_REMOVED, types::ARTIFACT_ADOPTED];
        says.contains(&record.event_type())
    }

    pub(crate) fn event(&self, event_type: &str, id: EventId) -> Event {
        Event::new(event_type).stream(STREAM, self.path.as_str()).payload(self).id(id)
    }
}

/// The last record of a path.
#[derive(Debug, Clone)]
pub(crate) struct Last {
    pub(crate) event_id: EventId,
    pub(crate) seq: u64,
    pub(crate) version: u64,
    /// `None` if it was a removal.
    pub(crate) digest: Option<Digest>,
    /// Bytes, as the record says.
    pub(crate) size: Option<u64>,
    /// The digest of the path's record before.
    pub(crate) previous: Option<Digest>,
    pub(crate) causation: Option<EventId>,
}

impl Last {
    /// What a record says of an artifact, if it says something.
    pub(crate) fn of(record: &Record) -> Result<Option<(ArtifactName, Self)>, JournalError> {
        let Some(payload) = ArtifactPayload::of(record)? else { return Ok(None) };
        let last = Self {
            event_id: record.event_id(),
            seq: record.seq(),
            version: record.stream_version(),
            digest: payload.digest,
            size: payload.size,
            previous: payload.previous,
            causation: record.causation_event_id(),
        };
        Ok(Some((payload.path, last)))
    }

    /// The digest of its stage: a removal's is empty.
    pub(crate) fn staged(&self) -> Digest {
        self.digest.unwrap_or_else(|| Digest::of(b""))
    }

    /// True if what it staged may be put where a file with this digest stands, or none: somebody else's file is
    /// not replaced.
    pub(crate) fn may_replace(&self, on_disk: Option<Digest>) -> bool {
        on_disk.is_none() || on_disk == self.previous
    }

    /// Takes a record into what the journal says is there.
    pub(crate) fn take_in(
        record: &Record,
        artifacts: &mut BTreeMap<ArtifactName, Digest>,
    ) -> Result<(), JournalError> {
        if let Some((name, last)) = Self::of(record)? {
            match last.digest {
                Some(digest) => artifacts.insert(name, digest),
                None => artifacts.remove(&name),
            };
        }
        Ok(())
    }

    /// What the journal says of one path, record by record, read without a lock.
    pub(crate) fn all(
        home: &Home,
        name: &ArtifactName,
    ) -> Result<impl Iterator<Item = Result<Self, JournalError>>, JournalError> {
        let events = Events::open(home)?.in_stream(STREAM, name.as_str());
        Ok(events.filter_map(|record| match record.and_then(|record| Self::of(&record)) {
            Ok(said) => said.map(|(_, last)| Ok(last)),
            Err(error) => Some(Err(error)),
        }))
    }

    /// The journal's last word about a path.
    pub(crate) fn read(
        locked: &mut LockedLog<'_>,
        name: &ArtifactName,
    ) -> Result<Option<Self>, JournalError> {
        let Some(record) = locked.last(STREAM, name.as_str())? else { return Ok(None) };
        Ok(Self::of(&record)?.map(|(_, last)| last))
    }

    /// The version of a path, if this is the digest that the journal says it has.
    pub(crate) fn version(
        locked: &mut LockedLog<'_>,
        name: &ArtifactName,
        digest: Digest,
    ) -> Result<Option<u64>, JournalError> {
        let last = Self::read(locked, name)?;
        Ok(last.filter(|last| last.digest == Some(digest)).map(|last| last.version))
    }
}

/// The journal's last word about many paths.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    last: BTreeMap<ArtifactName, Last>,
    /// How far the journal was read.
    read: Option<Cursor>,
}

impl Catalog {
    /// About all paths, read without a lock.
    pub(crate) fn read(home: &Home) -> Result<Self, JournalError> {
        let mut catalog = Self::default();
        catalog.read_on(home)?;
        Ok(catalog)
    }

    /// Takes in what was appended since.
    pub(crate) fn read_on(&mut self, home: &Home) -> Result<(), JournalError> {
        let mut events = Events::open(home)?;
        if let Some(cursor) = self.read {
            events = events.from(cursor)?;
        }
        for record in events.by_ref() {
            self.take_in(&record?)?;
        }
        self.read = Some(events.cursor());
        Ok(())
    }

    /// Takes in the next counted record, for who reads a journal for more than this.
    pub(crate) fn take_in(&mut self, record: &Record) -> Result<(), JournalError> {
        self.read = Some(record.cursor());
        self.last.extend(Last::of(record)?);
        Ok(())
    }

    /// What was said since, alone.
    pub(crate) fn since(&self, home: &Home) -> Result<Self, JournalError> {
        let mut since = Self { last: BTreeMap::new(), read: self.read };
        since.read_on(home)?;
        Ok(since)
    }

    /// About some paths.
    pub(crate) fn of<'a>(
        locked: &mut LockedLog<'_>,
        names: impl Iterator<Item = &'a ArtifactName>,
    ) -> Result<Self, JournalError> {
        let mut catalog = Self::default();
        for name in names {
            let last = Last::read(locked, name)?;
            catalog.last.extend(last.map(|last| (name.clone(), last)));
        }
        Ok(catalog)
    }

    /// The last record of a path, be it a removal.
    pub(crate) fn last(&self, name: &ArtifactName) -> Option<&Last> {
        self.last.get(name)
    }

    /// The digest that a path has, if the journal says that it is there.
    pub(crate) fn digest(&self, name: &ArtifactName) -> Option<Digest> {
        self.last.get(name).and_then(|last| last.digest)
    }

    /// Every path that the journal says is there, sorted, with its digest.
    pub(crate) fn digests(&self) -> impl Iterator<Item = (&ArtifactName, Digest)> {
        self.last.iter().filter_map(|(name, last)| Some((name, last.digest?)))
    }

    /// Every path, sorted, with its last record.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ArtifactName, &Last)> {
        self.last.iter()
    }
}
