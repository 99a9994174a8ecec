//! One trial: an operation on a disk that fails, and what it leaves.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::Digest;
use runjournal::proof::watch;

use super::disk::{Disk, Hit};
use super::fault::{Fault, Kind};
use crate::operations::Seen;
use crate::stage::Stage;
use crate::{Acks, Operation, Outcome, Place, Violation, check, ensure, raw, tree};

/// An operation that takes longer hangs: no lock is waited for as long.
const LIMIT: Duration = Duration::from_secs(60);

/// What calls are made to fail of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tried {
    pub(super) operation: &'static Operation,
    /// True if each journal gets a head after every record.
    pub(super) heads: bool,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = if self.heads { " with heads" } else { "" };
        write!(f, "{}{heads}", self.operation.name)
    }
}

/// A bench on which one operation is tried with failing calls.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) tried: Tried,
    stage: Stage,
    dir: Utf8PathBuf,
    /// The trees that were checked, with what was acknowledged in them.
    seen: HashSet<Digest>,
    pub(super) counts: Counts,
}

/// What was tried.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    /// Runs in which a call was hit.
    pub(super) tried: u64,
    /// Those that went through all the same.
    pub(super) went_through: u64,
    /// Trees that were left, and differ.
    pub(super) states: u64,
    /// Runs in which no call was hit.
    pub(super) hit_nothing: u64,
    /// Operations of which each cell was tried.
    pub(super) whole: u64,
}

impl Bench {
    /// Sets the stage; trials are made below a directory that is there.
    pub(super) fn new(tried: Tried, worker: &Utf8Path, dir: Utf8PathBuf) -> Outcome<Self> {
        let stage = Stage::of(tried.operation, tried.heads, worker)?;
        Ok(Self { tried, stage, dir, seen: HashSet::new(), counts: Counts::default() })
    }

    /// The kinds of failure that can hit each call of a run that nothing hits.
    pub(super) fn calls(&mut self) -> Outcome<Vec<Vec<Kind>>> {
        let (disk, ended) = self.run(&[])?;
        ended.map_err(|violation| violation.at("without a failure"))?;
        std::fs::remove_dir_all(self.place().dir())?;
        Ok(disk.open_to())
    }

    fn place(&self) -> Place {
        // All are of one length, and next to nobody's.
        Place::new(self.dir.join(format!("{}-cell", self.tried.operation.name)))
    }

    /// A directory next to the place, that is not there.
    pub(super) fn beside(&self, name: &str) -> Outcome<Utf8PathBuf> {
        let dir = self.dir.join(name);
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        Ok(dir)
    }

    /// A fresh stage.
    pub(super) fn fresh(&self) -> Outcome<Place> {
        let place = self.place();
        if place.dir().exists() {
            std::fs::remove_dir_all(place.dir())?;
        }
        self.stage.set(place.dir())?;
        Ok(place)
    }

    /// All that must hold at a place, once the disk works again; where journals have heads, with whatever heads were
    /// left and with none.
    fn check(&self, place: &Place) -> Outcome {
        tree::settle(place.dir())?;
        if !self.tried.heads {
            return check::after_a_crash(self.tried.operation, place);
        }
        let copy = |name| -> Outcome<Place> {
            let dir = self.beside(name)?;
            tree::copy(place.dir(), &dir)?;
            tree::settle(&dir)?;
            Ok(Place::new(dir))
        };
        let (straight, headless) = (copy("straight")?, copy("headless")?);
        check::after_a_crash_with_heads(self.tried.operation, place, &straight, &headless)
    }

    /// Makes the call while these faults hit it, and checks how it ended and what it left.
    pub(super) fn attempt(&mut self, faults: &[Fault]) -> Outcome {
        let tried = self.cell(faults);
        let dir = self.place();
        if dir.dir().exists() {
            std::fs::remove_dir_all(dir.dir())?;
        }
        tried
    }

    fn cell(&mut self, faults: &[Fault]) -> Outcome {
        let (disk, ended) = self.run(faults)?;
        let hits = disk.hits();
        if hits.is_empty() {
            self.counts.hit_nothing += 1;
            return ended.map_err(|found| found.at("nothing was hit"));
        }
        self.counts.tried += 1;
        self.counts.went_through += u64::from(ended.is_ok());
        let place = self.place();
        self.ended_well(&place, &ended, &disk).map_err(|found| found.at(At(&hits)))?;
        if self.seen.insert(state(&place)?) {
            self.counts.states += 1;
            self.check(&place).map_err(|found| {
                let how = ended.map_or_else(|error| error.to_string(), |()| "it went well".into());
                found.at(format_args!("{}, {how}", At(&hits)))
            })?;
        }
        Ok(())
    }

    /// Runs the operation in a thread of its own, on a fresh stage.
    fn run(&self, faults: &[Fault]) -> Outcome<(Arc<Disk>, Outcome)> {
        let place = self.fresh()?;
        let disk = Arc::new(Disk::new(&place, faults));
        let shown: Arc<dyn runjournal::proof::Watch> = Arc::<Disk>::clone(&disk);
        let watching = watch(Path::new(place.dir().as_str()), shown);
        let (tell, told) = mpsc::channel();
        let operation = *self.tried.operation;
        let thread = std::thread::Builder::new().spawn(move || {
            let ended =
                Acks::open(&place).and_then(|mut acks| (operation.operate)(&place, &mut acks));
            // Nobody listens any more where it took too long.
            let _ = tell.send(ended);
        })?;
        let ended = match told.recv_timeout(LIMIT) {
            Ok(ended) => ended,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                Err(Violation::new(format!("it still runs after {LIMIT:?}")))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
                Ok(()) => Err(Violation::new("it ended without a word")),
                Err(_) => Err(Violation::new("it panicked")),
            },
        };
        disk.mend();
        drop(watching);
        Ok((disk, ended))
    }

    /// What ended well did what it promises; what failed says what, where and why; and nothing is
    /// acknowledged behind a sync that failed.
    fn ended_well(&self, place: &Place, ended: &Outcome, disk: &Disk) -> Outcome {
        let acknowledged = place.acknowledged()?.len();
        for failed in disk.failed_syncs() {
            let told = acknowledged - failed.acknowledged.min(acknowledged);
            // What could not be synced, and was made anew in another file, is not what is promised.
            let released = failed.of_release && self.tried.operation.lets_go;
            let replaced = match failed.file {
                _ if failed.of_page || released => true,
                Some(file) => !tree::has_node(place.dir(), file)?,
                None => false,
            };
            ensure(replaced || (ended.is_err() && told == 0), || {
                format!("a sync failed, and it went on: {told} told after it, {ended:?}")
            })?;
        }
        let Err(error) = ended else {
            let run = place.run_dir();
            let records = match run.join("run.json").exists() {
                true => raw::records(&run, "run.json")?,
                false => Vec::new(),
            };
            return match (self.tried.operation.done)(&Seen { place, records: &records }) {
                Err(found) if !may_be(&found) => {
                    Err(found.at("it went well, and did not do what it promises"))
                }
                _ => Ok(()),
            };
        };
        if error.is_left() {
            return Ok(());
        }
        let text = error.to_string();
        ensure(text.contains(place.dir().as_str()), || format!("it names no path: {text}"))?;
        let said = disk.hits().iter().any(|hit| match hit.kind.errno() {
            Some(errno) => text.contains(&std::io::Error::from_raw_os_error(errno).to_string()),
            None => true,
        });
        ensure(said, || format!("it does not say what the system said: {text}"))
    }
}

/// True of what is documented: a run is complete by its last record, and its page is derived.
fn may_be(found: &Violation) -> bool {
    found.to_string() == "there is no manifest"
}

/// What a place looks like, and what was acknowledged, whatever ids and times were made.
fn state(place: &Place) -> Outcome<Digest> {
    tree::tree_but(place.dir(), without_errors)
}

/// The bytes with the words for each error of the system replaced, which a step's last record quotes, and without
/// what something took (`"age_ms":12`).
fn without_errors(bytes: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    for (at, part) in String::from_utf8_lossy(bytes).split("_ms\":").enumerate() {
        let is_number = |letter: char| letter.is_ascii_digit();
        text.push_str(if at == 0 { part } else { part.trim_start_matches(is_number) });
    }
    for errno in Kind::ALL.into_iter().filter_map(Kind::errno) {
        text = text.replace(&std::io::Error::from_raw_os_error(errno).to_string(), "an error");
    }
    text.into_bytes()
}

/// The calls that were hit, in words.
struct At<'a>(&'a [Hit]);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.0.first() else { return Ok(()) };
        write!(f, "{} at {}", first.kind.name(), first.call)?;
        match self.0.len() {
            1 => Ok(()),
            more => write!(f, " and {} more", more - 1),
        }
    }
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.tried += other.tried;
        self.went_through += other.went_through;
        self.states += other.states;
        self.hit_nothing += other.hit_nothing;
        self.whole += other.whole;
    }
}
