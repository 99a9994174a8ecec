//! What a fuzzer calls of heads and their tables.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::entry::{ENTRY, Entry};
use super::table::{self, Table, TableInfo};
use super::{Head, claimed_offset};
use crate::digest::Digest;
use crate::error::IoError;
use crate::fuzzed::{in_memory, sealed};
use crate::io::Dir;
use crate::layout;

/// The bytes of half a head: what is read is written as one that reads the same. Bytes with a line break behind
/// `~` stand for a line with the right hash; in it, `"entries":?` and `"recent":"?"` for what is behind it.
pub fn head(data: &[u8]) {
    let _ = claimed_offset(data);
    let half = mended(data);
    let Some(head) = Head::parse(&half) else { return };
    if half.starts_with(b"{\"offset\":") && head.cursor.offset < 10_u64.pow(18) {
        assert_eq!(claimed_offset(&half), head.cursor.offset);
    }
    let written = in_memory(|dir| head.half(dir));
    // A half that is as full as it can be may be written longer.
    if let Some(Ok(written)) = written {
        let again = Head::parse(&written).map(|again| format!("{again:?}"));
        assert_eq!(again, Some(format!("{head:?}")));
    }
    assert!(head.recent.len() * ENTRY <= data.len());
}

fn mended(data: &[u8]) -> Vec<u8> {
    let Some(at) = memchr::memmem::find(data, b"~\n") else { return data.to_vec() };
    let (body, behind) = data.split_at(at);
    let behind = behind.get(2..).unwrap_or_default();
    let count = behind.len() / ENTRY;
    let digest = Digest::of(behind.get(..count * ENTRY).unwrap_or_default());
    let body = String::from_utf8_lossy(body);
    let body = body.replacen("\"entries\":?", &format!("\"entries\":{count}"), 1);
    let body = body.replacen("\"recent\":\"?\"", &format!("\"recent\":\"{digest}\""), 1);
    [&sealed(format!("{body}~").as_bytes()), behind].concat()
}

/// Entries, written as tables and merged: each is found, and the right one where there are several. Or, where the
/// first byte is odd, blocks whose checksums fit, whatever is in them.
pub fn table(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let tried = in_memory(|dir| {
        let tried = if first % 2 == 0 { merged(dir, rest) } else { forged(dir, rest) };
        // A disk that is full is no mistake of ours.
        let _ = tried;
        Head::start(crate::journal::Cursor::start(Digest::of(b""))).remove_others(dir)
    });
    assert!(tried.is_none_or(|tried| tried.is_ok()));
}

fn merged(dir: &Dir, bytes: &[u8]) -> Result<(), IoError> {
    let entries: Vec<_> = bytes.chunks_exact(ENTRY).filter_map(Entry::from_bytes).collect();
    let mut expected = BTreeMap::<_, Entry>::new();
    let mut tables = Vec::new();
    for some in entries.chunks(entries.len().div_ceil(3).max(1)) {
        let some = super::merged(some, &[]);
        for entry in &some {
            let kept = expected.entry(entry.name).or_insert(*entry);
            *kept = kept.or(*entry);
        }
        tables.push(table::merge(dir, &some, &[])?);
    }
    let info = table::merge(dir, &[], &tables)?;
    assert_eq!(info.entries, expected.len() as u64);
    let mut table = Table::new(info);
    for entry in expected.values() {
        assert_eq!(table.find(dir, entry.name)?, Some(entry.place), "{entry:?}");
    }
    Ok(())
}

fn forged(dir: &Dir, bytes: &[u8]) -> Result<(), IoError> {
    let id = Uuid::now_v7();
    let mut blocks = Vec::new();
    for (number, content) in (0_u64..).zip(bytes.chunks(table::BLOCK)) {
        blocks.extend_from_slice(&table::sealed_block(id, number, content));
    }
    let info = TableInfo {
        id,
        blocks: (blocks.len() / table::BLOCK) as u64,
        entries: (bytes.len() / ENTRY) as u64,
    };
    if !info.is_sound() {
        return Ok(());
    }
    dir.create_new(&layout::head_table(id))?.write(&blocks)?;
    let mut table = Table::new(info);
    for entry in bytes.chunks_exact(ENTRY).take(64).filter_map(Entry::from_bytes) {
        let _ = table.find(dir, entry.name)?;
    }
    // Whatever is in it, no table is larger than its writer may make it.
    let merged = table::merge(dir, &[], &[info])?;
    assert!(merged.is_sound() || merged.entries == 0, "{merged:?}");
    Ok(())
}
