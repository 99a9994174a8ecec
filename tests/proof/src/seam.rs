//! Recovery killed in this process: from one call on the disk on, nothing is done any more. That is what a kill
//! leaves there, as no call comes but through the library's `io`; its locks are freed as what is open is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use camino::Utf8Path;
use runjournal::proof::{Call, Node, Verdict, Watch, watch};

use crate::{Acks, Operation, Outcome, Place, trial};

/// A call that a recovery made.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// What it is, in words.
    pub(crate) label: String,
    /// True if it can change what is on the disk.
    pub(crate) changes: bool,
    /// True if it has to do with the head of a journal.
    pub(crate) head: bool,
    /// What it is called with, without numbers and ids.
    pub(crate) skeleton: String,
}

/// The calls of a recovery that nobody kills.
///
/// # Errors
/// Where it fails.
pub(crate) fn calls(operation: &Operation, dir: &Utf8Path) -> Outcome<Vec<Step>> {
    let disk = Arc::new(Disk { dies_at: usize::MAX, state: Mutex::default() });
    recover(operation, dir, &disk)?;
    let steps = disk.state().steps.clone();
    Ok(steps)
}

/// Recovers, and dies before the call of this number.
pub(crate) fn kill(operation: &Operation, dir: &Utf8Path, dies_at: usize) {
    let disk = Arc::new(Disk { dies_at, state: Mutex::default() });
    // Who was killed tells nothing.
    let _ = recover(operation, dir, &disk);
}

fn recover(operation: &Operation, dir: &Utf8Path, disk: &Arc<Disk>) -> Outcome {
    let place = Place::new(dir).once_more();
    let shown: Arc<dyn Watch> = Arc::<Disk>::clone(disk);
    let _watching = watch(dir.as_std_path(), shown);
    trial::recover(operation, &place, &mut Acks::open(&place)?)
}

/// A disk that does nothing any more from one call on.
#[derive(Debug)]
struct Disk {
    dies_at: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    steps: Vec<Step>,
    names: HashMap<Node, String>,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Disk {
    fn before(&self, call: &Call<'_>) -> Verdict {
        let mut state = self.state();
        let step = state.step(call);
        state.steps.push(step);
        // Any error does: who is dead hears of none.
        if state.steps.len() > self.dies_at { Verdict::Fail(EIO) } else { Verdict::Go }
    }

    fn after(&self, call: &Call<'_>, made: Option<Node>) {
        if let (Call::Open { name, .. } | Call::Create { name, .. }, Some(made)) = (call, made) {
            self.state().names.insert(made, name.to_string_lossy().into_owned());
        }
    }
}

const EIO: i32 = 5;

impl State {
    fn step(&self, call: &Call<'_>) -> Step {
        let about = match *call {
            Call::Write { file, .. } | Call::Truncate { file, .. } | Call::Clone { file, .. } => {
                self.names.get(&file).cloned().unwrap_or_default()
            }
            _ if call.changes() => {
                call.name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
            }
            _ => String::new(),
        };
        let word = call.word();
        let varies = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
        let content = match call {
            Call::Write { bytes, .. } => {
                String::from_utf8_lossy(bytes.get(..32).unwrap_or(bytes)).replace(varies, "")
            }
            _ => String::new(),
        };
        Step {
            label: format!("call {} ({word} {about})", self.steps.len()),
            changes: call.changes(),
            head: about.starts_with(".head"),
            skeleton: format!("{word} {} {content}", about.replace(varies, "")),
        }
    }
}
