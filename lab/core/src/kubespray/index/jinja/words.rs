//! The names in a piece of Jinja that the parser refuses, found word by word. Rough: it leans towards
//! finding too many names, because a name too few would be a false alarm later.

use std::collections::{BTreeMap, BTreeSet};

use super::{Refused, Uses};

/// Words of the language itself, filters and tests aside.
const KEYWORDS: &[&str] = &[
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "elif",
    "endif",
    "for",
    "endfor",
    "set",
    "endset",
    "do",
    "macro",
    "endmacro",
    "call",
    "endcall",
    "filter",
    "endfilter",
    "block",
    "endblock",
    "include",
    "import",
    "from",
    "as",
    "with",
    "endwith",
    "without",
    "context",
    "recursive",
    "true",
    "false",
    "none",
    "True",
    "False",
    "None",
    "loop",
    "raw",
    "endraw",
    "break",
    "continue",
];

/// The names in every `{{ … }}` and `{% … %}` of a text.
pub(super) fn template(text: &str, refused: Refused) -> Uses {
    let mut found = Found::default();
    let mut rest = text;
    let mut line = 0;
    while let Some(start) = rest.find("{{").into_iter().chain(rest.find("{%")).chain(rest.find("{#")).min() {
        line += breaks(&rest[..start]);
        let close = match &rest[start..start + 2] {
            "{{" => "}}",
            "{%" => "%}",
            _ => "#}",
        };
        let inner = &rest[start + 2..];
        let end = inner.find(close).unwrap_or(inner.len());
        if close != "#}" {
            found.piece(inner[..end].trim_matches(['-', '+']), line);
        }
        line += breaks(&inner[..end]);
        rest = inner.get(end + 2..).unwrap_or_default();
    }
    found.finish(refused)
}

/// The names in a bare expression.
pub(super) fn expression(text: &str, refused: Refused) -> Uses {
    let mut found = Found::default();
    found.piece(text, 0);
    found.finish(refused)
}

fn breaks(text: &str) -> u32 {
    u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX)
}

#[derive(Default)]
struct Found {
    names: BTreeMap<String, u32>,
    set: BTreeSet<String>,
}

impl Found {
    fn piece(&mut self, text: &str, mut line: u32) {
        let words = words(text);
        // Names between `for` and `in`, and behind `set`, are the piece's own.
        let mut setting = false;
        for (at, word) in words.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| words.get(at)).map(Word::text);
            let after = words.get(at + 1).map(Word::text);
            match word {
                Word::Break => line += 1,
                Word::Other(text) if *text == "=" => setting = false,
                Word::Other(_) => {}
                Word::Name(name) => match *name {
                    "for" | "set" | "macro" if at == 0 => setting = true,
                    "in" => setting = false,
                    name if KEYWORDS.contains(&name) => {}
                    name if setting => {
                        self.set.insert(name.to_owned());
                    }
                    // A member, a filter, a test, the name of an argument.
                    _ if matches!(before, Some("." | "|" | "is")) => {}
                    _ if before == Some("not")
                        && at > 1
                        && words.get(at - 2).map(Word::text) == Some("is") => {}
                    _ if after == Some("=") && words.get(at + 2).map(Word::text) != Some("=") => {}
                    name => {
                        self.names.entry(name.to_owned()).or_insert(line);
                    }
                },
            }
        }
    }

    fn finish(mut self, refused: Refused) -> Uses {
        self.names.retain(|name, _| !self.set.contains(name));
        Uses { names: self.names, refused: Some(refused), ..Uses::default() }
    }
}

enum Word<'a> {
    Name(&'a str),
    Other(&'a str),
    Break,
}

impl Word<'_> {
    const fn text(&self) -> &str {
        match self {
            Self::Name(text) | Self::Other(text) => text,
            Self::Break => "\n",
        }
    }
}

/// Names and single other characters; literal texts and blanks are left out.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => literal(rest, first),
            c if c.is_ascii_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        let word = &rest[..length];
        match first {
            '\n' => words.push(Word::Break),
            c if c.is_whitespace() => {}
            // The line breaks inside a text still count.
            '\'' | '"' => words.extend(word.matches('\n').map(|_| Word::Break)),
            c if c.is_ascii_alphabetic() || c == '_' => words.push(Word::Name(word)),
            _ => words.push(Word::Other(word)),
        }
        rest = &rest[length..];
    }
    words
}

/// The length of a literal text with its quotes, as far as it goes.
fn literal(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}
