//! Each mistake that can be planted in the library is caught.

use std::path::Path;

use runjournal_proof::catches;

#[test]
fn every_planted_mistake_is_caught() {
    let row = catches::all_are_caught(Path::new(env!("CARGO_BIN_EXE_runjournal-proof"))).unwrap();
    println!("{} mistakes: {}", row.tried, row.notes.join(", "));
    row.into_outcome().unwrap();
}
