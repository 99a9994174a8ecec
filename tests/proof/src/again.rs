//! The command that tries something again.

/// A whole command line for this program with these arguments, in this build and with the mistake that is planted
/// in it, if one is.
#[must_use]
pub(crate) fn again(arguments: &str) -> String {
    let planted = crate::catches::planted();
    let planted = planted.map(|bug| format!("RUNJOURNAL_PLANTED={bug} ")).unwrap_or_default();
    let release = if cfg!(debug_assertions) { "" } else { "--release " };
    format!("again: {planted}cargo run {release}-p runjournal-proof -- {arguments}")
}
