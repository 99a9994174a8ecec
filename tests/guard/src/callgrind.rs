//! What callgrind writes: who ran how many instructions, and who called whom how often.

use std::collections::{BTreeMap, HashMap};

use crate::Result;

/// What one function did.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Function {
    /// Instructions of its own, and with those of all that it called.
    pub(crate) own: f64,
    pub(crate) inclusive: f64,
    /// System calls of its own.
    pub(crate) system_calls: f64,
    /// How often it called which function.
    pub(crate) calls: BTreeMap<String, f64>,
}

/// All functions of a program that was run, or of one operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Functions(pub(crate) BTreeMap<String, Function>);

impl Functions {
    /// Reads callgrind's output.
    ///
    /// # Errors
    /// Where it is cut off, or not as it should be.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut reader = Reader::default();
        for (number, line) in text.lines().enumerate() {
            let wrong = || format!("line {} of callgrind's output is unknown: {line}", number + 1);
            reader.line(line).ok_or_else(wrong)?;
        }
        let sum: f64 = reader.functions.values().map(|function| function.own).sum();
        match reader.total {
            Some(total) if total == sum => Ok(Self(reader.functions)),
            total => Err(format!("callgrind's output sums up to {sum} and says {total:?}").into()),
        }
    }

    /// What `operations` more of one thing did, each: `self` is the longer run.
    pub(crate) fn per_operation(mut self, shorter: &Self, operations: f64) -> Self {
        for (name, before) in &shorter.0 {
            let function = self.0.entry(name.clone()).or_default();
            function.own -= before.own;
            function.inclusive -= before.inclusive;
            function.system_calls -= before.system_calls;
            for (called, count) in &before.calls {
                *function.calls.entry(called.clone()).or_default() -= count;
            }
        }
        for function in self.0.values_mut() {
            function.own /= operations;
            function.inclusive /= operations;
            function.system_calls /= operations;
            function.calls.values_mut().for_each(|count| *count /= operations);
        }
        self
    }
}

/// Where the reading stands.
#[derive(Default)]
struct Reader {
    functions: BTreeMap<String, Function>,
    /// Names are written once, with a number that stands for them from then on.
    names: HashMap<String, String>,
    /// Columns before the costs, and what the costs are.
    positions: usize,
    events: Vec<String>,
    at: String,
    called: String,
    /// True before the line that tells what a call cost.
    is_call: bool,
    total: Option<f64>,
}

impl Reader {
    /// `None` for a line that cannot be.
    fn line(&mut self, line: &str) -> Option<()> {
        if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            return self.costs(line);
        }
        if let Some((key, value)) = line.split_once(": ") {
            match key {
                "positions" => self.positions = value.split_whitespace().count(),
                "events" => self.events = value.split_whitespace().map(str::to_owned).collect(),
                "totals" => self.total = Some(value.split_whitespace().next()?.parse().ok()?),
                _ => {}
            }
        } else if let Some((key, value)) = line.split_once('=') {
            match key {
                "fn" => self.at = self.name(value)?,
                "cfn" => self.called = self.name(value)?,
                "calls" => {
                    let count: f64 = value.split_whitespace().next()?.parse().ok()?;
                    let calls = &mut self.functions.entry(self.at.clone()).or_default().calls;
                    *calls.entry(self.called.clone()).or_default() += count;
                    self.is_call = true;
                }
                // Files and objects, which nobody asks for.
                "ob" | "fl" | "fi" | "fe" | "cob" | "cfi" | "cfl" => {}
                _ => return None,
            }
        }
        Some(())
    }

    fn costs(&mut self, line: &str) -> Option<()> {
        let costs = line.split_whitespace().skip(self.positions);
        let costs = costs.map(|cost| cost.parse().ok()).collect::<Option<Vec<f64>>>()?;
        let cost_of = |event: &str| {
            let column = self.events.iter().position(|known| known == event)?;
            // Zeros at the end of a line are left out.
            Some(costs.get(column).copied().unwrap_or_default())
        };
        let (instructions, system_calls) = (cost_of("Ir")?, cost_of("sysCount").unwrap_or(0.0));
        let function = self.functions.entry(self.at.clone()).or_default();
        if !std::mem::take(&mut self.is_call) {
            function.own += instructions;
            function.inclusive += instructions;
            function.system_calls += system_calls;
        } else if self.at != self.called {
            function.inclusive += instructions;
        }
        Some(())
    }

    /// `(17) a::b` for the first time, `(17)` from then on.
    fn name(&mut self, text: &str) -> Option<String> {
        let (number, name) = text.split_once(')')?;
        if let Some(name) = name.strip_prefix(' ') {
            self.names.insert(number.to_owned(), plain(name));
        }
        self.names.get(number).cloned()
    }
}

/// Without what tells a function from itself in a recursion, and without addresses, which differ in each build: what has no
/// name is written in assembly.
fn plain(name: &str) -> String {
    let name = match name.rsplit_once('\'') {
        Some((before, depth)) if depth.bytes().all(|byte| byte.is_ascii_digit()) => before,
        _ => name,
    };
    if name.starts_with("0x") { "(assembly)".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &str = "\
# callgrind format
version: 1
cmd:  guard --work append 1
positions: line
event: sysTime : sysTime (elapsed ns)
events: Ir sysCount sysTime
summary: 121 3 9

ob=(1) /bin/guard
fl=(1) main.rs
fn=(1) guard::main
10 5
+2 1
cfi=(2) append.rs
cfn=(2) guard::append
calls=2 20
* 108 3 9
-1 7

fn=(2)
20 60
fi=(3) alloc.rs
+1 10
cob=(2) libc.so
cfn=(3) malloc
calls=4 1
21 8
cfn=(4) write
calls=3 1
21 30 3 9
cfn=(2)
calls=1 1
21 40

ob=(2)
fn=(3)
1 8
fn=(4)
1 30 3 9

totals: 121 3 9
";

    #[test]
    fn costs_of_functions_with_and_without_what_they_call() {
        let Functions(functions) = Functions::parse(SHORT).unwrap();
        assert_eq!(
            (functions["guard::main"].own, functions["guard::main"].inclusive),
            (13.0, 121.0)
        );
        let append = &functions["guard::append"];
        // What it did by way of itself is part of itself already.
        assert_eq!((append.own, append.inclusive, append.system_calls), (70.0, 108.0, 0.0));
        assert_eq!((append.calls["malloc"], append.calls["guard::append"]), (4.0, 1.0));
        assert_eq!(functions["write"].system_calls, 3.0);
    }

    #[test]
    fn the_longer_run_less_the_shorter_one() {
        let longer = SHORT.replace("20 60", "20 80").replace("calls=4", "calls=8");
        let longer = longer.replace("totals: 121", "totals: 141");
        let shorter = Functions::parse(SHORT).unwrap();
        let one = Functions::parse(&longer).unwrap().per_operation(&shorter, 2.0);
        let append = &one.0["guard::append"];
        assert_eq!((append.own, append.calls["malloc"]), (10.0, 2.0));
        assert_eq!(one.0["write"].system_calls, 0.0);
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_refused() {
        let cut = SHORT.replace("totals: 121 3 9\n", "");
        assert!(Functions::parse(&cut).unwrap_err().to_string().contains("says None"));
        let lost = SHORT.replace("20 60\n", "");
        assert!(Functions::parse(&lost).unwrap_err().to_string().contains("sums up to 61"));
        for strange in ["jump=1 2", "fn=(9)", "20 sixty"] {
            let error = Functions::parse(&SHORT.replace("20 60", strange)).unwrap_err();
            assert!(error.to_string().contains(strange), "{error}");
        }
    }

    #[test]
    fn names_without_depth_and_without_addresses() {
        assert_eq!(plain("a::b'2"), "a::b");
        assert_eq!(plain("<&'a str as b>::c"), "<&'a str as b>::c");
        assert_eq!(plain("0x0000000000513940"), "(assembly)");
    }
}
