//! Which mirror of Debian the computer itself uses, from its apt sources.
//!
//! Pure text work but for [`of_this_computer`]. No mirror is named here: where the computer has none,
//! mmdebstrap knows its own.

use std::path::Path;

/// One apt source of binary packages, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// Without a trailing slash.
    pub uri: String,
    pub suite: String,
    pub components: Vec<String>,
}

/// The mirror named by `/etc/apt` below `root`; `None` unless that computer runs Debian and names one.
pub(super) fn of_this_computer(root: &Path) -> Option<String> {
    let release = std::fs::read_to_string(root.join("etc/os-release")).ok()?;
    let field = |name: &str| {
        let value = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim_matches('"').to_owned())
    };
    let codename = (field("ID")? == "debian").then(|| field("VERSION_CODENAME"))??;
    let apt = root.join("etc/apt");
    let mut sources = Vec::new();
    if let Ok(text) = std::fs::read_to_string(apt.join("sources.list")) {
        sources.extend(one_line(&text));
    }
    let mut paths: Vec<_> = std::fs::read_dir(apt.join("sources.list.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect();
    paths.sort();
    for path in paths {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.extend(one_line(&text)),
            Some("sources") => sources.extend(deb822(&text)),
            _ => {}
        }
    }
    archive(&sources, &codename)
}

/// Picks Debian's own archive among sources: of those that serve the computer's suite with `main`, the one
/// that also serves its updates suite, else the one whose path ends in `/debian`. Others' repositories use
/// the name of the suite too; neither is true of them.
pub(super) fn archive(sources: &[Source], codename: &str) -> Option<String> {
    let updates = format!("{codename}-updates");
    sources
        .iter()
        .filter(|source| source.suite == codename && source.components.iter().any(|name| name == "main"))
        .filter(|source| source.uri.starts_with("http://") || source.uri.starts_with("https://"))
        .map(|source| {
            let same = |other: &&Source| other.uri == source.uri && other.suite == updates;
            (
                u8::from(sources.iter().any(|other| same(&other))) * 2
                    + u8::from(source.uri.ends_with("/debian")),
                source,
            )
        })
        .filter(|(score, _)| *score > 0)
        // The first of the best.
        .rev()
        .max_by_key(|(score, _)| *score)
        .map(|(_, source)| source.uri.clone())
}

/// Reads the one-line format of sources.list(5). Lines that are not understood are left out.
pub(super) fn one_line(text: &str) -> Vec<Source> {
    text.lines()
        .filter_map(|line| {
            let line = line.split('#').next().unwrap_or_default().trim();
            let rest =
                line.strip_prefix("deb").filter(|rest| rest.starts_with(char::is_whitespace))?.trim_start();
            let rest = match rest.strip_prefix('[') {
                Some(options) => options.split_once(']')?.1,
                None => rest,
            };
            let mut words = rest.split_whitespace();
            let uri = words.next()?.trim_end_matches('/').to_owned();
            let suite = words.next()?.to_owned();
            Some(Source { uri, suite, components: words.map(str::to_owned).collect() })
        })
        .collect()
}

/// Reads the deb822 format of sources.list(5): stanzas of fields, each with every URI times every suite.
pub(super) fn deb822(text: &str) -> Vec<Source> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines.split(|line| line.trim().is_empty()).flat_map(stanza).collect()
}

fn stanza(lines: &[&str]) -> Vec<Source> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t']) {
            // A continuation of the field above.
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let words = |name: &str| -> Vec<String> {
        let value = fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value);
        value.split_whitespace().map(str::to_owned).collect()
    };
    let off = words("enabled").first().is_some_and(|word| word.eq_ignore_ascii_case("no"));
    if off || !words("types").iter().any(|kind| kind == "deb") {
        return Vec::new();
    }
    let components = words("components");
    words("uris")
        .iter()
        .flat_map(|uri| {
            words("suites").into_iter().map(move |suite| (uri.trim_end_matches('/').to_owned(), suite))
        })
        .map(|(uri, suite)| Source { uri, suite, components: components.clone() })
        .collect()
}
