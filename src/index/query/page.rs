//! Pages: some rows, and where the next ones begin.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::index::{IndexError, Value};

/// Some rows of an answer, and where the next ones begin.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The rows, in the order of the query.
    pub rows: Vec<T>,
    /// Where the next page begins; `None` where there is nothing more.
    pub next: Option<PageCursor>,
}

/// The place behind a row of an answer, to go on from: in the same query, with any limit. It holds what
/// the row is sorted by, and no count: rows that come or go elsewhere shift nothing, so that no row is
/// told twice and none is left out.
///
/// It can be kept as text, and used in another process. It is good for the query that it came from, and
/// for the generation of the index: after a rebuild, begin with the first page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PageCursor {
    generation: String,
    query: String,
    keys: Vec<Value>,
}

/// A text that is not a [`PageCursor`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not where a page begins; take it from the `next` of the page before, as it is"
)]
pub struct PageCursorError {
    /// The refused text.
    pub text: String,
}

/// How much of an answer is asked for.
#[derive(Debug, Clone)]
pub(super) struct Paging {
    pub(super) limit: usize,
    pub(super) after: Option<PageCursor>,
}

impl Default for Paging {
    fn default() -> Self {
        Self { limit: 100, after: None }
    }
}

/// The methods of every query that is answered in pages.
macro_rules! paged {
    () => {
        /// At most so many rows in a page; 100 unless said otherwise, and at least 1.
        #[must_use]
        pub fn limit(mut self, rows: usize) -> Self {
            self.paging.limit = rows.max(1);
            self
        }

        /// Goes on where another page ended.
        #[must_use]
        pub fn after(mut self, cursor: crate::index::PageCursor) -> Self {
            self.paging.after = Some(cursor);
            self
        }
    };
}
pub(super) use paged;

impl Paging {
    /// The key behind which the page begins; `None` for the first page.
    pub(super) fn from(
        &self,
        generation: &str,
        filter: &dyn fmt::Debug,
        keys: usize,
    ) -> Result<Option<&[Value]>, IndexError> {
        let Some(cursor) = &self.after else { return Ok(None) };
        let stale = |reason| IndexError::StalePage { cursor: cursor.to_string(), reason };
        if cursor.generation != generation {
            return Err(stale("the index was made anew since"));
        }
        if cursor.query != fingerprint(filter) || cursor.keys.len() != keys {
            return Err(stale("it is of another query"));
        }
        Ok(Some(&cursor.keys))
    }
}

/// The same for the same filter.
fn fingerprint(filter: &dyn fmt::Debug) -> String {
    format!("{:.8}", Digest::of(format!("{filter:?}").as_bytes()).to_hex())
}

impl PageCursor {
    pub(super) fn new(generation: &str, filter: &dyn fmt::Debug, keys: Vec<Value>) -> Self {
        Self { generation: generation.to_owned(), query: fingerprint(filter), keys }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut mark = || parts.next().filter(|part| part.len() == 8).map(str::to_owned);
        let (generation, query) = (mark()?, mark()?);
        let keys = parts.map(key).collect::<Option<Vec<_>>>()?;
        Some(Self { generation, query, keys }).filter(|cursor| cursor.to_string() == text)
    }
}

/// `i` and a number, or `t` and the bytes of a text in hex: nothing that a shell would touch.
fn key(text: &str) -> Option<Value> {
    if let Some(number) = text.strip_prefix('i') {
        return Some(Value::Integer(number.parse().ok()?));
    }
    let hex = text.strip_prefix('t')?;
    let bytes = hex.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    Some(Value::Text(String::from_utf8(bytes.collect::<Option<_>>()?).ok()?))
}

impl fmt::Display for PageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.query)?;
        for key in &self.keys {
            match key {
                Value::Integer(number) => write!(f, ".i{number}")?,
                Value::Text(text) => {
                    write!(f, ".t")?;
                    text.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                }
                // No row is sorted by anything else.
                Value::Null | Value::Real(_) | Value::Blob(_) => write!(f, ".n")?,
            }
        }
        Ok(())
    }
}

impl FromStr for PageCursor {
    type Err = PageCursorError;
    fn from_str(text: &str) -> Result<Self, PageCursorError> {
        Self::parse(text).ok_or_else(|| PageCursorError { text: text.to_owned() })
    }
}

impl TryFrom<String> for PageCursor {
    type Error = PageCursorError;
    fn try_from(text: String) -> Result<Self, PageCursorError> {
        text.parse()
    }
}

impl From<PageCursor> for String {
    fn from(cursor: PageCursor) -> String {
        cursor.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_the_same_after_a_journey() {
        let keys = vec!["a.b/ä".into(), Value::Integer(-7), "".into(), Value::Integer(i64::MAX)];
        let cursor = PageCursor::new("0123abcd", &"filter", keys);
        let text = cursor.to_string();
        assert!(
            text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-'),
            "{text}"
        );
        assert_eq!(text.parse(), Ok(cursor));
        let bad = ["", ".", "0123abcd", "0123abcd.0123abcd.x", "0123abcd.0123abcd.t1"];
        for bad in bad.map(str::to_owned).into_iter().chain([format!("{text}.i+1"), text + "x"]) {
            assert!(bad.parse::<PageCursor>().is_err(), "{bad}");
        }
    }
}
