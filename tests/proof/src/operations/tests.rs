use std::collections::HashSet;

use super::all;
use crate::{disk, planted};

#[test]
fn each_name_is_given_once() {
    let planted = planted::ALL.iter().chain(planted::WITH_HEADS);
    let mut names = HashSet::new();
    for operation in all().chain(planted).chain(disk::LETTERS) {
        assert!(!operation.name.is_empty());
        assert!(names.insert(operation.name), "{} is the name of two", operation.name);
    }
}
