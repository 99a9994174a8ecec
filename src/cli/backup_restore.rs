//! `backup restore`: which snapshot is taken, and what is put where.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{
    Backup, Finding, LeaseRef, RestoreAction, RestoreItem, Restored, Scope, Severity, Snapshot,
    Timestamp, Workspace,
};
use serde::Serialize;

use super::backup::{newest, tell_unreadable};
use super::error::CliError;
use super::exit::Exit;
use super::locate::Locator;
use super::output::{Output, count, exit_for, hint};

/// The newest snapshot of what was asked for, where an older one is taken: the errors in it.
#[derive(Serialize)]
struct PassedOver {
    snapshot_id: String,
    created_at: Timestamp,
    findings: Vec<Finding>,
}

/// What `restore` was asked for.
pub(super) struct Asked {
    pub(super) what: Scope,
    pub(super) snapshot: Option<String>,
    pub(super) to: Option<Utf8PathBuf>,
    pub(super) dry_run: bool,
}

#[derive(Serialize)]
struct ItemView<'a> {
    path: &'a Utf8Path,
    action: &'a RestoreAction,
    bytes: u64,
    snapshot_id: String,
    passed_over: &'a [Finding],
    findings: &'a [Finding],
}

#[derive(Serialize)]
struct RestoreView<'a> {
    /// Where all that is put comes from one.
    snapshot_id: Option<String>,
    passed_over: Option<PassedOver>,
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
    let root = match asked.to {
        Some(root) => root,
        None => at.workspace()?.root().to_owned(),
    };
    let (snapshot, passed_over) = match &asked.snapshot {
        Some(id) => (backup.snapshot(id)?, None),
        None if asked.what.run.is_some() => best(backup, &asked.what, &root)?,
        None => (newest_for(backup, &asked.what, &root)?, None),
    };
    let mut restore = snapshot.restore_to(&root);
    if asked.snapshot.is_none() && asked.what.run.is_none() {
        restore = restore.passing_over_errors();
    }
    if let Some(task) = &asked.what.task {
        if let Some(lease) = LeaseRef::from_env_on(task)? {
            restore = restore.with_lease(lease);
        }
        restore = restore.scope(asked.what.clone());
    }
    if asked.dry_run {
        restore = restore.reading_data();
    }
    let plan = restore.plan()?;
    let items = plan.items().to_vec();
    let refused = plan.is_refused();
    let restored = if asked.dry_run { None } else { Some(plan.apply()?) };
    let plan = items
        .iter()
        .map(|item| ItemView {
            path: &item.path,
            action: &item.action,
            bytes: item.bytes,
            snapshot_id: item.snapshot_id.to_string(),
            passed_over: &item.passed_over,
            findings: &item.findings,
        })
        .collect();
    let from = sources(&items, &snapshot);
    let snapshot_id = match from.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    };
    let view = RestoreView { snapshot_id, passed_over, root: &root, plan, restored };
    output.one(&view, |output| {
        if let Some(newer) = &view.passed_over {
            show_passed_over(newer, &snapshot, output)?;
        }
        show_older(&items, &snapshot, output)?;
        show_plan(&items, output)?;
        match &view.restored {
            Some(done) => {
                let (put, same) = (done.put.len(), done.same.len());
                let from = match &view.snapshot_id {
                    Some(one) => format!("snapshot {one}"),
                    None => count(from.len(), "snapshot"),
                };
                output.line(&format!("{put} put into {root} from {from}, {same} there already"))
            }
            None => Ok(()),
        }
    })?;
    // One that cannot be read may be newer than what was taken.
    let unreadable = if asked.snapshot.is_none() { tell_unreadable(backup)? } else { Exit::Fine };
    let is_older = |item: &RestoreItem| !item.passed_over.is_empty();
    let some_left = items.iter().any(|item| matches!(item.action, RestoreAction::Left(_)));
    let some_older = view.passed_over.is_some() || items.iter().any(is_older);
    Ok(match exit_for(wrong(&items)) {
        _ if refused => Exit::Conflict,
        _ if some_left || some_older => Exit::Findings,
        Exit::Fine => unreadable,
        found => found,
    })
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

/// The newest snapshot of what is asked for.
fn newest_for(backup: &Backup, what: &Scope, root: &Utf8Path) -> Result<Snapshot, CliError> {
    let workspace = workspace_at(root);
    newest(backup, what, |snapshot| workspace.is_none_or(|id| snapshot.workspace_id() == id))
}

/// One backup may hold several workspaces; into a new root goes the newest of all.
fn workspace_at(root: &Utf8Path) -> Option<uuid::Uuid> {
    Workspace::open(root).ok().map(|workspace| workspace.genesis().workspace_id)
}

/// The newest snapshot without an error in a run, and the newest of all where that is another. Where each has
/// errors, the newest: the plan tells them.
fn best(
    backup: &Backup,
    what: &Scope,
    root: &Utf8Path,
) -> Result<(Snapshot, Option<PassedOver>), CliError> {
    let newest = newest_for(backup, what, root)?;
    let Some(good) = backup.newest_good(what, workspace_at(root))? else {
        hint(&format!("no snapshot has {what} without errors; this is the newest"));
        return Ok((newest, None));
    };
    let passed_over = (good.id() != newest.id()).then(|| PassedOver {
        snapshot_id: newest.id().to_string(),
        created_at: newest.created_at(),
        findings: newest.findings_of(what).filter(|finding| is_error(finding)).cloned().collect(),
    });
    Ok((good, passed_over))
}

fn is_error(finding: &Finding) -> bool {
    finding.code.severity() >= Severity::Error
}

fn show_passed_over(
    newer: &PassedOver,
    taken: &Snapshot,
    output: &mut Output,
) -> Result<(), CliError> {
    let PassedOver { snapshot_id: id, created_at, findings } = newer;
    let (newer, older) = (output.ago(*created_at), output.ago(taken.created_at()));
    output.line(&format!("snapshot {id}, taken {newer}, is the newest, and has errors:"))?;
    for finding in findings {
        output.line(&format!("  {finding}"))?;
    }
    let taken = taken.id();
    output.line(&format!(
        "so this is snapshot {taken}, taken {older}; `--snapshot {id}` is for the newest as it is"
    ))
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
            output.line(&format!(
                "{path}: put from snapshot {older}, taken {ago}, for its task is from none after that"
            ))?;
            continue;
        }
        output.line(&format!("{path}: snapshot {id}, taken {taken}, has errors in it:"))?;
        for finding in passed_over {
            output.line(&format!("  {finding}"))?;
        }
        output.line(&format!(
            "so it is put from snapshot {older}, taken {ago}; `--snapshot {id}` is for the newest as it is"
        ))?;
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
        [item.path.to_string(), item.bytes.to_string(), findings, action]
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    output.table(["PATH", "BYTES", "FINDINGS", "ACTION"], &rows)?;
    output.findings(wrong(items), Utf8Path::new(""))
}
