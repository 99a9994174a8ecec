//! Tasks: what they are about, and their states.

use serde::Deserialize;

use crate::index::projector::IndexedGenesis;
use crate::index::{IndexedEvent, IndexedJournal, ProjectionError, Projector, Rows};
use crate::journal::types;
use crate::status::{TaskMoved, TaskStatus};

pub(super) struct Tasks;

#[derive(Deserialize)]
struct Changed {
    title: Option<String>,
    objective: Option<String>,
}

impl Projector for Tasks {
    fn name(&self) -> &'static str {
        "tasks"
    }

    fn schema(&self) -> &'static str {
        include_str!("../schema/tasks.sql")
    }

    fn begin(&self, journal: &IndexedJournal, rows: &mut Rows) {
        if let IndexedGenesis::Task(genesis) = &journal.genesis {
            rows.execute(
                "INSERT INTO t_tasks (journal, title, objective, status, created_at, schema_version) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
                [
                    journal.key().into(),
                    genesis.title.as_str().into(),
                    genesis.objective.as_str().into(),
                    TaskStatus::default().to_string().into(),
                    genesis.created_at.into(),
                    genesis.schema_version.into(),
                ],
            );
        }
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let journal = event.journal();
        if journal.run_id().is_some() {
            return Ok(());
        }
        match event.record().event_type() {
            types::TASK_CHANGED => {
                let changed: Changed = event.payload()?;
                rows.execute(
                    "UPDATE t_tasks SET title = COALESCE($1, title), objective = COALESCE($2, objective) \
                     WHERE journal = $3",
                    [changed.title.into(), changed.objective.into(), journal.key().into()],
                );
            }
            types::TASK_STATUS_CHANGED => {
                let moved: TaskMoved = event.payload()?;
                rows.execute(
                    "UPDATE t_tasks SET status = $1 WHERE journal = $2",
                    [moved.to.to_string().into(), journal.key().into()],
                );
            }
            _ => {}
        }
        Ok(())
    }
}
