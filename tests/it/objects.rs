//! Payloads that are too large for a line: where they are kept, that they read the same, and what is
//! said of objects that are gone or changed.

use std::fs;
use std::os::unix::fs::symlink;

use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::*;
use serde_json::json;

const MAX_IN_LINE: usize = 64 << 10;

/// A text whose JSON has so many bytes.
fn text(json_bytes: usize) -> String {
    "x".repeat(json_bytes - 2)
}

fn large(letter: char) -> String {
    String::from(letter).repeat(100_000)
}

fn event(payload: &str) -> Event {
    Event::new("said").payload(payload)
}

fn start() -> (TestWorkspace, RunContext) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    (test, ctx)
}

fn records(ctx: &RunContext) -> Vec<Record> {
    ctx.events().unwrap().collect::<Result<_, _>>().unwrap()
}

fn last(ctx: &RunContext) -> Record {
    records(ctx).pop().unwrap()
}

/// Where the page says that the object with this digest is.
fn place(home: &Utf8Path, digest: Digest) -> Utf8PathBuf {
    let hex = digest.to_hex();
    home.join("objects").join(&hex[..2]).join(&hex[2..])
}

/// Every object below a directory.
fn objects(home: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    for dir in home.join("objects").read_dir_utf8().into_iter().flatten() {
        let dir = dir.unwrap().into_path();
        found.extend(dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path()));
    }
    found.sort();
    found
}

/// The object of a record with a large payload.
fn object(ctx: &RunContext, record: &Record) -> Utf8PathBuf {
    place(&ctx.run_path(), record.payload_ref().unwrap().digest)
}

#[test]
fn sixty_four_kibibytes_stay_in_the_line_and_one_byte_more_does_not() {
    let (_test, ctx) = start();
    ctx.append(event(&text(MAX_IN_LINE))).unwrap();
    let record = last(&ctx);
    assert_eq!(record.payload_ref(), None);
    assert!(record.line().len() > MAX_IN_LINE && objects(&ctx.run_path()).is_empty());

    let spilled = text(MAX_IN_LINE + 1);
    ctx.append(event(&spilled)).unwrap();
    let record = last(&ctx);
    let json = format!("\"{spilled}\"");
    let expected = PayloadRef { digest: Digest::of(json.as_bytes()), size: json.len() as u64 };
    assert_eq!(record.payload_ref(), Some(expected));
    assert!(record.line().len() < 1000 && !record.line().contains("\"payload\""));
    assert_eq!(objects(&ctx.run_path()), [object(&ctx, &record)]);
    assert_eq!(fs::read_to_string(object(&ctx, &record)).unwrap(), json);
    assert_eq!(record.payload::<String>().unwrap(), spilled);
    assert_eq!(record.payload_json().unwrap().unwrap(), json);
    assert_eq!(fs::read_dir(ctx.run_path().join(".tmp")).unwrap().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What counts is the length in the line, where some characters are escaped.
    #[test]
    fn a_payload_is_spilled_by_its_length_in_the_line_and_reads_the_same(
        odd in prop::collection::vec(
            prop::sample::select(vec!["\u{7f}", "\u{2028}", "\u{85}", "ü", "\n", "\"", "🦀", "\u{1}"]),
            0..12_000,
        ),
        around in -3_i64..4,
    ) {
        let mut payload = odd.concat();
        let in_line = |text: &str| {
            let escaped = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
            let json = serde_json::to_string(text).unwrap();
            json.chars().map(|c| if escaped(c) { 6 } else { c.len_utf8() }).sum::<usize>()
        };
        let wanted = MAX_IN_LINE.saturating_add_signed(isize::try_from(around).unwrap());
        payload.push_str(&"x".repeat(wanted.saturating_sub(in_line(&payload))));

        let (_test, ctx) = start();
        ctx.append(event(&payload)).unwrap();
        let record = last(&ctx);
        prop_assert_eq!(record.payload_ref().is_some(), in_line(&payload) > MAX_IN_LINE);
        prop_assert_eq!(record.payload::<String>().unwrap(), payload);
        if let Some(named) = record.payload_ref() {
            let content = fs::read_to_string(object(&ctx, &record)).unwrap();
            prop_assert_eq!(named.size, content.len() as u64);
            prop_assert_eq!(content.split(['\n', '\u{7f}', '\u{85}', '\u{2028}']).count(), 1);
        }
    }
}

#[test]
fn a_batch_counts_what_its_lines_have() {
    let (_test, ctx) = start();
    let events: Vec<_> = ('a'..='t').map(|c| event(&String::from(c).repeat(1 << 20))).collect();
    assert_eq!(ctx.journal().unwrap().append_batch(&events).unwrap().len(), 20);
    let mut transaction = ctx.transaction();
    events.iter().for_each(|event| transaction.append(event.clone()));
    transaction.commit().unwrap();
    let records = records(&ctx);
    assert_eq!(objects(&ctx.run_path()).len(), 20, "the second batch names the same objects");
    for (record, letter) in records.iter().zip(('a'..='t').chain('a'..='t')) {
        assert!(record.payload::<String>().unwrap().starts_with(letter));
    }
    assert!(fs::metadata(ctx.journal_path()).unwrap().len() < 40_000);
}

#[test]
fn what_cannot_be_appended_leaves_no_objects() {
    let (_test, ctx) = start();
    let journal = ctx.journal().unwrap();
    let many = vec![event(&large('a')); MAX_BATCH_RECORDS + 1];
    assert!(matches!(journal.append_batch(&many), Err(JournalError::TooLarge { .. })));
    let bad = journal.append(event(&large('a')).stream("Bad Kind", "a"));
    assert!(matches!(bad, Err(JournalError::BadEvent { .. })));
    let path = ctx.run_path().join("run.json");
    let genesis = fs::read_to_string(&path).unwrap();
    let body =
        genesis[..genesis.len() - 76].replace("\"format_version\":1", "\"format_version\":2");
    let hash = Digest::of(body.as_bytes()).to_hex();
    fs::write(&path, format!("{body},\"hash\":\"{hash}\"}}\n")).unwrap();
    let newer = ctx.append(event(&large('a')));
    assert!(matches!(newer, Err(JournalError::Genesis(GenesisError::NewerFormat { .. }))));
    let mut transaction = ctx.transaction();
    transaction.append(event(&large('a')));
    assert!(transaction.commit().is_err());
    assert!(!ctx.run_path().join("objects").exists());
}

#[test]
fn an_append_that_is_refused_leaves_objects_that_do_no_harm() {
    let (_test, ctx) = start();
    let refused = ctx.append(event(&large('a')).expect(ExpectedVersion::Exact(7)));
    assert!(matches!(refused, Err(JournalError::VersionConflict { .. })));
    assert_eq!((records(&ctx).len(), objects(&ctx.run_path()).len()), (0, 1));
    ctx.append(event(&large('a'))).unwrap();
    assert_eq!(last(&ctx).payload::<String>().unwrap(), large('a'));
}

#[test]
fn a_duplicate_is_told_by_meaning() {
    let (_test, ctx) = start();
    let value = |order: bool| {
        let (a, b) = (large('a'), large('b'));
        let json = if order {
            format!("{{\"a\":\"{a}\",\"b\":\"{b}\"}}")
        } else {
            format!("{{\"b\":\"{b}\", \"a\":\"{a}\"}}")
        };
        let json: Box<serde_json::value::RawValue> = serde_json::from_str(&json).unwrap();
        Event::new("said").payload(&json).key("k")
    };
    let first = ctx.append(value(true)).unwrap();
    for again in [value(true), value(false)] {
        let again = ctx.append(again).unwrap();
        assert!(again.duplicate && again.event_id == first.event_id);
    }
    for other in [event(&large('a')), event("small")] {
        let refused = ctx.append(other.key("k"));
        assert!(matches!(refused, Err(JournalError::KeyConflict { difference: "payload", .. })));
    }
    let batch = [event("small").key("b"), event(&large('b')), event(&large('c'))];
    let journal = ctx.journal().unwrap();
    journal.append_batch(&batch).unwrap();
    assert!(journal.append_batch(&batch).unwrap().iter().all(|appended| appended.duplicate));
    let mut transaction = ctx.transaction().key("t");
    transaction.append(event(&large('c')));
    transaction.commit().unwrap();
    let mut again = ctx.transaction().key("t");
    again.append(event(&large('c')));
    assert!(again.commit().unwrap().duplicate);
    assert_eq!(records(&ctx).len(), 5);
}

#[test]
fn a_duplicate_behind_damage_is_told_by_meaning() {
    let (_test, ctx) = start();
    ctx.append(event("small")).unwrap();
    ctx.append(event(&large('a')).key("k")).unwrap();
    let mut journal = fs::read(ctx.journal_path()).unwrap();
    let first_hash = journal.iter().position(|byte| *byte == b'\n').unwrap() - 10;
    journal[first_hash] ^= 1;
    fs::write(ctx.journal_path(), journal).unwrap();
    assert!(ctx.append(event(&large('a')).key("k")).unwrap().duplicate);
}

#[test]
fn an_object_is_told_apart_by_its_digest_and_replaced_where_it_rotted() {
    let (_test, ctx) = start();
    ctx.append(event(&large('a'))).unwrap();
    let record = last(&ctx);
    let object = object(&ctx, &record);
    let right = fs::read(&object).unwrap();
    let inode = |path: &Utf8Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let made = inode(&object);
    ctx.append(event(&large('a'))).unwrap();
    assert_eq!(inode(&object), made, "the right object is used as it is");

    let mut flipped = right.clone();
    flipped[50_000] ^= 1;
    for wrong in [flipped, right[..99_000].to_vec(), [&right[..], b" "].concat(), Vec::new()] {
        fs::write(&object, &wrong).unwrap();
        match record.payload::<String>() {
            Err(JournalError::ObjectChanged { path, seq, expected, found }) => {
                let named = |bytes: &[u8]| PayloadRef {
                    digest: Digest::of(bytes),
                    size: bytes.len() as u64,
                };
                assert_eq!((path, seq), (object.clone(), 1));
                assert_eq!((*expected, *found), (named(&right), named(&wrong)));
            }
            other => panic!("{other:?}"),
        }
        assert!(record.payload_json().is_err());
        ctx.append(event(&large('a'))).unwrap();
        assert_eq!(fs::read(&object).unwrap(), right);
        assert_eq!(record.payload::<String>().unwrap(), large('a'));
    }
}

#[test]
fn a_missing_object_is_told_of_and_put_back_by_the_same_payload() {
    let (_test, ctx) = start();
    ctx.append(event(&large('a')).key("k")).unwrap();
    let record = last(&ctx);
    let object = object(&ctx, &record);
    fs::remove_dir_all(ctx.run_path().join("objects")).unwrap();
    let error = record.payload::<String>().unwrap_err();
    assert!(matches!(error, JournalError::ObjectMissing { seq: 1, .. }), "{error:?}");
    let told = error.to_string();
    let digest = record.payload_ref().unwrap().digest.to_string();
    assert!(told.contains(object.as_str()) && told.contains(&digest) && told.contains("restore"));
    assert!(ctx.append(event("small")).is_ok(), "a record that nobody asks for stops nothing");
    assert!(ctx.append(event(&large('a')).key("k")).unwrap().duplicate);
    assert_eq!(record.payload::<String>().unwrap(), large('a'));
}

#[test]
fn links_and_directories_in_the_place_of_an_object_are_neither_followed_nor_replaced() {
    let (_test, ctx) = start();
    ctx.append(event(&large('a'))).unwrap();
    let record = last(&ctx);
    let object = object(&ctx, &record);
    let aside = ctx.run_path().join("aside");
    let check = || {
        assert!(matches!(record.payload::<String>(), Err(JournalError::Io(_))));
        let error = ctx.append(event(&large('a'))).unwrap_err();
        assert!(matches!(error, JournalError::Io(_)), "{error:?}");
        assert!(error.to_string().contains("objects"), "{error}");
        assert_eq!(records(&ctx).len(), 1);
    };
    fs::rename(&object, &aside).unwrap();
    symlink(&aside, &object).unwrap();
    check();
    fs::remove_file(&object).unwrap();
    fs::create_dir(&object).unwrap();
    check();
    fs::remove_dir(&object).unwrap();
    fs::rename(&aside, &object).unwrap();
    for dir in [object.parent().unwrap().to_owned(), ctx.run_path().join("objects")] {
        fs::rename(&dir, &aside).unwrap();
        symlink(&aside, &dir).unwrap();
        check();
        fs::remove_file(&dir).unwrap();
        fs::rename(&aside, &dir).unwrap();
    }
    assert_eq!(record.payload::<String>().unwrap(), large('a'));
}

#[test]
fn a_size_that_a_record_claims_is_only_a_claim() {
    let (_test, ctx) = start();
    ctx.append(event(&large('a'))).unwrap();
    let record = last(&ctx);
    let digest = record.payload_ref().unwrap().digest;
    let genesis = Digest::of(&fs::read(ctx.run_path().join("run.json")).unwrap());
    for size in [0, 1, 100_001, 100_003, u64::MAX] {
        // A forged line, hash and all.
        let line = record.line();
        let body = line[..line.len() - 75].replace("\"size\":100002", &format!("\"size\":{size}"));
        let parent = genesis.to_hex();
        let mut chained: Vec<u8> = (0..32)
            .map(|at| u8::from_str_radix(&parent[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        chained.extend_from_slice(body.as_bytes());
        let hash = Digest::of(&chained).to_hex();
        fs::write(ctx.journal_path(), format!("{body},\"hash\":\"{hash}\"}}\n")).unwrap();
        let forged = last(&ctx);
        assert_eq!(forged.payload_ref(), Some(PayloadRef { digest, size }));
        match forged.payload::<String>() {
            Err(JournalError::ObjectChanged { expected, found, .. }) => {
                assert_eq!((expected.size, found.size), (size, 100_002));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn writers_of_the_same_payload_do_not_meet() {
    let (_test, ctx) = start();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let ctx = &ctx;
            scope.spawn(move || {
                for round in 0..6_u8 {
                    let shared = large(char::from(b'a' + round));
                    ctx.append(event(&shared)).unwrap();
                    ctx.append(event(&format!("{thread} {round} {shared}"))).unwrap();
                }
            });
        }
    });
    let records = records(&ctx);
    assert_eq!((records.len(), objects(&ctx.run_path()).len()), (96, 6 + 48));
    for record in records {
        assert!(record.payload::<String>().unwrap().len() >= 100_000);
    }
    assert_eq!(fs::read_dir(ctx.run_path().join(".tmp")).unwrap().count(), 0);
}

#[test]
fn what_the_library_itself_says_at_length_is_read_by_it() {
    let (test, ctx) = start();
    const COUNT: usize = 900;
    let outputs = |s: &StepContext| -> StepResult {
        for number in 0..COUNT {
            let name = format!("{number}-{}", "n".repeat(80));
            s.write_bytes(ArtifactName::new(&name)?, b"x")?;
        }
        s.append(event(&large('a')))?;
        Ok("done".into())
    };
    assert_eq!(ctx.step("work", outputs).unwrap(), "done");
    let records = records(&ctx);
    let completed = records.iter().find(|r| r.event_type() == "step_completed").unwrap();
    assert!(completed.payload_ref().is_some());
    let payload: serde_json::Value = completed.payload().unwrap();
    assert_eq!(payload["outputs"].as_array().unwrap().len(), COUNT);
    assert_eq!(ctx.step("work", |_| unreachable!("it is complete")).unwrap(), "done");

    let config = json!({"text": large('c')});
    let step = Step::new("configured").config(&config);
    ctx.step(step, |s| {
        assert_eq!(s.config::<serde_json::Value>()?, config);
        Err(StepError::message(large('f')))
    })
    .unwrap_err();
    let reason = large('r');
    ctx.run().unwrap().set_status(RunStatus::Executing, Some(&large('s'))).unwrap();
    ctx.run().unwrap().complete(Outcome::Failed, Some(&reason)).unwrap();
    assert_eq!(ctx.run().unwrap().state().unwrap().reason.as_deref(), Some(reason.as_str()));

    let options = TaskOptions { title: large('t'), objective: String::new() };
    let task = test.workspace().create_task(TaskId::new("TASK-2").unwrap(), options).unwrap();
    let created = task.events().unwrap().next().unwrap().unwrap();
    assert_eq!(created.payload::<serde_json::Value>().unwrap()["title"], large('t'));
    assert_eq!(objects(&task.path()).len(), 1);
    test.workspace()
        .open_or_create_task(TaskId::new("TASK-2").unwrap(), TaskOptions::default())
        .unwrap();
}

#[test]
fn the_library_never_passes_over_a_record_that_it_cannot_read() {
    let (_test, ctx) = start();
    let outputs = |s: &StepContext| -> StepResult {
        for number in 0..900 {
            let name = format!("{number}-{}", "n".repeat(80));
            s.write_bytes(ArtifactName::new(&name)?, b"x")?;
        }
        Ok("done".into())
    };
    ctx.step("work", outputs).unwrap();
    fs::remove_dir_all(ctx.run_path().join("objects")).unwrap();
    let gone = |error: &(dyn std::error::Error + 'static)| {
        let mut error = Some(error);
        while let Some(cause) = error {
            if cause.to_string().contains("missing; restore it from a backup") {
                return true;
            }
            error = cause.source();
        }
        false
    };
    let again = ctx.step("work", |_| unreachable!("nobody knows whether it is complete"));
    assert!(gone(&again.unwrap_err()));

    let reason = large('r');
    ctx.run().unwrap().complete(Outcome::Failed, Some(&reason)).unwrap();
    fs::remove_dir_all(ctx.run_path().join("objects")).unwrap();
    assert!(gone(&ctx.run().unwrap().state().unwrap_err()));
    assert!(gone(&ctx.run().unwrap().complete(Outcome::Failed, Some(&reason)).unwrap_err()));
}

#[test]
fn a_run_that_was_moved_takes_its_objects_along() {
    let (_test, ctx) = start();
    ctx.append(event(&large('a'))).unwrap();
    let task = ctx.run_path().parent().unwrap().to_owned();
    fs::rename(ctx.run_path(), task.join("RUN-2")).unwrap();
    let moved = ctx.run().unwrap_err();
    assert!(matches!(moved, WorkspaceError::RunNotFound { .. }));
    let ctx = Workspace::open(ctx.root()).unwrap().task("TASK-1").unwrap();
    let ctx = ctx.run("RUN-2").unwrap().context().clone();
    assert_eq!(last(&ctx).payload::<String>().unwrap(), large('a'));
}

#[test]
fn objects_are_made_before_the_lock_is_taken() {
    let (_test, ctx) = start();
    let lock = fs::File::open(ctx.run_path().join("journal/.lock")).unwrap();
    lock.lock().unwrap();
    let patient = ctx.clone().with_lock_timeout(std::time::Duration::from_millis(20));
    let refused = patient.append(event(&large('a')));
    assert!(matches!(refused, Err(JournalError::LockTimeout { .. })), "{refused:?}");
    let mut transaction = patient.transaction();
    transaction.append(event(&large('b')));
    assert!(transaction.commit().is_err());
    assert_eq!(objects(&ctx.run_path()).len(), 2);
    lock.unlock().unwrap();
    patient.append(event(&large('a'))).unwrap();
}

#[test]
fn an_object_is_where_its_record_is_though_the_run_was_moved_meanwhile() {
    let (_test, ctx) = start();
    let journal = ctx.journal().unwrap();
    journal.append(event("small")).unwrap();
    let moved = ctx.run_path().parent().unwrap().join("RUN-2");
    fs::rename(ctx.run_path(), &moved).unwrap();
    fs::create_dir_all(ctx.run_path().join("journal")).unwrap();
    fs::copy(moved.join("run.json"), ctx.run_path().join("run.json")).unwrap();
    fs::write(ctx.journal_path(), "").unwrap();
    journal.append(event(&large('a'))).unwrap();
    assert_eq!(objects(&ctx.run_path()).len(), 0, "nothing goes to the run at its path");
    let ctx = Workspace::open(ctx.root()).unwrap().task("TASK-1").unwrap();
    let ctx = ctx.run("RUN-2").unwrap().context().clone();
    assert_eq!(records(&ctx).len(), 2);
    assert_eq!(last(&ctx).payload::<String>().unwrap(), large('a'));
}

#[test]
fn every_way_to_read_finds_the_objects() {
    let (_test, ctx) = start();
    ctx.append(event("small")).unwrap();
    let cursor = last(&ctx).cursor();
    ctx.append(event(&large('a'))).unwrap();
    let events = || ctx.events().unwrap();
    let newest = events().last(1).unwrap().next().unwrap().unwrap();
    let resumed = events().from(cursor).unwrap().next().unwrap().unwrap();
    let filtered = events().of_type("said").after(1).next().unwrap().unwrap();
    let followed = match events().after(1).follow().try_next().unwrap() {
        Some(Followed::Record(record)) => record,
        other => panic!("{other:?}"),
    };
    for record in [newest, resumed, filtered, followed] {
        assert_eq!(record.payload::<String>().unwrap(), large('a'));
    }
}
