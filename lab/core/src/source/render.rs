//! Findings to text for people. Decides nothing.

use std::collections::HashMap;

use annotate_snippets::renderer::Renderer;
use annotate_snippets::{AnnotationKind, Group, Level, Snippet};

use super::SourceFile;
use super::finding::{Finding, Lines, Place, Severity, Span};
use crate::secrets::masked;

/// Every finding with its file, line, column and the text it is about, and a hint where there is
/// one. With `color`, for a terminal. Empty for no findings.
#[must_use]
pub fn render(findings: &[Finding], source: &SourceFile, color: bool) -> String {
    render_files(findings, std::slice::from_ref(source), color)
}

/// The same for findings in several files.
#[must_use]
pub fn render_files(findings: &[Finding], files: &[SourceFile], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut all_lines = HashMap::new();
    for file in findings.iter().flat_map(|finding| places(finding).map(|place| place.file)) {
        if let Some(source) = files.get(file) {
            all_lines.entry(file).or_insert_with(|| Lines::new(&source.text));
        }
    }
    let mut text = String::new();
    for finding in findings {
        text.push_str(&renderer.render(&[group(finding, files, &all_lines)]));
        text.push_str("\n\n");
    }
    text.truncate(text.trim_end().len());
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Where a finding is, and then every other place that has to do with it.
fn places(finding: &Finding) -> impl Iterator<Item = Place> {
    let own = Place { file: finding.file, span: finding.span };
    let related = finding.related.iter();
    std::iter::once(own).chain(related.map(|related| Place { file: related.file, span: related.span }))
}

fn group<'a>(
    finding: &'a Finding,
    files: &'a [SourceFile],
    all_lines: &HashMap<usize, Lines<'_>>,
) -> Group<'a> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(&finding.message).id(finding.code.as_str());
    // One snippet for each file, that of the finding itself first.
    let mut shown: Vec<usize> = Vec::new();
    for place in places(finding) {
        if !shown.contains(&place.file) {
            shown.push(place.file);
        }
    }
    let mut elements = Vec::new();
    for file in shown {
        if let (Some(source), Some(lines)) = (files.get(file), all_lines.get(&file)) {
            elements.push(snippet(finding, file, source, lines));
        }
    }
    let mut elements = elements.into_iter();
    let Some(first) = elements.next() else { return Group::with_title(title) };
    let mut group = title.element(first);
    for element in elements {
        group = group.element(element);
    }
    if let Some(source) = &finding.source {
        group = group.element(Level::NOTE.with_name("source").message(source));
    }
    match &finding.hint {
        Some(hint) => group.element(Level::HELP.with_name("hint").message(hint)),
        None => group,
    }
}

/// The lines of one file that a finding is about.
fn snippet<'a>(
    finding: &'a Finding,
    file: usize,
    source: &'a SourceFile,
    lines: &Lines<'_>,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    // Only the lines that are shown: the renderer's work grows with the text it is given.
    let spans = || places(finding).filter(|place| place.file == file).map(|place| place.span);
    let start = lines.start_of(spans().map(|span| span.start).min().unwrap_or(0));
    let end = lines.end_of(spans().map(|span| span.end).max().unwrap_or(0));
    let inside = |span: Span| span.start.saturating_sub(start)..span.end.saturating_sub(start);
    let related = finding.related.iter().filter(|related| related.file == file);
    let own = (finding.file == file).then(|| AnnotationKind::Primary.span(inside(finding.span)));
    Snippet::source(masked(&source.text[start..end.max(start)]))
        .path(&source.path)
        .line_start(lines.place(start).0)
        .annotations(own)
        .annotations(
            related.map(|related| AnnotationKind::Context.span(inside(related.span)).label(&related.message)),
        )
}
