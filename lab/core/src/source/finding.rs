//! Findings: what is wrong with a file, as data. Decides nothing and prints nothing.

use std::collections::HashSet;

use serde::Serialize;

use super::code::Code;

/// A range of the source text, in bytes; always on character boundaries and inside the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte. Equal to `start` where there is only a place to point at.
    pub end: usize,
}

/// Whether a finding stops the use of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used; the reader should know.
    Warning,
}

/// One thing that is wrong with a file. In JSON: the same fields, `code` as its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable; scripts may rely on it.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// One sentence, lower case, no final period.
    pub message: String,
    /// What to do about it, where there is something better than the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// Where it is.
    pub span: Span,
    /// Other places that have to do with it, with a few words each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
}

/// Another place that has to do with a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    /// A few words, `first used here`.
    pub message: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// Where it is.
    pub span: Span,
}

impl Finding {
    /// Adds what to do about it.
    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds another place that has to do with it.
    pub(crate) fn related(&mut self, span: Span, message: impl Into<String>) -> &mut Self {
        self.related.push(Related { message: message.into(), line: 0, column: 0, span });
        self
    }
}

/// Collects findings while a file is read; lines and columns are filled in at the end, in one go.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    pub(crate) fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(code, Severity::Error, span, message.into())
    }

    pub(crate) fn warning(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(code, Severity::Warning, span, message.into())
    }

    fn push(&mut self, code: Code, severity: Severity, span: Span, message: String) -> &mut Finding {
        let finding =
            Finding { code, severity, message, hint: None, line: 0, column: 0, span, related: Vec::new() };
        self.0.push_mut(finding)
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The findings in the order of the file, with lines and columns.
    pub(crate) fn finish(mut self, text: &str) -> Vec<Finding> {
        let lines = Lines::new(text);
        for finding in &mut self.0 {
            (finding.line, finding.column) = lines.place(finding.span.start);
            for related in &mut finding.related {
                (related.line, related.column) = lines.place(related.span.start);
            }
        }
        self.0.sort_by_key(|finding| finding.span);
        // What is wrong with the defaults is found again with every machine that takes it from there.
        let mut told = HashSet::new();
        self.0.retain(|finding| told.insert((finding.code, finding.span, finding.message.clone())));
        self.0
    }
}

/// Where the lines of a text start.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        // A byte order mark is not a character that a reader sees.
        let first = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let starts = std::iter::once(first).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Line and column of a byte, both counted from 1, the column in characters.
    pub(crate) fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|&start| start <= offset).max(1);
        let before = self.text.get(self.starts[line - 1]..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// The byte at a line and column, both counted from 1; the nearest one where there is none.
    pub(crate) fn offset(&self, line: usize, column: usize) -> usize {
        let start = self.starts.get(line.max(1) - 1).copied().unwrap_or(self.text.len());
        let rest = self.text[start..].split('\n').next().unwrap_or_default();
        start + rest.char_indices().nth(column.max(1) - 1).map_or(rest.len(), |(at, _)| at)
    }

    /// First byte of the line that holds `offset`.
    pub(crate) fn start_of(&self, offset: usize) -> usize {
        self.starts[self.place(offset).0 - 1]
    }

    /// The end of the line that holds `offset`, without its line break.
    pub(crate) fn end_of(&self, offset: usize) -> usize {
        self.text[offset..].find('\n').map_or(self.text.len(), |length| offset + length)
    }
}
