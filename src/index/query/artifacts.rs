//! Artifacts: by what they hold, by path, by size, by run.

use std::fmt;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::IndexReader;
use super::columns::Columns;
use super::gather::Gather;
use super::page::{Page, Paging, paged};
use super::select::{JOURNAL_OF, Select};
use crate::digest::Digest;
use crate::id::{RunId, TaskId};
use crate::index::{IndexError, Value};
use crate::layout;

/// A path under `artifacts/` that the journal or the disk knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ArtifactRow {
    /// Its task.
    pub task_id: TaskId,
    /// Its run.
    pub run_id: RunId,
    /// Its name: its path below `artifacts/`.
    pub path: String,
    /// The digest in its last record; `None` where that says that it was removed, or where there is none.
    pub digest: Option<Digest>,
    /// The size in its last record.
    pub size: Option<u64>,
    /// What it holds, as its last record says.
    pub media_type: Option<String>,
    /// How often it was written before.
    pub version: Option<u64>,
    /// The seq of its last record; `None` where no record names it.
    pub seq: Option<u64>,
    /// The step that wrote it.
    pub step: Option<String>,
    /// The digest of the file as it is; `None` where there is none.
    pub disk_digest: Option<Digest>,
    /// The size of the file as it is.
    pub disk_size: Option<u64>,
    /// Its file.
    pub file_path: Utf8PathBuf,
}

/// Which artifacts. They come run by run, and by path within each; with
/// [`larger_than`](ArtifactQuery::larger_than), the largest first. Filters hold together; of two of one
/// kind the later holds.
#[derive(Debug, Clone, Default)]
pub struct ArtifactQuery {
    filter: Filter,
    paging: Paging,
}

#[derive(Debug, Clone, Default)]
struct Filter {
    digest: Option<Digest>,
    path: Option<String>,
    run: Option<(String, String)>,
    larger_than: Option<u64>,
}

const COLUMNS: &str = "j.task_id, j.run_id, a.digest, a.size, a.media_type, a.version, a.seq, a.step, \
                       f.digest, f.size";
const JOURNALED: &str = "t_artifacts a CROSS JOIN t_journals j LEFT JOIN t_files f \
     ON f.journal = a.journal AND f.path = a.path WHERE j.journal = a.journal";
const ON_DISK: &str = "t_files f LEFT JOIN t_artifacts a \
     ON a.journal = f.journal AND a.path = f.path CROSS JOIN t_journals j WHERE j.journal = f.journal";

impl ArtifactQuery {
    /// All artifacts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// That hold these bytes: by their last record, or by the file as it is.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        self.filter.digest = Some(digest);
        self
    }

    /// With this name: a path below `artifacts/`, such as `reports/plan.json`.
    #[must_use]
    pub fn path(mut self, path: impl fmt::Display) -> Self {
        self.filter.path = Some(path.to_string());
        self
    }

    /// Of this run.
    #[must_use]
    pub fn of_run(mut self, task: impl fmt::Display, run: impl fmt::Display) -> Self {
        self.filter.run = Some((task.to_string(), run.to_string()));
        self
    }

    /// Whose file has more bytes than this.
    #[must_use]
    pub fn larger_than(mut self, bytes: u64) -> Self {
        self.filter.larger_than = Some(bytes);
        self
    }

    paged!();

    /// All files by their size.
    fn by_size(&self, bytes: u64) -> Select {
        let Filter { digest, path, run, .. } = &self.filter;
        let columns = format!("f.path, {COLUMNS} FROM {ON_DISK}");
        let select = Select::new(&["f.size", "f.journal", "f.path"], &columns)
            .given("f.size > ?", [bytes.into()])
            .given_some("f.path = ?", path.as_deref());
        let select = match digest {
            Some(digest) => select
                .given("(f.digest = ? OR a.digest = ?)", [Value::from(*digest), (*digest).into()]),
            None => select,
        };
        of_run(select, "f.journal", run.as_ref())
    }

    /// What the journals name, whether it is there or not.
    fn journaled(&self) -> Select {
        let Filter { digest, path, run, .. } = &self.filter;
        let columns = format!("a.path, {COLUMNS} FROM {JOURNALED}");
        let select = Select::new(&["a.journal", "a.path"], &columns)
            .given_some("a.digest = ?", *digest)
            .given_some("a.path = ?", path.as_deref());
        of_run(select, "a.journal", run.as_ref())
    }

    /// Files that no journal names; of a digest, those too whose record has another.
    fn others(&self) -> Select {
        let Filter { digest, path, run, .. } = &self.filter;
        let columns = format!("f.path, {COLUMNS} FROM {ON_DISK}");
        let select = Select::new(&["f.journal", "f.path"], &columns)
            .given_some("f.digest = ?", *digest)
            .given_some("f.path = ?", path.as_deref());
        let select = match digest {
            Some(_) => select.given("(a.digest IS NULL OR a.digest <> f.digest)", []),
            None => select.given("a.path IS NULL", []),
        };
        of_run(select, "f.journal", run.as_ref())
    }
}

fn of_run(select: Select, journal: &str, run: Option<&(String, String)>) -> Select {
    let Some((task, run)) = run else { return select };
    select.given(&format!("{journal} = {JOURNAL_OF}"), [task.as_str().into(), run.as_str().into()])
}

impl ArtifactRow {
    pub(in crate::index) fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        let path: String = columns.next()?;
        let (task_id, run_id): (TaskId, RunId) = (columns.parsed()?, columns.parsed()?);
        let mut file_path = layout::run_dir("".into(), &task_id, &run_id);
        file_path.push(layout::artifact(&path));
        Ok(Self {
            file_path,
            task_id,
            run_id,
            path,
            digest: columns.digest_if_any()?,
            size: columns.number_if_any()?,
            media_type: columns.next()?,
            version: columns.number_if_any()?,
            seq: columns.number_if_any()?,
            step: columns.next()?,
            disk_digest: columns.digest_if_any()?,
            disk_size: columns.number_if_any()?,
        })
    }
}

impl IndexReader {
    /// Artifacts. Which runs hold some bytes: those of the rows with their
    /// [`digest`](ArtifactQuery::digest).
    ///
    /// # Errors
    /// As [`tasks`](IndexReader::tasks).
    pub fn artifacts(&self, query: &ArtifactQuery) -> Result<Page<ArtifactRow>, IndexError> {
        let (filter, paging) = (&query.filter, &query.paging);
        if let Some(bytes) = filter.larger_than {
            let mut files = Gather::new(self, filter, paging, (3, true), ArtifactRow::read)?;
            files.add(query.by_size(bytes))?;
            return Ok(files.page());
        }
        let mut artifacts = Gather::new(self, filter, paging, (2, false), ArtifactRow::read)?;
        artifacts.add(query.journaled())?;
        artifacts.add(query.others())?;
        Ok(artifacts.page())
    }
}
