//! What finds out that content is taken for what it is not: forged and changed bytes, and other bytes of the same
//! length.

use runjournal::{Backup, Cursor, Digest, JournalError};

use super::Catch;
use super::scene::{Scene, artifact, note};
use crate::{Base, Outcome, Violation, ensure, raw};

pub(super) const ALL: &[Catch] = &[
    Catch {
        bug: "seq-not-checked",
        by: "content: forged_seq",
        says: "a gap in seq",
        tried: forged_seq,
    },
    Catch {
        bug: "cursor-not-checked",
        by: "content: old_cursor",
        says: "went on from a cursor",
        tried: old_cursor,
    },
    Catch {
        bug: "table-not-checked",
        by: "content: changed_table",
        says: "the key was used again",
        tried: changed_table,
    },
    Catch {
        bug: "object-not-checked",
        by: "content: changed_object",
        says: "its payload cannot be read",
        tried: changed_object,
    },
    Catch {
        bug: "same-size-taken",
        by: "content: same_size",
        says: "written, and not there",
        tried: same_size,
    },
    Catch {
        bug: "restored-unchecked",
        by: "content: changed_backup",
        says: "restored though",
        tried: changed_backup,
    },
];

/// Bytes of a line from its hash on, and where the digits of that are.
const END: usize = 76;
const HASH: std::ops::Range<usize> = 9..73;

/// A record that chains as it should, and leaves numbers out.
fn forged_seq() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let ctx = scene.place.ctx()?;
    ctx.append(note("first"))?;
    let seq = ctx.append(note("second"))?.seq;
    let text = std::fs::read_to_string(scene.journal())?;
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let [before @ .., parent, last] = lines.as_slice() else {
        return Err(Violation::new("there are no two records"));
    };
    let end = parent.get(parent.len() - END..).unwrap_or_default();
    let mut chained = raw::unhex(end.get(HASH).unwrap_or_default()).unwrap_or_default();
    let forged = last.replace(&format!("{{\"seq\":{seq},"), &format!("{{\"seq\":{},", seq + 5));
    let body = forged.get(..forged.len() - END).unwrap_or_default();
    chained.extend_from_slice(body.as_bytes());
    let hash = Digest::of(&chained).to_hex();
    let journal = format!("{}{parent}{body},\"hash\":\"{hash}\"}}\n", before.concat());
    std::fs::write(scene.journal(), journal)?;
    let (_, findings) = ctx.events()?.read_all()?;
    ensure(!findings.is_empty(), || "a gap in seq, and nobody says so".into())
}

/// Behind a record that a power cut took, another one of the same length stands.
fn old_cursor() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let len = scene.journal_len()?;
    scene.place.ctx()?.append(note("lost"))?;
    let mut events = scene.place.ctx()?.events()?;
    while events.next().transpose()?.is_some() {}
    let cursor: Cursor = events.cursor();
    scene.cut_journal(len)?;
    scene.place.ctx()?.append(note("here"))?;
    match scene.place.ctx()?.events()?.from(cursor) {
        Err(JournalError::CursorMismatch { .. }) => Ok(()),
        _ => Err(Violation::new("went on from a cursor of another history")),
    }
}

/// The entries of all tables of the head are hurt.
fn changed_table() -> Outcome {
    let scene = Scene::with_heads()?;
    let once = || note("once").key("once");
    let first = scene.place.ctx()?.append(once())?;
    for other in 0..8 {
        scene.place.ctx()?.append(note("some text").key(format!("once more {other}")))?;
    }
    let mut tables = 0;
    for file in scene.place.run_dir().join("journal").read_dir_utf8()? {
        let file = file?.into_path();
        if file.file_name().is_some_and(|name| name.starts_with(".head.")) {
            let bytes = std::fs::read(&file)?.into_iter().enumerate();
            // Behind the start of a block, in the names of its entries.
            let hurt = bytes.map(|(at, byte)| if at >= 26 && byte != 0 { byte ^ 1 } else { byte });
            std::fs::write(file, hurt.collect::<Vec<u8>>())?;
            tables += 1;
        }
    }
    ensure(tables > 0, || "there is no table".into())?;
    let again = scene.place.ctx()?.append(once())?;
    ensure(again.seq == first.seq, || format!("the key was used again: {again:?}"))
}

/// A payload that stands as an object already is appended again.
fn changed_object() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let much = "much ".repeat(20_000);
    let ctx = scene.place.ctx()?;
    ctx.append(note(&much))?;
    let objects = walkdir::WalkDir::new(scene.place.run_dir().join("objects"));
    for file in objects {
        let file = file?;
        if file.file_type().is_file() {
            let text = std::fs::read_to_string(file.path())?;
            std::fs::write(file.path(), text.replacen("much", "mush", 1))?;
        }
    }
    ctx.append(note(&much))?;
    let (records, _) = ctx.events()?.read_all()?;
    let last = records.last().ok_or_else(|| Violation::new("there is no record"))?;
    let payload = last.payload::<String>();
    ensure(payload.is_ok_and(|read| read == much), || "its payload cannot be read".into())
}

/// A file was changed by hand, and what it should be is written again.
fn same_size() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let plan = "the first plan";
    std::fs::write(scene.place.run_dir().join("artifacts/plan.json"), "the worst plan")?;
    scene.place.ctx()?.artifacts().write_bytes(artifact("plan.json")?, plan.as_bytes())?;
    let text = scene.artifact("plan.json")?;
    ensure(text == plan, || format!("written, and not there: {text}"))
}

/// The content of a file is hurt in the backup.
fn changed_backup() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let backup = Backup::create_at(scene.place.dir().join("backup"))?;
    let snapshot = backup.take(&scene.place.workspace()?)?;
    let digest = Digest::of(b"the first plan").to_hex();
    let (dir, name) = digest.split_at_checked(2).unwrap_or_default();
    let object = scene.place.dir().join("backup/objects").join(dir).join(name);
    std::fs::write(object, "the worst plan")?;
    let root = scene.place.dir().join("restored");
    let restored = snapshot.restore_to(&root).plan().and_then(|plan| plan.apply());
    ensure(restored.is_err(), || format!("restored though the backup is hurt: {restored:?}"))
}
