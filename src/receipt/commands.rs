//! Deciding commands, each once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::asked::{Asked, Before};
use super::outcome::answered;
use super::{Command, CommandError, Receipt, Rejection};
use crate::artifact::HomeWriter;
use crate::context::RunContext;
use crate::journal::{Event, Events, Fold, Folded, Home, JournalError, spill};
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
    /// first record, unless the stream has none; for many commands keep [`commands`](RunContext::commands).
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
        self.commands().dispatch(command, decide)
    }

    /// Commands to decide one after the other.
    #[must_use]
    pub fn commands<F: Fold>(&self) -> Commands<F> {
        Commands::new(self.writer())
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
        self.commands().dispatch(command, decide)
    }

    /// Commands to decide one after the other, in the task's own journal.
    #[must_use]
    pub fn commands<F: Fold>(&self) -> Commands<F> {
        Commands::new(self.writer())
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

/// Decides commands one after the other: what their streams add up to is kept, so that each time only what
/// came since is read. Threads may share it.
///
/// [`RunContext::dispatch`] is for one command: it reads the journal from its first record.
pub struct Commands<F> {
    writer: Arc<HomeWriter>,
    /// Those that no command is decided on just now.
    known: Mutex<HashMap<(String, String), Folded<F>>>,
}

impl<F: Fold> Commands<F> {
    fn new(writer: Arc<HomeWriter>) -> Self {
        Self { writer, known: Mutex::new(HashMap::new()) }
    }

    /// Decides a command once: as [`RunContext::dispatch`].
    ///
    /// # Errors
    /// As [`RunContext::dispatch`].
    pub fn dispatch(
        &self,
        command: Command,
        decide: impl FnMut(&F) -> Result<Vec<Event>, Rejection>,
    ) -> Result<Receipt, CommandError> {
        let asked = Asked::new(command, self.writer.home())?;
        let known = self.known().remove(&asked.stream);
        let is_known = known.is_some();
        let (kind, id) = asked.stream.clone();
        let mut folded = known.unwrap_or_else(|| Folded::new(kind, Some(id)));
        let answered = self.decide(&asked, &mut folded, is_known, decide);
        self.known().insert(asked.stream, folded);
        answered
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(String, String), Folded<F>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(
        &self,
        asked: &Asked,
        folded: &mut Folded<F>,
        is_known: bool,
        mut decide: impl FnMut(&F) -> Result<Vec<Event>, Rejection>,
    ) -> Result<Receipt, CommandError> {
        let (writer, home) = (&self.writer, self.writer.home());
        let mut has_records = match asked.answered(writer)? {
            Before::Answered(receipt) => return Ok(receipt),
            Before::Stream(version) => is_known || version.is_some(),
        };
        let mut overtaken = None;
        loop {
            if has_records {
                folded.read(home)?;
            }
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
                    // A stream that was not there was not read: it is now.
                    overtaken = has_records.then_some((expected, conflict));
                    has_records = true;
                }
                other => return other,
            }
        }
    }
}

impl<F> fmt::Debug for Commands<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").field("writer", &self.writer).finish_non_exhaustive()
    }
}
