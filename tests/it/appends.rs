//! Single appends: expected versions, keys, what is filled in, and what is refused.

use runjournal::testing::TestWorkspace;
use runjournal::*;

#[test]
fn an_expected_version_lets_one_of_two_through() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let event = |expected| Event::new("moved").stream("piece", "king").expect(expected);
    let refused = |expected, found: Option<u64>| match ctx.append(event(expected)) {
        Err(JournalError::VersionConflict { stream, found: at, .. }) => {
            assert_eq!((stream.as_str(), at), ("piece/king", found));
        }
        other => panic!("{other:?}"),
    };
    refused(ExpectedVersion::Exact(0), None);
    ctx.append(event(ExpectedVersion::NoStream)).unwrap();
    refused(ExpectedVersion::NoStream, Some(0));
    refused(ExpectedVersion::Exact(1), Some(0));
    assert_eq!(ctx.append(event(ExpectedVersion::Exact(0))).unwrap().stream_version, 1);
    assert_eq!(ctx.append(event(ExpectedVersion::Any)).unwrap().stream_version, 2);
    let batch = [event(ExpectedVersion::Any), event(ExpectedVersion::Exact(0))];
    assert!(ctx.journal().unwrap().append_batch(&batch).is_err());
    assert_eq!(ctx.events().unwrap().count(), 3, "a batch is refused whole");
}

#[test]
fn a_key_returns_the_first_record_or_says_what_differs() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let journal = ctx.journal().unwrap();
    let event = || Event::new("paid").payload(&serde_json::json!({"sum": 1, "to": "a"})).key("k");
    let first = journal.append(event()).unwrap();
    let reordered = Event::new("paid").payload(&serde_json::json!({"to": "a", "sum": 1})).key("k");
    for again in [journal.append(event()), ctx.append(event()), journal.append(reordered)] {
        let again = again.unwrap();
        assert!(again.duplicate && again.seq == first.seq && again.event_id == first.event_id);
    }
    let differ = |events: &[Event], what: &str| match journal.append_batch(events) {
        Err(JournalError::KeyConflict { seq: 1, difference, .. }) => assert_eq!(difference, what),
        other => panic!("{other:?}"),
    };
    differ(&[event(), Event::new("x")], "number of events");
    differ(&[Event::new("paid_back").key("k")], "type");
    differ(&[event().stream("account", "b")], "stream");
    differ(&[event().payload(&serde_json::json!({"sum": 2, "to": "a"}))], "payload");
    let second_key = journal.append_batch(&[Event::new("x").key("a"), Event::new("x").key("b")]);
    assert!(matches!(second_key, Err(JournalError::BadEvent { .. })));
    assert_eq!(ctx.events().unwrap().count(), 1);
}

#[test]
fn integers_of_any_size_and_line_breaks_of_any_kind_are_kept() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("counted").payload(&u128::MAX)).unwrap();
    let text = "a\u{2028}b\u{85}c\u{7f}d\re\nf";
    ctx.append(Event::new("said").payload(text)).unwrap();
    let raw: Box<serde_json::value::RawValue> =
        serde_json::from_str("{\"big\": 123456789012345678901234567890,\n \"deep\": [1]}").unwrap();
    ctx.append(Event::new("raw").payload(&raw)).unwrap();
    let records: Vec<_> = ctx.events().unwrap().map(Result::unwrap).collect();
    assert_eq!(records[0].payload::<u128>().unwrap(), u128::MAX);
    assert_eq!(records[1].payload::<String>().unwrap(), text);
    let json = records[2].payload_json().unwrap();
    assert_eq!(json.unwrap(), "{\"big\":123456789012345678901234567890,\"deep\":[1]}");
    let lines = std::fs::read_to_string(ctx.journal_path()).unwrap();
    assert_eq!(lines.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count(), 4);
}

#[test]
fn what_is_not_set_is_filled_in() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let trace = ctx.run().unwrap().genesis().trace_id.clone();
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    let ctx =
        ctx.with_actor(Actor::new("human", Some("ada".into()))).with_traceparent(&traceparent);
    ctx.append(Event::new("seen")).unwrap();
    let record = ctx.events().unwrap().next().unwrap().unwrap();
    assert_eq!(record.stream(), "run/RUN-1");
    assert_eq!((record.actor_kind(), record.actor_id()), ("human", Some("ada")));
    assert_eq!(record.correlation_id(), Some(trace.as_str()));
    let metadata = record.metadata_json().unwrap();
    assert_eq!(metadata, format!("{{\"traceparent\":\"{traceparent}\"}}"));
}

#[test]
fn what_cannot_be_an_event_is_refused_with_a_reason() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let mut no_json = std::collections::HashMap::new();
    no_json.insert((1, 2), 3);
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let deep: Box<serde_json::value::RawValue> = serde_json::from_str(&deep).unwrap();
    for (event, part) in [
        (Event::new("Bad Type"), "snake_case"),
        (Event::new("step_completed"), "the library"),
        (Event::new("x").stream("artifact", "a"), "belong to the library"),
        (Event::new("x").stream("Kind", "a"), "snake_case"),
        (Event::new("x").stream("kind", ""), "1 to 2,048"),
        (Event::new("x").key(""), "1 to 2,048"),
        (Event::new("x").payload(&no_json), "not JSON"),
        (Event::new("x").payload(&deep), "127 levels"),
        (Event::new("x").metadata(&1), "not a JSON object"),
    ] {
        let error = ctx.append(event).unwrap_err();
        assert!(matches!(error, JournalError::BadEvent { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(ctx.events().unwrap().count(), 0);
}
