//! How far a JSON value goes: checked, but not read.
//!
//! It accepts what serde_json accepts as raw JSON, except that it does not follow deeper than
//! serde_json reads values: what nests deeper is left to serde_json itself.

/// Levels of nesting that are followed.
const MAX_DEPTH: u32 = 127;

/// The end of the value that starts at `start`, with no white space before it; `None` where it is not
/// JSON, or nests too deep.
pub(crate) fn end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mut open = Open::default();
    loop {
        let first = *bytes.get(at)?;
        at = match first {
            b'"' => string_end(bytes, at + 1)?,
            b'{' | b'[' => {
                let close = first + 2;
                at = space_end(bytes, at + 1);
                if bytes.get(at) == Some(&close) {
                    at + 1
                } else {
                    open.push(first == b'{')?;
                    at = if first == b'{' { name_end(bytes, at)? } else { at };
                    continue;
                }
            }
            b'-' | b'0'..=b'9' => number_end(bytes, at)?,
            b't' => word_end(bytes, at, b"true")?,
            b'f' => word_end(bytes, at, b"false")?,
            b'n' => word_end(bytes, at, b"null")?,
            _ => return None,
        };
        loop {
            let Some(in_object) = open.top() else { return Some(at) };
            at = space_end(bytes, at);
            match (bytes.get(at)?, in_object) {
                (b',', true) => {
                    at = name_end(bytes, space_end(bytes, at + 1))?;
                    break;
                }
                (b',', false) => {
                    at = space_end(bytes, at + 1);
                    break;
                }
                (b'}', true) | (b']', false) => {
                    open.pop();
                    at += 1;
                }
                _ => return None,
            }
        }
    }
}

/// What is open around a value, a bit a level, the innermost lowest: 1 for an object.
#[derive(Default)]
struct Open {
    objects: u128,
    depth: u32,
}

impl Open {
    fn push(&mut self, object: bool) -> Option<()> {
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(object);
        (self.depth <= MAX_DEPTH).then_some(())
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.objects >>= 1;
    }

    fn top(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.objects & 1 == 1)
    }
}

/// Where the text of a string stops being plain: at a quote, a backslash or a control character, or
/// at the end of the bytes.
pub(crate) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    // Eight bytes at once. A byte may be marked in error only behind one that is marked rightly.
    const ONES: u64 = u64::MAX / 255;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quotes = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslashes = below(word ^ (ONES * u64::from(b'\\')), 1);
        let marks = (quotes | backslashes | below(word, 0x20)) & (ONES * 0x80);
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let special = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20));
    at + special.unwrap_or(rest.len())
}

/// The end of a string behind its opening quote.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = plain_end(bytes, at);
        at += match bytes.get(at..)? {
            [b'"', ..] => return Some(at + 1),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'\\', b'u', digits @ ..] => {
                let digits = digits.first_chunk::<4>()?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(6)?
            }
            _ => return None,
        };
    }
}

/// The start of a member's value: behind its name, the colon and white space.
fn name_end(bytes: &[u8], at: usize) -> Option<usize> {
    let at = bytes.get(at).filter(|byte| **byte == b'"').and_then(|_| string_end(bytes, at + 1))?;
    let at = space_end(bytes, at);
    (*bytes.get(at)? == b':').then(|| space_end(bytes, at + 1))
}

fn number_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    let whole = at;
    at = digits_end(bytes, at);
    if at == whole || (at > whole + 1 && bytes.get(whole) == Some(&b'0')) {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        let decimals = at + 1;
        at = digits_end(bytes, decimals);
        if at == decimals {
            return None;
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        let exponent = at;
        at = digits_end(bytes, exponent);
        if at == exponent {
            return None;
        }
    }
    Some(at)
}

fn word_end(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(word).then_some(at + word.len())
}

fn digits_end(bytes: &[u8], at: usize) -> usize {
    at + bytes.iter().skip(at).take_while(|byte| byte.is_ascii_digit()).count()
}

fn space_end(bytes: &[u8], at: usize) -> usize {
    at + bytes.iter().skip(at).take_while(|b| matches!(b, b' ' | b'\n' | b'\t' | b'\r')).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    /// What serde_json says of the whole text, and how deep that text goes at most.
    fn check(text: &str) {
        let expected = serde_json::from_str::<&RawValue>(text).ok();
        let expected = expected.filter(|raw| raw.get().len() == text.len());
        let found = end(text.as_bytes(), 0).filter(|end| *end == text.len());
        assert_eq!(found.is_some(), expected.is_some(), "{text}");
    }

    #[test]
    fn nesting_ends_at_127_levels() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            check(&nested(127));
            assert_eq!(end(nested(128).as_bytes(), 0), None);
            // Not reading on is all that the limit may do.
            assert!(serde_json::from_str::<&RawValue>(&nested(128)).is_ok());
        }
    }

    #[test]
    fn numbers_and_escapes() {
        for text in [
            "0",
            "-0",
            "-",
            "00",
            "01",
            "1.",
            ".1",
            "1.0",
            "1e",
            "1e+",
            "1e-5",
            "1E5",
            "1.e1",
            "1e999",
            "+1",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\u{1f}\"",
            "\"\u{7f}\"",
            "\"",
            "tru",
            "nul",
            "[1,]",
            "{\"a\":1,}",
            "{,}",
            "[",
            "{\"a\"}",
            "{a:1}",
            "[ ]",
            "{ }",
            "[1 2]",
            "{\"a\" : 1 }",
            "[1}",
            "{\"a\":[}]",
            "",
        ] {
            check(text);
        }
    }

    proptest! {
        #[test]
        fn token_soup_is_judged_as_serde_judges_it(
            text in "([\\[\\]{},:]|\"a\"|\"\\\\\\\\n\"|\"\\\\\\\\\"|\"|\\\\\\\\|[0-9.eE+-]{1,3}|true|null| |ü|\u{2028}){0,12}",
        ) {
            check(&text);
        }

        #[test]
        fn plain_text_ends_where_a_look_at_each_byte_says(
            bytes in prop::collection::vec(
                prop_oneof![8 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\'), 1 => 0x1e_u8..0x22],
                0..40,
            ),
            from in 0_usize..40,
        ) {
            let from = from.min(bytes.len());
            let special = |b: &u8| *b == b'"' || *b == b'\\' || *b < 0x20;
            let expected = bytes[from..].iter().position(special).map_or(bytes.len(), |at| from + at);
            prop_assert_eq!(plain_end(&bytes, from), expected);
        }
    }
}
