//! Host patterns: `node[01:12]`, `rack-[a:c]`, `[2001:db8::1]:2222`.

/// More hosts than one pattern can sensibly mean.
const MOST: usize = 100_000;

/// The names that a pattern stands for.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, String> {
    if !is_range(pattern) {
        return Ok(vec![pattern.to_owned()]);
    }
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some((head, behind)) = rest.split_once('[') {
        let (range, tail) =
            behind.split_once(']').ok_or_else(|| format!("`{pattern}` has no closing `]`"))?;
        let words = range_words(range)?;
        if names.len().saturating_mul(words.len()) > MOST {
            return Err(format!("`{pattern}` means more than {MOST} hosts"));
        }
        names = names
            .iter()
            .flat_map(|name| words.iter().map(move |word| format!("{name}{head}{word}")))
            .collect();
        rest = tail;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

/// Ansible's own rule (`lib/ansible/plugins/inventory/__init__.py`): both brackets and a colon, anywhere.
fn is_range(pattern: &str) -> bool {
    pattern.contains('[') && pattern.contains(']') && pattern.contains(':')
}

/// `01:03` to `01`, `02`, `03`; `a:c`; with a third part, the step.
fn range_words(range: &str) -> Result<Vec<String>, String> {
    let bad = |what: &str| format!("`[{range}]` is not a range of hosts: {what}");
    let parts: Vec<&str> = range.split(':').collect();
    let (begin, end, step) = match parts[..] {
        [begin, end] => (begin, end, "1"),
        [begin, end, step] => (begin, end, step),
        _ => return Err(bad("write it like [1:9] or [1:9:2]")),
    };
    let begin = if begin.is_empty() { "0" } else { begin };
    if end.is_empty() {
        return Err(bad("it has no end"));
    }
    let step: usize =
        step.parse().ok().filter(|step| *step > 0).ok_or_else(|| bad("its step is not a number"))?;
    let letter = |word: &str| match word.as_bytes() {
        // The order of Python's `string.ascii_letters`: small letters come first.
        [byte @ b'a'..=b'z'] => Some(byte - b'a'),
        [byte @ b'A'..=b'Z'] => Some(byte - b'A' + 26),
        _ => None,
    };
    if let (Some(first), Some(last)) = (letter(begin), letter(end)) {
        if first > last {
            return Err(bad("it ends before it begins"));
        }
        let name = |number: u8| char::from(if number < 26 { b'a' + number } else { b'A' + number - 26 });
        return Ok((first..=last).step_by(step).map(|number| name(number).to_string()).collect());
    }
    let width = if begin.len() > 1 && begin.starts_with('0') { begin.len() } else { 0 };
    if width > 0 && width != end.len() {
        return Err(bad("both ends must have the same number of digits"));
    }
    let number = |word: &str| word.parse::<u64>().map_err(|_| bad("its ends are not numbers"));
    let (first, last) = (number(begin)?, number(end)?);
    if last.saturating_sub(first) / step as u64 > MOST as u64 {
        return Err(bad("it means too many hosts"));
    }
    Ok((first..=last).step_by(step).map(|number| format!("{number:0width$}")).collect())
}

/// A name and a port, where a pattern ends in one: `node:2222`, `[2001:db8::1]:22`.
pub(super) fn split_port(pattern: &str) -> (&str, Option<i64>) {
    if let Some((name, port)) = pattern.rsplit_once(':')
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = port.parse()
    {
        if let Some(inside) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'))
            && !inside.contains(['[', ']'])
        {
            return (inside, Some(number));
        }
        // A colon that is not in a range belongs to an address of IPv6, which then has no port.
        let bare: String = outside_ranges(name);
        if !bare.contains(':') && !name.is_empty() && name.matches('[').count() == name.matches(']').count() {
            return (name, Some(number));
        }
    }
    if let Some(inside) = pattern.strip_prefix('[').and_then(|name| name.strip_suffix(']'))
        && inside.contains(':')
        && inside.parse::<std::net::Ipv6Addr>().is_ok()
    {
        return (inside, None);
    }
    (pattern, None)
}

fn outside_ranges(name: &str) -> String {
    let mut depth = 0_usize;
    name.chars()
        .filter(|c| {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("node", "node")]
    #[case("node[1:3]", "node1 node2 node3")]
    #[case("node[08:10].lan", "node08.lan node09.lan node10.lan")]
    #[case("n[1:5:2]", "n1 n3 n5")]
    #[case("[a:c]", "a b c")]
    #[case("r[a:b]n[1:2]", "ran1 ran2 rbn1 rbn2")]
    #[case("n[:2]", "n0 n1 n2")]
    #[case("n[3:1]", "")]
    fn ranges(#[case] pattern: &str, #[case] expected: &str) {
        assert_eq!(expand(pattern).unwrap().join(" "), expected);
    }

    #[rstest]
    #[case("n[1:]", "it has no end")]
    #[case("n[01:100]", "same number of digits")]
    #[case("n[x1:y2]", "not numbers")]
    #[case("n[1:2:0]", "its step")]
    #[case("n[1:900000000]", "too many")]
    #[case("n[1:400][1:400]", "more than")]
    #[case("n[1:2:3:4]", "write it like")]
    #[case("n]1:2[", "no closing")]
    fn pattern_refuses_invalid_range(#[case] pattern: &str, #[case] expected: &str) {
        let error = expand(pattern).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[rstest]
    #[case("node:22", "node", Some(22))]
    #[case("node[1:3]:22", "node[1:3]", Some(22))]
    #[case("node[1:3]", "node[1:3]", None)]
    #[case("2001:db8::1", "2001:db8::1", None)]
    #[case("[2001:db8::1]:2222", "2001:db8::1", Some(2222))]
    #[case("[2001:db8::1]", "2001:db8::1", None)]
    #[case("10.0.0.1", "10.0.0.1", None)]
    fn ports(#[case] pattern: &str, #[case] name: &str, #[case] port: Option<i64>) {
        assert_eq!(split_port(pattern), (name, port));
    }
}
