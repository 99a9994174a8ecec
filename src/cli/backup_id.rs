//! Ids of snapshots, as much of them as tells them apart.

use runjournal::{Backup, Snapshot};

use super::error::CliError;

/// No fewer characters are shown.
const SHORTEST: usize = 8;

/// How much of an id tells the snapshots of a backup apart. Every verb takes that for the id; JSON has all of it.
#[derive(Clone, Copy)]
pub(super) struct ShortIds(usize);

impl ShortIds {
    pub(super) fn of(backup: &Backup) -> Result<Self, CliError> {
        let ids = backup.snapshots()?.iter().map(|snapshot| snapshot.id().to_string()).collect();
        Ok(Self(length(ids)))
    }

    pub(super) fn id(self, snapshot: &Snapshot) -> String {
        snapshot.id().to_string().chars().take(self.0).collect()
    }
}

/// One more than what two neighbours begin with, not ending in a hyphen.
fn length(mut ids: Vec<String>) -> usize {
    ids.sort();
    let pairs = ids.iter().zip(ids.iter().skip(1));
    let alike = pairs.map(|(a, b)| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count());
    let length = alike.max().map_or(SHORTEST, |alike| SHORTEST.max(alike + 1));
    // Hyphens stand in the same places of all of them.
    let ends_in_hyphen = ids.iter().any(|id| id.as_bytes().get(length - 1) == Some(&b'-'));
    length + usize::from(ends_in_hyphen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_as_short_as_they_can_be_told_apart() {
        let length_of = |ids: &[&str]| length(ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(length_of(&[]), 8);
        assert_eq!(length_of(&["0193b5f8-1c2d-7000"]), 8);
        assert_eq!(length_of(&["0193b5f8-1c2d-7000", "0200b5f8-1c2d-7000"]), 8);
        assert_eq!(length_of(&["0193b5f8-1c2d-7000", "0193b5f8-2c2d-7000"]), 10);
        let ids = ["0193b5f8-1c2e-7000", "0200b5f8-1c2d-7000", "0193b5f8-1c2d-7000"];
        assert_eq!(length_of(&ids), 13);
        assert_eq!(length_of(&["0193b5f8-1c2d-7000", "0193b5f8-1c2d-8000"]), 15);
    }
}
