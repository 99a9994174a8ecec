//! Events: by type, stream, correlation, cause, command, journal.

use std::fmt;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::IndexReader;
use super::columns::Columns;
use super::gather::Gather;
use super::page::{Page, Paging, paged};
use super::select::{JOURNAL_OF, Select};
use crate::clock::Timestamp;
use crate::id::{EventId, RunId, TaskId};
use crate::index::{IndexError, Value};
use crate::layout;

/// The envelope of an event, and where it is. Its payload is in the journal:
/// [`IndexReader::record`] reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventRow {
    /// Its task.
    pub task_id: TaskId,
    /// Its run; `None` in the journal of a task itself.
    pub run_id: Option<RunId>,
    /// Its place in its journal.
    pub seq: u64,
    /// Its id.
    pub event_id: EventId,
    /// What kind of event it is.
    pub event_type: String,
    /// When it was appended.
    pub occurred_at: Timestamp,
    /// The kind of its stream,
    pub aggregate_kind: String,
    /// and the stream's id.
    pub stream_id: String,
    /// Its place in its stream.
    pub stream_version: u64,
    /// The kind of who did it,
    pub actor_kind: String,
    /// and who that was.
    pub actor_id: Option<String>,
    /// The command that it answers.
    pub command_id: Option<String>,
    /// The event that led to it.
    pub causation_event_id: Option<EventId>,
    /// What joins it with events of other journals.
    pub correlation_id: Option<String>,
    /// Its idempotency key.
    pub idempotency_key: Option<String>,
    /// Its place in its batch.
    pub batch_index: Option<u64>,
    /// How many events were appended as one.
    pub batch_size: Option<u64>,
    /// The journal.
    pub journal_path: Utf8PathBuf,
    /// Where its record begins there,
    pub first_byte: u64,
    /// and how long it is.
    pub bytes: u64,
}

/// Which events. They come journal by journal, and by seq within each. Filters hold together; of two of
/// one kind the later holds.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    filter: Filter,
    paging: Paging,
}

#[derive(Debug, Clone, Default)]
struct Filter {
    journal: Option<(String, String)>,
    event_id: Option<EventId>,
    caused_by: Option<EventId>,
    command_id: Option<String>,
    correlation: Option<String>,
    stream: Option<(String, String)>,
    event_type: Option<String>,
    last_first: bool,
}

const EVENT: &str = "e.event, j.task_id, j.run_id, e.event_id, t.text, e.occurred, k.text, \
     COALESCE(e.stream, CASE WHEN j.run_id = '' THEN j.task_id ELSE j.run_id END), e.version, a.text, \
     e.actor_id, e.command_id, e.causation, \
     CASE WHEN e.own_trace = 1 THEN j.trace_id ELSE e.correlation END, e.idempotency_key, \
     e.batch_index, e.batch_size, e.first_byte, e.bytes FROM t_events e CROSS JOIN t_journals j \
     CROSS JOIN t_words t CROSS JOIN t_words k CROSS JOIN t_words a \
     WHERE j.journal = e.event / 4294967296 AND t.word = e.type AND k.word = e.kind AND a.word = e.actor";

/// Events of one journal have keys that agree above these bits.
const SEQ_BITS: u32 = 32;

/// The filter that events are looked up by; the others are held against what it finds.
#[derive(PartialEq)]
enum By<'a> {
    EventId,
    Cause,
    Command,
    Correlation(&'a str),
    Stream(&'a str, &'a str),
    Type,
    Journal,
}

impl EventQuery {
    /// All events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this run.
    #[must_use]
    pub fn of_run(mut self, task: impl fmt::Display, run: impl fmt::Display) -> Self {
        self.filter.journal = Some((task.to_string(), run.to_string()));
        self
    }

    /// Of the task itself, and not of its runs.
    #[must_use]
    pub fn of_task(mut self, task: impl fmt::Display) -> Self {
        self.filter.journal = Some((task.to_string(), String::new()));
        self
    }

    /// With this id: of a run that was copied, there are several.
    #[must_use]
    pub fn id(mut self, id: EventId) -> Self {
        self.filter.event_id = Some(id);
        self
    }

    /// That this event led to, directly.
    #[must_use]
    pub fn caused_by(mut self, id: EventId) -> Self {
        self.filter.caused_by = Some(id);
        self
    }

    /// That answer this command.
    #[must_use]
    pub fn answering(mut self, command_id: impl Into<String>) -> Self {
        self.filter.command_id = Some(command_id.into());
        self
    }

    /// With this correlation id: the trace id of a run, or what its events say instead.
    #[must_use]
    pub fn correlated(mut self, correlation_id: impl Into<String>) -> Self {
        self.filter.correlation = Some(correlation_id.into());
        self
    }

    /// Of this stream, in all journals that have one of that name.
    #[must_use]
    pub fn in_stream(mut self, kind: impl Into<String>, id: impl Into<String>) -> Self {
        self.filter.stream = Some((kind.into(), id.into()));
        self
    }

    /// Of this type.
    #[must_use]
    pub fn of_type(mut self, event_type: impl Into<String>) -> Self {
        self.filter.event_type = Some(event_type.into());
        self
    }

    /// The last of each journal first, and the journals in the other order.
    #[must_use]
    pub fn last_first(mut self) -> Self {
        self.filter.last_first = true;
        self
    }

    paged!();
}

impl Filter {
    /// What few events have in common first.
    fn by(&self) -> By<'_> {
        match self {
            Self { event_id: Some(_), .. } => By::EventId,
            Self { caused_by: Some(_), .. } => By::Cause,
            Self { command_id: Some(_), .. } => By::Command,
            Self { correlation: Some(id), .. } => By::Correlation(id),
            Self { stream: Some((kind, id)), .. } => By::Stream(kind, id),
            Self { event_type: Some(_), .. } => By::Type,
            _ => By::Journal,
        }
    }

    /// The events that are wanted, but for correlation and stream where they are looked up by those.
    fn select(&self) -> Select {
        let by = self.by();
        let mut select = Select::new(&["e.event"], EVENT)
            .given_some("e.event_id = ?", self.event_id)
            .given_some("e.causation = ?", self.caused_by)
            .given_some("e.command_id = ?", self.command_id.as_deref());
        if !matches!(by, By::Correlation(_)) {
            let own = "CASE WHEN e.own_trace = 1 THEN j.trace_id ELSE e.correlation END = ?";
            select = select.given_some(own, self.correlation.as_deref());
        }
        if let Some((kind, id)) = self.stream.as_ref().filter(|_| !matches!(by, By::Stream(..))) {
            let own = "CASE WHEN j.run_id = '' THEN j.task_id ELSE j.run_id END";
            let stream = format!("k.text = ? AND COALESCE(e.stream, {own}) = ?");
            select = select.given(&stream, [kind.as_str().into(), id.as_str().into()]);
        }
        let of_type = match by {
            By::Type => "e.type = (SELECT word FROM t_words WHERE text = ?)",
            _ => "t.text = ?",
        };
        select = select.given_some(of_type, self.event_type.as_deref());
        if let Some((task, run)) = &self.journal {
            let key = JOURNAL_OF;
            let within =
                format!("e.event >= {key} * 4294967296 AND e.event < ({key} + 1) * 4294967296");
            let place = [task.as_str().into(), run.as_str().into()];
            select = select.given(&within, place.iter().chain(&place).cloned());
        }
        select
    }
}

impl IndexReader {
    /// Events.
    ///
    /// # Errors
    /// As [`tasks`](IndexReader::tasks).
    pub fn events(&self, query: &EventQuery) -> Result<Page<EventRow>, IndexError> {
        let (filter, paging) = (&query.filter, &query.paging);
        let order = (1, filter.last_first);
        let mut events = Gather::new(self, filter, paging, order, EventRow::read)?;
        match filter.by() {
            By::Correlation(id) => {
                events.add(filter.select().given("e.correlation = ?", [id.into()]))?;
                let journals = "FROM t_journals j WHERE j.trace_id = ?";
                self.add_own(&mut events, filter, "e.own_trace = 1", journals, [id])?;
            }
            By::Stream(kind, id) => {
                let named = "e.kind = (SELECT word FROM t_words WHERE text = ?) AND e.stream = ?";
                events.add(filter.select().given(named, [kind.into(), id.into()]))?;
                let journals = match kind {
                    "run" => "FROM t_journals j WHERE j.run_id = ?",
                    "task" => "FROM t_journals j WHERE j.task_id = ? AND j.run_id = ''",
                    _ => return Ok(events.page()),
                };
                self.add_own(&mut events, filter, "e.stream IS NULL", journals, [id])?;
            }
            _ => events.add(filter.select())?,
        }
        Ok(events.page())
    }

    /// Adds the events of some journals of which something holds that only their journals tell.
    fn add_own(
        &self,
        events: &mut Gather<'_, EventRow>,
        filter: &Filter,
        own: &str,
        journals: &str,
        named: [&str; 1],
    ) -> Result<(), IndexError> {
        let journal_of = |keys: Option<&[Value]>| match keys {
            Some([Value::Integer(event)]) => Some(*event >> SEQ_BITS),
            _ => None,
        };
        let (from, mut journals) =
            (journal_of(events.from()), Select::new(&["j.journal"], &format!("0 {journals}")));
        journals.values.extend(named.map(Value::from));
        journals.sql = journals.sql.replacen('?', "$1", 1);
        let behind = if filter.last_first { "j.journal <= ?" } else { "j.journal >= ?" };
        let journals = journals.given_some(behind, from).first(filter.last_first, usize::MAX);
        for journal in self.ask(&journals, |row| row.get::<_, i64>(0))? {
            let is_full = journal_of(events.until()).is_some_and(|last| {
                if filter.last_first { journal < last } else { journal > last }
            });
            if is_full {
                break;
            }
            let within = format!("{own} AND e.event >= ? AND e.event < ?");
            let span = [(journal << SEQ_BITS).into(), ((journal + 1) << SEQ_BITS).into()];
            events.add(filter.select().given(&within, span))?;
        }
        Ok(())
    }
}

impl EventRow {
    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        let seq = columns.number()? & ((1 << SEQ_BITS) - 1);
        let (task_id, run_id): (TaskId, _) = (columns.parsed()?, columns.run_if_any()?);
        let mut journal_path = match &run_id {
            Some(run) => layout::run_dir("".into(), &task_id, run),
            None => layout::task_dir("".into(), &task_id),
        };
        journal_path.push(layout::JOURNAL);
        Ok(Self {
            task_id,
            run_id,
            seq,
            event_id: columns.event_id()?,
            event_type: columns.next()?,
            occurred_at: Timestamp::from_microseconds(columns.next()?),
            aggregate_kind: columns.next()?,
            stream_id: columns.next()?,
            stream_version: columns.number()?,
            actor_kind: columns.next()?,
            actor_id: columns.next()?,
            command_id: columns.next()?,
            causation_event_id: columns.event_id_if_any()?,
            correlation_id: columns.next()?,
            idempotency_key: columns.next()?,
            batch_index: columns.number_if_any()?,
            batch_size: columns.number_if_any()?,
            journal_path,
            first_byte: columns.number()?,
            bytes: columns.number()?,
        })
    }
}
