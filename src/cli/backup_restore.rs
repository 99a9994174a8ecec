//! `backup restore`: which snapshot is taken, and what is put where.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{
    Backup, BackupError, Code, Finding, LeaseRef, RestoreAction, RestoreItem, RestorePlan,
    Restored, Scope, Severity, Snapshot, Timestamp, Workspace,
};
use serde::Serialize;

use super::backup::tell_unreadable;
use super::backup_scope::scope_of;
use super::error::CliError;
use super::exit::Exit;
use super::locate::{Locator, in_full};
use super::output::{Output, exit_for, hint};
use super::progress;
use super::units::{count, size};

/// The newest snapshot of what was asked for, where something is taken from an older one: the errors in it.
#[derive(Serialize)]
struct PassedOver<'a> {
    snapshot_id: String,
    created_at: Timestamp,
    findings: Vec<&'a Finding>,
}

/// What `restore` was asked for.
pub(super) struct Asked {
    pub(super) what: Option<String>,
    pub(super) snapshot: Option<String>,
    pub(super) to: Option<Utf8PathBuf>,
    pub(super) dry_run: bool,
}

#[derive(Serialize)]
struct ItemView<'a> {
    path: Utf8PathBuf,
    action: &'a RestoreAction,
    bytes: u64,
    snapshot_id: String,
    /// From the root of the workspace that was backed up.
    passed_over: &'a [Finding],
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct RestoreView<'a> {
    applied: bool,
    /// Where all that is put comes from one.
    snapshot_id: Option<String>,
    passed_over: Option<PassedOver<'a>>,
    root: &'a Utf8Path,
    plan: Vec<ItemView<'a>>,
    restored: Option<Restored>,
}

pub(super) fn restore(
    at: &Locator,
    backup: &Backup,
    asked: Asked,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let root = match &asked.to {
        Some(root) => root.clone(),
        None => at.workspace()?.root().to_owned(),
    };
    let (snapshot, what) = choose(backup, &asked, &root)?;
    let plan = plan(&snapshot, &what, &asked, &root)?;
    let items = plan.items().to_vec();
    let refused = plan.is_refused();
    let restored = match asked.dry_run {
        true => None,
        false => Some(plan.apply_with(&mut progress::of_backup("backup restore"))?),
    };
    let from = sources(&items, &snapshot);
    let snapshot_id = match from.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    };
    let full = in_full(&root);
    let view = RestoreView {
        applied: restored.is_some(),
        snapshot_id,
        passed_over: passed_over(&items, &snapshot),
        root: &full,
        plan: items.iter().map(|item| item_view(item, &full)).collect(),
        restored: restored.map(|done| restored_in_full(done, &full)),
    };
    output.one(&view, |output| {
        show_older(&items, &snapshot, output)?;
        show_plan(&items, output)?;
        match &view.restored {
            Some(done) => {
                let (put, same) = (done.put.len(), done.same.len());
                let from = match &view.snapshot_id {
                    Some(one) => format!("snapshot {one}"),
                    None => count(from.len(), "snapshot"),
                };
                output.text(&format!("{put} put into {root} from {from}, {same} there already"), 2)
            }
            None => Ok(()),
        }
    })?;
    let mut unreadable = Exit::Fine;
    if asked.snapshot.is_none() {
        tell_of_none_better(&items);
        // One that cannot be read may be newer than what was taken.
        unreadable = tell_unreadable(backup)?;
    }
    let some_left = items.iter().any(|item| matches!(item.action, RestoreAction::Left(_)));
    let some_older = items.iter().any(|item| !item.passed_over.is_empty());
    Ok(match exit_for(wrong(&items)) {
        _ if refused => Exit::Conflict,
        _ if some_left || some_older => Exit::Findings,
        Exit::Fine => unreadable,
        found => found,
    })
}

/// The snapshot that is looked into, and what of it: the one that was named, or the newest that holds that.
fn choose(backup: &Backup, asked: &Asked, root: &Utf8Path) -> Result<(Snapshot, Scope), CliError> {
    // One backup may hold several workspaces; into a new root goes the newest of all.
    let workspace = Workspace::open(root).ok().map(|workspace| workspace.genesis().workspace_id);
    let named = asked.snapshot.as_ref().map(|id| backup.snapshot(id)).transpose()?;
    if let (Some(workspace), None) = (workspace, &named) {
        let mut of = backup.snapshots()?.into_iter().map(|snapshot| snapshot.workspace_id());
        // There are some, and none is of this one.
        if of.next().is_some_and(|first| first != workspace) && of.all(|id| id != workspace) {
            let (backup, root) = (backup.path().to_owned(), root.to_owned());
            return Err(CliError::OtherWorkspace { backup, root });
        }
    }
    let scope = match (&asked.what, &named) {
        (None, _) => Scope::workspace(),
        (Some(what), Some(snapshot)) => scope_of(std::slice::from_ref(snapshot), what)?
            .ok_or_else(|| BackupError::NotInSnapshot {
                snapshot: snapshot.id().to_string(),
                what: what.clone(),
            })?,
        (Some(what), None) => {
            let mut all = backup.snapshots()?;
            all.retain(|one| workspace.is_none_or(|id| one.workspace_id() == id));
            scope_of(&all, what)?.ok_or_else(|| BackupError::NoSnapshot {
                path: backup.path().to_owned(),
                id: format!("of {what}"),
            })?
        }
    };
    let snapshot = match named {
        Some(snapshot) => snapshot,
        None => backup.newest(&scope, workspace)?,
    };
    Ok((snapshot, scope))
}

fn plan(
    snapshot: &Snapshot,
    what: &Scope,
    asked: &Asked,
    root: &Utf8Path,
) -> Result<RestorePlan, CliError> {
    let mut restore = snapshot.restore_to(root);
    if asked.snapshot.is_none() {
        restore = restore.passing_over_errors();
    }
    if let Some(task) = &what.task {
        if let Some(lease) = LeaseRef::from_env_on(task)? {
            restore = restore.with_lease(lease);
        }
        restore = restore.scope(what.clone());
    }
    if asked.dry_run {
        restore = restore.reading_data();
    }
    Ok(restore.plan_with(&mut progress::of_backup("backup restore, plan"))?)
}

fn item_view<'a>(item: &'a RestoreItem, root: &Utf8Path) -> ItemView<'a> {
    let mut findings = item.findings.clone();
    findings.iter_mut().for_each(|finding| finding.place.path = root.join(&finding.place.path));
    ItemView {
        path: root.join(&item.path),
        action: &item.action,
        bytes: item.bytes,
        snapshot_id: item.snapshot_id.to_string(),
        passed_over: &item.passed_over,
        findings,
    }
}

fn restored_in_full(mut done: Restored, root: &Utf8Path) -> Restored {
    for paths in [&mut done.put, &mut done.same, &mut done.left] {
        paths.iter_mut().for_each(|path| *path = root.join(&path));
    }
    done
}

fn passed_over<'a>(items: &'a [RestoreItem], newest: &Snapshot) -> Option<PassedOver<'a>> {
    let findings: Vec<_> = items.iter().flat_map(|item| &item.passed_over).collect();
    let (snapshot_id, created_at) = (newest.id().to_string(), newest.created_at());
    (!findings.is_empty()).then_some(PassedOver { snapshot_id, created_at, findings })
}

/// The snapshots that something is put from, or the one that was looked into where nothing is.
fn sources(items: &[RestoreItem], snapshot: &Snapshot) -> Vec<String> {
    let put = items.iter().filter(|item| item.action == RestoreAction::Put);
    let mut from: BTreeSet<_> = put.map(|item| item.snapshot_id).collect();
    if from.is_empty() {
        from.insert(snapshot.id());
    }
    from.iter().map(ToString::to_string).collect()
}

/// Tells of what is put with its errors, as there is nothing better. What was written after a loss of records is in
/// no older snapshot, and so is nothing worse.
fn tell_of_none_better(items: &[RestoreItem]) {
    let is_damage = |finding: &Finding| {
        finding.code.severity() >= Severity::Error && finding.code != Code::JournalShorter
    };
    let put = items.iter().filter(|item| item.action == RestoreAction::Put);
    for item in put.filter(|item| item.findings.iter().any(is_damage)) {
        let name = item.path.as_str().replacen("/runs/", "/", 1);
        hint(&format!("no snapshot has {name} without errors; this is the newest"));
    }
}

/// Tells of each task and run that is not put as the newest snapshot has it.
fn show_older(
    items: &[RestoreItem],
    newest: &Snapshot,
    output: &mut Output,
) -> Result<(), CliError> {
    let put = items.iter().filter(|item| item.action == RestoreAction::Put);
    for item in put.filter(|item| item.snapshot_id != newest.id()) {
        let RestoreItem { path, snapshot_id: older, passed_over, .. } = item;
        let (id, taken) = (newest.id(), output.ago(newest.created_at()));
        let ago = output.ago(item.taken_at);
        if passed_over.is_empty() {
            let why = match path.as_str().contains('/') {
                true => "for its task is from none after that",
                false => "as its run is",
            };
            output.text(&format!("{path}: put from snapshot {older}, taken {ago}, {why}"), 2)?;
            continue;
        }
        output.text(&format!("{path}: snapshot {id}, taken {taken}, has errors in it:"), 2)?;
        for finding in passed_over {
            output.text(&format!("  {finding}"), 4)?;
        }
        let from = format!("so it is put from snapshot {older}, taken {ago}");
        output.text(&format!("{from}; `--snapshot {id}` is for the newest as it is"), 2)?;
    }
    Ok(())
}

/// What was wrong with what is put in place.
fn wrong(items: &[RestoreItem]) -> impl Iterator<Item = &Finding> {
    let put = items.iter().filter(|item| item.action == RestoreAction::Put);
    put.flat_map(|item| &item.findings)
}

fn show_plan(items: &[RestoreItem], output: &mut Output) -> Result<(), CliError> {
    let row = |item: &RestoreItem| {
        let action = match &item.action {
            RestoreAction::Put => "put".to_owned(),
            RestoreAction::Same => "there already".to_owned(),
            RestoreAction::Refused(reason) => format!("refused: {reason}"),
            RestoreAction::Left(reason) => format!("left out: {reason}"),
            // An action that is newer than this.
            _ => "unknown".to_owned(),
        };
        let findings = item.findings.len().to_string();
        [item.path.to_string(), size(item.bytes), findings, action]
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    output.table(["PATH", "SIZE", "FINDINGS", "ACTION"], &rows)?;
    output.findings(wrong(items), Utf8Path::new(""))
}
