//! What an operator runs after restoring a backup: makes the index of a workspace anew, proves that it is
//! what the tree says, and tells what is wrong with the tree.
//!
//! `cargo run --features sqlite --example rebuild_index [WORKSPACE]`; exit code 1 where it found an error.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use runjournal::index::{FindingQuery, Index, Progress};
use runjournal::{Severity, Workspace};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let workspace = match std::env::args().nth(1) {
        Some(root) => Workspace::open(root)?,
        None => Workspace::find(".")?,
    };
    let index = Index::of(&workspace);

    let read = index.rebuild_with(&mut now_and_then())?.done;
    println!("index   {}", index.path());
    println!("read    {} runs, {} events, {} artifacts", read.runs, read.events, read.files);

    // Another one is built aside, and compared row by row.
    let differences = index.verify(&mut now_and_then(), &mut |row| println!("differs {row:?}"))?;
    println!(
        "equal   {}",
        if differences == 0 { "yes" } else { "no: something writes to the tree" }
    );

    let reader = index.open()?;
    let (mut query, mut errors) = (FindingQuery::new().limit(1000), 0);
    loop {
        let page = reader.findings(&query)?;
        for finding in &page.rows {
            println!("{:?}: {finding}; {}", finding.code.severity(), finding.code.advice());
            errors += u32::from(finding.code.severity() == Severity::Error);
        }
        match page.next {
            Some(cursor) => query = query.after(cursor),
            None => break,
        }
    }
    println!("errors  {errors}");
    Ok(if errors + u32::from(differences > 0) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says on stderr how far it has come, once a second.
fn now_and_then() -> impl FnMut(&Progress) {
    let mut next = Instant::now() + Duration::from_secs(1);
    move |progress| {
        if Instant::now() >= next {
            next = Instant::now() + Duration::from_secs(1);
            eprintln!("        {} runs, {} MiB", progress.runs, progress.bytes >> 20);
        }
    }
}
