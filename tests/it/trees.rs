//! The text of a run: what stands in it, and that it is the same in every run.

use std::collections::HashMap;
use std::fs;

use camino::Utf8PathBuf;
use runjournal::testing::{TestWorkspace, crash};
use runjournal::tree::{self, Options, TreeError};
use runjournal::*;
use serde_json::{Value, json};

const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json");

fn snap(ctx: &RunContext) -> String {
    tree::render(ctx, &Options::new()).unwrap()
}

/// A pipeline whose every value is of its own run: ids, times, directories, digests of them.
fn pipeline(ctx: &RunContext, other: &RunContext) -> Result<(), Box<dyn std::error::Error>> {
    let name = ArtifactName::new(format!("by-id/{}.txt", RandomIds.next_id(SystemClock.now())))?;
    let second = ArtifactName::new(format!("by-id/{}.txt", RandomIds.next_id(SystemClock.now())))?;
    ctx.step("plan", |s| {
        s.write(PLAN, &vec!["fetch".into(), "build".into()])?;
        let took = SystemClock.now().as_microseconds() % 1000;
        let id = RandomIds.next_id(SystemClock.now());
        let report = json!({
            "duration_ms": took,
            "at": SystemClock.now().to_string(),
            "by": id,
            "again": id,
            "root": ctx.root(),
            "coarse": SystemClock.now().to_string()[..19].to_owned() + "Z",
            "other": format!("TASK-1/{}", other.run_id()),
            "me": format!("run {}.", ctx.run_id()),
            "temp": std::env::temp_dir().join(id.to_string()),
            id.to_string(): 1,
            RandomIds.next_id(SystemClock.now()).to_string(): 2,
        });
        s.write_bytes(ArtifactName::new("report.json")?, report.to_string().as_bytes())?;
        let work = s.work_dir()?;
        s.write_bytes(ArtifactName::new("where.txt")?, format!("in {work}\n").as_bytes())?;
        s.write_bytes(&second, b"second\n")?;
        s.write_bytes(&name, b"first\n")?;
        Ok(Signal::new("planned"))
    })?;
    ctx.checkpoint(1)?;
    let report = ctx.artifacts().read_bytes(ArtifactName::new("report.json")?)?;
    ctx.step("copy", |s| {
        s.write_bytes(ArtifactName::new("blob.bin")?, &[b"\0", report.as_slice()].concat())?;
        s.append(Event::new("seen").payload(&json!({"digest": Digest::of(&report), "size": 3})))?;
        s.append(Event::new("large").payload(&json!({"x": "y".repeat(70_000)})))?;
        Err(StepError::message(format!("process {} (x) has it", std::process::id())))
    })
    .unwrap_err();
    ctx.step("copy", |s| {
        s.write_bytes(ArtifactName::new("blob.bin")?, &[b"\0", report.as_slice()].concat())?;
        s.append(Event::new("seen").payload(&json!({"digest": Digest::of(&report), "size": 3})))?;
        s.append(Event::new("large").payload(&json!({"x": "y".repeat(70_000)})))?;
        Ok(Signal::new("copied"))
    })?;
    for word in ["stray a", "stray b"] {
        let id = RandomIds.next_id(SystemClock.now());
        fs::write(ctx.run_path().join(format!("artifacts/{id}.txt")), format!("{word} {id}"))?;
    }
    ctx.run()?.complete(Outcome::Success, Some("all done"))?;
    Ok(())
}

fn in_a_new_place() -> String {
    let dir = tempfile::tempdir().unwrap();
    let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("a b/workspaces");
    fs::create_dir(root.parent().unwrap()).unwrap();
    let workspace = Workspace::create(&root).unwrap();
    let task = workspace.create_task("TASK-1", TaskOptions::default()).unwrap();
    let other = task.start_run().unwrap();
    let ctx = task.start_run().unwrap();
    pipeline(&ctx, &other).unwrap();
    snap(&ctx)
}

#[test]
fn the_text_is_the_same_in_every_run() {
    let first = in_a_new_place();
    for _ in 0..20 {
        assert_eq!(first, in_a_new_place());
    }
    insta::assert_snapshot!(first);
}

fn start_run() -> (TestWorkspace, RunContext) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    (test, ctx)
}

fn name(text: &str) -> ArtifactName {
    ArtifactName::new(text).unwrap()
}

fn in_artifacts(ctx: &RunContext, path: &str) -> Utf8PathBuf {
    let path = ctx.run_path().join("artifacts").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    path
}

/// Only the artifacts, as they are.
fn artifacts(ctx: &RunContext) -> String {
    let text = tree::render(ctx, &Options::plain()).unwrap();
    text.split("events.jsonl").next().unwrap().split_once('\n').unwrap().1.to_owned()
}

#[test]
#[cfg(unix)]
fn every_kind_of_line() {
    let (_test, ctx) = start_run();
    let put = |path: &str, content: &[u8]| {
        ctx.artifacts().write_bytes(name(path), content).unwrap();
    };
    put("empty.txt", b"");
    put("model.bin", &[0; 4096]);
    put("numbers.json", br#"{"b":[1.0,1e400,-0,123456789012345678901234567890],"a":{},"b":[]}"#);
    put("text.json", b"{not json\n");
    put("log.jsonl", b"{\"z\":1,\"a\":[ 2 ]}\n\"two\"");
    put("d/open.txt", b"# Title\n\n  indented, no end");
    put("d/escaped.txt", b"one\r\ntwo \\ \x1b[1m\n");
    put("long.txt", &b"0123456789\n".repeat(40));
    put("d/e/deep.txt", b"12345");
    put("d/e/f/deeper.txt", b"1234567");
    put("gone.txt", b"gone\n");
    put("changed.txt", b"as written\n");
    put("removed.txt", b"not shown\n");
    ctx.artifacts().remove(name("removed.txt")).unwrap();
    ctx.checkpoint(1).unwrap();
    ctx.checkpoint(2).unwrap();
    fs::remove_file(in_artifacts(&ctx, "gone.txt")).unwrap();
    fs::write(in_artifacts(&ctx, "changed.txt"), "by hand\n").unwrap();
    fs::write(in_artifacts(&ctx, "stray (1): x.txt"), "stray\n").unwrap();
    fs::write(in_artifacts(&ctx, ".hidden"), "hidden\n").unwrap();
    fs::remove_file(ctx.run_path().join("checkpoints/1.json")).unwrap();
    fs::write(ctx.run_path().join("checkpoints/3.json"), "{}").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", in_artifacts(&ctx, "link")).unwrap();
    let mut journal = fs::OpenOptions::new().append(true).open(ctx.journal_path()).unwrap();
    std::io::Write::write_all(&mut journal, b"{\"torn").unwrap();
    let options =
        Options::new().max_bytes(400).max_depth(3).redact("events.jsonl", "/payload", "..");
    assert_run_snapshot!(ctx, &options, @r#"
    TASK-1/[run-1] PLANNING
    artifacts/
      "stray (1): x.txt" (unjournaled)
        stray
      changed.txt (changed on disk)
        by hand
      d/
        e/
          deep.txt (no line break at the end)
            12345
          f/: 1 file, 7 bytes
        escaped.txt (escaped)
          one\r
          two \\ \u{1b}[1m
        open.txt (no line break at the end)
          # Title

            indented, no end
      empty.txt: empty
      gone.txt (missing)
      link: link or special file, not followed (unjournaled)
      log.jsonl (no line break at the end)
        {"a":[2],"z":1}
        "two"
      long.txt: text, 440 bytes, blake3:29dd250eeff98feac1c64405e21ddaa922332e01539f00a80a563ba38afefe6d
      model.bin: binary, 4096 bytes, blake3:b6fb73fc46938c981e2b0b4b1ef282adcfc89854d01bfe3972fdc4785b41b2c7
      numbers.json
        {
          "a": {},
          "b": [
            1.0,
            1e400,
            -0,
            123456789012345678901234567890
          ],
          "b": []
        }
      text.json
        {not json
    checkpoints/
      1: missing
      2: 12 artifacts at seq 15
      3: unrecorded
    events.jsonl
      1  artifact_written  artifact/empty.txt  ".."
      2  artifact_written  artifact/model.bin  ".."
      3  artifact_written  artifact/numbers.json  ".."
      4  artifact_written  artifact/text.json  ".."
      5  artifact_written  artifact/log.jsonl  ".."
      6  artifact_written  artifact/d/open.txt  ".."
      7  artifact_written  artifact/d/escaped.txt  ".."
      8  artifact_written  artifact/long.txt  ".."
      9  artifact_written  artifact/d/e/deep.txt  ".."
      10  artifact_written  artifact/d/e/f/deeper.txt  ".."
      11  artifact_written  artifact/gone.txt  ".."
      12  artifact_written  artifact/changed.txt  ".."
      13  artifact_written  artifact/removed.txt  ".."
      14  artifact_removed  artifact/removed.txt  ".."
      15  checkpoint_created  checkpoint/1  ".."
      16  checkpoint_created  checkpoint/2  ".."
    findings
      torn_tail
    "#);
}

#[test]
fn redactions_go_by_path_and_pointer() {
    let (_test, ctx) = start_run();
    let items =
        json!({"items": [{"id": 7, "token": "x", "in": {"token": "y"}}], "a/b": 1, "token": 0});
    for path in ["reports/a.json", "reports/deep/b.json", "c.json"] {
        ctx.artifacts().write_bytes(name(path), items.to_string().as_bytes()).unwrap();
    }
    ctx.artifacts().write_bytes(name("lines.jsonl"), b"{\"token\":1}\n{\"token\":2}\n").unwrap();
    ctx.artifacts().write_bytes(name("blob.bin"), b"\0").unwrap();
    ctx.append(Event::new("asked").payload(&json!({"token": "secret", "n": 1}))).unwrap();
    let options = Options::new()
        .redact("reports/*.json", "/items/*/id", "[id]")
        .redact("**/*.json", "/**/token", "[token]")
        .redact("c.json", "/a~1b", "2026-01-01T00:00:00.000000Z")
        .redact("lines.jsonl", "/1/token", "[second]")
        .redact("blob.bin", "", "[blob]")
        .redact("events.jsonl", "/payload/token", "[secret]")
        .redact("events.jsonl", "/payload/digest", "[any]");
    assert_run_snapshot!(ctx, &options, @r#"
    TASK-1/[run-1] PLANNING
    artifacts/
      blob.bin
        [blob]
      c.json
        {
          "a/b": "2026-01-01T00:00:00.000000Z",
          "items": [
            {
              "id": 7,
              "in": {
                "token": "[token]"
              },
              "token": "[token]"
            }
          ],
          "token": "[token]"
        }
      lines.jsonl
        {"token":1}
        {"token":"[second]"}
      reports/
        a.json
          {
            "a/b": 1,
            "items": [
              {
                "id": "[id]",
                "in": {
                  "token": "[token]"
                },
                "token": "[token]"
              }
            ],
            "token": "[token]"
          }
        deep/
          b.json
            {
              "a/b": 1,
              "items": [
                {
                  "id": 7,
                  "in": {
                    "token": "[token]"
                  },
                  "token": "[token]"
                }
              ],
              "token": "[token]"
            }
    events.jsonl
      1  artifact_written  artifact/reports/a.json  {"digest":"[any]","media_type":"application/json","path":"reports/a.json","size":"[size]"}
      2  artifact_written  artifact/reports/deep/b.json  {"digest":"[any]","media_type":"application/json","path":"reports/deep/b.json","size":"[size]"}
      3  artifact_written  artifact/c.json  {"digest":"[any]","media_type":"application/json","path":"c.json","size":"[size]"}
      4  artifact_written  artifact/lines.jsonl  {"digest":"[any]","media_type":"application/x-ndjson","path":"lines.jsonl","size":"[size]"}
      5  artifact_written  artifact/blob.bin  {"digest":"[any]","media_type":"application/octet-stream","path":"blob.bin","size":"[size]"}
      6  asked  run/[run-1]  {"n":1,"token":"[secret]"}
    "#);
    for (path, selector) in [("[", ""), ("x", "items/id"), ("x", "/***")] {
        let error = tree::render(&ctx, &Options::new().redact(path, selector, "")).unwrap_err();
        assert!(matches!(error, TreeError::BadPattern { .. }), "{error}");
    }
    let error = tree::render(&ctx, &Options::new().redact("x", "items/id", "")).unwrap_err();
    insta::assert_snapshot!(error, @r#""items/id" cannot be the selector of a redaction: it does not start with a slash; give a glob over JSON Pointers such as /items/*/id, or nothing for the whole content"#);
}

#[test]
fn plain_text_has_every_value() {
    let (_test, ctx) = start_run();
    let at = "2026-01-01T00:00:00.123456Z";
    ctx.append(Event::new("seen").payload(&json!({"run": "RUN-1", "at": at, "duration_ms": 7})))
        .unwrap();
    let text = tree::render(&ctx, &Options::plain()).unwrap();
    insta::assert_snapshot!(text, @r#"
    TASK-1/RUN-1 PLANNING
    artifacts/: empty
    events.jsonl
      1  2026-01-01T00:00:00.007000Z  seen  run/RUN-1  {"at":"2026-01-01T00:00:00.123456Z","duration_ms":7,"run":"RUN-1"}
    "#);
}

#[test]
fn what_is_damaged_or_odd_has_a_text() {
    let (_test, ctx) = start_run();
    ctx.artifacts().write_bytes(name("a.txt"), b"a\n").unwrap();
    ctx.append(Event::new("deep").payload(&json!({"a": 1}))).unwrap();
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    fs::write(in_artifacts(&ctx, "deep.json"), deep).unwrap();
    fs::write(in_artifacts(&ctx, "surrogate.json"), r#""\ud800""#).unwrap();
    fs::write(in_artifacts(&ctx, "CON."), "a bad name\n").unwrap();
    let long = ["d"; 600].join("/");
    let mut at = ctx.run_path().join("artifacts");
    for part in long.split('/').take(200) {
        at.push(part);
    }
    fs::create_dir_all(&at).unwrap();
    fs::write(at.join("x.txt"), "deep\n").unwrap();
    let whole = snap(&ctx);
    for told in ["deep.json (unjournaled, no line", "surrogate.json", "CON.", "x.txt (unjournaled)"]
    {
        assert!(whole.contains(told), "{told}");
    }
    let (journal, genesis) = (ctx.journal_path(), ctx.run_path().join("run.json"));
    let lines = fs::read(&journal).unwrap();
    let half = lines.iter().position(|byte| *byte == b'\n').unwrap() / 2;
    let damaged = [&lines[..half], b"#", &lines[half + 1..]].concat();
    for bytes in [damaged.as_slice(), b"", b"\0\0\0", b"nothing\n", &lines[..half]] {
        fs::write(&journal, bytes).unwrap();
        assert!(snap(&ctx).contains("a.txt"));
        assert!(tree::render(&ctx, &Options::plain()).unwrap().contains("a.txt"));
    }
    fs::write(&journal, &damaged).unwrap();
    assert!(snap(&ctx).contains("\nfindings\n  "));
    fs::remove_file(&journal).unwrap();
    assert!(snap(&ctx).ends_with("events.jsonl: no events\nfindings\n  journal_missing\n"));
    fs::create_dir(&journal).unwrap();
    assert!(snap(&ctx).contains("\nfindings\n  "));
    fs::write(&genesis, "{}").unwrap();
    assert!(snap(&ctx).ends_with("findings\n  genesis_damaged\n"));
    fs::remove_dir_all(ctx.run_path().join("artifacts")).unwrap();
    fs::write(ctx.run_path().join("artifacts"), "a file").unwrap();
    assert!(snap(&ctx).contains("artifacts/: empty\n"));
    fs::remove_dir_all(ctx.run_path()).unwrap();
    assert!(tree::render(&ctx, &Options::new()).is_err());
}

/// What must be told apart: JSON by its value, anything else by its bytes.
fn meaning(path: &str, content: &str) -> String {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok().map(|it| it.to_string());
    let parsed = if path.ends_with(".json") {
        parse(content)
    } else if path.ends_with(".jsonl") {
        let lines = content.split_terminator('\n').map(parse).collect::<Option<Vec<_>>>();
        let end = content.ends_with('\n');
        lines.filter(|lines| !lines.is_empty()).map(|lines| format!("{end}{}", lines.join("\n")))
    } else {
        None
    };
    format!("{path}:{parsed:?}:{}", if parsed.is_none() { content } else { "" })
}

#[test]
fn two_contents_never_look_the_same() {
    let (_test, ctx) = start_run();
    let pieces =
        ["a", " ", "\n", "\n", "  ", "b.txt", ": empty", "{}", "[", "]", "\"", "\\", "\u{1}"];
    let more = ["\\u{1}", "\r", "\\r", "1", ",", "d/", " (unjournaled)", "\t", "null", "\u{2028}"];
    let pieces: Vec<_> = pieces.into_iter().chain(more).collect();
    let paths = ["a.txt", "a.json", "b.jsonl", "d/a.txt", "d/b.json", "a: empty", "a (x)", "\"a\""];
    let mut seed = 88_172_645_463_325_252_u64;
    let mut next = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    // Each short content alone, and some trees of several.
    let short = ["a", "\n", " ", "\u{1}", "\\u{1}", "\\", "\r", "\\r", "{}", "[]", "1", "\""];
    let mut trees = Vec::new();
    for path in ["a.txt", "a.json", "b.jsonl"] {
        for first in [""].into_iter().chain(short) {
            trees.extend(short.map(|second| vec![(path, format!("{first}{second}"))]));
        }
    }
    for _ in 0..500 {
        let chosen: Vec<_> = paths.into_iter().filter(|_| next(4) == 0).collect();
        let mut content = |_| -> String {
            let count = next(4);
            (0..count).map(|_| pieces[next(pieces.len())]).collect()
        };
        trees.push(chosen.into_iter().map(|path| (path, content(path))).collect());
    }
    let mut seen: HashMap<String, Vec<String>> = HashMap::new();
    for tree in trees {
        let _ = fs::remove_dir_all(ctx.run_path().join("artifacts"));
        for (path, content) in &tree {
            fs::write(in_artifacts(&ctx, path), content).unwrap();
        }
        let meant: Vec<_> = tree.iter().map(|(path, content)| meaning(path, content)).collect();
        let text = artifacts(&ctx);
        if let Some(before) = seen.insert(text.clone(), meant.clone()) {
            assert_eq!(before, meant, "\n{text}");
        }
    }
    assert!(seen.len() > 700, "{}", seen.len());
}

/// All that a step can have in hand when it dies.
fn half(s: &StepContext) -> Result<(), StepError> {
    s.write(PLAN, &vec!["half".into()])?;
    s.write_bytes(name("large.bin"), &[7; 100_000])?;
    s.remove(name("old.txt"))?;
    fs::write(s.work_dir()?.join("scratch"), "scratch")?;
    s.append(Event::new("with_the_step"))?;
    s.append_now(Event::new("at_once"))?;
    Ok(())
}

/// What lies in a run's `.tmp/`: kinds of files, and their sizes.
fn left_over(ctx: &RunContext) -> Vec<String> {
    let entries = fs::read_dir(ctx.run_path().join(".tmp")).unwrap().map(Result::unwrap);
    let told = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        let size = if entry.path().is_dir() { 0 } else { entry.metadata().unwrap().len() };
        format!("{} {size}", &name[36..])
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

#[test]
#[cfg(unix)]
fn half_a_step_worker() {
    if std::env::var_os("RUNJOURNAL_TEST_WORKER").is_none() {
        return;
    }
    let _ = crate::worker::context().step("work", |s| {
        half(s)?;
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
        unreachable!("it was killed")
    });
}

#[test]
#[cfg(unix)]
fn a_crash_leaves_what_a_kill_leaves() {
    let left = |crash: &dyn Fn(&RunContext)| {
        let (test, ctx) = start_run();
        ctx.artifacts().write_bytes(name("old.txt"), b"old\n").unwrap();
        crash(&ctx);
        let after = (snap(&ctx), left_over(&ctx));
        let signal = ctx.step("work", |s| {
            assert_eq!(s.attempt(), 2);
            half(s)?;
            Ok("done".into())
        });
        assert_eq!(signal.unwrap(), "done");
        let whole = snap(&ctx);
        drop(test);
        (after, whole)
    };
    let crashed = left(&|ctx| {
        let failed = ctx.step("work", |s| {
            half(s)?;
            Err(crash())
        });
        assert!(matches!(failed, Err(StepFailure::Failed { attempt: 1, .. })), "{failed:?}");
    });
    let killed = left(&|ctx| {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "trees::half_a_step_worker", "--test-threads=1"])
            .envs(ctx.env())
            .env("RUNJOURNAL_TEST_WORKER", "1")
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    });
    assert_eq!(crashed, killed);
    assert_eq!(
        crashed.0.1.len(),
        5,
        "three stages, the liveness file, the work folder: {crashed:?}"
    );
}

#[test]
fn the_assertion_takes_every_form_and_tells_why() {
    let (_test, ctx) = start_run();
    let options = Options::new();
    assert_run_snapshot!("an_empty_run", ctx);
    assert_run_snapshot!("an_empty_run", &ctx, options);
    assert_run_snapshot!(ctx, &options);
    assert_run_snapshot!(&ctx, @"
    TASK-1/[run-1] PLANNING
    artifacts/: empty
    events.jsonl: no events
    ");
    let none = Options::new().redact("[", "", "");
    let panic = std::panic::AssertUnwindSafe(|| assert_run_snapshot!(ctx, none));
    let panic = std::panic::catch_unwind(panic).unwrap_err();
    let told = panic.downcast_ref::<String>().unwrap();
    assert!(told.starts_with("the run cannot be rendered: \"[\" cannot be the path"), "{told}");
}

#[test]
fn two_runs_are_held_against_each_other() {
    let (test, ctx) = start_run();
    let again = test.start_run("RUN-2").unwrap();
    for run in [&ctx, &again] {
        run.artifacts().write(PLAN, &vec!["a".into(), run.run_id().to_string()]).unwrap();
    }
    assert_eq!(Diff::trees(&ctx, &again, &Options::new()).unwrap(), "");
    again.append(Event::new("more")).unwrap();
    insta::assert_snapshot!(Diff::trees(&ctx, &again, &Options::new()).unwrap(), @r#"
    --- TASK-1/RUN-1
    +++ TASK-1/RUN-2
    @@ -7,3 +7,4 @@
         ]
     events.jsonl
       1  artifact_written  artifact/plan.json  {"digest":"[digest-1]","media_type":"application/json","path":"plan.json","size":"[size]"}
    +  2  more  run/[run-1]
    "#);
}

#[test]
#[cfg(feature = "cli")]
fn the_tool_shows_and_compares_trees() {
    let shell = crate::cli::Shell::with_run();
    shell.write("content", "one\ntwo\n");
    shell.ok(&["artifact", "put", "-r", "RUN-1", "plan.txt", "content"]);
    let redacted = shell.ok(&["run", "show", "RUN-1", "--tree", "--redacted"]);
    insta::assert_snapshot!(redacted, @r#"
    TASK-1/[run-1] PLANNING
    artifacts/
      plan.txt
        one
        two
    events.jsonl
      1  artifact_written  artifact/plan.txt  {"digest":"blake3:04d2649eb72531af4fa85b201f6610814cb48e8ffb171b64bea1be6051ee8ba5","media_type":"text/plain","path":"plan.txt","size":8}
    "#);
    let plain = shell.ok(&["run", "show", "RUN-1", "--tree"]);
    assert!(plain.starts_with("TASK-1/RUN-1 PLANNING\n") && plain.contains("Z  artifact_written"));
    let json = shell.ok(&["run", "show", "RUN-1", "--tree", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["tree"], plain);
    shell.refused(2, &["run", "show", "RUN-1", "--redacted"]);

    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    shell.ok(&["artifact", "put", "-r", "RUN-2", "plan.txt", "content"]);
    let same = shell.go(&["diff", "RUN-1", "RUN-2", "--tree"]);
    assert_eq!((same.exit, same.out.as_str(), same.err.as_str()), (0, "", "nothing differs\n"));
    shell.write("content", "one\n2\n");
    shell.ok(&["artifact", "put", "-r", "RUN-2", "plan.txt", "content"]);
    let differ = shell.go(&["diff", "RUN-1", "RUN-2", "--tree"]);
    assert_eq!((differ.exit, differ.err.as_str()), (1, ""));
    insta::assert_snapshot!(differ.out, @r#"
    --- TASK-1/RUN-1
    +++ TASK-1/RUN-2
    @@ -2,6 +2,7 @@
     artifacts/
       plan.txt
         one
    -    two
    +    2
     events.jsonl
    -  1  artifact_written  artifact/plan.txt  {"digest":"blake3:04d2649eb72531af4fa85b201f6610814cb48e8ffb171b64bea1be6051ee8ba5","media_type":"text/plain","path":"plan.txt","size":8}
    +  1  artifact_written  artifact/plan.txt  {"digest":"[digest-1]","media_type":"text/plain","path":"plan.txt","size":"[size]"}
    +  2  artifact_written  artifact/plan.txt  {"digest":"blake3:9a71a42e3e7be47fa7ffbc5fa12c548503d7a426b4db813d5e569078b5532e58","media_type":"text/plain","path":"plan.txt","previous":"[digest-1]","size":6}
    "#);
}

#[test]
fn the_page_shows_the_example() {
    let read =
        |path: &str| fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (page, example) = (read("docs/testing.md"), read("examples/testing/tests.rs"));
    let blocks: Vec<_> = page.split("```rust\n").skip(1).collect();
    assert!(blocks.len() > 3);
    for block in blocks {
        let code = block.split("```").next().unwrap();
        assert!(example.contains(code), "examples/testing/tests.rs does not have\n{code}");
    }
}

fn id() -> String {
    RandomIds.next_id(SystemClock.now()).to_string()
}

/// The text of a run in which one event has this payload.
fn told(payload: impl Fn(&RunContext) -> Value) -> String {
    let (_test, ctx) = start_run();
    ctx.append(Event::new("told").payload(&payload(&ctx))).unwrap();
    let text = snap(&ctx);
    text.lines().last().unwrap().split("run/[run-1]  ").last().unwrap().to_owned()
}

#[test]
fn what_stands_behind_an_escape_or_a_flag_is_met() {
    let line = told(|ctx| {
        let (root, run, id) = (ctx.root(), ctx.run_id(), id());
        let inner = json!({"log": format!("a\n{id}\t{root}\n{run}\n2026-01-01T00:00:00Z")});
        json!({
            "inner": inner.to_string(),
            "twice": json!(inner.to_string()).to_string(),
            "colour": format!("\u{1b}[2m{id}\u{1b}[0m \u{1b}[1;31m{run}\u{1b}[0m"),
            "colour in json": json!(format!("\u{1b}[2m{id}")).to_string(),
            "url": format!("http://x/?a=%2F{id}"),
            "flags": format!("cc -I{root}/a -L{root}/b file:{root} -I/tmp/x src/tmp/x"),
        })
    });
    insta::assert_snapshot!(line, @r#"{"colour":"\u001b[2m[id-1]\u001b[0m \u001b[1;31m[run-1]\u001b[0m","colour in json":"\"\\u001b[2m[id-1]\"","flags":"cc -I[root]/a -L[root]/b file:[root] -I[tmp-1] src/tmp/x","inner":"{\"log\":\"a\\n[id-1]\\t[root]\\n[run-1]\\n[time]\"}","twice":"\"{\\\"log\\\":\\\"a\\\\n[id-1]\\\\t[root]\\\\n[run-1]\\\\n[time]\\\"}\"","url":"http://x/?a=%2F[id-1]"}"#);
}

#[test]
fn a_run_id_is_met_as_a_word_only() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("a").unwrap();
    let text = "a, (a) caféa éa aé a.b a-b a/b 運行a";
    ctx.append(Event::new("told").payload(&text)).unwrap();
    assert!(
        snap(&ctx).ends_with("\"[run-1], ([run-1]) caféa éa aé a.b a-b [run-1]/b 運行[run-1]\"\n")
    );
    let ctx = test.start_run("blake3").unwrap();
    ctx.append(Event::new("told").payload(&json!([Digest::of(b"x"), "blake3"]))).unwrap();
    assert!(snap(&ctx).ends_with("[\"[digest-1]\",\"[run-1]\"]\n"));
    let run = id();
    let ctx = test.start_run(&run).unwrap();
    ctx.append(Event::new("told").payload(&json!([run, run.replace('-', "")]))).unwrap();
    assert!(snap(&ctx).ends_with("[\"[run-1]\",\"[run-1]\"]\n"));
}

#[test]
fn an_object_with_ids_for_keys_has_one_order() {
    let text = || {
        let (_test, ctx) = start_run();
        let took = || SystemClock.now().as_microseconds() % 997;
        let mut nested = json!(1);
        for _ in 0..40 {
            nested = json!({id(): nested, id(): {"duration_ms": took()}});
        }
        let map = json!({
            id(): {"duration_ms": took(), "secret": took(), "name": "x"},
            id(): {"duration_ms": took(), "secret": took(), "name": "y"},
            id(): {id(): {"duration_ms": took(), "name": "z"}, id(): {"duration_ms": took()}},
        });
        ctx.artifacts().write_bytes(name("map.json"), map.to_string().as_bytes()).unwrap();
        ctx.artifacts()
            .write_bytes(name(&format!("{}.json", id())), map.to_string().as_bytes())
            .unwrap();
        ctx.append(Event::new("nested").payload(&json!({"map": nested}))).unwrap();
        let options = Options::new().redact("*.json", "/*/secret", "[secret]");
        tree::render(&ctx, &options).unwrap()
    };
    let first = text();
    for _ in 0..12 {
        assert_eq!(first, text());
    }
}

#[test]
fn times_have_no_number_and_words_are_no_durations() {
    let line = told(|_| {
        json!({
            "at": ["2026-01-01T00:00:00.007000Z", "2026-01-01T00:00:00.123456789+01:00", "2026-01-01 00:00:00.5Z"],
            "duration_ms": null,
            "more": {"duration_ms": 5},
        })
    });
    insta::assert_snapshot!(line, @r#"{"at":["[time]","[time]","[time]"],"duration_ms":null,"more":{"duration_ms":"[duration]"}}"#);
}

#[test]
fn only_the_root_and_temporary_directories_have_names() {
    let home = std::env::home_dir().unwrap().into_os_string().into_string().unwrap();
    let here = std::env::current_dir().unwrap().into_os_string().into_string().unwrap();
    let temp = std::env::temp_dir().join("x").into_os_string().into_string().unwrap();
    let (_test, ctx) = start_run();
    let all = format!("{home} {here}/src {temp}/y /tmp/x /tmp /root /app");
    ctx.append(Event::new("told").payload(&all)).unwrap();
    let text = snap(&ctx);
    assert!(text.contains(&format!("\"{home} {here}/src [tmp-1]/y [tmp-")), "{text}");
    assert!(text.ends_with(" [tmp] /root /app\"\n"), "{text}");
    let options = Options::new().place(env!("CARGO_MANIFEST_DIR"), "[crate]").place("src", "[src]");
    let text = tree::render(&ctx, &options).unwrap();
    assert!(text.contains(" [src] [tmp-1]/y"), "{text}");
}

#[test]
fn what_is_not_looked_into_is_not_told() {
    let (_test, ctx) = start_run();
    let long = vec![b'x'; (4 << 20) + 1];
    ctx.artifacts().write_bytes(name("long.txt"), &long).unwrap();
    assert!(snap(&ctx).contains("\n  long.txt: large, [size], [digest-1]\n"));
    assert!(artifacts(&ctx).contains("long.txt: large, 4194305 bytes, blake3:"));
    let options = Options::new().redact("long.txt", "", "[long]");
    assert!(tree::render(&ctx, &options).unwrap().contains("\n  long.txt\n    [long]\n"));
}

#[test]
fn events_and_artifacts_have_their_own_redactions() {
    let (_test, ctx) = start_run();
    ctx.artifacts().write_bytes(name("events.jsonl"), b"{\"payload\":1}\n").unwrap();
    let of = |path: &str| {
        tree::render(&ctx, &Options::new().redact(path, "/**/payload", "[it]")).unwrap()
    };
    let (artifact, event) = ("\n    {\"payload\":1}\n", "artifact/events.jsonl  {\"digest\"");
    let redacted = ("\n    {\"payload\":\"[it]\"}\n", "artifact/events.jsonl  \"[it]\"");
    for path in ["**/*.jsonl", "*.jsonl", "event[s].jsonl"] {
        let text = of(path);
        assert!(text.contains(redacted.0) && text.contains(event), "{text}");
    }
    let text = of("events.jsonl");
    assert!(text.contains(artifact) && !text.contains(event), "{text}");
}

#[test]
fn an_event_tells_who_and_with_what() {
    let (_test, ctx) = start_run();
    let human = Actor::new("human", Some("ann".into()));
    ctx.append(Event::new("a").actor(human).command_id("c 1")).unwrap();
    ctx.append(Event::new("b").metadata(&json!({"by": id()})).actor(Actor::new("node", None)))
        .unwrap();
    insta::assert_snapshot!(snap(&ctx), @r#"
    TASK-1/[run-1] PLANNING
    artifacts/: empty
    events.jsonl
      1  a  run/[run-1]  actor human/ann  command_id c 1
      2  b  run/[run-1]  metadata {"by":"[id-1]"}
    "#);
}

#[test]
fn the_digest_of_a_configuration_is_told_where_nothing_varies_in_it() {
    let (_test, ctx) = start_run();
    for (step, config) in [("same", json!({"b": 1, "a": [2]})), ("other", json!({"id": id()}))] {
        ctx.step(Step::new(step).config(&config), |_| Ok(Signal::new("done"))).unwrap();
    }
    let text = snap(&ctx);
    assert!(text.contains("{\"attempt\":1,\"config\":\"blake3:"), "{text}");
    assert!(text.contains("{\"attempt\":1,\"config\":\"[digest-1]\""), "{text}");
}

#[test]
fn what_is_not_seen_is_escaped() {
    let (_test, ctx) = start_run();
    let odd = "a\u{202e}b\u{2066}c\u{2028}\u{200b}\u{feff}\\";
    ctx.artifacts().write_bytes(name("a.txt"), format!("{odd}\n").as_bytes()).unwrap();
    ctx.artifacts().write_bytes(name("a.json"), json!({odd: odd}).to_string().as_bytes()).unwrap();
    insta::assert_snapshot!(artifacts(&ctx), @r#"
    artifacts/
      a.json
        {
          "a\u202eb\u2066c\u2028\u200b\ufeff\\": "a\u202eb\u2066c\u2028\u200b\ufeff\\"
        }
      a.txt (escaped)
        a\u{202e}b\u{2066}c\u{2028}\u{200b}\u{feff}\\
    "#);
}

#[test]
fn a_crash_within_a_step_is_one_of_the_step_around_it() {
    let (_test, ctx) = start_run();
    let crashed = ctx.step("outer", |s| {
        s.context().step("inner", |_| Err(crash()))?;
        Ok(Signal::new("done"))
    });
    assert!(crashed.is_err());
    insta::assert_snapshot!(snap(&ctx), @r#"
    TASK-1/[run-1] PLANNING
    artifacts/: empty
    events.jsonl
      1  step_started  step/outer  {"attempt":1,"inputs":[]}
      2  step_started  step/inner  {"attempt":1,"inputs":[]}
    "#);
}

#[test]
fn runs_are_compared_without_their_numbers() {
    let (test, ctx) = start_run();
    let again = test.start_run("RUN-2").unwrap();
    let last = test.start_run("RUN-3").unwrap();
    again.append(Event::new("early").payload(&id())).unwrap();
    for run in [&ctx, &again, &last] {
        let (a, b) = (id(), id());
        run.append(Event::new("two").payload(&json!([&a, &b]))).unwrap();
        run.append(Event::new("first").payload(&a)).unwrap();
        let other = if run.run_id() == last.run_id() { a } else { b };
        run.append(Event::new("second").payload(&other)).unwrap();
        run.checkpoint(1).unwrap();
    }
    let diff = |a, b| Diff::trees(a, b, &Options::new()).unwrap();
    insta::assert_snapshot!(diff(&ctx, &again), @r#"
    --- TASK-1/RUN-1
    +++ TASK-1/RUN-2
    @@ -3,6 +3,7 @@
     checkpoints/
       1: 0 artifacts at seq 4
     events.jsonl
    +  1  early  run/[run-1]  "[id-1]"
       2  two  run/[run-1]  ["[id-2]","[id-3]"]
       3  first  run/[run-1]  "[id-2]"
       4  second  run/[run-1]  "[id-3]"
    "#);
    // The same ids in other places are a difference, though only numbers show it.
    insta::assert_snapshot!(diff(&ctx, &last), @r#"
    --- TASK-1/RUN-1
    +++ TASK-1/RUN-3
    @@ -5,5 +5,5 @@
     events.jsonl
       1  two  run/[run-1]  ["[id-1]","[id-2]"]
       2  first  run/[run-1]  "[id-1]"
    -  3  second  run/[run-1]  "[id-2]"
    +  3  second  run/[run-1]  "[id-1]"
       4  checkpoint_created  checkpoint/1  {"artifacts_root":"[digest-1]","digest":"[digest-2]","turn":1}
    "#);
    insta::assert_snapshot!(diff(&again, &last), @r#"
    --- TASK-1/RUN-2
    +++ TASK-1/RUN-3
    @@ -3,8 +3,7 @@
     checkpoints/
       1: 0 artifacts at seq 3
     events.jsonl
    -  1  early  run/[run-1]  "[id-1]"
       1  two  run/[run-1]  ["[id-1]","[id-2]"]
       2  first  run/[run-1]  "[id-1]"
    -  4  second  run/[run-1]  "[id-3]"
    +  3  second  run/[run-1]  "[id-1]"
       4  checkpoint_created  checkpoint/1  {"artifacts_root":"[digest-1]","digest":"[digest-2]","turn":1}
    "#);
}
