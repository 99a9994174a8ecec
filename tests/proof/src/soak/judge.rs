//! The invariants over a whole workspace at which nobody works at the moment.

use std::collections::BTreeMap;

use camino::Utf8Path;
use runjournal::{
    Code, Finding, Manifest, ReadData, Repair, RunContext, Severity, Verify, Workspace,
};

use super::ground::{Ground, NO_RUN, Told};
use super::{index, said};
use crate::raw::{self, RawRecord};
use crate::{Outcome, check, checkpoints, ensure, work};

/// What was looked at.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Judged {
    /// Counted records of all journals.
    pub(crate) records: u64,
    /// What was acknowledged.
    pub(crate) told: u64,
}

/// How much of it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Journals, acknowledgements and files, and what `verify` finds.
    Records,
    /// The index and repair as well.
    All,
}

/// I1 to I7: as the workers left it, and once somebody caught up.
///
/// # Errors
/// The first thing that does not hold.
pub(crate) fn judge(ground: &Ground, depth: Depth) -> Outcome<Judged> {
    let told = ground.acknowledged()?;
    let workspace = ground.workspace()?;
    let mut judged = Judged::default();
    for id in workspace.tasks()? {
        let task = workspace.task(id.clone())?;
        let home = ground.home(id.as_str(), NO_RUN);
        let name = format!("{id}/{NO_RUN}");
        check::journal(task.events()?, &home, "task.json", false)
            .and_then(|records| journal(&records, &name, &told, &mut judged))
            .map_err(|found| found.at(&name))?;
        let runs = task.runs()?;
        let told_runs = told.get(&name).into_iter().flatten();
        for started in told_runs.filter_map(|line| line.strip_prefix("run ")) {
            ensure(runs.iter().any(|run| run.as_str() == started), || {
                format!("the run {started} was acknowledged and is gone")
            })?;
        }
        for run in runs {
            let name = format!("{id}/{run}");
            of_run(ground, (id.as_str(), run.as_str()), &name, &told, &mut judged)
                .map_err(|found| found.at(&name))?;
        }
    }
    let is_there = |home: &str| {
        home.split_once('/').is_some_and(|(task, run)| ground.home(task, run).is_dir())
    };
    let lost = told.keys().find(|home| !is_there(home));
    ensure(lost.is_none(), || format!("{lost:?} was written to and is gone"))?;
    verified(&workspace)?;
    if depth == Depth::All {
        index::is_as_rebuilt(&workspace).map_err(|found| found.at("the index"))?;
        repaired(ground, &workspace).map_err(|found| found.at("repair"))?;
    }
    Ok(judged)
}

fn journal(records: &[RawRecord], home: &str, told: &Told, judged: &mut Judged) -> Outcome {
    let told = told.get(home).map(Vec::as_slice).unwrap_or_default();
    judged.records += records.len() as u64;
    judged.told += told.len() as u64;
    work::items(records)?;
    said::hold(records, told)
}

fn of_run(
    ground: &Ground,
    (task, run): (&str, &str),
    name: &str,
    told: &Told,
    judged: &mut Judged,
) -> Outcome {
    let ctx = ground.task(task)?.run(run)?.context().clone();
    let home = ground.home(task, run);
    let records = check::journal(ctx.events()?, &home, "run.json", false)?;
    journal(&records, name, told, judged)?;
    check::batches_of_steps(&records)?;
    checkpoints::hold(&home, &records)?;
    let last = raw::last_words(&records);
    for (path, word) in &last {
        check::old_or_new(&home, path, word, &records).map_err(|found| found.at(path))?;
    }
    manifest(&ctx, told.get(name).map(Vec::as_slice).unwrap_or_default())?;
    let findings = ctx.catch_up()?;
    ensure(findings.is_empty(), || format!("not put in place: {findings:?}"))?;
    for (path, word) in &last {
        let (said, found) =
            (word.payload_text("digest"), raw::digest(&home.join("artifacts").join(path))?);
        let found = found.unwrap_or_default();
        ensure(found == said, || format!("{path} has {found:?}, the journal says {said:?}"))?;
    }
    for entry in walkdir::WalkDir::new(home.join("artifacts")).min_depth(1) {
        let entry = entry?;
        let path = entry.path().strip_prefix(home.join("artifacts"))?.to_string_lossy();
        ensure(entry.file_type().is_dir() || last.contains_key(path.as_ref()), || {
            format!("{path} is not in the journal")
        })?;
    }
    Ok(())
}

/// The newest page that was told of, or one that knows more, stands and says what the journal says.
fn manifest(ctx: &RunContext, told: &[String]) -> Outcome {
    let newest = told.iter().filter_map(|line| line.strip_prefix("manifest ")?.parse().ok()).max();
    let page = Manifest::read(ctx)?;
    let known = page.as_ref().map(|page| page.journal.last_seq);
    ensure(known >= newest, || {
        format!("the manifest of seq {newest:?} was acknowledged, and there is {known:?}")
    })?;
    let findings = page.map(|page| page.compare(ctx)).transpose()?.unwrap_or_default();
    let damage = findings
        .iter()
        .find(|finding| matches!(finding.code, Code::ManifestDamaged | Code::JournalShorter));
    ensure(damage.is_none(), || damage.map(ToString::to_string).unwrap_or_default())
}

/// What a killed writer leaves is all that may be found.
fn is_left_by_a_crash(finding: &Finding) -> bool {
    finding.code.severity() == Severity::Note
        || matches!(finding.code, Code::TornTail | Code::HeadAhead)
}

fn verified(workspace: &Workspace) -> Outcome {
    let verified = Verify::of(workspace).read_data(ReadData::All).run()?;
    let worse = verified.findings.iter().find(|finding| !is_left_by_a_crash(finding));
    ensure(worse.is_none(), || {
        worse.map(|finding| format!("verify: {finding}")).unwrap_or_default()
    })
}

/// I7: repair removes nothing, and the second one changes nothing.
fn repaired(ground: &Ground, workspace: &Workspace) -> Outcome {
    let repair = Repair::of(workspace);
    let before = files(ground.root())?;
    let repaired = repair.run()?;
    ensure(repaired.failed.is_empty(), || format!("not mended: {:?}", repaired.failed))?;
    let after = files(ground.root())?;
    let gone = before.keys().find(|path| !after.contains_key(*path));
    ensure(gone.is_none(), || format!("{gone:?} is gone"))?;
    let again = repair.run()?;
    ensure(again.done.is_empty(), || format!("it mended again: {:?}", again.done))?;
    let last = files(ground.root())?;
    let changed = last.iter().find(|(path, stamp)| after.get(*path) != Some(*stamp));
    ensure(changed.is_none() && last.len() == after.len(), || {
        format!("the second one changed {changed:?}")
    })
}

/// Every file but those of the index and the note of the last look at it all, with its length and when it was
/// written last.
fn files(root: &Utf8Path) -> Outcome<BTreeMap<String, (u64, std::time::SystemTime)>> {
    let mut files = BTreeMap::new();
    let entries = walkdir::WalkDir::new(root).into_iter();
    for entry in entries.filter_entry(|entry| {
        ![".index", ".last-verify.json"].iter().any(|derived| entry.file_name() == *derived)
    }) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let path = entry.path().to_string_lossy().into_owned();
            let data = entry.metadata()?;
            files.insert(path, (data.len(), data.modified()?));
        }
    }
    Ok(files)
}
