//! Every bit of what verify reads, flipped, and every cut against a witness: always told of.

use std::fs;

use camino::Utf8Path;
use runjournal::{Code, Manifest, Outcome, ReadData, Severity, Verified, Verify};

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

/// Of the journal, what is read is what the tests of the scan flip bit by bit; here a sample goes all the way.
#[test]
fn flipped_bits_of_a_journal_are_told_of() {
    let lab = Lab::with_everything();
    let bytes = lab.bytes();
    let clean = Verify::of(&lab.ctx).run().unwrap();
    for at in (0..bytes.len()).step_by(5) {
        lab.flip(at, 1 << (at % 8));
        let verified = Verify::of(&lab.ctx).run().unwrap();
        let is_told = verified.findings.iter().any(|finding| {
            finding.place.path == lab.ctx.journal_path() && finding.code.severity() > Severity::Note
        });
        assert!(is_told, "byte {at}: {:?}", verified.findings);
        let damage = verified.findings.iter().filter(|found| found.code.is_journal_damage());
        assert!(damage.count() <= 1, "{:?}", verified.findings);
        assert!(verified.records + 8 > clean.records, "byte {at}");
        lab.flip(at, 1 << (at % 8));
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
