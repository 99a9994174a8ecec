//! What time decides of a lease, and what it does not: who waited long enough, when a heartbeat stops, whose
//! hint counts, and in which order an append is judged.

use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use runjournal::testing::TestWorkspace;
use runjournal::{Event, ExpectedVersion, JournalError, Lease, LeaseError, Record, Timestamp};
use serde_json::Value;

const MINUTE: Duration = Duration::from_secs(60);
const YEAR: i64 = 365 * 86_400_000_000;

fn hint(test: &TestWorkspace) -> Utf8PathBuf {
    test.task().path().join("journal/.lease")
}

/// The task's records.
fn records(test: &TestWorkspace) -> Vec<Record> {
    test.task().events().unwrap().read_all().unwrap().0
}

fn wait_until(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn who_waits_out_a_silent_lease_gets_it_by_no_clock_but_its_own() {
    let test = TestWorkspace::new().unwrap();
    let ttl = Duration::from_millis(300);
    // By the clock, it ends in a year; and nobody ever renews it.
    test.clock().advance(YEAR);
    let silent = test.task().claim("worker-1", ttl).unwrap();
    test.clock().advance(-YEAR);
    let begun = Instant::now();
    let early = test.task().claim("worker-2", MINUTE).unwrap_err();
    assert!(matches!(early, LeaseError::LeaseHeld { .. }), "{early}");
    let lease = test.task().claim_within("worker-2", MINUTE, ttl * 20).unwrap();
    assert!(begun.elapsed() >= ttl, "it was not silent for so long");
    assert!(lease.lease_ref().token > silent.lease_ref().token);
    assert!(matches!(silent.renew(), Err(LeaseError::Journal(JournalError::LeaseLost { .. }))));
}

#[test]
fn a_heartbeat_that_was_dropped_gives_no_sign_of_life() {
    let test = TestWorkspace::new().unwrap();
    let lease = test.task().claim("worker-1", Duration::from_millis(60)).unwrap();
    let signs = || (std::fs::read(hint(&test)).unwrap(), records(&test).len());
    let heartbeat = lease.heartbeat().unwrap();
    wait_until(|| hint(&test).exists());
    let first = signs();
    wait_until(|| signs() != first);
    drop(heartbeat);
    let last = signs();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(signs(), last);
}

/// A hint as the library seals it.
fn sealed(token: u64, version: u64, beats: u64, expires_at: &str) -> String {
    let body = format!(
        "{{\"token\":{token},\"version\":{version},\"beats\":{beats},\"expires_at\":\"{expires_at}\""
    );
    let hash = blake3::hash(body.as_bytes()).to_hex();
    format!("{body},\"hash\":\"{hash}\"}}\n")
}

#[test]
fn only_the_hint_of_the_last_record_of_the_lease_counts() {
    const LATER: &str = "2031-01-01T00:00:00.000000Z";
    let test = TestWorkspace::new().unwrap();
    let ends = || test.task().lease().unwrap().unwrap().expires_at;
    // When it ends as its last record has it, and the version of that.
    let last = || -> (Timestamp, u64) {
        let record = records(&test).pop().unwrap();
        assert_eq!(record.aggregate_kind(), "lease");
        let payload: Value = record.payload().unwrap();
        let ends = payload["expires_at"].as_str().unwrap().parse().unwrap();
        (ends, record.stream_version())
    };
    let put = |text: &str| std::fs::write(hint(&test), text).unwrap();

    let lease = test.task().claim("worker-1", MINUTE).unwrap();
    lease.renew().unwrap();
    let token = lease.lease_ref().token;
    let (by_record, version) = last();
    assert_eq!((ends(), version), (by_record, 1));
    let own = sealed(token, version, 1, LATER);
    put(&own);
    assert_eq!(ends(), LATER.parse().unwrap());
    for passed_over in [
        sealed(token + 1, version, 1, LATER),
        sealed(token - 1, version, 1, LATER),
        sealed(token, version - 1, 1, LATER),
        sealed(token, version + 1, 1, LATER),
        own.replace("2031", "2032"),
        own[..own.len() - 1].to_owned(),
        String::new(),
    ] {
        put(&passed_over);
        assert_eq!(ends(), by_record, "{passed_over}");
    }

    // What the library itself left: of the version before, and of the claim before.
    put(&own);
    lease.renew().unwrap();
    let (by_record, version) = last();
    assert_eq!((ends(), version), (by_record, 2));
    put(&sealed(token, version, 1, LATER));
    assert_eq!(ends(), LATER.parse().unwrap());
    let again = test.task().claim("worker-1", MINUTE).unwrap();
    assert!(again.lease_ref().token > token);
    assert_eq!(ends(), last().0);
    // And of one that was released, when that was.
    put(&sealed(again.lease_ref().token, last().1 + 1, 1, LATER));
    again.release().unwrap();
    assert_eq!(ends(), last().0);
}

#[test]
fn an_append_looks_for_its_key_then_for_the_lease_then_at_versions() {
    let test = TestWorkspace::new().unwrap();
    test.start_run("RUN-1").unwrap();
    let claim = || test.task().claim("worker-1", MINUTE).unwrap();
    let journal = |lease: &Lease| lease.task().run("RUN-1").unwrap().context().journal().unwrap();
    let first = claim();
    let stale = journal(&first);
    let keyed = Event::new("noted").key("K");
    let appended = stale.append(keyed.clone()).unwrap();
    let wrong = Event::new("noted").expect(ExpectedVersion::Exact(99));
    let conflict = |error: JournalError| matches!(error, JournalError::VersionConflict { .. });
    assert!(conflict(stale.append(wrong.clone()).unwrap_err()));

    let holder = journal(&claim());
    let again = stale.append(keyed.clone()).unwrap();
    assert_eq!((again.seq, again.duplicate), (appended.seq, true));
    let refused = stale.append(wrong.clone()).unwrap_err();
    assert!(matches!(refused, JournalError::LeaseLost { .. }), "{refused}");
    assert!(conflict(holder.append(wrong.clone()).unwrap_err()));
    // A key comes first there, too.
    let both = keyed.expect(ExpectedVersion::Exact(99));
    assert!(holder.append(both).unwrap().duplicate);
    let stranger = test.task().run("RUN-1").unwrap().context().append(wrong).unwrap_err();
    assert!(matches!(stranger, JournalError::LeaseRequired { .. }), "{stranger}");
}
