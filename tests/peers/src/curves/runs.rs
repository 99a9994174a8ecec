//! A workspace of more and more runs, as rows 12 to 15 have it.

use std::time::Instant;

use runjournal::Workspace;
use runjournal::index::{IndexReader, RunQuery};

use super::curve::{Chart, Kind};
use super::steps;
use crate::Result;
use crate::args::Plan;
use crate::lab::Lab;
use crate::measure::{Contender, Lap, Laps, Work, interleave};
use crate::rows::care::{VERIFY, verifier};
use crate::rows::index::{FLOOR, QUERIES, REBUILD, REFRESH, Tree, times};

const LIST: &str = "task.runs(), of all tasks";
const PAGES: &str = "IndexReader::runs, all of them in pages of 1,000";

/// All but the queries per run. The floor reads and hashes every byte.
pub(super) fn measure(lab: &Lab, plan: &Plan) -> Result<Vec<Chart>> {
    let mut looks = Chart::new("runs", "Rebuild, refresh and verify, per run", "runs");
    let mut lists = Chart::new("runs-list", "List all runs, per run", "runs");
    let mut queries = Chart::new("runs-queries", "Queries of the index, a call", "runs");
    let laps = Laps { warm: 0, counted: 1 };
    for size in steps(100, plan.size(10_000, 100_000), 10) {
        let tree = Tree::of(lab, size)?;
        tree.built()?;
        let contenders = [tree.floor(), tree.rebuild(), tree.refresh(), verifier(&tree, size)];
        let series = interleave(lab, plan, laps, &contenders)?;
        for name in [REBUILD, REFRESH, VERIFY] {
            looks.add_series(&series, name, Kind::Each, size);
        }
        looks.add_series(&series, FLOOR, Kind::Floor, size);

        let index = tree.built()?;
        let contenders = [
            Contender::new(LIST, |_| Ok(lap(size, || list(&tree)))),
            Contender::new(PAGES, |_| Ok(lap(size, || pages(&index)))),
        ];
        let series = interleave(lab, plan, laps, &contenders)?;
        lists.add_series(&series, LIST, Kind::Each, size);
        lists.add_series(&series, PAGES, Kind::Each, size);

        for (name, prepare) in QUERIES {
            queries.add(name, Kind::Call, size, times(&index, size, name, *prepare)?);
        }
    }
    Ok(vec![looks, lists, queries])
}

/// A lap lists all runs, and counts them.
fn lap<'a>(runs: u64, list: impl Fn() -> Result<usize> + 'a) -> Work<'a> {
    Box::new(move || {
        let start = Instant::now();
        let found = list()? as u64;
        let time = start.elapsed();
        if found == runs {
            return Ok(Lap { operations: runs, time });
        }
        Err(format!("{found} instead of {runs} runs were listed").into())
    })
}

fn list(tree: &Tree) -> Result<usize> {
    let workspace = Workspace::open(tree.root())?;
    let mut found = 0;
    for task in workspace.tasks()? {
        found += workspace.task(task.as_str())?.runs()?.len();
    }
    Ok(found)
}

fn pages(index: &IndexReader) -> Result<usize> {
    let (mut found, mut query) = (0, RunQuery::new().limit(1000));
    loop {
        let page = index.runs(&query)?;
        found += page.rows.len();
        match page.next {
            Some(next) => query = query.after(next),
            None => return Ok(found),
        }
    }
}
