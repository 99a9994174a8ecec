//! A damaged index: it says so, or is found out by verify, or answers what it did; and can be made anew.

use camino::Utf8Path;
use runjournal::index::{
    ArtifactQuery, EventQuery, Index, IndexError, IndexReader, RunQuery, StepQuery, TaskQuery,
};

use super::scene::{Scene, workspace};
use crate::{Outcome, ensure};

/// What it answers.
pub(super) fn answer(index: &Index) -> Result<String, IndexError> {
    let reader: IndexReader = index.open()?;
    let events = reader.events(&EventQuery::new().of_run("TASK-1", "RUN-2"))?.rows;
    let tasks = reader.tasks(&TaskQuery::new())?.rows;
    let runs = reader.runs(&RunQuery::new())?.rows;
    let artifacts = reader.artifacts(&ArtifactQuery::new())?.rows;
    let steps = reader.steps(&StepQuery::new())?.rows;
    Ok(format!("{tasks:?} {runs:?} {artifacts:?} {steps:?} {events:?}"))
}

pub(super) fn check(scene: &Scene, dir: &Utf8Path, thoroughly: bool) -> Outcome {
    let index = Index::of(&workspace(dir)?);
    let answered = answer(&index);
    let wrong = answered.as_ref().is_ok_and(|answer| *answer != scene.index);
    if wrong || thoroughly {
        let verified = index.verify(&mut |_| {}, &mut |_| {});
        let told = !matches!(verified, Ok(0));
        ensure(told || !wrong, || "it answers otherwise, and verify finds nothing".into())?;
    }
    // A refresh makes it anew where it cannot be used; otherwise that is said, and a rebuild does.
    let refreshed = index.refresh().and_then(|_| answer(&index));
    if refreshed.as_ref().ok() != Some(&scene.index) {
        index.rebuild()?;
        let rebuilt = answer(&index)?;
        ensure(rebuilt == scene.index, || "a rebuilt index answers otherwise".into())?;
    }
    Ok(())
}
