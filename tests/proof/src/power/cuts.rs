//! Cuts of one kind of disk, one after the other, made in a namespace of mounts of its own.

use std::process::Child;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use super::disk::{Cut, Disk, Kind};
use crate::soak::ground::Ground;
use crate::soak::hand::Manner;
use crate::soak::judge::{Depth, Judged, judge};
use crate::soak::team::spawn;
use crate::trial::fast_directory;
use crate::{Budget, Outcome, Rng, ensure};

/// After so many cuts a new file system is made: all there is is judged each time.
const CUTS_PER_DISK: u64 = 10;

/// What is done, and what came of it.
struct Cuts<'a> {
    kind: Kind,
    program: &'a Utf8Path,
    chance: Rng,
    made: u64,
    judged: Judged,
}

/// Cuts the power so often, and more often while the budget lasts; returns what came of it as JSON.
pub(super) fn make(
    kind: Kind,
    (least, budget): (u64, &Budget),
    program: &Utf8Path,
) -> Outcome<serde_json::Value> {
    let chance = Rng::of(budget.seed, &[kind.name]);
    let mut cuts = Cuts { kind, program, chance, made: 0, judged: Judged::default() };
    let mut violations = Vec::new();
    while violations.is_empty() && (cuts.made < least || !budget.is_over()) {
        let dir = tempfile::tempdir_in(fast_directory())?;
        let path = Utf8PathBuf::try_from(dir.path().to_owned())?;
        let made = cuts.made;
        let wanted = |cuts: u64| cuts < made + CUTS_PER_DISK && (cuts < least || !budget.is_over());
        if let Err(found) = cuts.on_one_disk(&path, &wanted) {
            let kept = dir.keep();
            let place = format!("{}, cut {}, kept in {}", kind.name, cuts.made, kept.display());
            violations.push(found.at(place).to_string());
        }
    }
    let Judged { records, told } = cuts.judged;
    Ok(json!({"cuts": cuts.made, "records": records, "told": told, "violations": violations}))
}

impl Cuts<'_> {
    fn on_one_disk(&mut self, dir: &Utf8Path, wanted: &dyn Fn(u64) -> bool) -> Outcome {
        let mut disk = Disk::make(self.kind, dir)?;
        let ground = Ground::new(disk.root().join("workspaces"), dir.join("told"));
        disk.mount()?;
        ground.prepare()?;
        let mut found = Judged::default();
        let before = self.made;
        while wanted(self.made) {
            self.made += 1;
            self.cut(&mut disk, &ground)?;
            found = judge(&ground, self.depth())?;
        }
        // Some are cut off while they begin, but not all of them.
        ensure(found.told > 0 || self.made - before < CUTS_PER_DISK, || {
            format!("nothing was told in {CUTS_PER_DISK} cuts, so nothing is proved by them")
        })?;
        self.judged.records += found.records;
        self.judged.told += found.told;
        disk.unmount()
    }

    /// The index and repair are looked at now and then: they take longer than all else.
    fn depth(&self) -> Depth {
        if self.made.is_multiple_of(CUTS_PER_DISK) { Depth::All } else { Depth::Records }
    }

    /// Lets a worker work, cuts the power at a moment of chance, and mounts the disk again.
    fn cut(&mut self, disk: &mut Disk, ground: &Ground) -> Outcome {
        ground.power_is_on()?;
        // Every other worker is alone.
        let threads = if self.made.is_multiple_of(2) { 1 } else { 2 + self.chance.under(3) };
        let seed = self.chance.number();
        let manner = Manner { seed, number: self.made, threads, durable: true };
        let mut worker = spawn(self.program, ground, manner)?;
        std::thread::sleep(Duration::from_millis(20 + self.chance.under(250)));
        // Why it ended by itself, it told.
        still_works(&mut worker).map_err(|found| ground.acknowledged().err().unwrap_or(found))?;
        let how = if self.chance.once_in(4) { Cut::LogWritten } else { Cut::Sudden };
        let cut = ground.power_goes().and_then(|()| disk.cut(how));
        // What is under way goes on beneath the cut.
        std::thread::sleep(Duration::from_millis(10));
        worker.kill()?;
        worker.wait()?;
        cut?;
        disk.unmount()?;
        disk.mount()
    }
}

/// A worker works until it is cut off: one that ended before is not what the cut was for.
fn still_works(worker: &mut Child) -> Outcome {
    let ended = worker.try_wait()?;
    ensure(ended.is_none(), || {
        let ended = ended.map(|status| status.to_string()).unwrap_or_default();
        format!("a worker ended by itself before the power was cut: {ended}")
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_worker_that_died_at_once_is_told_of() {
        let mut dead = Command::new("false").spawn().unwrap();
        while dead.try_wait().unwrap().is_none() {}
        let told = still_works(&mut dead).unwrap_err().to_string();
        assert!(told.contains("ended by itself") && told.contains('1'), "{told}");
        let mut works = Command::new("sleep").arg("60").spawn().unwrap();
        still_works(&mut works).unwrap();
        works.kill().unwrap();
        works.wait().unwrap();
    }
}
