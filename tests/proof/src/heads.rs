//! The head of a run's journal, written down again without the library's code: to look into, to forge,
//! and to take away.

use camino::Utf8Path;
use runjournal::Digest;
use serde_json::Value;

use crate::{Outcome, Violation, raw};

const ENTRY: usize = 24;
/// Bytes of half of the head's file.
const HALF: usize = 8192;
const BLOCK: usize = 4096;
/// Bytes of a block before its entries: a checksum, the block's number, and theirs.
const START: usize = 26;

/// A head with its tables.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    line: Value,
    recent: Vec<u8>,
    /// The tables' names and bytes.
    tables: Vec<(String, Vec<u8>)>,
}

/// Removes the heads of the task's and of the run's journal below a directory, tables and all.
pub(crate) fn remove_all(dir: &Utf8Path) -> Outcome {
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(".head") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl Head {
    /// That of this run.
    pub(crate) fn read(run: &Utf8Path) -> Outcome<Self> {
        let journal = run.join("journal");
        let bytes = std::fs::read(journal.join(".head"))?;
        let (mut line, mut recent) = (Value::Null, &[][..]);
        for half in bytes.chunks(HALF) {
            let end = half.iter().position(|byte| *byte == b'\n').map_or(half.len(), |end| end + 1);
            let (this, behind) = half.split_at(end);
            let this: Value = serde_json::from_slice(this)?;
            if number(&this, "offset") > number(&line, "offset") {
                let entries = usize::try_from(number(&this, "entries"))? * ENTRY;
                recent = behind.get(..entries).unwrap_or_default();
                line = this;
            }
        }
        let mut tables = Vec::new();
        for table in line.get("tables").and_then(Value::as_array).into_iter().flatten() {
            let name = format!(".head.{}", text(table, "id"));
            let bytes = std::fs::read(journal.join(&name))?;
            tables.push((name, bytes));
        }
        Ok(Self { recent: recent.to_vec(), line, tables })
    }

    /// Puts it in place of the one that is there.
    pub(crate) fn write(&self, run: &Utf8Path) -> Outcome {
        let journal = run.join("journal");
        for (name, bytes) in &self.tables {
            std::fs::write(journal.join(name), bytes)?;
        }
        let mut line = self.line.clone();
        if let Some(members) = line.as_object_mut() {
            members.remove("hash");
            members.insert("entries".into(), (self.recent.len() / ENTRY).into());
            members.insert("recent".into(), Digest::of(&self.recent).to_string().into());
        }
        let json = line.to_string();
        let body = json.strip_suffix('}').unwrap_or_default();
        let hash = Digest::of(body.as_bytes()).to_hex();
        let mut bytes = format!("{body},\"hash\":\"{hash}\"}}\n").into_bytes();
        bytes.extend_from_slice(&self.recent);
        std::fs::write(journal.join(".new-head"), bytes)?;
        Ok(std::fs::rename(journal.join(".new-head"), journal.join(".head"))?)
    }

    /// Moves its cursor to the last record, whatever that is, and nothing else.
    pub(crate) fn move_to_the_end(&mut self, run: &Utf8Path) -> Outcome {
        let records = raw::records(run, "run.json")?;
        let last = records.last().ok_or_else(|| Violation::new("there is no record"))?;
        let length = std::fs::metadata(run.join("journal/events.jsonl"))?.len();
        let hash = format!("blake3:{}", last.text("hash"));
        let members = self.line.as_object_mut();
        let members = members.ok_or_else(|| Violation::new("a head is no object"))?;
        members.insert("offset".into(), length.into());
        members.insert("seq".into(), last.seq().into());
        members.insert("last_hash".into(), hash.into());
        Ok(())
    }

    /// True if it covers the whole journal.
    pub(crate) fn covers(&self, run: &Utf8Path) -> Outcome<bool> {
        let length = std::fs::metadata(run.join("journal/events.jsonl"))?.len();
        Ok(number(&self.line, "offset") == length)
    }

    /// Takes the entry of an idempotency key out of whatever has it; the checksums are right again.
    pub(crate) fn forget_key(&mut self, key: &str) -> Outcome {
        let name = name_of_key(key);
        let is = |entry: &[u8]| entry.starts_with(&name);
        let before = self.recent.len();
        self.recent = without(&self.recent, is);
        let mut found = self.recent.len() < before;
        for (name, bytes) in &mut self.tables {
            let id = name.trim_start_matches(".head.").replace('-', "");
            for (number, block) in (0_u64..).zip(bytes.chunks_mut(BLOCK)) {
                let count = block.get(START - 2..START).and_then(|count| count.try_into().ok());
                let count = usize::from(count.map_or(0, u16::from_le_bytes));
                let all = block.get(START..START + count * ENTRY).unwrap_or_default();
                let kept = without(all, is);
                if kept.len() == all.len() {
                    continue;
                }
                found = true;
                let mut summed = raw::unhex(&id).unwrap_or_default();
                summed.extend_from_slice(&number.to_le_bytes());
                summed.extend_from_slice(&u16::try_from(kept.len() / ENTRY)?.to_le_bytes());
                summed.extend_from_slice(&kept);
                summed.resize(BLOCK, 0);
                let sum = raw::unhex(&Digest::of(&summed).to_hex()).unwrap_or_default();
                let bytes = sum.iter().take(16).chain(summed.iter().skip(16));
                block.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            }
        }
        crate::ensure(found, || format!("no table knows the key {key}"))
    }
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, member: &str) -> u64 {
    value.get(member).and_then(Value::as_u64).unwrap_or_default()
}

fn without(entries: &[u8], is: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    entries.chunks(ENTRY).filter(|entry| !is(entry)).flatten().copied().collect()
}

/// Half of the BLAKE3 of `k` and the key, its last bit set: of a key, the first record counts.
fn name_of_key(key: &str) -> Vec<u8> {
    let mut name =
        raw::unhex(&Digest::of(format!("k{key}").as_bytes()).to_hex()).unwrap_or_default();
    name.truncate(16);
    if let Some(last) = name.last_mut() {
        *last |= 1;
    }
    name
}
