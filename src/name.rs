//! Names of artifacts: relative paths that mean the same file on every system.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::cut;

/// A checked path of an artifact, relative to `artifacts/`: `plan.json`, `reports/day 1.md`.
///
/// Segments parted by `/`, at most 255 bytes each and 1,024 in all. A segment holds letters and digits
/// (of any script, in NFC), `.`, `_`, `-` and spaces; it starts with a letter or digit, and ends in
/// neither a dot nor a space. Refused are therefore absolute paths, `.` and `..`, empty segments,
/// backslashes, control characters and hidden names; and the names of Windows devices.
///
/// ```
/// use runjournal::ArtifactName;
/// const NOTES: ArtifactName = ArtifactName::from_static("notes/day 1.md"); // a bad name does not compile
/// assert!(ArtifactName::new("../etc/passwd").is_err());
/// # assert_eq!(NOTES.as_str(), "notes/day 1.md");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactName(Cow<'static, str>);

/// The bytes of the longest name.
pub(crate) const LONGEST: usize = 1024;

/// A text that cannot name an artifact. A long one is cut in its message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{:?} cannot name an artifact: {reason}", cut(.name))]
pub struct NameError {
    /// The refused text.
    pub name: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

impl ArtifactName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NameError`] names the rule that the text breaks.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        match fault(&name).or_else(|| unicode_fault(&name)) {
            Some(reason) => Err(NameError { name, reason }),
            None => Ok(Self(Cow::Owned(name))),
        }
    }

    /// A name known when the program is built, in ASCII.
    ///
    /// # Panics
    /// On a bad name, or one that is not ASCII; in a `const`, where it belongs, that is an error of the compiler.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        if !name.is_ascii() || fault(name).is_some() {
            refuse_to_compile();
        }
        Self(Cow::Borrowed(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The media type that the name's ending tells, `application/octet-stream` where it tells none.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        let ending = self.0.rsplit_once('.').map_or("", |(_, ending)| ending);
        match ending.to_ascii_lowercase().as_str() {
            "json" => "application/json",
            "jsonl" | "ndjson" => "application/x-ndjson",
            "txt" | "log" | "rs" | "py" | "toml" | "yaml" | "yml" | "diff" | "patch" => {
                "text/plain"
            }
            "md" => "text/markdown",
            "csv" => "text/csv",
            "html" | "htm" => "text/html",
            "xml" => "application/xml",
            "png" => "image/png",
            "jpg" | "jpeg" => "image/jpeg",
            "svg" => "image/svg+xml",
            "pdf" => "application/pdf",
            _ => "application/octet-stream",
        }
    }
}

#[expect(clippy::panic, reason = "a bad constant name must stop the compiler")]
const fn refuse_to_compile() -> ! {
    panic!("this text cannot name an artifact; ArtifactName::new says why")
}

impl fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ArtifactName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<String> for ArtifactName {
    type Error = NameError;
    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl From<ArtifactName> for String {
    fn from(name: ArtifactName) -> String {
        name.0.into_owned()
    }
}

/// The rule that a name breaks, if it breaks one. `const`, so that constants are checked when built.
#[expect(clippy::indexing_slicing, reason = "const fn; every index is below the length")]
const fn fault(name: &str) -> Option<&'static str> {
    let bytes = name.as_bytes();
    if bytes.is_empty() {
        return Some("it is empty");
    }
    if bytes.len() > LONGEST {
        return Some("it is longer than 1,024 bytes");
    }
    if bytes[0] == b'/' {
        return Some("it is an absolute path; name it relative to artifacts/");
    }
    let mut start = 0;
    let mut at = 0;
    while at <= bytes.len() {
        if at == bytes.len() || bytes[at] == b'/' {
            if let Some(reason) = segment_fault(bytes, start, at) {
                return Some(reason);
            }
            start = at + 1;
        } else if let Some(reason) = character_fault(bytes, at) {
            return Some(reason);
        }
        at += 1;
    }
    None
}

#[expect(
    clippy::indexing_slicing,
    reason = "const fn; start <= end <= length is the caller's loop"
)]
const fn segment_fault(bytes: &[u8], start: usize, end: usize) -> Option<&'static str> {
    if start == end {
        return Some("it has an empty segment");
    }
    if end - start > 255 {
        return Some("a segment is longer than 255 bytes");
    }
    if end - start == 2 && bytes[start] == b'.' && bytes[start + 1] == b'.' {
        return Some("`..` leads out of artifacts/");
    }
    if bytes[start] == b'.' {
        return Some("a segment starts with a dot, and such names belong to the library");
    }
    if matches!(bytes[start], b'_' | b'-' | b' ') {
        return Some("a segment does not start with a letter or a digit");
    }
    if matches!(bytes[end - 1], b'.' | b' ') {
        return Some("a segment ends with a dot or a space");
    }
    let (_, rest) = bytes.split_at(start);
    let (segment, _) = rest.split_at(end - start);
    if is_device_name(segment) {
        return Some("Windows keeps this name for a device");
    }
    None
}

#[expect(clippy::indexing_slicing, reason = "const fn; at is below the length")]
const fn character_fault(bytes: &[u8], at: usize) -> Option<&'static str> {
    match bytes[at] {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b' ' | 0x80.. => None,
        b'\\' => Some("it has a backslash; part segments by /"),
        0..=0x1F | 0x7F => Some("it has a control character"),
        _ => Some("only letters, digits, . _ - and spaces may stand in it"),
    }
}

/// What only text beyond ASCII can break.
fn unicode_fault(name: &str) -> Option<&'static str> {
    let is_letter = |c: char| {
        c.is_ascii() || c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c)
    };
    if !name.chars().all(is_letter) {
        return Some("only letters, digits, . _ - and spaces may stand in it");
    }
    if name.split('/').any(|s| s.starts_with(unicode_normalization::char::is_combining_mark)) {
        return Some("a segment does not start with a letter or a digit");
    }
    (!unicode_normalization::is_nfc(name)).then_some("it is not in NFC (composed letters)")
}

/// True for `CON`, `nul.txt`, `COM1` and the like: names that Windows gives to devices.
#[expect(clippy::indexing_slicing, reason = "const fn; guarded by the length")]
pub(crate) const fn is_device_name(segment: &[u8]) -> bool {
    let mut stem = 0;
    while stem < segment.len() && segment[stem] != b'.' {
        stem += 1;
    }
    let (stem, _) = segment.split_at(stem);
    match stem.len() {
        3 => {
            stem.eq_ignore_ascii_case(b"CON")
                || stem.eq_ignore_ascii_case(b"PRN")
                || stem.eq_ignore_ascii_case(b"AUX")
                || stem.eq_ignore_ascii_case(b"NUL")
        }
        4 => {
            let (kind, _) = stem.split_at(3);
            stem[3].is_ascii_digit() && stem[3] != b'0' && is_port(kind)
        }
        // The superscripts 1, 2 and 3 are digits to it, in two bytes of UTF-8.
        5 => {
            let (kind, digit) = stem.split_at(3);
            matches!(digit, [0xC2, 0xB9 | 0xB2 | 0xB3]) && is_port(kind)
        }
        _ => false,
    }
}

const fn is_port(kind: &[u8]) -> bool {
    kind.eq_ignore_ascii_case(b"COM") || kind.eq_ignore_ascii_case(b"LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names() {
        for good in
            ["plan.json", "a/b/c.txt", "mit Leerzeichen.md", "größe/ünï.txt", "日本語", "a..b"]
        {
            assert_eq!(ArtifactName::new(good).map(String::from).as_deref(), Ok(good));
        }
    }

    #[test]
    fn refused_names() {
        let (long, deep) = ("x".repeat(256), "a/".repeat(600) + "b");
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "./a",
            ".hidden",
            "a/.b",
            "a.",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            "a\u{85}",
            "a\u{2028}b",
            "CON",
            "a/nul.txt",
            "com1.log",
            "a/LPT\u{b3}",
            "com\u{b9}.txt",
            " a",
            "a ",
            "a:b",
            "_a",
            "-a",
            "a+b",
            "\u{301}a",
            "e\u{301}.txt",
            &long,
            &deep,
        ] {
            assert!(ArtifactName::new(bad).is_err(), "{bad:?}");
        }
    }
}
