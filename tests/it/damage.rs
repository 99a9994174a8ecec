//! Journals cut at every byte, with every bit flipped, and hurt in every way that we could think of:
//! the reader agrees with the oracle, what was not hit is returned, and appends go on.

use runjournal::{Event, JournalError};

use crate::lab::{Lab, lines};
use crate::oracle::{Kind, Report, Scan};

#[test]
fn the_journal_of_these_tests_has_everything() {
    let lab = Lab::with_everything();
    let scan = lab.check();
    assert_eq!(scan.seqs(), (1..=11).collect::<Vec<_>>());
    assert_eq!(scan.reports.len(), 4);
    assert!(scan.reports.iter().all(|report| report.kind == Kind::Garbage));
    let bytes = lab.bytes();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains("#\n") && text.contains("\\u2028") && text.contains("\\u0085"));
    assert_eq!(text.lines().count(), text.split('\n').count() - 1);
    assert_eq!(Lab::with_little().check().reports.len(), 3);
}

#[test]
fn cut_at_every_byte() {
    let lab = Lab::with_everything();
    let bytes = lab.bytes();
    let whole = lab.check();
    for cut in 0..=bytes.len() {
        let scan = lab.check_all(&bytes[..cut]);
        let kept: Vec<_> = whole.counted.iter().filter(|r| r.together.1 <= cut).cloned().collect();
        assert_eq!(scan.counted, kept, "cut at {cut}");
        assert!(!scan.has_damage(), "cut at {cut}: {:?}", scan.reports);
        let lost = cut - scan.end;
        let last = scan.reports.last().filter(|report| report.kind == Kind::Torn);
        let sealed_off = bytes[scan.end..cut].ends_with(b"#\n");
        assert_eq!(last.is_some(), lost > 0 && !sealed_off, "cut at {cut}: {:?}", scan.reports);
    }
}

/// What one flipped bit may cost, and where it must be reported.
fn check_flip(whole: &Scan, bytes: &[u8], at: usize, scan: &Scan) {
    let untouched = whole.counted.iter().filter(|r| at < r.together.0 || r.together.1 <= at);
    for record in untouched {
        assert!(scan.counted.contains(record), "flipped at {at}: seq {} is lost", record.seq);
    }
    let hurt = whole.counted.iter().any(|r| (r.together.0..r.together.1).contains(&at));
    assert!(!hurt || scan.counted.len() < whole.counted.len(), "flipped at {at}: it still counts");

    let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let end = at + bytes[at..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let covers = |report: &&Report| {
        report.offset <= end as u64 && start as u64 <= report.offset + report.length
    };
    // The very last line break, flipped, looks like a write that was not finished.
    let at_the_end = at + 1 == bytes.len();
    let kind = if at_the_end { Kind::Torn } else { Kind::Damage };
    let told: Vec<_> = scan.reports.iter().filter(|report| report.kind != Kind::Garbage).collect();
    assert_eq!(told.len(), 1, "flipped at {at}: {:?}", scan.reports);
    assert_eq!(told[0].kind, kind, "flipped at {at}: {:?}", scan.reports);
    assert!(covers(&told[0]), "flipped at {at}: {:?}", scan.reports);
    for report in scan.reports.iter().filter(|report| report.kind == Kind::Garbage) {
        assert!(
            whole.reports.iter().any(|old| old.offset <= report.offset
                && report.offset + report.length <= old.offset + old.length),
            "flipped at {at}: {report:?} was no garbage before"
        );
    }
}

#[test]
fn every_bit_flipped() {
    let lab = Lab::with_little();
    let whole = lab.check();
    let bytes = lab.bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            lab.flip(at, 1 << bit);
            let scan = lab.check();
            check_flip(&whole, &bytes, at, &scan);
            // Appends and repairs write; so for one bit of each byte, and all of a line break.
            if bit == at % 8 || bytes[at] == b'\n' {
                lab.go_on(&scan);
                lab.put(&bytes);
            } else {
                lab.flip(at, 1 << bit);
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_everything() {
    let lab = Lab::with_everything();
    let whole = lab.check();
    let bytes = lab.bytes();
    for at in 0..bytes.len() {
        let bits = if bytes[at] == b'\n' { 0..8 } else { at % 8..at % 8 + 1 };
        for bit in bits {
            lab.flip(at, 1 << bit);
            check_flip(&whole, &bytes, at, &lab.check());
            lab.flip(at, 1 << bit);
        }
    }
}

/// Hurts a journal with everything at every line, and once behind the last.
fn at_every_line(hurt: impl Fn(&[&[u8]], usize) -> Vec<u8>) -> Vec<Scan> {
    let lab = Lab::with_everything();
    let bytes = lab.bytes();
    let lines = lines(&bytes);
    (0..=lines.len()).map(|at| lab.check_all(&hurt(&lines, at))).collect()
}

/// The same with something put in before every line, and behind the last.
fn insert(what: &[u8]) -> Vec<Scan> {
    at_every_line(|lines, at| [&lines[..at].concat(), what, &lines[at..].concat()].concat())
}

/// Every scan has damage, and they return this many records.
fn all_damaged(scans: &[Scan]) -> Vec<usize> {
    assert!(scans.iter().all(Scan::has_damage), "damage is not seen");
    scans.iter().map(|scan| scan.counted.len()).collect()
}

#[test]
fn runs_of_nul() {
    let lab = Lab::with_everything();
    let bytes = lab.bytes();
    let whole = lab.check();
    for size in [1, 512, 4096] {
        let nul = vec![0; size];
        // At the end it cannot be told from a write that was not finished, and costs nothing.
        let tail = lab.check_all(&[&bytes[..], &nul].concat());
        assert_eq!(tail.counted, whole.counted);
        assert_eq!(tail.reports.last().unwrap().kind, Kind::Torn);
        for at in (0..bytes.len().saturating_sub(size)).step_by(97) {
            let mut hurt = bytes.clone();
            hurt[at..at + size].copy_from_slice(&nul);
            let scan = lab.check_all(&hurt);
            assert!(scan.has_damage(), "{size} at {at}");
            let hit = |r: &&_| {
                let (from, to): (usize, usize) = (r as &&crate::oracle::Counted).together;
                from < at + size && at < to
            };
            // What is gone for good takes along the one behind it, which has lost its parent.
            let lost = whole.counted.iter().filter(hit).count();
            let also = whole.counted.len() - scan.counted.len() - lost;
            assert!(if size == 1 { also == 0 } else { also <= 3 }, "{size} at {at}: {also}");
        }
        // A file that grew, and whose blocks were not written: NUL from somewhere to the end.
        for cut in (0..bytes.len()).step_by(61) {
            let scan = lab.check_all(&[&bytes[..cut], &nul].concat());
            assert!(!scan.has_damage(), "{size} from {cut}");
        }
    }
}

#[test]
fn foreign_lines() {
    let whole = Lab::with_everything().check().counted.len();
    for what in [
        &b"hello\n"[..],
        b"\n",
        b"{\"seq\":3}\n",
        b"{\"seq\":3,\"event_id\":\"00000000-0000-7000-8000-000000000001\",\"hash\":\"\"}\n",
        b"\xff\xfe not UTF-8\n",
        b"[]\r\n",
        b"\0\n",
    ] {
        let counts = all_damaged(&insert(what));
        // Within a batch, it costs the batch; anywhere else, nothing.
        assert!(counts.iter().all(|count| *count >= whole - 3), "{what:?}: {counts:?}");
        assert!(counts.iter().filter(|count| **count == whole).count() > 10, "{counts:?}");
    }
}

#[test]
fn foreign_text_without_a_line_break() {
    for what in [&b"hello"[..], b"{\"seq\":3}", b"#", b"{", b"\xff\xfe"] {
        let scans = insert(what);
        let (last, inside) = scans.split_last().unwrap();
        all_damaged(inside);
        assert_eq!(last.reports.last().unwrap().kind, Kind::Torn);
        assert!(!last.has_damage());
    }
}

#[test]
fn a_line_that_looks_sealed_off() {
    let lab = Lab::with_everything();
    let whole = lab.check();
    let scans = insert(b"foo#\n");
    let (last, inside) = scans.split_last().unwrap();
    all_damaged(inside);
    assert!(!last.has_damage(), "at the end it looks like what a killed writer left");
    assert_eq!(last.counted, whole.counted);
}

#[test]
fn lines_doubled() {
    let whole = Lab::with_everything().check().counted.len();
    let scans = at_every_line(|lines, at| {
        let again = lines.get(at).copied().unwrap_or(lines[0]);
        [&lines[..at].concat(), again, &lines[at..].concat()].concat()
    });
    let counts = all_damaged(&scans);
    assert!(counts.iter().all(|count| *count >= whole - 3), "{counts:?}");
}

#[test]
fn lines_removed() {
    let lab = Lab::with_everything();
    let whole = lab.check();
    let bytes = lab.bytes();
    let lines = lines(&bytes);
    for at in 0..lines.len() {
        let scan = lab.check_all(&[lines[..at].concat(), lines[at + 1..].concat()].concat());
        let start = lines[..at].concat().len();
        let end = start + lines[at].len();
        if end == bytes.len() {
            assert_eq!(scan.reports, whole.reports, "the end is missed only against a copy");
            continue;
        }
        assert!(scan.has_damage() || scan.refuses, "line {at} was taken out");
        // Nothing before it is lost; behind it, what can no longer be chained.
        let before = whole.counted.iter().filter(|record| record.together.1 <= start).count();
        assert!(scan.counted.len() >= before);
        let garbage = !whole.counted.iter().any(|record| record.start == start);
        assert!(!garbage || scan.counted.len() == whole.counted.len(), "line {at} was garbage");
    }
}

#[test]
fn lines_swapped() {
    let lab = Lab::with_everything();
    let whole = lab.check();
    let bytes = lab.bytes();
    let lines = lines(&bytes);
    for first in 0..lines.len() {
        for second in first + 1..lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(first, second);
            lab.put(&swapped.concat());
            let scan = lab.check();
            assert!(scan.has_damage(), "{first} and {second}");
            if second == first + 1 {
                lab.go_on(&scan);
            }
            let start = lines[..first].concat().len();
            let before = whole.counted.iter().filter(|record| record.together.1 <= start).count();
            assert!(scan.counted.len() >= before, "{first} and {second}");
        }
    }
}

#[test]
fn an_editor_changes_all_line_breaks() {
    let lab = Lab::with_everything();
    let text = String::from_utf8(lab.bytes()).unwrap();
    let scan = lab.check_all(text.replace('\n', "\r\n").as_bytes());
    assert_eq!((scan.counted.len(), scan.refuses), (0, true));
    let scan = lab.check_all(text.trim_end().as_bytes());
    assert_eq!((scan.counted.len(), scan.has_damage()), (10, false));
    let scan = lab.check_all(format!("\u{feff}{text}").as_bytes());
    assert_eq!((scan.counted.len(), scan.has_damage()), (10, true));
    let scan = lab.check_all(text.replace('\n', " ").as_bytes());
    assert_eq!((scan.counted.len(), scan.has_damage()), (0, false), "it is all tail");
}

#[test]
fn very_long_lines() {
    let lab = Lab::with_little();
    let whole = lab.check();
    let bytes = lab.bytes();
    let long = vec![b'x'; 5 << 20];
    let json = [&b"{\"seq\":9,\"x\":\""[..], &long, b"\"}\n"].concat();
    for at in [0, whole.counted[0].end, whole.counted[3].end] {
        let scan = lab.check_all(&[&bytes[..at], &json, &bytes[at..]].concat());
        assert_eq!(scan.counted.len(), whole.counted.len());
        assert!(scan.has_damage());
    }
    let scan = lab.check_all(&[&bytes[..], &json].concat());
    assert_eq!((scan.counted.len(), scan.refuses), (whole.counted.len(), true));
    let scan = lab.check_all(&[&bytes[..], &long].concat());
    assert_eq!((scan.counted.len(), scan.refuses), (whole.counted.len(), false));
    // Also where the long line is a record whose bytes were swollen: its hash still leads on.
    let body = whole.counted[3].start + 20;
    let scan = lab.check_all(&[&bytes[..body], &long, &bytes[body..]].concat());
    assert!(scan.counted.len() >= whole.counted.len() - 1, "{:?}", scan.reports);
}

#[test]
fn more_damage_than_tips_are_kept() {
    let lab = Lab::new();
    let writer = lab.ctx.journal().unwrap();
    for n in 0..40 {
        writer.append(Event::new("noted").payload(&n)).unwrap();
    }
    let bytes = lab.bytes();
    let lines = lines(&bytes);
    for hurt in [1, 2, 15, 16, 17, 18, 30] {
        for what in 0..3 {
            let mut all: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
            for line in &mut all[5..5 + hurt] {
                let len = line.len();
                match what {
                    0 => line[9] ^= 1,
                    1 => line[len - 10] ^= 1,
                    _ => line[len - 1] ^= 1,
                }
            }
            let scan = lab.check_all(&all.concat());
            assert!(scan.has_damage() && scan.counted.len() >= 5, "{hurt}");
            if what == 0 {
                assert_eq!(scan.counted.len(), 40 - hurt, "their own hash texts lead on");
            }
        }
    }
}

#[test]
fn the_journal_of_another_run() {
    let (lab, other) = (Lab::with_everything(), Lab::with_little());
    let (own, others) = (lab.bytes(), other.bytes());
    let scan = lab.check_all(&[&own[..], &others].concat());
    assert_eq!((scan.counted.len(), scan.refuses), (11, true));
    // Two runs of tests have the same ids and times, and so the same genesis file: change this one.
    let text = String::from_utf8(others).unwrap().replace("RUN-1", "RUN-2");
    let scan = lab.check_all(text.as_bytes());
    assert_eq!((scan.counted.len(), scan.refuses), (0, true));
}

#[test]
fn a_damaged_genesis_file() {
    let lab = Lab::with_little();
    let path = lab.ctx.run_path().join("run.json");
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut hurt = whole.clone();
        hurt[at] ^= 1 << (at % 8);
        std::fs::write(&path, &hurt).unwrap();
        let read = lab.ctx.events().map(|_| ());
        let appended = lab.ctx.append(Event::new("late")).map(|_| ());
        for result in [read, appended] {
            assert!(
                matches!(
                    result,
                    Err(JournalError::Genesis(runjournal::GenesisError::Damaged { .. }))
                ),
                "flipped at {at}: {result:?}"
            );
        }
    }
    std::fs::write(&path, &whole).unwrap();
    lab.check();
}

#[test]
fn a_reader_in_small_steps() {
    let lab = Lab::with_everything();
    let bytes = lab.bytes();
    let mut hurt = bytes.clone();
    hurt[bytes.len() / 2] ^= 4;
    for bytes in [bytes, hurt] {
        lab.put(&bytes);
        let scan = lab.check();
        let reports = lab.read().1;
        for after in 0..=scan.last_seq() + 1 {
            let mut events = lab.ctx.events().unwrap().after(after);
            let seqs: Vec<u64> = events.by_ref().map(|record| record.unwrap().seq()).collect();
            let expected: Vec<u64> = scan.seqs().into_iter().filter(|seq| *seq > after).collect();
            assert_eq!(seqs, expected);
            assert_eq!(events.findings().len(), reports.len());
            assert!(events.next().is_none(), "an iterator that ended began again");
        }
    }
}

/// The reader and the writer read a mebibyte at a time.
#[test]
fn a_journal_of_several_mebibytes() {
    let lab = Lab::new();
    let writer = lab.ctx.journal().unwrap();
    let text = "x".repeat(300_000);
    for _ in 0..4 {
        writer.append(Event::new("noted").payload(&text)).unwrap();
    }
    let batch = vec![Event::new("noted").payload(&text); 4];
    writer.append_batch(&batch).unwrap();
    lab.killed(&batch, |written| written * 2 / 3);
    writer.append(Event::new("noted")).unwrap();
    let bytes = lab.bytes();
    let whole = lab.check();
    assert_eq!((whole.counted.len(), whole.reports.len()), (9, 1));
    let lines = lines(&bytes);
    for at in 0..lines.len() {
        let end = lines[..=at].concat().len();
        for back in [1, 70, lines[at].len().min(200)] {
            lab.flip(end - back, 1);
            let scan = lab.check();
            check_flip(&whole, &bytes, end - back, &scan);
            lab.flip(end - back, 1);
        }
    }
    for cut in [1, 2, 3].map(|n| n << 20) {
        for cut in cut - 1..=cut + 1 {
            assert!(!lab.check_all(&bytes[..cut.min(bytes.len())]).has_damage());
        }
    }
}

#[test]
fn while_somebody_holds_the_lock() {
    let lab = Lab::new();
    lab.ctx.append(Event::new("noted")).unwrap();
    let whole = lab.bytes();
    let lock = std::fs::File::open(lab.ctx.run_path().join("journal/.lock")).unwrap();
    lock.lock().unwrap();
    let garbage = Report { offset: whole.len() as u64, length: 6, kind: Kind::Garbage };
    // An unfinished write is in flight, and no finding; what is sealed off is garbage for good.
    lab.put(&[&whole[..], b"half#\n{\"seq\":2,"].concat());
    let (records, reports) = lab.read();
    assert_eq!((records.len(), reports), (1, vec![garbage]));
    // Damage is not believed before it was read again under the lock.
    lab.put(&[&whole[..], b"half#\nfoo\n"].concat());
    let ctx = lab.ctx.clone().with_lock_timeout(std::time::Duration::ZERO);
    let read = ctx.events().unwrap().read_all();
    assert!(matches!(read, Err(JournalError::LockTimeout { .. })), "{read:?}");
    lock.unlock().unwrap();
    lab.check();
}

/// A journal that was put back to an earlier state, and went on from there.
#[test]
fn a_kept_writer_starts_over_where_the_journal_is_another() {
    for more in [0, 1, 2, 5] {
        let lab = Lab::new();
        let kept = lab.ctx.journal().unwrap();
        kept.append(Event::new("noted").stream("talk", "1")).unwrap();
        let earlier = lab.bytes();
        kept.append(Event::new("noted").stream("talk", "1").key("lost")).unwrap();
        kept.append(Event::new("noted").stream("talk", "1")).unwrap();
        lab.put(&earlier);
        for _ in 0..more {
            lab.ctx.append(Event::new("went_on").payload("another length")).unwrap();
        }
        let next = kept.append(Event::new("noted").stream("talk", "1").key("lost")).unwrap();
        assert_eq!((next.seq, next.stream_version, next.duplicate), (2 + more, 1, false));
        let scan = lab.check();
        assert_eq!((scan.last_seq(), scan.reports), (2 + more, vec![]));
    }
}
