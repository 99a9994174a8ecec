//! JSON as a small value that forgets nothing: a number keeps its text, an object each of its members.

use std::fmt::{self, Write as _};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::content::is_hidden;
use super::names::Names;
use super::options::Here;

/// As deep as the journal goes. What nests deeper is text.
const MAX_DEPTH: usize = 127;

/// A value. Not `serde_json::Value`: other crates' features of serde_json change what that keeps.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    /// A number as it is written, or a word.
    Word(String),
    Text(String),
    /// What stands in the place of a value, and is not looked at again.
    Redacted(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// The members of an object in their order, doubles too.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl Json {
    /// `None` where it is no JSON, or nests too deep.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::of(serde_json::from_str(text).ok()?, 0)
    }

    fn of(raw: &RawValue, depth: usize) -> Option<Self> {
        if depth > MAX_DEPTH {
            return None;
        }
        let text = raw.get();
        Some(match text.as_bytes().first()? {
            b'{' => {
                let Members(members) = serde_json::from_str(text).ok()?;
                let read = |(key, raw)| Some((key, Self::of(raw, depth + 1)?));
                Self::Object(members.into_iter().map(read).collect::<Option<_>>()?)
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                let read = |raw| Self::of(raw, depth + 1);
                Self::List(items.into_iter().map(read).collect::<Option<_>>()?)
            }
            b'"' => Self::Text(serde_json::from_str(text).ok()?),
            _ => Self::Word(text.to_owned()),
        })
    }

    /// As it is shown: keys sorted, redacted. `at` is its JSON Pointer.
    pub(super) fn shown(&self, at: &str, rules: &Here<'_>, names: &mut Names) -> Self {
        if let Some(with) = rules.value(at) {
            names.hit();
            return Self::Redacted(with.to_owned());
        }
        match self {
            Self::Text(text) => Self::Text(names.redact(text)),
            Self::List(items) => {
                let items = items.iter().enumerate();
                let show = |(number, item): (usize, &Self)| {
                    item.shown(&rules.below(at, &number.to_string()), rules, names)
                };
                Self::List(items.map(show).collect())
            }
            Self::Object(members) => Self::members_shown(members, at, rules, names),
            other => other.clone(),
        }
    }

    fn members_shown(
        members: &[(String, Self)],
        at: &str,
        rules: &Here<'_>,
        names: &mut Names,
    ) -> Self {
        let of_unknown = members.iter().any(|(key, value)| {
            matches!(value, Self::Text(digest) if key == "digest" && names.hides_digest(digest))
        });
        let show = |(key, value): &(String, Self), names: &mut Names| {
            let pointer = rules.below(at, key);
            let varies = key == "duration_ms" || (key == "size" && of_unknown);
            let is_number = |word: &str| word.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            match value {
                Self::Word(word)
                    if varies
                        && is_number(word)
                        && names.redacts()
                        && rules.value(&pointer).is_none() =>
                {
                    names.hit();
                    Self::Redacted(if key == "size" { "[size]" } else { "[duration]" }.to_owned())
                }
                value => value.shown(&pointer, rules, names),
            }
        };
        if names.masks() {
            let show = |member: &(String, Self)| (names.redact(&member.0), show(member, names));
            let mut shown: Vec<_> = members.iter().map(show).collect();
            shown.sort_by(|(one, _), (other, _)| one.cmp(other));
            let alike = shown.chunk_by_mut(|(one, _), (other, _)| one == other);
            for chunk in alike.filter(|chunk| chunk.len() > 1) {
                chunk.sort_by_cached_key(|(_, value)| value.compact());
            }
            return Self::Object(shown);
        }
        // A key that is an id sorts by what it is, and then by what it stands for, not by which one it is.
        let masked = |member| {
            let (key, _): &(String, Self) = member;
            let masked = names.masked(key);
            let tie = if masked == *key {
                String::new()
            } else {
                names.look(|names| show(member, names).compact()).masked
            };
            (masked, tie, member)
        };
        let mut order: Vec<_> = members.iter().map(masked).collect();
        order.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        let show = |(_, _, member): (String, String, &(String, Self))| {
            let value = show(member, names);
            (names.redact(&member.0), value)
        };
        Self::Object(order.into_iter().map(show).collect())
    }

    /// On one line.
    pub(super) fn compact(&self) -> String {
        let mut out = String::new();
        self.write(None, &mut out);
        out
    }

    /// On lines of its own, indented by two.
    pub(super) fn pretty(&self) -> String {
        let mut out = String::new();
        self.write(Some(0), &mut out);
        out
    }

    fn write(&self, indent: Option<usize>, out: &mut String) {
        match self {
            Self::Word(word) => out.push_str(word),
            Self::Text(text) | Self::Redacted(text) => string(text, out),
            Self::List(items) => {
                list(['[', ']'], items, indent, out, |item, inner, out| item.write(inner, out));
            }
            Self::Object(members) => {
                list(['{', '}'], members, indent, out, |(key, value), inner, out| {
                    string(key, out);
                    out.push_str(if indent.is_some() { ": " } else { ":" });
                    value.write(inner, out);
                });
            }
        }
    }
}

/// A text as JSON has it, with escapes for what is not seen.
pub(super) fn string(text: &str, out: &mut String) {
    let mut bytes = Vec::with_capacity(text.len() + 2);
    crate::json::write_string(&mut bytes, text);
    let written = String::from_utf8_lossy(&bytes);
    if !written.contains(is_hidden) {
        out.push_str(&written);
        return;
    }
    for c in written.chars() {
        if is_hidden(c) {
            // To write to a text does not fail. All of these are of the first plane.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

fn list<T>(
    [open, close]: [char; 2],
    items: &[T],
    indent: Option<usize>,
    out: &mut String,
    mut write: impl FnMut(&T, Option<usize>, &mut String),
) {
    let inner = indent.map(|indent| indent + 1);
    let line = |indent: Option<usize>, out: &mut String| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", indent));
        }
    };
    out.push(open);
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        line(inner, out);
        write(item, inner, out);
    }
    if !items.is_empty() {
        line(indent, out);
    }
    out.push(close);
}
