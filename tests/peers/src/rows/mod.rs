//! The rows, one file each or a few that belong together.

mod alone;
mod append;
mod artifacts;
pub(crate) mod bounds;
pub(crate) mod care;
mod durable;
pub(crate) mod index;
mod near;
mod one_shot;
mod parts;
pub(crate) mod processes;
pub(crate) mod replay;
mod rss;

pub(crate) use index::RACY;

use crate::Result;
use crate::args::Plan;
use crate::lab::Lab;
use crate::report::Entry;

pub(crate) const OURS: &str = "runjournal";
pub(crate) const WRITE: &str = "write(2) of ready bytes";
pub(crate) const FDATASYNC: &str = "write(2) + fdatasync";
pub(crate) const FS_WRITE: &str = "fs::write";
const REDB: &str = "redb, (id, line)";
const FJALL: &str = "fjall, (id, line)";

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) measure: fn(&Lab, &Plan) -> Result<Vec<Entry>>,
}

/// In the order of the table. The numbers are those of `docs/performance.md`.
pub(crate) const ALL: &[Row] = &[
    Row { name: "1", measure: append::one },
    Row { name: "2", measure: append::batch },
    Row { name: "3", measure: processes::measure },
    Row { name: "4", measure: append::peers },
    Row { name: "5", measure: one_shot::measure },
    Row { name: "6", measure: durable::one_thread },
    Row { name: "7", measure: durable::threads },
    Row { name: "8", measure: artifacts::small },
    Row { name: "9", measure: artifacts::large },
    Row { name: "10", measure: artifacts::durable },
    Row { name: "11", measure: replay::measure },
    Row { name: "12", measure: index::rebuild },
    Row { name: "13", measure: index::refresh },
    Row { name: "14", measure: index::queries },
    Row { name: "15", measure: care::verify },
    Row { name: "16", measure: care::backup },
    Row { name: "17", measure: rss::measure },
    Row { name: "near", measure: near::measure },
    Row { name: "parts", measure: parts::measure },
];
