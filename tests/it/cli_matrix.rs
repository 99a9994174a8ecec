//! Every verb over workspaces of every kind: the exit code that docs/cli.md names, an error in three lines at most,
//! nothing on standard output behind it, one document or nothing in JSON, and no panic. The codes are in
//! `cli_matrix.txt`; some of the cells are tried each time, and all of them with `RUNJOURNAL_TEST_MATRIX=all`
//! (`RUNJOURNAL_BLESS=1` tries all, too, and writes the file).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use camino::Utf8PathBuf;
use runjournal::{Event, Fold, JournalError, Record, RunContext, TaskOptions, Workspace};
use serde_json::Value;

use crate::cli::{Answer, Shell, seal};

/// Whether a verb may change what the next one sees.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reads,
    Writes,
    /// Its standard output is an artifact's bytes, or a program's own words, in JSON too.
    Prints,
}
use Kind::{Prints, Reads, Writes};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/cli_matrix.txt");
/// Those that differ most are tried with every verb each time.
const ALWAYS: [&str; 3] = ["good", "none", "read-only"];

/// Each verb, as it is typed here.
const VERBS: &[(&str, &str, Kind)] = &[
    ("init", "--if-absent", Writes),
    ("status", "", Reads),
    ("health", "", Reads),
    ("task create", "TASK-9", Writes),
    ("task list", "", Reads),
    ("task show", "TASK-1", Reads),
    ("task archive", "TASK-3", Writes),
    ("run start", "TASK-1 --run-id RUN-9", Writes),
    ("run list", "", Reads),
    ("run show", "TASK-1/RUN-1", Reads),
    ("run complete", "TASK-1/RUN-1 --status success", Writes),
    ("run move", "TASK-1/RUN-1 TASK-3", Writes),
    ("run hold", "TASK-1/RUN-1 --reason audit", Writes),
    ("run unhold", "TASK-1/RUN-1", Writes),
    ("artifact put", "new.txt plan -r TASK-1/RUN-1", Writes),
    ("artifact get", "plan.txt - -r TASK-1/RUN-1", Prints),
    ("artifact cat", "plan.txt -r TASK-1/RUN-1", Prints),
    ("artifact list", "-r TASK-1/RUN-1", Reads),
    ("artifact history", "plan.txt -r TASK-1/RUN-1", Reads),
    ("artifact remove", "plan.txt -r TASK-1/RUN-1", Writes),
    ("artifact adopt", "plan.txt -r TASK-1/RUN-1", Writes),
    ("event append", "noted -r TASK-1/RUN-1", Writes),
    ("event log", "-r TASK-1/RUN-1", Reads),
    ("event show", "1 -r TASK-1/RUN-1", Reads),
    ("lease claim", "TASK-1 --worker me", Writes),
    ("lease renew", "TASK-2 --token 2", Writes),
    ("lease release", "TASK-2 --token 2", Writes),
    ("lease show", "TASK-2", Reads),
    ("queue add", "more -t TASK-1", Writes),
    ("queue next", "-t TASK-1 --owner me", Writes),
    ("queue renew", "taken -t TASK-1 --owner w --attempt 1", Writes),
    ("queue done", "taken -t TASK-1 --owner w --attempt 1", Writes),
    ("queue fail", "taken -t TASK-1 --owner w --attempt 1", Writes),
    ("queue list", "-t TASK-1", Reads),
    ("receipt show", "C-1 -r TASK-1/RUN-1", Reads),
    ("session list", "-r TASK-1/RUN-1", Reads),
    ("session show", "s1 -r TASK-1/RUN-1", Reads),
    ("approval list", "-r TASK-1/RUN-1", Reads),
    ("approval resolve", "a1 yes --by me -r TASK-1/RUN-1", Writes),
    ("step run", "more -r TASK-1/RUN-1 -- true", Writes),
    ("flow run", "flow.json -r TASK-1/RUN-1", Writes),
    ("flow resume", "-r TASK-3/RUN-3", Writes),
    ("flow show", "-r TASK-3/RUN-3", Reads),
    ("flow check", "flow.json", Reads),
    ("lineage why", "made.txt -r TASK-1/RUN-1", Reads),
    ("lineage stale", "-r TASK-1/RUN-1", Reads),
    ("checkpoint create", "-r TASK-1/RUN-1", Writes),
    ("checkpoint list", "-r TASK-1/RUN-1", Reads),
    ("checkpoint restore", "1 -r TASK-1/RUN-1 --apply", Writes),
    ("checkpoint cat", "1 plan.txt -r TASK-1/RUN-1", Prints),
    ("diff", "TASK-1/RUN-1@1 TASK-1/RUN-1", Reads),
    ("index rebuild", "", Writes),
    ("index refresh", "", Writes),
    ("index verify", "", Reads),
    ("index path", "", Reads),
    ("query tasks", "", Writes),
    ("query runs", "--stale", Reads),
    ("query latest", "TASK-1 --stale", Reads),
    ("query unfinished", "--stale", Reads),
    ("query artifacts", "--stale", Reads),
    ("query events", "--stale", Reads),
    ("query causes", "00000000-0000-7000-8000-000000000000 --stale", Reads),
    ("query steps", "--stale", Reads),
    ("query findings", "--stale", Reads),
    ("query sql", "SELECT --stale", Reads),
    ("verify", "", Reads),
    ("repair", "", Reads),
    ("backup create", "backup", Writes),
    ("backup list", "backup", Reads),
    ("backup verify", "backup", Reads),
    ("backup restore", "backup TASK-1/RUN-1", Writes),
    ("backup prune", "backup --keep-last 1", Reads),
    ("backup hold", "backup 0 --reason audit", Writes),
    ("backup unhold", "backup 0", Writes),
    ("prune", "", Reads),
    ("completions", "bash", Prints),
];

/// A workspace of some kind, made of the good one.
struct State {
    name: &'static str,
    make: fn(&Shell),
}

const STATES: &[State] = &[
    State { name: "good", make: |_| {} },
    State {
        name: "empty",
        make: |shell| {
            fs::remove_dir_all(shell.path("workspaces")).unwrap();
            shell.ok(&["init"]);
        },
    },
    State { name: "none", make: |shell| fs::remove_dir_all(shell.path("workspaces")).unwrap() },
    State { name: "workspace.json", make: |shell| flip(shell, "workspace.json") },
    State { name: "task.json", make: |shell| flip(shell, "TASK-1/task.json") },
    State { name: "run.json", make: |shell| flip(shell, "TASK-1/runs/RUN-1/run.json") },
    State { name: "journal", make: |shell| flip(shell, "TASK-1/runs/RUN-1/journal/events.jsonl") },
    State {
        name: "no journal",
        make: |shell| fs::remove_file(shell.run_file("journal/events.jsonl")).unwrap(),
    },
    State { name: "task's journal", make: |shell| flip(shell, "TASK-1/journal/events.jsonl") },
    State {
        name: "no artifacts",
        make: |shell| {
            fs::remove_dir_all(shell.run_file("artifacts")).unwrap();
            fs::write(shell.run_file("artifacts"), "a file").unwrap();
        },
    },
    State { name: "checkpoint", make: |shell| flip(shell, "TASK-1/runs/RUN-1/checkpoints/1.json") },
    State { name: "index", make: index },
    State { name: "backup", make: backup },
    State { name: "new workspace", make: |shell| newer(shell, "workspace.json") },
    State { name: "new task", make: |shell| newer(shell, "TASK-1/task.json") },
    State { name: "new run", make: |shell| newer(shell, "TASK-1/runs/RUN-1/run.json") },
    State { name: "read-only", make: |shell| forbid(shell, true) },
];

/// One bit in the middle.
fn flip(shell: &Shell, path: &str) {
    let path = shell.path("workspaces").join(path);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(path, bytes).unwrap();
}

/// As a version of the tool that is to come would have written it, and the records behind it.
fn newer(shell: &Shell, path: &str) {
    let path = shell.path("workspaces").join(path);
    let text = fs::read_to_string(&path).unwrap();
    let later = ["format", "schema"].iter().fold(text.clone(), |text, what| {
        text.replacen(&format!("\"{what}_version\":1"), &format!("\"{what}_version\":99"), 1)
    });
    assert_ne!(later, text);
    let genesis = seal(later.split(",\"hash\":").next().unwrap());
    fs::write(&path, &genesis).unwrap();
    let journal = path.with_file_name("journal").join("events.jsonl");
    if let Ok(records) = fs::read_to_string(&journal) {
        fs::write(journal, chained(&genesis, &records)).unwrap();
    }
}

/// The same records behind another genesis file.
fn chained(genesis: &str, records: &str) -> String {
    let mut parent = blake3::hash(genesis.as_bytes());
    let mut chained = String::new();
    for line in records.lines() {
        let (body, _) = line.rsplit_once(",\"hash\":\"").unwrap();
        parent = blake3::hash(&[parent.as_bytes(), body.as_bytes()].concat());
        chained.push_str(&format!("{body},\"hash\":\"{}\"}}\n", parent.to_hex()));
    }
    chained
}

fn index(shell: &Shell) {
    for entry in walkdir::WalkDir::new(shell.path("workspaces/.index")) {
        let entry = entry.unwrap();
        if entry.file_name() == "index.db" {
            fs::write(entry.path(), [b'?'; 9000]).unwrap();
        }
    }
}

/// Every page of the backup.
fn backup(shell: &Shell) {
    for entry in walkdir::WalkDir::new(shell.path("backup")) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|end| end == "json")
        {
            let mut bytes = fs::read(entry.path()).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            fs::write(entry.path(), bytes).unwrap();
        }
    }
}

fn forbid(shell: &Shell, forbidden: bool) {
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&shell.path(""), 0o755);
    for root in ["workspaces", "backup"] {
        for entry in walkdir::WalkDir::new(shell.path(root)) {
            let entry = entry.unwrap();
            let (dir, file) = if forbidden { (0o555, 0o444) } else { (0o755, 0o644) };
            mode(entry.path(), if entry.file_type().is_dir() { dir } else { file });
        }
    }
}

fn utf8(shell: &Shell, path: &str) -> Utf8PathBuf {
    Utf8PathBuf::from_path_buf(shell.path(path)).unwrap()
}

fn run_of(shell: &Shell) -> RunContext {
    let task = Workspace::open(utf8(shell, "workspaces")).unwrap().task("TASK-1").unwrap();
    task.run("RUN-1").unwrap().context().clone()
}

const FLOW: &str = r#"{"flow": "one", "nodes": [
  {"node": "do", "run": {"program": ["true"]}, "edges": [{"on": "success", "end": "SUCCESS"}]}]}"#;

#[derive(Default)]
struct Nothing;

impl Fold for Nothing {
    fn apply(&mut self, _: &Record) -> Result<(), JournalError> {
        Ok(())
    }
}

/// A workspace that has something of each kind, its index and its backup.
fn good() -> Shell {
    let shell = Shell::with_run();
    shell.write("plan", "fetch, then build\n");
    shell.write("flow.json", FLOW);
    let run = ["-r", "TASK-1/RUN-1"];
    shell.ok(&[&["artifact", "put", "plan.txt", "plan"], &run[..]].concat());
    let step = ["--stdin", "plan.txt", "--stdout", "made.txt", "--", "cat"];
    shell.ok(&[&["step", "run", "make"], &run[..], &step].concat());
    shell.ok(&[&["checkpoint", "create"], &run[..]].concat());
    let ctx = run_of(&shell);
    ctx.session("s1", "somebody").unwrap();
    ctx.request_approval("a1", "Go on?", &["yes"]).unwrap();
    let decided = |_: &Nothing| Ok(vec![Event::new("seat_taken")]);
    let _receipt = ctx
        .dispatch(runjournal::Command::new("C-1", "take_seat").on("show", "S-1"), decided)
        .unwrap();
    for item in ["taken", "due"] {
        shell.ok(&["queue", "add", item, "-t", "TASK-1"]);
    }
    shell.ok(&["queue", "next", "-t", "TASK-1", "--owner", "w", "--ttl", "1h"]);
    shell.ok(&["task", "create", "TASK-2"]);
    assert_eq!(
        shell.ok(&["lease", "claim", "TASK-2", "--worker", "w", "--ttl", "1h"]),
        "TASK-2/2\n"
    );
    shell.ok(&["task", "create", "TASK-3"]);
    shell.ok(&["run", "start", "TASK-3", "--run-id", "RUN-3"]);
    shell.ok(&["flow", "run", "flow.json", "-r", "TASK-3/RUN-3"]);
    shell.ok(&["index", "rebuild"]);
    shell.ok(&["backup", "create", "backup"]);
    shell
}

fn copy(from: &Shell) -> Shell {
    let to = Shell::empty();
    let mut cp = Command::new("cp");
    assert!(cp.arg("-a").arg(from.path(".")).arg(to.path("")).status().unwrap().success());
    to
}

fn type_in(shell: &Shell, state: &State, words: &[&str], json: bool) -> Answer {
    let format: &[&str] = if json { &["--format", "json"] } else { &[] };
    let mut command = shell.command(&[format, words].concat());
    if state.name == "read-only" {
        let tool = shell.path("tool");
        let mut nobody = Command::new(tool);
        nobody.args(format).args(words).current_dir(shell.path("")).env_clear();
        nobody.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if rustix::process::geteuid().is_root() {
            nobody.uid(65_534).gid(65_534);
        }
        command = nobody;
    }
    Answer::of(command.output().unwrap())
}

/// What must hold of every answer, whatever it is.
fn judge(at: &str, answer: &Answer, json: bool, kind: Kind, wrong: &mut Vec<String>) {
    let mut say = |what: &str| {
        wrong.push(format!(
            "{at}{}: {what}\n{}{}",
            if json { " in JSON" } else { "" },
            answer.out,
            answer.err
        ));
    };
    if !matches!(answer.exit, 0..=6 | 10) || answer.err.contains("panicked") {
        say(&format!("it ended with {}", answer.exit));
    }
    if answer.exit >= 2 {
        let lines: Vec<_> = answer.err.lines().collect();
        let told = lines.iter().filter(|line| line.starts_with("error: ")).count();
        if told != 1 || !answer.err.starts_with("error: ") {
            say("it does not begin with one `error: `");
        }
        // Lines that go on from the one before are indented further.
        if lines.iter().filter(|line| !line.starts_with("    ")).count() > 3 {
            say("the error is longer than three lines");
        }
        if !answer.out.is_empty() && kind != Prints {
            say("something stands on standard output");
        }
    }
    if json && kind != Prints && !answer.out.is_empty() {
        match serde_json::from_str::<Value>(&answer.out) {
            Ok(document) if document["version"] == 1 => {}
            Ok(_) => say("the document has no version"),
            Err(error) => say(&format!("it is not one document ({error})")),
        }
    }
}

/// The words of a command line.
fn typed<'a>(verb: &'a str, arguments: &'a str) -> Vec<&'a str> {
    match verb {
        "query sql" => vec!["query", "sql", "SELECT COUNT(*) FROM runs", "--stale"],
        _ => verb.split(' ').chain(arguments.split_whitespace()).collect(),
    }
}

/// The exit code of each verb over one kind of workspace.
fn codes(good: &Shell, state: &State, wrong: &mut Vec<String>) -> BTreeMap<&'static str, i32> {
    let all = bless() || std::env::var_os("RUNJOURNAL_TEST_MATRIX").is_some();
    let shared = copy(good);
    if state.name == "read-only" {
        fs::copy(env!("CARGO_BIN_EXE_runjournal"), shared.path("tool")).unwrap();
    }
    (state.make)(&shared);
    let mut codes = BTreeMap::new();
    let state_number = STATES.iter().position(|other| other.name == state.name).unwrap();
    for (number, (verb, arguments, kind)) in VERBS.iter().enumerate() {
        let words = typed(verb, arguments);
        let at = format!("{verb}, {}", state.name);
        let alone = *kind == Writes && state.name != "read-only";
        let place = state_number + number;
        if !(all || ALWAYS.contains(&state.name) || place % 4 == 0) {
            continue;
        }
        let json = place / 4 % 2 == 0;
        let own = alone.then(|| copy(&shared));
        let answer = type_in(own.as_ref().unwrap_or(&shared), state, &words, json);
        judge(&at, &answer, json, *kind, wrong);
        codes.insert(*verb, answer.exit);
    }
    forbid_undone(&shared, state);
    codes
}

fn bless() -> bool {
    std::env::var_os("RUNJOURNAL_BLESS").is_some()
}

/// So that the folder can be removed.
fn forbid_undone(shell: &Shell, state: &State) {
    if state.name == "read-only" {
        forbid(shell, false);
    }
}

#[test]
fn every_verb_ends_as_it_should_over_every_workspace() {
    let good = good();
    let halves = [0, 1].map(|half| STATES.iter().skip(half).step_by(2));
    let (good, mut columns, mut wrong) = (&good, BTreeMap::new(), Vec::new());
    std::thread::scope(|scope| {
        let helpers = halves.map(|states| {
            scope.spawn(move || {
                let mut wrong = Vec::new();
                let codes: Vec<_> =
                    states.map(|state| (state.name, codes(good, state, &mut wrong))).collect();
                (codes, wrong)
            })
        });
        for helper in helpers {
            let (codes, found) = helper.join().unwrap();
            columns.extend(codes);
            wrong.extend(found);
        }
    });
    let mut table = String::new();
    for (number, state) in STATES.iter().enumerate() {
        table.push_str(&format!("{:indent$}{}\n", "", state.name, indent = 20 + 3 * number));
    }
    let file = fs::read_to_string(FILE).unwrap_or_default();
    for (verb, ..) in VERBS {
        let known = file.lines().find_map(|line| line.strip_prefix(&format!("{verb:<20}")));
        let mut known = known.unwrap_or_default().split_whitespace();
        table.push_str(&format!("{verb:<20}"));
        for state in STATES {
            let known = known.next().unwrap_or("?");
            let code = columns[state.name].get(verb).map_or(known.to_owned(), i32::to_string);
            if code != known && !bless() {
                wrong.push(format!("{verb}, {}: {code} is not {known}", state.name));
            }
            table.push_str(&format!("{code:<3}"));
        }
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    if bless() {
        fs::write(FILE, &table).unwrap();
    }
    assert!(wrong.is_empty(), "{} answers:\n{}", wrong.len(), wrong.join("\n"));
}

/// What reads, over one workspace with something of each kind and many runs besides: as it is over the good one.
/// `RUNJOURNAL_TEST_RUNS=100000` makes so many.
#[test]
fn many_runs_are_no_trouble() {
    let runs = std::env::var("RUNJOURNAL_TEST_RUNS").map_or(300, |many| many.parse().unwrap());
    let shell = good();
    let workspace = Workspace::open(utf8(&shell, "workspaces")).unwrap();
    for task in 0..10 {
        let id = format!("MANY-{task}");
        let task = workspace.create_task(id.as_str(), TaskOptions::default()).unwrap();
        for run in 0..runs / 10 {
            task.start_run_as(format!("RUN-{run}").as_str()).unwrap();
        }
    }
    let reads = VERBS.iter().filter(|(.., kind)| *kind != Writes);
    let reads = reads.map(|(verb, arguments, kind)| (known(verb), typed(verb, arguments), *kind));
    let special = [
        (0, "index rebuild"),
        (2, "run show RUN-1"),
        (2, "artifact list -r RUN-"),
        (0, "query runs --limit 1000000"),
        (0, "query unfinished MANY-3"),
        (0, "backup create backup"),
    ];
    let special = special.map(|(exit, words)| (exit, words.split(' ').collect(), Reads));
    let state = State { name: "huge", make: |_| {} };
    let mut wrong = Vec::new();
    for (number, (exit, words, kind)) in special.into_iter().chain(reads).enumerate() {
        let json = number % 2 == 0;
        let answer = type_in(&shell, &state, &words, json);
        judge(&words.join(" "), &answer, json, kind, &mut wrong);
        if answer.exit != exit {
            wrong.push(format!("{words:?}: {} is not {exit}: {}", answer.exit, answer.err));
        }
    }
    let listed = shell.json(&["run", "list"])["runs"].as_array().unwrap().len();
    assert_eq!(listed, runs / 10 * 10 + 2);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The code of a verb over the good workspace, as the file has it.
fn known(verb: &str) -> i32 {
    let file = fs::read_to_string(FILE).unwrap();
    let codes = file.lines().find_map(|line| line.strip_prefix(&format!("{verb:<20}"))).unwrap();
    codes.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn no_verb_is_left_out() {
    let guide = include_str!("../../docs/cli.md");
    let contents = guide.split("\n## Verbs\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let named = contents.lines().filter_map(|line| line.split(['[', ']']).nth(1));
    let all: BTreeSet<_> = named.collect();
    let group = |verb: &str| all.iter().any(|other| other.starts_with(&format!("{verb} ")));
    let leaves: BTreeSet<_> = all.iter().copied().filter(|verb| !group(verb)).collect();
    let tried: BTreeSet<_> = VERBS.iter().map(|(verb, ..)| *verb).collect();
    assert_eq!(leaves, tried);
}
