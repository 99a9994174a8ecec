//! What the last record of a session says of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::SessionError;
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::journal::{Event, Fold, Folded, JournalError, LockedLog, Record};

/// The kind of the streams of sessions.
const STREAM: &str = "session";

/// The state of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SessionStatus {
    /// Asked for; the provider has not answered yet.
    Starting,
    /// At work.
    Running,
    /// Over, and well.
    Stopped,
    /// Over, and not well.
    Error,
}

impl SessionStatus {
    /// True for `stopped` and `error`.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, SessionStatus::Stopped | SessionStatus::Error)
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SessionStatus::Starting => "starting",
            SessionStatus::Running => "running",
            SessionStatus::Stopped => "stopped",
            SessionStatus::Error => "error",
        })
    }
}

/// The payload of a session's records.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) provider: String,
    pub(super) status: SessionStatus,
    /// JSON `null` is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resume_cursor: Option<Box<RawValue>>,
    pub(super) last_seen: Timestamp,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The seq of its `session_started`; that record is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) started: Option<u64>,
}

impl Said {
    pub(super) fn event(&self, event_type: &str, session: &str) -> Event {
        Event::new(event_type).stream(STREAM, session).payload(self)
    }
}

/// A session of a run, as its last record has it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionState {
    /// Its id.
    pub id: String,
    /// With whom.
    pub provider: String,
    /// Its state.
    pub status: SessionStatus,
    /// When it was last heard of, by the clock of who said so; for people.
    pub last_seen: Timestamp,
    /// Why it failed, if it did.
    pub reason: Option<String>,
    /// The seq of the record that started it, the last time that it was.
    pub started_seq: u64,
    /// The seq of its last record.
    pub seq: u64,
    resume_cursor: Option<Box<RawValue>>,
}

impl SessionState {
    fn of(record: &Record) -> Result<Self, JournalError> {
        let said: Said = record.payload()?;
        Ok(Self {
            id: record.stream_id().to_owned(),
            provider: said.provider,
            status: said.status,
            last_seen: said.last_seen,
            reason: said.reason,
            started_seq: said.started.unwrap_or(record.seq()),
            seq: record.seq(),
            resume_cursor: said.resume_cursor,
        })
    }

    /// The journal's last word on a session.
    pub(super) fn last(
        locked: &mut LockedLog<'_>,
        session: &str,
    ) -> Result<Option<Self>, JournalError> {
        locked.last(STREAM, session)?.map(|record| Self::of(&record)).transpose()
    }

    /// What a next record says where nothing but the status and the time changes.
    pub(super) fn moved(self, status: SessionStatus, last_seen: Timestamp) -> Said {
        Said {
            provider: self.provider,
            status,
            resume_cursor: self.resume_cursor,
            last_seen,
            reason: None,
            started: Some(self.started_seq),
        }
    }

    /// Where the provider goes on, as it was written: integers of any size are exact.
    ///
    /// # Errors
    /// [`SessionError::CursorShape`] where it does not read as a `T`.
    pub fn resume_cursor<T: DeserializeOwned>(&self) -> Result<Option<T>, SessionError> {
        let Some(json) = &self.resume_cursor else { return Ok(None) };
        let shape = |source| SessionError::CursorShape { session: self.id.clone(), source };
        serde_json::from_str(json.get()).map(Some).map_err(shape)
    }
}

/// All sessions of a run.
#[derive(Debug, Default)]
struct Sessions(BTreeMap<String, SessionState>);

impl Fold for Sessions {
    fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
        self.0.insert(record.stream_id().to_owned(), SessionState::of(record)?);
        Ok(())
    }
}

impl RunContext {
    /// A session of the run; `None` where there is none with this id. Its last record is looked for from
    /// the journal's end, without a lock.
    ///
    /// # Errors
    /// Where the run's journal cannot be read.
    pub fn session_state(&self, id: &str) -> Result<Option<SessionState>, SessionError> {
        let last = self.events()?.in_stream(STREAM, id).last(1)?.next().transpose()?;
        Ok(last.map(|record| SessionState::of(&record)).transpose()?)
    }

    /// The run's sessions, sorted by id; read without a lock.
    ///
    /// # Errors
    /// Where the run's journal cannot be read.
    pub fn sessions(&self) -> Result<Vec<SessionState>, SessionError> {
        let mut sessions = Folded::<Sessions>::new(STREAM, None);
        sessions.read(&self.home())?;
        Ok(sessions.state().0.values().cloned().collect())
    }
}
