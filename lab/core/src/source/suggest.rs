//! The nearest right word, and how a reader's own words are quoted.

/// `did you mean …?` where one of the known words is near, else all of them.
#[must_use]
pub fn one_of<'a>(plural: &str, written: &str, known: impl IntoIterator<Item = &'a &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().copied().collect();
    nearest(written, &known).map_or_else(
        || format!("known {plural}: {}", known.join(", ")),
        |word| format!("did you mean `{word}`?"),
    )
}

/// The known word that the written one most likely stands for, if any is near enough.
pub(crate) fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let written = fold(written);
    known
        .iter()
        .map(|word| (fold(word), *word))
        .map(|(folded, word)| (strsim::normalized_damerau_levenshtein(&written, &folded), folded, word))
        .filter(|(likeness, ..)| *likeness >= 0.6)
        // Of two that are as near, the one that was begun: `v2.30` is nearer to `v2.30.0` than to `v2.31.0`.
        .max_by(|(one, first, _), (other, second, _)| {
            let begun = |word: &str| word.starts_with(&written);
            one.total_cmp(other).then_with(|| begun(first).cmp(&begun(second)))
        })
        .map(|(.., word)| word)
}

/// `autoStart`, `auto-start` and `auto_start` are the same word to a person. Cut, so that no
/// written word costs much to compare.
fn fold(word: &str) -> String {
    word.chars().take(64).filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

/// What a reader wrote, between backticks, cut to what a message can hold.
pub(crate) fn quote(written: &str) -> String {
    format!("`{}`", shorten(written))
}

/// The first of many characters, on one line.
pub(crate) fn shorten(written: &str) -> String {
    let mut short: String = written.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if written.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

/// The known word that differs from the written one by the fewest slips of the fingers, if not by more than
/// `slips`.
pub(crate) fn nearest_within<'a>(
    written: &str,
    known: impl Iterator<Item = &'a str>,
    slips: usize,
) -> Option<&'a str> {
    let folded = fold(written);
    known
        .filter(|word| word.len().abs_diff(written.len()) <= slips + 3)
        .map(|word| (strsim::damerau_levenshtein(&folded, &fold(word)), word))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("v2.30", Some("v2.30.0"))]
    #[case("v2.31.1", Some("v2.31.0"))]
    #[case("master", None)]
    fn of_words_that_are_as_near_the_one_that_was_begun_is_meant(
        #[case] written: &str,
        #[case] meant: Option<&str>,
    ) {
        assert_eq!(nearest(written, &["v2.29.0", "v2.30.0", "v2.31.0"]), meant);
    }
}
