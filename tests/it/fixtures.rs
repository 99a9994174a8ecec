//! The golden fixtures of the format: small workspaces, good and damaged, and what is to be read in
//! them. They are made here, with a clock and ids that are the same in every run, and must be byte for
//! byte what is committed: who changes the format sees it here. `RUNJOURNAL_BLESS=1` rewrites them.
//!
//! A fixture is `fixtures/<good|damaged>/<name>/` with `expected.json` and `workspace/`, as far as git
//! keeps it: lock files, heads and empty directories are not there.

use std::collections::BTreeMap;
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{
    Artifact, ArtifactError, ArtifactName, Digest, Event, GenesisError, JournalError, Outcome,
    RunContext, Signal, StepError, Workspace,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::lab::{self, Lab, lines, notes};
use crate::oracle::{Report, Scan};

const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json");

fn report() -> Artifact<serde_json::Value> {
    Artifact::named(ArtifactName::new("reports/bücher 2.json").unwrap())
}

/// What is to be read in a fixture's run, and what comes of an append to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Expected {
    pub(crate) genesis: String,
    /// The seqs that count.
    pub(crate) records: Vec<u64>,
    pub(crate) reports: Vec<Report>,
    pub(crate) artifacts: BTreeMap<String, String>,
    /// The state of each object that a record names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) objects: BTreeMap<String, String>,
    /// What the checkpoint of each turn holds: the digest of each path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) checkpoints: BTreeMap<u64, BTreeMap<String, String>>,
    /// `goes on`, or why it is refused.
    pub(crate) append: String,
}

struct Fixture {
    name: &'static str,
    make: fn(&Lab),
    /// The states of artifacts, which are not to be taken from the library alone.
    artifacts: &'static [(&'static str, &'static str)],
    append: &'static str,
}

const fn fixture(name: &'static str, make: fn(&Lab)) -> Fixture {
    Fixture { name, make, artifacts: &[], append: "goes on" }
}

impl Fixture {
    const fn artifacts(self, artifacts: &'static [(&'static str, &'static str)]) -> Self {
        Self { artifacts, ..self }
    }

    const fn append(self, append: &'static str) -> Self {
        Self { append, ..self }
    }
}

const FIXTURES: &[Fixture] = &[
    fixture("good/empty_run", |_| {}),
    fixture("good/one_event", |lab| note(lab, "hello")),
    fixture("good/batch", |lab| {
        note(lab, "hello");
        lab.batch(&notes(3));
    }),
    fixture("good/artifacts", |lab| {
        let store = lab.ctx.artifacts();
        store.write(PLAN, &vec!["fetch".to_owned()]).unwrap();
        store.write(PLAN, &vec!["fetch".to_owned(), "build".to_owned()]).unwrap();
        store
            .write(report(), &json!({"z": 1.0, "a": [1e-7, 123_456_789_012_345_678_u64]}))
            .unwrap();
        let name = ArtifactName::new("notes/a.txt").unwrap();
        store.write_bytes(&name, b"gone soon").unwrap();
        store.remove(&name).unwrap();
        let adopted = ArtifactName::new("by-hand.txt").unwrap();
        fs::write(lab.ctx.artifact_path(&adopted), "put here by an editor\n").unwrap();
        store.adopt(&adopted).unwrap();
        fs::write(lab.ctx.run_path().join("artifacts/stray.txt"), "nobody said so\n").unwrap();
    })
    .artifacts(&[
        ("by-hand.txt", "ok"),
        ("notes/a.txt", "removed"),
        ("plan.json", "ok"),
        ("reports/bücher 2.json", "ok"),
        ("stray.txt", "unjournaled"),
    ]),
    fixture("good/checkpoints", |lab| {
        let store = || lab.ctx.artifacts();
        store().write(PLAN, &vec!["fetch".to_owned()]).unwrap();
        store().write(report(), &json!({"pages": 7})).unwrap();
        lab.ctx.checkpoint(1).unwrap();
        store().write(PLAN, &vec!["fetch".to_owned(), "build".to_owned()]).unwrap();
        store().remove(ArtifactName::from(report())).unwrap();
        let name = ArtifactName::new("notes/a.txt").unwrap();
        store().write_bytes(&name, b"by turn two\n").unwrap();
        lab.ctx.checkpoint(2).unwrap();
        store().write_bytes(&name, b"of no turn yet\n").unwrap();
    })
    .artifacts(&[
        ("notes/a.txt", "ok"),
        ("plan.json", "ok"),
        ("reports/bücher 2.json", "removed"),
    ]),
    fixture("good/artifacts_not_yet_in_place", |lab| {
        let before = lab.ctx.artifacts().write(PLAN, &vec!["fetch".to_owned()]).unwrap();
        let old = fs::read(lab.ctx.plan_path()).unwrap();
        let mut transaction = lab.ctx.transaction();
        transaction.write(PLAN, &vec!["build".to_owned()]).unwrap();
        transaction.write(report(), &json!(null)).unwrap();
        transaction.commit().unwrap();
        // As if the writer had been killed between the append and the renames.
        let (records, _) = lab.read();
        for record in records.iter().filter(|record| record.seq() > before.seq) {
            let run = lab.ctx.run_path();
            let stage = run.join(".tmp").join(record.event_id().to_string());
            fs::rename(run.join("artifacts").join(record.stream_id()), stage).unwrap();
        }
        fs::write(lab.ctx.plan_path(), old).unwrap();
        fs::remove_dir(lab.ctx.run_path().join("artifacts/reports")).unwrap();
    })
    .artifacts(&[("plan.json", "pending"), ("reports/bücher 2.json", "pending")]),
    fixture("good/steps", |lab| {
        steps(lab);
        lab.ctx.step("unfinished", |_| Ok(Signal::new("never told"))).unwrap();
        // Killed before the step's end was written: the step is open.
        drop_last(lab, 1);
    })
    .artifacts(&[("plan.json", "ok")]),
    fixture("good/completed_run", |lab| {
        steps(lab);
        lab.ctx.run().unwrap().complete(Outcome::Success, Some("all is done")).unwrap();
    })
    .artifacts(&[("plan.json", "ok")])
    .append("closed"),
    fixture("good/garbage_of_a_killed_writer", |lab| {
        note(lab, "hello");
        lab.killed(&notes(1), |written| written / 3);
        note(lab, "again");
        lab.killed(&notes(1), |written| written - 1);
        note(lab, "and again");
    }),
    fixture("good/void_batch", |lab| {
        note(lab, "hello");
        lab.killed(&notes(3), |written| written / 2);
        note(lab, "again");
        lab.killed_between(&notes(2));
        note(lab, "and again");
    }),
    fixture("good/unicode", |lab| {
        let odd = "\u{2028}\u{2029}\u{85}\u{7f}\t\"\\\u{0}\u{1F980} Füße";
        let nested = json!({"seq": 1, "hash": "{\"seq\":1", "J": [{"seq": 2}]});
        let event =
            Event::new("note_taken").stream("talk", odd).metadata(&json!({"\u{2028}": odd}));
        lab.ctx.append(event.payload(&json!([odd, nested])).key(odd)).unwrap();
    }),
    fixture("good/spilled_payload", |lab| {
        note(lab, "hello");
        spilled(lab);
        note(lab, "again");
    }),
    fixture("damaged/objects", |lab| {
        let [changed, missing] = spilled(lab);
        fs::write(changed, "\"shorter than it was\"").unwrap();
        fs::remove_file(missing).unwrap();
        note(lab, "hello");
    }),
    fixture("damaged/bit_flipped_in_a_body", |lab| flip(lab, 1, |line| line / 2, 2)),
    fixture("damaged/bit_flipped_in_a_batch", |lab| flip(lab, 3, |line| line / 2, 2)),
    fixture("damaged/bit_flipped_in_a_hash", |lab| flip(lab, 1, |line| line - 10, 0)),
    fixture("damaged/bit_flipped_in_an_end", |lab| flip(lab, 1, |line| line - 70, 5)),
    fixture("damaged/bit_flipped_in_a_newline", |lab| flip(lab, 1, |line| line - 1, 0)),
    fixture("damaged/bit_flipped_in_a_newline_before_garbage", |lab| {
        flip(lab, 4, |line| line - 1, 5)
    }),
    fixture("damaged/bit_flipped_in_garbage", |lab| flip(lab, 5, |_| 1, 0)),
    fixture("damaged/garbage_removed", |lab| {
        some(lab);
        change(lab, |lines| drop(lines.remove(5)));
    }),
    fixture("damaged/torn_tail", |lab| {
        some(lab);
        lab.killed(&notes(1), |written| written / 2);
    }),
    fixture("damaged/torn_batch", |lab| {
        some(lab);
        lab.killed(&notes(3), |written| written / 2);
    }),
    fixture("damaged/foreign_lines", |lab| {
        some(lab);
        change(lab, |lines| {
            lines.insert(
                1,
                b"{\"level\":\"info\",\"msg\":\"written by another program\"}\n".to_vec(),
            );
            lines.insert(4, b"this one broke a batch\n".to_vec());
        });
    }),
    fixture("damaged/nul_run", |lab| {
        some(lab);
        let mut bytes = lab.bytes();
        let at = lines(&bytes)[0].len() + 100;
        bytes[at..at + 128].fill(0);
        lab.put(&bytes);
    }),
    fixture("damaged/nul_tail", |lab| {
        some(lab);
        lab.put(&[lab.bytes(), vec![0; 64]].concat());
    }),
    fixture("damaged/line_breaks_of_windows", |lab| {
        some(lab);
        change(lab, |lines| {
            for line in lines {
                line.pop();
                line.extend_from_slice(b"\r\n");
            }
        });
    })
    .append("damaged tail"),
    fixture("damaged/line_removed", |lab| {
        some(lab);
        change(lab, |lines| drop(lines.remove(1)));
    }),
    fixture("damaged/lines_swapped", |lab| {
        some(lab);
        change(lab, |lines| lines.swap(0, 1));
    }),
    fixture("damaged/line_doubled", |lab| {
        some(lab);
        change(lab, |lines| lines.insert(1, lines[0].clone()));
    }),
    fixture("damaged/tail", damaged_tail).append("damaged tail"),
    fixture("damaged/tail_repaired", |lab| {
        damaged_tail(lab);
        lab.repair();
        note(lab, "on it goes");
    }),
    fixture("damaged/run_json", |lab| {
        some(lab);
        let path = lab.ctx.run_path().join("run.json");
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1;
        fs::write(&path, bytes).unwrap();
    })
    .append("damaged genesis"),
    fixture("damaged/journal_missing", |lab| {
        some(lab);
        fs::remove_file(lab.ctx.journal_path()).unwrap();
    })
    .append("missing journal"),
    fixture("damaged/artifacts", |lab| {
        let store = lab.ctx.artifacts();
        store.write(PLAN, &vec!["fetch".to_owned()]).unwrap();
        store.write(report(), &json!(1)).unwrap();
        let name = ArtifactName::new("notes/a.txt").unwrap();
        store.write_bytes(&name, b"x").unwrap();
        store.remove(&name).unwrap();
        fs::write(lab.ctx.plan_path(), "[]\n").unwrap();
        fs::remove_dir_all(lab.ctx.run_path().join("artifacts/reports")).unwrap();
        fs::create_dir(lab.ctx.run_path().join("artifacts/notes")).unwrap();
        fs::write(lab.ctx.artifact_path(&name), "back again").unwrap();
    })
    .artifacts(&[
        ("notes/a.txt", "unjournaled"),
        ("plan.json", "changed"),
        ("reports/bücher 2.json", "missing"),
    ]),
];

fn note(lab: &Lab, text: &str) {
    lab.ctx.append(Event::new("note_taken").payload(&json!({"text": text}))).unwrap();
}

/// Appends two payloads that are too large for a line, as it is written there; returns their objects.
fn spilled(lab: &Lab) -> [Utf8PathBuf; 2] {
    let lines = "\u{2028}".repeat(11_000);
    let events = [lines, "y".repeat((64 << 10) - 1)].map(|text| Event::new("said").payload(&text));
    lab.batch(&events);
    let (records, _) = lab.read();
    let objects = records.iter().filter_map(runjournal::Record::payload_ref).map(|object| {
        let hex = object.digest.to_hex();
        lab.ctx.run_path().join("objects").join(&hex[..2]).join(&hex[2..])
    });
    objects.collect::<Vec<_>>().try_into().unwrap()
}

/// Lines 0 and 1: records; 2 to 4: a batch; 5: three bytes of a killed writer and their seal; 6 and
/// 7: records.
fn some(lab: &Lab) {
    note(lab, "hello");
    note(lab, "again");
    lab.batch(&notes(3));
    lab.killed(&notes(1), |_| 3);
    note(lab, "and again");
    note(lab, "the end");
}

/// Flips a bit of a line of [`some`], at the place that is computed from the line's length.
fn flip(lab: &Lab, line: usize, at: fn(usize) -> usize, bit: u8) {
    some(lab);
    change(lab, |lines| {
        let len = lines[line].len();
        lines[line][at(len)] ^= 1 << bit;
    });
}

fn change(lab: &Lab, change: impl Fn(&mut Vec<Vec<u8>>)) {
    let mut all: Vec<Vec<u8>> = lines(&lab.bytes()).iter().map(|line| line.to_vec()).collect();
    change(&mut all);
    lab.put(&all.concat());
}

fn drop_last(lab: &Lab, count: usize) {
    let bytes = lab.bytes();
    let all = lines(&bytes);
    lab.put(&all[..all.len() - count].concat());
}

fn damaged_tail(lab: &Lab) {
    some(lab);
    let bytes = lab.bytes();
    lab.put(&[&bytes[..], b"echo done >> events.jsonl\n{\"and\":\"half a line"].concat());
}

fn steps(lab: &Lab) {
    lab.ctx
        .step("plan", |s| {
            s.write(PLAN, &vec!["fetch".to_owned()])?;
            s.append(Event::new("tool_called"))?;
            Ok(Signal::new("planned"))
        })
        .unwrap();
    lab.ctx.step("execute", |_| Err(StepError::message("no"))).unwrap_err();
}

fn folder(name: &str) -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn is_left_out(name: &str) -> bool {
    name == ".lock" || name.starts_with(".head")
}

/// All files below a directory, as far as git keeps them, with their contents.
fn files(dir: &Utf8Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(at) = dirs.pop() {
        for entry in at.read_dir_utf8().into_iter().flatten() {
            let path = entry.unwrap().into_path();
            if path.is_dir() {
                dirs.push(path);
            } else if !path.file_name().is_some_and(is_left_out) {
                let relative = path.strip_prefix(dir).unwrap().as_str().replace('\\', "/");
                files.insert(relative, fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// A copy of a committed fixture to work in.
pub(crate) struct Copy {
    pub(crate) name: &'static str,
    pub(crate) expected: Expected,
    pub(crate) ctx: Result<RunContext, runjournal::WorkspaceError>,
    pub(crate) run: Utf8PathBuf,
    pub(crate) task: Utf8PathBuf,
    _dir: tempfile::TempDir,
}

/// Copies of all committed fixtures.
pub(crate) fn all() -> Vec<Copy> {
    FIXTURES.iter().map(|fixture| copy(fixture.name)).collect()
}

fn copy(name: &'static str) -> Copy {
    let expected = fs::read_to_string(folder(name).join("expected.json")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(dir.path()).unwrap().join("workspace");
    for (path, bytes) in files(&folder(name).join("workspace")) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let task = Workspace::open(&root).unwrap().task("TASK-1").unwrap();
    let run = task.run("RUN-1");
    Copy {
        name,
        expected: serde_json::from_str(&expected).unwrap(),
        ctx: run.map(|run| run.context().clone()),
        run: root.join("TASK-1/runs/RUN-1"),
        task: root.join("TASK-1"),
        _dir: dir,
    }
}

/// What the library reads in a run, and what comes of an append to it.
fn found(run: Result<&RunContext, &runjournal::WorkspaceError>) -> Expected {
    let mut found = Expected {
        genesis: "ok".to_owned(),
        records: Vec::new(),
        reports: Vec::new(),
        artifacts: BTreeMap::new(),
        objects: BTreeMap::new(),
        checkpoints: BTreeMap::new(),
        append: String::new(),
    };
    let ctx = match run {
        Ok(ctx) => ctx,
        Err(runjournal::WorkspaceError::Genesis(GenesisError::Damaged { .. })) => {
            found.genesis = "damaged".to_owned();
            found.append = "damaged genesis".to_owned();
            return found;
        }
        Err(other) => panic!("{other:?}"),
    };
    match ctx.events() {
        Ok(_) => {
            let (records, reports) = lab::read(ctx);
            found.artifacts = artifacts(ctx, &records);
            found.objects = objects(&records);
            found.checkpoints = checkpoints(ctx);
            found.records = records.iter().map(|record| record.seq()).collect();
            found.reports = reports;
        }
        Err(JournalError::MissingJournal { .. }) => {
            let kind = crate::oracle::Kind::Damage;
            found.reports = vec![Report { offset: 0, length: 0, kind }];
        }
        Err(other) => panic!("{other:?}"),
    }
    found.append = match ctx.append(Event::new("went_on")) {
        Ok(_) => "goes on",
        Err(JournalError::DamagedTail { .. }) => "damaged tail",
        Err(JournalError::Closed { .. }) => "closed",
        Err(JournalError::MissingJournal { .. }) => "missing journal",
        Err(other) => panic!("{other:?}"),
    }
    .to_owned();
    found
}

/// The state of each object that a record names.
fn objects(records: &[runjournal::Record]) -> BTreeMap<String, String> {
    let state = |record: &runjournal::Record| match record.payload_json() {
        Ok(_) => "ok",
        Err(JournalError::ObjectMissing { .. }) => "missing",
        Err(JournalError::ObjectChanged { .. }) => "changed",
        Err(other) => panic!("{other:?}"),
    };
    let named = records.iter().filter_map(|record| Some((record.payload_ref()?, record)));
    named.map(|(object, record)| (object.digest.to_string(), state(record).to_owned())).collect()
}

/// What the checkpoint of each turn holds, every byte of it read.
fn checkpoints(ctx: &RunContext) -> BTreeMap<u64, BTreeMap<String, String>> {
    let held = |checkpoint: &runjournal::Checkpoint| {
        let set = checkpoint.artifacts().unwrap();
        let read = |name: &ArtifactName| {
            (name.to_string(), Digest::of(&set.read_bytes(name).unwrap()).to_string())
        };
        (checkpoint.turn, set.names().into_iter().map(read).collect())
    };
    ctx.checkpoints().unwrap().iter().map(held).collect()
}

/// The state of each artifact, in the independent reader's words.
fn artifacts(ctx: &RunContext, records: &[runjournal::Record]) -> BTreeMap<String, String> {
    let store = ctx.artifacts();
    let mut states = BTreeMap::new();
    for record in records.iter().filter(|record| record.aggregate_kind() == "artifact") {
        states.insert(record.stream_id().to_owned(), ("removed", Some(record.event_id())));
    }
    for entry in store.list().unwrap() {
        let name = entry.name.to_string();
        let state = match (entry.digest, entry.size) {
            (None, _) => "unjournaled",
            (Some(digest), _) => match store.check(&entry.name) {
                Ok(_) => "ok",
                Err(error) => {
                    let event_id = states[&name].1.unwrap();
                    let stage = ctx.run_path().join(".tmp").join(event_id.to_string());
                    match fs::read(stage) {
                        Ok(staged) if Digest::of(&staged) == digest => "pending",
                        _ if matches!(error, ArtifactError::Changed { .. }) => "changed",
                        _ => "missing",
                    }
                }
            },
        };
        states.entry(name).or_insert((state, None)).0 = state;
    }
    states.into_iter().map(|(name, (state, _))| (name, state.to_owned())).collect()
}

#[test]
fn fixtures_are_byte_for_byte_what_is_made_now() {
    let bless = std::env::var_os("RUNJOURNAL_BLESS").is_some();
    for fixture in FIXTURES {
        let lab = Lab::new();
        (fixture.make)(&lab);
        let made = files(lab.test.root());
        let target = folder(fixture.name).join("workspace");
        if bless {
            let _ = fs::remove_dir_all(folder(fixture.name));
            for (path, bytes) in &made {
                let path = target.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
            let mut expected = found(lab.ctx.run().map(|_| &lab.ctx).as_ref().map(|ctx| *ctx));
            expected.artifacts =
                fixture.artifacts.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
            expected.append = fixture.append.to_owned();
            let text = serde_json::to_string_pretty(&expected).unwrap() + "\n";
            fs::write(folder(fixture.name).join("expected.json"), text).unwrap();
            continue;
        }
        let committed = files(&target);
        assert!(
            committed.keys().eq(made.keys()),
            "{}: other files; RUNJOURNAL_BLESS=1 rewrites them: {:?}",
            fixture.name,
            made.keys()
        );
        for (path, bytes) in made {
            let committed = String::from_utf8_lossy(&committed[&path]).into_owned();
            let made = String::from_utf8_lossy(&bytes).into_owned();
            assert_eq!(committed, made, "{}: {path}; RUNJOURNAL_BLESS=1 rewrites it", fixture.name);
        }
    }
}

#[test]
fn every_folder_is_a_fixture() {
    for kind in ["good", "damaged"] {
        for entry in folder(kind).read_dir_utf8().unwrap() {
            let name = format!("{kind}/{}", entry.unwrap().file_name());
            assert!(FIXTURES.iter().any(|fixture| fixture.name == name), "nobody makes {name}");
        }
    }
}

#[test]
fn fixtures_read_as_expected() {
    for (fixture, copy) in FIXTURES.iter().zip(all()) {
        let Copy { name, expected, ctx, run, .. } = &copy;
        assert_eq!(expected.append, fixture.append, "{name}");
        // What the library says,
        assert_eq!(found(ctx.as_ref()), *expected, "{name}");
        // and what the oracle says.
        let committed = folder(name).join("workspace/TASK-1/runs/RUN-1");
        if expected.genesis == "ok" && run.join("journal/events.jsonl").exists() {
            let genesis = fs::read(committed.join("run.json")).unwrap();
            let journal = fs::read(committed.join("journal/events.jsonl")).unwrap();
            let scan = Scan::of(&genesis, &journal);
            assert_eq!((scan.seqs(), &scan.reports), (expected.records.clone(), &expected.reports));
            assert_eq!(scan.refuses, expected.append == "damaged tail", "{name}");
        }
        let damage = expected.reports.iter().any(|r| r.kind == crate::oracle::Kind::Damage);
        assert!(!damage || name.starts_with("damaged/"), "{name}");
    }
}

#[test]
fn what_was_committed_is_put_in_place_by_whoever_comes_next() {
    let copy = copy("good/artifacts_not_yet_in_place");
    let ctx = copy.ctx.unwrap();
    assert_eq!(ctx.catch_up().unwrap(), []);
    assert_eq!(ctx.artifacts().read(PLAN).unwrap(), ["build"]);
    assert_eq!(ctx.artifacts().read(report()).unwrap(), json!(null));
    assert_eq!(fs::read_dir(ctx.run_path().join(".tmp")).unwrap().count(), 0);
}
