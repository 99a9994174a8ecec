//! Where a mistake is tried: a workspace in a directory of its own, and who watches it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::Utf8PathBuf;
use runjournal::proof::{Call, Node, Verdict, Watch, Watching, watch};
use runjournal::{Appended, ArtifactName, Event, Severity};

use crate::{
    Acks, Base, Operation, Outcome, Place, Violation, ensure, operations, raw, tree, trial,
};

/// A place that goes with its directory.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) place: Place,
    _dir: tempfile::TempDir,
}

impl Scene {
    pub(super) fn empty() -> Outcome<Self> {
        let dir = tempfile::Builder::new().prefix("planted-").tempdir_in(trial::fast_directory())?;
        let place = Place::new(Utf8PathBuf::try_from(dir.path().to_owned())?);
        Ok(Self { place, _dir: dir })
    }

    /// With so much in it.
    pub(super) fn with(base: Base) -> Outcome<Self> {
        let scene = Self::empty()?;
        base.prepare(&scene.place, &mut Acks::open(&scene.place)?)?;
        Ok(scene)
    }

    /// With a run, each journal of which gets a head after every record.
    pub(super) fn with_heads() -> Outcome<Self> {
        let scene = Self::empty()?;
        scene.place.leave_heads()?;
        Base::Run.prepare(&scene.place, &mut Acks::open(&scene.place)?)?;
        Ok(scene)
    }

    /// With what an operation finds.
    pub(super) fn before(operation: &Operation) -> Outcome<Self> {
        let scene = Self::with(operation.base)?;
        (operation.prepare)(&scene.place, &mut Acks::open(&scene.place)?)?;
        Ok(scene)
    }

    pub(super) fn copy(&self) -> Outcome<Self> {
        let copy = Self::empty()?;
        tree::copy(self.place.dir(), copy.place.dir())?;
        Ok(copy)
    }

    /// Shows each call on what is opened from now on to somebody.
    pub(super) fn watched_by(&self, by: &Arc<impl Watch + 'static>) -> Watching {
        let by: Arc<dyn Watch> = by.clone();
        watch(self.place.dir().as_std_path(), by)
    }

    /// The file of the run's journal.
    pub(super) fn journal(&self) -> Utf8PathBuf {
        self.place.run_dir().join("journal/events.jsonl")
    }

    pub(super) fn journal_node(&self) -> Outcome<Node> {
        node(&self.journal())
    }

    /// The number of the journal's lock file; none where there is no such file.
    pub(super) fn lock_node(&self) -> Option<Node> {
        node(&self.place.run_dir().join("journal/.lock")).ok()
    }

    pub(super) fn journal_len(&self) -> Outcome<u64> {
        Ok(std::fs::metadata(self.journal())?.len())
    }

    /// Takes the end of the journal away, as a power cut does.
    pub(super) fn cut_journal(&self, len: u64) -> Outcome {
        let file = std::fs::OpenOptions::new().write(true).open(self.journal())?;
        Ok(file.set_len(len)?)
    }

    /// The text of an artifact.
    pub(super) fn artifact(&self, name: &str) -> Outcome<String> {
        Ok(std::fs::read_to_string(self.place.run_dir().join("artifacts").join(name))?)
    }

    /// The only file in `.tmp/`.
    pub(super) fn stage(&self) -> Outcome<Utf8PathBuf> {
        let mut stages = self.place.run_dir().join(".tmp").read_dir_utf8()?;
        let stage = stages.next().ok_or_else(|| Violation::new("nothing waits in .tmp/"))??;
        Ok(stage.path().to_owned())
    }

    /// The journal of the run is whole, and has what was appended.
    pub(super) fn has(&self, appended: &[Appended]) -> Outcome {
        let (records, findings) = self.place.ctx()?.events()?.read_all()?;
        let damage = findings.iter().find(|found| found.code.severity() >= Severity::Error);
        if let Some(damage) = damage {
            return Err(Violation::new(damage.to_string()).at("the journal is damaged"));
        }
        let raw = raw::records(&self.place.run_dir(), "run.json")?;
        ensure(raw.len() == records.len(), || "two readers differ".into())?;
        for (record, seq) in records.iter().zip(1..) {
            ensure(record.seq() == seq, || format!("seq {} in place {seq}", record.seq()))?;
        }
        for appended in appended {
            let there = records.iter().any(|record| {
                record.event_id() == appended.event_id && record.seq() == appended.seq
            });
            ensure(there, || format!("acknowledged and lost: seq {}", appended.seq))?;
        }
        Ok(())
    }
}

/// The number of a file on its disk.
pub(super) fn node(path: &camino::Utf8Path) -> Outcome<Node> {
    Ok(std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path)?))
}

/// The operation of this name.
pub(super) fn operation(name: &str) -> Outcome<&'static Operation> {
    operations::named(name)
}

pub(super) fn artifact(name: &str) -> Outcome<ArtifactName> {
    Ok(ArtifactName::new(name)?)
}

pub(super) fn note(text: &str) -> Event {
    Event::new("noted").payload(&text)
}

/// Whether a call is meant.
pub(super) type Meant = Box<dyn Fn(&Call<'_>) -> bool + Send + Sync>;

/// Lets the first calls of a kind fail, or be cut short.
pub(super) struct Fails {
    meant: Meant,
    verdict: Verdict,
    left: AtomicUsize,
}

impl Fails {
    pub(super) fn times(
        times: usize,
        verdict: Verdict,
        meant: impl Fn(&Call<'_>) -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { meant: Box::new(meant), verdict, left: AtomicUsize::new(times) })
    }

    /// All that were to fail did.
    pub(super) fn is_over(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

impl fmt::Debug for Fails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fails").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Watch for Fails {
    fn before(&self, call: &Call<'_>) -> Verdict {
        let one_less = |left: usize| left.checked_sub(1);
        let fails = (self.meant)(call)
            && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        if fails { self.verdict } else { Verdict::Go }
    }
}

/// Errors of the system.
pub(super) const EIO: Verdict = Verdict::Fail(5);
pub(super) const EACCES: Verdict = Verdict::Fail(13);
