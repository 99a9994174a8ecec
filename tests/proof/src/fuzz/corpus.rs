//! The corpus of a target: files in `tests/fuzz/corpus`, few and small, that reach all that was ever reached.

use std::path::{Path, PathBuf};

use runjournal::Digest;

use super::engine::worked_on;
use super::{Engine, harvest, names};
use crate::Outcome;

/// No corpus has more files,
const FILES: usize = 50;
/// or more bytes,
const BYTES: usize = 200 << 10;
/// and none of them is longer.
const LONGEST: usize = 12 << 10;

/// The files that a target is fed with.
#[derive(Debug, Default)]
pub struct Corpus {
    /// Their names and contents, sorted by name.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Corpus {
    /// That of a target, as it is kept with the sources; empty where it is not there.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn of(target: &str) -> Outcome<Self> {
        Self::read(&kept(target))
    }

    pub(super) fn read(dir: &Path) -> Outcome<Self> {
        let mut files = Vec::new();
        if dir.is_dir() {
            for entry in std::fs::read_dir(dir)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                files.push((name, std::fs::read(entry.path())?));
            }
        }
        files.sort();
        Ok(Self { files })
    }

    /// Bytes of all of it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.files.iter().map(|(_, content)| content.len()).sum()
    }

    fn write(&self, dir: &Path) -> Outcome {
        std::fs::create_dir_all(dir)?;
        self.files
            .iter()
            .try_for_each(|(name, content)| Ok(std::fs::write(dir.join(name), content)?))
    }
}

/// `tests/fuzz` among the sources that this was built from.
pub(super) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fuzz")
}

/// Where the corpus of a target is kept.
pub(super) fn kept(target: &str) -> PathBuf {
    sources().join("corpus").join(target)
}

/// Adds what fixtures and real runs have for each target to what libFuzzer works on; returns how many.
///
/// # Errors
/// Where a run cannot be made, or nothing can be written.
pub fn add_seeds() -> Outcome<usize> {
    let seeds = harvest::all()?;
    for (target, content) in &seeds {
        let name = Digest::of(content).to_hex();
        if content.len() <= LONGEST {
            std::fs::write(worked_on(target)?.join(name), content)?;
        }
    }
    Ok(seeds.len())
}

/// Keeps of what libFuzzer works on as few files as reach the same, up to the limits of a corpus; files with a
/// name of their own (`found-...`) stay.
///
/// # Errors
/// Where libFuzzer fails, or nothing can be written.
pub fn minimize(engine: &Engine) -> Outcome {
    for target in names() {
        let dir = kept(target);
        let mut corpus = Corpus::of(target)?;
        corpus.files.retain(|(name, _)| name.starts_with("found-"));
        let mut merged = engine.merged(target)?.files;
        merged.sort_by_key(|(_, content)| content.len());
        // Short ones and long ones alike.
        let step = merged.len().div_ceil(FILES).max(1);
        for (name, content) in merged.into_iter().rev().step_by(step) {
            let is_known = corpus.files.iter().any(|(_, known)| *known == content);
            let fits = corpus.bytes() + content.len() <= BYTES && corpus.files.len() < FILES;
            if fits && !is_known && content.len() <= LONGEST {
                let short = name.get(..16).unwrap_or(&name);
                corpus.files.push((short.to_owned(), content));
            }
        }
        if dir.is_dir() {
            std::fs::remove_dir_all(&dir)?;
        }
        corpus.write(&dir)?;
    }
    Ok(())
}
