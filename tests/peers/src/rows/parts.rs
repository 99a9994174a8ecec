//! What an append is made of, part by part, so that it is known how fast it could be.

use std::fs::File;
use std::hint::black_box;
use std::io::{Seek, SeekFrom};

use camino::Utf8Path;
use runjournal::{Clock, IdSource, RandomIds, SystemClock};

use super::WRITE;
use crate::Result;
use crate::args::Plan;
use crate::call::{Call, PlainRecord, event};
use crate::floor;
use crate::lab::Lab;
use crate::measure::{Contender, Laps, interleave};
use crate::report::{Entry, Goal};

/// Each part is called again and again for itself, in a warm cache: their sum is less than what an append takes.
pub(super) fn measure(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let n = plan.size(2000, 5000);
    let contenders = [
        floor::raw_write(n),
        Contender::each("write(2) of 64 lines, per line", n / 64, |dir| {
            let (file, lines) = (open(dir)?, PlainRecord::new(0).line()?.repeat(64));
            Ok(move |_| floor::write_whole(&file, lines.as_bytes()))
        })
        .per(64),
        Contender::each("flock + unlock", n, |dir| {
            let file = open(dir)?;
            Ok(move |_| {
                rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
                Ok(rustix::fs::flock(&file, rustix::fs::FlockOperation::Unlock)?)
            })
        }),
        Contender::each("fstat", n, |dir| {
            let file = open(dir)?;
            Ok(move |_| seen(rustix::fs::fstat(&file)?))
        }),
        Contender::each("File::metadata (statx)", n, |dir| {
            let file = open(dir)?;
            Ok(move |_| seen(file.metadata()?))
        }),
        Contender::each("lseek(SEEK_END)", n, |dir| {
            let mut file = open(dir)?;
            Ok(move |_| seen(file.seek(SeekFrom::End(0))?))
        }),
        Contender::each("BLAKE3 of 500 bytes", n, |_| {
            let bytes = vec![b'x'; 500];
            Ok(move |_| seen(blake3::hash(black_box(&bytes))))
        }),
        Contender::each("BLAKE3 of 1 MiB", n / 50, |_| {
            let bytes = vec![b'x'; 1 << 20];
            Ok(move |_| seen(blake3::hash(black_box(&bytes))))
        }),
        Contender::each("a thread, from its start to its end", n / 10, |_| {
            Ok(|_| seen(std::thread::spawn(|| ()).join().is_ok()))
        }),
        Contender::each("serde_json of a record, 543 bytes", n, |_| {
            let record = PlainRecord::new(0);
            Ok(move |_| seen(serde_json::to_vec(black_box(&record))?))
        }),
        Contender::each("Event::new + payload", n, |_| {
            let call = Call::new(1_000_000, 116);
            Ok(move |_| seen(event(black_box(&call))))
        }),
        Contender::each("a new id, as text", n, |_| {
            Ok(|_| seen(RandomIds.next_id(SystemClock.now()).to_string()))
        }),
        Contender::each("the time, as text", n, |_| Ok(|_| seen(SystemClock.now().to_string()))),
    ];
    let series = interleave(lab, plan, Laps { warm: 1, counted: 8 }, &contenders)?;
    let entry = |(name, _): &(&'static str, _)| {
        Entry::compare("parts", *name, &series, name, WRITE, Goal::Context)
    };
    Ok(series.iter().filter(|(name, _)| *name != WRITE).map(entry).collect())
}

/// Keeps the compiler from leaving the work out.
fn seen<T>(result: T) -> Result<()> {
    black_box(result);
    Ok(())
}

fn open(dir: &Utf8Path) -> Result<File> {
    floor::open_append(&dir.join("file"))
}
