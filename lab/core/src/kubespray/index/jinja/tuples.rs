//! Tuples without brackets, `{% for x in 'a', 'b' %}` and `{{ a, b }}`: Jinja takes them, and minijinja's parser does
//! not. Puts the brackets around them; judges nothing.

use std::ops::Range;

/// The text with brackets around every tuple that has none. `None`: there is no such tuple. No line is added.
pub(super) fn with_brackets(text: &str) -> Option<String> {
    let mut result = String::with_capacity(text.len() + 2);
    let mut copied = 0;
    for tuple in find_tags(text).into_iter().filter_map(|tag| find_tuple(text, tag)) {
        result += &text[copied..tuple.start];
        result += "(";
        result += &text[tuple.clone()];
        result += ")";
        copied = tuple.end;
    }
    if copied == 0 {
        return None;
    }
    result += &text[copied..];
    Some(result)
}

/// The inside of `{{ … }}` or of `{% … %}`.
enum Tag {
    Print(Range<usize>),
    Statement(Range<usize>),
}

/// Every tag of a text that is neither in a comment nor in a raw block, up to one that is not closed.
fn find_tags(text: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find('{') {
        let inside = at + start + 2;
        let closing = match text.as_bytes().get(inside - 1) {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            Some(b'#') => "#}",
            _ => {
                at = inside - 1;
                continue;
            }
        };
        let is_comment = closing == "#}";
        let length = if is_comment {
            text[inside..].find(closing)
        } else {
            let closes = |(at, _): &(usize, char)| text[inside + at..].starts_with(closing);
            outer_characters(&text[inside..]).find(closes).map(|(at, _)| at)
        };
        let Some(length) = length else { break };
        let range = inside..inside + length;
        at = range.end + closing.len();
        if closing == "}}" {
            tags.push(Tag::Print(trim_range(text, range)));
        } else if closing == "%}" {
            let range = trim_range(text, range);
            if &text[range.clone()] == "raw" {
                let Some(end) = text[at..].find("endraw") else { break };
                at += end;
                continue;
            }
            tags.push(Tag::Statement(range));
        }
    }
    tags
}

/// A range without blanks and marks of white space control at its ends.
fn trim_range(text: &str, range: Range<usize>) -> Range<usize> {
    let is_edge = |c: char| c.is_whitespace() || matches!(c, '-' | '+');
    let whole = &text[range.clone()];
    let start = range.start + (whole.len() - whole.trim_start_matches(is_edge).len());
    let length = text[start..range.end].trim_end_matches(is_edge).len();
    start..start + length
}

/// The tuple without brackets that a tag prints or loops over.
fn find_tuple(text: &str, tag: Tag) -> Option<Range<usize>> {
    let expression = match tag {
        Tag::Print(range) => range,
        Tag::Statement(range) => {
            let inside = &text[range.clone()];
            let targets = inside.strip_prefix("for").filter(|rest| rest.starts_with(char::is_whitespace))?;
            let start = range.end - targets.len() + find_word(targets, "in")? + "in".len();
            let end = ["if", "recursive"]
                .into_iter()
                .filter_map(|end| find_word(&text[start..range.end], end))
                .min();
            trim_range(text, start..end.map_or(range.end, |end| start + end))
        }
    };
    outer_characters(&text[expression.clone()]).any(|(_, c)| c == ',').then_some(expression)
}

/// Where a word stands outside of quotes and brackets.
fn find_word(text: &str, wanted: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    outer_characters(text).map(|(at, _)| at).find(|&at| {
        let rest = text[at..].strip_prefix(wanted);
        rest.is_some_and(|rest| !rest.starts_with(is_part)) && !text[..at].ends_with(is_part)
    })
}

/// The characters of a text that stand outside of quotes and brackets. A bracket that was not opened is one of them.
fn outer_characters(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quote, mut depth, mut escaped) = (None, 0_usize, false);
    text.char_indices().filter(move |(_, c)| {
        if let Some(quoted) = quote {
            if !escaped && *c == quoted {
                quote = None;
            }
            escaped = !escaped && *c == '\\';
            return false;
        }
        match c {
            '\'' | '"' => {
                quote = Some(*c);
                return false;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth > 0 => depth -= 1,
            _ => return depth == 0,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::texts(
        "{% for x in 'a', \"b\" %}{{ x }}{% endfor %}",
        Some("{% for x in ('a', \"b\") %}{{ x }}{% endfor %}")
    )]
    #[case::white_space("{%- for x in a,\n b -%}", Some("{%- for x in (a,\n b) -%}"))]
    #[case::filter("{% for x, y in a, b if x in c, d %}", Some("{% for x, y in (a, b) if x in c, d %}"))]
    #[case::recursive("{% for x in a, b recursive %}", Some("{% for x in (a, b) recursive %}"))]
    #[case::print("{{ a, b }} {{- f(c, d), e -}}", Some("{{ (a, b) }} {{- (f(c, d), e) -}}"))]
    #[case::two(
        "{% for x in a, b %}{% for y in c, 'd %} }}' %}",
        Some("{% for x in (a, b) %}{% for y in (c, 'd %} }}') %}")
    )]
    #[case::two_targets("{% for x, y in pairs %}", None)]
    #[case::brackets(
        "{% for x in ('a', 'b') %}{{ f(a, b) }}{{ [a, b] }}{{ 'a, b' }}{{ {'a': b, 'c': d} }}",
        None
    )]
    #[case::inner_mapping("{{ {'a': {'b': c}}, d }}", Some("{{ ({'a': {'b': c}}, d) }}"))]
    #[case::names_like_words("{% for inner in x.index, y %}", Some("{% for inner in (x.index, y) %}"))]
    #[case::other_statements("{% set x = a, b %}{% if a in b, c %}{% format a in b, c %}", None)]
    #[case::comment_and_raw("{# {{ a, b }} #}{% raw %}{{ a, b }}{% endraw %}", None)]
    #[case::open("{{ a, b", None)]
    #[case::plain("a, b", None)]
    fn brackets_are_added_to_tuples_without_them(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(with_brackets(text).as_deref(), expected);
    }
}
