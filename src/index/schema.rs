//! The tables, indexes and views, and what they are called together.

use super::builtin;
use crate::digest::Digest;

/// Goes up when rows mean something else though no statement changed.
const VERSION: u32 = 1;

const TABLES: &str = include_str!("schema/tables.sql");
const EVENTS: &str = include_str!("schema/events.sql");
const INDEXES: &str = include_str!("schema/indexes.sql");
const VIEWS: &str = include_str!("schema/views.sql");

/// The statements that make the library's tables.
pub(super) fn tables() -> impl Iterator<Item = String> {
    let files = [TABLES, EVENTS].into_iter();
    let files = files.chain(builtin::all().into_iter().map(|projector| projector.schema()));
    files.flat_map(statements).map(|statement| for_sqlite(&statement))
}

/// Those that make its indexes.
pub(super) fn indexes() -> impl Iterator<Item = String> {
    statements(INDEXES).map(|statement| for_sqlite(&statement))
}

/// Those that make its views.
pub(super) fn views() -> impl Iterator<Item = String> {
    statements(VIEWS)
}

/// The names of the views, in their order.
pub(super) fn view_names() -> Vec<String> {
    names("CREATE VIEW ", VIEWS)
}

/// Those that are a function of the tree: all but the one that shows the numbers of journals.
pub(super) fn compared_view_names() -> impl Iterator<Item = String> {
    view_names().into_iter().filter(|name| name != "journals")
}

/// The names of the tables that a schema of the library's makes.
pub(super) fn table_names(sql: &str) -> Vec<String> {
    names("CREATE TABLE ", sql)
}

/// True for what the library calls its own: its views, `t_...`, `i_...`. SQLite does not tell `A` from `a`.
pub(super) fn is_reserved(name: &str) -> bool {
    let name = name.to_lowercase();
    name.starts_with("t_") || name.starts_with("i_") || view_names().contains(&name)
}

fn names(make: &str, sql: &str) -> Vec<String> {
    let names = statements(sql).filter_map(|statement| {
        let rest = statement.strip_prefix(make)?;
        rest.split_whitespace().next().map(str::to_owned)
    });
    names.collect()
}

/// `VERSION-CHECKSUM`: an index with another one is made anew.
pub(super) fn version() -> String {
    let mut text = String::new();
    for statement in all() {
        text.push_str(&statement);
        text.push('\n');
    }
    format!("{VERSION}-{:.16}", Digest::of(text.as_bytes()).to_hex())
}

/// Every statement: SQLite keeps them as they are.
pub(super) fn all() -> impl Iterator<Item = String> {
    tables().chain(indexes()).chain(views())
}

/// The statements of a file, without their comments.
pub(super) fn statements(sql: &str) -> impl Iterator<Item = String> {
    let lines = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let statements: Vec<String> = text.split(';').map(|part| part.trim().to_owned()).collect();
    statements.into_iter().filter(|statement| !statement.is_empty())
}

/// SQLite keeps a table with a key of several columns in the order of the key if told so, and twice
/// otherwise. Its indexes end in the key without being told so, and if told so they hold it twice.
pub(super) fn for_sqlite(statement: &str) -> String {
    if statement.starts_with("CREATE INDEX") && statement.contains(" ON t_events (") {
        return statement.replace(", event)", ")");
    }
    let composite = statement.starts_with("CREATE TABLE") && statement.contains("PRIMARY KEY (");
    if composite { format!("{statement} WITHOUT ROWID") } else { statement.to_owned() }
}
