//! The columns of a row, one after another, as what they stand for.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use rusqlite::Row;
use rusqlite::types::{FromSql, Type};
use serde::Deserialize;
use serde::de::value::{Error as NoWord, StrDeserializer};

use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::{EventId, RunId};
use crate::journal::Cursor;

/// The columns of a row. What is not what it should be is damage: the index never wrote it.
pub(in crate::index) struct Columns<'a, 'b> {
    row: &'a Row<'b>,
    at: usize,
}

type Result<T> = rusqlite::Result<T>;

impl<'a, 'b> Columns<'a, 'b> {
    /// Those from a place on.
    pub(in crate::index) fn from(row: &'a Row<'b>, at: usize) -> Self {
        Self { row, at }
    }

    /// The next one.
    pub(in crate::index) fn next<T: FromSql>(&mut self) -> Result<T> {
        self.at += 1;
        self.row.get(self.at - 1)
    }

    fn no(&self, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
        let column = self.at - 1;
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    }

    /// A number that is never negative.
    pub(in crate::index) fn number(&mut self) -> Result<u64> {
        let number: i64 = self.next()?;
        u64::try_from(number).map_err(|error| self.no(error))
    }

    /// The same, where there is one.
    pub(in crate::index) fn number_if_any(&mut self) -> Result<Option<u64>> {
        let number: Option<i64> = self.next()?;
        number.map(|number| u64::try_from(number).map_err(|error| self.no(error))).transpose()
    }

    /// A text that is something's.
    pub(in crate::index) fn parsed<T>(&mut self) -> Result<T>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        let text: String = self.next()?;
        text.parse().map_err(|error| self.no(error))
    }

    /// The id of a run; that of none is empty.
    pub(in crate::index) fn run_if_any(&mut self) -> Result<Option<RunId>> {
        let text: String = self.next()?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|error| self.no(error))
    }

    /// A time that is kept as text.
    pub(in crate::index) fn time_if_any(&mut self) -> Result<Option<Timestamp>> {
        let text: Option<String> = self.next()?;
        text.map(|text| text.parse().map_err(|error| self.no(error))).transpose()
    }

    /// A word of a vocabulary, such as a status.
    pub(in crate::index) fn word<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T> {
        let text: String = self.next()?;
        let word = T::deserialize(StrDeserializer::<NoWord>::new(&text));
        word.map_err(|error| self.no(error))
    }

    /// A digest, which is kept as its bytes.
    pub(in crate::index) fn digest_if_any(&mut self) -> Result<Option<Digest>> {
        let Some(bytes) = self.next::<Option<Vec<u8>>>()? else { return Ok(None) };
        Digest::from_bytes(&bytes).map(Some).ok_or_else(|| self.no(NotOurs))
    }

    /// The id of an event, which is kept as its bytes.
    pub(in crate::index) fn event_id_if_any(&mut self) -> Result<Option<EventId>> {
        let Some(bytes) = self.next::<Option<Vec<u8>>>()? else { return Ok(None) };
        uuid::Uuid::from_slice(&bytes).map(|id| Some(id.into())).map_err(|error| self.no(error))
    }

    /// The same, where there must be one.
    pub(in crate::index) fn event_id(&mut self) -> Result<EventId> {
        self.event_id_if_any()?.ok_or_else(|| self.no(NotOurs))
    }

    /// A cursor in three columns; `None` where they hold none.
    pub(in crate::index) fn cursor(&mut self) -> Result<Option<Cursor>> {
        let (seq, offset) = (self.number()?, self.number()?);
        Ok(self.digest_if_any()?.map(|hash| Cursor { offset, seq, hash }))
    }
}

#[derive(Debug)]
struct NotOurs;

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it does not have as many bytes as it must")
    }
}

impl Error for NotOurs {}
