//! What a fuzzer calls of a whole journal: the scan against the slow oracle of the tests.

use crate::digest::Digest;
pub use crate::journal::head::fuzzed::{head, table};
pub use crate::journal::record::fuzzed::line;
use crate::journal::record::{Record, parse};
use crate::journal::scan::skip::{Skip, SkipKind};
use crate::journal::scan::{Rest, Seen, scan};
use crate::journal::{Cursor, Garbage, MAX_LINE};
use crate::line;

#[path = "../../tests/it/oracle.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "it is shared with the tests, and meant to be seen to be right"
)]
pub(crate) mod oracle;

use oracle::{Kind, Report};

/// A genesis file, which is the first line, and its journal: the scan and the oracle say the same of it; what
/// counts at the start still counts with more behind it; and a scan that goes on from a cursor ends as one that
/// did not stop. Lines may be given without hash: see [`chained`].
pub fn journal(data: &[u8]) {
    let end = memchr::memchr(b'\n', data).map_or(data.len(), |at| at + 1);
    let (genesis, lines) = data.split_at_checked(end).unwrap_or_default();
    let file = chained(genesis, lines);
    let start = Cursor::start(Digest::of(genesis));
    let whole = Scanned::of(start, &file);
    let expected = oracle::Scan::of(genesis, &file);
    whole.check(&expected, &file);

    // Where it is cut is as good as drawn, and the same each time.
    for cut in Digest::of(data).as_bytes().chunks(8).filter_map(|bytes| bytes.try_into().ok()) {
        let cut = usize::try_from(u64::from_le_bytes(cut) % (file.len() as u64 + 1)).unwrap_or(0);
        let before = file.get(..cut).unwrap_or_default();
        let part = Scanned::of(start, before);
        let kept = expected.counted.iter().take_while(|record| record.together.1 <= cut);
        assert!(part.records.iter().map(Record::seq).eq(kept.map(|record| record.seq)));
        let at = usize::try_from(part.cursor.offset).unwrap_or(0);
        let rest = Scanned::of(part.cursor, file.get(at..).unwrap_or_default());
        assert_eq!((rest.cursor, rest.refuses), (whole.cursor, whole.refuses), "cut at {cut}");
        let lines = part.records.iter().chain(&rest.records).map(Record::line);
        assert!(lines.eq(whole.records.iter().map(Record::line)), "cut at {cut}");
        let passed = part.passed.iter().chain(&rest.passed).chain(&rest.left);
        assert_eq!(reports(passed), reports(whole.passed.iter().chain(&whole.left)));
    }
}

/// What a scan came across.
struct Scanned {
    cursor: Cursor,
    records: Vec<Record>,
    passed: Vec<Skip>,
    left: Vec<Skip>,
    refuses: bool,
}

impl Scanned {
    fn of(mut cursor: Cursor, bytes: &[u8]) -> Self {
        let (mut records, mut passed) = (Vec::new(), Vec::new());
        let rest: Rest = scan(&mut cursor, bytes, &[], &mut |seen| match seen {
            Seen::Record(record) => records.push(record),
            Seen::Skip(skip) => passed.push(skip),
        });
        let refuses = rest.damage().is_some();
        Self { cursor, records, passed, left: rest.skips, refuses }
    }

    fn check(&self, expected: &oracle::Scan, file: &[u8]) {
        let place = |record: &Record| (record.seq(), record.offset(), record.end());
        let found: Vec<_> = self.records.iter().map(place).collect();
        let counted = expected.counted.iter();
        let counted = counted.map(|record| (record.seq, record.start as u64, record.end as u64));
        assert_eq!(found, counted.collect::<Vec<_>>(), "what counts");
        assert_eq!(
            reports(self.passed.iter().chain(&self.left)),
            expected.reports,
            "what does not"
        );
        assert_eq!((self.refuses, self.cursor.offset), (expected.refuses, expected.end as u64));
        // What is kept of a journal is no more than the journal, and where things are in it.
        let kept: usize = self.records.iter().map(|record| record.line().len()).sum();
        assert!(kept <= file.len(), "{kept} bytes of {}", file.len());
    }
}

/// Skips as the oracle reports them.
pub(crate) fn reports<'a>(skips: impl Iterator<Item = &'a Skip>) -> Vec<Report> {
    let mut reports = Vec::<Report>::new();
    for skip in skips {
        let kind = match skip.kind {
            SkipKind::Garbage | SkipKind::Repaired => Kind::Garbage,
            SkipKind::Torn => Kind::Torn,
            SkipKind::Damage(_) => Kind::Damage,
        };
        match reports.last_mut() {
            Some(last) if last.kind == kind && last.offset + last.length == skip.offset => {
                last.length += skip.length;
            }
            _ => reports.push(Report { offset: skip.offset, length: skip.length, kind }),
        }
    }
    reports
}

/// A journal behind a genesis file. A line that ends in `~` and a digit gets its end: it follows the sealed line
/// so many before it. With a letter from `a` on, it also declares the bytes that lie between. What is a record
/// to one reader alone stays as it is: the format leaves open what becomes of it.
pub(crate) fn chained(genesis: &[u8], lines: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(lines.len());
    let mut sealed = vec![(Digest::of(genesis), 0)];
    for text in lines.split_inclusive(|byte| *byte == b'\n') {
        let start = file.len();
        match given(text).and_then(|(body, back, declares)| {
            let (parent, end) = *sealed.iter().rev().nth(back)?;
            let between = Garbage::of(file.get(end..start)?).filter(|_| declares);
            Some(end_of(body, parent, between))
        }) {
            Some(text) if is_clear(&text) => file.extend_from_slice(&text),
            _ => file.extend_from_slice(text),
        }
        if let Some(line) = file.get(start..).and_then(line::open) {
            sealed.push((line.hash, file.len()));
        }
    }
    file
}

/// A body that is given without end, how far back what it follows is, and whether it declares what lies between.
fn given(line: &[u8]) -> Option<(&[u8], usize, bool)> {
    let (mark, body) = line.strip_suffix(b"\n")?.split_last()?;
    let body = body.strip_suffix(b"~")?;
    match mark {
        b'0'..=b'9' => Some((body, usize::from(mark - b'0'), false)),
        b'a'..=b'j' => Some((body, usize::from(mark - b'a'), true)),
        _ => None,
    }
}

fn end_of(body: &[u8], parent: Digest, between: Option<Garbage>) -> Vec<u8> {
    let mut line = body.to_vec();
    if let Some(Garbage { bytes, digest }) = between {
        let declared = format!(",\"garbage\":{{\"bytes\":{bytes},\"digest\":\"{digest}\"}}");
        line.extend_from_slice(declared.as_bytes());
    }
    line::finish(&mut line, 0, |body| Digest::chained(parent, body));
    line
}

/// True if the library and the oracle agree on whether it is a record. On what is laid out as ours are, they must.
fn is_clear(line: &[u8]) -> bool {
    let parsed = line::open(line).and_then(|sealed| Record::parse(line, sealed.hash, 0));
    let is_record = oracle::is_record(line);
    let body = line::body(line).and_then(|body| std::str::from_utf8(body).ok());
    assert!(is_record || line.len() > MAX_LINE || body.and_then(parse::members).is_none());
    parsed.is_some() == is_record
}
