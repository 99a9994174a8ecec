//! The independent reader in `tests/independent_reader.py`, written from docs/format.md alone, agrees
//! with the library: on every fixture, on hurt journals, and on canonical JSON.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::testing::TestWorkspace;
use runjournal::{Artifact, Record, TaskId, Workspace};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fixtures;
use crate::lab::{self, Lab, lines};
use crate::oracle::Report;

/// What it says of one directory.
#[derive(Debug, Deserialize)]
struct Told {
    genesis: String,
    records: Vec<Line>,
    reports: Vec<Report>,
    artifacts: BTreeMap<String, String>,
    objects: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Line {
    seq: u64,
    event_id: String,
    event_type: String,
    stream: String,
    stream_version: u64,
}

impl Line {
    fn of(record: &Record) -> Self {
        Self {
            seq: record.seq(),
            event_id: record.event_id().to_string(),
            event_type: record.event_type().to_owned(),
            stream: record.stream(),
            stream_version: record.stream_version(),
        }
    }
}

/// Runs it; `None`, and a line that the test harness does not hide, where there is no Python.
fn python(arguments: &[&Utf8Path]) -> Option<Vec<u8>> {
    let script = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/independent_reader.py");
    match Command::new("python3").arg(script).args(arguments).output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {errors}", output.status);
            Some(output.stdout)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let skipped = b"skipped: independent reader: python3 is not installed\n";
            std::io::stderr().write_all(skipped).unwrap();
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// What it says of these directories, in their order.
fn look(dirs: &[Utf8PathBuf]) -> Option<Vec<Told>> {
    let dirs: Vec<&Utf8Path> = dirs.iter().map(Utf8PathBuf::as_path).collect();
    let told = String::from_utf8(python(&dirs)?).unwrap();
    let told: Vec<Told> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), dirs.len());
    Some(told)
}

#[test]
fn it_reads_the_fixtures_as_we_do() {
    let copies = fixtures::all();
    let runs: Vec<_> = copies.iter().map(|copy| copy.run.clone()).collect();
    let tasks: Vec<_> = copies.iter().map(|copy| copy.task.clone()).collect();
    let (Some(runs), Some(tasks)) = (look(&runs), look(&tasks)) else { return };
    for (copy, (run, task)) in copies.iter().zip(runs.into_iter().zip(tasks)) {
        let (name, expected) = (copy.name, &copy.expected);
        let seqs: Vec<u64> = run.records.iter().map(|line| line.seq).collect();
        assert_eq!(run.genesis, expected.genesis, "{name}");
        assert_eq!(seqs, expected.records, "{name}");
        assert_eq!(run.reports, expected.reports, "{name}");
        assert_eq!(run.artifacts, expected.artifacts, "{name}");
        assert_eq!(run.objects, expected.objects, "{name}");
        if let Some(events) = copy.ctx.as_ref().ok().and_then(|ctx| ctx.events().ok()) {
            let (records, _) = events.read_all().unwrap();
            assert_eq!(run.records, records.iter().map(Line::of).collect::<Vec<_>>(), "{name}");
        }
        let ours = Workspace::open(copy.task.parent().unwrap()).unwrap();
        let ours = ours.task(TaskId::new("TASK-1").unwrap()).unwrap();
        let (records, findings) = ours.events().unwrap().read_all().unwrap();
        assert_eq!(task.records, records.iter().map(Line::of).collect::<Vec<_>>(), "{name}");
        assert_eq!((task.genesis.as_str(), task.reports.len(), findings.len()), ("ok", 0, 0));
    }
}

#[test]
fn it_reads_hurt_journals_as_we_do() {
    let lab = Lab::with_everything();
    let bytes = lab.bytes();
    let all = lines(&bytes);
    let mut hurt: Vec<Vec<u8>> = Vec::new();
    for at in 0..all.len() {
        let end = all[..=at].concat().len();
        let flipped = |back: usize, mask: u8| {
            let mut bytes = bytes.clone();
            bytes[end - back] ^= mask;
            bytes
        };
        hurt.push(flipped(1, 1 << (at % 8)));
        hurt.push(flipped(all[at].len().min(70), 1 << (at % 8)));
        hurt.push([all[..at].concat(), all[at + 1..].concat()].concat());
        hurt.push([&bytes[..end], all[at / 2], &bytes[end..]].concat());
        hurt.push([&bytes[..end], b"foo#\n", &bytes[end..]].concat());
        hurt.push(bytes[..end - all[at].len() / 3].to_vec());
    }
    hurt.extend(crate::forged::journals().into_iter().map(|(bytes, _)| bytes));
    // Each in a run of its own, so that Python starts once.
    let genesis = fs::read(lab.ctx.run_path().join("run.json")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let runs: Vec<Utf8PathBuf> = (0..hurt.len())
        .map(|number| Utf8Path::from_path(dir.path()).unwrap().join(number.to_string()))
        .collect();
    for (run, bytes) in runs.iter().zip(&hurt) {
        fs::create_dir_all(run.join("journal")).unwrap();
        fs::write(run.join("run.json"), &genesis).unwrap();
        fs::write(run.join("journal/events.jsonl"), bytes).unwrap();
    }
    let Some(told) = look(&runs) else { return };
    for (bytes, told) in hurt.iter().zip(told) {
        lab.put(bytes);
        lab.check();
        let (records, reports) = lab::read(&lab.ctx);
        assert_eq!(told.records, records.iter().map(Line::of).collect::<Vec<_>>());
        assert_eq!(told.reports, reports);
    }
}

#[test]
fn it_writes_canonical_json_as_we_do() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let given = Utf8Path::from_path(dir.path()).unwrap().join("given.json");
    const CANONICAL: Artifact<Box<RawValue>> = Artifact::json("canonical.json");
    // Doubles of every size, with more digits than they need and with fewer.
    let mut bits = 1_u64;
    let doubles = (0..2000).map(|n| {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let double = f64::from_bits(bits);
        if double.is_finite() { format!("{double:.*e}", n % 25) } else { "0.5".to_owned() }
    });
    let doubles = format!("[{}]", doubles.collect::<Vec<_>>().join(","));
    for json in [
        doubles.as_str(),
        r#"{"b":1,"a":[],"c":{},"B":[1,[2,{}]],"":null,"\u00e9":true,"z":false}"#,
        r#"{"a":1,"a":2,"\u0061":3}"#,
        r#"["\u2028\u2029\u007f\u0085\u0000\u001f\/\"\\\b\f\n\r\t","\ud83e\udd80","é"]"#,
        r#"{"ﬀ":1,"😀":2,"\uffff":3,"a\u0000":4,"a":5}"#,
        "[0,-0,1,-1,123456789012345678901234567890,-9223372036854775809,18446744073709551616]",
        "[0.0,-0.0,1.0,1.50,1e0,1E+2,1e-5,1e-6,1e-7,1.5e-7,1e15,1e16,1.25e17,1e21,1e22,1.5e300]",
        "[0.1,0.30000000000000004,5e-324,1.7976931348623157e308,2.2250738585072014e-308,123456.789]",
        "[1e1,100e-2,12345678901234567890.0,9007199254740993.0,4.35,0.00001,0.000123]",
        " \t\r\n\"one string\" ",
        "7",
        "{}",
        "[[[[[[[[]]]]]]]]",
    ] {
        fs::write(&given, json).unwrap();
        let Some(theirs) = python(&["--canonical".into(), &given]) else { return };
        let raw = RawValue::from_string(json.trim().to_owned()).unwrap();
        ctx.artifacts().write(CANONICAL, &raw).unwrap();
        let ours = fs::read(ctx.run_path().join("artifacts/canonical.json")).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(&theirs), text(&ours), "{json}");
    }
}
