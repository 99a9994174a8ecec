//! What SQLite takes for the rows of an index and nothing else: a rebuild, whoever writes it, takes that as well.

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::Connection;

use crate::Result;

/// Writes all rows of the workspace's index into another database, and makes its indexes there, as the index is
/// loaded: no journal of its own, no syncs. Nothing is read but the index, and nothing is bound. How many rows
/// there were.
pub(super) fn copy_index(root: &Utf8Path, to: &Utf8Path) -> Result<u64> {
    let copy = Connection::open(to)?;
    copy.execute_batch(
        "PRAGMA page_size = 8192; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; \
         PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -65536",
    )?;
    copy.execute("ATTACH DATABASE ?1 AS old", [newest(root)?.as_str()])?;
    let made = |kind: &str| -> Result<Vec<(String, String)>> {
        let sql = "SELECT name, sql FROM old.sqlite_master WHERE type = ?1 AND sql IS NOT NULL \
                   AND name NOT LIKE 'sqlite_%' ORDER BY name";
        let mut asked = copy.prepare(sql)?;
        let rows = asked.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    };
    copy.execute_batch("BEGIN")?;
    let mut rows = 0;
    for (name, sql) in made("table")? {
        copy.execute(&sql, [])?;
        // The limit keeps SQLite from copying rows as they are, without making any.
        let insert = format!("INSERT INTO main.\"{name}\" SELECT * FROM old.\"{name}\" LIMIT -1");
        rows += copy.execute(&insert, [])? as u64;
    }
    for (_, sql) in made("index")? {
        copy.execute(&sql, [])?;
    }
    copy.execute_batch("COMMIT")?;
    Ok(rows)
}

/// The database that the workspace's index is in now.
fn newest(root: &Utf8Path) -> Result<Utf8PathBuf> {
    let index = root.join(".index");
    let current = std::fs::read_to_string(index.join("CURRENT"))?;
    Ok(index.join(current.trim_end()).join("index.db"))
}
