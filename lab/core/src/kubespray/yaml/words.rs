//! The type of a scalar in YAML 1.1, as PyYAML and so Ansible has it: `yes` is a boolean and `010` is eight.
//! Both readers of the room ask here, the one of inventories and the one of a checkout.

/// A scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::kubespray) enum Word {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    /// The text in the file.
    Text,
}

/// A scalar with the tag that stands before it. One in quotes or in a block is a text, unless a tag says otherwise.
pub(super) fn scalar(value: &str, is_plain: bool, tag: Option<&str>) -> Word {
    match (is_plain, tag) {
        (true, None) | (_, Some("!!int" | "!!bool" | "!!null")) => plain(value),
        (_, Some("!!float")) => match plain(value) {
            Word::Integer(value) => value.to_string().parse().map_or(Word::Text, Word::Float),
            word => word,
        },
        _ => Word::Text,
    }
}

/// The type of a plain scalar in YAML 1.1 (<https://yaml.org/type/>, as PyYAML has it).
fn plain(value: &str) -> Word {
    let Some(first) = value.bytes().next() else { return Word::Null };
    // Most scalars are words: only these can start something else.
    if !matches!(first, b'0'..=b'9' | b'+' | b'-' | b'.' | b'~')
        && !matches!(first.to_ascii_lowercase(), b'y' | b'n' | b't' | b'f' | b'o')
    {
        return Word::Text;
    }
    match value {
        "~" | "null" | "Null" | "NULL" => return Word::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Word::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Word::Bool(false),
        _ => {}
    }
    integer(value).map(Word::Integer).or_else(|| float(value).map(Word::Float)).unwrap_or(Word::Text)
}

/// `-12`, `1_000`, `0x1f`, `0b101`, `017` (octal), `1:30` (base 60).
fn integer(value: &str) -> Option<i64> {
    let (negative, digits) = match value.as_bytes().first()? {
        b'-' => (true, &value[1..]),
        b'+' => (false, &value[1..]),
        _ => (false, value),
    };
    let number = |digits: &str, radix: u32| {
        let clean: String = digits.chars().filter(|c| *c != '_').collect();
        i64::from_str_radix(&clean, radix).ok().filter(|_| !clean.starts_with(['-', '+']))
    };
    let parsed = if let Some(hexadecimal) = digits.strip_prefix("0x") {
        number(hexadecimal, 16)
    } else if let Some(binary) = digits.strip_prefix("0b") {
        number(binary, 2)
    } else if digits == "0" {
        Some(0)
    } else if let Some(octal) = digits.strip_prefix('0') {
        number(octal, 8)
    } else if digits.starts_with(|c: char| c.is_ascii_digit()) {
        let mut parts = digits.split(':');
        let mut total = number(parts.next()?, 10)?;
        for part in parts {
            let part = Some(part).filter(|part| matches!(part.len(), 1 | 2))?;
            let part = part.parse::<i64>().ok().filter(|part| (0..60).contains(part))?;
            total = total.checked_mul(60)?.checked_add(part)?;
        }
        Some(total)
    } else {
        None
    }?;
    Some(if negative { -parsed } else { parsed })
}

/// `1.5`, `.5`, `1.`, `1.5e+3`; neither `1e3` nor an infinity, which JSON cannot say.
fn float(value: &str) -> Option<f64> {
    let unsigned = value.strip_prefix(['-', '+']).unwrap_or(value);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let starts = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let bare = whole.is_empty() && starts(fraction) && unsigned == value;
    if !digits(whole) || !digits(fraction) || !(starts(whole) || bare) {
        return None;
    }
    if let Some(exponent) = exponent {
        let behind = exponent.strip_prefix(['-', '+'])?;
        if behind.is_empty() || !behind.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
    }
    let clean: String = value.chars().filter(|c| *c != '_').collect();
    clean.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::yes("yes", Word::Bool(true))]
    #[case::off("Off", Word::Bool(false))]
    #[case::whole("10255", Word::Integer(10255))]
    #[case::octal("0640", Word::Integer(416))]
    #[case::sixty("1:30", Word::Integer(90))]
    #[case::negative("-1", Word::Integer(-1))]
    #[case::decimal("1.30", Word::Float(1.3))]
    #[case::version("1.34.3", Word::Text)]
    #[case::address("10.233.0.0/18", Word::Text)]
    #[case::exponent_without_sign("1.0e3", Word::Text)]
    #[case::not_octal("0900", Word::Text)]
    #[case::word("calico", Word::Text)]
    #[case::y("y", Word::Text)]
    #[case::fraction(".5", Word::Float(0.5))]
    #[case::signed_fraction("-.5", Word::Text)]
    #[case::too_large("99999999999999999999", Word::Text)]
    fn word_is_what_ansible_takes_it_for(#[case] text: &str, #[case] expected: Word) {
        assert_eq!(plain(text), expected);
    }

    #[rstest]
    #[case::quoted("5", false, None, Word::Text)]
    #[case::tagged_number("5", false, Some("!!int"), Word::Integer(5))]
    #[case::tagged_fraction("5", false, Some("!!float"), Word::Float(5.0))]
    #[case::tagged_text("5", true, Some("!!str"), Word::Text)]
    #[case::unsafe_text("yes", true, Some("!unsafe"), Word::Text)]
    fn scalar_is_what_its_quotes_and_its_tag_say(
        #[case] text: &str,
        #[case] is_plain: bool,
        #[case] tag: Option<&str>,
        #[case] expected: Word,
    ) {
        assert_eq!(scalar(text, is_plain, tag), expected);
    }
}
