//! Questions in SQL.

use std::ops::ControlFlow;

use rusqlite::ErrorCode;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::IndexReader;
use crate::index::{IndexError, Value, schema};

/// A row of an answer in SQL.
#[derive(Debug)]
pub struct SqlRow<'a> {
    columns: &'a [String],
    values: Vec<Value>,
}

impl<'a> SqlRow<'a> {
    /// The names of its columns.
    #[must_use]
    pub fn columns(&self) -> &'a [String] {
        self.columns
    }

    /// Its values, in their order.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value in the first column of this name.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.columns.iter().position(|name| name == column).and_then(|at| self.values.get(at))
    }
}

/// What SQLite says of a table, with the views that there are where there is no such table.
fn with_views(reason: String) -> String {
    if !reason.starts_with("no such table") {
        return reason;
    }
    format!("{reason}; ask one of the views: {}", schema::view_names().join(", "))
}

const MORE: &str = "it does something else than to read";

impl IndexReader {
    /// Asks in SQL, with values for `$1`, `$2`, ..., and hands on row by row, in flat memory, until it is
    /// told to break off. One statement, which reads: all else is refused before it is run.
    ///
    /// The views have the plain names: `tasks`, `runs`, `steps`, `artifacts`, `events`, `receipts`, `work`,
    /// `sessions`, `checkpoints`, `approvals`, `leases`, `audit`, `findings`, `projection_state`,
    /// `index_meta`; and `journals`, by whose `journal` the rows of the caller's projectors are joined. The
    /// library's own tables are not promised.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    /// # let workspace = runjournal::Workspace::create(&root)?;
    /// # let task = workspace.create_task("TASK-1", runjournal::TaskOptions::default())?;
    /// # task.open_or_start_run("RUN-1")?;
    /// # let index = runjournal::index::Index::of(&workspace);
    /// # index.refresh()?;
    /// # let reader = index.open()?;
    /// use std::ops::ControlFlow;
    ///
    /// let sql = "SELECT status, COUNT(*) AS runs FROM runs WHERE task_id = $1 GROUP BY status";
    /// reader.sql(sql, &["TASK-1".into()], &mut |row| {
    ///     println!("{:?}: {:?}", row.get("status"), row.get("runs"));
    ///     ControlFlow::Continue(())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`IndexError::BadQuery`] where it does not read, or is no SQL; [`IndexError::Damaged`] where the
    /// index is.
    pub fn sql(
        &self,
        sql: &str,
        values: &[Value],
        each: &mut dyn FnMut(SqlRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let connection = &self.database.connection;
        let bad =
            |reason: &str| IndexError::BadQuery { sql: sql.to_owned(), reason: reason.to_owned() };
        let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::AuthorizationForStatementDenied) => bad(MORE),
            None
            | Some(
                ErrorCode::Unknown
                | ErrorCode::ReadOnly
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange,
            ) => bad(&with_views(error.to_string())),
            Some(_) => self.failed()(error),
        };
        connection.authorizer(Some(only_reading)).map_err(failed)?;
        let prepared = connection.prepare(sql);
        let freed = connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
        let mut statement = prepared.map_err(failed)?;
        freed.map_err(failed)?;
        let columns: Vec<String> =
            statement.column_names().into_iter().map(str::to_owned).collect();
        if !statement.readonly() || columns.is_empty() {
            return Err(bad(MORE));
        }
        let mut rows = statement.query(rusqlite::params_from_iter(values)).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let values = (0..columns.len()).map(|at| row.get_ref(at).map(Value::of));
            let values = values.collect::<Result<_, _>>().map_err(failed)?;
            if each(SqlRow { columns: &columns, values }).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// What changes nothing, neither in the index nor of this connection.
fn only_reading(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Function { .. }
        | AuthAction::Recursive
        | AuthAction::Pragma { pragma_name: "table_info" | "table_list", .. } => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}
