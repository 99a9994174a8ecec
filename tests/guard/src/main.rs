//! What the hot paths of runjournal cost, in counts that hardly depend on how busy the machine is: instructions,
//! allocations, system calls; held against what was recorded.
//!
//! In reading order: what a hot path stands on (`stage`), the hot paths (`paths`), running one under valgrind (`valgrind`), what
//! that writes (`callgrind`), the three figures (`figures`), what was recorded (`recorded`), and where instructions go
//! (`profile`). `docs/performance.md` says how it is used.

mod callgrind;
mod figures;
mod paths;
mod profile;
mod recorded;
mod stage;
mod valgrind;

use std::collections::BTreeMap;
use std::process::ExitCode;

use figures::Figures;
use paths::{HotPath, PATHS};
use recorded::{Compared, Recorded, Verdict, compare};
use valgrind::Scratch;

/// Whatever went wrong; the program ends with it.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

const HELP: &str = "\
Counts what the hot paths cost, and fails where one costs more than was recorded.

  NAME...           count these alone
  --must            fail where something cannot be judged, and do not skip
  --record          write down what they cost now
  --profile NAME    show where the instructions of one go
  --help            this text";

const AGAIN: &str = "record it: \
    cargo run --release --locked --manifest-path tests/guard/Cargo.toml -- --record";

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    match act(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("runjournal-guard: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(arguments: &[String]) -> Result<ExitCode> {
    if let Some((first, rest)) = arguments.split_first()
        && first == valgrind::WORK
    {
        valgrind::work(rest)?;
        return Ok(ExitCode::SUCCESS);
    }
    let arguments = arguments.iter().map(String::as_str).collect::<Vec<_>>();
    if let ["--help" | "-h"] = *arguments {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let must = arguments.first() == Some(&"--must");
    if let Some(why) = valgrind::hindrance() {
        if must {
            return Err(why.into());
        }
        println!("skipped: {why}");
        return Ok(ExitCode::SUCCESS);
    }
    match *arguments {
        ["--record"] => record(),
        ["--profile", name] => show(HotPath::named(name)?),
        ["--must", ref names @ ..] | ref names => judge(&chosen(names)?, must),
    }
}

/// The paths of these names, or all.
fn chosen(names: &[&str]) -> Result<Vec<&'static HotPath>> {
    if names.is_empty() {
        return Ok(PATHS.iter().collect());
    }
    names.iter().map(|name| HotPath::named(name)).collect()
}

fn show(path: &HotPath) -> Result<ExitCode> {
    profile::print(path.name, path.per, &valgrind::count(&Scratch::new()?, path)?);
    Ok(ExitCode::SUCCESS)
}

fn record() -> Result<ExitCode> {
    let found = valgrind::figures(&Scratch::new()?, &chosen(&[])?)?;
    let mut paths = BTreeMap::new();
    for (path, figures) in PATHS.iter().zip(found) {
        print_line(path, figures);
        paths.insert(path.name.to_owned(), figures);
    }
    Recorded { made_with: valgrind::made_with(), paths }.write()?;
    Ok(ExitCode::SUCCESS)
}

fn judge(paths: &[&HotPath], must: bool) -> Result<ExitCode> {
    let (recorded, made_with) = (Recorded::read()?, valgrind::made_with());
    let same_tools = recorded.made_with == made_with;
    if !same_tools {
        let then = &recorded.made_with;
        println!("instructions are not judged: recorded with {then}; here is {made_with}");
    }
    let (mut grew, mut shrank) = (Vec::new(), Vec::new());
    let found = valgrind::figures(&Scratch::new()?, paths)?;
    for (path, mut found) in paths.iter().zip(found) {
        print_line(path, found);
        let Some(then) = recorded.paths.get(path.name) else {
            grew.push(format!("{}: nothing is recorded", path.name));
            continue;
        };
        let held_against = |found| compare(*then, found, path.tolerance, same_tools);
        let is_more = |compared: &Compared| compared.verdict == Verdict::More;
        if path.tolerance.is_for_threads() && held_against(found).iter().any(is_more) {
            // One may have come late; what is always more is so once more.
            found = Figures::of(&valgrind::count(&Scratch::new()?, path)?);
            print_line(path, found);
        }
        for compared in held_against(found) {
            let line = format!("{}, per {}: {compared}", path.name, path.per);
            match compared.verdict {
                Verdict::More => grew.push(line),
                Verdict::Less => shrank.push(line),
                Verdict::Same | Verdict::Unjudged => {}
            }
        }
    }
    if !shrank.is_empty() {
        println!("\nless than recorded; record it, so that it stays so:");
        shrank.iter().for_each(|line| println!("  {line}"));
    }
    if grew.is_empty() {
        if must && !same_tools {
            println!("\nINSTRUCTIONS MUST BE JUDGED: {AGAIN}");
            return Ok(ExitCode::FAILURE);
        }
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nMORE THAN RECORDED:");
    grew.iter().for_each(|line| println!("  {line}"));
    println!("Where that is meant, {AGAIN}");
    Ok(ExitCode::FAILURE)
}

fn print_line(path: &HotPath, figures: Figures) {
    let Figures { instructions, allocations, system_calls } = figures;
    println!(
        "{:20} per {:11} {instructions:9.0} instructions {allocations:7.2} allocations {system_calls:7.2} system calls",
        path.name, path.per
    );
}
