//! Artifacts of more and more bytes.

use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use runjournal::{ArtifactName, Durability};

use super::curve::{Chart, Kind};
use super::steps;
use crate::Result;
use crate::args::Plan;
use crate::lab::{Lab, new_run};
use crate::large::{self, Content, PIECE};
use crate::measure::{Contender, Lap, Laps, Series, Work, interleave};
use crate::rows::OURS;

const WRITE: &str = "fs::write";
const READ: &str = "fs::read";
const NAME: &str = "content.bin";
/// What is larger is written and read in pieces of 1 MiB, by both: nobody should hold it.
const WHOLE: u64 = 256 << 20;
const MEBIBYTE: f64 = (1 << 20) as f64;

/// Writes are buffered, and forgotten by the cache after each lap; reads are of what is in the cache.
pub(super) fn measure(lab: &Lab, plan: &Plan) -> Result<Vec<Chart>> {
    let chart = |name, title| Chart::new(name, title, "bytes of an artifact").of_bytes();
    let mut writes = chart("artifact-write", "Write an artifact, buffered; a call");
    let mut writes_each = chart("artifact-write-mib", "Write an artifact, buffered; per MiB");
    let mut reads = chart("artifact-read", "Read an artifact; a call");
    let mut reads_each = chart("artifact-read-mib", "Read an artifact; per MiB");
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
            Contender::new(WRITE, move |dir| {
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
        add(&mut writes, &mut writes_each, &series, WRITE, size);

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
        add(&mut reads, &mut reads_each, &series, READ, size);
        std::fs::remove_file(&path)?;
    }
    Ok(vec![writes, writes_each, reads, reads_each])
}

fn add(calls: &mut Chart, each: &mut Chart, series: &Series, floor: &str, size: u64) {
    for (name, kind) in [(OURS, Kind::All), (floor, Kind::Floor)] {
        let samples = series.of(name);
        let per = samples.iter().map(|time| time * MEBIBYTE / size as f64).collect();
        calls.add(name, kind, size, samples);
        let kind = if kind == Kind::All { Kind::One } else { kind };
        each.add(name, kind, size, per);
    }
}

/// Content that is written.
enum Held {
    Whole(Vec<u8>),
    Pieces(Content),
}

/// A lap writes so many files; `write` returns where one is.
fn written(
    size: u64,
    files: u64,
    write: impl Fn(&str, &mut Held) -> Result<Utf8PathBuf> + 'static,
) -> Result<Work<'static>> {
    let content = Content::new(size);
    let mut held = match content.size {
        0..=WHOLE => Held::Whole({ content }.whole()?),
        _ => Held::Pieces(content),
    };
    let mut next = 0_u64;
    Ok(Box::new(move || {
        let (mut time, mut paths) = (Duration::ZERO, Vec::new());
        for number in next..next + files {
            if let Held::Whole(bytes) = &mut held
                && let Some(stamp) = bytes.first_chunk_mut()
            {
                *stamp = number.to_le_bytes();
            }
            let name = format!("{number:08}.bin");
            let start = Instant::now();
            paths.push(write(&name, &mut held)?);
            time += start.elapsed();
        }
        next += files;
        for path in paths {
            large::forget(&path)?;
            if size > PIECE as u64 {
                std::fs::remove_file(path)?;
            }
        }
        Ok(Lap { operations: files, time })
    }))
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
