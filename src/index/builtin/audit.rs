//! What the journals of tasks say in full, for those who ask who did what.

use crate::index::{IndexedEvent, ProjectionError, Projector, Rows};

pub(super) struct Audit;

impl Projector for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn schema(&self) -> &'static str {
        include_str!("../schema/audit.sql")
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let journal = event.journal();
        if journal.run_id().is_some() {
            return Ok(());
        }
        let detail: Option<Box<serde_json::value::RawValue>> = event.payload()?;
        rows.execute(
            "INSERT INTO t_audit (journal, seq, detail) VALUES ($1, $2, $3)",
            [
                journal.key().into(),
                event.record().seq().into(),
                detail.map(|detail| detail.get().to_owned()).into(),
            ],
        );
        Ok(())
    }
}
