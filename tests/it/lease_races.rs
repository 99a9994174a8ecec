//! Ten thousand claims: processes that are stopped, killed, and told the wrong time, and never two writers.
//!
//! Workers (`racer`) are this test binary again. They claim one task and write to its runs, also in the
//! name of leases that they lost; what was written, acknowledged and refused is judged (`judge`) from the
//! files and from what the workers said.

mod judge;
mod racer;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use runjournal::testing::TestWorkspace;
use runjournal::{
    ArtifactName, Clock, Event, Followed, IdSource, JournalError, Lease, LeaseError, LeaseRef,
    Outcome, RunContext, Signal as StepSignal, SystemClock, Task, TaskOptions, TaskStatus,
    Timestamp, Workspace,
};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};
use tempfile::TempDir;
use uuid::Uuid;

use self::judge::{Said, glance, judge};
use self::racer::{Racer, Told, is_refusal, say};
use crate::worker;

const BASE_RUNS: [&str; 2] = ["RUN-1", "RUN-2"];
const MINUTE: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400_000_000;

/// The one file that all write.
fn note() -> ArtifactName {
    ArtifactName::new("note.txt").unwrap()
}

/// Numbers that look random, and are the same for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }
}

/// Starts this test binary again, running one test alone as a worker.
fn start(test: &str, task: &Task, name: &str, env: &[(&str, String)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("lease_races::{test}"), "--nocapture", "--test-threads=1"])
        .env("RUNJOURNAL_ROOT", task.path().parent().unwrap())
        .env("RUNJOURNAL_TEST_WORKER", name)
        .envs(env.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// In a worker: its name. In the test itself: `None`.
fn worker_name() -> Option<String> {
    std::env::var("RUNJOURNAL_TEST_WORKER").ok()
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Races of one test, each in a workspace of its own: the journals are short then, which are read from their
/// beginning for each write.
const RACES: usize = 50;

/// What happens to the workers of a race.
#[derive(Clone, Copy)]
struct Weather {
    seed: u64,
    workers: usize,
    claims: usize,
    clocks_jump: bool,
    /// One look at the workers in so many stops one; 0 for none.
    stops: usize,
    /// The same for kills.
    kills: usize,
}

struct Worker {
    name: String,
    process: Child,
    output: JoinHandle<String>,
    stopped_until: Option<Instant>,
}

/// A place for a race: in memory where there is one, for each claim waits for the disk, and that a disk keeps
/// what it was given is proved elsewhere.
fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A race in one workspace.
struct Race {
    task: Task,
    dir: TempDir,
    weather: Weather,
    random: Random,
    workers: Vec<Worker>,
    started: usize,
    said: Said,
    stops: usize,
    kills: usize,
}

impl Race {
    fn new(weather: Weather) -> Self {
        let dir = directory();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let workspace = Workspace::create(root).unwrap();
        let task = workspace.create_task("TASK-1", TaskOptions::default()).unwrap();
        for run in BASE_RUNS {
            task.start_run_as(run).unwrap();
        }
        // All runs are bound from the beginning, so that nobody may write without a lease.
        task.claim("nobody", Duration::from_millis(1)).unwrap().release().unwrap();
        let random = Random(weather.seed);
        let (workers, said) = (Vec::new(), Said::default());
        Self { task, dir, weather, random, workers, started: 0, said, stops: 0, kills: 0 }
    }

    fn start_worker(&mut self) {
        self.started += 1;
        let name = format!("w{}", self.started);
        let mut env = vec![("RUNJOURNAL_TEST_SEED", self.random.below(1 << 40).to_string())];
        if self.weather.clocks_jump {
            env.push(("RUNJOURNAL_TEST_SKEWED", "1".to_owned()));
        }
        let mut process = start("racing_worker", &self.task, &name, &env);
        let mut stdout = process.stdout.take().unwrap();
        let output = std::thread::spawn(move || {
            let mut output = String::new();
            stdout.read_to_string(&mut output).unwrap();
            output
        });
        self.workers.push(Worker { name, process, output, stopped_until: None });
    }

    /// Hears what a worker said that has ended, or was ended.
    fn bury(&mut self, mut worker: Worker, was_killed: bool) {
        let status = worker.process.wait().unwrap();
        let output = worker.output.join().unwrap();
        assert!(was_killed || status.success(), "{} failed: {status}\n{output}", worker.name);
        self.said.take_in(&worker.name, &output);
    }

    /// Stops, goes on with and kills workers, as the weather has it.
    fn blow(&mut self) {
        let now = Instant::now();
        for worker in &mut self.workers {
            if worker.stopped_until.is_some_and(|until| until <= now) {
                worker.stopped_until = None;
                send(&worker.process, Signal::CONT);
            }
        }
        let Weather { stops, kills, .. } = self.weather;
        if stops > 0 && self.random.below(stops) == 0 {
            // Some are stopped for longer than anybody waits for a lock.
            let long = self.random.below(16) == 0;
            let pause = if long { 200 } else { 1 + self.random.below(30) as u64 };
            let at = self.random.below(self.workers.len());
            let worker = &mut self.workers[at];
            if worker.stopped_until.is_none() {
                send(&worker.process, Signal::STOP);
                worker.stopped_until = Some(now + Duration::from_millis(pause));
                self.stops += 1;
            }
        }
        if kills > 0 && self.random.below(kills) == 0 {
            let at = self.random.below(self.workers.len());
            let mut worker = self.workers.swap_remove(at);
            // One that has ended failed.
            let alive = worker.process.try_wait().unwrap().is_none();
            worker.process.kill().unwrap();
            self.kills += usize::from(alive);
            self.bury(worker, alive);
            self.start_worker();
        }
    }

    fn run(mut self) -> Sum {
        for _ in 0..self.weather.workers {
            self.start_worker();
        }
        let task = self.task.clone();
        let mut claimed = task.events().unwrap().of_type("lease_claimed").follow();
        let mut claims = 0;
        let mut glances = 1;
        let mut last_claim = Instant::now();
        while claims < self.weather.claims {
            while let Some(next) = claimed.try_next().unwrap() {
                assert!(matches!(next, Followed::Record(_)), "the task's journal lost its tail");
                claims += 1;
                last_claim = Instant::now();
            }
            assert!(last_claim.elapsed() < Duration::from_secs(60), "nobody claims any more");
            if claims * 3 > self.weather.claims * glances {
                glances += 1;
                glance(&task);
            }
            for worker in &mut self.workers {
                let ended = worker.process.try_wait().unwrap();
                assert_eq!(ended, None, "{} ended by itself", worker.name);
            }
            self.blow();
            std::thread::sleep(Duration::from_millis(2));
        }
        std::fs::write(self.dir.path().join("enough"), "").unwrap();
        for worker in std::mem::take(&mut self.workers) {
            send(&worker.process, Signal::CONT);
            self.bury(worker, false);
        }
        judge(&task, &self.said);
        let Self { started, stops, kills, .. } = &self;
        let Said { done, refused, busy, .. } = &self.said;
        Sum {
            claims,
            workers: *started,
            stops: *stops,
            kills: *kills,
            done: *done,
            refused: *refused,
            busy: *busy,
        }
    }
}

impl Drop for Race {
    fn drop(&mut self) {
        // After a failed test they race on, or are stopped still.
        for worker in &mut self.workers {
            let _ = worker.process.kill();
            let _ = worker.process.wait();
        }
    }
}

/// What there was in some races.
#[derive(Debug, Default)]
struct Sum {
    claims: usize,
    workers: usize,
    stops: usize,
    kills: usize,
    done: usize,
    refused: usize,
    /// Writes that were not made for want of the lock.
    busy: usize,
}

/// Some races in such weather, and what has to be seen in them so that they prove something.
fn races(weather: Weather) {
    let mut sum = Sum::default();
    // With a head after every record all is longer.
    let races = if worker::heads_are_eager() { RACES / 5 } else { RACES };
    for race in 0..races {
        let seed = weather.seed * 100 + race as u64;
        let Sum { claims, workers, stops, kills, done, refused, busy } =
            Race::new(Weather { seed, ..weather }).run();
        sum.claims += claims;
        sum.workers += workers;
        sum.stops += stops;
        sum.kills += kills;
        sum.done += done;
        sum.refused += refused;
        sum.busy += busy;
    }
    println!("{sum:?}");
    assert!(sum.done > sum.claims / 4 && sum.refused > sum.claims / 10, "it proved nothing");
    assert!(sum.stops > sum.claims / 50 || weather.stops == 0, "hardly anybody was stopped");
    assert!(sum.kills > sum.claims / 200 || weather.kills == 0, "hardly anybody was killed");
}

#[test]
fn racing_worker() {
    let Some(name) = worker_name() else { return };
    Racer::new(name).race();
}

#[test]
fn workers_whose_clocks_jump_by_days_never_write_side_by_side() {
    let weather =
        Weather { seed: 1, workers: 5, claims: 50, clocks_jump: true, stops: 0, kills: 0 };
    races(weather);
}

#[test]
fn workers_that_are_stopped_anywhere_write_nothing_stale() {
    let weather =
        Weather { seed: 2, workers: 6, claims: 50, clocks_jump: true, stops: 3, kills: 0 };
    races(weather);
}

#[test]
fn workers_that_are_killed_anywhere_lose_nothing_acknowledged() {
    let weather =
        Weather { seed: 3, workers: 5, claims: 50, clocks_jump: false, stops: 0, kills: 40 };
    races(weather);
}

#[test]
fn workers_that_are_stopped_and_killed_and_told_the_wrong_time_keep_to_their_tokens() {
    let weather =
        Weather { seed: 4, workers: 6, claims: 50, clocks_jump: true, stops: 6, kills: 40 };
    races(weather);
}

/// A clock and a source of ids that stop their process at one of their readings: both are read under the
/// lock of the journal that is written to.
#[derive(Debug, Default)]
struct Trap {
    clock: AtomicU64,
    ids: AtomicU64,
}

impl Trap {
    fn count_down(left: &AtomicU64) {
        let down = |left: u64| left.checked_sub(1);
        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, down) == Ok(1) {
            say("stopping");
            kill_process(getpid(), Signal::STOP).unwrap();
            // Another thread may have taken the signal, and this one be a moment late.
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Clock for Trap {
    fn now(&self) -> Timestamp {
        Self::count_down(&self.clock);
        SystemClock.now()
    }
}

impl IdSource for Trap {
    fn next_id(&self, _now: Timestamp) -> Uuid {
        Self::count_down(&self.ids);
        Uuid::now_v7()
    }
}

/// A worker in a trap, as its parent sees it.
struct Trapped {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Trapped {
    fn start(task: &Task, plan: &str, reading: u64) -> Self {
        let env = [
            ("RUNJOURNAL_TEST_PLAN", plan.to_owned()),
            ("RUNJOURNAL_TEST_READING", reading.to_string()),
        ];
        let mut process = start("trapped_worker", task, "old", &env);
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, input, output }
    }

    /// What it says next; nothing if it has ended.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, said)) = line.split_once("@ ") {
                return said.trim_end().to_owned();
            }
            line.clear();
        }
        line
    }

    /// Waits until it has stopped, and not a moment before.
    fn wait_until_stopped(&self) {
        let pid = Pid::from_child(&self.process);
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "{status:?}");
    }

    fn hear_that_it_stops(&mut self) {
        assert_eq!(self.hear(), "stopping");
        self.wait_until_stopped();
    }

    fn go_on(&self) {
        send(&self.process, Signal::CONT);
    }

    /// Has it try everything that a lease is for, and hears that nothing was let in.
    fn must_be_refused_from_here_on(mut self) {
        self.input.write_all(b"go\n").unwrap();
        let mut tried = Vec::new();
        loop {
            match self.hear() {
                said if said.is_empty() => break,
                said => tried.push(said),
            }
        }
        assert!(self.process.wait().unwrap().success());
        assert!(tried.len() > 8, "{tried:?}");
        assert!(tried.iter().all(|said| said.starts_with("refused ")), "{tried:?}");
    }

    /// The text by which errors name it.
    fn named(&self) -> String {
        format!("process {} (", self.process.id())
    }
}

impl Drop for Trapped {
    fn drop(&mut self) {
        // After a failed test it may be stopped still.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn tell<T, E: Told>(what: &str, result: Result<T, E>) {
    match result {
        Ok(_) => say(&format!("done {what}")),
        Err(error) if is_refusal(&error) => say(&format!("refused {what}")),
        Err(error) => panic!("{what}: {error:?}"),
    }
}

#[test]
fn trapped_worker() {
    let Some(name) = worker_name() else { return };
    let trap = Arc::new(Trap::default());
    let workspace = worker::workspace()
        .with_clock(Arc::clone(&trap) as Arc<dyn Clock>)
        .with_ids(Arc::clone(&trap) as Arc<dyn IdSource>);
    let task = workspace.task("TASK-1").unwrap();
    let plan = std::env::var("RUNJOURNAL_TEST_PLAN").unwrap();
    let reading: u64 = std::env::var("RUNJOURNAL_TEST_READING").unwrap().parse().unwrap();
    if plan == "claim" {
        trap.clock.store(reading, Ordering::SeqCst);
        let lease = task.claim(&name, Duration::from_millis(1)).unwrap();
        say(&format!("claimed {}", lease.lease_ref().token));
        trap.clock.store(0, Ordering::SeqCst);
        wait_and_try_everything(&lease, None);
        return;
    }
    let lease = task.claim(&name, MINUTE).unwrap();
    let ctx = lease.task().run("RUN-1").unwrap().context().clone();
    let kept = ctx.journal().unwrap();
    kept.append(Event::new("before")).unwrap();
    say(&format!("claimed {}", lease.lease_ref().token));
    match plan.as_str() {
        "append" => {
            trap.clock.store(reading, Ordering::SeqCst);
            tell("inside", kept.append(Event::new("inside")));
        }
        "renew" => {
            trap.clock.store(reading, Ordering::SeqCst);
            tell("inside", lease.renew());
        }
        "start" => {
            trap.ids.store(reading, Ordering::SeqCst);
            tell("inside", lease.task().start_run_as("RUN-9"));
        }
        _ => panic!("{plan}"),
    }
    wait_and_try_everything(&lease, Some(&kept));
}

/// Once the parent says so, tries everything that a lease is for.
fn wait_and_try_everything(lease: &Lease, kept: Option<&runjournal::JournalWriter>) {
    std::io::stdin().read_line(&mut String::new()).unwrap();
    if let Some(kept) = kept {
        tell("kept", kept.append(Event::new("late")));
    }
    for run in lease.task().runs().unwrap() {
        let ctx = lease.task().run(&run).unwrap().context().clone();
        tell("append", ctx.append(Event::new("late")));
        tell("file", ctx.artifacts().write_bytes(note(), b"late"));
        let mut both = ctx.transaction();
        both.write_bytes(note(), b"late").unwrap();
        both.append(Event::new("late"));
        tell("transaction", both.commit());
        tell("step", ctx.step("late", |_| Ok(StepSignal::new("late"))));
        tell("complete", ctx.run().unwrap().complete(Outcome::Failed, None));
    }
    tell("renew", lease.renew());
    tell("release", lease.release());
    tell("status", lease.task().set_status(TaskStatus::InProgress));
    tell("start", lease.task().start_run_as("RUN-LATE"));
}

fn types(ctx: &RunContext) -> Vec<String> {
    let records = ctx.events().unwrap().read_all().unwrap().0;
    records.iter().map(|record| record.event_type().to_owned()).collect()
}

fn setting() -> (TestWorkspace, Vec<RunContext>, Task) {
    let test = TestWorkspace::new().unwrap();
    let runs = BASE_RUNS.iter().map(|run| test.start_run(run).unwrap()).collect();
    // For this one, the worker's minute is over before it began.
    test.clock().advance(DAY * 365 * 100);
    let impatient = test.workspace().clone().with_lock_timeout(Duration::from_millis(50));
    let impatient = impatient.task("TASK-1").unwrap();
    (test, runs, impatient)
}

/// The message of an error and of all its causes.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

#[test]
fn a_holder_that_was_stopped_inside_the_runs_lock_has_its_one_write_and_no_other() {
    let (test, runs, impatient) = setting();
    // The first reading is for the id of the record, the second for its time.
    for reading in [1, 2] {
        let mut old = Trapped::start(test.task(), "append", reading);
        assert!(old.hear().starts_with("claimed "));
        old.hear_that_it_stops();
        let before = types(&runs[0]);
        for _ in 0..2 {
            let error = impatient.claim("new", MINUTE).unwrap_err();
            let LeaseError::NotBound { run, source, .. } = &error else { panic!("{error:?}") };
            assert_eq!(run.as_str(), "RUN-1");
            assert!(matches!(**source, JournalError::LockTimeout { .. }), "{source:?}");
            assert!(in_words(&error).contains(&old.named()), "{}", in_words(&error));
        }
        assert_eq!(types(&runs[0]), before, "somebody wrote past the lock");

        old.go_on();
        let new = test.task().claim("new", MINUTE).unwrap();
        assert_eq!(old.hear(), "done inside");
        let ctx = new.task().run("RUN-1").unwrap().context().clone();
        ctx.append(Event::new("mine")).unwrap();
        old.must_be_refused_from_here_on();
        let all = types(&runs[0]);
        assert_eq!(all[..before.len()], before);
        assert_eq!(all[before.len()..], ["inside", "lease_bound", "mine"]);
        new.release().unwrap();
    }
}

#[test]
fn a_holder_that_was_stopped_inside_the_tasks_lock_keeps_claims_waiting_and_is_over_then() {
    let (test, runs, impatient) = setting();
    // The end of the lease is told from the first reading, the others are for the record.
    for reading in [1, 2, 3] {
        let mut old = Trapped::start(test.task(), "renew", reading);
        assert!(old.hear().starts_with("claimed "));
        old.hear_that_it_stops();
        let error = impatient.claim("new", MINUTE).unwrap_err();
        let LeaseError::Journal(source @ JournalError::LockTimeout { .. }) = &error else {
            panic!("{error:?}")
        };
        assert!(in_words(source).contains(&old.named()), "{}", in_words(source));
        let last = |count| -> Vec<String> {
            let last = test.task().events().unwrap().last(count).unwrap();
            last.map(|record| record.unwrap().event_type().to_owned()).collect()
        };
        assert_eq!(last(1), ["lease_claimed"]);

        old.go_on();
        let new = test.task().claim("new", MINUTE).unwrap();
        assert_eq!(old.hear(), "done inside");
        assert_eq!(last(2), ["lease_renewed", "lease_claimed"]);
        old.must_be_refused_from_here_on();
        for run in &runs {
            assert_eq!(types(run).last().map(String::as_str), Some("lease_bound"));
        }
        new.release().unwrap();
    }
}

#[test]
fn a_claim_waits_for_a_start_that_was_stopped_halfway_and_binds_its_run() {
    // The first id is that of `run_started`; behind it stand the run's own, and its directory.
    for reading in [2, 3] {
        let (test, _, impatient) = setting();
        let mut old = Trapped::start(test.task(), "start", reading);
        assert!(old.hear().starts_with("claimed "));
        old.hear_that_it_stops();
        assert!(test.task().run("RUN-9").is_err(), "it stopped too late");
        let error = impatient.claim("new", MINUTE).unwrap_err();
        assert!(in_words(&error).contains(&old.named()), "{}", in_words(&error));
        old.go_on();
        let new = test.task().claim("new", MINUTE).unwrap();
        assert_eq!(old.hear(), "done inside");
        old.must_be_refused_from_here_on();
        let ctx = new.task().open_or_start_run("RUN-9").unwrap();
        ctx.append(Event::new("mine")).unwrap();
        assert_eq!(types(&ctx), ["lease_bound", "lease_bound", "mine"]);
    }
}

#[test]
fn a_claimant_that_was_stopped_or_killed_anywhere_left_one_of_the_two_in() {
    for (reading, killed) in (1..).flat_map(|reading| [(reading, true), (reading, false)]) {
        let test = TestWorkspace::new().unwrap();
        let runs = BASE_RUNS.map(|run| test.start_run(run).unwrap());
        // For the claimant, whose clock is the system's, the earlier lease is over.
        test.clock().advance(-DAY * 365 * 100);
        let earlier = test.task().claim("earlier", MINUTE).unwrap().lease_ref().clone();
        let impatient = test.workspace().clone().with_lock_timeout(Duration::from_millis(30));
        let impatient = impatient.task("TASK-1").unwrap();
        let write = |run: &RunContext, lease: &LeaseRef| {
            let ctx = impatient.run(run.run_id()).unwrap().context().clone();
            let event = Event::new("raced");
            let event = event.payload(&serde_json::json!({"id": "-", "token": lease.token}));
            ctx.with_lease(lease.clone()).append(event)
        };

        let mut claimant = Trapped::start(test.task(), "claim", reading);
        match claimant.hear() {
            said if said == "stopping" => claimant.wait_until_stopped(),
            said => {
                assert!(said.starts_with("claimed "), "{said}");
                // One reading decides, two are for the claim's record, two for that of each run.
                assert_eq!(reading, 8);
                return;
            }
        }
        for run in &runs {
            // Where it was not bound yet, the earlier holder is the holder.
            let written = write(run, &earlier);
            let bound = types(run).iter().filter(|of| *of == "lease_bound").count() > 1;
            let locked = matches!(written, Err(JournalError::LockTimeout { .. }));
            let refused = written.as_ref().is_err_and(is_refusal);
            assert!(locked || refused == bound, "{reading}: {written:?}");
        }
        test.clock().advance(DAY * 365 * 200);
        let error = impatient.claim("third", MINUTE).unwrap_err();
        assert!(matches!(error, LeaseError::Journal(JournalError::LockTimeout { .. })), "{error}");
        assert!(error.to_string().contains(&claimant.named()), "{error}");

        if killed {
            drop(claimant);
            test.task().claim("third", MINUTE).unwrap();
        } else {
            claimant.go_on();
            let said = claimant.hear();
            let token: u64 = said.strip_prefix("claimed ").unwrap().parse().unwrap();
            assert!(token > earlier.token);
            for run in &runs {
                assert!(write(run, &earlier).is_err_and(|error| is_refusal(&error)));
                write(run, &LeaseRef::new(earlier.task.clone(), token)).unwrap();
            }
            test.task().claim("third", MINUTE).unwrap();
            claimant.must_be_refused_from_here_on();
        }
        let third = test.task().lease().unwrap().unwrap();
        assert_eq!(third.worker, "third");
        for run in &runs {
            assert!(write(run, &earlier).is_err_and(|error| is_refusal(&error)));
            write(run, &third.lease).unwrap();
        }
        glance(test.task());
    }
}
