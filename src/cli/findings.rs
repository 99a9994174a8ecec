//! Findings, as people read them: the same lines from every verb.

use std::collections::BTreeSet;

use camino::Utf8Path;
use runjournal::{Code, Finding, Severity};

use super::error::CliError;
use super::output::{Output, aligned};

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
        let mut lines = table(&findings, root);
        lines.extend(to_do(findings, advice));
        lines.iter().try_for_each(|line| self.line(line))
    }
}

/// The lines that tell findings, and what to do about them. Places below the root are told from there.
pub(crate) fn told<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
    root: &Utf8Path,
) -> Vec<String> {
    let findings: Vec<_> = findings.into_iter().collect();
    let mut lines = table(&findings, root);
    lines.extend(to_do(findings, Code::advice));
    lines
}

/// A head, and a line for each finding; nothing where there are none.
pub(crate) fn table(findings: &[&Finding], root: &Utf8Path) -> Vec<String> {
    if findings.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(findings.iter().map(|finding| row(finding, root)));
    aligned(&lines)
}

fn row(finding: &Finding, root: &Utf8Path) -> [String; 4] {
    let place = &finding.place;
    let path = place.path.strip_prefix(root).unwrap_or(&place.path);
    let offset = place.offset.map(|offset| format!("@{offset}")).unwrap_or_default();
    let severity = severity(finding.code.severity());
    [severity.into(), finding.code.to_string(), format!("{path}{offset}"), finding.reason.clone()]
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
