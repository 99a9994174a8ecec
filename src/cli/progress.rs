//! How far a long verb has come, on standard error: a bar on a terminal, nothing elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use runjournal::{BackupProgress, VerifyProgress};

use super::units::{count, size};

/// Verbs that are done by then show nothing.
const PATIENCE: Duration = Duration::from_millis(300);

/// A bar that goes when it is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    since: Instant,
    label: &'static str,
}

impl Progress {
    /// A bar for this verb, on standard error if that is a terminal.
    pub(crate) fn of(label: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self { bar, since: Instant::now(), label }
    }

    /// So many of so many are done, if it is known of how many, and what else there is to tell.
    pub(crate) fn tell(&mut self, done: u64, of: Option<u64>, also: impl FnOnce() -> String) {
        if self.since.elapsed() < PATIENCE {
            return;
        }
        if let Some(of) = of {
            self.bar.set_length(of);
        }
        self.bar.set_position(done);
        self.bar.set_message(also());
        if self.bar.is_hidden() {
            // Its first frame shows how far it is. Hidden for good where standard error is no terminal.
            self.bar.set_style(style(of.is_some()));
            self.bar.set_prefix(self.label);
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.tick();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(has_end: bool) -> ProgressStyle {
    let template = match has_end {
        true => "{prefix}  {bar:20} {pos}/{len}  {wide_msg}  {elapsed}",
        false => "{prefix}  {spinner} {pos}  {wide_msg}  {elapsed}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// For the library to tell how far an index has come.
pub(crate) fn of_index() -> impl FnMut(&runjournal::index::Progress) {
    let mut progress = Progress::of("index");
    move |done| {
        let also = || format!("{}, {}", count(done.events, "event"), size(done.bytes));
        progress.tell(done.looked_at, None, also);
    }
}

/// For the library to tell how far a verify has come.
pub(crate) fn of_verify() -> impl FnMut(&VerifyProgress) {
    of_look("verify")
}

/// For the library to tell how far a repair has come with looking.
pub(crate) fn of_repair() -> impl FnMut(&VerifyProgress) {
    of_look("repair")
}

fn of_look(label: &'static str) -> impl FnMut(&VerifyProgress) {
    let mut progress = Progress::of(label);
    move |at| {
        let also = || format!("{}, {}", size(at.bytes), count(at.findings, "finding"));
        progress.tell(at.done, Some(at.known), also);
    }
}

/// For the library to tell how far a backup, a look at one, or a restore has come.
pub(crate) fn of_backup(label: &'static str) -> impl FnMut(&BackupProgress) {
    let mut progress = Progress::of(label);
    move |at| {
        let found = match at.findings {
            0 => String::new(),
            found => format!(", {}", count(found, "finding")),
        };
        progress.tell(at.done, Some(at.known), || format!("{}{found}", size(at.bytes)));
    }
}
