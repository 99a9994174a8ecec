//! A small workspace for each code of a finding, and exactly what verify finds in it. They are made here, byte
//! for byte the same in every run; `RUNJOURNAL_BLESS=1` rewrites them.
//!
//! A fixture is `fixtures/findings/<code>/`, or `<code>-<case>/` where a code has several, with `expected.json`
//! and `tree/`, as far as git keeps that: lock
//! files and empty directories are not there, and what only some file systems hold is put there by the test.

use std::collections::BTreeMap;
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::testing::TestWorkspace;
use runjournal::{
    ArtifactName, Code, Digest, Event, EventId, Finding, Outcome, Place, ReadData, RunContext,
    Signal, TaskStatus, Verify, Workspace,
};
use serde_json::{Value, json};

use crate::lab::lines;

struct Fixture {
    code: Code,
    /// Empty for the first one of a code.
    case: &'static str,
    make: fn(&Made),
    /// What git does not keep, put into the copy of a tree.
    add: fn(&Utf8Path),
}

const fn fixture(code: Code, make: fn(&Made)) -> Fixture {
    case(code, "", make)
}

/// Another one of a code that has one.
const fn case(code: Code, case: &'static str, make: fn(&Made)) -> Fixture {
    Fixture { code, case, make, add: |_| {} }
}

impl Fixture {
    fn name(&self) -> String {
        let joint = if self.case.is_empty() { "" } else { "-" };
        format!("{}{joint}{}", self.code, self.case)
    }
}

/// A workspace in the making: a task with a run that has one record.
pub(crate) struct Made {
    pub(crate) test: TestWorkspace,
    pub(crate) ctx: RunContext,
}

pub(crate) fn name(text: &str) -> ArtifactName {
    ArtifactName::new(text).unwrap()
}

impl Made {
    pub(crate) fn new() -> Self {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let made = Self { test, ctx };
        made.note("hello");
        made
    }

    pub(crate) fn note(&self, text: &str) {
        self.ctx.append(Event::new("note_taken").payload(&json!({"text": text}))).unwrap();
    }

    pub(crate) fn write(&self, artifact: &str, content: &str) {
        self.ctx.artifacts().write_bytes(name(artifact), content.as_bytes()).unwrap();
    }

    fn file(&self, artifact: &str) -> Utf8PathBuf {
        self.ctx.artifact_path(&name(artifact))
    }

    pub(crate) fn path(&self, below: &str) -> Utf8PathBuf {
        self.ctx.run_path().join(below)
    }

    fn journal(&self) -> Vec<u8> {
        fs::read(self.ctx.journal_path()).unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let bytes = self.journal();
        let mut lines: Vec<_> = lines(&bytes).into_iter().map(<[u8]>::to_vec).collect();
        change(&mut lines);
        fs::write(self.ctx.journal_path(), lines.concat()).unwrap();
    }

    /// Appends a record that chains as it should, and that the library would not write.
    pub(crate) fn forge(&self, event_type: &str, stream: &str, version: u64, payload: &Value) {
        let bytes = self.journal();
        let parent = match bytes.len().checked_sub(67) {
            Some(at) => blake3::Hash::from_hex(&bytes[at..at + 64]).unwrap(),
            None => blake3::hash(&fs::read(self.path("run.json")).unwrap()),
        };
        let (seq, (kind, id)) = (lines(&bytes).len() + 1, stream.split_once('/').unwrap());
        let body = format!(
            "{{\"seq\":{seq},\"event_id\":\"00000000-0000-7000-8000-00000000f{seq:03}\",\
             \"event_type\":\"{event_type}\",\"occurred_at\":\"2026-01-01T00:00:00.000000Z\",\
             \"aggregate_kind\":\"{kind}\",\"stream_id\":\"{id}\",\"stream_version\":{version},\
             \"actor_kind\":\"node\",\"payload\":{payload}"
        );
        let hash = blake3::hash(&[parent.as_bytes(), body.as_bytes()].concat()).to_hex();
        let line = format!("{body},\"hash\":\"{hash}\"}}\n");
        fs::write(self.ctx.journal_path(), [bytes, line.into_bytes()].concat()).unwrap();
    }

    /// Puts content into an object of the run.
    pub(crate) fn object(&self, content: &str) -> Utf8PathBuf {
        let path = self.path("objects").join(object(content));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A checkpoint of a run that has one artifact with this content.
    pub(crate) fn checkpoint(&self, turn: u64, content: &str) -> Utf8PathBuf {
        self.object(content);
        let (path, digest, root) = self.checkpoint_file(turn, content);
        self.record_checkpoint(turn, 0, digest, root);
        path
    }

    fn record_checkpoint(&self, turn: u64, version: u64, digest: Digest, root: Digest) {
        let payload = json!({"turn": turn, "digest": digest, "artifacts_root": root});
        self.forge("checkpoint_created", &format!("checkpoint/{turn}"), version, &payload);
    }

    fn checkpoint_file(&self, turn: u64, content: &str) -> (Utf8PathBuf, Digest, Digest) {
        let seq = lines(&self.journal()).len();
        let digest = Digest::of(content.as_bytes());
        let root = Digest::of(format!("{}  a.txt\n", digest.to_hex()).as_bytes());
        let body = format!(
            "{{\"format_version\":1,\"turn\":{turn},\"seq\":{seq},\"artifacts\":{{\"a.txt\":\"{digest}\"}},\
             \"artifacts_root\":\"{root}\""
        );
        let sealed = seal(&body);
        let path = self.path(&format!("checkpoints/{turn}.json"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &sealed).unwrap();
        (path, Digest::of(sealed.as_bytes()), root)
    }

    /// A checkpoint whose file says something else than what the library wrote, as its record does.
    fn forged_checkpoint(&self, from: &str, to: &str) {
        self.write("a.txt", "first");
        self.object("first");
        let (path, _, root) = self.checkpoint_file(1, "first");
        reseal(&path, from, to);
        self.record_checkpoint(1, 0, Digest::of(&fs::read(path).unwrap()), root);
    }

    fn complete(&self) {
        self.ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
    }
}

fn object(content: &str) -> String {
    let hex = Digest::of(content.as_bytes()).to_hex();
    format!("{}/{}", &hex[..2], &hex[2..])
}

/// A sealed line with this body.
fn seal(body: &str) -> String {
    format!("{body},\"hash\":\"{}\"}}\n", Digest::of(body.as_bytes()).to_hex())
}

/// Seals a line anew after a change of its text.
fn reseal(path: &Utf8Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, seal(&text[..text.len() - 76].replacen(from, to, 1))).unwrap();
}

fn flip(path: &Utf8Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

const LARGE: usize = 70_000;

const FIXTURES: &[Fixture] = &[
    fixture(Code::Garbage, |made| {
        let mut torn = made.journal();
        torn.extend_from_slice(b"{\"seq\":2,\"event");
        fs::write(made.ctx.journal_path(), torn).unwrap();
        made.note("again");
    }),
    fixture(Code::JournalDamaged, |made| {
        made.note("again");
        made.change(|lines| lines.insert(1, b"written by another program\n".to_vec()));
    }),
    fixture(Code::BrokenChain, |made| {
        made.note("again");
        made.change(|lines| lines.swap(0, 1));
    }),
    fixture(Code::TornTail, |made| {
        made.note("again");
        made.change(|lines| lines[1].truncate(100));
    }),
    fixture(Code::SequenceGap, |made| {
        made.note("changed");
        made.note("again");
        made.change(|lines| lines[1][80] ^= 1);
    }),
    fixture(Code::VersionGap, |made| made.forge("note_taken", "run/RUN-1", 5, &json!({}))),
    case(Code::VersionGap, "twice", |made| {
        made.note("again");
        made.forge("note_taken", "run/RUN-1", 1, &json!({}));
    }),
    fixture(Code::CommitNotApplied, |made| {
        waiting(made);
        fs::write(made.file("a.txt"), "by hand").unwrap();
    }),
    fixture(Code::StageDamaged, |made| {
        let stage = waiting(made);
        fs::write(stage, "secon").unwrap();
        fs::write(made.file("a.txt"), "first").unwrap();
    }),
    fixture(Code::ArtifactMissing, |made| {
        made.write("a.txt", "first");
        fs::remove_file(made.file("a.txt")).unwrap();
    }),
    fixture(Code::ArtifactChanged, |made| {
        made.write("a.txt", "first");
        fs::write(made.file("a.txt"), "First").unwrap();
    }),
    fixture(Code::ArtifactUnjournaled, |made| {
        fs::write(made.path("artifacts/stray.txt"), "nobody said so").unwrap();
    }),
    fixture(Code::ObjectMissing, |made| {
        made.note(&"x".repeat(LARGE));
        fs::remove_dir_all(made.path("objects")).unwrap();
    }),
    fixture(Code::ObjectChanged, |made| {
        made.note(&"x".repeat(LARGE));
        let content = format!("{{\"text\":\"{}\"}}", "x".repeat(LARGE));
        flip(&made.path("objects").join(object(&content)), LARGE / 2);
    }),
    fixture(Code::CheckpointMissing, |made| {
        made.write("a.txt", "first");
        fs::remove_file(made.checkpoint(1, "first")).unwrap();
    }),
    fixture(Code::CheckpointDamaged, |made| {
        made.write("a.txt", "first");
        flip(&made.checkpoint(1, "first"), 60);
    }),
    case(Code::CheckpointDamaged, "another_turn", |made| {
        made.forged_checkpoint("\"turn\":1", "\"turn\":2");
    }),
    case(Code::CheckpointDamaged, "another_seq", |made| {
        made.forged_checkpoint("\"seq\":2", "\"seq\":1");
    }),
    case(Code::CheckpointDamaged, "other_artifacts", |made| {
        made.write("a.txt", "first");
        made.checkpoint(1, "never");
    }),
    case(Code::CheckpointDamaged, "another_run", |made| {
        made.write("a.txt", "first");
        made.checkpoint(1, "first");
        made.checkpoint_file(1, "of another run");
    }),
    fixture(Code::CheckpointUnrecorded, |made| {
        made.write("a.txt", "first");
        made.object("first");
        made.checkpoint_file(1, "first");
    }),
    fixture(Code::ManifestDamaged, |made| {
        made.complete();
        flip(&made.path("manifest.json"), 100);
    }),
    case(Code::ManifestDamaged, "another_run", |made| {
        made.complete();
        let other = made.test.start_run("RUN-2").unwrap();
        other.run().unwrap().complete(Outcome::Success, None).unwrap();
        fs::copy(other.run_path().join("manifest.json"), made.path("manifest.json")).unwrap();
    }),
    case(Code::ManifestDamaged, "another_status", |made| {
        made.complete();
        reseal(&made.path("manifest.json"), "SUCCESS", "FAILED");
    }),
    case(Code::ManifestDamaged, "another_count", |made| {
        made.complete();
        reseal(&made.path("manifest.json"), "\"records\":3", "\"records\":2");
    }),
    fixture(Code::JournalShorter, |made| {
        made.complete();
        made.change(|lines| drop(lines.pop()));
    }),
    case(Code::JournalShorter, "checkpoint", |made| {
        made.write("a.txt", "first");
        made.note("again");
        made.checkpoint(1, "first");
        made.change(|lines| lines.truncate(2));
    }),
    fixture(Code::HeadAhead, |made| {
        made.note("again");
        let (journal, genesis) = (made.journal(), fs::read(made.path("run.json")).unwrap());
        let hash =
            String::from_utf8_lossy(&journal[journal.len() - 67..journal.len() - 3]).into_owned();
        let head = format!(
            "{{\"offset\":{},\"version\":2,\"genesis\":\"{}\",\"seq\":2,\"last_hash\":\"blake3:{hash}\",\
             \"closed\":false,\"tables\":[],\"entries\":0,\"recent\":\"{}\"",
            journal.len(),
            Digest::of(&genesis),
            Digest::of(b"")
        );
        made.change(|lines| drop(lines.pop()));
        fs::write(made.path("journal/.head"), seal(&head)).unwrap();
    }),
    fixture(Code::GenesisDamaged, |made| flip(&made.path("run.json"), 40)),
    fixture(Code::JournalMissing, |made| fs::remove_file(made.ctx.journal_path()).unwrap()),
    fixture(Code::Unreadable, |made| made.forge("step_started", "step/plan", 0, &json!("what?"))),
    fixture(Code::NewerFormat, |made| {
        made.change(Vec::clear);
        reseal(&made.path("run.json"), "\"format_version\":1", "\"format_version\":2");
    }),
    Fixture {
        code: Code::CaseCollision,
        case: "",
        make: |made| {
            made.write("dir/a.txt", "first");
            made.write("dir/A.txt", "second");
            fs::remove_file(made.file("dir/A.txt")).unwrap();
        },
        add: |run| fs::write(run.join("artifacts/dir/A.txt"), "second").unwrap(),
    },
    Fixture {
        code: Code::SymbolicLink,
        case: "",
        make: |_| {},
        #[cfg(unix)]
        add: |run| std::os::unix::fs::symlink("run.json", run.join("latest.json")).unwrap(),
        #[cfg(not(unix))]
        add: |_| {},
    },
    fixture(Code::WrongKind, |made| fs::write(made.path("objects"), "no directory").unwrap()),
    fixture(Code::IdentityDiffers, |made| {
        let other = made.test.start_run("RUN-2").unwrap();
        fs::remove_dir_all(other.run_path()).unwrap();
        copy(&made.ctx.run_path(), &other.run_path());
    }),
    fixture(Code::BadId, |made| {
        copy(&made.ctx.run_path(), &made.ctx.run_path().with_file_name("copy of RUN-1"));
    }),
    fixture(Code::StatusWithoutArtifacts, |made| {
        made.write("a.txt", "first");
        made.complete();
        fs::remove_file(made.file("a.txt")).unwrap();
    }),
    fixture(Code::DoneWithoutSuccess, |made| {
        made.test.task().set_status(TaskStatus::InProgress).unwrap();
        made.test.task().set_status(TaskStatus::Done).unwrap();
    }),
    fixture(Code::OrphanedRun, |made| {
        let other = made.test.workspace().create_task("TASK-2", Default::default()).unwrap();
        let there = other.path().join("runs/RUN-1");
        copy(&made.ctx.run_path(), &there);
    }),
    fixture(Code::UnbornRun, |made| {
        fs::remove_dir_all(made.test.start_run("RUN-2").unwrap().run_path()).unwrap();
    }),
    fixture(Code::TerminalTwice, |made| {
        made.complete();
        let payload =
            json!({"status": "FAILED", "counts": {"steps_completed": 0, "steps_failed": 0}});
        made.forge("execution_complete", "run/RUN-1", 3, &payload);
    }),
    case(Code::TerminalTwice, "went_on", |made| {
        made.complete();
        made.forge("note_taken", "run/RUN-1", 3, &json!({"text": "late"}));
    }),
    fixture(Code::CausationNowhere, |made| {
        let nobody: EventId = "00000000-0000-7000-8000-0000000000ff".parse().unwrap();
        made.ctx.append(Event::new("note_taken").causation(nobody)).unwrap();
    }),
    fixture(Code::TurnOutOfSequence, |made| {
        made.forge("step_started", "step/plan", 0, &json!({"attempt": 1, "turn": 2, "inputs": []}));
    }),
    case(Code::TurnOutOfSequence, "checkpoint", |made| {
        made.write("a.txt", "first");
        made.checkpoint(2, "first");
    }),
    fixture(Code::StepWithoutStart, |made| {
        made.forge("step_completed", "step/plan", 0, &ended());
    }),
    fixture(Code::DuplicateStep, |made| {
        made.ctx.step("plan", |_| Ok(Signal::new("done"))).unwrap();
        made.forge("step_completed", "step/plan", 2, &ended());
    }),
    case(Code::DuplicateStep, "started", |made| {
        let started = json!({"attempt": 1, "turn": 1, "inputs": []});
        made.forge("step_started", "step/plan", 0, &started);
        made.forge("step_started", "step/plan", 1, &started);
    }),
    fixture(Code::DuplicateTurn, |made| {
        made.write("a.txt", "first");
        made.object("first");
        let (_, digest, root) = made.checkpoint_file(1, "first");
        made.record_checkpoint(1, 0, digest, root);
        made.record_checkpoint(1, 1, digest, root);
    }),
    #[cfg(feature = "sqlite")]
    fixture(Code::ProjectionStopped, |made| {
        made.forge("step_started", "step/plan", 0, &json!("what?"));
    }),
    #[cfg(feature = "sqlite")]
    Fixture {
        code: Code::IndexDrift,
        case: "",
        make: |_| {},
        add: |run| {
            let workspace = Workspace::find(run).unwrap();
            let index = runjournal::index::Index::of(&workspace);
            index.rebuild().unwrap();
            let database = rusqlite::Connection::open(index.database_path().unwrap()).unwrap();
            database.execute("INSERT INTO t_meta VALUES ('stray', 'row')", []).unwrap();
        },
    },
];

fn ended() -> Value {
    json!({"attempt": 1, "signal": "done", "inputs": [], "outputs": [], "duration_ms": 1})
}

/// An artifact whose second version was committed, and waits in its stage.
fn waiting(made: &Made) -> Utf8PathBuf {
    made.write("a.txt", "first");
    made.write("a.txt", "second");
    let newest = made.ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    let stage = made.path(".tmp").join(newest.event_id().to_string());
    fs::rename(made.file("a.txt"), &stage).unwrap();
    stage
}

/// Copies a directory with all that is in it, but for lock files.
pub(crate) fn copy(from: &Utf8Path, to: &Utf8Path) {
    for (path, bytes) in files(from) {
        let path = to.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn files(dir: &Utf8Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(at) = dirs.pop() {
        for entry in at.read_dir_utf8().into_iter().flatten() {
            let path = entry.unwrap().into_path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.file_name() != Some(".lock") {
                let relative = path.strip_prefix(dir).unwrap().as_str().replace('\\', "/");
                files.insert(relative, fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// A finding without what follows from its code.
#[derive(serde::Serialize)]
struct Expected<'a> {
    code: Code,
    place: &'a Place,
    reason: &'a str,
}

impl<'a> From<&'a Finding> for Expected<'a> {
    fn from(Finding { code, place, reason }: &'a Finding) -> Self {
        Self { code: *code, place, reason }
    }
}

fn folder() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/findings")
}

/// The tree of a fixture as it is made now, as far as it is committed.
fn made(fixture: &Fixture) -> BTreeMap<String, Vec<u8>> {
    let made = Made::new();
    (fixture.make)(&made);
    let mut files = files(made.test.root());
    // With eager heads there are some; only this fixture is about one.
    files.retain(|path, _| !path.contains("/.head") || fixture.code == Code::HeadAhead);
    files.retain(|path, _| !path.contains("/.head."));
    files
}

/// What verify finds in a tree, by paths below its root.
fn found(fixture: &Fixture, tree: &BTreeMap<String, Vec<u8>>) -> Vec<Finding> {
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(dir.path()).unwrap();
    for (path, bytes) in tree {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    (fixture.add)(&root.join("TASK-1/runs/RUN-1"));
    let workspace = Workspace::open(root).unwrap();
    let verify = Verify::of(&workspace).read_data(ReadData::All);
    #[cfg(feature = "sqlite")]
    let verify = {
        let index = runjournal::index::Index::of(&workspace);
        if fixture.code == Code::ProjectionStopped {
            index.rebuild().unwrap();
        }
        verify.index(index)
    };
    let mut findings = verify.run().unwrap().findings;
    for finding in &mut findings {
        finding.place.path = finding.place.path.strip_prefix(root).unwrap().to_owned();
    }
    findings
}

#[test]
fn fixtures_of_findings_are_byte_for_byte_what_is_made_now() {
    let bless = std::env::var_os("RUNJOURNAL_BLESS").is_some();
    for fixture in FIXTURES {
        let (folder, made) = (folder().join(fixture.name()), made(fixture));
        if bless {
            let _ = fs::remove_dir_all(&folder);
            for (path, bytes) in &made {
                let path = folder.join("tree").join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
            let found = found(fixture, &made);
            let expected: Vec<_> = found.iter().map(Expected::from).collect();
            let expected = serde_json::to_string_pretty(&expected).unwrap() + "\n";
            fs::write(folder.join("expected.json"), expected).unwrap();
            continue;
        }
        let committed = files(&folder.join("tree"));
        assert!(committed.keys().eq(made.keys()), "{}: {:?}", fixture.name(), made.keys());
        for (path, bytes) in made {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (committed, made) = (text(&committed[&path]), text(&bytes));
            assert_eq!(
                committed,
                made,
                "{}: {path}; RUNJOURNAL_BLESS=1 rewrites it",
                fixture.name()
            );
        }
    }
}

#[test]
fn in_each_fixture_is_found_what_is_expected() {
    let mut wrong = BTreeMap::new();
    for fixture in FIXTURES {
        if cfg!(not(unix)) && fixture.code == Code::SymbolicLink {
            continue;
        }
        let folder = folder().join(fixture.name());
        let expected = fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected: Vec<Finding> = serde_json::from_str(&expected).unwrap();
        let found = found(fixture, &files(&folder.join("tree")));
        let is_told = found.iter().any(|finding| finding.code == fixture.code);
        if found != expected || !is_told {
            wrong.insert(fixture.name(), found);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_code_has_a_fixture() {
    let source = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("src/finding.rs");
    let source = fs::read_to_string(source).unwrap();
    let variants = source.split("pub enum Code {").nth(1).unwrap().split("\n}\n").next().unwrap();
    let variants = variants.lines().map(str::trim).filter(|line| !line.starts_with('/'));
    let variants = variants.filter_map(|line| line.strip_suffix(','));
    assert_eq!(
        variants.collect::<Vec<_>>(),
        Code::ALL.iter().map(|code| format!("{code:?}")).collect::<Vec<_>>()
    );
    for code in Code::ALL {
        let is_of_index = matches!(code, Code::ProjectionStopped | Code::IndexDrift);
        if cfg!(feature = "sqlite") || !is_of_index {
            assert!(FIXTURES.iter().any(|fixture| fixture.code == *code), "none shows {code}");
        }
        assert!(folder().join(code.to_string()).join("expected.json").exists(), "{code}");
        // The text is what JSON has.
        assert_eq!(json!(code), json!(code.to_string()));
    }
    for entry in folder().read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        let known = FIXTURES.iter().any(|fixture| fixture.name() == entry.file_name())
            || Code::ALL.iter().any(|code| code.to_string() == entry.file_name());
        assert!(known, "nobody makes {}", entry.file_name());
    }
}
