//! Steps of async callers, as `docs/async.md` has them: what is held while a body awaits, what ends it.

use std::time::Duration;

use runjournal::testing::TestWorkspace;
use runjournal::*;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

const OUT: Artifact<u32> = Artifact::json("out.json");
const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(30);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// The open files below a run, without it and the ids in their names.
#[cfg(target_os = "linux")]
fn open_files(ctx: &RunContext) -> Vec<String> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        // Other tests open and close files meanwhile.
        let Ok(path) = std::fs::read_link(entry.unwrap().path()) else { continue };
        if let Ok(below) = path.strip_prefix(ctx.run_path()) {
            let name = below.file_name().unwrap_or_default().to_string_lossy();
            let kind = name.rsplit('.').next().unwrap_or_default();
            open.push(below.with_file_name(kind).to_string_lossy().into_owned());
        }
    }
    open.sort();
    open.dedup();
    open
}

#[test]
fn while_a_body_awaits_others_append_and_no_journal_is_open() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap().with_lock_timeout(Duration::ZERO);
    runtime().block_on(async {
        let (here, runtime) = (ctx.clone(), Handle::current());
        let body = move |s: &StepContext| {
            s.write(OUT, &1)?;
            s.append_now(Event::new("asked"))?;
            runtime.block_on(async {
                sleep(SHORT).await;
                let outside = here.clone();
                let appended = spawn_blocking(move || outside.append(Event::new("meanwhile")));
                appended.await??;
                #[cfg(target_os = "linux")]
                assert_eq!(open_files(&here), ["", ".tmp/live"]);
                Ok("done".into())
            })
        };
        let here = ctx.clone();
        let signal = spawn_blocking(move || here.step("work", body)).await.unwrap().unwrap();
        assert_eq!(signal, "done");
        #[cfg(target_os = "linux")]
        assert_eq!(open_files(&ctx), [""; 0]);
    });
    assert_eq!(ctx.artifacts().read(OUT).unwrap(), 1);
}

#[test]
fn a_step_that_nobody_waits_for_any_more_goes_on_and_commits() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let (let_go, waits) = std::sync::mpsc::channel::<()>();
    runtime().block_on(async {
        let here = ctx.clone();
        let work = spawn_blocking(move || {
            here.step("work", |s| {
                waits.recv_timeout(LONG)?;
                s.write(OUT, &1)?;
                Ok("all the same".into())
            })
        });
        while ctx.events().unwrap().count() == 0 {
            sleep(SHORT).await;
        }
        assert!(timeout(SHORT, work).await.is_err());
        let taken = ctx.step("work", |_| unreachable!("the first attempt is alive"));
        assert!(matches!(taken, Err(StepFailure::StepTaken { .. })), "{taken:?}");
        let_go.send(()).unwrap();
    });
    // The runtime was dropped, and waited for its thread.
    assert_eq!(ctx.signal("work").unwrap().unwrap(), "all the same");
    assert_eq!(ctx.artifacts().read(OUT).unwrap(), 1);
}

#[test]
fn a_limit_inside_the_body_fails_the_attempt_and_so_does_a_cancel() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    runtime().block_on(async {
        let (here, runtime) = (ctx.clone(), Handle::current());
        let limited = spawn_blocking(move || {
            here.step("limited", |s| {
                s.write(OUT, &1)?;
                runtime.block_on(async { timeout(SHORT, sleep(LONG)).await })?;
                unreachable!("it was dropped")
            })
        });
        let failed = limited.await.unwrap().unwrap_err();
        assert!(matches!(failed, StepFailure::Failed { attempt: 1, .. }), "{failed:?}");

        let (here, cancel) = (ctx.clone(), Cancel::new());
        let step = Step::new("cancelled").cancelled_by(&cancel);
        let cancelled = spawn_blocking(move || {
            here.step(step, |s| {
                s.write(OUT, &2)?;
                while !s.cancel().is_cancelled() {
                    std::thread::sleep(SHORT);
                }
                Err(StepError::message("cancelled"))
            })
        });
        sleep(SHORT).await;
        cancel.cancel();
        let failed = cancelled.await.unwrap().unwrap_err();
        assert!(matches!(failed, StepFailure::Failed { attempt: 1, .. }), "{failed:?}");
    });
    assert!(matches!(ctx.artifacts().read(OUT), Err(ArtifactError::NotFound { .. })));
    assert_eq!(ctx.step("limited", |_| Ok("again".into())).unwrap(), "again");
}
