//! What a fuzzer calls of the public API, in the proof's build alone: a run whose journal it wrote.

use std::io;

use camino::Utf8Path;

use crate::artifact::ArtifactError;
use crate::context::RunContext;
use crate::flow::FlowDefinition;
use crate::fuzzed::{RUN, directory, sealed};
use crate::health::Glance;
use crate::journal::fuzzed::chained;
use crate::journal::fuzzed::oracle::{Kind, Scan};
use crate::journal::{Event, JournalError};
use crate::name::ArtifactName;
use crate::repair::Repair;
use crate::tree;
use crate::verify::{ReadData, Verify};
use crate::workspace::{Task, TaskOptions, Workspace};

/// A workspace in memory whose only run begins with a genesis file that is always the same.
struct Place {
    task: Task,
    ctx: RunContext,
    /// Last, so that it goes after all that is in it.
    _dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Option<Self> {
        let dir = directory()?;
        let root = Utf8Path::from_path(dir.path())?.join("workspaces");
        let task = Workspace::open_or_create(&root).ok()?;
        let task = task.open_or_create_task("TASK-1", TaskOptions::default()).ok()?;
        let ctx = task.open_or_start_run("RUN-1").ok()?;
        Some(Self { task, ctx, _dir: dir })
    }

    /// The run, with this journal and nothing else.
    fn put(&self, journal: &[u8]) -> io::Result<()> {
        let run = self.ctx.run_path();
        std::fs::remove_dir_all(&run)?;
        std::fs::create_dir_all(run.join("journal"))?;
        std::fs::create_dir(run.join("artifacts"))?;
        std::fs::write(run.join("journal/.lock"), b"")?;
        std::fs::write(run.join("run.json"), sealed(RUN))?;
        std::fs::write(self.ctx.journal_path(), journal)
    }

    fn scan(&self) -> Scan {
        let file = std::fs::read(self.ctx.journal_path()).unwrap_or_default();
        Scan::of(&sealed(RUN), &file)
    }
}

/// A run's journal, whose lines may be given without hash: readers return what counts and tell of the rest;
/// whoever makes something of the records gives an answer or an error; a writer goes on, or refuses as the format
/// says, and goes on after a repair.
pub fn replayed(data: &[u8]) {
    thread_local! {
        static PLACE: Option<Place> = Place::new();
    }
    PLACE.with(|place| {
        let Some(place) = place else { return };
        let journal = chained(&sealed(RUN), data);
        // A disk that is full is no mistake of ours.
        if place.put(&journal).is_ok() {
            let scan = place.scan();
            read(&place.ctx, &scan);
            fold(place);
            write(place, &journal, &scan);
        }
    });
}

fn read(ctx: &RunContext, scan: &Scan) {
    let all = ctx.events().and_then(crate::journal::Events::read_all);
    let Ok((records, findings)) = all else {
        assert!(all.is_ok(), "the journal cannot be read: {all:?}");
        return;
    };
    let seqs = records.iter().map(crate::journal::Record::seq);
    assert!(seqs.eq(scan.counted.iter().map(|record| record.seq)), "{records:?}");
    let told: Vec<_> = findings.iter().map(|finding| finding.place.offset).collect();
    let expected = scan.reports.iter().map(|report| Some(report.offset));
    assert!(expected.clone().all(|offset| told.contains(&offset)), "{findings:?} {scan:?}");
    // From behind each of the last few on, what is left comes; from the end, as many as are asked for.
    for record in records.iter().rev().take(3) {
        let rest = ctx.events().and_then(|events| events.from(record.cursor()));
        let rest = rest.map(|rest| rest.filter_map(Result::ok).map(|record| record.seq()));
        let seqs = records.iter().map(crate::journal::Record::seq);
        assert!(rest.is_ok_and(|rest| rest.eq(seqs.filter(|seq| *seq > record.seq()))));
    }
    let last = ctx.events().and_then(|events| events.last(2));
    let last = last.map(|last| last.filter_map(Result::ok).map(|record| record.seq()));
    let seqs = records.iter().map(crate::journal::Record::seq);
    assert!(last.is_ok_and(|last| last.eq(seqs.skip(records.len().saturating_sub(2)))));
}

/// What is made of records whose payloads are as nobody of ours writes them: an answer or an error.
fn fold(Place { task, ctx, .. }: &Place) {
    let _ = ctx.run().map(|run| run.state().is_ok());
    let _ = Glance::of(task, ctx.run_id());
    let _ = ctx.manifest().map(|manifest| manifest.compare(ctx).is_ok());
    let _ = ctx.lineage().map(|lineage| {
        let _ = lineage.stale();
        lineage.why(ArtifactName::from_static("plan.json")).is_ok()
    });
    let _ = ctx.artifacts().list();
    let _: Result<_, ArtifactError> =
        ctx.artifacts().history(&ArtifactName::from_static("plan.json")).map(Iterator::count);
    let _ = ctx.checkpoints();
    if let Ok(Some(flow)) = FlowDefinition::recorded(ctx) {
        let _ = flow.state(ctx);
    }
    let _ = tree::render(ctx, &tree::Options::plain());
    let _ = tree::render(ctx, &tree::Options::new());
    let _ = Verify::of(ctx).read_data(ReadData::All).run();
}

fn write(place: &Place, journal: &[u8], scan: &Scan) {
    let appended = place.ctx.append(Event::new("looked"));
    let after = place.scan();
    match &appended {
        Ok(appended) => {
            assert!(!scan.refuses, "appended behind damage");
            let before = scan.counted.last().map_or(0, |record| record.seq);
            assert_eq!((appended.seq, after.counted.len()), (before + 1, scan.counted.len() + 1));
            assert!(after.counted.starts_with(&scan.counted));
            let damages = |scan: &Scan| {
                let damages = scan.reports.iter().filter(|report| report.kind == Kind::Damage);
                damages.count()
            };
            assert_eq!(damages(&after), damages(scan), "an append hides or makes damage");
        }
        Err(JournalError::DamagedTail { .. }) => {
            assert!(scan.refuses, "nothing is damaged at the end, and appends are refused");
            let _ = Repair::of(&place.ctx).run();
            let repaired = place.scan();
            assert!(repaired.counted.starts_with(&scan.counted), "a repair lost records");
            // Closed and leased journals are closed off elsewhere, or not at all.
            if !repaired.refuses {
                let again = place.ctx.append(Event::new("looked"));
                assert!(!matches!(again, Err(JournalError::DamagedTail { .. })), "{again:?}");
            }
        }
        Err(_) => {
            let file = std::fs::read(place.ctx.journal_path()).unwrap_or_default();
            assert!(file == journal, "an append that failed wrote something: {appended:?}");
        }
    }
}
