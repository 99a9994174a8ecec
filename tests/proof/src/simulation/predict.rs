//! The model's word on an act before it is done.

use std::collections::BTreeMap;

use runjournal::Timestamp;

use super::act::{Act, Ending, What};
use super::expect::{Answer, Expect, Pattern};
use super::plan::RUNS;
use super::story::{StepSeen, Story, is_past};
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

const LEASE: &[&str] = &["LeaseLost", "LeaseRequired"];

impl View<'_> {
    fn story(&self, home: HomeId) -> Option<&Story> {
        self.stories.get(&home).copied()
    }

    /// Why a write is refused, if it is; and what may be written before it.
    fn fence(&self, home: HomeId) -> Result<Option<(HomeId, Pattern)>, Expect> {
        let lost = || Err(Expect::refused(LEASE));
        let Some(story) = self.story(home) else { return Ok(None) };
        let held = self.story(HomeId::task(home.task)).and_then(|task| task.claim.as_ref());
        let held = held.filter(|claim| claim.held).map(|claim| claim.token);
        if home.run.is_none() {
            return if held == self.token { Ok(None) } else { lost() };
        }
        if story.closed {
            return Err(Expect::refused(&["Closed", "LeaseLost", "LeaseRequired"]));
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
    fn fenced(&self, home: HomeId, expect: impl FnOnce(Expect) -> Expect) -> Expect {
        match self.fence(home) {
            Ok(binding) => Expect { binding, ..expect(Expect::done()) },
            Err(refused) => refused,
        }
    }

    /// What was done before is answered whoever asks, unless a lease that is over is told first.
    fn known(&self, home: HomeId) -> Expect {
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
                    Err(_) => Expect::refused(&["NotFound", "Closed", "LeaseLost", "LeaseRequired"]),
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
fn unsure(view: &View<'_>, run: HomeId, expect: Expect) -> Expect {
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
        let same = last
            .is_some_and(|last| last.digest.as_ref() == Some(&wanted) && last.cause.is_empty());
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
    let note = |part: usize| {
        Pattern::new("noted", "").with("act", act.number).with("part", part)
    };
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
    ends.extend((0..*events).map(|part| {
        Pattern::new("noted", "").with("act", act.number).with("part", part)
    }));
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

fn claim(view: &View<'_>, act: &Act, task: HomeId) -> Expect {
    let worker = words::worker(act.worker);
    let story = view.story(task);
    let last = story.and_then(|story| story.claim.as_ref());
    if let Some(claim) = last.filter(|claim| claim.held && claim.worker != worker) {
        match claim.expires_at.and_then(|at| is_past(at, view.now)) {
            Some(true) => {}
            Some(false) => return Expect::refused(&["LeaseHeld"]),
            None => return Expect { free: true, ..Expect::new(Answer::Any) },
        }
    }
    let token = story.map_or(0, |story| story.last_seq) + 1;
    let stream = format!("lease/{}", words::task(act.task));
    let claimed = Pattern::new("lease_claimed", &*stream).with("worker_id", worker);
    let mut expect = Expect::done().group(task, vec![claimed]).durable(task);
    let released = Pattern::new("lease_released", &*stream).with("token", token);
    expect.instead.push((task, vec![released]));
    for run in (0..RUNS).map(|run| HomeId::run(act.task, run)) {
        if view.story(run).is_some_and(|story| !story.closed) {
            let bound = Pattern::new("lease_bound", &*stream).with("token", token);
            expect = expect.group(run, vec![bound]).durable(run);
        }
    }
    expect
}

fn lease(view: &View<'_>, act: &Act, task: HomeId) -> Expect {
    let Some(token) = view.token else { return Expect::done() };
    let last = view.story(task).and_then(|story| story.claim.as_ref());
    let is_last = last.is_some_and(|claim| claim.token == token);
    let held = is_last && last.is_some_and(|claim| claim.held);
    let renews = matches!(act.what, What::Renew);
    let kind = if renews { "lease_renewed" } else { "lease_released" };
    if held {
        let record = Pattern::new(kind, "").with("token", token);
        let done = Expect::done().group(task, vec![record]);
        return if renews { done } else { done.durable(task) };
    }
    if is_last && !renews { Expect::done().durable(task) } else { Expect::refused(&["LeaseLost"]) }
}

fn start(view: &View<'_>, act: &Act, task: HomeId, run: HomeId) -> Expect {
    if view.story(run).is_some() {
        return Expect::refused(&["RunExists", "LeaseLost", "LeaseRequired"]);
    }
    if let Err(refused) = view.fence(task) {
        return refused;
    }
    let name = words::run(act.run);
    let known = view.story(task).is_some_and(|s| s.keys.contains_key(&format!("run:{name}")));
    let started = Pattern::new("run_started", format!("run/{name}"));
    let mut expect = Expect::done();
    if !known {
        expect = expect.group(task, vec![started]);
    }
    if let Some(token) = view.token {
        let stream = format!("lease/{}", words::task(act.task));
        let bound = Pattern::new("lease_bound", stream).with("token", token);
        expect = expect.group(run, vec![bound]);
    }
    expect.durable(task).durable(run)
}

fn next(view: &View<'_>, act: &Act, story: &Story, run: HomeId) -> Expect {
    let unsure = story
        .items
        .iter()
        .any(|item| item.is_expired(view.now).is_none() || item.is_due(view.now).is_none());
    if unsure {
        return Expect { free: true, ..Expect::new(Answer::Any) };
    }
    let expired: Vec<_> =
        story.items.iter().filter(|item| item.is_expired(view.now) == Some(true)).collect();
    let reaps = matches!(act.what, What::QueueReap);
    let reaped = expired.iter().map(|item| {
        let kind = if item.attempt >= item.most { "work_dead" } else { "work_failed" };
        Pattern::new(kind, format!("work/{}", item.name))
    });
    let reaped: Vec<_> = reaped.collect();
    let due = story.items.iter().filter(|item| {
        item.is_due(view.now) == Some(true)
            || (item.is_expired(view.now) == Some(true) && item.attempt < item.most)
    });
    // Of those with the greatest priority, the first.
    let best = due.fold(None, |best: Option<&super::story::Item>, item| match best {
        Some(best) if best.priority >= item.priority => Some(best),
        _ => Some(item),
    });
    if reaped.is_empty() && (reaps || best.is_none()) {
        return view.known(run);
    }
    let done = view.fenced(run, |done| done.group(run, reaped));
    match best.filter(|_| !reaps && done.answer == Answer::Done) {
        Some(item) => {
            let claimed = Pattern::new("work_claimed", format!("work/{}", item.name))
                .with("attempt", item.attempt + 1)
                .with("owner", words::worker(act.worker));
            done.group(run, vec![claimed]).durable(run)
        }
        None => done,
    }
}

fn ended(
    view: &View<'_>,
    story: &Story,
    run: HomeId,
    completes: Option<usize>,
    act: &Act,
) -> Expect {
    let Some((name, owner, attempt)) = &view.work else { return Expect::done() };
    let Some(item) = story.item(name) else {
        return Expect::refused(&["NotFound", "Closed", "LeaseLost", "LeaseRequired"]);
    };
    let is_its = item.owner == *owner && item.attempt == *attempt;
    if !is_its || item.state != "claimed" {
        // Done again it is a duplicate, unless it is another's.
        return Expect { binding: view.fence(run).ok().flatten(), ..Expect::new(Answer::Any) };
    }
    let stream = format!("work/{name}");
    let records = match completes {
        Some(events) => {
            let noted = |part: usize| {
                Pattern::new("noted", "").with("act", act.number).with("part", part)
            };
            let completed = Pattern::new("work_completed", stream);
            std::iter::once(completed).chain((0..events).map(noted)).collect()
        }
        None => {
            let kind = if item.attempt >= item.most { "work_dead" } else { "work_failed" };
            vec![Pattern::new(kind, stream)]
        }
    };
    view.fenced(run, |done| done.group(run, records).durable(run))
}

fn complete(view: &View<'_>, act: &Act, success: bool, story: &Story, run: HomeId) -> Expect {
    let to = if success { "SUCCESS" } else { "FAILED" };
    if story.closed {
        return match story.status == to {
            true => Expect { durable: vec![run], ..view.known(run) }.any_of_closed(),
            false => Expect::refused(&["EndedOtherwise", "LeaseLost", "LeaseRequired"]),
        };
    }
    if let Err(refused) = view.fence(run) {
        return refused;
    }
    if success && story.steps.values().any(|step| step.ended.is_none()) {
        let binding = view.fence(run).ok().flatten();
        return Expect { binding, ..Expect::refused(&["StepsOpen"]) };
    }
    let stream = format!("run/{}", words::run(act.run));
    let moved = Pattern::new("run_status_changed", &*stream).with("to", "EXECUTING");
    let first = success && matches!(story.status.as_str(), "" | "PLANNING");
    let done = view.fenced(run, |done| {
        let done = done.group(run, if first { vec![moved] } else { Vec::new() });
        let end = Pattern::new("execution_complete", stream).with("status", to);
        done.group(run, vec![end]).durable(run)
    });
    unsure(view, run, done)
}

impl Expect {
    /// A closed run answers whoever asks for the end that it has.
    fn any_of_closed(mut self) -> Self {
        self.answer = Answer::Any;
        self
    }
}
