//! The columns of a row, one after another, as what they stand for.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
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

    /// The next one, as what this makes of it.
    fn made<T>(&mut self, make: impl FnOnce(ValueRef<'_>) -> FromSqlResult<T>) -> Result<T> {
        let (at, value) = (self.at, self.row.get_ref(self.at)?);
        self.at += 1;
        make(value).map_err(|error| match error {
            FromSqlError::InvalidType => {
                let name = self.row.as_ref().column_name(at).unwrap_or_default().to_owned();
                rusqlite::Error::InvalidColumnType(at, name, value.data_type())
            }
            FromSqlError::Other(error) => {
                rusqlite::Error::FromSqlConversionFailure(at, value.data_type(), error)
            }
            error => {
                rusqlite::Error::FromSqlConversionFailure(at, value.data_type(), Box::new(error))
            }
        })
    }

    /// A number that is never negative.
    pub(in crate::index) fn number(&mut self) -> Result<u64> {
        self.made(|value| u64::try_from(value.as_i64()?).map_err(FromSqlError::other))
    }

    /// The same, where there is one.
    pub(in crate::index) fn number_if_any(&mut self) -> Result<Option<u64>> {
        self.made(|value| {
            value.as_i64_or_null()?.map(u64::try_from).transpose().map_err(FromSqlError::other)
        })
    }

    /// A text that is something's.
    pub(in crate::index) fn parsed<T>(&mut self) -> Result<T>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        self.made(|value| value.as_str()?.parse().map_err(FromSqlError::other))
    }

    /// The id of a run; that of none is empty.
    pub(in crate::index) fn run_if_any(&mut self) -> Result<Option<RunId>> {
        self.made(|value| match value.as_str()? {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(FromSqlError::other),
        })
    }

    /// A time that is kept as text.
    pub(in crate::index) fn time_if_any(&mut self) -> Result<Option<Timestamp>> {
        self.made(|value| {
            value.as_str_or_null()?.map(str::parse).transpose().map_err(FromSqlError::other)
        })
    }

    /// A word of a vocabulary, such as a status.
    pub(in crate::index) fn word<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T> {
        self.made(|value| {
            T::deserialize(StrDeserializer::<NoWord>::new(value.as_str()?))
                .map_err(FromSqlError::other)
        })
    }

    /// A digest, which is kept as its bytes.
    pub(in crate::index) fn digest_if_any(&mut self) -> Result<Option<Digest>> {
        self.made(|value| {
            let digest = value.as_blob_or_null()?.map(Digest::from_bytes);
            digest.map(|digest| digest.ok_or_else(|| FromSqlError::other(NotOurs))).transpose()
        })
    }

    /// The id of an event, which is kept as its bytes.
    pub(in crate::index) fn event_id_if_any(&mut self) -> Result<Option<EventId>> {
        self.made(|value| {
            let id = value.as_blob_or_null()?.map(uuid::Uuid::from_slice).transpose();
            Ok(id.map_err(FromSqlError::other)?.map(EventId::from))
        })
    }

    /// The same, where there must be one.
    pub(in crate::index) fn event_id(&mut self) -> Result<EventId> {
        self.made(|value| {
            uuid::Uuid::from_slice(value.as_blob()?).map(EventId::from).map_err(FromSqlError::other)
        })
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
