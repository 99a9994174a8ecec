//! A statement that reads, in the making.

use crate::index::Value;

/// The journal of a task and a run.
pub(in crate::index) const JOURNAL_OF: &str =
    "(SELECT journal FROM t_journals WHERE task_id = ? AND run_id = ?)";

/// A statement that reads, and its values. Its columns begin with the keys, which it is sorted by, and
/// which tell any two rows apart.
#[derive(Debug, Clone)]
pub(in crate::index) struct Select {
    keys: &'static [&'static str],
    pub(in crate::index) sql: String,
    pub(in crate::index) values: Vec<Value>,
}

impl Select {
    /// These columns: `... FROM ... WHERE ...`, with a first condition.
    pub(in crate::index) fn new(keys: &'static [&'static str], columns: &str) -> Self {
        let sql = format!("SELECT {}, {columns}", keys.join(", "));
        Self { keys, sql, values: Vec::new() }
    }

    /// Only rows of which this holds; each `?` in it stands for the next of the values.
    #[must_use]
    pub(in crate::index) fn given(
        mut self,
        condition: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Self {
        self.sql.push_str(" AND ");
        let mut number = self.values.len();
        for (at, part) in condition.split('?').enumerate() {
            if at > 0 {
                number += 1;
                self.sql.push_str(&format!("${number}"));
            }
            self.sql.push_str(part);
        }
        self.values.extend(values);
        self
    }

    /// The same where there is a value.
    #[must_use]
    pub(in crate::index) fn given_some(
        self,
        condition: &str,
        value: Option<impl Into<Value>>,
    ) -> Self {
        match value {
            Some(value) => self.given(condition, [value.into()]),
            None => self,
        }
    }

    /// Only rows whose keys compare so with these.
    #[must_use]
    pub(in crate::index) fn keys(self, comparison: &str, with: &[Value]) -> Self {
        let places = vec!["?"; self.keys.len()].join(", ");
        let condition = format!("({}) {comparison} ({places})", self.keys.join(", "));
        self.given(&condition, with.iter().cloned())
    }

    /// The first so many, in the order of the keys. The count stands in the text: for one that is bound, SQLite
    /// prepares a kept statement anew whenever it is another, in case another plan suited it better.
    #[must_use]
    pub(in crate::index) fn first(mut self, descending: bool, count: usize) -> Self {
        let way = if descending { " DESC" } else { "" };
        let keys = (1..=self.keys.len()).map(|key| format!("{key}{way}"));
        let keys = keys.collect::<Vec<_>>().join(", ");
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.sql.push_str(&format!(" ORDER BY {keys} LIMIT {count}"));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_as_they_come() {
        let select = Select::new(&["a", "b"], "c FROM t WHERE u = v")
            .given("c = ?", [1_i64.into()])
            .given_some("d = ?", None::<i64>)
            .keys("<", &["x".into(), 2_i64.into()])
            .first(true, 3);
        let wanted = "SELECT a, b, c FROM t WHERE u = v AND c = $1 AND (a, b) < ($2, $3) \
                      ORDER BY 1 DESC, 2 DESC LIMIT 3";
        assert_eq!(select.sql, wanted);
        let values: [Value; 3] = [1_i64.into(), "x".into(), 2_i64.into()];
        assert_eq!(select.values, values);
    }
}
