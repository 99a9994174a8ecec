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

use camino::Utf8Path;

use crate::threads::on_threads;
use crate::trial::fast_directory;
use crate::{Budget, Outcome, Row, Trial, Violation};
use blow::Blow;
use scene::Scene;

/// A workspace with everything in it, each file of it damaged in each way.
pub const TRIAL: Trial = Trial { name: "damage", unit: "damaged states", run };

/// No more violations are told: the first ones say it all.
const MOST: usize = 50;

/// Tries one blow after the other, on a file of each kind in turn; of a small one in time every bit and every
/// truncation.
fn run(budget: &Budget) -> Outcome<Row> {
    let temporary = tempfile::tempdir_in(fast_directory())?;
    let dir = Utf8Path::from_path(temporary.path())
        .ok_or_else(|| Violation::new("the temporary directory is not UTF-8"))?;
    let scene = Scene::make(&dir.join("whole"))?;
    let next = AtomicU64::new(0);
    let found = Mutex::new(Row::default());
    let ended = on_threads(2, |worker| {
        let place = dir.join(format!("worker-{worker}"));
        while !budget.is_over() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let tried = try_one(&scene, &place, budget.seed, number);
            let Ok(mut row) = found.lock() else { break };
            match tried {
                Ok(tried) => row.tried += u64::from(tried),
                Err(violation) => row.violations.push(violation),
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
