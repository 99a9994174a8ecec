//! Commands that are decided once.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::Duration;

use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::{
    Command, CommandError, CommandOutcome, Event, ExpectedVersion, Fold, JournalError, Outcome,
    Receipt, Record, Rejection, RunContext,
};
use serde_json::{Value, json};

use crate::concurrency::{start, worker_number};
use crate::worker;

/// How many seats of a show are taken.
#[derive(Default)]
struct Seats {
    taken: u64,
}

impl Fold for Seats {
    fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
        self.taken += u64::from(record.event_type() == "seat_taken");
        Ok(())
    }
}

fn begin() -> (TestWorkspace, RunContext) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    (test, ctx)
}

fn take(id: &str) -> Command {
    Command::new(id, "take_seat").on("show", "S-1")
}

/// One seat of so many.
fn one_of(seats: u64) -> impl Fn(&Seats) -> Result<Vec<Event>, Rejection> {
    move |show| {
        if show.taken >= seats {
            return Err(Rejection::new("sold out"));
        }
        Ok(vec![Event::new("seat_taken").payload(&json!({"row": show.taken + 1}))])
    }
}

fn never(_: &Seats) -> Result<Vec<Event>, Rejection> {
    panic!("it was decided before")
}

fn records(ctx: &RunContext) -> Vec<Record> {
    let (records, findings) = ctx.events().unwrap().read_all().unwrap();
    assert_eq!(findings, []);
    records
}

/// The receipt without what only this call knows.
fn told(receipt: &Receipt) -> (Option<&str>, (&str, &str), &CommandOutcome) {
    (receipt.command_type(), receipt.stream(), receipt.outcome())
}

#[test]
fn an_accepted_command_is_its_events_and_they_are_there_once() {
    let (_test, ctx) = begin();
    ctx.append(Event::new("noted")).unwrap();
    let ctx = ctx.with_traceparent("00-aa-bb-01");
    let both = |_: &Seats| {
        let named = Event::new("seat_taken").stream("show", "S-1").command_id("C-1");
        Ok(vec![named, Event::new("receipt_printed").metadata(&json!({"paper": "A6"}))])
    };
    let receipt = ctx.dispatch(take("C-1"), both).unwrap();
    let CommandOutcome::Accepted { seq: 2, events: 2, .. } = receipt.outcome() else {
        panic!("{receipt:?}")
    };
    assert!(receipt.is_accepted() && !receipt.is_duplicate());
    assert_eq!((receipt.command_id(), receipt.outcome().seq()), ("C-1", 2));

    let again = ctx.dispatch(take("C-1"), never).unwrap();
    assert!(again.is_duplicate());
    assert_eq!(told(&again), told(&receipt));
    assert_eq!(told(&ctx.receipt("C-1").unwrap().unwrap()), told(&receipt));
    assert_eq!(ctx.receipt("C-2").unwrap(), None);

    let records = records(&ctx);
    assert_eq!(records.len(), 3);
    let [first, second] = &records[1..] else { unreachable!() };
    for record in [first, second] {
        assert_eq!(record.command_id(), Some("C-1"));
        assert_eq!(record.stream(), "show/S-1");
        assert_eq!(record.batch_size(), Some(2));
    }
    assert_eq!(first.idempotency_key(), Some("cmd:C-1"));
    assert_eq!(second.idempotency_key(), None);
    let metadata: Value = first.metadata().unwrap();
    assert_eq!(metadata, json!({"traceparent": "00-aa-bb-01", "command_type": "take_seat"}));
    assert_eq!(second.metadata_json(), Some(r#"{"paper":"A6"}"#));

    // An event's own metadata stays beside the type.
    let own =
        |_: &Seats| Ok(vec![Event::new("paid").metadata(&BTreeMap::from([("n", u128::MAX)]))]);
    assert!(ctx.dispatch(take("C-3"), own).unwrap().is_accepted());
    let last = self::records(&ctx).pop().unwrap();
    let metadata = format!("{{\"command_type\":\"take_seat\",\"n\":{}}}", u128::MAX);
    assert_eq!(last.metadata_json(), Some(metadata.as_str()));
}

#[test]
fn a_rejection_is_kept_exactly_and_told_again() {
    let (_test, ctx) = begin();
    let io = || std::io::Error::other(std::fmt::Error);
    let said = [
        ("text", Rejection::new("sold\u{2028}out"), "\"sold\u{2028}out\"".to_owned()),
        ("null", Rejection::json(&()), "null".into()),
        ("value", Rejection::json(&json!({"left": [0]})), r#"{"left":[0]}"#.into()),
        ("large", Rejection::json(&u128::MAX), u128::MAX.to_string()),
    ];
    for (id, rejection, json) in &said {
        let receipt = ctx.dispatch(take(id), |_: &Seats| Err(rejection.clone())).unwrap();
        assert!(!receipt.is_accepted() && !receipt.is_duplicate());
        let CommandOutcome::Rejected { seq, error } = receipt.outcome() else { unreachable!() };
        assert_eq!(error.as_json(), json);
        let again = ctx.dispatch(take(id), never).unwrap();
        assert!(again.is_duplicate());
        assert_eq!(told(&again), told(&receipt));
        assert_eq!(told(&ctx.receipt(id).unwrap().unwrap()), told(&receipt));
        let record = records(&ctx).pop().unwrap();
        assert_eq!((record.seq(), record.event_type()), (*seq, "command_rejected"));
        assert_eq!(record.idempotency_key(), Some(format!("cmd:{id}").as_str()));
        assert_eq!(record.command_id(), Some(*id));
        let members: BTreeMap<String, Box<serde_json::value::RawValue>> = record.payload().unwrap();
        assert_eq!(members["command_type"].get(), "\"take_seat\"");
        assert_eq!(Rejection::json(&members["error"]), *error);
    }
    assert_ne!(Rejection::new("a"), Rejection::new("b"));
    assert_eq!(Rejection::new("sold out").to_string(), "sold out");

    let error = Sold { seats: 3, source: io() };
    let receipt = ctx.dispatch(take("error"), |_: &Seats| Err(Rejection::of(&error))).unwrap();
    let CommandOutcome::Rejected { error: told, .. } = receipt.outcome() else { unreachable!() };
    let texts = json!(["3 seats were sold", io().to_string()]);
    assert_eq!(told.as_json(), texts.to_string());
    let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
    assert_eq!(Rejection::of(&*boxed), *told);
}

/// An error with a cause.
#[derive(Debug)]
struct Sold {
    seats: u32,
    source: std::io::Error,
}

impl std::fmt::Display for Sold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} seats were sold", self.seats)
    }
}

impl std::error::Error for Sold {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// With `?`, a disk that was full for a moment would be a command's answer for ever.
#[test]
fn no_error_becomes_a_rejection_by_itself() {
    struct Made;
    trait MadeOf<E> {
        const IS: bool = false;
    }
    impl<T> MadeOf<()> for T {}
    // Were there a `From`, this would be ambiguous, and not compile.
    impl<T: From<std::io::Error>> MadeOf<Made> for T {}
    const { assert!(!<Rejection as MadeOf<_>>::IS) }
}

#[test]
fn an_id_stands_for_one_type_and_one_stream() {
    let (_test, ctx) = begin();
    assert!(ctx.dispatch(take("yes"), one_of(1)).unwrap().is_accepted());
    assert!(!ctx.dispatch(take("no"), one_of(1)).unwrap().is_accepted());
    for (id, seq) in [("yes", 1), ("no", 2)] {
        let others = [
            (Command::new(id, "free_seat").on("show", "S-1"), "free_seat on show/S-1"),
            (Command::new(id, "take_seat").on("show", "S-2"), "take_seat on show/S-2"),
            (Command::new(id, "take_seat"), "take_seat on run/RUN-1"),
        ];
        for (command, name) in others {
            match ctx.dispatch(command, never) {
                Err(CommandError::Conflict { command_id, path, seq: at, stands, asked }) => {
                    assert_eq!((command_id.as_str(), at), (id, seq));
                    assert_eq!(path, ctx.journal_path());
                    assert_eq!((stands.as_str(), asked.as_str()), ("take_seat on show/S-1", name));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(records(&ctx).len(), 2);
}

#[test]
fn a_decision_that_cannot_be_appended_leaves_nothing() {
    let (_test, ctx) = begin();
    let taken = || Event::new("seat_taken");
    let bad = [
        (taken().stream("show", "S-2"), "names another stream"),
        (taken().stream("lease", "TASK-1"), "streams of kind lease belong to the library"),
        (taken().command_id("C-2"), "names another one"),
        (taken().key("K"), "leave the key out"),
        (taken().expect(ExpectedVersion::NoStream), "leave the expected one out"),
        (taken().metadata(&json!({"command_type": "mine"})), "which is the command's"),
        (taken().payload(&BTreeMap::from([((1, 2), 3)])), "is not JSON"),
        (Event::new("command_rejected"), "the library writes events of this type"),
        (Event::new("Seat Taken"), "must be snake_case"),
    ];
    for (event, reason) in bad {
        // At the second place as well, apart from what only the first event's metadata are asked for.
        let places = if reason.starts_with("which is") { 1 } else { 2 };
        for place in 0..places {
            let decide = |_: &Seats| {
                Ok((0..2).map(|at| if at == place { event.clone() } else { taken() }).collect())
            };
            let error = ctx.dispatch(take("C-1"), decide).unwrap_err();
            assert!(matches!(error, CommandError::Journal(JournalError::BadEvent { .. })));
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
    let rejected = |_: &Seats| Err(Rejection::json(&BTreeMap::from([((1, 2), 3)])));
    let error = ctx.dispatch(take("C-1"), rejected).unwrap_err();
    assert!(error.to_string().contains("its error is not JSON"), "{error}");

    let error = ctx.dispatch(take("C-1"), |_: &Seats| Ok(Vec::new())).unwrap_err();
    assert!(matches!(error, CommandError::NoEvents { .. }), "{error}");
    assert!(error.to_string().contains("\"C-1\" (take_seat)"), "{error}");
    let many = |_: &Seats| Ok(vec![Event::new("seat_taken"); 1025]);
    let error = ctx.dispatch(take("C-1"), many).unwrap_err();
    assert!(matches!(error, CommandError::Journal(JournalError::TooLarge { .. })), "{error}");

    assert_eq!(records(&ctx).len(), 0);
    assert_eq!(ctx.receipt("C-1").unwrap(), None);
    assert!(!ctx.dispatch(take("C-1"), one_of(1)).unwrap().is_duplicate());
}

#[test]
fn a_command_that_cannot_be_one_is_not_decided() {
    let (_test, ctx) = begin();
    let refused = [
        (take(""), "its id has 0 bytes"),
        (take(&"x".repeat(1025)), "its id has 1025 bytes"),
        (Command::new("C-1", ""), "its type has 0 bytes"),
        (Command::new("C-1", "x".repeat(129)), "its type has 129 bytes"),
        (Command::new("C-1", "go").on("lease", "TASK-1"), "belong to the library"),
        (Command::new("C-1", "go").on("Show", "S-1"), "must be snake_case"),
        (Command::new("C-1", "go").on("show", ""), "the id of its stream"),
    ];
    for (command, reason) in refused {
        let error = ctx.dispatch(command, never).unwrap_err();
        assert!(matches!(error, CommandError::BadCommand { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    let longest = take(&"\u{1}".repeat(1024));
    assert!(ctx.dispatch(longest, one_of(1)).unwrap().is_accepted());
    assert_eq!(records(&ctx).len(), 1);
}

#[test]
fn who_is_overtaken_decides_again_from_what_stands_then() {
    let (_test, ctx) = begin();
    let runs = Cell::new(0);
    // Whoever decides holds no lock, or the append in here would wait for ever.
    let overtaken = |seats: &Seats| {
        runs.set(runs.get() + 1);
        if runs.get() <= 2 {
            ctx.append(Event::new("seat_taken").stream("show", "S-1")).unwrap();
        }
        one_of(2)(seats)
    };
    let receipt = ctx.dispatch(take("C-1"), overtaken).unwrap();
    assert_eq!(runs.get(), 3);
    assert!(!receipt.is_accepted(), "{receipt:?}");
    assert_eq!(receipt.outcome().seq(), 3);

    // What happens in other streams is none of its business.
    runs.set(0);
    let beside = |_: &Seats| {
        runs.set(runs.get() + 1);
        ctx.append(Event::new("seat_taken").stream("show", "S-2")).unwrap();
        Ok(vec![Event::new("noted")])
    };
    assert_eq!(ctx.dispatch(take("C-2"), beside).unwrap().outcome().seq(), 5);
    assert_eq!(runs.get(), 1);

    // The same command, meanwhile decided by somebody else.
    let twin = |seats: &Seats| {
        assert!(!ctx.dispatch(take("C-3"), one_of(0)).unwrap().is_duplicate());
        one_of(9)(seats)
    };
    let receipt = ctx.dispatch(take("C-3"), twin).unwrap();
    assert!(receipt.is_duplicate() && !receipt.is_accepted(), "{receipt:?}");
    assert_eq!(records(&ctx).len(), 6);

    let other = |_: &Seats| {
        assert!(ctx.dispatch(Command::new("C-4", "free_seat"), one_of(9)).unwrap().is_accepted());
        Ok(vec![Event::new("seat_taken")])
    };
    let error = ctx.dispatch(take("C-4"), other).unwrap_err();
    assert!(matches!(error, CommandError::Conflict { seq: 7, .. }), "{error}");
}

/// A run that is moved away while it is written, and another put in its place: what is read and what is
/// written never agree.
#[test]
#[cfg(unix)]
fn a_run_that_is_exchanged_meanwhile_is_not_tried_for_ever() {
    let (test, ctx) = begin();
    ctx.append(Event::new("noted")).unwrap();
    let aside = test.root().join("aside");
    let runs = Cell::new(0);
    let exchanged = |_: &Seats| {
        runs.set(runs.get() + 1);
        assert!(runs.get() < 9, "it is tried for ever");
        if runs.get() == 1 {
            let journal = std::fs::read(ctx.journal_path()).unwrap();
            ctx.append(Event::new("seat_taken").stream("show", "S-1")).unwrap();
            std::fs::rename(ctx.run_path(), &aside).unwrap();
            std::fs::create_dir_all(ctx.run_path().join("journal")).unwrap();
            std::fs::copy(aside.join("run.json"), ctx.run_path().join("run.json")).unwrap();
            std::fs::write(ctx.journal_path(), journal).unwrap();
            std::fs::write(ctx.run_path().join("journal/.lock"), "").unwrap();
        }
        Ok(vec![Event::new("seat_taken")])
    };
    let error = ctx.dispatch(take("C-1"), exchanged).unwrap_err();
    let conflict = matches!(error, CommandError::Journal(JournalError::VersionConflict { .. }));
    assert!(conflict, "{error}");
    assert_eq!(records(&ctx).len(), 1);
}

#[test]
fn a_closed_run_still_answers_what_was_decided() {
    let (_test, ctx) = begin();
    let yes = ctx.dispatch(take("yes"), one_of(1)).unwrap();
    let no = ctx.dispatch(take("no"), one_of(1)).unwrap();
    ctx.run().unwrap().complete(Outcome::Failed, None).unwrap();
    for (id, first) in [("yes", yes), ("no", no)] {
        assert_eq!(told(&ctx.dispatch(take(id), never).unwrap()), told(&first));
        assert_eq!(told(&ctx.receipt(id).unwrap().unwrap()), told(&first));
    }
    let error = ctx.dispatch(take("new"), one_of(9)).unwrap_err();
    assert!(matches!(error, CommandError::Journal(JournalError::Closed { .. })), "{error}");
}

#[test]
fn a_task_decides_in_its_own_journal() {
    let (test, ctx) = begin();
    let task = test.task();
    let receipt = task.dispatch(Command::new("C-1", "go"), one_of(9)).unwrap();
    assert_eq!(receipt.stream(), ("task", "TASK-1"));
    assert_eq!(told(&task.receipt("C-1").unwrap().unwrap()), told(&receipt));
    assert!(task.dispatch(Command::new("C-1", "go"), never).unwrap().is_duplicate());
    assert_eq!(ctx.receipt("C-1").unwrap(), None);
}

#[test]
fn what_is_large_is_kept_beside_the_journal() {
    let (_test, ctx) = begin();
    let text = "x".repeat(100_000);
    let said = |_: &Seats| Ok(vec![Event::new("said").payload(&text), Event::new("noted")]);
    assert!(ctx.dispatch(take("C-1"), said).unwrap().is_accepted());
    let first = ctx.dispatch(take("C-2"), |_: &Seats| Err(Rejection::new(text.as_str()))).unwrap();
    let again = ctx.dispatch(take("C-2"), never).unwrap();
    assert_eq!(told(&again), told(&first));
    let records = records(&ctx);
    assert_eq!(records.len(), 3);
    assert!(records[0].payload_ref().is_some() && records[2].payload_ref().is_some());
    assert_eq!(records[0].payload::<String>().unwrap(), text);
}

#[test]
fn an_event_with_a_command_id_is_a_receipt_too() {
    let (_test, ctx) = begin();
    let batch = [Event::new("noted"), Event::new("noted").command_id("C-1"), Event::new("noted")];
    ctx.journal().unwrap().append_batch(&batch).unwrap();
    let receipt = ctx.receipt("C-1").unwrap().unwrap();
    assert_eq!(told(&receipt), (None, ("run", "RUN-1"), receipt.outcome()));
    let CommandOutcome::Accepted { seq: 2, events: 1, .. } = receipt.outcome() else {
        panic!("{receipt:?}")
    };
}

#[test]
fn an_answer_is_the_receipt_though_events_named_the_command_before() {
    let (_test, ctx) = begin();
    for id in ["yes", "no", "plain"] {
        ctx.append(Event::new("asked").command_id(id)).unwrap();
    }
    let two = |_: &Seats| Ok(vec![Event::new("seat_taken"), Event::new("noted")]);
    let yes = ctx.dispatch(take("yes"), two).unwrap();
    let no = ctx.dispatch(take("no"), one_of(0)).unwrap();
    for receipt in [&yes, &no] {
        assert_eq!(told(&ctx.receipt(receipt.command_id()).unwrap().unwrap()), told(receipt));
    }
    // What names it later changes nothing.
    ctx.append(Event::new("told").command_id("no")).unwrap();
    assert_eq!(ctx.receipt("no").unwrap().unwrap().outcome().seq(), 6);
    assert_eq!(ctx.receipt("plain").unwrap().unwrap().outcome().seq(), 3);
}

const SHOW: [&str; 2] = ["S-1", "S-2"];
const CAPACITY: u64 = 3;

/// What may be done to two shows of three seats.
#[derive(Debug, Clone)]
enum Do {
    /// Command id, its type, the show, seats wanted.
    Dispatch(u8, bool, usize, u64),
    /// Somebody sits down without asking.
    Sit(usize),
}

fn doing() -> impl Strategy<Value = Do> {
    prop_oneof![
        4 => (0_u8..6, proptest::bool::weighted(0.2), 0_usize..2, 0_u64..4)
            .prop_map(|(id, other, show, wanted)| Do::Dispatch(id, other, show, wanted)),
        1 => (0_usize..2).prop_map(Do::Sit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// The oracle: a map from ids to answers, and two counts.
    #[test]
    fn every_answer_is_that_of_the_oracle(all in proptest::collection::vec(doing(), 1..40)) {
        let (_test, ctx) = begin();
        let (mut answers, mut taken, mut seq) = (BTreeMap::new(), [0_u64; 2], 0_u64);
        for one in all {
            let Do::Dispatch(id, other, show, wanted) = one else {
                let Do::Sit(show) = one else { unreachable!() };
                ctx.append(Event::new("seat_taken").stream("show", SHOW[show])).unwrap();
                (taken[show], seq) = (taken[show] + 1, seq + 1);
                continue;
            };
            let command_type = if other { "take_box" } else { "take_seats" };
            let command = Command::new(format!("C-{id}"), command_type).on("show", SHOW[show]);
            let came = ctx.dispatch(command, |seats: &Seats| {
                if seats.taken + wanted > CAPACITY {
                    return Err(Rejection::json(&json!({"left": CAPACITY.saturating_sub(seats.taken)})));
                }
                Ok(vec![Event::new("seat_taken"); wanted as usize])
            });
            if let Some((asked, outcome)) = answers.get(&id) {
                if *asked != (command_type, show) {
                    prop_assert!(matches!(came, Err(CommandError::Conflict { .. })), "{:?}", came);
                    continue;
                }
                let receipt = came.unwrap();
                prop_assert!(receipt.is_duplicate());
                prop_assert_eq!(receipt.outcome(), outcome);
                continue;
            }
            if taken[show] + wanted <= CAPACITY && wanted == 0 {
                prop_assert!(matches!(came, Err(CommandError::NoEvents { .. })), "{:?}", came);
                continue;
            }
            let receipt = came.unwrap();
            prop_assert!(!receipt.is_duplicate());
            prop_assert_eq!(receipt.outcome().seq(), seq + 1);
            match receipt.outcome() {
                CommandOutcome::Accepted { events, .. } => {
                    prop_assert_eq!(*events, wanted);
                    (taken[show], seq) = (taken[show] + wanted, seq + wanted);
                    prop_assert!(taken[show] <= CAPACITY);
                }
                CommandOutcome::Rejected { error, .. } => {
                    let left = CAPACITY.saturating_sub(taken[show]);
                    prop_assert!(taken[show] + wanted > CAPACITY);
                    prop_assert_eq!(error, &Rejection::json(&json!({"left": left})));
                    seq += 1;
                }
                other => panic!("{other:?}"),
            }
            answers.insert(id, ((command_type, show), receipt.outcome().clone()));
        }
        prop_assert_eq!(records(&ctx).len() as u64, seq);
        for (id, ((command_type, show), outcome)) in answers {
            let receipt = ctx.receipt(&format!("C-{id}")).unwrap().unwrap();
            prop_assert_eq!(told(&receipt), (Some(command_type), ("show", SHOW[show]), &outcome));
        }
    }
}

const PROCESSES: usize = 8;
const SEATS: u64 = 12;

#[test]
fn dispatching_worker() {
    let Some(process) = worker_number() else { return };
    let ctx = worker::context();
    ctx.append(Event::new("ready")).unwrap();
    while ctx.events().unwrap().of_type("ready").count() < PROCESSES {
        std::thread::yield_now();
    }
    let dispatch = |id: String, command_type: &str| {
        let command = Command::new(id.as_str(), command_type).on("show", "S-1");
        // Long enough for others to come in between.
        let slowly = |seats: &Seats| {
            std::thread::sleep(Duration::from_millis(1));
            one_of(SEATS)(seats)
        };
        let told = match ctx.dispatch(command, slowly) {
            Ok(receipt) => format!("{:?} {:?}", receipt.command_type(), receipt.outcome()),
            Err(CommandError::Conflict { .. }) => "conflict".to_owned(),
            Err(error) => panic!("{error}"),
        };
        writeln!(std::io::stdout(), "told {id} {told}").unwrap();
    };
    for number in 0..4 {
        dispatch(format!("shared-{number}"), "take_seat");
        dispatch(format!("own-{process}-{number}"), "take_seat");
        dispatch(format!("other-{number}"), ["take_seat", "take_box"][process % 2]);
    }
}

#[test]
fn eight_processes_are_told_the_same_and_no_seat_is_sold_twice() {
    let (_test, ctx) = begin();
    let workers: Vec<_> =
        (0..PROCESSES).map(|number| start("receipts::dispatching_worker", &ctx, number)).collect();
    let mut told = BTreeMap::<String, Vec<String>>::new();
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success());
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let Some((_, line)) = line.split_once("told ") else { continue };
            let (id, answer) = line.split_once(' ').unwrap();
            told.entry(id.to_owned()).or_default().push(answer.to_owned());
        }
    }
    assert_eq!(told.len(), 4 + 4 + 4 * PROCESSES);
    for (id, answers) in &told {
        let conflicts = answers.iter().filter(|answer| *answer == "conflict").count();
        let different: BTreeSet<_> =
            answers.iter().filter(|answer| *answer != "conflict").collect();
        assert_eq!(different.len(), 1, "{id}: {different:?}");
        let (all, lost) = match id.split('-').next().unwrap() {
            "shared" => (PROCESSES, 0),
            "other" => (PROCESSES, PROCESSES / 2),
            _ => (1, 0),
        };
        assert_eq!((answers.len(), conflicts), (all, lost), "{id}");
    }
    let mut records = records(&ctx);
    records.retain(|record| record.event_type() != "ready");
    let taken = records.iter().filter(|record| record.event_type() == "seat_taken").count();
    assert_eq!(taken as u64, SEATS);
    assert_eq!(records.len(), told.len(), "each command has one answer, of one record");
    for record in &records {
        let answer = &told[record.command_id().unwrap()];
        let seq = format!(" seq: {},", record.seq());
        assert!(answer.iter().any(|answer| answer.contains(&seq)), "{answer:?}");
    }
}

/// What other programs may have written, and the library does not.
#[cfg(all(feature = "sqlite", unix))]
mod forged {
    use runjournal::index::Index;

    use super::*;
    use crate::index_lab::{Forger, assert_equal, open, rows};

    #[test]
    fn who_lacks_the_newest_lease_is_refused_and_still_told_what_was_decided() {
        let (_test, ctx) = begin();
        let first = ctx.dispatch(take("C-1"), one_of(9)).unwrap();
        let bound = r#"{"resource":"TASK-1","token":5,"worker_id":"W"}"#;
        Forger::behind(&ctx.run_path()).payload("lease_bound", ("lease", "TASK-1"), bound).write();
        let lease = |token| runjournal::LeaseRef::new(ctx.task_id().clone(), token);
        let contexts = [ctx.clone(), ctx.clone().with_lease(lease(4))];
        for ctx in &contexts {
            assert_eq!(told(&ctx.dispatch(take("C-1"), never).unwrap()), told(&first));
        }
        let error = contexts[0].dispatch(take("C-2"), one_of(9)).unwrap_err();
        let required = matches!(error, CommandError::Journal(JournalError::LeaseRequired { .. }));
        assert!(required, "{error}");
        let error = contexts[1].dispatch(take("C-2"), one_of(9)).unwrap_err();
        let lost = matches!(error, CommandError::Journal(JournalError::LeaseLost { .. }));
        assert!(lost, "{error}");
        let holder = ctx.clone().with_lease(lease(5));
        assert!(holder.dispatch(take("C-2"), one_of(9)).unwrap().is_accepted());
        assert_eq!(records(&ctx).len(), 3);
    }

    #[test]
    fn payloads_and_metadata_of_others_are_taken_or_named() {
        let (_test, ctx) = begin();
        let keyed = |id: &str, more: &str| {
            format!(",\"command_id\":\"{id}\",\"idempotency_key\":\"cmd:{id}\"{more}")
        };
        let show = ("show", "S-1");
        Forger::behind(&ctx.run_path())
            .record("command_rejected", show, &keyed("bare", ",\"payload\":{}"))
            .record("seat_taken", show, &keyed("untyped", ""))
            .record("command_rejected", show, &keyed("nothing", ""))
            .record("command_rejected", show, &keyed("list", ",\"payload\":[1]"))
            .record("seat_taken", show, &keyed("odd", ",\"metadata\":{\"command_type\":7}"))
            .write();
        for id in ["bare", "untyped"] {
            let receipt = ctx.receipt(id).unwrap().unwrap();
            assert_eq!(receipt.command_type(), None);
            assert_eq!(told(&ctx.dispatch(take(id), never).unwrap()), told(&receipt));
            assert_eq!(receipt.is_accepted(), id == "untyped");
        }
        for id in ["nothing", "list", "odd"] {
            let error = ctx.receipt(id).unwrap_err();
            assert!(matches!(error, JournalError::Payload { .. }), "{error}");
            let error = ctx.dispatch(take(id), never).unwrap_err();
            let named = matches!(error, CommandError::Journal(JournalError::Payload { .. }));
            assert!(named, "{error}");
        }
    }

    #[test]
    fn the_index_knows_what_was_asked_for() {
        let (test, ctx) = begin();
        let two = |_: &Seats| Ok(vec![Event::new("seat_taken"), Event::new("noted")]);
        assert!(ctx.dispatch(take("yes"), two).unwrap().is_accepted());
        assert!(!ctx.dispatch(take("no"), one_of(0)).unwrap().is_accepted());
        let mine = json!({"command_type": "mine"});
        ctx.append(Event::new("noted").command_id("plain").metadata(&mine)).unwrap();
        let index = Index::of(test.workspace());
        index.refresh().unwrap();
        let sql = "SELECT command_id AS id, command_type AS type, state, stream_id AS stream, first_seq, \
                   last_seq, error FROM receipts ORDER BY first_seq";
        assert_eq!(
            rows(&open(&index), sql),
            [
                "id=\"yes\" type=\"take_seat\" state=\"accepted\" stream=\"S-1\" first_seq=Integer(1) last_seq=Integer(2) error=NULL",
                "id=\"no\" type=\"take_seat\" state=\"rejected\" stream=\"S-1\" first_seq=Integer(3) last_seq=Integer(3) error=\"sold out\"",
                "id=\"plain\" type=NULL state=\"accepted\" stream=\"RUN-1\" first_seq=Integer(4) last_seq=Integer(4) error=NULL",
            ]
        );
        assert_equal(&index, test.workspace());
    }

    /// The index tells of each command what its receipt tells, however often it is brought up to the tree.
    #[test]
    fn the_index_and_the_receipts_agree_whoever_named_a_command_first() {
        let (test, ctx) = begin();
        let index = Index::of(test.workspace());
        let agree = |ids: &[&str]| {
            index.refresh().unwrap();
            let connection = open(&index);
            for id in ids {
                let receipt = ctx.receipt(id).unwrap().unwrap();
                let (state, error) = match receipt.outcome() {
                    CommandOutcome::Rejected { error, .. } => ("rejected", Some(error.to_string())),
                    _ => ("accepted", None),
                };
                let text = |text: Option<&str>| match text {
                    Some(text) => format!("{text:?}"),
                    None => "NULL".to_owned(),
                };
                let wanted = format!(
                    "type={} state={state:?} stream={:?} first_seq=Integer({}) error={}",
                    text(receipt.command_type()),
                    receipt.stream().1,
                    receipt.outcome().seq(),
                    text(error.as_deref())
                );
                let sql = format!(
                    "SELECT command_type AS type, state, stream_id AS stream, first_seq, error \
                     FROM receipts WHERE command_id = '{id}'"
                );
                assert_eq!(rows(&connection, &sql), [wanted], "{id}");
            }
            assert_equal(&index, test.workspace());
        };
        for id in ["yes", "no"] {
            ctx.append(Event::new("asked").command_id(id)).unwrap();
        }
        agree(&["yes", "no"]);
        assert!(ctx.dispatch(take("yes"), one_of(9)).unwrap().is_accepted());
        agree(&["yes", "no"]);
        assert!(!ctx.dispatch(take("no"), one_of(0)).unwrap().is_accepted());
        agree(&["yes", "no"]);
        for id in ["yes", "no"] {
            ctx.append(Event::new("told").command_id(id)).unwrap();
        }
        // What other programs may write: an answer that does not name its command, two answers, an answer to
        // one command that names another, and a rejection behind an acceptance.
        let rejected = r#","payload":{"command_type":"go","error":"no"}"#;
        Forger::behind(&ctx.run_path())
            .record("seat_taken", ("show", "S-1"), ",\"idempotency_key\":\"cmd:silent\"")
            .record("command_rejected", ("show", "S-1"), &format!(",\"idempotency_key\":\"cmd:silent\"{rejected}"))
            .record(
                "seat_taken",
                ("show", "S-1"),
                ",\"command_id\":\"named\",\"idempotency_key\":\"cmd:other\",\"metadata\":{\"command_type\":\"go\"}",
            )
            .record("command_rejected", ("show", "S-2"), &format!(",\"command_id\":\"yes\"{rejected}"))
            .write();
        agree(&["yes", "no", "silent", "named", "other"]);
    }
}

#[cfg(feature = "cli")]
mod cli {
    use camino::Utf8PathBuf;
    use runjournal::{Task, Workspace};

    use super::*;
    use crate::cli::Shell;

    fn task(shell: &Shell) -> Task {
        let root = Utf8PathBuf::from_path_buf(shell.path("workspaces")).unwrap();
        Workspace::open(root).unwrap().task("TASK-1").unwrap()
    }

    #[test]
    fn the_tool_shows_what_became_of_a_command() {
        let shell = Shell::with_run();
        let task = task(&shell);
        let ctx = task.run("RUN-1").unwrap().context().clone();
        let large = BTreeMap::from([("left", u128::MAX)]);
        assert!(ctx.dispatch(take("C-1"), one_of(1)).unwrap().is_accepted());
        let rejected = ctx.dispatch(take("C-2"), |_: &Seats| Err(Rejection::json(&large)));
        assert!(!rejected.unwrap().is_accepted());
        ctx.append(Event::new("noted").command_id("C-3")).unwrap();
        assert!(task.dispatch(Command::new("C-4", "go"), one_of(1)).unwrap().is_accepted());

        let show = |id| ["receipt", "show", id, "-r", "RUN-1"];
        let page = "command  C-1\ntype     take_seat\nstate    accepted\nstream   show/S-1\nseq      1\n\
                    events   1\n";
        assert_eq!(shell.ok(&show("C-1")), page);
        let accepted = json!({"version": 1, "command_id": "C-1", "command_type": "take_seat",
            "state": "accepted", "stream": "show/S-1", "seq": 1, "events": 1});
        assert_eq!(shell.json(&show("C-1")), accepted);
        let error = format!("{{\"left\":{}}}", u128::MAX);
        let page = format!(
            "command  C-2\ntype     take_seat\nstate    rejected\nstream   show/S-1\nseq      2\n\
             error    {error}\n"
        );
        assert_eq!(shell.ok(&show("C-2")), page);
        let line = shell.ok(&[&["--format", "jsonl"], &show("C-2")[..]].concat());
        assert!(line.ends_with(&format!("\"error\":{error}}}\n")), "{line}");
        let document = shell.ok(&[&["--format", "json"], &show("C-2")[..]].concat());
        assert!(document.contains(&u128::MAX.to_string()), "{document}");
        assert_eq!(shell.json(&show("C-3"))["command_type"], Value::Null);

        let of_task = ["receipt", "show", "C-4", "--task", "TASK-1"];
        assert_eq!(shell.json(&of_task)["stream"], "task/TASK-1");
        let told = shell.refused(3, &show("C-4"));
        assert!(told.starts_with("error: there is no command \"C-4\"\n  to do: "), "{told}");
        shell.refused(2, &["receipt", "show", "C-1", "-r", "RUN-1", "-t", "TASK-1"]);
    }
}

#[test]
fn a_kept_handle_knows_its_streams_and_reads_what_others_decided() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let commands = ctx.commands::<Seats>();
    let of_show = |id: &str, show: &str| Command::new(id, "take_seat").on("show", show);
    for round in 0..10 {
        // Now this one, now another, each on two streams.
        for show in ["S-1", "S-2"] {
            let id = format!("{show}-{round}");
            let receipt = match round % 2 {
                0 => commands.dispatch(of_show(&id, show), one_of(7)),
                _ => ctx.dispatch(of_show(&id, show), one_of(7)),
            };
            let receipt = receipt.unwrap();
            assert_eq!(receipt.is_accepted(), round < 7, "{id}");
            assert!(commands.dispatch(of_show(&id, show), never).unwrap().is_duplicate());
        }
    }
    // A decision that panics leaves the handle as good as it was.
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        commands.dispatch(of_show("C-1", "S-3"), |_: &Seats| panic!("it gives up"))
    }));
    assert!(panics.is_err());
    assert!(commands.dispatch(of_show("C-1", "S-3"), one_of(1)).unwrap().is_accepted());
    assert!(!commands.dispatch(of_show("C-2", "S-3"), one_of(1)).unwrap().is_accepted());
}
