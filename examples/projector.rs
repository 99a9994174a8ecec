//! A projector: a table of your own in the index, which rebuilds from the journals like all the others.
//!
//! `cargo run --features sqlite --example projector`

use std::error::Error;
use std::ops::ControlFlow;

use runjournal::index::{Index, IndexedEvent, ProjectionError, Projector, Rows};
use runjournal::{Event, TaskOptions, Workspace};
use serde_json::json;

/// What each run spent on each tool.
struct ToolCosts;

#[derive(serde::Deserialize)]
struct ToolCalled {
    tool: String,
    cents: i64,
}

impl Projector for ToolCosts {
    fn name(&self) -> &'static str {
        "tool_costs"
    }

    fn schema(&self) -> &'static str {
        "CREATE TABLE tool_costs_rows (
             journal INTEGER NOT NULL,
             tool TEXT NOT NULL,
             calls INTEGER NOT NULL,
             cents INTEGER NOT NULL,
             PRIMARY KEY (journal, tool)
         );
         CREATE VIEW tool_costs AS
         SELECT j.task_id, j.run_id, c.tool, c.calls, c.cents
         FROM tool_costs_rows c JOIN journals j ON j.journal = c.journal"
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        if event.record().event_type() == "tool_called" {
            let call: ToolCalled = event.payload()?; // one that does not read stops this projector alone
            rows.execute(
                "INSERT INTO tool_costs_rows (journal, tool, calls, cents) VALUES ($1, $2, 1, $3)
                 ON CONFLICT (journal, tool) DO UPDATE
                 SET calls = tool_costs_rows.calls + 1, cents = tool_costs_rows.cents + excluded.cents",
                [event.journal().key().into(), call.tool.into(), call.cents.into()],
            );
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let task = Workspace::open_or_create("workspaces")?
        .open_or_create_task("TOOLS", TaskOptions::default())?;
    let ctx = task.start_run()?;
    for (tool, cents) in [("cc", 3), ("ld", 1), ("cc", 4)] {
        let call = json!({"tool": tool, "cents": cents});
        ctx.append(Event::new("tool_called").payload(&call))?;
    }

    let index = Index::of(&Workspace::open("workspaces")?).with_projector(ToolCosts);
    index.refresh()?; // a new projector starts from the beginning of each journal
    let costs = "SELECT tool, calls, cents FROM tool_costs WHERE run_id = $1 ORDER BY tool";
    index.open()?.sql(costs, &[ctx.run_id().into()], &mut |row| {
        println!("{:?}", row.values());
        ControlFlow::Continue(())
    })?;
    Ok(())
}
