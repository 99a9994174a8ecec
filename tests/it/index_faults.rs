//! An index that is damaged, locked, killed, out of room or on a disk that cannot be written: the answer is
//! clear each time, the next call works, and the tree is never touched.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::index::{Index, IndexError};
use runjournal::testing::TestWorkspace;
use runjournal::{ArtifactName, Durability, Event, Signal, Workspace};

use crate::index_lab::{
    Chance, Dump, assert_equal, codes, compare, copy_tree, differences, dump, open, rebuilt, rows,
    tree,
};

const WORKER: &str = "RUNJOURNAL_TEST_INDEX";
const ELSEWHERE: &str = "RUNJOURNAL_TEST_INDEX_AT";

/// A workspace with a bit of everything.
fn some() -> TestWorkspace {
    let test = TestWorkspace::new().unwrap();
    for run in ["RUN-1", "RUN-2"] {
        let ctx = test.start_run(run).unwrap();
        let store = ctx.artifacts().durability(Durability::Buffered);
        for n in 0..3 {
            store.write_bytes(ArtifactName::new(format!("{n}.txt")).unwrap(), b"abc").unwrap();
        }
        let events: Vec<_> = (0..60).map(|n| Event::new("noted").payload(&n)).collect();
        ctx.journal().unwrap().append_batch(&events).unwrap();
        ctx.step("plan", |_| Ok(Signal::new("done"))).unwrap();
    }
    test
}

/// Names in the directory of an index, but for its lock.
fn names(index: &Index) -> Vec<String> {
    let entries = index.path().read_dir_utf8().unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_owned()).collect();
    names.retain(|name| name != ".lock");
    names.sort();
    names
}

#[track_caller]
fn one_generation(index: &Index) {
    let names = names(index);
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(names[0], "CURRENT");
}

/// A damage, and whether a refresh makes the index anew for it, and says so.
type Damage = (&'static str, bool, fn(&Index));

fn database(index: &Index, change: impl FnOnce(&mut Vec<u8>)) {
    let path = index.database_path().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn schema(index: &Index, schema: &str) {
    let writer = rusqlite::Connection::open(index.database_path().unwrap()).unwrap();
    writer.execute("UPDATE t_meta SET value = $1 WHERE name = 'schema'", [schema]).unwrap();
}

fn pipe(path: &Utf8Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

const DAMAGES: &[Damage] = &[
    ("index deleted", false, |i| fs::remove_dir_all(i.path()).unwrap()),
    ("CURRENT deleted", false, |i| fs::remove_file(i.path().join("CURRENT")).unwrap()),
    ("CURRENT garbage", true, |i| fs::write(i.path().join("CURRENT"), "../../etc\n").unwrap()),
    ("CURRENT empty", true, |i| fs::write(i.path().join("CURRENT"), "").unwrap()),
    ("CURRENT names nothing", true, |i| {
        let name = "generation-00000000-0000-7000-8000-000000000001\n";
        fs::write(i.path().join("CURRENT"), name).unwrap();
    }),
    ("database deleted", true, |i| fs::remove_file(i.database_path().unwrap()).unwrap()),
    ("generation deleted", true, |i| {
        fs::remove_dir_all(i.database_path().unwrap().parent().unwrap()).unwrap();
    }),
    ("CURRENT a directory", true, |i| {
        fs::remove_file(i.path().join("CURRENT")).unwrap();
        fs::create_dir_all(i.path().join("CURRENT/within")).unwrap();
    }),
    ("CURRENT a pipe", true, |i| {
        fs::remove_file(i.path().join("CURRENT")).unwrap();
        pipe(&i.path().join("CURRENT"));
    }),
    ("CURRENT new a directory", false, |i| {
        fs::create_dir_all(i.path().join("CURRENT.new/within")).unwrap();
        fs::remove_file(i.path().join("CURRENT")).unwrap();
    }),
    ("database a directory", true, |i| {
        let path = i.database_path().unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(path.join("within")).unwrap();
    }),
    ("database a pipe", true, |i| {
        let path = i.database_path().unwrap();
        fs::remove_file(&path).unwrap();
        pipe(&path);
    }),
    ("generation a file", true, |i| {
        let path = i.database_path().unwrap().parent().unwrap().to_owned();
        fs::remove_dir_all(&path).unwrap();
        fs::write(path, "").unwrap();
    }),
    ("empty", true, |i| database(i, Vec::clear)),
    ("one byte", true, |i| database(i, |bytes| bytes.truncate(1))),
    ("a header", true, |i| database(i, |bytes| bytes.truncate(100))),
    ("a page", true, |i| database(i, |bytes| bytes.truncate(8192))),
    ("another page", true, |i| database(i, |bytes| bytes.truncate(16384))),
    ("half", true, |i| database(i, |bytes| bytes.truncate(bytes.len() / 2))),
    ("all but a page", true, |i| database(i, |bytes| bytes.truncate(bytes.len() - 8192))),
    ("no database", true, |i| database(i, |bytes| bytes.fill(b'x'))),
    ("NUL", true, |i| database(i, |bytes| bytes.fill(0))),
    ("another schema", true, |i| schema(i, "1-0000000000000000")),
    ("a newer schema", true, |i| schema(i, "99-0123456789abcdef")),
    ("no schema", true, |i| {
        let writer = rusqlite::Connection::open(i.database_path().unwrap()).unwrap();
        writer.execute("DELETE FROM t_meta", []).unwrap();
    }),
    ("a table dropped", true, |i| {
        let writer = rusqlite::Connection::open(i.database_path().unwrap()).unwrap();
        writer.execute("DROP TABLE t_words", []).unwrap();
    }),
    ("another view", true, |i| {
        let writer = rusqlite::Connection::open(i.database_path().unwrap()).unwrap();
        let wrong = "DROP VIEW tasks; CREATE VIEW tasks AS SELECT 'wrong' AS task_id";
        writer.execute_batch(wrong).unwrap();
    }),
    ("an index dropped", true, |i| {
        let writer = rusqlite::Connection::open(i.database_path().unwrap()).unwrap();
        writer.execute("DROP INDEX i_runs_created", []).unwrap();
    }),
    ("words lost", true, |i| {
        let writer = rusqlite::Connection::open(i.database_path().unwrap()).unwrap();
        writer.execute("DELETE FROM t_words WHERE word = 0", []).unwrap();
    }),
    ("numbers without room", true, |i| {
        let writer = rusqlite::Connection::open(i.database_path().unwrap()).unwrap();
        writer
            .execute("UPDATE t_journals SET journal = 9223372036854775807 WHERE journal = 1", [])
            .unwrap();
    }),
    ("wrong types", true, |i| {
        let writer = rusqlite::Connection::open(i.database_path().unwrap()).unwrap();
        writer.execute("UPDATE t_journals SET hash = 'text', seq = x'00'", []).unwrap();
    }),
    ("left by killed ones", false, |i| {
        let half = i.path().join("generation-00000000-0000-7000-8000-000000000002");
        fs::create_dir(&half).unwrap();
        fs::write(half.join("index.db"), "half").unwrap();
        fs::write(i.path().join("CURRENT.new"), "generation-").unwrap();
        fs::remove_file(i.path().join("CURRENT")).unwrap();
    }),
    ("left by killed ones beside it", false, |i| {
        let half = i.path().join("generation-00000000-0000-7000-8000-000000000002");
        fs::create_dir(&half).unwrap();
        fs::write(half.join("index.db"), "half").unwrap();
    }),
];

#[test]
fn damaged_indexes_are_made_anew_and_the_tree_is_not_touched() {
    let test = some();
    let index = Index::of(test.workspace());
    let ctx = test.workspace().task("TASK-1").unwrap().run("RUN-1").unwrap().context().clone();
    for (name, anew, damage) in DAMAGES {
        index.refresh().unwrap();
        // A new word, so that there is something to write.
        ctx.append(Event::new(name.replace([' ', '-'], "_").to_lowercase())).unwrap();
        damage(&index);
        let before = tree(test.root());
        let verified = index.verify(&mut |_| {}, &mut |_| {});
        match verified {
            Ok(count) => assert_ne!(count, 0, "{name}"),
            Err(error) => assert!(
                matches!(
                    error,
                    IndexError::NotBuilt { .. }
                        | IndexError::Damaged { .. }
                        | IndexError::OtherSchema { .. }
                ),
                "{name}: {error:?}"
            ),
        }
        let built = index.refresh().unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(built.anew_because.is_some(), *anew, "{name}: {built:?}");
        let found = compare(&dump(&index), &rebuilt(test.workspace()));
        assert!(found.is_empty(), "{name}\n{}", found.join("\n"));
        one_generation(&index);
        assert!(tree(test.root()) == before, "{name}: the tree was touched");
    }
}

#[test]
fn flipped_bits_give_right_answers_or_typed_errors() {
    let test = some();
    let index = Index::of(test.workspace());
    index.rebuild().unwrap();
    let good = fs::read(index.database_path().unwrap()).unwrap();
    let (expected, before) = (dump(&index), tree(test.root()));
    let mut chance = Chance(7);
    let (mut right, mut found, mut cured) = (0, 0, 0);
    for round in 0..90 {
        let path = index.database_path().unwrap();
        let mut bytes = good.clone();
        // The first page has all that says how to read the others.
        let at = if round % 3 == 0 { chance.below(8192) } else { chance.below(bytes.len()) };
        // Most of what is zero is room for more.
        let at = (at..bytes.len()).find(|at| bytes[*at] != 0).unwrap_or(at);
        bytes[at] ^= 1 << chance.below(8);
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{path}{end}"));
        }
        fs::write(&path, bytes).unwrap();
        if round % 2 == 0 {
            match index.refresh() {
                Ok(built) if built.anew_because.is_some() => cured += 1,
                Ok(_) => {}
                Err(error) => panic!("byte {at}: {error:?}"),
            }
        }
        match index.verify(&mut |_| {}, &mut |_| {}) {
            Ok(0) => {
                right += 1;
                let wrong = compare(&dump(&index), &expected);
                assert!(wrong.is_empty(), "byte {at}\n{}", wrong.join("\n"));
            }
            Ok(_) => found += 1,
            Err(
                IndexError::Damaged { .. }
                | IndexError::OtherSchema { .. }
                | IndexError::NotBuilt { .. },
            ) => found += 1,
            Err(error) => panic!("byte {at}: {error:?}"),
        }
    }
    index.rebuild().unwrap();
    assert_equal(&index, test.workspace());
    assert!(tree(test.root()) == before, "the tree was touched");
    assert!(right > 10 && found > 10 && cured > 1, "{right} {found} {cured}");
}

#[test]
fn a_lock_that_is_held_is_named() {
    let test = some();
    let workspace = test.workspace().clone().with_lock_timeout(Duration::from_millis(30));
    let index = Index::of(&workspace);
    index.refresh().unwrap();
    let lock = fs::File::open(index.path().join(".lock")).unwrap();
    lock.lock().unwrap();
    let refused = [
        index.refresh().map(drop).unwrap_err(),
        index.rebuild().map(drop).unwrap_err(),
        index.verify(&mut |_| {}, &mut |_| {}).map(drop).unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, IndexError::Busy { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    }
    lock.unlock().unwrap();
    index.refresh().unwrap();
}

/// In a worker: the workspace to work on.
fn to_work_on(worker: &str) -> Option<Workspace> {
    let value = std::env::var(WORKER).ok()?;
    let root = value.strip_prefix(worker)?.strip_prefix(' ')?;
    Some(Workspace::open(root).unwrap())
}

/// This binary again, running one test alone as a worker; behind a command, if any.
fn worker(before: &[&str], name: &str, root: &Utf8Path) -> Command {
    let binary = std::env::current_exe().unwrap();
    let mut command = match before {
        [] => Command::new(&binary),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&binary);
            command
        }
    };
    let test = format!("index_faults::{name}");
    command.args(["--exact", &test, "--nocapture", "--test-threads=1"]);
    command.env(WORKER, format!("{name} {root}"));
    command
}

fn skipped(what: &str) {
    std::io::stderr().write_all(format!("skipped: {what}\n").as_bytes()).unwrap();
}

#[test]
fn refreshing_worker() {
    let Some(workspace) = to_work_on("refreshing_worker") else { return };
    Index::of(&workspace).refresh().unwrap();
}

#[test]
fn rebuilding_worker() {
    let Some(workspace) = to_work_on("rebuilding_worker") else { return };
    Index::of(&workspace).rebuild().unwrap();
}

#[test]
fn working_worker() {
    let Some(workspace) = to_work_on("working_worker") else { return };
    let index = Index::of(&workspace);
    for round in 0.. {
        if round % 3 == 0 {
            index.rebuild().unwrap()
        } else {
            index.refresh().unwrap()
        };
    }
}

/// Does something, so that there is something to see.
fn change(test: &TestWorkspace, number: u64) {
    let run = test.task().open_or_start_run(format!("RUN-{}", 1 + number % 4).as_str()).unwrap();
    let events: Vec<_> =
        (0..40).map(|n| Event::new(format!("event_{number}")).payload(&n)).collect();
    run.journal().unwrap().append_batch(&events).unwrap();
    let store = run.artifacts().durability(Durability::Buffered);
    let name = ArtifactName::new(format!("{}.txt", number % 5)).unwrap();
    store.write_bytes(&name, number.to_string().as_bytes()).unwrap();
}

#[track_caller]
fn goes_on(test: &TestWorkspace, what: &str) {
    let before = tree(test.root());
    let index = Index::of(test.workspace());
    let built = index.refresh().unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(built.anew_because, None, "{what}");
    let found = compare(&dump(&index), &rebuilt(test.workspace()));
    assert!(found.is_empty(), "{what}\n{}", found.join("\n"));
    one_generation(&index);
    assert!(tree(test.root()) == before, "{what}: the tree was touched");
}

#[test]
fn killed_at_any_moment() {
    let test = some();
    let mut chance = Chance(3);
    let mut killed = 0;
    for round in 0..14 {
        change(&test, round);
        let mut child =
            worker(&[], "working_worker", test.root()).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + chance.below(200) as u64));
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        goes_on(&test, &format!("round {round}"));
    }
    assert_eq!(killed, 14);
}

#[test]
fn killed_at_a_call() {
    let traced = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=none", "true"];
    let traced = Command::new("strace").args(traced).stderr(Stdio::null()).status();
    if !traced.is_ok_and(|status| status.success()) {
        return skipped("kills at calls: strace is not installed, or must not trace here");
    }
    let test = some();
    let mut killed = 0;
    let points = [
        ("mkdirat", 1),
        ("pwrite64", 1),
        ("pwrite64", 9),
        ("fsync", 1),
        ("fsync", 2),
        ("fsync", 3),
        ("fdatasync", 1),
        ("fdatasync", 2),
        ("write", 1),
        ("renameat", 1),
        ("unlinkat", 1),
        ("unlinkat", 2),
    ];
    for (number, (call, when)) in (100..).zip(points) {
        for name in ["rebuilding_worker", "refreshing_worker"] {
            change(&test, number);
            let inject = format!("inject={call}:signal=KILL:when={when}");
            let before = [
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &format!("trace={call}"),
                "-e",
                &inject,
            ];
            let status = worker(&before, name, test.root()).stdout(Stdio::null()).status().unwrap();
            killed += usize::from(!status.success());
            goes_on(&test, &format!("{name} at {call} {when}"));
        }
    }
    assert!(killed >= 12, "{killed}");
}

#[test]
fn readers_of_the_old_generation_are_not_disturbed() {
    let test = some();
    let index = Index::of(test.workspace());
    index.rebuild().unwrap();
    let sql = "SELECT COUNT(*) AS n, MAX(seq) AS last FROM events";
    let (old, stop) = (open(&index), AtomicBool::new(false));
    let before = rows(&old, sql);
    std::thread::scope(|scope| {
        let (index, stop, before) = (&index, &stop, &before);
        let reader = scope.spawn(move || {
            let mut reads = 0;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(&rows(&old, sql), before);
                reads += 1;
            }
            reads
        });
        for number in 0..6 {
            change(&test, number);
            index.rebuild().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 6);
    });
    assert_ne!(rows(&open(&index), sql), before);
    assert_equal(&index, test.workspace());
}

#[test]
fn writers_at_work_are_no_reason_to_fail() {
    let test = TestWorkspace::new().unwrap();
    let index = Index::of(test.workspace());
    let at_work = std::sync::atomic::AtomicUsize::new(4);
    let mut refreshed = 0;
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (test, at_work) = (&test, &at_work);
            scope.spawn(move || {
                for number in 0..40 {
                    let run = format!("RUN-{}", (writer + number / 10) % 5);
                    let Ok(run) = test.task().open_or_start_run(run.as_str()) else { continue };
                    let store = run.artifacts().durability(Durability::Buffered);
                    run.append(Event::new("worked").payload(&number)).unwrap();
                    let name = ArtifactName::new(format!("{writer}/{}.txt", number % 3)).unwrap();
                    store.write_bytes(&name, number.to_string().as_bytes()).unwrap();
                    if number % 7 == 0 {
                        store.remove(&name).unwrap();
                    }
                }
                at_work.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while at_work.load(Ordering::Relaxed) > 0 {
            index.refresh().unwrap();
            refreshed += 1;
        }
    });
    index.refresh().unwrap();
    assert!(refreshed > 2, "{refreshed}");
    assert_eq!(codes(&index), [""; 0]);
    assert_equal(&index, test.workspace());
    assert_eq!(differences(&index), []);
}

fn mount(arguments: &[&str], at: &Utf8Path) -> bool {
    let status = Command::new("mount").args(arguments).arg(at).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs a worker where mounts are its own; false where that cannot be done.
fn with_mounts(name: &str, root: &Utf8Path, at: &Utf8Path) -> bool {
    let probe = at.join("probe");
    fs::create_dir(&probe).unwrap();
    let script = format!("mount -t tmpfs none {probe}");
    let can =
        Command::new("unshare").args(["-m", "sh", "-c", &script]).stderr(Stdio::null()).status();
    fs::remove_dir(probe).unwrap();
    if !can.is_ok_and(|status| status.success()) {
        return false;
    }
    let output = worker(&["unshare", "-m"], name, root).env(ELSEWHERE, at).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

fn elsewhere() -> Utf8PathBuf {
    std::env::var(ELSEWHERE).unwrap().into()
}

#[test]
fn full_disk_worker() {
    let Some(workspace) = to_work_on("full_disk_worker") else { return };
    let at = elsewhere();
    assert!(mount(&["-t", "tmpfs", "-o", "size=4096k", "none"], &at));
    let index = Index::at(&workspace, at.join("index"));
    index.rebuild().unwrap();
    let before = dump(&index);
    let run = workspace.task("TASK-1").unwrap().run("RUN-1").unwrap().context().clone();
    let filler = at.join("filler");
    let mut free = fs::File::create(&filler).unwrap();
    // So much room is left, in KiB.
    for left in [1200, 600, 300, 150, 50, 20, 8, 0] {
        free.set_len(0).unwrap();
        let file = vec![7; (4096 - left) << 10];
        let _ = free.write_all(&file);
        free = fs::File::options().write(true).open(&filler).unwrap();
        if let Err(error) = index.rebuild() {
            assert!(matches!(error, IndexError::Full { .. }), "{left}: {error:?}");
            assert!(compare(&dump(&index), &before).is_empty());
            one_generation(&index);
        }
    }
    let events: Vec<_> = (0..1000).map(|n| Event::new("noted").payload(&n)).collect();
    run.journal().unwrap().append_batch(&events).unwrap();
    let refused = index.refresh().unwrap_err();
    assert!(matches!(refused, IndexError::Full { .. }), "{refused:?}");
    assert!(refused.to_string().contains("no room"), "{refused}");
    free.set_len(0).unwrap();
    index.refresh().unwrap();
    assert_equal(&index, &workspace);
}

#[test]
fn a_full_disk_leaves_the_index_as_it_was() {
    let test = some();
    let dir = tempfile::tempdir().unwrap();
    let at = Utf8Path::from_path(dir.path()).unwrap();
    if !with_mounts("full_disk_worker", test.root(), at) {
        skipped("a full disk: nothing can be mounted here");
    }
}

#[test]
fn read_only_worker() {
    let Some(workspace) = to_work_on("read_only_worker") else { return };
    let at = elsewhere();
    assert!(mount(&["-t", "tmpfs", "none"], &at));
    let root = at.join("workspaces");
    copy_tree(workspace.root(), &root, true);
    let workspace = Workspace::open(&root).unwrap().with_lock_timeout(Duration::from_millis(50));
    let index = Index::of(&workspace);
    // Where there is no index, and where there is one.
    for there in [false, true] {
        if there {
            index.refresh().unwrap();
            let run = workspace.task("TASK-1").unwrap().run("RUN-1").unwrap();
            run.context().append(Event::new("later")).unwrap();
        }
        let mut damaged = fs::read(root.join("TASK-1/runs/RUN-2/journal/events.jsonl")).unwrap();
        damaged[100] ^= 1;
        fs::write(root.join("TASK-1/runs/RUN-2/journal/events.jsonl"), damaged).unwrap();
        let before = tree(&root);
        assert!(mount(&["-o", "remount,ro"], &at));
        let refused = [
            index.refresh().map(drop).unwrap_err(),
            index.rebuild().map(drop).unwrap_err(),
            index.verify(&mut |_| {}, &mut |_| {}).map(drop).unwrap_err(),
        ];
        for error in refused {
            assert!(matches!(error, IndexError::ReadOnly { .. }), "{error:?}");
            assert!(error.to_string().contains("Index::at"), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let other = Index::at(&workspace, Utf8Path::from_path(dir.path()).unwrap());
        other.refresh().unwrap();
        assert_eq!(differences(&other), []);
        assert!(codes(&other).iter().all(|code| code != "unreadable"), "{:?}", codes(&other));
        assert!(tree(&root) == before);
        assert!(mount(&["-o", "remount,rw"], &at));
        let said: Dump = dump(&other);
        index.refresh().unwrap();
        assert_eq!(compare(&said, &dump(&index)), [""; 0]);
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_named() {
    let test = some();
    let dir = tempfile::tempdir().unwrap();
    let at = Utf8Path::from_path(dir.path()).unwrap();
    if !with_mounts("read_only_worker", test.root(), at) {
        skipped("a read-only disk: nothing can be mounted here");
    }
}

/// The tree is read, and nothing else: neither heads nor locks appear, be they there or not.
#[test]
fn a_tree_without_derived_files_gets_none() {
    let test = some();
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(dir.path()).unwrap().join("copy");
    copy_tree(test.root(), &root, false);
    let derived: Vec<_> = tree(&root)
        .into_keys()
        .filter(|path| path.file_name().is_some_and(|name| name.starts_with('.') && name != ".tmp"))
        .collect();
    assert!(!derived.is_empty());
    for path in derived {
        fs::remove_file(path).unwrap();
    }
    let journal = root.join("TASK-1/runs/RUN-2/journal/events.jsonl");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[100] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let before: BTreeMap<_, _> = tree(&root);
    let index = Index::of(&Workspace::open(&root).unwrap());
    index.refresh().unwrap();
    assert!(codes(&index).contains(&"broken_chain".to_owned()));
    let after = tree(&root);
    let new: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    assert!(new.is_empty(), "made by reading: {new:?}");
    assert!(after == before);
}
