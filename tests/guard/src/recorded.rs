//! What the hot paths cost when it was written down, in a file that people read, and how today's costs compare.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::figures::Figures;

/// Next to this package's `Cargo.toml`.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.json");

/// How much more is no growth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerance {
    /// A part of the instructions, and one of the allocations.
    instructions: f64,
    allocations: f64,
    /// Of the system calls, so many: mostly less than one, so that one more is seen however many there are.
    system_calls: f64,
}

/// A single thread does the same each time, to the instruction: this is room for what nobody means.
pub(crate) const STEADY: Tolerance =
    Tolerance { instructions: 0.01, allocations: 0.0, system_calls: 0.0 };

/// Where threads meet, counts were seen to differ from call to call: instructions by 1.7 %, allocations by 4.3 %, system calls
/// by 0.05.
pub(crate) const VARYING: Tolerance =
    Tolerance { instructions: 0.03, allocations: 0.05, system_calls: 0.5 };

/// Where eight threads sync the stages of a transaction: of its 820 system calls, two were seen to come and go.
pub(crate) const SYNCING: Tolerance =
    Tolerance { instructions: 0.03, allocations: 0.05, system_calls: 2.5 };

impl Tolerance {
    /// True where threads meet.
    pub(crate) fn is_for_threads(self) -> bool {
        self.allocations > STEADY.allocations
    }
}

/// Less than once in so many operations.
const ROUNDING: f64 = 0.02;

/// The file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    /// Other compilers and C libraries take other numbers of instructions.
    pub(crate) made_with: String,
    pub(crate) paths: BTreeMap<String, Figures>,
}

impl Recorded {
    pub(crate) fn read() -> Result<Self> {
        let text = std::fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
        Ok(serde_json::from_str(&text).map_err(|error| format!("{FILE}: {error}"))?)
    }

    pub(crate) fn write(&self) -> Result<()> {
        Ok(std::fs::write(FILE, serde_json::to_string_pretty(self)? + "\n")?)
    }
}

/// One figure beside what was recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Compared {
    pub(crate) what: &'static str,
    pub(crate) recorded: f64,
    pub(crate) found: f64,
    pub(crate) verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Same,
    More,
    Less,
    /// It was recorded with other tools.
    Unjudged,
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, recorded, found, .. } = self;
        write!(f, "{found} {what} instead of {recorded}")?;
        if *recorded > 0.0 {
            write!(f, " ({:+.1} %)", (found / recorded - 1.0) * 100.0)?;
        }
        Ok(())
    }
}

/// Holds what was found against what was recorded; `same_tools` tells whether instructions can be compared.
pub(crate) fn compare(
    recorded: Figures,
    found: Figures,
    tolerance: Tolerance,
    same_tools: bool,
) -> [Compared; 3] {
    let compare = |what, recorded: f64, found: f64, slack: f64| {
        let slack = slack + ROUNDING;
        let verdict = match found - recorded {
            more if more > slack => Verdict::More,
            less if less < -slack => Verdict::Less,
            _ => Verdict::Same,
        };
        Compared { what, recorded, found, verdict }
    };
    let slack = recorded.instructions * tolerance.instructions;
    let mut instructions =
        compare("instructions", recorded.instructions, found.instructions, slack);
    if !same_tools {
        instructions.verdict = Verdict::Unjudged;
    }
    let slack = recorded.allocations * tolerance.allocations;
    let allocations = compare("allocations", recorded.allocations, found.allocations, slack);
    let slack = tolerance.system_calls;
    let system_calls = compare("system calls", recorded.system_calls, found.system_calls, slack);
    [instructions, allocations, system_calls]
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: Figures = Figures { instructions: 10_000.0, allocations: 3.0, system_calls: 5.0 };

    fn verdicts(now: Figures) -> [Verdict; 3] {
        compare(THEN, now, STEADY, true).map(|compared| compared.verdict)
    }

    #[test]
    fn a_little_more_is_the_same_and_more_is_more() {
        use Verdict::{Less, More, Same};
        assert_eq!(verdicts(THEN), [Same; 3]);
        assert_eq!(verdicts(Figures { instructions: 10_099.0, ..THEN }), [Same; 3]);
        assert_eq!(verdicts(Figures { instructions: 10_101.0, ..THEN }), [More, Same, Same]);
        assert_eq!(verdicts(Figures { instructions: 9_899.0, ..THEN }), [Less, Same, Same]);
    }

    #[test]
    fn one_allocation_in_forty_operations_is_more() {
        use Verdict::{Less, More, Same};
        assert_eq!(verdicts(Figures { allocations: 3.03, ..THEN }), [Same, More, Same]);
        assert_eq!(verdicts(Figures { allocations: 2.0, ..THEN }), [Same, Less, Same]);
        assert_eq!(verdicts(Figures { system_calls: 6.0, ..THEN }), [Same, Same, More]);
    }

    #[test]
    fn threads_have_more_room() {
        use Verdict::{More, Same};
        let now = |more: f64| Figures {
            instructions: THEN.instructions * more,
            allocations: 100.0 * more,
            ..THEN
        };
        let verdicts = |more| {
            let then = Figures { allocations: 100.0, ..THEN };
            compare(then, now(more), VARYING, true).map(|compared| compared.verdict)
        };
        assert_eq!(verdicts(1.029), [Same; 3]);
        assert_eq!(verdicts(1.031), [More, Same, Same]);
        assert_eq!(verdicts(1.051), [More, More, Same]);
    }

    /// Whether one more lock, write or sync for each of what a figure is of fails.
    #[test]
    fn one_more_call_per_operation_is_more_on_each_path() {
        let recorded = Recorded::read().unwrap();
        for path in crate::paths::PATHS {
            let then = recorded.paths[path.name];
            let more = path.tolerance.system_calls.floor() + 1.0;
            assert!(more == 1.0 || path.name == "transaction_durable");
            let now = Figures { system_calls: then.system_calls + more, ..then };
            let [.., calls] = compare(then, now, path.tolerance, true);
            assert_eq!(calls.verdict, Verdict::More, "{}", path.name);
            let [.., calls] = compare(then, then, path.tolerance, true);
            assert_eq!(calls.verdict, Verdict::Same, "{}", path.name);
        }
    }

    #[test]
    fn another_compiler_leaves_instructions_alone_and_nothing_else() {
        let now = Figures { instructions: 20_000.0, allocations: 4.0, ..THEN };
        let [instructions, allocations, _] = compare(THEN, now, STEADY, false);
        assert_eq!((instructions.verdict, allocations.verdict), (Verdict::Unjudged, Verdict::More));
    }

    #[test]
    fn a_line_says_what_and_how_much() {
        let now = Figures { instructions: 10_500.0, allocations: 4.0, ..THEN };
        let [instructions, allocations, _] =
            compare(THEN, now, STEADY, true).map(|one| one.to_string());
        assert_eq!(instructions, "10500 instructions instead of 10000 (+5.0 %)");
        assert_eq!(allocations, "4 allocations instead of 3 (+33.3 %)");
    }

    #[test]
    fn the_file_has_every_path_and_no_other() {
        let recorded = Recorded::read().unwrap();
        let mut known = crate::paths::PATHS.iter().map(|path| path.name).collect::<Vec<_>>();
        known.sort_unstable();
        assert_eq!(recorded.paths.keys().map(String::as_str).collect::<Vec<_>>(), known);
    }
}
