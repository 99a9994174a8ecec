//! Names: of artifacts, tasks, runs, steps, turns, keys, streams, and of whatever else people may name.

use std::time::Duration;

use runjournal::*;
use serde_json::Value;

use super::Named;
use super::lab::{Lab, said};

fn artifact(lab: &Lab, name: &str) -> String {
    // By the type, through JSON, and as the tool would: all three are the same opinion.
    let by_type = ArtifactName::new(name);
    let text = Value::from(name).to_string();
    assert_eq!(by_type.is_ok(), serde_json::from_str::<ArtifactName>(&text).is_ok());
    match by_type {
        Ok(name) => said(lab.ctx().artifacts().write_bytes(&name, b"written").map(|_| name)),
        Err(error) => said::<(), _>(Err(error)),
    }
}

/// Names of artifacts that are JSON, with escapes that a text of Rust cannot be made of.
fn artifact_in_json(_: &Lab, json: &str) -> String {
    said(serde_json::from_str::<ArtifactName>(json))
}

fn task(lab: &Lab, name: &str) -> String {
    let id = TaskId::new(name);
    let made = id.map_err(WorkspaceError::from);
    let made = made.and_then(|id| lab.workspace().create_task(id, TaskOptions::default()));
    said(made.map(|task| task.id().clone()))
}

fn task_to_open(lab: &Lab, name: &str) -> String {
    said(lab.workspace().task(name).map(|task| task.id().clone()))
}

fn run(lab: &Lab, name: &str) -> String {
    let id = RunId::new(name).map_err(WorkspaceError::from);
    said(id.and_then(|id| lab.task().start_run_as(id)).map(|ctx| ctx.run_id().clone()))
}

fn run_to_open(lab: &Lab, name: &str) -> String {
    said(lab.task().run(name).map(|run| run.context().run_id().clone()))
}

fn step(lab: &Lab, name: &str) -> String {
    said(lab.ctx().step(name, |_| Ok(Signal::new("done"))))
}

fn turn(lab: &Lab, turn: &str) -> String {
    said(lab.ctx().checkpoint(turn.parse().unwrap()).map(|made| made.turn))
}

fn key(lab: &Lab, key: &str) -> String {
    said(lab.ctx().append(Event::new("noted").key(key)).map(|appended| appended.seq))
}

fn stream(lab: &Lab, id: &str) -> String {
    said(lab.ctx().append(Event::new("noted").stream("talk", id)).map(|appended| appended.seq))
}

fn stream_kind(lab: &Lab, kind: &str) -> String {
    said(lab.ctx().append(Event::new("noted").stream(kind, "1")).map(|appended| appended.seq))
}

fn event_type(lab: &Lab, name: &str) -> String {
    said(lab.ctx().append(Event::new(name)).map(|appended| appended.seq))
}

fn item(lab: &Lab, name: &str) -> String {
    said(lab.ctx().queue().add(Work::new(name)).map(|appended| appended.seq))
}

fn owner(lab: &Lab, name: &str) -> String {
    said(lab.ctx().queue().next(name, Duration::from_secs(1)).map(|claim| claim.is_some()))
}

fn session(lab: &Lab, name: &str) -> String {
    said(lab.ctx().session(name, "provider").map(|session| session.id().to_owned()))
}

fn approval(lab: &Lab, name: &str) -> String {
    said(lab.ctx().request_approval(name, "May I?", &["yes", "no"]).map(|asked| asked.seq))
}

fn worker(lab: &Lab, name: &str) -> String {
    said(lab.task().claim(name, Duration::from_secs(60)).map(|lease| lease.lease_ref().clone()))
}

fn digest(_: &Lab, text: &str) -> String {
    said(text.parse::<Digest>())
}

fn snapshot(lab: &Lab, id: &str) -> String {
    said(lab.backup().snapshot(id).map(|snapshot| snapshot.id()))
}

/// Two artifacts: what verify says of them.
fn two(lab: &Lab, names: &str) -> String {
    let (first, second) = names.split_once('|').unwrap();
    for name in [first, second] {
        match ArtifactName::new(name) {
            Ok(name) => drop(lab.ctx().artifacts().write_bytes(name, b"one of two").unwrap()),
            Err(error) => return said::<(), _>(Err(error)),
        }
    }
    lab.verify()
}

/// A file that nobody could name is there all the same: what verify says of it.
fn found_as_an_artifact(lab: &Lab, name: &str) -> String {
    lab.file(&format!("R/artifacts/{name}"), "somebody's");
    let listed = lab.ctx().artifacts().list().unwrap();
    assert!(listed.iter().all(|entry| entry.name.as_str() != name));
    lab.verify()
}

/// The same of a file whose name is no text.
fn found_as_bytes(lab: &Lab, _: &str) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let name = std::ffi::OsStr::from_bytes(b"a\xff\xfe.txt");
    std::fs::write(lab.at("R/artifacts").as_std_path().join(name), "somebody's").unwrap();
    let answer = lab.verify();
    std::fs::remove_file(lab.at("R/artifacts").as_std_path().join(name)).unwrap();
    answer
}

/// The tool says the same, and ends by itself.
fn put_by_the_tool(lab: &Lab, name: &str) -> String {
    lab.tool(&["artifact", "put", "-r", "TASK-1/RUN-1", "--", name, "O/secret"])
}

fn of(text: &'static str) -> String {
    text.to_owned()
}

const fn long() -> usize {
    1 << 20
}

pub(super) const NAMES: &[Named] = &[
    // Artifacts.
    ("artifact: nothing", || of(""), artifact, "it is empty"),
    ("artifact: a dot", || of("."), artifact, "a segment starts with a dot"),
    ("artifact: two dots", || of(".."), artifact, "`..` leads out of artifacts/"),
    ("artifact: out by two dots", || of("../../run.json"), artifact, "`..` leads out"),
    ("artifact: out from within", || of("a/../../../secret"), artifact, "`..` leads out"),
    ("artifact: three dots", || of("..."), artifact, "a segment starts with a dot"),
    ("artifact: absolute", || of("/etc/passwd"), artifact, "it is an absolute path"),
    ("artifact: two slashes first", || of("//host/share"), artifact, "it is an absolute path"),
    ("artifact: a drive", || of("C:/windows"), artifact, "only letters, digits"),
    ("artifact: a drive, relative", || of("C:x"), artifact, "only letters, digits"),
    ("artifact: a backslash", || of("a\\b"), artifact, "it has a backslash"),
    ("artifact: out by backslashes", || of("..\\..\\x"), artifact, "it has a backslash"),
    ("artifact: a share of Windows", || of("\\\\?\\C:\\x"), artifact, "it has a backslash"),
    ("artifact: a stream of Windows", || of("a.txt:hidden"), artifact, "only letters, digits"),
    ("artifact: NUL in it", || of("a\0b"), artifact, "it has a control character"),
    ("artifact: NUL at its end", || of("a.txt\0"), artifact, "it has a control character"),
    ("artifact: a line break", || of("a\nb"), artifact, "it has a control character"),
    ("artifact: an escape", || of("a\u{1b}[2Jb"), artifact, "it has a control character"),
    ("artifact: DEL", || of("a\u{7f}"), artifact, "it has a control character"),
    ("artifact: a control of C1", || of("a\u{9b}b"), artifact, "only letters, digits"),
    ("artifact: an empty segment", || of("a//b"), artifact, "it has an empty segment"),
    ("artifact: a slash at its end", || of("a/"), artifact, "it has an empty segment"),
    ("artifact: a dot at its end", || of("a."), artifact, "a segment ends with a dot or a space"),
    ("artifact: a space at its end", || of("a "), artifact, "a segment ends with a dot or a space"),
    ("artifact: a segment ends with a dot", || of("a./b"), artifact, "ends with a dot or a space"),
    ("artifact: a space first", || of(" a"), artifact, "does not start with a letter"),
    ("artifact: a hyphen first", || of("-rf"), artifact, "does not start with a letter"),
    ("artifact: hidden", || of(".git/config"), artifact, "such names belong to the library"),
    ("artifact: hidden below", || of("a/.tmp"), artifact, "such names belong to the library"),
    ("artifact: a device of Windows", || of("CON"), artifact, "Windows keeps this name"),
    ("artifact: one with an ending", || of("nul.tar.gz"), artifact, "Windows keeps this name"),
    ("artifact: one below", || of("a/com1.log/b"), artifact, "Windows keeps this name"),
    ("artifact: a port by a superscript", || of("com\u{b9}"), artifact, "Windows keeps this name"),
    ("artifact: a console by its handle", || of("conin$"), artifact, "only letters, digits"),
    ("artifact: 256 bytes", || "x".repeat(256), artifact, "longer than 255 bytes"),
    ("artifact: 1,025 bytes", || "ab/".repeat(341) + "cd", artifact, "longer than 1,024 bytes"),
    ("artifact: 255 bytes are fine", || "x".repeat(255), artifact, "ok"),
    ("artifact: 64 deep is fine", || "a/".repeat(63) + "b", artifact, "ok"),
    ("artifact: a mebibyte", || "x".repeat(long()), artifact, "longer than 1,024 bytes"),
    ("artifact: NFD", || of("e\u{301}.txt"), artifact, "it is not in NFC"),
    ("artifact: NFD of Korean", || of("\u{1112}\u{1161}"), artifact, "it is not in NFC"),
    ("artifact: an accent first", || of("\u{301}a"), artifact, "does not start with a letter"),
    ("artifact: the Kelvin sign", || of("\u{212a}.txt"), artifact, "it is not in NFC"),
    ("artifact: from right to left", || of("a\u{202e}txt.exe"), artifact, "only letters, digits"),
    ("artifact: a mark of direction", || of("a\u{200f}b"), artifact, "only letters, digits"),
    ("artifact: a joiner of no width", || of("a\u{200d}b"), artifact, "only letters, digits"),
    ("artifact: a byte order mark", || of("\u{feff}a"), artifact, "only letters, digits"),
    ("artifact: a line of Unicode", || of("a\u{2028}b"), artifact, "only letters, digits"),
    ("artifact: a space of no break", || of("a\u{a0}b"), artifact, "only letters, digits"),
    ("artifact: a slash that is none", || of("a\u{2215}b"), artifact, "only letters, digits"),
    ("artifact: for private use", || of("a\u{e000}b"), artifact, "only letters, digits"),
    ("artifact: shell", || of("$(reboot)"), artifact, "only letters, digits"),
    ("artifact: a lone surrogate", || of(r#""a\ud800b""#), artifact_in_json, "refused"),
    ("artifact: a pair the wrong way", || of(r#""\udc00\ud800""#), artifact_in_json, "refused"),
    ("artifact: NUL as an escape", || of(r#""a\u0000b""#), artifact_in_json, "a control character"),
    ("artifact: dots as escapes", || of(r#""\u002e\u002e/x""#), artifact_in_json, "`..` leads out"),
    ("artifact: no text", || of("[\"a\"]"), artifact_in_json, "refused"),
    ("artifact: the tool, out", || of("../../x"), put_by_the_tool, "`..` leads out of artifacts/"),
    ("artifact: the tool, an option", || of("--help"), put_by_the_tool, "does not start with"),
    // Siblings.
    (
        "two artifacts: by case",
        || of("p/Plan.txt|p/plan.txt"),
        two,
        "case_collision R/artifacts/p/plan.txt",
    ),
    ("two artifacts: their folders", || of("P/a|p/b"), two, "case_collision R/artifacts/p"),
    ("two artifacts: of German", || of("stra\u{df}e|STRASSE"), two, "case_collision"),
    ("two artifacts: long s", || of("\u{17f}ign|sign"), two, "case_collision"),
    ("two artifacts: final sigma", || of("\u{3bf}\u{3c2}|\u{39f}\u{3a3}"), two, "case_collision"),
    ("two artifacts: Turkish, dotted", || of("\u{130}x|i\u{307}x"), two, "case_collision"),
    ("two artifacts: Turkish, dotless", || of("\u{131}x|Ix"), two, "case_collision"),
    ("two artifacts: micro and mu", || of("\u{b5}m|\u{3bc}m"), two, "case_collision"),
    ("two artifacts: a ligature", || of("\u{fb01}le|file"), two, "case_collision"),
    ("two artifacts: look alike alone", || of("\u{430}.txt|b.txt"), two, "told"),
    // Files that somebody put there.
    (
        "found: hidden",
        || of(".hidden"),
        found_as_an_artifact,
        "artifact_unjournaled R/artifacts/.hidden",
    ),
    ("found: a line break", || of("a\nb"), found_as_an_artifact, "artifact_unjournaled"),
    ("found: a backslash", || of("a\\b"), found_as_an_artifact, "artifact_unjournaled"),
    ("found: NFD", || of("e\u{301}"), found_as_an_artifact, "artifact_unjournaled"),
    ("found: no text", String::new, found_as_bytes, "told artifact_unjournaled"),
    // Tasks and runs.
    ("task: nothing", || of(""), task, "it must have 1 to 128 characters"),
    ("task: two dots", || of(".."), task, "it must start with a letter or a digit"),
    ("task: a path", || of("a/b"), task, "only A-Z a-z 0-9 . _ - may stand in it"),
    ("task: out", || of("../O"), task, "only A-Z a-z 0-9 . _ - may stand in it"),
    ("task: absolute", || of("/tmp"), task, "only A-Z a-z 0-9 . _ - may stand in it"),
    ("task: of the library", || of(".index"), task, "it must start with a letter or a digit"),
    ("task: NUL", || of("a\0"), task, "only A-Z a-z 0-9 . _ - may stand in it"),
    ("task: 129 characters", || "x".repeat(129), task, "it must have 1 to 128 characters"),
    ("task: a mebibyte", || "x".repeat(long()), task, "it must have 1 to 128 characters"),
    ("task: a device", || of("Aux.1"), task, "Windows keeps this name for a device"),
    ("task: a dot at its end", || of("a."), task, "it must not end with a dot"),
    ("task: not ASCII", || of("\u{212a}"), task, "only A-Z a-z 0-9 . _ - may stand in it"),
    ("task: one to open, out", || of("../O"), task_to_open, "only A-Z a-z 0-9"),
    (
        "task: one to open, a file",
        || of("workspace.json"),
        task_to_open,
        "refused: there is no task",
    ),
    ("run: nothing", || of(""), run, "it must have 1 to 128 characters"),
    ("run: out", || of("../../O"), run, "only A-Z a-z 0-9 . _ - may stand in it"),
    ("run: a hyphen first", || of("-r"), run, "it must start with a letter or a digit"),
    ("run: a device", || of("lpt9"), run, "Windows keeps this name for a device"),
    ("run: one to open, out", || of("../../x"), run_to_open, "only A-Z a-z 0-9 . _ -"),
    ("run: one to open, dots", || of(".."), run_to_open, "it must start with a letter or a digit"),
    ("step: nothing", || of(""), step, "it must have 1 to 128 characters"),
    ("step: out", || of("../x"), step, "only A-Z a-z 0-9 . _ - may stand in it"),
    ("step: a line break", || of("a\nb"), step, "only A-Z a-z 0-9 . _ - may stand in it"),
    ("snapshot: out", || of("../backup"), snapshot, "there is no snapshot ../backup"),
    ("snapshot: nothing", || of(""), snapshot, "refused"),
    // Turns.
    ("turn: zero", || of("0"), turn, "the next turn"),
    ("turn: the last number", || of("18446744073709551615"), turn, "the next turn"),
    // What is no path.
    ("key: nothing", || of(""), key, "its idempotency key must have 1 to 2,048 bytes"),
    ("key: 2,049 bytes", || "k".repeat(2049), key, "must have 1 to 2,048 bytes"),
    ("key: of the library", || of("cmd:x"), key, "belong to the library"),
    ("key: control characters are escaped", || of("\0\u{1b}\n\u{2028}"), key, "ok"),
    ("stream: nothing", || of(""), stream, "must have 1 to 2,048 bytes"),
    ("stream: 2,049 bytes", || "s".repeat(2049), stream, "must have 1 to 2,048 bytes"),
    ("stream: dots are no path", || of("../../x"), stream, "ok"),
    ("stream: a kind of the library", || of("artifact"), stream_kind, "belong to the library"),
    ("stream: a kind with a slash", || of("a/b"), stream_kind, "must be snake_case"),
    (
        "event: a type of the library",
        || of("execution_complete"),
        event_type,
        "writes events of this type itself",
    ),
    ("event: a type with a quote", || of("a\",\"seq\":1"), event_type, "must be snake_case"),
    ("event: a type of a mebibyte", || "a".repeat(long()), event_type, "128 characters at most"),
    ("item: nothing", || of(""), item, "it must have 1 to 1,024 bytes"),
    ("item: a control of C1", || of("a\u{9b}"), item, "no control characters may stand in it"),
    ("owner: a line break", || of("a\nb"), owner, "no control characters may stand in it"),
    ("session: NUL", || of("\0"), session, "no control characters may stand in it"),
    ("approval: 1,025 bytes", || "a".repeat(1025), approval, "it must have 1 to 1,024 bytes"),
    ("worker: an escape", || of("\u{1b}c"), worker, "1 to 256 bytes, and no control characters"),
    ("step: a mebibyte", || "x".repeat(long()), step, "1 to 128 characters"),
    ("snapshot: a mebibyte", || "x".repeat(long()), snapshot, "there is no snapshot"),
    ("key: a mebibyte", || "k".repeat(long()), key, "must have 1 to 2,048 bytes"),
    ("item: a mebibyte", || "i".repeat(long()), item, "it must have 1 to 1,024 bytes"),
    ("session: a mebibyte", || "s".repeat(long()), session, "it must have 1 to 1,024 bytes"),
    ("approval: a mebibyte", || "a".repeat(long()), approval, "it must have 1 to 1,024 bytes"),
    ("worker: a mebibyte", || "w".repeat(long()), worker, "1 to 256 bytes"),
    ("digest: a mebibyte", || "d".repeat(long()), digest, "is not a digest"),
    ("digest: upper case", || format!("blake3:{}", "A".repeat(64)), digest, "refused"),
    ("digest: too short", || format!("blake3:{}", "a".repeat(63)), digest, "refused"),
    ("digest: of another kind", || format!("sha256:{}", "a".repeat(64)), digest, "refused"),
];
