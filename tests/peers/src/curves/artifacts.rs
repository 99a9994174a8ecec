//! Artifacts of more and more bytes.

use std::fs::File;
use std::io::{Read, Write};
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{ArtifactName, Durability};

use super::curve::{Chart, Kind};
use super::steps;
use crate::Result;
use crate::args::Plan;
use crate::lab::{Lab, new_run};
use crate::large::{self, Content, PIECE};
use crate::measure::{Contender, Lap, Laps, Work, interleave};
use crate::rows::{FS_WRITE, OURS};

const READ: &str = "fs::read";
const NAME: &str = "content.bin";
/// What is larger is written and read in pieces of 1 MiB, by both: nobody should hold it.
const WHOLE: u64 = 256 << 20;

/// Writes are buffered, and forgotten by the cache after each lap; reads are of what is in the cache.
pub(super) fn measure(lab: &Lab, plan: &Plan) -> Result<Vec<Chart>> {
    let chart = |name, title| Chart::new(name, title, "bytes of an artifact").of_bytes();
    let mut writes = chart("artifact-write", "Write an artifact, buffered; a call");
    let mut reads = chart("artifact-read", "Read an artifact; a call");
    for size in steps(1 << 10, plan.size(256 << 20, 4 << 30), 4) {
        let files = (16 << 20 >> size.ilog2()).clamp(1, 32);
        let laps = Laps { warm: usize::from(size <= 4 << 20), counted: 1 };
        let contenders = [
            Contender::new(OURS, move |dir| {
                let ctx = new_run(dir)?;
                let store = ctx.artifacts().durability(Durability::Buffered);
                written(size, files, move |name, content| {
                    match content {
                        Held::Whole(bytes) => {
                            drop(store.write_bytes(ArtifactName::new(name)?, bytes)?)
                        }
                        Held::Pieces(content) => large::write(&store, name, content)?,
                    }
                    Ok(ctx.artifact_path(&ArtifactName::new(name)?))
                })
            }),
            Contender::new(FS_WRITE, move |dir| {
                let dir = dir.to_owned();
                written(size, files, move |name, content| {
                    let path = dir.join(name);
                    match content {
                        Held::Whole(bytes) => std::fs::write(&path, bytes)?,
                        Held::Pieces(content) => {
                            let mut file = File::create(&path)?;
                            content.each(|piece| Ok(file.write_all(piece)?))?;
                        }
                    }
                    Ok(path)
                })
            }),
        ];
        let series = interleave(lab, plan, laps, &contenders)?;
        writes.add_series(&series, OURS, Kind::All, size);
        writes.add_series(&series, FS_WRITE, Kind::Floor, size);

        let ctx = new_run(&lab.fresh()?)?;
        let store = ctx.artifacts().durability(Durability::Buffered);
        large::write(&store, NAME, &mut Content::new(size))?;
        let path = ctx.artifact_path(&ArtifactName::new(NAME)?);
        let contenders = [
            Contender::new(OURS, |_| {
                Ok(read(size, files, || match size {
                    0..=WHOLE => Ok(store.read_bytes(ArtifactName::new(NAME)?)?.len() as u64),
                    _ => pieces(store.open(ArtifactName::new(NAME)?)?),
                }))
            }),
            Contender::new(READ, |_| {
                Ok(read(size, files, || match size {
                    0..=WHOLE => Ok(std::fs::read(&path)?.len() as u64),
                    _ => pieces(File::open(&path)?),
                }))
            }),
        ];
        let series = interleave(lab, plan, laps, &contenders)?;
        reads.add_series(&series, OURS, Kind::All, size);
        reads.add_series(&series, READ, Kind::Floor, size);
        std::fs::remove_file(&path)?;
    }
    Ok(vec![writes, reads])
}

/// Content that is written.
enum Held {
    Whole(Vec<u8>),
    Pieces(Content),
}

impl Held {
    fn new(size: u64) -> Result<Self> {
        let mut content = Content::new(size);
        Ok(if size <= WHOLE { Self::Whole(content.whole()?) } else { Self::Pieces(content) })
    }
}

/// A lap writes so many files, of which large ones do not stay.
fn written(
    size: u64,
    files: u64,
    write: impl Fn(&str, &mut Held) -> Result<Utf8PathBuf> + 'static,
) -> Result<Work<'static>> {
    let mut held = Held::new(size)?;
    let write = move |number, name: &str| {
        if let Held::Whole(bytes) = &mut held {
            large::stamped(bytes, number);
        }
        write(name, &mut held)
    };
    let after = move |path: &Utf8Path| {
        large::forget(path)?;
        if size > PIECE as u64 {
            std::fs::remove_file(path)?;
        }
        Ok(())
    };
    Ok(large::files(files, write, after))
}

/// A lap reads a file so many times.
fn read<'a>(size: u64, times: u64, read: impl Fn() -> Result<u64> + 'a) -> Work<'a> {
    Box::new(move || {
        let start = Instant::now();
        for _ in 0..times {
            let found = read()?;
            if found != size {
                return Err(format!("{found} bytes were read instead of {size}").into());
            }
        }
        Ok(Lap { operations: times, time: start.elapsed() })
    })
}

fn pieces(mut file: impl Read) -> Result<u64> {
    let (mut piece, mut found) = (vec![0; PIECE], 0);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(found),
            read => found += read as u64,
        }
    }
}
