//! What ids, times and digests look like in a text, and where a word begins and ends.

use crate::clock::Timestamp;
use crate::digest::Digest;

fn is_of_id(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// A letter that a word goes on with: of a script that has words, and not one that does without spaces.
fn is_letter(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase()
}

/// True if a name goes on behind this.
pub(super) fn ends_in_word(before: &str) -> bool {
    let last = before.chars().next_back();
    last.is_some_and(|c| is_letter(c) || u8::try_from(c).is_ok_and(is_of_id))
}

/// True after what stands for a character that is no letter: `\n` in JSON within JSON, a colour of a terminal.
pub(super) fn ends_in_escape(before: &[u8]) -> bool {
    match before {
        [.., b'\\', b'n' | b't' | b'r' | b'b' | b'f'] => true,
        [.., b'\\', b'u', a, b, c, d] => [a, b, c, d].iter().all(|it| it.is_ascii_hexdigit()),
        [.., b'%', a, b] => a.is_ascii_hexdigit() && b.is_ascii_hexdigit(),
        [before @ .., b'm'] => {
            let numbers = before.iter().rev().take_while(|it| it.is_ascii_digit() || **it == b';');
            let before = before.get(..before.len() - numbers.count()).unwrap_or_default();
            let escapes: [&[u8]; 6] =
                [b"\x1b[", b"\\u001b[", b"\\u001B[", b"\\u{1b}[", b"\\x1b[", b"\\033["];
            escapes.iter().any(|escape| before.ends_with(escape))
        }
        _ => false,
    }
}

/// True after `-I` and the like, behind which a path stands.
pub(super) fn ends_in_flag(before: &[u8]) -> bool {
    match before {
        [b'-', letter] => letter.is_ascii_alphabetic(),
        [.., other, b'-', letter] => letter.is_ascii_alphabetic() && !is_of_id(*other),
        _ => false,
    }
}

/// True if no name goes on here; a dot goes on only before more of one.
pub(super) fn ends_word(after: &str) -> bool {
    let next = after.trim_start_matches('.').chars().next();
    !next
        .is_some_and(|c| is_letter(c) || u8::try_from(c).is_ok_and(|it| is_of_id(it) && it != b'.'))
}

/// True if no letter or digit follows.
pub(super) fn ends(rest: &str, len: usize) -> bool {
    !rest.as_bytes().get(len).is_some_and(u8::is_ascii_alphanumeric)
}

/// The length of the UUID that a text begins with.
pub(super) fn uuid_at(rest: &str) -> Option<usize> {
    let text = rest.as_bytes().get(..36)?;
    let fits = text.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    (fits && ends(rest, 36)).then_some(36)
}

/// The digest that a text begins with, and its length there.
pub(super) fn digest_at(rest: &str) -> Option<(usize, Digest)> {
    let prefix = if rest.starts_with("blake3:") { "blake3:".len() } else { 0 };
    let hex: &[u8; 64] = rest.as_bytes().get(prefix..prefix + 64)?.try_into().ok()?;
    let digest = Digest::from_hex(&hex.map(|byte| byte.to_ascii_lowercase()))?;
    ends(rest, prefix + 64).then_some((prefix + 64, digest))
}

/// The length of the RFC 3339 time that a text begins with.
pub(super) fn time_at(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let shape = b"0000-00-00T00:00:00";
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        other => byte == other,
    };
    if bytes.len() < shape.len() || !bytes.iter().zip(shape).all(fits) {
        return None;
    }
    let mut len = shape.len();
    if bytes.get(len) == Some(&b'.') {
        let digits = bytes.iter().skip(len + 1).take_while(|byte| byte.is_ascii_digit()).count();
        len += if digits > 0 { 1 + digits } else { 0 };
    }
    len += match bytes.get(len)? {
        b'Z' | b'z' => 1,
        b'+' | b'-' => 6,
        _ => return None,
    };
    // Whether there is such a time, the clock's room knows.
    let text = rest.get(..len).filter(|_| ends(rest, len))?;
    text.replace(' ', "T").parse::<Timestamp>().ok().map(|_| len)
}

/// The system cuts the names of commands after 15 bytes; of other text behind a parenthesis nothing is swallowed.
const LONGEST_COMMAND: usize = 64;

/// The length of what says who holds a lock: `process 17 (worker)`.
pub(super) fn process_at(rest: &str) -> Option<usize> {
    let number = rest.strip_prefix("process ")?;
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    let command = number.get(digits..)?.strip_prefix(" (")?;
    let name = command.bytes().take(LONGEST_COMMAND).take_while(|byte| *byte != b')');
    let end = name.take_while(|byte| !byte.is_ascii_control()).count();
    let is_whole = digits > 0 && command.as_bytes().get(end) == Some(&b')');
    is_whole.then_some("process ".len() + digits + " (".len() + end + 1)
}
