//! Comments that allow a finding, with a reason: `# lab:allow CODE: reason`, on the line that it is about or above it.

use std::collections::HashMap;

use crate::source::suggest::{KnownWords, quote};
use crate::source::{Code, Finding, Findings, Lines, Place, Severity, SourceFile, Span};

/// The start of such a comment.
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

/// Takes the findings that are allowed out of `findings`, and reports comments that are wrong or allow
/// nothing. Returns the allowed ones with the reasons. `allowable`: whether a finding may be allowed at all.
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
    let allowed = if allowances.is_empty() {
        Vec::new()
    } else {
        take_allowed(findings, files, &allowable, &mut allowances)
    };
    report_unused(findings, &allowances, &allowable, &mut wrong);
    findings.extend(wrong.finish_files(|file| &files[file].text));
    allowed
}

/// Takes out the findings that an allowance is about.
fn take_allowed(
    findings: &mut Vec<Finding>,
    files: &[SourceFile],
    allowable: &impl Fn(&Finding) -> bool,
    allowances: &mut [Allowance<'_>],
) -> Vec<(Finding, String)> {
    // Thousands of findings are not each compared with thousands of comments.
    let mut numbers: HashMap<(usize, Code, usize), usize> = HashMap::new();
    for (number, allowance) in allowances.iter().enumerate() {
        numbers.entry((allowance.file, allowance.code, allowance.line)).or_insert(number);
    }
    let mut lines: HashMap<usize, Lines<'_>> = HashMap::new();
    let mut first_lines: HashMap<usize, usize> = HashMap::new();
    let mut allowed = Vec::new();
    findings.retain(|finding| {
        if !allowable(finding) {
            return true;
        }
        let file = finding.file;
        let mut line_of = |place: Place| {
            lines.entry(file).or_insert_with(|| Lines::new(&files[file].text)).line(place.span.start)
        };
        let anchor = finding.anchor.filter(|anchor| anchor.file == file).map(&mut line_of);
        // A finding about a whole file is allowed above its first line.
        let first = (finding.span.end == 0)
            .then(|| *first_lines.entry(file).or_insert_with(|| first_line(&files[file].text)));
        let about = [Some(finding.line), anchor, first].into_iter().flatten();
        let number = about.filter_map(|line| numbers.get(&(file, finding.code, line)).copied()).min();
        let Some(number) = number else { return true };
        allowances[number].used = true;
        allowed.push((finding.clone(), allowances[number].reason.to_owned()));
        false
    });
    allowed
}

/// Reports comments that allow nothing. `findings`: those that are left.
fn report_unused(
    findings: &[Finding],
    allowances: &[Allowance<'_>],
    allowable: &impl Fn(&Finding) -> bool,
    wrong: &mut Findings,
) {
    let unused: Vec<&Allowance<'_>> = allowances.iter().filter(|allowance| !allowance.used).collect();
    if unused.is_empty() {
        return;
    }
    // Of each code in each file the first: it comes last here.
    let left: HashMap<(usize, Code), &Finding> =
        findings.iter().rev().map(|finding| ((finding.file, finding.code), finding)).collect();
    for allowance in unused {
        let place = Place { file: allowance.file, span: allowance.span };
        let message = format!("there is no {} that this could allow", quote(allowance.code.as_str()));
        let hint = match left.get(&(allowance.file, allowance.code)) {
            Some(finding) if !allowable(finding) => {
                "take it away: there is no lab without a valid value here".to_owned()
            }
            Some(finding) => {
                format!("there is one in line {}: write it there, or in the line above", finding.line)
            }
            None => "take it away".to_owned(),
        };
        wrong.at(Severity::Warning, Code::UnusedAllowance, place, message).hint(hint);
    }
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
    let is_content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with(['#', ';']);
    // For each line the first one from there on that says anything.
    let mut next_content = vec![None; lines.len()];
    let mut next = None;
    for (at, (_, line)) in lines.iter().enumerate().rev() {
        if is_content(line) {
            next = Some(at);
        }
        next_content[at] = next;
    }
    let mut known: Option<KnownWords<'_>> = None;
    for (at, (start, line)) in lines.iter().enumerate() {
        let Some(comment) = comment(line) else { continue };
        let span = Span { start: start + comment, end: start + line.len() };
        let place = Place { file: number, span };
        let body = line[comment..].trim_start_matches(['#', ';']).trim_start()[MARK.len()..].trim();
        let (word, reason) = body.split_once(':').unwrap_or((body, ""));
        let (word, reason) = (word.trim(), reason.trim());
        let Some(code) = Code::parse(word) else {
            let message = format!("{} is not the code of a finding", quote(word));
            let known =
                known.get_or_insert_with(|| KnownWords::new(Code::ALL.iter().map(|code| code.as_str())));
            wrong.at(Severity::Error, Code::BadAllowance, place, message).hint(
                known.nearest_within(word, 4).map_or_else(
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
        let target = if alone { next_content[at].unwrap_or(at) } else { at };
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

/// The first line that says anything.
fn first_line(text: &str) -> usize {
    let is_content = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with(['#', ';']) && line != "---"
    };
    text.lines().position(|line| is_content(&line)).map_or(1, |at| at + 1)
}
