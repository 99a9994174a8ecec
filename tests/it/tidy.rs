//! The house keeps its order: which room uses which, what only one room may name, how long a file is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Lines of a file before its tests.
const MAX_LINES: usize = 400;
/// Files that are longer, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

struct Source {
    /// Relative to `src/`, with `/`.
    path: String,
    /// Without tests, comments and doc comments.
    code: String,
    lines: usize,
}

impl Source {
    /// The room: the first directory below `src/`, or the file.
    fn room(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn sources() -> Vec<Source> {
    let mut dirs = vec![PathBuf::from(ROOT).join("src")];
    let mut sources = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let below = path.strip_prefix(Path::new(ROOT).join("src")).unwrap();
                let text = std::fs::read_to_string(&path).unwrap();
                sources.push(source(&below.to_str().unwrap().replace('\\', "/"), &text));
            }
        }
    }
    assert!(sources.len() > 30, "the sources were not found");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// A file up to its tests; a `mod tests` is the last item of every file that has one.
fn source(path: &str, text: &str) -> Source {
    let before_tests = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let code = before_tests.lines().map(|line| {
        let comment = line.trim_start().starts_with("//");
        if comment { "" } else { line.split(" // ").next().unwrap() }
    });
    let code = code.collect::<Vec<_>>().join("\n");
    Source { path: path.to_owned(), code, lines: before_tests.lines().count() }
}

#[test]
fn every_code_has_its_place_in_the_guide() {
    let page = read("docs/operations.md");
    for code in runjournal::Code::ALL {
        let row = page.lines().find(|line| line.contains(&format!("`{code}`")));
        let severity = match code.severity() {
            runjournal::Severity::Note => "| note |",
            runjournal::Severity::Warning => "| warning |",
            _ => "| error |",
        };
        let row = row.unwrap_or_else(|| panic!("docs/operations.md does not tell of {code}"));
        assert!(row.starts_with(severity), "{code}: {row}");
    }
}

/// The rooms, in the order of the first fenced block of docs/architecture.md that is marked `rooms`.
fn rooms() -> Vec<String> {
    let page = read("docs/architecture.md");
    let block = page.split("```rooms\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    block.split_whitespace().filter(|word| *word != "|").map(str::to_owned).collect()
}

/// The modules that a file names after `crate::`, in a `use` with braces or in a path.
fn used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    // What a macro names, its users' crates go to.
    let code = code.replace("$crate::", "");
    for rest in code.split("crate::").skip(1) {
        let inside = match rest.strip_prefix('{') {
            Some(list) => top_level(list),
            None => vec![rest],
        };
        for item in inside {
            let word: String = item
                .trim_start()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            // Types of the crate's root, which re-exports what the rooms hold, start large.
            if word.starts_with(|c: char| c.is_ascii_lowercase()) {
                used.insert(word);
            }
        }
    }
    used
}

/// The items of a braced list whose opening brace was taken off.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut from, mut items) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&list[from..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    items
}

fn order_faults(rooms: &[String], sources: &[Source]) -> Vec<String> {
    let place = |room: &str| rooms.iter().position(|known| known == room);
    let mut faults = Vec::new();
    for source in sources {
        if matches!(source.path.as_str(), "lib.rs" | "main.rs") {
            continue;
        }
        let Some(own) = place(source.room()) else {
            faults.push(format!("{}: {} is not in the list of rooms", source.path, source.room()));
            continue;
        };
        for other in used(&source.code) {
            match place(&other) {
                Some(place) if place <= own => {}
                Some(_) => faults.push(format!("{} uses {other}, a later room", source.path)),
                None => faults.push(format!("{} uses {other}, which is no room", source.path)),
            }
        }
    }
    faults
}

/// Files whose code names a word, apart from those below a path.
fn named_outside(sources: &[Source], word: &str, allowed: &[&str]) -> Vec<String> {
    let elsewhere = sources.iter().filter(|s| !allowed.iter().any(|a| s.path.starts_with(a)));
    let faults = elsewhere.filter(|source| source.code.contains(word));
    faults.map(|source| format!("{} names {word}", source.path)).collect()
}

/// Files whose code names a function of a module, or a function of one of its types, by its path or in a `use`,
/// apart from those whose path begins so.
fn called_outside(sources: &[Source], module: &str, allowed: &str) -> Vec<String> {
    let elsewhere = sources.iter().filter(|source| !source.path.starts_with(allowed));
    let mut faults = Vec::new();
    for source in elsewhere {
        for rest in source.code.split(module).skip(1) {
            let items = rest.strip_prefix('{').map_or_else(|| vec![rest], top_level);
            for item in items {
                let is_word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
                let path: String = item.trim_start().chars().take_while(is_word).collect();
                // The names in a directory are read by a type.
                let reads = matches!(path.split("::").next(), Some("Dir" | "RawDir"));
                if reads || path.starts_with(|c: char| c.is_ascii_lowercase()) {
                    faults.push(format!("{} names {module}{path}", source.path));
                }
            }
        }
    }
    faults
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_room_uses_only_rooms_to_its_left() {
    let rooms = rooms();
    let sources = sources();
    none(&order_faults(&rooms, &sources));
    for room in rooms.iter().filter(|room| *room != "cli") {
        assert!(sources.iter().any(|source| source.room() == room), "there is no room {room}");
    }
}

#[test]
fn only_io_touches_the_file_system() {
    let sources = sources();
    let words = ["std::fs", "rustix", "walkdir", "File::open", "std::os::"];
    // What paths do by themselves.
    let calls = [".exists()", ".metadata()", ".is_file()", ".is_dir()", "read_dir", "canonicalize"];
    let others = ["try_exists", "symlink_metadata", "read_link", "is_symlink"];
    for word in words.into_iter().chain(calls).chain(others) {
        // The tool reads and writes the files that its user names; a fuzzer's run is made by hand.
        none(&named_outside(&sources, word, &["io/", "cli", "main.rs", "replayed.rs"]));
    }
    // A call past the seam is in no trial of failing calls; types and flags begin with a capital.
    none(&called_outside(&sources, "rustix::fs::", "io/sys"));
    none(&called_outside(&sources, "rustix::ioctl::", "io/sys"));
    none(&named_outside(&sources, "fs2", &["io/sys.rs", "io/sys_watched.rs"]));
    none(&named_outside(&sources, "tempfile", &["testing", "fuzzed.rs", "replayed.rs"]));
}

#[test]
fn files_are_short_and_cannot_panic() {
    let sources = sources();
    let long = sources.iter().filter(|source| {
        source.lines > MAX_LINES && !LONG_FILES.iter().any(|(path, _)| *path == source.path)
    });
    none(
        &long.map(|source| format!("{}: {} lines", source.path, source.lines)).collect::<Vec<_>>(),
    );
    for word in [".unwrap()", ".expect(\"", "todo!", "unimplemented!", "dbg!"] {
        none(&named_outside(&sources, word, &[]));
    }
}

#[test]
fn what_the_pages_point_to_is_there() {
    let mut faults = Vec::new();
    let mut links = 0;
    for page in ["README.md", "docs/architecture.md", "docs/durability.md", "docs/reliability.md"]
        .iter()
        .chain(&["docs/decisions.md", "docs/format.md", "docs/performance.md", "CHANGELOG.md"])
        .chain(&["docs/async.md", "docs/testing.md"])
    {
        let dir = Path::new(ROOT).join(page).parent().unwrap().to_owned();
        for rest in read(page).split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap();
            links += 1;
            if !target.is_empty() && !target.contains("://") && !dir.join(target).exists() {
                faults.push(format!("{page} points to {target}"));
            }
        }
    }
    assert!(links > 5, "the pages hold links");
    none(&faults);
    for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(Path::new(ROOT).join(file).exists(), "{file}");
    }
}

/// A check that finds nothing proves something only if it finds what is there.
#[test]
fn the_checks_find_what_they_look_for() {
    let rooms = ["left", "middle", "right"].map(str::to_owned);
    let check = |text| order_faults(&rooms, &[source("middle/a.rs", text)]);
    assert_eq!(check("use crate::left::A;\nuse crate::middle::B;\nuse crate::Root;").len(), 0);
    assert_eq!(check("use crate::right::A;"), ["middle/a.rs uses right, a later room"]);
    assert_eq!(check("fn f() { crate::right::g() }").len(), 1);
    assert_eq!(check("use crate::{left, right};").len(), 1);
    assert_eq!(check("use crate::{left::{a, right}, Root};").len(), 0);
    assert_eq!(check("($x:expr) => { $crate::right::g($x) }").len(), 0);
    assert_eq!(check("use crate::nowhere::A;").len(), 1);
    assert_eq!(check("// use crate::right::A;").len(), 0);
    assert_eq!(check("#[cfg(test)]\nmod tests { use crate::right::A; }").len(), 0);
    assert_eq!(order_faults(&rooms, &[source("attic.rs", "")]).len(), 1);
    let named = |text| named_outside(&[source("middle/a.rs", text)], "std::fs", &["left/"]).len();
    assert_eq!((named("std::fs::read(p)"), named("std::io::empty()")), (1, 0));
    let called = |text| called_outside(&[source("io/a.rs", text)], "rustix::fs::", "io/sys").len();
    assert_eq!(called("use rustix::fs::{AtFlags, Dir, fstat};\nuse rustix::fs::fsync;"), 3);
    assert_eq!(called("rustix::fs::fstat(&file); rustix::fs::Dir::read_from(tree)"), 2);
    assert_eq!(
        called("use rustix::fs::{AtFlags, Mode};\nlet a = rustix::fs::Mode::RUSR.bits();"),
        0
    );
}

/// The dependencies of a manifest, name and the rest, without what says that a feature brings them.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = read(manifest);
    let tables = text.split("\n[").filter(|table| {
        let name = table.split(']').next().unwrap_or_default();
        name == "dependencies" || (name.starts_with("target.") && name.ends_with(".dependencies"))
    });
    let lines = tables.flat_map(|table| table.lines().skip(1)).filter(|line| line.contains(" = "));
    lines.map(|line| line.replace(", optional = true", "")).collect()
}

/// What the proof tries is built with what its users build it with.
#[test]
fn the_proof_builds_with_the_same_dependencies() {
    let (ours, on_trial) =
        (dependencies("Cargo.toml"), dependencies("tests/proof/on-trial/Cargo.toml"));
    assert!(on_trial.len() > 10, "{on_trial:?}");
    none(&on_trial.difference(&ours).cloned().collect::<Vec<_>>());
}
