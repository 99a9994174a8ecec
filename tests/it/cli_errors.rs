//! Each error that a user of the tool meets, as it is told: into a pipe, and where that differs at 80 columns.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use camino::Utf8PathBuf;
use runjournal::{RunContext, Workspace};

use crate::cli::{Answer, Shell, seal};

/// Command lines and what they answered.
struct Transcript<'a> {
    shell: &'a Shell,
    text: String,
    /// What was told as no error should be.
    faults: Vec<String>,
}

/// The words of a command line; what stands in single quotes is one.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

impl<'a> Transcript<'a> {
    fn new(shell: &'a Shell) -> Self {
        Self { shell, text: String::new(), faults: Vec::new() }
    }

    /// Each line must be refused with an error of three lines, or two, and print nothing else.
    fn refused(&mut self, lines: &str) -> &mut Self {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.text.push_str(&format!("$ runjournal {line}\n"));
            let piped = self.told(line, None);
            let narrow = self.told(line, Some("80"));
            self.text.push_str(&format!("[{}] {}", piped.exit, piped.err));
            // Where a line with a path ends depends on where temporary directories are.
            let has_path = narrow.err.contains(&self.shell.path("").display().to_string());
            if narrow.err != piped.err && !has_path {
                self.text.push_str(&format!("at 80 columns:\n{}", narrow.err));
            }
        }
        self
    }

    fn told(&mut self, line: &str, columns: Option<&str>) -> Answer {
        let words = words(line);
        let args: Vec<_> = words.iter().map(String::as_str).collect();
        let mut command = self.shell.command(&args);
        command.env("USER", "dev").envs(columns.map(|columns| ("COLUMNS", columns)));
        let answer = Answer::of(command.output().unwrap());
        let fault =
            fault(&answer).map(|what| format!("{line}: {what}\n{}{}", answer.out, answer.err));
        self.faults.extend(fault);
        let too_wide = |line: &&str| line.chars().count() > 80 && !is_one_word(line);
        if columns.is_some() {
            self.faults.extend(answer.err.lines().find(too_wide).map(str::to_owned));
        }
        answer
    }

    /// With a file that holds something else for the time being.
    fn damaged(&mut self, path: &Path, bytes: impl AsRef<[u8]>, lines: &str) -> &mut Self {
        let before = fs::read(path).unwrap();
        fs::write(path, bytes).unwrap();
        self.text.push_str(&format!("# {} was changed\n", path.file_name().unwrap().display()));
        self.refused(lines);
        fs::write(path, before).unwrap();
        self
    }

    /// With a file, or a directory, that is away for the time being.
    fn missing(&mut self, path: &Path, lines: &str) -> &mut Self {
        let away = path.with_extension("away");
        fs::rename(path, &away).unwrap();
        self.text.push_str(&format!("# {} is away\n", path.file_name().unwrap().display()));
        self.refused(lines);
        let _ = fs::remove_file(path);
        fs::rename(away, path).unwrap();
        self
    }

    fn check(&self, name: &str) {
        check(&self.text, |text| insta::assert_snapshot!(name, text));
        assert!(self.faults.is_empty(), "{}", self.faults.join("\n"));
    }
}

/// Paths are not broken, so a line with one may be longer than the terminal is wide.
fn is_one_word(line: &str) -> bool {
    line.split_whitespace().any(|word| word.chars().count() > 40)
}

/// Nothing on standard output; an error, perhaps why, and what to do, and no path twice.
fn fault(answer: &Answer) -> Option<String> {
    let Answer { exit, out, err } = answer;
    if *exit <= 0 || *exit == 101 || !out.is_empty() {
        return Some(format!("ended with {exit}, and printed {out:?}"));
    }
    // A program that failed may have spoken before.
    let lines = err.lines().skip_while(|line| !line.starts_with("error: "));
    let heads: Vec<_> = lines.filter(|line| !line.starts_with("    ")).collect();
    let is_whole = match heads.as_slice() {
        [error, to_do] => error.starts_with("error: ") && to_do.starts_with("  to do: "),
        [error, why, to_do] => {
            error.starts_with("error: ")
                && why.starts_with("  because: ")
                && to_do.starts_with("  to do: ")
        }
        _ => false,
    };
    if !is_whole {
        return Some("is not what failed, why, and what to do".to_owned());
    }
    let words = err.split([' ', ':', ';', ',', '`', '\n', '(', ')', '"']);
    let mut seen = BTreeSet::new();
    let twice = words.filter(|word| word.starts_with('/')).find(|path| !seen.insert(*path));
    twice.map(|path| format!("tells {path} twice"))
}

/// A snapshot that says the same in every directory, at every time, by every process.
pub(crate) fn check(text: &str, expect: impl FnOnce(&str)) {
    crate::cli::check(text, |text| {
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(r"process \d+ \(\S+\)", "process [PID]");
        settings.add_filter(r"\d+(\.\d+)?(ms|µs)", "[WAITED]");
        settings.add_filter(r"(in a moment|in \d+ (s|min))", "[SOON]");
        settings.add_filter(r"[0-9a-f]{12}\b", "[SHORT]");
        settings.bind(|| expect(text));
    });
}

fn context(shell: &Shell) -> RunContext {
    let root = Utf8PathBuf::from_path_buf(shell.path("workspaces")).unwrap();
    let task = Workspace::open(root).unwrap().task("TASK-1").unwrap();
    task.run("RUN-1").unwrap().context().clone()
}

#[test]
fn a_command_line_that_says_nothing() {
    let shell = Shell::empty();
    Transcript::new(&shell)
        .refused(
            "tsak
            task lits
            backup craete copies
            task list --fromat json
            query runs --stauts failed
            status extra
            event append
            queue list -r RUN-1 -t TASK-1
            step run build
            backup prune copies
            verify --snapshot 1
            --format xml status
            run complete --status MAYBE
            task create 'a b'
            artifact put ../up
            artifact put plan.md --if-digest 12
            event append note --stream tool
            step run build --exit 3 -- true
            lease claim TASK-1 --worker w --ttl 5
            lease claim TASK-1 --worker w --ttl 1mo
            lease release TASK-1 --token many
            checkpoint restore last
            verify --read-data=8/7
            query runs --status lost
            query events --after there
            query runs --since yesterday
            --root",
        )
        .check("usage");
}

#[test]
fn what_was_given_is_told_whole() {
    let shell = Shell::in_run();
    for given in ["a\nb", "a': b", "a\": 'b"] {
        let told = shell.refused(2, &["task", "show", given]);
        let shown = given.replace('\n', "\\n");
        let line = format!("error: invalid value '{shown}' for '<TASK>'\n");
        assert!(told.starts_with(&line), "{told}");
        for (words, what) in
            [(vec!["--", given], "subcommand"), (vec!["status", given], "argument")]
        {
            let told = shell.refused(2, &words);
            assert!(told.contains(what) && told.contains(&shown), "{words:?}: {told}");
        }
    }
    let mut transcript = Transcript::new(&shell);
    fs::write(shell.path("bad.json"), b"{\"flow\": \"\xff\"}").unwrap();
    fs::write(shell.path("bad.cursor"), b"\xff").unwrap();
    transcript.refused(
        "--root
        --root '' status
        --index '' query runs
        init ''
        backup create ''
        backup restore '' TASK-1
        query runs --limit 0
        query runs --status lost
        query runs --status
        query tasks --status doing
        run show RUN-1 --redacted
        run complete RUN-1 --status lost
        lease claim TASK-1 --worker w --ttl 99999999999d
        diff --tree RUN-1@1 RUN-1
        checkpoint restore 1 --apply --to x
        flow run bad.json
        event log --cursor-file bad.cursor
        --index 'my index' query runs --stale",
    );
    transcript.check("given");
}

#[test]
fn lines_that_are_not_utf8_are_told_with_what_stands() {
    let shell = Shell::in_run();
    let mut input = b"{}\n".repeat(5000);
    input.extend_from_slice(b"\"\xff\"\n");
    let answer = shell.feed(&["event", "append", "noted", "--lines"], &input);
    assert_eq!((answer.exit, answer.out.as_str()), (2, ""));
    let told = "error: line 5001 of standard input is not JSON, and the 4096 events of the batches before it stand\n";
    assert!(answer.err.starts_with(told), "{}", answer.err);
    assert_eq!(shell.jsonl(&["event", "log"]).len(), 4096);
    let answer = shell.feed(&["event", "append", "noted", "--payload", "-"], b"\"\xff\"");
    assert_eq!((answer.exit, answer.out.as_str()), (2, ""));
    assert!(answer.err.starts_with("error: standard input is not JSON"), "{}", answer.err);
}

#[test]
fn a_restore_that_was_killed_is_told() {
    let shell = Shell::with_run();
    shell.ok(&["backup", "create", "backup"]);
    fs::create_dir_all(shell.path("elsewhere/.restoring/aside")).unwrap();
    let mut transcript = Transcript::new(&shell);
    transcript.refused("--root elsewhere status\ninit elsewhere\ninit elsewhere --if-absent");
    fs::create_dir(shell.path("below")).unwrap();
    fs::rename(shell.path("elsewhere"), shell.path("below/workspaces")).unwrap();
    let mut command = shell.command(&["init"]);
    assert_eq!(command.current_dir(shell.path("below")).status().unwrap().code(), Some(4));
    shell.ok(&["backup", "restore", "backup", "--to", "below/workspaces"]);
    assert_eq!(shell.ok(&["--root", "below/workspaces", "run", "list"]).lines().count(), 2);
    shell.ok(&["init", "another"]);
    transcript.refused(
        "--root another backup restore backup
        --root another backup restore backup TASK-1
        backup hold backup '' --reason audit
        backup restore backup --snapshot ''",
    );
    transcript.check("restores");
}

#[test]
fn what_is_not_there() {
    let empty = Shell::empty();
    let mut transcript = Transcript::new(&empty);
    transcript.refused("status\n--root elsewhere status\nhealth\nindex refresh");
    transcript.check("no_workspace");

    let shell = Shell::with_run();
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-10"]);
    for number in 11..20 {
        shell.ok(&["run", "start", "TASK-1", "--run-id", &format!("RUN-{number}")]);
    }
    shell.ok(&["checkpoint", "create", "-r", "RUN-11"]);
    Transcript::new(&shell)
        .refused(
            "task show TASK-9
            run list TASK-9
            run start TASK-9
            run show
            run show RUN-9
            run show TASK-9/RUN-1
            run show RUN
            run show TASK-1/RUN-1x
            event log -r RUN-9
            event show -r RUN-1 7
            receipt show -t TASK-9 c
            artifact cat -r RUN-10 plan.md
            artifact get -r RUN-10 plan.md
            artifact put -r RUN-10 plan.md no/file
            artifact adopt -r RUN-10 plan.md
            artifact remove -r RUN-10 plan.md
            lease show TASK-1
            lease renew TASK-1
            session show -r RUN-10 s
            approval resolve -r RUN-10 ship yes
            receipt show -r RUN-10 c
            queue next -r RUN-10 --owner w
            queue done -r RUN-10 item --owner w --attempt 1
            flow show -r RUN-10
            flow resume -r RUN-10
            flow run -r RUN-10 flow.json
            flow check flow.json
            step run -r RUN-10 build --input plan.md -- true
            step run -r RUN-10 build -- ./no-such-program
            lineage why -r RUN-10 plan.md
            checkpoint restore -r RUN-10 9
            checkpoint cat -r RUN-10 9 plan.md
            checkpoint cat -r RUN-11 1 plan.md
            diff RUN-10@9 RUN-11
            diff RUN-10@last RUN-11
            verify NOTHING
            verify TASK-1/RUN-9
            verify --manifest manifest.json
            verify --backup copies
            repair --from copies
            backup list copies
            backup create copies RUN-9
            query --stale runs
            query --stale runs TASK-9
            query latest TASK-9
            query causes 019ab000-0000-7000-8000-000000000000
            query sql 'SELECT * FROM nothing'",
        )
        .check("not_there");
}

#[test]
fn what_stands_in_the_way() {
    let mut shell = Shell::in_run();
    shell.write("text", "some");
    shell.ok(&["artifact", "put", "plan", "text"]);
    shell.ok(&["event", "append", "planned", "--key", "k", "--payload", "1"]);
    shell.ok(&["queue", "add", "item", "--input", "1"]);
    shell.ok(&["step", "run", "build", "--turn", "1", "--", "true"]);
    shell.ok(&["checkpoint", "create"]);
    shell.ok(&["task", "create", "TASK-2"]);
    shell.ok(&["run", "start", "TASK-2", "--run-id", "R"]);
    shell.ok(&["lease", "claim", "TASK-2", "--worker", "first", "--ttl", "1h"]);
    shell.ok(&["run", "start", "TASK-1", "--run-id", "ENDED"]);
    shell.ok(&["run", "complete", "-r", "ENDED", "--status", "failed", "--reason", "too dear"]);
    shell.write(
        "one.json",
        r#"{"flow":"one","nodes":[{"node":"a","edges":[{"on":"success","to":"b"}]}]}"#,
    );
    shell.write("not.json", "{");
    shell.write("cursor", "x");
    fs::create_dir(shell.path("full")).unwrap();
    shell.write("full/file", "");
    context(&shell).request_approval("ship", "Ship it; use the new one?", &["yes", "no"]).unwrap();
    Transcript::new(&shell)
        .refused(
            "init
            init here --root there
            task create TASK-1
            run start TASK-1 --run-id RUN-1
            run start TASK-1 --run-id 'a b'
            run complete -r ENDED --status success
            run complete -r ENDED --status failed --reason 'no time'
            run hold -r ENDED --reason ''
            artifact put -r ENDED plan text
            event append -r ENDED note
            artifact put plan text --if-absent
            artifact put plan text --if-digest blake3:0000000000000000000000000000000000000000000000000000000000000000
            artifact put plan/part text
            artifact put other full
            artifact get plan text
            artifact get plan no/such/file
            event append planned --key k --payload 2
            event append 'no type'
            event append note --payload {
            event append step_completed
            event append note --stream lease/x
            --format json event log --follow
            event log --cursor-file cursor
            lease claim TASK-2 --worker second --ttl 1m
            lease claim TASK-2 --worker second --ttl 0s
            event append -r TASK-2/R note
            lease renew TASK-2 --token 7
            queue add item --input 2
            queue add other --attempts 0
            queue add other --input {
            queue done item --owner w --attempt 1
            queue next --owner ''
            approval resolve ship maybe
            approval resolve no-such yes
            step run build --turn 3 -- true
            step run 'a b' -- true
            step run fails -- false
            step run says -- sh -c 'echo this went wrong 1>&2; exit 3'
            step run advises -- sh -c 'echo no luck\\; use another >&2; exit 3'
            step run slow --timeout 30ms -- sleep 9
            step run links -- sh -c 'ln -s /etc/hosts $RUNJOURNAL_OUT/link'
            step run names -- sh -c 'touch $RUNJOURNAL_OUT/.hidden'
            step run item --turn 1 --item { -- true
            checkpoint create --turn 9
            checkpoint restore 1 --to full
            flow run one.json
            flow run not.json
            backup create full
            backup create workspaces/copies
            verify TASK-1/ENDED --manifest workspaces/TASK-1/run.json
            query sql 'DELETE FROM runs'
            query sql 'SELECT ?1'",
        )
        .check("in_the_way");
    let root = shell.path("workspaces").display().to_string();
    let mut text = String::new();
    for variables in [
        vec![("RUNJOURNAL_RUN", "TASK-2/R"), ("RUNJOURNAL_LEASE", "TASK-2/x")],
        vec![("RUNJOURNAL_ROOT", "nowhere"), ("RUNJOURNAL_RUN", "TASK-1/RUN-1")],
        vec![("RUNJOURNAL_ROOT", &root), ("RUNJOURNAL_RUN", "TASK-1/RUN-9")],
        vec![("RUNJOURNAL_ROOT", &root), ("RUNJOURNAL_RUN", "RUN-1")],
    ] {
        text.push_str(&format!("# with {variables:?}\n"));
        shell.variables =
            variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let mut transcript = Transcript { text, ..Transcript::new(&shell) };
        transcript.refused("event append note");
        assert!(transcript.faults.is_empty(), "{:?}", transcript.faults);
        text = transcript.text;
    }
    let transcript = Transcript { text, ..Transcript::new(&shell) };
    transcript.check("environment");
}

#[test]
fn lines_that_are_refused() {
    let shell = Shell::in_run();
    let mut text = String::new();
    for (input, args) in [
        ("1\n{\n", &["event", "append", "note", "--lines"][..]),
        ("{", &["event", "append", "note", "--payload", "-"]),
        ("1\n2\n", &["event", "append", "no type", "--lines"]),
        ("{", &["queue", "add", "item", "--input", "-"]),
    ] {
        let answer = shell.feed(args, input);
        assert_eq!(fault(&answer), None);
        text.push_str(&format!(
            "$ runjournal {}\n[{}] {}",
            args.join(" "),
            answer.exit,
            answer.err
        ));
    }
    check(&text, |text| insta::assert_snapshot!("lines", text));
}

#[test]
fn what_is_damaged_or_newer() {
    let shell = Shell::in_run();
    shell.write("text", "some text that is kept");
    shell.ok(&["artifact", "put", "plan", "text"]);
    shell.ok(&["checkpoint", "create"]);
    shell.ok(&["index", "rebuild"]);
    shell.ok(&["backup", "create", "copies"]);
    shell.ok(&["event", "append", "note"]);
    shell.ok(&["backup", "create", "copies"]);
    let at = |path: &str| shell.path(&format!("workspaces/{path}"));
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let newer = |path: &Path| {
        let text = read(path);
        assert!(text.contains("_version\":1"), "{text}");
        let text = text.replacen("_version\":1", "_version\":9", 1);
        seal(text.split(",\"hash\":").next().unwrap())
    };
    let (workspace, task) = (at("workspace.json"), at("TASK-1/task.json"));
    let (run, journal) = (shell.run_file("run.json"), shell.run_file("journal/events.jsonl"));
    let index = shell.path(shell.ok(&["index", "path"]).trim());
    let torn = read(&journal).replace("\"note\"", "\"nope\"");
    let snapshot = newest(&shell.path("copies/snapshots"));
    let id = snapshot.file_name().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned();
    let restore = format!("backup restore copies --snapshot {id}");
    let mut transcript = Transcript::new(&shell);
    transcript
        .damaged(&workspace, "x", "status\nhealth")
        .missing(&workspace, "status\ninit workspaces")
        .damaged(&task, "x", "task show TASK-1\nrun show RUN-1")
        .missing(&task, "task show TASK-1")
        .damaged(&run, "x", "run show\nevent append note")
        .missing(&run, "run show")
        .missing(&journal, "run show\nevent append note")
        .damaged(&journal, torn, "event append note")
        .damaged(&index, "x", "query --stale runs\nquery --stale sql 'SELECT 1'")
        .damaged(&snapshot, "x", &restore)
        .refused("backup restore copies --snapshot 0\nbackup hold copies 0 --reason why")
        .damaged(&shell.path("copies/backup.json"), "x", "backup list copies")
        .missing(&shell.run_file("artifacts/plan"), "artifact cat plan\nartifact get plan out");
    let turn = shell.run_file("checkpoints/1.json");
    transcript
        .damaged(&turn, "x", "checkpoint cat 1 plan\ncheckpoint restore 1")
        .missing(&turn, "checkpoint cat 1 plan");
    for path in [&workspace, &run] {
        let bytes = newer(path);
        transcript.damaged(path, bytes, "event append note\nartifact put other text");
    }
    transcript.check("damaged");
}

/// The file of a directory whose name is the last.
fn newest(dir: &Path) -> std::path::PathBuf {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).max().unwrap()
}

#[test]
fn what_the_system_refuses() {
    let shell = Shell::in_run();
    shell.write("text", "some");
    shell.ok(&["artifact", "put", "plan", "text"]);
    let mut transcript = Transcript::new(&shell);
    // Each of the library's own places, held by something of another kind.
    for name in ["journal/.lock", ".tmp", "artifacts", "journal/events.jsonl", "run.json"] {
        let (path, away) = (shell.run_file(name), shell.path("away"));
        let (is_there, is_dir) = (path.exists(), path.is_dir());
        if is_there {
            fs::rename(&path, &away).unwrap();
        }
        let by_file = is_dir || name == ".tmp";
        if by_file {
            fs::write(&path, "").unwrap()
        } else {
            fs::create_dir(&path).unwrap()
        }
        transcript.text.push_str(&format!("# {name} is of another kind\n"));
        transcript.refused("artifact put other text");
        if by_file {
            fs::remove_file(&path).unwrap()
        } else {
            fs::remove_dir(&path).unwrap()
        }
        if is_there {
            fs::rename(&away, &path).unwrap();
        }
    }
    let long = "n".repeat(300);
    transcript.refused(&format!("artifact get plan {long}"));
    transcript.refused("--root text status\n--root text/more status\ninit text\nartifact put other .\nflow check .");
    transcript.refused("--index text index rebuild\n--index text/more query runs");
    transcript.check("system");
    if Path::new("/dev/full").exists() {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = shell.command(&["artifact", "list"]);
        let answer = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
        insta::assert_snapshot!(Answer::of(answer).err, @"
        error: cannot write to standard output
          because: No space left on device (os error 28)
          to do: make room on the disk: `runjournal prune` shows what is old
        ");
    }
}
