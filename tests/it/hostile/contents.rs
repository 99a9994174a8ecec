//! Contents: JSON that is deep, doubled, huge, in the wrong letters; lines that no library writes, though each of
//! them chains; and what somebody gives to the library as JSON.

use runjournal::*;
use serde_json::Value;

use super::Case;
use super::lab::{Lab, said};

/// How many records of the open run count, and what is told of the rest.
fn events(lab: &Lab) -> String {
    match lab.ctx().events().and_then(Events::read_all) {
        Ok((records, findings)) => format!("{} count, {}", records.len(), lab.told(&findings)),
        Err(error) => said::<(), _>(Err(error)),
    }
}

fn append(lab: &Lab) -> String {
    said(lab.ctx().append(Event::new("noted")).map(|appended| appended.seq))
}

fn verify(lab: &Lab) -> String {
    lab.verify()
}

/// The payload of the last record, as JSON of any kind.
fn payload(lab: &Lab) -> String {
    let (records, _) = lab.ctx().events().unwrap().read_all().unwrap();
    said(records.last().unwrap().payload::<Value>().map(|value| value.to_string().len()))
}

/// The payload of the last record as it stands there.
fn payload_as_it_is(lab: &Lab) -> String {
    let (records, _) = lab.ctx().events().unwrap().read_all().unwrap();
    said(records.last().unwrap().payload_json().map(|json| json.unwrap().into_owned()))
}

fn refresh(lab: &Lab) -> String {
    let index = index::Index::of(&lab.workspace());
    said(index.rebuild().and_then(|_| index.open()).and_then(|reader| {
        reader.events(&index::EventQuery::new().of_run("TASK-1", "RUN-1")).map(|p| p.rows.len())
    }))
}

/// An artifact with this content.
fn content(lab: &Lab, content: impl AsRef<[u8]>) {
    lab.ctx().artifacts().write_bytes(super::lab::A, content.as_ref()).unwrap();
}

/// That, read as any JSON.
fn json(lab: &Lab) -> String {
    let read = lab.ctx().artifacts().read(Artifact::<Value>::json("a.txt"));
    said(read.map(|value| value.to_string()))
}

/// An event with this payload, written and read back.
fn event(lab: &Lab, json: &str) -> String {
    let json: Box<serde_json::value::RawValue> = serde_json::from_str(json).unwrap();
    let appended = lab.ctx().append(Event::new("noted").payload(&json));
    match appended {
        Ok(_) => payload_as_it_is(lab),
        Err(error) => said::<(), _>(Err(error)),
    }
}

fn deep(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// What the tool appends from its standard input, or from an argument.
fn tool_append(lab: &Lab, payload: &str) -> String {
    lab.tool(&["event", "append", "-r", "TASK-1/RUN-1", "noted", "--payload", payload])
}

const CHAINED: &str = "8 count, told broken_chain R/journal/events.jsonl";
const VALID: &str = "9 count, told";
const DAMAGED: &str = "8 count, told journal_damaged R/journal/events.jsonl";

pub(super) const CONTENTS: &[Case] = &[
    // Lines that are records, whatever stands in them.
    ("line: a payload 127 deep", |l| l.next(&format!(",\"payload\":{}", deep(126))), events, VALID),
    (
        "line: a payload 127 deep, decoded",
        |l| l.next(&format!(",\"payload\":{}", deep(126))),
        payload,
        "ok 252",
    ),
    (
        "line: a payload 128 deep, decoded",
        |l| l.next(&format!(",\"payload\":{}", deep(128))),
        payload,
        "recursion limit",
    ),
    (
        "line: a payload 10,000 deep",
        |l| l.next(&format!(",\"payload\":{}", deep(10_000))),
        events,
        "count, told",
    ),
    (
        "line: a payload 10,000 deep, decoded",
        |l| l.next(&format!(",\"payload\":{}", deep(10_000))),
        payload,
        "recursion limit",
    ),
    (
        "line: a payload 10,000 deep, indexed",
        |l| l.next(&format!(",\"payload\":{}", deep(10_000))),
        refresh,
        "ok 9",
    ),
    (
        "line: an unknown key 200,000 deep",
        |l| l.next(&format!(",\"odd\":{}", deep(200_000))),
        events,
        "count, told",
    ),
    ("line: the payload twice", |l| l.next(",\"payload\":1,\"payload\":2"), events, "count, told"),
    (
        "line: the seq twice, another first",
        |l| l.next_with("", |b| b.replacen("{\"seq\"", "{\"seq\":1,\"seq\"", 1)),
        events,
        CHAINED,
    ),
    ("line: the seq twice, another last", |l| l.next(",\"seq\":77"), events, CHAINED),
    ("line: the version twice", |l| l.next(",\"stream_version\":9"), events, CHAINED),
    (
        "line: the hash twice",
        |l| l.next(&format!(",\"hash\":\"{}\"", "0".repeat(64))),
        events,
        "count, told",
    ),
    (
        "line: a key by an escape",
        |l| l.next_with("", |b| b.replacen("\"seq\"", "\"s\\u0065q\"", 1)),
        events,
        "count, told",
    ),
    ("line: 1e400", |l| l.next(",\"payload\":1e400"), payload_as_it_is, "ok \"1e400\""),
    ("line: 1e400, decoded", |l| l.next(",\"payload\":1e400"), payload, "number out of range"),
    (
        "line: a number of 1,000 digits",
        |l| l.next(&format!(",\"payload\":{}", "9".repeat(1000))),
        payload_as_it_is,
        "99999",
    ),
    ("line: minus zero", |l| l.next(",\"payload\":-0"), payload_as_it_is, "ok \"-0\""),
    (
        "line: 2^53 + 1 is exact",
        |l| l.next(",\"payload\":9007199254740993"),
        payload_as_it_is,
        "9007199254740993",
    ),
    (
        "line: a lone surrogate in the payload",
        |l| l.next(",\"payload\":\"\\ud800\""),
        events,
        VALID,
    ),
    ("line: a lone surrogate, decoded", |l| l.next(",\"payload\":\"\\ud800\""), payload, "refused"),
    (
        "line: a lone surrogate in the stream",
        |l| l.next_with("", |b| b.replacen("\"1\"", "\"\\ud800\"", 1)),
        events,
        CHAINED,
    ),
    ("line: U+2028 as it is", |l| l.next(",\"payload\":\"\u{2028}\""), events, VALID),
    ("line: NUL as it is", |l| l.next(",\"payload\":\"\0\""), events, CHAINED),
    ("line: NUL as an escape", |l| l.next(",\"payload\":\"\\u0000\""), events, VALID),
    ("line: not UTF-8", |l| l.next_bytes(b"{\"seq\":9,\"payload\":\"\xff\xfe\""), events, CHAINED),
    (
        "line: a surrogate in UTF-8",
        |l| l.next_bytes(b"{\"seq\":9,\"payload\":\"\xed\xa0\x80\""),
        events,
        CHAINED,
    ),
    (
        "line: a byte order mark first",
        |l| l.next_with("", |b| format!("\u{feff}{b}")),
        events,
        CHAINED,
    ),
    ("line: CRLF", |l| l.append("R/journal/events.jsonl", "\r\n"), events, DAMAGED),
    ("line: an empty one", |l| l.append("R/journal/events.jsonl", "\n"), events, DAMAGED),
    ("line: an array", |l| l.next_bytes(b"[9"), events, CHAINED),
    ("line: nothing but its end", |l| l.next_bytes(b"{"), events, CHAINED),
    (
        "line: `#` alone is a killed writer's",
        |l| l.append("R/journal/events.jsonl", "{\"seq\":9,#\n"),
        events,
        "garbage",
    ),
    (
        "line: a tail of NULs",
        |l| l.append("R/journal/events.jsonl", [0; 5000]),
        events,
        "torn_tail",
    ),
    (
        "line: a tail of NULs, appended to",
        |l| l.append("R/journal/events.jsonl", [0; 5000]),
        append,
        "ok 9",
    ),
    (
        "line: 4 MiB without an end",
        |l| l.append("R/journal/events.jsonl", vec![b'x'; 4 << 20]),
        events,
        "torn_tail",
    ),
    (
        "line: 4 MiB",
        |l| l.append("R/journal/events.jsonl", [vec![b'x'; 4 << 20], b"\n".to_vec()].concat()),
        events,
        DAMAGED,
    ),
    (
        "line: 4 MiB, appended to",
        |l| l.append("R/journal/events.jsonl", [vec![b'x'; 4 << 20], b"\n".to_vec()].concat()),
        append,
        "is damaged at byte",
    ),
    // Lines that are none.
    (
        "line: of another seq",
        |l| l.next_with("", |b| b.replacen("\"seq\":9", "\"seq\":10", 1)),
        events,
        "8 count, told",
    ),
    (
        "line: seq zero",
        |l| l.next_with("", |b| b.replacen("\"seq\":9", "\"seq\":0", 1)),
        events,
        "8 count, told",
    ),
    (
        "line: a negative seq",
        |l| l.next_with("", |b| b.replacen("\"seq\":9", "\"seq\":-9", 1)),
        events,
        CHAINED,
    ),
    (
        "line: the last seq of all",
        |l| l.next_with("", |b| b.replacen("\"seq\":9", "\"seq\":18446744073709551615", 1)),
        append,
        "refused",
    ),
    (
        "line: a seq beyond all",
        |l| l.next_with("", |b| b.replacen("\"seq\":9", "\"seq\":18446744073709551616", 1)),
        events,
        CHAINED,
    ),
    (
        "line: a seq with an exponent",
        |l| l.next_with("", |b| b.replacen("\"seq\":9", "\"seq\":9e0", 1)),
        events,
        CHAINED,
    ),
    (
        "line: a seq that is text",
        |l| l.next_with("", |b| b.replacen("\"seq\":9", "\"seq\":\"9\"", 1)),
        events,
        CHAINED,
    ),
    (
        "line: the last version of all",
        |l| {
            l.next_with("", |b| {
                b.replacen("\"stream_version\":0", "\"stream_version\":18446744073709551615", 1)
            })
        },
        verify,
        "version_gap R/journal/events.jsonl",
    ),
    (
        "line: the last version, appended to",
        |l| {
            l.next_with("", |b| {
                b.replacen("\"stream_version\":0", "\"stream_version\":18446744073709551615", 1)
            })
        },
        |l| said(l.ctx().append(Event::new("noted").stream("talk", "1"))),
        "refused",
    ),
    (
        "line: the year 10000",
        |l| l.next_with("", |b| b.replacen("2026", "10000", 1)),
        events,
        CHAINED,
    ),
    (
        "line: the year -1",
        |l| l.next_with("", |b| b.replacen("2026", "-0001", 1)),
        events,
        "count, told",
    ),
    (
        "line: the 31st of February",
        |l| l.next_with("", |b| b.replacen("01-01", "02-31", 1)),
        events,
        CHAINED,
    ),
    (
        "line: a leap second",
        |l| l.next_with("", |b| b.replacen("00:00:00", "23:59:60", 1)),
        events,
        "count, told",
    ),
    ("line: a batch of none", |l| l.next(",\"batch_index\":0,\"batch_size\":0"), events, CHAINED),
    (
        "line: a batch without an end",
        |l| l.next(",\"batch_index\":0,\"batch_size\":4294967295"),
        events,
        CHAINED,
    ),
    (
        "line: a batch that is too large for its number",
        |l| l.next(",\"batch_index\":0,\"batch_size\":18446744073709551616"),
        events,
        CHAINED,
    ),
    (
        "line: half a batch",
        |l| l.next(",\"batch_index\":0,\"batch_size\":2"),
        events,
        "8 count, told torn_tail",
    ),
    (
        "line: garbage that never was",
        |l| {
            l.next(&format!(
                ",\"garbage\":{{\"bytes\":18446744073709551615,\"digest\":\"blake3:{}\"}}",
                "0".repeat(64)
            ))
        },
        events,
        "journal_damaged",
    ),
    (
        "line: a payload by a path",
        |l| l.next(",\"payload_ref\":{\"digest\":\"../../../O/secret\",\"size\":1}"),
        events,
        CHAINED,
    ),
    (
        "line: a payload of no size",
        |l| {
            l.next(&format!(
                ",\"payload_ref\":{{\"digest\":\"{}\",\"size\":18446744073709551615}}",
                Digest::of(b"second of RUN-1")
            ))
        },
        payload,
        "refused",
    ),
    (
        "line: of the run beside it",
        |l| {
            let other = std::fs::read_to_string(l.at("D/journal/events.jsonl")).unwrap();
            l.append("R/journal/events.jsonl", format!("{}\n", other.lines().last().unwrap()))
        },
        events,
        "8 count, told",
    ),
    (
        "line: the one before, once more",
        |l| {
            let own = std::fs::read_to_string(l.at("R/journal/events.jsonl")).unwrap();
            l.append("R/journal/events.jsonl", format!("{}\n", own.lines().last().unwrap()))
        },
        events,
        "8 count, told",
    ),
    (
        "journal: of the run beside it",
        |l| {
            l.file("R/journal/events.jsonl", std::fs::read(l.at("D/journal/events.jsonl")).unwrap())
        },
        events,
        "told broken_chain R/journal",
    ),
    (
        "journal: of its task",
        |l| {
            l.file("R/journal/events.jsonl", std::fs::read(l.at("T/journal/events.jsonl")).unwrap())
        },
        events,
        "told broken_chain R/journal",
    ),
    // What is given to the library.
    ("event: 10,000 deep", |_| {}, |l| event(l, &deep(10_000)), "refused"),
    ("event: 1e400", |_| {}, |l| event(l, "1e400"), "ok \"1e400\""),
    ("event: 1,000 digits", |_| {}, |l| event(l, &"7".repeat(1000)), "ok \"7777"),
    ("event: minus zero", |_| {}, |l| event(l, "[-0, -0.0]"), "-0"),
    ("event: a lone surrogate", |_| {}, |l| event(l, "\"\\udfff\""), "ok \"\\\"\\\\udfff"),
    ("event: keys twice", |_| {}, |l| event(l, "{\"a\":1,\"a\":2}"), "ok"),
    (
        "event: line breaks between",
        |_| {},
        |l| event(l, "{\r\n\"a\"\n:\t1}"),
        "ok \"{\\\"a\\\":1}\"",
    ),
    (
        "event: U+2028 and U+2029",
        |_| {},
        |l| event(l, "\"\u{2028}\u{2029}\u{85}\""),
        "\\\\u2028\\\\u2029",
    ),
    (
        "event: metadata that is no object",
        |_| {},
        |l| said(l.ctx().append(Event::new("noted").metadata(&[1]))),
        "refused",
    ),
    (
        "event: NaN",
        |_| {},
        |l| said(l.ctx().append(Event::new("noted").payload(&f64::NAN)).map(|a| a.seq)),
        "ok",
    ),
    (
        "event: 2 MiB of metadata",
        |_| {},
        |l| {
            said(l.ctx().append(
                Event::new("noted").metadata(&serde_json::json!({"m": "m".repeat(2 << 20)})),
            ))
        },
        "a line of the journal (bytes)",
    ),
    (
        "event: 1,025 at once",
        |_| {},
        |l| said(l.ctx().journal().unwrap().append_batch(&vec![Event::new("noted"); 1025])),
        "a batch (records)",
    ),
    (
        "event: none at once",
        |_| {},
        |l| said(l.ctx().journal().unwrap().append_batch(&[])),
        "ok []",
    ),
    ("event: by the tool, no JSON", |_| {}, |l| tool_append(l, "{'a': 1}"), "it ends with 2"),
    (
        "event: by the tool, 10,000 deep",
        |_| {},
        |l| tool_append(l, &deep(10_000)),
        "nests deeper than 127 levels",
    ),
    ("JSON: JSON 128 deep", |l| content(l, deep(128)), json, "recursion limit"),
    ("JSON: JSON 10,000 deep", |l| content(l, deep(10_000)), json, "recursion limit"),
    ("JSON: a byte order mark", |l| content(l, "\u{feff}{}"), json, "does not read as the JSON"),
    ("JSON: UTF-16", |l| content(l, b"\xff\xfe{\0}\0"), json, "does not read as the JSON"),
    ("JSON: two values", |l| content(l, "1 2"), json, "trailing characters"),
    (
        "JSON: keys twice, the last counts",
        |l| content(l, "{\"a\":1,\"a\":2}"),
        json,
        "ok \"{\\\"a\\\":2}\"",
    ),
    ("JSON: a lone surrogate", |l| content(l, "\"\\ud800\""), json, "does not read as the JSON"),
    ("JSON: NULs behind it", |l| content(l, "{}\0\0"), json, "trailing characters"),
];
