//! What tests of the index share: all rows of all views as text, copies of trees, forged journals, chance.

use std::collections::BTreeMap;
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::Workspace;
use runjournal::index::{Difference, Index};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

pub(crate) type Dump = BTreeMap<String, Vec<String>>;

/// All rows of one statement, as text.
pub(crate) fn rows(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let names: Vec<String> = statement.column_names().iter().map(|name| (*name).into()).collect();
    let mut rows = statement.query([]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let columns = names.iter().enumerate().map(|(at, name)| {
            let value = match row.get_ref(at).unwrap() {
                ValueRef::Null => "NULL".to_owned(),
                ValueRef::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
                other => format!("{other:?}"),
            };
            format!("{name}={value}")
        });
        found.push(columns.collect::<Vec<_>>().join(" "));
    }
    found
}

/// The database that holds now, open for reading.
pub(crate) fn open(index: &Index) -> Connection {
    let path = index.database_path().unwrap();
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// Every row of every view that is a function of the tree, without the help of the library.
pub(crate) fn dump(index: &Index) -> Dump {
    let connection = open(index);
    let sql =
        "SELECT name FROM sqlite_schema WHERE type = 'view' AND name <> 'journals' ORDER BY name";
    let mut views = connection.prepare(sql).unwrap();
    let views = views.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let dump: Dump = views
        .map(|view| {
            let view = view.unwrap();
            let mut found = rows(&connection, &format!("SELECT * FROM {view}"));
            found.sort();
            (view, found)
        })
        .collect();
    assert!(dump.len() >= 15, "{:?}", dump.keys());
    dump
}

/// Rows that only one of the two has, with `-` or `+`.
pub(crate) fn compare(this: &Dump, other: &Dump) -> Vec<String> {
    let mut found = Vec::new();
    for (view, rows) in this {
        let others = other.get(view).unwrap();
        let lacks = |rows: &[String], row: &String| {
            let count = |rows: &[String]| rows.iter().filter(|other| *other == row).count();
            count(rows) == 0 || count(rows) != count(others) && count(rows) > 0
        };
        if rows == others {
            continue;
        }
        found.extend(rows.iter().filter(|r| lacks(others, r)).map(|r| format!("- {view}: {r}")));
        found.extend(others.iter().filter(|r| lacks(rows, r)).map(|r| format!("+ {view}: {r}")));
        found.push(format!("{view} differs"));
    }
    found
}

/// What the library's own comparison finds.
pub(crate) fn differences(index: &Index) -> Vec<Difference> {
    let mut found = Vec::new();
    let count = index.verify(&mut |_| {}, &mut |difference| found.push(difference)).unwrap();
    assert_eq!(count, found.len() as u64);
    found
}

/// What an index made anew, elsewhere, says.
pub(crate) fn rebuilt(workspace: &Workspace) -> Dump {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::at(workspace, Utf8Path::from_path(dir.path()).unwrap());
    index.rebuild().unwrap();
    dump(&index)
}

/// The index says what one says that is made anew, by a program that has the library's projectors alone.
#[track_caller]
pub(crate) fn assert_equal(index: &Index, workspace: &Workspace) {
    let (mut this, mut other) = (dump(index), rebuilt(workspace));
    // Where users' projectors stand is compared by those who have them.
    let known: Vec<_> = other["projection_state"].iter().map(|row| projector(row)).collect();
    let known: std::collections::BTreeSet<_> = known.into_iter().collect();
    for dump in [&mut this, &mut other] {
        let states = dump.get_mut("projection_state").unwrap();
        states.retain(|row| known.contains(&projector(row)));
    }
    let found = compare(&this, &other);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn projector(row: &str) -> String {
    row.split(' ').next().unwrap().to_owned()
}

/// The codes of all findings, sorted.
pub(crate) fn codes(index: &Index) -> Vec<String> {
    let connection = open(index);
    let mut codes = connection.prepare("SELECT code FROM findings ORDER BY code").unwrap();
    let codes = codes.query_map([], |row| row.get(0)).unwrap();
    codes.map(Result::unwrap).collect()
}

/// Copies a tree as `cp -r` does, over what is there; all but the index.
pub(crate) fn copy_tree(from: &Utf8Path, to: &Utf8Path, keep_times: bool) {
    fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = from.read_dir_utf8().unwrap().map(Result::unwrap).collect();
    // Another order than that of the names, so that inodes come in another order.
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name().len()));
    for entry in entries {
        let (name, source) = (entry.file_name(), entry.path());
        let target = to.join(name);
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            let _ = fs::remove_file(&target);
            std::os::unix::fs::symlink(fs::read_link(source).unwrap(), target).unwrap();
        } else if kind.is_dir() {
            if name != ".index" {
                copy_tree(source, &target, keep_times);
            }
        } else if kind.is_file() {
            // As `cp` does it: into the file that is there.
            fs::write(&target, fs::read(source).unwrap()).unwrap();
            if keep_times {
                let modified = source.metadata().unwrap().modified().unwrap();
                let file = fs::File::options().write(true).open(&target).unwrap();
                file.set_modified(modified).unwrap();
            }
        }
    }
}

/// Every file of a tree and its bytes; all but the index.
pub(crate) fn tree(root: &Utf8Path) -> BTreeMap<Utf8PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in dir.read_dir_utf8().unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path().to_owned(), entry.file_type().unwrap());
            if kind.is_dir() {
                if entry.file_name() != ".index" {
                    found.insert(path.clone(), b"directory".to_vec());
                    dirs.push(path);
                }
            } else if kind.is_file() {
                found.insert(path.clone(), fs::read(path).unwrap());
            } else {
                found.insert(path, b"link".to_vec());
            }
        }
    }
    found
}

/// Appends records that no verb writes, or writes yet, to a journal, sealed as they should be.
pub(crate) struct Forger {
    path: Utf8PathBuf,
    bytes: Vec<u8>,
    parent: [u8; 32],
    pub(crate) seq: u64,
}

impl Forger {
    /// Behind the last line of the journal of a task's or run's directory.
    pub(crate) fn behind(home: &Utf8Path) -> Self {
        let path = home.join("journal/events.jsonl");
        let bytes = fs::read(&path).unwrap();
        let (parent, seq) = if bytes.is_empty() {
            let genesis = ["run.json", "task.json"].map(|name| home.join(name));
            let genesis = genesis.iter().find_map(|path| fs::read(path).ok()).unwrap();
            (*blake3::hash(&genesis).as_bytes(), 1)
        } else {
            let at = bytes.len() - 67;
            let hash = blake3::Hash::from_hex(&bytes[at..at + 64]).unwrap();
            let line = bytes[..bytes.len() - 1].split(|byte| *byte == b'\n').next_back().unwrap();
            let line: serde_json::Value = serde_json::from_slice(line).unwrap();
            (*hash.as_bytes(), line["seq"].as_u64().unwrap() + 1)
        };
        Self { path, bytes, parent, seq }
    }

    /// A record of this type, in this stream.
    pub(crate) fn record(
        &mut self,
        event_type: &str,
        stream: (&str, &str),
        more: &str,
    ) -> &mut Self {
        let seq = self.seq;
        let body = format!(
            "{{\"seq\":{seq},\"event_id\":\"00000000-0000-7000-8000-{:012x}\",\
             \"event_type\":\"{event_type}\",\"occurred_at\":\"2026-01-01T00:00:00.000000Z\",\
             \"aggregate_kind\":\"{}\",\"stream_id\":\"{}\",\"stream_version\":{seq},\
             \"actor_kind\":\"node\"{more}",
            0x00f0_0000 + (seq & 0xffff),
            stream.0,
            stream.1
        );
        self.seq += 1;
        self.line(&body)
    }

    /// A record with this payload.
    pub(crate) fn payload(
        &mut self,
        event_type: &str,
        stream: (&str, &str),
        payload: &str,
    ) -> &mut Self {
        self.record(event_type, stream, &format!(",\"payload\":{payload}"))
    }

    /// A line with this body that follows the one before.
    pub(crate) fn line(&mut self, body: &str) -> &mut Self {
        let hash = blake3::hash(&[&self.parent, body.as_bytes()].concat());
        self.bytes.extend_from_slice(body.as_bytes());
        self.bytes.extend_from_slice(format!(",\"hash\":\"{}\"}}\n", hash.to_hex()).as_bytes());
        self.parent = *hash.as_bytes();
        self
    }

    pub(crate) fn write(&mut self) {
        fs::write(&self.path, &self.bytes).unwrap();
    }
}

/// Chance that is the same in every run.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}
