//! A second scan, written from section 6 of docs/format.md alone and shared with nothing: slow, and
//! meant to be seen to be right. It works on the whole file, keeps no derived state, and asks the
//! page's questions anew at every line.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

type Hash = [u8; 32];

/// What the scan of a whole journal yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) counted: Vec<Counted>,
    pub(crate) reports: Vec<Report>,
    /// Some line since the last counted record is damage: appends refuse.
    pub(crate) refuses: bool,
    /// Where the last counted record ends.
    pub(crate) end: usize,
}

/// A record that counts, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) seq: u64,
    pub(crate) event_id: String,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The bytes that count together: of the whole batch, or of the record itself.
    pub(crate) together: (usize, usize),
}

/// Bytes that do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Report {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Garbage,
    Damage,
    Torn,
}

impl Scan {
    pub(crate) fn of(genesis: &[u8], file: &[u8]) -> Self {
        let mut state = State {
            file,
            cursor: Tip { hash: hash(&[genesis]), seq: 0, end: 0, recovered: false },
            uncounted: Vec::new(),
            pending: None,
            counted: Vec::new(),
            reports: Vec::new(),
        };
        let tail = file.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut start = 0;
        for line in file[..tail].split_inclusive(|byte| *byte == b'\n') {
            state.take(Span { start, end: start + line.len() });
            start += line.len();
        }
        state.end_of_file(tail)
    }

    /// The seqs that count.
    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.counted.iter().map(|record| record.seq).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

/// A line that did not count; `None` until step 7 settles its kind.
#[derive(Debug, Clone, Copy)]
struct Uncounted {
    span: Span,
    kind: Option<Kind>,
}

#[derive(Debug, Clone, Copy)]
struct Tip {
    hash: Hash,
    seq: u64,
    end: usize,
    recovered: bool,
}

#[derive(Debug, Clone)]
struct Line {
    span: Span,
    seq: u64,
    event_id: String,
    batch: Option<(u64, u64)>,
    garbage: Option<(u64, String)>,
    hash: Hash,
    body: Span,
}

struct Pending {
    parent: Tip,
    members: Vec<Line>,
}

struct State<'a> {
    file: &'a [u8],
    cursor: Tip,
    uncounted: Vec<Uncounted>,
    pending: Option<Pending>,
    counted: Vec<Counted>,
    reports: Vec<Report>,
}

impl State<'_> {
    fn bytes(&self, span: Span) -> &[u8] {
        &self.file[span.start..span.end]
    }

    /// Section 6.2, step by step.
    fn take(&mut self, span: Span) {
        let record = self.record(span);

        // 1
        if let (Some(pending), Some(record)) = (&mut self.pending, &record) {
            let last = pending.members.last().unwrap();
            let tip = Tip { hash: last.hash, seq: last.seq, end: 0, recovered: false };
            let (index, size) = last.batch.unwrap();
            if follows(self.file, record, &tip) && record.batch == Some((index + 1, size)) {
                pending.members.push(record.clone());
                if index + 2 == size {
                    let Pending { parent, members } = self.pending.take().unwrap();
                    self.count(parent, &members);
                }
                return;
            }
        }

        // 2
        let members = self.pending.take().map_or_else(Vec::new, |pending| pending.members);
        let unsettled = self.uncounted.len();
        self.uncounted.extend(members.iter().map(|m| Uncounted { span: m.span, kind: None }));
        let settle = |state: &mut Self, kind| {
            state.uncounted[unsettled..].iter_mut().for_each(|line| line.kind = Some(kind));
        };

        // 3
        let parent = record
            .as_ref()
            .and_then(|record| self.tips().into_iter().find(|tip| follows(self.file, record, tip)));
        if let (Some(parent), Some(record)) = (parent, record) {
            match record.batch {
                None => {
                    settle(self, Kind::Garbage);
                    self.count(parent, &[record]);
                }
                Some((0, _)) => {
                    settle(self, Kind::Garbage);
                    self.pending = Some(Pending { parent, members: vec![record] });
                }
                Some(_) => {
                    settle(self, Kind::Damage);
                    self.uncounted.push(Uncounted { span, kind: Some(Kind::Damage) });
                }
            }
            return;
        }

        // 4
        let cuts = self.rotted_newlines(span);
        if !cuts.is_empty() {
            settle(self, Kind::Damage);
            let mut start = span.start;
            for end in cuts.into_iter().chain([span.end]) {
                self.take(Span { start, end });
                start = end;
            }
            return;
        }

        // 5, 6, 7
        let sealed_off = self.bytes(span).ends_with(b"#\n");
        let kind = if sealed_off { Kind::Garbage } else { Kind::Damage };
        settle(self, kind);
        self.uncounted.push(Uncounted { span, kind: Some(kind) });
    }

    /// Where a line is to be cut: behind each rotted newline.
    fn rotted_newlines(&self, span: Span) -> Vec<usize> {
        const ROTTED: [u8; 8] = [0x02, 0x08, 0x0B, 0x0E, 0x1A, 0x2A, 0x4A, 0x8A];
        (span.start..span.end)
            .filter(|at| ROTTED.contains(&self.file[*at]))
            .filter(|at| at + 1 < span.end)
            .filter(|at| {
                self.file[at + 1..span.end].starts_with(br#"{"seq":"#)
                    || shape(self.file, Span { start: span.start, end: at + 1 }).is_some()
            })
            .map(|at| at + 1)
            .collect()
    }

    /// The cursor, and behind damage the recovered tips of section 6.3, in the order of trial.
    fn tips(&self) -> Vec<Tip> {
        let mut tips = vec![self.cursor];
        if !self.uncounted.iter().any(|line| line.kind == Some(Kind::Damage)) {
            return tips;
        }
        let listed: Vec<Span> = self
            .uncounted
            .iter()
            .map(|line| line.span)
            .filter(|span| span.end - span.start >= 76)
            .collect();
        for (at, span) in listed.iter().enumerate().rev().take(16) {
            let body = self.bytes(Span { start: span.start, end: span.end - 76 });
            let mut hashes = Vec::new();
            hashes.extend(shape(self.file, *span).map(|(_, own)| own));
            hashes.push(hash(&[&self.cursor.hash, body]));
            if let Some((_, own)) = at.checked_sub(1).and_then(|at| shape(self.file, listed[at])) {
                hashes.push(hash(&[&own, body]));
            }
            let seq = self.cursor.seq;
            tips.extend(hashes.into_iter().map(|hash| Tip {
                hash,
                seq,
                end: span.end,
                recovered: true,
            }));
        }
        tips
    }

    /// Section 6.4.
    fn count(&mut self, parent: Tip, records: &[Line]) {
        let (first, last) = (records.first().unwrap(), records.last().unwrap());
        let region = Span { start: parent.end, end: first.span.start };
        let empty = region.start == region.end;
        let matches = match &first.garbage {
            None => empty,
            Some((bytes, digest)) => {
                let found = hash(&[self.bytes(region)]);
                !empty
                    && *bytes == (region.end - region.start) as u64
                    && *digest == format!("blake3:{}", hex(&found))
            }
        };
        let in_region = |line: &&Uncounted| line.span.start >= region.start;
        let damaged = self.uncounted.iter().filter(in_region).any(|line| {
            assert!(line.kind.is_some(), "members are settled before a record counts");
            line.kind == Some(Kind::Damage)
        });
        let uncounted = std::mem::take(&mut self.uncounted);
        if matches && !parent.recovered {
            if !empty {
                self.report(region, Kind::Garbage);
            }
        } else if !matches && !damaged {
            for line in uncounted.iter().filter(|line| !in_region(line)) {
                self.report(line.span, line.kind.unwrap());
            }
            self.report(region, Kind::Damage);
        } else {
            for line in &uncounted {
                self.report(line.span, line.kind.unwrap());
            }
        }
        let together = (first.span.start, last.span.end);
        self.counted.extend(records.iter().map(|line| Counted {
            seq: line.seq,
            event_id: line.event_id.clone(),
            start: line.span.start,
            end: line.span.end,
            together,
        }));
        self.cursor = Tip { hash: last.hash, seq: last.seq, end: last.span.end, recovered: false };
    }

    /// Section 6.5.
    fn end_of_file(mut self, tail: usize) -> Scan {
        let refuses = self.uncounted.iter().any(|line| line.kind == Some(Kind::Damage));
        for line in std::mem::take(&mut self.uncounted) {
            self.report(line.span, line.kind.unwrap());
        }
        let torn = self.pending.take().map_or(tail, |pending| pending.members[0].span.start);
        if torn < self.file.len() {
            self.report(Span { start: torn, end: self.file.len() }, Kind::Torn);
        }
        Scan { counted: self.counted, reports: self.reports, refuses, end: self.cursor.end }
    }

    fn report(&mut self, span: Span, kind: Kind) {
        let (offset, length) = (span.start as u64, (span.end - span.start) as u64);
        match self.reports.last_mut() {
            Some(last) if last.kind == kind && last.offset + last.length == offset => {
                last.length += length;
            }
            _ => self.reports.push(Report { offset, length, kind }),
        }
    }

    /// The line as a record, where it is one (section 6.1).
    fn record(&self, span: Span) -> Option<Line> {
        let line = self.bytes(span);
        if line.len() > 1_048_576 || !line.ends_with(b"\n") {
            return None;
        }
        let (body, hash) = shape(self.file, span)?;
        let text = std::str::from_utf8(line).ok()?;
        let keys: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).ok()?;
        for key in ["event_type", "occurred_at", "aggregate_kind", "stream_id", "actor_kind"] {
            string(&keys, key)?;
        }
        integer(&keys, "stream_version")?;
        let batch = match (keys.contains_key("batch_index"), keys.contains_key("batch_size")) {
            (false, false) => None,
            _ => Some((integer(&keys, "batch_index")?, integer(&keys, "batch_size")?)),
        };
        if batch.is_some_and(|(index, size)| !(2..=1024).contains(&size) || index >= size) {
            return None;
        }
        let garbage = match keys.get("garbage") {
            None => None,
            Some(raw) => {
                let keys: BTreeMap<String, Box<RawValue>> = serde_json::from_str(raw.get()).ok()?;
                let digest = string(&keys, "digest")?;
                unhex(digest.strip_prefix("blake3:")?.as_bytes())?;
                Some((integer(&keys, "bytes")?, digest))
            }
        };
        let seq = integer(&keys, "seq").filter(|seq| *seq > 0)?;
        let event_id = string(&keys, "event_id").filter(|id| uuid::Uuid::parse_str(id).is_ok())?;
        Some(Line { span, seq, event_id, batch, garbage, hash, body })
    }
}

#[expect(clippy::allow_attributes, reason = "the proof shares this file, and only that asks")]
#[allow(dead_code, reason = "see above")]
/// True if the line is a record, whatever it follows: for who asks about one that the page leaves open.
pub(crate) fn is_record(line: &[u8]) -> bool {
    let file = State {
        file: line,
        cursor: Tip { hash: hash(&[]), seq: 0, end: 0, recovered: false },
        uncounted: Vec::new(),
        pending: None,
        counted: Vec::new(),
        reports: Vec::new(),
    };
    file.record(Span { start: 0, end: line.len() }).is_some()
}

/// Section 6.1, "Follows".
fn follows(file: &[u8], record: &Line, tip: &Tip) -> bool {
    let seq = if tip.recovered { record.seq > tip.seq } else { record.seq - 1 == tip.seq };
    seq && record.hash == hash(&[&tip.hash, &file[record.body.start..record.body.end]])
}

/// Body and hash text of a line or piece that ends in the 76-byte end, whatever its last byte.
fn shape(file: &[u8], span: Span) -> Option<(Span, Hash)> {
    let line = &file[span.start..span.end];
    let at = line.len().checked_sub(76)?;
    let end = &line[at..];
    if !end.starts_with(b",\"hash\":\"") || &end[73..75] != b"\"}" {
        return None;
    }
    Some((Span { start: span.start, end: span.start + at }, unhex(&end[9..73])?))
}

fn string(keys: &BTreeMap<String, Box<RawValue>>, key: &str) -> Option<String> {
    serde_json::from_str(keys.get(key)?.get()).ok()
}

/// Digits only.
fn integer(keys: &BTreeMap<String, Box<RawValue>>, key: &str) -> Option<u64> {
    let text = keys.get(key)?.get();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn hash(parts: &[&[u8]]) -> Hash {
    *blake3::hash(&parts.concat()).as_bytes()
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &[u8]) -> Option<Hash> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes: Option<Vec<u8>> =
        text.chunks(2).map(|pair| Some(digit(pair[0])? * 16 + digit(*pair.get(1)?)?)).collect();
    bytes?.try_into().ok()
}

/// The example of section 5, byte for byte.
#[test]
fn the_example_on_the_page_is_scanned_as_it_says() {
    let (genesis, journal) = example();
    assert_eq!((genesis.len(), journal.len()), (220, 863));
    let scan = Scan::of(genesis.as_bytes(), journal.as_bytes());
    assert_eq!(scan.seqs(), [1, 2]);
    assert_eq!(scan.end, 863);
    assert_eq!(scan.reports, [Report { offset: 365, length: 27, kind: Kind::Garbage }]);
}

/// `run.json` and the journal in section 5 of the page: a line that begins with a space goes on the
/// one before it.
fn example() -> (String, String) {
    let page = include_str!("../../docs/format.md");
    let block = page.split("## 5. Example").nth(1).unwrap().split("```").nth(1).unwrap();
    let text = block.trim_start_matches('\n').replace("\n ", "");
    let (genesis, journal) = text.split_once('\n').unwrap();
    (format!("{genesis}\n"), journal.to_owned())
}
