//! `checkpoint`: keeps the artifacts of a turn, lists the turns, shows and restores what they hold.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Subcommand;
use runjournal::{
    ArtifactName, ByHand, Checkpoint, CheckpointError, Digest, RestoreChange, RunContext, Timestamp,
};
use serde::Serialize;

use super::args::{InRun, path};
use super::error::CliError;
use super::exit::{Exit, of_artifact, of_io, of_journal};
use super::locate::{Locator, in_full};
use super::output::{Output, hint};
use super::units::{count, short};

#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointVerb {
    /// Keep the artifacts as the journal has them now, as the next turn
    #[command(after_help = CREATE)]
    Create {
        #[command(flatten)]
        run: InRun,
        /// The number of the turn: the next one, or one that stands, which is shown as it is
        #[arg(long, value_name = "N")]
        turn: Option<u64>,
    },
    /// List the turns
    List {
        #[command(flatten)]
        run: InRun,
    },
    /// Show what makes the artifacts those of a turn again; --apply does it
    #[command(after_help = RESTORE)]
    Restore {
        #[command(flatten)]
        run: InRun,
        /// The number of the turn
        turn: u64,
        /// Do it, in one transaction; otherwise the plan is shown and nothing is changed
        #[arg(long)]
        apply: bool,
        /// Also over files that were changed by hand, whose bytes nothing else has
        #[arg(long)]
        force: bool,
        /// Write them into this directory instead, which must be empty or not there yet
        #[arg(long, value_name = "DIR", conflicts_with_all = ["apply", "force"])]
        #[arg(value_parser = path)]
        to: Option<Utf8PathBuf>,
    },
    /// Print an artifact as it was at a turn
    Cat {
        #[command(flatten)]
        run: InRun,
        /// The number of the turn
        turn: u64,
        /// Its name
        name: ArtifactName,
    },
}

const CREATE: &str = "\
It costs about what changed since the turn before. Files that were never journaled are not kept: `runjournal \
artifact adopt` journals one.

Exit codes: 4 the turn is not the next one, or a file that would have to be kept is not what the journal says.

Example: runjournal checkpoint create -r RUN-1";

const RESTORE: &str = "\
Artifacts that the turn does not have are removed, files that were removed by hand are put back, and what \
equals the turn is left alone. Files that were never journaled stay. What was written since the last turn is \
kept by no turn: `runjournal checkpoint create` keeps it first.

Exit codes: 1 something would change; 4 a file is not what the journal says, and would be lost.

Examples:
  runjournal checkpoint restore 3 -r RUN-1
  runjournal checkpoint restore 3 -r RUN-1 --apply";

pub(crate) fn checkpoint(
    at: &Locator,
    verb: CheckpointVerb,
    output: &mut Output,
) -> Result<Exit, CliError> {
    match verb {
        CheckpointVerb::Create { run, turn } => create(&at.run(run.run.as_deref())?, turn, output),
        CheckpointVerb::List { run } => list(&at.run(run.run.as_deref())?, output),
        CheckpointVerb::Restore { run, turn, apply, force, to } => {
            let found = at.run(run.run.as_deref())?;
            let by_hand = if force { ByHand::Replace } else { ByHand::Refuse };
            match to {
                None => restore(&found, turn, apply, by_hand, output),
                Some(dir) => export(&found, turn, &dir, output),
            }
        }
        CheckpointVerb::Cat { run, turn, name } => {
            let found = at.run(run.run.as_deref())?.checkpoint_at(turn)?;
            let mut content = found.artifacts()?.open(name)?;
            content.verify()?;
            output.copy(&mut content)?;
            Ok(Exit::Fine)
        }
    }
}

#[derive(Serialize)]
struct CheckpointView {
    turn: u64,
    seq: u64,
    created_at: Timestamp,
    artifacts_root: Digest,
    digest: Digest,
}

impl CheckpointView {
    fn of(checkpoint: &Checkpoint) -> Self {
        let Checkpoint { turn, seq, created_at, artifacts_root, digest, .. } = *checkpoint;
        Self { turn, seq, created_at, artifacts_root, digest }
    }
}

#[derive(Serialize)]
struct CreatedView {
    #[serde(flatten)]
    checkpoint: CheckpointView,
    created: bool,
    artifacts: usize,
}

fn create(run: &RunContext, turn: Option<u64>, output: &mut Output) -> Result<Exit, CliError> {
    let made = match turn {
        Some(turn) => run.checkpoint(turn)?,
        None => run.next_checkpoint()?,
    };
    let artifacts = made.artifacts()?.names().len();
    let view =
        CreatedView { checkpoint: CheckpointView::of(&made), created: made.created, artifacts };
    output.one(&view, |output| {
        let (turn, seq, kept) = (made.turn, made.seq, count(artifacts, "artifact"));
        let stood = if made.created { "" } else { "  (stood there)" };
        output
            .line(&format!("turn {turn}  seq {seq}  {kept}  {}{stood}", short(made.artifacts_root)))
    })?;
    let entries = run.artifacts().list()?;
    let strange = entries.iter().filter(|entry| entry.size.is_some() && entry.digest.is_none());
    let strange = strange.count();
    if made.created && strange > 0 {
        output.flush()?;
        let files = count(strange, "file");
        hint(&format!(
            "not kept: {files} under artifacts/ that no record names; see `artifact list`"
        ));
    }
    Ok(Exit::Fine)
}

fn list(run: &RunContext, output: &mut Output) -> Result<Exit, CliError> {
    let checkpoints = run.checkpoints()?;
    let views: Vec<_> = checkpoints.iter().map(CheckpointView::of).collect();
    output.many("checkpoints", &views, |output| {
        if views.is_empty() {
            hint("no checkpoints yet; make one with `runjournal checkpoint create`");
            return Ok(());
        }
        let row = |view: &CheckpointView| {
            let ago = output.ago(view.created_at);
            [view.turn.to_string(), view.seq.to_string(), ago, short(view.artifacts_root)]
        };
        let rows: Vec<_> = views.iter().map(row).collect();
        output.table(["TURN", "SEQ", "CREATED", "ARTIFACTS"], &rows)
    })?;
    Ok(Exit::Fine)
}

#[derive(Serialize)]
struct RestoredView<'a> {
    applied: bool,
    turn: u64,
    /// What is planned, or was done.
    written: Vec<&'a ArtifactName>,
    removed: Vec<&'a ArtifactName>,
}

fn names<'a>(changes: &[&'a (ArtifactName, Option<Digest>)]) -> Vec<&'a ArtifactName> {
    changes.iter().map(|(name, _)| name).collect()
}

fn restore(
    run: &RunContext,
    turn: u64,
    apply: bool,
    by_hand: ByHand,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let set = run.checkpoint_at(turn)?.artifacts()?;
    let changes: Vec<(ArtifactName, Option<Digest>)> = if apply {
        let done = set.restore_with(run, by_hand)?.artifacts;
        done.into_iter().map(|stored| (stored.name, stored.digest)).collect()
    } else {
        let planned = set.plan_restore(run, by_hand)?;
        planned.into_iter().map(|RestoreChange { name, to, .. }| (name, to)).collect()
    };
    let (written, removed): (Vec<_>, Vec<_>) = changes.iter().partition(|(_, to)| to.is_some());
    let view =
        RestoredView { applied: apply, turn, written: names(&written), removed: names(&removed) };
    output.one(&view, |output| {
        let (put, gone) = match apply {
            true => ("restored", "removed "),
            false => ("would restore", "would remove "),
        };
        view.written.iter().try_for_each(|name| output.line(&format!("{put}  {name}")))?;
        view.removed.iter().try_for_each(|name| output.line(&format!("{gone}  {name}")))?;
        if changes.is_empty() {
            hint("nothing differs from that turn");
        } else if !apply {
            let what = count(changes.len(), "artifact");
            output.line(&format!("{what} to change; the same with `--apply` does it"))?;
        }
        Ok(())
    })?;
    Ok(if apply || changes.is_empty() { Exit::Fine } else { Exit::Findings })
}

#[derive(Serialize)]
struct ExportedView {
    turn: u64,
    directory: Utf8PathBuf,
    artifacts: usize,
}

fn export(
    run: &RunContext,
    turn: u64,
    dir: &Utf8Path,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let set = run.checkpoint_at(turn)?.artifacts()?;
    set.export(dir)?;
    let artifacts = set.names().len();
    let view = ExportedView { turn, directory: in_full(dir), artifacts };
    output.one(&view, |output| {
        output.line(&format!("turn {turn}: {} in {dir}", count(artifacts, "artifact")))
    })?;
    Ok(Exit::Fine)
}

/// What kind of trouble it is.
pub(super) fn exit_of(error: &CheckpointError) -> Exit {
    match error {
        CheckpointError::Io(error) => of_io(error),
        CheckpointError::Journal(error) => of_journal(error),
        CheckpointError::Artifact(error) => of_artifact(error),
        CheckpointError::NotThere { .. } | CheckpointError::NotInTurn { .. } => Exit::NotFound,
        CheckpointError::NotNext { .. }
        | CheckpointError::NotAsJournaled { .. }
        | CheckpointError::ChangedByHand { .. }
        | CheckpointError::NotEmpty { .. } => Exit::Conflict,
        CheckpointError::Missing { .. }
        | CheckpointError::Damaged { .. }
        | CheckpointError::ObjectMissing { .. }
        | CheckpointError::ContentChanged { .. } => Exit::Damage,
        CheckpointError::NewerFormat { .. } => Exit::ReadOnly,
        _ => Exit::Internal,
    }
}
