//! Lineage: which step made an artifact, from what, and what a change makes stale.

use runjournal::testing::TestWorkspace;
use runjournal::*;

const GOAL: Artifact<String> = Artifact::json("goal.json");
const PLAN: Artifact<String> = Artifact::json("plan.json");
const DATA: ArtifactName = ArtifactName::from_static("data.csv");
const REPORT: Artifact<String> = Artifact::json("report.json");
const SUMMARY: Artifact<String> = Artifact::json("summary.json");

fn write(ctx: &RunContext, artifact: Artifact<String>, text: &str) {
    ctx.artifacts().write(artifact, &text.to_owned()).unwrap();
}

/// goal -> plan -> (data, goal) report, in the second attempt -> summary.
fn pipeline(test: &TestWorkspace) -> RunContext {
    let ctx = test.start_run("RUN-1").unwrap();
    let ana = ctx.clone().with_actor(Actor::new("human", Some("ana".into())));
    write(&ana, GOAL, "ship");
    ctx.step(Step::new("plan").input(GOAL), |s| {
        s.write(PLAN, &(s.read(GOAL)? + ": build"))?;
        Ok("planned".into())
    })
    .unwrap();
    std::fs::write(ctx.artifact_path(&DATA), "1,2").unwrap();
    ctx.step("execute", |_| Err(StepError::message("no"))).unwrap_err();
    ctx.step("execute", |s| {
        let report = s.read(PLAN)? + &String::from_utf8(s.read_bytes(DATA)?)? + &s.read(GOAL)?;
        s.write(REPORT, &report)?;
        s.write_bytes(ArtifactName::from_static("log.txt"), b"done")?;
        Ok("success".into())
    })
    .unwrap();
    ctx.step("sum", |s| {
        s.write(SUMMARY, &format!("{}{}", s.read(REPORT)?, s.read(PLAN)?))?;
        s.read_bytes(ArtifactName::from_static("log.txt"))?;
        Ok("success".into())
    })
    .unwrap();
    ctx
}

fn stale(ctx: &RunContext) -> String {
    ctx.lineage().unwrap().stale().to_string()
}

#[test]
fn a_turn_that_was_not_run_leaves_what_stands_to_the_one_that_was() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    write(&ctx, GOAL, "ship");
    let plan = |turn| {
        ctx.step(Step::new("plan").turn(turn).skip_if_unchanged(), |s| {
            s.write(PLAN, &(s.read(GOAL)? + "!"))?;
            Ok("planned".into())
        })
    };
    plan(1).unwrap();
    plan(2).unwrap();
    let reads = |s: &StepContext| s.read(PLAN).map(|_| "read".into()).map_err(StepError::from);
    ctx.step("execute", reads).unwrap();
    assert_eq!(stale(&ctx), "");
    write(&ctx, GOAL, "wait");
    let lineage = ctx.lineage().unwrap();
    let stale = lineage.stale();
    let names: Vec<_> = stale.steps().iter().map(|step| step.attempt.step.as_str()).collect();
    assert_eq!(names, ["plan", "execute"]);
}

#[test]
fn why_is_drawn_as_a_tree() {
    let test = TestWorkspace::new().unwrap();
    let ctx = pipeline(&test);
    let lineage = ctx.lineage().unwrap();
    insta::assert_snapshot!(lineage.why(&SUMMARY).unwrap(), @"
    summary.json v0 blake3:017ae6fdb560... by step sum, attempt 1, seq 13
    ├─ plan.json v0 blake3:4d43bfbbff79... by step plan, attempt 1, seq 4
    │  └─ goal.json v0 blake3:37b6bd570eb4... written outside of a step by human:ana, seq 1
    ├─ report.json v0 blake3:061105c03044... by step execute, attempt 2, seq 9
    │  ├─ data.csv blake3:acda8dbc8290... not in the journal
    │  ├─ goal.json v0 blake3:37b6bd570eb4... written outside of a step by human:ana, seq 1
    │  └─ plan.json v0 blake3:4d43bfbbff79... by step plan, attempt 1, seq 4 (see above)
    └─ log.txt v0 blake3:211ae55feb69... by step execute, attempt 2, seq 10 (see above)
    ");
    insta::assert_snapshot!(lineage.why(GOAL).unwrap(), @"goal.json v0 blake3:37b6bd570eb4... written outside of a step by human:ana, seq 1");
    let missing = lineage.why(DATA).unwrap_err();
    assert!(matches!(&missing, LineageError::NotInJournal { name, .. } if *name == DATA));

    let why = lineage.why(&REPORT).unwrap();
    let Maker::Step(made) = &why.artifact().by else { panic!("{why}") };
    assert_eq!((made.step.as_str(), made.turn, made.attempt), ("execute", 1, 2));
    assert_eq!(made.state, AttemptState::Completed);
    let paths: Vec<_> = why.versions().map(|version| version.path.as_str()).collect();
    assert_eq!(paths, ["report.json", "plan.json", "goal.json"]);
    let sources = why.sources(why.artifact().seq);
    let known: Vec<_> = sources.iter().map(|input| (input.path.as_str(), input.version)).collect();
    assert_eq!(known, [("data.csv", None), ("goal.json", Some(0)), ("plan.json", Some(0))]);
    assert_eq!(sources[0].seq, None);
    let plan = why.version(sources[2].seq.unwrap()).unwrap();
    assert_eq!((plan.path.as_str(), sources[2].digest), ("plan.json", plan.digest));
}

#[test]
fn a_change_makes_stale_what_read_it_and_all_that_follows() {
    let test = TestWorkspace::new().unwrap();
    let ctx = pipeline(&test);
    assert_eq!(stale(&ctx), "");
    // Equal bytes, written anew by another cause.
    let rewritten = ctx.artifacts().remove(GOAL).unwrap();
    insta::assert_snapshot!(stale(&ctx), @"
    step plan, attempt 1: goal.json was removed (v1), it read v0
    step execute, attempt 2: goal.json was removed (v1), it read v0
    step sum, attempt 1: plan.json v0 is by step plan, attempt 1, which is stale
    ");
    write(&ctx, GOAL, "ship");
    assert!(rewritten.changed);
    assert_eq!(stale(&ctx), "");

    write(&ctx, GOAL, "ship it");
    let now = ctx.lineage().unwrap().stale();
    insta::assert_snapshot!(now, @"
    step plan, attempt 1: goal.json is now v3, it read v0
    step execute, attempt 2: goal.json is now v3, it read v0
    step sum, attempt 1: plan.json v0 is by step plan, attempt 1, which is stale
    ");
    let chain = |step| -> Vec<_> {
        now.chain(step).iter().map(|stale| stale.attempt.step.as_str().to_owned()).collect()
    };
    assert_eq!(chain("sum"), ["sum", "plan"]);
    assert_eq!(chain("plan"), ["plan"]);
    assert!(chain("none").is_empty());
    let outputs = |at: usize| -> Vec<_> {
        now.steps()[at].outputs.iter().map(|output| output.path.as_str()).collect()
    };
    assert_eq!((outputs(0), outputs(1)), (vec!["plan.json"], vec!["log.txt", "report.json"]));
}

#[test]
fn what_would_be_stale_is_told_of_any_artifact() {
    let test = TestWorkspace::new().unwrap();
    let ctx = pipeline(&test);
    write(&ctx, GOAL, "ship it");
    let lineage = ctx.lineage().unwrap();
    insta::assert_snapshot!(lineage.stale_if(&[PLAN]), @"
    step execute, attempt 2: plan.json would change, it read v0
    step sum, attempt 1: plan.json would change, it read v0
    ");
    // Also of one that the journal does not know; and all at once.
    insta::assert_snapshot!(lineage.stale_if([&DATA]), @"
    step execute, attempt 2: data.csv would change, it read content that the journal does not know
    step sum, attempt 1: report.json v0 is by step execute, attempt 2, which is stale
    ");
    insta::assert_snapshot!(lineage.stale_if([DATA, GOAL.into()]), @"
    step plan, attempt 1: goal.json would change, it read v0
    step execute, attempt 2: data.csv would change, it read content that the journal does not know
    step sum, attempt 1: plan.json v0 is by step plan, attempt 1, which is stale
    ");
    assert!(lineage.stale_if(&[SUMMARY]).is_empty());
    assert!(lineage.stale_if(&[] as &[ArtifactName]).is_empty());
}

#[test]
fn a_step_is_not_stale_by_what_it_wrote_itself() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    write(&ctx, GOAL, "ship");
    write(&ctx, PLAN, "old");
    ctx.step("polish", |s| {
        s.write(PLAN, &(s.read(PLAN)? + ", polished"))?;
        s.read(GOAL)?;
        s.remove(GOAL)?;
        // What it put there at once and read back, and wrote over.
        write(s.context(), REPORT, "draft");
        s.read(REPORT)?;
        s.write(REPORT, &"final".to_owned())?;
        Ok("done".into())
    })
    .unwrap();
    assert_eq!(stale(&ctx), "");
    insta::assert_snapshot!(ctx.lineage().unwrap().why(REPORT).unwrap(), @"
    report.json v1 blake3:0abad861add4... by step polish, attempt 1, seq 8
    ├─ goal.json v0 blake3:37b6bd570eb4... written outside of a step by node, seq 1
    ├─ plan.json v0 blake3:ff5da44ded00... written outside of a step by node, seq 2
    └─ report.json v0 blake3:cdbaa98b1380... by step polish, attempt 1, seq 4 (see above: the first 2)
    ");
    insta::assert_snapshot!(ctx.lineage().unwrap().why(GOAL).unwrap(), @"
    goal.json v1 removed by step polish, attempt 1, seq 7
    ├─ goal.json v0 blake3:37b6bd570eb4... written outside of a step by node, seq 1
    ├─ plan.json v0 blake3:ff5da44ded00... written outside of a step by node, seq 2
    └─ report.json v0 blake3:cdbaa98b1380... by step polish, attempt 1, seq 4 (see above: the first 2)
    ");
    ctx.step("use", |s| {
        s.read(PLAN)?;
        Ok("done".into())
    })
    .unwrap();
    // It replaced what it read, and is stale through that all the same.
    assert_eq!(ctx.lineage().unwrap().stale_if([PLAN]).steps().len(), 2);
    write(&ctx, REPORT, "by hand");
    assert_eq!(stale(&ctx), "", "nobody else read it");
    // It wrote over its input twice: what counts is what stood there before.
    write(&ctx, SUMMARY, "old");
    ctx.step(Step::new("twice").input(SUMMARY), |s| {
        write(s.context(), SUMMARY, "one");
        s.write(SUMMARY, &"two".to_owned())?;
        Ok("done".into())
    })
    .unwrap();
    assert_eq!(stale(&ctx), "");
}

#[test]
fn a_changed_file_that_is_adopted_makes_stale_and_a_fresh_output_does_not() {
    let test = TestWorkspace::new().unwrap();
    let ctx = pipeline(&test);
    std::fs::write(ctx.artifact_path(&DATA), "1,2").unwrap();
    ctx.artifacts().adopt(DATA).unwrap();
    assert_eq!(stale(&ctx), "", "it read these bytes");
    std::fs::write(ctx.artifact_path(&DATA), "3").unwrap();
    ctx.artifacts().adopt(DATA).unwrap();
    insta::assert_snapshot!(stale(&ctx), @"
    step execute, attempt 2: data.csv is now v1, it read content that the journal does not know
    step sum, attempt 1: report.json v0 is by step execute, attempt 2, which is stale
    ");
    insta::assert_snapshot!(ctx.lineage().unwrap().why(DATA).unwrap(), @"data.csv v1 blake3:58d6fd3dc609... adopted outside of a step by node, seq 15");
    // Something fresh writes the report anew, with the bytes that `sum` read, and the log with others.
    let report = ctx.artifacts().read(REPORT).unwrap();
    ctx.step("again", |s| {
        s.write(REPORT, &report)?;
        Ok("done".into())
    })
    .unwrap();
    insta::assert_snapshot!(stale(&ctx), @"
    step execute, attempt 2: data.csv is now v1, it read content that the journal does not know
    step sum, attempt 1: log.txt v0 is by step execute, attempt 2, which is stale
    ");
    ctx.artifacts().remove(ArtifactName::from_static("log.txt")).unwrap();
    insta::assert_snapshot!(stale(&ctx), @"
    step execute, attempt 2: data.csv is now v1, it read content that the journal does not know
    step sum, attempt 1: log.txt was removed (v1), it read v0
    ");
}

#[test]
fn what_an_attempt_put_at_once_is_made_from_what_it_had_read() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    write(&ctx, GOAL, "ship");
    let failed = ctx.step(Step::new("work").input(GOAL), |s| {
        write(s.context(), PLAN, "half");
        Err(StepError::message("no"))
    });
    assert!(failed.is_err());
    insta::assert_snapshot!(ctx.lineage().unwrap().why(PLAN).unwrap(), @"
    plan.json v0 blake3:bd2a83e46c98... by step work, attempt 1 (failed), seq 3
    └─ goal.json v0 blake3:37b6bd570eb4... written outside of a step by node, seq 1
    ");
    ctx.step("work", |s| {
        write(s.context(), PLAN, "whole");
        ctx.step("other", |s| {
            s.write(REPORT, &s.read(PLAN)?)?;
            Ok("done".into())
        })?;
        // A ring of attempts, but not of versions.
        s.write(SUMMARY, &s.read(REPORT)?)?;
        insta::assert_snapshot!(ctx.lineage()?.why(PLAN)?, @"plan.json v1 blake3:666ebb4b880f... by step work, attempt 2 (not ended), seq 6");
        Ok("done".into())
    })
    .unwrap();
    insta::assert_snapshot!(ctx.lineage().unwrap().why(SUMMARY).unwrap(), @"
    summary.json v0 blake3:666ebb4b880f... by step work, attempt 2, seq 11
    └─ report.json v0 blake3:666ebb4b880f... by step other, attempt 1, seq 9
       └─ plan.json v1 blake3:666ebb4b880f... by step work, attempt 2, seq 6
    ");
    assert_eq!(stale(&ctx), "");
    write(&ctx, PLAN, "changed");
    insta::assert_snapshot!(stale(&ctx), @"
    step other, attempt 1: plan.json is now v2, it read v1
    step work, attempt 2: report.json v0 is by step other, attempt 1, which is stale
    ");
}

/// Journals that are forged record by record: turns of a loop, long chains, random ones, bad payloads.
#[cfg(all(feature = "sqlite", unix))]
mod forged {
    use std::collections::{BTreeMap, BTreeSet, HashMap};
    use std::time::Duration;

    use proptest::prelude::*;
    use runjournal::testing::TestWorkspace;
    use runjournal::*;
    use serde_json::{Value, json};

    use crate::index_lab::Forger;

    /// A journal that is being forged, and all that an oracle wants to know of it.
    struct Story {
        test: TestWorkspace,
        ctx: RunContext,
        forger: Forger,
        versions: BTreeMap<String, u64>,
        words: Vec<Word>,
        attempts: Vec<Attempt>,
        /// The last attempt of each step.
        newest: BTreeMap<String, usize>,
    }

    struct Word {
        path: String,
        version: u64,
        digest: Option<Digest>,
        seq: u64,
        by: Option<usize>,
    }

    struct Attempt {
        step: String,
        turn: u64,
        number: u64,
        start: String,
        /// The seq of `step_completed`.
        completed: Option<u64>,
        ended: bool,
        inputs: Vec<Input>,
    }

    /// Path, digest and version.
    type Input = (String, Digest, Option<u64>);

    fn told(inputs: &[Input]) -> Value {
        let told = inputs.iter().map(|(path, digest, version)| match version {
            None => json!({"path": path, "digest": digest}),
            Some(version) => json!({"path": path, "digest": digest, "version": version}),
        });
        told.collect()
    }

    fn digest(content: u64) -> Digest {
        Digest::of(&content.to_le_bytes())
    }

    impl Story {
        fn new() -> Self {
            let test = TestWorkspace::new().unwrap();
            let ctx = test.start_run("RUN-1").unwrap();
            let forger = Forger::behind(&ctx.run_path());
            let (versions, words, attempts) = (BTreeMap::new(), Vec::new(), Vec::new());
            let newest = BTreeMap::new();
            Self { test, ctx, forger, versions, words, attempts, newest }
        }

        fn record(&mut self, kind: &str, stream: (&str, &str), cause: Option<usize>, p: Value) {
            let (seq, (stream_kind, id)) = (self.forger.seq, stream);
            let version = self.versions.entry(format!("{stream_kind}/{id}")).or_insert(0);
            let cause = cause.map_or(String::new(), |at| {
                format!(",\"causation_event_id\":\"{}\"", self.attempts[at].start)
            });
            let body = format!(
                "{{\"seq\":{seq},\"event_id\":\"{}\",\"event_type\":\"{kind}\",\
                 \"occurred_at\":\"2026-01-01T00:00:00.000000Z\",\"aggregate_kind\":\"{stream_kind}\",\
                 \"stream_id\":\"{id}\",\"stream_version\":{version},\"actor_kind\":\"node\"{cause},\
                 \"payload\":{p}",
                event_id(seq),
            );
            *version += 1;
            self.forger.seq += 1;
            self.forger.line(&body);
        }

        fn last(&self, path: &str) -> Option<&Word> {
            self.words.iter().rev().find(|word| word.path == path)
        }

        fn word(&mut self, by: Option<usize>, path: &str, content: Option<u64>) {
            let kind = if content.is_some() { "artifact_written" } else { "artifact_removed" };
            let digest = content.map(digest);
            let step = by.map(|at| self.attempts[at].step.clone());
            let seq = self.forger.seq;
            let version = self.versions.get(&format!("artifact/{path}")).copied().unwrap_or(0);
            let mut payload = json!({"path": path});
            if let Some(digest) = digest {
                payload["digest"] = digest.to_string().into();
            }
            if let Some(step) = step {
                payload["step"] = step.into();
            }
            self.record(kind, ("artifact", path), by, payload);
            self.words.push(Word { path: path.into(), version, digest, seq, by });
        }

        fn start(&mut self, step: &str) -> usize {
            self.start_with(step, Vec::new())
        }

        fn start_with(&mut self, step: &str, inputs: Vec<Input>) -> usize {
            let earlier = self.newest.get(step).map(|at| &self.attempts[*at]);
            let (turn, number) = earlier.map_or((1, 1), |earlier| {
                (earlier.turn + u64::from(earlier.completed.is_some()), earlier.number + 1)
            });
            let mut payload = json!({"attempt": number, "inputs": told(&inputs)});
            if turn > 1 {
                payload["turn"] = turn.into();
            }
            self.newest.insert(step.to_owned(), self.attempts.len());
            let start = event_id(self.forger.seq);
            self.record("step_started", ("step", step), None, payload);
            self.attempts.push(Attempt {
                step: step.into(),
                turn,
                number,
                start,
                completed: None,
                ended: false,
                inputs,
            });
            self.attempts.len() - 1
        }

        /// What reading the path now is recorded as.
        fn read(&self, path: &str) -> Option<Input> {
            let last = self.last(path)?;
            Some((path.to_owned(), last.digest?, Some(last.version)))
        }

        fn end(&mut self, at: usize, inputs: Vec<Input>) {
            let attempt = &mut self.attempts[at];
            attempt.completed = Some(self.forger.seq);
            attempt.ended = true;
            let told = told(&inputs);
            attempt.inputs = inputs;
            let (step, turn) = (attempt.step.clone(), attempt.turn);
            let mut payload = json!({
                "attempt": attempt.number, "signal": "done", "inputs": told, "outputs": [],
                "duration_ms": 0,
            });
            if turn > 1 {
                payload["turn"] = turn.into();
            }
            self.record("step_completed", ("step", &step), Some(at), payload);
        }

        fn fail(&mut self, at: usize) {
            self.attempts[at].ended = true;
            let Attempt { step, number, turn, .. } = &self.attempts[at];
            let payload =
                json!({"attempt": number, "turn": turn, "error": ["no"], "duration_ms": 0});
            let step = step.clone();
            self.record("step_failed", ("step", &step), Some(at), payload);
        }

        /// A step in one go.
        fn step(&mut self, step: &str, reads: &[&str], writes: &[(&str, Option<u64>)]) {
            let at = self.start(step);
            let inputs = reads.iter().filter_map(|path| self.read(path)).collect();
            self.end(at, inputs);
            for (path, content) in writes {
                self.word(Some(at), path, *content);
            }
        }

        fn lineage(&mut self) -> Lineage {
            self.forger.write();
            self.ctx.lineage().unwrap()
        }

        fn stale(&mut self) -> String {
            self.lineage().stale().to_string()
        }

        fn made(&self, input: &Input) -> Option<&Word> {
            let (path, digest, version) = input;
            self.words.iter().find(|word| {
                word.path == *path && Some(word.version) == *version && word.digest == Some(*digest)
            })
        }

        /// By seq, what each version goes back to.
        fn sources(&self, word: &Word) -> Vec<(String, Digest, Option<u64>, Option<u64>)> {
            let Some(attempt) = word.by.map(|at| &self.attempts[at]) else { return Vec::new() };
            let before = word.seq.min(attempt.completed.unwrap_or(u64::MAX));
            let inputs = attempt.inputs.iter().map(|input| (input, self.made(input)));
            let mut sources: Vec<_> = inputs
                .filter(|(_, made)| made.is_none_or(|made| made.seq < before))
                .map(|(i, made)| (i.0.clone(), i.1, i.2, made.map(|made| made.seq)))
                .collect();
            sources.sort_by_key(|source| source.3);
            sources
        }

        fn reach(&self, seq: u64, reached: &mut BTreeSet<u64>) {
            if reached.insert(seq) {
                let word = self.words.iter().find(|word| word.seq == seq).unwrap();
                for (_, _, _, source) in self.sources(word) {
                    source.inspect(|source| self.reach(*source, reached));
                }
            }
        }

        fn judged(&self) -> Vec<usize> {
            let last = |(at, attempt): &(usize, &Attempt)| {
                let later = self.attempts[at + 1..].iter();
                attempt.completed.is_some()
                    && !later
                        .filter(|later| later.step == attempt.step)
                        .any(|later| later.completed.is_some())
            };
            self.attempts.iter().enumerate().filter(last).map(|(at, _)| at).collect()
        }

        /// The definition at the top of the room, word by word.
        fn stale_by_definition(&self, supposed: Option<&str>) -> BTreeSet<usize> {
            let judged = self.judged();
            let mut stale = BTreeSet::new();
            loop {
                let before = stale.len();
                for &at in &judged {
                    let attempt = &self.attempts[at];
                    for input in &attempt.inputs {
                        let running = |word: &&Word| word.seq < attempt.completed.unwrap();
                        let mut own = self.words.iter().filter(|word| word.by == Some(at));
                        let read_back = own.any(|word| {
                            running(&word)
                                && word.path == input.0
                                && word.digest == Some(input.1)
                                && self.made(input).is_none_or(|made| made.by == Some(at))
                        });
                        if read_back {
                            continue;
                        }
                        let mut others = self.words.iter().rev();
                        let counts = others.find(|w| w.path == input.0 && w.by != Some(at));
                        let same = counts.is_some_and(|word| word.digest == Some(input.1));
                        let through =
                            counts.and_then(|word| word.by).filter(|by| same && stale.contains(by));
                        let seed = match supposed {
                            None => counts.is_some() && !same,
                            Some(path) => input.0 == path,
                        };
                        if seed || through.is_some() {
                            stale.insert(at);
                        }
                    }
                }
                if stale.len() == before {
                    return stale;
                }
            }
        }

        fn check_stale(&self, lineage: &Lineage, supposed: Option<&str>) {
            let told = match supposed {
                None => lineage.stale(),
                Some(path) => lineage.stale_if([ArtifactName::new(path).unwrap()]),
            };
            let wanted = self.stale_by_definition(supposed);
            let wanted: BTreeSet<_> =
                wanted.iter().map(|at| self.attempts[*at].completed).collect();
            let found: BTreeSet<_> = told.steps().iter().map(|s| Some(s.attempt.seq)).collect();
            assert_eq!(found, wanted, "{supposed:?}: {told}");
            assert_eq!(found.len(), told.steps().len());
            for step in told.steps() {
                let chain = told.chain(step.attempt.step.as_str());
                assert_eq!(chain[0], step);
                assert!(chain.last().unwrap().because.through().is_none(), "{told}");
                for pair in chain.windows(2) {
                    let through = pair[0].because.now().unwrap().by.attempt().unwrap();
                    assert_eq!(*through, pair[1].attempt);
                }
                let outputs: Vec<_> = step.outputs.iter().map(|output| output.seq).collect();
                let by = |word: &Word| word.by.and_then(|at| self.attempts[at].completed);
                let paths: BTreeSet<_> = self.words.iter().map(|word| &word.path).collect();
                let last = paths.iter().filter_map(|path| self.last(path));
                let stands = last.filter(|word| word.digest.is_some());
                let stands = stands.filter(|word| by(word) == Some(step.attempt.seq));
                assert_eq!(outputs, stands.map(|word| word.seq).collect::<Vec<_>>());
            }
        }

        fn check_why(&self, lineage: &Lineage) {
            let paths: BTreeSet<_> = self.words.iter().map(|word| word.path.clone()).collect();
            for path in paths {
                let why = lineage.why(ArtifactName::new(path.as_str()).unwrap()).unwrap();
                let root = self.last(&path).unwrap().seq;
                assert_eq!(why.artifact().seq, root);
                let mut wanted = BTreeSet::new();
                self.reach(root, &mut wanted);
                let found: Vec<_> = why.versions().map(|version| version.seq).collect();
                assert_eq!(found, wanted.into_iter().rev().collect::<Vec<_>>());
                check_drawing(&why);
                for version in why.versions() {
                    let word = self.words.iter().find(|word| word.seq == version.seq).unwrap();
                    assert_eq!(
                        (version.path.as_str(), version.version, version.digest),
                        (word.path.as_str(), word.version, word.digest)
                    );
                    let by = word.by.map(|at| &self.attempts[at]);
                    let by = by.map(|by| (by.step.as_str(), by.turn, by.number));
                    let told = version.by.attempt();
                    assert_eq!(told.map(|t| (t.step.as_str(), t.turn, t.attempt)), by);
                    let sources = why.sources(version.seq).iter();
                    let sources =
                        sources.map(|s| (s.path.to_string(), s.digest.unwrap(), s.version, s.seq));
                    assert_eq!(sources.collect::<Vec<_>>(), self.sources(word));
                }
            }
        }
    }

    /// A line of a drawing: the version or the input, what is said behind it, and what stands below it.
    struct Drawn {
        line: String,
        mark: String,
        children: Vec<Drawn>,
    }

    /// Reads a tree back, from the line where it stands on.
    fn parse(lines: &mut std::iter::Peekable<std::str::Lines<'_>>, depth: usize) -> Drawn {
        let indent = |line: &str| line.chars().take_while(|c| " │├└─".contains(*c)).count() / 3;
        let line = lines.next().unwrap().trim_start_matches([' ', '│', '├', '└', '─']);
        let (line, mark) = line.split_once(" (see ").unwrap_or((line, ""));
        let (line, mark) = (line.to_owned(), mark.trim_end_matches(')').to_owned());
        let mut children = Vec::new();
        while lines.peek().is_some_and(|next| indent(next) == depth + 1) {
            children.push(parse(lines, depth + 1));
        }
        Drawn { line, mark, children }
    }

    /// A drawing shows all sources of all versions, each input of an attempt once, in lines that lead on.
    fn check_drawing(why: &Why) {
        let drawn = why.to_string();
        let trees = drawn.split("\n\n").map(|tree| parse(&mut tree.lines().peekable(), 0));
        let mut waiting: Vec<_> = trees.collect();
        waiting.reverse();
        let told: BTreeMap<_, _> = why.versions().map(|made| (made.to_string(), made)).collect();
        let mut seen = BTreeSet::new();
        // How far the inputs of each attempt have been shown, and are shown or promised.
        let (mut above, mut promised) = (HashMap::new(), HashMap::new());
        while let Some(Drawn { line, mark, children }) = waiting.pop() {
            let Some(made) = told.get(&line) else {
                assert!(line.starts_with("the first ") || line.ends_with(" not in the journal"));
                continue;
            };
            seen.insert(made.seq);
            let sources = why.sources(made.seq);
            let Some(attempt) = made.by.attempt().filter(|_| !sources.is_empty()) else {
                assert!(children.is_empty() && mark.is_empty(), "{drawn}");
                continue;
            };
            let above: &mut usize = above.entry(attempt).or_default();
            let promised: &mut usize = promised.entry(attempt).or_default();
            let first = mark.split_once(": the first ").map(|(_, first)| first.parse().unwrap());
            if !mark.is_empty() {
                assert!(children.is_empty() && !sources.is_empty(), "{drawn}");
                assert_eq!(first.unwrap_or(sources.len()), sources.len(), "{line}\n{drawn}");
                if mark.starts_with("above") {
                    assert!(sources.len() <= *above, "{line}\n{drawn}");
                } else {
                    assert_eq!(first.is_some(), sources.len() < *promised, "{line}\n{drawn}");
                    *promised = sources.len().max(*promised);
                }
                continue;
            }
            let mut shown: Vec<_> = children.iter().map(|child| child.line.as_str()).collect();
            let mut from = 0;
            if let Some(first) = shown[0].strip_prefix("the first ") {
                let (first, place) = first.split_once(": see ").unwrap();
                from = first.parse().unwrap();
                let there = if place == "above" { *above } else { *promised };
                assert!(from > 0 && from <= there, "{line}\n{drawn}");
                shown.remove(0);
            }
            let wanted = sources[from..].iter().map(|input| {
                let made = input.seq.map(|seq| why.version(seq).unwrap().to_string());
                made.unwrap_or_else(|| input.to_string())
            });
            assert_eq!(shown, wanted.collect::<Vec<_>>(), "{line}\n{drawn}");
            *above = sources.len().max(*above);
            *promised = sources.len().max(*promised);
            waiting.extend(children.into_iter().rev());
        }
        assert_eq!(above, promised, "{drawn}");
        assert_eq!(seen.len(), told.len(), "{drawn}");
    }

    fn event_id(seq: u64) -> String {
        format!("00000000-0000-7000-8000-{:012x}", 0x00f0_0000 + seq)
    }

    #[derive(Debug, Clone)]
    enum Act {
        Start(usize, Vec<(usize, bool)>),
        AtOnce(usize, usize, u64),
        Complete(usize, Vec<(usize, bool)>, Vec<(usize, Option<u64>)>),
        Fail(usize),
        Outside(usize, Option<u64>),
    }

    fn act() -> impl Strategy<Value = Act> {
        let (step, path) = (0..3usize, 0..4usize);
        let reads = prop::collection::vec((path.clone(), prop::bool::weighted(0.9)), 0..4);
        let content = || prop::option::weighted(0.85, 0..3u64);
        let writes = prop::collection::vec((path.clone(), content()), 0..3);
        prop_oneof![
            2 => (step.clone(), reads.clone()).prop_map(|(s, r)| Act::Start(s, r)),
            2 => (step.clone(), path.clone(), 0..3u64).prop_map(|(s, p, c)| Act::AtOnce(s, p, c)),
            4 => (step.clone(), reads, writes).prop_map(|(s, r, w)| Act::Complete(s, r, w)),
            1 => step.prop_map(Act::Fail),
            1 => (path, content()).prop_map(|(p, c)| Act::Outside(p, c)),
        ]
    }

    fn path(at: usize) -> String {
        format!("a{at}.txt")
    }

    /// What reading these now is recorded as. Some reads meet what is not the journal's last word, such as
    /// what an attempt put there and wrote over.
    fn read(story: &Story, reads: &[(usize, bool)]) -> Vec<Input> {
        let known = |(from, known): &(usize, bool)| match story.read(&path(*from)) {
            Some(read) if *known => read,
            _ => (path(*from), digest(*from as u64 % 3), None),
        };
        reads.iter().map(known).collect()
    }

    fn play(acts: Vec<Act>) -> Story {
        let mut story = Story::new();
        for act in acts {
            let step = match &act {
                Act::Start(s, _) | Act::AtOnce(s, ..) | Act::Complete(s, ..) | Act::Fail(s) => *s,
                Act::Outside(at, content) => {
                    story.word(None, &path(*at), *content);
                    continue;
                }
            };
            let step = format!("s{step}");
            let newest = story.newest.get(&step).copied();
            let at = match newest.filter(|at| !story.attempts[*at].ended) {
                Some(at) if !matches!(act, Act::Start(..)) => at,
                _ => {
                    let declared = match &act {
                        Act::Start(_, reads) => read(&story, reads),
                        _ => Vec::new(),
                    };
                    story.start_with(&step, declared)
                }
            };
            match act {
                Act::AtOnce(_, to, content) => story.word(Some(at), &path(to), Some(content)),
                Act::Fail(_) => story.fail(at),
                Act::Complete(_, reads, writes) => {
                    let mut inputs = story.attempts[at].inputs.clone();
                    let more = read(&story, &reads);
                    for input in more {
                        if !inputs.contains(&input) {
                            inputs.push(input);
                        }
                    }
                    story.end(at, inputs);
                    let mut written = BTreeSet::new();
                    for (to, content) in writes {
                        if written.insert(to) {
                            story.word(Some(at), &path(to), content);
                        }
                    }
                }
                Act::Start(..) | Act::Outside(..) => {}
            }
        }
        story
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]
        #[test]
        fn random_journals_are_judged_by_the_definition(acts in prop::collection::vec(act(), 0..60)) {
            let mut story = play(acts);
            let lineage = story.lineage();
            story.check_why(&lineage);
            story.check_stale(&lineage, None);
            for at in 0..4 {
                story.check_stale(&lineage, Some(&format!("a{at}.txt")));
            }
        }
    }

    #[test]
    fn a_loop_goes_back_by_versions_and_ends() {
        let mut story = Story::new();
        story.word(None, "goal", Some(0));
        for turn in 0..3 {
            story.step("plan", &["goal", "verdict"], &[("plan", Some(10 + turn))]);
            story.step("work", &["plan", "state"], &[("state", Some(20 + turn))]);
            story.step("verify", &["state"], &[("verdict", Some(30 + turn / 2))]);
        }
        insta::assert_snapshot!(story.lineage().why(ArtifactName::from_static("verdict")).unwrap(), @"
    verdict v2 blake3:61d9694691de... by step verify, turn 3, attempt 3, seq 28
    └─ state v2 blake3:c42e60a236d1... by step work, turn 3, attempt 3, seq 25
       ├─ state v1 blake3:9c019e3e0c8e... by step work, turn 2, attempt 2, seq 16
       │  ├─ state v0 blake3:600e8b92b2eb... by step work, attempt 1, seq 7
       │  │  └─ plan v0 blake3:659594faeee8... by step plan, attempt 1, seq 4
       │  │     └─ goal v0 blake3:71e0a9917356... written outside of a step by node, seq 1
       │  └─ plan v1 blake3:384ee28c1ed2... by step plan, turn 2, attempt 2, seq 13
       │     ├─ goal v0 blake3:71e0a9917356... written outside of a step by node, seq 1
       │     └─ verdict v0 blake3:f33d0a140161... by step verify, attempt 1, seq 10
       │        └─ state v0 blake3:600e8b92b2eb... by step work, attempt 1, seq 7 (see above)
       └─ plan v2 blake3:cb0a92dc1310... by step plan, turn 3, attempt 3, seq 22
          ├─ goal v0 blake3:71e0a9917356... written outside of a step by node, seq 1
          └─ verdict v1 blake3:f33d0a140161... by step verify, turn 2, attempt 2, seq 19
             └─ state v1 blake3:9c019e3e0c8e... by step work, turn 2, attempt 2, seq 16 (see above)
    ");
        // The last verdict is not the one that the last plan was made from.
        insta::assert_snapshot!(story.stale(), @"
    step plan, turn 3, attempt 3: verdict is now v2, it read v1
    step work, turn 3, attempt 3: plan v2 is by step plan, turn 3, attempt 3, which is stale
    step verify, turn 3, attempt 3: state v2 is by step work, turn 3, attempt 3, which is stale
    ");
        story.step("plan", &["goal", "verdict"], &[("plan", Some(12))]);
        assert_eq!(story.stale(), "", "the same plan by now");
        // An attempt that started anew, or failed, takes nobody's place.
        story.start("plan");
        assert_eq!(story.stale(), "");
        let failed = story.start("plan");
        story.word(Some(failed), "notes", Some(1));
        story.fail(failed);
        assert_eq!(story.stale(), "");
        story.word(None, "goal", Some(1));
        insta::assert_snapshot!(story.stale(), @"
    step plan, turn 4, attempt 4: goal is now v1, it read v0
    step work, turn 3, attempt 3: plan v3 is by step plan, turn 4, attempt 4, which is stale
    step verify, turn 3, attempt 3: state v2 is by step work, turn 3, attempt 3, which is stale
    ");
    }

    #[test]
    fn damage_takes_what_it_takes_and_no_more() {
        let mut story = Story::new();
        // Its start is gone; then one of which nothing is left but the name; then a name that no step has.
        story.word(None, "in", Some(0));
        story.attempts.push(Attempt {
            step: "half".into(),
            turn: 1,
            number: 4,
            start: event_id(0x7777),
            completed: None,
            ended: false,
            inputs: Vec::new(),
        });
        let read = story.read("in").into_iter().collect();
        story.end(0, read);
        story.word(Some(0), "half.txt", Some(1));
        let lost = json!({"path": "lost.txt", "digest": digest(2), "step": "lost"});
        story.record("artifact_written", ("artifact", "lost.txt"), None, lost);
        story.record("step_started", ("step", "../x"), None, json!({"attempt": 1}));
        // An input whose version is not there, and one that says otherwise.
        let at = story.start("odd");
        let inputs = vec![
            ("in".to_owned(), digest(0), Some(7)),
            ("in".to_owned(), digest(9), Some(0)),
            ("gone".to_owned(), digest(9), Some(u64::MAX)),
        ];
        story.end(at, inputs);
        story.word(Some(at), "odd.txt", Some(3));
        let lineage = story.lineage();
        let why = |name: &'static str| lineage.why(ArtifactName::from_static(name)).unwrap();
        insta::assert_snapshot!(why("half.txt"), @"
    half.txt v0 blake3:1a0d12016999... by step half, attempt 4, seq 3
    └─ in v0 blake3:71e0a9917356... written outside of a step by node, seq 1
    ");
        insta::assert_snapshot!(why("lost.txt"), @"lost.txt v0 blake3:ea21c7b3c885... by step lost, in an attempt that is not in the journal, seq 4");
        insta::assert_snapshot!(why("odd.txt"), @"
    odd.txt v0 blake3:e3d5003ead1a... by step odd, attempt 1, seq 8
    ├─ in v7 blake3:71e0a9917356... not in the journal
    ├─ in v0 blake3:b8955078e2c8... not in the journal
    └─ gone v18446744073709551615 blake3:b8955078e2c8... not in the journal
    ");
        insta::assert_snapshot!(lineage.stale(), @"step odd, attempt 1: in is now v0, it read v0");
    }

    #[test]
    fn a_payload_of_another_shape_is_an_error() {
        for (kind, payload) in [
            ("artifact_written", json!({"digest": 7})),
            ("artifact_removed", json!(null)),
            ("step_started", json!({"attempt": "one"})),
            ("step_completed", json!({"attempt": 1, "inputs": [{"path": "../../x"}]})),
        ] {
            let mut story = Story::new();
            story.word(None, "in", Some(0));
            story.record(kind, ("step", "x"), None, payload);
            story.forger.write();
            let refused = story.ctx.lineage().unwrap_err();
            assert!(
                matches!(refused, LineageError::Journal(JournalError::Payload { .. })),
                "{refused}"
            );
            assert!(story.test.root().exists());
        }
    }

    /// A chain of so many steps, all of which also read one file.
    fn chain(steps: u64) -> Story {
        let mut story = Story::new();
        story.word(None, "all", Some(0));
        story.word(None, "a0", Some(0));
        for at in 0..steps {
            let index = story.start(&format!("s{at}"));
            // By hand: the story looks for what it reads from its end.
            let version = Some(0);
            let inputs = vec![
                (format!("a{at}"), digest(at), version),
                ("all".to_owned(), digest(0), version),
            ];
            story.end(index, inputs);
            story.word(Some(index), &format!("a{}", at + 1), Some(at + 1));
        }
        story.forger.write();
        story
    }

    /// How long this thread had a processor so far: others use this machine too.
    fn worked() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.try_into().unwrap()
    }

    /// Asks all questions of a chain; the best time of some, and the longest line and the bytes drawn.
    fn ask(story: &Story, steps: u64) -> (Duration, usize, usize) {
        let last = ArtifactName::new(format!("a{steps}")).unwrap();
        let mut best = Duration::MAX;
        let mut drawn = String::new();
        for _ in 0..3 {
            let start = worked();
            let lineage = story.ctx.lineage().unwrap();
            let why = lineage.why(&last).unwrap();
            assert_eq!(why.versions().count() as u64, steps + 2);
            drawn = why.to_string();
            assert!(lineage.stale().is_empty());
            let stale = lineage.stale_if([ArtifactName::from_static("a0")]);
            assert_eq!(stale.steps().len() as u64, steps);
            assert_eq!(stale.chain(&format!("s{}", steps - 1)).len() as u64, steps);
            best = best.min(worked() - start);
        }
        (best, drawn.lines().map(str::len).max().unwrap(), drawn.len())
    }

    #[test]
    fn a_long_chain_takes_time_and_text_for_its_links() {
        let (short, long) = (chain(625), chain(10_000));
        // A little stack: nothing recurses along the chain.
        let asked = std::thread::scope(|scope| {
            let little = std::thread::Builder::new().stack_size(512 << 10);
            little.spawn_scoped(scope, || (ask(&short, 625), ask(&long, 10_000))).unwrap().join()
        });
        let ((time, line, bytes), (longer, long_line, more_bytes)) = asked.unwrap();
        // Sixteen times the steps: sixteen times as long, and not 256 times.
        assert!(longer < time * 64, "{time:?}, {longer:?}");
        assert!(line < 300 && long_line < 300, "{long_line}");
        assert!(more_bytes < bytes * 20, "{bytes}, {more_bytes}");
    }

    /// When an attempt reads so many inputs, puts as many artifacts at once, and another reads these.
    #[derive(Debug, Clone, Copy)]
    enum Reads {
        /// All of them, then it puts.
        First,
        /// Each just before it puts, and each is new.
        Between,
        /// Each is what it put before.
        Back,
    }

    fn wide(many: u64, reads: Reads) -> Story {
        let mut story = Story::new();
        let input = |at| (format!("in{at}"), digest(at), Some(0));
        let output = |at| (format!("out{at}"), digest(at), Some(0));
        if matches!(reads, Reads::First) {
            (0..many).for_each(|at| story.word(None, &input(at).0, Some(at)));
        }
        let work = story.start("work");
        for at in 0..many {
            if matches!(reads, Reads::Between) {
                story.word(None, &input(at).0, Some(at));
            }
            story.word(Some(work), &output(at).0, Some(at));
        }
        let read = |at| if matches!(reads, Reads::Back) { output(at) } else { input(at) };
        story.end(work, (0..many).map(read).collect());
        let collect = story.start("collect");
        story.end(collect, (0..many).map(output).collect());
        story.word(Some(collect), "all", Some(0));
        story.forger.write();
        story
    }

    #[test]
    fn many_artifacts_put_at_once_share_their_many_sources() {
        const MANY: u64 = 4_000;
        for reads in [Reads::First, Reads::Between, Reads::Back] {
            check_drawing(&wide(9, reads).lineage().why(ArtifactName::from_static("all")).unwrap());
            let story = wide(MANY, reads);
            let start = worked();
            let lineage = story.ctx.lineage().unwrap();
            let why = lineage.why(ArtifactName::from_static("all")).unwrap();
            let drawn = why.to_string();
            let took = worked() - start;
            assert!(took < Duration::from_secs(10), "{reads:?}: {took:?}");
            // Each version and each input has its line, and a few say where others stand.
            let lines = drawn.lines().count() as u64;
            assert!(lines <= 3 * MANY + 1, "{reads:?}: {lines}");
            // One list, however much of it is of a version.
            let versions =
                why.versions().filter(|version| version.path.as_str().starts_with("out"));
            let sources: Vec<_> = versions.map(|version| why.sources(version.seq)).collect();
            let lists: BTreeSet<_> = sources.iter().map(|sources| sources.as_ptr()).collect();
            assert_eq!((sources.len() as u64, lists.len()), (MANY, 1), "{reads:?}");
        }
    }

    #[test]
    fn what_an_attempt_read_stands_once_in_a_drawing() {
        let all = ArtifactName::from_static("all");
        insta::assert_snapshot!(wide(3, Reads::Between).lineage().why(all.clone()).unwrap(), @"
    all v0 blake3:71e0a9917356... by step collect, attempt 1, seq 11
    ├─ out0 v0 blake3:71e0a9917356... by step work, attempt 1, seq 3
    │  └─ in0 v0 blake3:71e0a9917356... written outside of a step by node, seq 2
    ├─ out1 v0 blake3:1a0d12016999... by step work, attempt 1, seq 5
    │  ├─ the first 1: see above
    │  └─ in1 v0 blake3:1a0d12016999... written outside of a step by node, seq 4
    └─ out2 v0 blake3:ea21c7b3c885... by step work, attempt 1, seq 7
       ├─ the first 2: see above
       └─ in2 v0 blake3:ea21c7b3c885... written outside of a step by node, seq 6
    ");
        insta::assert_snapshot!(wide(3, Reads::Back).lineage().why(all).unwrap(), @"
    all v0 blake3:71e0a9917356... by step collect, attempt 1, seq 8
    ├─ out0 v0 blake3:71e0a9917356... by step work, attempt 1, seq 2
    ├─ out1 v0 blake3:1a0d12016999... by step work, attempt 1, seq 3
    │  └─ out0 v0 blake3:71e0a9917356... by step work, attempt 1, seq 2
    └─ out2 v0 blake3:ea21c7b3c885... by step work, attempt 1, seq 4
       ├─ the first 1: see above
       └─ out1 v0 blake3:1a0d12016999... by step work, attempt 1, seq 3 (see above: the first 1)
    ");
    }

    #[test]
    fn what_stands_below_a_deep_tree_refers_to_what_stands_above_it() {
        // A chain to the deepest line, where something is read of what one attempt put; then more of that.
        let mut story = wide(21, Reads::Between);
        let out = |at: u64| (format!("out{at}"), digest(at), Some(0));
        let step = |story: &mut Story, name: &str, inputs| {
            let at = story.start(name);
            story.end(at, inputs);
            story.word(Some(at), name, Some(0));
        };
        let made = |name: &str| (name.to_owned(), digest(0), Some(0));
        step(&mut story, "link0", vec![out(5), out(9)]);
        for at in 1..23 {
            step(&mut story, &format!("link{at}"), vec![made(&format!("link{}", at - 1))]);
        }
        step(&mut story, "late", vec![out(3), out(20)]);
        step(&mut story, "last", vec![made("link22"), made("late")]);
        let why = story.lineage().why(ArtifactName::from_static("last")).unwrap();
        check_drawing(&why);
        let drawn = why.to_string();
        let said: Vec<_> = drawn.lines().filter(|line| line.contains("see ")).collect();
        let said: Vec<_> = said.iter().map(|line| line.trim_start_matches([' ', '│'])).collect();
        insta::assert_snapshot!(said.join("\n"), @"
    ├─ out5 v0 blake3:7670a5a683b5... by step work, attempt 1, seq 13 (see below)
    └─ out9 v0 blake3:b8955078e2c8... by step work, attempt 1, seq 21 (see below)
    ├─ out3 v0 blake3:e3d5003ead1a... by step work, attempt 1, seq 9 (see below: the first 4)
    ├─ the first 10: see below
    ├─ the first 6: see above
    ");
        assert_eq!(drawn.lines().filter(|line| line.contains("─ in")).count(), 21);
    }
}
