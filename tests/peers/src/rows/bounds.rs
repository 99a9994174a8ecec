//! What the promises of an append and of an artifact ask of the system, and nothing else: rows 1, 2, 6, 8 and 10
//! cannot be faster than this, whoever writes them.

use std::fs::File;
use std::os::unix::fs::FileExt;

use camino::Utf8Path;
use rustix::fs::{AtFlags, FlockOperation, StatxFlags};

use super::{FDATASYNC, WRITE};
use crate::Result;
use crate::args::Plan;
use crate::call::PlainRecord;
use crate::lab::Lab;
use crate::measure::{Contender, Laps, Series, interleave};
use crate::report::{Entry, Goal};
use crate::{floor, sqlite};

const LINE: &str = "1: lock, length and links, the line before, BLAKE3, write, unlock";
const BATCH: &str = "2: BLAKE3 and a 64th of a write of 64 lines";
const FULL: &str = "SQLite WAL FULL, (id, line)";
const STAGED: &str = "8: new file in .tmp/, BLAKE3, a line as in 1, rename";
const FS_WRITE: &str = "fs::write";
const SYNCED: &str = "10: the same, with the five syncs of its order";
const CAREFUL: &str = "temp + fsync + rename + fsync dir";

pub(super) fn measure(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let n = plan.size(2000, 5000);
    let contenders = [
        floor::raw_write(n),
        Contender::each(LINE, n, |dir| {
            let journal = Journal::open(dir)?;
            Ok(move |_| journal.append())
        }),
        Contender::each(BATCH, n / 64, |dir| {
            let journal = Journal::open(dir)?;
            let lines = journal.line.repeat(64);
            Ok(move |_| {
                (0..64).for_each(|_| journal.hash());
                floor::write_whole(&journal.file, lines.as_bytes())
            })
        })
        .per(64),
    ];
    let appends = interleave(lab, plan, Laps { warm: 1, counted: 8 }, &contenders)?;

    let operations = plan.size(60, 150);
    let contenders =
        [floor::write_and_sync(operations), sqlite::lines(FULL, operations, sqlite::Sync::Full)];
    let durable = interleave(lab, plan, Laps { warm: 1, counted: 5 }, &contenders)?;

    let contenders = [
        Contender::each(STAGED, operations, |dir| {
            let store = Store::open(dir)?;
            Ok(move |number| store.write(&format!("{number:08}.bin"), false))
        }),
        Contender::each(FS_WRITE, operations, |dir| {
            let dir = dir.to_owned();
            Ok(move |number| Ok(std::fs::write(dir.join(format!("{number:08}.bin")), CONTENT)?))
        }),
    ];
    let staged = interleave(lab, plan, Laps { warm: 1, counted: 5 }, &contenders)?;

    let operations = plan.size(16, 48);
    let contenders = [
        Contender::each(SYNCED, operations, |dir| {
            let store = Store::open(dir)?;
            Ok(move |number| store.write(&format!("{number:08}.bin"), true))
        }),
        Contender::each(CAREFUL, operations, |dir| {
            let dir = dir.to_owned();
            Ok(move |number| floor::write_carefully(&dir, &format!("{number:08}.bin"), CONTENT))
        }),
    ];
    let synced = interleave(lab, plan, Laps { warm: 1, counted: 3 }, &contenders)?;

    let entry = |work: &str, series: &Series, ours: &str, theirs: &str| {
        Entry::compare("bounds", work, series, ours, theirs, Goal::Context)
    };
    Ok(vec![
        entry(LINE, &appends, LINE, WRITE),
        entry(BATCH, &appends, BATCH, WRITE),
        entry("6: write(2) + fdatasync, the floor itself", &durable, FDATASYNC, FULL),
        entry(STAGED, &staged, STAGED, FS_WRITE),
        entry(SYNCED, &synced, SYNCED, CAREFUL),
    ])
}

/// A journal whose line is always the same.
struct Journal {
    file: File,
    lock: File,
    line: String,
}

impl Journal {
    fn open(dir: &Utf8Path) -> Result<Self> {
        let line = PlainRecord::new(0).line()?;
        let path = dir.join("events");
        std::fs::write(&path, &line)?;
        let file = File::options().read(true).append(true).open(path)?;
        Ok(Self { file, lock: floor::open_append(&dir.join("lock"))?, line })
    }

    fn hash(&self) {
        let body = self.line.as_bytes().get(..499).unwrap_or_default();
        std::hint::black_box(blake3::hash(std::hint::black_box(body)));
    }

    fn append(&self) -> Result<()> {
        rustix::fs::flock(&self.lock, FlockOperation::LockExclusive)?;
        let wanted = StatxFlags::NLINK | StatxFlags::SIZE;
        let stat = rustix::fs::statx(&self.file, "", AtFlags::EMPTY_PATH, wanted)?;
        let mut end = [0; 76];
        self.file.read_exact_at(&mut end, stat.stx_size - 76)?;
        std::hint::black_box(end);
        self.hash();
        floor::write_whole(&self.file, self.line.as_bytes())?;
        Ok(rustix::fs::flock(&self.lock, FlockOperation::Unlock)?)
    }
}

const CONTENT: &[u8] = &[b'x'; 4096];

/// A run as artifacts need it.
struct Store {
    journal: Journal,
    staged: camino::Utf8PathBuf,
    placed: camino::Utf8PathBuf,
}

impl Store {
    fn open(dir: &Utf8Path) -> Result<Self> {
        let (staged, placed) = (dir.join("tmp"), dir.join("artifacts"));
        std::fs::create_dir(&staged)?;
        std::fs::create_dir(&placed)?;
        Ok(Self { journal: Journal::open(dir)?, staged, placed })
    }

    fn write(&self, name: &str, durable: bool) -> Result<()> {
        use std::io::Write;
        let stage = self.staged.join(name);
        let mut file = File::create_new(&stage)?;
        file.write_all(CONTENT)?;
        std::hint::black_box(blake3::hash(std::hint::black_box(CONTENT)));
        if durable {
            file.sync_all()?;
            File::open(&self.staged)?.sync_all()?;
        }
        self.journal.append()?;
        if durable {
            self.journal.file.sync_data()?;
        }
        std::fs::rename(&stage, self.placed.join(name))?;
        if durable {
            File::open(&self.placed)?.sync_all()?;
            File::open(&self.staged)?.sync_all()?;
        }
        Ok(())
    }
}
