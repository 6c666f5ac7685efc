//! The file of hosts, in either format, to groups and the variables that stand in it.

use serde_json::Value;

use super::{document, ini, pattern};
use crate::kubespray::groups::Groups;
use crate::kubespray::setting::{Origin, Scope, Setting};
use crate::kubespray::yaml::{self, Node, Word};
use crate::source::suggest::quote;
use crate::source::{Code, Findings, Place, Severity, Span};

/// Deeper than any inventory nests its groups.
const DEPTH: usize = 24;

/// The content of the file of hosts.
pub(super) struct Hosts {
    pub(super) groups: Groups,
    pub(super) settings: Vec<Setting>,
}

/// Collects the content of a file of hosts.
pub(super) struct Builder<'a> {
    pub(super) groups: Groups,
    pub(super) settings: Vec<Setting>,
    pub(super) findings: &'a mut Findings,
    file: usize,
}

impl Builder<'_> {
    pub(super) fn place(&self, span: Span) -> Place {
        Place { file: self.file, span }
    }

    /// Puts a group into a group, or says why it cannot be.
    pub(super) fn add_child(&mut self, parent: usize, child: usize, span: Span) {
        if !self.groups.add_child(parent, child) {
            let parent = &self.groups.groups()[parent].name;
            let message = format!("the group {} would be inside itself", quote(parent));
            let place = self.place(span);
            self.findings.at(Severity::Error, Code::BadInventory, place, message);
        }
    }

    pub(super) fn group_variable(
        &mut self,
        group: usize,
        name: &str,
        value: Value,
        at: Span,
        value_at: Span,
    ) {
        if name == "ansible_group_priority" {
            // Ansible takes a text with a number too.
            let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
            if let Some(number) = number {
                self.groups.set_priority(group, number);
            }
            return;
        }
        let scope = Scope::Group(self.groups.groups()[group].name.clone());
        self.set(scope, name, value, at, value_at);
    }

    pub(super) fn host_variables(
        &mut self,
        hosts: &[String],
        name: &str,
        value: &Value,
        at: Span,
        value_at: Span,
    ) {
        for host in hosts {
            self.set(Scope::Host(host.clone()), name, value.clone(), at, value_at);
        }
    }

    fn set(&mut self, scope: Scope, name: &str, value: Value, at: Span, value_at: Span) {
        let origin = Origin::File { file: self.file, name: at, value: value_at };
        self.settings.push(Setting { scope, name: name.to_owned(), value, origin });
    }
}

/// Reads the file of hosts. `path` decides the format as it does for Ansible: by its extension, and where it has
/// none, YAML if it is a mapping.
pub(super) fn read(path: &str, text: &str, file: usize, findings: &mut Findings) -> Hosts {
    let mut builder = Builder { groups: Groups::new(), settings: Vec::new(), findings, file };
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let is_yaml = match extension {
        Some("yaml" | "yml" | "json") => true,
        Some(_) => false,
        None => matches!(yaml::parse_one(text), Ok(Node { value: yaml::Value::Map(_), .. })),
    };
    if !is_yaml {
        ini::read(text, &mut builder);
    } else {
        let mut own = Findings::default();
        let tree = document::parse(text, &mut own);
        builder.findings.take(own, file);
        if let Some(tree) = tree {
            document::report_duplicates(&tree, file, builder.findings);
            whole(tree, &mut builder);
        }
    }
    Hosts { groups: builder.groups, settings: builder.settings }
}

/// The whole of a YAML file of hosts (`lib/ansible/plugins/inventory/yaml.py` of ansible-core).
fn whole(tree: Node, builder: &mut Builder<'_>) {
    let span = tree.span;
    let yaml::Value::Map(entries) = tree.value else {
        report_finding(builder, span, "a file of hosts is a mapping of groups".to_owned())
            .hint("start it with `all:`, and put `children:` and `hosts:` below");
        return;
    };
    if let Some((key, _)) = entries.iter().find(|(key, _)| key.key().as_deref() == Some("plugin")) {
        report_finding(
            builder,
            key.span,
            "this is the setting of a plugin that finds hosts, not a file of hosts".to_owned(),
        )
        .hint("run `ansible-inventory --list --yaml --output hosts.yaml`, and check its output");
        return;
    }
    for (key, value) in entries {
        group(&key, value, DEPTH, builder);
    }
}

fn group(key: &Node, value: Node, depth: usize, builder: &mut Builder<'_>) -> Option<usize> {
    let name = key.key()?;
    if depth == 0 {
        report_finding(builder, key.span, "too many groups inside one another".to_owned());
        return None;
    }
    let group_number = builder.groups.group(&name, Some(builder.place(key.span)));
    let sections = match value.value {
        yaml::Value::Scalar(_, Word::Null) => return Some(group_number),
        yaml::Value::Map(sections) => sections,
        _ => {
            report_finding(builder, value.span, format!("the group {} is a mapping", quote(&name)))
                .hint("its keys are `hosts`, `children` and `vars`");
            return Some(group_number);
        }
    };
    for (section, content) in sections {
        let word = section.key().unwrap_or_default();
        let entries = match (word.as_str(), content.value) {
            ("hosts" | "children" | "vars", yaml::Value::Scalar(_, Word::Null)) => continue,
            ("hosts" | "children" | "vars", yaml::Value::Map(entries)) => entries,
            // One host, or one group, by its name alone.
            ("hosts" | "children" | "vars", value @ yaml::Value::Scalar(_, Word::Text)) => {
                vec![(Node { value, ..content }, Node { value: yaml::Value::NULL, ..content })]
            }
            ("hosts" | "children" | "vars", _) => {
                report_finding(
                    builder,
                    content.span,
                    format!("`{word}` of the group {} is a mapping", quote(&name)),
                )
                .hint(format!("put a `:` behind each name below `{word}:`, in place of the `-` before it"));
                continue;
            }
            _ => {
                let place = builder.place(section.span);
                let message =
                    format!("Ansible passes over the key {} of the group {}", quote(&word), quote(&name));
                builder
                    .findings
                    .at(Severity::Warning, Code::BadInventory, place, message)
                    .hint("a group has `hosts`, `children` and `vars`");
                continue;
            }
        };
        for (key, value) in entries {
            match word.as_str() {
                "hosts" => host(&key, value, group_number, builder),
                "children" => {
                    if let Some(child) = group(&key, value, depth - 1, builder) {
                        builder.add_child(group_number, child, key.span);
                    }
                }
                _ => {
                    if let Some(variable) = key.key() {
                        let value_span = value.span;
                        builder.group_variable(
                            group_number,
                            &variable,
                            value.into_json(),
                            key.span,
                            value_span,
                        );
                    }
                }
            }
        }
    }
    Some(group_number)
}

fn host(key: &Node, value: Node, group: usize, builder: &mut Builder<'_>) {
    let Some(written) = key.key() else { return };
    let (name, port) = pattern::split_port(&written);
    let names = match pattern::expand(name) {
        Ok(names) => names,
        Err(problem) => {
            report_finding(builder, key.span, problem);
            return;
        }
    };
    let place = builder.place(key.span);
    for name in &names {
        let host = builder.groups.host(name, Some(place));
        builder.groups.add_host(group, host);
    }
    if let Some(port) = port {
        builder.host_variables(&names, "ansible_port", &port.into(), key.span, key.span);
    }
    match value.value {
        yaml::Value::Scalar(_, Word::Null) => {}
        yaml::Value::Map(entries) => {
            for (key, value) in entries {
                if let Some(variable) = key.key() {
                    let value_span = value.span;
                    builder.host_variables(&names, &variable, &value.into_json(), key.span, value_span);
                }
            }
        }
        _ => {
            report_finding(
                builder,
                value.span,
                format!("the variables of the host {} are a mapping", quote(&written)),
            );
        }
    }
}

fn report_finding<'b>(
    builder: &'b mut Builder<'_>,
    span: Span,
    message: String,
) -> &'b mut crate::source::Finding {
    let place = builder.place(span);
    builder.findings.at(Severity::Error, Code::BadInventory, place, message)
}
