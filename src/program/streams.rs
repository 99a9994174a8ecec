//! A program's standard streams: files, so that nobody has to read along, and nothing can hang on a pipe that
//! a grandchild keeps open.

use std::process::{Command, Stdio};

use super::Program;
use super::error::StderrTail;
use super::place::Place;
use crate::artifact::ArtifactError;
use crate::error::IoError;
use crate::io::{AppendFile, Dir, ReadFile};
use crate::name::ArtifactName;
use crate::step::{StepContext, StepError};

/// The streams that are captured. The files are held open: whatever the program does to their names, this is
/// what it wrote.
#[derive(Debug)]
pub(super) struct Captured {
    stdout: Option<ReadFile>,
    stderr: Option<ReadFile>,
}

impl Captured {
    /// Gives a program its streams. Those that become no artifact go to `shown`; without it standard output
    /// goes nowhere, and standard error is captured for the sake of its end.
    pub(super) fn attach(
        program: &Program,
        s: &StepContext,
        place: &Place,
        shown: Option<(Stdio, Stdio)>,
        command: &mut Command,
    ) -> Result<Self, StepError> {
        command.stdin(match &program.stdin {
            Some(name) => s.open(name)?.into(),
            None => Stdio::null(),
        });
        let (shown_out, shown_err) = shown.unzip();
        let mut captured = Self { stdout: None, stderr: None };
        if program.stdout.is_some() {
            let (file, stream) = create(&place.dir, &place.stdout)?;
            captured.stdout = Some(file);
            command.stdout(stream);
        } else {
            command.stdout(shown_out.unwrap_or_else(Stdio::null));
        }
        if program.stderr.is_some() && program.stderr == program.stdout {
            let (file, stream) = open(&place.dir, &place.stdout)?;
            captured.stderr = Some(file);
            command.stderr(stream);
        } else if let (None, Some(shown)) = (&program.stderr, shown_err) {
            command.stderr(shown);
        } else {
            let (file, stream) = create(&place.dir, &place.stderr)?;
            captured.stderr = Some(file);
            command.stderr(stream);
        }
        Ok(captured)
    }

    /// The end of what was written to standard error, where that was captured and can be read.
    pub(super) fn tail(&mut self) -> Option<StderrTail> {
        let file = self.stderr.as_mut()?;
        let from = file.len().ok()?.saturating_sub(StderrTail::MOST);
        let mut bytes = Vec::new();
        file.read_at(from, StderrTail::MOST, &mut bytes).ok()?;
        StderrTail::of(&bytes)
    }

    /// Those that become artifacts, and how much of each: what was written when the program had ended. One
    /// that left its group may write on.
    pub(super) fn outputs(self, program: &Program) -> Result<Vec<Output<'_>>, IoError> {
        let stderr = program.stderr.as_ref().filter(|name| program.stdout.as_ref() != Some(name));
        let streams = [program.stdout.as_ref().zip(self.stdout), stderr.zip(self.stderr)];
        let outputs = streams.into_iter().flatten().map(|(name, file)| {
            let len = file.len()?;
            Ok(Output { name, file, len })
        });
        outputs.collect()
    }
}

/// A stream that becomes an artifact.
#[derive(Debug)]
pub(super) struct Output<'a> {
    name: &'a ArtifactName,
    file: ReadFile,
    len: u64,
}

impl Output<'_> {
    pub(super) fn stage(self, s: &StepContext) -> Result<(), ArtifactError> {
        s.import_open(self.name, self.file, self.len)
    }
}

fn create(dir: &Dir, name: &str) -> Result<(ReadFile, AppendFile), IoError> {
    dir.create_new(name)?;
    open(dir, name)
}

/// A file to read what is written to a stream, and the stream. That writes to the end of the file, so that a
/// program that opens its own stream anew writes over nothing.
fn open(dir: &Dir, name: &str) -> Result<(ReadFile, AppendFile), IoError> {
    Ok((dir.open_read(name)?, dir.open_append(name)?))
}
