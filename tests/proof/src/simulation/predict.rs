//! The model's word on an act before it is done.

use std::collections::BTreeMap;

use runjournal::Timestamp;

use super::act::{Act, Ending, What};
use super::expect::{Answer, Expect, Pattern};
use super::predict_work::{claim, complete, ended, lease, next, start};
use super::story::{StepSeen, Story};
use super::words::{self, HomeId};

/// What the model knows when an act is about to be done.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) stories: BTreeMap<HomeId, &'a Story>,
    /// Runs with artifacts of which nobody knows what a power cut left.
    pub(super) unsure: Vec<HomeId>,
    /// The token of the worker's lease of the task.
    pub(super) token: Option<u64>,
    /// The item, the owner and the attempt that the worker has.
    pub(super) work: Option<(String, String, u64)>,
    pub(super) now: Timestamp,
}

/// The names of errors.
type Names = &'static [&'static str];

const LEASE: &[&str] = &["LeaseLost", "LeaseRequired"];

impl View<'_> {
    pub(super) fn story(&self, home: HomeId) -> Option<&Story> {
        self.stories.get(&home).copied()
    }

    /// Why a write is refused, if it is; and what may be written before it.
    pub(super) fn fence(&self, home: HomeId) -> Result<Option<(HomeId, Pattern)>, Names> {
        let lost = || Err(LEASE);
        let Some(story) = self.story(home) else { return Ok(None) };
        let held = self.story(HomeId::task(home.task)).and_then(|task| task.claim.as_ref());
        let held = held.filter(|claim| claim.held).map(|claim| claim.token);
        if home.run.is_none() {
            return if held == self.token { Ok(None) } else { lost() };
        }
        if story.closed {
            return Err(&["Closed", "LeaseLost", "LeaseRequired"]);
        }
        match (self.token, story.bound) {
            (None, None) => Ok(None),
            (Some(token), Some(bound)) if token == bound => Ok(None),
            (Some(token), bound) if held == Some(token) && bound.is_none_or(|b| b < token) => {
                let stream = format!("lease/{}", words::task(home.task));
                Ok(Some((home, Pattern::new("lease_bound", stream).with("token", token))))
            }
            _ => lost(),
        }
    }

    /// What holds where the write is let in.
    pub(super) fn fenced(&self, home: HomeId, expect: impl FnOnce(Expect) -> Expect) -> Expect {
        match self.fence(home) {
            Ok(binding) => Expect { binding, ..expect(Expect::done()) },
            Err(refused) => Expect::refused(refused),
        }
    }

    /// What was done before is answered whoever asks, unless a lease that is over is told first.
    pub(super) fn known(&self, home: HomeId) -> Expect {
        match self.fence(home) {
            Ok(binding) => Expect { binding, ..Expect::done() },
            Err(_) => Expect::new(Answer::Any),
        }
    }
}

fn missing() -> Expect {
    Expect::refused(&["RunNotFound", "RunLost"])
}

/// What an act has to come to.
pub(super) fn predict(view: &View<'_>, act: &Act) -> Expect {
    let task = HomeId::task(act.task);
    let run = HomeId::run(act.task, act.run);
    match &act.what {
        What::Claim { .. } => return claim(view, act, task),
        What::Renew | What::Release => return lease(view, act, task),
        What::TaskStatus => {
            let stream = format!("task/{}", words::task(act.task));
            let next = next_task(view.story(task).map_or("", |story| &story.status));
            let record = Pattern::new("task_status_changed", stream).with("to", next);
            return view.fenced(task, |done| done.group(task, vec![record]).durable(task));
        }
        What::StartRun => return start(view, act, task, run),
        _ => {}
    }
    let Some(story) = view.story(run) else {
        let of_run = !act.what.is_calm()
            && !matches!(act.what, What::Refresh | What::Verify | What::RepairPlan | What::Backup);
        return if of_run { missing() } else { Expect::done() };
    };
    match &act.what {
        What::Append { events, durable, key, large, expect, .. } => {
            let talk = Pattern::new("noted", "talk/one");
            let (count, known) = match key {
                Some(key) => (1 + key, story.keys.contains_key(&format!("append-{key}"))),
                None => (*events, false),
            };
            if known {
                let known = view.known(run);
                return if *durable { known.durable(run) } else { known };
            }
            let payload = |part: usize| match key {
                Some(key) => talk.clone().with("key", *key).with("part", part),
                None => talk.clone().with("act", act.number).with("part", part),
            };
            let records: Vec<_> = (0..count).map(payload).collect();
            let _ = large;
            if *expect == Some(false) && view.fence(run).is_ok() {
                let refused = Expect::refused(&["VersionConflict"]);
                return Expect { binding: view.fence(run).ok().flatten(), ..refused };
            }
            let done = view.fenced(run, |done| done.group(run, records));
            if *durable { done.durable(run) } else { done }
        }
        What::Write { path, content, durable, .. } => {
            let path = words::path(*path);
            let content = words::content(*content, act.number, path);
            let wanted = words::digest(&content);
            let last = story.artifacts.get(path);
            let same = last.is_some_and(|last| {
                last.digest.as_deref() == Some(&*wanted) && last.cause.is_empty()
            });
            let records = if same { Vec::new() } else { vec![written(path, &wanted)] };
            writing(view, run, records, vec![(path.to_owned(), *durable)], *durable)
        }
        What::Remove { path, durable } => {
            let path = words::path(*path);
            let writes = vec![(path.to_owned(), *durable)];
            if view.unsure.contains(&run) {
                return Expect { free: true, writes, ..Expect::new(Answer::Any) };
            }
            if story.digest(path).is_none() {
                return match view.fence(run) {
                    Ok(binding) => Expect { binding, ..Expect::refused(&["NotFound"]) },
                    Err(_) => {
                        Expect::refused(&["NotFound", "Closed", "LeaseLost", "LeaseRequired"])
                    }
                };
            }
            writing(view, run, vec![removed(path)], writes, *durable)
        }
        What::Transaction { .. } => transaction(view, act, story, run),
        What::Step { .. } => step(view, act, story, run),
        What::Checkpoint => {
            let turn = story.checkpoints.len() + 1;
            let record = Pattern::new("checkpoint_created", format!("checkpoint/{turn}"));
            let done = view.fenced(run, |done| done.group(run, vec![record]).durable(run));
            unsure(view, run, done)
        }
        What::Restore { turn } => restore(view, *turn, story, run),
        What::Command { id } => {
            if story.keys.contains_key(&format!("cmd:{}", words::command(*id))) {
                return Expect { durable: vec![run], ..view.known(run) };
            }
            let records = if story.seats < 2 {
                vec![Pattern::new("seat_taken", "show/S"), Pattern::new("seat_paid", "show/S")]
            } else {
                vec![Pattern::new("command_rejected", "show/S")]
            };
            view.fenced(run, |done| done.group(run, records).durable(run))
        }
        What::QueueAdd { item } => {
            let item = words::item(*item);
            if story.keys.contains_key(&format!("work:{item}")) {
                return Expect { durable: vec![run], ..view.known(run) };
            }
            let record = Pattern::new("work_enqueued", format!("work/{item}"));
            view.fenced(run, |done| done.group(run, vec![record]).durable(run))
        }
        What::QueueNext { .. } | What::QueueReap => next(view, act, story, run),
        What::QueueDone { events } => ended(view, story, run, Some(*events), act),
        What::QueueFail { .. } => ended(view, story, run, None, act),
        What::Status => {
            let to = if story.status == "EXECUTING" { "VERIFYING" } else { "EXECUTING" };
            if story.closed {
                return Expect::refused(&["IllegalRunMove", "LeaseLost", "LeaseRequired"]);
            }
            let stream = format!("run/{}", words::run(act.run));
            let record = Pattern::new("run_status_changed", stream).with("to", to);
            view.fenced(run, |done| done.group(run, vec![record]).durable(run))
        }
        What::Complete { success } => complete(view, act, *success, story, run),
        // What looks at a run, and what puts in place what was committed.
        What::CatchUp | What::Manifest if !view.unsure.is_empty() => Expect::new(Answer::Any),
        _ => Expect::done(),
    }
}

pub(super) fn next_task(status: &str) -> &'static str {
    if status == "IN_PROGRESS" { "DONE" } else { "IN_PROGRESS" }
}

/// Of a run of which nobody knows all files, an act that looks at them may be refused.
pub(super) fn unsure(view: &View<'_>, run: HomeId, expect: Expect) -> Expect {
    if view.unsure.contains(&run) {
        return Expect { answer: Answer::Any, free: true, ..expect };
    }
    expect
}

fn written(path: &str, digest: &str) -> Pattern {
    Pattern::new("artifact_written", format!("artifact/{path}"))
        .with("path", path)
        .with("digest", digest)
}

fn removed(path: &str) -> Pattern {
    Pattern::new("artifact_removed", format!("artifact/{path}")).with("path", path)
}

fn writing(
    view: &View<'_>,
    run: HomeId,
    records: Vec<Pattern>,
    writes: Vec<(String, bool)>,
    durable: bool,
) -> Expect {
    let done = view.fenced(run, |done| done.group(run, records));
    let durable = if durable { vec![run] } else { Vec::new() };
    Expect { writes, durable, ..done }
}

fn transaction(view: &View<'_>, act: &Act, story: &Story, run: HomeId) -> Expect {
    let What::Transaction { paths, remove, events, durable, key, content } = &act.what else {
        return Expect::done();
    };
    if let Some(key) = key {
        // With a key all of it follows from the key.
        let (path, content) = super::perform::keyed(*key);
        let writes = vec![(path.to_owned(), *durable)];
        if story.keys.contains_key(&format!("change-{key}")) {
            let durable = if *durable { vec![run] } else { Vec::new() };
            // It may have been written over since: what is done again is not done.
            return Expect { durable, ..view.known(run) };
        }
        let note = Pattern::new("noted", "").with("key", *key);
        let records = vec![written(path, &words::digest(&content)), note];
        return writing(view, run, records, writes, *durable);
    }
    let mut records = Vec::new();
    let mut writes = Vec::new();
    for path in paths {
        let path = words::path(*path);
        let wanted = words::digest(&words::content(*content, act.number, path));
        let last = story.artifacts.get(path);
        let same =
            last.is_some_and(|last| last.digest.as_ref() == Some(&wanted) && last.cause.is_empty());
        if !same {
            records.push(written(path, &wanted));
        }
        writes.push((path.to_owned(), *durable));
    }
    if let Some(path) = remove.filter(|path| !paths.contains(path)) {
        let path = words::path(path);
        writes.push((path.to_owned(), *durable));
        if view.unsure.contains(&run) {
            return Expect { free: true, writes, ..Expect::new(Answer::Any) };
        }
        if story.digest(path).is_none() {
            return match view.fence(run) {
                Ok(binding) => Expect { binding, ..Expect::refused(&["NotFound"]) },
                Err(_) => Expect::refused(&["NotFound", "Closed", "LeaseLost", "LeaseRequired"]),
            };
        }
        records.push(removed(path));
    }
    let note = |part: usize| Pattern::new("noted", "").with("act", act.number).with("part", part);
    records.extend((0..*events).map(note));
    writing(view, run, records, writes, *durable)
}

fn step(view: &View<'_>, act: &Act, story: &Story, run: HomeId) -> Expect {
    let What::Step { name, turn, ending, path, events } = &act.what else {
        return Expect::done();
    };
    let name = words::step(*name);
    let wanted = turn.unwrap_or(1);
    let last = story.steps.get(name);
    let (turn_now, attempt) = match last {
        None if wanted == 1 => (1, 1),
        Some(StepSeen { turn: now, attempt, ended, .. }) => {
            let is_complete = *ended == Some(true);
            if wanted < *now || (wanted == *now && is_complete) {
                return Expect { durable: vec![run], ..view.known(run) };
            }
            if wanted == *now || (wanted == now + 1 && is_complete) {
                (wanted, attempt + 1)
            } else {
                return Expect::refused(&["TurnOutOfOrder", "LeaseLost"]);
            }
        }
        None => return Expect::refused(&["TurnOutOfOrder", "LeaseLost"]),
    };
    let stream = format!("step/{name}");
    let mut begins = Vec::new();
    let counted = turn.is_some() || turn_now > 1;
    if counted && !story.keys.contains_key(&format!("loop:{name}:{turn_now}")) {
        begins.push(Pattern::new("loop_iteration", &*stream).with("index", turn_now));
    }
    begins.push(Pattern::new("step_started", &*stream).with("attempt", attempt));
    let failed = Pattern::new("step_failed", &*stream).with("attempt", attempt);
    let path = words::path(*path);
    let content = words::content(5, act.number, path);
    let mut ends = vec![
        Pattern::new("step_completed", &*stream).with("attempt", attempt),
        written(path, &words::digest(&content)),
    ];
    ends.extend(
        (0..*events)
            .map(|part| Pattern::new("noted", "").with("act", act.number).with("part", part)),
    );
    let done = view.fenced(run, |done| {
        let done = done.group(run, begins);
        match ending {
            Ending::Completes => done.group(run, ends),
            Ending::Fails => done.group(run, vec![failed.clone()]),
            Ending::Dies => done,
        }
    });
    if done.answer != Answer::Done {
        return done;
    }
    let (answer, writes) = match ending {
        Ending::Completes => (Answer::Done, vec![(path.to_owned(), true)]),
        Ending::Fails | Ending::Dies => (Answer::Refused(&["Failed"]), Vec::new()),
    };
    Expect { answer, writes, instead: vec![(run, vec![failed])], durable: vec![run], ..done }
}

fn restore(view: &View<'_>, turn: u64, story: &Story, run: HomeId) -> Expect {
    let Some(then) = story.checkpoints.get(&turn) else {
        return Expect::refused(&["NotThere", "LeaseLost"]);
    };
    let now = story.present();
    let mut records = Vec::new();
    for (path, digest) in then.iter().filter(|(path, digest)| now.get(*path) != Some(*digest)) {
        records.push(written(path, digest));
    }
    for path in now.keys().filter(|path| !then.contains_key(*path)) {
        records.push(removed(path));
    }
    if records.is_empty() {
        return unsure(view, run, view.known(run));
    }
    let touched = records.iter().filter_map(|record| record.stream.strip_prefix("artifact/"));
    let writes: Vec<_> = touched.map(|path| (path.to_owned(), true)).collect();
    let done = writing(view, run, records, writes, true);
    // All artifacts are written, or may be, where files are not what the model has.
    let done = unsure(view, run, done);
    if done.free {
        let writes = story.artifacts.keys().map(|path| (path.clone(), true)).collect();
        return Expect { writes, ..done };
    }
    done
}
