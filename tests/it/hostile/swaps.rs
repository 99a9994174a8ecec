//! Links that come in during an operation: a thread puts one in the place of a directory, and takes it away again,
//! as fast as it can, while others work there. Nothing goes through it.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use runjournal::*;

use super::lab::{A, B, Lab, SECRET, said};

/// Its name; the place that is swapped for a link to `O/dir`; what is done there meanwhile, again and again.
type Swap = (&'static str, &'static str, fn(&Lab, u64) -> String);

/// How long each goes on.
const TIME: Duration = Duration::from_millis(80);

/// Swaps, and works, until the time is over.
pub(super) fn hold(place: &str, act: fn(&Lab, u64) -> String) -> Result<(), String> {
    let lab = Lab::new();
    fs::write(lab.at("O/dir/b.json"), SECRET).unwrap();
    let outside = lab.outside();
    let (place, aside, target) = (lab.at(place), lab.at("W/.aside"), lab.at("O/dir"));
    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let acts = std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // Who works there may just have removed what was empty, or set the link aside.
                if fs::rename(&place, &aside).is_err() {
                    continue;
                }
                // Somebody may have made another one meanwhile: that one is his.
                if symlink(&target, &place).is_ok() {
                    std::thread::yield_now();
                    let _ = fs::remove_file(&place);
                }
                while fs::rename(&aside, &place).is_err() {
                    let _ = fs::remove_dir_all(&place).or_else(|_| fs::remove_file(&place));
                }
                swaps.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        let (start, mut acts) = (Instant::now(), 0);
        let mut read = None;
        // A machine at work elsewhere may take long to come to the first swap.
        let swapped = || swaps.load(Ordering::Relaxed) > 0 || start.elapsed() > 30 * TIME;
        while start.elapsed() < TIME || acts < 3 || !swapped() {
            let answer = act(&lab, acts);
            if answer.contains(SECRET) {
                read = Some(answer);
            }
            acts += 1;
        }
        over.store(true, Ordering::Relaxed);
        swapper.join().map_err(|_| "the swapping failed".to_owned())?;
        read.map_or(Ok(acts), |answer| Err(format!("what lies outside was read: {answer}")))
    })?;
    let swaps = swaps.into_inner();
    if lab.outside() != outside {
        return Err(format!("what lies outside was changed, in {acts} acts and {swaps} swaps"));
    }
    if swaps == 0 {
        return Err("nothing was swapped".to_owned());
    }
    Ok(())
}

/// The run may not be there for a moment.
fn ctx(lab: &Lab) -> Option<RunContext> {
    Some(lab.workspace().task("TASK-1").ok()?.run("RUN-1").ok()?.context().clone())
}

fn write(lab: &Lab, n: u64) -> String {
    let Some(ctx) = ctx(lab) else { return String::new() };
    said(ctx.artifacts().write_bytes(A, format!("number {n}").as_bytes()).map(|it| it.version))
}

fn write_below(lab: &Lab, n: u64) -> String {
    let Some(ctx) = ctx(lab) else { return String::new() };
    said(ctx.artifacts().write_bytes(B, format!("number {n}").as_bytes()).map(|it| it.version))
}

fn write_and_remove(lab: &Lab, n: u64) -> String {
    let Some(ctx) = ctx(lab) else { return String::new() };
    let store = ctx.artifacts().durability(Durability::Buffered);
    let _ = store.write_bytes(B, format!("number {n}").as_bytes());
    said(store.remove(B).map(|removed| removed.version))
}

fn read(lab: &Lab, _: u64) -> String {
    let Some(ctx) = ctx(lab) else { return String::new() };
    said(ctx.artifacts().read_bytes(A).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn read_below(lab: &Lab, _: u64) -> String {
    let Some(ctx) = ctx(lab) else { return String::new() };
    said(ctx.artifacts().read_bytes(B).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn adopt(lab: &Lab, _: u64) -> String {
    let Some(ctx) = ctx(lab) else { return String::new() };
    let answer = said(ctx.artifacts().adopt(A).map(|stored| stored.digest));
    answer.replace(&Digest::of(SECRET.as_bytes()).to_string(), SECRET)
}

fn append(lab: &Lab, n: u64) -> String {
    let Some(ctx) = ctx(lab) else { return String::new() };
    said(ctx.append(Event::new("noted").payload(&n)).map(|appended| appended.seq))
}

fn append_large(lab: &Lab, n: u64) -> String {
    let Some(ctx) = ctx(lab) else { return String::new() };
    let event = Event::new("noted").payload(&n.to_string().repeat(70_000));
    said(ctx.append(event).map(|appended| appended.seq))
}

fn checkpoint(lab: &Lab, _: u64) -> String {
    let Some(ctx) = ctx(lab) else { return String::new() };
    said(ctx.next_checkpoint().map(|made| made.turn))
}

fn restore_turn(lab: &Lab, n: u64) -> String {
    let Some(ctx) = ctx(lab) else { return String::new() };
    let _ = ctx.artifacts().write_bytes(A, format!("number {n}").as_bytes());
    let restored = ctx.checkpoint_at(1).and_then(|turn| turn.artifacts()?.restore(&ctx));
    said(restored.map(|committed| committed.artifacts.len()))
}

fn step(lab: &Lab, n: u64) -> String {
    let Some(ctx) = ctx(lab) else { return String::new() };
    said(ctx.step(format!("step-{n}"), |s| {
        s.write_bytes(A, b"of a step")?;
        s.write_bytes(B, b"of a step")?;
        Ok(Signal::new("done"))
    }))
}

fn verify(lab: &Lab, _: u64) -> String {
    lab.verify()
}

fn take(lab: &Lab, _: u64) -> String {
    said(lab.backup().take(&lab.workspace()).map(|snapshot| snapshot.totals().files))
}

fn repair(lab: &Lab, _: u64) -> String {
    said(Repair::of(&lab.workspace()).run().map(|repaired| repaired.done.len()))
}

fn manifest(lab: &Lab, _: u64) -> String {
    let Some(ctx) = ctx(lab) else { return String::new() };
    said(ctx.manifest().and_then(|page| page.write(&ctx)))
}

pub(super) const SWAPS: &[Swap] = &[
    ("swapped: artifacts/, while one is written", "R/artifacts", write),
    ("swapped: artifacts/, while one is read", "R/artifacts", read),
    ("swapped: artifacts/, while one is adopted", "R/artifacts", adopt),
    ("swapped: artifacts/, while a turn is kept", "R/artifacts", checkpoint),
    ("swapped: artifacts/, while a turn is restored", "R/artifacts", restore_turn),
    ("swapped: artifacts/, in a step", "R/artifacts", step),
    ("swapped: artifacts/, while it is verified", "R/artifacts", verify),
    ("swapped: artifacts/, while it is backed up", "R/artifacts", take),
    ("swapped: artifacts/, while it is repaired", "R/artifacts", repair),
    ("swapped: a folder, while below it is written", "R/artifacts/below", write_below),
    ("swapped: a folder, while below it is read", "R/artifacts/below", read_below),
    ("swapped: a folder, while below it is removed", "R/artifacts/below", write_and_remove),
    ("swapped: a file, while it is read", "R/artifacts/a.txt", read),
    ("swapped: a file, while it is adopted", "R/artifacts/a.txt", adopt),
    ("swapped: .tmp/, while one is written", "R/.tmp", write),
    ("swapped: objects/, while a payload is appended", "R/objects", append_large),
    ("swapped: journal/, while it grows", "R/journal", append),
    ("swapped: checkpoints/, while a turn is kept", "R/checkpoints", checkpoint),
    ("swapped: a run, while it is written to", "R/", write),
    ("swapped: a run, while its manifest is written", "R/", manifest),
];
