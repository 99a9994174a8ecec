//! Damage in every kind of file, a sample of it: the long run tries it all.

use std::time::Duration;

use runjournal_proof::{Budget, damage};

#[test]
fn damage_in_every_kind_of_file_is_told_of_and_costs_nothing_else() {
    let row = (damage::TRIAL.run)(&Budget::new(Duration::from_secs(12), 1)).unwrap();
    println!("{} damaged states, {:?}", row.tried, row.notes);
    row.into_outcome().unwrap();
}
