//! Findings: the mistakes of a file, as data. Decides nothing and prints nothing.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

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

/// A range of one of several files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The number of the file among those that were read.
    pub file: usize,
    /// Where in it.
    pub span: Span,
}

/// Whether a finding stops the use of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used, or a setting of it has no effect.
    Error,
    /// The file can be used; the reader should know.
    Warning,
    /// No mistake; a part was passed over, or could be plainer.
    Note,
}

impl Severity {
    /// `error`, `warning`, `note`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
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
    /// The fix, where the message does not already name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The source: a place in Kubespray, `roles/…/main.yml:12`, or the name of a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The number of the file among those that were read; 0 where there is only one.
    #[serde(skip)]
    pub file: usize,
    /// The setting that the finding belongs to, where that begins on another line: a comment there allows it
    /// too.
    #[serde(skip)]
    pub anchor: Option<Place>,
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
    /// The number of the file, as in [`Finding::file`].
    #[serde(skip)]
    pub file: usize,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// Where it is.
    pub span: Span,
}

impl Finding {
    /// Adds the fix.
    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the source.
    pub(crate) fn source(&mut self, source: impl Into<String>) -> &mut Self {
        self.source = Some(source.into());
        self
    }

    /// Adds another place of the same file that has to do with it.
    pub(crate) fn related(&mut self, span: Span, message: impl Into<String>) -> &mut Self {
        self.related_at(Place { file: self.file, span }, message)
    }

    /// Adds another place that has to do with it.
    pub(crate) fn related_at(&mut self, place: Place, message: impl Into<String>) -> &mut Self {
        let Place { file, span } = place;
        self.related.push(Related { message: message.into(), file, line: 0, column: 0, span });
        self
    }
}

/// Collects findings while a file is read; lines and columns are filled in at the end, in one go.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    pub(crate) fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Finding {
        self.at(Severity::Error, code, Place { file: 0, span }, message)
    }

    pub(crate) fn warning(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Finding {
        self.at(Severity::Warning, code, Place { file: 0, span }, message)
    }

    /// A finding in one of several files.
    pub(crate) fn at(
        &mut self,
        severity: Severity,
        code: Code,
        place: Place,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.0.push_mut(Finding {
            code,
            severity,
            message: message.into(),
            hint: None,
            source: None,
            file: place.file,
            anchor: None,
            line: 0,
            column: 0,
            span: place.span,
            related: Vec::new(),
        })
    }

    /// Takes over the findings in one file, as those of file number `file`.
    pub(crate) fn take(&mut self, other: Self, file: usize) {
        self.0.extend(other.0.into_iter().map(|mut finding| {
            finding.file = file;
            finding.related.iter_mut().for_each(|related| related.file = file);
            finding
        }));
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The findings in the order of the file, with lines and columns.
    pub(crate) fn finish(self, text: &str) -> Vec<Finding> {
        self.finish_files(|_| text)
    }

    /// The findings in the order of the files and their lines, with lines and columns. `text`: a file by its number.
    pub(crate) fn finish_files<'a>(mut self, text: impl Fn(usize) -> &'a str) -> Vec<Finding> {
        let mut files: HashMap<usize, Lines<'a>> = HashMap::new();
        let mut place = |file: usize, span: Span| {
            files.entry(file).or_insert_with(|| Lines::new(text(file))).place(span.start)
        };
        for finding in &mut self.0 {
            (finding.line, finding.column) = place(finding.file, finding.span);
            for related in &mut finding.related {
                (related.line, related.column) = place(related.file, related.span);
            }
        }
        self.0.sort_by_key(|finding| (finding.file, finding.span));
        // A mistake in the defaults is found again with every machine that takes it from there.
        let mut reported = HashSet::new();
        self.0.retain(|finding| {
            reported.insert((finding.code, finding.file, finding.span, finding.message.clone()))
        });
        self.0
    }
}

/// Where the lines of a text start.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    /// The number of characters before each stretch of [`STRETCH`] bytes; counted when a long line is placed.
    characters: OnceCell<Vec<usize>>,
}

/// Bytes after which counting of characters starts again, so that a file of one line is not counted from its
/// start for each of its findings.
const STRETCH: usize = 4096;

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        // A byte order mark is not a character that a reader sees.
        let first = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let starts = std::iter::once(first).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts, characters: OnceCell::new() }
    }

    /// The line that holds a byte, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|&start| start <= offset).max(1)
    }

    /// Line and column of a byte, both counted from 1, the column in characters.
    pub(crate) fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let start = self.starts[line - 1];
        let before = if offset.saturating_sub(start) > STRETCH {
            self.characters_before(offset) - self.characters_before(start)
        } else {
            self.text.get(start..offset).unwrap_or_default().chars().count()
        };
        (line, before + 1)
    }

    fn characters_before(&self, offset: usize) -> usize {
        let offset = self.text.floor_char_boundary(offset);
        let start_of = |stretch: usize| self.text.floor_char_boundary(stretch * STRETCH);
        let counted = self.characters.get_or_init(|| {
            let stretches = self.text.len() / STRETCH;
            let mut total = 0;
            let mut counted = vec![0];
            for stretch in 0..stretches {
                total += self.text[start_of(stretch)..start_of(stretch + 1)].chars().count();
                counted.push(total);
            }
            counted
        });
        let stretch = offset / STRETCH;
        counted[stretch] + self.text[start_of(stretch)..offset].chars().count()
    }

    /// The byte at a line and column, both counted from 1; the nearest one where there is none.
    pub(crate) fn offset(&self, line: usize, column: usize) -> usize {
        let start = self.starts.get(line.max(1) - 1).copied().unwrap_or(self.text.len());
        let rest = self.text[start..].split('\n').next().unwrap_or_default();
        start + rest.char_indices().nth(column.max(1) - 1).map_or(rest.len(), |(at, _)| at)
    }

    /// First byte of the line that holds `offset`.
    pub(crate) fn start_of(&self, offset: usize) -> usize {
        self.starts[self.line(offset) - 1]
    }

    /// The end of the line that holds `offset`, without its line break.
    pub(crate) fn end_of(&self, offset: usize) -> usize {
        self.starts.get(self.line(offset)).map_or(self.text.len(), |next| next - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one line, as a program writes JSON, is longer than a stretch.
    #[test]
    fn lines_count_columns_of_long_lines_in_characters() {
        let long = "aé€😀".repeat(STRETCH / 3);
        let text = format!("\u{feff}ä\n{long}\nß\n{long}");
        let lines = Lines::new(&text);
        for offset in (0..=text.len()).filter(|offset| text.is_char_boundary(*offset)) {
            let before = text[..offset].trim_start_matches('\u{feff}');
            let expected =
                (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap().chars().count() + 1);
            assert_eq!(lines.place(offset), expected, "{offset}");
        }
    }
}
