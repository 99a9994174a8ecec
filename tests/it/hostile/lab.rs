//! A place with a workspace, a backup of it, and something outside of both that nobody may touch.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::testing::TestWorkspace;
use runjournal::*;
use serde_json::json;

/// What the file outside holds.
pub(super) const SECRET: &str = "a secret that lies outside";
const TOOL: &str = env!("CARGO_BIN_EXE_runjournal");
/// An artifact of each run.
pub(super) const A: ArtifactName = ArtifactName::from_static("a.txt");
/// One below a directory.
pub(super) const B: ArtifactName = ArtifactName::from_static("below/b.json");
/// Bytes of a payload that lies in an object.
const LARGE: usize = 70_000;

pub(super) struct Lab {
    dir: tempfile::TempDir,
    skipped: Cell<bool>,
}

/// What stands at a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    File(Vec<u8>),
    Long(u64),
    Link(Utf8PathBuf),
    Dir,
    Other,
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A workspace with an open run, a complete one, and a backup of both: made once, copied for each case.
fn template() -> &'static Utf8Path {
    static TEMPLATE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = TEMPLATE.get_or_init(|| {
        let (test, dir) = (TestWorkspace::new().unwrap(), temporary());
        for run in ["RUN-1", "RUN-2"] {
            let ctx = test.start_run(run).unwrap();
            ctx.artifacts().write_bytes(A, b"first").unwrap();
            ctx.artifacts().write_bytes(B, b"{}\n").unwrap();
            ctx.step("plan", |s| {
                s.write_bytes(A, format!("second of {run}").as_bytes())?;
                Ok(Signal::new("done"))
            })
            .unwrap();
            ctx.append(Event::new("said").payload(&"x".repeat(LARGE))).unwrap();
            ctx.checkpoint(1).unwrap();
            ctx.append(Event::new("noted").key("once").payload(&json!({"n": 1}))).unwrap();
        }
        let done = test.task().run("RUN-2").unwrap();
        done.complete(Outcome::Success, None).unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap();
        Backup::create_at(path.join("B")).unwrap().take(test.workspace()).unwrap();
        copy(test.root(), &path.join("W"));
        fs::create_dir_all(path.join("O/dir")).unwrap();
        fs::write(path.join("O/secret"), SECRET).unwrap();
        fs::write(path.join("O/dir/a.txt"), SECRET).unwrap();
        dir
    });
    Utf8Path::from_path(dir.path()).unwrap()
}

fn copy(from: &Utf8Path, to: &Utf8Path) {
    fs::create_dir(to).unwrap();
    for entry in from.read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Any answer in one line.
pub(super) fn said<T: Debug, E: std::error::Error>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("ok {value:?}").chars().take(400).collect(),
        Err(error) => {
            let mut text = format!("refused: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                text.push_str(&format!(": {error}"));
                cause = error.source();
            }
            assert!(text.len() < 3000, "a message of {} bytes", text.len());
            text
        }
    }
}

impl Lab {
    pub(super) fn new() -> Self {
        let dir = temporary();
        for part in ["W", "B", "O"] {
            copy(&template().join(part), &Utf8Path::from_path(dir.path()).unwrap().join(part));
        }
        Self { dir, skipped: Cell::new(false) }
    }

    /// A path: `W/` is the workspace, `T/` its task, `R/` the open run and `D/` the one that is done, `B/` the
    /// backup, `O/` what lies outside.
    pub(super) fn at(&self, place: &str) -> Utf8PathBuf {
        let long = match place.split_once('/') {
            Some(("T", rest)) => format!("W/TASK-1/{rest}"),
            Some(("R", rest)) => format!("W/TASK-1/runs/RUN-1/{rest}"),
            Some(("D", rest)) => format!("W/TASK-1/runs/RUN-2/{rest}"),
            _ => place.to_owned(),
        };
        Utf8Path::from_path(self.dir.path()).unwrap().join(long.trim_end_matches('/'))
    }

    pub(super) fn is_skipped(&self) -> bool {
        self.skipped.get()
    }

    // What can be put.

    /// Clears a place, whatever stands there, and makes the directory above it.
    pub(super) fn clear(&self, at: &str) -> Utf8PathBuf {
        let path = self.at(at);
        if fs::remove_file(&path).is_err() {
            let _ = fs::remove_dir_all(&path);
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(super) fn file(&self, at: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.clear(at), bytes).unwrap();
    }

    pub(super) fn dir(&self, at: &str) {
        fs::create_dir(self.clear(at)).unwrap();
    }

    /// A link to a place, or to whatever the text says if that begins with `->`.
    pub(super) fn link(&self, at: &str, to: &str) {
        let to = to.strip_prefix("->").map_or_else(|| self.at(to), Utf8PathBuf::from);
        symlink(to, self.clear(at)).unwrap();
    }

    /// Moves what stands there outside, and leaves a link to it: what it leads to is as it should be.
    pub(super) fn moved(&self, at: &str) {
        let (from, to) = (self.at(at), self.at("O/moved"));
        fs::rename(&from, &to).unwrap();
        symlink(to, from).unwrap();
    }

    pub(super) fn hard_link(&self, at: &str, to: &str) {
        let (to, path) = (self.at(to), self.clear(at));
        fs::hard_link(to, path).unwrap();
    }

    fn node(&self, at: &str, kind: rustix::fs::FileType, device: u64) -> rustix::io::Result<()> {
        let path = self.clear(at);
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(rustix::fs::CWD, path.as_std_path(), kind, mode, device)
    }

    pub(super) fn fifo(&self, at: &str) {
        self.node(at, rustix::fs::FileType::Fifo, 0).unwrap();
    }

    /// `/dev/zero`, which has no end; for root alone.
    pub(super) fn device(&self, at: &str) {
        let zero = rustix::fs::makedev(1, 5);
        let made = self.node(at, rustix::fs::FileType::CharacterDevice, zero);
        if made.is_err() || fs::File::open(self.at(at)).is_err() {
            self.skipped.set(true);
        }
    }

    pub(super) fn socket(&self, at: &str) {
        // The path of a socket is short: it is made from within.
        let path = self.clear(at);
        let made = self.at("s");
        drop(std::os::unix::net::UnixListener::bind(&made).unwrap());
        fs::rename(made, path).unwrap();
    }

    /// A file of a terabyte that takes no room.
    pub(super) fn huge(&self, at: &str) {
        let file = fs::File::create(self.clear(at)).unwrap();
        file.set_len(1 << 40).unwrap();
    }

    pub(super) fn append(&self, at: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.at(at), [&fs::read(self.at(at)).unwrap()[..], bytes.as_ref()].concat())
            .unwrap();
    }

    /// Changes a file that is sealed, and seals it again.
    pub(super) fn reseal(&self, at: &str, from: &str, to: &str) {
        crate::backups::reseal(&self.at(at), from, to);
    }

    /// Seals a text.
    pub(super) fn sealed(&self, at: &str, body: &str) {
        let hash = Digest::of(body.as_bytes()).to_hex();
        self.file(at, format!("{body},\"hash\":\"{hash}\"}}\n"));
    }

    /// The next line of the open run's journal: it chains, whatever stands in it. `seq`, and what follows `actor_kind`.
    pub(super) fn next(&self, more: &str) {
        self.next_with(more, |body| body);
    }

    /// The same, changed before it is sealed.
    pub(super) fn next_with(&self, more: &str, change: impl FnOnce(String) -> String) {
        let bytes = fs::read(self.at("R/journal/events.jsonl")).unwrap();
        let seq = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
        let body = format!(
            "{{\"seq\":{seq},\"event_id\":\"00000000-0000-7000-8000-0000000000ff\",\
             \"event_type\":\"forged\",\"occurred_at\":\"2026-01-01T00:00:00.000000Z\",\
             \"aggregate_kind\":\"talk\",\"stream_id\":\"1\",\"stream_version\":0,\
             \"actor_kind\":\"node\"{more}"
        );
        self.next_bytes(change(body).as_bytes());
    }

    /// The same of any bytes.
    pub(super) fn next_bytes(&self, body: &[u8]) {
        let bytes = fs::read(self.at("R/journal/events.jsonl")).unwrap();
        let at = bytes.len() - 67;
        let parent = blake3::Hash::from_hex(&bytes[at..at + 64]).unwrap();
        let hash = blake3::hash(&[parent.as_bytes(), body].concat()).to_hex();
        let end = format!(",\"hash\":\"{hash}\"}}\n");
        self.append("R/journal/events.jsonl", [body, end.as_bytes()].concat());
    }

    // What can be asked.

    pub(super) fn workspace(&self) -> Workspace {
        Workspace::open(self.at("W")).unwrap()
    }

    pub(super) fn task(&self) -> Task {
        self.workspace().task("TASK-1").unwrap()
    }

    pub(super) fn ctx(&self) -> RunContext {
        self.task().run("RUN-1").unwrap().context().clone()
    }

    pub(super) fn backup(&self) -> Backup {
        Backup::open(self.at("B")).unwrap()
    }

    /// Findings, each with its place.
    pub(super) fn told(&self, findings: &[Finding]) -> String {
        let base = self.at("");
        let told = findings.iter().map(|finding| {
            let place = finding.place.path.strip_prefix(&base).unwrap_or(&finding.place.path);
            let place = place.as_str().replacen("W/TASK-1/runs/RUN-1/", "R/", 1);
            let place = place.replacen("W/TASK-1/runs/RUN-2/", "D/", 1);
            format!(" {} {}", finding.code, place.replacen("W/TASK-1/", "T/", 1))
        });
        let told = told.collect::<String>();
        if told.is_empty() { "told nothing".to_owned() } else { format!("told{told}") }
    }

    pub(super) fn verify(&self) -> String {
        match Verify::of(&self.workspace()).read_data(ReadData::All).run() {
            Ok(verified) => self.told(&verified.findings),
            Err(error) => said::<(), _>(Err(error)),
        }
    }

    pub(super) fn verify_backup(&self) -> String {
        match Backup::open(self.at("B")).and_then(|backup| backup.verify(true)) {
            Ok(verified) => self.told(&verified.findings),
            Err(error) => said::<(), _>(Err(error)),
        }
    }

    /// The same, and what verify says of what was put there.
    pub(super) fn restore_and_verify(&self) -> String {
        let restored = self.restore();
        if !restored.starts_with("ok") {
            return restored;
        }
        let workspace = Workspace::open(self.at("N")).unwrap();
        self.told(&Verify::of(&workspace).read_data(ReadData::All).run().unwrap().findings)
    }

    /// Restores the newest snapshot to a new place beside it.
    pub(super) fn restore(&self) -> String {
        let restored = (|| {
            let newest = self.backup().snapshots()?.pop();
            let Some(newest) = newest else {
                return Err(BackupError::NotABackup { path: "no snapshot can be read".into() });
            };
            newest.restore_to(self.at("N")).plan()?.apply().map(|restored| restored.put.len())
        })();
        said(restored)
    }

    /// The file of the only snapshot.
    pub(super) fn snapshot(&self) -> String {
        let mut files = self.at("B/snapshots").read_dir_utf8().unwrap();
        format!("B/snapshots/{}", files.next().unwrap().unwrap().file_name())
    }

    /// The object of the backup that is the page of the open run.
    pub(super) fn page(&self) -> String {
        let text = fs::read_to_string(self.at(&self.snapshot())).unwrap();
        let behind = text.split("runs/RUN-1\",\"page\":\"").nth(1).unwrap();
        let digest: Digest = behind.split('"').next().unwrap().parse().unwrap();
        object("B", digest)
    }

    /// Forges the page of the open run, under its right digest, and has the snapshot name it.
    pub(super) fn forge_page(&self, from: &str, to: &str) {
        let old = fs::read(self.at(&self.page())).unwrap();
        self.file("B/forged", &old);
        self.reseal("B/forged", from, to);
        let new = fs::read(self.at("B/forged")).unwrap();
        self.clear("B/forged");
        self.file(&object("B", Digest::of(&new)), &new);
        let [old, new] = [old, new].map(|page| Digest::of(&page).to_string());
        self.reseal(&self.snapshot(), &old, &new);
    }

    /// The tool, as a shell calls it, with little memory to be had: what it says in its first line.
    pub(super) fn tool(&self, args: &[&str]) -> String {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "ulimit -v 2000000; exec \"$@\"", "sh", TOOL, "--root", "W"]);
        command.args(args).current_dir(self.at("")).stdin(std::process::Stdio::null());
        command.env_remove("RUNJOURNAL_RUN").env_remove("RUNJOURNAL_STEP");
        let output = command.output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
        let (out, err) = (out.unwrap(), err.unwrap());
        let code = output.status.code().unwrap_or(-1);
        match code {
            0 => format!("ok {out}"),
            2 | 101.. | -1 => format!("it ends with {code}: {err}"),
            _ if err.is_empty() => format!("told {out}"),
            _ => format!("refused: {err}"),
        }
    }

    /// What lies in the workspace and in the backup, without what is there to be locked.
    pub(super) fn tree(&self) -> BTreeMap<String, Node> {
        let mut tree = nodes(&self.at("W"));
        tree.extend(nodes(&self.at("B")));
        tree
    }

    /// What lies anywhere else, but for where a restore goes.
    pub(super) fn outside(&self) -> BTreeMap<String, Node> {
        let mut all = nodes(&self.at("O"));
        for entry in self.at("").read_dir_utf8().unwrap() {
            let name = entry.unwrap().file_name().to_owned();
            if !["W", "B", "O", "N"].contains(&name.as_str()) {
                all.insert(name, Node::Other);
            }
        }
        all
    }
}

/// The place of an object.
pub(super) fn object(home: &str, digest: Digest) -> String {
    let hex = digest.to_hex();
    format!("{home}/objects/{}/{}", &hex[..2], &hex[2..])
}

fn nodes(root: &Utf8Path) -> BTreeMap<String, Node> {
    let mut nodes = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        let path = Utf8Path::from_path(entry.path()).unwrap();
        let name = path.file_name().unwrap_or_default();
        let derived = [".lock", ".sync", ".flow", ".tmp", ".last-verify.json", ".index"];
        if derived.contains(&name)
            || name.starts_with(".head")
            || path.as_str().contains("/.index/")
        {
            continue;
        }
        let kind = entry.file_type();
        let node = if kind.is_symlink() {
            Node::Link(path.read_link_utf8().unwrap())
        } else if kind.is_dir() {
            Node::Dir
        } else if kind.is_fifo() || kind.is_socket() || kind.is_char_device() {
            Node::Other
        } else if entry.metadata().unwrap().len() > 1 << 22 {
            Node::Long(entry.metadata().unwrap().len())
        } else {
            Node::File(fs::read(path).unwrap())
        };
        nodes.insert(path.strip_prefix(root.parent().unwrap()).unwrap().to_string(), node);
    }
    nodes
}
