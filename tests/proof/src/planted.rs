//! Operations that are wrong on purpose. Each breaks an invariant in the way in which code that
//! nobody proved usually does; a proof that lets one of them pass proves nothing.

use camino::Utf8Path;
use runjournal::{ArtifactName, Command, Event, Step, Work};

use crate::heads::Head;
use crate::operations::receipt::Seats;
use crate::operations::{self, Base, Operation, Seen, lease, plain};
use crate::place::RUN;
use crate::{Acks, Outcome, Place, ensure};

/// All of them, with the invariant that each breaks in its name.
pub const ALL: &[Operation] = &[
    Operation { name: "planted_i1_told_too_early", operate: told_too_early, ..plain() },
    Operation {
        name: "planted_i3_marker_for_a_key",
        operate: marker_for_a_key,
        done: |seen| ensure(seen.count("noted") == 1, || "it stands twice".into()),
        ..plain()
    },
    Operation { name: "planted_i1_object_after_record", operate: object_after_record, ..plain() },
    Operation { name: "planted_i4_file_before_record", operate: file_before_record, ..plain() },
    Operation {
        name: "planted_i4_batch_in_parts",
        operate: batch_in_parts,
        holds: |seen| {
            ensure(seen.count("noted").is_multiple_of(3), || "a batch counts in part".into())
        },
        ..plain()
    },
    Operation {
        name: "planted_i4_genesis_in_parts",
        base: Base::Task,
        prepare: put_aside,
        operate: genesis_in_parts,
        ..plain()
    },
    Operation { name: "planted_lease_told_before_it_binds", operate: told_unbound, ..plain() },
    Operation { name: "planted_lease_bound_before_its_claim", operate: bound_first, ..plain() },
    Operation {
        name: "planted_dispatch_without_its_key",
        operate: |place, acks| anew(place, acks, dispatch_as),
        done: |seen| ensure(seen.count("noted") == 1, || "it was decided twice".into()),
        ..plain()
    },
    Operation {
        name: "planted_queue_add_without_its_key",
        operate: |place, acks| {
            anew(place, acks, |place, id| {
                place.ctx()?.queue().add(Work::new(id))?;
                Ok(())
            })
        },
        done: |seen| ensure(seen.count("work_enqueued") == 1, || "it was added twice".into()),
        ..plain()
    },
    Operation {
        name: "planted_turns_counted_by_their_starts",
        operate: |place, acks| turns(place, acks, "step_started"),
        done: |seen| ensure(seen.count("step_completed") == 3, || "a turn was left out".into()),
        ..plain()
    },
    Operation {
        name: "planted_flow_that_keeps_its_place_in_a_file",
        operate: place_in_a_file,
        done: |seen| ensure(seen.count("step_completed") == 3, || "a node was left out".into()),
        ..plain()
    },
];

/// Those that are about heads.
pub const WITH_HEADS: &[Operation] = &[
    Operation {
        name: "planted_i3_head_ahead_of_its_names",
        operate: ahead_of_its_names,
        done: once,
        ..plain()
    },
    Operation {
        name: "planted_i3_table_without_an_entry",
        prepare: |place, acks| acks.appended(&place.ctx()?.append(keyed("note"))?),
        operate: without_an_entry,
        done: once,
        ..plain()
    },
    Operation {
        name: "planted_i3_head_of_another_history",
        prepare: two_histories,
        operate: of_another_history,
        done: once,
        ..plain()
    },
    Operation {
        name: "planted_i4_head_trusted_over_stages",
        operate: |place, acks| operations::heads::put_off(place, acks, trust_the_head),
        ..plain()
    },
];

fn once(seen: &Seen<'_>) -> Outcome {
    ensure(seen.count("noted") == 1, || "a key does not stand exactly once".into())
}

fn keyed(key: &str) -> Event {
    Event::new("noted").key(key)
}

/// The head's cursor moves on before its names are written.
fn ahead_of_its_names(place: &Place, acks: &mut Acks) -> Outcome {
    let (ctx, run) = (place.ctx()?, place.run_dir());
    // So that there is one.
    ctx.catch_up()?;
    let mut head = Head::read(&run)?;
    place.begin();
    acks.appended(&ctx.append(keyed("note"))?)?;
    head.move_to_the_end(&run)?;
    replaced_for_a_moment(&run, &head)?;
    place.end();
    Ok(())
}

/// Merging tables loses an entry.
fn without_an_entry(place: &Place, acks: &mut Acks) -> Outcome {
    let (ctx, run) = (place.ctx()?, place.run_dir());
    place.begin();
    acks.appended(&ctx.append(keyed("note"))?)?;
    let mut head = Head::read(&run)?;
    head.forget_key("note")?;
    replaced_for_a_moment(&run, &head)?;
    place.end();
    Ok(())
}

/// Beside the run, the head of what the run would be had another key come first.
fn two_histories(place: &Place, acks: &mut Acks) -> Outcome {
    let (ctx, run, aside) = (place.ctx()?, place.run_dir(), place.dir().join("aside"));
    let journal = std::fs::OpenOptions::new().write(true).open(ctx.journal_path())?;
    let length = journal.metadata()?.len();
    ctx.append(keyed("mote"))?;
    std::fs::create_dir_all(aside.join("journal"))?;
    Head::read(&run)?.write(&aside)?;
    journal.set_len(length)?;
    acks.appended(&place.ctx()?.append(keyed("note"))?)
}

/// A head of the same length is believed without a look at its hash: as if that fitted.
fn of_another_history(place: &Place, acks: &mut Acks) -> Outcome {
    let (ctx, run) = (place.ctx()?, place.run_dir());
    let mut head = Head::read(&place.dir().join("aside"))?;
    place.begin();
    acks.appended(&ctx.append(keyed("note"))?)?;
    head.move_to_the_end(&run)?;
    replaced_for_a_moment(&run, &head)?;
    place.end();
    Ok(())
}

/// A wrong head, and then none, which is right again.
fn replaced_for_a_moment(run: &Utf8Path, head: &Head) -> Outcome {
    head.write(run)?;
    Ok(std::fs::remove_file(run.join("journal/.head"))?)
}

/// Recovery that believes a head that covers all records when it should look for stages.
fn trust_the_head(place: &Place) -> Outcome {
    let run = place.run_dir();
    if !Head::read(&run).and_then(|head| head.covers(&run)).unwrap_or(false) {
        place.ctx()?.catch_up()?;
        return Ok(());
    }
    for stage in std::fs::read_dir(run.join(".tmp"))? {
        std::fs::remove_file(stage?.path())?;
    }
    Ok(())
}

/// A claim returns, and only then is its run bound.
fn told_unbound(place: &Place, acks: &mut Acks) -> Outcome {
    let task = place.task()?;
    place.begin();
    let unbound = lease::journal_length(place)?;
    let claimed = task.claim("worker-1", lease::HOUR)?;
    lease::unbind(place, unbound)?;
    acks.claimed(&claimed, "worker-1")?;
    let ctx = claimed.task().run(RUN)?.context().clone();
    acks.appended(&ctx.append(Event::new("noted"))?)?;
    place.end();
    Ok(())
}

/// The run is bound to a claim whose record comes later.
fn bound_first(place: &Place, acks: &mut Acks) -> Outcome {
    let task = place.task()?;
    let journal = task.path().join("journal/events.jsonl");
    place.begin();
    let before = std::fs::read(&journal)?;
    let claimed = task.claim("worker-1", lease::HOUR)?;
    let after = std::fs::read(&journal)?;
    std::fs::write(&journal, before)?;
    std::fs::write(&journal, after)?;
    acks.claimed(&claimed, "worker-1")?;
    place.end();
    Ok(())
}

fn object_after_record(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    let text = "x".repeat(100_000);
    let appended = ctx.append(Event::new("noted").payload(&text))?;
    let content = format!("\"{text}\"");
    let hex = runjournal::Digest::of(content.as_bytes()).to_hex();
    let object = format!("objects/{hex:.2}/{}", hex.get(2..).unwrap_or_default());
    std::fs::write(place.run_dir().join(object), content)?;
    acks.appended(&appended)?;
    place.end();
    Ok(())
}

fn told_too_early(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    acks.tell("status TOLD")?;
    ctx.append(Event::new("noted").payload(&serde_json::json!({"to": "TOLD"})))?;
    place.end();
    Ok(())
}

fn marker_for_a_key(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    let marker = place.dir().join("marker");
    place.begin();
    if !marker.exists() {
        acks.appended(&ctx.append(Event::new("noted"))?)?;
        std::fs::write(marker, "appended")?;
    }
    place.end();
    Ok(())
}

/// A call by another name each time: what a key would make one, is many. That it was made is noted by its
/// caller, as it is where there are no keys.
fn anew(place: &Place, acks: &mut Acks, call: fn(&Place, &str) -> Outcome) -> Outcome {
    let marker = place.dir().join("marker");
    place.begin();
    if !marker.exists() {
        call(place, &format!("by-{}", std::process::id()))?;
        std::fs::write(marker, "made")?;
    }
    acks.tell("run")?;
    place.end();
    Ok(())
}

fn dispatch_as(place: &Place, id: &str) -> Outcome {
    let decided = place
        .ctx()?
        .dispatch(Command::new(id, "note"), |_: &Seats| Ok(vec![Event::new("noted")]))?;
    ensure(decided.is_accepted(), || "it was rejected".into())
}

/// Three turns, by somebody who takes the number of these records for that of the turns that are done.
fn turns(place: &Place, acks: &mut Acks, done: &str) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    loop {
        let turn = ctx.events()?.of_type(done).in_stream("step", "work").count() as u64 + 1;
        if turn > 3 {
            break;
        }
        ctx.step(Step::new("work").turn(turn), |_| Ok("done".into()))?;
        acks.tell(&format!("turn {turn} work"))?;
    }
    place.end();
    Ok(())
}

/// Three nodes, by somebody who notes where he stands, and not always after he came there.
fn place_in_a_file(place: &Place, acks: &mut Acks) -> Outcome {
    let (ctx, file) = (place.ctx()?, place.dir().join("stands-at"));
    place.begin();
    let nodes = ["a", "b", "c"];
    let done = std::fs::read_to_string(&file).unwrap_or_default().len();
    for (number, node) in nodes.iter().enumerate().skip(done) {
        std::fs::write(&file, "x".repeat(number + 1))?;
        ctx.step(*node, |_| Ok("done".into()))?;
        acks.tell(&format!("turn 1 {node}"))?;
    }
    place.end();
    Ok(())
}

fn file_before_record(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    let name = ArtifactName::new("plan.json")?;
    place.begin();
    std::fs::write(ctx.artifact_path(&name), "replaced")?;
    acks.stored(&ctx.artifacts().adopt(name)?)?;
    place.end();
    Ok(())
}

fn batch_in_parts(place: &Place, acks: &mut Acks) -> Outcome {
    let journal = place.ctx()?.journal()?;
    place.begin();
    for _ in 0..3 {
        acks.appended(&journal.append(Event::new("noted"))?)?;
    }
    place.end();
    Ok(())
}

/// A whole run, but out of its place.
fn put_aside(place: &Place, _: &mut Acks) -> Outcome {
    place.task()?.start_run_as(RUN)?;
    Ok(std::fs::rename(place.run_dir(), place.dir().join("aside"))?)
}

fn genesis_in_parts(place: &Place, acks: &mut Acks) -> Outcome {
    let (from, to) = (place.dir().join("aside"), place.run_dir());
    place.begin();
    if !to.join("run.json").exists() {
        for dir in ["journal", "artifacts", ".tmp"] {
            std::fs::create_dir_all(to.join(dir))?;
        }
        std::fs::copy(from.join("run.json"), to.join("run.json"))?;
        for file in ["journal/.lock", "journal/events.jsonl"] {
            std::fs::copy(from.join(file), to.join(file))?;
        }
    }
    acks.tell("run")?;
    place.end();
    Ok(())
}
