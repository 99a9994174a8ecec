//! One damaged state: what is told of it, what is read, and what becomes of an append.

use std::fs;

use camino::Utf8Path;
use runjournal::{Event, Finding, RunContext, Workspace};
use serde_json::json;

use super::answers::Answers;
use super::blow::Blow;
use super::scene::{Part, Scene, newest, part, workspace};
use super::{backup, index};
use crate::tree::{copy, settle};
use crate::{Outcome, Violation, ensure};

/// Makes a copy of the scene in which a file has other bytes, and looks.
pub(super) fn check(
    scene: &Scene,
    dir: &Utf8Path,
    file: &Utf8Path,
    bytes: &[u8],
    blow: &Blow,
) -> Outcome {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    copy(&scene.dir, dir)?;
    fs::write(dir.join(file), bytes)?;
    settle(dir)?;
    match part(file) {
        Part::Workspace => in_workspace(scene, dir, file, blow),
        Part::Index => index::check(scene, dir, true),
        Part::Backup => backup::check(scene, dir, file),
    }
}

fn in_workspace(scene: &Scene, dir: &Utf8Path, file: &Utf8Path, blow: &Blow) -> Outcome {
    // Without the file that says what it is, nothing of it can be asked: that is told.
    let workspace = match workspace(dir) {
        Ok(workspace) => workspace,
        Err(_) => return ensure(file.ends_with("workspace.json"), || "it does not open".into()),
    };
    // The whole file of another is not told from one that lost its beginning: all of it chains but the first line.
    let is_another = matches!(blow, Blow::Other { .. });
    let told = reads(scene, dir, &workspace, is_another)?;
    appends(&workspace).map_err(|found| found.at("an append"))?;
    // A file of the truth is told of, whatever it holds. The others may be silent.
    ensure(told || nobody_tells(file), || format!("verify says nothing of {file}"))
}

/// True for what nobody has to keep; and for what a repair set aside: that was damage already, no record says what
/// it held, and no reader looks at it.
fn nobody_tells(file: &Utf8Path) -> bool {
    let name = file.file_name().unwrap_or_default();
    name.starts_with(".head")
        || matches!(name, ".lease" | ".sync" | ".flow" | ".last-verify.json")
        || file.components().any(|part| part.as_str() == ".quarantine")
}

/// Reads everything; true if verify tells of more than before. What is read is what it was, but for a file of
/// another, which is told of.
fn reads(scene: &Scene, dir: &Utf8Path, workspace: &Workspace, is_another: bool) -> Outcome<bool> {
    let now = Answers::of(workspace, &scene.witnesses, &newest(dir)?)?;
    let before = &scene.answers;
    let place = |finding: &Finding, root: &Utf8Path| {
        let path = finding.place.path.strip_prefix(root).unwrap_or(&finding.place.path);
        (finding.code, path.to_owned(), finding.place.offset)
    };
    let known: Vec<_> = before.findings.iter().map(|found| place(found, &scene.dir)).collect();
    let told: Vec<_> =
        now.findings.iter().filter(|found| !known.contains(&place(found, dir))).collect();
    for (what, answer) in &now.all {
        // What a smaller journal says of itself is another thing, and told.
        let is_derived = what.ends_with("items")
            || what.ends_with("sessions")
            || what.ends_with("approvals")
            || what.ends_with("status");
        match before.all.get(what) {
            Some(whole) if whole == answer => {}
            _ if (is_derived || is_another) && !told.is_empty() => {}
            Some(whole) => {
                let (whole, answer) = (short(whole), short(answer));
                return Err(Violation::new(format!("{what} is {answer}, and was {whole}")));
            }
            None => return Err(Violation::new(format!("{what} was not there before"))),
        }
    }
    let missing = before.all.keys().find(|what| !now.all.contains_key(*what));
    ensure(missing.is_none() || !told.is_empty(), || {
        format!("{missing:?} is not answered, and verify says nothing")
    })?;
    let changed = now.changed.iter().find(|name| !before.changed.contains(name));
    ensure(changed.is_none() || !told.is_empty(), || {
        format!("{changed:?} is not what its record says, and verify says nothing")
    })?;
    Ok(!told.is_empty())
}

fn short(text: &str) -> String {
    text.chars().take(300).collect()
}

/// Appends to each run that can be opened: it goes through and costs nothing that could be read, or is refused.
fn appends(workspace: &Workspace) -> Outcome {
    for task in workspace.tasks()? {
        let Ok(task) = workspace.task(task) else { continue };
        for run in task.runs().unwrap_or_default() {
            if let Ok(run) = task.run(run) {
                append(run.context()).map_err(|found| found.at(run.context().run_path()))?;
            }
        }
    }
    Ok(())
}

fn append(ctx: &RunContext) -> Outcome {
    let lines = || -> Option<Vec<(u64, String)>> {
        let (records, _) = ctx.events().ok()?.read_all().ok()?;
        Some(records.iter().map(|record| (record.seq(), record.line().to_owned())).collect())
    };
    let (before, bytes) = (lines(), fs::read(ctx.journal_path()).unwrap_or_default());
    // A key that was used is answered by the first event, or, where that cannot be read any more, is new.
    let again = Event::new("noted").stream("talk", "1").payload(&json!({"n": 4})).key("once");
    let twice = ctx.append(again);
    let appended = ctx.append(Event::new("went_on"));
    let after = fs::read(ctx.journal_path()).unwrap_or_default();
    ensure(after.starts_with(&bytes), || "bytes of the journal were changed".into())?;
    let Some(before) = before else { return Ok(()) };
    let has_first = before.iter().any(|(_, line)| line.contains("\"idempotency_key\":\"once\""));
    if let (Ok(twice), true) = (&twice, has_first) {
        ensure(twice.duplicate, || format!("a key was used twice: {twice:?}"))?;
    }
    let now = lines().ok_or_else(|| Violation::new("it cannot be read any more"))?;
    let lost = before.iter().find(|line| !now.contains(line));
    ensure(lost.is_none(), || format!("{lost:?} was lost"))?;
    let Ok(appended) = appended else {
        let wrote = now.len() > before.len() + usize::from(twice.is_ok());
        return ensure(!wrote, || "it was refused, and wrote".into());
    };
    let last = before.iter().map(|(seq, _)| *seq).max().unwrap_or(0);
    ensure(appended.seq > last, || format!("seq {} came behind {last}", appended.seq))?;
    let there = now
        .iter()
        .any(|(seq, line)| *seq == appended.seq && line.contains(&appended.event_id.to_string()));
    ensure(there, || "what was appended cannot be read".into())
}
