//! Asking, answering, and waiting for the answer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::state::{Approvals, Requested, Resolved, STREAM};
use super::{Approval, ApprovalError};
use crate::context::RunContext;
use crate::id;
use crate::journal::{
    Actor, AllAppended, Appended, Durability, Event, Fold as _, Folded, Followed, JournalError,
    LockedLog, types,
};

impl RunContext {
    /// Asks people something, once: asked again, it is the same question. Durable. With no options, any
    /// decision answers it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    /// # let task = runjournal::Workspace::open_or_create(&root)?
    /// #     .open_or_create_task("TASK-1", runjournal::TaskOptions::default())?;
    /// # let ctx = task.open_or_start_run("RUN-1")?;
    /// use std::time::Duration;
    ///
    /// ctx.request_approval("deploy", "Deploy to production?", &["yes", "no"])?;
    /// // Somebody else, or `runjournal approval resolve deploy yes`:
    /// ctx.resolve_approval("deploy", "yes", "ada")?;
    /// let answered = ctx.wait_for_approval("deploy", Duration::from_secs(3600))?;
    /// assert!(answered.resolution.is_some_and(|resolution| resolution.decision == "yes"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ApprovalError::BadName`] unless the id has 1 to 1,024 bytes and no control characters;
    /// [`ApprovalError::BadOptions`] where an option is empty or stands twice;
    /// [`ApprovalError::AskedOtherwise`] where the id stands for another question, or one with other
    /// options; otherwise as an append.
    pub fn request_approval(
        &self,
        id: &str,
        question: &str,
        options: &[&str],
    ) -> Result<Appended, ApprovalError> {
        check_name("approval id", id)?;
        let options = checked(id, options)?;
        let asked = Requested { question: question.to_owned(), options };
        let event = event(types::APPROVAL_REQUESTED, id).key(key(id)).payload(&asked);
        self.writer().decide(Durability::Durable, |locked| {
            match locked.append(std::slice::from_ref(&event)) {
                Err(JournalError::KeyConflict { key, .. }) => {
                    let Requested { question, options } = self.keyed(locked, &key, id)?;
                    let approval = id.to_owned();
                    Err(ApprovalError::AskedOtherwise { approval, question, options })
                }
                other => Ok(first(other?, &event)?),
            }
        })
    }

    /// Answers what was asked, once: of many answers the first holds, and the same one by the same again is
    /// that one. Durable.
    ///
    /// Who answers is a person, not the worker: while the task is under a lease, a context without one may
    /// answer all the same, if it does not stand in a step. One whose lease is over may not.
    ///
    /// # Errors
    /// [`ApprovalError::AlreadyResolved`] says which answer holds; [`ApprovalError::NotAsked`];
    /// [`ApprovalError::NotAnOption`]; [`ApprovalError::BadName`] unless `by` is a name of 1 to 1,024 bytes
    /// without control characters; otherwise as an append.
    pub fn resolve_approval(
        &self,
        id: &str,
        decision: &str,
        by: &str,
    ) -> Result<Appended, ApprovalError> {
        check_name("decider", by)?;
        let resolved = Resolved { decision: decision.to_owned(), by: by.to_owned() };
        let event = event(types::APPROVAL_RESOLVED, id)
            .key(end_key(id))
            .actor(Actor::new("human", Some(by.to_owned())))
            .payload(&resolved);
        self.writer().decide(Durability::Durable, |locked| {
            let asked: Requested = self.keyed(locked, &key(id), id)?;
            let is_over = locked.keyed(&end_key(id))?.is_some();
            if !is_over && !asked.options.is_empty() && !asked.options.contains(&resolved.decision)
            {
                return Err(ApprovalError::NotAnOption {
                    approval: id.to_owned(),
                    decision: resolved.decision.clone(),
                    options: asked.options,
                });
            }
            let events = std::slice::from_ref(&event);
            // A person holds no lease and stands in no step. Who does is a worker, and fenced as one.
            let is_worker = locked.home().lease.is_some() || locked.home().step.is_some();
            let appended =
                if is_worker { locked.append(events) } else { locked.append_unfenced(events) };
            match appended {
                Err(JournalError::KeyConflict { key, .. }) => {
                    let Resolved { decision, by } = self.keyed(locked, &key, id)?;
                    Err(ApprovalError::AlreadyResolved { approval: id.to_owned(), decision, by })
                }
                other => Ok(first(other?, &event)?),
            }
        })
    }

    /// What was asked under this id, and the answer; `None` where nothing was. Its records are looked for
    /// from the journal's end, without a lock.
    ///
    /// # Errors
    /// Where the run's journal cannot be read.
    pub fn approval(&self, id: &str) -> Result<Option<Approval>, ApprovalError> {
        let newest = |count| self.events()?.in_stream(STREAM, id).last(count);
        let Some(last) = newest(1)?.next() else { return Ok(None) };
        // The question is the first record, unless damage took that.
        let count = usize::try_from(last?.stream_version()).unwrap_or(usize::MAX).saturating_add(1);
        let among = |count| -> Result<_, JournalError> {
            let mut approvals = Approvals::default();
            newest(count)?.try_for_each(|record| approvals.apply(&record?))?;
            Ok(approvals.get(id))
        };
        match among(count)? {
            // The answer came meanwhile, and stands where the question was looked for.
            None => Ok(among(count.saturating_add(1))?),
            found => Ok(found),
        }
    }

    /// All that was asked, in that order, and the answers. Read without a lock.
    ///
    /// # Errors
    /// Where the run's journal cannot be read.
    pub fn approvals(&self) -> Result<Vec<Approval>, ApprovalError> {
        let mut approvals = Folded::<Approvals>::new(STREAM, None);
        approvals.read(&self.home())?;
        Ok(approvals.state().all())
    }

    /// Waits until something is answered, by anybody in any process; who waits may begin before it is
    /// asked. It holds no lock: it follows the journal, as [`Follow`](crate::Follow) does.
    ///
    /// # Errors
    /// [`ApprovalError::TimedOut`]; [`ApprovalError::RunClosed`] once the run is complete without an answer;
    /// where the run's journal cannot be read.
    pub fn wait_for_approval(
        &self,
        id: &str,
        timeout: Duration,
    ) -> Result<Approval, ApprovalError> {
        let start = Instant::now();
        let mut approvals = Approvals::default();
        let mut events = self.events()?.in_stream(STREAM, id);
        // To its end first: a long journal is no reason not to see the answer in it.
        events.by_ref().try_for_each(|record| approvals.apply(&record?))?;
        let mut tail = events.follow();
        loop {
            let asked = approvals.get(id);
            if let Some(approval) = asked.as_ref().filter(|asked| asked.resolution.is_some()) {
                return Ok(approval.clone());
            }
            let approval = id.to_owned();
            match tail.next_within(timeout.saturating_sub(start.elapsed()))? {
                Some(Followed::Record(record)) => approvals.apply(&record)?,
                Some(Followed::StartedOver) => approvals = Approvals::default(),
                None if tail.has_ended() => {
                    return Err(ApprovalError::RunClosed { approval, path: self.journal_path() });
                }
                None => {
                    let asked = asked.is_some();
                    return Err(ApprovalError::TimedOut { approval, waited: timeout, asked });
                }
            }
        }
    }

    /// What the record with a key of an approval says.
    fn keyed<T: DeserializeOwned>(
        &self,
        locked: &mut LockedLog<'_>,
        key: &str,
        id: &str,
    ) -> Result<T, ApprovalError> {
        let batch = locked.keyed(key)?;
        let record = batch.as_deref().and_then(<[_]>::first);
        let not_asked =
            || ApprovalError::NotAsked { approval: id.to_owned(), run: self.run_path() };
        Ok(record.ok_or_else(not_asked)?.payload()?)
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), ApprovalError> {
    id::check_name(name).map_err(|reason| ApprovalError::BadName {
        what,
        name: name.to_owned(),
        reason,
    })
}

/// The options of a question, if each can be told from the others.
fn checked(approval: &str, options: &[&str]) -> Result<Vec<String>, ApprovalError> {
    let mut known = BTreeSet::new();
    let reason = if options.contains(&"") {
        Some("none may be empty")
    } else if !options.iter().all(|option| known.insert(option)) {
        Some("each may stand once")
    } else {
        None
    };
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    match reason {
        None => Ok(options),
        Some(reason) => {
            Err(ApprovalError::BadOptions { approval: approval.to_owned(), options, reason })
        }
    }
}

fn key(id: &str) -> String {
    format!("approval:{id}")
}

fn end_key(id: &str) -> String {
    format!("approval-end:{id}")
}

fn event(event_type: &str, id: &str) -> Event {
    Event::new(event_type).stream(STREAM, id)
}

fn first(appended: AllAppended, event: &Event) -> Result<Appended, JournalError> {
    appended.into_iter().next().ok_or_else(|| event.bad("it was not appended"))
}
