//! House rules that a compiler does not know, checked on the text of every file git knows.

use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;

use crate::cx::Cx;
use crate::layers;

/// A file, its path relative to the checkout.
struct File<'a> {
    path: &'a str,
    text: &'a str,
}

/// A rule gives each line (from 1) where it is broken, and in what way.
type Rule = fn(&File<'_>) -> Vec<(usize, String)>;

const RULES: [Rule; 7] = [
    module_docs,
    libvirt_in_one_room,
    timeouts_in_one_table,
    pure_core,
    names_of_elsewhere,
    length,
    words_that_are_gone,
];
/// How many lines a file of code may have.
const LONGEST_FILE: usize = 500;

/// Every breach of a rule, as `path:line: what`.
///
/// # Errors
/// When git cannot list the files or one cannot be read.
pub fn breaches(cx: &Cx) -> anyhow::Result<Vec<String>> {
    let list = cx.sh.cmd("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let list = list.quiet().read().context("cannot list the files of the checkout")?;
    let (mut breaches, mut rust) = (Vec::new(), Vec::new());
    for path in list.split('\0').filter(|path| !path.is_empty()) {
        // Files that were removed and not yet committed are still on the list.
        let Ok(bytes) = std::fs::read(cx.folders.root.join(path)) else { continue };
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let file = File { path, text: &text };
        let mut found: Vec<_> = RULES.iter().flat_map(|rule| rule(&file)).collect();
        found.extend(links(&file, &|target| cx.folders.root.join(target).exists()));
        breaches.extend(found.into_iter().map(|(line, what)| format!("{path}:{line}: {what}")));
        if is_rust(path) {
            rust.push((path.to_owned(), text));
        }
    }
    let table = std::fs::read_to_string(cx.folders.root.join(layers::TABLE));
    breaches.extend(layers::breaches(&table.context("cannot read the table of floors")?, &rust));
    Ok(breaches)
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.starts_with("tests/") || path.contains("/tests/")
}

/// A module says what it owns before anything else.
fn module_docs(file: &File<'_>) -> Vec<(usize, String)> {
    if !is_rust(file.path) || is_test(file.path) || file.text.starts_with("//!") {
        return Vec::new();
    }
    vec![(1, "a module starts with `//!` and says what it owns".into())]
}

/// A long file has seams to be cut along.
fn length(file: &File<'_>) -> Vec<(usize, String)> {
    let is_code = [".rs", ".py", ".go", ".sh"].iter().any(|end| file.path.ends_with(end));
    let lines = file.text.lines().count();
    if !is_code || lines <= LONGEST_FILE {
        return Vec::new();
    }
    vec![(LONGEST_FILE + 1, format!("the file has {lines} lines, {LONGEST_FILE} are allowed"))]
}

/// Lines of a file with their numbers, up to the unit tests at its end.
fn code<'a>(file: &File<'a>) -> impl Iterator<Item = (usize, &'a str)> {
    let lines = file.text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines.take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
}

/// Whether a line names this path of modules, and not one that ends alike.
fn names(line: &str, path: &str) -> bool {
    let before = |place: usize| line[..place].chars().next_back();
    let is_word = |character: char| character.is_alphanumeric() || character == '_' || character == ':';
    !line.trim_start().starts_with("//")
        && line.match_indices(path).any(|(place, _)| !before(place).is_some_and(is_word))
}

/// Only one room knows the binding to libvirt.
fn libvirt_in_one_room(file: &File<'_>) -> Vec<(usize, String)> {
    let is_room = file.path.starts_with("lab/src/provider/libvirt");
    if !is_rust(file.path) || is_room {
        return Vec::new();
    }
    let found = code(file).filter(|(_, line)| names(line, concat!("virt", "::")));
    found
        .map(|(line, _)| (line, "only lab/src/provider/libvirt may use the binding to libvirt".into()))
        .collect()
}

/// A duration of the `lab` binary is a named constant in one table, with its reason.
fn timeouts_in_one_table(file: &File<'_>) -> Vec<(usize, String)> {
    const TABLE: &str = "lab/src/timeouts.rs";
    let is_free = !file.path.starts_with("lab/src/") || file.path == TABLE || is_test(file.path);
    if !is_rust(file.path) || is_free {
        return Vec::new();
    }
    let is_constant = |line: &str| line.contains("const ") && line.contains(": Duration =");
    let is_literal = |line: &str| {
        let call = line.split("Duration::from_").skip(1).filter_map(|rest| rest.split_once('('));
        call.map(|(_, value)| value).any(|value| value.starts_with(|first: char| first.is_ascii_digit()))
    };
    let found = code(file).filter(|(_, line)| is_constant(line) || is_literal(line));
    found.map(|(line, _)| (line, format!("name the duration in {TABLE}, with its reason"))).collect()
}

/// `lab-core` does no I/O, and reads no clock and no environment.
fn pure_core(file: &File<'_>) -> Vec<(usize, String)> {
    const IMPURE: [&str; 8] = [
        "std::fs",
        "std::env",
        "std::io::std",
        "std::process",
        "std::thread",
        "std::time::Instant",
        "std::time::SystemTime",
        "std::net::Tcp",
    ];
    if !is_rust(file.path) || !file.path.starts_with("lab/core/src/") || is_test(file.path) {
        return Vec::new();
    }
    let found = code(file).flat_map(|(line, text)| {
        IMPURE
            .iter()
            .filter(move |path| names(text, path))
            .map(move |path| (line, format!("lab-core must not use {path}")))
    });
    found.collect()
}

/// Nothing of one computer or of one way to the package registries belongs in the checkout.
fn names_of_elsewhere(file: &File<'_>) -> Vec<(usize, String)> {
    const ELSEWHERE: [&str; 7] = [
        concat!("/wo", "rk/"),
        concat!("deb.", "debian.org"),
        concat!("pypi.", "org"),
        concat!("files.", "pythonhosted.org"),
        concat!("crates.", "io/"),
        concat!("registry.", "npmjs.org"),
        concat!("proxy.", "golang.org"),
    ];
    // Cargo writes the name of its index there.
    if file.path == "Cargo.lock" {
        return Vec::new();
    }
    let lines = file.text.lines().enumerate();
    let found = lines.flat_map(|(index, line)| {
        let names = ELSEWHERE.iter().filter(move |name| line.contains(**name));
        names.map(move |name| (index + 1, format!("{name} is a name of one computer or registry")))
    });
    found.collect()
}

/// Names that a newcomer could not guess, and words without a subject, were replaced by the field's words, and do not come
/// back. A lower-case word is refused in any case.
fn words_that_are_gone(file: &File<'_>) -> Vec<(usize, String)> {
    const GONE: [(&str, &str); 8] = [
        (concat!("Trou", "ble"), "an error, as `FetchError`"),
        (concat!("Wish", "es"), "options, as `DeployOptions`"),
        (concat!("Work", "shop"), "a context, as `ApplyContext`"),
        (concat!("She", "lf"), "what it holds, as `ServedArtifacts`"),
        (concat!("no", "body"), "what is missing, as `no process`"),
        (concat!("some", "body"), "who it is, as `the user`"),
        (concat!("to", "ld"), "the verb, as `reported`"),
        (concat!("who", "ever"), "who does it"),
    ];
    let lines = file.text.lines().enumerate().filter(|_| is_rust(file.path) || file.path.ends_with(".md"));
    let found = lines.flat_map(|(index, line)| {
        let lower = line.to_lowercase();
        let gone = GONE.iter().filter(move |(word, _)| has_word(line, word) || has_word(&lower, word));
        gone.map(move |(word, instead)| {
            (index + 1, format!("`{word}` is gone from our words: name {instead}"))
        })
    });
    found.collect()
}

/// Whether a word stands in a line by itself, as it is written.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(place, _)| {
        let before = line[..place].chars().next_back();
        let after = line[place + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Links of Markdown to files lead somewhere.
fn links(file: &File<'_>, exists: &dyn Fn(&Path) -> bool) -> Vec<(usize, String)> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let folder = Path::new(file.path).parent().unwrap_or(Path::new(""));
    let mut broken = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !exists(&normal(&folder.join(target))) {
                broken.push((index + 1, format!("the link to {target} leads nowhere")));
            }
        }
    }
    broken
}

/// Without `.` and `..`, so that a link through a folder that does not exist is found.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: Rule, path: &str, text: &str) -> Vec<usize> {
        rule(&File { path, text }).into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn modules_say_what_they_own() {
        assert_eq!(lines(module_docs, "lab/src/a.rs", "use std;\n"), [1]);
        assert_eq!(lines(module_docs, "lab/src/a.rs", "//! Owns a.\n"), []);
        assert_eq!(lines(module_docs, "lab/src/a/tests.rs", "use std;\n"), []);
        assert_eq!(lines(module_docs, "README.md", "use std;\n"), []);
    }

    #[test]
    fn lint_refuses_libvirt_binding_outside_its_room() {
        let text =
            concat!("use virt", "::Connect;\nlet x = libvirt", "::x();\n// virt", "::y\n  virt", "::z()\n");
        assert_eq!(lines(libvirt_in_one_room, "lab/src/machines/make.rs", text), [1, 4]);
        assert_eq!(lines(libvirt_in_one_room, "lab/src/provider/libvirt/domain.rs", text), []);
    }

    #[test]
    fn lint_refuses_durations_outside_their_table() {
        let text = "const A: Duration = B;\nwait(Duration::from_secs(3));\nDuration::from_secs(seconds);\n\
            Duration::ZERO\n#[cfg(test)]\nconst C: Duration = Duration::from_millis(1);\n";
        assert_eq!(lines(timeouts_in_one_table, "lab/src/machines/make.rs", text), [1, 2]);
        for free in
            ["lab/src/timeouts.rs", "lab/src/image/tests.rs", "tests/src/lab.rs", "lab/core/src/load.rs"]
        {
            assert_eq!(lines(timeouts_in_one_table, free, text), [] as [usize; 0], "{free}");
        }
    }

    #[test]
    fn lint_refuses_io_in_core_outside_its_tests() {
        let text =
            "//! Pure.\nuse std::fs;\nlet now = std::time::SystemTime::now();\n#[cfg(test)]\nuse std::fs;\n";
        assert_eq!(lines(pure_core, "lab/core/src/plan.rs", text), [2, 3]);
        assert_eq!(lines(pure_core, "lab/core/src/plan/tests.rs", text), []);
        assert_eq!(lines(pure_core, "lab/src/files.rs", text), []);
    }

    #[test]
    fn no_names_of_elsewhere() {
        let text = concat!("cd /wo", "rk/main\nhttp://deb.", "debian.org/debian\nfine\n");
        assert_eq!(lines(names_of_elsewhere, "docs/a.md", text), [1, 2]);
    }

    #[test]
    fn file_of_code_is_at_most_so_long() {
        let text = "x\n".repeat(LONGEST_FILE + 1);
        assert_eq!(lines(length, "lab/src/a.rs", &text), [LONGEST_FILE + 1]);
        assert_eq!(lines(length, "docs/a.md", &text), [] as [usize; 0]);
        assert_eq!(lines(length, "lab/src/a.rs", &text[2..]), [] as [usize; 0]);
    }

    #[test]
    fn lint_names_replacement_of_gone_words() {
        let text = concat!("enum Trou", "ble {}\nenum Trou", "bleshooting {}\n");
        assert_eq!(lines(words_that_are_gone, "lab/src/a.rs", text), [1]);
    }

    #[test]
    fn vague_words_are_refused_in_rust_and_markdown() {
        let text = concat!("// No", "body is to", "ld.\nlet to", "ld_by = 1;\n\"some", "body\"\n");
        assert_eq!(lines(words_that_are_gone, "lab/core/src/a.rs", text), [1, 1, 3]);
        assert_eq!(lines(words_that_are_gone, "README.md", text), [1, 1, 3]);
        assert_eq!(lines(words_that_are_gone, "lab/core/src/a.snap", text), [] as [usize; 0]);
    }

    #[test]
    fn links_lead_to_files() {
        let text =
            "[a](b.md) and [c](../README.md#top), [d](https://example.com/x)\n[e](gone.md) [f](#here)\n";
        let exists = |path: &Path| [Path::new("docs/b.md"), Path::new("README.md")].contains(&path);
        let broken = links(&File { path: "docs/a.md", text }, &exists);
        assert_eq!(broken, [(2, "the link to gone.md leads nowhere".to_owned())]);
    }
}
