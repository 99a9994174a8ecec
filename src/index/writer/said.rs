//! Writing what projectors say.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::limits::{Allowed, limited};
use super::{Prepared, Writer, integer};
use crate::index::chunk::{Chunk, Lag, Said};
use crate::index::projector::Statement;
use crate::index::{IndexError, Value};
use crate::journal::Cursor;

impl Writer<'_> {
    /// Executes what projectors said. A statement that SQLite refuses stops its projector before the event.
    pub(super) fn write_said(&mut self, chunk: &Chunk) -> Result<(), IndexError> {
        let mut begin = 0;
        for said in &chunk.said {
            let statements = chunk.rows.statements.get(begin..said.statements_end);
            let values_begin = begin
                .checked_sub(1)
                .and_then(|last| chunk.rows.statements.get(last))
                .map_or(0, |last| last.values_end);
            begin = said.statements_end;
            let statements = statements.unwrap_or_default();
            if statements.is_empty() || self.stopped.contains(&(said.by, chunk.key)) {
                continue;
            }
            let written =
                self.write_event_of(said.by, statements, &chunk.rows.values, values_begin);
            match written {
                Ok(()) => {}
                Err(error) if is_of_the_statement(&error) => {
                    self.stop(said, chunk.key, &error)?;
                }
                Err(error) => return Err(self.failed()(error)),
            }
        }
        Ok(())
    }

    fn write_event_of(
        &self,
        by: usize,
        statements: &[Statement],
        values: &[Value],
        mut begin: usize,
    ) -> rusqlite::Result<()> {
        // One statement is whole or not at all by itself.
        let several = statements.len() > 1;
        if several {
            self.execute("SAVEPOINT event", [])?;
        }
        for Statement { sql, values_end } in statements {
            let values = values.get(begin..*values_end).unwrap_or_default();
            begin = *values_end;
            if let Err(error) = self.execute_for(by, sql, values) {
                if several {
                    self.execute("ROLLBACK TO event", [])?;
                    self.execute("RELEASE event", [])?;
                }
                return Err(error);
            }
        }
        if several {
            self.execute("RELEASE event", [])?;
        }
        Ok(())
    }

    /// Executes a statement of a projector's. One that is not the library's may write to its own tables
    /// alone: the rest is for the library to keep whole.
    fn execute_for(
        &self,
        by: usize,
        sql: &'static str,
        values: &[Value],
    ) -> rusqlite::Result<usize> {
        let connection = &self.database.connection;
        let mut statements = self.statements.borrow_mut();
        let Prepared { statement, order } =
            match statements.entry((Some(by), std::ptr::from_ref(sql))) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let prepared = match self.limits.get(by) {
                        // SQLite asks while it prepares it.
                        Some(Some(tables)) => {
                            let allowed = Allowed::Writing(Arc::clone(tables));
                            limited(connection, allowed, || connection.prepare(sql))?
                        }
                        _ => connection.prepare(sql)?,
                    };
                    new.insert(Prepared { order: order(&prepared), statement: prepared })
                }
            };
        match order {
            Some(order) if order.len() == values.len() => {
                let values = order.iter().filter_map(|number| values.get(*number));
                statement.execute(rusqlite::params_from_iter(values))
            }
            _ => statement.execute(rusqlite::params_from_iter(values)),
        }
    }

    fn stop(&mut self, said: &Said, key: i64, error: &rusqlite::Error) -> Result<(), IndexError> {
        let (before, seq) = (said.before, said.seq);
        let lag = Lag::Stopped { before, seq, error: error.to_string() };
        self.write_lag(said.by, key, &lag)?;
        self.stopped.insert((said.by, key));
        Ok(())
    }

    pub(super) fn write_lag(&self, by: usize, key: i64, lag: &Lag) -> Result<(), IndexError> {
        let Some(number) = self.numbers.get(by) else { return Ok(()) };
        self.run("DELETE FROM t_laggards WHERE projector = $1 AND journal = $2", [number, &key])?;
        let (cursor, stopped_at, error): (&Cursor, Option<i64>, Option<&str>) = match lag {
            Lag::CaughtUp => return Ok(()),
            Lag::Behind(cursor) => (cursor, None, None),
            Lag::Stopped { before, seq, error } => (before, Some(integer(*seq)), Some(error)),
        };
        self.run(
            "INSERT INTO t_laggards (projector, journal, seq, bytes, hash, stopped_at, error) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            (
                number,
                key,
                integer(cursor.seq()),
                integer(cursor.offset()),
                cursor.hash().as_bytes().as_slice(),
                stopped_at,
                error,
            ),
        )?;
        Ok(())
    }
}

/// Which value each parameter takes, where `$1`, `$2`, ... do not come in their order: SQLite counts names as they
/// come, whatever number they have.
fn order(statement: &rusqlite::Statement<'_>) -> Option<Vec<usize>> {
    let number = |place| {
        let name = statement.parameter_name(place)?.strip_prefix('$')?;
        name.parse::<usize>().ok()?.checked_sub(1)
    };
    let places = 1..=statement.parameter_count();
    let order: Vec<usize> = places.map(number).collect::<Option<_>>()?;
    order.iter().enumerate().any(|(place, number)| place != *number).then_some(order)
}

/// True if the statement and its values are to blame, rather than the disk.
fn is_of_the_statement(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{
        AuthorizationForStatementDenied, ConstraintViolation, ParameterOutOfRange, TooBig,
        TypeMismatch, Unknown,
    };
    match error.sqlite_error_code() {
        Some(code) => [
            AuthorizationForStatementDenied,
            ConstraintViolation,
            ParameterOutOfRange,
            TooBig,
            TypeMismatch,
            Unknown,
        ]
        .contains(&code),
        None => true,
    }
}
