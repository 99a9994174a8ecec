//! The corpus of each fuzz target, fed to it once, and some thousand cheap mutations.

use std::time::Duration;

use runjournal::proof::fuzz::TARGETS;
use runjournal_proof::{Budget, fuzz};

/// Mutations of each target.
const MUTATIONS: u64 = 3000;

#[test]
fn what_was_ever_found_is_found_no_more() {
    for (name, target) in TARGETS {
        let corpus = fuzz::Corpus::of(name).unwrap();
        assert!(!corpus.files.is_empty(), "{name} has no corpus");
        assert!(
            corpus.files.len() <= 50 && corpus.bytes() <= 200 << 10,
            "{name} has too large a corpus"
        );
        let row = fuzz::replay(name, *target, &corpus).unwrap();
        assert_eq!(row.tried, corpus.files.len() as u64);
        row.into_outcome().unwrap();
    }
}

#[test]
fn mutations_of_the_corpus() {
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                for (name, target) in TARGETS.iter().skip(half).step_by(2) {
                    // The share of a target, so that none takes the time of the others.
                    let budget = Budget::new(Duration::from_millis(400), 1);
                    let row = fuzz::mutate(name, *target, MUTATIONS, &budget).unwrap();
                    eprintln!("{name}: {} mutations", row.tried);
                    row.into_outcome().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_target_that_panics_is_told_of() {
    let corpus = fuzz::Corpus { files: vec![("a".into(), b"x".to_vec())] };
    let row = fuzz::replay("wrong", |data| assert_ne!(data, b"x", "as planted"), &corpus).unwrap();
    let told = row.violations.first().unwrap().to_string();
    assert!(told.contains("as planted"), "{told}");
    let file = told.split("feed wrong ").nth(1).unwrap().split('`').next().unwrap();
    assert_eq!(std::fs::read(file).unwrap(), b"x");
    std::fs::remove_file(file).unwrap();
}
