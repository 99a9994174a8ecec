//! I6: the index that was refreshed all the while is the one that a rebuild makes, row by row.

use std::collections::BTreeMap;

use camino::Utf8Path;
use runjournal::Workspace;
use runjournal::index::Index;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::{Outcome, ensure};

/// All rows of all views, as text.
type Rows = BTreeMap<String, Vec<String>>;

/// Refreshes the workspace's index, builds another one elsewhere, and compares them without the library.
pub(super) fn is_as_rebuilt(workspace: &Workspace) -> Outcome {
    let (index, dir) = (Index::of(workspace), tempfile::tempdir()?);
    index.refresh()?;
    let other = Index::at(workspace, Utf8Path::from_path(dir.path()).unwrap_or(Utf8Path::new(".")));
    other.rebuild()?;
    let (refreshed, rebuilt) = (rows(&index)?, rows(&other)?);
    ensure(rebuilt.len() >= 15, || format!("it has the views {:?} alone", rebuilt.keys()))?;
    for (view, rows) in &rebuilt {
        let has = refreshed.get(view).map(Vec::as_slice).unwrap_or_default();
        let differs = || {
            let lacks = rows.iter().find(|row| has.binary_search(row).is_err());
            let only = has.iter().find(|row| rows.binary_search(row).is_err());
            let counts = (has.len(), rows.len());
            format!(
                "{view}, rows {counts:?}: the refreshed one lacks {lacks:?}, and alone has {only:?}"
            )
        };
        ensure(has == rows.as_slice(), differs)?;
    }
    ensure(refreshed.len() == rebuilt.len(), || "they have other views".into())
}

/// Every row of every view that is a function of the tree: `journals` says where the index stands.
fn rows(index: &Index) -> Outcome<Rows> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(index.database_path()?, flags)?;
    let views = "SELECT name FROM sqlite_schema WHERE type = 'view' AND name <> 'journals'";
    let mut views = database.prepare(views)?;
    let mut found = Rows::new();
    for view in views.query_map([], |row| row.get::<_, String>(0))? {
        let view = view?;
        let mut statement = database.prepare(&format!("SELECT * FROM \"{view}\""))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            let mut line = String::new();
            for column in 0..columns {
                line.push_str(&match row.get_ref(column)? {
                    ValueRef::Text(text) => format!("{:?} ", String::from_utf8_lossy(text)),
                    other => format!("{other:?} "),
                });
            }
            lines.push(line);
        }
        lines.sort();
        found.insert(view, lines);
    }
    Ok(found)
}
