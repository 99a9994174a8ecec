//! Whether an index is what the tree says: one is built aside, and the two are compared row by row.

use rusqlite::types::ValueRef;
use serde::Serialize;

use super::database::Database;
use super::place::new_generation;
use super::{Index, IndexError, Progress, Value, schema};

/// A row that only one of two indexes has.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The view that it is in.
    pub view: String,
    /// Who has it.
    pub side: Side,
    /// Its columns, with their names.
    pub row: Vec<(String, Value)>,
}

/// Who has a row that the other has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The index, and the tree does not say so.
    Index,
    /// The tree says so, and the index does not.
    Tree,
}

impl Index {
    /// Compares the index with the tree: builds another aside, reading everything, and tells every row of
    /// every view that only one of them has. Returns how many there are. An index that was not brought up
    /// to date since the tree changed differs as well; [`refresh`](Index::refresh) it first, to see only
    /// what a refresh does not see.
    ///
    /// # Errors
    /// [`IndexError::NotBuilt`] where there is no index; where it cannot be read, or the other not be built.
    pub fn verify(
        &self,
        progress: &mut dyn FnMut(&Progress),
        tell: &mut dyn FnMut(Difference),
    ) -> Result<u64, IndexError> {
        let locked = self.lock()?;
        let database = Database::open_readable(&self.place)?;
        let generation = new_generation();
        let compared = self.build(&locked, &generation, progress).and_then(|_| {
            let aside = self.place.database(&generation);
            let fail = IndexError::sqlite("compare", &database.path);
            database.connection.execute("ATTACH $1 AS aside", [aside.as_str()]).map_err(&fail)?;
            compare(&database, tell).map_err(&fail)
        });
        drop(database);
        locked.remove(&generation);
        compared
    }
}

fn compare(database: &Database, tell: &mut dyn FnMut(Difference)) -> rusqlite::Result<u64> {
    let mut count = 0;
    for view in schema::view_names() {
        for (side, this, other) in [(Side::Index, "main", "aside"), (Side::Tree, "aside", "main")] {
            let sql = format!("SELECT * FROM {this}.{view} EXCEPT SELECT * FROM {other}.{view}");
            let mut statement = database.connection.prepare(&sql)?;
            let names: Vec<String> =
                statement.column_names().into_iter().map(str::to_owned).collect();
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let mut columns = Vec::with_capacity(names.len());
                for (at, name) in names.iter().enumerate() {
                    columns.push((name.clone(), value(row.get_ref(at)?)));
                }
                count += 1;
                tell(Difference { view: view.clone(), side, row: columns });
            }
        }
    }
    Ok(count)
}

pub(super) fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
