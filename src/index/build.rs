//! Bringing an index up to the tree: a walk that finds tasks and runs, threads that look at them, and one
//! that writes what they find. To build an index is to bring an empty one up to the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};

use super::chunk::{Address, Chunk, FileRow};
use super::look::{Answer, Details, Job, Known, Looker, unreadable};
use super::writer::Writer;
use super::{IndexError, Progress};
use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::id::{RunId, TaskId};
use crate::io::{Dir, Kind, Stamp};
use crate::journal::Cursor;
use crate::layout;

/// Threads that look, for each core: with a cold cache they mostly wait for the disk.
const THREADS_A_CORE: usize = 8;
/// Jobs that are under way for each of them.
const JOBS_A_THREAD: usize = 8;
/// Jobs of journals that the index knows, handed over at once: most did not change, and to look takes no longer
/// than to hand over. What is new may be long, and goes by itself.
const JOBS_AT_ONCE: usize = 8;
/// Bytes that projectors said, above which a chunk is not held back.
const LARGE: usize = 1 << 16;

/// Brings what the writer's database knows up to the tree.
pub(super) fn bring_up(
    writer: &mut Writer<'_>,
    looker: &Looker<'_>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Progress, IndexError> {
    let cores = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
    let threads = cores * THREADS_A_CORE;
    let (send_job, jobs) = mpsc::channel::<Vec<Job>>();
    let (send_answer, answers) = mpsc::sync_channel::<Answer>(threads);
    let jobs = Mutex::new(jobs);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (jobs, answer) = (&jobs, send_answer.clone());
            scope.spawn(move || {
                while let Some(jobs) = next(jobs) {
                    let (mut listened, mut same) = (true, 0);
                    let look = std::panic::AssertUnwindSafe(|| {
                        for job in jobs {
                            looker.look(job, &mut |told| {
                                match told {
                                    Answer::Same(count) => same += count,
                                    told => listened = answer.send(told).is_ok(),
                                }
                                listened
                            });
                        }
                    });
                    // One that panics and is silent would be waited for in vain.
                    if let Err(panic) = std::panic::catch_unwind(look) {
                        listened = answer.send(Answer::Panicked(panic)).is_ok();
                    }
                    if same > 0 {
                        listened &= answer.send(Answer::Same(same)).is_ok();
                    }
                    if !listened {
                        break;
                    }
                }
            });
        }
        let mut coordinator = Coordinator {
            writer,
            root: Dir::open_root(looker.root)?,
            next_key: 0,
            jobs: send_job,
            gathered: Vec::new(),
            answers,
            held: BTreeMap::new(),
            held_at_most: threads * 2,
            under_way: 0,
            most: threads * JOBS_A_THREAD,
            progress,
            done: Progress::default(),
            findings: Vec::new(),
        };
        coordinator.walk()?;
        coordinator.finish()
        // Dropped, its channels close, and the threads end.
    })
}

/// The next jobs; `None` once there will be none.
fn next(jobs: &Mutex<Receiver<Vec<Job>>>) -> Option<Vec<Job>> {
    jobs.lock().ok()?.recv().ok()
}

/// The thread that walks and writes.
struct Coordinator<'a, 'b> {
    writer: &'a mut Writer<'b>,
    root: Dir,
    next_key: i64,
    jobs: Sender<Vec<Job>>,
    /// Jobs that wait to be handed over with others.
    gathered: Vec<Job>,
    answers: Receiver<Answer>,
    /// New journals come in almost any order, and to write them in that of their keys is faster.
    held: BTreeMap<i64, Box<Chunk>>,
    held_at_most: usize,
    under_way: usize,
    most: usize,
    progress: &'a mut dyn FnMut(&Progress),
    done: Progress,
    /// Of the workspace as a whole.
    findings: Vec<Finding>,
}

/// What a database knows of a task's journals, by run; the task's own is that of no run.
type KnownJournals = BTreeMap<String, (i64, Known)>;

impl Coordinator<'_, '_> {
    fn walk(&mut self) -> Result<(), IndexError> {
        self.next_key = self.writer.next_key()?;
        let mut gone: BTreeSet<String> = self.writer.known_tasks()?.into_iter().collect();
        for name in self.homes("", layout::TASK)? {
            gone.remove(&name);
            let Ok(task) = name.parse::<TaskId>() else { continue };
            let mut known = self.writer.known_journals(&name)?;
            self.done.tasks += 1;
            self.look_at(Address { task: task.clone(), run: None }, &mut known)?;
            for run in self.homes(&format!("{name}/{}", layout::RUNS), layout::RUN)? {
                let Ok(run) = run.parse::<RunId>() else { continue };
                self.done.runs += 1;
                self.look_at(Address { task: task.clone(), run: Some(run) }, &mut known)?;
            }
            for (key, _) in known.into_values() {
                self.forget(key)?;
            }
        }
        for task in gone {
            for (key, _) in self.writer.known_journals(&task)?.into_values() {
                self.forget(key)?;
            }
        }
        Ok(())
    }

    /// The names of the directories that may hold a task or a run.
    fn homes(&mut self, below: &str, genesis: &str) -> Result<Vec<String>, IndexError> {
        let entries = match self.root.list(below) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) if !below.is_empty() => {
                self.findings.push(unreadable(error));
                return Ok(Vec::new());
            }
            other => other?,
        };
        let mut homes = Vec::new();
        for (name, kind) in entries {
            if kind != Kind::Dir || name.starts_with('.') {
                continue;
            }
            let bad = if below.is_empty() {
                name.parse::<TaskId>().err()
            } else {
                name.parse::<RunId>().err()
            };
            let Some(bad) = bad else {
                homes.push(name);
                continue;
            };
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let found = self.root.stat(&format!("{path}/{genesis}"));
            if found.is_ok_and(|found| found.is_some()) {
                let path = self.root.path().join(path);
                self.findings.push(Finding::whole(path, Code::BadId, bad.reason));
            }
        }
        Ok(homes)
    }

    fn look_at(&mut self, address: Address, known: &mut KnownJournals) -> Result<(), IndexError> {
        while self.under_way >= self.most {
            self.take_answer()?;
        }
        let run = address.run.as_ref().map_or("", |run| run.as_str());
        let (key, known) = match known.remove(run) {
            Some((key, known)) => (key, Some(known)),
            None => {
                self.next_key += 1;
                (self.next_key - 1, None)
            }
        };
        self.under_way += 1;
        if known.is_none() {
            self.send(vec![Job { key, address, known }]);
            return Ok(());
        }
        self.gathered.push(Job { key, address, known });
        if self.gathered.len() == JOBS_AT_ONCE {
            self.send_gathered();
        }
        Ok(())
    }

    fn send_gathered(&mut self) {
        let jobs = std::mem::take(&mut self.gathered);
        self.send(jobs);
    }

    fn send(&self, jobs: Vec<Job>) {
        if !jobs.is_empty() {
            // The threads that take them are there as long as this is.
            let _ = self.jobs.send(jobs);
        }
    }

    fn forget(&mut self, key: i64) -> Result<(), IndexError> {
        self.done.looked_at += u64::from(self.writer.forget(key)?);
        Ok(())
    }

    fn take_answer(&mut self) -> Result<(), IndexError> {
        self.send_gathered();
        let Ok(answer) = self.answers.recv() else {
            self.under_way = 0;
            return Ok(());
        };
        match answer {
            Answer::Same(count) => self.under_way -= count,
            Answer::Changed(mut job) => {
                if let Some(known) = &mut job.known {
                    known.details = Some(self.writer.details(job.key)?);
                }
                self.send(vec![*job]);
            }
            Answer::Gone(key, address) => {
                self.under_way -= 1;
                // It was counted when its directory was seen.
                let counted =
                    if address.run.is_some() { &mut self.done.runs } else { &mut self.done.tasks };
                *counted = counted.saturating_sub(1);
                self.forget(key)?;
            }
            Answer::Chunk(chunk) => {
                self.done.events += chunk.events.len() as u64;
                if let Some(end) = &chunk.end {
                    self.under_way -= 1;
                    self.done.looked_at += 1;
                    self.done.files += end.looked_at.0;
                    self.done.bytes += end.looked_at.1;
                    (self.progress)(&self.done);
                }
                if !chunk.is_whole() || chunk.rows.bytes > LARGE {
                    return self.writer.write(*chunk);
                }
                self.held.insert(chunk.key, chunk);
                self.write_held(self.held_at_most)?;
            }
            Answer::Panicked(panic) => std::panic::resume_unwind(panic),
        }
        Ok(())
    }

    /// Writes those that come first, until so many are left.
    fn write_held(&mut self, left: usize) -> Result<(), IndexError> {
        while self.held.len() > left
            && let Some((_, chunk)) = self.held.pop_first()
        {
            self.writer.write(*chunk)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Progress, IndexError> {
        while self.under_way > 0 {
            self.take_answer()?;
        }
        self.write_held(0)?;
        let findings = std::mem::take(&mut self.findings);
        self.writer.write_workspace_findings(&findings)?;
        (self.progress)(&self.done);
        Ok(self.done)
    }
}

/// What a writer's database knows.
impl Writer<'_> {
    fn next_key(&self) -> Result<i64, IndexError> {
        let last: i64 = self.ask(|connection| {
            connection
                .query_row("SELECT COALESCE(MAX(journal), 0) FROM t_journals", [], |row| row.get(0))
        })?;
        // The keys of events have no more room for it.
        if i32::try_from(last).is_err() {
            let path = self.database.path.clone();
            let reason = format!("no journal has the number {last}");
            return Err(IndexError::Damaged { path, reason });
        }
        Ok(last + 1)
    }

    fn known_tasks(&self) -> Result<Vec<String>, IndexError> {
        self.ask(|connection| {
            let mut tasks = connection.prepare("SELECT DISTINCT task_id FROM t_journals")?;
            tasks.query_map([], |row| row.get(0))?.collect()
        })
    }

    fn known_journals(&self, task: &str) -> Result<KnownJournals, IndexError> {
        // Those that this program has not are no reason to look.
        let own: Vec<String> = self.numbers().iter().map(i64::to_string).collect();
        let sql = format!(
            "SELECT run_id, journal, seq, bytes, hash, signature, stamp, genesis, \
             EXISTS (SELECT 1 FROM t_laggards l WHERE l.journal = j.journal AND l.projector IN ({})) \
             FROM t_journals j WHERE task_id = $1",
            own.join(", ")
        );
        self.ask(|connection| {
            let mut journals = connection.prepare_cached(&sql)?;
            let rows = journals.query_map([task], |row| {
                let signature: Option<Vec<u8>> = row.get(5)?;
                let stamp: Option<Vec<u8>> = row.get(6)?;
                let genesis: Option<Vec<u8>> = row.get(7)?;
                let known = Known {
                    genesis: genesis.and_then(|bytes| Digest::from_bytes(&bytes)),
                    cursor: cursor(row, 2)?,
                    signature: signature.and_then(|bytes| bytes.try_into().ok()),
                    stamp: stamp.and_then(|bytes| Stamp::from_bytes(&bytes)),
                    has_laggards: row.get(8)?,
                    details: None,
                };
                Ok((row.get(0)?, (row.get(1)?, known)))
            })?;
            rows.collect()
        })
    }

    fn details(&self, key: i64) -> Result<Details, IndexError> {
        let numbers = self.numbers();
        self.ask(|connection| {
            let mut details = Details::default();
            let mut files = connection.prepare_cached(
                "SELECT path, size, digest, stamp FROM t_files WHERE journal = $1",
            )?;
            let rows = files.query_map([key], |row| {
                let digest: Vec<u8> = row.get(2)?;
                let stamp: Option<Vec<u8>> = row.get(3)?;
                let path: String = row.get(0)?;
                // What does not read is looked at anew.
                let stamp = stamp.and_then(|bytes| Stamp::from_bytes(&bytes));
                let digest = Digest::from_bytes(&digest);
                let size: i64 = row.get(1)?;
                let file = FileRow {
                    path: path.clone(),
                    digest: digest.unwrap_or(Digest::of(b"")),
                    size: size.unsigned_abs(),
                    stamp: stamp.filter(|_| digest.is_some()),
                };
                Ok((path, file))
            })?;
            details.files = rows.collect::<rusqlite::Result<_>>()?;
            let mut laggards = connection.prepare_cached(
                "SELECT projector, seq, bytes, hash, stopped_at FROM t_laggards WHERE journal = $1",
            )?;
            let mut rows = laggards.query([key])?;
            while let Some(row) = rows.next()? {
                let number: i64 = row.get(0)?;
                let Some(by) = numbers.iter().position(|known| *known == number) else { continue };
                // One that stopped at 0 has not got through its beginning.
                let begun = row.get::<_, Option<i64>>(4)? != Some(0);
                details.laggards.push((by, cursor(row, 1)?.filter(|_| begun)));
            }
            Ok(details)
        })
    }

    /// How many projectors stand stopped, in all journals together.
    pub(super) fn count_stopped(&self) -> Result<u64, IndexError> {
        let sql = "SELECT COUNT(*) FROM t_laggards WHERE stopped_at IS NOT NULL";
        let count: i64 = self.ask(|connection| connection.query_row(sql, [], |row| row.get(0)))?;
        Ok(count.unsigned_abs())
    }

    fn ask<T>(
        &self,
        ask: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        ask(&self.database.connection).map_err(IndexError::sqlite("read", &self.database.path))
    }
}

/// The cursor in three columns; `None` where they hold none.
fn cursor(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Option<Cursor>> {
    let (seq, offset): (i64, i64) = (row.get(first)?, row.get(first + 1)?);
    let hash: Option<Vec<u8>> = row.get(first + 2)?;
    let hash = hash.and_then(|bytes| Digest::from_bytes(&bytes));
    Ok(hash.map(|hash| Cursor { offset: offset.unsigned_abs(), seq: seq.unsigned_abs(), hash }))
}
