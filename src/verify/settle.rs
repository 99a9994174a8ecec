//! Whether something is missing, or is just being removed: who removes a run with `rm -r` does it file by file.

use std::time::Duration;

use camino::Utf8Path;

use crate::finding::{Code, Finding};
use crate::io::was_changed_within;

/// What was removed longer ago is missing.
const RECENT: Duration = Duration::from_secs(2);
/// How long nothing must change.
const PAUSE: Duration = Duration::from_millis(200);
/// Who takes longer is not removing a run.
const ROUNDS: usize = 50;

/// Looks, and again while something vanishes.
pub(super) fn settled<T>(
    home: &Utf8Path,
    mut look: impl FnMut() -> T,
    findings: impl Fn(&T) -> &[Finding],
) -> T {
    let mut seen = look();
    for _ in 0..ROUNDS {
        if !findings(&seen).iter().any(|finding| is_vanishing(home, finding)) {
            break;
        }
        std::thread::sleep(PAUSE);
        let before = std::mem::replace(&mut seen, look());
        if findings(&before) == findings(&seen) {
            break;
        }
    }
    seen
}

/// True if it is about something that is not there, and was perhaps until now.
fn is_vanishing(home: &Utf8Path, finding: &Finding) -> bool {
    let is_missing = matches!(
        finding.code,
        Code::JournalMissing
            | Code::GenesisDamaged
            | Code::ArtifactMissing
            | Code::ObjectMissing
            | Code::CheckpointMissing
            | Code::Unreadable
    );
    // What stood there was a name in the nearest directory that still stands.
    let above = finding.place.path.ancestors().take_while(|path| path.starts_with(home));
    is_missing && above.skip(1).find_map(|dir| was_changed_within(dir, RECENT)).unwrap_or(false)
}
