//! The nodes. Each runs in a process of its own and knows the others by their artifacts only.

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, io};

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{
    Artifact, ArtifactName, Digest, Event, NameError, Signal, StepContext, StepResult,
};
use serde::{Deserialize, Serialize};
use walkdir::{DirEntry, WalkDir};

const PLAN: Artifact<Plan> = Artifact::json("plan.json"); // a bad name does not compile
const EXECUTOR_REPORT: Artifact<Report> = Artifact::json("executor_report.json");
const VERIFIER_REPORT: Artifact<Verdict> = Artifact::json("verifier_report.json");

#[derive(Serialize, Deserialize)]
struct Plan {
    folder: Utf8PathBuf,
    files: BTreeSet<Utf8PathBuf>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Measure {
    lines: u64,
    bytes: u64,
    digest: Digest,
}

/// The measures of one language's files, in an artifact of their own: `measures/rust.json`.
type Measures = BTreeMap<Utf8PathBuf, Measure>;

#[derive(Default, PartialEq, Serialize, Deserialize)]
struct Total {
    files: u64,
    lines: u64,
    bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Report {
    languages: BTreeMap<String, Total>,
}

#[derive(Serialize, Deserialize)]
struct Verdict {
    checked: usize,
    wrong: Vec<String>,
}

/// Lists the files of a folder.
pub(crate) fn plan(s: &StepContext) -> StepResult {
    let folder: Utf8PathBuf = s.config()?; // as it was recorded when the step started
    let files = files_of(&folder)?;
    s.append(Event::new("files_listed").payload(&serde_json::json!({"files": files.len()})))?;
    s.write(PLAN, &Plan { folder, files })?; // staged
    Ok(Signal::new("planned")) // committed with step_completed, whole or not at all
}

/// Measures each file. `halfway` is called when half of the outputs are staged.
pub(crate) fn execute(s: &StepContext, halfway: impl Fn() -> io::Result<()>) -> StepResult {
    let plan = s.read(PLAN)?; // recorded as an input
    let mut measures = BTreeMap::<&str, Measures>::new();
    for file in plan.files {
        let measure = measure(&plan.folder.join(&file))?;
        measures.entry(language(&file)).or_default().insert(file, measure);
    }
    let mut report = Report { languages: BTreeMap::new() };
    for (index, (language, files)) in measures.iter().enumerate() {
        s.write(measures_of(language)?, files)?;
        report.languages.insert((*language).to_owned(), total(files));
        if index == measures.len() / 2 {
            halfway()?;
        }
    }
    if measures.is_empty() {
        halfway()?; // of nothing
    }
    s.write(EXECUTOR_REPORT, &report)?;
    Ok(Signal::new("success"))
}

/// Measures each file again, and checks every measure and every total.
pub(crate) fn verify(s: &StepContext) -> StepResult {
    let (plan, report) = (s.read(PLAN)?, s.read(EXECUTOR_REPORT)?);
    let mut unmeasured = files_of(&plan.folder)?;
    let mut verdict = Verdict { checked: 0, wrong: Vec::new() };
    for (language, reported) in &report.languages {
        let files = s.read(measures_of(language)?)?;
        for (file, measured) in &files {
            verdict.checked += 1;
            let there = unmeasured.remove(file);
            if !there || measure(&plan.folder.join(file))? != *measured {
                verdict.wrong.push(format!("{file} is not as it was measured"));
            }
        }
        if total(&files) != *reported {
            verdict.wrong.push(format!("the total of {language} is not the sum of its files"));
        }
    }
    verdict.wrong.extend(unmeasured.iter().map(|file| format!("{file} was not measured")));
    s.write(VERIFIER_REPORT, &verdict)?;
    Ok(Signal::new(if verdict.wrong.is_empty() { "verified" } else { "verify_failed" }))
}

fn measures_of(language: &str) -> Result<Artifact<Measures>, NameError> {
    Ok(Artifact::named(ArtifactName::new(format!("measures/{language}.json"))?))
}

fn measure(file: &Utf8Path) -> io::Result<Measure> {
    let content = fs::read(file)?;
    let lines = content.iter().filter(|byte| **byte == b'\n').count() as u64;
    Ok(Measure { lines, bytes: content.len() as u64, digest: Digest::of(&content) })
}

fn total(files: &Measures) -> Total {
    files.values().fold(Total::default(), |sum, file| Total {
        files: sum.files + 1,
        lines: sum.lines + file.lines,
        bytes: sum.bytes + file.bytes,
    })
}

/// Every file below a folder, apart from what is built, what git keeps, and workspaces.
fn files_of(folder: &Utf8Path) -> io::Result<BTreeSet<Utf8PathBuf>> {
    let wanted = |entry: &DirEntry| {
        entry.depth() == 0
            || !(entry.file_name() == "target"
                || entry.file_name() == ".git"
                || entry.path().join("workspace.json").exists())
    };
    let mut files = BTreeSet::new();
    for entry in WalkDir::new(folder).into_iter().filter_entry(wanted) {
        let entry = entry?;
        let path = entry.path().strip_prefix(folder).map_err(io::Error::other)?;
        // A name that is not UTF-8 has no place in a JSON plan.
        if let (true, Some(path)) = (entry.file_type().is_file(), path.to_str()) {
            files.insert(path.into());
        }
    }
    Ok(files)
}

fn language(file: &Utf8Path) -> &'static str {
    match file.extension().unwrap_or_default() {
        "rs" => "rust",
        "md" => "markdown",
        "toml" | "lock" => "toml",
        "json" | "jsonl" => "json",
        "py" => "python",
        "c" | "h" => "c",
        "sh" => "shell",
        "js" | "ts" => "javascript",
        "go" => "go",
        _ => "other",
    }
}
