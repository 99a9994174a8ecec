//! The theorem of the index: whatever happened to a tree, and whenever it was refreshed, an index that was
//! refreshed says what one that is made anew says, view by view.
//!
//! A file is only taken to be the same once it is two seconds old, so histories that are to see that
//! advance together and wait together.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::index::{Index, IndexedEvent, ProjectionError, Projector, Rows};
use runjournal::testing::TestWorkspace;
use runjournal::{
    Actor, ArtifactName, Durability, Event, JournalWriter, Outcome, Repair, RunContext, RunStatus,
    Signal, StepError, TaskOptions, TaskStatus, Workspace,
};

use crate::index_lab::{
    Chance, assert_equal, codes, compare, copy_tree, differences, dump, rebuilt,
};

const NAMES: [&str; 6] = ["plan.json", "a.txt", "b/c.txt", "b/d/e.txt", "b/ü.txt", "report.json"];
const TASKS: [&str; 3] = ["TASK-1", "TASK-2", "TASK-3"];
const RUNS: [&str; 5] = ["RUN-1", "RUN-2", "RUN-3", "RUN-4", "RUN-5"];

/// A workspace to which things happen.
struct History {
    seed: u64,
    chance: Chance,
    test: TestWorkspace,
    index: Index,
    /// The same index in a program that has no projectors of its own.
    plain: Index,
    kept: Vec<JournalWriter>,
    /// Copies of run directories.
    saved: Vec<Utf8PathBuf>,
    /// What is not to be seen by length and times where it changed: journals, and objects.
    before: BTreeMap<Utf8PathBuf, Vec<u8>>,
    done: Vec<&'static str>,
    copies: tempfile::TempDir,
}

/// Reads every payload, so that an object that is damaged or not there stops it.
struct Payloads;

impl Projector for Payloads {
    fn name(&self) -> &'static str {
        "payloads"
    }

    fn schema(&self) -> &'static str {
        "CREATE TABLE sizes (journal INTEGER NOT NULL, seq INTEGER NOT NULL, size INTEGER NOT NULL,
             PRIMARY KEY (journal, seq));
         CREATE VIEW size_of AS SELECT j.task_id, j.run_id, s.seq, s.size
             FROM sizes s JOIN t_journals j ON j.journal = s.journal"
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let (key, seq) = (event.journal().key(), event.record().seq());
        let payload: serde_json::Value = event.payload()?;
        let size = payload.to_string().len() as u64;
        let sql = "INSERT INTO sizes (journal, seq, size) VALUES ($1, $2, $3)";
        rows.execute(sql, [key.into(), seq.into(), size.into()]);
        Ok(())
    }
}

type Operation = (&'static str, fn(&mut History) -> Option<()>);

const OPERATIONS: &[Operation] = &[
    ("task", |h| {
        let id = *h.chance.pick(&TASKS)?;
        let options = TaskOptions { title: id.into(), objective: "something".into() };
        h.test.workspace().create_task(id, options).ok().map(drop)
    }),
    ("task status", |h| {
        let task = h.test.workspace().task(*h.chance.pick(&TASKS)?).ok()?;
        let next = task.status().ok()?.next().to_owned();
        let next: Vec<_> = next.into_iter().filter(|to| *to != TaskStatus::Archived).collect();
        task.set_status(*h.chance.pick(&next)?).ok()
    }),
    ("run", History::start),
    ("run", History::start),
    ("event", |h| {
        let event = h.event();
        h.run()?.append(event).ok().map(drop)
    }),
    ("event", |h| {
        let event = h.event();
        h.run()?.append(event).ok().map(drop)
    }),
    ("caused", |h| {
        let run = h.run()?;
        let cause = run.append(h.event()).ok()?.event_id;
        let event = h.event().causation(cause).correlation("elsewhere");
        h.run()?.append(event).ok().map(drop)
    }),
    ("batch", |h| {
        let count = 1 + h.chance.below(7);
        let events: Vec<_> = (0..count).map(|_| h.event()).collect();
        h.run()?.journal().ok()?.append_batch(&events).ok().map(drop)
    }),
    ("many", |h| {
        let events: Vec<_> = (0..700).map(|n| Event::new("noted").payload(&n)).collect();
        let journal = h.run()?.journal().ok()?;
        journal.append_batch(&events).ok()?;
        journal.append_batch(&events).ok().map(drop)
    }),
    ("key", |h| {
        let key = ["a", "b"][h.chance.below(2)];
        h.run()?.append(Event::new("keyed").key(key).payload(&key)).ok().map(drop)
    }),
    ("large", |h| {
        let text = "x".repeat((64 << 10) + h.chance.below(9));
        h.run()?.append(Event::new("said").payload(&text)).ok().map(drop)
    }),
    ("keep a writer", |h| {
        let writer = h.run()?.journal().ok()?;
        h.kept.push(writer);
        Some(())
    }),
    ("kept", |h| {
        let event = h.event();
        h.chance.pick(&h.kept)?.append(event).ok().map(drop)
    }),
    ("write", History::write),
    ("write", History::write),
    ("remove", |h| {
        let name = ArtifactName::new(*h.chance.pick(&NAMES)?).unwrap();
        let store = h.run()?.artifacts().durability(Durability::Buffered);
        store.remove(&name).ok().map(drop)
    }),
    ("adopt", |h| {
        let name = ArtifactName::new(*h.chance.pick(&NAMES)?).unwrap();
        h.run()?.artifacts().adopt(&name).ok().map(drop)
    }),
    ("transaction", |h| {
        let run = h.run()?;
        let mut transaction = run.transaction().durability(Durability::Buffered);
        for _ in 0..3 {
            let name = ArtifactName::new(*h.chance.pick(&NAMES)?).unwrap();
            if h.chance.one_in(4) {
                transaction.remove(&name).ok()?;
            } else {
                transaction.write_bytes(&name, &h.bytes()).ok()?;
            }
        }
        transaction.append(h.event());
        transaction.commit().ok().map(drop)
    }),
    ("step", |h| {
        let (name, fails) = (["plan", "act"][h.chance.below(2)], h.chance.one_in(2));
        let bytes = h.bytes();
        let body = |s: &runjournal::StepContext| {
            s.write_bytes(ArtifactName::from_static("plan.json"), &bytes)?;
            if fails { Err(StepError::message("no")) } else { Ok(Signal::new("yes")) }
        };
        h.run()?.step(name, body).ok().map(drop)
    }),
    ("status", |h| {
        let run = h.run()?.run().ok()?;
        let to = [RunStatus::Executing, RunStatus::Verifying][h.chance.below(2)];
        run.set_status(to, Some("so it goes")).ok()
    }),
    ("complete", |h| {
        let run = h.run()?.run().ok()?;
        let _ = run.set_status(RunStatus::Executing, None);
        let outcome = if h.chance.one_in(3) { Outcome::Failed } else { Outcome::Success };
        run.complete(outcome, None).ok().map(drop)
    }),
    ("repair", |h| {
        let run = h.run()?;
        if h.chance.one_in(2) {
            let bytes = [&fs::read(run.journal_path()).ok()?[..], b"hello\n"].concat();
            fs::write(run.journal_path(), bytes).ok()?;
        }
        (!Repair::of(&run).plan().ok()?.apply().done.is_empty()).then_some(())
    }),
    ("killed", |h| {
        let count = 1 + h.chance.below(3);
        let events: Vec<_> = (0..count).map(|_| h.event()).collect();
        let run = h.run()?;
        let before = fs::metadata(run.journal_path()).ok()?.len();
        run.journal().ok()?.append_batch(&events).ok()?;
        h.cut(&run.journal_path(), before)
    }),
    ("tail lost", |h| {
        let path = h.journal()?;
        h.cut(&path, 0)
    }),
    ("flip journal", |h| {
        let path = h.journal()?;
        h.flip(&path)
    }),
    ("flip journal", |h| {
        let path = h.journal()?;
        h.flip(&path)
    }),
    ("foreign line", |h| {
        let path = h.journal()?;
        let mut bytes = fs::read(&path).ok()?;
        let foreign: [&[u8]; 4] = [b"hello\n", b"foo#\n", b"{\"seq\":", b"\0\0\0\n"];
        bytes.extend_from_slice(foreign[h.chance.below(4)]);
        fs::write(path, bytes).ok()
    }),
    ("flip genesis", |h| {
        let path = h.genesis()?;
        h.flip(&path)
    }),
    ("swap genesis", |h| {
        let (this, that) = (h.home()?.join("run.json"), h.home()?.join("run.json"));
        let (these, those) = (fs::read(&this).ok()?, fs::read(&that).ok()?);
        fs::write(this, those).ok()?;
        fs::write(that, these).ok()
    }),
    ("flip artifact", |h| {
        let path = h.artifact()?;
        h.flip(&path)
    }),
    ("flip artifact", |h| {
        let path = h.artifact()?;
        h.flip(&path)
    }),
    ("flip object", |h| {
        let path = h.object()?;
        h.flip(&path)
    }),
    ("object gone", |h| {
        let path = h.object()?;
        fs::remove_file(path).ok()
    }),
    ("artifact gone", |h| {
        let path = h.artifact()?;
        fs::remove_file(path).ok()
    }),
    ("foreign file", |h| {
        let names = ["a.txt", "b/c.txt", "stray", "b", "bad\\name", "b/.hidden", "B/C.txt"];
        let path = h.home()?.join("artifacts").join(h.chance.pick(&names)?);
        fs::create_dir_all(path.parent()?).ok()?;
        fs::write(path, h.bytes()).ok()
    }),
    ("link", |h| {
        let path = h.home()?.join("artifacts").join(h.chance.pick(&NAMES)?);
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink("/etc/hostname", path).ok()
    }),
    ("stray stage", |h| {
        let number = h.chance.below(40);
        let path = h.home()?.join(format!(".tmp/00000000-0000-7000-8000-{number:012x}"));
        fs::create_dir_all(path.parent()?).ok()?;
        if h.chance.one_in(3) { fs::remove_file(path).ok() } else { fs::write(path, "x").ok() }
    }),
    ("not in place", |h| {
        let run = h.run()?;
        let record = run
            .events()
            .ok()?
            .filter_map(Result::ok)
            .filter(|record| record.event_type() == "artifact_written");
        let record = record.last()?;
        let file = run.run_path().join("artifacts").join(record.stream_id());
        fs::rename(file, run.run_path().join(".tmp").join(record.event_id().to_string())).ok()
    }),
    ("catch up", |h| h.run()?.catch_up().ok().map(drop)),
    ("move", |h| {
        let (from, to) = (h.home()?, h.place()?);
        fs::rename(from, to).ok()
    }),
    ("swap", |h| {
        let (this, that) = (h.home()?, h.home()?);
        let aside = this.with_file_name(".aside");
        fs::rename(&this, &aside).ok()?;
        let moved = fs::rename(&that, &this);
        fs::rename(aside, if moved.is_ok() { that } else { this }).ok()
    }),
    ("run gone", |h| fs::remove_dir_all(h.home()?).ok()),
    ("task gone", |h| {
        if !h.chance.one_in(3) {
            return None;
        }
        fs::remove_dir_all(h.test.root().join(h.chance.pick(&TASKS[1..])?)).ok()
    }),
    ("save", |h| {
        let from = h.home()?;
        let to = Utf8Path::from_path(h.copies.path())?.join(h.saved.len().to_string());
        copy_tree(&from, &to, true);
        h.saved.push(to);
        Some(())
    }),
    ("restore", |h| {
        let from = h.chance.pick(&h.saved)?.clone();
        let to = if h.chance.one_in(2) { h.home()? } else { h.place()? };
        if !fs::symlink_metadata(to.parent()?).ok()?.is_dir() {
            return None;
        }
        if h.chance.one_in(2) {
            let _ = fs::remove_dir_all(&to);
        }
        if fs::symlink_metadata(to.join("artifacts")).is_ok_and(|m| !m.is_dir())
            || fs::symlink_metadata(to.join("journal")).is_ok_and(|m| !m.is_dir())
        {
            return None;
        }
        if !clashes(&from, &to) {
            copy_tree(&from, &to, h.chance.one_in(2));
        }
        Some(())
    }),
    ("no journal", |h| fs::remove_file(h.journal()?).ok()),
    ("no genesis", |h| fs::remove_file(h.genesis()?).ok()),
    ("bad name", |h| {
        let names = ["RUN 9", "COM1", "RUN."];
        let to = h.place()?.with_file_name(h.chance.pick(&names)?);
        fs::rename(h.home()?, to).ok()
    }),
    ("bad task", |h| {
        let from = h.test.root().join(h.chance.pick(&TASKS[1..])?);
        let bad = h.test.root().join("bad task");
        if bad.exists() { fs::rename(bad, from).ok() } else { fs::rename(from, bad).ok() }
    }),
    ("odd", |h| {
        let names = ["artifacts", ".tmp", "journal", "journal/events.jsonl", "run.json", "objects"];
        let path = h.home()?.join(h.chance.pick(&names)?);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        match h.chance.below(3) {
            0 => fs::write(path, "odd").ok(),
            1 => fs::create_dir(path).ok(),
            _ => std::os::unix::fs::symlink("/", path).ok(),
        }
    }),
    ("odd runs", |h| {
        let path = h.test.root().join("TASK-3/runs");
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        match h.chance.below(3) {
            0 => fs::write(path, "odd").ok(),
            1 => fs::create_dir(path).ok(),
            _ => std::os::unix::fs::symlink("/", path).ok(),
        }
    }),
];

/// True if a file would have to be copied onto a directory, or the other way round.
fn clashes(from: &Utf8Path, to: &Utf8Path) -> bool {
    let entries = from.read_dir_utf8().into_iter().flatten().map(Result::unwrap);
    entries.into_iter().any(|entry| {
        let target = to.join(entry.file_name());
        let Ok(there) = fs::symlink_metadata(&target) else { return false };
        let kind = entry.file_type().unwrap();
        kind != there.file_type() || kind.is_dir() && clashes(entry.path(), &target)
    })
}

impl History {
    fn new(seed: u64) -> Self {
        let test = TestWorkspace::new().unwrap();
        for run in &RUNS[..2] {
            let run = test.start_run(run).unwrap();
            let store = run.artifacts().durability(Durability::Buffered);
            for name in NAMES.iter().take(3 + seed as usize % 3) {
                store.write_bytes(ArtifactName::new(*name).unwrap(), b"abc").unwrap();
            }
        }
        let options = TaskOptions { title: "Another".into(), objective: String::new() };
        test.workspace().create_task("TASK-2", options).unwrap().start_run_as("RUN-3").unwrap();
        // A process that another test starts has all locks for a moment.
        let workspace = test.workspace().clone().with_lock_timeout(Duration::from_secs(5));
        Self {
            seed,
            chance: Chance(seed),
            index: Index::of(&workspace).with_projector(Payloads),
            plain: Index::of(&workspace),
            test,
            kept: Vec::new(),
            saved: Vec::new(),
            before: BTreeMap::new(),
            done: Vec::new(),
            copies: tempfile::tempdir().unwrap(),
        }
    }

    fn start(&mut self) -> Option<()> {
        let task = self.test.workspace().task(*self.chance.pick(&TASKS)?).ok()?;
        task.start_run_as(*self.chance.pick(&RUNS)?).ok().map(drop)
    }

    fn write(&mut self) -> Option<()> {
        let name = ArtifactName::new(*self.chance.pick(&NAMES)?).unwrap();
        let bytes = self.bytes();
        let store = self.run()?.artifacts().durability(Durability::Buffered);
        store.write_bytes(&name, &bytes).ok().map(drop)
    }

    fn bytes(&mut self) -> Vec<u8> {
        // Few contents, often of equal length.
        vec![b'a' + self.chance.below(3) as u8; 3 + self.chance.below(2)]
    }

    fn event(&mut self) -> Event {
        let number = self.chance.below(3);
        let event = Event::new(["noted", "said", "asked"][number]).payload(&number);
        match self.chance.below(6) {
            0 => event.stream("talk", number.to_string()),
            1 => event.command_id(format!("C-{number}")),
            2 => event.actor(Actor::new("agent", Some(number.to_string()))),
            3 => event.correlation("abc").metadata(&number),
            _ => event,
        }
    }

    /// The directories of runs, good and bad.
    fn homes(&self) -> Vec<Utf8PathBuf> {
        let mut homes = Vec::new();
        for task in TASKS.iter().chain(&["bad task"]) {
            let runs = self.test.root().join(task).join("runs");
            if !fs::symlink_metadata(&runs).is_ok_and(|runs| runs.is_dir()) {
                continue;
            }
            let entries = runs.read_dir_utf8().unwrap().map(Result::unwrap);
            homes.extend(entries.map(camino::Utf8DirEntry::into_path));
        }
        homes.sort();
        homes
    }

    fn home(&mut self) -> Option<Utf8PathBuf> {
        let homes = self.homes();
        self.chance.pick(&homes).cloned()
    }

    /// Where a run may be, or not.
    fn place(&mut self) -> Option<Utf8PathBuf> {
        let (task, run) = (self.chance.pick(&TASKS)?.to_owned(), self.chance.pick(&RUNS)?);
        let runs = self.test.root().join(task).join("runs");
        Some(runs.join(run))
    }

    fn run(&mut self) -> Option<RunContext> {
        let home = self.home()?;
        let task = home.parent()?.parent()?.file_name()?;
        let task = self.test.workspace().task(task).ok()?;
        Some(task.run(home.file_name()?).ok()?.context().clone())
    }

    fn journal(&mut self) -> Option<Utf8PathBuf> {
        let home = if self.chance.one_in(5) {
            self.test.root().join(self.chance.pick(&TASKS)?)
        } else {
            self.home()?
        };
        Some(home.join("journal/events.jsonl"))
    }

    fn genesis(&mut self) -> Option<Utf8PathBuf> {
        if self.chance.one_in(5) {
            return Some(self.test.root().join(self.chance.pick(&TASKS)?).join("task.json"));
        }
        Some(self.home()?.join("run.json"))
    }

    fn artifact(&mut self) -> Option<Utf8PathBuf> {
        Some(self.home()?.join("artifacts").join(self.chance.pick(&NAMES)?))
    }

    fn object(&mut self) -> Option<Utf8PathBuf> {
        let objects: Vec<_> = self.objects().into_iter().map(|(path, _)| path).collect();
        self.chance.pick(&objects).cloned()
    }

    fn objects(&self) -> Vec<(Utf8PathBuf, Vec<u8>)> {
        let all = self.homes().into_iter().filter(|home| {
            fs::symlink_metadata(home.join("objects")).is_ok_and(|objects| objects.is_dir())
        });
        let tree = all.flat_map(|home| crate::index_lab::tree(&home.join("objects")));
        tree.filter(|(_, bytes)| bytes.len() > 100).collect()
    }

    /// Flips a bit in place: one of few, so that some are flipped back. The time of the change may be that
    /// of the last refresh.
    fn flip(&mut self, path: &Utf8Path) -> Option<()> {
        let file = fs::File::options().read(true).write(true).open(path).ok()?;
        let len = file.metadata().ok()?.len() as usize;
        if len == 0 {
            return None;
        }
        let at = len * self.chance.below(6) / 6 + self.chance.below(2).min(len - 1);
        let at = at.min(len - 1) as u64;
        let mut byte = [0];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut byte, at).ok()?;
        byte[0] ^= 1;
        let modified = file.metadata().ok()?.modified().ok()?;
        std::os::unix::fs::FileExt::write_all_at(&file, &byte, at).ok()?;
        if self.chance.one_in(2) {
            file.set_modified(modified).ok()?;
        }
        Some(())
    }

    /// Cuts a journal off somewhere behind a place.
    fn cut(&mut self, path: &Utf8Path, from: u64) -> Option<()> {
        let file = fs::File::options().write(true).open(path).ok()?;
        let len = file.metadata().ok()?.len();
        let lost = self.chance.below((len.checked_sub(from)? as usize).min(900)) as u64;
        file.set_len(len - lost).ok()
    }

    /// Something happens, if it can within a few tries.
    fn happen(&mut self) {
        for _ in 0..4 {
            let (name, operation) = OPERATIONS[self.chance.below(OPERATIONS.len())];
            if operation(self).is_some() {
                self.done.push(name);
                return;
            }
            // It may have been done in part.
            self.done.push("-");
        }
    }

    /// What a refresh cannot see by length and times.
    fn look(&self) -> BTreeMap<Utf8PathBuf, Vec<u8>> {
        let homes = TASKS.iter().map(|task| self.test.root().join(task)).chain(self.homes());
        let journals = homes.filter_map(|home| {
            let path = home.join("journal/events.jsonl");
            let kind = fs::symlink_metadata(home.join("journal")).ok()?;
            let bytes = if kind.is_dir() { fs::read(&path).ok()? } else { return None };
            Some((path, bytes))
        });
        journals.chain(self.objects()).collect()
    }

    /// True if a journal was edited in place and grew, or an object changed that was there before.
    fn is_not_to_be_seen(&self, now: &BTreeMap<Utf8PathBuf, Vec<u8>>) -> bool {
        self.before.iter().any(|(path, old)| {
            let of_journal = path.ends_with("journal/events.jsonl");
            match now.get(path) {
                Some(new) if of_journal => new.len() > old.len() && !new.starts_with(old),
                Some(new) => new != old,
                None => !of_journal,
            }
        })
    }

    fn refresh(&mut self) {
        if self.chance.one_in(5) {
            self.done.push("PLAIN");
            self.refresh_by(&self.plain.clone());
        }
        self.refresh_by(&self.index.clone());
    }

    fn refresh_by(&mut self, index: &Index) {
        let now = self.look();
        let refreshed = if self.is_not_to_be_seen(&now) {
            self.done.push("REFRESH, READING DATA");
            index.refresh_reading_data(&mut |_| {})
        } else {
            self.done.push("REFRESH");
            index.refresh()
        };
        let built = refreshed.unwrap_or_else(|error| panic!("{self:?}: {error:?}"));
        assert_eq!(built.anew_because, None, "{self:?}");
        self.before = now;
    }

    fn check(&mut self) {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::at(self.test.workspace(), Utf8Path::from_path(dir.path()).unwrap());
        let index = index.with_projector(Payloads);
        index.rebuild().unwrap();
        let found = compare(&dump(&self.index), &dump(&index));
        assert!(found.is_empty(), "{self:?}\n{}", found.join("\n"));
        if self.seed.is_multiple_of(4) {
            assert_eq!(differences(&self.index), [], "{self:?}");
        }
    }
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.done.join(", "))
    }
}

/// So many histories, or those whose seeds the environment names: `from..to`.
fn seeds(count: u64, from: u64) -> Vec<u64> {
    match std::env::var("RUNJOURNAL_TEST_SEEDS") {
        Ok(seeds) => {
            let (from, to) = seeds.split_once("..").unwrap();
            (from.parse().unwrap()..to.parse().unwrap()).collect()
        }
        Err(_) => (from..from + count).collect(),
    }
}

#[test]
fn random_histories_that_are_refreshed_at_once() {
    let mut counts = BTreeMap::<&str, usize>::new();
    for seed in seeds(40, 0) {
        let mut history = History::new(seed);
        for _ in 0..4 {
            for _ in 0..history.chance.below(14) {
                history.happen();
            }
            history.refresh();
            if history.chance.one_in(2) {
                history.check();
            }
        }
        history.check();
        for done in history.done {
            *counts.entry(done).or_default() += 1;
        }
    }
    if std::env::var_os("RUNJOURNAL_TEST_SEEDS").is_none() {
        let all = OPERATIONS.iter().map(|(name, _)| *name).chain(["REFRESH"]);
        let never: Vec<_> = all.filter(|name| !counts.contains_key(name)).collect();
        assert_eq!(never, [""; 0], "{counts:?}");
    }
}

#[test]
fn random_histories_whose_files_grow_old() {
    let mut histories: Vec<_> = seeds(30, 1000).into_iter().map(History::new).collect();
    for round in 0..4 {
        for history in &mut histories {
            for _ in 0..2 + history.chance.below(6) {
                history.happen();
            }
            if history.chance.one_in(3) {
                history.refresh();
                history.happen();
            }
        }
        std::thread::sleep(Duration::from_millis(2100));
        for history in &mut histories {
            history.refresh();
            if round % 2 == 1 {
                history.check();
            }
            if history.chance.one_in(2) {
                // What is old, and settled, is not looked at again.
                history.refresh();
                history.happen();
                history.refresh();
                history.check();
            }
        }
    }
}

#[test]
fn a_copy_of_a_tree_has_the_same_index() {
    for seed in 0..4 {
        let mut history = History::new(seed);
        for _ in 0..40 {
            history.happen();
        }
        let workspace = history.test.workspace();
        let this = rebuilt(workspace);
        assert!(compare(&this, &rebuilt(workspace)).is_empty(), "{history:?}");
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap().join("elsewhere");
        copy_tree(history.test.root(), &root, false);
        let copy = Workspace::open(&root).unwrap().with_lock_timeout(Duration::from_secs(5));
        let found = compare(&this, &rebuilt(&copy));
        assert!(found.is_empty(), "{history:?}\n{}", found.join("\n"));
    }
}

/// A run with a few records, the index of its workspace, and its journal's bytes.
fn indexed() -> (TestWorkspace, RunContext, Index, Vec<u8>) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    for n in 0..4 {
        ctx.append(Event::new("noted").payload(&n)).unwrap();
    }
    let index = Index::of(test.workspace());
    index.refresh().unwrap();
    let bytes = fs::read(ctx.journal_path()).unwrap();
    (test, ctx, index, bytes)
}

#[test]
fn an_edit_in_place_of_a_journal_that_also_grew_is_seen_by_reading_data() {
    let (test, ctx, index, mut bytes) = indexed();
    ctx.append(Event::new("noted").payload(&9)).unwrap();
    let new = fs::read(ctx.journal_path()).unwrap();
    bytes[20] ^= 1;
    fs::write(ctx.journal_path(), [&bytes[..], &new[bytes.len()..]].concat()).unwrap();
    index.refresh().unwrap();
    assert_eq!(codes(&index), [""; 0], "it is seen: say so in the docs");
    assert_ne!(differences(&index), []);
    index.refresh_reading_data(&mut |_| {}).unwrap();
    assert_eq!(codes(&index), ["broken_chain"]);
    assert_equal(&index, test.workspace());
}

#[test]
fn a_journal_with_a_torn_tail_is_edited_right_after_a_refresh() {
    let (test, ctx, index, bytes) = indexed();
    let mut torn = [&bytes[..], b"{\"half"].concat();
    fs::write(ctx.journal_path(), &torn).unwrap();
    index.refresh().unwrap();
    torn[20] ^= 1;
    fs::write(ctx.journal_path(), &torn).unwrap();
    index.refresh().unwrap();
    assert_eq!(codes(&index), ["broken_chain", "torn_tail"]);
    assert_equal(&index, test.workspace());
}

#[test]
fn another_genesis_file_is_another_history() {
    let (test, ctx, index, _) = indexed();
    let mut text = fs::read_to_string(ctx.run_path().join("run.json")).unwrap();
    text.truncate(text.len() - 76);
    let body = text.replacen("\"created_at\":\"2026", "\"created_at\":\"2025", 1);
    assert_ne!(body, text);
    let hash = blake3::hash(body.as_bytes()).to_hex();
    // Old enough to be taken for what it was.
    std::thread::sleep(Duration::from_millis(2100));
    index.refresh().unwrap();
    fs::write(ctx.run_path().join("run.json"), format!("{body},\"hash\":\"{hash}\"}}\n")).unwrap();
    index.refresh().unwrap();
    assert_equal(&index, test.workspace());
    assert_eq!(codes(&index), ["broken_chain"]);
}

#[test]
fn what_is_old_is_not_read_again() {
    let (test, ctx, index, _) = indexed();
    ctx.artifacts().write_bytes(ArtifactName::from_static("a.txt"), b"abc").unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    index.refresh().unwrap();
    let again = index.refresh().unwrap().done;
    assert_eq!((again.looked_at, again.bytes, again.events), (0, 0, 0));
    let all = index.refresh_reading_data(&mut |_| {}).unwrap().done;
    assert_eq!((all.looked_at, all.files, all.events), (2, 1, 7));
    // Only what it grew by is read.
    let before = fs::metadata(ctx.journal_path()).unwrap().len();
    ctx.append(Event::new("noted")).unwrap();
    let grown = fs::metadata(ctx.journal_path()).unwrap().len() - before;
    let refreshed = index.refresh().unwrap().done;
    assert_eq!((refreshed.looked_at, refreshed.bytes, refreshed.events), (1, grown, 1));
    // A directory without a genesis file is no run, and no change.
    fs::create_dir(ctx.run_path().with_file_name("RUN-0")).unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    index.refresh().unwrap();
    assert_eq!(index.refresh().unwrap().done.looked_at, 0);
    assert_equal(&index, test.workspace());
}

#[test]
fn an_object_that_came_back_lets_its_projector_go_on() {
    let (test, ctx, index, _) = indexed();
    let index = index.with_projector(Payloads);
    ctx.append(Event::new("said").payload(&"x".repeat(70_000))).unwrap();
    let objects = crate::index_lab::tree(&ctx.run_path().join("objects"));
    let (path, bytes) = objects.iter().find(|(_, bytes)| bytes.len() > 100).unwrap();
    fs::remove_file(path).unwrap();
    index.refresh().unwrap();
    assert_eq!(codes(&index), ["projection_stopped"]);
    fs::write(path, &bytes[1..]).unwrap();
    index.refresh().unwrap();
    assert_eq!(codes(&index), ["projection_stopped"]);
    fs::write(path, bytes).unwrap();
    index.refresh().unwrap();
    assert_eq!(codes(&index), [""; 0]);
    assert_eq!(differences(&index), []);
    // One that goes later is missed by who reads it.
    fs::remove_file(path).unwrap();
    index.refresh_reading_data(&mut |_| {}).unwrap();
    assert_eq!(codes(&index), ["projection_stopped"]);
    assert_eq!(differences(&index), []);
    // A program without the projector has nothing to say of it.
    assert_eq!(differences(&Index::of(test.workspace())), []);
}
