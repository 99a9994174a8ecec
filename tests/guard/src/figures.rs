//! The three figures of an operation, which are much the same however busy the machine is.

use serde::{Deserialize, Serialize};

use crate::callgrind::{Function, Functions};

/// What one operation costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Of the program and its libraries, not of the kernel.
    pub(crate) instructions: f64,
    /// Calls that may give memory.
    pub(crate) allocations: f64,
    /// Those that have to do with files.
    pub(crate) system_calls: f64,
}

/// Who gives memory. One may ask another, which is one allocation.
const ALLOCATORS: &[&str] = &["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// The functions of the C library whose system calls are not on files: they wait for threads, map memory, or ask for the
/// time, which is no system call outside of valgrind; how often depends on how threads meet. The standard library waits by
/// `syscall`. All others count.
const NOT_ON_FILES: &[&str] = &[
    "arch_prctl",
    "brk",
    "clone",
    "clone3",
    "clone_internal",
    "exit",
    "getpid",
    "getrandom",
    "gettid",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "prctl",
    "restore_rt",
    "sbrk",
    "start_thread",
    "syscall",
];

/// What their names begin with, where there are many.
const FAMILIES_NOT_ON_FILES: &[&str] = &["clock_", "futex", "lll_", "pthread_", "sched_", "sig"];

impl Figures {
    /// Sums up.
    pub(crate) fn of(operation: &Functions) -> Self {
        let functions = &operation.0;
        let allocations = functions.iter().filter(|(name, _)| !is_allocator(name));
        let calls = allocations.flat_map(|(_, function)| &function.calls);
        Self {
            instructions: functions.values().map(|function| function.own).sum::<f64>().round(),
            allocations: rounded(
                calls.filter(|(name, _)| is_allocator(name)).map(|(_, count)| count).sum(),
            ),
            system_calls: rounded(functions.iter().map(|(name, it)| on_files(name, it)).sum()),
        }
    }
}

pub(crate) fn is_allocator(name: &str) -> bool {
    ALLOCATORS.contains(&name)
}

/// System calls of a function that have to do with files.
pub(crate) fn on_files(name: &str, function: &Function) -> f64 {
    // `mmap64`, `__libc_sigaction`, `__GI___clock_nanosleep`, `clock_gettime@@GLIBC_2.17`.
    let plain = name.split('@').next().unwrap_or(name).trim_start_matches('_');
    let plain = plain.trim_start_matches("GI_").trim_start_matches('_');
    let plain = plain.trim_start_matches("libc_").trim_end_matches("64");
    let is_other = NOT_ON_FILES.contains(&plain)
        || FAMILIES_NOT_ON_FILES.iter().any(|family| plain.starts_with(family));
    if is_other { 0.0 } else { function.system_calls }
}

/// To hundredths: what is done once in many operations.
fn rounded(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A name, instructions, system calls, and who was called how often.
    type Line<'a> = (&'a str, f64, f64, &'a [(&'a str, f64)]);

    fn functions(of: &[Line<'_>]) -> Functions {
        let function = |own, system_calls, calls: &[(&str, f64)]| Function {
            own,
            inclusive: own,
            system_calls,
            calls: calls.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        };
        let all = of
            .iter()
            .map(|(name, own, system, calls)| ((*name).to_owned(), function(*own, *system, calls)));
        Functions(all.collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn an_allocator_that_asks_another_counts_once() {
        let operation = functions(&[
            ("a::grow", 10.0, 0.0, &[("realloc", 2.0), ("free", 1.0)]),
            ("a::new", 5.4, 0.0, &[("malloc", 1.0)]),
            ("realloc", 3.0, 0.0, &[("malloc", 2.0)]),
        ]);
        let figures = Figures::of(&operation);
        assert_eq!((figures.instructions, figures.allocations), (18.0, 3.0));
    }

    #[test]
    fn only_calls_on_files_count() {
        let operation = functions(&[
            ("runjournal::io::dir::Dir::stat", 1.0, 2.0, &[]),
            ("__lseek64", 1.0, 1.0, &[]),
            ("fstat@@GLIBC_2.33", 1.0, 0.004, &[]),
            ("syscall", 1.0, 7.0, &[]),
            ("clock_gettime@@GLIBC_2.17", 1.0, 7.0, &[]),
            ("mmap64", 1.0, 7.0, &[]),
            ("__GI___pthread_mutex_lock", 1.0, 7.0, &[]),
        ]);
        assert_eq!(Figures::of(&operation).system_calls, 3.0);
    }

    #[test]
    fn what_nobody_thought_of_counts() {
        for name in [
            "fstatat64",
            "access",
            "openat64",
            "linkat",
            "unlinkat",
            "__open64_nocancel",
            "__write_nocancel",
            "fallocate64",
            "sync_file_range",
            "copy_file_range",
            "(assembly)",
        ] {
            assert_eq!(
                Figures::of(&functions(&[(name, 1.0, 1.0, &[])])).system_calls,
                1.0,
                "{name}"
            );
        }
    }
}
