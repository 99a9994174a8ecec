//! A damaged backup: verify tells of it, and what is restored is what was backed up, or nothing is.

use std::collections::BTreeMap;
use std::fs;

use camino::Utf8Path;

use super::scene::{Scene, backup_of, newest};
use crate::{Outcome, Violation, ensure};

/// Files and their content.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// What a restore of the newest snapshot brings back.
pub(super) fn restored(dir: &Utf8Path, to: &Utf8Path) -> Outcome<Files> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    newest(dir)?.restore_to(to).plan()?.apply()?;
    let mut files = Files::new();
    for entry in walkdir::WalkDir::new(to) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(to)?.to_string_lossy().into_owned();
            files.insert(path, fs::read(entry.path())?);
        }
    }
    fs::remove_dir_all(to)?;
    Ok(files)
}

pub(super) fn check(scene: &Scene, dir: &Utf8Path, file: &Utf8Path) -> Outcome {
    let told = match backup_of(dir).and_then(|backup| Ok(backup.verify(true)?)) {
        Ok(verified) => !verified.findings.is_empty(),
        Err(_) => true,
    };
    ensure(told, || format!("verify says nothing of {file}"))?;
    let to = dir.join("restored");
    match restored(dir, &to) {
        // An older snapshot may be the newest that can be read.
        Ok(files) if file.as_str().contains("snapshots/") => same_but_for_the_last(scene, &files),
        Ok(files) => ensure(files == scene.restored, || "another tree was restored".into()),
        Err(_) => {
            let put = to.join("TASK-1").exists() || to.join("TASK-2").exists();
            ensure(!put, || "it was refused, and something was put in place".into())
        }
    }
}

/// The same tree, or the one before the last event, which only one journal of it has.
fn same_but_for_the_last(scene: &Scene, files: &Files) -> Outcome {
    for (path, content) in files {
        let now = scene.restored.get(path);
        let now = now.ok_or_else(|| Violation::new(format!("{path} was restored")))?;
        let is_older = path.ends_with(".jsonl") && now.starts_with(content);
        ensure(is_older || now == content, || format!("{path} was restored as another"))?;
    }
    ensure(files.len() == scene.restored.len(), || "files are missing".into())
}
