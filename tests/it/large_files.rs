//! Artifacts of any size: written, imported and read piece by piece.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::*;
use tempfile::TempDir;

const A: ArtifactName = ArtifactName::from_static("a.bin");
const B: ArtifactName = ArtifactName::from_static("dir/b.bin");
const MIB: usize = 1 << 20;

fn stages(ctx: &RunContext) -> usize {
    std::fs::read_dir(ctx.run_path().join(".tmp")).map_or(0, Iterator::count)
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn run() -> (TestWorkspace, RunContext) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    (test, ctx)
}

fn outside(test: &TempDir, name: &str) -> Utf8PathBuf {
    Utf8Path::from_path(test.path()).unwrap().join(name)
}

/// A reader that fails, or panics, after its content.
struct Then<F: FnMut() -> io::Result<usize>>(Cursor<Vec<u8>>, F);

impl<F: FnMut() -> io::Result<usize>> Read for Then<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => (self.1)(),
            read => Ok(read),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// However content is cut into writes, and whichever way it goes, it is stored as it is.
    #[test]
    fn content_is_stored_as_it_is_however_it_comes(
        length in prop_oneof![0_usize..5000, 200_000_usize..600_000, (2 * MIB - 3)..(3 * MIB)],
        pieces in proptest::collection::vec(1_usize..400_000, 1..20),
        way in 0..6,
    ) {
        let (_test, ctx) = run();
        let store = ctx.artifacts().durability(Durability::Buffered);
        let content = bytes(length);
        let mut rest = &content[..];
        let mut write = |file: &mut dyn Write| {
            for piece in pieces.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                file.write_all(now).unwrap();
                rest = later;
            }
        };
        match way {
            0 => {
                let mut file = store.create(A).unwrap();
                write(&mut file);
                let stored = file.commit().unwrap();
                prop_assert_eq!(stored.size, length as u64);
                prop_assert_eq!(stored.digest, Some(Digest::of(&content)));
            }
            1 => {
                let mut tx = store.transaction();
                let mut file = tx.create(A).unwrap();
                write(&mut file);
                file.finish().unwrap();
                let mut staged = tx.open(A).unwrap();
                prop_assert_eq!(staged.verify().unwrap(), Digest::of(&content));
                tx.commit().unwrap();
            }
            2 => { store.write_from(A, &content[..]).unwrap(); }
            3 => { store.write_bytes(A, &content).unwrap(); }
            4 => {
                let dir = TempDir::new().unwrap();
                let path = outside(&dir, "source");
                std::fs::write(&path, &content).unwrap();
                store.import(A, &path).unwrap();
            }
            _ => {
                ctx.step("work", |s| {
                    s.write_from(A, &content[..])?;
                    Ok("done".into())
                }).unwrap();
            }
        }
        prop_assert_eq!(store.check(A).unwrap(), Digest::of(&content));
        prop_assert!(store.read_bytes(A).unwrap() == content);
        prop_assert_eq!(stages(&ctx), 0);
    }

    /// A range is exactly what a slice of all of it is, or an error.
    #[test]
    fn a_range_is_a_slice(offset in 0_u64..1200, length in 0_usize..1200) {
        let (_test, ctx) = run();
        let content = bytes(1000);
        ctx.artifacts().durability(Durability::Buffered).write_bytes(A, &content).unwrap();
        let mut reader = ctx.artifacts().open(A).unwrap();
        reader.seek(SeekFrom::Start(10)).unwrap();
        let range = reader.read_range(offset, length);
        match content.get(offset as usize..offset as usize + length) {
            Some(slice) => prop_assert_eq!(range.unwrap(), slice),
            None => {
                let refused = matches!(range, Err(ArtifactError::OutOfRange { size: 1000, .. }));
                prop_assert!(refused);
            }
        }
        prop_assert_eq!(reader.stream_position().unwrap(), 10);
    }
}

#[test]
fn a_range_beyond_all_numbers_is_refused() {
    let (_test, ctx) = run();
    ctx.artifacts().write_bytes(A, b"content").unwrap();
    let mut reader = ctx.artifacts().open(A).unwrap();
    for (offset, length) in [(u64::MAX, 1), (0, usize::MAX), (u64::MAX, usize::MAX), (8, 0)] {
        let refused = reader.read_range(offset, length).unwrap_err();
        assert!(matches!(refused, ArtifactError::OutOfRange { .. }), "{refused}");
    }
    assert_eq!(reader.read_range(7, 0).unwrap(), b"");
}

#[test]
fn what_is_not_committed_leaves_nothing() {
    let (_test, ctx) = run();
    let store = ctx.artifacts();
    store.write_bytes(A, b"old").unwrap();
    let journal = std::fs::read(ctx.journal_path()).unwrap();
    let large = bytes(3 * MIB);

    let mut dropped = store.create(A).unwrap();
    dropped.write_all(&large).unwrap();
    assert_eq!(stages(&ctx), 1);
    drop(dropped);

    let mut tx = ctx.transaction();
    let mut dropped = tx.create(A).unwrap();
    dropped.write_all(&large).unwrap();
    drop(dropped);
    tx.write_from(B, &large[..]).unwrap();
    let failing = Then(Cursor::new(large.clone()), || Err(io::Error::other("no more")));
    let failed = tx.write_from(A, failing).unwrap_err();
    assert!(matches!(failed, ArtifactError::Io(_)), "{failed:?}");
    assert_eq!(stages(&ctx), 1, "what was staged before stays staged");
    drop(tx);

    let panicking = Then(Cursor::new(large.clone()), || panic!("in the middle"));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.write_from(A, panicking).map(|_| ())
    }));
    assert!(caught.is_err());

    let mut refused = store.create(A).unwrap().expect(Expect::Absent);
    refused.write_all(&large).unwrap();
    assert!(matches!(refused.commit(), Err(ArtifactError::Conflict { .. })));

    assert_eq!(std::fs::read(ctx.journal_path()).unwrap(), journal);
    assert_eq!((store.read_bytes(A).unwrap(), stages(&ctx)), (b"old".to_vec(), 0));
}

#[test]
fn after_a_failure_nothing_is_committed() {
    let (test, ctx) = run();
    let store = ctx.artifacts();
    let mut file = store.create(A).unwrap();
    file.write_all(b"the first part").unwrap();
    let missing = test.root().join("missing");
    assert!(matches!(file.import(&missing), Err(ArtifactError::Io(_))));
    file.commit().unwrap();

    let mut tx = ctx.transaction();
    let mut file = tx.create(A).unwrap();
    let unreadable = Utf8Path::new("/proc/self/mem");
    if unreadable.exists() {
        // A regular file, whose first page cannot be read.
        let failed = file.import(unreadable).unwrap_err().to_string();
        assert!(failed.contains("/proc/self/mem"), "{failed}");
        let refused = file.write_all(b"more").unwrap_err().to_string();
        assert_eq!(refused, failed);
        assert_eq!(file.finish().unwrap_err().to_string(), failed);
    }
    assert_eq!(stages(&ctx), 0);
}

#[test]
fn expectations_hold_for_streams_too() {
    let (_test, ctx) = run();
    let store = ctx.artifacts();
    let write = |content: &[u8], expect| {
        let mut file = store.create(A)?.expect(expect);
        file.write_all(content).unwrap();
        file.commit()
    };
    let first = write(b"1", Expect::Absent).unwrap();
    assert!(matches!(write(b"2", Expect::Absent), Err(ArtifactError::Conflict { .. })));
    write(b"2", Expect::Digest(first.digest.unwrap())).unwrap();
    let mut tx = ctx.transaction();
    let mut file = tx.create(A).unwrap().expect(Expect::Version(0));
    file.write_all(b"3").unwrap();
    file.finish().unwrap();
    assert!(matches!(tx.commit(), Err(ArtifactError::Conflict { .. })));
    assert_eq!(store.read_bytes(A).unwrap(), b"2");
}

#[test]
fn only_regular_files_are_imported_and_links_to_them() {
    let (_test, ctx) = run();
    let store = ctx.artifacts();
    let dir = TempDir::new().unwrap();
    std::fs::write(outside(&dir, "file"), b"content").unwrap();
    let refused = store.import(A, outside(&dir, ".")).unwrap_err();
    assert!(matches!(refused, ArtifactError::NotAFile { .. }), "{refused}");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("file", outside(&dir, "link")).unwrap();
        store.import(A, outside(&dir, "link")).unwrap();
        assert_eq!(store.read_bytes(A).unwrap(), b"content");
        let pipe = outside(&dir, "pipe");
        let made = std::process::Command::new("mkfifo").arg(pipe.as_str()).status();
        let pipe = made.is_ok_and(|made| made.success()).then_some(pipe);
        for path in pipe.into_iter().chain(["/dev/null".into(), "/dev/zero".into()]) {
            let refused = store.import(A, &path).unwrap_err();
            assert!(matches!(refused, ArtifactError::NotAFile { .. }), "{refused}");
        }
    }
    let missing = store.import(A, outside(&dir, "missing")).unwrap_err();
    assert!(matches!(&missing, ArtifactError::Io(e) if e.path.ends_with("missing")), "{missing}");
    assert_eq!(stages(&ctx), 0);
}

#[test]
fn an_open_file_stays_what_it_was() {
    let (_test, ctx) = run();
    let store = ctx.artifacts();
    let (old, new) = (bytes(2 * MIB), bytes(MIB));
    store.write_bytes(A, &old).unwrap();
    let mut reader = store.open(A).unwrap();
    let mut first = vec![0; 1000];
    reader.read_exact(&mut first).unwrap();
    store.write_bytes(A, &new).unwrap();
    assert_eq!(reader.verify().unwrap(), Digest::of(&old), "an older version is whole as well");
    assert_eq!(reader.size().unwrap(), old.len() as u64);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!([first, rest].concat() == old);
    assert_eq!(store.open(A).unwrap().verify().unwrap(), Digest::of(&new));
}

#[test]
fn an_older_version_verifies_and_does_not_check() {
    let (_test, ctx) = run();
    let store = ctx.artifacts();
    for (name, content) in [(A, "old"), (A, "new"), (B, "old")] {
        store.write_bytes(name, content.as_bytes()).unwrap();
    }
    assert_eq!(store.check(A).unwrap(), Digest::of(b"new"));
    std::fs::write(ctx.artifact_path(&A), b"old").unwrap();
    assert_eq!(store.open(A).unwrap().verify().unwrap(), Digest::of(b"old"));
    let changed = store.check(A).unwrap_err();
    assert!(
        matches!(changed, ArtifactError::Changed { expected, .. } if expected == Digest::of(b"new"))
    );
    assert_eq!(store.check(B).unwrap(), Digest::of(b"old"));
    store.remove(B).unwrap();
    std::fs::create_dir_all(ctx.artifact_path(&B).parent().unwrap()).unwrap();
    std::fs::write(ctx.artifact_path(&B), b"old").unwrap();
    assert!(matches!(store.check(B), Err(ArtifactError::NotFound { .. })));
    assert_eq!(store.open(B).unwrap().verify().unwrap(), Digest::of(b"old"));
}

#[test]
fn one_changed_bit_is_found_and_so_is_what_the_journal_does_not_know() {
    let (_test, ctx) = run();
    let store = ctx.artifacts();
    let mut content = bytes(MIB);
    store.write_bytes(A, &content).unwrap();
    content[MIB / 2] ^= 1;
    std::fs::write(ctx.artifact_path(&A), &content).unwrap();
    let changed = store.open(A).unwrap().verify().unwrap_err();
    assert!(
        matches!(changed, ArtifactError::Changed { found, .. } if found == Digest::of(&content))
    );
    std::fs::create_dir(ctx.run_path().join("artifacts/dir")).unwrap();
    std::fs::write(ctx.artifact_path(&B), &content).unwrap();
    let unknown = store.open(B).unwrap().verify().unwrap_err();
    assert!(matches!(unknown, ArtifactError::NotFound { .. }), "{unknown}");
}

#[test]
fn what_a_step_opens_is_its_input() {
    let (_test, ctx) = run();
    let content = bytes(2 * MIB + 7);
    ctx.artifacts().write_bytes(A, &content).unwrap();
    ctx.step("copy", |s| {
        let mut source = s.open(A)?;
        let mut copy = s.create(B)?;
        io::copy(&mut source, &mut copy)?;
        copy.finish()?;
        let mut staged = s.open(B)?;
        assert_eq!(staged.verify()?, Digest::of(&content));
        Ok("done".into())
    })
    .unwrap();
    assert!(ctx.artifacts().read_bytes(B).unwrap() == content);
    let end = ctx.events().unwrap().map(Result::unwrap);
    let end = end.filter(|record| record.event_type() == "step_completed").last().unwrap();
    let payload: serde_json::Value = end.payload().unwrap();
    let digest = Digest::of(&content).to_string();
    assert_eq!(payload["inputs"], serde_json::json!([{"path": A, "digest": digest, "version": 0}]));
    assert_eq!(payload["outputs"], serde_json::json!([{"path": B, "digest": digest}]));
}

#[test]
fn a_declared_input_is_opened_only_as_it_was_declared() {
    let (_test, ctx) = run();
    ctx.artifacts().write_bytes(A, b"declared").unwrap();
    ctx.artifacts().write_bytes(B, b"other").unwrap();
    let step = Step::new("work").input(A);
    ctx.step(step, |s| {
        let mut text = String::new();
        s.open(A)?.read_to_string(&mut text)?;
        assert_eq!(text, "declared");
        assert!(matches!(s.open(B), Err(ArtifactError::Undeclared { .. })));
        s.context().artifacts().write_bytes(A, b"changed meanwhile")?;
        assert!(matches!(s.open(A), Err(ArtifactError::Changed { .. })));
        assert!(matches!(s.read_bytes(A), Err(ArtifactError::Changed { .. })));
        s.import(A, s.context().artifact_path(&B))?;
        assert_eq!(s.read_bytes(A)?, b"other", "what it staged itself it may read");
        Ok("done".into())
    })
    .unwrap();
}

#[test]
fn a_stage_that_was_moved_away_is_found_out_by_the_commit() {
    let (_test, ctx) = run();
    let mut file = ctx.artifacts().create(A).unwrap();
    file.write_all(b"content").unwrap();
    let tmp = ctx.run_path().join(".tmp");
    std::fs::rename(&tmp, ctx.run_path().join("moved")).unwrap();
    let journal = std::fs::read(ctx.journal_path()).unwrap();
    let lost = file.commit().unwrap_err();
    assert!(matches!(lost, ArtifactError::StageLost { .. }), "{lost}");
    std::fs::create_dir(&tmp).unwrap();
    let mut file = ctx.artifacts().create(A).unwrap();
    file.write_all(b"content").unwrap();
    std::fs::rename(&tmp, ctx.run_path().join("moved again")).unwrap();
    std::fs::create_dir(&tmp).unwrap();
    let lost = file.commit().unwrap_err();
    assert!(matches!(lost, ArtifactError::StageLost { .. }), "{lost}");
    assert_eq!(std::fs::read(ctx.journal_path()).unwrap(), journal);
}

#[cfg(unix)]
#[test]
fn a_kept_store_never_writes_through_a_link_that_came_later() {
    let (_test, ctx) = run();
    let elsewhere = TempDir::new().unwrap();
    for swapped in ["artifacts", ".tmp"] {
        let store = ctx.artifacts();
        store.write_bytes(A, b"before").unwrap();
        let place = ctx.run_path().join(swapped);
        let aside = ctx.run_path().join("aside");
        std::fs::rename(&place, &aside).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &place).unwrap();
        assert!(store.write_bytes(A, b"after, of another length").is_err(), "{swapped}");
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0, "{swapped}");
        std::fs::remove_file(&place).unwrap();
        std::fs::rename(&aside, &place).unwrap();
        store.write_bytes(A, b"once more").unwrap();
    }
}

/// Memory stays flat: at most 32 MiB more than before, whatever the size.
#[cfg(target_os = "linux")]
#[test]
fn a_large_artifact_needs_little_memory() {
    const WORKER: &str = "RUNJOURNAL_TEST_FLAT_MEMORY";
    const SIZE: u64 = 192 << 20;
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    if std::env::var_os(WORKER).is_none() {
        let (_test, ctx) = run();
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "large_files::a_large_artifact_needs_little_memory"])
            .envs(ctx.env())
            .env(WORKER, "1")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let ctx = RunContext::from_env().unwrap();
    let store = ctx.artifacts().durability(Durability::Buffered);
    let before = peak();
    store.write_from(A, io::repeat(7).take(SIZE)).unwrap();
    store.import(B, ctx.artifact_path(&A)).unwrap();
    let mut reader = store.open(B).unwrap();
    reader.verify().unwrap();
    assert_eq!(io::copy(&mut reader, &mut io::sink()).unwrap(), SIZE);
    let step = Step::new("work").input(A);
    ctx.step(step, |s| {
        assert_eq!(s.open(A)?.size()?, SIZE);
        Ok("done".into())
    })
    .unwrap();
    let more = peak() - before;
    assert!(more < 32 << 10, "{more} KiB more");
}

/// Gives a part, and panics.
struct Panics(bool);

impl Read for Panics {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!std::mem::replace(&mut self.0, true), "no more");
        buffer[..4].copy_from_slice(b"part");
        Ok(4)
    }
}

#[test]
fn what_a_reader_that_panicked_gave_is_not_committed() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let mut file = ctx.artifacts().create(ArtifactName::from_static("a.bin")).unwrap();
    file.write_all(b"head").unwrap();
    let reading = std::panic::AssertUnwindSafe(|| file.write_from(&mut Panics(false)).unwrap());
    assert!(std::panic::catch_unwind(reading).is_err());
    assert!(file.commit().is_err());
    assert_eq!(ctx.events().unwrap().count(), 0);
}
