//! wip
mod error; mod id; mod clock; mod digest; mod name; mod finding; mod layout; mod json; mod line; mod io; mod genesis; mod journal; mod artifact; mod context; mod workspace;
pub use digest::{Digest, DigestError};
pub use error::IoError;
pub use name::{ArtifactName, NameError};
pub use id::{EventId, IdError, IdSource, RandomIds, RunId, StepName, TaskId};
pub use clock::{Clock, SystemClock, Timestamp, TimestampError};
pub use finding::{Code, Finding, Place, Severity};
pub use genesis::{GenesisError, RunGenesis, TaskGenesis, WorkspaceGenesis};
pub use journal::{Actor, Appended, Durability, Event, Events, ExpectedVersion, Garbage, JournalError, PayloadRef, Record, StepRef, TooLarge, MAX_LINE, MAX_BATCH_BYTES, MAX_BATCH_RECORDS};
pub use artifact::{Artifact, ArtifactEntry, ArtifactError, Artifacts, Committed, Expect, Stored, Transaction};
pub use context::{ContextError, JournalWriter, RunContext};
pub use workspace::{Outcome, Run, RunOptions, RunState, RunStatus, Task, TaskOptions, TaskStatus, Workspace, WorkspaceError};
