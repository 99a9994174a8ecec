//! Every public method that writes is an operation of the proof, or here stands why it is none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use runjournal_proof::{Outcome, operations};

/// What becomes of a method.
#[derive(Clone, Copy)]
enum Tried {
    /// An operation makes the call.
    By(&'static str),
    /// It is the same as, or only a part of, something that is tried, or nothing that can be tried so.
    Not(&'static str),
}

use Tried::{By, Not};

/// A type through which something is written.
struct Writes {
    name: &'static str,
    /// What writes.
    tried: &'static [(&'static str, Tried)],
    /// What only reads, or only says how to write.
    others: &'static str,
}

const STAGED: Tried = Not("staged: it counts with the commit");

/// The types through which something is written, and all of their public methods.
const TYPES: &[Writes] = &[
    Writes {
        name: "Artifacts",
        tried: &[
            ("write", Not("`write_bytes` of what a value is as JSON")),
            ("write_if", Not("`write_bytes_if` of what a value is as JSON")),
            ("write_bytes", By("artifact_overwrite")),
            ("write_bytes_if", By("artifact_write_if")),
            ("create", By("artifact_streamed")),
            ("write_from", Not("`create`, and then its `commit`")),
            ("import", By("artifact_import")),
            ("remove", By("artifact_remove")),
            ("remove_if", By("artifact_remove_if")),
            ("adopt", By("artifact_adopt_buffered")),
            ("sync", By("artifact_sync")),
        ],
        others: "history durability transaction read read_bytes open exists list check",
    },
    Writes {
        name: "Transaction",
        tried: &[
            ("write", STAGED),
            ("write_bytes", STAGED),
            ("write_bytes_if", STAGED),
            ("write_if", STAGED),
            ("create", STAGED),
            ("write_from", STAGED),
            ("import", STAGED),
            ("remove", STAGED),
            ("remove_if", STAGED),
            ("append", STAGED),
            ("commit", By("transaction")),
        ],
        others: "durability key read read_bytes open",
    },
    Writes {
        name: "ArtifactWriter",
        tried: &[("import", STAGED), ("write_from", STAGED), ("commit", By("artifact_streamed"))],
        others: "expect",
    },
    Writes {
        name: "StagedWriter",
        tried: &[("import", STAGED), ("write_from", STAGED), ("finish", STAGED)],
        others: "expect",
    },
    Writes {
        name: "JournalWriter",
        tried: &[("append", By("append_durable")), ("append_batch", By("append_batch"))],
        others: "durability",
    },
    Writes {
        name: "RunContext",
        tried: &[
            ("dispatch", By("dispatch_accepted")),
            ("session", By("session_start")),
            ("checkpoint", By("checkpoint")),
            ("next_checkpoint", Not("`checkpoint` of the turn that is next")),
            ("step", By("step")),
            ("append", By("append")),
            ("catch_up", By("catch_up")),
            ("request_approval", By("approval_request")),
            ("resolve_approval", By("approval_resolve")),
        ],
        others: "commands receipt manifest run task session_state sessions queue lineage checkpoints \
                 checkpoint_at signal from_env env with_actor with_step with_lease with_traceparent \
                 with_clock with_ids with_lock_timeout root task_id run_id step_ref lease_ref run_path \
                 artifact_path plan_path executor_report_path verifier_report_path gate_report_path \
                 journal_path artifacts transaction journal events approval approvals \
                 wait_for_approval",
    },
    Writes {
        name: "Task",
        tried: &[
            ("dispatch", Not("a run's, in the task's journal")),
            ("claim", By("lease_claim")),
            ("claim_within", Not("`claim`, again and again")),
            ("archive", By("task_archive")),
            ("hold_run", By("hold_run")),
            ("hold_run_by", Not("`hold_run` in somebody's name")),
            ("lift_hold", By("lift_hold")),
            ("set_status", By("set_task_status")),
            ("start_run", Not("`start_run_as` of an id that is made up")),
            ("start_run_as", By("start_run")),
            ("open_or_start_run", Not("`start_run_as`, or `run`")),
            ("start_run_with", Not("`start_run_as` with words more in its file")),
        ],
        others: "commands receipt lease holds with_lease lease_ref id genesis path events status runs \
                 runs_like run queue",
    },
    Writes {
        name: "Run",
        tried: &[
            ("set_status", By("set_run_status")),
            ("complete", By("complete")),
            ("complete_with", By("complete_with_a_gate")),
            ("move_to", By("run_move_unsynced")),
        ],
        others: "context genesis state",
    },
    Writes {
        name: "Workspace",
        tried: &[
            ("create", By("create_workspace")),
            ("open_or_create", Not("`create`, or `open`")),
            ("create_task", By("create_task")),
            ("open_or_create_task", Not("`create_task`, or `task`")),
        ],
        others: "open find with_clock with_ids with_lock_timeout root genesis is_read_only tasks task",
    },
    Writes {
        name: "Lease",
        tried: &[
            ("renew", By("lease_renew")),
            ("release", By("lease_release")),
            ("heartbeat", By("lease_heartbeat")),
        ],
        others: "of lease_ref task state",
    },
    Writes {
        name: "Queue",
        tried: &[
            ("add", By("queue_add")),
            ("next", By("queue_next")),
            ("done", By("queue_done")),
            ("done_with", By("queue_done_with")),
            ("fail", By("queue_fail")),
            ("renew", By("queue_renew")),
            ("reap", By("queue_reap")),
        ],
        others: "durability due items item",
    },
    Writes {
        name: "Session",
        tried: &[
            ("update", Not("`update_with` the cursor that it has")),
            ("update_with", By("session_update")),
            ("seen", By("session_seen")),
            ("stop", By("session_stop")),
            ("fail", Not("`stop` with another word")),
        ],
        others: "durability id state resume_cursor",
    },
    Writes { name: "Commands", tried: &[("dispatch", By("dispatch_accepted"))], others: "" },
    Writes {
        name: "ArtifactSet",
        tried: &[
            ("restore", By("checkpoint_restore")),
            ("restore_with", Not("`restore` with an answer to one question")),
            ("export", By("checkpoint_export")),
        ],
        others: "of names digest open read_bytes read plan_restore",
    },
    Writes {
        name: "Manifest",
        tried: &[("write", By("manifest_write"))],
        others: "cursor read open compare",
    },
    Writes {
        name: "StepContext",
        tried: &[
            ("write", STAGED),
            ("write_bytes", STAGED),
            ("create", STAGED),
            ("write_from", STAGED),
            ("import", STAGED),
            ("remove", STAGED),
            ("append", STAGED),
            ("append_now", By("step")),
            ("work_dir", By("step")),
        ],
        others: "name attempt turn item is_cancelled context config read read_bytes open",
    },
    Writes {
        name: "Flow",
        tried: &[("run", By("flow_resumed"))],
        others: "new of_programs definition runner mermaid",
    },
    Writes {
        name: "FlowRunner",
        tried: &[("run", By("flow_cancelled"))],
        others: "cancelled_by stopped_by lease_ttl",
    },
    Writes {
        name: "Backup",
        tried: &[
            ("create_at", Not("the first `take` of `backup_first` makes it")),
            ("take", By("backup_first")),
            ("take_with", Not("`take` that tells how far it is")),
        ],
        others: "newest prune open with_clock with_lock_timeout path genesis snapshots snapshot object \
                 unreadable verify verify_with",
    },
    Writes {
        name: "Snapshot",
        tried: &[("hold", By("backup_hold")), ("lift", By("backup_lift"))],
        others: "holds findings_of id created_at scope workspace_id parent totals findings \
                 hold_reason homes home witness restore_to verify",
    },
    Writes {
        name: "RestorePlan",
        tried: &[
            ("apply", By("restore_run")),
            ("apply_with", Not("`apply` that tells how far it is")),
        ],
        others: "items is_refused",
    },
    Writes {
        name: "BackupPrunePlan",
        tried: &[("apply", By("backup_prune"))],
        others: "keep remove objects bytes",
    },
    Writes { name: "PrunePlan", tried: &[("apply", By("prune_run"))], others: "is_empty bytes" },
    Writes { name: "RepairPlan", tried: &[("apply", By("repair"))], others: "mends left is_empty" },
    Writes {
        name: "Repair",
        tried: &[
            ("run", Not("`plan`, and then its `apply`")),
            ("run_with", Not("`plan_with`, and then its `apply`")),
        ],
        others: "of adopting from_backup plan plan_with",
    },
    Writes {
        name: "Index",
        tried: &[
            ("rebuild", Not("SQLite writes past the seam; tests/it/index_faults kills it")),
            ("rebuild_with", Not("`rebuild` that tells how far it is")),
            ("refresh", Not("SQLite writes past the seam; tests/it/index_faults kills it")),
            ("refresh_with", Not("`refresh` that tells how far it is")),
            ("refresh_reading_data", Not("`refresh` that reads more")),
        ],
        others: "of at with_projector path database_path verify open",
    },
];

/// The public methods of each type, as the library's sources have them: those of `impl Type` and `impl<…> Type<…>`.
fn methods() -> Outcome<BTreeMap<String, BTreeSet<String>>> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src");
    let mut methods = BTreeMap::<String, BTreeSet<String>>::new();
    for entry in walkdir::WalkDir::new(sources) {
        let path = entry?.into_path();
        if path.extension().is_none_or(|ending| ending != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(path)?;
        add(&text, &mut methods);
    }
    assert!(methods.len() > 30, "the sources were not found");
    Ok(methods)
}

fn add(text: &str, methods: &mut BTreeMap<String, BTreeSet<String>>) {
    let mut of = None;
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("impl") {
            let is_own = !head.contains(" for ");
            let head = head.trim_start();
            let head = if head.starts_with('<') {
                head.split_once("> ").map_or("", |(_, rest)| rest)
            } else {
                head
            };
            let word = head.split(|c: char| !c.is_ascii_alphanumeric()).next();
            of = word.filter(|word| is_own && !word.is_empty());
        } else if line == "}" {
            of = None;
        }
        let method = line.strip_prefix("    pub ").and_then(|line| line.split_once("fn "));
        if let (Some(of), Some(("" | "const ", method))) = (of, method) {
            let mut words = method.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = words.next().unwrap_or_default();
            methods.entry(of.to_owned()).or_default().insert(name.to_owned());
        }
    }
}

fn faults(types: &[Writes], methods: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut faults = Vec::new();
    for Writes { name: of, tried, others } in types {
        let there = methods.get(*of).cloned().unwrap_or_default();
        let listed = tried.iter().map(|(method, _)| *method).chain(others.split_whitespace());
        let listed: BTreeSet<_> = listed.map(str::to_owned).collect();
        let unlisted = there.difference(&listed);
        faults
            .extend(unlisted.map(|new| format!("{of}::{new} is neither tried nor said not to be")));
        faults.extend(listed.difference(&there).map(|gone| format!("there is no {of}::{gone}")));
        for (method, by) in *tried {
            match by {
                By(name) if operations::find(name).is_none() => {
                    faults.push(format!("{of}::{method}: there is no operation {name}"));
                }
                Not("") => faults.push(format!("{of}::{method}: it is not said why")),
                _ => {}
            }
        }
    }
    faults
}

#[test]
fn every_public_method_that_writes_is_tried() {
    let faults = faults(TYPES, &methods().unwrap());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// So many are killed: who takes one away, or adds one, says so here as well.
#[test]
fn no_operation_is_lost() {
    let names: Vec<_> = operations::ALL.iter().copied().flatten().map(|tried| tried.name).collect();
    let once: BTreeSet<_> = names.iter().collect();
    assert_eq!(once.len(), names.len(), "a name stands twice");
    assert_eq!(names.len(), 102);
    assert_eq!(operations::with_heads().count(), 17);
}

/// A list that is held against nothing proves nothing.
#[test]
fn the_list_is_held_against_the_sources() {
    let text = "impl<T: Fold> Kept<T> {\n    pub fn put(&self) {\n    }\n    pub const fn len() {}\n    \
                fn own() {}\n}\nimpl Clone for Kept {\n    pub fn clone() {}\n}\n";
    let mut methods = BTreeMap::new();
    add(text, &mut methods);
    let kept = BTreeSet::from(["put", "len"].map(str::to_owned));
    assert_eq!(methods, BTreeMap::from([("Kept".to_owned(), kept)]));
    let check = |tried, others| faults(&[Writes { name: "Kept", tried, others }], &methods);
    assert_eq!(check(&[("put", By("append"))], "len"), [""; 0]);
    assert_eq!(check(&[], "len"), ["Kept::put is neither tried nor said not to be"]);
    assert_eq!(
        check(&[("put", By("no such"))], "len"),
        ["Kept::put: there is no operation no such"]
    );
    assert_eq!(check(&[("put", Not(""))], "len"), ["Kept::put: it is not said why"]);
    assert_eq!(check(&[("put", By("append"))], "len gone"), ["there is no Kept::gone"]);
}
