//! Rows 15 and 16: verify, backup and restore.

use std::process::{Command, Stdio};
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{
    ArtifactName, Backup, Durability, ReadData, RunContext, Severity, Snapshot, TaskOptions,
    Verify, Workspace,
};

use super::OURS;
use super::index::{self, CHAINED, FLOOR, Tree};
use crate::args::Plan;
use crate::lab::Lab;
use crate::large::Content;
use crate::measure::{Contender, Lap, Laps, Series, interleave};
use crate::report::{Entry, Goal};
use crate::{Result, workers};

pub(crate) const VERIFY: &str = "Verify, with all contents";

/// Row 15. The same: every byte of journals, genesis files and artifacts is read and hashed, by as many threads as there are
/// cores. Not the same: ours holds every record against its chain, and every file against its record.
pub(super) fn verify(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for runs in index::sizes(plan) {
        let tree = Tree::of(lab, *runs)?;
        let contenders = [tree.floor(), verifier(&tree, *runs), tree.chained()];
        let series = interleave(lab, plan, Laps { warm: 0, counted: 1 }, &contenders)?;
        let (work, goal) = (format!("verify, {runs} runs; per run"), Goal::AtMost(1.6, 1.2));
        let goal = goal.only_if(*runs == index::GOAL);
        entries.push(Entry::compare("15", work, &series, VERIFY, FLOOR, goal));
        let bound = Entry::compare("15", CHAINED, &series, CHAINED, FLOOR, Goal::Context);
        entries.push(bound);
    }
    Ok(entries)
}

pub(crate) fn verifier(tree: &Tree, runs: u64) -> Contender<'_> {
    let look = || {
        let workspace = Workspace::open(tree.root())?;
        let verified = Verify::of(&workspace).read_data(ReadData::All).run()?;
        let wrong = verified.findings.iter().find(|it| it.code.severity() > Severity::Note);
        match wrong {
            Some(wrong) => Err(format!("the tree is not sound: {wrong}").into()),
            None => Ok(verified.runs),
        }
    };
    tree.contender(VERIFY, || Ok(()), look, runs)
}

const CP: &str = "cp -r, and sync";
const TAR: &str = "tar and zstd -1, and sync";
/// Artifacts of a run, of 1 MiB each.
const ARTIFACTS: u64 = 8;
const MINUTE: Goal = Goal::Microseconds(60e6, 60e6);
const MEMORY: Goal = Goal::Megabytes(64.0, 32.0);

/// Row 16. The same: all content of a workspace is somewhere else, and on the disk, when the call returns; and back. Not the
/// same: ours is consistent while others write, has every digest, checks all content before it is put back, and
/// stores equal content once. The artifacts are of 1 MiB, no two alike, and do not get smaller by `zstd`.
pub(super) fn backup(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let runs = plan.size(48, 1_280);
    let ctx = workspace(&lab.fresh()?, runs)?;
    let root = ctx.root().to_owned();
    let size = format!("{:.1} GB", ((runs * ARTIFACTS) << 20) as f64 / 1e9);
    // The goals are about ten gigabytes.
    let goals = |what: &str, series: &Series| {
        let work = format!("{what} of {size}");
        let compare = |theirs, goal: Goal| {
            Entry::compare("16", work.clone(), series, OURS, theirs, goal.only_if(!plan.quick))
        };
        let time = series.of(OURS);
        let mut entries = vec![compare(CP, Goal::AtMost(1.3, 1.1))];
        entries.push(match series.of(TAR).is_empty() {
            false => compare(TAR, Goal::AtMost(1.2, 1.0)),
            true => {
                let goal = Goal::AtMost(1.2, 1.0).only_if(!plan.quick);
                Entry::skipped("16", &work, TAR, goal, "no tar or no zstd")
            }
        });
        entries.push(Entry::alone("16", &work, "a minute", time, MINUTE.only_if(!plan.quick)));
        entries
    };
    let kept = Kept::make(lab, &root)?;
    let laps = Laps { warm: 0, counted: 1 };
    let mut there = vec![
        once(OURS, |to| take(&root, to).map(drop)),
        once(CP, |to| copy(&root, to)),
        once(TAR, |to| pack(&root, to)),
    ];
    let mut back = vec![
        once(OURS, |to| restore(&kept.snapshot, to)),
        once(CP, |to| copy(&kept.copy, to)),
        once(TAR, |to| unpack(&kept.packed, to)),
    ];
    if !kept.has_packed {
        there.truncate(2);
        back.truncate(2);
    }
    let mut entries = goals("backup", &interleave(lab, plan, laps, &there)?);
    entries.extend(goals("restore", &interleave(lab, plan, laps, &back)?));
    let again = [once(OURS, |_| take(&root, &kept.backup).map(drop)), there.remove(1)];
    let series = interleave(lab, plan, laps, &again)?;
    let work = format!("backup of {size}, of which nothing changed");
    entries.push(Entry::compare("16", work, &series, OURS, CP, Goal::Context));
    let peak = |verb: &str, to: &Utf8Path| -> Result<Vec<f64>> {
        let peak = workers::ask(&ctx, &[verb, kept.backup.as_str(), to.as_str()])?.parse()?;
        if to.try_exists()? {
            std::fs::remove_dir_all(to)?;
        }
        Ok(vec![peak])
    };
    for (verb, to) in [("backup", lab.fresh()?.join("to")), ("restore", lab.fresh()?.join("to"))] {
        let memory = peak(verb, &to)?;
        let work = format!("{verb} of {size}");
        entries.push(Entry::alone(
            "16",
            work,
            "peak resident memory",
            memory,
            MEMORY.only_if(!plan.quick),
        ));
    }
    Ok(entries)
}

/// A workspace with so many runs, and the first of them.
fn workspace(dir: &Utf8Path, runs: u64) -> Result<RunContext> {
    let workspace = Workspace::create(dir.join("workspaces"))?;
    let mut first = None;
    let mut bytes = Content::new(1 << 20).whole()?;
    for run in 0..runs {
        let task = format!("TASK-{}", run / 100);
        let task = workspace.open_or_create_task(task.as_str(), TaskOptions::default())?;
        let ctx = task.open_or_start_run(format!("RUN-{run}").as_str())?;
        let store = ctx.artifacts().durability(Durability::Buffered);
        for number in 0..ARTIFACTS {
            // Different from all others, in every block.
            for block in bytes.chunks_mut(4096) {
                if let Some(stamp) = block.first_chunk_mut() {
                    *stamp = (run * ARTIFACTS + number).to_le_bytes();
                }
            }
            store.write_bytes(ArtifactName::new(format!("{number}.bin"))?, &bytes)?;
        }
        first.get_or_insert(ctx);
    }
    first.ok_or_else(|| "no runs".into())
}

/// The workspace three times over.
struct Kept {
    backup: Utf8PathBuf,
    snapshot: Snapshot,
    copy: Utf8PathBuf,
    packed: Utf8PathBuf,
    has_packed: bool,
}

impl Kept {
    fn make(lab: &Lab, root: &Utf8Path) -> Result<Self> {
        let (backup, copied, packed) = (lab.fresh()?, lab.fresh()?, lab.fresh()?);
        let snapshot = take(root, &backup)?;
        copy(root, &copied)?;
        let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
        let has_packed = has("tar") && has("zstd");
        if has_packed {
            pack(root, &packed)?;
        }
        let (copy, packed) = (copied.join("copy"), packed.join("packed"));
        Ok(Self { backup, snapshot, copy, packed, has_packed })
    }
}

/// A lap does it once, to an empty directory, of which nothing is left in the end.
fn once<'a>(
    name: &'static str,
    act: impl Fn(&Utf8Path) -> Result<()> + Clone + 'a,
) -> Contender<'a> {
    Contender::new(name, move |dir| {
        let (act, dir) = (act.clone(), dir.to_owned());
        Ok(Box::new(move || {
            let start = Instant::now();
            act(&dir)?;
            let time = start.elapsed();
            for entry in dir.read_dir_utf8()? {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => std::fs::remove_dir_all(entry.path())?,
                    false => std::fs::remove_file(entry.path())?,
                }
            }
            Ok(Lap { operations: 1, time })
        }))
    })
}

pub(crate) fn take(root: &Utf8Path, to: &Utf8Path) -> Result<Snapshot> {
    Ok(Backup::create_at(to)?.take(&Workspace::open(root)?)?)
}

pub(crate) fn restore(snapshot: &Snapshot, to: &Utf8Path) -> Result<()> {
    snapshot.restore_to(to.join("restored")).plan()?.apply()?;
    Ok(())
}

fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    run(&format!("cp -r '{from}' '{to}/copy' && sync -f '{to}'"))
}

fn pack(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    run(&format!("tar -C '{from}' -cf - . | zstd -1 -q -o '{to}/packed' && sync -f '{to}'"))
}

fn unpack(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    run(&format!("zstd -dcq '{from}' | tar -C '{to}' -xf - && sync -f '{to}'"))
}

fn run(script: &str) -> Result<()> {
    let status = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{script} ended with {status}").into()) }
}
