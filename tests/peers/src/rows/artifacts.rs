//! Rows 8, 9 and 10: artifacts, that is whole files.

use std::time::Instant;

use camino::Utf8Path;
use runjournal::{ArtifactName, Durability};

use super::{FS_WRITE, OURS, bounds};
use crate::args::Plan;
use crate::lab::{Lab, new_run};
use crate::large::{self, Content, stamped};
use crate::measure::{Contender, Lap, Laps, Series, Work, interleave};
use crate::report::{Entry, Goal};
use crate::{Result, apart, floor};

const SMALL: usize = 4096;
const CACACHE: &str = "cacache write_sync";

/// Files of so many bytes under names that are new, by runjournal.
fn ours(operations: u64, size: usize, durability: Durability) -> Contender<'static> {
    Contender::each(OURS, operations, move |dir| {
        let store = new_run(dir)?.artifacts().durability(durability);
        let mut bytes = Content::new(size as u64).whole()?;
        Ok(move |number| {
            stamped(&mut bytes, number);
            store.write_bytes(ArtifactName::new(format!("{number:08}.bin"))?, &bytes)?;
            Ok(())
        })
    })
}

fn fs_write(operations: u64, size: usize) -> Contender<'static> {
    Contender::each(FS_WRITE, operations, move |dir| {
        let (dir, mut bytes) = (dir.to_owned(), Content::new(size as u64).whole()?);
        Ok(move |number| {
            stamped(&mut bytes, number);
            Ok(std::fs::write(dir.join(format!("{number:08}.bin")), &bytes)?)
        })
    })
}

/// The same: new files of 4 KiB, each with content of its own, none synced. Not the same: ours is replaced whole or not at all,
/// hashed and journaled (one more write(2)); the floor is none of these. cacache is whole or not there as well, hashed by SHA-256
/// (it has no BLAKE3), and has an index of names; it keeps no history, and is a process of its own that times itself.
pub(super) fn small(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let operations = plan.size(60, 150);
    let size = SMALL.to_string();
    let work = ["cacache", &size];
    let mut contenders = vec![
        ours(operations, SMALL, Durability::Buffered),
        bounds::staged(operations),
        fs_write(operations, SMALL),
    ];
    if apart::missing().is_none() {
        contenders.push(apart::each(CACACHE, operations, &work, apart::nothing));
    }
    let series = interleave(lab, plan, Laps { warm: 1, counted: 5 }, &contenders)?;
    let (work, goal) = ("artifact of 4 KiB, buffered", Goal::AtMost(2.2, 1.6));
    Ok(vec![
        Entry::compare("8", work, &series, OURS, FS_WRITE, goal),
        Entry::compare("8", bounds::STAGED, &series, bounds::STAGED, FS_WRITE, Goal::Context),
        cacache("8", work, &series),
    ])
}

/// The line of cacache.
fn cacache(row: &'static str, work: &str, series: &Series) -> Entry {
    match apart::missing() {
        None => Entry::compare(row, work, series, OURS, CACACHE, Goal::Context),
        Some(why) => Entry::skipped(row, work, CACACHE, Goal::Context, why),
    }
}

/// As row 8, with 1 MiB, and with 256 MiB. After each lap what was written is synced and dropped from the cache, so that
/// nobody pays for another's writeback, and all find the same memory free.
pub(super) fn large(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (mebibytes, files, laps, goal) in [
        (1, 4, Laps { warm: 1, counted: 5 }, Goal::AtMost(1.3, 1.1)),
        (256, 1, Laps { warm: 0, counted: 1 }, Goal::AtMost(1.1, 1.02)),
    ] {
        let size = mebibytes << 20;
        let bytes = size.to_string();
        let arguments = ["cacache", &bytes];
        let mut contenders = vec![
            Contender::new(OURS, move |dir| {
                let ctx = new_run(dir)?;
                let store = ctx.artifacts().durability(Durability::Buffered);
                let mut bytes = Content::new(size).whole()?;
                let write = move |number, name: &str| {
                    stamped(&mut bytes, number);
                    let name = ArtifactName::new(name)?;
                    store.write_bytes(&name, &bytes)?;
                    Ok(ctx.artifact_path(&name))
                };
                Ok(large::files(files, write, large::forget))
            }),
            Contender::new(FS_WRITE, move |dir| {
                let dir = dir.to_owned();
                let mut bytes = Content::new(size).whole()?;
                let write = move |number, name: &str| {
                    stamped(&mut bytes, number);
                    let path = dir.join(name);
                    std::fs::write(&path, &bytes)?;
                    Ok(path)
                };
                Ok(large::files(files, write, large::forget))
            }),
        ];
        if apart::missing().is_none() {
            contenders.push(apart::each(CACACHE, files, &arguments, forget_all));
        }
        let series = interleave(lab, plan, laps, &contenders)?;
        let work = format!("artifact of {mebibytes} MiB, buffered");
        entries.push(Entry::compare("9", &work, &series, OURS, FS_WRITE, goal));
        entries.push(cacache("9", &work, &series));
    }
    Ok(entries)
}

/// Puts all files below a directory on the disk and out of the cache.
fn forget_all(dir: &Utf8Path) -> Result<()> {
    for entry in dir.read_dir_utf8()? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => forget_all(entry.path())?,
            false => large::forget(entry.path())?,
        }
    }
    Ok(())
}

const BATCH: u64 = 64;
const CAREFUL: &str = "temp + fsync + rename + fsync dir";
const IN_TRANSACTIONS: &str = "runjournal, transactions";

/// The same: new files of 4 KiB, each on the disk under its name when the call returns (of a transaction: all of
/// them). Not the same: ours is hashed and journaled, with a sync of the journal; the floor is not.
pub(super) fn durable(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let operations = plan.size(16, 48);
    let careful = Contender::each(CAREFUL, operations, |dir| {
        let (dir, mut bytes) = (dir.to_owned(), Content::new(SMALL as u64).whole()?);
        Ok(move |number| {
            stamped(&mut bytes, number);
            floor::write_carefully(&dir, &format!("{number:08}.bin"), &bytes)
        })
    });
    let contenders = [
        ours(operations, SMALL, Durability::Durable),
        bounds::synced(operations),
        Contender::new(IN_TRANSACTIONS, transactions),
        careful,
    ];
    let series = interleave(lab, plan, Laps { warm: 1, counted: 3 }, &contenders)?;
    let one = ("durable artifact of 4 KiB", Goal::AtMost(1.3, 1.1));
    let many = (format!("in transactions of {BATCH}, per artifact"), Goal::AtMost(0.5, 0.3));
    Ok(vec![
        Entry::compare("10", one.0, &series, OURS, CAREFUL, one.1),
        Entry::compare("10", bounds::SYNCED, &series, bounds::SYNCED, CAREFUL, Goal::Context),
        Entry::compare("10", many.0, &series, IN_TRANSACTIONS, CAREFUL, many.1),
        Entry::skipped("10", one.0, CACACHE, Goal::Context, "it never syncs a file"),
    ])
}

/// A lap is one transaction.
fn transactions(dir: &Utf8Path) -> Result<Work<'static>> {
    let store = new_run(dir)?.artifacts();
    let (mut bytes, mut next) = (Content::new(SMALL as u64).whole()?, 0);
    Ok(Box::new(move || {
        let start = Instant::now();
        let mut transaction = store.transaction();
        for number in next..next + BATCH {
            stamped(&mut bytes, number);
            transaction.write_bytes(ArtifactName::new(format!("{number:08}.bin"))?, &bytes)?;
        }
        transaction.commit()?;
        next += BATCH;
        Ok(Lap { operations: BATCH, time: start.elapsed() })
    }))
}
