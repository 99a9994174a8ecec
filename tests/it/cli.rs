//! The tool, as a shell sees it: arguments and environment in; two streams and an exit code out.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use runjournal::Digest;
use serde_json::{Value, json};

const TOOL: &str = env!("CARGO_BIN_EXE_runjournal");

/// A temporary directory with the tool in it.
pub(crate) struct Shell {
    dir: tempfile::TempDir,
    pub(crate) variables: Vec<(&'static str, String)>,
}

/// What a command answered.
pub(crate) struct Answer {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Shell {
    /// An empty directory.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// A workspace with `TASK-1/RUN-1`.
    pub(crate) fn with_run() -> Self {
        let shell = Self::empty();
        shell.ok(&["init"]);
        shell.ok(&["task", "create", "TASK-1", "--title", "Mend it", "--objective", "All green"]);
        shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-1"]);
        shell
    }

    /// The same, inside the run: the environment names it.
    pub(crate) fn in_run() -> Self {
        let mut shell = Self::with_run();
        shell.variables.push(("RUNJOURNAL_RUN", "TASK-1/RUN-1".into()));
        shell
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub(crate) fn run_file(&self, relative: &str) -> PathBuf {
        self.path("workspaces/TASK-1/runs/RUN-1").join(relative)
    }

    pub(crate) fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(relative), bytes).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(TOOL);
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for name in ["ROOT", "RUN", "STEP", "LEASE", "OUT", "INDEX"] {
            command.env_remove(format!("RUNJOURNAL_{name}"));
        }
        let tool_dir = Path::new(TOOL).parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env_remove("TRACEPARENT")
            .env_remove("COLUMNS")
            .env("PATH", format!("{tool_dir}:{path}"));
        command.envs(self.variables.clone());
        command
    }

    pub(crate) fn go(&self, args: &[&str]) -> Answer {
        Answer::of(self.command(args).output().unwrap())
    }

    pub(crate) fn feed(&self, args: &[&str], input: impl AsRef<[u8]>) -> Answer {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_ref()).unwrap();
        Answer::of(child.wait_with_output().unwrap())
    }

    /// It must go well and have nothing to complain of; what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let answer = self.go(args);
        assert_eq!((answer.exit, answer.err.as_str()), (0, ""), "{args:?}");
        answer.out
    }

    /// It must be refused with this code and print nothing; what it complained of.
    pub(crate) fn refused(&self, exit: i32, args: &[&str]) -> String {
        let answer = self.go(args);
        assert_eq!((answer.exit, answer.out.as_str()), (exit, ""), "{args:?}: {}", answer.err);
        answer.err
    }

    /// Its JSON document; the parser refuses anything before or behind it.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let out = self.go(&[&["--format", "json"], args].concat()).out;
        let document: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(document["version"], 1);
        document
    }

    pub(crate) fn jsonl(&self, args: &[&str]) -> Vec<Value> {
        let out = self.go(&[&["--format", "jsonl"], args].concat()).out;
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A snapshot that says the same in every directory, at every time.
pub(crate) fn check(answer: &str, expect: impl FnOnce(&str)) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"/\S*\.tmp\w{6}", "[DIR]");
    settings.add_filter(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", "[ID]");
    settings.add_filter(r"blake3:[0-9a-f]{64}", "[DIGEST]");
    settings.add_filter(r"[0-9a-f]{32}", "[TRACE]");
    settings.add_filter(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "[TIME]");
    settings.add_filter(r"jsonl@\d+", "jsonl@[OFFSET]");
    // Columns are as wide as what stands in them.
    settings.add_filter(r"(LAST|CREATED|WHEN|PLACE) +", "$1 ");
    settings.add_filter(r"(just now|\d+ s ago) +", "[AGO] ");
    settings.add_filter(r"(just now|\d+ s ago)", "[AGO]");
    settings.bind(|| expect(answer));
}

impl Answer {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            exit: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A genesis line that says what it should, whatever it says: its hash fits.
pub(crate) fn seal(body: &str) -> String {
    format!("{body},\"hash\":\"{}\"}}\n", Digest::of(body.as_bytes()).to_hex())
}

#[test]
fn each_help_stands_in_the_guide() {
    let shell = Shell::empty();
    let pages = include_str!("../../docs/cli.md").split("\n## runjournal").skip(1);
    let mut told = 0;
    for page in pages {
        let (name, help) = page.split_once("\n\n```text\n").unwrap();
        let mut command = shell.command(&name.split_whitespace().collect::<Vec<_>>());
        let answer = Answer::of(command.arg("--help").env("COLUMNS", "80").output().unwrap());
        let here: String =
            answer.out.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        assert_eq!((answer.exit, answer.err.as_str()), (0, ""), "{name}");
        assert_eq!(help.split("```").next().unwrap().trim_end(), here.trim_end(), "{name}");
        told += 1;
    }
    assert!(told > 70, "{told}");
}

#[test]
fn from_nothing_to_a_finished_run() {
    let shell = Shell::with_run();
    let run = shell.ok(&["run", "start", "TASK-1"]);
    let id = run.trim_end().strip_prefix("TASK-1/").unwrap();
    assert_eq!(id.len(), 36, "the name of the run and nothing else: {run:?}");
    shell.ok(&["artifact", "put", "-r", "RUN-1", "hello.txt", TOOL_SOURCE]);
    shell.ok(&["event", "append", "-r", "RUN", "tool_called", "--payload", r#"{"tool":"cc"}"#]);
    shell.ok(&["run", "complete", "RUN-1", "--status", "success", "--reason", "all green"]);
    assert_eq!(
        shell.ok(&["run", "complete", "RUN-1", "--status", "success", "--reason", "all green"]),
        "TASK-1/RUN-1 SUCCESS (it was complete before)\n"
    );
    let page = shell.dir.path().join("workspaces/TASK-1/runs/RUN-1/manifest.json");
    let page: Value = serde_json::from_slice(&fs::read(page).unwrap()).unwrap();
    assert_eq!((&page["status"], &page["journal"]["last_seq"]), (&json!("SUCCESS"), &json!(4)));
    assert_eq!(shell.json(&["run", "show", "RUN-1"])["artifacts_root"], page["artifacts_root"]);
    check(&shell.ok(&["run", "show", "TASK-1/RUN-1"]), |page| {
        insta::assert_snapshot!(page, @"
        run             TASK-1/RUN-1
        status          SUCCESS
        reason          all green
        created         [TIME] ([AGO])
        events          4, the last execution_complete [AGO]
        steps           0 completed, 0 failed attempts
        artifacts       1
        artifacts root  f95a80c61222
        path            [DIR]/workspaces/TASK-1/runs/RUN-1
        ");
    });
    check(&shell.ok(&["task", "list"]), |page| {
        insta::assert_snapshot!(page, @r#"
        TASK    STATUS  RUNS  CREATED TITLE
        TASK-1  TODO    2     [AGO] Mend it
        "#);
    });
    let list = shell.ok(&["run", "list", "TASK-1"]);
    assert!(list.contains(run.trim_end()) && list.contains("SUCCESS"), "{list}");
    let page = shell.ok(&["task", "show", "TASK-1"]);
    assert!(page.contains("All green") && page.contains("2 runs"), "{page}");
    assert!(shell.ok(&["status"]).contains("\nTASK-1  TODO    2     1     0       Mend it\n"));
}

/// Some file that is there.
const TOOL_SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/main.rs");

#[test]
fn artifacts_go_in_and_out_byte_for_byte() {
    let shell = Shell::in_run();
    let bytes = b"\0\xff not text\r\n";
    shell.write("in.bin", bytes);
    shell.ok(&["artifact", "put", "a/data.bin", "in.bin"]);
    let put = shell.feed(&["artifact", "put", "plan.json"], r#"{"b": 1,  "a": 2}"#);
    assert_eq!(put.exit, 0, "{}", put.err);
    assert_eq!(shell.ok(&["artifact", "cat", "plan.json"]), r#"{"b": 1,  "a": 2}"#);
    assert_eq!(shell.ok(&["artifact", "get", "plan.json", "-"]), r#"{"b": 1,  "a": 2}"#);
    assert_eq!(shell.ok(&["artifact", "get", "a/data.bin", "out.bin"]), "");
    assert_eq!(fs::read(shell.path("out.bin")).unwrap(), bytes);

    let again = shell.json(&["artifact", "put", "a/data.bin", "in.bin"]);
    assert_eq!((&again["changed"], &again["seq"]), (&json!(false), &json!(1)));
    let removed = shell.json(&["artifact", "remove", "a/data.bin"]);
    assert_eq!(removed["stream_version"], 1);

    fs::write(shell.run_file("artifacts/found.txt"), "x").unwrap();
    fs::remove_file(shell.run_file("artifacts/plan.json")).unwrap();
    check(&shell.ok(&["artifact", "list"]), |page| {
        insta::assert_snapshot!(page, @"
        NAME       SIZE  VERSION  DIGEST        STATE
        found.txt  1 B                          unjournaled
        plan.json        0        8b797594aea8  missing
        ");
    });
    shell.ok(&["artifact", "adopt", "found.txt"]);
    let list = shell.json(&["artifact", "list"]);
    let states: Vec<_> = list["artifacts"].as_array().unwrap().iter().collect();
    assert_eq!(states[0]["state"], "journaled");
    assert_eq!(states[1]["state"], "missing");
}

#[test]
fn a_put_may_set_conditions() {
    let shell = Shell::in_run();
    shell.write("one", "1");
    shell.write("two", "2");
    shell.ok(&["artifact", "put", "n", "one", "--if-absent"]);
    shell.refused(4, &["artifact", "put", "n", "two", "--if-absent"]);
    let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
    shell.refused(4, &["artifact", "put", "n", "two", "--if-digest", &digest("2")]);
    shell.ok(&["artifact", "put", "n", "two", "--if-digest", &digest("1")]);
    assert_eq!(shell.ok(&["artifact", "cat", "n"]), "2");
}

#[cfg(unix)]
#[test]
fn a_copy_never_overwrites_by_accident() {
    let shell = Shell::in_run();
    shell.write("new", "new");
    shell.write("old", "old");
    shell.ok(&["artifact", "put", "n", "new"]);
    std::os::unix::fs::symlink("old", shell.path("link")).unwrap();
    for target in ["old", "link"] {
        shell.refused(4, &["artifact", "get", "n", target]);
    }
    shell.ok(&["artifact", "get", "n", "link", "--force"]);
    assert_eq!(fs::read_to_string(shell.path("link")).unwrap(), "new");
    assert_eq!(fs::read_to_string(shell.path("old")).unwrap(), "old");
    assert!(fs::symlink_metadata(shell.path("link")).unwrap().is_file());
}

#[test]
fn events_are_appended_once_and_printed_as_they_stand() {
    let shell = Shell::in_run();
    let big = r#"{"n":12345678901234567890123,"z":1,"a":[1.0]}"#;
    let append = ["event", "append", "counted", "--payload", big, "--key", "k"];
    let first = shell.json(&append);
    assert_eq!((&first["seq"], &first["duplicate"]), (&json!(1), &json!(false)));
    assert_eq!(shell.json(&append)["duplicate"], true);
    let other = ["event", "append", "counted", "--payload", "1", "--key", "k"];
    assert!(shell.refused(4, &other).contains("use a new key"));
    let stream = ["--stream", "tool/cc", "--command-id", "c-1", "--durable"];
    let fed =
        shell.feed(&[&["event", "append", "called", "--payload", "-"], &stream[..]].concat(), "7");
    assert_eq!(fed.exit, 0, "{}", fed.err);

    let journal = fs::read_to_string(shell.run_file("journal/events.jsonl")).unwrap();
    let log = shell.ok(&["event", "log", "--format", "jsonl"]);
    for (line, record) in log.lines().zip(journal.lines()) {
        assert!(record.starts_with(line.strip_suffix('}').unwrap()), "{line}\n{record}");
    }
    assert_eq!(log.lines().count(), 2);
    assert!(log.contains(big));

    let seqs = |args: &[&str]| -> Vec<u64> {
        let records = shell.jsonl(&[&["event", "log"], args].concat());
        records.iter().map(|record| record["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(seqs(&["--after", "1"]), [2]);
    assert_eq!(seqs(&["--type", "counted"]), [1]);
    assert_eq!(seqs(&["--stream", "tool/cc"]), [2]);
    assert_eq!(seqs(&["--last", "1"]), [2]);
    assert_eq!(seqs(&["-n", "1", "--type", "counted"]), [1]);
    assert!(seqs(&["--correlation", "elsewhere"]).is_empty());
    assert_eq!(shell.json(&["event", "log"])["events"].as_array().unwrap().len(), 2);
    assert_eq!(shell.json(&["event", "show", "2"])["event"]["command_id"], "c-1");
    check(&shell.ok(&["event", "log"]), |page| {
        insta::assert_snapshot!(page, @r#"
        SEQ  WHEN TYPE     STREAM     PAYLOAD
        1    [AGO] counted  run/RUN-1  {"n":12345678901234567890123,"z":1,"a":[1.0]}
        2    [AGO] called   tool/cc    7
        "#);
    });
    check(&shell.ok(&["event", "show", "2"]), |page| {
        insta::assert_snapshot!(page, @r#"
        seq          2
        type         called
        when         [TIME] ([AGO])
        stream       tool/cc version 0
        actor        node
        id           [ID]
        command      c-1
        correlation  [TRACE]
        payload      7
        "#);
    });
}

#[test]
fn a_log_is_followed_until_the_run_is_complete() {
    let shell = Shell::in_run();
    for n in ["1", "2", "3"] {
        shell.ok(&["event", "append", "noted", "--payload", n]);
    }
    let follow = |args: &[&str]| {
        let args = [&["event", "log", "--follow", "--format", "jsonl"], args].concat();
        shell.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let seqs = |lines: &mut dyn Iterator<Item = std::io::Result<String>>, count| -> Vec<u64> {
        let records = lines.take(count).map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        records.map(|record: Value| record["seq"].as_u64().unwrap()).collect()
    };
    let mut all = follow(&[]);
    let mut last = follow(&["-n", "2", "--type", "noted"]);
    // What is there is printed while it waits for more.
    let mut all_lines = BufReader::new(all.stdout.take().unwrap()).lines();
    let mut last_lines = BufReader::new(last.stdout.take().unwrap()).lines();
    assert_eq!(seqs(&mut all_lines, 3), [1, 2, 3]);
    assert_eq!(seqs(&mut last_lines, 2), [2, 3]);
    shell.ok(&["event", "append", "noted", "--payload", "4"]);
    shell.ok(&["run", "complete", "--status", "failed"]);
    assert_eq!(seqs(&mut last_lines, 9), [4]);
    let rest: Vec<_> = all_lines.map(Result::unwrap).collect();
    assert!(rest.last().unwrap().contains("execution_complete"), "{rest:?}");
    assert!(all.wait().unwrap().success());
    assert!(last.wait().unwrap().success());
    assert_eq!(shell.ok(&["event", "log", "-f", "-n", "0"]), "");
    check(&shell.ok(&["event", "log", "-f", "-n", "3", "--type", "noted"]), |page| {
        insta::assert_snapshot!(page, @r#"
        2  [TIME]  noted  run/RUN-1  2
        3  [TIME]  noted  run/RUN-1  3
        4  [TIME]  noted  run/RUN-1  4
        "#);
    });
    let err = shell.refused(2, &["event", "log", "-f", "--format", "json"]);
    assert!(err.contains("--format jsonl"), "{err}");
}

/// Damage is told by every way to read, when it comes.
#[test]
fn a_damaged_end_is_told_with_the_last_events_and_by_a_live_tail() {
    let shell = Shell::in_run();
    shell.ok(&["event", "append", "noted"]);
    let last = ["event", "log", "-n", "1"];
    assert_eq!(shell.go(&last).exit, 0);
    let mut tail = shell.command(&["event", "log", "-f"]);
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(tail.stdout.take().unwrap()).lines();
    assert!(out.next().unwrap().unwrap().contains("noted"));

    let journal = shell.run_file("journal/events.jsonl");
    fs::OpenOptions::new().append(true).open(&journal).unwrap().write_all(b"hello\n").unwrap();
    let answer = shell.go(&last);
    assert_eq!(answer.exit, 1);
    assert!(answer.out.contains("noted") && answer.err.contains("journal_damaged"));
    let mut err = BufReader::new(tail.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(err.next().unwrap().starts_with("SEVERITY  CODE"));
    assert!(err.next().unwrap().starts_with("error     journal_damaged  TASK-1/runs/RUN-1/"));
    assert!(err.next().unwrap().starts_with("journal_damaged: to do: "));
    // It is told once, and is fine when it was closed off.
    shell.ok(&["repair", "--apply"]);
    shell.ok(&["run", "complete", "--status", "failed"]);
    assert!(out.last().unwrap().unwrap().contains("execution_complete"));
    assert_eq!(err.next(), None);
    assert_eq!(tail.wait().unwrap().code(), Some(0));
}

#[test]
fn a_log_goes_on_where_its_cursor_file_says() {
    let shell = Shell::in_run();
    let append = |n: &str| shell.ok(&["event", "append", "noted", "--payload", n]);
    let seqs = |args: &[&str]| -> Vec<u64> {
        let log = [&["event", "log", "--cursor-file", "place"], args].concat();
        shell.jsonl(&log).iter().map(|record| record["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(seqs(&[]), [0; 0]);
    append("1");
    append("2");
    assert_eq!(seqs(&[]), [1, 2]);
    assert_eq!(seqs(&[]), [0; 0]);
    append("3");
    // What is not wanted is passed over, too.
    assert_eq!(seqs(&["--type", "other"]), [0; 0]);
    append("4");
    append("5");
    assert_eq!(seqs(&["-n", "1"]), [5]);

    let mut tail = shell.command(&["event", "log", "-f", "--cursor-file", "place"]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(tail.stdout.take().unwrap()).lines().map(Result::unwrap);
    for (n, begins) in [("6", ["6  ", ":6:"]), ("7", ["7  ", ":7:"])] {
        append(n);
        assert!(out.next().unwrap().starts_with(begins[0]));
        let soon = std::time::Instant::now();
        while !fs::read_to_string(shell.path("place")).unwrap().contains(begins[1]) {
            assert!(soon.elapsed().as_secs() < 10);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    append("8");
    assert_eq!(seqs(&[]), [8]);
    let names = fs::read_dir(shell.path("")).unwrap().count();
    assert_eq!(names, 2, "the workspace and the file");

    // Another journal, and another text.
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    let err = shell.refused(4, &["event", "log", "-r", "RUN-2", "--cursor-file", "place"]);
    assert!(err.contains("place is of another history\n"), "{err}");
    shell.write("place", "8\n");
    let err = shell.refused(2, &["event", "log", "--cursor-file", "place"]);
    assert!(err.contains("does not hold a cursor") && err.contains("OFFSET:SEQ:HASH"), "{err}");
}

#[test]
fn a_payload_in_an_object_is_shown_and_listed_without_it() {
    let shell = Shell::in_run();
    let payload = format!("\"{}\"", "x".repeat(70_000));
    assert_eq!(shell.feed(&["event", "append", "said", "--payload", "-"], &payload).exit, 0);
    let digest = Digest::of(payload.as_bytes());
    let named = json!({"digest": digest.to_string(), "size": 70_002});
    assert_eq!(shell.jsonl(&["event", "log"])[0]["payload_ref"], named);
    assert_eq!(shell.json(&["event", "show", "1"])["event"]["payload_ref"], named);
    assert!(shell.ok(&["event", "show", "1"]).contains(&payload));
    let listed = format!("68.3 KiB in object {}\n", &digest.to_hex()[..12]);
    assert!(shell.ok(&["event", "log"]).contains(&listed));

    let hex = digest.to_hex();
    let object = shell.run_file(&format!("objects/{}/{}", &hex[..2], &hex[2..]));
    fs::write(&object, "\"rot\"").unwrap();
    let refused = shell.refused(5, &["event", "show", "1"]);
    assert!(refused.contains(&digest.to_string()) && refused.contains("restore"), "{refused}");
    assert!(refused.contains(&Digest::of(b"\"rot\"").to_string()), "{refused}");
    fs::remove_file(&object).unwrap();
    assert!(shell.refused(5, &["event", "show", "1"]).contains("is missing"));
    assert!(shell.ok(&["event", "log"]).contains(&listed), "a list opens no objects");
}

#[test]
fn lines_are_appended_in_batches() {
    let shell = Shell::in_run();
    let input: String = (1..=1500).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let append = ["event", "append", "line", "--lines", "--key", "import", "--format", "json"];
    let done: Value = serde_json::from_str(&shell.feed(&append, &input).out).unwrap();
    assert_eq!((&done["appended"], &done["batches"]), (&json!(1500), &json!(2)));
    let again: Value = serde_json::from_str(&shell.feed(&append, &input).out).unwrap();
    assert_eq!((&again["appended"], &again["duplicates"]), (&json!(0), &json!(1500)));
    assert_eq!(shell.jsonl(&["event", "log", "--last", "1"])[0]["payload"], json!({"n": 1500}));

    let refused = shell.feed(&["event", "append", "line", "--lines"], "1\n\n2\nthree\n");
    assert_eq!(refused.exit, 2);
    insta::assert_snapshot!(refused.err, @"
    error: line 4 of standard input is not JSON, and nothing was appended
      because: expected ident at line 1 column 2
      to do: write one JSON value, in UTF-8
    ");
}

#[test]
fn a_shell_script_is_a_node() {
    let shell = Shell::in_run();
    let script = r#"
        printf '{"by":"script"}' | runjournal artifact put direct.json > /dev/null
        runjournal event append tool_called --payload '{"tool":"sh"}' > /dev/null
        mkdir -p "$RUNJOURNAL_OUT/reports" && printf fine > "$RUNJOURNAL_OUT/reports/day 1.md"
        echo heard
    "#;
    let run = ["step", "run", "plan", "--", "sh", "-c", script];
    assert_eq!(shell.ok(&run), "heard\nsuccess\n");
    assert_eq!(shell.ok(&run), "success\n", "a step that is complete is not run again");
    assert_eq!(shell.json(&run)["ran"], false);
    assert_eq!(shell.ok(&["artifact", "cat", "reports/day 1.md"]), "fine");

    let records = shell.jsonl(&["event", "log"]);
    let types: Vec<_> = records.iter().map(|r| r["event_type"].as_str().unwrap()).collect();
    let wanted =
        ["step_started", "artifact_written", "tool_called", "step_completed", "artifact_written"];
    assert_eq!(types, wanted);
    let started = &records[0]["event_id"];
    assert!(records[1..].iter().all(|record| record["causation_event_id"] == *started));
    assert_eq!(fs::read_dir(shell.run_file(".tmp")).unwrap().count(), 0);
}

#[test]
fn a_step_records_its_program_and_its_inputs() {
    let shell = Shell::in_run();
    let run = ["step", "run", "work", "--input", "plan.json", "--input", "more.txt", "--"];
    let run = [&run[..], &["sh", "-c", "exit 0", "a b"]].concat();
    shell.feed(&["artifact", "put", "plan.json"], "[1]");
    assert!(shell.refused(3, &run).contains("its input more.txt is not there"));
    shell.feed(&["artifact", "put", "more.txt"], "more");
    shell.ok(&run);
    let started = &shell.jsonl(&["event", "log", "--type", "step_started"])[0]["payload"];
    assert_eq!(started["config"], json!({"program": ["sh", "-c", "exit 0", "a b"]}));
    let inputs = started["inputs"].as_array().unwrap();
    let inputs: Vec<_> = inputs.iter().map(|i| (&i["path"], &i["digest"])).collect();
    let digest = |text: &str| json!(Digest::of(text.as_bytes()).to_string());
    assert_eq!(
        inputs,
        [(&json!("plan.json"), &digest("[1]")), (&json!("more.txt"), &digest("more"))]
    );
}

#[test]
fn what_a_program_puts_itself_stays_though_its_step_fails() {
    let shell = Shell::in_run();
    let script = "echo now | runjournal artifact put now.txt > /dev/null; exit 1";
    shell.refused(1, &["step", "run", "work", "--", "sh", "-c", script]);
    assert_eq!(shell.ok(&["artifact", "cat", "now.txt"]), "now\n");
}

#[cfg(unix)]
#[test]
fn a_program_by_path_is_meant_from_where_the_caller_stands() {
    use std::os::unix::fs::PermissionsExt as _;
    let shell = Shell::in_run();
    shell.write("node.sh", "#!/bin/sh\npwd -P\n");
    fs::set_permissions(shell.path("node.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let out = shell.ok(&["step", "run", "here", "--", "./node.sh"]);
    assert!(out.contains("/runs/RUN-1/.tmp/") && out.ends_with("\nsuccess\n"), "{out}");
}

#[test]
fn a_program_that_fails_fails_its_step() {
    let shell = Shell::in_run();
    let sh = |script: &str| shell.go(&["step", "run", "work", "--", "sh", "-c", script]);
    let failed = sh("echo kept > $RUNJOURNAL_OUT/a; exit 3");
    assert_eq!((failed.exit, failed.out.as_str()), (1, ""));
    insta::assert_snapshot!(failed.err, @"
    error: step work failed in attempt 1
      because: sh exited with code 3
      to do: see why, then try again: the same command makes the next attempt
    ");
    let killed = sh("kill -9 $$");
    assert_eq!(killed.exit, 1);
    insta::assert_snapshot!(killed.err, @"
    error: step work failed in attempt 2
      because: sh was ended by a signal (signal: 9 (SIGKILL))
      to do: see why, then try again: the same command makes the next attempt
    ");
    let missing = shell.refused(1, &["step", "run", "work", "--", "no-such-program"]);
    insta::assert_snapshot!(missing, @"
    error: step work failed in attempt 3
      because: cannot start no-such-program: No such file or directory (os error 2)
      to do: give its path, or put it into a directory of PATH
    ");
    let link = sh("ln -s /etc/passwd $RUNJOURNAL_OUT/b; echo a > $RUNJOURNAL_OUT/a");
    assert_eq!(link.exit, 1);
    insta::assert_snapshot!(link.err, @"
    error: step work failed in attempt 4
      because: b in RUNJOURNAL_OUT is neither a file nor a folder, and links are not followed
      to do: leave a copy
    ");
    let name = sh("echo a > $RUNJOURNAL_OUT/a; echo b > $RUNJOURNAL_OUT/.b");
    assert_eq!(name.exit, 1);
    insta::assert_snapshot!(name.err, @r#"
    error: step work failed in attempt 5
      because: .b in RUNJOURNAL_OUT cannot become an artifact: ".b" cannot name an artifact: a segment starts with a dot, and such names belong to the library
      to do: rename it, or leave it outside RUNJOURNAL_OUT
    "#);
    assert_eq!(sh("rm -r $RUNJOURNAL_OUT; ln -s /etc $RUNJOURNAL_OUT").exit, 1);
    assert_eq!(shell.json(&["artifact", "list"])["artifacts"], json!([]));

    assert_eq!(sh("exit 0").exit, 0);
    let records = shell.jsonl(&["event", "log", "--type", "step_failed"]);
    assert_eq!(records[0]["payload"]["error"], json!(["sh exited with code 3"]));
    assert_eq!(records.len(), 6);
}

#[test]
fn a_step_that_is_taken_is_not_run_twice() {
    let shell = Shell::in_run();
    let script = "runjournal step run work -- true; echo inner $?";
    let answer = shell.go(&["step", "run", "work", "--", "sh", "-c", script]);
    assert_eq!((answer.exit, answer.out.as_str()), (0, "inner 4\nsuccess\n"), "{}", answer.err);
    assert!(answer.err.starts_with("error: step work is taken: attempt 1 is running in "));
}

#[test]
fn the_environment_is_checked() {
    let mut shell = Shell::in_run();
    let root = shell.path("workspaces").display().to_string();
    shell.variables = vec![("RUNJOURNAL_ROOT", root), ("RUNJOURNAL_RUN", "TASK-1/NONE".into())];
    let told = shell.refused(3, &["event", "append", "a"]);
    assert!(told.contains("RUNJOURNAL_RUN names no run: there is no TASK-1/NONE in "), "{told}");
    let root = std::mem::replace(&mut shell.variables[0].1, "nowhere".into());
    let told = shell.refused(3, &["event", "append", "a"]);
    assert!(told.contains("RUNJOURNAL_ROOT names no workspace: there is none at "), "{told}");
    shell.variables[0].1 = root;
    shell.variables[1].1 = "RUN-1".into();
    assert!(shell.refused(2, &["event", "append", "a"]).contains("set it to TASK/RUN"));

    // A writer of a step that was taken over is refused, even where it names the run itself.
    shell.variables[1].1 = "TASK-1/RUN-1".into();
    shell.ok(&["step", "run", "work", "--", "true"]);
    let stale = "work/01a1fc83-b542-71a7-ad29-d661d56e8367";
    shell.variables.push(("RUNJOURNAL_STEP", stale.into()));
    shell.refused(4, &["event", "append", "late"]);
    shell.refused(4, &["event", "append", "late", "-r", "RUN-1"]);
    shell.refused(4, &["artifact", "put", "late.txt", "--run", "RUN-1", TOOL_SOURCE]);
}

#[test]
fn a_step_whose_process_died_is_taken_over() {
    let shell = Shell::in_run();
    let mut command = shell.command(&["step", "run", "work", "--", "sleep", "2"]);
    let mut died = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = || shell.jsonl(&["event", "log", "--type", "step_started"]).len();
    while started() == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(shell.json(&["run", "show"])["steps_open"], json!(["work"]));
    died.kill().unwrap();
    died.wait().unwrap();
    // A child that was forked and did not get to its program yet holds the lock of the dead for a moment.
    let take_over = || shell.go(&["step", "run", "work", "--", "true"]).exit == 0;
    assert!((0..100).any(|_| take_over() || {
        std::thread::sleep(Duration::from_millis(20));
        false
    }));
    let ended = &shell.jsonl(&["event", "log", "--type", "step_completed"])[0];
    assert_eq!((&ended["payload"]["attempt"], started()), (&json!(2), 2));
}

#[test]
fn json_stays_alone_on_standard_output() {
    let shell = Shell::in_run();
    let answer =
        shell.go(&["step", "run", "talk", "--format", "json", "--", "sh", "-c", "echo loud"]);
    let document: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(document["signal"], "success");
    assert_eq!(answer.err, "loud\n");
    for args in [
        &["status"][..],
        &["task", "list"],
        &["task", "show", "TASK-1"],
        &["task", "create", "TASK-2"],
        &["run", "list"],
        &["run", "start", "TASK-1"],
        &["run", "show"],
        &["artifact", "put", "a.txt", TOOL_SOURCE],
        &["artifact", "get", "a.txt", "copy"],
        &["artifact", "list"],
        &["event", "append", "seen"],
        &["event", "log"],
        &["event", "show", "1"],
        &["repair"],
        &["run", "complete", "--status", "failed"],
    ] {
        shell.json(args);
    }
    for lines in [&["task", "list"][..], &["run", "list"], &["artifact", "list"], &["status"]] {
        assert!(!shell.jsonl(lines).is_empty());
    }
    shell.json(&["init", "other"]);
}

#[test]
fn the_root_is_named_or_found() {
    let shell = Shell::with_run();
    fs::create_dir_all(shell.path("deep/down")).unwrap();
    let in_dir = |dir: &str, args: &[&str], root: Option<&Path>| {
        let mut command = shell.command(args);
        command.current_dir(shell.path(dir));
        command.envs(root.map(|root| ("RUNJOURNAL_ROOT", root)));
        Answer::of(command.output().unwrap())
    };
    assert_eq!(in_dir("deep/down", &["run", "show", "RUN-1"], None).exit, 0);
    assert_eq!(in_dir("workspaces/TASK-1", &["run", "show", "RUN-1"], None).exit, 0);
    let elsewhere = shell.path("elsewhere");
    assert_eq!(in_dir(".", &["init"], Some(&elsewhere)).exit, 0);
    assert_eq!(in_dir(".", &["run", "show", "RUN-1"], Some(&elsewhere)).exit, 3);
    let args = ["--root", "workspaces", "run", "show", "RUN-1"];
    assert_eq!(in_dir(".", &args, Some(&elsewhere)).exit, 0, "--root wins");
    assert_eq!(in_dir(".", &["init", "a", "--root", "b"], None).exit, 2);
}

#[test]
fn a_run_is_named_by_any_unique_prefix() {
    let shell = Shell::with_run();
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-10"]);
    shell.ok(&["task", "create", "TASK-2"]);
    shell.ok(&["run", "start", "TASK-2", "--run-id", "OTHER"]);
    assert!(shell.ok(&["run", "show", "O"]).contains("TASK-2/OTHER"));
    assert!(shell.ok(&["run", "show", "RUN-1"]).contains("TASK-1/RUN-1\n"), "in full, it wins");
    insta::assert_snapshot!(shell.refused(2, &["run", "show", "RUN"]), @r#"
    error: "RUN" fits 2 runs
      because: it is the beginning of each of these
        TASK-1/RUN-1
        TASK-1/RUN-10
      to do: give more of the id, or TASK/RUN
    "#);
    insta::assert_snapshot!(shell.refused(3, &["run", "show", "TASK-2/RUN-1"]), @r#"
    error: no run's id is "TASK-2/RUN-1" or starts with it
      to do: `runjournal run list` shows those there are
    "#);
    insta::assert_snapshot!(shell.refused(3, &["run", "show", ""]), @r#"
    error: no run's id is "" or starts with it
      to do: `runjournal run list` shows those there are
    "#);
}

#[test]
fn a_run_as_a_whole_is_named_in_both_ways() {
    let shell = Shell::with_run();
    assert_eq!(shell.ok(&["run", "show", "-r", "RUN-1"]), shell.ok(&["run", "show", "RUN-1"]));
    shell.refused(2, &["run", "show", "RUN-1", "-r", "RUN-1"]);
    shell.ok(&["run", "complete", "-r", "RUN-1", "--status", "failed"]);
}

#[test]
fn a_script_may_be_called_twice() {
    let shell = Shell::empty();
    let script = |title: &str| {
        for args in [
            &["init", "--if-absent"][..],
            &["task", "create", "TASK-1", "--if-absent", "--title", title],
            &["run", "start", "TASK-1", "--run-id", "RUN-1", "--if-absent"],
        ] {
            shell.ok(args);
        }
        shell.ok(&["step", "run", "-r", "RUN-1", "work", "--", "echo", "working"])
    };
    assert_eq!(script("first"), "working\nsuccess\n");
    let workspace = fs::read(shell.path("workspaces/workspace.json")).unwrap();
    let journal = fs::read(shell.run_file("journal/events.jsonl")).unwrap();
    assert_eq!(script("second"), "success\n");
    assert_eq!(fs::read(shell.path("workspaces/workspace.json")).unwrap(), workspace);
    assert_eq!(fs::read(shell.run_file("journal/events.jsonl")).unwrap(), journal);
    assert_eq!(shell.json(&["task", "show", "TASK-1"])["title"], "first", "as it was");
    assert_eq!(shell.json(&["run", "list"])["runs"].as_array().unwrap().len(), 1);
    shell.refused(2, &["run", "start", "TASK-1", "--if-absent"]);
    shell.refused(3, &["run", "start", "TASK-9", "--run-id", "RUN-1", "--if-absent"]);
}

#[test]
fn refusals_say_what_why_and_what_to_do() {
    let shell = Shell::empty();
    let mut told = Vec::new();
    let mut refuse = |shell: &Shell, exit: i32, args: &[&str]| {
        let err = shell.refused(exit, args);
        told.push(format!("$ {}  [{exit}]\n{err}", args.join(" ")));
    };
    refuse(&shell, 3, &["status"]);
    let shell = Shell::with_run();
    refuse(&shell, 4, &["init"]);
    refuse(&shell, 4, &["task", "create", "TASK-1"]);
    refuse(&shell, 3, &["task", "show", "TASK-9"]);
    refuse(&shell, 3, &["run", "show", "TASK-9/NOPE"]);
    refuse(&shell, 4, &["run", "start", "TASK-1", "--run-id", "RUN-1"]);
    refuse(&shell, 2, &["artifact", "list"]);
    refuse(&shell, 3, &["artifact", "cat", "-r", "RUN-1", "plan.json"]);
    refuse(&shell, 3, &["artifact", "put", "-r", "RUN-1", "plan.json", "no-such-file"]);
    refuse(&shell, 2, &["artifact", "cat", "-r", "RUN-1", "../x"]);
    refuse(&shell, 2, &["event", "append", "-r", "RUN-1", "step_started"]);
    refuse(&shell, 2, &["event", "append", "-r", "RUN-1", "a", "--payload", "{"]);
    refuse(&shell, 2, &["event", "append", "-r", "RUN-1", "a", "--stream", "x"]);
    refuse(&shell, 3, &["event", "show", "-r", "RUN-1", "9"]);
    refuse(&shell, 2, &["step", "run", "-r", "RUN-1", "a b", "--", "true"]);
    refuse(&shell, 3, &["step", "run", "-r", "RUN-1", "a", "--input", "none.json", "--", "true"]);
    shell.ok(&["run", "complete", "RUN-1", "--status", "success", "--reason", "all green"]);
    refuse(&shell, 4, &["run", "complete", "RUN-1", "--status", "failed"]);
    refuse(&shell, 4, &["run", "complete", "RUN-1", "--status", "success"]);
    refuse(&shell, 4, &["event", "append", "-r", "RUN-1", "late"]);
    check(&told.join("\n"), |told| {
        insta::assert_snapshot!(told, @r#"
        $ status  [3]
        error: there is no workspace at [DIR] or above it
          to do: make one with `runjournal init`, or name one with --root

        $ init  [4]
        error: [DIR]/workspaces is a workspace already
          to do: give --if-absent to use it as it is

        $ task create TASK-1  [4]
        error: the task TASK-1 exists already
          to do: give --if-absent to use it as it is

        $ task show TASK-9  [3]
        error: there is no task TASK-9
          to do: `runjournal task list` shows those there are

        $ run show TASK-9/NOPE  [3]
        error: there is no task TASK-9
          to do: `runjournal task list` shows those there are

        $ run start TASK-1 --run-id RUN-1  [4]
        error: the run TASK-1/RUN-1 exists already
          to do: give --if-absent to use it as it is

        $ artifact list  [2]
        error: no run is given
          to do: name one with `-r RUN` (`runjournal run list` shows them), or set RUNJOURNAL_RUN

        $ artifact cat -r RUN-1 plan.json  [3]
        error: there is no artifact plan.json in [DIR]/workspaces/TASK-1/runs/RUN-1
          to do: `runjournal artifact list` shows those there are

        $ artifact put -r RUN-1 plan.json no-such-file  [3]
        error: cannot open no-such-file
          because: No such file or directory (os error 2)
          to do: look at the path, and at what `runjournal status` lists

        $ artifact cat -r RUN-1 ../x  [2]
        error: invalid value '../x' for '<NAME>'
          because: it cannot name an artifact: `..` leads out of artifacts/
          to do: give another, `--help` behind the verb tells which

        $ event append -r RUN-1 step_started  [2]
        error: the event "step_started" cannot be appended: the library writes events of this type itself
          to do: choose another

        $ event append -r RUN-1 a --payload {  [2]
        error: the text of --payload is not JSON, and nothing was appended
          because: EOF while parsing an object at line 1 column 1
          to do: write one JSON value, in UTF-8

        $ event append -r RUN-1 a --stream x  [2]
        error: invalid value 'x' for '--stream <KIND/ID>'
          because: it must be KIND/ID, such as tool/cc
          to do: give another, `--help` behind the verb tells which

        $ event show -r RUN-1 9  [3]
        error: there is no seq 9 in TASK-1/RUN-1, it has no events yet
          to do: list what is there with `runjournal event log`

        $ step run -r RUN-1 a b -- true  [2]
        error: the step cannot start
          because: "a b" is no step name: only A-Z a-z 0-9 . _ - may stand in it
          to do: `runjournal step run --help` tells what it takes

        $ step run -r RUN-1 a --input none.json -- true  [3]
        error: step a cannot run: its input none.json is not there
          to do: run the step that writes it first

        $ run complete RUN-1 --status failed  [4]
        error: TASK-1/RUN-1 ended before, as SUCCESS (all green), and an end is final, with its reason
          to do: start a new run

        $ run complete RUN-1 --status success  [4]
        error: TASK-1/RUN-1 ended before, as SUCCESS too, but the reason was "all green"
          to do: give that reason, or start a new run

        $ event append -r RUN-1 late  [4]
        error: [DIR]/workspaces/TASK-1/runs/RUN-1/journal/events.jsonl is closed: its execution is complete
          to do: start a new run
        "#);
    });
}

#[test]
fn damage_stops_appends_until_it_is_closed_off() {
    let shell = Shell::in_run();
    shell.ok(&["event", "append", "before"]);
    let journal = shell.run_file("journal/events.jsonl");
    let mut file = fs::OpenOptions::new().append(true).open(&journal).unwrap();
    file.write_all(b"not a record\n").unwrap();

    let err = shell.refused(5, &["event", "append", "after"]);
    assert!(err.contains("`runjournal repair --apply`"), "{err}");
    let status = shell.go(&["status"]);
    assert_eq!((status.exit, status.err.as_str()), (1, ""));
    assert!(status.out.contains("error     journal_damaged  TASK-1/runs/RUN-1/"), "{}", status.out);
    let page = shell.json(&["run", "show"]);
    assert_eq!(page["findings"][0]["place"]["length"], 13);
    let log = shell.go(&["event", "log"]);
    assert_eq!(log.exit, 1);
    assert!(log.out.contains("before") && log.err.contains("journal_damaged"));
    assert!(
        log.err.contains("\njournal_damaged: to do: restore the run from a backup"),
        "{}",
        log.err
    );

    let bytes = fs::read(&journal).unwrap();
    let plan = shell.go(&["repair"]);
    assert_eq!(plan.exit, 1);
    assert_eq!(fs::read(&journal).unwrap(), bytes, "a plan changes nothing");
    check(&plan.out, |page| {
        insta::assert_snapshot!(page, @r#"
        SEVERITY  CODE             PLACE REASON
        error     journal_damaged  TASK-1/runs/RUN-1/journal/events.jsonl@[OFFSET]  not a record
          would close it off with a record; the bytes are kept as they are
        1 thing to mend; the same with `--apply` does it
        "#);
    });
    assert!(shell.ok(&["repair", "--apply"]).ends_with("1 thing mended\n"));
    assert!(fs::read(&journal).unwrap().starts_with(&bytes), "no byte is ever changed");
    assert_eq!(shell.ok(&["repair"]), "nothing to repair\n");
    shell.ok(&["event", "append", "after"]);
    assert_eq!(shell.go(&["status"]).exit, 0);
}

#[test]
fn damage_that_repair_cannot_close_off_is_told() {
    let shell = Shell::in_run();
    for _ in 0..3 {
        shell.ok(&["event", "append", "counted"]);
    }
    let journal = shell.run_file("journal/events.jsonl");
    let whole = fs::read(&journal).unwrap();
    let mut flipped = whole.clone();
    let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 60;
    flipped[second] ^= 1;
    fs::write(&journal, &flipped).unwrap();
    let told = shell.go(&["repair"]);
    assert_eq!((told.exit, told.err.as_str()), (1, ""));
    check(&told.out, |page| {
        insta::assert_snapshot!(page, @r#"
        SEVERITY  CODE          PLACE REASON
        error     broken_chain  TASK-1/runs/RUN-1/journal/events.jsonl@[OFFSET]  a record that does not follow the one before it
          left: a journal is never edited: what counts is read all the same; restore the run from a backup to have the rest
        error     sequence_gap  TASK-1/runs/RUN-1/journal/events.jsonl@[OFFSET]  1 record is missing before it
          left: a journal is never edited: what counts is read all the same; restore the run from a backup to have the rest
        nothing that repair can mend
        "#);
    });
    let applied = shell.go(&["repair", "--apply"]);
    assert_eq!((applied.exit, applied.out), (1, told.out));
    assert_eq!(fs::read(&journal).unwrap(), flipped);
    let left = &shell.json(&["repair"])["left"][0];
    assert_eq!(left["finding"]["code"], "broken_chain");

    // Damage behind the end of a run stays as it is, too.
    fs::write(&journal, &whole).unwrap();
    shell.ok(&["run", "complete", "--status", "failed"]);
    let mut file = fs::OpenOptions::new().append(true).open(&journal).unwrap();
    file.write_all(b"not a record\n").unwrap();
    assert_eq!(shell.go(&["status"]).exit, 1);
    let told = shell.go(&["repair", "--apply"]);
    assert_eq!(told.exit, 1);
    check(&told.out, |page| {
        insta::assert_snapshot!(page, @r#"
        SEVERITY  CODE             PLACE REASON
        error     journal_damaged  TASK-1/runs/RUN-1/journal/events.jsonl@[OFFSET]  not a record
          left: a journal is never edited: what counts is read all the same; restore the run from a backup to have the rest
        nothing that repair can mend
        "#);
    });
}

#[test]
fn a_warning_that_repair_leaves_is_told_by_its_exit_code() {
    let shell = Shell::in_run();
    shell.write("workspaces/TASK-1/runs/RUN-1/artifacts/mine.txt", "mine");
    for args in [&["repair"][..], &["repair", "--apply"]] {
        let told = shell.go(args);
        assert_eq!((told.exit, told.err.as_str()), (1, ""), "{args:?}: {}", told.out);
        assert!(told.out.contains("warning   artifact_unjournaled  "), "{}", told.out);
        assert!(told.out.contains("`--adopt`"), "{}", told.out);
    }
    assert_eq!(shell.go(&["repair", "--adopt", "--apply"]).exit, 0);
    assert_eq!(shell.ok(&["repair"]), "nothing to repair\n");

    fs::create_dir(shell.path("workspaces/TASK-1/runs/no id")).unwrap();
    fs::copy(shell.run_file("run.json"), shell.path("workspaces/TASK-1/runs/no id/run.json"))
        .unwrap();
    let told = shell.go(&["repair"]);
    assert_eq!(told.exit, 1);
    assert!(told.out.contains("\n  left: rename it: nothing finds it"), "{}", told.out);
}

#[test]
fn what_a_killed_writer_left_is_a_warning() {
    let shell = Shell::in_run();
    shell.ok(&["event", "append", "before"]);
    let journal = shell.run_file("journal/events.jsonl");
    let mut file = fs::OpenOptions::new().append(true).open(journal).unwrap();
    file.write_all(b"{\"seq\":2,").unwrap();
    let page = shell.go(&["run", "show"]);
    assert_eq!(page.exit, 1);
    assert!(page.out.contains("warning   torn_tail  "), "{}", page.out);
    assert_eq!(shell.ok(&["repair"]), "nothing to repair\n");
    shell.ok(&["event", "append", "after"]);
    assert!(shell.ok(&["run", "show"]).contains("note      garbage  "));
}

#[test]
fn a_commit_that_cannot_be_put_in_place_is_told() {
    let shell = Shell::in_run();
    shell.write("one", "one");
    shell.ok(&["artifact", "put", "x.txt", "one"]);
    // As a crash between record and rename, and then somebody's editor, would leave it.
    let id = shell.jsonl(&["event", "log"])[0]["event_id"].as_str().unwrap().to_owned();
    fs::copy(shell.path("one"), shell.run_file(".tmp").join(id)).unwrap();
    fs::write(shell.run_file("artifacts/x.txt"), "an editor's").unwrap();

    let page = shell.go(&["run", "show"]);
    assert!(page.exit == 1 && page.out.contains("error     commit_not_applied  "), "{}", page.out);
    let complete = ["run", "complete", "--status", "success"];
    check(&shell.refused(4, &complete), |err| {
        insta::assert_snapshot!(err, @"
        error: a committed artifact of [DIR]/workspaces/TASK-1/runs/RUN-1 is not in place yet, so the run cannot complete
          to do: `runjournal run show` tells which, and what to do about it
        ")
    });
    shell.ok(&["artifact", "adopt", "x.txt"]);
    shell.ok(&["status"]);
    shell.ok(&complete);
}

#[test]
fn one_unreadable_run_does_not_hide_the_others() {
    let shell = Shell::with_run();
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    fs::write(shell.run_file("run.json"), "{}\n").unwrap();
    let status = shell.go(&["status"]);
    assert_eq!(status.exit, 1);
    assert!(status.out.contains("UNREADABLE") && status.out.contains("RUN-2"), "{}", status.out);
    let refused = shell.refused(5, &["run", "show", "RUN-1"]);
    assert!(refused.contains("`runjournal repair --from BACKUP`"), "{refused}");
    shell.refused(5, &["artifact", "list", "-r", "RUN-1"]);
    let repair = shell.go(&["repair"]);
    assert!(repair.exit == 1 && repair.out.contains("with `--from BACKUP`"), "{}", repair.out);
    fs::remove_file(shell.path("workspaces/TASK-1/runs/RUN-2/journal/events.jsonl")).unwrap();
    assert!(shell.refused(5, &["event", "log", "-r", "RUN-2"]).contains("is missing"));

    fs::write(shell.path("workspaces/TASK-1/task.json"), "{}\n").unwrap();
    let status = shell.go(&["status"]);
    assert_eq!(status.exit, 1);
    assert!(status.out.contains("TASK-1  UNREADABLE"), "{}", status.out);

    shell.ok(&["task", "create", "TASK-2"]);
    shell.ok(&["run", "start", "TASK-2", "--run-id", "WHOLE"]);
    for args in [&["task", "list"][..], &["run", "list"]] {
        let list = shell.go(args);
        assert!(list.exit == 1 && list.out.contains("TASK-2"), "{args:?} {}", list.out);
        // A list of tasks has the reason below the row, one of runs has no row for a task.
        let why = if args[0] == "task" { list.out } else { list.err };
        assert!(why.contains("task.json is damaged"), "{args:?} {why}");
    }
    shell.ok(&["run", "show", "WHO"]);
    shell.refused(5, &["run", "show", "NONE"]);
}

#[test]
fn a_newer_format_is_read_and_not_written() {
    let shell = Shell::with_run();
    let genesis = seal(
        r#"{"format_version":99,"workspace_id":"01a1fc83-b542-71a7-ad29-d661d56e8367","created_at":"2026-11-21T05:10:52.492186Z""#,
    );
    shell.write("workspaces/workspace.json", genesis);
    assert!(shell.ok(&["status"]).contains("read-only"));
    assert!(shell.refused(6, &["task", "create", "TASK-2"]).contains("use a newer runjournal"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_system_error_names_the_path() {
    let shell = Shell::in_run();
    // A regular file, whose first page cannot be read.
    let err = shell.refused(10, &["artifact", "put", "a", "/proc/self/mem"]);
    insta::assert_snapshot!(err, @"
    error: cannot read /proc/self/mem
      because: Input/output error (os error 5)
      to do: look at the disk, and at what the system's log says of it (`dmesg`)
    ");
}

#[test]
fn only_a_file_is_put() {
    let shell = Shell::in_run();
    fs::create_dir(shell.path("folder")).unwrap();
    let err = shell.refused(2, &["artifact", "put", "a", "folder"]);
    insta::assert_snapshot!(err, @"
    error: folder is a directory, a pipe or a device
      to do: import a regular file
    ");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let shell = Shell::in_run();
    let input: String = (1..=5000).map(|n| format!("\"{n:0200}\"\n")).collect();
    assert_eq!(shell.feed(&["event", "append", "line", "--lines"], input).exit, 0);
    for args in [
        &["event", "log"][..],
        &["event", "log", "--format", "jsonl"],
        &["event", "log", "--format", "json"],
        &["event", "log", "--follow"],
        &["--help"],
    ] {
        let mut command = shell.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let answer = Answer::of(child.wait_with_output().unwrap());
        assert_eq!((answer.exit, answer.err.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn text_cannot_play_tricks_on_a_terminal() {
    let shell = Shell::with_run();
    shell.ok(&["task", "create", "TASK-2", "--title", "a\u{1b}[2Jb\nc"]);
    let list = shell.ok(&["task", "list"]);
    assert!(list.contains(r"a\u{1b}[2Jb\nc"), "{list}");
}
