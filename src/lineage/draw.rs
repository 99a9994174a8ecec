//! Drawing where an artifact comes from.

use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Write as _};

use super::{StepInput, Why};

/// How far a tree is indented. What goes on from there is drawn below as a tree of its own, so that a long
/// chain takes a line for each of its links and not a longer line for each.
const DEEPEST: usize = 24;

/// Where the sources of a version stand.
#[derive(Clone, Copy)]
enum Place {
    Above,
    Below,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Above => " (see above)",
            Place::Below => " (see below)",
        })
    }
}

/// A line that is to be drawn.
struct Branch<'a> {
    input: &'a StepInput,
    /// What stands before it.
    indent: String,
    last: bool,
    depth: usize,
}

/// A drawing that is under way.
struct Drawing<'a> {
    why: &'a Why,
    /// Where the sources stand, by what tells them from others.
    places: HashMap<usize, Place>,
    below: VecDeque<u64>,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seq = self.artifact().seq;
        let mut drawing = Drawing { why: self, places: HashMap::new(), below: VecDeque::new() };
        drawing.tree(seq, f)?;
        while let Some(seq) = drawing.below.pop_front() {
            f.write_str("\n\n")?;
            drawing.tree(seq, f)?;
        }
        Ok(())
    }
}

impl<'a> Drawing<'a> {
    /// Draws one tree, without recursion: a chain may be long.
    fn tree(&mut self, seq: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(root) = self.why.version(seq) {
            write!(f, "{root}")?;
        }
        let mut waiting = Vec::new();
        self.branch_out(seq, "", 0, &mut waiting);
        while let Some(Branch { input, indent, last, depth }) = waiting.pop() {
            f.write_char('\n')?;
            f.write_str(&indent)?;
            f.write_str(if last { "└─ " } else { "├─ " })?;
            let Some(source) = input.seq.and_then(|seq| self.why.version(seq)) else {
                write!(f, "{input}")?;
                continue;
            };
            write!(f, "{source}")?;
            if let Some(place) = self.elsewhere(source.seq, depth) {
                write!(f, "{place}")?;
            } else {
                let indent = indent + if last { "   " } else { "│  " };
                self.branch_out(source.seq, &indent, depth, &mut waiting);
            }
        }
        Ok(())
    }

    /// Where the sources of a version stand, if that is not right below it.
    fn elsewhere(&mut self, seq: u64, depth: usize) -> Option<Place> {
        let read = self.why.read(seq)?;
        if self.why.sources(seq).is_empty() {
            return None;
        }
        if let Some(place) = self.places.get(&read) {
            return Some(*place);
        }
        (depth >= DEEPEST).then(|| {
            self.below.push_back(seq);
            self.places.insert(read, Place::Below);
            Place::Below
        })
    }

    fn branch_out(&mut self, seq: u64, indent: &str, depth: usize, waiting: &mut Vec<Branch<'a>>) {
        if let Some(read) = self.why.read(seq) {
            self.places.insert(read, Place::Above);
        }
        let why: &'a Why = self.why;
        let sources = why.sources(seq).iter().rev().enumerate();
        waiting.extend(sources.map(|(from_last, input)| Branch {
            input,
            indent: indent.to_owned(),
            last: from_last == 0,
            depth: depth + 1,
        }));
    }
}
