//! What differs from one run of a program to the next, and the names that stand for it.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::shapes::{
    digest_at, ends, ends_in_escape, ends_in_flag, ends_in_word, ends_word, process_at, time_at,
    uuid_at,
};
use crate::digest::Digest;
use crate::io::real_path;

/// How far the text is told as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing is replaced.
    Plain,
    /// What would be replaced is, by what kind of thing it is: to see whether there is any, and for an order
    /// that does not depend on it.
    Mask,
    /// Each value has a name, the same everywhere.
    Name,
}

/// The names of values, given in the order in which they are first met.
#[derive(Debug)]
pub(super) struct Names {
    mode: Mode,
    /// How often something was replaced.
    hits: u64,
    /// Digests that were met and are not known to be stable.
    unknown: BTreeSet<Digest>,
    stable: BTreeSet<Digest>,
    named: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, u64>,
    /// What people named, replaced only as a whole word.
    words: Vec<(String, String)>,
    /// Directories, the longest first.
    places: Vec<(Utf8PathBuf, String)>,
    /// What stands before the id of a run.
    before_runs: Vec<String>,
    /// The bytes that something can begin with.
    begins: [bool; 256],
}

/// What was found in a content.
pub(super) struct Found {
    /// The content, masked.
    pub(super) masked: String,
    /// True if it is the same in every run but for the digests in it.
    pub(super) is_stable: bool,
    pub(super) digests: BTreeSet<Digest>,
}

impl Found {
    /// In a text that has every value as it is.
    pub(super) fn same() -> Self {
        Self { masked: String::new(), is_stable: true, digests: BTreeSet::new() }
    }
}

const ROOT: &str = "[root]";
const TEMP: &str = "[tmp]";

impl Names {
    pub(super) fn new(redacts: bool) -> Self {
        let mut names = Self {
            mode: if redacts { Mode::Name } else { Mode::Plain },
            hits: 0,
            unknown: BTreeSet::new(),
            stable: BTreeSet::new(),
            named: BTreeMap::new(),
            counts: BTreeMap::new(),
            words: Vec::new(),
            places: Vec::new(),
            before_runs: vec!["runs/".to_owned()],
            begins: [false; 256],
        };
        b"0123456789abcdefABCDEFp".iter().for_each(|byte| names.begin_with(*byte));
        names
    }

    fn begin_with(&mut self, byte: u8) {
        if let Some(begins) = self.begins.get_mut(usize::from(byte)) {
            *begins = true;
        }
    }

    /// Where something can begin, from here on.
    fn next(&self, text: &[u8], at: usize) -> Option<usize> {
        let begins = |byte: &u8| self.begins.get(usize::from(*byte)).is_some_and(|it| *it);
        Some(at + text.get(at..)?.iter().position(begins)?)
    }

    /// Learns directories: the user's, the root, and those of temporary files. `/tmp` is one on each machine, or
    /// a text that names it would be another one where files go elsewhere.
    pub(super) fn places(&mut self, root: &Utf8Path, more: &[(Utf8PathBuf, String)]) {
        let utf8 = |path| Utf8PathBuf::from_path_buf(path).ok();
        let absolute = |path: &Utf8Path| std::path::absolute(path).ok().and_then(utf8);
        let more = more.iter().map(|(path, name)| (absolute(path), name.as_str()));
        let temp = utf8(std::env::temp_dir());
        let known = [(absolute(root), ROOT), (temp, TEMP), (Some("/tmp".into()), TEMP)];
        for (path, name) in more.chain(known) {
            let Some(path) = path else { continue };
            let real = real_path(&path).ok();
            for path in [Some(path), real].into_iter().flatten() {
                let text = path.as_str().trim_end_matches(['/', '\\']);
                // The root of the file system says nothing.
                if text.len() > 1 && !self.places.iter().any(|(known, _)| known == text) {
                    text.bytes().next().into_iter().for_each(|byte| self.begin_with(byte));
                    self.places.push((text.into(), name.to_owned()));
                }
            }
        }
        // Of two that are equal the first one stays: the order above.
        self.places.sort_by_key(|(path, _)| std::cmp::Reverse(path.as_str().len()));
    }

    /// Learns what something is called, wherever it stands.
    pub(super) fn know(&mut self, value: impl Into<String>, name: impl Into<String>) {
        let (value, name) = (value.into(), name.into());
        if uuid_at(&value).is_some() {
            self.named.entry(value.replace('-', "")).or_insert_with(|| name.clone());
        }
        self.named.entry(value).or_insert(name);
    }

    /// Learns the id of a run.
    pub(super) fn know_run(&mut self, task: &str, run: &str) {
        let is_known = |(word, _): &(String, String)| word == run;
        if self.named.contains_key(run) || self.words.iter().any(is_known) {
            return;
        }
        let name = self.number("run");
        if uuid_at(run).is_some_and(|len| len == run.len()) {
            self.know(run.to_ascii_lowercase(), name);
        } else {
            run.bytes().next().into_iter().for_each(|byte| self.begin_with(byte));
            self.words.push((run.to_owned(), name));
            self.words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        }
        self.before_runs.push(format!("{task}/"));
    }

    pub(super) fn redacts(&self) -> bool {
        self.mode != Mode::Plain
    }

    /// True while what is shown is masked.
    pub(super) fn masks(&self) -> bool {
        self.mode == Mode::Mask
    }

    /// Something was replaced.
    pub(super) fn hit(&mut self) {
        self.hits += 1;
    }

    /// A content as it would be shown, masked, and whether it is the same in every run.
    pub(super) fn look(&mut self, show: impl FnOnce(&mut Self) -> String) -> Found {
        let before = (self.mode, self.hits, std::mem::take(&mut self.unknown));
        self.mode = Mode::Mask;
        let masked = show(self);
        let is_stable = self.hits == before.1;
        let digests;
        (self.mode, self.hits, digests) =
            (before.0, before.1, std::mem::replace(&mut self.unknown, before.2));
        Found { masked, is_stable, digests }
    }

    /// The text with kinds in place of values.
    pub(super) fn masked(&mut self, text: &str) -> String {
        if self.mode == Mode::Plain {
            return text.to_owned();
        }
        self.look(|names| names.redact(text)).masked
    }

    /// Learns which digests are of content that is the same in every run.
    pub(super) fn learn(&mut self, stable: BTreeSet<Digest>) {
        self.stable = stable;
    }

    /// True where the digest does not stay as it is.
    pub(super) fn hides(&self, digest: Digest) -> bool {
        self.redacts() && !self.stable.contains(&digest)
    }

    /// The same of a text.
    pub(super) fn hides_digest(&self, text: &str) -> bool {
        digest_at(text).is_some_and(|(len, digest)| len == text.len() && self.hides(digest))
    }

    /// In fewer bytes there is nothing to replace.
    pub(super) fn shortest(&self) -> usize {
        // A time has more, and so has a digest, an id, a holder of a lock.
        let words = self.words.iter().map(|(word, _)| word.len()).min();
        let places = self.places.iter().map(|(path, _)| path.as_str().len()).min();
        words.unwrap_or(20).min(places.unwrap_or(20)).min(11)
    }

    /// The text as it is shown.
    pub(super) fn redact(&mut self, text: &str) -> String {
        if self.mode == Mode::Plain {
            return text.to_owned();
        }
        let (mut out, mut copied, mut at) = (String::new(), 0, 0);
        while let Some(next) = self.next(text.as_bytes(), at) {
            at = next;
            let found = match (text.get(..at), text.get(at..)) {
                (Some(before), Some(rest)) => self.found(before, rest),
                _ => None,
            };
            match found {
                Some((len, name)) => {
                    out.push_str(text.get(copied..at).unwrap_or_default());
                    out.push_str(&name);
                    at += len;
                    copied = at;
                }
                None => at += 1,
            }
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        out
    }

    /// What begins here, how long it is, and what stands for it.
    fn found(&mut self, before: &str, rest: &str) -> Option<(usize, String)> {
        let first = rest.bytes().next()?;
        if matches!(first, b'/' | b'\\' | b'A'..=b'Z')
            && let Some(found) = self.place(before, rest)
        {
            return Some(found);
        }
        let last = before.bytes().next_back().filter(|_| !ends_in_escape(before.as_bytes()));
        if last.is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        if let Some((len, digest)) = digest_at(rest) {
            if self.stable.contains(&digest) {
                return None;
            }
            self.unknown.insert(digest);
            let name = if self.mode == Mode::Mask {
                "[digest]".to_owned()
            } else {
                self.name("digest", digest.to_hex())
            };
            return Some((len, name));
        }
        if last.is_none() || !ends_in_word(before) {
            let word = self
                .words
                .iter()
                .find(|(word, _)| rest.strip_prefix(word.as_str()).is_some_and(ends_word));
            if let Some((word, name)) = word {
                self.hits += 1;
                return Some((word.len(), name.clone()));
            }
        }
        if let Some(len) = uuid_at(rest) {
            let is_run = self.before_runs.iter().any(|run| before.ends_with(run.as_str()));
            let value = rest.get(..len)?.to_ascii_lowercase();
            return self.told(len, if is_run { "run" } else { "id" }, value);
        }
        if first.is_ascii_digit()
            && let Some(len) = time_at(rest)
        {
            self.hits += 1;
            return Some((len, "[time]".to_owned()));
        }
        if first == b'p'
            && let Some(len) = process_at(rest)
        {
            self.hits += 1;
            return Some((len, "[process]".to_owned()));
        }
        let hex = rest.get(..32).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let name = self.named.get(&hex.to_ascii_lowercase()).filter(|_| ends(rest, 32))?.clone();
        self.hits += 1;
        Some((32, name))
    }

    /// A directory.
    fn place(&mut self, before: &str, rest: &str) -> Option<(usize, String)> {
        let is_free = !ends_in_word(before)
            || ends_in_escape(before.as_bytes())
            || ends_in_flag(before.as_bytes());
        let (len, name, after) = self.places.iter().find_map(|(path, name)| {
            let after = rest.strip_prefix(path.as_str())?;
            // The root is nobody else's, whatever stands before it.
            ((is_free || name == ROOT) && ends_word(after)).then_some((
                path.as_str().len(),
                name,
                after,
            ))
        })?;
        // What lies in the temporary directory has a name that nobody chose.
        let below = after.strip_prefix('/').unwrap_or_default();
        let below = below.split(|c: char| !(c.is_alphanumeric() || "._-".contains(c))).next();
        let below = below.unwrap_or_default().trim_end_matches('.');
        if name == TEMP && !below.is_empty() {
            let len = len + 1 + below.len();
            return self.told(len, "tmp", rest.get(..len)?.to_owned());
        }
        let name = name.clone();
        self.hits += 1;
        Some((len, name))
    }

    fn told(&mut self, len: usize, kind: &'static str, value: String) -> Option<(usize, String)> {
        self.hits += 1;
        Some((len, self.name(kind, value)))
    }

    fn name(&mut self, kind: &'static str, value: String) -> String {
        if let Some(name) = self.named.get(&value) {
            return name.clone();
        }
        if self.mode == Mode::Mask {
            return format!("[{kind}]");
        }
        let name = self.number(kind);
        self.named.insert(value, name.clone());
        name
    }

    fn number(&mut self, kind: &'static str) -> String {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        format!("[{kind}-{count}]")
    }
}
