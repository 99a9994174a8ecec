//! Checkpoints: each turn once, every byte of it back, at the cost of what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::*;
use serde_json::json;

use crate::concurrency::{start, worker_number};
use crate::worker;

const A: ArtifactName = ArtifactName::from_static("a.txt");
const B: ArtifactName = ArtifactName::from_static("dir/b.txt");
const C: ArtifactName = ArtifactName::from_static("dir/c.txt");

type Files = BTreeMap<String, Vec<u8>>;

fn start_run() -> (TestWorkspace, RunContext) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    (test, ctx)
}

fn name(text: impl Into<String>) -> ArtifactName {
    ArtifactName::new(text).unwrap()
}

fn write(ctx: &RunContext, name: &ArtifactName, content: impl AsRef<[u8]>) {
    ctx.artifacts().write_bytes(name, content.as_ref()).unwrap();
}

/// All that a set holds.
fn content(set: &ArtifactSet) -> Files {
    let read = |name: &ArtifactName| {
        let bytes = set.read_bytes(name).unwrap();
        assert_eq!(set.digest(name).unwrap(), Some(Digest::of(&bytes)));
        (name.to_string(), bytes)
    };
    set.names().into_iter().map(read).collect()
}

fn turn(ctx: &RunContext, turn: u64) -> Files {
    content(&ctx.checkpoint_at(turn).unwrap().artifacts().unwrap())
}

fn files(pairs: &[(&ArtifactName, &str)]) -> Files {
    pairs.iter().map(|(name, text)| (name.to_string(), text.as_bytes().to_vec())).collect()
}

fn object(ctx: &RunContext, content: &[u8]) -> Utf8PathBuf {
    let hex = Digest::of(content).to_hex();
    ctx.run_path().join("objects").join(&hex[..2]).join(&hex[2..])
}

fn objects(ctx: &RunContext) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    for dir in ctx.run_path().join("objects").read_dir_utf8().into_iter().flatten() {
        let dir = dir.unwrap().into_path();
        found.extend(dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path()));
    }
    found.sort();
    found
}

fn page(ctx: &RunContext, turn: u64) -> Utf8PathBuf {
    ctx.run_path().join(format!("checkpoints/{turn}.json"))
}

fn records(ctx: &RunContext) -> Vec<Record> {
    ctx.events().unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_turn_is_kept_once_and_reads_back() {
    let (_test, ctx) = start_run();
    write(&ctx, &A, "first");
    write(&ctx, &B, "second");
    fs::write(ctx.artifact_path(&C), "by hand").unwrap();
    let first = ctx.next_checkpoint().unwrap();
    assert!(first.created && (first.turn, first.seq) == (1, 2));
    write(&ctx, &A, "changed");
    ctx.artifacts().remove(&B).unwrap();
    write(&ctx, &C, "by hand");

    // Whatever changed since, the turn is what it was.
    let again = ctx.checkpoint(1).unwrap();
    assert!(!again.created && (again.turn, again.seq, again.digest) == (1, 2, first.digest));
    assert_eq!(records(&ctx).len(), 6, "a turn that stands adds nothing");
    let second = ctx.checkpoint(2).unwrap();
    assert!(second.created && second.seq == 6);
    assert_eq!(turn(&ctx, 1), files(&[(&A, "first"), (&B, "second")]));
    assert_eq!(turn(&ctx, 2), files(&[(&A, "changed"), (&C, "by hand")]));

    let listed: Vec<_> = ctx.checkpoints().unwrap();
    let told = |it: &Checkpoint| (it.turn, it.seq, it.digest, it.artifacts_root);
    assert_eq!(listed.iter().map(told).collect::<Vec<_>>(), [told(&first), told(&second)]);
    assert_eq!(told(&ctx.checkpoint_at(2).unwrap()), told(&second));
    assert!(!listed[1].created);
    assert_eq!(first.created_at, listed[0].created_at);
    assert_eq!(second.artifacts_root, ctx.manifest().unwrap().artifacts_root);
    let missing = ctx.checkpoint_at(3).unwrap_err();
    assert!(matches!(missing, CheckpointError::NotThere { turn: 3, .. }), "{missing}");
    for turn in [0, 4, u64::MAX] {
        let refused = ctx.checkpoint(turn).unwrap_err();
        assert!(matches!(refused, CheckpointError::NotNext { next: 3, .. }), "{refused}");
    }

    let set = first.artifacts().unwrap();
    let none = set.read_bytes(&C).unwrap_err();
    assert!(matches!(none, CheckpointError::NotInTurn { turn: 1, .. }), "{none}");
    assert_eq!(set.digest(&C).unwrap(), None);
    let mut reader = set.open(&A).unwrap();
    assert_eq!(reader.verify().unwrap(), Digest::of(b"first"));
    let refused = set.read(Artifact::<String>::named(A.clone())).unwrap_err();
    assert!(matches!(refused, CheckpointError::Artifact(ArtifactError::Json { .. })), "{refused}");
    assert_run_snapshot!(ctx);
}

/// As docs/format.md has it, read by somebody else.
#[test]
fn the_file_says_what_the_page_says() {
    let (_test, ctx) = start_run();
    for name in ["b.txt", "a/c.txt", "a.txt", "bücher 2.json"] {
        write(&ctx, &self::name(name), name);
    }
    let made = ctx.next_checkpoint().unwrap();
    let bytes = fs::read(page(&ctx, 1)).unwrap();
    let (body, end) = bytes.split_at(bytes.len() - 76);
    assert_eq!(end, format!(",\"hash\":\"{}\"}}\n", Digest::of(body).to_hex()).as_bytes());
    let names = ["a.txt", "a/c.txt", "b.txt", "bücher 2.json"];
    let listed = names.map(|name| format!("{name:?}:\"{}\"", Digest::of(name.as_bytes())));
    let sums =
        names.map(|name| format!("{}  {name}\n", Digest::of(name.as_bytes()).to_hex())).concat();
    let root = Digest::of(sums.as_bytes());
    let listed = listed.join(",");
    let expected = format!(
        r#"{{"format_version":1,"turn":1,"seq":4,"artifacts":{{{listed}}},"artifacts_root":"{root}""#
    );
    assert_eq!(std::str::from_utf8(body).unwrap(), expected);
    let record = records(&ctx).pop().unwrap();
    assert_eq!(record.event_type(), "checkpoint_created");
    assert_eq!(
        (record.stream().as_str(), record.idempotency_key()),
        ("checkpoint/1", Some("turn:1"))
    );
    let payload: serde_json::Value = record.payload().unwrap();
    let digest = Digest::of(&bytes);
    assert_eq!(payload, json!({"turn": 1, "digest": digest, "artifacts_root": root}));
    assert_eq!((made.digest, made.artifacts_root), (digest, root));
    // Another run with the same records has the same file.
    let (_test, other) = start_run();
    for name in ["b.txt", "a/c.txt", "a.txt", "bücher 2.json"] {
        write(&other, &self::name(name), name);
    }
    other.next_checkpoint().unwrap();
    assert_eq!(fs::read(page(&other, 1)).unwrap(), bytes);
}

#[derive(Debug, Clone)]
enum Act {
    Write(u8, Vec<u8>),
    Remove(u8),
    Note,
    Checkpoint,
    Restore(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let content = || {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..20),
            // Equal content under several names, and what takes two pieces.
            (0_u8..3).prop_map(|byte| vec![byte; 10]),
            (0_u8..2).prop_map(|byte| vec![byte; 300_000]),
        ]
    };
    let act = prop_oneof![
        6 => (0_u8..6, content()).prop_map(|(name, content)| Act::Write(name, content)),
        2 => (0_u8..6).prop_map(Act::Remove),
        1 => Just(Act::Note),
        3 => Just(Act::Checkpoint),
        1 => any::<u8>().prop_map(Act::Restore),
    ];
    proptest::collection::vec(act, 1..40)
}

fn changes(before: &Files, after: &Files) -> Vec<(String, ChangeKind)> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let kind = |name: &&String| match (before.get(*name), after.get(*name)) {
        (None, _) => Some(((*name).clone(), ChangeKind::Added)),
        (_, None) => Some(((*name).clone(), ChangeKind::Removed)),
        (a, b) => (a != b).then(|| ((*name).clone(), ChangeKind::Changed)),
    };
    names.iter().filter_map(kind).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_turn_reads_back_whatever_was_done(acts in acts()) {
        let (_test, ctx) = start_run();
        let mut now = Files::new();
        let mut turns: Vec<Files> = Vec::new();
        let store = ctx.artifacts().durability(Durability::Buffered);
        for act in acts {
            match act {
                Act::Write(number, content) => {
                    let name = format!("d{}/{number}.bin", number % 2);
                    store.write_bytes(self::name(&*name), &content).unwrap();
                    now.insert(name, content);
                }
                Act::Remove(number) => {
                    let name = format!("d{}/{number}.bin", number % 2);
                    let removed = store.remove(self::name(&*name));
                    prop_assert_eq!(removed.is_ok(), now.remove(&name).is_some());
                }
                Act::Note => drop(ctx.append(Event::new("noted")).unwrap()),
                Act::Checkpoint => {
                    turns.push(now.clone());
                    let made = ctx.checkpoint(turns.len() as u64).unwrap();
                    prop_assert!(made.created);
                }
                Act::Restore(number) => {
                    let Some(at) = usize::from(number).checked_rem(turns.len()) else { continue };
                    let set = ctx.checkpoint_at(at as u64 + 1).unwrap().artifacts().unwrap();
                    let expected = changes(&now, &turns[at]).len();
                    let done = set.restore(&ctx).unwrap().artifacts.len();
                    prop_assert_eq!(done, expected);
                    now = turns[at].clone();
                    prop_assert_eq!(&content(&ArtifactSet::of(&ctx).unwrap()), &now);
                }
            }
        }
        for (at, expected) in turns.iter().enumerate() {
            prop_assert_eq!(&turn(&ctx, at as u64 + 1), expected);
        }
        for pair in turns.windows(2).enumerate() {
            let (at, [before, after]) = pair else { unreachable!() };
            let (at, expected) = (at as u64 + 1, changes(before, after));
            let sets = [at, at + 1].map(|at| ctx.checkpoint_at(at).unwrap().artifacts().unwrap());
            let diff = Diff::between(&sets[0], &sets[1]).unwrap();
            let found: Vec<_> =
                diff.changes().iter().map(|it| (it.path.to_string(), it.kind)).collect();
            prop_assert_eq!(found, expected);
        }
        // Each content is kept once.
        let kept: BTreeSet<_> = turns.iter().flat_map(|turn| turn.values()).collect();
        prop_assert_eq!(objects(&ctx).len(), kept.len());
    }
}

#[test]
fn racing_worker() {
    let Some(number) = worker_number() else { return };
    let ctx = worker::context();
    let mut out = std::io::stdout();
    for turn in 1..=5 {
        write(&ctx, &name(format!("of-{number}.txt")), format!("{number} in {turn}"));
        let made = ctx.checkpoint(turn).unwrap();
        let next = ctx.next_checkpoint();
        // The next turn is taken by one, and the others come too late for the one they wanted.
        writeln!(out, "turn {turn} {} {}", made.created, made.digest).unwrap();
        if let Ok(next) = next {
            assert!(next.created);
            writeln!(out, "turn {} true {}", next.turn, next.digest).unwrap();
        }
    }
}

#[test]
fn of_many_processes_one_makes_each_turn() {
    let (_test, ctx) = start_run();
    let workers: Vec<_> =
        (0..3).map(|number| start("checkpoints::racing_worker", &ctx, number)).collect();
    let mut made: BTreeMap<u64, Vec<(bool, String)>> = BTreeMap::new();
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success());
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            // The first stands behind what the test binary says of itself.
            let words: Vec<_> = line.split(' ').skip_while(|word| *word != "turn").collect();
            if let ["turn", turn, created, digest] = words[..] {
                let told = (created == "true", digest.to_owned());
                made.entry(turn.parse().unwrap()).or_default().push(told);
            }
        }
    }
    let listed = ctx.checkpoints().unwrap();
    let turns: Vec<_> = listed.iter().map(|it| it.turn).collect();
    assert_eq!(turns, (1..=turns.len() as u64).collect::<Vec<_>>());
    assert!(turns.len() >= 5);
    for checkpoint in listed {
        let told = &made[&checkpoint.turn];
        assert_eq!(told.iter().filter(|(created, _)| *created).count(), 1, "{checkpoint:?}");
        assert!(told.iter().all(|(_, digest)| *digest == checkpoint.digest.to_string()));
        agrees_with_the_journal(&ctx, &checkpoint);
    }
}

#[test]
fn of_many_threads_one_makes_a_turn() {
    let (_test, ctx) = start_run();
    write(&ctx, &A, vec![7; 400_000]);
    for turn in 1..=10 {
        let made = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|number| {
                    let ctx = &ctx;
                    scope.spawn(move || {
                        write(ctx, &name(format!("of-{number}.txt")), format!("{turn}"));
                        ctx.checkpoint(turn).unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(made.iter().filter(|it| it.created).count(), 1);
        assert!(made.iter().all(|it| it.digest == made[0].digest));
        agrees_with_the_journal(&ctx, &made[0]);
    }
}

/// Holds a checkpoint against what the records up to its seq say.
fn agrees_with_the_journal(ctx: &RunContext, checkpoint: &Checkpoint) {
    let mut said = BTreeMap::new();
    for record in records(ctx).iter().take_while(|record| record.seq() <= checkpoint.seq) {
        if record.aggregate_kind() == "artifact" {
            let payload: serde_json::Value = record.payload().unwrap();
            match payload["digest"].as_str() {
                Some(digest) => said.insert(record.stream_id().to_owned(), digest.to_owned()),
                None => said.remove(record.stream_id()),
            };
        }
    }
    let set = checkpoint.artifacts().unwrap();
    let found: BTreeMap<_, _> = content(&set)
        .into_iter()
        .map(|(name, bytes)| (name, Digest::of(&bytes).to_string()))
        .collect();
    assert_eq!(found, said, "turn {}", checkpoint.turn);
}

/// Tells others to end, also where a check fails before.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn while_others_replace_large_artifacts_each_turn_agrees_with_the_journal_at_its_seq() {
    let (_test, ctx) = start_run();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..3_u8 {
            let (ctx, over) = (&ctx, &over);
            scope.spawn(move || {
                let store = ctx.artifacts().durability(Durability::Buffered);
                let mut round = 0_u8;
                while !over.load(Ordering::Relaxed) {
                    round = round.wrapping_add(1);
                    // Two that change together, so that a turn must have both of one round.
                    let mut tx = store.transaction();
                    for half in 0..2 {
                        let content = vec![round ^ thread; 200_000 + usize::from(round)];
                        tx.write_bytes(name(format!("{thread}-{half}.bin")), &content).unwrap();
                    }
                    tx.commit().unwrap();
                    if round.is_multiple_of(5) {
                        store.remove(name(format!("{thread}-0.bin"))).unwrap();
                    }
                }
            });
        }
        let end = SetOnDrop(&over);
        for _ in 0..15 {
            let made = ctx.next_checkpoint().unwrap();
            let set = made.artifacts().unwrap();
            for thread in 0..3 {
                let half = |half| set.digest(&name(format!("{thread}-{half}.bin"))).unwrap();
                assert!(half(0).is_none() || half(0) == half(1), "half of a transaction");
            }
        }
        drop(end);
    });
    for checkpoint in ctx.checkpoints().unwrap() {
        agrees_with_the_journal(&ctx, &checkpoint);
    }
}

#[test]
fn what_stands_in_an_objects_place_is_checked_before_it_is_used() {
    let (_test, ctx) = start_run();
    write(&ctx, &A, "content of a");
    write(&ctx, &B, "content of b");
    for content in ["content of a", "content of b"] {
        let object = object(&ctx, content.as_bytes());
        fs::create_dir_all(object.parent().unwrap()).unwrap();
        // What stands there is of a process that was killed, or of a disk that lost its bytes.
        fs::write(&object, if content.ends_with('a') { "content of x" } else { content }).unwrap();
    }
    ctx.checkpoint(1).unwrap();
    assert_eq!(turn(&ctx, 1), files(&[(&A, "content of a"), (&B, "content of b")]));
    assert!(fs::read_dir(ctx.run_path().join(".tmp")).unwrap().next().is_none());
    // An object is no second name of the artifact's file: who edits that changes nothing here.
    let mut file = fs::OpenOptions::new().append(true).open(ctx.artifact_path(&A)).unwrap();
    file.write_all(b", edited").unwrap();
    assert_eq!(turn(&ctx, 1)["a.txt"], b"content of a");
}

fn refusal<T: std::fmt::Debug>(result: Result<T, CheckpointError>) -> JournalError {
    match result.unwrap_err() {
        CheckpointError::Journal(error)
        | CheckpointError::Artifact(ArtifactError::Journal(error)) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn who_may_not_write_makes_no_checkpoint_and_restores_none() {
    let (test, ctx) = start_run();
    write(&ctx, &A, "content");
    ctx.checkpoint(1).unwrap();
    write(&ctx, &A, "other");
    let set = ctx.checkpoint_at(1).unwrap().artifacts().unwrap();
    let minute = Duration::from_secs(60);
    let lease = test.task().claim("worker-1", minute).unwrap();
    let bound = lease.task().run("RUN-1").unwrap().context().clone();
    for refused in [refusal(ctx.checkpoint(2)), refusal(set.restore(&ctx))] {
        assert!(matches!(refused, JournalError::LeaseRequired { .. }), "{refused}");
    }
    // What was done once is told to everybody.
    assert!(!ctx.checkpoint(1).unwrap().created);
    assert!(bound.checkpoint(2).unwrap().created);
    test.clock().advance(120_000_000);
    let newer = test.task().claim("worker-2", minute).unwrap();
    write(&newer.task().run("RUN-1").unwrap().context().clone(), &A, "of another");
    let refused = refusal(bound.checkpoint(3));
    assert!(matches!(refused, JournalError::LeaseLost { .. }), "{refused}");
    let bound = newer.task().run("RUN-1").unwrap().context().clone();
    let before = records(&ctx).len();

    bound.step("plan", |_| Err(StepError::message("no"))).unwrap_err();
    let of_old = records(&ctx)[before].event_id();
    let late = bound.clone().with_step(format!("plan/{of_old}").parse().unwrap());
    for refused in [refusal(late.checkpoint(3)), refusal(set.restore(&late))] {
        assert!(matches!(refused, JournalError::StepSuperseded { .. }), "{refused}");
    }
    bound.run().unwrap().complete(Outcome::Failed, None).unwrap();
    for refused in [refusal(bound.next_checkpoint()), refusal(set.restore(&bound))] {
        assert!(matches!(refused, JournalError::Closed { .. }), "{refused}");
    }
    assert!(!bound.checkpoint(2).unwrap().created);
    assert!(!page(&ctx, 3).exists() && !object(&ctx, b"of another").exists());
    assert_eq!(ctx.checkpoints().unwrap().len(), 2);
}

#[test]
fn a_file_that_is_not_what_the_journal_says_is_named() {
    let (_test, ctx) = start_run();
    write(&ctx, &A, "kept");
    write(&ctx, &B, "second");
    ctx.checkpoint(1).unwrap();
    // What is kept already need not be copied.
    fs::write(ctx.artifact_path(&A), "by hand").unwrap();
    ctx.checkpoint(2).unwrap();
    write(&ctx, &B, "new");
    fs::write(ctx.artifact_path(&B), "by hand").unwrap();
    let before = (records(&ctx).len(), objects(&ctx).len());
    let refused = ctx.checkpoint(3).unwrap_err();
    let text = refused.to_string();
    match refused {
        CheckpointError::NotAsJournaled { name, expected, found, .. } => {
            assert_eq!((name, expected), (B, Digest::of(b"new")));
            assert_eq!(found, Some(Digest::of(b"by hand")));
        }
        other => panic!("{other}"),
    }
    assert!(text.contains("runjournal artifact adopt dir/b.txt"), "{text}");
    fs::remove_file(ctx.artifact_path(&B)).unwrap();
    let refused = ctx.checkpoint(3).unwrap_err();
    assert!(matches!(refused, CheckpointError::NotAsJournaled { found: None, .. }), "{refused}");
    assert_eq!((records(&ctx).len(), objects(&ctx).len()), before);
    assert!(!page(&ctx, 3).exists());

    fs::write(ctx.artifact_path(&B), "by hand").unwrap();
    ctx.artifacts().adopt(&B).unwrap();
    ctx.checkpoint(3).unwrap();
    assert_eq!(turn(&ctx, 3), files(&[(&A, "kept"), (&B, "by hand")]));
}

#[test]
fn where_the_turn_before_is_damaged_everything_is_looked_at_anew() {
    let (_test, ctx) = start_run();
    write(&ctx, &A, "first");
    write(&ctx, &B, "second");
    let first = ctx.checkpoint(1).unwrap();
    let whole = fs::read(page(&ctx, 1)).unwrap();
    let mut damaged = whole.clone();
    damaged[20] ^= 1;
    fs::write(page(&ctx, 1), &damaged).unwrap();
    let refused = first.artifacts().unwrap_err();
    assert!(matches!(refused, CheckpointError::Damaged { .. }), "{refused}");
    // Nothing that stands there is trusted then.
    fs::write(object(&ctx, b"second"), "SECOND").unwrap();
    ctx.checkpoint(2).unwrap();
    assert_eq!(turn(&ctx, 2), files(&[(&A, "first"), (&B, "second")]));
    fs::remove_file(page(&ctx, 2)).unwrap();
    let refused = ctx.checkpoint_at(2).unwrap().artifacts().unwrap_err();
    assert!(matches!(refused, CheckpointError::Missing { seq: 4, .. }), "{refused}");
    write(&ctx, &A, "third");
    ctx.checkpoint(3).unwrap();
    assert_eq!(turn(&ctx, 3), files(&[(&A, "third"), (&B, "second")]));
    // One sealed anew is whole, and not the one that the record names.
    let text = String::from_utf8(whole.clone()).unwrap().replace("a.txt", "z.txt");
    let body = &text.as_bytes()[..text.len() - 76];
    let end = format!(",\"hash\":\"{}\"}}\n", Digest::of(body).to_hex());
    fs::write(page(&ctx, 1), [body, end.as_bytes()].concat()).unwrap();
    let refused = first.artifacts().unwrap_err();
    assert!(matches!(refused, CheckpointError::Damaged { .. }), "{refused}");
    fs::write(page(&ctx, 1), &whole).unwrap();
    assert_eq!(turn(&ctx, 1), files(&[(&A, "first"), (&B, "second")]));
}

#[test]
fn damaged_bytes_of_a_turn_are_never_handed_out() {
    let (test, ctx) = start_run();
    write(&ctx, &A, "content");
    write(&ctx, &B, "other");
    let set = ctx.checkpoint(1).unwrap().artifacts().unwrap();
    write(&ctx, &A, "changed");
    fs::write(object(&ctx, b"content"), "CONTENT").unwrap();
    fs::remove_file(object(&ctx, b"other")).unwrap();
    let changed = |error| match error {
        CheckpointError::ContentChanged { name, expected, found, .. } => {
            assert_eq!((name, expected), (A, Digest::of(b"content")));
            assert_eq!(found, Digest::of(b"CONTENT"));
        }
        other => panic!("{other}"),
    };
    changed(set.read_bytes(&A).unwrap_err());
    changed(set.restore(&ctx).unwrap_err());
    let elsewhere = test.root().join("../out");
    changed(set.export(&elsewhere).unwrap_err());
    assert!(!elsewhere.join("a.txt").exists());
    assert!(set.open(&A).unwrap().verify().is_err());
    let gone = set.read_bytes(&B).unwrap_err();
    assert!(matches!(gone, CheckpointError::ObjectMissing { turn: 1, .. }), "{gone}");
    assert_eq!(ctx.artifacts().read_bytes(&A).unwrap(), b"changed");
    assert_eq!(fs::read_dir(ctx.run_path().join(".tmp")).unwrap().count(), 0);
    assert_eq!(records(&ctx).len(), 4);
}

#[test]
fn a_run_goes_back_to_a_turn() {
    let (_test, ctx) = start_run();
    write(&ctx, &A, "first");
    write(&ctx, &B, "second");
    let first = ctx.checkpoint(1).unwrap();
    let created = records(&ctx).pop().unwrap().event_id();
    write(&ctx, &A, "changed");
    write(&ctx, &C, "added later");
    write(&ctx, &name("later/x.txt"), "added and lost");
    fs::remove_file(ctx.artifact_path(&name("later/x.txt"))).unwrap();
    // By hand: one changed, one put there that no record names.
    fs::write(ctx.artifact_path(&B), "by hand").unwrap();
    fs::write(ctx.artifact_path(&name("mine.txt")), "mine").unwrap();
    let before = records(&ctx).len();

    let set = first.artifacts().unwrap();
    // Nobody else has those bytes.
    for refused in [set.restore(&ctx).map(drop), set.plan_restore(&ctx, ByHand::Refuse).map(drop)] {
        match refused.unwrap_err() {
            CheckpointError::ChangedByHand { name, expected, found, .. } => {
                let (said, by_hand) = (Digest::of(b"second"), Digest::of(b"by hand"));
                assert_eq!((name, expected, found), (B, Some(said), by_hand));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(fs::read(ctx.artifact_path(&B)).unwrap(), b"by hand");
    let planned = set.plan_restore(&ctx, ByHand::Replace).unwrap();
    let planned: Vec<_> = planned.iter().map(|it| (it.name.as_str(), it.to.is_some())).collect();
    assert_eq!(records(&ctx).len(), before);
    let done = set.restore_with(&ctx, ByHand::Replace).unwrap();
    let told: Vec<_> =
        done.artifacts.iter().map(|it| (it.name.as_str(), it.digest.is_some())).collect();
    assert_eq!(
        told,
        [("a.txt", true), ("dir/b.txt", true), ("dir/c.txt", false), ("later/x.txt", false)]
    );
    assert_eq!(planned, told);
    let now = content(&ArtifactSet::of(&ctx).unwrap());
    assert_eq!(now, files(&[(&A, "first"), (&B, "second"), (&name("mine.txt"), "mine")]));
    let added = &records(&ctx)[before..];
    assert_eq!(added.len(), 4);
    assert!(added.iter().all(|record| record.causation_event_id() == Some(created)));
    assert!(added.iter().all(|record| record.batch_size() == Some(4)));
    assert_eq!(ctx.manifest().unwrap().compare(&ctx).unwrap().len(), 1, "mine.txt alone");

    // What is equal is left alone.
    assert_eq!(set.restore(&ctx).unwrap(), Committed::default());
    assert_eq!(records(&ctx).len(), before + 4);
    // A file that is gone, and one whose record says something else, though the file is right.
    fs::remove_file(ctx.artifact_path(&A)).unwrap();
    write(&ctx, &B, "third");
    fs::write(ctx.artifact_path(&B), "second").unwrap();
    assert_eq!(set.restore(&ctx).unwrap().artifacts.len(), 2);
    assert_eq!(content(&ArtifactSet::of(&ctx).unwrap()), now);
    assert_eq!(ctx.manifest().unwrap().compare(&ctx).unwrap().len(), 1);
    // And the turn after it is of what it went back to.
    ctx.checkpoint(2).unwrap();
    assert_eq!(turn(&ctx, 2), turn(&ctx, 1));
}

#[test]
fn what_was_put_by_hand_is_not_lost_by_going_back() {
    let (_test, ctx) = start_run();
    let set = ctx.checkpoint(1).unwrap().artifacts().unwrap();
    let other = ctx.checkpoint(2).unwrap();
    write(&ctx, &A, "journaled");
    fs::write(ctx.artifact_path(&A), "by hand").unwrap();
    // It would be removed.
    let refused = set.restore(&ctx).unwrap_err();
    assert!(matches!(&refused, CheckpointError::ChangedByHand { name, .. } if *name == A));
    ctx.artifacts().adopt(A).unwrap();
    set.restore(&ctx).unwrap();
    // No record knows it, and the set has another of its name.
    write(&ctx, &A, "journaled");
    let set = ctx.checkpoint(3).unwrap().artifacts().unwrap();
    other.artifacts().unwrap().restore(&ctx).unwrap();
    fs::write(ctx.artifact_path(&A), "new by hand").unwrap();
    let refused = set.restore(&ctx).unwrap_err();
    assert!(matches!(refused, CheckpointError::ChangedByHand { expected: None, .. }), "{refused}");
    assert_eq!(fs::read(ctx.artifact_path(&A)).unwrap(), b"new by hand");
    // What is as the turn has it already loses nothing.
    fs::write(ctx.artifact_path(&A), "journaled").unwrap();
    assert_eq!(set.restore(&ctx).unwrap().artifacts.len(), 1);
}

#[test]
fn a_step_that_goes_back_is_the_cause_of_it() {
    let (_test, ctx) = start_run();
    write(&ctx, &A, "first");
    let set = ctx.checkpoint(1).unwrap().artifacts().unwrap();
    write(&ctx, &A, "second");
    let started = std::cell::Cell::new(None);
    ctx.step("undo", |_| {
        let newest = records(&ctx).pop().unwrap();
        started.set(Some(newest.event_id()));
        let inside = ctx.clone().with_step(format!("undo/{}", newest.event_id()).parse()?);
        set.restore(&inside)?;
        Ok(Signal::new("undone"))
    })
    .unwrap();
    let written: Vec<_> =
        records(&ctx).into_iter().filter(|it| it.event_type() == "artifact_written").collect();
    assert_eq!(written.last().unwrap().causation_event_id(), started.get());
    assert_eq!(ctx.artifacts().read_bytes(&A).unwrap(), b"first");
}

#[test]
fn a_turn_goes_into_another_run_and_into_a_directory() {
    let (test, ctx) = start_run();
    write(&ctx, &A, "first");
    write(&ctx, &B, vec![3; 600_000]);
    let set = ctx.checkpoint(1).unwrap().artifacts().unwrap();
    let other = test.start_run("RUN-2").unwrap();
    write(&other, &C, "its own");
    set.restore(&other).unwrap();
    assert_eq!(content(&ArtifactSet::of(&other).unwrap()), turn(&ctx, 1));
    // A set from the disk can be put elsewhere as well.
    let third = test.start_run("RUN-3").unwrap();
    ArtifactSet::of(&other).unwrap().restore(&third).unwrap();
    assert_eq!(content(&ArtifactSet::of(&third).unwrap()), turn(&ctx, 1));

    let out = test.root().join("../out/of/turn-1");
    set.export(&out).unwrap();
    assert_eq!(fs::read(out.join("a.txt")).unwrap(), b"first");
    assert_eq!(fs::read(out.join("dir/b.txt")).unwrap(), vec![3; 600_000]);
    let refused = set.export(&out).unwrap_err();
    assert!(matches!(refused, CheckpointError::NotEmpty { .. }), "{refused}");
    let empty = test.root().join("../empty");
    fs::create_dir(&empty).unwrap();
    set.export(&empty).unwrap();
    assert!(empty.join("dir/b.txt").exists());
}

#[test]
fn more_than_a_batch_is_refused_before_anything_is_staged() {
    let (_test, ctx) = start_run();
    ctx.checkpoint(1).unwrap();
    let store = ctx.artifacts().durability(Durability::Buffered);
    for part in 0..54 {
        let mut tx = store.transaction();
        for number in 0..19 {
            tx.write_bytes(name(format!("{part}/{number}.txt")), b"x").unwrap();
        }
        tx.commit().unwrap();
    }
    let set = ctx.checkpoint_at(1).unwrap().artifacts().unwrap();
    let refused = refusal(set.restore(&ctx));
    let what = TooLarge::BatchRecords;
    assert!(
        matches!(refused, JournalError::TooLarge { what: found, size: 1026, .. } if found == what),
        "{refused}"
    );
    assert_eq!(content(&ArtifactSet::of(&ctx).unwrap()).len(), 1026);
    store.remove(name("0/0.txt")).unwrap();
    store.remove(name("0/1.txt")).unwrap();
    assert_eq!(set.restore(&ctx).unwrap().artifacts.len(), 1024);
    assert!(content(&ArtifactSet::of(&ctx).unwrap()).is_empty());
}

#[test]
fn what_others_write_while_a_turn_is_restored_is_not_lost() {
    let (_test, ctx) = start_run();
    for number in 0..3 {
        write(&ctx, &name(format!("{number}.txt")), "as it was");
    }
    let set = ctx.checkpoint(1).unwrap().artifacts().unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let store = ctx.artifacts().durability(Durability::Buffered);
            let mut round = 0;
            while !over.load(Ordering::Relaxed) {
                round += 1;
                // Of each transaction a restore sees all or nothing.
                let mut tx = store.transaction();
                tx.write_bytes(name("0.txt"), format!("{round}").as_bytes()).unwrap();
                tx.write_bytes(name("new.txt"), format!("{round}").as_bytes()).unwrap();
                tx.commit().unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let end = SetOnDrop(&over);
        for _ in 0..20 {
            match set.restore(&ctx) {
                Ok(_) => {}
                Err(CheckpointError::Artifact(ArtifactError::Conflict { .. })) => {}
                Err(other) => panic!("{other}"),
            }
        }
        drop(end);
    });
    // After each batch of the journal, both are of one round, or as they were.
    let mut now = BTreeMap::new();
    for record in records(&ctx) {
        if record.aggregate_kind() != "artifact" {
            continue;
        }
        let payload: serde_json::Value = record.payload().unwrap();
        now.insert(record.stream_id().to_owned(), payload["digest"].clone());
        let ends = record.batch_index().is_none_or(|at| at + 1 == record.batch_size().unwrap());
        let old = json!(Digest::of(b"as it was"));
        if ends && let (Some(one), Some(new)) = (now.get("0.txt"), now.get("new.txt")) {
            assert!(one == new || *one == old && new.is_null(), "seq {}: {now:?}", record.seq());
        }
    }
}

#[test]
fn what_was_committed_and_not_applied_is_in_place_before_it_is_kept() {
    let (_test, ctx) = start_run();
    write(&ctx, &A, "first");
    let stored = ctx.artifacts().write_bytes(&A, b"second").unwrap();
    let record = records(&ctx).into_iter().find(|record| record.seq() == stored.seq).unwrap();
    // As if the writer had been killed between the append and the rename.
    let stage = ctx.run_path().join(".tmp").join(record.event_id().to_string());
    fs::rename(ctx.artifact_path(&A), stage).unwrap();
    fs::write(ctx.artifact_path(&A), "first").unwrap();
    ctx.checkpoint(1).unwrap();
    assert_eq!(turn(&ctx, 1), files(&[(&A, "second")]));
    assert_eq!(ctx.artifacts().read_bytes(&A).unwrap(), b"second");
}

#[test]
fn what_a_crash_left_of_a_turn_is_replaced() {
    let (_test, ctx) = start_run();
    write(&ctx, &A, "first");
    fs::create_dir_all(ctx.run_path().join("checkpoints")).unwrap();
    fs::write(page(&ctx, 1), "of a turn that never was").unwrap();
    fs::create_dir_all(ctx.run_path().join(".tmp")).unwrap();
    fs::write(ctx.run_path().join(".tmp/checkpoint.new"), "half of it").unwrap();
    assert!(ctx.checkpoints().unwrap().is_empty());
    assert!(ctx.checkpoint(1).unwrap().created);
    assert_eq!(turn(&ctx, 1), files(&[(&A, "first")]));
    assert_eq!(fs::read_dir(ctx.run_path().join(".tmp")).unwrap().count(), 0);
}

/// A clock that does something of its own each time it is read, unless that is at work: a way into the middle
/// of what the library does without a lock.
pub(crate) struct ActingClock<F>(pub(crate) Mutex<F>);

impl<F> std::fmt::Debug for ActingClock<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ActingClock")
    }
}

impl<F: FnMut() + Send> Clock for ActingClock<F> {
    fn now(&self) -> Timestamp {
        if let Ok(mut act) = self.0.try_lock() {
            act();
        }
        SystemClock.now()
    }
}

#[test]
fn an_object_that_is_pruned_before_the_journal_is_locked_is_kept_again() {
    let (test, ctx) = start_run();
    write(&ctx, &A, "first");
    // So many that one thread keeps the first two: it finds the object of the first, and then makes one.
    for number in 0..9 {
        write(&ctx, &name(format!("b{number}.txt")), format!("{number}"));
    }
    let old = object(&ctx, b"first");
    fs::create_dir_all(old.parent().unwrap()).unwrap();
    fs::write(&old, "first").unwrap();
    fs::File::options().write(true).open(&old).unwrap().set_modified(UNIX_EPOCH).unwrap();
    let (workspace, thread) = (test.workspace().clone(), std::thread::current().id());
    let pruned = Arc::new(AtomicBool::new(false));
    let prune = {
        let pruned = Arc::clone(&pruned);
        move || {
            if std::thread::current().id() == thread && !pruned.swap(true, Ordering::Relaxed) {
                Prune::of(&workspace).plan().unwrap().apply().unwrap();
                assert!(!old.exists(), "no record names it");
            }
        }
    };
    let acting = ctx.clone().with_clock(Arc::new(ActingClock(Mutex::new(prune))));
    acting.checkpoint(1).unwrap();
    assert!(pruned.load(Ordering::Relaxed));
    assert_eq!(turn(&ctx, 1)["a.txt"], b"first");
}

/// What this thread has read and written so far, in bytes and in calls.
#[cfg(target_os = "linux")]
pub(crate) fn counted() -> [u64; 4] {
    let io = fs::read_to_string("/proc/thread-self/io").unwrap();
    ["rchar", "wchar", "syscr", "syscw"].map(|wanted| {
        let line = io.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(": "));
        line.unwrap().parse().unwrap()
    })
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_turns_cost_about_what_changed() {
    const TURNS: u64 = 1000;
    let (_test, ctx) = start_run();
    let mut tx = ctx.artifacts().durability(Durability::Buffered).transaction();
    for number in 0..200 {
        tx.write_bytes(name(format!("{number}.txt")), &[b'x'; 10_000]).unwrap();
    }
    tx.commit().unwrap();
    ctx.checkpoint(1).unwrap();
    let store = ctx.artifacts().durability(Durability::Buffered);
    let mut costs = Vec::new();
    for turn in 2..=TURNS {
        let content = format!("{turn:0>100}");
        store.write_bytes(name(format!("{}.txt", turn % 200)), content.as_bytes()).unwrap();
        let before = counted();
        assert!(ctx.checkpoint(turn).unwrap().created);
        let after = counted();
        let cost = [0, 1, 2, 3].map(|at| after[at] - before[at]);
        assert!(cost[0] < 400_000, "turn {turn} read {} bytes", cost[0]);
        costs.push(cost);
    }
    let bytes: u64 = objects(&ctx).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert_eq!(bytes, 10_000 + (TURNS - 1) * 100);
    // The journal has a head by then, or not: neither half may be much dearer than the other.
    let (first, second) = costs.split_at(costs.len() / 2);
    for at in 0..4 {
        let sum = |half: &[[u64; 4]]| half.iter().map(|cost| cost[at]).sum::<u64>();
        let (first, second) = (sum(first), sum(second));
        assert!(second < first + first / 4 + 10_000, "{at}: {first}, then {second}");
    }
    assert_eq!(turn(&ctx, TURNS).len(), 200);
    assert_eq!(turn(&ctx, 500)["100.txt"], format!("{:0>100}", 500).as_bytes());
}

const FAULTS: &str = "RUNJOURNAL_TEST_CHECKPOINT_FAULT";

#[test]
fn failing_worker() {
    if std::env::var_os(FAULTS).is_none() {
        return;
    }
    let ctx = RunContext::from_env().unwrap();
    let refused = ctx.checkpoint(2);
    assert!(refused.is_err(), "{refused:?}");
}

/// Every write and sync of a checkpoint fails once; none leaves something that is acknowledged, and the next
/// try makes it.
#[cfg(target_os = "linux")]
#[test]
fn a_checkpoint_that_the_disk_refuses_is_none() {
    use std::process::{Command, Stdio};
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=none", "true"])
        .stderr(Stdio::null())
        .status();
    if !traced.is_ok_and(|status| status.success()) {
        let line =
            b"skipped: failing checkpoints: strace is not installed, or must not trace here\n";
        std::io::stderr().write_all(line).unwrap();
        return;
    }
    let failing = |ctx: &RunContext, call: &str, path: &Utf8Path, error: &str, when: u32| {
        let output = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
            .args(["-P", path.as_str()])
            .args(["-e", &format!("inject={call}:error={error}:when={when}")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "checkpoints::failing_worker", "--nocapture", "--test-threads=1"])
            .envs(ctx.env())
            .env(FAULTS, "1")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{call} of {path}: {told}");
    };
    let cases = [
        ("write", ".tmp/checkpoint.new", "ENOSPC", 1),
        ("fsync", ".tmp/checkpoint.new", "EIO", 1),
        ("fsync", "checkpoints", "EIO", 1),
        ("fsync", "objects", "EIO", 1),
        ("write", "journal/events.jsonl", "ENOSPC", 1),
        // Before the file, and after the record.
        ("fdatasync", "journal/events.jsonl", "EIO", 1),
        ("fdatasync", "journal/events.jsonl", "EIO", 2),
    ];
    for (call, path, error, when) in cases {
        let (_test, ctx) = start_run();
        write(&ctx, &A, "first");
        ctx.checkpoint(1).unwrap();
        write(&ctx, &A, "second");
        failing(&ctx, call, &ctx.run_path().join(path), error, when);
        let listed = ctx.checkpoints().unwrap().len();
        // A record that was written and not synced counts: the caller was told that it may not last.
        assert_eq!(listed, if when == 2 { 2 } else { 1 }, "{call} of {path}");
        assert_eq!(ctx.checkpoint(2).unwrap().created, listed == 1, "{call} of {path}");
        assert_eq!(turn(&ctx, 2), files(&[(&A, "second")]));
        assert_eq!(turn(&ctx, 1), files(&[(&A, "first")]));
        let left: Vec<_> = fs::read_dir(ctx.run_path().join(".tmp")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
