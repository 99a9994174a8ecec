//! Behaviour through the public API, and through the tool.

#[cfg(test)]
mod appends;
#[cfg(test)]
mod approvals;
#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod awaits;
#[cfg(test)]
mod backup_histories;
#[cfg(test)]
mod backup_live;
#[cfg(test)]
#[cfg(unix)]
mod backup_odd;
#[cfg(test)]
mod backup_retention;
#[cfg(test)]
mod backup_short;
#[cfg(test)]
mod backups;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod care_order;
#[cfg(test)]
mod care_refusals;
#[cfg(test)]
mod checkpoints;
#[cfg(test)]
#[cfg(feature = "cli")]
mod cli;
#[cfg(test)]
#[cfg(feature = "cli")]
mod cli_backup;
#[cfg(test)]
#[cfg(feature = "cli")]
mod cli_checkpoints;
#[cfg(test)]
#[cfg(all(feature = "cli", unix))]
mod cli_errors;
#[cfg(test)]
#[cfg(all(feature = "cli", unix))]
mod cli_flow;
#[cfg(test)]
#[cfg(all(feature = "cli", unix))]
mod cli_guide;

#[cfg(feature = "cli")]
mod cli_lineage;
#[cfg(test)]
#[cfg(all(feature = "cli", unix))]
mod cli_matrix;
#[cfg(test)]
#[cfg(feature = "cli")]
mod cli_prune;
#[cfg(test)]
#[cfg(feature = "cli")]
mod cli_queue;
#[cfg(test)]
#[cfg(feature = "cli")]
mod cli_sessions;
#[cfg(test)]
#[cfg(all(feature = "cli", unix))]
mod cli_status;
#[cfg(test)]
#[cfg(all(feature = "cli", unix))]
mod cli_steps;
#[cfg(test)]
#[cfg(all(feature = "cli", unix))]
mod cli_tables;
#[cfg(test)]
#[cfg(all(feature = "cli", unix))]
mod cli_terminal;
#[cfg(test)]
#[cfg(all(feature = "cli", unix))]
mod cli_unreadable;
#[cfg(test)]
#[cfg(feature = "cli")]
mod cli_verify;
#[cfg(test)]
mod completion;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod contracts;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod diffs;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod flow_graphs;
#[cfg(test)]
#[cfg(unix)]
mod flow_holders;
#[cfg(test)]
#[cfg(unix)]
mod flow_kills;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod flow_scale;
#[cfg(test)]
mod flow_state;
#[cfg(test)]
mod flows;
#[cfg(test)]
mod following;
#[cfg(test)]
mod forged;
#[cfg(test)]
mod glances;
#[cfg(test)]
mod group_commit;
#[cfg(test)]
mod heads;
#[cfg(test)]
mod health;
#[cfg(test)]
mod holds;
#[cfg(test)]
#[cfg(all(feature = "cli", unix))]
mod hostile;
#[cfg(test)]
mod independent;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod index;
#[cfg(test)]
#[cfg(feature = "cli")]
mod index_cli;
#[cfg(test)]
#[cfg(all(feature = "sqlite", unix))]
mod index_equal;
#[cfg(test)]
#[cfg(all(feature = "sqlite", unix))]
mod index_faults;
#[cfg(test)]
#[cfg(all(feature = "sqlite", unix))]
mod index_lab;
#[cfg(test)]
#[cfg(all(feature = "sqlite", unix))]
mod index_projectors;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod large_files;
#[cfg(test)]
#[cfg(feature = "cli")]
mod lease_cli;
#[cfg(test)]
#[cfg(unix)]
mod lease_races;
#[cfg(test)]
mod lease_time;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod lineage;
#[cfg(test)]
mod live_copy;
#[cfg(test)]
mod manifest;
#[cfg(test)]
#[cfg(feature = "cli")]
mod moves;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod once;
#[cfg(test)]
mod oracle;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod portability;
#[cfg(test)]
#[cfg(unix)]
mod programs;
#[cfg(test)]
mod prune;
#[cfg(test)]
mod prune_races;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod queries;
#[cfg(test)]
mod random_damage;
#[cfg(test)]
mod reading;
#[cfg(test)]
#[cfg(all(feature = "cli", unix))]
mod readme;
#[cfg(test)]
mod receipts;
#[cfg(test)]
mod repair;
#[cfg(test)]
#[cfg(unix)]
mod restore_drills;
#[cfg(test)]
#[cfg(all(feature = "sqlite", unix))]
mod run_words;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod sync_order;
#[cfg(test)]
mod sync_sharing;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod transactions;
#[cfg(test)]
mod trees;
#[cfg(test)]
mod turns;
#[cfg(test)]
mod verify;
#[cfg(test)]
mod verify_bits;
#[cfg(test)]
mod verify_fixtures;
#[cfg(test)]
mod verify_live;
#[cfg(test)]
mod witnesses;
#[cfg(test)]
mod work;
#[cfg(test)]
mod worker;
#[cfg(test)]
mod workspaces;
