//! The bracket that was left open, where a reader of YAML stops on a later line. Judges nothing else.

use granit_parser::{Event, Parser};

use super::finding::Span;

/// The innermost bracket that is open where a reader stopped at the byte `stopped`, if it stands on an earlier line
/// and is closed nowhere. A reader goes on inside such a bracket, and stops at something that is right by itself.
pub(crate) fn left_open(text: &str, stopped: usize) -> Option<Span> {
    let mut open = open_collections(text);
    // The parser reads a few words beyond its last event.
    let parsed = open.pop()?;
    let mut open: Vec<usize> = open.into_iter().filter(|start| is_opening(&text[*start..])).collect();
    visit_brackets(text.get(parsed..stopped)?, |bracket| {
        match bracket {
            // Outside of brackets, one in a word is a part of it.
            Bracket::Opens { in_word: true, .. } if open.is_empty() => {}
            Bracket::Opens { at, .. } => open.push(parsed + at),
            Bracket::Closes(_) => {
                open.pop();
            }
        }
        true
    });
    let start = open.pop()?;
    let between = text.get(start..stopped)?;
    (between.contains('\n') && !is_closed(&text[start..])).then_some(Span { start, end: start + 1 })
}

fn is_opening(text: &str) -> bool {
    text.starts_with(['[', '{'])
}

/// Where the lists and mappings start that are open where the parser stops, and then the end of its last event.
/// Empty where it reads to the end.
fn open_collections(text: &str) -> Vec<usize> {
    let mut open = Vec::new();
    let mut parsed = 0;
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else {
            open.push(parsed);
            return open;
        };
        let range = span.byte_range().unwrap_or(parsed..parsed);
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => open.push(range.start),
            Event::SequenceEnd | Event::MappingEnd => {
                open.pop();
            }
            _ => {}
        }
        parsed = parsed.max(range.end);
    }
    Vec::new()
}

/// A bracket and where it stands.
enum Bracket {
    Opens { at: usize, in_word: bool },
    Closes(char),
}

/// Calls `visit` with each bracket of a text outside quotes and comments, until it returns false.
fn visit_brackets(text: &str, mut visit: impl FnMut(Bracket) -> bool) {
    let mut quote = None;
    let mut comment = false;
    let mut at_word = true;
    for (at, c) in text.char_indices() {
        if comment {
            comment = c != '\n';
            continue;
        }
        if let Some(quoted) = quote {
            if c == quoted {
                quote = None;
            }
            continue;
        }
        let goes_on = match c {
            '\'' | '"' if at_word => {
                quote = Some(c);
                true
            }
            '#' if at_word => {
                comment = true;
                true
            }
            '[' | '{' => visit(Bracket::Opens { at, in_word: !at_word }),
            ']' | '}' => visit(Bracket::Closes(c)),
            _ => true,
        };
        if !goes_on {
            return;
        }
        at_word = c.is_whitespace() || matches!(c, '[' | '{' | ',' | ':');
    }
}

/// Whether the bracket that a text begins with is closed in it.
fn is_closed(text: &str) -> bool {
    let mut open: Vec<char> = Vec::new();
    let mut closed = false;
    visit_brackets(text, |bracket| match bracket {
        Bracket::Opens { at, .. } => {
            open.push(if text[at..].starts_with('[') { ']' } else { '}' });
            true
        }
        Bracket::Closes(with) => {
            let is_its_own = open.pop() == Some(with);
            closed = is_its_own && open.is_empty();
            is_its_own && !open.is_empty()
        }
    });
    closed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::list("a:\n- b: [c, d\n  e: f\n- g: [h]\n", Some("[c, d"))]
    #[case::mapping("a: {b: c\nd: e\n", Some("{b: c"))]
    #[case::inner("a: {b: [c\n d: e}\n", Some("[c"))]
    #[case::where_the_parser_stops_itself("a: [b,\n c: d\n", None)]
    #[case::behind_which_an_item_follows("- {a: [b]\n- {c: d}\n", Some("{a"))]
    #[case::in_which_words_have_brackets("x: y[0\na: [b, c\nd: e[1]\n", Some("[b"))]
    #[case::quotes_and_comments("a: [b # ]\nc: ']'\nd: don't]\n", None)]
    #[case::a_word_with_a_quote("a: [don't\nb: c\nd: isn't [e]\n", Some("[don't"))]
    #[case::missing_comma("a: {\n  b: c\n  d: e\n}\n", None)]
    #[case::same_line("a: [b: c: d\n", None)]
    #[case::no_bracket("a: b\n  c: d\n", None)]
    #[case::no_mistake("a: [b]\n", None)]
    #[case::beyond_ascii("ä: [ö\nü: é\n", Some("[ö"))]
    fn left_open_finds_the_innermost_bracket(#[case] text: &str, #[case] expected: Option<&str>) {
        let stopped =
            Parser::new_from_str(text).find_map(Result::err).and_then(|error| error.marker().byte_offset());
        let found = left_open(text, stopped.unwrap_or(text.len()));
        let rest = found.map(|span| &text[span.start..]);
        assert!(
            match (rest, expected) {
                (Some(rest), Some(expected)) => rest.starts_with(expected),
                (rest, expected) => rest == expected,
            },
            "{rest:?}"
        );
    }
}
