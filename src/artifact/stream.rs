//! Artifacts of any size, written piece by piece: [`ArtifactWriter`] and [`StagedWriter`].

use std::fmt;
use std::io::{self, Read, Write};

use camino::Utf8Path;

use super::stage::{Content, Stage};
use super::writer::HomeWriter;
use super::{ArtifactError, Artifacts, Expect, Stored};
use crate::error::IoError;
use crate::io::ReadFile;
use crate::layout;
use crate::name::ArtifactName;

/// An artifact that is being written, from [`Artifacts::create`]: any size, in flat memory, hashed
/// while it is written. Nobody sees any of it before [`commit`](ArtifactWriter::commit); dropped
/// without, it leaves nothing. A process that is killed leaves at most a file in `.tmp/` that no
/// record names.
///
/// After a failed write the content is in doubt, so every later call, `commit` too, fails as well.
///
/// ```no_run
/// # use runjournal::{ArtifactName, Expect, RunContext};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ctx = RunContext::from_env()?;
/// # let mut download = std::io::empty();
/// const MODEL: ArtifactName = ArtifactName::from_static("model.bin");
/// let mut file = ctx.artifacts().create(MODEL)?.expect(Expect::Absent);
/// std::io::copy(&mut download, &mut file)?;
/// let stored = file.commit()?;
/// # let _ = stored;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is written until the writer is committed"]
pub struct ArtifactWriter {
    store: Artifacts,
    name: ArtifactName,
    stage: Stage,
    expect: Expect,
}

impl ArtifactWriter {
    pub(super) fn new(store: &Artifacts, name: ArtifactName) -> Result<Self, ArtifactError> {
        let stage = Stage::create(store.writer())?;
        Ok(Self { store: store.clone(), name, stage, expect: Expect::Any })
    }

    /// Commits only if the artifact is what is expected then.
    pub fn expect(mut self, expect: Expect) -> Self {
        self.expect = expect;
        self
    }

    /// Adds the content of a file, as [`Artifacts::import`] does, and returns its length.
    ///
    /// # Errors
    /// As [`Artifacts::import`]. Once a part of the file was taken in, nothing can be committed.
    pub fn import(&mut self, source: impl AsRef<Utf8Path>) -> Result<u64, ArtifactError> {
        import(&mut self.stage, source.as_ref())
    }

    /// Adds all that a reader still holds, and returns how much that was.
    ///
    /// # Errors
    /// Where the reader fails, or the disk refuses. Then nothing can be committed.
    pub fn write_from(&mut self, content: impl Read) -> Result<u64, ArtifactError> {
        fill(&mut self.stage, &self.name, content)
    }

    /// Commits what was written: the artifact is whole, or as it was.
    ///
    /// # Errors
    /// The failure of an earlier write; [`ArtifactError::Conflict`] where the artifact is not what is
    /// expected; otherwise as [`Transaction::commit`](super::Transaction::commit).
    pub fn commit(self) -> Result<Stored, ArtifactError> {
        let mut transaction = self.store.transaction();
        transaction.add(self.name.clone(), self.stage.finish()?, self.expect)?;
        self.store.commit_one(transaction, self.name)
    }
}

/// An artifact that is being written, to be committed together with others: from
/// [`Transaction::create`](super::Transaction::create) or from a step. What is written counts as
/// staged once [`finish`](StagedWriter::finish) returned; dropped before, it leaves nothing.
///
/// After a failed write the content is in doubt, so every later call, `finish` too, fails as well.
#[must_use = "nothing is staged until the writer is finished"]
pub struct StagedWriter<'a> {
    name: ArtifactName,
    stage: Stage,
    expect: Expect,
    add: Box<Add<'a>>,
}

/// Gives finished content to the transaction that it belongs to.
type Add<'a> = dyn FnOnce(ArtifactName, Content, Expect) -> Result<(), ArtifactError> + Send + 'a;

impl<'a> StagedWriter<'a> {
    pub(crate) fn create(
        writer: &HomeWriter,
        name: ArtifactName,
        add: impl FnOnce(ArtifactName, Content, Expect) -> Result<(), ArtifactError> + Send + 'a,
    ) -> Result<Self, ArtifactError> {
        let stage = Stage::create(writer)?;
        Ok(Self { name, stage, expect: Expect::Any, add: Box::new(add) })
    }

    /// The write goes through only if the artifact is what is expected at the commit.
    pub fn expect(mut self, expect: Expect) -> Self {
        self.expect = expect;
        self
    }

    /// Adds the content of a file, as [`Artifacts::import`] does, and returns its length.
    ///
    /// # Errors
    /// As [`Artifacts::import`]. Once a part of the file was taken in, nothing can be staged.
    pub fn import(&mut self, source: impl AsRef<Utf8Path>) -> Result<u64, ArtifactError> {
        import(&mut self.stage, source.as_ref())
    }

    /// The same of the first bytes of a file that is open, for as long as nobody wants it to end.
    pub(crate) fn import_part(
        &mut self,
        source: &mut ReadFile,
        most: u64,
        ends: &dyn Fn() -> bool,
    ) -> Result<u64, ArtifactError> {
        Ok(self.stage.import_part(source, most, ends)?)
    }

    /// Adds all that a reader still holds, and returns how much that was.
    ///
    /// # Errors
    /// Where the reader fails, or the disk refuses. Then nothing can be staged.
    pub fn write_from(&mut self, content: impl Read) -> Result<u64, ArtifactError> {
        fill(&mut self.stage, &self.name, content)
    }

    /// Stages what was written. The last write of a path wins.
    ///
    /// # Errors
    /// The failure of an earlier write, or where the disk refuses.
    pub fn finish(self) -> Result<(), ArtifactError> {
        let content = self.stage.finish()?;
        (self.add)(self.name, content, self.expect)
    }
}

impl fmt::Debug for StagedWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedWriter").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Write for ArtifactWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut self.stage, bytes)
    }

    /// Does nothing: content is promised by its commit alone.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for StagedWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut self.stage, bytes)
    }

    /// Does nothing: content is promised by its commit alone.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn fill(
    stage: &mut Stage,
    name: &ArtifactName,
    mut content: impl Read,
) -> Result<u64, ArtifactError> {
    let path = layout::artifact(name.as_str());
    let describe = |error| IoError::new("read what is to be", path.as_str().into(), error);
    Ok(stage.read_from(&mut content, describe)?)
}

fn import(stage: &mut Stage, source: &Utf8Path) -> Result<u64, ArtifactError> {
    let Some(mut file) = ReadFile::anywhere(source)? else {
        return Err(ArtifactError::NotAFile { path: source.to_owned() });
    };
    Ok(stage.import(&mut file)?)
}
