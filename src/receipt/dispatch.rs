//! Deciding a command, once.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use super::outcome::{COMMAND_TYPE, Rejected, answered};
use super::{Command, CommandError, CommandOutcome, Receipt, Rejection};
use crate::artifact::HomeWriter;
use crate::context::RunContext;
use crate::journal::{
    Appended, Durability, Event, Events, ExpectedVersion, Fold, Folded, Home, JournalError,
    LockedLog, spill, types,
};
use crate::json;
use crate::workspace::Task;

impl RunContext {
    /// Decides a command once. `decide` is given what the command's stream adds up to, and answers with
    /// the events that are to happen, or with a rejection. The events are appended as one batch, and only
    /// if the stream is still where it was: otherwise it is read on and decided again. Either answer is in
    /// the journal once, and a command with the same id, type and stream gets it again, undecided.
    ///
    /// `decide` must be a function of the stream and the command alone, and do no I/O: it may be called
    /// several times, of which one counts, and what it rejects is rejected for ever. What it has to know
    /// from elsewhere is read before, outside of it. No lock is held meanwhile. The journal is read from its
    /// first record.
    ///
    /// Durable unless [`Command::durability`] says otherwise, duplicates too. A crash leaves the whole answer
    /// or nothing of it, and the same call then tells it, or decides.
    ///
    /// ```
    /// use runjournal::{Command, Event, Fold, JournalError, Record, Rejection};
    ///
    /// #[derive(Default)]
    /// struct Seats {
    ///     taken: u32,
    /// }
    ///
    /// impl Fold for Seats {
    ///     fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
    ///         self.taken += u32::from(record.event_type() == "seat_taken");
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    /// # let workspace = runjournal::Workspace::create(&root)?;
    /// # let ctx = workspace.create_task("TASK-1", Default::default())?.start_run()?;
    /// let take = |id: &str| {
    ///     ctx.dispatch(Command::new(id, "take_seat").on("show", "S-1"), |seats: &Seats| {
    ///         if seats.taken == 1 {
    ///             return Err(Rejection::new("sold out"));
    ///         }
    ///         Ok(vec![Event::new("seat_taken")])
    ///     })
    /// };
    /// assert!(take("cmd-1")?.is_accepted());
    /// assert!(!take("cmd-2")?.is_accepted());
    /// assert!(take("cmd-1")?.is_duplicate());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CommandError::Conflict`] where the id stands for another type or stream, [`CommandError::NoEvents`]
    /// where nothing was decided; [`JournalError::BadEvent`] where an event of the decision names another
    /// stream or command, has a key or an expected version, or is of a type of the library's; and as an
    /// append.
    pub fn dispatch<F: Fold>(
        &self,
        command: Command,
        decide: impl FnMut(&F) -> Result<Vec<Event>, Rejection>,
    ) -> Result<Receipt, CommandError> {
        dispatch(&self.writer(), command, decide)
    }

    /// What became of a command: its answer, as [`dispatch`](RunContext::dispatch) tells it; without one,
    /// what the first event says that was appended with its id by other means. Takes no lock and syncs
    /// nothing, and reads the journal from its first record: of a command that is decided just now, a power
    /// cut may still lose the answer.
    ///
    /// # Errors
    /// Where the journal cannot be read, or the record does not read as it should.
    pub fn receipt(&self, command_id: &str) -> Result<Option<Receipt>, JournalError> {
        receipt(&self.home(), command_id)
    }
}

impl Task {
    /// Decides a command once, in the task's own journal: as [`RunContext::dispatch`].
    ///
    /// # Errors
    /// As [`RunContext::dispatch`].
    pub fn dispatch<F: Fold>(
        &self,
        command: Command,
        decide: impl FnMut(&F) -> Result<Vec<Event>, Rejection>,
    ) -> Result<Receipt, CommandError> {
        dispatch(&self.writer(), command, decide)
    }

    /// What became of a command in the task's own journal: as [`RunContext::receipt`].
    ///
    /// # Errors
    /// As [`RunContext::receipt`].
    pub fn receipt(&self, command_id: &str) -> Result<Option<Receipt>, JournalError> {
        receipt(&self.home(), command_id)
    }
}

fn receipt(home: &Home, command_id: &str) -> Result<Option<Receipt>, JournalError> {
    let mut named = None;
    for record in Events::open(home)? {
        let record = record?;
        if answered(&record) == Some(command_id) {
            return Receipt::of(&record, command_id).map(Some);
        }
        if named.is_none() && record.command_id() == Some(command_id) {
            named = Some(record);
        }
    }
    named.map(|record| Receipt::of(&record, command_id)).transpose()
}

fn dispatch<F: Fold>(
    writer: &HomeWriter,
    command: Command,
    mut decide: impl FnMut(&F) -> Result<Vec<Event>, Rejection>,
) -> Result<Receipt, CommandError> {
    let home = writer.home();
    let asked = Asked::new(command, home)?;
    if let Some(receipt) = asked.answered(writer)? {
        return Ok(receipt);
    }
    let mut folded = Folded::<F>::new(asked.stream.0.as_str(), Some(asked.stream.1.clone()));
    let mut overtaken = None;
    loop {
        folded.read(home)?;
        let expected = folded.expected();
        if let Some((before, conflict)) = overtaken.take()
            && before == expected
        {
            // What is read and what is written are two journals by now: trying would never end.
            return Err(CommandError::Journal(conflict));
        }
        let (events, rejection) = match decide(folded.state()) {
            Ok(events) => (asked.accepted(events, home)?, None),
            Err(rejection) => (vec![asked.rejected(&rejection)], Some(rejection)),
        };
        let events = asked.batch(events, expected)?;
        let events = spill(&writer.opened()?.dir, &home.runtime, &events)?;
        let done = writer.decide(asked.command.durability, |locked| {
            if let Some(receipt) = asked.earlier(locked)? {
                return Ok(receipt);
            }
            Ok(asked.receipt(&locked.append(&events)?, rejection.as_ref()))
        });
        match done {
            Err(CommandError::Journal(conflict @ JournalError::VersionConflict { .. })) => {
                overtaken = Some((expected, conflict));
            }
            other => return other,
        }
    }
}

/// A command, and where in a journal it is to be answered.
struct Asked {
    command: Command,
    key: String,
    stream: (String, String),
}

impl Asked {
    fn new(command: Command, home: &Home) -> Result<Self, CommandError> {
        command.check()?;
        Ok(Self { key: command.key(), stream: command.stream(home), command })
    }

    /// The receipt, made as durable as asked, if the command was decided before.
    fn answered(&self, writer: &HomeWriter) -> Result<Option<Receipt>, CommandError> {
        let (earlier, unsynced) = writer.with_log(|log| {
            let earlier = self.earlier(&mut log.lock()?)?;
            Ok::<_, CommandError>((earlier, log.unsynced()))
        })?;
        if earlier.is_some() && self.command.durability == Durability::Durable {
            // Whoever decided it may have died before it did this.
            unsynced.sync()?;
        }
        Ok(earlier)
    }

    /// The receipt, if the command was decided before.
    fn earlier(&self, locked: &mut LockedLog<'_>) -> Result<Option<Receipt>, CommandError> {
        let batch = locked.keyed(&self.key)?;
        let Some(first) = batch.as_ref().and_then(|batch| batch.first()) else { return Ok(None) };
        let receipt = Receipt::of(first, &self.command.id)?;
        let asked = self.command.command_type.as_str();
        // A decision without a type was written by another program: nothing speaks against it.
        let stands = receipt.command_type().unwrap_or(asked);
        if stands == asked && receipt.stream == self.stream {
            return Ok(Some(receipt));
        }
        let named =
            |command_type: &str, (kind, id): (&str, &str)| format!("{command_type} on {kind}/{id}");
        Err(CommandError::Conflict {
            command_id: self.command.id.clone(),
            path: locked.log.file.path().to_owned(),
            seq: first.seq(),
            stands: named(stands, receipt.stream()),
            asked: named(asked, (&self.stream.0, &self.stream.1)),
        })
    }

    /// The events of an acceptance, the first with the command's type.
    fn accepted(&self, mut events: Vec<Event>, home: &Home) -> Result<Vec<Event>, JournalError> {
        events.iter().try_for_each(|event| self.check(event))?;
        if let Some(first) = events.first_mut() {
            first.metadata = Some(self.metadata(first, home)?);
        }
        Ok(events)
    }

    fn rejected(&self, rejection: &Rejection) -> Event {
        let (command_type, error) = (self.command.command_type.as_str(), rejection.raw());
        let mut event =
            Event::new(types::COMMAND_REJECTED).payload(&Rejected { command_type, error });
        // A fault of the rejection was there first.
        event.fault = rejection.fault.clone().or(event.fault);
        event
    }

    /// The batch that answers the command, if its stream is where it is expected to be.
    fn batch(
        &self,
        mut events: Vec<Event>,
        expected: ExpectedVersion,
    ) -> Result<Vec<Event>, CommandError> {
        for event in &mut events {
            event.stream = Some(self.stream.clone());
            event.command_id = Some(self.command.id.clone());
        }
        let Some(first) = events.first_mut() else {
            let Command { id, command_type, .. } = self.command.clone();
            return Err(CommandError::NoEvents { command_id: id, command_type });
        };
        first.key = Some(self.key.clone());
        first.expected = expected;
        Ok(events)
    }

    /// Checks that an event leaves to the command what is the command's.
    fn check(&self, event: &Event) -> Result<(), JournalError> {
        event.check()?;
        event.check_user()?;
        let (kind, id) = &self.stream;
        if event.stream.as_ref().is_some_and(|stream| *stream != self.stream) {
            return Err(
                event.bad(format!("it answers a command on {kind}/{id}, and names another stream"))
            );
        }
        if event.command_id.as_ref().is_some_and(|id| *id != self.command.id) {
            let id = &self.command.id;
            return Err(event.bad(format!("it answers the command {id:?}, and names another one")));
        }
        if event.key.is_some() {
            return Err(event.bad("it answers a command, whose id is its key; leave the key out"));
        }
        if event.expected != ExpectedVersion::Any {
            return Err(event.bad(
                "it answers a command, which was decided at a version; leave the expected one out",
            ));
        }
        Ok(())
    }

    /// The metadata of the first event: what it would have otherwise, and the command's type.
    fn metadata(&self, first: &Event, home: &Home) -> Result<String, JournalError> {
        let merged = || -> Result<_, serde_json::Error> {
            let mut members: BTreeMap<String, Box<RawValue>> = match &first.metadata {
                Some(own) => serde_json::from_str(own)?,
                None => BTreeMap::new(),
            };
            if let (None, Some(traceparent)) = (&first.metadata, &home.traceparent) {
                members.insert("traceparent".to_owned(), to_raw_value(traceparent)?);
            }
            let command_type = to_raw_value(&self.command.command_type)?;
            let taken = members.insert(COMMAND_TYPE.to_owned(), command_type).is_some();
            Ok((json::on_one_line(&members)?, taken))
        };
        match merged() {
            Ok((metadata, false)) => Ok(metadata),
            Ok(_) => {
                Err(first.bad(format!("its metadata has a {COMMAND_TYPE}; that is the command's")))
            }
            Err(error) => Err(first.bad(format!("its metadata does not read: {error}"))),
        }
    }

    /// What this call came to.
    fn receipt(&self, appended: &[Appended], rejection: Option<&Rejection>) -> Receipt {
        let seq = appended.first().map_or(0, |first| first.seq);
        let outcome = match rejection {
            None => CommandOutcome::Accepted { seq, events: appended.len() as u64 },
            Some(error) => CommandOutcome::Rejected { seq, error: error.clone() },
        };
        Receipt {
            command_id: self.command.id.clone(),
            command_type: Some(self.command.command_type.clone()),
            stream: self.stream.clone(),
            outcome,
            duplicate: false,
        }
    }
}
