//! What the records of one journal must add up to, record by record. What does not is told with its place.

mod ending;
mod steps;
mod streams;
mod turns;

use camino::Utf8Path;
pub(super) use ending::Ending;
pub(super) use steps::Steps;
pub(super) use streams::Streams;
pub(super) use turns::{Checkpoints, Created};

use crate::finding::{Code, Finding, Place};
use crate::journal::Record;

/// A finding at a record.
pub(super) fn at(journal: &Utf8Path, record: &Record, code: Code, reason: String) -> Finding {
    let place = Place {
        path: journal.to_owned(),
        offset: Some(record.offset()),
        length: Some(record.end() - record.offset()),
    };
    Finding { code, place, reason }
}
