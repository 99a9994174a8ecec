//! Hostile names, links and contents: every case by its name, in tables that a reader can read. What is put
//! where, what is tried, and what must come: a refusal, a finding, or nothing at all.
//!
//! Whatever comes, for each case: nobody panics or hangs, nothing outside of the workspace is changed or read,
//! and who is refused has changed nothing. Other files try some of this in depth: `forged.rs` (lines),
//! `backup_odd.rs` and `care_refusals.rs` (backups), `cli_unreadable.rs` (permissions), `heads.rs`, `manifest.rs`,
//! `index_faults.rs`.

mod contents;
mod forgeries;
mod lab;
mod names;
mod places;
mod swaps;

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use lab::Lab;

/// Its name; what is put where; what is tried; a part of what must be answered. An answer begins with `ok`, with
/// `refused`, or with `told` and findings.
type Case = (&'static str, fn(&Lab), fn(&Lab) -> String, &'static str);

/// No case takes longer: what waits for a pipe waits for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// A case that is ready to be tried: what does not hold of it, if something does not.
type Ready = Box<dyn FnOnce() -> Result<Done, String> + Send>;

/// A case that holds, or one that cannot be made here.
enum Done {
    Holds,
    Skipped,
}

/// Tries all cases of a table, and tells of all that do not hold.
fn all(group: &str, cases: Vec<(String, Ready)>) {
    let (count, start) = (cases.len(), Instant::now());
    let (mut wrong, mut skipped) = (Vec::new(), Vec::new());
    for (name, case) in cases {
        let start = Instant::now();
        let (tell, hear) = mpsc::channel();
        std::thread::spawn(move || {
            let caught = std::panic::catch_unwind(AssertUnwindSafe(case));
            let _ = tell.send(caught.unwrap_or_else(|_| Err("it panicked".to_owned())));
        });
        match hear.recv_timeout(PATIENCE) {
            Ok(Ok(Done::Holds)) => {}
            Ok(Ok(Done::Skipped)) => skipped.push(name.clone()),
            Ok(Err(reason)) => wrong.push(format!("{name}: {reason}")),
            Err(_) => wrong.push(format!("{name}: it hangs")),
        }
        if start.elapsed() > Duration::from_millis(400) {
            println!("{name}: {:.1} s", start.elapsed().as_secs_f64());
        }
    }
    println!("{count} cases of {group} in {:.1} s", start.elapsed().as_secs_f64());
    if !skipped.is_empty() {
        // Not by a macro: what those print, the harness keeps to itself where a test passes.
        let text = format!(
            "skipped: {} of {count} cases of {group}: no device file can be made and opened here: {}\n",
            skipped.len(),
            skipped.join(", ")
        );
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    assert!(wrong.is_empty(), "{} of {count} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// One case: what is put, then tried, then answered.
fn one(put: fn(&Lab), ask: impl FnOnce(&Lab) -> String, must: &str) -> Result<Done, String> {
    let lab = Lab::new();
    put(&lab);
    let before = lab.tree();
    let outside = lab.outside();
    let answer = ask(&lab);
    if outside != lab.outside() {
        return Err(format!("what lies outside was changed, and the answer was {answer}"));
    }
    if answer.contains(lab::SECRET) {
        return Err(format!("what lies outside was read: {answer}"));
    }
    if answer.starts_with("refused") {
        let after = lab.tree();
        let differ = before.iter().find(|(path, node)| after.get(*path) != Some(node));
        let differ = differ.or_else(|| after.iter().find(|(path, _)| !before.contains_key(*path)));
        if let Some((path, _)) = differ {
            return Err(format!("{answer}, and yet {path} was changed"));
        }
    }
    if lab.is_skipped() {
        return Ok(Done::Skipped);
    }
    if answer.contains(must) {
        return Ok(Done::Holds);
    }
    Err(format!("{answer}\n    where this was to come: {must}"))
}

fn table(group: &str, cases: &'static [Case]) {
    let cases = cases.iter().map(|(name, put, ask, must)| {
        let case: Ready = Box::new(move || one(*put, ask, must));
        ((*name).to_owned(), case)
    });
    all(group, cases.collect());
}

/// A name; the text; what it is to name; a part of the refusal, or of what is told.
type Named = (&'static str, fn() -> String, fn(&Lab, &str) -> String, &'static str);

fn named(group: &str, cases: &'static [Named]) {
    let cases = cases.iter().map(|(name, text, ask, must)| {
        let case: Ready = Box::new(move || one(|_| {}, |lab| ask(lab, &text()), must));
        ((*name).to_owned(), case)
    });
    all(group, cases.collect());
}

#[test]
fn names_that_are_refused() {
    named("names", names::NAMES);
}

#[test]
fn what_stands_in_the_place_of_another_thing() {
    table("places", places::PLACES);
}

#[test]
fn contents_that_no_library_writes() {
    table("contents", contents::CONTENTS);
}

#[test]
fn files_that_are_whole_and_lie() {
    table("forgeries", forgeries::FORGERIES);
}

#[test]
fn what_is_swapped_during_an_operation() {
    let cases = swaps::SWAPS.iter().map(|(name, place, act)| {
        let case: Ready = Box::new(move || swaps::hold(place, *act).map(|()| Done::Holds));
        ((*name).to_owned(), case)
    });
    all("swaps", cases.collect());
}

/// Row 11 of the proof: 200 named cases, and no name twice.
#[test]
fn there_are_two_hundred_cases_by_name() {
    let tables = [places::PLACES, contents::CONTENTS, forgeries::FORGERIES];
    let mut all: Vec<&str> = tables.iter().flat_map(|table| table.iter().map(|c| c.0)).collect();
    all.extend(names::NAMES.iter().map(|case| case.0));
    all.extend(swaps::SWAPS.iter().map(|case| case.0));
    let count = all.len();
    println!("{count} hostile cases");
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count, "a name stands twice");
    assert!(count >= 200, "{count}");
}
