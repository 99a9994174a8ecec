//! The table: a line for each comparison, as Markdown.

use serde_json::{Value, json};

use crate::Result;
use crate::curves::Chart;
use crate::machine::Header;
use crate::measure::{Series, Spread};

/// What a figure must be: *reach* is what is promised, *best* is what would be splendid.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// Our time over theirs, at most.
    AtMost(f64, f64),
    /// Their time over ours, at least.
    Faster(f64, f64),
    /// Our time over theirs: nothing is promised, and at most so much would be splendid.
    Best(f64),
    /// Our bytes, less than so many megabytes.
    Megabytes(f64, f64),
    /// Our time, at most so many microseconds.
    Microseconds(f64, f64),
    /// Nothing: a ratio that helps to understand the others.
    Context,
    /// Our bytes, and nothing is promised.
    Memory,
    /// Our time, and nothing is promised.
    Time,
}

impl Goal {
    /// The goal, where the size is the one that it is about; else the figure alone.
    pub(crate) fn only_if(self, its_size: bool) -> Self {
        match self {
            _ if its_size => self,
            Self::Megabytes(..) | Self::Memory => Self::Memory,
            Self::Microseconds(..) | Self::Time => Self::Time,
            _ => Self::Context,
        }
    }
}

/// One comparison.
pub(crate) struct Entry {
    row: &'static str,
    work: String,
    against: String,
    /// Nanoseconds an operation, or bytes, by round or by call.
    ours: Vec<f64>,
    theirs: Vec<f64>,
    goal: Goal,
    /// Why it was not measured.
    skipped: Option<String>,
}

impl Entry {
    /// Two contenders of a series.
    pub(crate) fn compare(
        row: &'static str,
        work: impl Into<String>,
        series: &Series,
        ours: &str,
        theirs: &str,
        goal: Goal,
    ) -> Self {
        let (work, against) = (work.into(), theirs.to_owned());
        let (ours, theirs) = (series.of(ours), series.of(theirs));
        Self { row, work, against, ours, theirs, goal, skipped: None }
    }

    /// What is compared with its goal alone.
    pub(crate) fn alone(
        row: &'static str,
        work: impl Into<String>,
        against: &str,
        samples: Vec<f64>,
        goal: Goal,
    ) -> Self {
        let against = against.to_owned();
        Self {
            row,
            work: work.into(),
            against,
            ours: samples,
            theirs: Vec::new(),
            goal,
            skipped: None,
        }
    }

    /// Not measured, and why.
    pub(crate) fn skipped(
        row: &'static str,
        work: impl Into<String>,
        against: &str,
        goal: Goal,
        why: impl Into<String>,
    ) -> Self {
        let (work, against, skipped) = (work.into(), against.to_owned(), Some(why.into()));
        Self { row, work, against, ours: Vec::new(), theirs: Vec::new(), goal, skipped }
    }

    /// What the goal is about, of each round.
    fn figures(&self) -> Vec<f64> {
        let pairs = self.ours.iter().zip(&self.theirs);
        match self.goal {
            Goal::AtMost(..) | Goal::Best(_) | Goal::Context => {
                pairs.map(|(ours, theirs)| ours / theirs).collect()
            }
            Goal::Faster(..) => pairs.map(|(ours, theirs)| theirs / ours).collect(),
            Goal::Megabytes(..) | Goal::Memory => {
                self.ours.iter().map(|bytes| bytes / 1e6).collect()
            }
            Goal::Microseconds(..) | Goal::Time => {
                self.ours.iter().map(|time| time / 1e3).collect()
            }
        }
    }

    fn verdict(&self, median: f64) -> &'static str {
        let (reach, best) = match self.goal {
            Goal::AtMost(reach, best) => (median <= reach, median <= best),
            Goal::Faster(reach, best) => (median >= reach, median >= best),
            Goal::Megabytes(reach, best) => (median < reach, median < best),
            Goal::Microseconds(reach, best) => (median <= reach, median <= best),
            Goal::Best(best) if median <= best => (true, true),
            Goal::Best(_) | Goal::Context | Goal::Memory | Goal::Time => return "-",
        };
        match (reach, best) {
            (_, true) => "best",
            (true, false) => "reach",
            (false, false) => "SHORT",
        }
    }

    fn goals(&self) -> (String, String) {
        match self.goal {
            Goal::AtMost(reach, best) => (format!("<= {reach}"), format!("<= {best}")),
            Goal::Faster(reach, best) => (format!(">= {reach}x"), format!(">= {best}x")),
            Goal::Megabytes(reach, best) => (format!("< {reach} MB"), format!("< {best} MB")),
            Goal::Microseconds(reach, best) => {
                let words =
                    |micros: f64| format!("<= {}", duration(micros * 1e3).replace(".00", ""));
                (words(reach), words(best))
            }
            Goal::Best(best) => ("-".into(), format!("<= {best}")),
            Goal::Context | Goal::Memory | Goal::Time => ("-".into(), "-".into()),
        }
    }

    fn cells(&self) -> [String; 10] {
        let (reach, best) = self.goals();
        let figures = self.figures();
        let n = if figures.is_empty() { "-".to_owned() } else { figures.len().to_string() };
        let (figure, verdict) = match (&self.skipped, Spread::of(&figures)) {
            (Some(why), _) => (format!("skipped: {why}"), "skipped".to_owned()),
            (None, None) => ("-".into(), "-".into()),
            (None, Some(spread)) => (self.figure(spread), self.verdict(spread.median).to_owned()),
        };
        let time = |samples: &[f64]| match Spread::of(samples) {
            Some(spread) if !matches!(self.goal, Goal::Megabytes(..) | Goal::Memory) => {
                duration(spread.median)
            }
            _ => "-".to_owned(),
        };
        let (ours, theirs) = (time(&self.ours), time(&self.theirs));
        let (work, against) = (self.work.clone(), self.against.clone());
        [self.row.to_owned(), work, against, figure, n, reach, best, verdict, ours, theirs]
    }

    fn figure(&self, spread: Spread) -> String {
        let Spread { median, min, max } = spread;
        match self.goal {
            Goal::AtMost(..) | Goal::Best(_) | Goal::Context => {
                format!("{median:.2} ({min:.2}..{max:.2})")
            }
            Goal::Faster(..) => format!("{median:.1}x ({min:.1}..{max:.1})"),
            Goal::Megabytes(..) | Goal::Memory => format!("{median:.1} MB ({min:.1}..{max:.1})"),
            Goal::Microseconds(..) | Goal::Time => {
                let [median, min, max] = [median, min, max].map(|micros| duration(micros * 1e3));
                format!("{median} ({min}..{max})")
            }
        }
    }

    fn json(&self) -> Value {
        let figures = self.figures();
        let spread = Spread::of(&figures);
        json!({
            "row": self.row, "work": self.work, "against": self.against,
            "goal": self.goals().0, "best": self.goals().1,
            "median": spread.map(|spread| spread.median),
            "verdict": spread.map(|spread| self.verdict(spread.median)),
            "n": figures.len(), "figures": figures, "ours": self.ours, "theirs": self.theirs, "skipped": self.skipped,
        })
    }
}

/// Nanoseconds, in the unit that reads best.
pub(crate) fn duration(nanoseconds: f64) -> String {
    let (figure, unit) = match nanoseconds {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "us"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let decimals = if unit == "ns" || figure >= 100.0 { 0 } else { 2 };
    format!("{figure:.decimals$} {unit}")
}

const HEAD: [&str; 10] =
    ["#", "work", "against", "ratio (min..max)", "n", "reach", "best", "verdict", "ours", "theirs"];

/// Markdown, with its columns in line.
pub(crate) fn table(entries: &[Entry]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(entries.iter().map(Entry::cells));
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths = (0..HEAD.len()).map(|column| width(column).unwrap_or(0)).collect::<Vec<_>>();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            text += &format!("| {cell:width$} ");
        }
        text += "|\n";
        if number == 0 {
            text += &widths
                .iter()
                .map(|width| format!("| {} ", "-".repeat(*width)))
                .collect::<String>();
            text += "|\n";
        }
    }
    text
}

/// Everything, with the samples.
pub(crate) fn json(header: &Header, entries: &[Entry], charts: &[Chart]) -> Result<String> {
    let header = header.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
    let rows = entries.iter().map(Entry::json).collect::<Vec<_>>();
    let curves = charts.iter().map(Chart::json).collect::<Vec<_>>();
    let header = header.collect::<serde_json::Map<_, _>>();
    let page = json!({"header": header, "rows": rows, "curves": curves});
    Ok(serde_json::to_string_pretty(&page)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(goal: Goal, ours: f64, theirs: f64) -> String {
        let (ours, theirs) = (vec![ours; 3], vec![theirs; 3]);
        let entry = Entry {
            row: "0",
            work: String::new(),
            against: String::new(),
            ours,
            theirs,
            goal,
            skipped: None,
        };
        let [.., verdict, _, _] = entry.cells();
        verdict
    }

    #[test]
    fn a_verdict_says_which_goal_was_met() {
        let goal = Goal::AtMost(2.5, 1.5);
        assert_eq!(
            [15.0, 25.0, 25.1].map(|ours| verdict(goal, ours, 10.0)),
            ["best", "reach", "SHORT"]
        );
        let goal = Goal::Faster(5.0, 10.0);
        assert_eq!(
            [10.0, 5.0, 4.9].map(|theirs| verdict(goal, 1.0, theirs)),
            ["best", "reach", "SHORT"]
        );
        let goal = Goal::Megabytes(64.0, 32.0);
        assert_eq!(
            [31e6, 63e6, 64e6].map(|ours| verdict(goal, ours, 0.0)),
            ["best", "reach", "SHORT"]
        );
    }

    #[test]
    fn nothing_is_judged_where_the_size_is_not_that_of_the_goal() {
        let goals =
            [Goal::AtMost(2.5, 1.5), Goal::Megabytes(1.0, 1.0), Goal::Microseconds(1.0, 1.0)];
        for goal in goals {
            assert_ne!(verdict(goal.only_if(true), 1.0, 1.0), "-");
            assert_eq!(verdict(goal.only_if(false), 1.0, 1.0), "-");
        }
        let entry = Entry::alone(
            "0",
            "w",
            "a time",
            vec![2e3; 3],
            Goal::Microseconds(1.0, 1.0).only_if(false),
        );
        let [_, _, _, figure, n, ..] = entry.cells();
        assert_eq!((figure.as_str(), n.as_str()), ("2.00 us (2.00 us..2.00 us)", "3"));
    }

    #[test]
    fn times_read_well() {
        let shown = [752.4, 3210.0, 132_000.0, 36_500_000.0, 2e9].map(duration);
        assert_eq!(shown, ["752 ns", "3.21 us", "132 us", "36.50 ms", "2.00 s"]);
    }
}
