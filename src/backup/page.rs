//! A page: the files of one home as a snapshot has them. It is an object itself, so a run that did not
//! change has the page that it had, and costs one line.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::journal::Cursor;
use crate::layout::{self, FORMAT_VERSION};
use crate::line;

/// Bytes of a piece of a journal. All but the last never change, so they are stored once.
pub(super) const PIECE: u64 = 1 << 20;
/// No page is longer: whoever reads one holds it in memory.
pub(super) const MAX_BYTES: u64 = 1 << 28;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) format_version: u32,
    /// Left out where none is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) journal: Option<PageJournal>,
    /// All else, sorted by path.
    pub(super) files: Vec<PageFile>,
}

/// A journal up to its last counted record, and what is damaged behind that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PageJournal {
    pub(super) bytes: u64,
    /// Behind the last counted record; left out where the genesis file is damaged or missing, so that nobody
    /// can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<Cursor>,
    pub(super) pieces: Vec<Digest>,
}

/// A file by its path from the home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PageFile {
    pub(super) path: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// True if it is not what the journal says, and was not at rest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) differs: bool,
}

impl Page {
    pub(super) fn new(journal: Option<PageJournal>, mut files: Vec<PageFile>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { format_version: FORMAT_VERSION, journal, files }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        Ok(line::seal(&serde_json::to_string(self)?, Digest::of).0)
    }

    /// Every object that the page names, with its size.
    pub(super) fn objects(&self) -> impl Iterator<Item = (Digest, u64)> {
        let files = self.files.iter().map(|file| (file.digest, file.size));
        self.journal.iter().flat_map(PageJournal::sized).chain(files)
    }

    /// Bytes of all that it describes.
    pub(super) fn size(&self) -> u64 {
        let files: u64 = self.files.iter().map(|file| file.size).sum();
        files + self.journal.as_ref().map_or(0, |journal| journal.bytes)
    }

    /// What is wrong with it, if it cannot be put back: whoever forged it must not reach out of the home.
    pub(super) fn fault(&self) -> Option<String> {
        let sorted = self.files.is_sorted_by(|a, b| a.path < b.path);
        if !sorted {
            return Some("its files are not sorted by path".to_owned());
        }
        let bad = self.files.iter().find(|file| !is_place(&file.path));
        if let Some(file) = bad {
            return Some(format!("no file of a task or a run lies at {:?}", file.path));
        }
        let mut sizes = HashMap::new();
        let two_sizes = |(digest, size)| *sizes.entry(digest).or_insert(size) != size;
        if self.objects().any(two_sizes) {
            return Some("it says two sizes of one object".to_owned());
        }
        let pieces = |journal: &PageJournal| journal.bytes.div_ceil(PIECE);
        let odd = |journal: &PageJournal| journal.pieces.len() as u64 != pieces(journal);
        self.journal.as_ref().filter(|journal| odd(journal)).map(|journal| {
            format!("{} pieces cannot hold {} bytes", journal.pieces.len(), journal.bytes)
        })
    }
}

impl PageJournal {
    /// The pieces with their sizes.
    pub(super) fn sized(&self) -> impl Iterator<Item = (Digest, u64)> {
        let begin = (0_u64..).map(|number| number.saturating_mul(PIECE));
        let sizes = begin.map(|at| self.bytes.saturating_sub(at).min(PIECE));
        self.pieces.iter().copied().zip(sizes)
    }
}

/// True for the paths of a home that a snapshot may have.
pub(super) fn is_place(path: &str) -> bool {
    let proper = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\0', '\\']);
    let Some((first, rest)) = path.split_once('/') else {
        return path == layout::RUN || path == layout::TASK;
    };
    let below =
        [layout::ARTIFACTS, layout::OBJECTS, layout::CHECKPOINTS, layout::QUARANTINE, layout::TMP];
    below.contains(&first) && rest.split('/').all(proper)
}
