//! A command line that says nothing that can be done, told as other errors are.

use std::error::Error as _;
use std::num::ParseIntError;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::advice::parted;

/// What, why where more is known, and what to do.
pub(super) fn told(error: &clap::Error) -> Vec<String> {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let (what, because, to_do) = match error.kind() {
        ErrorKind::ValueValidation => {
            let reason = reason(error);
            let (reason, to_do) = parted(&reason);
            (
                refused_value(error).unwrap_or_else(|| first.to_owned()),
                reason.to_owned(),
                to_do.map(str::to_owned),
            )
        }
        ErrorKind::InvalidValue => {
            let values = words(error, ContextKind::ValidValue);
            let one_of = format!("it must be one of {}", values.join(", "));
            let what = refused_value(error).unwrap_or_else(|| first.to_owned());
            (what, if values.is_empty() { String::new() } else { one_of }, None)
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = words(error, ContextKind::InvalidArg).join(" ");
            (format!("{missing} is missing"), String::new(), None)
        }
        ErrorKind::UnknownArgument => {
            let argument = words(error, ContextKind::InvalidArg).join(" ");
            (format!("unexpected argument '{argument}' found"), String::new(), None)
        }
        ErrorKind::InvalidSubcommand => {
            let verb = words(error, ContextKind::InvalidSubcommand).join(" ");
            (format!("unrecognized subcommand '{verb}'"), String::new(), None)
        }
        _ => (first.to_owned(), String::new(), None),
    };
    let is_without = error.kind() == ErrorKind::InvalidValue && refused_value(error).is_none();
    let to_do = to_do.or_else(|| is_without.then(|| "give a value behind it".to_owned()));
    let to_do = to_do.or_else(|| tip(error)).or_else(|| usage(error));
    let to_do =
        to_do.unwrap_or_else(|| "give another, `--help` behind the verb tells which".to_owned());
    let mut lines = vec![format!("error: {what}")];
    if !because.is_empty() {
        lines.push(format!("  because: {because}"));
    }
    lines.push(format!("  to do: {to_do}"));
    lines
}

/// The value that was refused, whatever is in it, and of which argument; nothing where none was given.
fn refused_value(error: &clap::Error) -> Option<String> {
    let value = words(error, ContextKind::InvalidValue).join(" ");
    let argument = words(error, ContextKind::InvalidArg).join(" ");
    let is_given = error.kind() == ErrorKind::ValueValidation || !value.is_empty();
    is_given.then(|| format!("invalid value '{value}' for '{argument}'"))
}

/// Why a value was refused. The reasons of ids and names begin with the value, which line 1 has.
fn reason(error: &clap::Error) -> String {
    let Some(source) = error.source() else { return String::new() };
    if source.is::<ParseIntError>() {
        return "it must be a whole number, 0 at least".to_owned();
    }
    let text = source.to_string();
    let value = words(error, ContextKind::InvalidValue).join(" ");
    match text.strip_prefix(&format!("{value:?} ")) {
        Some(rest) => format!("it {rest}"),
        None => text,
    }
}

/// What is like what was said, and is there.
fn tip(error: &clap::Error) -> Option<String> {
    let kinds =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let like: Vec<_> = kinds.into_iter().flat_map(|kind| words(error, kind)).collect();
    (!like.is_empty()).then(|| format!("say `{}`, if that is meant", like.join("` or `")))
}

fn usage(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return None };
    let usage = usage.to_string();
    let words: Vec<_> = usage.trim_start_matches("Usage:").split_whitespace().collect();
    Some(format!("call it as `{}`", words.join(" ")))
}

fn words(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(word)) => vec![word.clone()],
        Some(ContextValue::Strings(words)) => words.clone(),
        _ => Vec::new(),
    }
}
