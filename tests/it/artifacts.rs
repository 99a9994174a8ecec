use runjournal::testing::TestWorkspace;
use runjournal::*;

const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json");

#[test]
fn a_write_is_read_back_and_journaled() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let store = ctx.artifacts();
    let plan = vec!["a".to_owned()];
    let first = store.write(PLAN, &plan).unwrap();
    assert!(first.changed);
    assert_eq!(store.read(PLAN).unwrap(), plan);
    let again = store.write(PLAN, &plan).unwrap();
    assert!(!again.changed);
    assert_eq!(again.seq, first.seq);
    let removed = store.remove(PLAN).unwrap();
    assert_eq!(removed.version, 1);
    assert!(!store.exists(PLAN).unwrap());
    let journal = std::fs::read_to_string(ctx.journal_path()).unwrap();
    eprintln!("{journal}");
    let (records, findings) = ctx.events().unwrap().read_all().unwrap();
    assert_eq!((records.len(), findings.len()), (2, 0));
}

#[test]
fn expectations() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let store = ctx.artifacts();
    let name = ArtifactName::new("a/b.txt").unwrap();
    let one = store.write_bytes_if(&name, b"1", Expect::Absent).unwrap();
    assert!(matches!(
        store.write_bytes_if(&name, b"2", Expect::Absent),
        Err(ArtifactError::Conflict { .. })
    ));
    store.write_bytes_if(&name, b"2", Expect::Digest(one.digest.unwrap())).unwrap();
    assert!(matches!(
        store.write_bytes_if(&name, b"3", Expect::Version(0)),
        Err(ArtifactError::Conflict { .. })
    ));
    store.write_bytes_if(&name, b"3", Expect::Version(1)).unwrap();
    assert_eq!(std::fs::read_dir(ctx.run_path().join(".tmp")).unwrap().count(), 0);
    store.remove(&name).unwrap();
    store.write_bytes_if(ArtifactName::from_static("a"), b"file now", Expect::Absent).unwrap();
}

#[test]
fn a_removal_that_a_crash_cut_short_leaves_no_directory_in_the_way() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let name = ArtifactName::new("a/b/c.txt").unwrap();
    ctx.artifacts().write_bytes(&name, b"1").unwrap();
    let removed = ctx.artifacts().remove(&name).unwrap();
    // As if the process had died after it removed the file and the directory `a/b`.
    let record = ctx.events().unwrap().find(|r| r.as_ref().unwrap().seq() == removed.seq);
    let stage = format!(".tmp/{}", record.unwrap().unwrap().event_id());
    std::fs::write(ctx.run_path().join(stage), "").unwrap();
    std::fs::create_dir(ctx.run_path().join("artifacts/a")).unwrap();

    assert_eq!(ctx.catch_up().unwrap(), []);
    ctx.artifacts().write_bytes(ArtifactName::new("a").unwrap(), b"2").unwrap();
}
