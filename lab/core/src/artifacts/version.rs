//! Which version a lock's entry asks for, read from its address.

/// The version in the address of a file, without `v`: the last segment of the URL that has one says it.
///
/// ```
/// let of = lab_core::artifacts::of_file;
/// assert_eq!(of("https://x/releases/download/v2.2.1/containerd-2.2.1-linux-amd64.tar.gz"), Some("2.2.1".to_owned()));
/// assert_eq!(of("https://dl.k8s.io/release/v1.34.3/bin/linux/amd64/kubeadm"), Some("1.34.3".to_owned()));
/// ```
pub fn of_file(url: &str) -> Option<String> {
    url.rsplit('/').find_map(in_segment)
}

/// The version in the reference of an image, without `v`: its tag, unless that says no version.
pub fn of_image(reference: &str) -> Option<String> {
    let (reference, _digest) = reference.split_once('@').unwrap_or((reference, ""));
    let (_, tag) = reference.rsplit_once('/').unwrap_or(("", reference)).1.split_once(':')?;
    let version = tag.strip_prefix('v').unwrap_or(tag);
    version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
}

/// The version of the libraries that Kubernetes publishes with itself: `0.34.3` for 1.34.3. They are developed in its
/// `staging/` folder and tagged together with it.
pub fn staging(kubernetes: &str) -> Option<String> {
    Some(format!("0.{}", kubernetes.strip_prefix("1.")?))
}

/// The first `1.2` or longer in a segment, with the suffix of a release (`-rc.1`).
fn in_segment(segment: &str) -> Option<String> {
    let starts = segment.char_indices().filter(|(at, character)| {
        let before = segment[..*at].chars().next_back();
        character.is_ascii_digit() && before.is_none_or(|before| matches!(before, '-' | '_' | '.'))
            || character.is_ascii_digit() && before == Some('v')
    });
    starts.map(|(at, _)| &segment[at..]).find_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let mut number = rest[..end].trim_end_matches('.').to_owned();
        if !number.contains('.') {
            return None;
        }
        for added in ["-alpha.", "-beta.", "-rc."] {
            if let Some(after) = rest[number.len()..].strip_prefix(added) {
                let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
                number = format!("{number}{added}{digits}");
            }
        }
        Some(number)
    })
}
