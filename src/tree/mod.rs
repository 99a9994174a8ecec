//! One canonical text of a run: its artifacts, its checkpoints and its journal, for snapshots in tests, and for
//! people.
//!
//! ```
//! # #[cfg(feature = "testing")] fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use runjournal::testing::TestWorkspace;
//! use runjournal::{Artifact, Signal, tree};
//!
//! const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json");
//!
//! let test = TestWorkspace::new()?;
//! let ctx = test.start_run("RUN-1")?;
//! ctx.step("plan", |s| {
//!     s.write(PLAN, &vec!["fetch".into(), "build".into()])?;
//!     Ok(Signal::new("planned"))
//! })?;
//! let text = tree::render(&ctx, &tree::Options::new())?;
//! assert!(text.starts_with(
//!     r#"TASK-1/[run-1] PLANNING
//! artifacts/
//!   plan.json
//!     [
//!       "fetch",
//!       "build"
//!     ]
//! events.jsonl
//! "#
//! ));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))] fn main() {}
//! ```
//!
//! # The text
//! First the run and its status, and the run that started it; then the artifacts, sorted; the checkpoints; the
//! events, a line each with its seq, type, stream and payload; at the end the findings of the journal, by
//! their code. A file whose content is shown is its name, and the content two columns to the right of it: JSON
//! (`.json`; `.jsonl` a value a line) with its keys sorted and its numbers as they are written, text as it is.
//! What is not text, and what is longer than [`Options::max_bytes`], is size and digest. Behind the name stands
//! what is unusual: `(unjournaled)`, `(missing)`, `(changed on disk)`, `(no line break at the end)`, and
//! `(escaped)` where the text has characters that a terminal or an editor does not show for what they are (control
//! characters, U+2028, those that turn the direction or have no width), which are then shown as `\u{1b}`, and each
//! backslash as two; in JSON they are `\u001b` as JSON has it. Hidden files, links' targets, `manifest.json` and what
//! else can be made from the rest are not shown.
//!
//! # What has a name in place of its value
//! Unless it is [`plain`](Options::plain), the text is the same in every run of a program that does the same.
//! The same value has the same name everywhere; numbers go by the first place that names it, in the journal,
//! then in `run.json`, then in the files.
//!
//! | name | stands for |
//! | --- | --- |
//! | `[run-1]` | the run's id, `[run-2]` the one that started it, and other runs' |
//! | `[event-3]` | the id of the run's third event |
//! | `[id-1]`, `[workspace]`, `[trace]` | other UUIDs; the workspace's; the trace id |
//! | `[time]` | an RFC 3339 time; none has a number, for two may be equal by chance |
//! | `[duration]` | a number that is called `duration_ms` |
//! | `[digest-1]` | a digest, unless it is of an artifact as it stands, or of an object, in which nothing was replaced |
//! | `[size]` | the size of such content |
//! | `[root]` | the workspace's root |
//! | `[tmp]`, `[tmp-1]` | the temporary directory, which `/tmp` is on every machine, and what lies in it |
//! | `[process]` | who holds a lock |
//!
//! The times of the events themselves are left out. A run's id that people chose is replaced where it is a word
//! of its own. Of content longer than 4 MiB, which is not looked into, size and digest are replaced. An object
//! whose keys are ids is sorted by what stands under them, as it is shown; where two of those are the same and
//! an id is named elsewhere (`{"nodes": {a: {}, b: {}}, "root": a}`), which of them comes first is chance.
//!
//! Everything else is the program's to keep the same, or to [`redact`](Options::redact): the order of threads,
//! random numbers, seconds since 1970, dates without a time, times that are not RFC 3339 (`+0000` is no offset
//! there), numbers of processes, shortened digests, UUIDs without hyphens (but for ids that the run or its
//! events have), what is compressed or encoded. Directories other than the root and the temporary one stay as they
//! are: the current one and somebody's home may as well be a constant of the program (`WORKDIR /root`). Where
//! they are not, name them with [`Options::place`]. Text that the program itself writes as `[id-1]` looks like a
//! name.
//!
//! # What is not compared
//! Of an event: its time, correlation id, idempotency key, cause and batch, and the version of its stream. An
//! actor other than the usual one, a command id and metadata stand behind the payload.

mod content;
mod error;
mod json;
mod names;
mod options;
mod page;
mod read;
mod shapes;
mod snapshot;

pub(crate) use content::{MOST_BYTES, as_text};
pub use error::TreeError;
pub use options::Options;

use crate::context::RunContext;

/// The crate whose macros the assertion is made of.
#[cfg(feature = "insta")]
#[doc(hidden)]
pub use insta as __insta;

/// An error and its causes, on one line.
#[cfg(feature = "insta")]
#[doc(hidden)]
#[must_use]
pub fn __told(error: &TreeError) -> String {
    crate::error::in_one_line(error)
}

/// What the events are called, in the text and in redactions.
const EVENTS: &str = crate::layout::EVENTS;

/// The text of a run. It is read without a lock and held in memory, but for content longer than 4 MiB, which is
/// only hashed. A damaged run has a text as well: what can be read of it, and its findings.
///
/// # Errors
/// Where there is no such run, or its directory cannot be read; where the journal is locked for longer than the
/// caller waits; [`TreeError::BadPattern`] where a redaction is no pattern.
pub fn render(ctx: &RunContext, options: &Options) -> Result<String, TreeError> {
    let rules = options::Rules::of(options)?;
    let stand = read::Stand::read(ctx)?;
    let mut names = stand.names(ctx, options);
    let files = stand.files(options, &rules, &mut names)?;
    if names.redacts() {
        stand.learn(&files, &rules, &mut names)?;
    }
    let page = page::Page { ctx, stand: &stand, options, rules: &rules, names };
    Ok(page.text(files))
}
