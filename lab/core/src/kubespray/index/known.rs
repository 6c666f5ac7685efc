//! The indexes that come with the program.

use super::Index;

/// The text of each one, as [`super::write()`] makes it. Oldest first.
const KNOWN: &[(&str, &str)] = &[
    ("v2.29.0", include_str!("../indexes/v2.29.0.json")),
    ("v2.29.1", include_str!("../indexes/v2.29.1.json")),
    ("v2.30.0", include_str!("../indexes/v2.30.0.json")),
    ("v2.31.0", include_str!("../indexes/v2.31.0.json")),
];

/// The tags of the releases whose index comes with the program, oldest first.
pub fn known_tags() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(tag, _)| *tag)
}

/// The text of the index of a known release, byte for byte as it was made.
pub fn known_text(tag: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(known, _)| *known == tag).map(|(_, text)| *text)
}

impl Index {
    /// The index of a known release.
    pub fn known(tag: &str) -> Option<Self> {
        // A test reads every one of them.
        serde_json::from_str(known_text(tag)?).ok()
    }
}
