//! Bytes of a journal that do not count.

use camino::Utf8Path;

use crate::finding::{Code, Finding, Place};
use crate::journal::scan::{BROKEN_BATCH, BROKEN_CHAIN};

/// Why bytes do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SkipKind {
    /// Left by a killed writer, and sealed off.
    Garbage,
    /// Damage that a repair closed off: the record behind it vouches for it as it is.
    Repaired,
    /// Left by a killed writer at the end of the file, or just being written.
    Torn,
    /// What no killed writer can have left, and why.
    Damage(&'static str),
}

/// Bytes that do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) kind: SkipKind,
}

impl Skip {
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self.kind, SkipKind::Damage(_))
    }

    pub(crate) fn end(&self) -> u64 {
        self.offset + self.length
    }

    /// True if a skip of this kind at this offset is reported as one with this; of two reasons for
    /// damage, the first stands for both.
    pub(crate) fn touches(&self, kind: SkipKind, offset: u64) -> bool {
        std::mem::discriminant(&self.kind) == std::mem::discriminant(&kind) && self.end() == offset
    }

    /// The same as a finding in this journal.
    pub(crate) fn finding(&self, journal: &Utf8Path) -> Finding {
        let (code, reason) = match self.kind {
            SkipKind::Garbage => (Code::Garbage, "left by a killed writer and sealed off"),
            SkipKind::Repaired => (Code::Garbage, "damage that a repair closed off"),
            SkipKind::Torn => (Code::TornTail, "a write that was not finished"),
            SkipKind::Damage(reason @ (BROKEN_CHAIN | BROKEN_BATCH)) => (Code::BrokenChain, reason),
            SkipKind::Damage(reason) => (Code::JournalDamaged, reason),
        };
        let place = Place {
            path: journal.to_owned(),
            offset: Some(self.offset),
            length: Some(self.length),
        };
        Finding { code, place, reason: reason.to_owned() }
    }
}
