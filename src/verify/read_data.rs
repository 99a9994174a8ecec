//! Which files are read.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;

/// Of which artifacts and objects the content is read and held against its digest. Journals, genesis files,
/// checkpoints and manifests are always read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadData {
    /// Of none: that they are there, and how long they are, is all that is looked at.
    #[default]
    None,
    /// Of all.
    All,
    /// Of one of so many parts, from 1: each file is in exactly one, by its path, so that all parts together
    /// read all.
    Part {
        /// Which part.
        part: u32,
        /// Of how many.
        of: u32,
    },
    /// Of about so many of a hundred, other ones each time.
    Percent(u8),
}

/// There is no such part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} names no part of the files: it must be N/T, where N is from 1 to T, or P%, where P is from 1 \
     to 100"
)]
pub struct ReadDataError {
    /// What was asked for.
    pub text: String,
}

impl ReadData {
    pub(super) fn check(self) -> Result<(), ReadDataError> {
        let fits = match self {
            ReadData::None | ReadData::All => true,
            ReadData::Part { part, of } => (1..=of).contains(&part),
            ReadData::Percent(percent) => (1..=100).contains(&percent),
        };
        if fits { Ok(()) } else { Err(ReadDataError { text: self.to_string() }) }
    }
}

impl fmt::Display for ReadData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadData::None => f.pad("none"),
            ReadData::All => f.pad("all"),
            ReadData::Part { part, of } => f.pad(&format!("{part}/{of}")),
            ReadData::Percent(percent) => f.pad(&format!("{percent}%")),
        }
    }
}

impl FromStr for ReadData {
    type Err = ReadDataError;

    /// `none`, `all`, `N/T` or `P%`.
    fn from_str(text: &str) -> Result<Self, ReadDataError> {
        let bad = || ReadDataError { text: text.to_owned() };
        let read = match text {
            "none" => ReadData::None,
            "all" => ReadData::All,
            _ => match (text.strip_suffix('%'), text.split_once('/')) {
                (Some(percent), _) => ReadData::Percent(percent.parse().map_err(|_| bad())?),
                (None, Some((part, of))) => ReadData::Part {
                    part: part.parse().map_err(|_| bad())?,
                    of: of.parse().map_err(|_| bad())?,
                },
                (None, None) => return Err(bad()),
            },
        };
        read.check().map(|()| read)
    }
}

/// Tells of each file whether it is read.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    read_data: ReadData,
    /// Makes a percentage another one each time.
    seed: [u8; 16],
}

impl Choice {
    pub(super) fn new(read_data: ReadData, seed: [u8; 16]) -> Self {
        Self { read_data, seed }
    }

    /// Whether all files are read, or none; `None` where it depends on the file.
    pub(super) fn is_of_all(&self) -> Option<bool> {
        match self.read_data {
            ReadData::None => Some(false),
            ReadData::All => Some(true),
            ReadData::Part { .. } | ReadData::Percent(_) => None,
        }
    }

    /// By the path below the root, so that it is the same wherever the workspace lies.
    pub(super) fn takes(&self, path: &str) -> bool {
        match self.read_data {
            ReadData::None => false,
            ReadData::All => true,
            ReadData::Part { part, of } => {
                number(Digest::of(path.as_bytes())) % u64::from(of.max(1))
                    == u64::from(part.saturating_sub(1))
            }
            ReadData::Percent(percent) => {
                let seeded = [&self.seed, path.as_bytes()].concat();
                number(Digest::of(&seeded)) % 100 < u64::from(percent)
            }
        }
    }
}

/// 64 of its bits.
fn number(digest: Digest) -> u64 {
    let hex = digest.to_hex();
    hex.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_file_once() {
        for of in [1, 2, 7] {
            for file in 0..500 {
                let path = format!("T/runs/R/artifacts/{file}");
                let parts = (1..=of).map(|part| ReadData::Part { part, of });
                let taken = parts.filter(|part| Choice::new(*part, [0; 16]).takes(&path)).count();
                assert_eq!(taken, 1, "{path} of {of}");
            }
        }
    }

    #[test]
    fn a_percentage_is_about_that_and_another_one_each_time() {
        let taken = |seed: u8| -> Vec<u32> {
            let choice = Choice::new(ReadData::Percent(10), [seed; 16]);
            (0..10_000).filter(|file| choice.takes(&format!("a/{file}"))).collect()
        };
        assert!((800..1200).contains(&taken(1).len()), "{}", taken(1).len());
        assert_ne!(taken(1), taken(2));
        assert_eq!(taken(1), taken(1));
    }

    #[test]
    fn what_it_says_is_what_it_reads() {
        for text in ["none", "all", "1/1", "3/7", "1%", "100%"] {
            assert_eq!(text.parse::<ReadData>().unwrap().to_string(), text);
        }
        for text in ["", "0/1", "2/1", "1/0", "0%", "101%", "%", "/", "1", "-1/2", "1/2/3"] {
            assert!(text.parse::<ReadData>().is_err(), "{text}");
        }
    }
}
