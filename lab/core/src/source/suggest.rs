//! The nearest right word, and how a reader's own words are quoted.

use std::collections::BTreeMap;

/// `did you mean …?` where one of the known words is near, else all of them.
pub fn one_of<'a>(plural: &str, written: &str, known: impl IntoIterator<Item = &'a &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().copied().collect();
    did_you_mean(nearest(written, &known), plural, &known)
}

/// As [`one_of`], where the nearest word was looked for already.
pub(crate) fn did_you_mean(nearest: Option<&str>, plural: &str, known: &[&str]) -> String {
    nearest.map_or_else(
        || format!("known {plural}: {}", known.join(", ")),
        |word| format!("did you mean `{word}`?"),
    )
}

/// The known word that the written one most likely stands for, if any is near enough.
pub(crate) fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let written = fold(written);
    let length = written.chars().count();
    known
        .iter()
        .map(|word| (fold(word), *word))
        // Every letter that one of the two lacks makes them less alike.
        .filter(|(folded, _)| {
            let other = folded.chars().count();
            length.abs_diff(other) * 5 <= length.max(other) * 2
        })
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

/// The text of a file's author, between backticks, cut to a length that fits a message.
pub(crate) fn quote(written: &str) -> String {
    format!("`{}`", shorten(written))
}

/// A word as people can see it: some variables may be an empty text.
pub(crate) fn visible(word: &str) -> &str {
    if word.is_empty() { "\"\"" } else { word }
}

/// The first of many characters, on one line.
pub(crate) fn shorten(written: &str) -> String {
    let mut short: String = written.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if written.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

/// Known words, arranged so that a written one is compared with few of them: thousands of names of the user's own
/// are each looked for among thousands of variables.
#[derive(Debug)]
pub(crate) struct KnownWords<'a> {
    /// By the number of letters.
    by_length: BTreeMap<usize, Vec<KnownWord<'a>>>,
}

#[derive(Debug)]
struct KnownWord<'a> {
    word: &'a str,
    folded: String,
    letters: u64,
    /// Its place among the known words.
    number: usize,
}

impl<'a> KnownWords<'a> {
    pub(crate) fn new(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut by_length: BTreeMap<usize, Vec<KnownWord<'a>>> = BTreeMap::new();
        for (number, word) in words.into_iter().enumerate() {
            let folded = fold(word);
            let letters = letters(&folded);
            let known = KnownWord { word, folded, letters, number };
            by_length.entry(known.folded.chars().count()).or_default().push(known);
        }
        Self { by_length }
    }

    /// The known word that differs from the written one by the fewest slips of the fingers, if not by more than
    /// `slips`. Of several, the first.
    pub(crate) fn nearest_within(&self, written: &str, slips: usize) -> Option<&'a str> {
        let folded = fold(written);
        self.candidates(&folded, slips)
            .map(|known| (strsim::damerau_levenshtein(&folded, &known.folded), known))
            .filter(|(distance, _)| *distance <= slips)
            .min_by_key(|(distance, known)| (*distance, known.number))
            .map(|(_, known)| known.word)
    }

    /// The words that may be as near as that: a slip adds, drops or replaces one letter, or swaps two.
    fn candidates(&self, folded: &str, slips: usize) -> impl Iterator<Item = &KnownWord<'a>> {
        let length = folded.chars().count();
        let written = letters(folded);
        let near = move |known: &&KnownWord<'a>| {
            let (added, dropped) = (written & !known.letters, known.letters & !written);
            added.count_ones().max(dropped.count_ones()) as usize <= slips
        };
        self.by_length
            .range(length.saturating_sub(slips)..=length + slips)
            .flat_map(|(_, words)| words)
            .filter(near)
    }
}

/// Which letters are in a word, a bit each; those beyond digits and the Latin alphabet share bits.
fn letters(folded: &str) -> u64 {
    folded.chars().fold(0, |letters, c| {
        let bit = match c {
            'a'..='z' => c as u32 - 'a' as u32,
            '0'..='9' => 26 + (c as u32 - '0' as u32),
            _ => 36 + c as u32 % 28,
        };
        letters | 1 << bit
    })
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

    #[rstest::rstest]
    #[case::added("calico_mttu", Some("calico_mtu"))]
    #[case::dropped("calico_mu", Some("calico_mtu"))]
    #[case::replaced("calico_mxu", Some("calico_mtu"))]
    #[case::swapped("calico_mut", Some("calico_mtu"))]
    #[case::first_letter("xalico_mtu", Some("calico_mtu"))]
    #[case::spelling("Calico-MTU", Some("calico_mtu"))]
    #[case::two_slips("calcio_mtuu", Some("calico_mtu"))]
    #[case::three_slips("calcio_mtuuu", None)]
    #[case::of_two_the_first("kube_x", Some("kube_b"))]
    #[case::of_two_the_nearer("kube_aa", Some("kube_a"))]
    #[case::empty("", None)]
    fn nearest_within_finds_a_word_by_its_slips(#[case] written: &str, #[case] meant: Option<&str>) {
        let known = KnownWords::new(["calico_mtu", "kube_b", "kube_a", "größe"]);
        assert_eq!(known.nearest_within(written, 2), meant);
    }

    proptest::proptest! {
        /// Words that are not compared are never near enough.
        #[test]
        fn nearest_within_equals_an_exhaustive_search(
            written in "[abc1_ß]{0,7}", known in proptest::collection::vec("[abc1_ß]{0,7}", 0..8), slips in 0_usize..3,
        ) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let distance = |word: &str| strsim::damerau_levenshtein(&fold(&written), &fold(word));
            let nearest = known.iter().copied().filter(|word| distance(word) <= slips).min_by_key(|word| distance(word));
            proptest::prop_assert_eq!(KnownWords::new(known.iter().copied()).nearest_within(&written, slips), nearest);
        }
    }

    /// Every name of a home lab's own was once compared with every variable of Kubespray, for 20 seconds.
    #[test]
    fn nearest_within_compares_an_own_name_with_few_variables() {
        let index = crate::kubespray::index::Index::known("v2.31.0").unwrap();
        let known = KnownWords::new(index.variables.keys().map(String::as_str));
        let services = ["jellyfin", "grafana", "backup", "wireguard", "nextcloud"];
        let settings = ["version", "enabled", "data_dir", "namespace", "node_port", "image_tag", "replicas"];
        let own: Vec<String> = services
            .iter()
            .flat_map(|service| settings.map(|setting| format!("{service}_{setting}")))
            .collect();
        let compared: usize = own.iter().map(|name| known.candidates(&fold(name), 2).count()).sum();
        let all = own.len() * index.variables.len();
        assert!(compared * 500 < all, "{compared} of {all} pairs are compared");
    }
}
