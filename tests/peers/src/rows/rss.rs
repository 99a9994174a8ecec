//! Row 17: memory, of a fresh process each.

use runjournal::{Durability, RunContext};

use super::index;
use crate::args::Plan;
use crate::lab::{Lab, new_run};
use crate::measure::Spread;
use crate::ours::{Kept, fill};
use crate::report::{Entry, Goal};
use crate::{Result, tree, workers};

const REPLAY: Goal = Goal::Megabytes(64.0, 32.0);
const REBUILD: Goal = Goal::Megabytes(300.0, 150.0);
const ARTIFACT: Goal = Goal::Megabytes(32.0, 16.0);
/// Memory hardly differs from time to time.
const TIMES: usize = 2;

/// Peak resident memory (`VmHWM`) of a process that does one thing and ends. Nothing is compared but the goal; the
/// process that does nothing shows what the program itself takes.
pub(super) fn measure(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let records = plan.size(1_000_000, 10_000_000);
    let size = plan.size(1 << 30, 4 << 30);
    let gigabytes = size >> 30;
    let replay = format!("replay of {records} events");
    let (put, get) = (
        format!("artifact of {gigabytes} GiB, written"),
        format!("artifact of {gigabytes} GiB, read"),
    );
    if !std::fs::exists("/proc/self/status")? {
        let skip =
            |work, goal| Entry::skipped("17", work, "peak resident memory", goal, "no /proc");
        return Ok(vec![
            skip(replay, REPLAY),
            skip(put, ARTIFACT),
            skip(get, ARTIFACT),
            skip("rebuild of an index".to_owned(), REBUILD),
        ]);
    }
    let mut kept = Kept::open(&lab.fresh()?, Durability::Buffered)?;
    fill(&mut kept, records)?;
    let replayed = peaks(&kept.ctx, &["replay", &records.to_string()])?;
    std::fs::remove_file(kept.ctx.journal_path())?;

    let ctx = new_run(&lab.fresh()?)?;
    let size = size.to_string();
    let nothing = Spread::of(&peaks(&ctx, &["nothing"])?).map_or(0.0, |spread| spread.median);
    let against = format!("peak resident memory ({:.1} MB for nothing)", nothing / 1e6);
    let (written, read) = (peaks(&ctx, &["put", &size])?, peaks(&ctx, &["get", &size])?);
    let mut entries = vec![
        Entry::alone("17", replay, &against, replayed, REPLAY.only_if(!plan.quick)),
        Entry::alone("17", put, &against, written, ARTIFACT.only_if(!plan.quick)),
        Entry::alone("17", get, &against, read, ARTIFACT.only_if(!plan.quick)),
    ];
    for runs in index::sizes(plan) {
        let rebuilt = peaks(&tree::run(lab, *runs)?, &["rebuild"])?;
        let work = format!("rebuild of the index of {runs} runs");
        entries.push(Entry::alone(
            "17",
            work,
            &against,
            rebuilt,
            REBUILD.only_if(*runs == index::GOAL_RUNS),
        ));
    }
    Ok(entries)
}

fn peaks(ctx: &RunContext, arguments: &[&str]) -> Result<Vec<f64>> {
    let ask = || Ok(workers::ask(ctx, arguments)?.parse::<f64>()?);
    (0..TIMES).map(|_| ask()).collect()
}
