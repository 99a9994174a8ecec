//! Trees that the tool may not write to, and directories that it may not read: what it says, and its exit codes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::{Answer, Shell};

/// A workspace that nobody may write to, and a tool that is nobody: root may do everything.
struct Locked {
    shell: Shell,
    tool: PathBuf,
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

impl Locked {
    /// Two runs that differ; the first has two turns that do.
    fn new() -> Self {
        let shell = Shell::with_run();
        shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
        for (run, turn, content) in
            [("RUN-1", 1, "one\n"), ("RUN-1", 2, "two\n"), ("RUN-2", 1, "six\n")]
        {
            shell.write("content", content);
            shell.ok(&["artifact", "put", "-r", run, "plan.txt", "content"]);
            let _ = shell.go(&["checkpoint", "create", "-r", run, "--turn", &turn.to_string()]);
        }
        shell.ok(&["run", "complete", "-r", "RUN-2", "--status", "success"]);
        // Where the tool was built, it may not be to be had for others.
        let tool = shell.path("tool");
        fs::copy(env!("CARGO_BIN_EXE_runjournal"), &tool).unwrap();
        allow(&tool, 0o755);
        let locked = Self { shell, tool };
        locked.all(0o555, 0o444);
        locked
    }

    fn all(&self, dirs: u32, files: u32) {
        allow(&self.shell.path(""), if dirs & 0o200 == 0 { 0o755 } else { 0o700 });
        for entry in walkdir::WalkDir::new(self.shell.path("workspaces")).contents_first(true) {
            let entry = entry.unwrap();
            allow(entry.path(), if entry.file_type().is_dir() { dirs } else { files });
        }
    }

    fn go(&self, args: &[&str]) -> Answer {
        let mut command = Command::new(&self.tool);
        command.args(args).current_dir(self.shell.path("")).env_clear();
        if rustix::process::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        Answer::of(command.output().unwrap())
    }

    /// What is answered while a directory cannot be read.
    fn without(&self, dir: &str, args: &[&str]) -> Answer {
        let path = self.shell.path("workspaces").join(dir);
        allow(&path, 0);
        let answer = self.go(args);
        allow(&path, 0o555);
        answer
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.all(0o755, 0o644);
    }
}

#[test]
fn a_tree_that_is_only_to_be_read_is_verified_and_compared() {
    let locked = Locked::new();
    for args in [&["verify"][..], &["verify", "--read-data"], &["verify", "RUN-1"]] {
        let answer = locked.go(args);
        assert_eq!((answer.exit, answer.err.as_str()), (0, ""), "{args:?}: {}", answer.out);
    }
    for (args, exit) in [
        (["diff", "RUN-1@2", "RUN-1"], 0),
        (["diff", "RUN-1@1", "RUN-1@2"], 1),
        (["diff", "RUN-1", "RUN-2"], 1),
    ] {
        let answer = locked.go(&args);
        assert_eq!(answer.exit, exit, "{args:?}: {}", answer.err);
        assert_eq!(answer.out.contains("+++ b/plan.txt"), exit == 1, "{args:?}: {}", answer.out);
    }
}

#[test]
fn what_cannot_be_read_is_a_finding_of_verify_and_stops_a_diff() {
    let locked = Locked::new();
    let run = "TASK-1/runs/RUN-1";
    for dir in ["", "/artifacts", "/journal"].map(|below| format!("{run}{below}")) {
        let verified = locked.without(&dir, &["verify", "--read-data"]);
        assert_eq!(verified.exit, 1, "{dir}: {}{}", verified.out, verified.err);
        assert!(verified.out.contains("unreadable"), "{dir}: {}", verified.out);
        assert!(verified.out.contains(&dir), "{dir}: {}", verified.out);
    }
    for (dir, args) in [
        (run.to_owned(), ["diff", "RUN-1", "RUN-2"]),
        (format!("{run}/artifacts"), ["diff", "RUN-1", "RUN-2"]),
        (format!("{run}/artifacts"), ["diff", "RUN-2", "RUN-1"]),
        (format!("{run}/checkpoints"), ["diff", "RUN-1@1", "RUN-1@2"]),
        (format!("{run}/journal"), ["diff", "RUN-1@1", "RUN-1@2"]),
        (format!("{run}/objects"), ["diff", "RUN-1@1", "RUN-1@2"]),
    ] {
        let answer = locked.without(&dir, &args);
        assert_eq!((answer.exit, answer.out.as_str()), (6, ""), "{dir}: {}", answer.err);
        assert!(answer.err.contains(&dir), "{dir}: {}", answer.err);
    }
    assert_eq!(locked.without("", &["verify"]).exit, 6);
}

#[test]
fn a_task_that_may_not_be_entered_hides_no_other() {
    let locked = Locked::new();
    locked.all(0o755, 0o644);
    locked.shell.ok(&["task", "create", "TASK-2"]);
    locked.shell.ok(&["run", "start", "TASK-2", "--run-id", "RUN-9"]);
    locked.all(0o555, 0o444);
    for args in [&["status"][..], &["task", "list"], &["run", "list"]] {
        for closed in ["TASK-2", "TASK-1/runs/RUN-1"] {
            let answer = locked.without(closed, args);
            // A list of tasks does not look into runs.
            let exit = i32::from(!(args[0] == "task" && closed.starts_with("TASK-1")));
            assert_eq!(answer.exit, exit, "{args:?} without {closed}: {}", answer.err);
            assert!(answer.out.contains("TASK-1"), "{args:?} without {closed}: {}", answer.out);
            let told = format!("{}{}", answer.out, answer.err);
            assert_eq!(told.contains("Permission denied"), exit == 1, "{args:?}: {told}");
        }
    }
    assert_eq!(locked.without("TASK-2", &["run", "show", "TASK-1/RUN-1"]).exit, 0);
    assert_eq!(locked.without("TASK-2", &["task", "show", "TASK-2"]).exit, 6);
}
