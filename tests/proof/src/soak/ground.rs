//! Where many work: a workspace, and elsewhere what was acknowledged to each.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{Appended, Committed, Stored, Task, TaskOptions, Workspace};

use crate::{Outcome, Violation, ensure};

/// The tasks, and the runs of each that everybody works on. The first is the one that most do.
pub(crate) const SHARED: &[(&str, &str)] =
    &[("TASK-1", "RUN-1"), ("TASK-1", "RUN-2"), ("TASK-2", "RUN-1")];

/// What stands for the run where a task's own journal is meant.
pub(crate) const NO_RUN: &str = "-";

/// A workspace, and a directory of acknowledgements, which need not be on the same disk.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    root: Utf8PathBuf,
    told: Utf8PathBuf,
}

/// What was acknowledged, by home (`TASK-1/RUN-1`, or `TASK-1/-`).
pub(crate) type Told = BTreeMap<String, Vec<String>>;

impl Ground {
    pub(crate) fn new(root: impl Into<Utf8PathBuf>, told: impl Into<Utf8PathBuf>) -> Self {
        Self { root: root.into(), told: told.into() }
    }

    /// Makes the workspace with its tasks and shared runs, durably, and the directory beside it.
    pub(crate) fn prepare(&self) -> Outcome {
        std::fs::create_dir_all(&self.told)?;
        let workspace = Workspace::open_or_create(&self.root)?;
        for (task, run) in SHARED {
            workspace
                .open_or_create_task(*task, TaskOptions::default())?
                .open_or_start_run(*run)?;
        }
        Ok(())
    }

    pub(crate) fn root(&self) -> &Utf8Path {
        &self.root
    }

    pub(crate) fn told(&self) -> &Utf8Path {
        &self.told
    }

    pub(crate) fn workspace(&self) -> Outcome<Workspace> {
        Ok(Workspace::open(&self.root)?)
    }

    pub(crate) fn task(&self, id: &str) -> Outcome<Task> {
        Ok(self.workspace()?.task(id)?)
    }

    /// The directory of a home.
    pub(crate) fn home(&self, task: &str, run: &str) -> Utf8PathBuf {
        let task = self.root.join(task);
        if run == NO_RUN { task } else { task.join("runs").join(run) }
    }

    /// Asks all workers to end once they did what they are at.
    pub(crate) fn ask_to_stop(&self) -> Outcome {
        Ok(std::fs::write(self.told.join(STOP), "")?)
    }

    /// Takes that back.
    pub(crate) fn let_go_on(&self) -> Outcome {
        self.remove(STOP)
    }

    fn remove(&self, mark: &str) -> Outcome {
        match std::fs::remove_file(self.told.join(mark)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Says that the power is about to be cut: from now on whatever fails may fail, and nothing is told any more.
    pub(crate) fn power_goes(&self) -> Outcome {
        Ok(std::fs::write(self.told.join(CUT), "")?)
    }

    /// The power is on again: nothing may fail.
    pub(crate) fn power_is_on(&self) -> Outcome {
        self.remove(CUT)
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.told.join(CUT).exists()
    }

    pub(crate) fn is_to_stop(&self) -> bool {
        self.told.join(STOP).exists()
    }

    /// All that was acknowledged to anybody.
    ///
    /// # Errors
    /// With what a worker says that went wrong.
    pub(crate) fn acknowledged(&self) -> Outcome<Told> {
        let mut told = Told::new();
        for entry in self.told.read_dir_utf8()? {
            let text = std::fs::read_to_string(entry?.path())?;
            // A line without its end was not acknowledged: the worker died while it said so.
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            for line in whole.lines() {
                let mut parts = line.splitn(3, '\t');
                let mut next = || parts.next().unwrap_or_default();
                let (home, _, what) = (next(), next(), next());
                ensure(home != WRONG, || what.to_owned())?;
                told.entry(home.to_owned()).or_default().push(what.to_owned());
            }
        }
        Ok(told)
    }
}

const STOP: &str = ".stop";
const CUT: &str = ".cut";
const WRONG: &str = "!";

/// Where a thread tells what was acknowledged to it: one line, in one write, after the call returned.
#[derive(Debug)]
pub(crate) struct Teller {
    file: File,
    ground: Ground,
    /// What the thread does, for whoever looks into it.
    pub(crate) deed: &'static str,
}

impl Teller {
    pub(crate) fn new(ground: &Ground, name: &str) -> Outcome<Self> {
        let path = ground.told.join(name);
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { file, ground: ground.clone(), deed: "begin" })
    }

    /// Tells what a call that returned did; not so once the power is about to be cut. A file system that is shut
    /// down at this moment may say of a sync that it went well though it did not: no power cut does that, for
    /// nobody would be told. (Seen with plain `write` and `fdatasync`, on ext4 and on xfs.)
    pub(crate) fn tell(&mut self, home: &str, what: &str) -> Outcome {
        if self.ground.is_cut() {
            return Ok(());
        }
        Ok(self.file.write_all(format!("{home}\t{}\t{what}\n", self.deed).as_bytes())?)
    }

    /// Tells that something went wrong that must not.
    pub(crate) fn is_wrong(&mut self, violation: &Violation) -> Outcome {
        self.tell(WRONG, &violation.to_string().replace(['\n', '\t'], " "))
    }

    pub(crate) fn appended(&mut self, home: &str, appended: &Appended) -> Outcome {
        self.tell(home, &format!("event {} {}", appended.seq, appended.event_id))
    }

    pub(crate) fn stored(&mut self, home: &str, stored: &Stored) -> Outcome {
        let digest =
            stored.digest.map_or_else(|| "removed".to_owned(), |digest| digest.to_string());
        self.tell(home, &format!("artifact {} {digest} {}", stored.seq, stored.name))
    }

    pub(crate) fn committed(&mut self, home: &str, committed: &Committed) -> Outcome {
        for stored in &committed.artifacts {
            self.stored(home, stored)?;
        }
        committed.events.iter().try_for_each(|event| self.appended(home, event))
    }
}
