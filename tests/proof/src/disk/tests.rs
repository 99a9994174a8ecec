use std::collections::BTreeSet;

use super::model::{Disk, TOP};
use super::step::Step;
use crate::Rng;

const FILE: usize = 1;
const OTHER: usize = 2;

/// The trees that a power cut may leave after these steps: each name with its content.
fn states(steps: &[Step]) -> BTreeSet<String> {
    let mut disk = Disk::default();
    disk.put(TOP, "old", OTHER, Some(b"old".to_vec()));
    for (at, step) in steps.iter().enumerate() {
        disk.take(at + 1, step);
    }
    let (states, all) = disk.states(1000, &mut Rng::new(1));
    assert!(all);
    states.iter().map(ToString::to_string).collect()
}

fn set(states: &[&str]) -> BTreeSet<String> {
    states.iter().map(|state| (*state).to_owned()).collect()
}

fn made(name: &str) -> Step {
    Step::Name { dir: TOP, name: name.into(), to: FILE, is_dir: false }
}

fn written(text: &str) -> Step {
    Step::Write { file: FILE, offset: 0, bytes: text.as_bytes().into() }
}

fn renamed(name: &str, to: &str) -> Step {
    Step::Rename { from: TOP, name: name.into(), into: TOP, to: to.into() }
}

fn synced(node: usize, began: usize) -> Step {
    Step::Sync { node, began }
}

#[test]
fn a_name_and_a_content_come_apart() {
    let found = states(&[made("a"), written("1")]);
    assert_eq!(found, set(&["old=old", "a= old=old", "a=\\x00 old=old", "a=1 old=old"]));
}

#[test]
fn a_sync_covers_what_came_before_it_began() {
    let found = states(&[made("a"), written("1"), synced(FILE, 3), synced(TOP, 4)]);
    assert_eq!(found, set(&["a=1 old=old"]));
    let found = states(&[made("a"), written("1"), synced(FILE, 2), synced(TOP, 4)]);
    assert_eq!(found, set(&["a= old=old", "a=\\x00 old=old", "a=1 old=old"]));
}

#[test]
fn a_rename_leaves_the_old_name_or_the_new_or_both() {
    let all = [made("a"), written("1"), synced(FILE, 3), synced(TOP, 4), renamed("a", "old")];
    assert_eq!(states(&all), set(&["a=1 old=old", "a=1 old=1", "old=1"]));
}

#[test]
fn what_a_failed_sync_left_no_later_one_mends() {
    let failed = Step::SyncFailed { file: FILE };
    let found = states(&[made("a"), written("1"), failed, synced(FILE, 9), synced(TOP, 9)]);
    assert_eq!(found, set(&["a= old=old", "a=\\x00 old=old", "a=1 old=old"]));
}

#[test]
fn a_directory_whose_name_is_lost_takes_all_along() {
    let dir = Step::Name { dir: TOP, name: "d".into(), to: 3, is_dir: true };
    let within = Step::Name { dir: 3, name: "a".into(), to: FILE, is_dir: false };
    let found = states(&[dir, within, synced(3, 9)]);
    assert_eq!(found, set(&["old=old", "d/ d/a= old=old"]));
}

#[test]
fn a_sector_is_old_or_new_or_torn() {
    let write = |byte: u8, length: usize| Step::Write {
        file: FILE,
        offset: 0,
        bytes: vec![byte; length].into(),
    };
    let steps = [made("a"), write(b'1', 1024), synced(FILE, 3), synced(TOP, 4), write(b'2', 1024)];
    // Two sectors, each old or new, and one of those that are new may be torn.
    assert_eq!(states(&steps).len(), 4 + 4);
}

/// The trees after a rename from the top into a directory, and the sync of one of the two.
fn moved(made: &[Step], name: &str, synced_dir: Option<usize>) -> BTreeSet<String> {
    let mut steps = vec![Step::Name { dir: TOP, name: "d".into(), to: 3, is_dir: true }];
    steps.extend_from_slice(made);
    steps.push(Step::SyncAll { began: 9 });
    steps.push(Step::Rename { from: TOP, name: name.into(), into: 3, to: name.into() });
    steps.extend(synced_dir.map(|dir| synced(dir, 9)));
    states(&steps)
}

#[test]
fn a_sync_of_one_directory_says_nothing_of_another() {
    let file = [made("a"), written("1")];
    let (old, both, new) = ("a=1 d/ old=old", "a=1 d/ d/a=1 old=old", "d/ d/a=1 old=old");
    assert_eq!(moved(&file, "a", None), set(&[old, both, new]));
    assert_eq!(moved(&file, "a", Some(TOP)), set(&["d/ old=old", new]));
    assert_eq!(moved(&file, "a", Some(3)), set(&[both, new]));

    let dir = [Step::Name { dir: TOP, name: "r".into(), to: 4, is_dir: true }];
    let (old, new) = ("d/ old=old r/", "d/ d/r/ old=old");
    assert_eq!(moved(&dir, "r", None), set(&[old, new]));
    assert_eq!(moved(&dir, "r", Some(TOP)), set(&["d/ old=old", new]));
    assert_eq!(moved(&dir, "r", Some(3)), set(&[old, new]));
}
