//! Which records a reader wants.

use crate::journal::record::Record;

/// What a record must be, all at once; nothing said: all records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Only records with a greater seq,
    pub(crate) after: u64,
    /// and none that begins before this byte.
    pub(crate) from: u64,
    pub(crate) event_type: Option<String>,
    pub(crate) stream: Option<(String, String)>,
    pub(crate) correlation: Option<String>,
}

impl Filter {
    pub(crate) fn wants(&self, record: &Record) -> bool {
        let stream = self.stream.as_ref();
        let correlation = self.correlation.as_deref();
        record.seq() > self.after
            && record.offset() >= self.from
            && self.event_type.as_ref().is_none_or(|wanted| wanted == record.event_type())
            && stream.is_none_or(|(kind, id)| {
                kind == record.aggregate_kind() && id == record.stream_id()
            })
            && correlation.is_none_or(|wanted| record.correlation_id() == Some(wanted))
    }
}
