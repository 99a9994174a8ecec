//! What a fuzzer calls of a manifest.

use super::Manifest;
use super::page::{artifacts_root, root};
use crate::fuzzed::{page, sealed};

/// The bytes of `manifest.json`: what is read is written as a file that reads the same.
pub fn manifest(data: &[u8]) {
    let file = sealed(data);
    let Some(read) = page::<Manifest>(&file) else { return };
    let written = read.to_bytes("".into()).map(|bytes| crate::line::read(&bytes));
    assert_eq!(written.ok().as_ref(), Some(&Ok(read.clone())));
    let artifacts = read.artifacts.iter().map(|artifact| (&artifact.path, artifact.digest));
    let _ = root(read.root, read.cursor().hash(), artifacts_root(artifacts));
}
