//! The text, line by line.

use std::collections::{BTreeMap, BTreeSet};

use super::EVENTS;
use super::content::{Content, Shown, is_hidden};
use super::json::{self, Json};
use super::names::Names;
use super::options::{Options, Rules};
use super::read::{File, Stand, Stands};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::context::RunContext;
use crate::digest::Digest;
use crate::journal::{Actor, Record, types};
use crate::layout;

/// What the text is made from.
pub(super) struct Page<'a> {
    pub(super) ctx: &'a RunContext,
    pub(super) stand: &'a Stand,
    pub(super) options: &'a Options,
    pub(super) rules: &'a Rules,
    pub(super) names: Names,
}

/// A directory: what is in it, by the names that are shown.
#[derive(Default)]
struct Level {
    files: BTreeMap<String, Vec<File>>,
    dirs: BTreeMap<String, Level>,
}

impl Page<'_> {
    /// The whole text. Names are given in the journal's order, then run.json's, then the files': so what comes
    /// first here is not what stands first.
    pub(super) fn text(mut self, files: Vec<File>) -> String {
        let events = self.events();
        let head = self.head();
        let checkpoints = self.checkpoints();
        let level = self.level(files);
        let mut artifacts = String::new();
        if level.files.is_empty() && level.dirs.is_empty() {
            artifacts.push_str("artifacts/: empty\n");
        } else {
            self.dir("artifacts", level, 0, &mut artifacts);
        }
        let mut findings = String::new();
        for (number, code) in self.stand.findings.iter().enumerate() {
            findings.push_str(if number == 0 { "findings\n" } else { "" });
            findings.push_str(&format!("  {code}\n"));
        }
        head + &artifacts + &checkpoints + &events + &findings
    }

    fn head(&mut self) -> String {
        let state = &self.stand.state;
        let mut head = format!("{}/{} {}", self.ctx.task_id(), self.ctx.run_id(), state.status);
        if let Some(reason) = &state.reason {
            head.push_str(&format!(": {}", one_line(reason)));
        }
        head.push('\n');
        let parent = self.stand.genesis.as_ref().and_then(|genesis| genesis.parent.as_deref());
        if let Some(parent) = parent {
            head.push_str(&format!("parent {}\n", one_line(parent)));
        }
        self.names.redact(&head)
    }

    fn events(&mut self) -> String {
        let records = &self.stand.records;
        if records.is_empty() {
            return format!("{EVENTS}: no events\n");
        }
        let mut out = format!("{EVENTS}\n");
        for record in records {
            out.push_str("  ");
            out.push_str(&self.event(record));
            out.push('\n');
        }
        out
    }

    fn event(&mut self, record: &Record) -> String {
        let rules = self.rules.of_events();
        if let Some(with) = rules.whole() {
            return one_line(with);
        }
        let (payload, large) = self.payload(record);
        let mut members = vec![
            ("seq".to_owned(), Json::Word(record.seq().to_string())),
            ("stream".to_owned(), Json::Text(record.stream())),
            ("type".to_owned(), Json::Text(record.event_type().to_owned())),
        ];
        members.extend(payload.map(|payload| ("payload".to_owned(), payload)));
        let actor = match (record.actor_kind(), record.actor_id()) {
            (kind, Some(id)) => Some(format!("{kind}/{id}")),
            (kind, None) => (kind != Actor::default().kind).then(|| kind.to_owned()),
        };
        let command = record.command_id().map(|id| Json::Text(id.to_owned()));
        let metadata = record.metadata_json().map(|json| {
            Json::parse(json).unwrap_or_else(|| Json::Text("nests too deep".to_owned()))
        });
        let more =
            [("actor", actor.map(Json::Text)), ("command_id", command), ("metadata", metadata)];
        let more = more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        members.extend(more);
        let event = Json::Object(members).shown("", &rules, &mut self.names);
        let part = |wanted: &str| {
            let Json::Object(members) = &event else { return None };
            let part = members.iter().find(|(key, _)| key == wanted)?;
            Some(match &part.1 {
                Json::Text(text) | Json::Redacted(text)
                    if !matches!(wanted, "payload" | "metadata") =>
                {
                    one_line(text)
                }
                other => other.compact(),
            })
        };
        let time = (!self.options.redacts).then(|| record.occurred_at().to_string());
        let more = |key: &str| Some(format!("{key} {}", part(key)?));
        let payload = part("payload").or(large);
        let parts = [part("seq"), time, part("type"), part("stream"), payload];
        let parts = parts.into_iter().chain(["actor", "command_id", "metadata"].map(more));
        parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
    }

    /// The payload of an event, or what is told of one that is too large.
    fn payload(&mut self, record: &Record) -> (Option<Json>, Option<String>) {
        if let Some(named) = record.payload_ref()
            && named.size > self.options.max_bytes
        {
            return (None, Some(self.large(named.size, named.digest, None)));
        }
        let json = match record.payload_json() {
            Ok(None) => return (None, None),
            Ok(Some(json)) => json,
            Err(_) => return (None, Some("(payload missing or damaged)".to_owned())),
        };
        let Some(value) = Json::parse(&json) else {
            return (None, Some("(payload that nests too deep)".to_owned()));
        };
        if json.len() as u64 <= self.options.max_bytes {
            return (Some(value), None);
        }
        let rules = self.rules.of_events();
        let varies = self.names.redacts() && {
            let found = self.names.look(|names| {
                value.shown("/payload", &rules, names);
                String::new()
            });
            !found.is_stable || found.digests.iter().any(|it| self.names.hides(*it))
        };
        (None, Some(self.large(json.len() as u64, Digest::of(json.as_bytes()), Some(varies))))
    }

    fn large(&mut self, size: u64, digest: Digest, varies: Option<bool>) -> String {
        let varies = varies.unwrap_or_else(|| self.names.hides(digest));
        match (varies && self.names.redacts(), varies) {
            (true, _) => format!("([size], {})", self.names.redact(&digest.to_string())),
            (false, _) => format!("({size} bytes, {digest})"),
        }
    }

    fn checkpoints(&mut self) -> String {
        let mut lines = BTreeMap::new();
        let home = self.ctx.home();
        let created = |record: &&Record| record.event_type() == types::CHECKPOINT_CREATED;
        for record in self.stand.records.iter().filter(created) {
            let Ok(checkpoint) = Checkpoint::of(record, &home, false) else { continue };
            let told = match checkpoint.artifacts() {
                Ok(set) => {
                    let count = set.names().len();
                    let artifacts = if count == 1 { "artifact" } else { "artifacts" };
                    format!("{count} {artifacts} at seq {}", checkpoint.seq)
                }
                Err(CheckpointError::Missing { .. }) => "missing".to_owned(),
                Err(CheckpointError::Damaged { .. }) => "damaged".to_owned(),
                Err(_) => "unreadable".to_owned(),
            };
            lines.insert(checkpoint.turn, told);
        }
        for (name, _) in self.stand.dir.list(layout::CHECKPOINTS).unwrap_or_default() {
            if let Some(turn) = layout::turn_of(&format!("{}/{name}", layout::CHECKPOINTS)) {
                lines.entry(turn).or_insert_with(|| "unrecorded".to_owned());
            }
        }
        let lines = lines.into_iter().map(|(turn, told)| format!("  {turn}: {told}\n"));
        let lines: String = lines.collect();
        if lines.is_empty() { lines } else { format!("checkpoints/\n{lines}") }
    }

    /// The files by the names that are shown. Those whose names nobody told before are met in an order that
    /// does not depend on what is random in them.
    fn level(&mut self, mut files: Vec<File>) -> Level {
        files.sort_by_cached_key(|file| {
            let masked = self.names.masked(&file.path);
            let content = match &file.stands {
                Stands::File { found, .. } if masked != file.path => found.masked.clone(),
                _ => String::new(),
            };
            (masked, content)
        });
        let mut top = Level::default();
        for file in files {
            let shown = self.names.redact(&file.path);
            let mut level = &mut top;
            let mut parts = shown.split('/').peekable();
            while let Some(part) = parts.next() {
                let part = one_line(part);
                if parts.peek().is_some() {
                    level = level.dirs.entry(part).or_default();
                } else {
                    level.files.entry(part).or_default().push(file);
                    break;
                }
            }
        }
        top
    }

    fn dir(&mut self, name: &str, mut level: Level, depth: usize, out: &mut String) {
        indent(depth, out);
        if depth >= self.options.max_depth {
            let (mut count, mut bytes, mut varies) = (0_u64, 0_u64, false);
            level.count(&mut count, &mut bytes, &mut varies);
            let files = if count == 1 { "file" } else { "files" };
            let bytes = if varies { "[size]".to_owned() } else { format!("{bytes} bytes") };
            out.push_str(&format!("{name}/: {count} {files}, {bytes}\n"));
            return;
        }
        out.push_str(&format!("{name}/\n"));
        let parts: BTreeSet<_> = level.files.keys().chain(level.dirs.keys()).cloned().collect();
        for part in parts {
            for file in level.files.remove(&part).into_iter().flatten() {
                self.file(&part, file, depth + 1, out);
            }
            if let Some(below) = level.dirs.remove(&part) {
                self.dir(&part, below, depth + 1, out);
            }
        }
    }

    fn file(&mut self, name: &str, file: File, depth: usize, out: &mut String) {
        let rules = self.rules.at(&file.path);
        let mut marks: Vec<_> = file.mark.into_iter().collect();
        let (told, text) = match file.stands {
            Stands::Nothing => (String::new(), None),
            Stands::Unread(what) => (format!(": {what}"), None),
            Stands::File { content: Content::Empty, .. } if rules.whole().is_none() => {
                (": empty".to_owned(), None)
            }
            Stands::File { content, size, digest, found } => {
                let kind = content.kind();
                let is_short = size <= self.options.max_bytes || rules.whole().is_some();
                let shown = if is_short { content.shown(&rules, &mut self.names) } else { None };
                if let Some(Shown { text, marks: more }) = shown {
                    marks.extend(more);
                    (String::new(), Some(text))
                } else {
                    let size = if found.is_stable || !self.names.redacts() {
                        format!("{size} bytes")
                    } else {
                        "[size]".to_owned()
                    };
                    let digest = self.names.redact(&digest.to_string());
                    (format!(": {kind}, {size}, {digest}"), None)
                }
            }
        };
        indent(depth, out);
        out.push_str(name);
        out.push_str(&told);
        if !marks.is_empty() {
            out.push_str(&format!(" ({})", marks.join(", ")));
        }
        out.push('\n');
        for line in text.iter().flat_map(|text| text.split_terminator('\n')) {
            if !line.is_empty() {
                indent(depth + 1, out);
                out.push_str(line);
            }
            out.push('\n');
        }
    }
}

impl Level {
    fn count(&self, count: &mut u64, bytes: &mut u64, varies: &mut bool) {
        for file in self.files.values().flatten() {
            *count += 1;
            if let Stands::File { size, found, .. } = &file.stands {
                *bytes += size;
                *varies |= !found.is_stable;
            }
        }
        self.dirs.values().for_each(|level| level.count(count, bytes, varies));
    }
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// A name as it is, or quoted where it could be taken for something else.
fn one_line(text: &str) -> String {
    let is_odd = text.is_empty()
        || text.trim() != text
        || text.contains(|c: char| is_hidden(c) || matches!(c, '\n' | '\t' | '"' | '('))
        || text.contains("  ")
        || text.contains(": ");
    if !is_odd {
        return text.to_owned();
    }
    let mut quoted = String::new();
    json::string(text, &mut quoted);
    quoted
}
