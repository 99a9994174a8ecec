//! What stands where a restore would put something, and what is to be done about it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use camino::Utf8PathBuf;

use super::choose::Chosen;
use super::keep::HashOnly;
use super::look::{self, Taken};
use super::page::Page;
use super::restore::{Restore, RestoreAction, RestoreItem};
use super::{BackupError, Counts, Known};
use crate::finding::{Finding, Severity};
use crate::id::TaskId;
use crate::io::Dir;
use crate::journal::{Events, Home, JournalError, Leased, Runtime};
use crate::layout;
use crate::layout::HomeId;
use crate::workspace::Scope;

/// What stands where something is to be put.
pub(super) struct Stands<'a> {
    pub(super) restore: &'a Restore,
    pub(super) counts: &'a Counts,
    pub(super) dir: &'a Dir,
    pub(super) runtime: &'a Runtime,
    /// True for the tasks whose directory stands.
    pub(super) joins: &'a BTreeMap<&'a TaskId, bool>,
    /// Whether runs may be put into tasks that stand: their journals are read once for all of them.
    pub(super) free: Mutex<BTreeMap<TaskId, RestoreAction>>,
}

impl Stands<'_> {
    pub(super) fn item(&self, home: &Chosen) -> Result<RestoreItem, BackupError> {
        let Chosen { named, snapshot_id, taken_at, findings, passed_over, is_left } = home.clone();
        let page = self.restore.snapshot.backup().page(self.dir, &named)?;
        let id = named.path;
        let joins = self.joins.get(&id.task).copied().unwrap_or_default();
        let action = match joins {
            true => self.action(&id, &page)?,
            false if self.has_task(&id.task) => RestoreAction::Put,
            false => refused("its task is neither there nor in the snapshot"),
        };
        let action = match action {
            RestoreAction::Put if is_left => self.left(&id),
            other => other,
        };
        let (path, bytes) = (Utf8PathBuf::from(id.to_string()), page.size());
        Ok(RestoreItem {
            path,
            action,
            bytes,
            snapshot_id,
            taken_at,
            passed_over,
            findings,
            id,
            page,
            joins,
        })
    }

    fn left(&self, id: &HomeId) -> RestoreAction {
        let (dest, scope) = (self.restore.snapshot.backup().path(), Scope::from(id));
        let root = &self.restore.root;
        RestoreAction::Left(format!(
            "its task is from a snapshot that does not know it; once that is there, `runjournal backup restore \
             {dest} {scope} --to {root}` puts it in"
        ))
    }

    fn has_task(&self, task: &TaskId) -> bool {
        let homes = &self.restore.snapshot.file.homes;
        homes.iter().any(|home| home.path.run.is_none() && home.path.task == *task)
    }

    /// What is to be done about something whose task stands.
    fn action(&self, id: &HomeId, page: &Page) -> Result<RestoreAction, BackupError> {
        let root = &self.restore.root;
        let stands = Dir::open_root(root)?.stat(&id.to_string())?.is_some();
        if !stands {
            return self.free(&id.task);
        }
        if id.run.is_none() && self.restore.scope.run.is_some() {
            // The run alone is restored, whatever became of its task.
            return self.same_task(id, page);
        }
        let known = Known::default();
        let taken =
            look::take(root, self.runtime, id, &HashOnly(self.counts), &known, false, None)?;
        let Some(taken) = taken else {
            return Ok(refused("a directory without its genesis file stands there"));
        };
        if taken.page == *page || (id.run.is_none() && self.goes_on(id, page, &taken)?) {
            return Ok(RestoreAction::Same);
        }
        Ok(refused("it stands there, and is not what the snapshot has"))
    }

    /// Whether a task that stands is the one of the snapshot: its genesis file, which never changes, says so.
    fn same_task(&self, id: &HomeId, page: &Page) -> Result<RestoreAction, BackupError> {
        let path = format!("{id}/{}", layout::TASK);
        let there = match Dir::open_root(&self.restore.root)?.open_read(&path) {
            Err(error) if error.is_not_found() => {
                return Ok(refused("a directory without task.json stands there"));
            }
            other => other?.digest()?.0,
        };
        let was = page.files.iter().find(|file| file.path == layout::TASK);
        if was.is_some_and(|was| was.digest == there) {
            return Ok(RestoreAction::Same);
        }
        Ok(refused("its task.json is another one than the snapshot's: it is another task"))
    }

    /// Whether runs may be put into a task that stands.
    fn free(&self, task: &TaskId) -> Result<RestoreAction, BackupError> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = free.get(task) {
            return Ok(known.clone());
        }
        let found = self.look_whether_free(task)?;
        free.insert(task.clone(), found.clone());
        Ok(found)
    }

    fn look_whether_free(&self, id: &TaskId) -> Result<RestoreAction, BackupError> {
        let task = Home::of_task(&self.restore.root, id, self.runtime);
        let mut last = Events::open(&task)?.in_stream("lease", id.as_str()).last(1)?;
        let Some(record) = last.next().transpose()? else { return Ok(RestoreAction::Put) };
        let leased = Leased::of(&record)?;
        let own = self.restore.lease.as_ref().is_some_and(|own| own.token == leased.token);
        if leased.held && !own {
            let worker = &leased.claimed.worker_id;
            return Ok(refused(&format!("its task is held by {worker:?}")));
        }
        Ok(RestoreAction::Put)
    }

    /// True if a task is the one of the snapshot, some records later, and whole.
    fn goes_on(&self, id: &HomeId, was: &Page, is: &Taken) -> Result<bool, BackupError> {
        let damaged = |finding: &Finding| finding.code.severity() >= Severity::Error;
        let has_all = was.files.iter().all(|file| is.page.files.contains(file));
        let cursor = was.journal.as_ref().and_then(|journal| journal.cursor);
        let is_it = has_all && !is.findings.iter().any(damaged);
        let Some(cursor) = cursor.filter(|_| is_it) else { return Ok(false) };
        match Events::open(&Home::of(&self.restore.root, id.clone(), self.runtime))?.from(cursor) {
            Ok(_) => Ok(true),
            Err(JournalError::CursorMismatch { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn refused(reason: &str) -> RestoreAction {
    RestoreAction::Refused(reason.to_owned())
}
