//! What to do about an error: the verb that helps, else what the message says, else what goes with its kind.

use std::error::Error;
use std::io::{self, ErrorKind};

use camino::Utf8Path;
use runjournal::index::IndexError;
use runjournal::{
    BackupError, FlowError, LeaseError, PruneError, RepairError, StderrTail, StepFailure,
    WorkspaceError,
};

use super::error::CliError;

/// The words that an advice begins with: of a message of ours, what stands behind its last `; ` tells what to do, and
/// begins with one of these, or names a verb or a call in backquotes.
pub(super) const IMPERATIVES: &[&str] = &[
    "add", "append", "ask", "begin", "bring", "check", "choose", "complete", "claim", "clear",
    "commit", "copy", "create", "declare", "drop", "end", "give", "have", "import", "leave", "let",
    "list", "look", "make", "mend", "move", "name", "open", "part", "plan", "put", "raise", "read",
    "remove", "rename", "restore", "run", "set", "shorten", "start", "stop", "take", "try", "use",
    "verify", "wait", "write", "yield",
];

/// A step that failed is tried again by the same words.
const AGAIN: &str = "see why, then try again: the same command makes the next attempt";

/// A message of ours as what it tells and what it says to do.
pub(super) fn parted(message: &str) -> (&str, Option<&str>) {
    let Some((what, to_do)) = message.rsplit_once("; ") else { return (message, None) };
    let word = to_do.split([' ', ',', ':']).next().unwrap_or_default();
    let is_advice = word.starts_with('`') || IMPERATIVES.contains(&word);
    // Inside of quotes it is somebody else's.
    let is_ours = what.matches('"').count() % 2 == 0;
    if is_advice && is_ours { (what, Some(to_do)) } else { (message, None) }
}

/// Whether a cause speaks for itself: its text is not a message of ours.
pub(super) fn is_foreign(error: &(dyn Error + 'static)) -> bool {
    error.is::<io::Error>() || error.is::<serde_json::Error>() || error.is::<StderrTail>()
}

/// Of what the messages say, the outermost first: the outermost knows best what was meant. One that says to mend
/// what is below it has the advice of that.
pub(super) fn joined(advices: &[String], system: Option<&'static str>) -> Option<String> {
    let outermost = advices.first()?;
    let inner = advices.get(1).map(String::as_str).or(system);
    Some(match (outermost.strip_prefix("mend that, "), inner) {
        (Some(rest), Some(inner)) => format!("{inner}, {rest}"),
        _ => outermost.clone(),
    })
}

/// A path as it is typed into a shell.
fn quoted(path: &Utf8Path) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    match path.as_str() {
        plain if !plain.is_empty() && plain.chars().all(is_plain) => plain.to_owned(),
        other => format!("'{}'", other.replace('\'', r"'\''")),
    }
}

/// What to do about an answer of the system, by its kind.
pub(super) fn of_answer(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    let system = loop {
        match cause?.downcast_ref::<io::Error>() {
            Some(system) => break system,
            None => cause = cause?.source(),
        }
    };
    Some(match system.kind() {
        ErrorKind::PermissionDenied => {
            "have the right to read and write there, or run it as the owner (`ls -ld` tells who that is)"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "have the file system mounted for writing, or use a copy on another one"
        }
        ErrorKind::StorageFull => "make room on the disk: `runjournal prune` shows what is old",
        ErrorKind::QuotaExceeded => {
            "make room: `runjournal prune` shows what is old, or have the quota raised"
        }
        ErrorKind::IsADirectory => "move the directory away, or name a file",
        ErrorKind::NotADirectory => "move away what stands there in the place of a directory",
        ErrorKind::InvalidFilename => "choose a shorter name",
        ErrorKind::InvalidData => "give a text in UTF-8",
        ErrorKind::Other if system.raw_os_error().is_none() => {
            "look at what stands there: `runjournal verify` tells what is wrong with it"
        }
        _ => return of_number(system.raw_os_error()?),
    })
}

/// Those that have no kind; the numbers are the same on all Unixes that have them.
fn of_number(number: i32) -> Option<&'static str> {
    match number {
        5 => Some("look at the disk, and at what the system's log says of it (`dmesg`)"),
        23 | 24 => Some("raise the limit on open files (`ulimit -n`), or end what holds so many"),
        40 => Some("put what the link leads to in its place: links are not followed there"),
        _ => None,
    }
}

impl CliError {
    /// What the tool offers, where the library's message cannot name a verb. Told what the messages say to do.
    pub(super) fn verb(&self, told: Option<&str>, index: Option<&Utf8Path>) -> Option<String> {
        if let Some(error) = self.of_workspace() {
            return verb_of_workspace(error);
        }
        match self {
            Self::Index(error) => verb_of_index(error, index),
            // Else the inner advice would be lost.
            Self::NotRefreshed { source } => {
                let inner = source.to_string();
                let told = verb_of_index(source, index);
                let told = told.or_else(|| parted(&inner).1.map(str::to_owned));
                told.or_else(|| of_answer(source).map(str::to_owned))
                    .map(|told| format!("{told}, or ask it as it is with --stale"))
            }
            Self::Flow(error) => verb_of_flow(error, told),
            Self::Step(StepFailure::Failed { .. }) if told.is_none() => Some(AGAIN.to_owned()),
            Self::BadFlow { file, .. } => {
                Some(format!("`runjournal flow check {}` lists what is wrong", quoted(file)))
            }
            Self::File { source, .. } if source.kind() == ErrorKind::IsADirectory => {
                Some("name a file".to_owned())
            }
            Self::File { action, source, .. } if source.kind() == ErrorKind::NotFound => {
                let makes = matches!(*action, "create" | "replace");
                let to_do =
                    if makes { "make its directory first" } else { "name a file that is there" };
                Some(to_do.to_owned())
            }
            _ => None,
        }
    }

    /// An error of the workspace, wherever it comes from.
    fn of_workspace(&self) -> Option<&WorkspaceError> {
        match self {
            Self::Workspace(error)
            | Self::Lease(LeaseError::Workspace(error))
            | Self::Flow(FlowError::Workspace(error))
            | Self::Backup(BackupError::Workspace(error))
            | Self::Prune(PruneError::Workspace(error))
            | Self::Repair(RepairError::Workspace(error))
            | Self::Index(IndexError::Workspace(error)) => Some(error),
            _ => None,
        }
    }
}

fn verb_of_workspace(error: &WorkspaceError) -> Option<String> {
    Some(match error {
        WorkspaceError::NotAWorkspace { .. } => "`runjournal init` makes one".to_owned(),
        WorkspaceError::WorkspaceExists { .. }
        | WorkspaceError::TaskExists { .. }
        | WorkspaceError::RunExists { .. } => "give --if-absent to use it as it is".to_owned(),
        WorkspaceError::TaskNotFound { .. } => {
            "`runjournal task list` shows those there are".to_owned()
        }
        WorkspaceError::RunNotFound { task, .. } => {
            format!("`runjournal run list {task}` shows those there are")
        }
        WorkspaceError::NotApplied { .. } => {
            "`runjournal run show` tells which, and what to do about it".to_owned()
        }
        _ => return None,
    })
}

fn verb_of_flow(error: &FlowError, told: Option<&str>) -> Option<String> {
    let verb = match error {
        FlowError::Step(StepFailure::Failed { .. } | StepFailure::InputMissing { .. }) => {
            let again = "`runjournal flow resume` tries it again, for the run is open";
            return Some(told.map_or(again.to_owned(), |told| format!("{told}, then {again}")));
        }
        FlowError::Stopped { .. } => "`runjournal flow resume` goes on, for the run is open",
        FlowError::AlreadyRunning { .. } => "`runjournal flow show` tells how far it is",
        _ => return None,
    };
    Some(verb.to_owned())
}

fn verb_of_index(error: &IndexError, index: Option<&Utf8Path>) -> Option<String> {
    let named = index.map(|index| format!(" --index {}", quoted(index))).unwrap_or_default();
    let verb = match error {
        IndexError::NotBuilt { .. }
        | IndexError::OtherSchema { .. }
        | IndexError::Damaged { .. } => "rebuild",
        IndexError::MovedOn { .. } | IndexError::NotIndexed { .. } => "refresh",
        _ => return None,
    };
    Some(format!("run `runjournal{named} index {verb}`"))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn files(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }

    /// Each text literal of a source, without the breaks of its lines, and with nothing for what is in backquotes.
    fn literals(source: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut rest = source;
        while let Some((_, after)) = rest.split_once('"') {
            let (mut text, mut chars) = (String::new(), after.char_indices());
            let mut end = after.len();
            let mut quoted = false;
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => match chars.next() {
                        Some((_, '\n')) => {
                            let spaces = chars.as_str().chars().take_while(|c| *c == ' ').count();
                            for _ in 0..spaces {
                                chars.next();
                            }
                        }
                        _ => text.push('?'),
                    },
                    '`' => {
                        quoted = !quoted;
                        text.push(c);
                    }
                    _ if quoted => {}
                    _ => text.push(c),
                }
            }
            found.push(text);
            rest = &after[end..];
        }
        found
    }

    /// The messages of the errors in a source, and in a file of errors all that these are made of.
    fn messages(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap().replace("'\"'", "");
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = lines.collect::<Vec<_>>().join("\n");
        if path.file_name().unwrap() == "error.rs" {
            return literals(&code);
        }
        let attributes = code.split("#[error(").skip(1);
        attributes.filter_map(|text| literals(text).into_iter().next()).collect()
    }

    /// How a message breaks the rule: what to do stands behind its one `; `, and nothing else does.
    fn fault(message: &str) -> Option<&'static str> {
        let mut parts = message.split("; ");
        let (_, to_do) = (parts.next(), parts.next()?);
        if parts.next().is_some() {
            return Some("has more than one `; `");
        }
        let word = to_do.split([' ', ',', ':']).next().unwrap_or_default();
        let is_good = word.starts_with(['`', '{']) || IMPERATIVES.contains(&word);
        (!is_good).then_some("says behind its `; ` what is no advice")
    }

    #[test]
    fn a_message_says_what_to_do_behind_its_semicolon_and_nothing_else() {
        let mut sources = Vec::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
        let (mut seen, mut faults) = (0, Vec::new());
        for path in &sources {
            for message in messages(path) {
                seen += 1;
                let fault = fault(&message).map(|fault| format!("{path:?} {fault}: {message}"));
                faults.extend(fault);
            }
        }
        assert!(seen > 200, "{seen} messages: the sources were not understood");
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn a_message_that_breaks_the_rule_is_seen() {
        assert_eq!(fault("there is no run; choose another"), None);
        assert_eq!(fault("there is no run; `run list` shows them"), None);
        assert!(fault("it is not JSON; nothing was appended").is_some());
        assert!(fault("it is not JSON; give JSON; look at it").is_some());
        let source = "#[error(\n \"a `b; c` is \\\"d\\\"; e \\\n   f\", {})]";
        assert_eq!(literals(source), ["a `` is ?d?; e f"]);
    }

    #[test]
    fn what_others_say_is_no_advice() {
        assert_eq!(parted("no run; choose another"), ("no run", Some("choose another")));
        let facts = ["lost; the rest stands", "the name \"a; use b\" is no name", "a;b"];
        for fact in facts {
            assert_eq!(parted(fact), (fact, None));
        }
    }

    #[test]
    fn an_advice_for_a_cause_is_kept() {
        let advices = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let told = |texts: &[&str], system| joined(&advices(texts), system);
        assert_eq!(told(&[], Some("make room")), None);
        let outer = told(&["give another", "wait"], None);
        assert_eq!(outer.as_deref(), Some("give another"));
        let both = told(&["mend that, then claim again", "wait"], None);
        assert_eq!(both.as_deref(), Some("wait, then claim again"));
        let system = told(&["mend that, then claim again"], Some("make room"));
        assert_eq!(system.as_deref(), Some("make room, then claim again"));
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_part_it() {
        let told = |path: &str| quoted(Utf8Path::new(path));
        assert_eq!(told("/a/b-1.json"), "/a/b-1.json");
        assert_eq!(told("my file"), "'my file'");
        assert_eq!(told("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(told(""), "''");
    }

    #[test]
    fn the_system_says_no_in_several_ways() {
        let of = |number| of_answer(&io::Error::from_raw_os_error(number));
        let numbers = if cfg!(target_os = "linux") {
            &[5, 13, 20, 21, 24, 28, 30, 36, 40, 122][..]
        } else {
            &[5, 13, 24, 28]
        };
        let told: std::collections::BTreeSet<_> =
            numbers.iter().map(|number| of(*number)).collect();
        assert_eq!(told.len(), numbers.len(), "{told:?}");
        assert!(!told.contains(&None));
    }
}
