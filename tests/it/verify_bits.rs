//! Every bit of what verify reads, flipped, and every cut against a witness: always told of.

use std::fs;

use camino::Utf8Path;
use runjournal::{Code, Event, Manifest, Outcome, ReadData, Verified, Verify};

use crate::lab::Lab;
use crate::verify_fixtures::{Made, name};

/// A run with a checkpoint that is complete, and has its manifest.
fn complete() -> Made {
    let made = Made::new();
    made.write("a.txt", "first");
    made.checkpoint(1, "first");
    made.ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
    assert_eq!(verified(&made).findings, []);
    made
}

fn verified(made: &Made) -> Verified {
    Verify::of(&made.ctx).read_data(ReadData::All).run().unwrap()
}

/// Flips bits of a file, those of each byte that `bits` names; each is told of at the file.
fn flip_all(made: &Made, path: &Utf8Path, codes: &[Code], bits: impl Fn(usize) -> Vec<u8>) {
    let whole = fs::read(path).unwrap();
    for at in 0..whole.len() {
        for bit in bits(at) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            fs::write(path, &bytes).unwrap();
            let findings = verified(made).findings;
            let told = findings.iter().filter(|finding| finding.place.path == path);
            let told: Vec<_> = told.map(|finding| finding.code).collect();
            assert!(!told.is_empty(), "bit {bit} of byte {at} of {path}: {findings:?}");
            assert!(told.iter().all(|code| codes.contains(code)), "{told:?}");
        }
    }
    fs::write(path, &whole).unwrap();
    assert_eq!(verified(made).findings, []);
}

#[test]
fn every_bit_of_a_genesis_file_is_told_of() {
    let made = Made::new();
    flip_all(&made, &made.path("run.json"), &[Code::GenesisDamaged], |_| (0..8).collect());
}

#[test]
fn every_bit_of_a_checkpoint_is_told_of() {
    let made = complete();
    let path = made.path("checkpoints/1.json");
    flip_all(&made, &path, &[Code::CheckpointDamaged], |_| (0..8).collect());
}

#[test]
fn every_bit_of_a_manifest_is_told_of() {
    let made = complete();
    let path = made.path("manifest.json");
    let codes = [Code::ManifestDamaged, Code::NewerFormat];
    // All bits: `manifest::every_flipped_bit_of_a_page_is_found`, by what reads it here as well.
    flip_all(&made, &path, &codes, |at| vec![u8::try_from(at % 8).unwrap()]);
}

#[test]
fn every_bit_of_an_artifact_and_an_object_is_told_of() {
    let made = complete();
    let path = made.ctx.artifact_path(&name("a.txt"));
    flip_all(&made, &path, &[Code::ArtifactChanged], |_| (0..8).collect());
    let object = made.object("first");
    flip_all(&made, &object, &[Code::ObjectChanged], |_| (0..8).collect());
}

#[test]
fn a_workspace_and_a_task_whose_genesis_files_are_hurt_are_looked_at_all_the_same() {
    let made = Made::new();
    let workspace = made.test.workspace();
    for file in ["workspace.json", "TASK-1/task.json"] {
        let path = made.test.root().join(file);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            let verified = Verify::of(workspace).run().unwrap();
            let codes: Vec<_> = verified.findings.iter().map(|finding| finding.code).collect();
            assert_eq!(codes, [Code::GenesisDamaged], "byte {at} of {file}");
            assert_eq!(verified.findings[0].place.path, path);
            assert_eq!((verified.tasks, verified.runs), (1, 1));
        }
        fs::write(&path, &whole).unwrap();
    }
}

/// A journal of 64 KiB, of records, batches, and what killed writers left. Every bit of one goes through what
/// decides what counts (`scan::tests::every_bit_of_a_journal_of_64_kib_is_told_of_and_costs_no_other_record`); a
/// sample of this one, over all of it, through a reader and a verify.
#[test]
fn flipped_bits_of_a_journal_of_64_kib_are_told_of_and_cost_no_other_record() {
    let lab = Lab::with_everything();
    while lab.bytes().len() < 64 << 10 {
        let note = |n: usize| Event::new("noted").payload(&"J* {[,".repeat(n));
        lab.batch(&[note(50), note(1)]);
        lab.batch(&(10..40).map(note).collect::<Vec<_>>());
        lab.killed(&[note(3), note(4)], |written| written / 2);
    }
    lab.batch(&[Event::new("noted")]);
    let bytes = lab.bytes();
    let clean = lab.judge(&bytes);
    assert_eq!(Verify::of(&lab.ctx).run().unwrap().records, clean.counted.len() as u64);
    let ends = [0, bytes.len() - 76, bytes.len() - 2];
    for at in (0..bytes.len() - 1).step_by(499).chain(ends) {
        lab.flip(at, 1 << (at % 8));
        let untouched = clean.counted.iter().filter(|it| at < it.together.0 || it.together.1 <= at);
        let untouched: Vec<_> = untouched.map(|it| (it.seq, it.start, it.end)).collect();
        let is_there = |it: &runjournal::Record| {
            let place = |offset: u64| usize::try_from(offset).unwrap();
            (it.seq(), place(it.offset()), place(it.cursor().offset()))
        };
        let (records, findings) = lab.ctx.events().unwrap().read_all().unwrap();
        assert_eq!(records.iter().map(is_there).collect::<Vec<_>>(), untouched, "byte {at}");
        let verified = Verify::of(&lab.ctx).run().unwrap();
        assert_eq!(verified.records, untouched.len() as u64, "byte {at}");
        for findings in [findings, verified.findings] {
            let damage = findings.iter().filter(|found| found.code.is_journal_damage());
            let [damage] = damage.collect::<Vec<_>>()[..] else { panic!("{at}: {findings:?}") };
            let (from, length) = (damage.place.offset.unwrap(), damage.place.length.unwrap());
            assert!((from..from + length).contains(&(at as u64)), "byte {at}: {damage}");
            assert_eq!(damage.place.path, lab.ctx.journal_path());
        }
        lab.put(&bytes);
    }
}

#[test]
fn every_cut_of_a_journal_is_told_of_by_a_witness() {
    let made = complete();
    let journal = fs::read(made.ctx.journal_path()).unwrap();
    let witness = made.ctx.manifest().unwrap();
    let copy = made.test.root().join("copy.json");
    fs::rename(made.path("manifest.json"), &copy).unwrap();
    assert_eq!(Manifest::open(&copy).unwrap(), witness);
    for cut in 0..journal.len() {
        fs::write(made.ctx.journal_path(), &journal[..cut]).unwrap();
        let verified = Verify::of(&made.ctx).witness(&witness).run().unwrap();
        let codes: Vec<_> = verified.findings.iter().map(|finding| finding.code).collect();
        assert!(codes.contains(&Code::JournalShorter), "cut at {cut}: {codes:?}");
    }
    fs::write(made.ctx.journal_path(), &journal).unwrap();
    let verified = Verify::of(&made.ctx).witness(&witness).run().unwrap();
    assert_eq!(verified.findings, []);
}

/// A line of text and its artifact changed together, the chain made anew: only a witness knows better.
#[test]
fn a_forged_history_is_told_of_by_a_witness_alone() {
    let made = complete();
    let witness = made.ctx.manifest().unwrap();
    fs::remove_file(made.path("manifest.json")).unwrap();
    fs::remove_dir_all(made.path("checkpoints")).unwrap();
    fs::write(made.ctx.journal_path(), b"").unwrap();
    made.forge("note_taken", "run/RUN-1", 0, &serde_json::json!({"text": "another"}));
    fs::remove_file(made.ctx.artifact_path(&name("a.txt"))).unwrap();
    assert_eq!(verified(&made).findings, []);
    let verified = Verify::of(&made.ctx).witness(&witness).run().unwrap();
    let codes: Vec<_> = verified.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::ArtifactMissing, Code::JournalShorter]);
}
