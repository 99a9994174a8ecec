//! `artifact`: writes, reads, lists, removes and adopts the artifacts of a run.

use std::io::{self, Seek as _};

use camino::{Utf8Path, Utf8PathBuf};
use clap::Subcommand;
use runjournal::{ArtifactEntry, ArtifactName, Digest, Expect, RunContext, Stored};
use serde::Serialize;

use super::args::InRun;
use super::error::CliError;
use super::exit::Exit;
use super::file;
use super::locate::{Locator, in_full};
use super::output::{Output, hint};

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactVerb {
    /// Write an artifact, byte for byte
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
    Cat {
        #[command(flatten)]
        run: InRun,
        /// Its name
        name: ArtifactName,
    },
    /// List the artifacts: on disk, and in the journal
    List {
        #[command(flatten)]
        run: InRun,
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
            Some(digest) => format!("{} bytes  {}", stored.size, short(digest)),
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
}

impl State {
    fn of(entry: &ArtifactEntry) -> Self {
        match (entry.size, entry.digest) {
            (None, _) => State::Missing,
            (Some(_), None) => State::Unjournaled,
            (Some(_), Some(_)) => State::Journaled,
        }
    }

    /// The word for people, and in JSON.
    fn word(self) -> &'static str {
        match self {
            State::Journaled => "journaled",
            State::Unjournaled => "unjournaled",
            State::Missing => "missing",
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
                    number(view.size),
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

/// Enough of a digest to tell it from others by eye.
fn short(digest: Digest) -> String {
    digest.to_hex().chars().take(12).collect()
}
