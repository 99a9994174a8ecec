//! Every exactly-once claim, with eight processes that make it at the same moment: one of them is the one,
//! its effect is in the journals once, and all are told the same.
//!
//! | Claim | Where it is raced for |
//! |---|---|
//! | a task, a run with one id | here; a run by threads in `concurrency` |
//! | an event, a batch, a transaction with a key; an artifact that was not there | here |
//! | a step | here |
//! | a lease on a free task, and on one whose lease expired; its release | here; ten thousand claims in `lease_races` |
//! | a command that is accepted, one that is rejected | `receipts` |
//! | an item that is added, claimed, reaped, completed, failed for the last time | here; a queue that is drained in `work` |
//! | a session that is started | `sessions` |
//! | a question that is asked | here |
//! | its answer | `approvals` |
//! | the end of a run | `completion` |

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use runjournal::testing::TestWorkspace;
use runjournal::{
    Appended, ArtifactError, ArtifactName, ClaimRef, Event, Expect, JournalError, Lease,
    LeaseError, Queue, RunContext, Signal, StepFailure, Task, TaskOptions, Work, Workspace,
    WorkspaceError,
};

use crate::worker;

const PROCESSES: usize = 8;
const ROUNDS: usize = 3;
const HOUR: Duration = Duration::from_secs(3600);

type Any<T> = Result<T, Box<dyn Error>>;

/// What a process is told.
struct Told {
    /// True if it was the one; `None` where that is not told.
    won: Option<bool>,
    /// What all are told alike.
    alike: String,
}

impl Told {
    fn won(won: bool, alike: impl ToString) -> Any<Self> {
        Ok(Self { won: Some(won), alike: alike.to_string() })
    }

    fn of(appended: &[Appended]) -> Any<Self> {
        let seqs: Vec<u64> = appended.iter().map(|appended| appended.seq).collect();
        Self::won(!appended[0].duplicate, format!("{seqs:?}"))
    }
}

/// Something that happens once, in a task of its own.
struct Once {
    name: &'static str,
    /// Sets the stage in the task, which has a run; `None` where there is to be no task.
    prepare: Option<fn(&Task) -> Any<()>>,
    /// The call, on the task with this id, by the process with this number.
    call: fn(&Workspace, &str, usize) -> Any<Told>,
    /// How often each type is in the journals of the task and of its runs afterwards.
    effects: &'static [(&'static str, usize)],
}

const ALL: &[Once] = &[
    Once {
        name: "create_task",
        prepare: None,
        call: |workspace, id, _| match workspace.create_task(id, TaskOptions::default()) {
            Ok(_) => Told::won(true, ""),
            Err(WorkspaceError::TaskExists { .. }) => Told::won(false, ""),
            Err(error) => Err(error.into()),
        },
        effects: &[("task_created", 1)],
    },
    Once {
        name: "start_run",
        prepare: NOTHING,
        call: |workspace, id, _| match workspace.task(id)?.start_run_as("RUN-2") {
            Ok(_) => Told::won(true, ""),
            Err(WorkspaceError::RunExists { .. }) => Told::won(false, ""),
            Err(error) => Err(error.into()),
        },
        // One of them is the run that every task here has.
        effects: &[("run_started", 2)],
    },
    Once {
        name: "append_with_key",
        prepare: NOTHING,
        call: |workspace, id, _| {
            Told::of(&[run(&workspace.task(id)?)?.append(Event::new("noted").key("note"))?])
        },
        effects: &[("noted", 1)],
    },
    Once {
        name: "batch_with_key",
        prepare: NOTHING,
        call: |workspace, id, _| {
            let batch = [Event::new("noted").key("note"), Event::new("noted"), Event::new("noted")];
            Told::of(&run(&workspace.task(id)?)?.journal()?.append_batch(&batch)?)
        },
        effects: &[("noted", 3)],
    },
    Once {
        name: "transaction_with_key",
        prepare: NOTHING,
        call: |workspace, id, _| {
            let ctx = run(&workspace.task(id)?)?;
            let mut transaction = ctx.transaction().key("both");
            transaction.write_bytes(ArtifactName::new("new.txt")?, b"content")?;
            transaction.append(Event::new("noted"));
            let committed = transaction.commit()?;
            Told::of(&committed.events)
        },
        effects: &[("noted", 1), ("artifact_written", 1)],
    },
    Once {
        name: "artifact_if_absent",
        prepare: NOTHING,
        call: |workspace, id, number| {
            let store = run(&workspace.task(id)?)?.artifacts();
            let content = number.to_string();
            let name = ArtifactName::new("new.txt")?;
            let written = store.write_bytes_if(name.clone(), content.as_bytes(), Expect::Absent);
            let won = match written {
                Ok(_) => true,
                Err(
                    ArtifactError::Conflict { .. }
                    | ArtifactError::Journal(JournalError::VersionConflict { .. }),
                ) => false,
                Err(error) => return Err(error.into()),
            };
            Told::won(won, String::from_utf8(store.read_bytes(name)?)?)
        },
        effects: &[("artifact_written", 1)],
    },
    Once {
        name: "step",
        prepare: NOTHING,
        call: |workspace, id, number| {
            let ctx = run(&workspace.task(id)?)?;
            let mut won = false;
            let signal = loop {
                let ran = ctx.step("work", |step| {
                    won = true;
                    step.append(Event::new("noted"))?;
                    std::thread::sleep(Duration::from_millis(5));
                    Ok(Signal::new(number.to_string()))
                });
                match ran {
                    Ok(signal) => break signal,
                    Err(StepFailure::StepTaken { .. }) => std::thread::yield_now(),
                    Err(error) => return Err(error.into()),
                }
            };
            Told::won(won, signal.as_str())
        },
        effects: &[("step_started", 1), ("step_completed", 1), ("noted", 1)],
    },
    Once {
        name: "claim",
        prepare: NOTHING,
        call: claim,
        effects: &[("lease_claimed", 1), ("lease_bound", 1)],
    },
    Once {
        name: "claim_over_an_expired_one",
        prepare: Some(|task| {
            // By the test's clock, which stands in the past of the workers'.
            task.claim("worker-before", Duration::from_millis(1))?;
            Ok(())
        }),
        call: claim,
        effects: &[("lease_claimed", 2), ("lease_bound", 2)],
    },
    Once {
        name: "release",
        prepare: Some(|task| {
            task.claim("worker-before", HOUR)?;
            Ok(())
        }),
        call: |workspace, id, _| {
            let task = workspace.task(id)?;
            let state = task.lease()?.ok_or("nobody claimed it")?;
            Lease::of(&task, state.lease).release()?;
            Ok(Told { won: None, alike: String::new() })
        },
        effects: &[("lease_released", 1)],
    },
    Once {
        name: "queue_add",
        prepare: NOTHING,
        call: |workspace, id, _| Told::of(&[queue(&workspace.task(id)?)?.add(Work::new("item"))?]),
        effects: &[("work_enqueued", 1)],
    },
    Once {
        name: "queue_next",
        prepare: Some(|task| Ok(queue(task)?.add(Work::new("item")).map(drop)?)),
        call: next,
        effects: &[("work_claimed", 1)],
    },
    Once {
        name: "queue_next_that_reaps",
        prepare: Some(|task| {
            let queue = queue(task)?;
            queue.add(Work::new("item"))?;
            queue.next("worker-before", Duration::from_millis(1))?;
            Ok(())
        }),
        call: next,
        effects: &[("work_claimed", 2), ("work_failed", 1)],
    },
    Once {
        name: "queue_done_with",
        prepare: Some(claimed_item),
        call: |workspace, id, _| {
            let claim = ClaimRef::new("item", "worker-before", 1);
            let queue = queue(&workspace.task(id)?)?;
            Told::of(&[queue.done_with(&claim, [Event::new("noted")])?])
        },
        effects: &[("work_completed", 1), ("noted", 1)],
    },
    Once {
        name: "queue_fail_to_dead",
        prepare: Some(claimed_item),
        call: |workspace, id, _| {
            let claim = ClaimRef::new("item", "worker-before", 1);
            let queue = queue(&workspace.task(id)?)?;
            Told::of(&[queue.fail(&claim, "it cannot be done", Duration::ZERO)?])
        },
        effects: &[("work_dead", 1), ("work_failed", 0)],
    },
    Once {
        name: "approval_request",
        prepare: NOTHING,
        call: |workspace, id, _| {
            let ctx = run(&workspace.task(id)?)?;
            Told::of(&[ctx.request_approval("deploy", "Deploy?", &["yes", "no"])?])
        },
        effects: &[("approval_requested", 1)],
    },
];

const NOTHING: Option<fn(&Task) -> Any<()>> = Some(|_| Ok(()));

fn run(task: &Task) -> Any<RunContext> {
    Ok(task.run("RUN-1")?.context().clone())
}

fn queue(task: &Task) -> Any<Queue> {
    Ok(run(task)?.queue())
}

fn claim(workspace: &Workspace, id: &str, number: usize) -> Any<Told> {
    let worker = format!("worker-{number}");
    match workspace.task(id)?.claim(&worker, HOUR) {
        Ok(_) => Told::won(true, worker),
        Err(LeaseError::LeaseHeld { worker, .. }) => Told::won(false, worker),
        Err(error) => Err(error.into()),
    }
}

fn claimed_item(task: &Task) -> Any<()> {
    let queue = queue(task)?;
    queue.add(Work::new("item").attempts(1))?;
    queue.next("worker-before", HOUR)?;
    Ok(())
}

fn next(workspace: &Workspace, id: &str, number: usize) -> Any<Told> {
    let claim = queue(&workspace.task(id)?)?.next(&format!("worker-{number}"), HOUR)?;
    Told::won(claim.is_some(), "")
}

fn id(once: &Once, round: usize) -> String {
    format!("{}-{round}", once.name)
}

/// Waits until all processes are here.
fn meet(dir: &Utf8Path, number: usize) -> Any<()> {
    std::fs::write(dir.join(number.to_string()), "")?;
    let begun = Instant::now();
    while std::fs::read_dir(dir)?.count() < PROCESSES {
        if begun.elapsed() > Duration::from_secs(60) {
            return Err("one of the others failed".into());
        }
        std::thread::yield_now();
    }
    Ok(())
}

#[test]
fn calling_worker() {
    let Ok(number) = std::env::var("RUNJOURNAL_TEST_WORKER") else { return };
    let number = number.parse().unwrap();
    let workspace = worker::workspace();
    let above = workspace.root().parent().unwrap();
    for once in ALL {
        for round in 0..ROUNDS {
            let id = id(once, round);
            meet(&above.join(&id), number).unwrap();
            let told = (once.call)(&workspace, &id, number).unwrap_or_else(|e| panic!("{id}: {e}"));
            writeln!(std::io::stdout(), "told {id} {:?} {:?}", told.won, told.alike).unwrap();
        }
    }
}

fn start(root: &Utf8Path, number: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "once::calling_worker", "--nocapture", "--test-threads=1"])
        .env("RUNJOURNAL_ROOT", root)
        .env("RUNJOURNAL_TEST_WORKER", number.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// How often each type is in the journals of a task and of its runs.
fn types(task: &Task) -> BTreeMap<String, usize> {
    let mut types = BTreeMap::new();
    let runs = task.runs().unwrap().into_iter();
    let journals = runs.map(|run| task.run(run).unwrap().context().events().unwrap());
    for events in journals.chain([task.events().unwrap()]) {
        let (records, findings) = events.read_all().unwrap();
        assert_eq!(findings, []);
        for record in records {
            *types.entry(record.event_type().to_owned()).or_default() += 1;
        }
    }
    types
}

#[test]
fn what_eight_processes_do_at_the_same_moment_happens_once() {
    let test = TestWorkspace::new().unwrap();
    let above = test.root().parent().unwrap();
    for (once, round) in ALL.iter().flat_map(|once| (0..ROUNDS).map(move |round| (once, round))) {
        let id = id(once, round);
        std::fs::create_dir(above.join(&id)).unwrap();
        let Some(prepare) = once.prepare else { continue };
        let task = test.workspace().create_task(id.as_str(), TaskOptions::default()).unwrap();
        task.start_run_as("RUN-1").unwrap();
        prepare(&task).unwrap();
    }
    let workers: Vec<_> = (0..PROCESSES).map(|number| start(test.root(), number)).collect();
    let mut told = BTreeMap::<String, Vec<(String, String)>>::new();
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success());
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let Some((_, line)) = line.split_once("told ") else { continue };
            let [id, won, alike] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
            told.entry(id.to_owned()).or_default().push((won.to_owned(), alike.to_owned()));
        }
    }
    assert_eq!(told.len(), ALL.len() * ROUNDS);
    for (once, round) in ALL.iter().flat_map(|once| (0..ROUNDS).map(move |round| (once, round))) {
        let id = id(once, round);
        let told = &told[&id];
        assert_eq!(told.len(), PROCESSES, "{id}");
        let won = told.iter().filter(|(won, _)| won == "Some(true)").count();
        let untold = told.iter().filter(|(won, _)| won == "None").count();
        assert!(won == 1 || untold == PROCESSES, "{id}: {told:?}");
        let alike: BTreeSet<_> = told.iter().map(|(_, alike)| alike).collect();
        assert_eq!(alike.len(), 1, "{id}: {told:?}");
        let types = types(&test.workspace().task(id.as_str()).unwrap());
        for (event_type, count) in once.effects {
            let found = types.get(*event_type).copied().unwrap_or(0);
            assert_eq!(found, *count, "{id}: {event_type} in {types:?}");
        }
    }
}
