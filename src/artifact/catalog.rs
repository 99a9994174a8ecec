//! What the journal says of each artifact: its last word about every path.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{EventId, StepName};
use crate::journal::{Event, Fold, Record, types};
use crate::name::ArtifactName;

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
    pub(crate) fn event(&self, event_type: &str, id: EventId) -> Event {
        Event::new(event_type).stream("artifact", self.path.as_str()).payload(self).id(id)
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
    /// The digest of the path's record before.
    pub(crate) previous: Option<Digest>,
    pub(crate) causation: Option<EventId>,
    /// False for an adopted file, which is in place already.
    pub(crate) staged: bool,
}

/// The journal's last word about every path.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    last: BTreeMap<ArtifactName, Last>,
    /// Paths whose last record may still have to be put in place.
    unapplied: Vec<ArtifactName>,
}

impl Fold for Catalog {
    fn apply(&mut self, record: &Record) {
        let staged = match record.event_type() {
            types::ARTIFACT_WRITTEN | types::ARTIFACT_REMOVED => true,
            types::ARTIFACT_ADOPTED => false,
            _ => return,
        };
        // A payload of another shape can only come from a newer version: it names no path of ours.
        let Ok(payload) = record.payload::<ArtifactPayload>() else { return };
        let last = Last {
            event_id: record.event_id(),
            seq: record.seq(),
            version: record.stream_version(),
            digest: payload.digest,
            previous: payload.previous,
            causation: record.causation_event_id(),
            staged,
        };
        if staged {
            self.unapplied.push(payload.path.clone());
        }
        self.last.insert(payload.path, last);
    }
}

impl Catalog {
    /// The last record of a path, be it a removal.
    pub(crate) fn last(&self, name: &ArtifactName) -> Option<&Last> {
        self.last.get(name)
    }

    /// The digest that a path has, if the journal says that it is there.
    pub(crate) fn digest(&self, name: &ArtifactName) -> Option<Digest> {
        self.last.get(name).and_then(|last| last.digest)
    }

    /// The version of a path, if this is the digest that the journal says it has.
    pub(crate) fn version(&self, name: &ArtifactName, digest: Digest) -> Option<u64> {
        self.last.get(name).filter(|last| last.digest == Some(digest)).map(|last| last.version)
    }

    /// All paths that were ever written, sorted, with their last record.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ArtifactName, &Last)> {
        self.last.iter()
    }

    /// Records that may have to be put in place, in the order of the journal; superseded ones left out.
    pub(crate) fn unapplied(&self) -> Vec<(ArtifactName, Last)> {
        let mut names = self.unapplied.clone();
        names.sort();
        names.dedup();
        let mut records: Vec<_> = names
            .into_iter()
            .filter_map(|name| self.last.get(&name).cloned().map(|last| (name, last)))
            .filter(|(_, last)| last.staged)
            .collect();
        records.sort_by_key(|(_, last)| last.seq);
        records
    }

    pub(crate) fn has_unapplied(&self) -> bool {
        !self.unapplied.is_empty()
    }

    /// Notes that every record was put in place, or reported.
    pub(crate) fn all_applied(&mut self) {
        self.unapplied.clear();
    }
}
