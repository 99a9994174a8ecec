//! One thing that was done to a tree.

use std::sync::Arc;

use super::model::Id;

/// A call that changed something, or brought it to the disk.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A name was given to something: a new file or directory, or one name more.
    Name {
        dir: Id,
        name: String,
        to: Id,
        is_dir: bool,
    },
    /// A name was taken away.
    Unname {
        dir: Id,
        name: String,
    },
    Rename {
        from: Id,
        name: String,
        into: Id,
        to: String,
    },
    Write {
        file: Id,
        offset: u64,
        bytes: Arc<[u8]>,
    },
    Truncate {
        file: Id,
        len: u64,
    },
    Clone {
        file: Id,
        source: Id,
    },
    /// A file or directory was synced, as it was when so many steps had been taken.
    Sync {
        node: Id,
        began: usize,
    },
    SyncAll {
        began: usize,
    },
    /// The sync of a file failed.
    SyncFailed {
        file: Id,
    },
}
