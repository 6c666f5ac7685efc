//! Which variables the tasks and templates of a checkout use, and which names they make themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::jinja::{self, Uses};
use crate::kubespray::yaml::{Node, Value, Word};

/// The names that the files of a checkout use.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Every name, with the first line of each file that uses it.
    pub(super) used: BTreeMap<String, BTreeMap<String, u32>>,
    /// Names that tasks make for themselves: facts, results, loop variables, variables of a task.
    pub(super) local: BTreeSet<String>,
    /// Inventory groups.
    pub(super) groups: BTreeSet<String>,
    /// How the names of groups begin that tasks make while they run.
    pub(super) made_groups: BTreeSet<String>,
    /// Tables of checksums, with the variable that chooses from them.
    pub(super) lookups: BTreeMap<String, String>,
    /// Pieces of Jinja that had to be read word by word: file, line, the parser's message.
    pub(super) refused: Vec<(String, u32, String)>,
}

/// Keys whose values are expressions without `{{ }}`.
const EXPRESSIONS: &[&str] = &["when", "that", "until", "failed_when", "changed_when", "var"];

/// The names that Ansible and Jinja give every task and template.
const MAGIC: &[&str] = &[
    "item",
    "inventory_hostname",
    "groups",
    "group_names",
    "hostvars",
    "omit",
    "lookup",
    "query",
    "q",
    "range",
    "ansible_facts",
    "playbook_dir",
    "role_path",
    "inventory_dir",
    "inventory_file",
    "undef",
    "now",
    "dict",
    "namespace",
    "loop",
    "vars",
    "play_hosts",
    "environment",
    "true",
    "false",
    "lipsum",
    "cycler",
    "joiner",
];

/// Whether a name that nothing defines is a variable for people to set. One word alone is nearly
/// always a name of the task's own, but for these.
pub(super) fn settable(name: &str) -> bool {
    !MAGIC.contains(&name)
        && !name.starts_with("ansible_")
        && (name.trim_matches('_').contains('_') || matches!(name, "ip" | "ip6" | "ipip" | "serial" | "node"))
}

impl References {
    /// Reads a template, all of it.
    pub(super) fn template(&mut self, path: &str, text: &str) {
        let uses = jinja::template(text);
        self.take(path, uses, |_, line| line + 1);
    }

    /// Reads a document of a playbook, of tasks or of variables. `text`: the whole file.
    pub(super) fn document(&mut self, path: &str, text: &str, document: &Node) {
        let lines: Vec<&str> = text.lines().collect();
        self.node(&File { path, lines: &lines }, None, document);
    }

    fn node(&mut self, file: &File<'_>, key: Option<&str>, node: &Node) {
        match &node.value {
            Value::Scalar(_, Word::Null) => {}
            Value::Scalar(text, _) => self.scalar(file, key, node, text),
            Value::List(items) => items.iter().for_each(|item| self.node(file, key, item)),
            Value::Map(entries) => {
                for (name, value) in entries {
                    let word = name.scalar().unwrap_or_default();
                    match word {
                        "set_fact" | "ansible.builtin.set_fact" | "vars" => {
                            let made = value.entries().iter().filter_map(|(made, _)| made.scalar());
                            self.local.extend(made.map(str::to_owned));
                        }
                        "group_by" | "ansible.builtin.group_by" => {
                            let key = value
                                .get("key")
                                .and_then(Node::scalar)
                                .and_then(|key| key.split("{{").next());
                            self.made_groups.extend(key.filter(|key| !key.is_empty()).map(str::to_owned));
                        }
                        "register" | "loop_var" => self.local.extend(value.scalar().map(str::to_owned)),
                        _ => {}
                    }
                    self.node(file, Some(word), value);
                    if word.contains("{{") {
                        self.scalar(file, None, name, word);
                    }
                }
            }
        }
    }

    fn scalar(&mut self, file: &File<'_>, key: Option<&str>, node: &Node, text: &str) {
        let uses = if text.contains("{{") || text.contains("{%") {
            jinja::template(text)
        } else if key.is_some_and(|key| EXPRESSIONS.contains(&key)) {
            jinja::expression(text)
        } else {
            return;
        };
        self.take(file.path, uses, |name, _| file.line(node, name));
    }

    fn take(&mut self, path: &str, uses: Uses, line: impl Fn(&str, u32) -> u32) {
        for (name, at) in uses.names {
            let line = line(&name, at);
            let first = self.used.entry(name).or_default().entry(path.to_owned()).or_insert(line);
            *first = (*first).min(line);
        }
        self.groups.extend(uses.groups);
        for (table, variable) in uses.lookups {
            // A table of the same checkout is always chosen from by one variable, but for loops.
            self.lookups.entry(table).or_insert(variable);
        }
        if let Some(refused) = uses.refused {
            self.refused.push((path.to_owned(), line("", refused.line), refused.message));
        }
    }
}

struct File<'a> {
    path: &'a str,
    lines: &'a [&'a str],
}

impl File<'_> {
    /// The line of a name in a scalar. Folded and quoted texts lose their line breaks when they are read,
    /// so the name is looked for in the lines that the scalar stands on.
    fn line(&self, node: &Node, name: &str) -> u32 {
        let holds = |line: u32| {
            usize::try_from(line - 1)
                .ok()
                .and_then(|at| self.lines.get(at))
                .is_some_and(|text| has_word(text, name))
        };
        (node.line..=node.end).find(|line| !name.is_empty() && holds(*line)).unwrap_or(node.line)
    }
}

/// Whether a line has the name as a whole word.
fn has_word(line: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(name)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + name.len()..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubespray::yaml;

    #[test]
    fn uses_have_lines_and_names_of_tasks_stay_apart() {
        let text = "\
- name: Something
  vars:
    own_name: \"{{ other_name }}\"
  set_fact:
    fact_name: 1
  register: result_name
  loop: \"{{ list_name }}\"
  loop_control:
    loop_var: one_name
  when:
    - own_name
    - >-
      first_name
      or second_name
  shell: |
    echo {{ fact_name }}
    echo {{ third_name }}
";
        let mut references = References::default();
        for document in yaml::parse(text).unwrap() {
            references.document("roles/x/tasks/main.yml", text, &document);
        }
        let used: Vec<(&str, u32)> = references
            .used
            .iter()
            .map(|(name, files)| (name.as_str(), files["roles/x/tasks/main.yml"]))
            .collect();
        assert_eq!(
            used,
            [
                ("fact_name", 16),
                ("first_name", 13),
                ("list_name", 7),
                ("other_name", 3),
                ("own_name", 11),
                ("second_name", 14),
                ("third_name", 17)
            ]
        );
        let local: Vec<&str> = references.local.iter().map(String::as_str).collect();
        assert_eq!(local, ["fact_name", "one_name", "own_name", "result_name"]);
    }
}
