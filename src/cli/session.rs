//! `session`: sessions with providers.

use clap::Subcommand;
use runjournal::{SessionError, SessionState, SessionStatus, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use super::args::InRun;
use super::error::CliError;
use super::exit::{Exit, of_journal};
use super::locate::{Locator, name_of};
use super::output::{Output, hint};

#[derive(Debug, Subcommand)]
pub(crate) enum SessionVerb {
    /// List a run's sessions
    List {
        #[command(flatten)]
        run: InRun,
    },
    /// Show a session, and where its provider goes on
    Show {
        /// Its id
        session: String,
        #[command(flatten)]
        run: InRun,
    },
}

#[derive(Serialize)]
struct SessionView {
    session_id: String,
    provider: String,
    status: SessionStatus,
    reason: Option<String>,
    last_seen: Timestamp,
    /// As it was written.
    resume_cursor: Option<Box<RawValue>>,
    started_seq: u64,
    seq: u64,
}

impl SessionView {
    fn of(state: SessionState) -> Result<Self, CliError> {
        Ok(Self {
            resume_cursor: state.resume_cursor()?,
            session_id: state.id,
            provider: state.provider,
            status: state.status,
            reason: state.reason,
            last_seen: state.last_seen,
            started_seq: state.started_seq,
            seq: state.seq,
        })
    }

    fn cursor(&self) -> String {
        self.resume_cursor.as_ref().map(|json| json.get().to_owned()).unwrap_or_default()
    }
}

pub(crate) fn session(
    at: &Locator,
    verb: SessionVerb,
    output: &mut Output,
) -> Result<Exit, CliError> {
    match verb {
        SessionVerb::List { run } => list(at, run.run.as_deref(), output),
        SessionVerb::Show { session, run } => show(at, &session, run.run.as_deref(), output),
    }
}

fn list(at: &Locator, run: Option<&str>, output: &mut Output) -> Result<Exit, CliError> {
    let sessions = at.run(run)?.sessions()?;
    let views = sessions.into_iter().map(SessionView::of).collect::<Result<Vec<_>, _>>()?;
    output.many("sessions", &views, |output| {
        if views.is_empty() {
            hint("no sessions; a run's program starts them");
            return Ok(());
        }
        let row = |view: &SessionView| {
            [
                view.session_id.clone(),
                view.provider.clone(),
                view.status.to_string(),
                output.ago(view.last_seen),
                view.cursor(),
            ]
        };
        let rows: Vec<_> = views.iter().map(row).collect();
        output.table(["SESSION", "PROVIDER", "STATUS", "LAST", "RESUME CURSOR"], &rows)
    })?;
    Ok(Exit::Fine)
}

fn show(
    at: &Locator,
    session: &str,
    run: Option<&str>,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let context = at.run(run)?;
    let found = context.session_state(session)?;
    let what = || format!("session {session:?} in {}", name_of(&context));
    let view = SessionView::of(found.ok_or_else(|| CliError::NotThere {
        what: what(),
        to_do: "`runjournal session list` shows those there are",
    })?)?;
    output.one(&view, |output| {
        output.page(&[
            ("session", view.session_id.clone()),
            ("provider", view.provider.clone()),
            ("status", view.status.to_string()),
            ("reason", view.reason.clone().unwrap_or_default()),
            ("last seen", output.at(view.last_seen)),
            ("resume cursor", view.cursor()),
            ("started", format!("seq {}", view.started_seq)),
            ("last record", format!("seq {}", view.seq)),
        ])
    })?;
    Ok(Exit::Fine)
}

/// What kind of trouble it is.
pub(super) fn exit_of(error: &SessionError) -> Exit {
    match error {
        SessionError::Journal(error) => of_journal(error),
        SessionError::OtherProvider { .. } | SessionError::Over { .. } => Exit::Conflict,
        SessionError::BadName { .. }
        | SessionError::IllegalMove { .. }
        | SessionError::NotJson { .. } => Exit::Usage,
        _ => Exit::Internal,
    }
}
