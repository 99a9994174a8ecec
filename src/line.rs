//! The sealed line: a JSON object on one line that ends in its own hash.
//!
//! Records of a journal and the genesis files share this shape, so one flipped bit in any of them
//! is found. The end has a fixed length: `,"hash":"<64 hex>"}` and a line break, 76 bytes.

use serde::de::DeserializeOwned;

use crate::digest::Digest;
use crate::json;

/// Bytes of the fixed end, the line break included.
pub(crate) const END: usize = 76;
const KEY: &[u8] = b",\"hash\":\"";
const CLOSE: &[u8] = b"\"}";

/// A line taken apart: what is hashed, and the hash that it claims.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) hash: Digest,
}

/// What precedes the place of a line's fixed end, whatever stands there.
pub(crate) fn body(line: &[u8]) -> Option<&[u8]> {
    line.get(..line.len().checked_sub(END)?)
}

/// Takes a line apart; `None` if it does not end as a sealed line does. The last byte may be
/// anything: whether it is the line break that it should be is the caller's question.
pub(crate) fn open(line: &[u8]) -> Option<Sealed<'_>> {
    let (body, end) = line.split_at_checked(line.len().checked_sub(END)?)?;
    let hex = end.strip_prefix(KEY)?.split_last()?.1.strip_suffix(CLOSE)?;
    Some(Sealed { body, hash: Digest::from_hex(hex.try_into().ok()?)? })
}

/// True if this is the fixed end of a line with this hash.
pub(crate) fn is_end(end: &[u8], hash: Digest) -> bool {
    let hex = end.strip_prefix(KEY).and_then(|end| end.strip_suffix(b"\n")?.strip_suffix(CLOSE));
    hex == Some(hash.hex().as_slice())
}

/// What a file says that is one sealed line, or what is wrong with it.
pub(crate) fn read<T: DeserializeOwned>(file: &[u8]) -> Result<T, String> {
    let sealed = open(file).filter(|_| file.ends_with(b"\n"));
    let sealed = sealed.ok_or("it does not end in its hash")?;
    if Digest::of(sealed.body) != sealed.hash {
        return Err("its content does not have the hash that it ends in".to_owned());
    }
    serde_json::from_slice(file).map_err(|error| error.to_string())
}

/// A line of its own from `json`, an object without its hash, which is computed from what is hashed.
/// Returns the line and its hash.
pub(crate) fn seal(json: &str, hash: impl FnOnce(&[u8]) -> Digest) -> (Vec<u8>, Digest) {
    let mut line = Vec::with_capacity(json.len() + END);
    json::write_on_line(&mut line, json);
    line.pop();
    let hash = finish(&mut line, 0, hash);
    (line, hash)
}

/// Appends the fixed end to the body that starts at `start`, and returns its hash.
pub(crate) fn finish(
    line: &mut Vec<u8>,
    start: usize,
    hash: impl FnOnce(&[u8]) -> Digest,
) -> Digest {
    let hash = hash(line.get(start..).unwrap_or_default());
    line.extend_from_slice(KEY);
    hash.write_hex_to(line);
    line.extend_from_slice(CLOSE);
    line.push(b'\n');
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_lines_open_and_bits_are_found() {
        let (line, hash) = seal(r#"{"a":1}"#, Digest::of);
        assert_eq!(line.len(), r#"{"a":1"#.len() + END);
        let sealed = open(&line).unwrap();
        let end = &line[line.len() - END..];
        assert!(is_end(end, hash) && !is_end(end, Digest::of(b"")));
        assert!(!is_end(&line, hash) && !is_end(&end[..END - 1], hash));
        assert_eq!((sealed.hash, Digest::of(sealed.body)), (hash, hash));
        for bit in 0..(line.len() - 1) * 8 {
            let mut flipped = line.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&flipped).is_none_or(|s| Digest::of(s.body) != s.hash), "bit {bit}");
        }
    }
}
