//! Findings to text for people. Of many findings of one kind only the first are shown; decides nothing else.

use std::collections::HashMap;

use annotate_snippets::renderer::Renderer;
use annotate_snippets::{Annotation, AnnotationKind, Element, Group, Level, Origin, Snippet};

use super::SourceFile;
use super::code::Code;
use super::finding::{Finding, Lines, Place, Severity, Span};
use crate::secrets::masked;

/// Findings of one code and one severity that are shown. A thousand warnings about a thousand names would hide all
/// others, so the rest is a number.
const MAX_SHOWN_FINDINGS: usize = 20;

/// Findings with their files, lines, columns and the text that they are about, and a hint where there is
/// one. Of each code and severity the first [`MAX_SHOWN_FINDINGS`], then the number of the others. With `color`, for a
/// terminal. Empty for no findings.
pub fn render(findings: &[Finding], source: &SourceFile, color: bool) -> String {
    render_files(findings, std::slice::from_ref(source), color)
}

/// The same for findings in several files.
pub fn render_files(findings: &[Finding], files: &[SourceFile], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let (shown, left_out) = limit_findings(findings);
    let mut all_lines = HashMap::new();
    for file in shown.iter().flat_map(|finding| places(finding).map(|place| place.file)) {
        if let Some(source) = files.get(file) {
            all_lines.entry(file).or_insert_with(|| Lines::new(&source.text));
        }
    }
    let mut text = String::new();
    for finding in shown {
        text.push_str(&renderer.render(&[group(finding, files, &all_lines)]));
        text.push_str("\n\n");
    }
    for ((code, severity), count) in left_out {
        let title =
            level(severity).primary_title(format!("and {count} more; `check --json` lists all of them"));
        text.push_str(&renderer.render(&[Group::with_title(title.id(code.as_str()))]));
        text.push_str("\n\n");
    }
    text.truncate(text.trim_end().len());
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Findings with the same code and severity are of one kind.
type Kind = (Code, Severity);

/// The findings that are shown, and how many of each kind are not, in the order of their first ones.
fn limit_findings(findings: &[Finding]) -> (Vec<&Finding>, Vec<(Kind, usize)>) {
    let mut counts: HashMap<Kind, usize> = HashMap::new();
    let mut order = Vec::new();
    let shown = findings
        .iter()
        .filter(|finding| {
            let kind = (finding.code, finding.severity);
            let count = counts.entry(kind).or_insert_with(|| {
                order.push(kind);
                0
            });
            *count += 1;
            *count <= MAX_SHOWN_FINDINGS
        })
        .collect();
    let left_out = order.into_iter().map(|kind| (kind, counts[&kind].saturating_sub(MAX_SHOWN_FINDINGS)));
    (shown, left_out.filter(|(_, count)| *count > 0).collect())
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    }
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
    let title = level(finding.severity).primary_title(&finding.message).id(finding.code.as_str());
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
            elements.extend(excerpts(finding, file, source, lines));
        }
    }
    let mut group = Group::with_title(title).elements(elements);
    if let Some(source) = &finding.source {
        group = group.element(Level::NOTE.with_name("source").message(source));
    }
    match &finding.hint {
        Some(hint) => group.element(Level::HELP.with_name("hint").message(hint)),
        None => group,
    }
}

/// Bytes of a file that are shown in one piece.
const MAX_EXCERPT_BYTES: usize = 4096;

/// The excerpts of one file for a finding: one with all of its places, or one for each where they are far apart. The renderer's work grows with the text that it is given.
fn excerpts<'a>(
    finding: &'a Finding,
    file: usize,
    source: &'a SourceFile,
    lines: &Lines<'_>,
) -> Vec<Element<'a>> {
    let own = (finding.file == file).then_some((finding.span, None));
    let related = finding.related.iter().filter(|related| related.file == file);
    let marks: Vec<Mark<'a>> = own
        .into_iter()
        .chain(related.map(|related| (related.span, Some(related.message.as_str()))))
        .collect();
    if let Some(together) = snippet(&marks, source, lines) {
        return vec![together.into()];
    }
    marks.iter().flat_map(|mark| excerpt_of_mark(*mark, source, lines)).collect()
}

/// A range of a file that is pointed at, with a few words; without any where the finding itself is.
type Mark<'a> = (Span, Option<&'a str>);

/// The lines of some marks. `None`: they are too long.
fn snippet<'a>(
    marks: &[Mark<'a>],
    source: &'a SourceFile,
    lines: &Lines<'_>,
) -> Option<Snippet<'a, Annotation<'a>>> {
    let start = lines.start_of(marks.iter().map(|(span, _)| span.start).min()?);
    let end = lines.end_of(marks.iter().map(|(span, _)| span.end).max()?).max(start);
    if end - start > MAX_EXCERPT_BYTES {
        return None;
    }
    let annotations = marks.iter().map(|(span, message)| {
        let inside = span.start.saturating_sub(start)..span.end.saturating_sub(start);
        match message {
            None => AnnotationKind::Primary.span(inside),
            Some(message) => AnnotationKind::Context.span(inside).label(*message),
        }
    });
    let text = &source.text[start..end];
    Some(
        Snippet::source(masked(text))
            .path(source.path.as_str())
            .line_start(lines.line(start))
            .annotations(annotations),
    )
}

/// The line of one mark, or only its place where the line is too long, as in generated JSON.
fn excerpt_of_mark<'a>(mark: Mark<'a>, source: &'a SourceFile, lines: &Lines<'_>) -> Vec<Element<'a>> {
    if let Some(snippet) = snippet(&[mark], source, lines) {
        return vec![snippet.into()];
    }
    let (span, message) = mark;
    let (line, column) = lines.place(span.start);
    let origin = Origin::path(source.path.as_str()).line(line).char_column(column);
    message.map(|message| Level::NOTE.message(message).into()).into_iter().chain([origin.into()]).collect()
}
