//! The index's SQL is written for a second backend too: `docs/portability.md` has the rules, and this
//! holds every statement against them.

use std::fs;
use std::path::{Path, PathBuf};

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

/// What only SQLite is told: the ending of a file's name, and how the statement begins. All others are for
/// every backend.
const ONLY_SQLITE: [(&str, &str); 13] = [
    // In the place of a statement's beginning.
    ("index/bulk.rs", "INSERT OR FAIL"),
    ("index/database.rs", "PRAGMA "),
    ("index/database.rs", "SELECT sql FROM sqlite_schema"),
    ("index/verify.rs", "ATTACH "),
    ("index/verify.rs", "PRAGMA "),
    ("index/verify.rs", "SELECT "),
    ("index/writer.rs", "BEGIN IMMEDIATE"),
    ("index/writer/enlist.rs", "SELECT type, name, tbl_name FROM sqlite_schema"),
    ("index/writer/said.rs", "SAVEPOINT event"),
    ("index/writer/said.rs", "ROLLBACK TO event"),
    ("index/writer/said.rs", "RELEASE event"),
    // Parts of a statement, and its beginning to be compared with.
    ("index/query/select.rs", "SELECT {}, {columns}"),
    ("index/schema.rs", "CREATE "),
];
/// How a text begins that is a statement.
const VERBS: [&str; 21] = [
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "DELETE ",
    "DROP ",
    "CREATE ",
    "ALTER ",
    "WITH ",
    "VALUES ",
    "REPLACE ",
    "MERGE ",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT ",
    "RELEASE ",
    "PRAGMA ",
    "ATTACH ",
    "DETACH ",
    "VACUUM",
    "EXPLAIN ",
];
/// What only SQLite's own dialect has, or one of the two.
const FORBIDDEN: [&str; 18] = [
    "sqlite_",
    "strftime",
    "datetime(",
    "julianday",
    "unixepoch",
    "create trigger",
    "autoincrement",
    "insert or ",
    "replace into",
    "ifnull(",
    "glob ",
    "rowid",
    "pragma",
    "json_",
    "printf(",
    "group_concat",
    "datetime('now",
    "current_timestamp",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a directory, at any depth.
fn files(below: &str, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![root().join(below)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The text literals of a source file, as the compiler reads them.
fn literals(source: &str) -> Vec<String> {
    let code: Vec<&str> = source
        .lines()
        .map(|line| if line.trim_start().starts_with("//") { "" } else { line })
        .collect();
    let code = code.join("\n").replace("'\"'", "' '");
    let mut found = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '"' {
            continue;
        }
        let mut literal = String::new();
        while let Some(c) = chars.next().filter(|c| *c != '"') {
            if c != '\\' {
                literal.push(c);
                continue;
            }
            match chars.next() {
                Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                Some('n') => literal.push('\n'),
                Some(other) => literal.push(other),
                None => {}
            }
        }
        found.push(literal);
    }
    found
}

/// Every statement that a second backend is to run as it is, and where it stands.
fn statements() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in files("src/index/schema", "sql") {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let text = lines.collect::<Vec<_>>().join("\n");
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        found.extend(parts.map(|part| (path.display().to_string(), part.to_owned())));
    }
    for (path, literal) in from_code() {
        if ONLY_SQLITE.iter().any(|only| is_only(only, &path, &literal)) {
            continue;
        }
        // A name or a list stands there when it runs.
        let mut sql = literal.replace("VALUES {rows}", "VALUES (1)").replace("{}", "x");
        if let Some(rest) = sql.strip_prefix("ON CONFLICT ") {
            sql = format!("INSERT INTO x (a) VALUES (1) ON CONFLICT {rest}");
        } else if sql.starts_with("INSERT ")
            && !sql.contains(") VALUES ")
            && !sql.contains(") SELECT ")
        {
            sql.push_str(" VALUES (1)");
        }
        found.push((path, sql));
    }
    found
}

/// The texts in the code that are statements, or the end of one, without those of tests.
fn from_code() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in files("src/index", "rs") {
        let source = fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap();
        for literal in literals(code) {
            if VERBS.iter().chain(&["ON CONFLICT "]).any(|verb| literal.starts_with(verb)) {
                found.push((path.display().to_string(), literal));
            }
        }
    }
    found
}

fn is_only((file, begin): &(&str, &str), path: &str, literal: &str) -> bool {
    path.ends_with(file) && literal.starts_with(begin)
}

/// The faults of a statement.
fn faults(sql: &str) -> Vec<String> {
    let mut faults = Vec::new();
    match Parser::parse_sql(&PostgreSqlDialect {}, sql) {
        Ok(parsed) if parsed.len() == 1 => {}
        Ok(parsed) => faults.push(format!("{} statements", parsed.len())),
        Err(error) => faults.push(format!("PostgreSQL does not parse it: {error}")),
    }
    let lower = sql.to_lowercase();
    faults.extend(
        FORBIDDEN.iter().filter(|word| lower.contains(*word)).map(|word| format!("has {word}")),
    );
    let number = |rest: &str| -> String { rest.chars().take_while(char::is_ascii_digit).collect() };
    if sql.split('?').skip(1).any(|rest| !number(rest).is_empty()) {
        faults.push("has ?1".to_owned());
    }
    let mut last = 0;
    for place in sql.split('$').skip(1) {
        match number(place).parse::<usize>() {
            Ok(number) if number <= last + 1 => last = last.max(number),
            other => faults.push(format!("${other:?} follows ${last}")),
        }
    }
    faults
}

#[test]
fn every_statement_is_one_for_postgresql_too() {
    let all = statements();
    let code: Vec<_> = all.iter().filter(|(place, _)| place.ends_with(".rs")).collect();
    assert!(all.len() > 80 && code.len() > 50, "{} {}", all.len(), code.len());
    for place in
        ["writer.rs", "enlist.rs", "said.rs", "bulk.rs", "build.rs", "database.rs", "steps.rs"]
    {
        assert!(code.iter().any(|(path, _)| path.ends_with(place)), "none in {place}");
    }
    for only in ONLY_SQLITE {
        let used = from_code().iter().any(|(path, literal)| is_only(&only, path, literal));
        assert!(used, "{only:?} is not there any more");
    }
    let projectors = files("src/index/builtin", "rs").len();
    assert!(projectors >= 12, "{projectors}");
    for (place, sql) in all {
        let faults = faults(&sql);
        assert!(faults.is_empty(), "{place}: {faults:?}\n{sql}");
    }
}

#[test]
fn what_breaks_the_rules_is_seen() {
    for bad in [
        "SELECT a FROM (",
        "SELECT 1; SELECT 2",
        "SELECT strftime('%s', a) FROM t",
        "SELECT datetime(a) FROM t",
        "CREATE TABLE t (a INTEGER PRIMARY KEY) WITHOUT ROWID",
        "INSERT OR REPLACE INTO t (a) VALUES ($1)",
        "SELECT a FROM t WHERE b = ?1",
        "SELECT a FROM t WHERE b = $2 AND c = $1",
        "UPDATE t SET a = $1 WHERE b = $3",
    ] {
        assert_ne!(faults(bad), [""; 0], "{bad}");
    }
    assert_eq!(faults("UPDATE t SET a = $1, c = $1 WHERE b = $2"), [""; 0]);
}

/// Types and functions that the page maps are all that there are.
#[test]
fn the_page_names_what_a_second_backend_has_to_map() {
    let page = fs::read_to_string(root().join("docs/portability.md")).unwrap();
    let mut called = std::collections::BTreeSet::new();
    let mut types = std::collections::BTreeSet::new();
    for (_, sql) in statements() {
        for (at, _) in sql.match_indices('(') {
            let before = &sql[..at];
            let word: String = before
                .chars()
                .rev()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            let word: String = word.chars().rev().collect();
            if !word.is_empty()
                && !word.starts_with("t_")
                && !word.starts_with(|c: char| c.is_ascii_digit())
            {
                called.insert(word.to_lowercase());
            }
        }
        if let Some(columns) = sql.strip_prefix("CREATE TABLE ") {
            for line in
                columns.lines().skip(1).map(str::trim).filter(|line| !line.starts_with([')', 'P']))
            {
                types.insert(
                    line.split_whitespace().nth(1).unwrap().trim_end_matches(',').to_owned(),
                );
            }
        }
    }
    let words =
        ["as", "in", "key", "conflict", "exists", "from", "values", "select", "when", "join", "x"];
    for function in called.iter().filter(|name| !words.contains(&name.as_str())) {
        assert!(
            page.contains(&format!("`{function}(")),
            "docs/portability.md does not name {function}()"
        );
    }
    assert_eq!(types.into_iter().collect::<Vec<_>>(), ["BLOB", "INTEGER", "TEXT"]);
}
