//! How fast runjournal is: against what the system itself costs (the *floors*), and against its
//! peers. It measures, and judges nothing: its exit code tells whether it could measure.
//!
//! In reading order: what is asked for (`args`), the machine (`machine`), where it is measured
//! (`lab`), how (`measure`), the bytes that all contenders write (`call`), the contenders (`ours`,
//! `floor`, `sqlite`, `stores`, `python`, `large`, `tree`, `spot` for a long journal, `crowd` for threads, `workers` for what needs
//! processes, and `apart` for what is built apart), one file a row or a few (`rows`), the table (`report`), and what things cost
//! when there is more of them (`curves`). `docs/performance.md` says what each row means.

mod apart;
mod args;
mod call;
mod crowd;
mod curves;
mod floor;
mod lab;
mod large;
mod machine;
mod measure;
mod ours;
mod python;
mod report;
mod rows;
mod spot;
mod sqlite;
mod stores;
mod tree;
mod workers;

use std::process::ExitCode;
use std::time::Instant;

use args::Args;
use lab::Lab;

/// Whatever went wrong; the program ends with it.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == workers::WORKER => workers::work(rest),
        _ => Args::parse(&arguments).and_then(|args| args.map_or(Ok(()), |args| measure(&args))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runjournal-peers: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<()> {
    let start = Instant::now();
    let lab = Lab::new(args.dir.as_deref())?;
    let header = machine::describe(lab.dir(), args);
    for (name, value) in &header {
        println!("{name}: {value}");
    }
    let mut entries = Vec::new();
    for row in rows::ALL.iter().filter(|row| args.wants(row.name)) {
        let since = Instant::now();
        entries.extend((row.measure)(&lab, &args.plan)?);
        eprintln!("row {}: {:.1} s", row.name, since.elapsed().as_secs_f64());
    }
    if !entries.is_empty() {
        println!("\n{}", report::table(&entries));
    }
    let mut charts = Vec::new();
    for group in curves::ALL.iter().filter(|group| args.wants_curves(group.name)) {
        let since = Instant::now();
        charts.extend((group.measure)(&lab, &curves::plan(&args.plan))?);
        eprintln!("curves {}: {:.1} s", group.name, since.elapsed().as_secs_f64());
    }
    print!("{}", curves::words(&charts));
    if let Some(dir) = &args.svg {
        std::fs::create_dir_all(dir)?;
        charts.iter().try_for_each(|chart| curves::svg(chart, dir))?;
    }
    let (seconds, load) = (start.elapsed().as_secs_f64(), machine::load());
    println!("measured in {seconds:.0} s; load in the end: {load}");
    match &args.json {
        Some(path) => Ok(std::fs::write(path, report::json(&header, &entries, &charts)?)?),
        None => Ok(()),
    }
}
