//! `lineage`: which step made an artifact, from what, and which steps a change makes stale.

use clap::Subcommand;
use runjournal::{
    ArtifactName, ArtifactVersion, AttemptState, Because, Digest, LineageError, Maker, RunContext,
    Stale, StaleStep, StepAttempt, StepInput, Why,
};
use serde::{Serialize, Serializer};

use super::args::InRun;
use super::error::CliError;
use super::exit::{Exit, of_journal};
use super::locate::Locator;
use super::output::{Output, hint};

#[derive(Debug, Subcommand)]
pub(crate) enum LineageVerb {
    /// Show which step made an artifact, from which inputs, and so on
    #[command(after_help = WHY)]
    Why {
        #[command(flatten)]
        run: InRun,
        /// Its name
        artifact: ArtifactName,
    },
    /// List the steps whose inputs changed, and those that follow from them
    #[command(after_help = STALE)]
    Stale {
        #[command(flatten)]
        run: InRun,
        /// List what would be stale if these changed, instead of what is
        #[arg(value_name = "ARTIFACT")]
        artifacts: Vec<ArtifactName>,
    },
}

const WHY: &str = "\
The inputs of an attempt stand below the first of the versions that it made, oldest first; below the others \
stands what it read after that. `see above: the first 3` means the first 3 of them.

Example: runjournal lineage why report.json";

const STALE: &str = "\
OUTPUTS are the artifacts that the step wrote and nobody replaced since.

A stale step is done again as its next turn: with `runjournal step run --if-changed` and the name and program \
that it had, or `Step::skip_if_unchanged` in Rust; a step of a flow in a later turn of that. Do them in the \
order of the list.

Exit codes: 1 something is stale; with ARTIFACT always 0.

Examples:
  runjournal lineage stale
  runjournal lineage stale plan.json";

const AGAIN: &str = "\
to do: each again as its next turn, from the top: `runjournal step run --if-changed`, \
`Step::skip_if_unchanged`, or a later turn of the flow";

pub(crate) fn lineage(
    at: &Locator,
    verb: LineageVerb,
    output: &mut Output,
) -> Result<Exit, CliError> {
    match verb {
        LineageVerb::Why { run, artifact } => why(&at.run(run.run.as_deref())?, artifact, output),
        LineageVerb::Stale { run, artifacts } => {
            stale(&at.run(run.run.as_deref())?, &artifacts, output)
        }
    }
}

/// A version, who made it, and from what.
#[derive(Serialize)]
struct VersionView<'a> {
    path: &'a ArtifactName,
    version: u64,
    digest: Option<Digest>,
    seq: u64,
    adopted: bool,
    #[serde(flatten)]
    by: MakerView<'a>,
    #[serde(serialize_with = "inputs")]
    sources: &'a [StepInput],
}

/// Exactly one of them.
#[derive(Serialize, Default)]
struct MakerView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<AttemptView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<ActorView<'a>>,
    /// A step of which the journal has no more than the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
}

#[derive(Serialize)]
struct ActorView<'a> {
    kind: &'a str,
    id: Option<&'a str>,
}

#[derive(Serialize)]
struct AttemptView<'a> {
    step: &'a str,
    turn: u64,
    attempt: u64,
    state: &'static str,
    seq: u64,
}

#[derive(Serialize)]
struct InputView<'a> {
    path: &'a ArtifactName,
    digest: Option<Digest>,
    version: Option<u64>,
    /// The version's, if the journal has it.
    seq: Option<u64>,
}

impl<'a> VersionView<'a> {
    fn of(why: &'a Why, made: &'a ArtifactVersion) -> Self {
        Self {
            path: &made.path,
            version: made.version,
            digest: made.digest,
            seq: made.seq,
            adopted: made.adopted,
            by: MakerView::of(&made.by),
            sources: why.sources(made.seq),
        }
    }
}

impl<'a> MakerView<'a> {
    fn of(maker: &'a Maker) -> Self {
        let mut view = Self::default();
        match maker {
            Maker::Step(attempt) => view.attempt = Some(AttemptView::of(attempt)),
            Maker::Outside(actor) => {
                view.actor = Some(ActorView { kind: &actor.kind, id: actor.id.as_deref() });
            }
            Maker::Unknown(step) => view.step = Some(step.as_str()),
            // A maker that is newer than this.
            _ => {}
        }
        view
    }
}

impl<'a> AttemptView<'a> {
    fn of(attempt: &'a StepAttempt) -> Self {
        let state = match attempt.state {
            AttemptState::Open => "open",
            AttemptState::Completed => "completed",
            AttemptState::Failed => "failed",
            // A state that is newer than this.
            _ => "unknown",
        };
        let StepAttempt { step, turn, attempt, seq, .. } = attempt;
        Self { step: step.as_str(), turn: *turn, attempt: *attempt, state, seq: *seq }
    }
}

impl<'a> InputView<'a> {
    fn of(input: &'a StepInput) -> Self {
        let StepInput { path, digest, version, seq, .. } = input;
        Self { path, digest: *digest, version: *version, seq: *seq }
    }
}

/// One after the other: many versions may have the same many sources.
fn inputs<S: Serializer>(inputs: &&[StepInput], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(inputs.iter().map(InputView::of))
}

fn why(
    context: &RunContext,
    artifact: ArtifactName,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let why = context.lineage()?.why(artifact)?;
    let views: Vec<_> = why.versions().map(|made| VersionView::of(&why, made)).collect();
    output.many("versions", &views, |output| {
        why.to_string().lines().try_for_each(|line| {
            // What goes on stands behind the branches that lead to it.
            let branches = line.chars().take_while(|c| !c.is_alphanumeric()).count();
            output.text(line, branches + 2)
        })
    })?;
    Ok(Exit::Fine)
}

/// A step that is stale.
#[derive(Serialize)]
struct StaleView<'a> {
    step: &'a str,
    turn: u64,
    attempt: u64,
    seq: u64,
    reason: &'static str,
    input: InputView<'a>,
    /// What is there now, in place of the input; its digest is null where it was removed.
    now: Option<NowView>,
    /// The stale step that makes this one stale.
    through: Option<&'a str>,
    outputs: Vec<&'a ArtifactName>,
}

#[derive(Serialize)]
struct NowView {
    version: u64,
    digest: Option<Digest>,
    seq: u64,
}

impl<'a> StaleView<'a> {
    fn of(stale: &'a StaleStep) -> Self {
        let StaleStep { attempt, because, outputs, .. } = stale;
        let reason = match because {
            Because::Changed { now, .. } if now.digest.is_none() => "removed",
            Because::Changed { .. } => "changed",
            Because::Suspect { .. } => "suspect",
            Because::Supposed { .. } => "supposed",
            // A reason that is newer than this.
            _ => "unknown",
        };
        let now = because.now();
        let AttemptView { step, turn, attempt, seq, .. } = AttemptView::of(attempt);
        Self {
            step,
            turn,
            attempt,
            seq,
            reason,
            input: InputView::of(because.input()),
            now: now.map(|now| NowView { version: now.version, digest: now.digest, seq: now.seq }),
            through: because.through().map(|step| step.as_str()),
            outputs: outputs.iter().map(|version| &version.path).collect(),
        }
    }
}

fn stale(
    context: &RunContext,
    artifacts: &[ArtifactName],
    output: &mut Output,
) -> Result<Exit, CliError> {
    let lineage = context.lineage()?;
    let supposed = !artifacts.is_empty();
    let stale = if supposed { lineage.stale_if(artifacts) } else { lineage.stale() };
    let views: Vec<_> = stale.steps().iter().map(StaleView::of).collect();
    output.many("steps", &views, |output| table(&stale, supposed, output))?;
    Ok(if stale.is_empty() || supposed { Exit::Fine } else { Exit::Findings })
}

fn table(stale: &Stale, supposed: bool, output: &mut Output) -> Result<(), CliError> {
    if stale.is_empty() {
        hint(if supposed { "no completed step read that" } else { "nothing is stale" });
        return Ok(());
    }
    let row = |stale: &StaleStep| {
        let names: Vec<_> = stale.outputs.iter().map(|version| version.path.as_str()).collect();
        [
            stale.attempt.step.to_string(),
            stale.attempt.turn.to_string(),
            stale.attempt.attempt.to_string(),
            names.join(", "),
            stale.because.to_string(),
        ]
    };
    let rows: Vec<_> = stale.steps().iter().map(row).collect();
    output.table(["STEP", "TURN", "ATTEMPT", "OUTPUTS", "BECAUSE"], &rows)?;
    if !supposed {
        output.flush()?;
        hint(AGAIN);
    }
    Ok(())
}

/// What kind of trouble it is.
pub(super) fn exit_of(error: &LineageError) -> Exit {
    match error {
        LineageError::Journal(error) => of_journal(error),
        LineageError::NotInJournal { .. } => Exit::NotFound,
        _ => Exit::Internal,
    }
}
