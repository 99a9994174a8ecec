//! What led to an event.

use std::collections::HashSet;

use super::{EventQuery, EventRow, IndexReader};
use crate::id::EventId;
use crate::index::IndexError;

impl IndexReader {
    /// The event with this id; `None` where the index knows none. A copied run has the same events:
    /// [`EventQuery::id`] has them all.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] where the index is.
    pub fn event(&self, id: EventId) -> Result<Option<EventRow>, IndexError> {
        self.one(&EventQuery::new().id(id))
    }

    /// What led to an event: the event itself, then the event that led to it, and so on, up to one that
    /// nothing led to, or whose cause the index does not know. A chain that bites its tail, which no
    /// honest writer makes, ends there. Empty where the index does not know the event.
    ///
    /// # Errors
    /// As [`event`](IndexReader::event).
    pub fn causes(&self, id: EventId) -> Result<Vec<EventRow>, IndexError> {
        let mut seen = HashSet::new();
        let mut chain: Vec<EventRow> = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next.filter(|id| seen.insert(*id)) {
            let Some(event) = self.cause(id, chain.last())? else { break };
            next = event.causation_event_id;
            chain.push(event);
        }
        Ok(chain)
    }

    /// In the journal of what it led to, if it is there: what was copied was copied together.
    fn cause(&self, id: EventId, of: Option<&EventRow>) -> Result<Option<EventRow>, IndexError> {
        if let Some(EventRow { task_id, run_id, .. }) = of {
            let query = EventQuery::new().id(id);
            let near = match run_id {
                Some(run) => query.of_run(task_id, run),
                None => query.of_task(task_id),
            };
            if let Some(event) = self.one(&near)? {
                return Ok(Some(event));
            }
        }
        self.event(id)
    }

    fn one(&self, query: &EventQuery) -> Result<Option<EventRow>, IndexError> {
        let page = self.events(&query.clone().limit(1))?;
        Ok(page.rows.into_iter().next())
    }
}
