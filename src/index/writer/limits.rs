//! What statements of projectors that are not the library's may do.

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::index::Projector;

/// True for a projector whose tables the library's own schema makes.
pub(super) fn is_of_the_library(projector: &dyn Projector) -> bool {
    projector.tables().iter().any(|table| table.starts_with("t_"))
}

/// Does something, while SQLite refuses every statement that does more than to read, and to write to these
/// tables; or, where they are to be made, to make them and what belongs to them.
pub(super) fn limited<T>(
    connection: &Connection,
    tables: &'static [&'static str],
    making: bool,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.authorizer(Some(move |asked: AuthContext<'_>| {
        let own = |table: &str| tables.iter().any(|own| own.eq_ignore_ascii_case(table));
        // A table is made by a row of SQLite's own.
        let written = |table: &str| own(table) || making && table == "sqlite_master";
        let fine = match asked.action {
            AuthAction::Select
            | AuthAction::Read { .. }
            | AuthAction::Function { .. }
            | AuthAction::Recursive => true,
            AuthAction::Insert { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Delete { table_name } => written(table_name),
            AuthAction::CreateTable { table_name }
            | AuthAction::CreateIndex { table_name, .. }
            | AuthAction::CreateTrigger { table_name, .. } => making && own(table_name),
            AuthAction::CreateView { .. } | AuthAction::Reindex { .. } => making,
            _ => false,
        };
        if fine { Authorization::Allow } else { Authorization::Deny }
    }))?;
    let done = work();
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    done
}
