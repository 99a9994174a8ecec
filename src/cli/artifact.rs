//! `artifact`: writes, reads, lists, removes and adopts the artifacts of a run, and tells their history.

use std::io::{self, Seek as _};

use camino::{Utf8Path, Utf8PathBuf};
use clap::Subcommand;
use runjournal::{
    ArtifactAct, ArtifactEntry, ArtifactError, ArtifactName, ArtifactRecord, Digest, Expect,
    RunContext, Stored,
};
use serde::Serialize;

use super::args::InRun;
use super::error::CliError;
use super::exit::Exit;
use super::file;
use super::findings;
use super::locate::{Locator, in_full};
use super::output::{Output, exit_for, hint};
use super::units::{short, size};

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactVerb {
    /// Write an artifact, byte for byte
    #[command(
        after_help = "Examples:\n  runjournal artifact put plan.json < plan\n  runjournal artifact put reports/test.log test.log -r TASK-1/RUN-1"
    )]
    Put {
        #[command(flatten)]
        run: InRun,
        /// Its name, such as reports/plan.json
        name: ArtifactName,
        /// Where its content is; `-`, or nothing: standard input
        #[arg(default_value = "-", hide_default_value = true)]
        file: Utf8PathBuf,
        /// Only if there is no such artifact
        #[arg(long)]
        if_absent: bool,
        /// Only if it has this digest now, as `blake3:HEX`
        #[arg(long, value_name = "DIGEST", conflicts_with = "if_absent")]
        if_digest: Option<Digest>,
    },
    /// Copy an artifact to a file, or to standard output
    #[command(after_help = "Example: runjournal artifact get plan.json ./plan.json")]
    Get {
        #[command(flatten)]
        run: InRun,
        /// Its name
        name: ArtifactName,
        /// Where to copy it; `-`, or nothing: standard output
        #[arg(default_value = "-", hide_default_value = true)]
        file: Utf8PathBuf,
        /// Replace FILE where it exists
        #[arg(long)]
        force: bool,
    },
    /// Print an artifact to standard output
    #[command(after_help = "Example: runjournal artifact cat plan.json | jq .")]
    Cat {
        #[command(flatten)]
        run: InRun,
        /// Its name
        name: ArtifactName,
    },
    /// List the artifacts: what is on the disk, and what the journal says
    List {
        #[command(flatten)]
        run: InRun,
    },
    /// List what was done with an artifact, the oldest first
    History {
        #[command(flatten)]
        run: InRun,
        /// Its name
        name: ArtifactName,
    },
    /// Remove an artifact
    Remove {
        #[command(flatten)]
        run: InRun,
        /// Its name
        name: ArtifactName,
    },
    /// Journal a file that something else put under artifacts/, as it is
    Adopt {
        #[command(flatten)]
        run: InRun,
        /// Its name
        name: ArtifactName,
    },
}

pub(crate) fn artifact(
    at: &Locator,
    verb: ArtifactVerb,
    output: &mut Output,
) -> Result<Exit, CliError> {
    match verb {
        ArtifactVerb::Put { run, name, file, if_absent, if_digest } => {
            let expect = match if_digest {
                Some(digest) => Expect::Digest(digest),
                None if if_absent => Expect::Absent,
                None => Expect::Any,
            };
            put(&at.run(run.run.as_deref())?, name, &file, expect, output)
        }
        ArtifactVerb::Get { run, name, file, force } => {
            get(&at.run(run.run.as_deref())?, name, &file, force, output)
        }
        ArtifactVerb::Cat { run, name } => cat(&at.run(run.run.as_deref())?, name, output),
        ArtifactVerb::List { run } => list(&at.run(run.run.as_deref())?, output),
        ArtifactVerb::History { run, name } => history(&at.run(run.run.as_deref())?, name, output),
        ArtifactVerb::Remove { run, name } => {
            let stored = at.run(run.run.as_deref())?.artifacts().remove(name)?;
            tell(&stored, output)
        }
        ArtifactVerb::Adopt { run, name } => {
            let stored = at.run(run.run.as_deref())?.artifacts().adopt(name)?;
            tell(&stored, output)
        }
    }
}

/// `-` is standard input, or standard output.
fn is_standard(file: &Utf8Path) -> bool {
    file.as_str() == "-"
}

fn put(
    context: &RunContext,
    name: ArtifactName,
    file: &Utf8Path,
    expect: Expect,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let mut new = context.artifacts().create(name)?.expect(expect);
    if is_standard(file) {
        new.write_from(io::stdin().lock())?;
    } else {
        new.import(file)?;
    }
    tell(&new.commit()?, output)
}

fn cat(context: &RunContext, name: ArtifactName, output: &mut Output) -> Result<Exit, CliError> {
    output.copy(&mut context.artifacts().open(name)?)?;
    Ok(Exit::Fine)
}

#[derive(Serialize)]
struct Copied<'a> {
    name: &'a ArtifactName,
    file: Utf8PathBuf,
    size: u64,
    digest: Digest,
}

fn get(
    context: &RunContext,
    name: ArtifactName,
    file: &Utf8Path,
    force: bool,
    output: &mut Output,
) -> Result<Exit, CliError> {
    if is_standard(file) {
        return cat(context, name, output);
    }
    let mut content = context.artifacts().open(&name)?;
    if force {
        file::replace(file, &mut content)?;
    } else {
        file::create(file, &mut content)?;
    }
    // The open file holds what was copied, whatever was committed since.
    let size = content.size()?;
    let digest = content.rewind().and_then(|()| Digest::of_reader(&mut content));
    let digest = digest.map_err(CliError::file("read", &context.artifact_path(&name)))?;
    let copied = Copied { name: &name, file: in_full(file), size, digest };
    output.one(&copied, |_| Ok(()))?;
    Ok(Exit::Fine)
}

/// What was done to an artifact.
#[derive(Serialize)]
struct StoredView<'a> {
    name: &'a ArtifactName,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    size: u64,
    stream_version: u64,
    seq: u64,
    changed: bool,
}

fn tell(stored: &Stored, output: &mut Output) -> Result<Exit, CliError> {
    let view = StoredView {
        name: &stored.name,
        digest: stored.digest,
        size: stored.size,
        stream_version: stored.version,
        seq: stored.seq,
        changed: stored.changed,
    };
    output.one(&view, |output| {
        let content = match stored.digest {
            Some(digest) => format!("{}  {}", size(stored.size), short(digest)),
            None => "removed".to_owned(),
        };
        let same = if stored.changed { "" } else { "  (as it was)" };
        let (name, version, seq) = (&stored.name, stored.version, stored.seq);
        output.line(&format!("{name}  version {version}  seq {seq}  {content}{same}"))
    })?;
    Ok(Exit::Fine)
}

/// An artifact in the list.
#[derive(Serialize)]
struct EntryView<'a> {
    name: &'a ArtifactName,
    size: Option<u64>,
    stream_version: Option<u64>,
    seq: Option<u64>,
    digest: Option<Digest>,
    state: State,
}

/// What disk and journal say of an artifact together.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Journaled,
    /// On disk, and not in the journal.
    Unjournaled,
    /// In the journal, and not on disk.
    Missing,
    /// Of another size than the journal says. Content is compared by `verify --read-data`.
    Changed,
}

impl State {
    fn of(entry: &ArtifactEntry) -> Self {
        match (entry.size, entry.digest) {
            (None, _) => State::Missing,
            (Some(_), None) => State::Unjournaled,
            _ if entry.journaled_size.is_some() && entry.size != entry.journaled_size => {
                State::Changed
            }
            (Some(_), Some(_)) => State::Journaled,
        }
    }

    /// The word for people, and in JSON.
    fn word(self) -> &'static str {
        match self {
            State::Journaled => "journaled",
            State::Unjournaled => "unjournaled",
            State::Missing => "missing",
            State::Changed => "changed",
        }
    }
}

fn list(context: &RunContext, output: &mut Output) -> Result<Exit, CliError> {
    let entries = context.artifacts().list()?;
    let views: Vec<_> = entries
        .iter()
        .map(|entry| EntryView {
            name: &entry.name,
            size: entry.size,
            stream_version: entry.version,
            seq: entry.seq,
            digest: entry.digest,
            state: State::of(entry),
        })
        .collect();
    output.many("artifacts", &views, |output| {
        if views.is_empty() {
            hint("no artifacts yet; write one with `runjournal artifact put NAME FILE`");
            return Ok(());
        }
        let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
        let rows: Vec<_> = views
            .iter()
            .map(|view| {
                [
                    view.name.to_string(),
                    view.size.map(size).unwrap_or_default(),
                    number(view.stream_version),
                    view.digest.map(short).unwrap_or_default(),
                    view.state.word().to_owned(),
                ]
            })
            .collect();
        output.table(["NAME", "SIZE", "VERSION", "DIGEST", "STATE"], &rows)
    })?;
    Ok(Exit::Fine)
}

fn history(
    context: &RunContext,
    name: ArtifactName,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let mut history = context.artifacts().history(&name)?;
    let records: Vec<_> = history.by_ref().collect::<Result<_, _>>()?;
    let findings = history.findings();
    let exit = exit_for(findings);
    if records.is_empty() && exit == Exit::Fine {
        return Err(ArtifactError::NotFound { name, run: context.run_path() }.into());
    }
    output.many("history", &records, |output| {
        let row = |record: &ArtifactRecord| {
            [
                record.version.to_string(),
                record.seq.to_string(),
                output.ago(record.at),
                match record.change {
                    ArtifactAct::Written => "written",
                    ArtifactAct::Removed => "removed",
                    ArtifactAct::Adopted => "adopted",
                    _ => "changed",
                }
                .to_owned(),
                record.size.map(size).unwrap_or_default(),
                record.digest.map(short).unwrap_or_default(),
                record.step.as_ref().map(ToString::to_string).unwrap_or_default(),
            ]
        };
        let rows: Vec<_> = records.iter().map(row).collect();
        output.table(["VERSION", "SEQ", "WHEN", "CHANGE", "SIZE", "DIGEST", "STEP"], &rows)
    })?;
    findings::tell(findings, context.root());
    Ok(exit)
}
