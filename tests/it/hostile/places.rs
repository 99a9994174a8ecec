//! Things of the wrong kind in every place of a workspace: links, pipes, sockets, devices, directories, files.

use runjournal::*;

use super::Case;
use super::lab::{A, B, Lab, said};

fn read(lab: &Lab) -> String {
    said(lab.ctx().artifacts().read_bytes(A).map(|bytes| String::from_utf8(bytes).unwrap()))
}

fn read_below(lab: &Lab) -> String {
    said(lab.ctx().artifacts().read_bytes(B).map(|bytes| String::from_utf8(bytes).unwrap()))
}

fn write(lab: &Lab) -> String {
    said(lab.ctx().artifacts().write_bytes(A, b"third").map(|stored| stored.version))
}

fn write_below(lab: &Lab) -> String {
    said(lab.ctx().artifacts().write_bytes(B, b"third").map(|stored| stored.version))
}

fn adopt(lab: &Lab) -> String {
    said(lab.ctx().artifacts().adopt(A).map(|stored| stored.version))
}

fn import(lab: &Lab) -> String {
    let name = ArtifactName::from_static("imported");
    said(lab.ctx().artifacts().import(name, lab.at("O/odd")).map(|stored| stored.size))
}

fn list(lab: &Lab) -> String {
    let listed = lab.ctx().artifacts().list();
    said(listed.map(|all| all.iter().map(|entry| entry.name.to_string()).collect::<Vec<_>>()))
}

fn append(lab: &Lab) -> String {
    said(lab.ctx().append(Event::new("noted")).map(|appended| appended.seq))
}

fn events(lab: &Lab) -> String {
    let read = lab.ctx().events().and_then(Events::read_all);
    said(read.map(|(records, findings)| (records.len(), findings.len())))
}

fn payload(lab: &Lab) -> String {
    let mut events = lab.ctx().events().unwrap().of_type("said");
    said(events.next().unwrap().unwrap().payload::<String>().map(|text| text.len()))
}

fn say_again(lab: &Lab) -> String {
    let event = Event::new("said").payload(&"x".repeat(70_000));
    said(lab.ctx().append(event).map(|appended| appended.seq))
}

fn open(lab: &Lab) -> String {
    said(Workspace::open(lab.at("W")).map(|workspace| workspace.is_read_only()))
}

fn open_task(lab: &Lab) -> String {
    said(lab.workspace().task("TASK-1").map(|task| task.genesis().title.clone()))
}

fn open_run(lab: &Lab) -> String {
    said(lab.task().run("RUN-1").map(|run| run.genesis().trace_id.len()))
}

fn start_run(lab: &Lab) -> String {
    said(lab.task().start_run_as(RunId::new("RUN-3").unwrap()).map(|ctx| ctx.run_id().clone()))
}

fn checkpoint(lab: &Lab) -> String {
    said(lab.ctx().checkpoint(2).map(|made| made.turn))
}

fn read_turn(lab: &Lab) -> String {
    let read = lab.ctx().checkpoint_at(1).and_then(|turn| turn.artifacts()?.read_bytes(A));
    said(read.map(|bytes| String::from_utf8(bytes).unwrap()))
}

fn restore_turn(lab: &Lab) -> String {
    let restored =
        lab.ctx().checkpoint_at(1).and_then(|turn| turn.artifacts()?.restore(&lab.ctx()));
    said(restored.map(|committed| committed.artifacts.len()))
}

fn export(lab: &Lab) -> String {
    said(lab.ctx().checkpoint_at(1).and_then(|turn| turn.artifacts()?.export(lab.at("O/odd"))))
}

fn manifest(lab: &Lab) -> String {
    let done = lab.task().run("RUN-2").unwrap().context().clone();
    said(Manifest::read(&done).map(|page| page.is_some()))
}

fn write_manifest(lab: &Lab) -> String {
    said(lab.ctx().manifest().and_then(|page| page.write(&lab.ctx())))
}

fn verify(lab: &Lab) -> String {
    lab.verify()
}

fn verify_backup(lab: &Lab) -> String {
    lab.verify_backup()
}

fn take(lab: &Lab) -> String {
    match Backup::open(lab.at("B")).and_then(|backup| backup.take(&lab.workspace())) {
        Ok(taken) => lab.told(taken.findings()),
        Err(error) => said::<(), _>(Err(error)),
    }
}

fn restore(lab: &Lab) -> String {
    lab.restore()
}

/// Restores over what is there, once the run is gone.
fn restore_here(lab: &Lab) -> String {
    let newest = lab.backup().snapshots().unwrap().pop().unwrap();
    let scope = Scope::run(TaskId::new("TASK-1").unwrap(), RunId::new("RUN-1").unwrap());
    let plan = newest.restore_to(lab.at("W")).scope(scope).plan();
    said(plan.and_then(RestorePlan::apply).map(|restored| restored.put.len()))
}

fn repair(lab: &Lab) -> String {
    match Repair::of(&lab.workspace()).run() {
        Ok(repaired) => format!("ok {} done, {:?}", repaired.done.len(), repaired.failed),
        Err(error) => said::<(), _>(Err(error)),
    }
}

fn prune(lab: &Lab) -> String {
    let pruned = Prune::of(&lab.workspace()).plan().and_then(PrunePlan::apply);
    said(pruned.map(|pruned| (pruned.runs.len(), pruned.leftovers.len())))
}

fn refresh(lab: &Lab) -> String {
    let index = index::Index::of(&lab.workspace());
    said(
        index
            .refresh()
            .and_then(|_| index.open())
            .and_then(|reader| reader.runs(&index::RunQuery::new()).map(|page| page.rows.len())),
    )
}

fn health(lab: &Lab) -> String {
    said(Health::of(&lab.workspace()).map(|health| health.troubles.len()))
}

fn claim(lab: &Lab) -> String {
    let ttl = std::time::Duration::from_secs(60);
    said(lab.task().claim("worker", ttl).map(|lease| lease.lease_ref().clone()))
}

fn as_tree(lab: &Lab) -> String {
    said(tree::render(&lab.ctx(), &tree::Options::default()))
}

/// The same, with a head after every record.
fn append_with_heads(lab: &Lab) -> String {
    let workspace = testing::with_eager_heads(lab.workspace());
    let ctx = workspace.task("TASK-1").unwrap().run("RUN-1").unwrap().context().clone();
    let first = said(ctx.append(Event::new("noted")).map(|appended| appended.seq));
    ctx.append(Event::new("noted")).unwrap();
    first
}

fn append_durably(lab: &Lab) -> String {
    let journal = lab.ctx().journal().unwrap().durability(Durability::Durable);
    said(journal.append(Event::new("noted")).map(|appended| appended.seq))
}

fn renew(lab: &Lab) -> String {
    let lease = lab.task().claim("worker", std::time::Duration::from_secs(60)).unwrap();
    for _ in 0..3 {
        lease.renew().unwrap();
    }
    said(lease.renew().map(|_| ()))
}

/// Where the payload of the open run lies.
fn of_payload(home: &str) -> String {
    let json = serde_json::to_string(&"x".repeat(70_000)).unwrap();
    super::lab::object(home, Digest::of(json.as_bytes()))
}

/// Where what turn 1 has of the artifact lies.
fn of_turn() -> String {
    super::lab::object("R", Digest::of(b"second of RUN-1"))
}

pub(super) const PLACES: &[Case] = &[
    // An artifact.
    (
        "artifact: a link to a file outside, read",
        |l| l.link("R/artifacts/a.txt", "O/secret"),
        read,
        "refused",
    ),
    (
        "artifact: a link to a file outside, written",
        |l| l.link("R/artifacts/a.txt", "O/secret"),
        write,
        "refused",
    ),
    (
        "artifact: a link to a file outside, adopted",
        |l| l.link("R/artifacts/a.txt", "O/secret"),
        adopt,
        "refused",
    ),
    (
        "artifact: a link to a file outside, verified",
        |l| l.link("R/artifacts/a.txt", "O/secret"),
        verify,
        "told artifact_changed R/artifacts/a.txt",
    ),
    (
        "artifact: a link to a file outside, checkpointed",
        |l| l.link("R/artifacts/a.txt", "O/secret"),
        checkpoint,
        "ok 2",
    ),
    (
        "artifact: a link to a file outside, backed up",
        |l| l.link("R/artifacts/a.txt", "O/secret"),
        take,
        "told symbolic_link TASK-1/runs/RUN-1/artifacts/a.txt",
    ),
    (
        "artifact: a link to a file outside, as a tree",
        |l| l.link("R/artifacts/a.txt", "O/secret"),
        as_tree,
        "a.txt",
    ),
    (
        "artifact: a link to itself",
        |l| l.link("R/artifacts/a.txt", "R/artifacts/a.txt"),
        read,
        "refused",
    ),
    (
        "artifact: a link that dangles",
        |l| l.link("R/artifacts/a.txt", "O/nothing"),
        read,
        "refused",
    ),
    (
        "artifact: a link that dangles, written",
        |l| l.link("R/artifacts/a.txt", "O/nothing"),
        write,
        "refused",
    ),
    ("artifact: a link to what it was", |l| l.moved("R/artifacts/a.txt"), read, "refused"),
    (
        "artifact: a link to a sibling",
        |l| l.link("R/artifacts/a.txt", "R/artifacts/below/b.json"),
        read,
        "refused",
    ),
    (
        "artifact: a hard link to a file outside",
        |l| l.hard_link("R/artifacts/a.txt", "O/dir/a.txt"),
        write,
        "ok 2",
    ),
    ("artifact: a pipe, read", |l| l.fifo("R/artifacts/a.txt"), read, "refused"),
    ("artifact: a pipe, written", |l| l.fifo("R/artifacts/a.txt"), write, "refused"),
    (
        "artifact: a pipe, verified",
        |l| l.fifo("R/artifacts/a.txt"),
        verify,
        "artifact_changed R/artifacts/a.txt",
    ),
    ("artifact: a socket", |l| l.socket("R/artifacts/a.txt"), read, "refused"),
    ("artifact: a device, read", |l| l.device("R/artifacts/a.txt"), read, "refused"),
    (
        "artifact: a device, verified",
        |l| l.device("R/artifacts/a.txt"),
        verify,
        "artifact_changed R/artifacts/a.txt",
    ),
    ("artifact: a directory, read", |l| l.dir("R/artifacts/a.txt"), read, "refused"),
    (
        "artifact: a directory, written",
        |l| {
            l.dir("R/artifacts/a.txt");
            l.file("R/artifacts/a.txt/x", "")
        },
        write,
        "refused",
    ),
    (
        "artifact: empty",
        |l| l.file("R/artifacts/a.txt", ""),
        verify,
        "artifact_changed R/artifacts/a.txt",
    ),
    (
        "artifact: a terabyte, verified by the tool",
        |l| l.file("R/artifacts/odd", ""),
        |l| {
            l.huge("R/artifacts/odd");
            l.tool(&["verify"])
        },
        "artifact_unjournaled",
    ),
    // Directories of artifacts.
    (
        "folder: a link to outside, read",
        |l| {
            l.link("R/artifacts/below", "O/dir");
            l.file("O/dir/b.json", super::lab::SECRET)
        },
        read_below,
        "refused",
    ),
    (
        "folder: a link to outside, written",
        |l| l.link("R/artifacts/below", "O/dir"),
        write_below,
        "refused",
    ),
    ("folder: a file", |l| l.file("R/artifacts/below", "x"), write_below, "refused"),
    ("artifacts/: a link to outside, read", |l| l.link("R/artifacts", "O/dir"), read, "refused"),
    (
        "artifacts/: a link to outside, written",
        |l| l.link("R/artifacts", "O/dir"),
        write,
        "refused",
    ),
    (
        "artifacts/: a link to outside, listed",
        |l| l.link("R/artifacts", "O/dir"),
        list,
        "ok [\"a.txt\", \"below/b.json\"]",
    ),
    (
        "artifacts/: a link to what it was",
        |l| l.moved("R/artifacts"),
        verify,
        "symbolic_link R/artifacts",
    ),
    ("artifacts/: a file", |l| l.file("R/artifacts", "x"), write, "refused"),
    ("artifacts/: a pipe", |l| l.fifo("R/artifacts"), verify, "R/artifacts"),
    // What is imported, and where turns are written out to.
    ("import: a pipe", |l| l.fifo("O/odd"), import, "is a directory, a pipe or a device"),
    ("import: a directory", |l| l.dir("O/odd"), import, "is a directory, a pipe or a device"),
    ("import: a device", |l| l.device("O/odd"), import, "is a directory, a pipe or a device"),
    ("import: a link to itself", |l| l.link("O/odd", "O/odd"), import, "refused"),
    ("export: to a file", |l| l.file("O/odd", "x"), export, "refused"),
    ("export: to what is not empty", |l| l.file("O/odd/x", "x"), export, "is not empty"),
    ("export: to a link", |l| l.link("O/odd", "O/dir"), export, "refused"),
    // Stages.
    (".tmp: a link to outside", |l| l.link("R/.tmp", "O/dir"), write, "refused"),
    (".tmp: a file", |l| l.file("R/.tmp", "x"), write, "refused"),
    (".tmp: a pipe", |l| l.fifo("R/.tmp"), write, "refused"),
    // Journals.
    (
        "journal: a link to what it was, read",
        |l| l.moved("R/journal/events.jsonl"),
        events,
        "refused",
    ),
    (
        "journal: a link to what it was, appended",
        |l| l.moved("R/journal/events.jsonl"),
        append,
        "refused",
    ),
    ("journal: a pipe, read", |l| l.fifo("R/journal/events.jsonl"), events, "refused"),
    ("journal: a pipe, appended", |l| l.fifo("R/journal/events.jsonl"), append, "refused"),
    ("journal: a device", |l| l.device("R/journal/events.jsonl"), append, "refused"),
    (
        "journal: a directory",
        |l| l.dir("R/journal/events.jsonl"),
        verify,
        "journal_missing R/journal/events.jsonl",
    ),
    ("journal: of the task, a pipe", |l| l.fifo("T/journal/events.jsonl"), start_run, "refused"),
    ("journal: empty", |l| l.file("D/journal/events.jsonl", ""), verify, "D/"),
    ("journal/: a link to what it was", |l| l.moved("R/journal"), append, "refused"),
    ("journal/: a file", |l| l.file("R/journal", "x"), append, "refused"),
    ("lock: a link to outside", |l| l.link("R/journal/.lock", "O/secret"), append, "refused"),
    ("lock: a link that dangles", |l| l.link("R/journal/.lock", "O/nothing"), append, "refused"),
    ("lock: a pipe", |l| l.fifo("R/journal/.lock"), append, "ok 9"),
    (
        "lock: a pipe, verified",
        |l| l.fifo("R/journal/.lock"),
        verify,
        "symbolic_link R/journal/.lock",
    ),
    ("lock: a directory", |l| l.dir("R/journal/.lock"), append, "refused"),
    ("lock: a terabyte", |l| l.huge("R/journal/.lock"), append, "ok"),
    ("head: a link to outside", |l| l.link("R/journal/.head", "O/secret"), append, "ok"),
    ("head: a pipe", |l| l.fifo("R/journal/.head"), append, "ok"),
    ("head: a device without an end", |l| l.device("R/journal/.head"), append, "ok"),
    ("head: a directory", |l| l.dir("R/journal/.head"), append, "ok"),
    (
        "head: a terabyte",
        |l| l.huge("R/journal/.head"),
        |l| l.tool(&["event", "append", "-r", "TASK-1/RUN-1", "noted"]),
        "ok",
    ),
    (
        "sync note: a link to outside",
        |l| l.link("R/journal/.sync", "O/secret"),
        |l| {
            said(
                l.ctx()
                    .journal()
                    .unwrap()
                    .append_batch(&[Event::new("noted")])
                    .map(|all| all.len()),
            )
        },
        "ok",
    ),
    ("lease hint: a link to outside", |l| l.link("T/journal/.lease", "O/secret"), claim, "ok"),
    ("lease hint: a pipe", |l| l.fifo("T/journal/.lease"), claim, "ok"),
    (
        "head: a hard link to a file outside",
        |l| l.hard_link("R/journal/.head", "O/secret"),
        append_with_heads,
        "ok 9",
    ),
    (
        "lease hint: a hard link to a file outside",
        |l| l.hard_link("T/journal/.lease", "O/secret"),
        renew,
        "ok",
    ),
    (
        "sync note: a hard link to a file outside",
        |l| l.hard_link("R/journal/.sync", "O/secret"),
        append_durably,
        "ok",
    ),
    (
        "lock: a hard link to a file outside",
        |l| l.hard_link("R/journal/.lock", "O/secret"),
        append,
        "ok 9",
    ),
    // Objects.
    ("object: a link to what it was, read", |l| l.moved(&of_payload("R")), payload, "refused"),
    ("object: a pipe, read", |l| l.fifo(&of_payload("R")), payload, "refused"),
    ("object: a pipe, verified", |l| l.fifo(&of_payload("R")), verify, "object_changed"),
    ("object: a directory, said again", |l| l.dir(&of_payload("R")), say_again, "refused"),
    (
        "object: a link to outside, said again",
        |l| l.link(&of_payload("R"), "O/secret"),
        say_again,
        "neither is followed",
    ),
    (
        "object: a terabyte",
        |l| l.huge(&of_payload("R")),
        |l| l.tool(&["verify", "--read-data"]),
        "object_changed",
    ),
    ("object: of a turn, a link", |l| l.moved(&of_turn()), read_turn, "refused"),
    ("objects/: a link to what it was", |l| l.moved("R/objects"), payload, "refused"),
    ("objects/: a file, said again", |l| l.file("R/objects", "x"), say_again, "refused"),
    // Checkpoints and manifests.
    ("turn: a link to what it was", |l| l.moved("R/checkpoints/1.json"), read_turn, "refused"),
    ("turn: a pipe", |l| l.fifo("R/checkpoints/1.json"), read_turn, "refused"),
    ("turn: a device", |l| l.device("R/checkpoints/1.json"), verify, "checkpoint"),
    (
        "turn: a terabyte",
        |l| l.huge("R/checkpoints/1.json"),
        |l| l.tool(&["checkpoint", "cat", "-r", "TASK-1/RUN-1", "1", "a.txt"]),
        "it is longer than any checkpoint",
    ),
    ("turns: a link to outside", |l| l.link("R/checkpoints", "O/dir"), checkpoint, "refused"),
    (
        "turns: restored into a link",
        |l| {
            l.file("R/artifacts/a.txt", "mine");
            l.link("R/artifacts/a.txt", "O/secret")
        },
        restore_turn,
        "refused",
    ),
    ("manifest: a link to what it was", |l| l.moved("D/manifest.json"), manifest, "refused"),
    ("manifest: a pipe", |l| l.fifo("D/manifest.json"), verify, "D/manifest.json"),
    ("manifest: a device", |l| l.device("D/manifest.json"), manifest, "refused"),
    ("manifest: a directory, written", |l| l.dir("R/manifest.json"), write_manifest, "refused"),
    (
        "manifest: a link to outside, written",
        |l| l.link("R/manifest.json", "O/secret"),
        write_manifest,
        "ok",
    ),
    (
        "manifest: a terabyte",
        |l| l.huge("D/manifest.json"),
        |l| l.tool(&["verify"]),
        "it is longer than any manifest",
    ),
    // Genesis files, and the directories that they are in.
    ("workspace.json: a link to what it was", |l| l.moved("W/workspace.json"), open, "refused"),
    ("workspace.json: a pipe", |l| l.fifo("W/workspace.json"), open, "refused"),
    ("workspace.json: a device", |l| l.device("W/workspace.json"), open, "refused"),
    ("workspace.json: a directory", |l| l.dir("W/workspace.json"), open, "refused"),
    ("workspace.json: empty", |l| l.file("W/workspace.json", ""), open, "is damaged"),
    (
        "workspace.json: a terabyte",
        |l| l.huge("W/workspace.json"),
        |l| l.tool(&["status"]),
        "longer than any genesis file",
    ),
    ("task.json: a link to what it was", |l| l.moved("T/task.json"), open_task, "refused"),
    ("task.json: a pipe", |l| l.fifo("T/task.json"), open_task, "refused"),
    ("run.json: a link to what it was", |l| l.moved("R/run.json"), open_run, "refused"),
    ("run.json: a pipe", |l| l.fifo("R/run.json"), open_run, "refused"),
    ("run.json: a directory", |l| l.dir("R/run.json"), verify, "genesis_damaged R/run.json"),
    ("task: a link to another place", |l| l.moved("T/"), open_task, "refused"),
    ("task: a link, verified", |l| l.moved("T/"), verify, "symbolic_link W/TASK-1"),
    ("runs/: a link to another place", |l| l.moved("T/runs"), verify, "symbolic_link"),
    ("runs/: a link, started in", |l| l.moved("T/runs"), start_run, "refused"),
    ("run: a link to another place", |l| l.moved("R/"), open_run, "refused"),
    ("run: a link, verified", |l| l.moved("R/"), verify, "symbolic_link"),
    ("run: a file where one is to be", |l| l.file("T/runs/RUN-3", "x"), start_run, "refused"),
    ("run: a link where one is to be", |l| l.link("T/runs/RUN-3", "O/dir"), start_run, "refused"),
    // The places of care.
    (
        ".quarantine: a link to outside",
        |l| {
            l.link("R/.quarantine", "O/dir");
            l.link("R/journal/.head", "O/secret");
            l.file("R/checkpoints/1.json", "rot")
        },
        repair,
        "ok",
    ),
    (".trash: a link to outside", |l| l.link("W/.trash", "O/dir"), prune, "ok"),
    (
        ".restoring: a link to outside",
        |l| {
            l.clear("R/");
            l.link("W/.restoring", "O/dir")
        },
        restore_here,
        "refused",
    ),
    (
        "last verify: a link to outside",
        |l| l.link("W/.last-verify.json", "O/secret"),
        |l| l.tool(&["verify"]),
        "ok",
    ),
    (".index: a link to outside", |l| l.link("W/.index", "O/dir"), health, "ok"),
    ("CURRENT: a pipe", |l| l.fifo("W/.index/CURRENT"), refresh, "ok 2"),
    ("CURRENT: a link to outside", |l| l.link("W/.index/CURRENT", "O/secret"), refresh, "ok 2"),
    ("CURRENT: a device", |l| l.device("W/.index/CURRENT"), refresh, "ok 2"),
    ("CURRENT: a path out", |l| l.file("W/.index/CURRENT", "../../O\n"), refresh, "ok 2"),
    (
        "CURRENT: a terabyte",
        |l| l.huge("W/.index/CURRENT"),
        |l| l.tool(&["index", "refresh"]),
        "ok",
    ),
    // Backups.
    ("backup.json: a pipe", |l| l.fifo("B/backup.json"), verify_backup, "refused"),
    ("backup.json: a link to what it was", |l| l.moved("B/backup.json"), verify_backup, "refused"),
    (
        "snapshots/: a link to what it was",
        |l| l.moved("B/snapshots"),
        verify_backup,
        "told unreadable B/snapshots",
    ),
    ("snapshot: a pipe", |l| l.fifo(&l.snapshot()), verify_backup, "told"),
    ("snapshot: a device", |l| l.device(&l.snapshot()), restore, "refused"),
    (
        "snapshot: a terabyte",
        |l| l.huge(&l.snapshot()),
        |l| l.tool(&["backup", "verify", "B"]),
        "it is longer than any snapshot",
    ),
    ("page: a link to what it was", |l| l.moved(&l.page()), restore, "refused"),
    (
        "page: a terabyte",
        |l| l.huge(&l.page()),
        |l| l.tool(&["backup", "verify", "B"]),
        "it is longer than any page",
    ),
];
