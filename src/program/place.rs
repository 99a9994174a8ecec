//! Where a program runs.

use camino::Utf8Path;

use crate::error::IoError;
use crate::io::Dir;
use crate::step::StepContext;

/// A place in the attempt's work folder for one program: a folder for its outputs, and names for its streams.
/// What is there goes when it is dropped, or else with the attempt.
#[derive(Debug)]
pub(super) struct Place {
    /// The work folder.
    pub(super) dir: Dir,
    pub(super) out: String,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Place {
    pub(super) fn make(s: &StepContext) -> Result<Self, IoError> {
        let dir = s.open_work_dir()?;
        let mut number = 1;
        loop {
            // Others may run at the same time, from other threads of the same body.
            let suffix = if number == 1 { String::new() } else { format!("-{number}") };
            let out = format!("out{suffix}");
            if dir.create_dir(&out)? {
                let (stdout, stderr) = (format!(".stdout{suffix}"), format!(".stderr{suffix}"));
                return Ok(Self { dir, out, stdout, stderr });
            }
            number += 1;
        }
    }

    pub(super) fn work_dir(&self) -> &Utf8Path {
        self.dir.path()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.dir.remove_file(&self.stdout);
        let _ = self.dir.remove_file(&self.stderr);
        // Last: whoever can make this folder may make the others.
        let _ = self.dir.remove_tree(&self.out);
    }
}
