//! The run directory that agent and data pipelines can trust: **the disk is the state**.
//!
//! A node is handed a [`RunContext`], an immutable value that only knows *where* things are. It reads
//! artifacts, works, writes artifacts, and returns a [`Signal`] that routes. Artifacts live under
//! `workspaces/<task>/runs/<run>/artifacts/`; what happened is in an append-only `events.jsonl` next to
//! them. Both open with `cat` and `jq`, and whatever crashes, and however many write, nothing that was
//! acknowledged is lost, torn, duplicated or renumbered.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
//! use runjournal::{Artifact, Signal, StepContext, StepResult, TaskOptions, Workspace};
//!
//! const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json"); // a bad name does not compile
//! const REPORT: Artifact<usize> = Artifact::json("report.json");
//!
//! fn plan(s: &StepContext) -> StepResult {
//!     s.write(PLAN, &vec!["fetch".into(), "build".into()])?; // staged
//!     Ok(Signal::new("planned")) // committed with step_completed, whole or not at all
//! }
//!
//! fn execute(s: &StepContext) -> StepResult {
//!     let plan = s.read(PLAN)?; // recorded as an input
//!     s.write(REPORT, &plan.len())?;
//!     Ok(Signal::new("success"))
//! }
//!
//! let task = Workspace::open_or_create(&root)?
//!     .open_or_create_task("TASK-1", TaskOptions::default())?;
//! let ctx = task.open_or_start_run("RUN-1")?; // the next call goes on from here
//! if ctx.step("plan", plan)? == "planned" {
//!     ctx.step("execute", execute)?;
//! }
//! ctx.step("execute", |_| unreachable!("a completed step is not run again"))?;
//! assert_eq!(ctx.artifacts().read(REPORT)?, 2);
//! # Ok(())
//! # }
//! ```
//!
//! # What for what
//!
//! | you want to | with |
//! | --- | --- |
//! | make or find a workspace, a task, a run | [`Workspace`], [`Task`]; in a child process [`RunContext::from_env`] |
//! | do a piece of work once | [`RunContext::step`], [`Step`], [`StepContext`] |
//! | count the turns of a loop; do again only what changed | [`Step::turn`], [`Step::item`]; [`Step::skip_if_unchanged`] |
//! | do it by a program that is there already | [`Program`], [`Node`] |
//! | plan, execute and verify with code that exists | [`Planner`], [`Executor`], [`Verifier`], [`gate`] |
//! | run a graph of nodes, and go on after a crash | [`Flow`], [`FlowRunner`] |
//! | see where it stands, and draw it | [`FlowDefinition::recorded`], [`FlowDefinition::state`], [`FlowState`] |
//! | run a graph of programs from a file | [`FlowDefinition::from_json`], [`Flow::of_programs`] |
//! | share work among workers that may die | [`Task::queue`], [`RunContext::queue`], [`Queue`], [`Work`] |
//! | read and write artifacts one at a time | [`RunContext::artifacts`], [`Artifact`], [`Artifacts`], [`Expect`] |
//! | the same with files larger than memory | [`Artifacts::create`], [`Artifacts::open`], [`Artifacts::import`] |
//! | see all that was done with an artifact | [`Artifacts::history`], [`ArtifactHistory`] |
//! | write several things as one | [`RunContext::transaction`], [`Transaction`] |
//! | decide a command once, and be told the same when it comes again | [`RunContext::dispatch`], [`Command`], [`Receipt`]; many: [`RunContext::commands`] |
//! | append events | [`RunContext::append`], [`Event`]; many: [`RunContext::journal`] |
//! | read events: all, filtered, the last few, from a cursor | [`RunContext::events`], [`Events`], [`Record`], [`Cursor`] |
//! | read them as a type of yours | [`Record::decode`] |
//! | see them as they come, and go on later | [`Events::follow`], [`Follow`], [`Follow::cursor`] |
//! | keep others from writing to a task while you work on it | [`Task::claim`], [`Lease`], [`Heartbeat`] |
//! | look at a run, move it, end it; only if its reports say so | [`RunContext::run`], [`Run`], [`RunState`]; [`Completion`] |
//! | go on with a provider's session after a crash | [`RunContext::session`], [`Session`] |
//! | ask people, and wait for the answer | [`RunContext::request_approval`], [`RunContext::wait_for_approval`], [`Approval`] |
//! | describe a run on one page, tell equal outputs by one digest, find what was changed or lost | [`RunContext::manifest`], [`Manifest`] |
//! | keep the artifacts of a turn, read and restore them, and see what changed | [`RunContext::checkpoint`], [`Checkpoint`], [`ArtifactSet`], [`Diff`] |
//! | see which step made an artifact, from what, and what a change makes stale | [`RunContext::lineage`], [`Lineage`], [`Why`], [`Stale`] |
//! | find what is damaged, missing or does not agree, in a run, a task or a whole workspace | [`Verify`], [`Verified`], [`LastVerify`] |
//! | keep copies of it elsewhere, taken while others write, and put them back | [`Backup::take`], [`Snapshot::restore_to`], [`Backup::prune`] |
//! | keep a run whatever its age; remove what is old | [`Task::hold_run`], [`Hold`]; [`Prune`], [`PrunePlan`] |
//! | mend what is damaged: a plan, then its application; nothing is deleted | [`Repair`], [`RepairPlan`] |
//! | see how a workspace is: disk, runs, locks, leases, index | [`Health`] |
//! | see what lives, what waits for whom, what failed last and why | [`Overview`], [`Glance`] |
//! | ask across tasks and runs | [`index::Index`], [`index::IndexReader`] (feature `sqlite`) |
//! | see a run as it stands, then its events | [`index::IndexReader::snapshot`] (feature `sqlite`) |
//! | see a whole run as one text | [`tree::render`] |
//! | test a node, a flow, a crash | `testing::TestWorkspace`, `testing::crash` (feature `testing`), `assert_run_snapshot!` (feature `insta`) |
//!
//! # The map
//!
//! Rooms in reading order; each uses only rooms above it.
//!
//! | rooms | what they hold |
//! | --- | --- |
//! | `error` `clock` `id` `digest` `name` `finding` `layout` `json` `line` `status` `threads` | values, without I/O; the same work by several threads |
//! | `io` | the only code that touches the file system |
//! | `object` | content by its digest, in `objects/` |
//! | `genesis` | `workspace.json`, `task.json`, `run.json` |
//! | `journal` | records, the chain, and the one function that decides what counts |
//! | `artifact` | files, with the journal as their write-ahead log |
//! | `context` | [`RunContext`] and [`JournalWriter`]: where a node stands |
//! | `manifest` | [`Manifest`]: one page that describes the whole run |
//! | `workspace` | [`Workspace`], [`Task`], [`Run`]: definitions, creation, completion, holds; which part is meant ([`Scope`], [`Subject`]) |
//! | `lease` | [`Lease`]: who may write to a task |
//! | `receipt` | [`RunContext::dispatch`]: commands that are decided once |
//! | `work` | [`Queue`]: work that is put in once, claimed by one worker, completed once |
//! | `session` `approval` | [`Session`]s with providers; [`Approval`]s: questions to people |
//! | `checkpoint` | the artifacts of a run as they were at a turn |
//! | `index` | the workspace's index: rebuild, refresh, verify, query (feature `sqlite`) |
//! | `step` | [`RunContext::step`]: work that is done once |
//! | `program` | [`Program`]: somebody else's executable as a node |
//! | `node` | [`Node`]: what a flow runs |
//! | `contract` | [`Plan`] and reports; [`planner`], [`executor`], [`verifier`], [`gate`] as nodes |
//! | `flow` | [`Flow`]: nodes and edges, run from where they stand |
//! | `lineage` | [`Lineage`]: which step made what, from what |
//! | `tree` | [`tree::render`]: one canonical text of a run |
//! | `diff` | two turns, or two runs, held against each other |
//! | `verify` | [`Verify`]: everything held against everything: findings |
//! | `backup` | copies elsewhere, and what is put back from them |
//! | `repair` | [`RepairPlan`]: what findings ask for; nothing is deleted |
//! | `prune` | runs that are old enough to go |
//! | `health` | one page on the state of a workspace ([`Health`]), what a person asks first ([`Overview`]) |
//! | `testing` | a workspace for tests (feature `testing`) |
//!
//! What is on disk is specified in `docs/format.md`, what survives what in `docs/durability.md`, how to call
//! this from async code in `docs/async.md`, how to test what is built on this in `docs/testing.md`.
// The page links the index, which is only there with its feature.
#![cfg_attr(not(feature = "sqlite"), allow(rustdoc::broken_intra_doc_links))]

mod error;

mod clock;
mod digest;
mod finding;
mod id;
mod json;
mod layout;
mod line;
mod name;
mod planted;
mod status;
mod threads;

mod io;

#[cfg(runjournal_proof)]
mod fuzzed;

mod object;

mod genesis;

mod journal;

mod artifact;

mod context;

mod manifest;

mod workspace;

mod lease;
mod receipt;
mod work;

mod session;

mod approval;

mod checkpoint;

#[cfg(feature = "sqlite")]
pub mod index;

mod step;

mod program;

mod node;

mod contract;

mod flow;

mod lineage;

pub mod tree;

mod diff;

mod verify;

mod backup;

mod repair;

mod prune;

mod health;

#[cfg(runjournal_proof)]
mod replayed;

#[cfg(feature = "testing")]
pub mod testing;

/// What the proof's build shows of the inside: the calls that are made on the disk, and mistakes to be made.
#[cfg(runjournal_proof)]
pub mod proof {
    pub use crate::io::{Call, Node, Verdict, Watch, Watching, watch};
    pub use crate::planted::BUGS;

    /// What is fed with bytes: each panics where something does not hold.
    pub mod fuzz {
        pub use crate::backup::fuzzed::backup;
        pub use crate::checkpoint::fuzzed::checkpoint;
        pub use crate::flow::fuzzed::flow;
        pub use crate::fuzzed::{json, names};
        pub use crate::genesis::fuzzed::genesis;
        pub use crate::journal::fuzzed::{head, journal, line, table};
        pub use crate::manifest::fuzzed::manifest;
        pub use crate::replayed::replayed;

        /// A function of bytes, whatever they are.
        pub type Target = fn(&[u8]);

        /// All of them, by name.
        pub const TARGETS: &[(&str, Target)] = &[
            ("line", line),
            ("json", json),
            ("names", names),
            ("genesis", genesis),
            ("journal", journal),
            ("replayed", replayed),
            ("head", head),
            ("table", table),
            ("checkpoint", checkpoint),
            ("manifest", manifest),
            ("backup", backup),
            ("flow", flow),
        ];
    }
}

// All that the page shows: its index needs the feature.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../docs/async.md")]
mod async_page {}

pub use approval::{Approval, ApprovalError, Resolution};
pub use artifact::{
    Artifact, ArtifactAct, ArtifactEntry, ArtifactError, ArtifactHistory, ArtifactReader,
    ArtifactRecord, ArtifactWriter, Artifacts, Committed, Expect, StagedWriter, Stored,
    Transaction,
};
pub use backup::{
    Backup, BackupError, BackupGenesis, BackupObject, BackupProgress, BackupPrune, BackupPrunePlan,
    BackupPruned, BackupVerified, Restore, RestoreAction, RestoreItem, RestorePlan, Restored,
    Retention, Snapshot, SnapshotHome, SnapshotKept, SnapshotTotals,
};
pub use checkpoint::{ArtifactSet, ByHand, Checkpoint, CheckpointError, RestoreChange};
pub use clock::{Clock, SystemClock, Timestamp, TimestampError};
pub use context::{ContextError, JournalWriter, RunContext};
pub use contract::{
    Author, Check, ContractError, Executor, ExecutorReport, GateReport, Plan, PlanStep, Planner,
    Report, ReportStatus, Verifier, VerifierReport, executor, gate, planner, verifier,
};
pub use diff::{ArtifactChange, ChangeKind, Diff, DiffSide};
pub use digest::{Digest, DigestError};
pub use error::IoError;
pub use finding::{Code, Finding, Place, Severity};
pub use flow::{
    Flow, FlowBuilder, FlowDefect, FlowDefects, FlowDefinition, FlowError, FlowFileError, FlowNext,
    FlowNode, FlowRunner, FlowStand, FlowState, FlowVisit, Retry, Target,
};
pub use genesis::{GenesisError, RunGenesis, TaskGenesis, WorkspaceGenesis};
pub use health::{
    FailedStep, Glance, Health, HealthLease, HealthTrouble, LockedJournal, OpenRun, OpenStep,
    Overview, Question, RunsByStatus, Sign, TaskOverview,
};
#[cfg(feature = "sqlite")]
pub use health::{IndexHealth, IndexState};
pub use id::{EventId, IdError, IdSource, RandomIds, RunId, StepName, TaskId};
pub use journal::{
    Actor, Appended, Cursor, CursorError, Durability, Event, Events, ExpectedVersion, Fold, Follow,
    Followed, Garbage, JournalError, LeaseRef, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_LINE,
    PayloadRef, Record, StepRef, TooLarge,
};
pub use lease::{Heartbeat, Lease, LeaseError, LeaseState};
pub use lineage::{
    ArtifactVersion, AttemptState, Because, Lineage, LineageError, Maker, Stale, StaleStep,
    StepAttempt, StepInput, Why,
};
pub use manifest::{Manifest, ManifestArtifact, ManifestError, ManifestJournal};
pub use name::{ArtifactName, NameError};
pub use node::Node;
pub use program::{Program, ProgramError, StderrTail};
pub use prune::{
    Keep, KeptRun, Leftover, LeftoverKind, PrunableRun, Prune, PruneError, PrunePlan, PrunePolicy,
    PruneReason, Pruned,
};
pub use receipt::{Command, CommandError, CommandOutcome, Commands, Receipt, Rejection};
pub use repair::{Left, Means, Mend, NotMended, Origin, Repair, RepairError, RepairPlan, Repaired};
pub use session::{Session, SessionError, SessionState, SessionStatus};
pub use status::{Outcome, RunStatus, TaskStatus};
pub use step::{Cancel, Signal, Step, StepContext, StepError, StepFailure, StepResult};
pub use verify::{
    LastVerify, ReadData, ReadDataError, Verified, Verify, VerifyError, VerifyProgress,
};
pub use work::{Claim, ClaimRef, Queue, Work, WorkError, WorkItem, WorkState};
pub use workspace::{
    Completion, Hold, ReportFault, Run, RunOptions, RunState, Scope, Subject, Task, TaskOptions,
    UnmetReport, Workspace, WorkspaceError,
};
