//! A file system in a file, which can lose its power.

use std::process::{Command, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::{Outcome, Violation, ensure};

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    mkfs: &'static str,
    arguments: &'static [&'static str],
    bytes: u64,
}

/// Those that are tried. The images are as small as they can be; xfs has no smaller ones.
pub(super) const KINDS: &[Kind] = &[
    Kind { name: "ext4", mkfs: "mkfs.ext4", arguments: &["-q", "-F"], bytes: 64 << 20 },
    Kind { name: "xfs", mkfs: "mkfs.xfs", arguments: &["-q", "-f"], bytes: 300 << 20 },
];

/// How the power is cut.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    /// What the file system has in memory is gone.
    Sudden,
    /// The log of the file system was just written; contents of files were not.
    LogWritten,
}

/// A disk, mounted or not.
#[derive(Debug)]
pub(super) struct Disk {
    kind: Kind,
    image: Utf8PathBuf,
    mount: Utf8PathBuf,
    mounted: bool,
}

impl Disk {
    /// Makes the file system, in this directory.
    pub(super) fn make(kind: Kind, dir: &Utf8Path) -> Outcome<Self> {
        let (image, mount) = (dir.join("image"), dir.join("mount"));
        std::fs::File::create(&image)?.set_len(kind.bytes)?;
        std::fs::create_dir_all(&mount)?;
        run(Command::new(kind.mkfs).args(kind.arguments).arg(&image))?;
        Ok(Self { kind, image, mount, mounted: false })
    }

    /// Where it is mounted.
    pub(super) fn root(&self) -> &Utf8Path {
        &self.mount
    }

    /// Mounts it: the file system plays its log.
    pub(super) fn mount(&mut self) -> Outcome {
        let mut mount = Command::new("mount");
        run(mount.args(["-o", "loop", "-t", self.kind.name]).args([&self.image, &self.mount]))?;
        self.mounted = true;
        Ok(())
    }

    /// Cuts the power: from now on nothing is read from it or written to it.
    pub(super) fn cut(&self, how: Cut) -> Outcome {
        let command = match how {
            Cut::Sudden => "shutdown",
            Cut::LogWritten => "shutdown -f",
        };
        run(Command::new("xfs_io").args(["-x", "-c", command]).arg(&self.mount))
    }

    /// Takes it off; who had it open may need a moment to be gone.
    pub(super) fn unmount(&mut self) -> Outcome {
        let mut last = Ok(());
        for _ in 0..200 {
            last = run(Command::new("umount").arg(&self.mount));
            if last.is_ok() {
                self.mounted = false;
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        last
    }
}

impl Drop for Disk {
    /// A loop device goes with its mount.
    fn drop(&mut self) {
        if self.mounted {
            let _ = run(Command::new("umount").arg("--lazy").arg(&self.mount));
        }
    }
}

/// Runs a program to its end, which has to be a good one.
pub(super) fn run(command: &mut Command) -> Outcome {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Violation::from(error).at(command.get_program().to_string_lossy()))?;
    ensure(output.status.success(), || {
        let told = String::from_utf8_lossy(&output.stderr);
        format!("{command:?} ended with {}: {}", output.status, told.trim())
    })
}
