//! The index held against the tree.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::index::{Difference, FindingQuery, Index, IndexError};

/// How often it is compared again where it differs.
const ROUNDS: usize = 2;
/// Findings in a page.
const PAGE: usize = 10_000;

/// Where the index says something else than the tree, a finding a view; and what stopped its projectors.
pub(super) fn look(index: &Index) -> Vec<Finding> {
    if matches!(index.database_path(), Err(IndexError::NotBuilt { .. })) {
        return Vec::new();
    }
    let drift = |reason: String| Finding::whole(index.path(), Code::IndexDrift, reason);
    let mut findings = match differing(index) {
        Ok(views) => {
            let views = views.into_iter().map(|(view, rows)| {
                drift(format!("{rows} rows of the view {view} are not what the tree says"))
            });
            views.collect()
        }
        Err(error) => vec![drift(error.to_string())],
    };
    match stopped(index) {
        Ok(stopped) => findings.extend(stopped),
        // It was told above.
        Err(_) if !findings.is_empty() => {}
        Err(error) => findings.push(drift(error.to_string())),
    }
    findings
}

/// Rows of each view, by their digests.
type Rows = BTreeMap<String, BTreeSet<Digest>>;

/// How many rows of each view are not what the tree says. An index that is behind is brought up to the tree,
/// and what others do meanwhile differs only once.
fn differing(index: &Index) -> Result<BTreeMap<String, usize>, IndexError> {
    let mut rows = compared(index)?;
    for _ in 0..ROUNDS {
        if rows.is_empty() {
            break;
        }
        index.refresh()?;
        let now = compared(index)?;
        rows.retain(|view, rows| {
            rows.retain(|row| now.get(view).is_some_and(|now| now.contains(row)));
            !rows.is_empty()
        });
    }
    Ok(rows.into_iter().map(|(view, rows)| (view, rows.len())).collect())
}

fn compared(index: &Index) -> Result<Rows, IndexError> {
    let mut rows = Rows::new();
    let mut take = |difference: Difference| {
        let row = Digest::of(format!("{:?} {:?}", difference.side, difference.row).as_bytes());
        rows.entry(difference.view).or_default().insert(row);
    };
    index.verify(&mut |_| {}, &mut take)?;
    Ok(rows)
}

fn stopped(index: &Index) -> Result<Vec<Finding>, IndexError> {
    let query = FindingQuery::new().code(Code::ProjectionStopped).limit(PAGE);
    Ok(index.open()?.findings(&query)?.rows)
}
