//! JSON as text: one line for a journal, canonical for an artifact.
//!
//! Both work on text that serde_json has accepted and keep every number as it was written where it
//! matters, so integers of any size stay exact; a `serde_json::Value` would round them.

use std::collections::BTreeMap;
use std::io::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;

/// The value as JSON on one line.
pub(crate) fn on_one_line<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let mut text = Vec::with_capacity(USUAL);
    serde_json::to_writer(&mut text, value)?;
    let text = String::from_utf8(text).map_err(serde::ser::Error::custom)?;
    // A value may itself hold raw JSON with line breaks, as a file read by the tool does.
    let has_breaks = memchr::memchr3(b'\n', b'\r', b'\t', text.as_bytes()).is_some();
    let text = if has_breaks { compact(&text) } else { text };
    if nests_too_deep(&text) {
        return Err(too_deep());
    }
    Ok(text)
}

/// Bytes that most payloads have room in, so that they are not copied while they grow.
const USUAL: usize = 512;

/// As deep as serde_json, and most other readers, will follow.
const MAX_DEPTH: usize = 127;

fn too_deep() -> serde_json::Error {
    serde::ser::Error::custom("the JSON nests deeper than 127 levels")
}

fn nests_too_deep(json: &str) -> bool {
    let opens_many = memchr::memchr2_iter(b'{', b'[', json.as_bytes()).nth(MAX_DEPTH).is_some();
    opens_many && serde_json::from_str::<serde_json::Value>(json).is_err()
}

/// Takes the white space between tokens out of JSON text.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if matches!(c, ' ' | '\n' | '\r' | '\t') {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
}

/// Characters that JSON lets stand raw but some readers take for the end of a line, or for control.
fn breaks_lines(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}')
}

/// True for what stands on a line as it is. Nearly all text is plain ASCII, and that is quick to see.
fn is_ascii_text(json: &str) -> bool {
    json.bytes().fold(true, |plain, byte| plain & (byte < 0x7f))
}

/// The bytes that [`write_on_line`] appends.
pub(crate) fn len_on_line(json: &str) -> usize {
    if is_ascii_text(json) {
        return json.len();
    }
    let escapes = json.chars().filter(|c| breaks_lines(*c));
    json.len() + escapes.map(|c| "\\u0000".len() - c.len_utf8()).sum::<usize>()
}

/// Appends JSON with such characters escaped. They can only stand inside strings.
pub(crate) fn write_on_line(out: &mut Vec<u8>, json: &str) {
    if is_ascii_text(json) {
        out.extend_from_slice(json.as_bytes());
    } else {
        write_escaped(out, json, |_| None);
    }
}

/// Appends a text as a JSON string, escaped as serde_json does and for a line.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    let plain = |byte| matches!(byte, 0x20..0x7f) & (byte != b'"') & (byte != b'\\');
    out.push(b'"');
    if text.bytes().fold(true, |all, byte| all & plain(byte)) {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_escaped(out, text, |c| match c {
            '"' => Some('"'),
            '\\' => Some('\\'),
            '\u{8}' => Some('b'),
            '\t' => Some('t'),
            '\n' => Some('n'),
            '\u{c}' => Some('f'),
            '\r' => Some('r'),
            '\0'..'\u{20}' => Some('u'),
            _ => None,
        });
    }
    out.push(b'"');
}

/// Appends text, with a backslash and the letter that `escape` gives in place of a character; `u` stands
/// for its number.
fn write_escaped(out: &mut Vec<u8>, text: &str, escape: impl Fn(char) -> Option<char>) {
    for c in text.chars() {
        let written = match escape(c) {
            None if breaks_lines(c) => write!(out, "\\u{:04x}", u32::from(c)),
            Some('u') => write!(out, "\\u{:04x}", u32::from(c)),
            Some(letter) => write!(out, "\\{letter}"),
            None => out.write_all(c.encode_utf8(&mut [0; 4]).as_bytes()),
        };
        // Writing to a Vec cannot fail.
        debug_assert!(written.is_ok());
    }
}

/// The canonical form: keys sorted, two-space indent, shortest round-trip numbers, integers of any
/// size exact, a newline at the end. Equal values are equal bytes.
pub(crate) fn canonical<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let raw = serde_json::value::to_raw_value(value)?;
    let mut out = String::with_capacity(raw.get().len() * 2);
    write_canonical(&raw, 0, &mut out)?;
    out.push('\n');
    Ok(out)
}

fn write_canonical(
    raw: &RawValue,
    depth: usize,
    out: &mut String,
) -> Result<(), serde_json::Error> {
    let text = raw.get();
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text)?;
            write_list(members.iter(), ['{', '}'], depth, out, |(key, value), out| {
                out.push_str(&serde_json::to_string(key)?);
                out.push_str(": ");
                write_canonical(value, depth + 1, out)
            })
        }
        Some(b'[') => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(text)?;
            write_list(items.iter(), ['[', ']'], depth, out, |item, out| {
                write_canonical(item, depth + 1, out)
            })
        }
        Some(b'"') => {
            let string: String = serde_json::from_str(text)?;
            out.push_str(&serde_json::to_string(&string)?);
            Ok(())
        }
        Some(b'-' | b'0'..=b'9') if text.contains(['.', 'e', 'E']) => {
            let number: f64 = serde_json::from_str(text)?;
            // Versions of serde_json differ in the plus of an exponent; the format has none.
            out.push_str(&serde_json::to_string(&number)?.replace("e+", "e"));
            Ok(())
        }
        _ => {
            out.push_str(text);
            Ok(())
        }
    }
}

/// Writes `{` or `[`, each item on a line of its own, and the end; an empty list stays on one line.
fn write_list<T>(
    items: impl ExactSizeIterator<Item = T>,
    [open, close]: [char; 2],
    depth: usize,
    out: &mut String,
    mut write_item: impl FnMut(T, &mut String) -> Result<(), serde_json::Error>,
) -> Result<(), serde_json::Error> {
    let indent = |out: &mut String, depth| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    out.push(open);
    let mut left = items.len();
    let empty = left == 0;
    for item in items {
        indent(out, depth + 1);
        write_item(item, out)?;
        left -= 1;
        if left > 0 {
            out.push(',');
        }
    }
    if !empty {
        indent(out, depth);
    }
    out.push(close);
    Ok(())
}

/// True if both texts are the same JSON value.
pub(crate) fn same_value(a: Option<&str>, b: Option<&str>) -> bool {
    let canonical = |text| serde_json::from_str::<&RawValue>(text).and_then(canonical);
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            a == b || matches!((canonical(a), canonical(b)), (Ok(a), Ok(b)) if a == b)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expect: &str) {
        let raw: Box<RawValue> = serde_json::from_str(input).unwrap();
        assert_eq!(canonical(&raw).unwrap(), format!("{expect}\n"), "{input}");
    }

    #[test]
    fn the_length_on_a_line_is_that_of_what_is_written() {
        for text in ["", "plain", "\u{7e}\u{7f}\u{80}\u{9f}\u{a0}", "é\u{2028}\u{2029}\u{202a}🦀"]
        {
            let mut line = Vec::new();
            write_on_line(&mut line, text);
            assert_eq!(len_on_line(text), line.len(), "{text:?}");
        }
    }

    #[test]
    fn canonical_form() {
        check(
            r#"{"b":1,"a":[true,null]}"#,
            "{\n  \"a\": [\n    true,\n    null\n  ],\n  \"b\": 1\n}",
        );
        check("{ }", "{}");
        check("[ ]", "[]");
        check("123456789012345678901234567890", "123456789012345678901234567890");
        check("0.1000000000000000055", "0.1");
        check("1e2", "100.0");
        check("10000000000000000.0", "1e16");
        check("-1.25e-7", "-1.25e-7");
        check("0.00001", "0.00001");
        check("-0.0", "-0.0");
        check(r#""\u0061\/ü\u2028""#, "\"a/ü\u{2028}\"");
        check(r#"{"a":1,"a":2}"#, "{\n  \"a\": 2\n}");
        assert_eq!(canonical(&u128::MAX).unwrap().trim(), u128::MAX.to_string());
    }

    #[test]
    fn one_line_for_every_reader() {
        let mut line = Vec::new();
        write_on_line(&mut line, "\"a\u{2028}\u{85}\u{7f}ü\"");
        assert_eq!(line, "\"a\\u2028\\u0085\\u007fü\"".as_bytes());
        assert_eq!(compact("{ \"a b\" :\n [1,\t\"\\\" \"] }"), r#"{"a b":[1,"\" "]}"#);
    }
}
