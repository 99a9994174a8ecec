//! What a worker does: each act has all that it needs to know in it.

use std::fmt;

use super::trouble::Trouble;

/// An act of a worker.
#[derive(Debug, Clone)]
pub(super) struct Act {
    /// Its place in the plan of the seed, whatever became of the others.
    pub(super) number: usize,
    pub(super) worker: usize,
    pub(super) task: usize,
    pub(super) run: usize,
    pub(super) what: What,
    pub(super) trouble: Option<Trouble>,
}

/// How the body of a step ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Completes,
    Fails,
    Dies,
}

/// What is done. A path, a name, a key, an item are numbers: see [`words`](super::words).
#[derive(Debug, Clone)]
pub(super) enum What {
    Append {
        events: usize,
        durable: bool,
        key: Option<usize>,
        large: bool,
        kept: bool,
        /// The version of the stream is expected, the right one or another.
        expect: Option<bool>,
    },
    Write {
        path: usize,
        content: usize,
        durable: bool,
        streamed: bool,
    },
    Remove {
        path: usize,
        durable: bool,
    },
    Transaction {
        paths: Vec<usize>,
        remove: Option<usize>,
        events: usize,
        durable: bool,
        key: Option<usize>,
        content: usize,
    },
    Step {
        name: usize,
        turn: Option<u64>,
        ending: Ending,
        path: usize,
        events: usize,
    },
    Checkpoint,
    Restore {
        turn: u64,
    },
    Claim {
        minutes: u64,
    },
    Renew,
    Release,
    Command {
        id: usize,
    },
    QueueAdd {
        item: usize,
    },
    QueueNext {
        minutes: u64,
    },
    QueueDone {
        events: usize,
    },
    QueueFail {
        minutes: u64,
    },
    QueueReap,
    Status,
    TaskStatus,
    Complete {
        success: bool,
    },
    StartRun,
    CatchUp,
    Manifest,
    Follow,
    Refresh,
    Verify,
    RepairPlan,
    Backup,
    /// The worker's handles are dropped, and another takes its place.
    NewWorker,
    /// The clock of all is moved.
    Clock {
        minutes: i64,
    },
    /// The power goes, with what was not synced; all begin anew.
    PowerCut,
    LoseHead,
    KeepHead,
    OldHead,
    LoseIndex,
}

impl What {
    /// True for what is no call of the library, so that nothing can go wrong within.
    pub(super) fn is_calm(&self) -> bool {
        matches!(
            self,
            Self::NewWorker
                | Self::Clock { .. }
                | Self::PowerCut
                | Self::LoseHead
                | Self::KeepHead
                | Self::OldHead
                | Self::LoseIndex
        )
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, worker, task, run, what, trouble } = self;
        write!(f, "{number}: worker {worker} at T{task}/R{run}: {what:?}")?;
        trouble.map_or(Ok(()), |trouble| write!(f, ", {trouble}"))
    }
}
