//! How a run is rendered, and what its user has replaced.

use camino::Utf8PathBuf;
use glob::{MatchOptions, Pattern};

use super::{EVENTS, TreeError};

/// Longer content is shown as size and digest, unless said otherwise.
const MAX_BYTES: u64 = 64 << 10;

/// How a run is rendered. The default is the text of a snapshot: what differs from one run of the same program
/// to the next has names in place of values.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) redacts: bool,
    pub(super) max_bytes: u64,
    pub(super) max_depth: usize,
    pub(super) places: Vec<(Utf8PathBuf, String)>,
    redactions: Vec<(String, String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// The text of a snapshot.
    #[must_use]
    pub fn new() -> Self {
        Self {
            redacts: true,
            max_bytes: MAX_BYTES,
            max_depth: usize::MAX,
            places: Vec::new(),
            redactions: Vec::new(),
        }
    }

    /// For people: every value as it is, each event with its time. Redactions of your own hold here too.
    #[must_use]
    pub fn plain() -> Self {
        Self { redacts: false, ..Self::new() }
    }

    /// Puts a name in place of a directory of this machine, wherever it stands as a whole path: one that your
    /// program writes, and that is another one elsewhere, such as `env!("CARGO_MANIFEST_DIR")` or somebody's
    /// home. A relative path is one in the current directory.
    #[must_use]
    pub fn place(mut self, path: impl Into<Utf8PathBuf>, name: impl Into<String>) -> Self {
        self.places.push((path.into(), name.into()));
        self
    }

    /// Replaces values. `path` is a glob over the names of artifacts (`reports/*.json`, `**/notes.md`), or
    /// exactly `events.jsonl`: that means the events, each of which is `{"seq", "type", "stream", "payload"}`,
    /// with `actor`, `command_id` and `metadata` where there are such, and no artifact (one of that name is
    /// `event[s].jsonl`). `selector` is a
    /// glob over JSON Pointers (`/items/*/id`, `/**/token`; in JSON Lines the first part is the number of the
    /// line, from 0). The empty selector is the whole content, of text and binary files too. In both `*` stays
    /// within one part, and `**` goes over any number of them. What is put in its place stands there as it
    /// is. A pattern that is none is an error of [`render`](super::render).
    #[must_use]
    pub fn redact(
        mut self,
        path: impl Into<String>,
        selector: impl Into<String>,
        with: impl Into<String>,
    ) -> Self {
        self.redactions.push((path.into(), selector.into(), with.into()));
        self
    }

    /// Content with more bytes than this, and payloads, are shown as size and digest; 64 KiB unless said
    /// otherwise, and never more than 4 MiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Directories deeper than this are one line, with the number of their files and bytes: 1 shows what
    /// stands right in `artifacts/`, 0 that there is something. No limit unless said otherwise.
    #[must_use]
    pub fn max_depth(mut self, levels: usize) -> Self {
        self.max_depth = levels;
        self
    }
}

/// The redactions of a user, read.
pub(super) struct Rules(Vec<Rule>);

struct Rule {
    path: Pattern,
    /// `None`: the whole content.
    selector: Option<Pattern>,
    with: String,
}

impl Rule {
    fn is_of_events(&self) -> bool {
        self.path.as_str() == EVENTS
    }
}

const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

impl Rules {
    pub(super) fn of(options: &Options) -> Result<Self, TreeError> {
        let read = |what, pattern: &str, advice| {
            Pattern::new(pattern).map_err(|error| TreeError::BadPattern {
                what,
                pattern: pattern.to_owned(),
                reason: error.to_string(),
                advice,
            })
        };
        let rules = options.redactions.iter().map(|(path, selector, with)| {
            let path = read("the path", path, "give a glob such as reports/*.json")?;
            let advice = "give a glob over JSON Pointers such as /items/*/id, or nothing for the whole content";
            if !selector.is_empty() && !selector.starts_with('/') {
                return Err(TreeError::BadPattern {
                    what: "the selector",
                    pattern: selector.clone(),
                    reason: "it does not start with a slash".to_owned(),
                    advice,
                });
            }
            let pattern = read("the selector", selector, advice)?;
            let selector = (!selector.is_empty()).then_some(pattern);
            Ok(Rule { path, selector, with: with.clone() })
        });
        rules.collect::<Result<_, _>>().map(Self)
    }

    /// Those for an artifact.
    pub(super) fn at(&self, path: &str) -> Here<'_> {
        let matches = |rule: &&Rule| !rule.is_of_events() && rule.path.matches_with(path, MATCHING);
        Here(self.0.iter().filter(matches).collect())
    }

    /// Those for the events.
    pub(super) fn of_events(&self) -> Here<'_> {
        Here(self.0.iter().filter(|rule| rule.is_of_events()).collect())
    }
}

/// The redactions of one path.
#[derive(Default)]
pub(super) struct Here<'a>(Vec<&'a Rule>);

impl<'a> Here<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The JSON Pointer of a part; nothing where none is asked for.
    pub(super) fn below(&self, at: &str, part: &str) -> String {
        if self.is_empty() {
            return String::new();
        }
        format!("{at}/{}", part.replace('~', "~0").replace('/', "~1"))
    }

    /// What the whole content is replaced with.
    pub(super) fn whole(&self) -> Option<&'a str> {
        self.0.iter().find(|rule| rule.selector.is_none()).map(|rule| rule.with.as_str())
    }

    /// What the value at a JSON Pointer is replaced with.
    pub(super) fn value(&self, pointer: &str) -> Option<&'a str> {
        let matches = |rule: &&&Rule| {
            rule.selector.as_ref().is_some_and(|selector| selector.matches_with(pointer, MATCHING))
        };
        self.0.iter().find(matches).map(|rule| rule.with.as_str())
    }
}
