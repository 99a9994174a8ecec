//! A session that this process speaks for.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::state::Said;
use super::{SessionError, SessionState, SessionStatus};
use crate::artifact::HomeWriter;
use crate::context::RunContext;
use crate::id;
use crate::journal::{Durability, Event, JournalError, LockedLog, types};
use crate::json;

/// A session of a run with a provider: from [`RunContext::session`]. Its state is in the journal, not
/// here; what one handle says, another one reads. It can be shared by threads.
///
/// A handle is for the session from one start to its end. Once that ended, by whomever, it changes
/// nothing any more ([`SessionError::Over`]), also if the session was started anew since.
///
/// Each change is one record that holds the whole state. It is durable, unless
/// [`durability`](Session::durability) says otherwise; a crash leaves the state before it or after it.
#[derive(Debug)]
pub struct Session {
    writer: Arc<HomeWriter>,
    id: String,
    /// The seq of the `session_started` that it is for.
    started: u64,
    durability: Durability,
}

impl RunContext {
    /// Starts a session with a provider, or resumes it: one that is starting or running is handed out as it
    /// is, so a process that was restarted goes on from its [`resume_cursor`](Session::resume_cursor).
    /// One that stopped or failed is started anew, and keeps its resume cursor. Of many callers at once,
    /// exactly one record starts it, and all get it. Durable.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    /// # let task = runjournal::Workspace::open_or_create(&root)?
    /// #     .open_or_create_task("TASK-1", runjournal::TaskOptions::default())?;
    /// # let ctx = task.open_or_start_run("RUN-1")?;
    /// use runjournal::SessionStatus;
    ///
    /// let session = ctx.session("claude-1", "anthropic")?;
    /// let turn = session.resume_cursor::<u32>()?.unwrap_or(0);
    /// session.update_with(SessionStatus::Running, &(turn + 1))?;
    ///
    /// // After a crash, the same lines:
    /// let session = ctx.session("claude-1", "anthropic")?;
    /// assert_eq!(session.resume_cursor::<u32>()?, Some(1));
    /// session.stop()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SessionError::BadName`] unless id and provider have 1 to 1,024 bytes and no control characters;
    /// [`SessionError::OtherProvider`] where it is a session with another one; otherwise as an append, also
    /// where nothing has to be appended: who may not write to the run does not go on with its sessions.
    pub fn session(&self, id: &str, provider: &str) -> Result<Session, SessionError> {
        check_name("session id", id)?;
        check_name("provider", provider)?;
        let writer = self.writer();
        let started = writer.decide(Durability::Durable, |locked| start(locked, id, provider))?;
        Ok(Session { writer, id: id.to_owned(), started, durability: Durability::Durable })
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), SessionError> {
    id::check_name(name).map_err(|reason| SessionError::BadName {
        what,
        name: name.to_owned(),
        reason,
    })
}

/// The seq of the record that started the session, which is appended if there is none that holds.
fn start(locked: &mut LockedLog<'_>, id: &str, provider: &str) -> Result<u64, SessionError> {
    let last = SessionState::last(locked, id)?;
    if let Some(last) = &last {
        if last.provider != provider {
            return Err(SessionError::OtherProvider {
                session: id.to_owned(),
                provider: last.provider.clone(),
                asked: provider.to_owned(),
            });
        }
        if !last.status.is_over() {
            locked.check_admitted()?;
            return Ok(last.started_seq);
        }
    }
    let last_seen = locked.home().runtime.clock.now();
    let said = match last {
        Some(last) => Said { started: None, ..last.moved(SessionStatus::Starting, last_seen) },
        None => Said {
            provider: provider.to_owned(),
            status: SessionStatus::Starting,
            resume_cursor: None,
            last_seen,
            reason: None,
            started: None,
        },
    };
    Ok(append(locked, said.event(types::SESSION_STARTED, id))?)
}

fn append(locked: &mut LockedLog<'_>, event: Event) -> Result<u64, JournalError> {
    let appended = locked.append(std::slice::from_ref(&event))?;
    let first = appended.first().map(|appended| appended.seq);
    first.ok_or_else(|| event.bad("it was not appended"))
}

impl Session {
    /// What each change survives once it returned; `Durable` unless said otherwise.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The session's state now, whoever changed it: the journal's last word.
    ///
    /// # Errors
    /// Where the journal cannot be read, or its lock is not to be had.
    pub fn state(&self) -> Result<SessionState, SessionError> {
        self.writer.with_log(|log| {
            let last = SessionState::last(&mut log.lock()?, &self.id)?;
            last.ok_or_else(|| self.over("the journal does not have it any more"))
        })
    }

    /// Where the provider goes on, if somebody said so; see [`SessionState::resume_cursor`].
    ///
    /// # Errors
    /// [`SessionError::CursorShape`] where it does not read as a `T`; otherwise as [`state`](Session::state).
    pub fn resume_cursor<T: DeserializeOwned>(&self) -> Result<Option<T>, SessionError> {
        self.state()?.resume_cursor()
    }

    /// Says that it is starting or running. The resume cursor stays.
    ///
    /// # Errors
    /// [`SessionError::Over`] where the session ended since; [`SessionError::IllegalMove`] for a status that
    /// only [`stop`](Session::stop) and [`fail`](Session::fail) lead to.
    pub fn update(&self, status: SessionStatus) -> Result<(), SessionError> {
        self.go_on(status, None)
    }

    /// Says that it is starting or running, and where the provider goes on: any JSON, kept exactly. With
    /// what is JSON `null`, there is no resume cursor from here on.
    ///
    /// # Errors
    /// As [`update`](Session::update); [`SessionError::NotJson`].
    pub fn update_with<T: Serialize + ?Sized>(
        &self,
        status: SessionStatus,
        resume_cursor: &T,
    ) -> Result<(), SessionError> {
        // A type of the user's is written before the lock is taken.
        self.go_on(status, Some(self.to_json(resume_cursor)?))
    }

    fn go_on(
        &self,
        status: SessionStatus,
        cursor: Option<Box<RawValue>>,
    ) -> Result<(), SessionError> {
        if status.is_over() {
            return Err(SessionError::IllegalMove { session: self.id.clone(), to: status });
        }
        self.decide(|locked, last| {
            let mut said = last.moved(status, locked.home().runtime.clock.now());
            if let Some(cursor) = cursor {
                said.resume_cursor = Some(cursor).filter(|json| json.get() != "null");
            }
            self.say(locked, types::SESSION_UPDATED, &said)
        })
    }

    /// Says that it was heard of: only its `last_seen` moves.
    ///
    /// # Errors
    /// As [`update`](Session::update).
    pub fn seen(&self) -> Result<(), SessionError> {
        self.decide(|locked, last| {
            let status = last.status;
            let said = last.moved(status, locked.home().runtime.clock.now());
            self.say(locked, types::SESSION_UPDATED, &said)
        })
    }

    /// Ends it well. The resume cursor stays, for who starts it anew. Again, it changes nothing.
    ///
    /// # Errors
    /// [`SessionError::Over`] where it ended otherwise, or was started anew.
    pub fn stop(&self) -> Result<(), SessionError> {
        self.end(SessionStatus::Stopped, None)
    }

    /// Ends it, and not well; otherwise as [`stop`](Session::stop).
    ///
    /// # Errors
    /// [`SessionError::Over`] where it ended otherwise, also for another reason, or was started anew.
    pub fn fail(&self, reason: impl Into<String>) -> Result<(), SessionError> {
        self.end(SessionStatus::Error, Some(reason.into()))
    }

    fn end(&self, status: SessionStatus, reason: Option<String>) -> Result<(), SessionError> {
        self.writer.decide(self.durability, |locked| {
            let last = self.last(locked)?;
            if last.status == status && last.reason == reason {
                return Ok(());
            }
            let last = self.alive(last)?;
            let said = last.moved(status, locked.home().runtime.clock.now());
            self.say(locked, types::SESSION_STOPPED, &Said { reason, ..said })
        })
    }

    /// Decides from the state of a session that is not over.
    fn decide(
        &self,
        decide: impl FnOnce(&mut LockedLog<'_>, SessionState) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        self.writer.decide(self.durability, |locked| {
            let last = self.last(locked)?;
            decide(locked, self.alive(last)?)
        })
    }

    fn say(
        &self,
        locked: &mut LockedLog<'_>,
        event_type: &str,
        said: &Said,
    ) -> Result<(), SessionError> {
        append(locked, said.event(event_type, &self.id))?;
        Ok(())
    }

    /// The last word on this start of the session.
    fn last(&self, locked: &mut LockedLog<'_>) -> Result<SessionState, SessionError> {
        match SessionState::last(locked, &self.id)? {
            Some(last) if last.started_seq == self.started => Ok(last),
            Some(last) => {
                Err(self.over(format!("it was started anew by seq {}", last.started_seq)))
            }
            None => Err(self.over("the journal does not have it any more")),
        }
    }

    fn alive(&self, last: SessionState) -> Result<SessionState, SessionError> {
        if !last.status.is_over() {
            return Ok(last);
        }
        let reason = last.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        Err(self.over(format!("{}{reason} since seq {}", last.status, last.seq)))
    }

    fn over(&self, newest: impl Into<String>) -> SessionError {
        SessionError::Over { session: self.id.clone(), newest: newest.into() }
    }

    fn to_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<Box<RawValue>, SessionError> {
        let json = json::on_one_line(value).and_then(RawValue::from_string);
        json.map_err(|source| SessionError::NotJson { session: self.id.clone(), source })
    }
}
