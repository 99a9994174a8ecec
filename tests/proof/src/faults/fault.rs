//! What a failing disk does to a call.

use std::fmt;

use runjournal::proof::{Call, Verdict};

/// How a call fails, or falls short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The disk cannot.
    Eio,
    /// It is full.
    Enospc,
    /// The user's share of it is full.
    Edquot,
    /// It must only be read.
    Erofs,
    /// The process has too many files open.
    Emfile,
    /// A signal came in between.
    Eintr,
    /// Less is read, or written, than was asked for.
    Short,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Eio,
        Self::Enospc,
        Self::Edquot,
        Self::Erofs,
        Self::Emfile,
        Self::Eintr,
        Self::Short,
    ];

    /// The system's number; `None` of what is no error.
    pub(super) fn errno(self) -> Option<i32> {
        match self {
            Self::Eio => Some(5),
            Self::Enospc => Some(28),
            Self::Edquot => Some(122),
            Self::Erofs => Some(30),
            Self::Emfile => Some(24),
            Self::Eintr => Some(4),
            Self::Short => None,
        }
    }

    /// The name of the error, as `strace` knows it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Eio => "EIO",
            Self::Enospc => "ENOSPC",
            Self::Edquot => "EDQUOT",
            Self::Erofs => "EROFS",
            Self::Emfile => "EMFILE",
            Self::Eintr => "EINTR",
            Self::Short => "short",
        }
    }

    /// True if the library treats it as it treats another one that can hit the same calls: a disk that is full for
    /// good is one, be it that of the user (`EDQUOT`), and what must not be written cannot be (`EIO`). Nothing
    /// in its sources tells them apart.
    pub(super) fn is_as_another(self) -> bool {
        matches!(self, Self::Edquot | Self::Erofs)
    }

    /// True if the system can answer this call so.
    pub(super) fn hits(self, call: &Call<'_>) -> bool {
        let makes = matches!(
            call,
            Call::Create { .. }
                | Call::MakeDir { .. }
                | Call::Rename { .. }
                | Call::Link { .. }
                | Call::Write { .. }
                | Call::Truncate { .. }
                | Call::Clone { .. }
        );
        match self {
            Self::Eio => true,
            Self::Enospc | Self::Edquot => makes || is_sync(call),
            // What is opened may be opened to be written.
            Self::Erofs => {
                let removes = matches!(call, Call::Unlink { .. } | Call::RemoveDir { .. });
                makes || removes || matches!(call, Call::Open { .. })
            }
            Self::Emfile => matches!(call, Call::Open { .. } | Call::Create { .. }),
            // These are made again by the standard library before anybody hears of it.
            Self::Eintr => !matches!(call, Call::SyncFile { .. } | Call::Truncate { .. }),
            Self::Short => match call {
                Call::Read { len, .. } => *len > 1,
                Call::Write { bytes, .. } => bytes.len() > 1,
                _ => false,
            },
        }
    }

    fn verdict(self, call: &Call<'_>) -> Verdict {
        match (self.errno(), call) {
            (Some(errno), _) => Verdict::Fail(errno),
            (None, Call::Write { bytes, .. }) => Verdict::Short(bytes.len() / 2),
            // Fewer bytes than most things have that are read.
            (None, _) => Verdict::Short(61),
        }
    }
}

/// True if the call brings something to the disk.
pub(super) fn is_sync(call: &Call<'_>) -> bool {
    matches!(call, Call::SyncFile { .. } | Call::SyncDir { .. } | Call::SyncAll)
}

/// A failure of one call, or of all that follow it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// How many calls come before it.
    pub(super) at: usize,
    /// True if it does not go away: so does each later call that it can hit.
    pub(super) lasting: bool,
}

impl Fault {
    /// How many calls it hits at most. Signals do not come for good.
    pub(super) fn most(self) -> usize {
        match (self.lasting, self.kind) {
            (false, _) => 1,
            (true, Kind::Eintr) => 3,
            (true, _) => usize::MAX,
        }
    }

    /// What becomes of a call, where so many came before it.
    pub(super) fn verdict(self, before: usize, call: &Call<'_>) -> Option<Verdict> {
        (before >= self.at && self.kind.hits(call)).then(|| self.kind.verdict(call))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let long = if self.lasting { "for good from" } else { "once at" };
        write!(f, "{} {long} call {}", self.kind.name(), self.at)
    }
}
