//! Rows of which there are many: several go into one statement.

use rusqlite::{Connection, Statement, ToSql};

use super::chunk::FileRow;
use super::event::{NewEvent, Text};
use super::writer::integer;
use crate::io::Stamp;

/// Rows of one statement: as many as are left, and no more.
const SIZES: [usize; 3] = [16, 4, 1];

/// A row of a table.
pub(super) trait Row {
    /// `INSERT OR FAIL`: where one fails, the transaction ends, so SQLite need not keep what each page was, to take back that alone.
    const INSERT: &'static str;
    const ON_CONFLICT: &'static str;
    const COLUMNS: usize;

    fn bind(&self, values: &mut Values<'_, '_>) -> rusqlite::Result<()>;
}

/// The statements that write the rows of one table, made when they are needed first: a refresh where nothing
/// changed needs none.
pub(super) struct Bulk<'a> {
    connection: &'a Connection,
    inserts: [Option<Insert<'a>>; SIZES.len()],
}

/// A statement, and which of its places hold nothing: most stay as they are.
struct Insert<'a> {
    statement: Statement<'a>,
    is_null: Vec<bool>,
}

/// The places of a statement, one after another.
pub(super) struct Values<'s, 'a> {
    insert: &'s mut Insert<'a>,
    place: usize,
}

impl Values<'_, '_> {
    fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.bind_some(Some(value))
    }

    fn bind_some(&mut self, value: Option<impl ToSql>) -> rusqlite::Result<()> {
        let Some(was_null) = self.insert.is_null.get_mut(self.place) else { return Ok(()) };
        self.place += 1;
        let is_null = value.is_none();
        if is_null && *was_null {
            return Ok(());
        }
        *was_null = is_null;
        self.insert.statement.raw_bind_parameter(self.place, value)
    }
}

impl<'a> Insert<'a> {
    fn of<R: Row>(connection: &'a Connection, rows: usize) -> rusqlite::Result<Self> {
        // Without names, which SQLite would look up one by one.
        let row = format!("({})", vec!["?"; R::COLUMNS].join(", "));
        let rows = vec![row; rows].join(", ");
        let sql = format!("{} VALUES {rows} {}", R::INSERT, R::ON_CONFLICT);
        let statement = connection.prepare(&sql)?;
        let is_null = vec![true; statement.parameter_count()];
        Ok(Self { statement, is_null })
    }

    fn execute<R: Row>(&mut self, mut rows: impl Iterator<Item = R>) -> rusqlite::Result<()> {
        let mut values = Values { insert: self, place: 0 };
        rows.try_for_each(|row| row.bind(&mut values))?;
        self.statement.raw_execute().map(|_| ())
    }
}

impl<'a> Bulk<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, inserts: Default::default() }
    }

    /// Writes rows, all of one kind for ever.
    pub(super) fn write<R: Row>(
        &mut self,
        mut rows: impl ExactSizeIterator<Item = R>,
    ) -> rusqlite::Result<()> {
        for (size, known) in SIZES.into_iter().zip(&mut self.inserts) {
            while rows.len() >= size {
                let insert = match known {
                    Some(insert) => insert,
                    None => known.insert(Insert::of::<R>(self.connection, size)?),
                };
                insert.execute(rows.by_ref().take(size))?;
            }
        }
        Ok(())
    }
}

/// An event, its texts, and the numbers of its type, of the kind of its stream and of its actor's.
pub(super) struct EventOf<'r> {
    pub(super) row: &'r NewEvent,
    pub(super) texts: &'r str,
    pub(super) words: [i64; 3],
}

impl Row for EventOf<'_> {
    const INSERT: &'static str = "INSERT OR FAIL INTO t_events (event, event_id, type, occurred, kind, stream, \
        version, actor, actor_id, command_id, causation, own_trace, correlation, idempotency_key, \
        batch_index, batch_size, first_byte, bytes)";
    const ON_CONFLICT: &'static str = "";
    const COLUMNS: usize = 18;

    fn bind(&self, values: &mut Values<'_, '_>) -> rusqlite::Result<()> {
        let Self { row, texts, words: [event_type, kind, actor] } = self;
        let text = |text: Option<Text>| text.map(|text| text.of(texts));
        values.bind(row.event)?;
        values.bind(row.event_id.as_bytes().as_slice())?;
        values.bind(event_type)?;
        values.bind(row.occurred_at.as_microseconds())?;
        values.bind(kind)?;
        values.bind_some(text(row.stream))?;
        values.bind(row.version)?;
        values.bind(actor)?;
        values.bind_some(text(row.actor_id))?;
        values.bind_some(text(row.command_id))?;
        values.bind_some(row.causation.as_ref().map(|id| id.as_bytes().as_slice()))?;
        values.bind(row.own_trace)?;
        values.bind_some(text(row.correlation))?;
        values.bind_some(text(row.idempotency_key))?;
        values.bind_some(row.batch.map(|(index, _)| index))?;
        values.bind_some(row.batch.map(|(_, size)| size))?;
        values.bind(row.first_byte)?;
        values.bind(row.bytes)
    }
}

/// A file, with its journal.
pub(super) struct FileOf<'r>(pub(super) i64, pub(super) &'r FileRow);

impl Row for FileOf<'_> {
    const INSERT: &'static str = "INSERT OR FAIL INTO t_files (journal, path, size, digest, stamp)";
    const ON_CONFLICT: &'static str = "ON CONFLICT (journal, path) DO UPDATE SET \
        size = excluded.size, digest = excluded.digest, stamp = excluded.stamp";
    const COLUMNS: usize = 5;

    fn bind(&self, values: &mut Values<'_, '_>) -> rusqlite::Result<()> {
        let Self(journal, file) = self;
        values.bind(journal)?;
        values.bind(&file.path)?;
        values.bind(integer(file.size))?;
        values.bind(file.digest.as_bytes().as_slice())?;
        values.bind_some(file.stamp.map(Stamp::to_bytes).as_ref().map(<[u8; 32]>::as_slice))
    }
}
