//! A page of an answer that several statements give together.

use std::cmp::Ordering;
use std::fmt;

use rusqlite::types::ValueRef;

use super::IndexReader;
use super::columns::Columns;
use super::page::{Page, PageCursor, Paging};
use super::select::Select;
use crate::index::{IndexError, Value};

/// How a row is read, behind its keys.
pub(super) type Read<T> = fn(&mut Columns<'_, '_>) -> rusqlite::Result<T>;

/// The first rows behind a key, of any number of statements that have no row in common. All of them see
/// the index as it was when the first began.
pub(super) struct Gather<'a, T> {
    reader: &'a IndexReader,
    /// Held for that.
    _transaction: Option<rusqlite::Transaction<'a>>,
    filter: &'a dyn fmt::Debug,
    keys: usize,
    descending: bool,
    from: Option<&'a [Value]>,
    limit: usize,
    read: Read<T>,
    rows: Vec<(Vec<Value>, T)>,
}

impl<'a, T> Gather<'a, T> {
    /// Rows that are sorted by so many keys.
    pub(super) fn new(
        reader: &'a IndexReader,
        filter: &'a dyn fmt::Debug,
        paging: &'a Paging,
        (keys, descending): (usize, bool),
        read: Read<T>,
    ) -> Result<Self, IndexError> {
        Ok(Self {
            reader,
            _transaction: reader.transaction()?,
            filter,
            keys,
            descending,
            from: paging.from(reader.generation(), filter, keys)?,
            limit: paging.limit,
            read,
            rows: Vec::new(),
        })
    }

    /// Where the rows begin.
    pub(super) fn from(&self) -> Option<&[Value]> {
        self.from
    }

    /// The last key that the page can hold, once it is full: what is behind it need not be looked for.
    pub(super) fn until(&self) -> Option<&[Value]> {
        self.rows.get(self.limit).map(|(keys, _)| keys.as_slice())
    }

    /// Adds the rows of a statement.
    pub(super) fn add(&mut self, select: Select) -> Result<(), IndexError> {
        let select = self.bounded(select);
        let (count, read) = (self.keys, self.read);
        let rows = self.reader.ask(&select, |row| {
            let mut keys = Vec::with_capacity(count);
            for key in 0..count {
                keys.push(match row.get_ref(key)? {
                    ValueRef::Integer(number) => Value::Integer(number),
                    ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into()),
                    _ => Value::Null,
                });
            }
            Ok((keys, read(&mut Columns::from(row, count))?))
        })?;
        let first = self.rows.is_empty();
        self.rows.extend(rows);
        if !first {
            let descending = self.descending;
            self.rows.sort_by(|(a, _), (b, _)| {
                let order = compare(a, b);
                if descending { order.reverse() } else { order }
            });
        }
        // One more than the page holds tells that there is a next one.
        self.rows.truncate(self.limit.saturating_add(1));
        Ok(())
    }

    /// The statement, of rows that the page can hold.
    fn bounded(&self, mut select: Select) -> Select {
        let (behind, before) = if self.descending { ("<", ">") } else { (">", "<") };
        if let Some(from) = self.from {
            select = select.keys(behind, from);
        }
        if let Some(until) = self.until() {
            select = select.keys(before, until);
        }
        select.first(self.descending, self.limit.saturating_add(1))
    }

    pub(super) fn page(mut self) -> Page<T> {
        let more = self.rows.len() > self.limit;
        self.rows.truncate(self.limit);
        let last = self.rows.last().filter(|_| more);
        let generation = self.reader.generation();
        let next = last.map(|(keys, _)| PageCursor::new(generation, self.filter, keys.clone()));
        Page { rows: self.rows.into_iter().map(|(_, row)| row).collect(), next }
    }
}

/// As SQLite compares keys, and PostgreSQL those of the collation "C".
fn compare(a: &[Value], b: &[Value]) -> Ordering {
    let keys = a.iter().zip(b).map(|(a, b)| match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        _ => Ordering::Equal,
    });
    keys.fold(Ordering::Equal, Ordering::then)
}
