//! Reading on while another writer has the lock.

use crate::error::IoError;
use crate::journal::Log;
use crate::journal::head::entry::Place;
use crate::journal::scan::Seen;
use crate::journal::scan::forward::Forward;

impl Log {
    /// Takes in what others appended, without the lock: so they do not wait while it is read with the
    /// lock held. Only what counts in any case is taken in: a line that is whole and follows the state
    /// was appended by whoever had the lock, and stays. All else may be in flight, and is left for the
    /// catch-up under the lock, which also finds out whether this is the same journal still.
    pub(super) fn read_ahead(&mut self) -> Result<(), IoError> {
        let Self { file, cursor, ledger, stream_names, sync, opened, .. } = self;
        let Some(len) = file.linked_len()?.filter(|len| *opened && *len > cursor.offset) else {
            return Ok(());
        };
        let mut forward = Forward::new(*cursor);
        let (mut records, mut all_count) = (Vec::new(), true);
        let mut see = |seen| match seen {
            Seen::Record(record) => records.push(record),
            Seen::Skip(_) => all_count = false,
        };
        let read = |offset, count, buffer: &mut _| file.read_at(offset, count, buffer);
        forward.step(len, read, &mut see)?;
        if !all_count || records.is_empty() {
            return Ok(());
        }
        sync.saw_others();
        for record in records {
            let stream = stream_names.name(record.aggregate_kind(), record.stream_id());
            ledger.apply(&record.facts(), stream, Place::of(&record));
        }
        *cursor = forward.cursor;
        Ok(())
    }
}
