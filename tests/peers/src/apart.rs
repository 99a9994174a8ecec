//! Peers that are built apart (`tests/peers/apart`): they bring another SQLite, or an async runtime. They are workers, as Python is.

use std::process::Command;
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};

use crate::measure::{Contender, Lap};
use crate::workers::Child;
use crate::{Result, lab};

/// The program, built once, or why it cannot be.
fn program() -> std::result::Result<&'static Utf8Path, &'static str> {
    static PROGRAM: OnceLock<std::result::Result<Utf8PathBuf, String>> = OnceLock::new();
    let built = PROGRAM.get_or_init(|| build().map_err(|error| error.to_string()));
    built.as_deref().map_err(String::as_str)
}

fn build() -> Result<Utf8PathBuf> {
    const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/apart/Cargo.toml");
    const ARGUMENTS: [&str; 6] =
        ["build", "--release", "--locked", "--quiet", "--manifest-path", MANIFEST];
    let target = lab::build_dir()?.join("apart");
    let mut command = Command::new("cargo");
    let output = command.args(ARGUMENTS).args(["--target-dir", target.as_str()]).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().find(|line| line.starts_with("error")).unwrap_or("cargo failed");
        return Err(format!("it cannot be built: {first}").into());
    }
    Ok(target.join("release/runjournal-peers-apart"))
}

/// Why these peers cannot be measured, where they cannot. The first call builds them.
pub(crate) fn missing() -> Option<&'static str> {
    program().err()
}

/// A worker that times itself: a lap is so many of its operations. `after` is called behind each, with the directory.
pub(crate) fn each<'a>(
    name: &'static str,
    operations: u64,
    arguments: &[&str],
    after: fn(&Utf8Path) -> Result<()>,
) -> Contender<'a> {
    let arguments = arguments.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    Contender::new(name, move |dir| {
        let dir = dir.to_owned();
        let mut command = Command::new(program()?);
        let mut child = Child::start(command.arg(&dir).args(&arguments))?;
        Ok(Box::new(move || {
            let time = child.lap(operations)?;
            after(&dir)?;
            Ok(Lap { operations, time })
        }))
    })
}

/// Nothing is to be done behind a lap.
pub(crate) fn nothing(_: &Utf8Path) -> Result<()> {
    Ok(())
}
