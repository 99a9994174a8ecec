//! The projectors of a database, and those of the program.

use super::limits::{is_of_the_library, limited};
use super::{Writer, quoted};
use crate::index::{IndexError, Projector, schema};

/// The number, name, checksum, tables and views of a projector.
type KnownProjector = (i64, String, String, Vec<String>, Vec<String>);

impl Writer<'_> {
    /// Gives each projector its number. A new one makes its tables, and begins at the beginning of each
    /// journal.
    pub(super) fn enlist(&mut self) -> Result<(), IndexError> {
        let mut known = self.known_projectors().map_err(self.failed())?;
        for projector in self.projectors {
            let (name, sql) = (projector.name(), projector.schema());
            let checksum = crate::digest::Digest::of(sql.as_bytes()).to_hex();
            let found = known.iter().position(|(_, known, ..)| known == name);
            let found = found.map(|at| known.swap_remove(at));
            let number = match found {
                Some((number, _, same, ..)) if same == checksum => number,
                other => {
                    if let Some((number, _, _, tables, views)) = other {
                        self.dismiss(number, &tables, &views)?;
                    }
                    self.admit(*projector, &checksum)?
                }
            };
            self.numbers.push(number);
        }
        self.strangers =
            known.into_iter().map(|(number, _, _, tables, _)| (number, tables)).collect();
        Ok(())
    }

    fn known_projectors(&self) -> rusqlite::Result<Vec<KnownProjector>> {
        let sql = "SELECT projector, name, checksum, tables, views FROM t_projectors";
        let mut known = self.database.connection.prepare(sql)?;
        let rows = known.query_map([], |row| {
            let names = |at| -> rusqlite::Result<Vec<String>> {
                let names: String = row.get(at)?;
                Ok(names.split_whitespace().map(str::to_owned).collect())
            };
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, names(3)?, names(4)?))
        })?;
        rows.collect()
    }

    fn dismiss(&self, number: i64, tables: &[String], views: &[String]) -> Result<(), IndexError> {
        for view in views {
            self.database.run(&format!("DROP VIEW IF EXISTS {}", quoted(view)), [])?;
        }
        for table in tables {
            self.database.run(&format!("DROP TABLE IF EXISTS {}", quoted(table)), [])?;
        }
        self.run("DELETE FROM t_laggards WHERE projector = $1", [number])?;
        self.run("DELETE FROM t_projectors WHERE projector = $1", [number])?;
        Ok(())
    }

    fn admit(&self, projector: &dyn Projector, checksum: &str) -> Result<i64, IndexError> {
        let bad =
            |reason: String| IndexError::BadProjector { name: projector.name().into(), reason };
        let mut views = Vec::new();
        if !is_of_the_library(projector) {
            let before = self.views().map_err(self.failed())?;
            for statement in schema::statements(projector.schema()) {
                let (connection, sql) = (&self.database.connection, schema::for_sqlite(&statement));
                let made =
                    limited(connection, projector.tables(), true, || connection.execute(&sql, []));
                made.map_err(|error| bad(error.to_string()))?;
            }
            for table in projector.tables() {
                // By it the rows of a journal are found again.
                let sql = format!("SELECT journal FROM {}", quoted(table));
                let found = self.database.connection.prepare(&sql);
                found.map_err(|error| bad(error.to_string()))?;
            }
            views = self.views().map_err(self.failed())?;
            views.retain(|view| !before.contains(view));
        }
        self.run(
            "INSERT INTO t_projectors (name, checksum, tables, views) VALUES ($1, $2, $3, $4)",
            [projector.name(), checksum, &projector.tables().join(" "), &views.join(" ")],
        )?;
        let number = self.database.connection.last_insert_rowid();
        self.run(
            "INSERT INTO t_laggards (projector, journal, seq, bytes) \
             SELECT $1, journal, 0, 0 FROM t_journals WHERE hash IS NOT NULL",
            [number],
        )?;
        Ok(number)
    }

    fn views(&self) -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'view'";
        let mut names = self.database.connection.prepare(sql)?;
        names.query_map([], |row| row.get(0))?.collect()
    }
    /// Projectors that this program has not stay where they are.
    pub(super) fn leave_strangers_behind(&self, key: i64) -> Result<(), IndexError> {
        for (number, _) in &self.strangers {
            self.run(
                "INSERT INTO t_laggards (projector, journal, seq, bytes, hash) \
                 SELECT $1, journal, seq, bytes, hash FROM t_journals WHERE journal = $2 \
                 ON CONFLICT (projector, journal) DO NOTHING",
                [number, &key],
            )?;
        }
        Ok(())
    }
}
