//! Every operation of the public API that changes something.

mod append;
mod artifact;
mod backup;
mod checkpoint;
mod creation;
mod flow;
pub(crate) mod heads;
pub(crate) mod lease;
mod prune;
pub(crate) mod receipt;
mod relocation;
mod repair;
mod session;
mod state;
mod step;
mod store;
#[cfg(test)]
mod tests;
mod turn;
mod work;

use runjournal::{TaskOptions, Workspace};

use crate::place::{RUN, TASK};
use crate::{Acks, Outcome, Place, RawRecord, Violation, planted};

/// What is there before an operation, and so has to be there after any crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    /// An empty directory.
    Nothing,
    /// A workspace.
    Workspace,
    /// A task in it.
    Task,
    /// A run of it, with an event and a few artifacts.
    Run,
}

/// A call of the public API, and what it promises.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Its name among the tests.
    pub name: &'static str,
    /// What is there before.
    pub base: Base,
    /// It reads so much that it is killed only at calls that can change something: the states that others
    /// leave are the same.
    pub reads_much: bool,
    /// It is not durable: a power cut may take what it did, and leave findings in its place.
    pub buffered: bool,
    /// It is durable at its end, and begins with a call that is not.
    pub durable_late: bool,
    /// Where its process dies before a last sync, what it renamed stays only on a disk that has renames in order.
    pub needs_order: bool,
    /// It is tried once more with a head after every record.
    pub heads: bool,
    /// `cargo test` kills its recovery by SIGKILL, as that of one operation of each kind; of the others it is cut
    /// off in the trial's process. The long run kills it for all.
    pub recovery_killed: bool,
    /// It says once what became of a run, and again where a repair added to the run meanwhile.
    pub worded_anew: bool,
    /// It lets others claim its task at the end, and goes well where it cannot say so: its lease ends with its time.
    pub lets_go: bool,
    /// Sets the stage beyond the base, in a process of its own.
    pub prepare: fn(&Place, &mut Acks) -> Outcome,
    /// The call itself, between the marks; also what is called again after a crash.
    pub operate: fn(&Place, &mut Acks) -> Outcome,
    /// What must be true after any crash, once somebody caught up.
    pub holds: fn(&Seen<'_>) -> Outcome,
    /// What must be true once the call has gone through.
    pub done: fn(&Seen<'_>) -> Outcome,
}

/// What an operation's own checks look at.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Where.
    pub place: &'a Place,
    /// The counted records of the run; none where it does not exist.
    pub records: &'a [RawRecord],
}

impl Seen<'_> {
    /// How many records of this type count.
    #[must_use]
    pub fn count(&self, event_type: &str) -> usize {
        self.records.iter().filter(|record| record.text("event_type") == event_type).count()
    }

    /// The text of an artifact; empty where it is not there.
    #[must_use]
    pub fn artifact(&self, name: &str) -> String {
        let path = self.place.run_dir().join("artifacts").join(name);
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

/// An operation that needs nothing beyond its base, and promises nothing beyond the invariants.
const PLAIN: Operation = Operation {
    name: "",
    base: Base::Run,
    reads_much: false,
    buffered: false,
    durable_late: false,
    needs_order: false,
    heads: false,
    recovery_killed: false,
    worded_anew: false,
    lets_go: false,
    prepare: |_, _| Ok(()),
    operate: |_, _| Ok(()),
    holds: |_| Ok(()),
    done: |_| Ok(()),
};

/// The groups of operations.
pub const ALL: &[&[Operation]] = &[
    append::ALL,
    artifact::ALL,
    store::ALL,
    checkpoint::ALL,
    step::ALL,
    turn::ALL,
    flow::ALL,
    creation::ALL,
    state::ALL,
    lease::ALL,
    receipt::ALL,
    work::ALL,
    session::ALL,
    backup::ALL,
    repair::ALL,
    prune::ALL,
    relocation::ALL,
];

/// The operations that are tried with a head after every record: one of each kind, and those about heads alone.
pub fn with_heads() -> impl Iterator<Item = &'static Operation> {
    all().filter(|operation| operation.heads)
}

/// The operation of this name, planted ones included.
#[must_use]
pub fn find(name: &str) -> Option<&'static Operation> {
    every().find(|operation| operation.name == name)
}

/// The same, or what names there are.
///
/// # Errors
/// Where it is none of them.
pub fn named(name: &str) -> Outcome<&'static Operation> {
    let names = || every().map(|operation| operation.name).collect::<Vec<_>>().join(", ");
    let unknown = || Violation::new(format!("there is no operation {name}; there are {}", names()));
    find(name).ok_or_else(unknown)
}

fn every() -> impl Iterator<Item = &'static Operation> {
    all().chain(planted::ALL).chain(planted::WITH_HEADS)
}

/// All that are right.
fn all() -> impl Iterator<Item = &'static Operation> {
    ALL.iter().copied().flatten().chain(heads::ALL)
}

/// An operation that promises nothing, to start from.
#[must_use]
pub const fn plain() -> Operation {
    PLAIN
}

impl Base {
    /// Makes it.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn prepare(self, place: &Place, acks: &mut Acks) -> Outcome {
        if self == Base::Nothing {
            return Ok(());
        }
        Workspace::create(place.root())?;
        if self == Base::Workspace {
            return Ok(());
        }
        let task = place.workspace()?.create_task(TASK, TaskOptions::default())?;
        if self == Base::Task {
            return Ok(());
        }
        let ctx = task.start_run_as(RUN)?;
        acks.appended(&ctx.append(runjournal::Event::new("seeded").key("seed"))?)?;
        for (name, content) in [
            ("plan.json", "the first plan"),
            ("old.txt", "to be removed"),
            ("deep/below/note.txt", "to be removed with its directories"),
        ] {
            let name = runjournal::ArtifactName::new(name)?;
            acks.stored(&ctx.artifacts().write_bytes(name, content.as_bytes())?)?;
        }
        Ok(())
    }
}
