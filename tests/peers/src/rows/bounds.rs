//! What the promises of an append and of an artifact ask of the system, and nothing else: rows 1, 2, 8 and 10
//! cannot be faster than this, whoever writes them. Each is measured in the series of its row; row 6 has its own floor.

use std::fs::File;
use std::os::unix::fs::FileExt;

use camino::Utf8Path;
use rustix::fs::{AtFlags, FlockOperation, StatxFlags};

use crate::call::PlainRecord;
use crate::measure::Contender;
use crate::{Result, floor};

pub(super) const LINE: &str =
    "bound: lock, length and links, the line before, BLAKE3, write, unlock";
pub(super) const BATCH: &str = "bound: BLAKE3 and a 64th of a write of 64 lines";
pub(super) const STAGED: &str = "bound: new file in .tmp/, BLAKE3, a line as in row 1, rename";
pub(super) const SYNCED: &str = "bound: as of row 8, with the five syncs of its order";

/// The bound of row 1.
pub(super) fn append(operations: u64) -> Contender<'static> {
    Contender::each(LINE, operations, |dir| {
        let journal = Journal::open(dir)?;
        Ok(move |_| journal.append())
    })
}

/// The same by processes: what a worker of theirs does, again and again.
pub(crate) fn shared(dir: &Utf8Path) -> Result<impl Fn() -> Result<()> + use<>> {
    let journal = Journal::open_shared(dir)?;
    Ok(move || journal.append())
}

/// The bound of row 2.
pub(super) fn batch(batches: u64) -> Contender<'static> {
    let bound = Contender::each(BATCH, batches, |dir| {
        let journal = Journal::open(dir)?;
        let lines = journal.line.repeat(64);
        Ok(move |_| {
            (0..64).for_each(|_| journal.hash());
            floor::write_whole(&journal.file, lines.as_bytes())
        })
    });
    bound.per(64)
}

/// The bound of row 8.
pub(super) fn staged(operations: u64) -> Contender<'static> {
    artifact(STAGED, operations, false)
}

/// The bound of row 10.
pub(super) fn synced(operations: u64) -> Contender<'static> {
    artifact(SYNCED, operations, true)
}

fn artifact(name: &'static str, operations: u64, durable: bool) -> Contender<'static> {
    Contender::each(name, operations, move |dir| {
        let store = Store::open(dir)?;
        Ok(move |number| store.write(&format!("{number:08}.bin"), durable))
    })
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

    /// That of other processes, which has its first line.
    fn open_shared(dir: &Utf8Path) -> Result<Self> {
        let file = File::options().read(true).append(true).open(dir.join("events"))?;
        let lock = floor::open_append(&dir.join("lock"))?;
        Ok(Self { file, lock, line: PlainRecord::new(0).line()? })
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
