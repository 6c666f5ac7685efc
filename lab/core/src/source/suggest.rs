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
        .map(|word| (strsim::normalized_damerau_levenshtein(&written, &fold(word)), *word))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, word)| word)
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
