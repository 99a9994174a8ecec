//! Programs as nodes: how they end, what they leave, what the journal says of it.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::*;
use serde_json::{Value, json};

const PLAN: Artifact<Vec<u32>> = Artifact::json("plan.json");
const LOG: ArtifactName = ArtifactName::from_static("logs/out.txt");
const PIDS: ArtifactName = ArtifactName::from_static("pids.txt");

fn run() -> (TestWorkspace, RunContext) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    (test, ctx)
}

fn sh(script: &str) -> Program {
    Program::new("sh").args(["-c", script])
}

fn go(ctx: &RunContext, program: &Program) -> Result<Signal, StepFailure> {
    ctx.step(Step::new("work").config(program), |s| program.run(s))
}

/// It must fail; why.
fn refused(ctx: &RunContext, program: &Program) -> ProgramError {
    match go(ctx, program) {
        Err(StepFailure::Failed { source, .. }) => *source.downcast().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn text(ctx: &RunContext, name: &ArtifactName) -> String {
    String::from_utf8(ctx.artifacts().read_bytes(name).unwrap()).unwrap()
}

fn payloads(ctx: &RunContext, event_type: &str) -> Vec<Value> {
    let records = ctx.events().unwrap().map(Result::unwrap);
    records.filter(|r| r.event_type() == event_type).map(|r| r.payload().unwrap()).collect()
}

/// What the journal says of the last failure.
fn told(ctx: &RunContext) -> Vec<String> {
    let failed = payloads(ctx, "step_failed").pop().unwrap();
    serde_json::from_value(failed["error"].clone()).unwrap()
}

fn is_empty(ctx: &RunContext) -> bool {
    ctx.artifacts().list().unwrap().is_empty()
        && std::fs::read_dir(ctx.run_path().join(".tmp")).unwrap().count() == 0
}

/// One that only waits to be reaped is not alive: who was orphaned is reaped by somebody else.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim().starts_with(['Z', 'X']))
}

/// A path outside of the run, for what a program that fails is to tell the test.
fn beside(test: &TestWorkspace, name: &str) -> String {
    test.root().join("..").join(name).to_string()
}

fn read_when_there(path: &str) -> String {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => assert!(Instant::now() < until, "{path} was not written"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn exit_codes_become_signals() {
    let (_test, ctx) = run();
    let leave = |code: i32| sh(&format!("echo {code} > $RUNJOURNAL_OUT/code; exit {code}"));
    let step = |name: &str, program: Program| ctx.step(name, |s| program.run(s)).unwrap();
    let code = ArtifactName::from_static("code");
    assert_eq!(step("plain", leave(0)), "success");
    assert_eq!(step("mapped", leave(0).exit(0, "clean")), "clean");
    assert_eq!(step("other", leave(3).exit(3, "verify_failed").exit(4, "x")), "verify_failed");
    assert_eq!(text(&ctx, &code), "3\n", "what a mapped code leaves is committed");
    assert_eq!(step("high", leave(137).exit(137, "out_of_memory")), "out_of_memory");
    let unmapped = refused(&ctx, &leave(137).exit(3, "verify_failed"));
    assert!(matches!(unmapped, ProgramError::Exited { code: 137, .. }), "{unmapped:?}");
    assert_eq!(told(&ctx), ["sh exited with code 137"]);
    assert_eq!(ctx.artifacts().list().unwrap().len(), 1);
}

#[test]
fn a_signal_that_ends_it_is_named() {
    let (_test, ctx) = run();
    let killed = refused(&ctx, &sh("echo late > $RUNJOURNAL_OUT/a; kill -9 $$").exit(9, "nine"));
    let ProgramError::Killed { status, .. } = &killed else { panic!("{killed:?}") };
    assert_eq!(status.signal(), Some(9));
    assert_eq!(told(&ctx), ["sh was ended by a signal (signal: 9 (SIGKILL))"]);
    assert!(is_empty(&ctx));
}

#[test]
fn a_failure_commits_nothing_and_tells_the_end_of_standard_error() {
    let (_test, ctx) = run();
    // An odd byte, so that 2 KiB begin inside of a character.
    let script = "echo a > $RUNJOURNAL_OUT/a; echo out; i=0; while [ $i -lt 3000 ]; do printf 'ä' >&2; \
                  i=$((i+1)); done; printf 'why?\\n' >&2; exit 1";
    let program = sh(script).stdout(LOG).stderr(ArtifactName::from_static("err.txt"));
    let error = refused(&ctx, &program);
    let ProgramError::Exited { source: Some(tail), .. } = &error else { panic!("{error:?}") };
    assert!(tail.as_str().ends_with("äwhy?") && !tail.as_str().contains('\u{fffd}'), "{tail}");
    assert!((2040..=2048).contains(&tail.as_str().len()), "{}", tail.as_str().len());
    let told = told(&ctx);
    assert_eq!(told[0], "sh exited with code 1");
    assert_eq!(told[1], format!("its standard error ends with: {}", tail.as_str()));
    assert_eq!(told.len(), 2);
    assert!(is_empty(&ctx));
    // Captured for its end alone, and never to be seen in an artifact.
    let error = refused(&ctx, &sh("printf 'no\\377such' >&2; exit 1"));
    assert!(format!("{error:?}").contains("no\u{fffd}such"), "{error:?}");
}

#[test]
fn a_program_that_hangs_is_ended_with_its_group() {
    let (test, ctx) = run();
    let pids = beside(&test, "pids");
    let limit = Duration::from_millis(500);
    let script = format!("echo said; sleep 60 & echo $! $$ > {pids}; echo why >&2; wait");
    let from = Instant::now();
    let late = refused(&ctx, &sh(&script).stdout(LOG).timeout(limit));
    assert!(matches!(late, ProgramError::TimedOut { after, .. } if after == limit), "{late:?}");
    assert!((limit..Duration::from_millis(2400)).contains(&from.elapsed()), "{:?}", from.elapsed());
    assert_eq!(told(&ctx)[0], "sh was ended: it ran for longer than 500ms");
    assert_eq!(told(&ctx)[1], "its standard error ends with: why");
    assert!(is_empty(&ctx));
    let seen = std::fs::read_to_string(&pids).unwrap();
    assert!(seen.split_whitespace().all(|pid| !is_alive(pid)), "{seen}");
    let leader = seen.split_whitespace().nth(1).unwrap();
    assert!(!Path::new(&format!("/proc/{leader}")).exists(), "it was not reaped");

    // What comes in answer to SIGTERM is not what it was to do.
    let tidy = sh("trap 'exit 0' TERM; sleep 60 & wait").timeout(limit);
    assert!(matches!(refused(&ctx, &tidy), ProgramError::TimedOut { .. }));
}

#[test]
fn a_program_that_ignores_sigterm_is_killed_after_a_grace() {
    let (_test, ctx) = run();
    let deaf = sh("trap '' TERM; for i in $(seq 100); do sleep 0.1; done")
        .timeout(Duration::from_millis(100));
    let from = Instant::now();
    assert!(matches!(refused(&ctx, &deaf), ProgramError::TimedOut { .. }));
    let took = from.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(8)).contains(&took), "{took:?}");
}

#[test]
fn what_a_program_leaves_running_is_ended_before_its_outputs_are_looked_at() {
    let (_test, ctx) = run();
    // The background process holds standard output and error, and would write on.
    let script = "(trap '' TERM HUP; for i in $(seq 500); do echo more >> $RUNJOURNAL_OUT/grows; sleep 0.02; done) & \
                  echo $! > $RUNJOURNAL_OUT/pids.txt; echo said";
    let from = Instant::now();
    assert_eq!(go(&ctx, &sh(script).stdout(LOG)).unwrap(), "success");
    assert!(from.elapsed() < Duration::from_secs(5), "{:?}", from.elapsed());
    assert_eq!(text(&ctx, &LOG), "said\n");
    assert!(!is_alive(&text(&ctx, &PIDS)));
}

#[test]
fn a_process_that_leaves_the_group_keeps_nobody_waiting() {
    let (_test, ctx) = run();
    let script = "cd $RUNJOURNAL_OUT; setsid sh -c 'echo $$ > pids.txt; exec sleep 20' & \
                  while [ ! -s pids.txt ]; do sleep 0.01; done; echo said";
    let from = Instant::now();
    assert_eq!(go(&ctx, &sh(script).stdout(LOG)).unwrap(), "success");
    assert!(from.elapsed() < Duration::from_secs(10), "{:?}", from.elapsed());
    assert_eq!(text(&ctx, &LOG), "said\n");
    let pid = text(&ctx, &PIDS);
    assert!(is_alive(&pid), "it did not leave the group");
    std::process::Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
}

/// What leaves the group is not found: what it writes while outputs are staged is not taken, or it could keep
/// the step for as long as it writes faster than it is copied.
#[test]
fn only_what_was_there_when_the_program_ended_is_committed() {
    let (test, ctx) = run();
    let (apart, end) = (beside(&test, "apart"), beside(&test, "end"));
    // It writes once the program is reaped and the lengths are taken, while the large file is staged.
    let writes = "while kill -0 $LEADER; do sleep 0.01; done 2>&-; sleep 0.2; \
                  echo late; echo late >> $RUNJOURNAL_OUT/pids.txt";
    let script = format!(
        "echo said; echo left > $RUNJOURNAL_OUT/pids.txt; truncate -s 512M $RUNJOURNAL_OUT/a; \
         export LEADER=$$; setsid sh -c 'echo > {apart}; {writes}; echo end > {end}' 2>&- & \
         while [ ! -s {apart} ]; do sleep 0.01; done"
    );
    assert_eq!(go(&ctx, &sh(&script).stdout(LOG)).unwrap(), "success");
    read_when_there(&end);
    assert_eq!((text(&ctx, &LOG), text(&ctx, &PIDS)), ("said\n".into(), "left\n".into()));
}

#[test]
fn an_attempt_that_is_cancelled_while_it_stages_fails_as_cancelled() {
    let (_test, ctx) = run();
    let cancel = Cancel::new();
    let program = sh("truncate -s 4G $RUNJOURNAL_OUT/a");
    let tmp = ctx.run_path().join(".tmp");
    let is_staging = || {
        let entries = std::fs::read_dir(&tmp).into_iter().flatten().flatten();
        let files = entries.filter_map(|entry| entry.metadata().ok()).filter(|m| m.is_file());
        files.into_iter().any(|file| file.len() > 0)
    };
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) && !is_staging() {
                std::thread::sleep(Duration::from_millis(1));
            }
            cancel.cancel();
        });
        let ended = ctx.step(Step::new("work").cancelled_by(&cancel), |s| program.run(s));
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(matches!(ended, Err(StepFailure::Failed { .. })), "{ended:?}");
    });
    assert_eq!(told(&ctx), ["sh was cancelled"]);
    assert_eq!(payloads(&ctx, "step_failed")[0]["cancelled"], true);
    assert!(is_empty(&ctx));
}

/// What stands outside of a run stays as it is, whatever a program puts in the place of its folders.
#[test]
fn links_in_place_of_its_folders_lead_to_no_removal() {
    let (test, ctx) = run();
    let victim = beside(&test, "victim");
    let precious = [format!("{victim}/out/precious"), format!("{victim}/precious")];
    std::fs::create_dir_all(format!("{victim}/out")).unwrap();
    for path in &precious {
        std::fs::write(path, "precious").unwrap();
    }
    let intact = || precious.iter().all(|path| Path::new(path).is_file());
    let swap = |script: &str| sh(&format!("W=$PWD; V={victim}; {script}"));

    let link = swap("echo a > out/a; cd ..; mv $W $W.moved; ln -s $V $W");
    assert_eq!(ctx.step("work", |s| link.run(s)).unwrap(), "success");
    assert!(intact());
    let a = ArtifactName::from_static("a");
    assert_eq!(text(&ctx, &a), "a\n", "it is what stands in the folder that was held");
    assert_eq!(ctx.artifacts().list().unwrap().len(), 1);

    let out = swap("rm -r out; ln -s $V/out out");
    ctx.step("out", |s| out.run(s)).unwrap_err();
    assert!(intact());
    let inside = swap("mkdir -p out/b; ln -s $V out/link; ln -s $V out/b/link; ln -s $V link");
    ctx.step("inside", |s| inside.run(s)).unwrap_err();
    assert!(intact());

    // The attempt's own folder has a victim by the same path.
    let above = swap(
        "mkdir $V/other; mv $V/out $V/precious $V/other; mv $V/other $V/${W##*/}; \
         cd ../..; mv .tmp .tmp.moved; ln -s $V .tmp",
    );
    let _ = ctx.step("above", |s| above.run(s));
    let moved = std::fs::read_dir(&victim).unwrap().map(|e| e.unwrap().path());
    let moved: Vec<_> = moved.filter(|path| path.join("out/precious").is_file()).collect();
    assert!(moved.len() == 1 && moved[0].join("precious").is_file(), "{moved:?}");
}

#[test]
fn folders_of_any_depth_are_refused_in_few_words_and_removed() {
    let (_test, ctx) = run();
    // A thousand folders, in a thousand others, in a thousand others.
    let script = "cd $RUNJOURNAL_OUT; p=$(printf 'd/%.0s' $(seq 1000)); mkdir -p a/$p b/$p c/$p; \
                  echo x > a/$p/file; mv a b/$p/a; mv b c/$p/b";
    let error = refused(&ctx, &sh(script));
    assert!(matches!(error, ProgramError::BadName { .. }), "{error:?}");
    let told = told(&ctx);
    assert!(told.len() == 2 && told.iter().all(|text| text.len() < 300), "{told:?}");
    assert!(told[0].starts_with("c/d/d/d/") && told[0].contains("... ("), "{told:?}");
    assert!(is_empty(&ctx), "they were left");
}

#[test]
fn a_program_is_cancelled_while_it_runs_and_before() {
    let (test, ctx) = run();
    let pid = beside(&test, "pid");
    let cancel = Cancel::new();
    let program = sh(&format!("echo $$ > {pid}; echo why >&2; exec sleep 60"));
    let step = || Step::new("work").cancelled_by(&cancel);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            read_when_there(&pid);
            cancel.cancel();
        });
        let from = Instant::now();
        let ended = ctx.step(step(), |s| program.run(s));
        assert!(matches!(ended, Err(StepFailure::Failed { .. })), "{ended:?}");
        assert!(from.elapsed() < Duration::from_secs(10), "{:?}", from.elapsed());
    });
    assert_eq!(told(&ctx), ["sh was cancelled", "its standard error ends with: why"]);
    assert!(!is_alive(&read_when_there(&pid)));
    std::fs::remove_file(&pid).unwrap();
    ctx.step(step(), |s| program.run(s)).unwrap_err();
    assert_eq!(told(&ctx), ["sh was cancelled"]);
    assert!(!Path::new(&pid).exists(), "it was started though it was cancelled before");
}

#[test]
fn only_good_files_are_taken() {
    let (_test, ctx) = run();
    let bad = |script: &str| {
        let script = format!("cd $RUNJOURNAL_OUT; echo good > a; {script}");
        let error = refused(&ctx, &sh(&script).stdout(LOG));
        assert!(is_empty(&ctx), "{script}");
        error
    };
    let is_other = |error| matches!(error, ProgramError::NotRegular { .. });
    assert!(is_other(bad("ln -s /etc/passwd link")));
    assert!(is_other(bad("ln -s a link")));
    assert!(is_other(bad("mkdir -p below; ln -s .. below/link")));
    assert!(is_other(bad("mkfifo pipe")));
    let is_bad_name = |error| matches!(error, ProgramError::BadName { .. });
    assert!(is_bad_name(bad("echo b > .hidden")));
    assert!(is_bad_name(bad("mkdir below; echo b > 'below/a:b'")));
    assert!(is_bad_name(bad("echo b > \"$(printf 'a\\377')\"")));
    assert!(is_bad_name(bad("D=\"$(printf 'a\\377')\"; mkdir $D; echo b > $D/b")));
    let is_no_folder = |error| matches!(error, ProgramError::NotAFolder { .. });
    assert!(is_no_folder(bad("rm -r $RUNJOURNAL_OUT")));
    assert!(is_no_folder(bad("rm -r $RUNJOURNAL_OUT; echo b > $RUNJOURNAL_OUT")));
    assert!(is_no_folder(bad("rm -r $RUNJOURNAL_OUT; ln -s /etc $RUNJOURNAL_OUT")));
    let twice = bad("mkdir logs; echo b > logs/out.txt");
    assert!(matches!(twice, ProgramError::TwoOutputs { name } if name == LOG));
    assert_eq!(go(&ctx, &sh("mkdir $RUNJOURNAL_OUT/empty")).unwrap(), "success");
    assert!(is_empty(&ctx));
}

#[test]
fn standard_input_is_an_artifact_that_is_recorded_or_nothing() {
    let (_test, ctx) = run();
    ctx.artifacts().write(PLAN, &vec![1, 2]).unwrap();
    let copy = Program::new("cat").stdin(PLAN).stdout(LOG);
    assert_eq!(go(&ctx, &copy).unwrap(), "success");
    let plan = text(&ctx, PLAN.name());
    assert_eq!(text(&ctx, &LOG), plan);
    let inputs = &payloads(&ctx, "step_completed")[0]["inputs"];
    let digest = Digest::of(plan.as_bytes());
    assert_eq!(*inputs, json!([{"path": "plan.json", "digest": digest, "version": 0}]));

    let nothing = Program::new("cat").stdout(LOG);
    ctx.step("nothing", |s| nothing.run(s)).unwrap();
    assert_eq!(text(&ctx, &LOG), "");
    let undeclared = ctx.step(Step::new("declared").input(LOG), |s| copy.run(s));
    let Err(StepFailure::Failed { source, .. }) = undeclared else { panic!("{undeclared:?}") };
    assert!(matches!(source.downcast_ref(), Some(ArtifactError::Undeclared { .. })), "{source}");
}

#[test]
fn streams_are_what_was_written() {
    let (_test, ctx) = run();
    let err = ArtifactName::from_static("err.txt");
    let script = "rm -f .std* .??*; echo a; echo b >&2; (echo c; echo d >&2)";
    ctx.step("apart", |s| sh(script).stdout(LOG).stderr(&err).run(s)).unwrap();
    assert_eq!((text(&ctx, &LOG), text(&ctx, &err)), ("a\nc\n".into(), "b\nd\n".into()));
    ctx.step("both", |s| sh(script).stdout(&err).stderr(&err).run(s)).unwrap();
    assert_eq!(text(&ctx, &err), "a\nb\nc\nd\n");
    let failed = refused(&ctx, &sh("echo a; echo b >&2; exit 1").stdout(LOG).stderr(LOG));
    assert!(format!("{failed:?}").contains("a\\nb"), "{failed:?}");
    // Nobody asked for it.
    ctx.step("none", |s| sh("echo a; echo b >&2").run(s)).unwrap();
    assert_eq!(ctx.artifacts().list().unwrap().len(), 2);
}

#[test]
fn streams_that_become_no_artifacts_can_be_shown() {
    let (test, ctx) = run();
    let seen = beside(&test, "seen");
    let file = || std::fs::File::options().append(true).create(true).open(&seen).unwrap();
    let script = "echo a; echo b >&2";
    ctx.step("shown", |s| sh(script).stdout(LOG).run_shown(s, file(), file())).unwrap();
    assert_eq!(std::fs::read_to_string(&seen).unwrap(), "b\n");
    ctx.step("all", |s| sh(script).run_shown(s, file(), file())).unwrap();
    assert_eq!(std::fs::read_to_string(&seen).unwrap(), "b\na\nb\n");
}

#[test]
fn what_cannot_be_started_says_why() {
    let (test, ctx) = run();
    let plain = beside(&test, "plain");
    std::fs::write(&plain, "text").unwrap();
    for program in [
        Program::new("no-such-program"),
        Program::new(&plain),
        Program::new(beside(&test, "none/x")),
        Program::new("true").current_dir(beside(&test, "none")),
        Program::new("true").arg("a\0b"),
    ] {
        let error = refused(&ctx, &program);
        assert!(matches!(error, ProgramError::NotStarted { .. }), "{error:?}");
        let told = told(&ctx);
        assert!(told[0].starts_with("cannot start ") && told.len() == 2, "{told:?}");
        assert!(is_empty(&ctx));
    }
}

/// Runs programs where it stands, in a process of its own.
#[test]
fn worker_that_stands_elsewhere() {
    if std::env::var_os("RUNJOURNAL_TEST_PROGRAMS").is_none() {
        return;
    }
    let ctx = crate::worker::context();
    for (turn, path) in (1..).zip(["./tool.sh", "below/tool.sh"]) {
        let program = Program::new(path);
        ctx.step(Step::new("work").turn(turn), |s| program.run(s)).unwrap();
    }
    let error = ctx.step("none", |s| Program::new("tool.sh").run(s)).unwrap_err();
    assert!(matches!(error, StepFailure::Failed { .. }), "it is not looked for there: {error:?}");
}

#[test]
fn a_path_is_from_where_the_caller_stands_and_a_stream_without_a_name_goes_nowhere() {
    use std::os::unix::fs::PermissionsExt as _;
    let (test, ctx) = run();
    let elsewhere = beside(&test, "elsewhere");
    std::fs::create_dir_all(format!("{elsewhere}/below")).unwrap();
    for name in ["tool.sh", "below/tool.sh"] {
        let path = format!("{elsewhere}/{name}");
        let said = "echo said to nobody; echo said to nobody >&2";
        let script = format!("#!/bin/sh\n{said}\necho $0 >> $RUNJOURNAL_OUT/pids.txt\n");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut worker = std::process::Command::new(std::env::current_exe().unwrap());
    worker.args(["programs::worker_that_stands_elsewhere", "--exact", "--nocapture"]);
    worker.current_dir(&elsewhere).envs(ctx.env()).env("RUNJOURNAL_TEST_PROGRAMS", "1");
    let answer = worker.output().unwrap();
    let said = [answer.stdout, answer.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
    assert!(answer.status.success(), "{said:?}");
    assert!(said[0].contains("1 passed"), "{said:?}");
    assert!(said.iter().all(|said| !said.contains("nobody")), "{said:?}");
    let last = text(&ctx, &PIDS);
    assert!(last.ends_with("/elsewhere/below/tool.sh\n"), "{last}");
    assert_eq!(ctx.artifacts().list().unwrap().len(), 1);
}

#[test]
fn the_environment_names_the_run() {
    let (test, ctx) = run();
    let script = "pwd -P; ls -A; ls -A $RUNJOURNAL_OUT; echo $MODE $RUNJOURNAL_RUN; cd $RUNJOURNAL_OUT/..; pwd -P; \
                  echo $RUNJOURNAL_STEP; echo $RUNJOURNAL_ROOT";
    let program = sh(script).env("MODE", "ci").env("RUNJOURNAL_RUN", "other/run").stdout(LOG);
    go(&ctx, &program).unwrap();
    let seen = text(&ctx, &LOG);
    let seen: Vec<_> = seen.lines().collect();
    assert!(seen[0].contains("/RUN-1/.tmp/") && seen[0].ends_with(".work"), "{seen:?}");
    assert_eq!(seen[1..6], [".stderr", ".stdout", "out", "ci TASK-1/RUN-1", seen[0]], "{seen:?}");
    assert!(seen[6].starts_with("work/"), "{seen:?}");
    assert_eq!(seen[7], test.root());
    let root = test.root().canonicalize_utf8().unwrap();
    let there = Program::new("pwd").arg("-P").current_dir(&root).stdout(LOG);
    ctx.step("there", |s| there.run(s)).unwrap();
    assert_eq!(text(&ctx, &LOG).trim(), root);
}

#[test]
fn no_file_of_the_run_is_handed_down() {
    let (_test, ctx) = run();
    ctx.artifacts().write(PLAN, &vec![1]).unwrap();
    let script = "for fd in /proc/$$/fd/*; do echo ${fd##*/} $(readlink $fd); done";
    let program = sh(script).stdout(LOG).stdin(PLAN);
    ctx.step("work", |s| {
        let _open = s.open(PLAN)?;
        program.run(s)
    })
    .unwrap();
    let seen = text(&ctx, &LOG);
    let of_the_run: Vec<_> = seen.lines().filter(|line| line.contains("/RUN-1/")).collect();
    let numbers: Vec<_> = of_the_run.iter().map(|l| l.split(' ').next().unwrap()).collect();
    assert_eq!(numbers, ["0", "1", "2"], "{seen}");
}

#[test]
fn several_programs_may_be_one_step_also_at_the_same_time() {
    let (_test, ctx) = run();
    let leave = |name: &str| {
        let log = ArtifactName::new(format!("{name}.log")).unwrap();
        let script = format!("ls $RUNJOURNAL_OUT; echo {name} > $RUNJOURNAL_OUT/{name}; sleep 0.2");
        sh(&script).stdout(log)
    };
    ctx.step("work", |s| {
        leave("first").run(s)?;
        std::thread::scope(|scope| {
            let names = ["a", "b", "c", "d"];
            let running = names.map(|name| scope.spawn(move || leave(name).run(s).unwrap()));
            running.into_iter().for_each(|program| assert_eq!(program.join().unwrap(), "success"));
        });
        leave("last").run(s)
    })
    .unwrap();
    for name in ["first", "a", "b", "c", "d", "last"] {
        let read = |name: String| text(&ctx, &ArtifactName::new(name).unwrap());
        assert_eq!(read(name.to_owned()), format!("{name}\n"));
        assert_eq!(read(format!("{name}.log")), "", "its folder was not its own");
    }
    assert_eq!(std::fs::read_dir(ctx.run_path().join(".tmp")).unwrap().count(), 0);
}

#[test]
fn a_short_program_costs_no_wait() {
    let (_test, ctx) = run();
    let program = Program::new("true").timeout(Duration::from_secs(60));
    let mut took = Vec::new();
    ctx.step("work", |s| {
        for _ in 0..300 {
            let from = Instant::now();
            program.run(s)?;
            took.push(from.elapsed());
        }
        Ok("done".into())
    })
    .unwrap();
    took.sort();
    // The middle one: others use this machine too.
    assert!(took[150] < Duration::from_millis(30), "{:?}", took[150]);
}

#[test]
fn a_program_is_a_node() {
    let (_test, ctx) = run();
    let program = sh("exit 3").exit(3, "again");
    let node: &dyn Node = &program;
    assert_eq!(node.phase(), RunStatus::Executing);
    assert_eq!(ctx.step("work", |s| node.run(s)).unwrap(), "again");
}

#[test]
fn as_json_it_is_stable_and_plain() {
    let full = Program::new("python3")
        .args(["verify.py", "--strict"])
        .current_dir("/repo")
        .env("MODE", "ci")
        .stdin(PLAN)
        .stdout(LOG)
        .stderr(ArtifactName::from_static("err.txt"))
        .exit(3, "verify_failed")
        .exit(-1, "odd")
        .timeout(Duration::from_secs(60));
    let wanted = json!({
        "program": ["python3", "verify.py", "--strict"],
        "current_dir": "/repo",
        "env": {"MODE": "ci"},
        "stdin": "plan.json",
        "stdout": "logs/out.txt",
        "stderr": "err.txt",
        "exits": {"-1": "odd", "3": "verify_failed"},
        "timeout_ms": 60_000,
    });
    assert_eq!(serde_json::to_value(&full).unwrap(), wanted);
    assert_eq!(serde_json::from_value::<Program>(wanted).unwrap(), full);
    let least = json!({"program": ["true"]});
    assert_eq!(serde_json::to_value(Program::new("true")).unwrap(), least);
    for bad in [
        json!({}),
        json!({"program": []}),
        json!({"program": "true"}),
        json!({"program": ["true"], "user": "root"}),
        json!({"program": ["true"], "exits": {"three": "x"}}),
        json!({"program": ["true"], "exits": {"+3": "x"}}),
        json!({"program": ["true"], "exits": {"03": "x"}}),
        json!({"program": ["true"], "exits": {"99999999999": "x"}}),
        json!({"program": ["true"], "stdout": "../x"}),
        json!({"program": ["true"], "timeout_ms": -1}),
    ] {
        assert!(serde_json::from_value::<Program>(bad.clone()).is_err(), "{bad}");
    }
    let rounded = Program::new("true").timeout(Duration::from_nanos(1));
    assert_eq!(serde_json::to_value(rounded).unwrap()["timeout_ms"], 1);
}

fn artifact() -> impl Strategy<Value = Option<ArtifactName>> {
    proptest::option::of(
        // Not the names of Windows devices, such as con.
        "[a-z]{5,8}(/[a-z]{5,8})?".prop_map(|name| ArtifactName::new(name).unwrap()),
    )
}

proptest! {
    #[test]
    fn every_program_is_read_back_as_it_was(
        words in proptest::collection::vec(".*", 0..4),
        dir in proptest::option::of("[a-z/]{1,9}"),
        env in proptest::collection::btree_map("[A-Z]{1,5}", ".*", 0..4),
        streams in (artifact(), artifact(), artifact()),
        exits in proptest::collection::btree_map(any::<i32>(), ".*", 0..4),
        timeout in proptest::option::of(any::<u64>()),
    ) {
        let mut program = Program::new("a").args(words);
        program = dir.iter().fold(program, Program::current_dir);
        program = env.into_iter().fold(program, |program, (name, value)| program.env(name, value));
        program = streams.0.iter().fold(program, Program::stdin);
        program = streams.1.iter().fold(program, Program::stdout);
        program = streams.2.iter().fold(program, Program::stderr);
        program = exits.into_iter().fold(program, |program, (code, signal)| program.exit(code, signal));
        let timeout = timeout.map(Duration::from_millis);
        program = timeout.into_iter().fold(program, Program::timeout);
        let text = serde_json::to_string(&program).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Program>(&text).unwrap(), &program);
        let value: Value = serde_json::from_str(&text).unwrap();
        prop_assert!(value.as_object().unwrap().values().all(|member| !member.is_null()));
        // Inside of a larger value, which was read before it is known what it is.
        #[derive(serde::Deserialize)]
        struct Outer { #[serde(flatten)] nodes: BTreeMap<String, Program> }
        let outer: Outer = serde_json::from_value(json!({"node": value})).unwrap();
        prop_assert_eq!(&outer.nodes["node"], &program);
    }
}
