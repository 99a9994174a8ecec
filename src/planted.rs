//! Wrong versions of this code, each one line away from the right one. The proof's build has them, to show that
//! its trials find each of them out; in every other build none is ever there.

/// Mistakes, each with what it is chosen by.
macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident = $name:literal,)*) => {
        /// A mistake that can be made in this code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Bug {
            $($(#[$doc])* $bug,)*
        }

        /// The names of all mistakes.
        #[cfg(runjournal_proof)]
        pub const BUGS: &[&str] = &[$($name,)*];

        #[cfg(runjournal_proof)]
        impl Bug {
            const fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)*
                }
            }
        }
    };
}

bugs! {
    /// The content of a file is not synced.
    #[cfg(runjournal_proof)]
    Unsynced = "no-fsync",
    /// The names in a directory are not synced.
    #[cfg(runjournal_proof)]
    NamesUnsynced = "no-directory-fsync",
    /// Nobody waits for a lock.
    Unlocked = "no-lock",
}

impl Bug {
    /// True if this process is to make it: `RUNJOURNAL_PLANTED` names it.
    #[cfg(runjournal_proof)]
    pub(crate) fn is_planted(self) -> bool {
        static PLANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        let planted = PLANTED.get_or_init(|| std::env::var("RUNJOURNAL_PLANTED").ok());
        planted.as_deref() == Some(self.name())
    }

    /// Never.
    #[cfg(not(runjournal_proof))]
    #[expect(clippy::unused_self, reason = "as where it can be")]
    pub(crate) const fn is_planted(self) -> bool {
        false
    }
}
