//! Findings, as people read them: the same lines from every verb.

use std::collections::BTreeSet;

use camino::Utf8Path;
use runjournal::{Code, Finding, Severity};

use super::error::CliError;
use super::exit::Exit;
use super::output::{Output, exit_for, hint};
use super::table::{Last, Look, lay_out, wrapped};
use super::units::with_short_digests;

const HEAD: [&str; 4] = ["SEVERITY", "CODE", "PLACE", "REASON"];

impl Output {
    /// Findings for people, and what to do about them.
    pub(crate) fn findings<'a>(
        &mut self,
        findings: impl IntoIterator<Item = &'a Finding>,
        root: &Utf8Path,
    ) -> Result<(), CliError> {
        self.findings_of(findings, root, Code::advice)
    }

    /// The same where something else is to be done about them.
    pub(crate) fn findings_of<'a>(
        &mut self,
        findings: impl IntoIterator<Item = &'a Finding>,
        root: &Utf8Path,
        advice: fn(Code) -> &'static str,
    ) -> Result<(), CliError> {
        let findings: Vec<_> = findings.into_iter().collect();
        self.aligned(&rows(&findings, root))?;
        to_do(findings, advice).iter().try_for_each(|line| self.text(line, 2))
    }
}

/// The lines that tell findings on standard error, and what to do about them. Places below the root are told from
/// there.
pub(crate) fn told<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
    root: &Utf8Path,
) -> Vec<String> {
    let (look, findings) = (Look::of_stderr(), findings.into_iter().collect::<Vec<_>>());
    let mut lines = lay_out(&rows(&findings, root), Last::Text, look).concat();
    let room = look.width().map_or(usize::MAX, |width| width.saturating_sub(2).max(1));
    for text in to_do(findings, Code::advice) {
        let set_in = (0..).map(|number| if number == 0 { "" } else { "  " });
        lines.extend(
            wrapped(&text, room).iter().zip(set_in).map(|(line, by)| format!("{by}{line}")),
        );
    }
    lines
}

/// Findings that are not as it should be, on standard error.
pub(crate) fn tell<'a>(findings: impl IntoIterator<Item = &'a Finding>, root: &Utf8Path) {
    let serious = findings.into_iter().filter(|finding| exit_for([*finding]) != Exit::Fine);
    told(serious, root).iter().for_each(|line| hint(line));
}

/// A head, and a row for each finding; nothing where there are none.
pub(crate) fn rows(findings: &[&Finding], root: &Utf8Path) -> Vec<[String; 4]> {
    if findings.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(findings.iter().map(|finding| row(finding, root)));
    rows
}

fn row(finding: &Finding, root: &Utf8Path) -> [String; 4] {
    let place = &finding.place;
    let path = place.path.strip_prefix(root).unwrap_or(&place.path);
    let offset = place.offset.map(|offset| format!("@{offset}")).unwrap_or_default();
    let severity = severity(finding.code.severity());
    [
        severity.into(),
        finding.code.to_string(),
        format!("{path}{offset}"),
        with_short_digests(&finding.reason),
    ]
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        _ => "error",
    }
}

/// What to do, once for each code that asks for something.
fn to_do<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
    advice: fn(Code) -> &'static str,
) -> Vec<String> {
    let codes: BTreeSet<Code> = findings.into_iter().map(|finding| finding.code).collect();
    let asks =
        |code: &Code| code.severity() > Severity::Note || !advice(*code).starts_with("nothing");
    codes.into_iter().filter(asks).map(|code| format!("{code}: to do: {}", advice(code))).collect()
}
