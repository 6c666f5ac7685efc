//! Findings to text for people. Decides nothing.

use annotate_snippets::renderer::Renderer;
use annotate_snippets::{AnnotationKind, Group, Level, Snippet};

use super::SourceFile;
use super::finding::{Finding, Lines, Severity, Span};

/// Every finding with its file, line, column and the text it is about, and a hint where there is
/// one. With `color`, for a terminal. Empty for no findings.
#[must_use]
pub fn render(findings: &[Finding], source: &SourceFile, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let lines = Lines::new(&source.text);
    let mut text = String::new();
    for finding in findings {
        text.push_str(&renderer.render(&[group(finding, source, &lines)]));
        text.push_str("\n\n");
    }
    text.truncate(text.trim_end().len());
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn group<'a>(finding: &'a Finding, source: &'a SourceFile, lines: &Lines<'_>) -> Group<'a> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    // Only the lines that are shown: the renderer's work grows with the text it is given.
    let spans = || std::iter::once(finding.span).chain(finding.related.iter().map(|related| related.span));
    let start = lines.start_of(spans().map(|span| span.start).min().unwrap_or(0));
    let end = lines.end_of(spans().map(|span| span.end).max().unwrap_or(0));
    let inside = |span: Span| span.start.saturating_sub(start)..span.end.saturating_sub(start);
    let snippet = Snippet::source(&source.text[start..end.max(start)])
        .path(&source.path)
        .line_start(lines.place(start).0)
        .annotation(AnnotationKind::Primary.span(inside(finding.span)))
        .annotations(
            finding
                .related
                .iter()
                .map(|related| AnnotationKind::Context.span(inside(related.span)).label(&related.message)),
        );
    let group = level.primary_title(&finding.message).id(finding.code.as_str()).element(snippet);
    match &finding.hint {
        Some(hint) => group.element(Level::HELP.with_name("hint").message(hint)),
        None => group,
    }
}
