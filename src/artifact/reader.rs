//! An artifact of any size, open for reading.

use std::io::{self, Read, Seek, SeekFrom};
use std::process::Stdio;

use super::ArtifactError;
use super::catalog::Last;
use crate::digest::Digest;
use crate::error::IoError;
use crate::io::ReadFile;
use crate::journal::Home;
use crate::name::ArtifactName;

/// An artifact, open for reading: from [`Artifacts::open`](super::Artifacts::open), a transaction or
/// a step. It is one open file, so whatever is committed meanwhile, it reads the content that was
/// there when it was opened, from its beginning to its end.
///
/// ```no_run
/// # use runjournal::{ArtifactName, RunContext};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ctx = RunContext::from_env()?;
/// const MODEL: ArtifactName = ArtifactName::from_static("model.bin");
/// let mut model = ctx.artifacts().open(MODEL)?;
/// model.verify()?;
/// let header = model.read_range(0, 512)?;
/// std::io::copy(&mut model, &mut std::io::stdout())?;
/// # let _ = header;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ArtifactReader {
    home: Home,
    name: ArtifactName,
    file: ReadFile,
    /// What the one who opened it knows that it holds.
    known: Option<Digest>,
}

impl ArtifactReader {
    pub(crate) fn new(
        home: &Home,
        name: ArtifactName,
        file: ReadFile,
        known: Option<Digest>,
    ) -> Self {
        Self { home: home.clone(), name, file, known }
    }

    /// The artifact's name.
    #[must_use]
    pub fn name(&self) -> &ArtifactName {
        &self.name
    }

    /// The length of the open file in bytes.
    ///
    /// # Errors
    /// Where the disk refuses to say.
    pub fn size(&self) -> Result<u64, ArtifactError> {
        Ok(self.file.len()?)
    }

    /// Exactly the `length` bytes from `offset`. Where `Read` goes on does not change.
    ///
    /// # Errors
    /// [`ArtifactError::OutOfRange`] where the range reaches over the end of the file: what comes
    /// back is never shorter than what was asked for.
    pub fn read_range(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, ArtifactError> {
        let (size, wanted) = (self.file.len()?, length as u64);
        let out_of_range = || {
            let name = self.name.clone();
            ArtifactError::OutOfRange { name, offset, length: wanted, size }
        };
        if offset.checked_add(wanted).is_none_or(|end| end > size) {
            return Err(out_of_range());
        }
        let mut bytes = Vec::with_capacity(length);
        self.file.keeping_position(|file| file.read_at(offset, wanted, &mut bytes))?;
        // Something else than the library cut the file off meanwhile.
        if bytes.len() < length { Err(out_of_range()) } else { Ok(bytes) }
    }

    /// Checks the whole open file against the journal, and returns its digest. An older version is
    /// good as well: it may have been replaced since it was opened. What a transaction or a step
    /// opened is checked against the digest that it had then. Reads all of it, in flat memory; where
    /// `Read` goes on does not change.
    ///
    /// # Errors
    /// [`ArtifactError::Changed`] names the file and both digests; [`ArtifactError::NotFound`] says
    /// that the journal knows no content of this name.
    pub fn verify(&mut self) -> Result<Digest, ArtifactError> {
        let found = self.digest()?;
        let expected = match self.known {
            Some(known) => known,
            None => self.journaled(found)?,
        };
        if expected == found {
            return Ok(found);
        }
        Err(ArtifactError::Changed { path: self.file.path().to_owned(), expected, found })
    }

    /// All from where `Read` goes on, with the path in the error.
    pub(crate) fn read_all(&mut self) -> Result<Vec<u8>, IoError> {
        self.file.read_all()
    }

    /// The digest that it is known to have: that of a stage.
    pub(crate) fn known(&self) -> Option<Digest> {
        self.known
    }

    /// Finds out its digest, which [`verify`](ArtifactReader::verify) goes by from then on.
    pub(crate) fn learn(&mut self) -> Result<Digest, ArtifactError> {
        let digest = self.digest()?;
        self.known = Some(digest);
        Ok(digest)
    }

    /// Hashes the whole open file.
    fn digest(&mut self) -> Result<Digest, ArtifactError> {
        Ok(self.file.keeping_position(|file| file.digest())?.0)
    }

    /// `found`, if a record of this artifact names it, otherwise what the newest one names.
    fn journaled(&self, found: Digest) -> Result<Digest, ArtifactError> {
        let mut newest = None;
        for said in Last::all(&self.home, &self.name)? {
            let digest = said?.digest;
            if digest == Some(found) {
                return Ok(found);
            }
            newest = digest.or(newest);
        }
        newest.ok_or_else(|| {
            let run = self.home.dir().to_owned();
            ArtifactError::NotFound { name: self.name.clone(), run }
        })
    }
}

impl Read for ArtifactReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

/// For a child process to read from, from where `Read` goes on.
impl From<ArtifactReader> for Stdio {
    fn from(reader: ArtifactReader) -> Self {
        Self::from(reader.file)
    }
}

impl Seek for ArtifactReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
