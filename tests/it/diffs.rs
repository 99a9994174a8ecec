//! What differs between two turns, or two runs, and the text of it.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use runjournal::testing::TestWorkspace;
use runjournal::*;

const A: ArtifactName = ArtifactName::from_static("a.txt");

fn name(text: &str) -> ArtifactName {
    ArtifactName::new(text).unwrap()
}

fn start_run() -> (TestWorkspace, RunContext) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    (test, ctx)
}

/// Makes the next turn of these artifacts and no others.
fn turn(ctx: &RunContext, files: &[(&str, &[u8])]) -> ArtifactSet {
    let store = ctx.artifacts();
    let mut tx = store.transaction().durability(Durability::Buffered);
    for entry in store.list().unwrap() {
        if !files.iter().any(|(name, _)| *name == entry.name.as_str()) {
            tx.remove(&entry.name).unwrap();
        }
    }
    for (name, content) in files {
        tx.write_bytes(self::name(name), content).unwrap();
    }
    tx.commit().unwrap();
    ctx.next_checkpoint().unwrap().artifacts().unwrap()
}

const BEFORE: &[(&str, &[u8])] = &[
    ("a.txt", b"one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\neleven\n"),
    ("dir/gone.txt", b"first\nlast"),
    ("empty-gone.txt", b""),
    ("ends.txt", b"one\ntwo"),
    ("image.png", b"\x89PNG\0one"),
    ("latin.txt", b"caf\xe9\n"),
    ("returns.txt", b"one\rtwo\rthree\n"),
    ("same.txt", b"same\n"),
    ("two words.txt", b"one\n"),
];
const AFTER: &[(&str, &[u8])] = &[
    ("a.txt", b"one\n2\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\neleven\ntwelve\n"),
    ("dir/new.txt", b"first\nlast\n"),
    ("empty.txt", b""),
    ("ends.txt", b"one\ntwo\n"),
    ("image.png", b"\x89PNG\0two"),
    ("latin.txt", b"caf\xe8\n"),
    ("returns.txt", b"one\rtwo\rfour\n"),
    ("same.txt", b"same\n"),
    ("two words.txt", b"two\n"),
];

#[test]
fn a_diff_is_told_as_git_tells_it() {
    let (_test, ctx) = start_run();
    let (before, after) = (turn(&ctx, BEFORE), turn(&ctx, AFTER));
    let diff = Diff::between(&before, &after).unwrap();
    let told: String = diff.changes().iter().fold(String::new(), |mut text, change| {
        let size = |side: Option<DiffSide>| side.map(|side| side.size);
        let lines = diff.lines_of(change).unwrap();
        let (old, new) = (size(change.before), size(change.after));
        writeln!(text, "{} {} {old:?} {new:?} {lines:?}", change.kind, change.path).unwrap();
        text
    });
    insta::assert_snapshot!(told, @"
    changed a.txt Some(56) Some(61) Some((2, 1))
    removed dir/gone.txt Some(10) None Some((0, 2))
    added dir/new.txt None Some(11) Some((2, 0))
    removed empty-gone.txt Some(0) None Some((0, 0))
    added empty.txt None Some(0) Some((0, 0))
    changed ends.txt Some(7) Some(8) Some((1, 1))
    changed image.png Some(8) Some(8) None
    changed latin.txt Some(5) Some(5) None
    changed returns.txt Some(14) Some(13) Some((1, 1))
    changed two words.txt Some(4) Some(4) Some((1, 1))
    ");
    let text = diff.unified().unwrap().replace('\r', "[CR]").replace('\t', "[TAB]");
    insta::assert_snapshot!(text, @r"
    diff --git a/a.txt b/a.txt
    --- a/a.txt
    +++ b/a.txt
    @@ -1,5 +1,5 @@
     one
    -two
    +2
     three
     four
     five
    @@ -9,3 +9,4 @@
     nine
     ten
     eleven
    +twelve
    diff --git a/dir/gone.txt b/dir/gone.txt
    deleted file mode 100644
    --- a/dir/gone.txt
    +++ /dev/null
    @@ -1,2 +0,0 @@
    -first
    -last
    \ No newline at end of file
    diff --git a/dir/new.txt b/dir/new.txt
    new file mode 100644
    --- /dev/null
    +++ b/dir/new.txt
    @@ -0,0 +1,2 @@
    +first
    +last
    diff --git a/empty-gone.txt b/empty-gone.txt
    deleted file mode 100644
    diff --git a/empty.txt b/empty.txt
    new file mode 100644
    diff --git a/ends.txt b/ends.txt
    --- a/ends.txt
    +++ b/ends.txt
    @@ -1,2 +1,2 @@
     one
    -two
    \ No newline at end of file
    +two
    diff --git a/image.png b/image.png
    Binary files a/image.png and b/image.png differ
    diff --git a/latin.txt b/latin.txt
    Binary files a/latin.txt and b/latin.txt differ
    diff --git a/returns.txt b/returns.txt
    --- a/returns.txt
    +++ b/returns.txt
    @@ -1 +1 @@
    -one[CR]two[CR]three
    +one[CR]two[CR]four
    diff --git a/two words.txt b/two words.txt
    --- a/two words.txt[TAB]
    +++ b/two words.txt[TAB]
    @@ -1 +1 @@
    -one
    +two
    ");

    let equal = Diff::between(&before, &before).unwrap();
    assert!(equal.is_empty() && equal.unified().unwrap().is_empty());
    let only = Diff::between(&before, &after).unwrap().only(|name| *name == A);
    assert_eq!(only.changes().len(), 1);
    let back = Diff::between(&after, &before).unwrap();
    for (there, back) in diff.changes().iter().zip(back.changes()) {
        let same_path = there.path == back.path;
        assert!(!same_path || (there.before, there.after) == (back.after, back.before));
    }
}

#[test]
fn git_and_patch_take_a_diff() {
    let (test, ctx) = start_run();
    let texts = |files: &[(&'static str, &'static [u8])]| {
        let is_text = |name: &&str| !["image.png", "latin.txt"].contains(name);
        files.iter().copied().filter(|(name, _)| is_text(name)).collect::<Vec<_>>()
    };
    let (before, after) = (turn(&ctx, &texts(BEFORE)), turn(&ctx, &texts(AFTER)));
    let file = test.root().join("../changes.diff");
    for program in [&["git", "apply", "-p1"][..], &["patch", "-s", "-p1", "-i"]] {
        let diff = Diff::between(&before, &after).unwrap();
        // `patch` knows nothing of files that are empty on both sides of a change.
        let diff = diff.only(|name| program[0] == "git" || !name.as_str().starts_with("empty"));
        fs::write(&file, diff.unified().unwrap()).unwrap();
        let known = Command::new(program[0]).arg("--version").stdout(Stdio::null()).status();
        if !known.is_ok_and(|status| status.success()) {
            continue;
        }
        let dir = test.root().join("..").join(program[0]);
        before.export(&dir).unwrap();
        let status = Command::new(program[0])
            .args(&program[1..])
            .arg(fs::canonicalize(&file).unwrap())
            .current_dir(&dir)
            .env("GIT_CEILING_DIRECTORIES", fs::canonicalize(dir.join("..")).unwrap())
            .status();
        assert!(status.unwrap().success(), "{}", program[0]);
        for name in after.names() {
            if diff.changes().iter().any(|change| change.path == *name) {
                let found = fs::read(dir.join(name.as_str())).unwrap();
                assert_eq!(found, after.read_bytes(name).unwrap(), "{} of {name}", program[0]);
            }
        }
        assert!(!dir.join("dir/gone.txt").exists());
    }
}

#[test]
fn runs_are_compared_by_what_stands_on_the_disk() {
    let (test, ctx) = start_run();
    let other = test.start_run("RUN-2").unwrap();
    for run in [&ctx, &other] {
        run.artifacts().write_bytes(&A, b"same\n").unwrap();
    }
    // No record names it; a comparison of trees needs none.
    fs::write(other.artifact_path(&name("by-hand.txt")), "mine\n").unwrap();
    let sets = [ArtifactSet::of(&ctx).unwrap(), ArtifactSet::of(&other).unwrap()];
    let diff = Diff::between(&sets[0], &sets[1]).unwrap();
    assert_eq!(
        diff.unified().unwrap(),
        "diff --git a/by-hand.txt b/by-hand.txt\nnew file mode 100644\n--- /dev/null\n+++ b/by-hand.txt\n\
         @@ -0,0 +1 @@\n+mine\n"
    );
    let kept = ctx.next_checkpoint().unwrap().artifacts().unwrap();
    fs::write(ctx.artifact_path(&A), "changed\n").unwrap();
    let now = ArtifactSet::of(&ctx).unwrap();
    let diff = Diff::between(&kept, &now).unwrap();
    assert_eq!(diff.changes()[0].kind, ChangeKind::Changed);
    // One that goes away meanwhile was removed.
    fs::remove_file(ctx.artifact_path(&A)).unwrap();
    let diff = Diff::between(&kept, &now).unwrap();
    assert_eq!(diff.changes()[0].kind, ChangeKind::Removed);
}

#[test]
fn content_of_a_turn_that_is_damaged_is_not_compared() {
    let (_test, ctx) = start_run();
    let (before, after) = (turn(&ctx, &[("a.txt", b"one\n")]), turn(&ctx, &[("a.txt", b"two\n")]));
    let hex = Digest::of(b"one\n").to_hex();
    let object = ctx.run_path().join("objects").join(&hex[..2]).join(&hex[2..]);
    fs::write(object, "1ne\n").unwrap();
    let diff = Diff::between(&before, &after).unwrap();
    let refused = diff.unified().unwrap_err();
    assert!(matches!(refused, CheckpointError::ContentChanged { .. }), "{refused}");
}

#[test]
fn what_is_too_long_or_takes_too_long_is_told_in_time() {
    let (_test, ctx) = start_run();
    let line = |n: u64, salt: u64| format!("{:x}\n", (n * 0x9E37_79B9 + salt) % 50_021);
    let shuffled = |salt| (0..60_000).map(|n| line(n, salt * n)).collect::<String>();
    let (one, two) = (shuffled(1), shuffled(7));
    let just = vec![b'x'; 4 << 20];
    let more = vec![b'x'; (4 << 20) + 1];
    let before =
        turn(&ctx, &[("long.txt", &more), ("short.txt", &just), ("s.txt", one.as_bytes())]);
    let after = turn(&ctx, &[("long.txt", b"x"), ("short.txt", b"x"), ("s.txt", two.as_bytes())]);
    let diff = Diff::between(&before, &after).unwrap();
    let [long, s, short] = diff.changes() else { panic!("{:?}", diff.changes()) };
    assert_eq!(
        diff.text_of(long).unwrap(),
        "diff --git a/long.txt b/long.txt\nBinary files a/long.txt and b/long.txt differ\n"
    );
    assert_eq!(diff.lines_of(short).unwrap(), Some((1, 1)));
    let begun = Instant::now();
    let text = diff.text_of(s).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(applied(&one, &text), two);
}

/// What a unified diff makes of a text: another reading of it.
fn applied(before: &str, diff: &str) -> String {
    let old: Vec<_> = before.split_inclusive('\n').collect();
    let (mut at, mut new) = (0, String::new());
    let mut lines = diff.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let Some(hunk) = line.strip_prefix("@@ -") else { continue };
        let (place, _) = hunk.split_once(' ').unwrap();
        let (start, count) = place.split_once(',').unwrap_or((place, "1"));
        let (start, count): (usize, usize) = (start.parse().unwrap(), count.parse().unwrap());
        let from = if count == 0 { start } else { start - 1 };
        new.extend(old[at..from].iter().copied());
        at = from;
        while let Some(line) = lines.next_if(|line| !line.starts_with("@@ ")) {
            let (sign, text) = line.split_at(1);
            let ends = lines.next_if(|next| next.starts_with('\\')).is_none();
            let text = if ends { text } else { text.trim_end_matches('\n') };
            if sign != "+" {
                assert_eq!(old[at], text);
                at += 1;
            }
            if sign != "-" {
                new.push_str(text);
            }
        }
        assert!(at <= from + count);
    }
    new.extend(old[at..].iter().copied());
    new
}

fn text() -> impl Strategy<Value = String> {
    let line =
        prop_oneof![Just("one"), Just("two"), Just(""), Just("+x"), Just("-x"), Just("a\rb")];
    let lines = proptest::collection::vec(line, 0..30);
    (lines, any::<bool>()).prop_map(|(lines, ends)| {
        let text = lines.join("\n");
        if ends && !text.is_empty() { text + "\n" } else { text }
    })
}

#[test]
fn a_diff_applied_makes_the_one_of_the_other() {
    let test = TestWorkspace::new().unwrap();
    let runs = ["RUN-1", "RUN-2"].map(|id| test.start_run(id).unwrap());
    for run in &runs {
        fs::create_dir_all(run.run_path().join("artifacts")).unwrap();
    }
    let mut runner = TestRunner::new(ProptestConfig::with_cases(400));
    let checked = runner.run(&(text(), text()), |(before, after)| {
        for (run, text) in runs.iter().zip([&before, &after]) {
            fs::write(run.artifact_path(&A), text).unwrap();
        }
        let sets = [ArtifactSet::of(&runs[0]).unwrap(), ArtifactSet::of(&runs[1]).unwrap()];
        let diff = Diff::between(&sets[0], &sets[1]).unwrap();
        prop_assert_eq!(diff.is_empty(), before == after);
        let text = diff.unified().unwrap();
        prop_assert_eq!(applied(&before, &text), after);
        // The same each time.
        prop_assert_eq!(diff.unified().unwrap(), text);
        Ok(())
    });
    checked.unwrap();
}

/// The record makes the checkpoint: without it, nobody can say that the file is of the run. Trees need none.
#[test]
fn without_its_record_a_turn_is_refused_and_never_compared_wrongly() {
    let (test, ctx) = start_run();
    let (first, second) = (turn(&ctx, BEFORE), turn(&ctx, AFTER));
    let told = |before: &ArtifactSet, after: &ArtifactSet| {
        Diff::between(before, after).unwrap().unified().unwrap()
    };
    let (turns, disk) = (told(&first, &second), ArtifactSet::of(&ctx).unwrap());
    let other = test.start_run("RUN-2").unwrap();
    let runs = told(&ArtifactSet::of(&other).unwrap(), &disk);
    let whole = fs::read(ctx.journal_path()).unwrap();
    let at = |turn| ctx.checkpoint_at(turn).and_then(|checkpoint| checkpoint.artifacts());

    // Only the last record, which is that of the second turn.
    let cut = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(ctx.journal_path(), &whole[..cut]).unwrap();
    assert_eq!(at(1).unwrap().names(), first.names());
    assert!(matches!(at(2).unwrap_err(), CheckpointError::NotThere { turn: 2, .. }));
    // The record of the first turn does not count, and the second one's does.
    let mut hurt = whole.clone();
    let created = String::from_utf8_lossy(&whole).find("checkpoint_created").unwrap();
    hurt[created] ^= 1;
    fs::write(ctx.journal_path(), &hurt).unwrap();
    assert!(matches!(at(1).unwrap_err(), CheckpointError::NotThere { turn: 1, .. }));
    assert_eq!(told(&at(2).unwrap(), &ArtifactSet::of(&ctx).unwrap()), "");

    fs::write(ctx.journal_path(), b"").unwrap();
    for turn in [1, 2] {
        assert!(matches!(at(turn).unwrap_err(), CheckpointError::NotThere { .. }));
    }
    assert_eq!(told(&ArtifactSet::of(&other).unwrap(), &ArtifactSet::of(&ctx).unwrap()), runs);
    // Who has the sets compares them all the same.
    assert_eq!(told(&first, &second), turns);
    fs::remove_file(ctx.journal_path()).unwrap();
    let missing = at(1).unwrap_err();
    assert!(
        matches!(missing, CheckpointError::Journal(JournalError::MissingJournal { .. })),
        "{missing}"
    );
}
