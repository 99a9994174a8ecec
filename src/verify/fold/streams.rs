//! Seqs without gaps, and versions within each stream.

use std::collections::HashMap;

use crate::finding::Code;
use crate::journal::Record;

/// How far each stream has come.
#[derive(Debug, Default)]
pub(in crate::verify) struct Streams {
    seq: u64,
    /// Seqs that no counted record has, so far.
    lost: u64,
    last: HashMap<String, Last>,
    /// `kind/id` of the record that is taken in.
    stream: String,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    version: u64,
    /// How many seqs were lost before it.
    lost: u64,
}

impl Streams {
    pub(in crate::verify) fn take_in(
        &mut self,
        record: &Record,
        tell: &mut dyn FnMut(Code, String),
    ) {
        let expected = self.seq + 1;
        if record.seq() != expected {
            let missing = record.seq().saturating_sub(expected);
            self.lost += missing;
            let reason = match missing {
                1 => "1 record is missing before it".to_owned(),
                several => format!("{several} records are missing before it"),
            };
            tell(Code::SequenceGap, reason);
        }
        self.seq = record.seq();
        self.stream.clear();
        self.stream.extend([record.aggregate_kind(), "/", record.stream_id()]);
        let now = Last { version: record.stream_version(), lost: self.lost };
        let before = match self.last.get_mut(&self.stream) {
            Some(last) => Some(std::mem::replace(last, now)),
            None => {
                self.last.insert(self.stream.clone(), now);
                None
            }
        };
        let next = before.map_or(0, |before| before.version + 1);
        // Records that are missing anyway may be those of the stream.
        let lost = now.lost - before.map_or(0, |before| before.lost);
        if now.version < next || now.version - next > lost {
            let stream = &self.stream;
            let reason = format!("it is version {} of {stream}, and {next} is next", now.version);
            tell(Code::VersionGap, reason);
        }
    }
}
