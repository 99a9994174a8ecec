//! Drawing where an artifact comes from.

use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Write as _};

use super::why::Read;
use super::{StepInput, Why};

/// How far a tree is indented. What goes on from there is drawn below as a tree of its own, so that a long
/// chain takes a line for each of its links and not a longer line for each.
const DEEPEST: usize = 24;

/// Where something stands.
#[derive(Clone, Copy)]
enum Place {
    Above,
    Below,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Above => "above",
            Place::Below => "below",
        })
    }
}

/// How far the inputs of an attempt stand somewhere, and where the last of them do. If there were some before
/// these, they stand with a line that says where.
#[derive(Clone, Copy)]
struct Drawn {
    cut: usize,
    place: Place,
}

/// A line that is to be drawn.
struct Branch<'a> {
    line: Line<'a>,
    /// What stands before it.
    indent: String,
    last: bool,
    depth: usize,
}

enum Line<'a> {
    Source(&'a StepInput),
    /// The first sources stand elsewhere.
    First(Drawn),
}

/// A tree that is to be drawn below.
struct Tree {
    seq: u64,
    /// Which of the sources stand above.
    first: Option<Drawn>,
}

/// A drawing that is under way.
struct Drawing<'a> {
    why: &'a Why,
    /// By attempt.
    drawn: HashMap<usize, Drawn>,
    below: VecDeque<Tree>,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut drawing = Drawing { why: self, drawn: HashMap::new(), below: VecDeque::new() };
        drawing.tree(&Tree { seq: self.artifact().seq, first: None }, f)?;
        while let Some(tree) = drawing.below.pop_front() {
            f.write_str("\n\n")?;
            drawing.tree(&tree, f)?;
        }
        Ok(())
    }
}

impl<'a> Drawing<'a> {
    /// Draws one tree, without recursion: a chain may be long.
    fn tree(&mut self, tree: &Tree, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(root) = self.why.version(tree.seq) {
            write!(f, "{root}")?;
        }
        let mut waiting = Vec::new();
        if let Some(read) = self.why.read(tree.seq) {
            self.branch_out(tree.seq, read, tree.first, ("", 0), &mut waiting);
        }
        while let Some(Branch { line, indent, last, depth }) = waiting.pop() {
            f.write_char('\n')?;
            f.write_str(&indent)?;
            f.write_str(if last { "└─ " } else { "├─ " })?;
            let input = match line {
                Line::Source(input) => input,
                Line::First(Drawn { cut, place }) => {
                    write!(f, "the first {cut}: see {place}")?;
                    continue;
                }
            };
            let Some(source) = input.seq.and_then(|seq| self.why.version(seq)) else {
                write!(f, "{input}")?;
                continue;
            };
            write!(f, "{source}")?;
            let indent = indent + if last { "   " } else { "│  " };
            self.sources(source.seq, (&indent, depth), &mut waiting, f)?;
        }
        Ok(())
    }

    /// Draws the sources of a version right below it, or says where they stand.
    fn sources(
        &mut self,
        seq: u64,
        at: (&str, usize),
        waiting: &mut Vec<Branch<'a>>,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let Some(read) = self.why.read(seq).filter(|read| read.cut > 0) else { return Ok(()) };
        let first = self.drawn.get(&read.attempt).copied();
        match first {
            Some(Drawn { cut, place }) if cut == read.cut => write!(f, " (see {place})"),
            Some(Drawn { cut, place }) if cut > read.cut => {
                write!(f, " (see {place}: the first {})", read.cut)
            }
            _ if at.1 >= DEEPEST => {
                let place = Place::Below;
                self.drawn.insert(read.attempt, Drawn { cut: read.cut, place });
                // What is waiting already is drawn before.
                let first = first.map(|first| Drawn { place: Place::Above, ..first });
                self.below.push_back(Tree { seq, first });
                write!(f, " (see {place})")
            }
            _ => {
                self.branch_out(seq, read, first, at, waiting);
                Ok(())
            }
        }
    }

    fn branch_out(
        &mut self,
        seq: u64,
        read: Read,
        first: Option<Drawn>,
        (indent, depth): (&str, usize),
        waiting: &mut Vec<Branch<'a>>,
    ) {
        let drawn = self.drawn.entry(read.attempt).or_insert(Drawn { cut: 0, place: Place::Above });
        if drawn.cut <= read.cut {
            *drawn = Drawn { cut: read.cut, place: Place::Above };
        }
        let why: &'a Why = self.why;
        let rest = why.sources(seq).iter().skip(first.map_or(0, |first| first.cut));
        let lines = first.map(Line::First).into_iter().chain(rest.map(Line::Source));
        let from = waiting.len();
        waiting.extend(lines.map(|line| Branch {
            line,
            indent: indent.to_owned(),
            last: false,
            depth: depth + 1,
        }));
        if let Some(last) = waiting.get_mut(from..) {
            last.reverse();
            last.iter_mut().take(1).for_each(|last| last.last = true);
        }
    }
}
