//! What a workspace answers when it is asked for everything.

use std::collections::BTreeMap;

use runjournal::{
    ArtifactName, Events, Finding, Manifest, ReadData, RunContext, Snapshot, Task, TaskId, Verify,
    Workspace,
};

use crate::{Outcome, ensure};

/// What was asked, and what was answered; what was refused is not among it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// Answers that may only be missing where damage is told, by what was asked.
    pub(super) all: BTreeMap<String, String>,
    /// What verify tells.
    pub(super) findings: Vec<Finding>,
    /// Artifacts that are there and not what their records say, as the library itself says when it is asked.
    pub(super) changed: Vec<String>,
}

impl Answers {
    /// Asks for everything.
    pub(super) fn of(
        workspace: &Workspace,
        witnesses: &[Manifest],
        snapshot: &Snapshot,
    ) -> Outcome<Self> {
        let mut answers = Self::default();
        // Verify comes first: it changes nothing, and others may put in place what waits.
        let mut verify = Verify::of(workspace).read_data(ReadData::All);
        for witness in witnesses {
            verify = verify.witness(witness);
        }
        answers.findings = snapshot.witness(verify)?.run()?.findings;
        for id in workspace.tasks().unwrap_or_default() {
            if let Ok(task) = workspace.task(id.clone()) {
                answers.task(&id, &task)?;
            }
        }
        Ok(answers)
    }

    fn task(&mut self, id: &TaskId, task: &Task) -> Outcome {
        self.events(id.as_str(), task.events())?;
        self.tell(format!("{id}: status"), task.status());
        self.tell(format!("{id}: genesis"), Ok::<_, crate::Violation>(task.genesis()));
        for run in task.runs().unwrap_or_default() {
            let place = format!("{id}/{run}");
            let Ok(run) = task.run(run) else { continue };
            let ctx = run.context();
            self.events(&place, ctx.events().map_err(Into::into))?;
            self.tell(format!("{place}: genesis"), Ok::<_, crate::Violation>(run.genesis()));
            self.tell(format!("{place}: items"), ctx.queue().items());
            self.tell(format!("{place}: sessions"), ctx.sessions());
            self.tell(format!("{place}: approvals"), ctx.approvals());
            self.tell(format!("{place}: receipt"), ctx.receipt("none"));
            self.tell(format!("{place}: status"), run.state().map(|state| state.status));
            self.manifest(&place, ctx);
            self.artifacts(&place, ctx);
            self.turns(&place, ctx);
        }
        Ok(())
    }

    /// An answer, if there is one.
    fn tell<T: std::fmt::Debug, E>(&mut self, what: String, answer: Result<T, E>) {
        if let Ok(answer) = answer {
            self.all.insert(what, format!("{answer:?}"));
        }
    }

    fn events(
        &mut self,
        place: &str,
        events: Result<Events, runjournal::WorkspaceError>,
    ) -> Outcome {
        let Ok((records, _)) = events.and_then(|events| Ok(events.read_all()?)) else {
            return Ok(());
        };
        let mut last = 0;
        for record in &records {
            ensure(record.seq() > last, || {
                format!("{place}: seq {} comes behind {last}", record.seq())
            })?;
            last = record.seq();
            self.all.insert(format!("{place}: seq {last}"), record.line().to_owned());
            self.tell(format!("{place}: payload of {last}"), record.payload_json());
        }
        Ok(())
    }

    fn manifest(&mut self, place: &str, ctx: &RunContext) {
        if let Ok(Some(page)) = Manifest::read(ctx) {
            self.all.insert(format!("{place}: manifest"), format!("{page:?}"));
        }
    }

    fn artifacts(&mut self, place: &str, ctx: &RunContext) {
        let store = ctx.artifacts();
        for entry in store.list().unwrap_or_default() {
            let name: &ArtifactName = &entry.name;
            // What reads as something else must at least say so when it is asked.
            if store.check(name).is_err() {
                self.changed.push(format!("{place}: {name}"));
                continue;
            }
            self.tell(format!("{place}: {name}"), store.read_bytes(name));
        }
    }

    fn turns(&mut self, place: &str, ctx: &RunContext) {
        for turn in [1, 2] {
            let set = ctx.checkpoint_at(turn).and_then(|checkpoint| checkpoint.artifacts());
            let Ok(set) = set else { continue };
            for name in set.names() {
                let what = format!("{place}: {name} at turn {turn}");
                self.tell(what, set.read_bytes(name));
            }
        }
    }
}
