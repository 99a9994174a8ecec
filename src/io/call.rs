//! A call on the disk, and what becomes of it. Only the proof's build has this.

use std::ffi::CStr;

/// The number of a file or directory on its disk. It may be given again to another once the first is gone. Where a
/// whole path is named, that of its directory is 0.
pub type Node = u64;

/// A system call on something below a watched tree, as it is about to be made, or was.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names of the fields say what they are")]
pub enum Call<'a> {
    /// What is there is opened, to be read alone or to be written as well.
    Open { dir: Node, name: &'a CStr, to_write: bool },
    /// A file is opened, and made where it is not there; `only_new` is refused where it is.
    Create { dir: Node, name: &'a CStr, only_new: bool },
    /// A directory is made.
    MakeDir { dir: Node, name: &'a CStr },
    /// Something gets another name; what had that is gone.
    Rename { from: Node, name: &'a CStr, into: Node, to: &'a CStr },
    /// A file gets one name more.
    Link { from: Node, name: &'a CStr, into: Node, to: &'a CStr },
    /// A file loses a name.
    Unlink { dir: Node, name: &'a CStr },
    /// An empty directory is removed.
    RemoveDir { dir: Node, name: &'a CStr },
    /// Names in a directory are read: the first of them, or that there are no more.
    List { dir: Node },
    /// What is open is looked at.
    Look { node: Node },
    /// What stands at a name is looked at.
    LookAt { dir: Node, name: &'a CStr },
    /// Bytes are read.
    Read { file: Node, len: usize },
    /// Bytes are written; the offset is known once they were.
    Write { file: Node, offset: Option<u64>, bytes: &'a [u8] },
    /// A file is cut, or made longer by zeros.
    Truncate { file: Node, len: u64 },
    /// A file becomes what another one is.
    Clone { file: Node, source: Node },
    /// A file's content is brought to the disk.
    SyncFile { file: Node },
    /// The names in a directory are brought to the disk.
    SyncDir { dir: Node },
    /// All that was written is brought to the disk.
    SyncAll,
    /// A lock is tried.
    Lock { file: Node },
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Go,
    /// It is not made, and fails with this error of the system.
    Fail(i32),
    /// No more than so many bytes of it are read or written.
    Short(usize),
}

/// What a call is for. Each call is of one sort, so that no trial forgets a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// It opens what is there.
    Opens,
    /// It looks, reads or locks.
    Looks,
    /// It makes something, and may need room for that.
    Makes,
    /// It takes something away.
    Removes,
    /// It brings something to the disk.
    Syncs,
}

impl Call<'_> {
    fn sort(&self) -> Sort {
        match self {
            Self::Open { .. } => Sort::Opens,
            Self::List { .. }
            | Self::Look { .. }
            | Self::LookAt { .. }
            | Self::Read { .. }
            | Self::Lock { .. } => Sort::Looks,
            Self::Create { .. }
            | Self::MakeDir { .. }
            | Self::Rename { .. }
            | Self::Link { .. }
            | Self::Write { .. }
            | Self::Truncate { .. }
            | Self::Clone { .. } => Sort::Makes,
            Self::Unlink { .. } | Self::RemoveDir { .. } => Sort::Removes,
            Self::SyncFile { .. } | Self::SyncDir { .. } | Self::SyncAll => Sort::Syncs,
        }
    }

    /// True if it can change what is on the disk.
    #[must_use]
    pub fn changes(&self) -> bool {
        matches!(self.sort(), Sort::Makes | Sort::Removes)
    }

    /// True if it makes something, or makes it longer: the disk may have no room for that.
    #[must_use]
    pub fn makes(&self) -> bool {
        self.sort() == Sort::Makes
    }

    /// True if it brings something to the disk.
    #[must_use]
    pub fn syncs(&self) -> bool {
        self.sort() == Sort::Syncs
    }

    /// True if something is open after it that was not before.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.sort() == Sort::Opens || matches!(self, Self::Create { .. })
    }

    /// True if a disk that must only be read refuses it.
    #[must_use]
    pub fn needs_right_to_write(&self) -> bool {
        self.changes() || matches!(self, Self::Open { to_write: true, .. })
    }

    /// How many bytes it reads or writes, where it does.
    #[must_use]
    pub fn bytes(&self) -> Option<usize> {
        match self {
            Self::Read { len, .. } => Some(*len),
            Self::Write { bytes, .. } => Some(bytes.len()),
            _ => None,
        }
    }

    /// The name that it is about; of a rename or a link, the new one.
    #[must_use]
    pub fn name(&self) -> Option<&CStr> {
        match *self {
            Self::Open { name, .. }
            | Self::Create { name, .. }
            | Self::MakeDir { name, .. }
            | Self::Rename { to: name, .. }
            | Self::Link { to: name, .. }
            | Self::Unlink { name, .. }
            | Self::RemoveDir { name, .. }
            | Self::LookAt { name, .. } => Some(name),
            Self::List { .. }
            | Self::Look { .. }
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Truncate { .. }
            | Self::Clone { .. }
            | Self::SyncFile { .. }
            | Self::SyncDir { .. }
            | Self::SyncAll
            | Self::Lock { .. } => None,
        }
    }

    /// What it is called.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open { .. } => "Open",
            Self::Create { .. } => "Create",
            Self::MakeDir { .. } => "MakeDir",
            Self::Rename { .. } => "Rename",
            Self::Link { .. } => "Link",
            Self::Unlink { .. } => "Unlink",
            Self::RemoveDir { .. } => "RemoveDir",
            Self::List { .. } => "List",
            Self::Look { .. } => "Look",
            Self::LookAt { .. } => "LookAt",
            Self::Read { .. } => "Read",
            Self::Write { .. } => "Write",
            Self::Truncate { .. } => "Truncate",
            Self::Clone { .. } => "Clone",
            Self::SyncFile { .. } => "SyncFile",
            Self::SyncDir { .. } => "SyncDir",
            Self::SyncAll => "SyncAll",
            Self::Lock { .. } => "Lock",
        }
    }
}
