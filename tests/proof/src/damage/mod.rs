//! Damage in every kind of file: bits flipped, ends cut off, lines swapped, doubled and removed, holes of NULs,
//! files of others. What is damaged is told of, or was derived and is asked in vain; what is read is what it was,
//! or is refused; and an append afterwards loses nothing.

mod answers;
mod backup;
mod blow;
mod index;
mod scene;
mod state;

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use camino::{Utf8Path, Utf8PathBuf};

use crate::again::again;
use crate::threads::on_threads;
use crate::trial::fast_directory;
use crate::{Budget, Outcome, Row, Trial, Violation};
use blow::Blow;
use scene::Scene;

/// A workspace with everything in it, each file of it damaged in each way.
pub const TRIAL: Trial = Trial { name: "damage", unit: "damaged states", run };

/// No more violations are told: the first ones say it all.
const MOST: usize = 10;

/// Tries one blow after the other, on a file of each kind in turn; of a small one in time every bit and every
/// truncation. One at least, however little time there is.
fn run(budget: &Budget) -> Outcome<Row> {
    let temporary = tempfile::tempdir_in(fast_directory())?;
    let dir = Utf8PathBuf::try_from(temporary.path().to_owned())?;
    let scene = Scene::make(&dir.join("whole"))?;
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let found = Mutex::new(Row::default());
    let ended = on_threads(2, |worker| {
        let place = dir.join(format!("worker-{worker}"));
        while done.load(Ordering::Relaxed) == 0 || !budget.is_over() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let tried = try_one(&scene, &place, budget.seed, number);
            let Ok(mut row) = found.lock() else { break };
            let changed = u64::from(!matches!(tried, Ok(false)));
            done.fetch_add(changed, Ordering::Relaxed);
            row.tried += changed;
            if let Err(violation) = tried {
                let command = format!("damage --seed {} --number {number}", budget.seed);
                row.violations.push(violation.and(again(&command)));
            }
            if row.violations.len() >= MOST {
                break;
            }
        }
        Ok(())
    });
    let mut row = found.into_inner().map_err(|_| Violation::new("a worker died"))?;
    row.violations.extend(ended.err());
    row.notes.push(format!("{} files of {} kinds", scene.files.len(), scene.kinds.len()));
    Ok(row)
}

/// Tries the blow with this number again, on a scene that is made anew: the same but for ids and times.
///
/// # Errors
/// Where the scene cannot be made.
pub fn again_at(seed: u64, number: u64) -> Outcome<Row> {
    let temporary = tempfile::tempdir_in(fast_directory())?;
    let dir = Utf8PathBuf::try_from(temporary.path().to_owned())?;
    let scene = Scene::make(&dir.join("whole"))?;
    let tried = try_one(&scene, &dir.join("again"), seed, number);
    let changed = u64::from(!matches!(tried, Ok(false)));
    Ok(Row { tried: changed, violations: tried.err().into_iter().collect(), ..Row::default() })
}

/// The blow with this number, in a copy of its own; false where it would change nothing.
fn try_one(scene: &Scene, place: &Utf8Path, seed: u64, number: u64) -> Outcome<bool> {
    let (file, turn) = scene.file(number)?;
    let bytes = std::fs::read(scene.dir.join(file))?;
    // Otherwise all files of a kind would be hit at the same place.
    let mix = |salt: u64, byte: u8| salt.wrapping_mul(31).wrapping_add(u64::from(byte));
    let salt = file.as_str().bytes().fold(0, mix);
    let blow = Blow::nth(&bytes, &scene.alike(file), turn, seed ^ salt);
    let Some(struck) = blow.strike(&bytes, &scene.dir)?.filter(|struck| *struck != bytes) else {
        return Ok(false);
    };
    let checked = std::panic::catch_unwind(AssertUnwindSafe(|| {
        state::check(scene, place, file, &struck, &blow)
    }));
    let checked = checked.unwrap_or_else(|_| Err(Violation::new("it panicked")));
    checked.map_err(|violation| {
        violation.at(format_args!("seed {seed}, number {number}: {file}: {blow:?}"))
    })?;
    Ok(true)
}
