//! The definition in the journal, for whoever looks at the run without the code.

use serde::{Deserialize, Serialize};

use super::FlowDefinition;
use crate::context::RunContext;
use crate::journal::{Durability, Event, JournalError, types};
use crate::json;

/// The kind of the stream of a run's flows; its id is the run's.
const STREAM: &str = "flow";

#[derive(Serialize, Deserialize)]
struct Recorded<D> {
    definition: D,
}

impl FlowDefinition {
    /// The definition of the flow that was started last in a run; `None` if none was.
    ///
    /// # Errors
    /// Where the journal cannot be read, or the definition is not one that this code knows.
    pub fn recorded(ctx: &RunContext) -> Result<Option<Self>, JournalError> {
        let last = ctx.events()?.of_type(types::FLOW_STARTED).last(1)?.next().transpose()?;
        let recorded = last.map(|record| record.payload::<Recorded<Self>>()).transpose()?;
        Ok(recorded.map(|recorded| recorded.definition))
    }

    /// Records it, unless it is what was recorded last. It is durable with the first step that follows.
    pub(super) fn record(&self, ctx: &RunContext) -> Result<(), JournalError> {
        let event = Event::new(types::FLOW_STARTED)
            .stream(STREAM, ctx.run_id().as_str())
            .payload(&Recorded { definition: self });
        ctx.writer().decide(Durability::Buffered, |locked| {
            if let Some(last) = locked.last(STREAM, ctx.run_id().as_str())?
                && json::same_value(last.payload_json()?.as_deref(), event.payload.as_deref())
            {
                return Ok(());
            }
            let events = locked.spill(std::slice::from_ref(&event))?;
            locked.append(&events).map(|_| ())
        })
    }
}
