//! What statements of projectors that are not the library's may do.

use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::index::schema;

/// What may be done besides reading.
pub(super) enum Allowed {
    /// To write to these tables.
    Writing(Arc<[String]>),
    /// To make tables and what belongs to them, under names that are not the library's.
    Making,
}

impl Allowed {
    fn allows(&self, action: &AuthAction<'_>) -> bool {
        let reads = matches!(
            action,
            AuthAction::Select
                | AuthAction::Read { .. }
                | AuthAction::Function { .. }
                | AuthAction::Recursive
        );
        reads
            || match (self, action) {
                (
                    Self::Writing(tables),
                    AuthAction::Insert { table_name }
                    | AuthAction::Update { table_name, .. }
                    | AuthAction::Delete { table_name },
                ) => tables.iter().any(|own| own.eq_ignore_ascii_case(table_name)),
                // What is made is a row of SQLite's own.
                (
                    Self::Making,
                    AuthAction::Insert { table_name } | AuthAction::Update { table_name, .. },
                ) => *table_name == "sqlite_master",
                (
                    Self::Making,
                    AuthAction::CreateTable { table_name: name }
                    | AuthAction::CreateIndex { index_name: name, .. }
                    | AuthAction::CreateTrigger { trigger_name: name, .. }
                    | AuthAction::CreateView { view_name: name },
                ) => !schema::is_reserved(name),
                (Self::Making, AuthAction::Reindex { .. }) => true,
                _ => false,
            }
    }
}

/// Does something, while SQLite refuses every statement that does more.
pub(super) fn limited<T>(
    connection: &Connection,
    allowed: Allowed,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.authorizer(Some(move |asked: AuthContext<'_>| {
        if allowed.allows(&asked.action) { Authorization::Allow } else { Authorization::Deny }
    }))?;
    let done = work();
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    done
}
