//! Rows 6 and 7: appends that survive a power cut.

use std::fs::File;

use camino::Utf8Path;
use runjournal::Durability;

use super::{FDATASYNC, FJALL, OURS, REDB};
use crate::Result;
use crate::args::Plan;
use crate::call::PlainRecord;
use crate::crowd::{Shared, appended, together};
use crate::lab::Lab;
use crate::measure::{Contender, Laps, interleave};
use crate::report::{Entry, Goal};
use crate::{floor, ours, sqlite, stores};

const FULL: &str = "SQLite WAL FULL, (id, line)";
const FLOOR_ITSELF: &str = "bound: write(2) + fdatasync, the floor itself";
const OKAYWAL: &str = "okaywal";

/// The same: 543 bytes a line, and each is on the disk when the call returns. Not the same: the floor has its bytes ready;
/// the peers get ids, times and hashes for nothing. okaywal writes into files that have their size already, so that a sync
/// writes no size, and forgets what it checkpoints; redb writes pages of a tree.
pub(super) fn one_thread(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let operations = plan.size(60, 150);
    let contenders = [
        ours::append(operations, Durability::Durable),
        floor::write_and_sync(operations),
        sqlite::lines(FULL, operations, sqlite::Sync::Full),
        Contender::each(OKAYWAL, operations, stores::okaywal).checked(stores::in_okaywal),
        Contender::each(REDB, operations, |dir| stores::redb(dir, Durability::Durable))
            .checked(stores::in_redb),
        Contender::each(FJALL, operations, |dir| stores::fjall(dir, Durability::Durable))
            .checked(stores::in_fjall),
    ];
    let series = interleave(lab, plan, Laps { warm: 1, counted: 5 }, &contenders)?;
    let compare = |theirs, goal| {
        Entry::compare("6", "durable append, one thread", &series, OURS, theirs, goal)
    };
    Ok(vec![
        compare(FDATASYNC, Goal::AtMost(1.05, 0.95)),
        compare(FULL, Goal::AtMost(1.2, 1.0)),
        Entry::compare("6", FLOOR_ITSELF, &series, FDATASYNC, FULL, Goal::Context),
        compare(OKAYWAL, Goal::Best(1.0)),
        compare(REDB, Goal::Context),
        compare(FJALL, Goal::Context),
    ])
}

const THREADS: usize = 16;
const ONE_FILE: &str = "write(2) + fdatasync each, one file";
const OWN_FILES: &str = "write(2) + fdatasync each, a file a thread";
const MUTEX: &str = "SQLite WAL FULL behind a mutex, (id, line)";

/// The same: sixteen threads, 543 bytes a line, each on the disk when its call returns. Ours is one writer that all
/// share, and so are okaywal, redb and fjall. The floor syncs for each line by itself: into one file, as ours is one journal (this is
/// the one that the goal is about), and into a file a thread for comparison.
pub(super) fn threads(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let each = plan.size(12, 30);
    let contenders = [
        Contender::new(OURS, |dir| {
            let shared = Shared::open(dir, Durability::Durable)?;
            Ok(together(THREADS, each, move |_, number| shared.append(number)))
        })
        .checked(appended),
        Contender::new(ONE_FILE, |dir| {
            let (file, line) = raw(dir, 0)?;
            Ok(together(THREADS, each, move |_, _| floor::write_synced(&file, line.as_bytes())))
        })
        .checked(floor::written),
        Contender::new(OWN_FILES, |dir| {
            let files = (0..THREADS).map(|thread| raw(dir, thread)).collect::<Result<Vec<_>>>()?;
            Ok(together(THREADS, each, move |thread, _| {
                let (file, line) = files.get(thread).ok_or("there is no such file")?;
                floor::write_synced(file, line.as_bytes())
            }))
        })
        .checked(floor::written),
        Contender::new(MUTEX, |dir| {
            let shared = sqlite::Shared::open(dir)?;
            Ok(together(THREADS, each, move |_, number| shared.insert(number)))
        })
        .checked(sqlite::Shared::check),
        Contender::new(OKAYWAL, |dir| {
            let append = stores::okaywal(dir)?;
            Ok(together(THREADS, each, move |_, number| append(number)))
        })
        .checked(stores::in_okaywal),
        Contender::new(REDB, |dir| {
            let append = stores::redb(dir, Durability::Durable)?;
            Ok(together(THREADS, each, move |_, number| append(number)))
        })
        .checked(stores::in_redb),
        Contender::new(FJALL, |dir| {
            let append = stores::fjall(dir, Durability::Durable)?;
            Ok(together(THREADS, each, move |_, number| append(number)))
        })
        .checked(stores::in_fjall),
    ];
    let series = interleave(lab, plan, Laps { warm: 1, counted: 5 }, &contenders)?;
    let work = format!("durable append, {THREADS} threads, per event");
    let compare = |theirs, goal| Entry::compare("7", &work, &series, OURS, theirs, goal);
    Ok(vec![
        compare(ONE_FILE, Goal::AtMost(0.55, 0.35)),
        compare(OWN_FILES, Goal::Context),
        compare(MUTEX, Goal::Faster(4.0, 7.0)),
        compare(OKAYWAL, Goal::Best(1.0)),
        compare(REDB, Goal::Context),
        compare(FJALL, Goal::Context),
    ])
}

fn raw(dir: &Utf8Path, number: usize) -> Result<(File, String)> {
    let file = floor::open_append(&dir.join(format!("file-{number}")))?;
    Ok((file, PlainRecord::new(0).line()?))
}
