//! Files that are whole, with their own hash, and lie: paths that lead out, digests, sizes and ids of others,
//! numbers without an end.

use std::fs;

use runjournal::*;
use serde_json::json;

use super::Case;
use super::lab::{A, Lab, object, said};

fn open(lab: &Lab) -> String {
    said(Workspace::open(lab.at("W")).map(|workspace| workspace.is_read_only()))
}

fn open_task(lab: &Lab) -> String {
    said(lab.workspace().task("TASK-1").map(|task| task.genesis().title.clone()))
}

fn open_run(lab: &Lab) -> String {
    said(lab.task().run("RUN-1").map(|run| run.genesis().trace_id.clone()))
}

fn append(lab: &Lab) -> String {
    let run = match lab.task().run("RUN-1") {
        Ok(run) => run,
        Err(error) => return said::<(), _>(Err(error)),
    };
    said(run.context().append(Event::new("noted")).map(|appended| appended.seq))
}

fn start_run(lab: &Lab) -> String {
    said(lab.task().start_run_as(RunId::new("RUN-3").unwrap()).map(|ctx| ctx.run_id().clone()))
}

fn events(lab: &Lab) -> String {
    match lab.ctx().events().and_then(Events::read_all) {
        Ok((records, findings)) => format!("{} count, {}", records.len(), lab.told(&findings)),
        Err(error) => said::<(), _>(Err(error)),
    }
}

fn verify(lab: &Lab) -> String {
    lab.verify()
}

fn catch_up(lab: &Lab) -> String {
    match lab.ctx().catch_up() {
        Ok(findings) => lab.told(&findings),
        Err(error) => said::<(), _>(Err(error)),
    }
}

fn read_turn(lab: &Lab) -> String {
    read_turn_at(lab, 1)
}

fn read_next_turn(lab: &Lab) -> String {
    read_turn_at(lab, 2)
}

fn read_turn_at(lab: &Lab, turn: u64) -> String {
    let read = lab.ctx().checkpoint_at(turn).and_then(|turn| turn.artifacts()?.read_bytes(A));
    said(read.map(|bytes| String::from_utf8(bytes).unwrap()))
}

fn restore_next_turn(lab: &Lab) -> String {
    let restored =
        lab.ctx().checkpoint_at(2).and_then(|turn| turn.artifacts()?.restore(&lab.ctx()));
    said(restored.map(|committed| committed.artifacts.len()))
}

fn export_next_turn(lab: &Lab) -> String {
    said(lab.ctx().checkpoint_at(2).and_then(|turn| turn.artifacts()?.export(lab.at("N"))))
}

fn manifest(lab: &Lab) -> String {
    let done = lab.task().run("RUN-2").unwrap().context().clone();
    match Manifest::read(&done).and_then(|page| page.unwrap().compare(&done)) {
        Ok(findings) => lab.told(&findings),
        Err(error) => said::<(), _>(Err(error)),
    }
}

fn verify_backup(lab: &Lab) -> String {
    lab.verify_backup()
}

fn restore(lab: &Lab) -> String {
    lab.restore()
}

fn restore_and_verify(lab: &Lab) -> String {
    lab.restore_and_verify()
}

fn claim(lab: &Lab) -> String {
    let ttl = std::time::Duration::from_secs(60);
    said(lab.task().claim("worker", ttl).map(|lease| lease.lease_ref().token))
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

/// An index that is as it should be.
fn index(lab: &Lab) {
    index::Index::of(&lab.workspace()).rebuild().unwrap();
}

fn last_verify(lab: &Lab) -> String {
    said(LastVerify::read(&lab.workspace()).map(|last| last.is_some()))
}

/// A record of an artifact at this path, and its stage: the next catch-up would put it in place.
fn committed(lab: &Lab, path: &str) {
    lab.file("R/.tmp/00000000-0000-7000-8000-0000000000ff", "forged");
    let digest = Digest::of(b"forged");
    let payload = json!({"path": path, "digest": digest, "size": 6, "media_type": "text/plain"});
    lab.next_with(&format!(",\"payload\":{payload}"), |body| {
        let body = body.replacen("\"forged\"", "\"artifact_written\"", 1);
        let body = body.replacen("\"talk\"", "\"artifact\"", 1);
        body.replacen("\"stream_id\":\"1\"", &format!("\"stream_id\":{}", json!(path)), 1)
    });
}

/// A turn whose record names its page, and the page names this artifact with this digest.
fn turn(lab: &Lab, path: &str, digest: &str) {
    let sums = format!("{}  {path}\n", digest.trim_start_matches("blake3:"));
    let root = Digest::of(sums.as_bytes());
    let page = format!(
        "{{\"format_version\":1,\"turn\":2,\"seq\":8,\"artifacts\":{{{}:\"{digest}\"}},\"artifacts_root\":\"{root}\"",
        json!(path)
    );
    lab.sealed("R/checkpoints/2.json", &page);
    let named = Digest::of(&fs::read(lab.at("R/checkpoints/2.json")).unwrap());
    let payload = json!({"turn": 2, "digest": named, "artifacts_root": root});
    lab.next_with(&format!(",\"payload\":{payload}"), |body| {
        let body = body.replacen("\"forged\"", "\"checkpoint_created\"", 1);
        let body = body.replacen("\"talk\"", "\"checkpoint\"", 1);
        let body = body.replacen("\"stream_id\":\"1\"", "\"stream_id\":\"2\"", 1);
        body.replacen("\"payload\"", "\"idempotency_key\":\"turn:2\",\"payload\"", 1)
    });
}

fn good() -> String {
    Digest::of(b"second of RUN-1").to_string()
}

/// Changes what the snapshot says.
fn snapshot(lab: &Lab, from: &str, to: &str) {
    lab.reseal(&lab.snapshot(), from, to);
}

/// The digest of the open run's page.
fn page_of(lab: &Lab) -> String {
    Digest::of(&fs::read(lab.at(&lab.page())).unwrap()).to_string()
}

fn of_artifact() -> String {
    format!("\"path\":\"artifacts/a.txt\",\"digest\":\"{}\",\"size\":15", good())
}

pub(super) const FORGERIES: &[Case] = &[
    // Genesis files.
    (
        "workspace.json: of a version to come",
        |l| l.reseal("W/workspace.json", "\"format_version\":1", "\"format_version\":2"),
        open,
        "ok true",
    ),
    (
        "workspace.json: of the last version",
        |l| l.reseal("W/workspace.json", "\"format_version\":1", "\"format_version\":4294967295"),
        open,
        "ok true",
    ),
    (
        "workspace.json: of a version that is none",
        |l| l.reseal("W/workspace.json", "\"format_version\":1", "\"format_version\":-1"),
        open,
        "is damaged",
    ),
    (
        "workspace.json: a version too large",
        |l| l.reseal("W/workspace.json", "\"format_version\":1", "\"format_version\":4294967296"),
        open,
        "is damaged",
    ),
    (
        "workspace.json: the version twice",
        |l| {
            l.reseal(
                "W/workspace.json",
                "\"format_version\":1",
                "\"format_version\":1,\"format_version\":1",
            )
        },
        open,
        "duplicate field",
    ),
    (
        "workspace.json: made in the year 10000",
        |l| l.reseal("W/workspace.json", "\"created_at\":\"2026", "\"created_at\":\"+10000"),
        open,
        "is damaged",
    ),
    (
        "workspace.json: without its id",
        |l| l.reseal("W/workspace.json", "\"workspace_id\"", "\"other\""),
        open,
        "missing field `workspace_id`",
    ),
    (
        "workspace.json: more than is known",
        |l| l.reseal("W/workspace.json", "\"format_version\":1", "\"format_version\":1,\"odd\":[]"),
        open,
        "ok false",
    ),
    (
        "workspace.json: 10,000 deep",
        |l| {
            l.reseal(
                "W/workspace.json",
                "\"format_version\":1",
                &format!(
                    "\"format_version\":1,\"odd\":{}{}",
                    "[".repeat(10_000),
                    "]".repeat(10_000)
                ),
            )
        },
        open,
        "ok false",
    ),
    (
        "workspace.json: a byte order mark",
        |l| l.reseal("W/workspace.json", "{", "\u{feff}{"),
        open,
        "is damaged",
    ),
    (
        "workspace.json: no break at its end",
        |l| {
            let text = fs::read(l.at("W/workspace.json")).unwrap();
            l.file("W/workspace.json", &text[..text.len() - 1])
        },
        open,
        "it does not end in its hash",
    ),
    (
        "workspace.json: two lines",
        |l| {
            let text = fs::read(l.at("W/workspace.json")).unwrap();
            l.append("W/workspace.json", text)
        },
        open,
        "is damaged",
    ),
    (
        "task.json: another task's",
        |l| l.reseal("T/task.json", "TASK-1", "TASK-2"),
        verify,
        "identity_differs T/task.json",
    ),
    (
        "task.json: an id that leads out",
        |l| l.reseal("T/task.json", "TASK-1", "../../O"),
        open_task,
        "is damaged",
    ),
    (
        "task.json: of a version to come",
        |l| l.reseal("T/task.json", "\"schema_version\":1", "\"schema_version\":2"),
        start_run,
        "has format version 2",
    ),
    (
        "run.json: the other run's",
        |l| l.file("R/run.json", fs::read(l.at("D/run.json")).unwrap()),
        verify,
        "identity_differs R/run.json",
    ),
    (
        "run.json: the other run's, read",
        |l| l.file("R/run.json", fs::read(l.at("D/run.json")).unwrap()),
        events,
        "told broken_chain R/journal/events.jsonl",
    ),
    (
        "run.json: an id that leads out",
        |l| l.reseal("R/run.json", "RUN-1", "../RUN-2"),
        open_run,
        "is damaged",
    ),
    (
        "run.json: another time of its making",
        |l| l.reseal("R/run.json", "\"created_at\":\"2026", "\"created_at\":\"2025"),
        verify,
        "told broken_chain R/journal/events.jsonl",
    ),
    (
        "run.json: of a version to come",
        |l| l.reseal("R/run.json", "\"format_version\":1", "\"format_version\":2"),
        append,
        "has format version 2",
    ),
    (
        "run.json: a mebibyte of trace",
        |l| {
            l.reseal(
                "R/run.json",
                "\"trace_id\":\"",
                &format!("\"trace_id\":\"{}", "f".repeat(1 << 20)),
            )
        },
        open_run,
        "longer than any genesis file",
    ),
    // Records of artifacts, with the content that waits to be put in place.
    ("commit: a path that leads out", |l| committed(l, "../../../../O/secret"), append, "refused"),
    (
        "commit: a path that leads out, caught up",
        |l| committed(l, "../run.json"),
        catch_up,
        "refused",
    ),
    ("commit: an absolute path", |l| committed(l, "/tmp/hostile"), append, "refused"),
    ("commit: a path of the library", |l| committed(l, ".tmp/x"), append, "refused"),
    (
        "commit: a path that leads out, verified",
        |l| committed(l, "../../../../O/secret"),
        verify,
        "told",
    ),
    (
        "commit: a folder that leads out",
        |l| {
            l.link("R/artifacts/new", "O/dir");
            committed(l, "new/a.txt")
        },
        catch_up,
        "told commit_not_applied R/artifacts/new/a.txt",
    ),
    (
        "commit: a file where a folder is to be",
        |l| committed(l, "a.txt/below"),
        catch_up,
        "told commit_not_applied R/artifacts/a.txt/below",
    ),
    (
        "commit: a stage that is a link",
        |l| {
            committed(l, "new.txt");
            l.link("R/.tmp/00000000-0000-7000-8000-0000000000ff", "O/secret")
        },
        catch_up,
        "told commit_not_applied R/.tmp/",
    ),
    (
        "commit: a stage with other bytes",
        |l| {
            committed(l, "new.txt");
            l.file("R/.tmp/00000000-0000-7000-8000-0000000000ff", "other")
        },
        catch_up,
        "told stage_damaged",
    ),
    (
        "commit: over a file by hand",
        |l| {
            committed(l, "below/b.json");
            l.file("R/artifacts/below/b.json", "mine")
        },
        catch_up,
        "told commit_not_applied",
    ),
    // Turns.
    (
        "turn: its page changed, and sealed",
        |l| l.reseal("R/checkpoints/1.json", "a.txt", "b.txt"),
        read_turn,
        "it has the digest",
    ),
    (
        "turn: the other run's page",
        |l| l.file("R/checkpoints/1.json", fs::read(l.at("D/checkpoints/1.json")).unwrap()),
        read_turn,
        "it has the digest",
    ),
    (
        "turn: a path that leads out, read",
        |l| turn(l, "../../O/x", &good()),
        read_next_turn,
        "`..` leads out of artifacts/",
    ),
    (
        "turn: a path that leads out, restored",
        |l| turn(l, "../../O/x", &good()),
        restore_next_turn,
        "`..` leads out of artifacts/",
    ),
    (
        "turn: a path that leads out, exported",
        |l| turn(l, "../O/x", &good()),
        export_next_turn,
        "`..` leads out of artifacts/",
    ),
    (
        "turn: an absolute path, exported",
        |l| turn(l, "/tmp/hostile", &good()),
        export_next_turn,
        "it is an absolute path",
    ),
    (
        "turn: a digest of nothing",
        |l| turn(l, "a.txt", &Digest::of(b"nowhere").to_string()),
        read_next_turn,
        "is missing",
    ),
    (
        "turn: a digest of another file",
        |l| turn(l, "a.txt", &Digest::of(b"{}\n").to_string()),
        read_next_turn,
        "ok \"{}\\n\"",
    ),
    (
        "turn: a digest that leads out",
        |l| turn(l, "a.txt", "blake3:../../../O/secret"),
        read_next_turn,
        "is not a digest",
    ),
    (
        "turn: an object that is another's",
        |l| l.file(&object("R", Digest::of(b"second of RUN-1")), "lies"),
        read_turn,
        "has the digest",
    ),
    // Manifests.
    (
        "manifest: a digest that lies",
        |l| l.reseal("D/manifest.json", &Digest::of(b"second of RUN-2").to_hex(), &"0".repeat(64)),
        verify,
        "manifest_damaged D/manifest.json",
    ),
    (
        "manifest: a size that lies",
        |l| l.reseal("D/manifest.json", "\"size\":15", "\"size\":16"),
        verify,
        "manifest_damaged D/manifest.json",
    ),
    (
        "manifest: a size without an end",
        |l| l.reseal("D/manifest.json", "\"size\":15", "\"size\":18446744073709551616"),
        manifest,
        "is damaged",
    ),
    (
        "manifest: a path that leads out",
        |l| l.reseal("D/manifest.json", "\"path\":\"a.txt\"", "\"path\":\"../a.txt\""),
        manifest,
        "`..` leads out",
    ),
    (
        "manifest: a journal that is longer",
        |l| l.reseal("D/manifest.json", "\"last_seq\":10", "\"last_seq\":11"),
        manifest,
        "told journal_shorter D/journal/events.jsonl",
    ),
    (
        "manifest: another status",
        |l| l.reseal("D/manifest.json", "\"status\":\"SUCCESS\"", "\"status\":\"FAILED\""),
        verify,
        "manifest_damaged D/manifest.json",
    ),
    (
        "manifest: of a run that was moved from there",
        |l| l.reseal("D/manifest.json", "RUN-2", "RUN-1"),
        verify,
        "told nothing",
    ),
    (
        "manifest: of a version to come",
        |l| l.reseal("D/manifest.json", "\"format_version\":1", "\"format_version\":2"),
        verify,
        "newer_format D/manifest.json",
    ),
    // What is derived, and believed only where it fits.
    ("head: text", |l| l.file("R/journal/.head", "{}\n"), append, "ok 9"),
    ("head: NULs", |l| l.file("R/journal/.head", [0; 16384]), append, "ok 9"),
    (
        "head: beyond the journal",
        |l| {
            l.sealed("R/journal/.head", "{\"offset\":18446744073709551615,\"seq\":18446744073709551615,\"entries\":4294967295,\"tables\":[]")
        },
        append,
        "ok 9",
    ),
    (
        "lease hint: that never ends",
        |l| {
            l.sealed("T/journal/.lease", "{\"token\":1,\"version\":0,\"beats\":18446744073709551615,\"expires_at\":\"9999-12-31T23:59:59Z\"")
        },
        claim,
        "ok",
    ),
    (
        "last verify: 10,000 deep",
        |l| l.file("W/.last-verify.json", "[".repeat(10_000)),
        last_verify,
        "ok false",
    ),
    (
        "index: a path in CURRENT",
        |l| {
            index(l);
            l.file("W/.index/CURRENT", "../../../O\n")
        },
        refresh,
        "ok 2",
    ),
    (
        "index: an absolute path in CURRENT",
        |l| {
            index(l);
            l.file("W/.index/CURRENT", "/tmp\n")
        },
        refresh,
        "ok 2",
    ),
    (
        "index: NUL in CURRENT",
        |l| {
            index(l);
            l.file("W/.index/CURRENT", "\0\n")
        },
        refresh,
        "ok 2",
    ),
    (
        "index: a database that is text",
        |l| {
            index(l);
            let name = fs::read_to_string(l.at("W/.index/CURRENT")).unwrap();
            l.file(&format!("W/.index/{}/index.db", name.trim()), "text")
        },
        refresh,
        "ok 2",
    ),
    (
        "index: a database that is a link",
        |l| {
            index(l);
            let name = fs::read_to_string(l.at("W/.index/CURRENT")).unwrap();
            l.link(&format!("W/.index/{}/index.db", name.trim()), "O/secret")
        },
        refresh,
        "ok 2",
    ),
    // Backups.
    (
        "backup.json: of a version to come",
        |l| l.reseal("B/backup.json", "\"format_version\":1", "\"format_version\":2"),
        verify_backup,
        "has format version 2",
    ),
    (
        "snapshot: another's id",
        |l| snapshot(l, "\"snapshot_id\":\"0", "\"snapshot_id\":\"1"),
        verify_backup,
        "told",
    ),
    (
        "snapshot: a task that leads out",
        |l| snapshot(l, "\"path\":\"TASK-1/runs/RUN-1\"", "\"path\":\"../O/runs/RUN-1\""),
        restore,
        "refused",
    ),
    (
        "snapshot: a run that leads out",
        |l| snapshot(l, "\"path\":\"TASK-1/runs/RUN-1\"", "\"path\":\"TASK-1/runs/../../x\""),
        restore,
        "refused",
    ),
    (
        "snapshot: a run twice",
        |l| snapshot(l, "\"path\":\"TASK-1/runs/RUN-2\"", "\"path\":\"TASK-1/runs/RUN-1\""),
        restore,
        "refused",
    ),
    (
        "snapshot: an absolute path",
        |l| snapshot(l, "\"path\":\"TASK-1/runs/RUN-1\"", "\"path\":\"/tmp/hostile\""),
        restore,
        "refused",
    ),
    (
        "snapshot: numbers without an end",
        |l| snapshot(l, "\"new_bytes\":", "\"new_bytes\":99999999999999999999"),
        verify_backup,
        "told",
    ),
    (
        "snapshot: a page of another run",
        |l| {
            let text = fs::read_to_string(l.at(&l.snapshot())).unwrap();
            let other = text
                .split("runs/RUN-2\",\"page\":\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
                .to_owned();
            snapshot(l, &page_of(l), &other)
        },
        restore_and_verify,
        "identity_differs N/TASK-1/runs/RUN-1/run.json",
    ),
    ("snapshot: a page that is no page", |l| snapshot(l, &page_of(l), &good()), restore, "refused"),
    (
        "snapshot: a page that is nowhere",
        |l| snapshot(l, &page_of(l), &Digest::of(b"nowhere").to_string()),
        restore,
        "refused",
    ),
    (
        "snapshot: another workspace.json",
        |l| {
            let text = fs::read_to_string(l.at(&l.snapshot())).unwrap();
            let own = text
                .split("\"workspace\":\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
                .to_owned();
            snapshot(l, &format!("\"workspace\":\"{own}"), &format!("\"workspace\":\"{}", good()))
        },
        restore,
        "refused",
    ),
    (
        "snapshot: a hold that is no hold",
        |l| {
            let file = l.snapshot().replace(".json", ".hold");
            l.file(&file, "rot")
        },
        verify_backup,
        "told",
    ),
    (
        "page: a path that leads out",
        |l| l.forge_page("artifacts/a.txt", "artifacts/../../../../x"),
        restore,
        "no file of a task or a run lies at",
    ),
    (
        "page: a path that leads out, verified",
        |l| l.forge_page("artifacts/a.txt", "artifacts/../../../../x"),
        verify_backup,
        "told",
    ),
    (
        "page: an absolute path",
        |l| l.forge_page("\"path\":\"artifacts/a.txt\"", "\"path\":\"/tmp/hostile\""),
        restore,
        "no file of a task or a run lies at",
    ),
    (
        "page: a file of the library",
        |l| l.forge_page("\"path\":\"artifacts/a.txt\"", "\"path\":\"journal/events.jsonl\""),
        restore,
        "refused",
    ),
    (
        "page: a path with a backslash",
        |l| l.forge_page("\"path\":\"artifacts/a.txt\"", "\"path\":\"artifacts/..\\\\\\\\x\""),
        restore,
        "refused",
    ),
    (
        "page: a file twice",
        |l| l.forge_page("artifacts/below/b.json", "artifacts/a.txt"),
        restore,
        "its files are not sorted by path",
    ),
    (
        "page: a file where a folder is",
        |l| l.forge_page("artifacts/below/b.json", "artifacts/a.txt/b"),
        restore,
        "refused",
    ),
    (
        "page: a digest of another file",
        |l| {
            l.forge_page(
                &of_artifact(),
                &of_artifact().replace(&good(), &Digest::of(b"{}\n").to_string()),
            )
        },
        restore_and_verify,
        "it says two sizes of one object",
    ),
    (
        "page: a size that lies",
        |l| l.forge_page(&of_artifact(), &of_artifact().replace(":15", ":16")),
        restore,
        "it says two sizes of one object",
    ),
    (
        "page: a file of the same size",
        |l| {
            l.forge_page(
                &of_artifact(),
                &of_artifact().replace(&good(), &Digest::of(b"other, of RUN-1").to_string()),
            );
            l.file(&object("B", Digest::of(b"other, of RUN-1")), "other, of RUN-1")
        },
        restore_and_verify,
        "artifact_changed N/TASK-1/runs/RUN-1/artifacts/a.txt",
    ),
    (
        "page: a size without an end",
        |l| l.forge_page(&of_artifact(), &of_artifact().replace(":15", ":18446744073709551615")),
        verify_backup,
        "told",
    ),
    (
        "page: a journal without an end",
        |l| l.forge_page("\"journal\":{\"bytes\":", "\"journal\":{\"bytes\":9999999999"),
        restore,
        "refused",
    ),
    (
        "page: the other genesis file",
        |l| {
            let [own, other] = ["R", "D"].map(|run| {
                Digest::of(&fs::read(l.at(&format!("{run}/run.json"))).unwrap()).to_string()
            });
            l.forge_page(&own, &other)
        },
        restore_and_verify,
        "identity_differs N/TASK-1/runs/RUN-1/run.json",
    ),
    (
        "page: a piece of another journal",
        |l| {
            let [own, other] = ["R", "D"].map(|run| {
                Digest::of(&fs::read(l.at(&format!("{run}/journal/events.jsonl"))).unwrap())
                    .to_string()
            });
            l.forge_page(&own, &other)
        },
        restore,
        "refused",
    ),
    ("page: a cursor that lies", |l| l.forge_page("\"seq\":8", "\"seq\":7"), restore, "refused"),
    (
        "object: of a backup, other bytes",
        |l| l.file(&object("B", Digest::of(b"second of RUN-1")), "lies"),
        restore,
        "refused",
    ),
    (
        "object: of a backup, as long",
        |l| l.file(&object("B", Digest::of(b"second of RUN-1")), "second of RUN-9"),
        restore,
        "refused",
    ),
];
