//! Comments that allow a finding, with a reason: `# lab:allow CODE: reason`, on the line that it is about or above it.

use crate::source::suggest::{nearest_within, quote};
use crate::source::{Code, Finding, Findings, Place, Severity, SourceFile, Span};

/// What such a comment starts with.
const MARK: &str = "lab:allow";

/// One comment.
struct Allowance<'a> {
    file: usize,
    span: Span,
    code: Code,
    reason: &'a str,
    /// The line that it is about, counted from 1.
    line: usize,
    used: bool,
}

/// Takes the findings that are allowed out of `findings`, and tells of comments that are wrong or allow nothing.
/// Gives the allowed ones with the reasons. `text`: whether a finding may be allowed at all.
pub(super) fn apply(
    findings: &mut Vec<Finding>,
    files: &[SourceFile],
    allowable: impl Fn(&Finding) -> bool,
) -> Vec<(Finding, String)> {
    let mut wrong = Findings::default();
    let mut allowances: Vec<Allowance<'_>> = Vec::new();
    for (number, file) in files.iter().enumerate() {
        // Most files have none, and there may be thousands of them.
        if file.text.contains(MARK) {
            read(number, &file.text, &mut allowances, &mut wrong);
        }
    }
    if allowances.is_empty() {
        findings.extend(wrong.finish_files(|file| &files[file].text));
        return Vec::new();
    }
    let mut allowed = Vec::new();
    findings.retain(|finding| {
        let line_of = |place: Place| line_at(&files[place.file].text, place.span.start);
        let anchor = finding.anchor.filter(|anchor| anchor.file == finding.file).map(line_of);
        // What is about a whole file is allowed above its first line.
        let first = (finding.span.end == 0).then(|| first_line(&files[finding.file].text));
        let about = |allowance: &Allowance<'_>| {
            allowance.file == finding.file
                && allowance.code == finding.code
                && (allowance.line == finding.line
                    || Some(allowance.line) == anchor
                    || Some(allowance.line) == first)
        };
        if !allowable(finding) {
            return true;
        }
        match allowances.iter_mut().find(|allowance| about(allowance)) {
            Some(allowance) => {
                allowance.used = true;
                allowed.push((finding.clone(), allowance.reason.to_owned()));
                false
            }
            None => true,
        }
    });
    for allowance in allowances.iter().filter(|allowance| !allowance.used) {
        let place = Place { file: allowance.file, span: allowance.span };
        let message = format!("there is no {} that this could allow", quote(allowance.code.as_str()));
        let here =
            findings.iter().find(|finding| finding.file == allowance.file && finding.code == allowance.code);
        wrong.at(Severity::Warning, Code::UnusedAllowance, place, message).hint(match here {
            Some(finding) if !allowable(finding) => {
                "take it away: without what it is about, there is no lab".to_owned()
            }
            Some(finding) => {
                format!("there is one in line {}: write it there, or in the line above", finding.line)
            }
            None => "take it away".to_owned(),
        });
    }
    findings.extend(wrong.finish_files(|file| &files[file].text));
    allowed
}

fn read<'a>(number: usize, text: &'a str, allowances: &mut Vec<Allowance<'a>>, wrong: &mut Findings) {
    let lines: Vec<(usize, &str)> = {
        let mut offset = 0;
        let pieces = text.split_inclusive('\n');
        pieces
            .map(|piece| {
                let start = offset;
                offset += piece.len();
                (start, piece.trim_end())
            })
            .collect()
    };
    for (at, (start, line)) in lines.iter().enumerate() {
        let Some(comment) = comment(line) else { continue };
        let span = Span { start: start + comment, end: start + line.len() };
        let place = Place { file: number, span };
        let said = line[comment..].trim_start_matches(['#', ';']).trim_start()[MARK.len()..].trim();
        let (word, reason) = said.split_once(':').unwrap_or((said, ""));
        let (word, reason) = (word.trim(), reason.trim());
        let Some(code) = Code::parse(word) else {
            let message = format!("{} is not the code of a finding", quote(word));
            let known = Code::ALL.iter().map(|code| code.as_str());
            wrong.at(Severity::Error, Code::BadAllowance, place, message).hint(
                nearest_within(word, known, 4).map_or_else(
                    || format!("write it like `# {MARK} {}: why it is right here`", Code::UnknownVariable),
                    |near| format!("did you mean `{near}`?"),
                ),
            );
            continue;
        };
        if reason.is_empty() {
            wrong
                .at(Severity::Error, Code::BadAllowance, place, "nothing is allowed without a reason")
                .hint(format!("write why: `# {MARK} {code}: …`"));
            continue;
        }
        let alone = line[..comment].trim().is_empty();
        let is_content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with(['#', ';']);
        let target = if alone {
            lines[at..].iter().position(|(_, line)| is_content(line)).map_or(at, |after| at + after)
        } else {
            at
        };
        allowances.push(Allowance { file: number, span, code, reason, line: target + 1, used: false });
    }
}

/// Where the comment of a line starts that allows something.
fn comment(line: &str) -> Option<usize> {
    line.match_indices(MARK).find_map(|(at, _)| {
        let before = line[..at].trim_end();
        let hashes = before.trim_end_matches(['#', ';']);
        let starts =
            hashes.len() < before.len() && (hashes.is_empty() || hashes.ends_with(char::is_whitespace));
        let ends = line[at + MARK.len()..].starts_with(char::is_whitespace) || line.len() == at + MARK.len();
        (starts && ends).then_some(hashes.len())
    })
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The first line that says anything.
fn first_line(text: &str) -> usize {
    let is_content = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with(['#', ';']) && line != "---"
    };
    text.lines().position(|line| is_content(&line)).map_or(1, |at| at + 1)
}
