//! Where the instructions of a hot path go.

use std::collections::BTreeMap;

use crate::callgrind::{Function, Functions};
use crate::figures::{is_allocator, on_files};

/// How many lines of each kind are printed.
const LINES: usize = 25;

/// Prints what one operation does, by kind and by function.
pub(crate) fn print(name: &str, per: &str, operation: &Functions) {
    let functions = &operation.0;
    let total: f64 = functions.values().map(|function| function.own).sum();
    println!("{name}: {total:.0} instructions per {per}");
    let mut kinds = BTreeMap::<String, f64>::new();
    for (name, function) in functions {
        *kinds.entry(kind(name)).or_default() += function.own;
    }
    most("\nby kind", total, kinds.iter().map(|(name, cost)| (name.as_str(), *cost)));
    let all = || functions.iter().map(|(name, function)| (name.as_str(), function));
    most("\nby function", total, all().map(|(name, function)| (name, function.own)));
    let ours = all().filter(|(name, _)| kind(name).starts_with("runjournal"));
    let ours = ours.map(|(name, function)| (name, function.inclusive));
    most("\nby function of the library, with all that it calls", total, ours);
    println!("\nallocations, by who asks");
    let asks = all().filter(|(name, _)| kind(name) != ALLOCATION);
    let asks = asks.map(|(name, function)| (name, allocations(function)));
    sorted(asks).iter().for_each(|(name, count)| println!("{count:10.2}  {name}"));
    println!("\nsystem calls on files, by who makes them");
    let calls = all().map(|(name, function)| (name, on_files(name, function)));
    sorted(calls).iter().for_each(|(name, count)| println!("{count:10.2}  {name}"));
}

/// How often a function asks for memory, by whatever name.
fn allocations(function: &Function) -> f64 {
    let calls = function.calls.iter().filter(|(name, _)| gives_memory(name));
    calls.map(|(_, count)| count).sum()
}

fn gives_memory(name: &str) -> bool {
    let grows = ["__rustc::__rdl_", "__rustc::__rust_alloc", "__rustc::__rust_realloc", "RawVec"];
    is_allocator(name) || grows.iter().any(|part| name.contains(part)) && !name.contains("dealloc")
}

fn most<'a>(title: &str, total: f64, costs: impl Iterator<Item = (&'a str, f64)>) {
    println!("{title}");
    for (name, cost) in sorted(costs) {
        println!("{cost:10.0} {:5.1} %  {name}", 100.0 * cost / total);
    }
}

/// The greatest first.
fn sorted<'a>(costs: impl Iterator<Item = (&'a str, f64)>) -> Vec<(&'a str, f64)> {
    let mut costs = costs.filter(|(_, cost)| *cost > 0.005).collect::<Vec<_>>();
    costs.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    costs.truncate(LINES);
    costs
}

const ALLOCATION: &str = "allocation";

/// What a function belongs to: a room of the library, or what it stands on.
fn kind(name: &str) -> String {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let begins = |parts: &[&str]| parts.iter().any(|part| name.starts_with(part));
    // There is no other assembly in the program.
    if has(&["blake3"]) || name == "(assembly)" {
        return "BLAKE3".to_owned();
    }
    if has(&["serde"]) {
        return "serde".to_owned();
    }
    if has(&["runjournal_guard"]) {
        return "the caller".to_owned();
    }
    if let Some((_, rest)) = name.split_once("runjournal::") {
        let room = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next();
        return format!("runjournal::{}", room.unwrap_or_default());
    }
    if has(&["sqlite"]) || begins(&["vdbe", "btree", "pager", "balance_", "wal", "moveToChild"]) {
        return "SQLite".to_owned();
    }
    let heap = ["free", "_int_", "cfree", "unlink_chunk", "sysmalloc", "malloc_consolidate"];
    if gives_memory(name) || begins(&heap) || has(&["__rdl_", "__rust_"]) {
        return ALLOCATION.to_owned();
    }
    if begins(&["__mem", "mem"]) {
        return "copies and looks at memory".to_owned();
    }
    if has(&["core::", "alloc::", "std::"]) {
        return "std".to_owned();
    }
    "other".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (name, wanted) in [
            ("runjournal::journal::log::Log::lock", "runjournal::journal"),
            ("<runjournal::line::Sealed as core::fmt::Debug>::fmt", "runjournal::line"),
            (
                "runjournal::a::_::<impl serde_core::ser::Serialize for runjournal::a::B>::f",
                "serde",
            ),
            ("runjournal_guard::paths::append", "the caller"),
            ("(assembly)", "BLAKE3"),
            ("sqlite3VdbeExec", "SQLite"),
            ("_int_free", ALLOCATION),
            ("<alloc::raw_vec::RawVecInner>::finish_grow", ALLOCATION),
            ("<alloc::vec::Vec<T> as core::clone::Clone>::clone", "std"),
            ("__memcpy_avx_unaligned_erms", "copies and looks at memory"),
        ] {
            assert_eq!(kind(name), wanted, "{name}");
        }
    }
}
