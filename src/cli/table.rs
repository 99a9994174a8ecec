//! Aligned columns, as wide as the terminal and no wider.
//!
//! Nothing is cut off. Columns that do not fit beside the others stand on a line of their own below, and the text in
//! the last column goes on in the next line. Where nobody says how wide it may be (no terminal, no COLUMNS), a row is
//! a line, for `grep` and `awk`.

use std::io::{self, IsTerminal as _};

use anstyle::{AnsiColor, Style};
use textwrap::core::display_width;

/// Between two columns.
const GAP: usize = 2;
/// Columns of a row that stand below it are set in.
const INDENT: usize = 4;
/// A text in fewer columns than these is no pleasure: it gets a line of its own.
const LEAST: usize = 24;

/// How a table is to look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// How wide a line may be; `None` for as wide as need be.
    width: Option<usize>,
    colour: bool,
}

impl Look {
    /// What fits standard output: COLUMNS, else the terminal's width; colour as NO_COLOR and the terminal say.
    pub(crate) fn of_stdout() -> Self {
        let colour = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        Self { width: columns(io::stdout().is_terminal()), colour }
    }

    /// What fits standard error.
    pub(crate) fn of_stderr() -> Self {
        Self { width: columns(io::stderr().is_terminal()), colour: false }
    }

    /// How wide a line may be.
    pub(crate) fn width(self) -> Option<usize> {
        self.width
    }
}

fn columns(is_terminal: bool) -> Option<usize> {
    let named = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let shown = || is_terminal.then(terminal_size::terminal_size).flatten();
    named.filter(|width| *width > 0).or_else(|| shown().map(|(width, _)| usize::from(width.0)))
}

/// What becomes of the last column where it is too wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// A text: it goes on in the next line.
    Text,
    /// The beginning of something: less of it is shown.
    Preview,
}

/// Rows of cells, the first of them the heads, each as its lines, with the columns of all aligned.
pub(crate) fn lay_out(rows: &[impl AsRef<[String]>], last: Last, look: Look) -> Vec<Vec<String>> {
    let shown = |row: &[String]| row.iter().map(|cell| visible(cell)).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| shown(row.as_ref())).collect();
    let widths = widths(&rows);
    let word = if last == Last::Text { longest_word(&rows) } else { 0 };
    let stages = stages(&widths, word, look.width);
    let heads = rows.first().map_or(&[][..], Vec::as_slice);
    let lines_of = |(number, row): (usize, &Vec<String>)| {
        let row = Row { cells: row, heads, widths: &widths, last, look, is_head: number == 0 };
        let mut lines = Vec::new();
        stages.iter().for_each(|stage| row.lines(stage, &mut lines));
        lines
    };
    rows.iter().enumerate().map(lines_of).collect()
}

struct Row<'a> {
    cells: &'a [String],
    heads: &'a [String],
    widths: &'a [usize],
    last: Last,
    look: Look,
    is_head: bool,
}

/// Columns that stand in one line.
struct Stage {
    columns: std::ops::Range<usize>,
    indent: usize,
    /// How many columns of the terminal the last cell may take, if it is the last of its row.
    wrap: Option<usize>,
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| display_width(cell)).max().unwrap_or(0)
    };
    (0..columns).map(width).collect()
}

/// How wide the widest word of the last column is.
fn longest_word(rows: &[Vec<String>]) -> usize {
    let words = rows.iter().filter_map(|row| row.last()).flat_map(|cell| cell.split(' '));
    words.map(display_width).max().unwrap_or(0)
}

/// Which columns stand beside one another.
fn stages(widths: &[usize], word: usize, limit: Option<usize>) -> Vec<Stage> {
    let all = 0..widths.len();
    let Some(limit) = limit else {
        return vec![Stage { columns: all, indent: 0, wrap: None }];
    };
    let mut stages: Vec<Stage> = Vec::new();
    let (mut from, mut used, mut indent) = (0, 0, 0);
    for (column, width) in widths.iter().enumerate() {
        let is_last = column + 1 == widths.len();
        let gap = if column == from { indent } else { GAP };
        // The last one may be wrapped, if that leaves it room enough.
        let needs = if is_last { (*width).min(LEAST.max(word)) } else { *width };
        if column > from && used + gap + needs > limit {
            stages.push(Stage { columns: from..column, indent, wrap: None });
            (from, indent, used) = (column, INDENT, INDENT + width);
        } else {
            used += gap + width;
        }
        if is_last {
            let before = used - width;
            let wrap = Some(limit.saturating_sub(before).max(1));
            stages.push(Stage { columns: from..widths.len(), indent, wrap });
        }
    }
    stages
}

impl Row<'_> {
    fn lines(&self, stage: &Stage, lines: &mut Vec<String>) {
        let cells = self.cells.get(stage.columns.clone()).unwrap_or_default();
        if stage.indent > 0 && cells.iter().all(String::is_empty) {
            return;
        }
        let mut line = " ".repeat(stage.indent);
        let mut at = stage.indent;
        for (column, cell) in stage.columns.clone().zip(cells) {
            let width = self.widths.get(column).copied().unwrap_or(0);
            let head = self.heads.get(column).map_or("", String::as_str);
            let is_last = column + 1 == stage.columns.end;
            let wrap = stage.wrap.filter(|_| is_last);
            let pieces = match wrap {
                None => vec![cell.clone()],
                Some(room) if self.last == Last::Preview => vec![beginning(cell, room)],
                Some(room) => wrapped(cell, room),
            };
            for (number, piece) in pieces.iter().enumerate() {
                if number > 0 {
                    lines.push(std::mem::replace(&mut line, " ".repeat(at)));
                }
                line.push_str(&self.look.paint(piece, head, self.is_head));
            }
            if !is_last {
                line.push_str(&" ".repeat(width + GAP - display_width(cell).min(width)));
            }
            at += width + GAP;
        }
        lines.push(line.trim_end().to_owned());
    }
}

impl Look {
    /// Heads are bold; a word that says how something is has the colour of what it says.
    fn paint(self, cell: &str, head: &str, is_head: bool) -> String {
        let style = match head {
            _ if !self.colour || cell.is_empty() => return cell.to_owned(),
            _ if is_head => Style::new().bold(),
            "STATUS" | "STATE" | "SEVERITY" => of_word(cell),
            _ => return cell.to_owned(),
        };
        format!("{style}{cell}{style:#}")
    }
}

/// The colour of a state: what needs somebody is red or yellow, what is well is green.
fn of_word(cell: &str) -> Style {
    let word = cell.split([' ', ',', ':']).next().unwrap_or_default().to_ascii_lowercase();
    let colour = match word.as_str() {
        "success" | "done" | "completed" | "live" | "approved" => AnsiColor::Green,
        "failed" | "error" | "unreadable" | "dead" | "missing" | "damaged" | "changed" => {
            AnsiColor::Red
        }
        "warning" | "held" | "expired" | "stale" | "unjournaled" | "waiting" => AnsiColor::Yellow,
        "planning" | "executing" | "verifying" | "running" | "claimed" => AnsiColor::Cyan,
        _ => return Style::new(),
    };
    colour.on_default()
}

/// A text in lines of so many columns. Words that are longer, such as paths, are not broken.
pub(crate) fn wrapped(text: &str, room: usize) -> Vec<String> {
    // What the text is set in by belongs to its first word.
    let set_in = text.len() - text.trim_start_matches(' ').len();
    let (blanks, text) = text.split_at(set_in);
    let options = textwrap::Options::new(room)
        .initial_indent(blanks)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit);
    textwrap::wrap(text, options).into_iter().map(std::borrow::Cow::into_owned).collect()
}

/// As much of a text as fits into so many columns.
pub(crate) fn beginning(text: &str, room: usize) -> String {
    if display_width(text) <= room {
        return text.to_owned();
    }
    let mut shown = String::new();
    for c in text.chars() {
        if display_width(&shown) + display_width(c.encode_utf8(&mut [0; 4])) + 1 > room {
            break;
        }
        shown.push(c);
    }
    shown.push('…');
    shown
}

/// The text with what could play tricks on a terminal shown: control characters, and those that turn the direction of
/// what follows, or break a line. Joiners stay, as names are written with them.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.extend(c.escape_default());
            }
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [[&str; 4]; 3] = [
        ["RUN", "STATUS", "EVENTS", "REASON"],
        [
            "TASK-1/RUN-1",
            "FAILED",
            "12",
            "the plan has no steps, and so nothing could be built at all",
        ],
        ["TASK-1/RUN-22", "SUCCESS", "7", ""],
    ];

    fn laid_out(width: Option<usize>, colour: bool) -> String {
        let rows = ROWS.map(|row| row.map(str::to_owned));
        lay_out(&rows, Last::Text, Look { width, colour }).concat().join("\n")
    }

    #[test]
    fn without_a_width_a_row_is_a_line() {
        insta::assert_snapshot!(laid_out(None, false), @"
        RUN            STATUS   EVENTS  REASON
        TASK-1/RUN-1   FAILED   12      the plan has no steps, and so nothing could be built at all
        TASK-1/RUN-22  SUCCESS  7
        ");
    }

    #[test]
    fn the_last_column_goes_on_in_the_next_line() {
        insta::assert_snapshot!(laid_out(Some(64), false), @"
        RUN            STATUS   EVENTS  REASON
        TASK-1/RUN-1   FAILED   12      the plan has no steps, and so
                                        nothing could be built at all
        TASK-1/RUN-22  SUCCESS  7
        ");
    }

    #[test]
    fn columns_that_do_not_fit_stand_below() {
        insta::assert_snapshot!(laid_out(Some(30), false), @"
        RUN            STATUS   EVENTS
            REASON
        TASK-1/RUN-1   FAILED   12
            the plan has no steps, and
            so nothing could be built
            at all
        TASK-1/RUN-22  SUCCESS  7
        ");
    }

    #[test]
    fn of_a_preview_so_much_is_shown_as_fits() {
        let rows = ROWS.map(|row| row.map(str::to_owned));
        let look = Look { width: Some(64), colour: false };
        insta::assert_snapshot!(lay_out(&rows, Last::Preview, look).concat().join("\n"), @"
        RUN            STATUS   EVENTS  REASON
        TASK-1/RUN-1   FAILED   12      the plan has no steps, and so n…
        TASK-1/RUN-22  SUCCESS  7
        ");
    }

    #[test]
    fn colours_take_no_room() {
        insta::assert_snapshot!(laid_out(None, true).replace('\u{1b}', "^"), @"
        ^[1mRUN^[0m            ^[1mSTATUS^[0m   ^[1mEVENTS^[0m  ^[1mREASON^[0m
        TASK-1/RUN-1   ^[31mFAILED^[0m   12      the plan has no steps, and so nothing could be built at all
        TASK-1/RUN-22  ^[32mSUCCESS^[0m  7
        ");
    }

    #[test]
    fn no_width_panics_and_no_cell_is_lost() {
        for width in 0..200 {
            let text = laid_out(Some(width), false);
            for cell in ROWS.iter().flatten().flat_map(|cell| cell.split(' ')) {
                assert!(text.contains(cell), "{width}: {cell}\n{text}");
            }
        }
    }

    #[test]
    fn a_title_cannot_move_the_cursor() {
        assert_eq!(visible("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
    }

    #[test]
    fn a_title_cannot_turn_what_follows() {
        for c in "\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}".chars() {
            assert_eq!(visible(&format!("a{c}b")), format!("a\\u{{{:x}}}b", u32::from(c)));
        }
        assert_eq!(visible("\u{200d}\u{2027}\u{202f}"), "\u{200d}\u{2027}\u{202f}");
    }

    #[test]
    fn a_word_stays_with_what_it_is_set_in_by() {
        for room in 1..20 {
            let lines = wrapped("  because: nothing", room);
            assert_eq!(lines.first().map(|line| line.starts_with("  because:")), Some(true));
        }
    }
}
