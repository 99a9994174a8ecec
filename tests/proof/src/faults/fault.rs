//! What a failing disk does to a call.

use std::fmt;
use std::str::FromStr;

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

    /// Its name.
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

    /// True if the library treats it as it treats another one that can hit the same calls: to what is full it is all
    /// one whether that is the disk (`ENOSPC`) or the user's share of it.
    pub(super) fn is_as_another(self) -> bool {
        self == Self::Edquot
    }

    /// True if the system can answer this call so.
    pub(super) fn hits(self, call: &Call<'_>) -> bool {
        match self {
            Self::Eio => true,
            Self::Enospc | Self::Edquot => call.makes() || call.syncs(),
            Self::Erofs => call.needs_right_to_write(),
            Self::Emfile => call.opens(),
            // These are made again by the standard library before anybody hears of it.
            Self::Eintr => !matches!(call, Call::SyncFile { .. } | Call::Truncate { .. }),
            Self::Short => call.bytes().is_some_and(|bytes| bytes > 1),
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

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| format!("it is none of {}", Self::ALL.map(Self::name).join(", ")))
    }
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
