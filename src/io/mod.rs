//! The only room that touches the file system, and the seam at which a simulated disk can stand in;
//! and the one that asks the system for processes.
//!
//! Everything below a workspace's root is reached through a [`Dir`], which never follows a symbolic
//! link. Linux is what the tests run on; what macOS needs is the same code, and what Windows needs
//! is in `dir_portable.rs`, which is compiled there and untried.

#[cfg(runjournal_proof)]
mod call;
#[cfg(all(unix, not(runjournal_portable)))]
mod dir;
#[cfg(not(all(unix, not(runjournal_portable))))]
#[path = "dir_portable.rs"]
mod dir;
mod file;
#[cfg(all(unix, not(runjournal_portable)))]
mod group;
#[cfg(not(all(unix, not(runjournal_portable))))]
#[path = "group_portable.rs"]
mod group;
#[cfg(unix)]
mod kept;
mod little;
mod lock;
#[cfg(feature = "sqlite")]
mod network;
mod pieces;
mod space;
#[cfg(feature = "sqlite")]
mod stamp;
#[cfg(not(runjournal_proof))]
mod sys;
#[cfg(runjournal_proof)]
#[path = "sys_watched.rs"]
mod sys;
#[cfg(all(unix, not(runjournal_portable)))]
mod tree;
#[cfg(not(all(unix, not(runjournal_portable))))]
#[path = "tree_portable.rs"]
mod tree;
mod walk;
#[cfg(runjournal_proof)]
mod watch;
mod whole;

pub(crate) use dir::Dir;
pub(crate) use file::{AppendFile, Entry, Kind, NewFile, ReadFile};
pub(crate) use group::{Group, was_asked_to_end};
pub(crate) use lock::LockFile;
#[cfg(feature = "sqlite")]
pub(crate) use network::is_on_network;
#[cfg(feature = "sqlite")]
pub(crate) use stamp::Stamp;
pub(crate) use walk::{make_dirs, sync_above, was_changed_within};
#[cfg(runjournal_proof)]
pub use watch::{Call, Node, Verdict, Watch, Watching, watch};
pub(crate) use whole::{SYNCS_FILE_SYSTEM, real_path};
