//! A command that was asked for, and where in a journal it is answered.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use super::outcome::{COMMAND_TYPE, Rejected};
use super::{Command, CommandError, CommandOutcome, Receipt, Rejection};
use crate::artifact::HomeWriter;
use crate::journal::{
    Appended, Durability, Event, ExpectedVersion, Home, JournalError, LockedLog, types,
};
use crate::json;

/// What was there before a command was decided.
pub(super) enum Before {
    /// Its answer.
    Answered(Receipt),
    /// No answer, and the version of its stream.
    Stream(Option<u64>),
}

/// A command, and where in a journal it is to be answered.
pub(super) struct Asked {
    pub(super) command: Command,
    key: String,
    pub(super) stream: (String, String),
}

impl Asked {
    pub(super) fn new(command: Command, home: &Home) -> Result<Self, CommandError> {
        command.check()?;
        Ok(Self { key: command.key(), stream: command.stream(home), command })
    }

    /// The receipt, made as durable as asked, if the command was decided before.
    pub(super) fn answered(&self, writer: &HomeWriter) -> Result<Before, CommandError> {
        let (before, unsynced) = writer.with_log(|log| {
            let mut locked = log.lock()?;
            let before = match self.earlier(&mut locked)? {
                Some(receipt) => Before::Answered(receipt),
                None => Before::Stream(locked.version(&self.stream.0, &self.stream.1)?),
            };
            drop(locked);
            Ok::<_, CommandError>((before, log.unsynced()))
        })?;
        if matches!(before, Before::Answered(_)) && self.command.durability == Durability::Durable {
            // Whoever decided it may have died before it did this.
            unsynced.sync()?;
        }
        Ok(before)
    }

    /// The receipt, if the command was decided before.
    pub(super) fn earlier(
        &self,
        locked: &mut LockedLog<'_>,
    ) -> Result<Option<Receipt>, CommandError> {
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
    pub(super) fn accepted(
        &self,
        mut events: Vec<Event>,
        home: &Home,
    ) -> Result<Vec<Event>, JournalError> {
        events.iter().try_for_each(|event| self.check(event))?;
        if let Some(first) = events.first_mut() {
            first.metadata = Some(self.metadata(first, home)?);
        }
        Ok(events)
    }

    pub(super) fn rejected(&self, rejection: &Rejection) -> Event {
        let (command_type, error) = (self.command.command_type.as_str(), rejection.raw());
        let mut event =
            Event::new(types::COMMAND_REJECTED).payload(&Rejected { command_type, error });
        // A fault of the rejection was there first.
        event.fault = rejection.fault.clone().or(event.fault);
        event
    }

    /// The batch that answers the command, if its stream is where it is expected to be.
    pub(super) fn batch(
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
                Err(first.bad(format!("its metadata has a {COMMAND_TYPE}, which is the command's")))
            }
            Err(error) => Err(first.bad(format!("its metadata does not read: {error}"))),
        }
    }

    /// What this call came to.
    pub(super) fn receipt(&self, appended: &[Appended], rejection: Option<&Rejection>) -> Receipt {
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
