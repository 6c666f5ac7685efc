//! The type of a value in an INI file as Ansible reads it: a literal of Python where it is one, else a text.
//!
//! So `True`, `12`, `[1, 2]` and `'x'` are a boolean, a number, a list and a text, and `true` is a text.

use serde_json::{Map, Value};

/// Deeper than any value that a person writes on one line.
const DEPTH: usize = 32;

/// The value of a word, as `ast.literal_eval` reads it, or the word.
pub(super) fn value(word: &str) -> Value {
    literal(word).unwrap_or_else(|| Value::String(word.to_owned()))
}

fn literal(word: &str) -> Option<Value> {
    // Most values are words and addresses.
    let first = word.trim_start_matches([' ', '\t']).chars().next()?;
    if !first.is_ascii_digit() && !"+-.'\"[({TFNrRuUbB".contains(first) {
        return None;
    }
    let mut reader = Reader { rest: word.trim_start_matches([' ', '\t']), depth: 0 };
    let mut value = reader.value()?;
    reader.blanks();
    // `1, 2` is a tuple without its brackets.
    if reader.eat(',') {
        let mut items = vec![value];
        loop {
            reader.blanks();
            if reader.at_end() {
                break;
            }
            items.push(reader.value()?);
            reader.blanks();
            if !reader.eat(',') {
                break;
            }
        }
        value = Value::Array(items);
    }
    reader.blanks();
    reader.at_end().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
    }

    /// Nothing is left but a comment.
    fn at_end(&self) -> bool {
        self.rest.is_empty() || self.rest.starts_with('#')
    }

    fn eat(&mut self, wanted: char) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Option<Value> {
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        self.blanks();
        let value = match self.rest.chars().next()? {
            '[' => self.items('[', ']').map(|(items, _)| Value::Array(items)),
            '(' => self.items('(', ')').map(|(mut items, comma)| {
                if items.len() == 1 && !comma { items.remove(0) } else { Value::Array(items) }
            }),
            '{' => self.mapping(),
            '+' | '-' => self.signed(),
            first if first.is_ascii_digit() || first == '.' => self.number(),
            _ => self.word_or_text(),
        };
        self.depth -= 1;
        value
    }

    /// Items up to the closing bracket, and whether a comma stood behind the last one.
    fn items(&mut self, open: char, close: char) -> Option<(Vec<Value>, bool)> {
        self.eat(open);
        let (mut items, mut comma) = (Vec::new(), false);
        loop {
            self.blanks();
            if self.eat(close) {
                return Some((items, comma));
            }
            if !items.is_empty() && !comma {
                return None;
            }
            items.push(self.value()?);
            self.blanks();
            comma = self.eat(',');
        }
    }

    /// A dictionary, or a set as a list.
    fn mapping(&mut self) -> Option<Value> {
        self.eat('{');
        let (mut map, mut set) = (Map::new(), Vec::new());
        let mut comma = true;
        loop {
            self.blanks();
            if self.eat('}') {
                let is_set = map.is_empty() && !set.is_empty();
                return Some(if is_set { Value::Array(set) } else { Value::Object(map) });
            }
            if !comma {
                return None;
            }
            let key = self.value()?;
            self.blanks();
            if self.eat(':') {
                let value = self.value()?;
                let key = match key {
                    Value::String(text) => text,
                    Value::Array(_) | Value::Object(_) => return None,
                    Value::Bool(true) => "True".to_owned(),
                    Value::Bool(false) => "False".to_owned(),
                    Value::Null => "None".to_owned(),
                    Value::Number(number) => number.to_string(),
                };
                map.insert(key, value);
            } else {
                set.push(key);
            }
            if !map.is_empty() && !set.is_empty() {
                return None;
            }
            self.blanks();
            comma = self.eat(',');
        }
    }

    /// Signs stand before numbers only.
    fn signed(&mut self) -> Option<Value> {
        let mut negative = false;
        loop {
            self.blanks();
            if self.eat('-') {
                negative = !negative;
            } else if !self.eat('+') {
                break;
            }
        }
        let number = self.number()?;
        if !negative {
            return Some(number);
        }
        match number.as_i64() {
            Some(number) => Some((-number).into()),
            None => Some((-number.as_f64()?).into()),
        }
    }

    fn number(&mut self) -> Option<Value> {
        let mut end = 0;
        let bytes = self.rest.as_bytes();
        while let Some(&byte) = bytes.get(end) {
            let is_sign = matches!(byte, b'+' | b'-')
                && end > 0
                && matches!(bytes[end - 1], b'e' | b'E')
                && !self.rest.starts_with("0x");
            if !(byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_' || is_sign) {
                break;
            }
            end += 1;
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if word.ends_with('_') || word.contains("__") || word.starts_with('_') {
            return None;
        }
        let clean: String = word.chars().filter(|c| *c != '_').collect();
        let lower = clean.to_ascii_lowercase();
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
            if let Some(digits) = lower.strip_prefix(prefix) {
                return i64::from_str_radix(digits, radix).ok().map(Value::from);
            }
        }
        if clean.bytes().all(|byte| byte.is_ascii_digit()) {
            // `010` is a mistake to Python, and so a text.
            let padded = clean.len() > 1 && clean.starts_with('0') && clean.bytes().any(|byte| byte != b'0');
            return if padded { None } else { clean.parse::<i64>().ok().map(Value::from) };
        }
        let float =
            lower.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'+' | b'-'));
        let number = clean.parse::<f64>().ok().filter(|number| float && number.is_finite())?;
        serde_json::Number::from_f64(number).map(Value::Number)
    }

    fn word_or_text(&mut self) -> Option<Value> {
        for (word, value) in
            [("True", Value::Bool(true)), ("False", Value::Bool(false)), ("None", Value::Null)]
        {
            if let Some(rest) = self.rest.strip_prefix(word) {
                if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                    return None;
                }
                self.rest = rest;
                return Some(value);
            }
        }
        // Texts beside one another are one text.
        let mut whole = self.text()?;
        loop {
            self.blanks();
            match self.text() {
                Some(more) => whole.push_str(&more),
                None => return Some(Value::String(whole)),
            }
        }
    }

    /// A text in quotes; nothing is taken where there is none.
    fn text(&mut self) -> Option<String> {
        let letters = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let prefix = self.rest[..letters].to_ascii_lowercase();
        if !["", "r", "u", "b", "br", "rb"].contains(&prefix.as_str()) {
            return None;
        }
        let raw = prefix.contains('r');
        let body = &self.rest[letters..];
        let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| body.starts_with(quote))?;
        let inside = &body[quote.len()..];
        let mut text = String::new();
        let mut at = 0;
        loop {
            let left = inside.get(at..)?;
            if let Some(behind) = left.strip_prefix(quote) {
                self.rest = behind;
                return Some(text);
            }
            let next = left.chars().next()?;
            if next == '\n' && quote.len() == 1 {
                return None;
            }
            if next != '\\' {
                text.push(next);
                at += next.len_utf8();
                continue;
            }
            let escaped = left[1..].chars().next()?;
            at += 1 + escaped.len_utf8();
            if raw {
                text.extend(['\\', escaped]);
                continue;
            }
            at += unescape(escaped, &left[1 + escaped.len_utf8()..], &mut text)?;
        }
    }
}

/// Adds the character of an escape, and gives how many bytes behind its letter belong to it.
fn unescape(escaped: char, behind: &str, text: &mut String) -> Option<usize> {
    let hexadecimal = |digits: usize| {
        let code = u32::from_str_radix(behind.get(..digits)?, 16).ok()?;
        char::from_u32(code)
    };
    let (plain, used) = match escaped {
        '\n' => return Some(0),
        '\\' | '\'' | '"' => (escaped, 0),
        'a' => ('\u{7}', 0),
        'b' => ('\u{8}', 0),
        'f' => ('\u{c}', 0),
        'n' => ('\n', 0),
        'r' => ('\r', 0),
        't' => ('\t', 0),
        'v' => ('\u{b}', 0),
        'x' => (hexadecimal(2)?, 2),
        'u' => (hexadecimal(4)?, 4),
        'U' => (hexadecimal(8)?, 8),
        'N' => return None,
        '0'..='7' => {
            let digits = behind.bytes().take(2).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            let octal = format!("{escaped}{}", &behind[..digits]);
            (char::from_u32(u32::from_str_radix(&octal, 8).ok()?)?, digits)
        }
        other => {
            text.push('\\');
            (other, 0)
        }
    };
    text.push(plain);
    Some(used)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// Compared with Python's `ast.literal_eval`; a literal that it refuses stays a text.
    #[rstest]
    #[case("True", json!(true))]
    #[case("true", json!("true"))]
    #[case("Truest", json!("Truest"))]
    #[case("None", json!(null))]
    #[case("12", json!(12))]
    #[case("1.30", json!(1.3))]
    #[case("1.30.1", json!("1.30.1"))]
    #[case("010", json!("010"))]
    #[case("00", json!(0))]
    #[case("0x10", json!(16))]
    #[case("1_000", json!(1000))]
    #[case("1__0", json!("1__0"))]
    #[case("1e3", json!(1000.0))]
    #[case("-5", json!(-5))]
    #[case("- 5", json!(-5))]
    #[case("10.0.0.1", json!("10.0.0.1"))]
    #[case("[1, 'a', True]", json!([1, "a", true]))]
    #[case("[1 2]", json!("[1 2]"))]
    #[case("['a',]", json!(["a"]))]
    #[case("[]", json!([]))]
    #[case("[,]", json!("[,]"))]
    #[case("(1)", json!(1))]
    #[case("(1,)", json!([1]))]
    #[case("1, 2", json!([1, 2]))]
    #[case("{'a': [1], \"b\": {}}", json!({"a": [1], "b": {}}))]
    #[case("{k:v}", json!("{k:v}"))]
    #[case("{1, 2}", json!([1, 2]))]
    #[case("{}", json!({}))]
    #[case("'a' \"b\"", json!("ab"))]
    #[case("'a\\n\\x41\\101'", json!("a\nAA"))]
    #[case("r'a\\n'", json!("a\\n"))]
    #[case("'open", json!("'open"))]
    #[case("5 # five", json!(5))]
    #[case("five # 5", json!("five # 5"))]
    #[case("  7", json!(7))]
    #[case("", json!(""))]
    #[case("rather", json!("rather"))]
    #[case("12h", json!("12h"))]
    #[case("1-2", json!("1-2"))]
    #[case("--", json!("--"))]
    fn reads_what_python_reads(#[case] word: &str, #[case] expected: Value) {
        assert_eq!(value(word), expected);
    }

    #[test]
    fn nesting_has_a_limit() {
        let deep = "[".repeat(5_000) + &"]".repeat(5_000);
        assert_eq!(value(&deep), json!(deep));
    }
}
