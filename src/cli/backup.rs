//! `backup`: copies of a workspace, a task or a run elsewhere, and what is put back from them.

use camino::Utf8Path;
use runjournal::{
    Backup, BackupError, BackupPruned, Code, Finding, Retention, Snapshot, SnapshotKept, Timestamp,
};
use serde::Serialize;

use super::backup_args::BackupVerb;
use super::backup_id::ShortIds;
use super::backup_restore::{Asked, restore};
use super::error::CliError;
use super::exit::{Exit, of_genesis, of_io, of_journal, of_manifest, of_workspace};
use super::locate::Locator;
use super::output::{Output, exit_for, hint};
use super::progress;
use super::units::{count, size};

pub(crate) fn backup(
    at: &Locator,
    verb: BackupVerb,
    output: &mut Output,
) -> Result<Exit, CliError> {
    match verb {
        BackupVerb::Create { dest, what } => create(at, &dest, what.as_deref(), output),
        BackupVerb::List { dest } => list(&Backup::open(dest)?, output),
        BackupVerb::Verify { dest, read_data } => verify(&Backup::open(dest)?, read_data, output),
        BackupVerb::Restore { src, what, snapshot, to, dry_run } => {
            let asked = Asked { what, snapshot, to, dry_run };
            restore(at, &Backup::open(src)?, asked, output)
        }
        BackupVerb::Prune { dest, keep_last, keep_within, apply } => {
            let mut retention = Retention::default();
            retention.keep_last = keep_last;
            retention.keep_within = keep_within;
            prune(&Backup::open(dest)?, retention, apply, output)
        }
        BackupVerb::Hold { dest, id, reason } => hold(&dest, &id, Some(&reason), output),
        BackupVerb::Unhold { dest, id } => hold(&dest, &id, None, output),
    }
}

#[derive(Serialize)]
struct SnapshotView<'a> {
    snapshot_id: String,
    created_at: Timestamp,
    scope: String,
    workspace_id: String,
    tasks: u64,
    runs: u64,
    files: u64,
    bytes: u64,
    new_bytes: u64,
    held: Option<&'a str>,
    findings: &'a [Finding],
}

impl<'a> SnapshotView<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let totals = snapshot.totals();
        Self {
            snapshot_id: snapshot.id().to_string(),
            created_at: snapshot.created_at(),
            scope: snapshot.scope().to_string(),
            workspace_id: snapshot.workspace_id().to_string(),
            tasks: totals.tasks,
            runs: totals.runs,
            files: totals.files,
            bytes: totals.bytes,
            new_bytes: totals.new_bytes,
            held: snapshot.hold_reason(),
            findings: snapshot.findings(),
        }
    }
}

fn create(
    at: &Locator,
    dest: &Utf8Path,
    what: Option<&str>,
    output: &mut Output,
) -> Result<Exit, CliError> {
    // Found before a directory is made for it.
    let subject = at.subject(what)?;
    let backup = Backup::create_at(dest)?;
    let snapshot = backup.take_with(subject, &mut progress::of_backup("backup create"))?;
    output.one(&SnapshotView::of(&snapshot), |output| {
        let totals = snapshot.totals();
        let (runs, files) = (count(totals.runs, "run"), count(totals.files, "file"));
        let sizes = format!("{}; {} written", size(totals.bytes), size(totals.new_bytes));
        let (id, scope) = (snapshot.id(), snapshot.scope());
        output.text(&format!("snapshot {id} of {scope}: {runs}, {files}, {sizes}"), 2)?;
        // As a snapshot has them, they are told from the root already.
        output.findings(snapshot.findings(), Utf8Path::new(""))
    })?;
    Ok(exit_for(snapshot.findings()))
}

fn list(backup: &Backup, output: &mut Output) -> Result<Exit, CliError> {
    let snapshots = backup.snapshots()?;
    let views: Vec<_> = snapshots.iter().map(SnapshotView::of).collect();
    output.many("snapshots", &views, |output| {
        if views.is_empty() {
            hint("no snapshots");
            return Ok(());
        }
        table(&snapshots, ShortIds::of(backup)?, output)
    })?;
    tell_unreadable(backup)
}

/// Snapshots that cannot be read are not in any list. One whose hold cannot be read is.
pub(super) fn tell_unreadable(backup: &Backup) -> Result<Exit, CliError> {
    let unreadable = backup.unreadable()?;
    unreadable.iter().for_each(|error| hint(&error.to_string()));
    Ok(if unreadable.is_empty() { Exit::Fine } else { Exit::Findings })
}

fn table(snapshots: &[Snapshot], ids: ShortIds, output: &mut Output) -> Result<(), CliError> {
    let row = |snapshot: &Snapshot| {
        let totals = snapshot.totals();
        [
            ids.id(snapshot),
            output.ago(snapshot.created_at()),
            snapshot.scope().to_string(),
            totals.runs.to_string(),
            size(totals.bytes),
            size(totals.new_bytes),
            snapshot.findings().len().to_string(),
            snapshot.hold_reason().unwrap_or_default().to_owned(),
        ]
    };
    let rows: Vec<_> = snapshots.iter().map(row).collect();
    let head = ["SNAPSHOT", "CREATED", "SCOPE", "RUNS", "SIZE", "NEW", "FINDINGS", "HELD"];
    output.table(head, &rows)
}

#[derive(Serialize)]
struct VerifiedView<'a> {
    snapshots: u64,
    objects: u64,
    bytes: u64,
    read_data: bool,
    findings: &'a [Finding],
}

fn verify(backup: &Backup, read_data: bool, output: &mut Output) -> Result<Exit, CliError> {
    let verified = backup.verify_with(read_data, &mut progress::of_backup("backup verify"))?;
    let (snapshots, objects) = (verified.snapshots, verified.objects);
    let findings = verified.findings.as_slice();
    let view = VerifiedView { snapshots, objects, bytes: verified.bytes, read_data, findings };
    output.one(&view, |output| {
        output.findings_of(findings, backup.path(), advice)?;
        let (snapshots, objects) = (count(snapshots, "snapshot"), count(objects, "object"));
        let found = count(findings.len(), "finding");
        output.text(&format!("{snapshots}, {objects}, {}: {found}", size(verified.bytes)), 2)
    })?;
    Ok(exit_for(findings))
}

#[derive(Serialize)]
struct PruneView<'a> {
    applied: bool,
    keep: Vec<KeptView<'a>>,
    remove: Vec<SnapshotView<'a>>,
    pruned: Option<BackupPruned>,
}

#[derive(Serialize)]
struct KeptView<'a> {
    why: SnapshotKept,
    #[serde(flatten)]
    snapshot: SnapshotView<'a>,
}

fn prune(
    backup: &Backup,
    retention: Retention,
    apply: bool,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let plan = backup.prune(retention).plan()?;
    // Those that go are among them no more once they are gone.
    let ids = ShortIds::of(backup)?;
    let (keep, remove) = (plan.keep().to_vec(), plan.remove().to_vec());
    let (objects, bytes) = (count(plan.objects(), "object"), size(plan.bytes()));
    let pruned = if apply { Some(plan.apply()?) } else { None };
    let view = PruneView {
        applied: apply,
        keep: keep
            .iter()
            .map(|(snapshot, why)| KeptView { why: *why, snapshot: SnapshotView::of(snapshot) })
            .collect(),
        remove: remove.iter().map(SnapshotView::of).collect(),
        pruned,
    };
    output.one(&view, |output| {
        if !remove.is_empty() {
            table(&remove, ids, output)?;
        }
        let (gone, left) = (count(remove.len(), "snapshot"), count(keep.len() as u64, "other"));
        match pruned {
            Some(done) => {
                let objects = count(done.objects, "object");
                let (gone, bytes) = (count(done.snapshots, "snapshot"), size(done.bytes));
                output.text(&format!("{gone} and {objects} of {bytes} removed; {left} kept"), 2)
            }
            None => {
                let what = format!("{gone} and {objects} of {bytes} to remove, {left} to keep");
                output.text(&format!("{what}; the same with `--apply` does it"), 2)
            }
        }
    })?;
    Ok(Exit::Fine)
}

/// Holds a snapshot, or without a reason lets it go.
fn hold(
    dest: &Utf8Path,
    id: &str,
    reason: Option<&str>,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let mut snapshot = Backup::open(dest)?.snapshot(id)?;
    let was_held = snapshot.hold_reason().is_some();
    match reason {
        Some(reason) => snapshot.hold(reason)?,
        None => snapshot.lift()?,
    }
    output.one(&SnapshotView::of(&snapshot), |output| match reason {
        Some(_) => output.line(&format!("snapshot {} is held", snapshot.id())),
        None if was_held => {
            output.line(&format!("snapshot {} is not held any more", snapshot.id()))
        }
        None => output.line(&format!("snapshot {} was not held", snapshot.id())),
    })?;
    Ok(Exit::Fine)
}

/// What to do about a finding in a backup: its files are not mended, but brought again.
fn advice(code: Code) -> &'static str {
    match code {
        Code::ObjectChanged => {
            "remove this file; the next `backup create` brings it again if the workspace still has its content"
        }
        Code::ObjectMissing => {
            "the next `backup create` brings it again if the workspace still has its content"
        }
        Code::Unreadable => {
            "look at the disk, and at who may read it; a damaged file in `objects/` is to be removed, so that the \
             next `backup create` brings it again, and a damaged one in `snapshots/` for good"
        }
        other => other.advice(),
    }
}

/// What kind of trouble it is.
pub(super) fn exit_of(error: &BackupError) -> Exit {
    match error {
        BackupError::Io(error) => of_io(error),
        BackupError::Genesis(error) => of_genesis(error),
        BackupError::Journal(error) => of_journal(error),
        BackupError::Workspace(error) => of_workspace(error),
        BackupError::Manifest(error) => of_manifest(error),
        BackupError::NotABackup { .. }
        | BackupError::NoSnapshot { .. }
        | BackupError::NotInSnapshot { .. } => Exit::NotFound,
        BackupError::AmbiguousSnapshot { .. }
        | BackupError::Inside { .. }
        | BackupError::BadHold { .. } => Exit::Usage,
        BackupError::NotEmpty { .. }
        | BackupError::Busy { .. }
        | BackupError::Refused { .. }
        | BackupError::CameBetween { .. }
        | BackupError::Changed { .. } => Exit::Conflict,
        BackupError::Damaged { .. }
        | BackupError::HoldDamaged { .. }
        | BackupError::PruneStopped { .. } => Exit::Damage,
        BackupError::NewerFormat { .. } => Exit::ReadOnly,
        _ => Exit::Internal,
    }
}
