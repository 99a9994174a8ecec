//! The projectors of a database, and those of the program.

use std::sync::Arc;

use super::limits::{Allowed, limited};
use super::{Writer, quoted};
use crate::index::{IndexError, Projector, builtin, schema};

/// The number, name, checksum, tables and views of a projector.
type KnownProjector = (i64, String, String, Vec<String>, Vec<String>);

/// What a schema makes: its type, its name, and the table that it is of.
type Made = (String, String, String);

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
            let (number, tables) = match found {
                Some((number, _, same, tables, _)) if same == checksum => (number, tables),
                other => {
                    if let Some((number, _, _, tables, views)) = other {
                        self.dismiss(number, &tables, &views)?;
                    }
                    self.admit(*projector, &checksum)?
                }
            };
            self.numbers.push(number);
            let limit = !builtin::has(name);
            self.limits.push(limit.then(|| Arc::from(tables.as_slice())));
            self.tables.extend(tables);
        }
        for (number, _, _, tables, _) in known {
            self.strangers.push(number);
            self.tables.extend(tables);
        }
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

    /// Returns its number and its tables.
    fn admit(
        &self,
        projector: &dyn Projector,
        checksum: &str,
    ) -> Result<(i64, Vec<String>), IndexError> {
        let (tables, views) = if builtin::has(projector.name()) {
            (schema::table_names(projector.schema()), Vec::new())
        } else {
            self.make_tables(projector)?
        };
        self.run(
            "INSERT INTO t_projectors (name, checksum, tables, views) VALUES ($1, $2, $3, $4)",
            [projector.name(), checksum, &tables.join(" "), &views.join(" ")],
        )?;
        let number = self.database.connection.last_insert_rowid();
        self.run(
            "INSERT INTO t_laggards (projector, journal, seq, bytes) \
             SELECT $1, journal, 0, 0 FROM t_journals WHERE hash IS NOT NULL",
            [number],
        )?;
        Ok((number, tables))
    }

    /// Makes what the schema of a projector of the caller's says. Returns its tables and its views.
    fn make_tables(
        &self,
        projector: &dyn Projector,
    ) -> Result<(Vec<String>, Vec<String>), IndexError> {
        let bad =
            |reason: String| IndexError::BadProjector { name: projector.name().into(), reason };
        let refused = |error: rusqlite::Error| bad(error.to_string());
        let before = self.made().map_err(self.failed())?;
        for statement in schema::statements(projector.schema()) {
            let connection = &self.database.connection;
            let make = || connection.execute(&statement, []);
            limited(connection, Allowed::Making, make).map_err(refused)?;
        }
        let mut made = self.made().map_err(self.failed())?;
        made.retain(|made| !before.contains(made));
        let (mut tables, mut views) = (Vec::new(), Vec::new());
        for (kind, name, of) in &made {
            if schema::is_reserved(name) || name.contains(char::is_whitespace) {
                return Err(bad(format!("no {kind} of its own can be named {name:?}")));
            }
            match kind.as_str() {
                "table" => tables.push(name.clone()),
                "view" => views.push(name.clone()),
                // It would stay when the projector's tables go.
                _ if !made.iter().any(|(_, own, _)| own == of) => {
                    return Err(bad(format!("its {kind} {name} is of {of}, which is not its own")));
                }
                _ => {}
            }
        }
        if tables.is_empty() {
            return Err(bad("its schema makes no table".to_owned()));
        }
        for table in &tables {
            // By it the rows of a journal are found again.
            let sql = format!("SELECT journal FROM {}", quoted(table));
            self.database.connection.prepare(&sql).map_err(refused)?;
        }
        Ok((tables, views))
    }

    /// All that statements made, but for what SQLite makes of itself.
    fn made(&self) -> rusqlite::Result<Vec<Made>> {
        let sql = "SELECT type, name, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'";
        let mut made = self.database.connection.prepare(sql)?;
        made.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    }

    /// Projectors that this program has not stay where they are.
    pub(super) fn leave_strangers_behind(&self, key: i64) -> Result<(), IndexError> {
        for number in &self.strangers {
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
