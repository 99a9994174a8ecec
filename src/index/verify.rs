//! Whether an index is what the tree says: one is built aside, and the two are compared row by row.

use serde::Serialize;

use super::database::Database;
use super::place::new_generation;
use super::{Index, IndexError, Progress, Value, schema};
use crate::finding::Code;

/// A row that only one of two indexes has, or has once more.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The view that it is in, or the table of a projector that is not the library's.
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
    /// every view but `journals` that only one of them has, as often as only that one has it. Returns how many
    /// there are. An index that was not brought up
    /// to date since the tree changed differs as well; [`refresh`](Index::refresh) it first, to see only
    /// what a refresh does not see. Of projectors that are not the library's, those that both know are
    /// compared, their tables by the columns beside `journal`.
    ///
    /// # Errors
    /// [`IndexError::NotBuilt`] where there is no index, [`IndexError::Damaged`] where SQLite says so; where it cannot be read, or the other not be built.
    pub fn verify(
        &self,
        progress: &mut dyn FnMut(&Progress),
        tell: &mut dyn FnMut(Difference),
    ) -> Result<u64, IndexError> {
        let locked = self.lock()?;
        let database = Database::open_readable(&self.place)?;
        sound(&database)?;
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

/// SQLite's own check: what rows it keeps twice, as its indexes do, must agree.
fn sound(database: &Database) -> Result<(), IndexError> {
    let fail = IndexError::sqlite("check", &database.path);
    let check = "PRAGMA integrity_check(1)";
    let said: String = database.connection.query_row(check, [], |row| row.get(0)).map_err(fail)?;
    if said == "ok" {
        return Ok(());
    }
    Err(IndexError::Damaged { path: database.path.clone(), reason: said })
}

/// A column that no projector names so.
const MORE: &str = "the index has more";

fn compare(database: &Database, tell: &mut dyn FnMut(Difference)) -> rusqlite::Result<u64> {
    let mut count = 0;
    let strangers = strangers(database)?;
    let views = schema::compared_view_names();
    let mut compared: Vec<_> = views.map(|view| (view, "*".to_owned(), String::new())).collect();
    for table in tables(database)? {
        let (columns, join) = columns(database, &table)?;
        compared.push((table, columns, join));
    }
    for (view, columns, join) in compared {
        let select = |schema: &str| {
            let join = join.replace("{schema}", schema);
            format!("SELECT {columns} FROM {schema}.\"{view}\" {join}")
        };
        let (this, other) = (select("main"), select("aside"));
        let names: Vec<String> = {
            let statement = database.connection.prepare(&this)?;
            statement.column_names().into_iter().map(str::to_owned).collect()
        };
        // How many more of each row this one has. Sorted, so that memory holds few of them.
        let places =
            (1..=names.len()).map(|place| place.to_string()).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT *, SUM(\"{MORE}\") FROM (SELECT *, 1 AS \"{MORE}\" FROM ({this}) \
             UNION ALL SELECT *, -1 FROM ({other})) GROUP BY {places} HAVING SUM(\"{MORE}\") <> 0"
        );
        let mut statement = database.connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut values = Vec::with_capacity(names.len());
            for (at, name) in names.iter().enumerate() {
                values.push((name.clone(), Value::of(row.get_ref(at)?)));
            }
            if strangers.iter().any(|name| is_of(&view, &values, name)) {
                continue;
            }
            // Behind the row, and the column that is summed.
            let more: i64 = row.get(names.len() + 1)?;
            let side = if more > 0 { Side::Index } else { Side::Tree };
            count += more.unsigned_abs();
            for _ in 0..more.unsigned_abs() {
                tell(Difference { view: view.clone(), side, row: values.clone() });
            }
        }
    }
    Ok(count)
}

/// Projectors that the index knows and this program does not: nothing can be said of them.
fn strangers(database: &Database) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM main.t_projectors EXCEPT SELECT name FROM aside.t_projectors";
    let mut names = database.connection.prepare(sql)?;
    names.query_map([], |row| row.get(0))?.collect()
}

/// True if a row of a view is about this projector.
fn is_of(view: &str, row: &[(String, Value)], projector: &str) -> bool {
    let holds = |name: &str, wanted: &dyn Fn(&str) -> bool| {
        let mut columns = row.iter();
        columns.any(|(column, value)| {
            column == name && matches!(value, Value::Text(text) if wanted(text))
        })
    };
    match view {
        "projection_state" => holds("projector", &|text| text == projector),
        "findings" => {
            holds("code", &|code| code == Code::ProjectionStopped.to_string())
                && holds("reason", &|text| text.starts_with(&format!("{projector} stopped at ")))
        }
        _ => false,
    }
}

/// The tables of projectors that are not the library's, where both have the same.
fn tables(database: &Database) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT a.tables FROM aside.t_projectors a \
               JOIN main.t_projectors m ON m.name = a.name AND m.checksum = a.checksum";
    let mut tables = database.connection.prepare(sql)?;
    let tables = tables.query_map([], |row| row.get::<_, String>(0))?;
    let tables = tables.collect::<rusqlite::Result<Vec<_>>>()?.join(" ");
    let own = tables.split(' ').filter(|name| !name.is_empty() && !name.starts_with("t_"));
    Ok(own.map(str::to_owned).collect())
}

/// The columns to compare, and the join that puts a place for the number of a journal.
fn columns(database: &Database, table: &str) -> rusqlite::Result<(String, String)> {
    let sql = "SELECT name FROM pragma_table_info($1) WHERE lower(name) <> 'journal'";
    let mut columns = database.connection.prepare(sql)?;
    let columns = columns.query_map([table], |row| row.get::<_, String>(0))?;
    let columns = columns.collect::<rusqlite::Result<Vec<_>>>()?;
    let own = columns.iter().map(|name| format!(", \"{table}\".\"{name}\"")).collect::<String>();
    let join = format!("JOIN {{schema}}.t_journals j ON j.journal = \"{table}\".journal");
    Ok((format!("j.task_id, j.run_id{own}"), join))
}
