//! Lines that chain as they should, and yet are what the library never writes: here the finer points
//! of section 6.1 decide. The reader agrees with the oracle on each.

use runjournal::{Event, JournalError};

use crate::lab::Lab;
use crate::oracle::{Kind, Report};

type Hash = [u8; 32];

/// A journal that is forged line by line.
struct Forger {
    lab: Lab,
    bytes: Vec<u8>,
    parent: Hash,
    seq: u64,
}

/// The hash of a record with this body, and its end.
fn seal(parent: &Hash, body: &[u8]) -> (Hash, Vec<u8>) {
    let hash = blake3::hash(&[parent, body].concat());
    (*hash.as_bytes(), format!(",\"hash\":\"{}\"}}\n", hash.to_hex()).into_bytes())
}

impl Forger {
    /// Behind one record that the library wrote.
    fn new() -> Self {
        let lab = Lab::new();
        lab.ctx.append(Event::new("noted")).unwrap();
        let bytes = lab.bytes();
        let at = bytes.len() - 67;
        let parent = blake3::Hash::from_hex(&bytes[at..at + 64]).unwrap();
        Self { lab, bytes, parent: *parent.as_bytes(), seq: 2 }
    }

    /// The keys that every record has, up to the given seq.
    fn keys(seq: u64) -> String {
        format!(
            "{{\"seq\":{seq},\"event_id\":\"00000000-0000-7000-8000-0000000000ff\",\
             \"event_type\":\"forged\",\"occurred_at\":\"2026-01-01T00:00:00.000000Z\",\
             \"aggregate_kind\":\"run\",\"stream_id\":\"RUN-1\",\"stream_version\":{seq},\
             \"actor_kind\":\"node\""
        )
    }

    /// The next record, with more keys.
    fn next(&mut self, more: &str) -> &mut Self {
        let body = Self::keys(self.seq) + more;
        self.seq += 1;
        self.line(body.as_bytes())
    }

    /// A line with this body that follows the one before.
    fn line(&mut self, body: &[u8]) -> &mut Self {
        let (hash, end) = seal(&self.parent, body);
        self.bytes.extend_from_slice(body);
        self.bytes.extend_from_slice(&end);
        self.parent = hash;
        self
    }

    /// Bytes that are no record.
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// The seqs that count, and the reports: the reader and the oracle agree on them.
    #[track_caller]
    fn check(&self) -> (Vec<u64>, Vec<Report>) {
        let scan = self.lab.check_all(&self.bytes);
        (scan.seqs(), scan.reports)
    }

    /// The last line counts.
    #[track_caller]
    fn counts(&self) {
        let (seqs, reports) = self.check();
        assert_eq!((seqs.last().copied(), reports), (Some(self.seq - 1), Vec::new()));
    }

    /// Nothing behind the first record counts.
    #[track_caller]
    fn does_not_count(&self) {
        let (seqs, reports) = self.check();
        assert_eq!(seqs, [1]);
        assert!(matches!(reports[..], [Report { kind: Kind::Damage, .. }]), "{reports:?}");
    }
}

/// Bodies of a second line that is a record, and of one that is none, though it chains.
fn bodies() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let more = |more: &str| (Forger::keys(2) + more).into_bytes();
    let replaced = |old: &str, new: &str| {
        assert!(Forger::keys(2).contains(old), "{old}");
        Forger::keys(2).replace(old, new).into_bytes()
    };
    let nested = format!(",\"unknown\":{}{}", "[".repeat(500), "]".repeat(500));
    let records = vec![
        more(""),
        // Unknown keys, in any order.
        more(",\"unknown\":{\"deep\":[[[1e999,\"\\ud800\"]]]}"),
        more(&nested),
        replaced("{\"seq\":2,", "{ \t\"unknown\" : null , \"seq\":2,"),
        replaced("{\"seq\":2,\"event_id\":", " {\"stream_id2\":1,\"seq\" : 2,\"event_id\":"),
    ];
    let mut others = vec![
        // No JSON.
        more(",\"unknown\":"),
        more(",\"unknown\":NaN"),
        more(",\"unknown\":01"),
        more(",\"unknown\":\"\u{1}\""),
        more(",,\"unknown\":1"),
        more(",\"unknown\":{"),
        replaced("{\"seq\":2,", "\u{feff}{\"seq\":2,"),
        replaced("\"event_id\":\"0", "\"event_id\":\"x"),
    ];
    // No UTF-8.
    for bad in [&b"x\xff"[..], b"\xc3(", b"\xed\xa0\x80", b"\xc0\x80"] {
        for (key, close) in [("unknown\":\"", "\""), ("payload\":\"", "\""), ("no\":[\"", "\"]")] {
            others.push([&more(&format!(",\"{key}"))[..], bad, close.as_bytes()].concat());
        }
    }
    // Required keys that are missing, or of another type.
    for key in [
        "event_id",
        "event_type",
        "occurred_at",
        "aggregate_kind",
        "stream_id",
        "stream_version",
        "actor_kind",
    ] {
        for other in ["\"other\":", "\"KEY\":[],\"other\":", "\"KEY\":null,\"other\":"] {
            others.push(replaced(&format!("\"{key}\":"), &other.replace("KEY", key)));
        }
    }
    for seq in ["3", "1", "0", "-2", "2.0", "2e0", "\"2\"", "true", "[2]"] {
        others.push(replaced("\"seq\":2", &format!("\"seq\":{seq}")));
    }
    for version in ["-1", "0.0", "0e0", "\"0\""] {
        others.push(replaced("\"stream_version\":2", &format!("\"stream_version\":{version}")));
    }
    for batch in [
        "\"batch_index\":0",
        "\"batch_size\":2",
        "\"batch_index\":0,\"batch_size\":1",
        "\"batch_index\":0,\"batch_size\":1025",
        "\"batch_index\":2,\"batch_size\":2",
        "\"batch_index\":-1,\"batch_size\":2",
        "\"batch_index\":0.0,\"batch_size\":2",
        "\"batch_index\":1,\"batch_size\":2",
    ] {
        others.push([&more(",")[..], batch.as_bytes()].concat());
    }
    let upper = format!("{{\"bytes\":1,\"digest\":\"blake3:{}\"}}", "A".repeat(64));
    let short = "{\"bytes\":1,\"digest\":\"blake3:00\"}";
    for garbage in ["7", "{}", "{\"bytes\":1}", short, &upper] {
        others.push(more(&format!(",\"garbage\":{garbage}")));
    }
    (records, others)
}

/// Journals with one forged line, and whether it counts: the independent reader sees them too.
pub(crate) fn journals() -> Vec<(Vec<u8>, bool)> {
    let (records, others) = bodies();
    let all = records.into_iter().map(|body| (body, true));
    let all = all.chain(others.into_iter().map(|body| (body, false)));
    let before = Forger::new();
    let forge = |body: &[u8]| {
        let end = seal(&before.parent, body).1;
        [&before.bytes, body, &end].concat()
    };
    all.map(|(body, counts)| (forge(&body), counts)).collect()
}

#[test]
fn one_forged_line() {
    let mut forger = Forger::new();
    let start = forger.bytes.len();
    for (bytes, counts) in journals() {
        let line = String::from_utf8_lossy(&bytes[start..]).into_owned();
        forger.bytes = bytes;
        let (seqs, reports) = forger.check();
        let expected = if counts { (2, 0) } else { (1, 1) };
        assert_eq!((seqs.len(), reports.len()), expected, "{line}");
        assert!(reports.iter().all(|report| report.kind == Kind::Damage), "{line}");
    }
}

#[test]
fn batch_keys() {
    let member =
        |index: usize, size: usize| format!(",\"batch_index\":{index},\"batch_size\":{size}");
    let mut whole = Forger::new();
    for index in 0..1024 {
        whole.next(&member(index, 1024));
    }
    whole.counts();

    for second in [member(2, 3), member(0, 3), member(1, 2), member(1, 4), String::new()] {
        let mut odd = Forger::new();
        odd.next(&member(0, 3)).next(&second).next(&member(2, 3)).next("");
        odd.check();
    }
    // A record with the seq of the member before is none that follows it.
    let mut seq = Forger::new();
    seq.next(&member(0, 2));
    seq.seq -= 1;
    seq.next(&member(1, 2));
    seq.does_not_count();
}

#[test]
fn garbage_declared() {
    let digest = |bytes: &[u8]| format!("blake3:{}", blake3::hash(bytes).to_hex());
    let declared = |bytes: usize, digest: &str| {
        format!(",\"garbage\":{{\"bytes\":{bytes},\"digest\":\"{digest}\"}}")
    };
    // Nothing lies between, so nothing may be declared: a report of no bytes.
    let mut empty = Forger::new();
    let at = empty.bytes.len() as u64;
    empty.next(&declared(0, &digest(b"")));
    let report = Report { offset: at, length: 0, kind: Kind::Damage };
    assert_eq!(empty.check(), (vec![1, 2], vec![report]));
    // What lies between is accounted for, be it damage: by length and by digest.
    let left = b"{\"se#\nfoo\n";
    for (bytes, text, kind) in [
        (10, digest(left), Kind::Garbage),
        (9, digest(left), Kind::Damage),
        (10, digest(b"foo"), Kind::Damage),
    ] {
        let mut forger = Forger::new();
        forger.raw(left).next(&declared(bytes, &text));
        let (seqs, reports) = forger.check();
        assert_eq!((seqs, reports.last().unwrap().kind), (vec![1, 2], kind));
    }
}

#[test]
fn a_line_of_one_mebibyte_and_one_byte_more() {
    for (size, counts) in [(1 << 20, true), ((1 << 20) + 1, false)] {
        let room = size - 76 - Forger::keys(2).len() - ",\"payload\":\"\"".len();
        let text = format!(",\"payload\":\"{}\"", "x".repeat(room));
        let mut forger = Forger::new();
        let before = forger.bytes.len();
        forger.next(&text);
        assert_eq!(forger.bytes.len() - before, size);
        if counts {
            forger.counts()
        } else {
            forger.does_not_count()
        }
        // Its hash leads on, all the same.
        forger.next("");
        assert_eq!(forger.check().0.last(), Some(&3));
    }
}

#[test]
fn behind_damage_a_seq_may_leap_but_not_go_back() {
    for (seq, counts) in [(2, true), (3, true), (900, true), (1, false)] {
        let mut forger = Forger::new();
        forger.line(b"no record");
        forger.seq = seq;
        forger.next("");
        assert_eq!(forger.check().0.last() == Some(&seq), counts || seq == 1, "{seq}");
        assert_eq!(forger.check().0.len(), 1 + usize::from(counts), "{seq}");
    }
}

#[test]
fn without_damage_a_void_batch_lends_no_tip() {
    let member = ",\"batch_index\":0,\"batch_size\":2";
    let mut forger = Forger::new();
    forger.next(member).raw(b"half#\n").next("");
    // Only garbage lies between: the record that follows a member of the void batch does not count,
    assert_eq!(forger.check().0, [1]);
    // until there is damage.
    let mut forger = Forger::new();
    forger.next(member).raw(b"half#\nfoo\n").next("");
    assert_eq!(forger.check().0, [1, 3]);
}

#[test]
fn an_upper_case_hash_is_no_end() {
    let mut forger = Forger::new();
    forger.next("");
    let at = forger.bytes.len() - 67;
    forger.bytes[at..at + 64].make_ascii_uppercase();
    forger.does_not_count();
}

#[test]
fn numbers_that_are_used_up() {
    // A stream whose version can go no further; another stream goes on.
    let mut forger = Forger::new();
    let body = Forger::keys(2).replace("_version\":2", "_version\":18446744073709551615");
    forger.line(body.as_bytes());
    forger.lab.put(&forger.bytes);
    assert_eq!(forger.lab.check().seqs(), [1, 2]);
    let full = forger.lab.ctx.append(Event::new("late"));
    assert!(matches!(full, Err(JournalError::BadEvent { .. })), "{full:?}");
    assert_eq!(forger.lab.bytes(), forger.bytes);
    forger.lab.ctx.append(Event::new("late").stream("talk", "1")).unwrap();

    // A journal whose seq can go no further.
    let mut forger = Forger::new();
    forger.raw(b"foo\n").line(b"no record").line(Forger::keys(u64::MAX).as_bytes());
    forger.lab.put(&forger.bytes);
    assert_eq!(forger.lab.check().seqs(), [1, u64::MAX]);
    let full = forger.lab.ctx.append(Event::new("late").stream("talk", "1"));
    assert!(matches!(full, Err(JournalError::BadEvent { .. })), "{full:?}");
    assert_eq!(forger.lab.bytes(), forger.bytes);
}
