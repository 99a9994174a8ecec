//! The one way to append: check, then write.

use crate::journal::scan::skip::SkipKind;
use crate::journal::{
    AllAppended, Appended, Event, ExpectedVersion, JournalError, LockedLog, MAX_BATCH_RECORDS,
    Record, TooLarge, types,
};
use crate::json;
use crate::planted::Bug;

impl LockedLog<'_> {
    /// Appends events as one batch, whole or not at all: buffered, so it survives this process; for
    /// more, sync afterwards. A key that stands already returns the first events.
    pub(crate) fn append(&mut self, events: &[Event]) -> Result<AllAppended, JournalError> {
        self.append_if(events, Self::check_admitted)
    }

    /// The same for what no lease and no step stands in the way of: claims and bindings themselves, the
    /// first record, and what people answer.
    pub(crate) fn append_unfenced(
        &mut self,
        events: &[Event],
    ) -> Result<AllAppended, JournalError> {
        self.append_if(events, |locked| locked.check_open())
    }

    fn append_if(
        &mut self,
        events: &[Event],
        check_admitted: impl FnOnce(&mut Self) -> Result<(), JournalError>,
    ) -> Result<AllAppended, JournalError> {
        check(events)?;
        if self.stale {
            self.catch_up()?;
        }
        self.check_not_damaged()?;
        if let Some(first) = self.duplicate_of(events)? {
            return Ok(first);
        }
        check_admitted(self)?;
        self.check_versions(events)?;
        let staged = self.stage(events)?;
        // To look something up may have been to scan the journal anew, and to find damage.
        self.check_not_damaged()?;
        if self.log.cursor.seq == 0 {
            self.sync_names()?;
        }
        self.write(events, staged)
    }

    /// The first events with the key of these, if they are the same.
    pub(crate) fn duplicate_of(
        &mut self,
        events: &[Event],
    ) -> Result<Option<AllAppended>, JournalError> {
        let Some(key) = events.first().and_then(|event| event.key.as_ref()) else {
            return Ok(None);
        };
        let Some(first) = self.keyed(key)? else { return Ok(None) };
        let seq = first.first().map_or(0, Record::seq);
        let conflict = |difference| self.key_conflict(key, seq, difference);
        if first.len() != events.len() {
            return Err(conflict("number of events"));
        }
        for (record, event) in first.iter().zip(events) {
            if record.event_type() != event.event_type {
                return Err(conflict("type"));
            }
            let (kind, id) = event.stream_or(self.log.home.default_stream());
            if (record.aggregate_kind(), record.stream_id()) != (kind, id) {
                return Err(conflict("stream"));
            }
            if !same_meaning(record, event)? && !Bug::KeysUncompared.is_planted() {
                return Err(conflict("payload"));
            }
        }
        let appended = first.iter().map(|record| Appended {
            seq: record.seq(),
            event_id: record.event_id(),
            stream_version: record.stream_version(),
            duplicate: true,
        });
        Ok(Some(appended.collect()))
    }

    /// The key stands already, and for something else.
    pub(crate) fn key_conflict(
        &self,
        key: &str,
        seq: u64,
        difference: &'static str,
    ) -> JournalError {
        let path = self.log.file.path().to_owned();
        JournalError::KeyConflict { path, key: key.to_owned(), seq, difference }
    }

    /// Refuses to go on behind damage. A closed journal does not go on in any case.
    pub(crate) fn check_not_damaged(&self) -> Result<(), JournalError> {
        match self.rest.damage() {
            None => Ok(()),
            Some(_) if self.log.ledger.is_closed() => Ok(()),
            Some(_) if Bug::DamageIgnored.is_planted() => Ok(()),
            Some(skip) => Err(JournalError::DamagedTail {
                path: self.log.file.path().to_owned(),
                offset: skip.offset,
                length: skip.length,
                reason: match skip.kind {
                    SkipKind::Damage(reason) => reason,
                    _ => "not a record",
                },
            }),
        }
    }

    /// Refuses what somebody without the lease, anybody in a closed run, or an attempt of a step that is
    /// over, wants to append.
    pub(crate) fn check_admitted(&mut self) -> Result<(), JournalError> {
        self.check_lease()?;
        self.check_open()?;
        let Some(stream) = self.log.step_stream else { return Ok(()) };
        let last = self.find(stream)?.map(|found| found.place);
        if last.is_some() && last == self.log.admitted_at {
            return Ok(());
        }
        let Some(step) = self.log.home.step.clone() else { return Ok(()) };
        let last_record = self.last_of(stream)?;
        let newest = last_record.filter(|last| last.event_type() == types::STEP_STARTED);
        let newest = newest.map(|started| started.event_id());
        if newest == Some(step.started) {
            self.log.admitted_at = last;
            return Ok(());
        }
        Err(JournalError::StepSuperseded {
            step: step.name,
            started: step.started,
            newest: newest
                .map_or_else(|| "it ended".to_owned(), |id| format!("superseded by {id}")),
        })
    }

    fn check_open(&self) -> Result<(), JournalError> {
        if self.log.ledger.is_closed() && !Bug::Reopened.is_planted() {
            return Err(JournalError::Closed { path: self.log.file.path().to_owned() });
        }
        Ok(())
    }

    fn check_versions(&mut self, events: &[Event]) -> Result<(), JournalError> {
        for event in events {
            if event.expected == ExpectedVersion::Any {
                continue;
            }
            let (kind, id) = event.stream_or(self.log.home.default_stream());
            let (kind, id) = (kind.to_owned(), id.to_owned());
            let found = self.version(&kind, &id)?;
            if !event.expected.admits(found) && !Bug::VersionUnchecked.is_planted() {
                let (stream, expected) = (format!("{kind}/{id}"), event.expected);
                return Err(JournalError::VersionConflict { stream, expected, found });
            }
        }
        Ok(())
    }

    /// Closes off damage at the end of the file, and only there.
    pub(crate) fn append_repair(&mut self, event: &Event) -> Result<AllAppended, JournalError> {
        self.check_open()?;
        let events = std::slice::from_ref(event);
        let staged = self.stage(events)?;
        self.write(events, staged)
    }
}

/// Checks what can be told of a batch without the journal.
pub(crate) fn check(events: &[Event]) -> Result<(), JournalError> {
    events.iter().try_for_each(Event::check)?;
    if let Some(event) = events.iter().skip(1).find(|event| event.key.is_some()) {
        return Err(
            event.bad("a batch has one key, that of its first event (or the transaction's)")
        );
    }
    let (size, limit) = (events.len(), MAX_BATCH_RECORDS);
    if size > limit {
        return Err(JournalError::TooLarge { what: TooLarge::BatchRecords, size, limit });
    }
    Ok(())
}

/// True if payloads mean the same: equal as JSON values, in the library's own events apart from what
/// it fills in itself.
fn same_meaning(record: &Record, event: &Event) -> Result<bool, JournalError> {
    let first = record.payload_json()?;
    let (first, second) = (first.as_deref(), event.payload.as_deref());
    if json::same_value(first, second) {
        return Ok(true);
    }
    let meaning = |json: Option<&str>| {
        let mut members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(json?).ok()?;
        members.retain(|name, _| !types::FILLED_IN.contains(&name.as_str()));
        Some(members)
    };
    Ok(types::is_reserved(&event.event_type)
        && meaning(first).is_some_and(|first| Some(first) == meaning(second)))
}
