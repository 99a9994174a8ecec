//! What a file holds: JSON, text, or neither.

use std::fmt::Write as _;

use super::json::Json;
use super::names::{Found, Names};
use super::options::Here;

/// Longer content is not looked into: it is neither shown nor compared line by line.
pub(crate) const MOST_BYTES: u64 = 4 << 20;

/// The content as text: UTF-8 without a NUL, and not too long to be looked at.
pub(crate) fn as_text(bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    if bytes.len() as u64 > MOST_BYTES || memchr::memchr(0, &bytes).is_some() {
        return Err(bytes);
    }
    String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes)
}

/// What a file holds.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Empty,
    Json(Json),
    /// JSON Lines, and whether the last one has its line break.
    Lines(Vec<Json>, bool),
    Text(String),
    Binary(Vec<u8>),
    /// What is not held, in a word.
    Untold(&'static str),
}

/// A content as it is shown.
pub(super) struct Shown {
    pub(super) text: String,
    /// What the line of its name says of it.
    pub(super) marks: Vec<&'static str>,
}

impl Content {
    /// What stands under this name.
    pub(super) fn of(name: &str, mut bytes: Vec<u8>) -> Self {
        bytes.shrink_to_fit();
        if bytes.is_empty() {
            return Self::Empty;
        }
        let text = match as_text(bytes) {
            Ok(text) => text,
            Err(bytes) => return Self::Binary(bytes),
        };
        let ends_in = |ending: &str| {
            let at = name.len().saturating_sub(ending.len());
            name.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(ending))
        };
        let json = if ends_in(".json") {
            Json::parse(&text).map(Self::Json)
        } else if ends_in(".jsonl") {
            let lines = text.split_terminator('\n').map(Json::parse).collect::<Option<_>>();
            lines.map(|lines| Self::Lines(lines, text.ends_with('\n')))
        } else {
            None
        };
        json.unwrap_or(Self::Text(text))
    }

    /// In a word.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Json(_) | Self::Lines(..) => "json",
            Self::Text(_) => "text",
            Self::Binary(_) => "binary",
            Self::Untold(kind) => kind,
        }
    }

    /// Without what it holds.
    pub(super) fn untold(&self) -> Self {
        Self::Untold(self.kind())
    }

    /// The content as it is shown; `None` where it is not text.
    pub(super) fn shown(&self, rules: &Here<'_>, names: &mut Names) -> Option<Shown> {
        if let Some(with) = rules.whole() {
            names.hit();
            return Some(Shown { text: with.to_owned(), marks: Vec::new() });
        }
        let (text, mut marks) = match self {
            Self::Empty | Self::Binary(_) | Self::Untold(_) => return None,
            Self::Json(json) => (json.shown("", rules, names).pretty(), Vec::new()),
            Self::Lines(lines, ends) => {
                let lines = lines.iter().enumerate();
                let show = |(at, line): (usize, &Json)| {
                    line.shown(&rules.below("", &at.to_string()), rules, names).compact() + "\n"
                };
                let text: String = lines.map(show).collect();
                (text, if *ends { Vec::new() } else { vec![NO_END] })
            }
            Self::Text(text) => {
                let ends = text.ends_with('\n');
                (names.redact(text), if ends { Vec::new() } else { vec![NO_END] })
            }
        };
        if !text.contains(is_hidden) {
            return Some(Shown { text, marks });
        }
        marks.push("escaped");
        Some(Shown { text: escaped(&text), marks })
    }

    /// Whether it is the same in every run, the digests that it names, and, if `masks`, its masked text.
    pub(super) fn look(&self, masks: bool, rules: &Here<'_>, names: &mut Names) -> Found {
        let text = |json: Json| if masks { json.compact() + "\n" } else { String::new() };
        names.look(|names| match self {
            _ if rules.whole().is_some() => {
                names.hit();
                String::new()
            }
            Self::Empty => String::new(),
            Self::Json(json) => text(json.shown("", rules, names)),
            Self::Lines(lines, _) => {
                let lines = lines.iter().enumerate();
                let show = |(at, line): (usize, &Json)| {
                    text(line.shown(&rules.below("", &at.to_string()), rules, names))
                };
                lines.map(show).collect()
            }
            Self::Text(text) => names.redact(text),
            Self::Binary(bytes) => {
                let least = names.shortest();
                let texts = bytes.utf8_chunks().map(|chunk| chunk.valid());
                texts.filter(|text| text.len() >= least).map(|text| names.redact(text)).collect()
            }
            // What was not looked into may be another one in each run.
            Self::Untold(_) => {
                names.hit();
                String::new()
            }
        })
    }
}

const NO_END: &str = "no line break at the end";

/// Characters that a terminal or an editor does not show for what they are.
pub(super) fn is_hidden(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let has_no_width = matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}');
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    (c.is_control() && !matches!(c, '\n' | '\t')) || turns || has_no_width || breaks
}

/// With such characters as escapes, and so each backslash doubled.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\r' => out.push_str("\\r"),
            c if is_hidden(c) => {
                // To write to a text does not fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
