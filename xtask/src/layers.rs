//! The rule `layers`: rooms import only from floors below their own. The order of floors is the table in ARCHITECTURE.md.
//!
//! A room is a module at the top of a crate. Reads text and must not compile anything; unit tests may import what they like.

use std::collections::BTreeMap;

/// Where the table is.
pub const TABLE: &str = "ARCHITECTURE.md";
/// The first words of a table's fence; the folder of a crate's sources follows.
const FENCE: &str = "```floors ";

/// The rooms of one crate, each with the number of its floor; the ground has the highest.
#[derive(Debug, PartialEq, Eq)]
struct Floors {
    folder: String,
    rooms: BTreeMap<String, usize>,
}

/// One line of a file.
type Line = (usize, String);

/// Checks all files against the tables. Gives each breach as `path:line: what`.
pub fn breaches(table: &str, files: &[(String, String)]) -> Vec<String> {
    let (all, mut found) = floors(table);
    for floors in &all {
        let mut there = BTreeMap::new();
        for (path, text) in files {
            let inside = path.strip_prefix(&format!("{}/", floors.folder));
            let Some(module) = inside.and_then(|path| path.strip_suffix(".rs")) else { continue };
            let room = module.split('/').next().unwrap_or_default();
            there.insert(room.to_owned(), path);
            let is_test = module.split('/').any(|part| part == "tests");
            let own = floors.rooms.get(room).filter(|_| !is_test);
            let Some(own) = own else { continue };
            for (line, target) in imports(module, text) {
                if target != room && floors.rooms.get(&target).is_some_and(|floor| floor <= own) {
                    found.push(format!(
                        "{path}:{line}: `{room}` imports `{target}`, which is not on a floor below it"
                    ));
                }
            }
        }
        let missing = there.iter().filter(|(room, _)| !floors.rooms.contains_key(*room));
        found.extend(missing.map(|(room, path)| format!("{path}:1: `{room}` is on no floor of {TABLE}")));
        let gone = floors.rooms.keys().filter(|room| !there.contains_key(*room));
        found.extend(gone.map(|room| format!("{TABLE}:1: `{}` has no room `{room}`", floors.folder)));
    }
    found
}

/// The tables of a text, and the mistakes in them.
fn floors(text: &str) -> (Vec<Floors>, Vec<String>) {
    let (mut all, mut wrong) = (Vec::<Floors>::new(), Vec::new());
    let mut is_inside = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(folder) = line.strip_prefix(FENCE) {
            all.push(Floors { folder: folder.trim().to_owned(), rooms: BTreeMap::new() });
            is_inside = true;
        } else if line.starts_with("```") {
            is_inside = false;
        } else if is_inside && let Some(floors) = all.last_mut() {
            for room in line.split('#').next().unwrap_or_default().split_whitespace() {
                if floors.rooms.insert(room.to_owned(), index).is_some() {
                    wrong.push(format!("{TABLE}:{}: `{room}` stands on two floors", index + 1));
                }
            }
        }
    }
    if all.is_empty() {
        wrong.push(format!(
            "{TABLE}:1: there is no table of floors, a block that begins with `{}`",
            FENCE.trim()
        ));
    }
    (all, wrong)
}

/// The rooms that a file names, with lines, up to its unit tests.
fn imports(module: &str, text: &str) -> Vec<Line> {
    let depth = if ["main", "lib"].contains(&module) { 0 } else { module.split('/').count() };
    let code = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    let code: Vec<&str> = code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    let from_root = std::iter::once(("crate::".to_owned(), 0)).chain([("super::".repeat(depth), depth)]);
    for (prefix, supers) in from_root {
        // The first level's `super` is the crate itself; the root has none.
        if prefix.is_empty() {
            continue;
        }
        for (place, _) in code.match_indices(&prefix) {
            let before = code[..place].chars().next_back();
            let is_longer = |character: char| character.is_alphanumeric() || "_:$".contains(character);
            if before.is_some_and(is_longer) {
                continue;
            }
            let rest = &code[place + prefix.len()..];
            if supers > 0 && rest.starts_with("super::") {
                continue;
            }
            let line = code[..place].matches('\n').count() + 1;
            found.extend(first_names(rest).into_iter().map(|(below, name)| (line + below, name)));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The first names of a path, or of each path in braces, with the lines below the start.
fn first_names(rest: &str) -> Vec<Line> {
    let name = |text: &str| -> String {
        text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
    };
    let Some(inside) = rest.strip_prefix('{') else { return vec![(0, name(rest))] };
    let (mut depth, mut line, mut is_first, mut names) = (0, 0, true, Vec::new());
    for (place, character) in inside.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_first = true,
            '\n' => line += 1,
            _ if is_first && !character.is_whitespace() => {
                names.push((line, name(&inside[place..])));
                is_first = false;
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOORS: &str =
        "# Floors\n\n```floors lab/src\nmain\ncli\nmachines snapshot   # two rooms\nfiles\n```\n";

    fn checked(files: &[(&str, &str)]) -> Vec<String> {
        let rooms = ["main", "cli", "machines", "snapshot", "files"];
        let mut all: Vec<(String, String)> =
            rooms.iter().map(|room| (format!("lab/src/{room}.rs"), String::new())).collect();
        all.extend(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
        breaches(FLOORS, &all)
    }

    #[test]
    fn layers_refuses_imports_of_the_same_floor_and_of_floors_above() {
        let text = "//! crate::cli\nuse crate::{\n    cli::{machines, x},\n    files,\n};\nuse super::super::snapshot;\n\nfn f() {\n    crate::main::g()\n}\n";
        assert_eq!(
            checked(&[("lab/src/machines/up.rs", text)]),
            [
                "lab/src/machines/up.rs:3: `machines` imports `cli`, which is not on a floor below it",
                "lab/src/machines/up.rs:6: `machines` imports `snapshot`, which is not on a floor below it",
                "lab/src/machines/up.rs:9: `machines` imports `main`, which is not on a floor below it",
            ]
        );
    }

    #[test]
    fn layers_allows_imports_of_floors_below_of_the_own_room_and_in_unit_tests() {
        let text = "use crate::files;\nuse crate::machines::down;\nuse super::apply;\n\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n";
        assert_eq!(checked(&[("lab/src/machines/up.rs", text)]), Vec::<String>::new());
        assert_eq!(checked(&[("lab/src/files/tests.rs", "use crate::cli;")]), Vec::<String>::new());
    }

    #[test]
    fn layers_wants_every_room_on_one_floor() {
        assert_eq!(
            checked(&[("lab/src/gpu.rs", "")]),
            ["lab/src/gpu.rs:1: `gpu` is on no floor of ARCHITECTURE.md"]
        );
        assert_eq!(
            breaches("```floors lab/src\na\na\n```\n", &[("lab/src/b.rs".into(), String::new())]),
            [
                "ARCHITECTURE.md:3: `a` stands on two floors",
                "lab/src/b.rs:1: `b` is on no floor of ARCHITECTURE.md",
                "ARCHITECTURE.md:1: `lab/src` has no room `a`",
            ]
        );
        assert_eq!(breaches("", &[]).len(), 1);
    }
}
