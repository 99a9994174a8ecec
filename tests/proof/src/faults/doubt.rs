//! What a failed sync of a journal left in doubt: the next writer brings it to the disk before anything stands
//! behind it, and where that fails as well, says so, and the one after it does.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::proof::Watch;
use runjournal::{Appended, Durability, Event, Severity};

use super::cell::{Bench, Tried};
use super::disk::Disk;
use super::fault::{Fault, Kind};
use crate::again::again;
use crate::disk::Trace;
use crate::trial::fast_directory;
use crate::{Acks, Budget, Outcome, Place, Rng, Row, Violation, ensure, operations};

/// The operations that sync the run's journal, and leave a run to which anybody may append.
const TRIED: &[&str] = &["append_durable", "artifact_overwrite", "transaction_with_key", "step"];
/// Those of them for which `cargo test` has the time.
const TRIED_IN_SHORT: usize = 1;

/// So many states that a power cut leaves, once everybody was told, and after each failure of a next writer.
const STATES: usize = 100;
const FEW_STATES: usize = 8;

/// Each sync of the run's journal fails, then a next writer goes on; and once more for each call of that writer,
/// which fails too. Where there is no budget, that of one operation alone.
///
/// # Errors
/// Where a trial itself cannot be made. What was found is in the row.
pub fn in_doubt(worker: &Utf8Path, budget: Option<&Budget>) -> Outcome<Row> {
    let mut row = Row::default();
    let most = budget.map_or(TRIED_IN_SHORT, |_| TRIED.len());
    for name in TRIED.iter().take(most) {
        if budget.is_some_and(Budget::is_over) {
            break;
        }
        let operation = operations::find(name)
            .ok_or_else(|| Violation::new(format!("nothing is called {name}")))?;
        let tried = Tried { operation, heads: false };
        row.tried += cells_of(tried, worker, &mut row.violations)?;
    }
    row.notes.push(format!("{} behind a failed sync", row.tried));
    Ok(row)
}

/// The same of one operation. Returns how many were tried.
pub(super) fn cells_of(
    tried: Tried,
    worker: &Utf8Path,
    violations: &mut Vec<Violation>,
) -> Outcome<u64> {
    let temporary = tempfile::tempdir_in(fast_directory())?;
    let dir = Utf8PathBuf::try_from(temporary.path().to_owned())?;
    let bench = Bench::new(tried, worker, dir)?;
    let name = tried.operation.name;
    let mut note = |found: Violation, at: String| {
        let again = again(&format!("fault --operation {name} --in-doubt"));
        violations.push(found.at(format!("{name}, {at}")).and(again));
    };
    let calm = story(&bench, &[])?;
    let (mut cells, mut refused) = (0, 0);
    for sync in calm.of_journal.into_iter().filter(|at| *at < calm.ended) {
        let failed = Fault { kind: Kind::Eio, at: sync, lasting: false };
        let heard = story(&bench, &[failed]).and_then(|story| {
            story.check(&bench, STATES)?;
            Ok(story)
        });
        cells += 1;
        let story = match heard {
            Ok(story) => story,
            Err(found) => {
                note(found, failed.to_string());
                continue;
            }
        };
        for (at, kinds) in story.open_to.iter().enumerate().skip(story.ended) {
            for kind in [Kind::Eio, Kind::Short].into_iter().filter(|kind| kinds.contains(kind)) {
                let behind = Fault { kind, at, lasting: false };
                let heard = self::story(&bench, &[failed, behind]);
                cells += 1;
                refused += usize::from(heard.as_ref().is_ok_and(Story::was_refused));
                let heard = heard.and_then(|story| story.check(&bench, FEW_STATES));
                heard
                    .err()
                    .into_iter()
                    .for_each(|found| note(found, format!("{failed} and {behind}")));
            }
        }
    }
    if refused == 0 {
        note(Violation::new("nobody was told that anything is in doubt"), "all of it".into());
    }
    Ok(cells)
}

/// What happened.
struct Story {
    /// The calls that sync the run's journal.
    of_journal: Vec<usize>,
    /// The kinds of failure that can hit each call.
    open_to: Vec<Vec<Kind>>,
    /// How many calls there were until the operation ended.
    ended: usize,
    /// What was done, with how many next writers had ended by then.
    trace: Trace,
    /// How the next writer fared, and the one after that, on a disk that works.
    next: Outcome<Appended>,
    last: Outcome<Appended>,
    /// True if each failure came.
    hit: bool,
}

/// An operation and two next writers, on a disk on which calls fail.
fn story(bench: &Bench, faults: &[Fault]) -> Outcome<Story> {
    let place = bench.fresh()?;
    let journal = std::fs::metadata(place.run_dir().join("journal/events.jsonl"))?.ino();
    let disk = Arc::new(Disk::new(&place, faults));
    let operate =
        || -> Outcome { (bench.tried.operation.operate)(&place, &mut Acks::open(&place)?) };
    let writers = Arc::new(AtomicUsize::new(0));
    let work = || {
        let operated = operate();
        let ended = disk.open_to().len();
        place.begin();
        let next = go_on(&place);
        disk.mend();
        writers.store(1, Ordering::SeqCst);
        (operated, ended, next, go_on(&place))
    };
    let shown: Arc<dyn Watch> = Arc::<Disk>::clone(&disk);
    let heard = Arc::clone(&writers);
    let heard = move || heard.load(Ordering::SeqCst);
    let (trace, (operated, ended, next, last)) =
        Trace::record_beside(place.dir(), shown, heard, work)?;
    ensure(operated.is_err() || faults.is_empty(), || "its sync failed, and it went well".into())?;
    let (of_journal, open_to) = (disk.syncs_of(journal), disk.open_to());
    let hit = disk.hits().len() == faults.len();
    Ok(Story { of_journal, open_to, ended, trace, next, last, hit })
}

/// Somebody opens the journal, and is told that a record of theirs is durable.
fn go_on(place: &Place) -> Outcome<Appended> {
    let journal = place.ctx()?.journal()?.durability(Durability::Durable);
    Ok(journal.append(Event::new(WENT_ON))?)
}

impl Story {
    /// True if the next writer was told that something is in doubt.
    fn was_refused(&self) -> bool {
        self.next.as_ref().is_err_and(|error| error.to_string().contains(IN_DOUBT))
    }

    /// What was told is in every state that a power cut leaves, before the last writer came and after it, and nothing
    /// is damaged.
    fn check(&self, bench: &Bench, most: usize) -> Outcome {
        ensure(self.hit, || "it was not hit".into())?;
        let last = self.last.as_ref().map_err(|found| found.clone().at("nobody goes on"))?;
        let next = self.next.as_ref().ok();
        let all = self.trace.len();
        let before = (0..all).find(|point| self.trace.acknowledged_after(*point) > 0);
        let before = before.unwrap_or(all);
        let appended = usize::from(next.is_some());
        self.check_at(bench, before, most, next.into_iter().collect(), appended)?;
        let told: Vec<_> = next.into_iter().chain([last]).collect();
        self.check_at(bench, all, most, told, appended + 1)
    }

    /// The same at one moment. Of who was refused since something is in doubt, nothing is there.
    fn check_at(
        &self,
        bench: &Bench,
        point: usize,
        most: usize,
        told: Vec<&Appended>,
        appended: usize,
    ) -> Outcome {
        for image in self.trace.disk_after(point).states(most, &mut Rng::new(0)).0 {
            let place = Place::new(bench.beside("cut")?);
            std::fs::create_dir_all(place.dir())?;
            image.write_to(place.dir())?;
            let lost = |what: &str| format!("{what}: {}", image.lost().join("; "));
            let (records, findings) = place.ctx()?.events()?.read_all()?;
            let damage = findings.iter().find(|found| found.code.severity() >= Severity::Error);
            ensure(damage.is_none(), || format!("{}, {damage:?}", lost("damaged")))?;
            let seeded = records.iter().any(|record| record.event_type() == "seeded");
            ensure(seeded, || lost("what was there before is lost"))?;
            for told in &told {
                let is_there = records.iter().any(|record| record.event_id() == told.event_id);
                ensure(is_there, || lost("durable and lost"))?;
            }
            let of_next = records.iter().filter(|record| record.event_type() == WENT_ON).count();
            ensure(!self.was_refused() || of_next == appended, || lost("refused, and appended"))?;
        }
        Ok(())
    }
}

/// What a next writer appends.
const WENT_ON: &str = "went_on";

/// What the library says of it.
const IN_DOUBT: &str = "what it left in doubt cannot be written again";
