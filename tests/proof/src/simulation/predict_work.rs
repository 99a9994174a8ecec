//! The model's word on leases, starts and ends of runs, and the queue.

use super::act::{Act, What};
use super::expect::{Answer, Expect, Pattern};
use super::plan::RUNS;
use super::predict::{View, unsure};
use super::story::{Item, Story, is_past};
use super::words::{self, HomeId};

pub(super) fn claim(view: &View<'_>, act: &Act, task: HomeId) -> Expect {
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

pub(super) fn lease(view: &View<'_>, act: &Act, task: HomeId) -> Expect {
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

pub(super) fn start(view: &View<'_>, act: &Act, task: HomeId, run: HomeId) -> Expect {
    if view.story(run).is_some() {
        return Expect::refused(&["RunExists", "LeaseLost", "LeaseRequired"]);
    }
    if let Err(refused) = view.fence(task) {
        return Expect::refused(refused);
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

pub(super) fn next(view: &View<'_>, act: &Act, story: &Story, run: HomeId) -> Expect {
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
    let best = due.fold(None, |best: Option<&Item>, item| match best {
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

pub(super) fn ended(
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
            let noted =
                |part: usize| Pattern::new("noted", "").with("act", act.number).with("part", part);
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

pub(super) fn complete(
    view: &View<'_>,
    act: &Act,
    success: bool,
    story: &Story,
    run: HomeId,
) -> Expect {
    let to = if success { "SUCCESS" } else { "FAILED" };
    if story.closed {
        return match story.status == to {
            true => Expect { durable: vec![run], ..view.known(run) }.any_of_closed(),
            false => Expect::refused(&["EndedOtherwise", "LeaseLost", "LeaseRequired"]),
        };
    }
    if let Err(refused) = view.fence(run) {
        return Expect::refused(refused);
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
