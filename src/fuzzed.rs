//! What a fuzzer calls, in the proof's build alone: functions of bytes, whatever they are, that end the process
//! where something does not hold. Those of a room's own parsers stand in a file `fuzzed` of that room.
//!
//! No fuzzer guesses a hash. So bytes that end in `~` stand for the sealed line that they are the body of.

use std::borrow::Cow;
use std::fmt::Debug;

use camino::Utf8Path;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use crate::digest::Digest;
use crate::id::{EventId, RunId, StepName, TaskId, check_name};
use crate::io::Dir;
use crate::name::ArtifactName;
use crate::{json, line};

/// The body of a `run.json`, behind which journals begin.
pub(crate) const RUN: &[u8] = br#"{"format_version":1,"task_id":"TASK-1","run_id":"RUN-1","created_at":"2026-03-01T09:00:00.000000Z","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"~"#;

/// The bytes; those that end in `~` as a line that ends in its hash.
pub(crate) fn sealed(data: &[u8]) -> Cow<'_, [u8]> {
    let Some(body) = data.strip_suffix(b"~") else { return Cow::Borrowed(data) };
    let mut line = body.to_vec();
    line::finish(&mut line, 0, Digest::of);
    Cow::Owned(line)
}

/// What a file says that is one sealed line, once it was seen that this can be written, reads as the same then,
/// and is written no other way after that; and that no file is read with one of its bits flipped.
pub(crate) fn page<T>(file: &[u8]) -> Option<T>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let value: T = line::read(file).ok()?;
    let text = serde_json::to_string(&value);
    assert!(text.is_ok(), "what was read cannot be written: {text:?}");
    let (written, hash) = line::seal(text.as_deref().unwrap_or_default(), Digest::of);
    let again = line::read::<T>(&written);
    assert_eq!(again.as_ref(), Ok(&value), "it reads as something else when it was written");
    let twice = again.ok().and_then(|again| serde_json::to_string(&again).ok());
    assert_eq!(twice, text.ok(), "it has two spellings");

    // Which bit is hurt is as good as drawn, and the same each time.
    let mut hurt = file.to_vec();
    let at = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let at = usize::try_from(at).unwrap_or(0) % (hurt.len() * 8);
    hurt.iter_mut().skip(at / 8).take(1).for_each(|byte| *byte ^= 1 << (at % 8));
    assert!(line::read::<IgnoredAny>(&hurt).is_err(), "bit {at} was flipped, and nobody saw it");
    Some(value)
}

/// A directory of its own: where the environment says, or in memory; `None` where there can be none.
pub(crate) fn directory() -> Option<tempfile::TempDir> {
    let said = std::env::var_os("TMPDIR").unwrap_or("/dev/shm".into());
    tempfile::tempdir_in(said).or_else(|_| tempfile::tempdir()).ok()
}

/// Works in a directory that is made once a thread; `None` where there can be none.
pub(crate) fn in_memory<T>(work: impl FnOnce(&Dir) -> T) -> Option<T> {
    thread_local! {
        static HELD: Option<(Dir, tempfile::TempDir)> = directory().and_then(|made| {
            Some((Dir::open(Utf8Path::from_path(made.path())?).ok()?, made))
        });
    }
    HELD.with(|held| held.as_ref().map(|(dir, _)| work(dir)))
}

/// JSON: one line for every reader, and a canonical form that has one spelling.
pub fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut string = Vec::new();
    json::write_string(&mut string, text);
    assert_eq!(serde_json::from_slice::<String>(&string).ok().as_deref(), Some(text));
    assert!(is_one_line(&string), "{text:?} is not on one line");

    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else { return };
    let on_line = json::on_one_line(raw);
    let canonical = json::canonical(raw);
    if let Ok(on_line) = &on_line {
        let mut written = Vec::new();
        json::write_on_line(&mut written, on_line);
        assert!(is_one_line(&written), "{text:?} is not on one line");
        assert_eq!(written.len(), json::len_on_line(on_line));
        if canonical.is_ok() {
            let written = std::str::from_utf8(&written).ok();
            assert!(json::same_value(Some(text), written), "{text:?} is another value on a line");
        }
    }
    if let Ok(canonical) = &canonical {
        let again = serde_json::from_str::<&RawValue>(canonical).and_then(json::canonical);
        assert_eq!(again.ok().as_ref(), Some(canonical), "{text:?} has two canonical forms");
    }
    // What has a value for all readers has both forms.
    if serde_json::from_str::<serde_json::Value>(text).is_ok() {
        assert!(on_line.is_ok() && canonical.is_ok(), "{text:?} is JSON, and refused");
    }
}

/// True if no reader takes a part of it for the end of a line.
fn is_one_line(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).unwrap_or("\n");
    !text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}

/// Names of artifacts, of tasks, runs and steps, of events, and of what people choose: each is refused, or is
/// the same text afterwards, and a name that stays below the folder that it is in.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(name) = ArtifactName::new(text) {
        assert_eq!(name.as_str(), text);
        assert!(text.len() <= 1024 && text.split('/').all(is_plain), "{text:?} names an artifact");
        assert!(!name.media_type().is_empty());
        same_as_json(&name);
    }
    let ids = [
        TaskId::new(text).map(|id| (same_as_json(&id), id.to_string())),
        RunId::new(text).map(|id| (same_as_json(&id), id.to_string())),
        StepName::new(text).map(|id| (same_as_json(&id), id.to_string())),
    ];
    for ((), id) in ids.iter().flatten() {
        assert_eq!(id, text);
        assert!(text.is_ascii() && !text.contains(['/', ' ']) && is_plain(text), "{text:?}");
        // What can name a folder can name an artifact in it.
        assert!(ArtifactName::new(text).is_ok(), "{text:?} is an id, and no name");
    }
    assert!(ids.iter().all(|id| id.is_ok() == ids.iter().any(Result::is_ok)));
    if let Ok(id) = text.parse::<EventId>() {
        same_as_json(&id);
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if check_name(text).is_ok() {
        assert!((1..=1024).contains(&text.len()) && !text.contains(char::is_control));
    }
}

/// True for what is a file's name wherever the tree is copied.
fn is_plain(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let is_device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || stem.strip_prefix("COM").or(stem.strip_prefix("LPT")).is_some_and(|number| {
            number.len() == 1 && number.bytes().all(|digit| matches!(digit, b'1'..=b'9'))
        });
    let odd = |c: char| c.is_control() || "\\:*?\"<>|".contains(c);
    (1..=255).contains(&segment.len())
        && !segment.starts_with(['.', ' ', '-'])
        && !segment.ends_with(['.', ' '])
        && !segment.contains(odd)
        && !is_device
}

fn same_as_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let read = serde_json::to_string(value).and_then(|json| serde_json::from_str(&json));
    assert_eq!(read.ok().as_ref(), Some(value));
}
