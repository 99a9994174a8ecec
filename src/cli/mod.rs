//! The tool, one file a verb. In reading order: the grammar (`args`, `backup_args`, `index_args`), which verb does what
//! (`dispatch`), where the workspace and the run are (`locate`), what is printed (`output`, `table`, `units`,
//! `findings`, `progress`, `error`, `advice`,
//! `usage`), with which code the tool ends (`exit`), durations (`duration`), files of the user's (`file`),
//! Ctrl-C (`interrupt`), and the verbs.

mod advice;
mod args;
mod backup_args;
mod dispatch;
mod duration;
mod error;
mod exit;
mod file;
mod findings;
mod index_args;
mod interrupt;
mod locate;
mod output;
mod progress;
mod table;
mod units;
mod usage;

mod approval;
mod artifact;
mod backup;
mod backup_id;
mod backup_restore;
mod backup_scope;
mod checkpoint;
mod completions;
mod diff;
mod event;
mod flow;
mod flow_page;
mod health;
mod hold;
mod index;
mod init;
mod lease;
mod lineage;
mod log;
mod prune;
mod query;
mod queue;
mod receipt;
mod repair;
mod run;
mod run_line;
mod run_tree;
mod session;
mod status;
mod step;
mod task;
mod verify;

pub(crate) use dispatch::main;

#[cfg(test)]
mod guide;
