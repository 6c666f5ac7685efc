//! The versions that a checkout installs: of components with checksums, of everything that is chosen by
//! a `…_version` variable, and by the minor version of Kubernetes.
//!
//! Kubespray works its versions out in Jinja, from the order of the keys in its checksums. The few
//! filters and tests that it takes for that are given here to minijinja, which evaluates the rest.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use super::Component;
use super::jinja;
use crate::kubespray::yaml::{Node, Value as Yaml, Word};

/// The tables of a document of checksums, without the checksums.
pub(super) fn components(document: &Node) -> BTreeMap<String, Component> {
    let mut components = BTreeMap::new();
    for (name, tables) in document.entries() {
        let Some(name) = name.scalar().and_then(|name| name.strip_suffix("_checksums")) else { continue };
        let mut versions = BTreeMap::new();
        for (architecture, table) in tables.entries() {
            // A sum that is nought stands for a version that this architecture does not have.
            let there = |sum: &Node| !matches!(sum.scalar(), None | Some("" | "0"));
            let listed = table.entries().iter().filter(|(_, sum)| there(sum));
            let listed = listed.filter_map(|(version, _)| Some(version.scalar()?.to_owned()));
            if let Some(architecture) = architecture.scalar() {
                versions.insert(architecture.to_owned(), listed.collect());
            }
        }
        components.insert(name.to_owned(), Component { version_variable: None, default: None, versions });
    }
    components
}

/// The variables of Kubespray's role of defaults, ready to be worked out.
pub(super) struct Versions<'a> {
    /// The value of each variable, with the fixed ones over the defaults.
    values: BTreeMap<&'a str, &'a Node>,
    environment: Environment<'static>,
}

impl<'a> Versions<'a> {
    /// `values`: defaults first, fixed ones behind them.
    pub(super) fn new(values: impl Iterator<Item = (&'a str, &'a Node)>) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // A strange checkout must not keep the program busy.
        environment.set_fuel(Some(100_000));
        environment.add_filter("dict2items", dict2items);
        environment.add_test("version", version_test);
        environment.set_unknown_method_callback(|_, value, method, _| match (method, value.kind()) {
            ("keys", ValueKind::Map) => Ok(value.try_iter()?.collect()),
            _ => Err(ErrorKind::UnknownMethod.into()),
        });
        Self { values: values.collect(), environment }
    }

    /// Every `…_version` that can be worked out, with `kube_version` as given where it is.
    pub(super) fn all(&self, kube_version: Option<&str>) -> BTreeMap<String, String> {
        let context =
            Context { versions: self, kube_version, known: RefCell::default(), open: RefCell::default() };
        self.names().filter_map(|name| Some((name.to_owned(), context.value(name)?.to_string()))).collect()
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.values.keys().copied().filter(|name| name.ends_with("_version"))
    }

    /// The variables whose version follows from the version of Kubernetes.
    pub(super) fn following(&self) -> BTreeSet<&'a str> {
        let uses: HashMap<&str, BTreeSet<String>> =
            self.values.iter().map(|(name, node)| (*name, names_in(node))).collect();
        let mut following: BTreeSet<&str> = BTreeSet::from(["kube_version"]);
        loop {
            let more =
                uses.iter().filter(|(_, used)| used.iter().any(|name| following.contains(name.as_str())));
            let grown: BTreeSet<&str> =
                following.iter().copied().chain(more.map(|(name, _)| *name)).collect();
            if grown.len() == following.len() {
                break;
            }
            following = grown;
        }
        self.names().filter(|name| following.contains(name) && !name.starts_with("kube_")).collect()
    }

    /// The variable at the end of a chain of `{{ other }}`.
    pub(super) fn behind(&self, name: &str) -> String {
        let mut name = name.to_owned();
        // A chain that is longer goes in a circle.
        for _ in 0..8 {
            let only =
                self.values.get(name.as_str()).and_then(|node| node.scalar()).and_then(jinja::only_variable);
            match only {
                Some(other) => name = other,
                None => break,
            }
        }
        name
    }

    /// The variable that chooses a component's version, where no expression says so: the one that is named
    /// after it.
    pub(super) fn named_after(&self, component: &str) -> Option<&'a str> {
        self.names()
            .filter(|name| {
                name.strip_suffix("version").is_some_and(|prefix| format!("{component}_").starts_with(prefix))
            })
            .max_by_key(|name| name.len())
    }
}

fn names_in(node: &Node) -> BTreeSet<String> {
    match &node.value {
        Yaml::Scalar(text, _) if text.contains("{{") || text.contains("{%") => {
            jinja::template(text).names.into_keys().collect()
        }
        Yaml::List(items) => items.iter().flat_map(names_in).collect(),
        Yaml::Map(entries) => entries.iter().flat_map(|(_, value)| names_in(value)).collect(),
        Yaml::Scalar(..) => BTreeSet::new(),
    }
}

/// One round of working out.
struct Context<'c, 'a> {
    versions: &'c Versions<'a>,
    kube_version: Option<&'c str>,
    known: RefCell<HashMap<String, Option<Value>>>,
    /// The variables being computed: one that needs itself has no value.
    open: RefCell<HashSet<String>>,
}

impl Context<'_, '_> {
    fn value(&self, name: &str) -> Option<Value> {
        if name == "kube_version"
            && let Some(version) = self.kube_version
        {
            return Some(Value::from(version));
        }
        if let Some(known) = self.known.borrow().get(name) {
            return known.clone();
        }
        let node = self.versions.values.get(name)?;
        if !self.open.borrow_mut().insert(name.to_owned()) {
            return None;
        }
        let value = self.node(node);
        self.open.borrow_mut().remove(name);
        self.known.borrow_mut().insert(name.to_owned(), value.clone());
        value
    }

    fn node(&self, node: &Node) -> Option<Value> {
        Some(match &node.value {
            Yaml::Scalar(_, Word::Null) => Value::from(()),
            Yaml::Scalar(text, Word::Text) if text.contains("{{") || text.contains("{%") => {
                return self.text(text);
            }
            Yaml::Scalar(text, Word::Text) => Value::from(text.as_str()),
            Yaml::Scalar(_, Word::Bool(yes)) => Value::from(*yes),
            Yaml::Scalar(_, Word::Integer(number)) => Value::from(*number),
            // The text in the file: `1.30` is a version here.
            Yaml::Scalar(text, Word::Float(_)) => Value::from(text.as_str()),
            Yaml::List(items) => items.iter().filter_map(|item| self.node(item)).collect(),
            Yaml::Map(entries) => Value::from_pairs(
                entries.iter().filter_map(|(key, value)| Some((key.scalar()?, self.node(value)?))),
            ),
        })
    }

    fn text(&self, text: &str) -> Option<Value> {
        let environment = &self.versions.environment;
        let names = jinja::template(text).names;
        let context =
            Value::from_pairs(names.keys().filter_map(|name| Some((name.as_str(), self.value(name)?))));
        let inner = text.trim().strip_prefix("{{").and_then(|text| text.strip_suffix("}}"));
        match inner.map(|inner| environment.compile_expression(inner)) {
            Some(Ok(expression)) => expression.eval(context).ok().filter(|value| !value.is_undefined()),
            _ => environment.render_str(text, context).ok().map(|text| Value::from(text.trim())),
        }
    }
}

fn dict2items(value: &Value) -> Result<Value, Error> {
    let item = |key: Value| -> Result<Value, Error> {
        let there = value.get_item(&key)?;
        Ok(Value::from_pairs([("key", key), ("value", there)]))
    };
    value.try_iter()?.map(item).collect::<Result<Vec<Value>, Error>>().map(Value::from)
}

/// Ansible's test `version`: `x is version('1.2', '<')`.
fn version_test(value: &str, other: &str, operator: Option<&str>, _options: Kwargs) -> Result<bool, Error> {
    let order = compare(value, other);
    Ok(match operator.unwrap_or("==") {
        "<" | "lt" => order == Ordering::Less,
        "<=" | "le" => order != Ordering::Greater,
        ">" | "gt" => order == Ordering::Greater,
        ">=" | "ge" => order != Ordering::Less,
        "==" | "=" | "eq" => order == Ordering::Equal,
        "!=" | "<>" | "ne" => order != Ordering::Equal,
        _ => return Err(ErrorKind::InvalidOperation.into()),
    })
}

/// Which version is newer: numbers as numbers, words as words, a number before a word.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    parts(one).cmp(&parts(other))
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Number(u64),
    Word(&'a str),
}

fn parts(version: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != digits || !c.is_ascii_alphanumeric())
            .filter(|end| *end > 0)
            .unwrap_or(if first.is_ascii_alphanumeric() { rest.len() } else { first.len_utf8() });
        let (part, after) = rest.split_at(end);
        match part.parse() {
            Ok(number) => parts.push(Part::Number(number)),
            Err(_) if first.is_ascii_alphanumeric() => parts.push(Part::Word(part)),
            Err(_) => {}
        }
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::kubespray::yaml;

    const CHECKSUMS: &str = "
kubelet_checksums:
  arm64: {1.34.2: 0, 1.33.7: 'sha256:1'}
  amd64: {1.34.2: 'sha256:1', 1.34.1: 'sha256:1', 1.33.7: 'sha256:1', 1.33.6: 'sha256:1'}
etcd_binary_checksums:
  amd64: {3.6.1: 'sha256:1', 3.5.26: 'sha256:1', 3.5.9: 'sha256:1'}
";
    const DEFAULTS: &str = r#"
kube_version: "{{ (kubelet_checksums['amd64'] | dict2items)[0].key }}"
kube_version_min_required: "{{ (kubelet_checksums['amd64'] | dict2items)[-1].key }}"
kube_major_version: "{{ (kube_version | split('.'))[:-1] | join('.') }}"
kube_next: "{{ ((kube_version | split('.'))[1] | int) + 1 }}"
kube_next_version: "1.{{ kube_next }}"
etcd_supported_versions:
  '1.34': "{{ (etcd_binary_checksums['amd64'].keys() | select('version', '3.7', '<'))[0] }}"
  '1.33': "{{ (etcd_binary_checksums['amd64'].keys() | select('version', '3.6', '<'))[0] }}"
etcd_version: "{{ etcd_supported_versions[kube_major_version] }}"
arch: "{{ host_arch | default('amd64') }}"
host_arch: "{{ ansible_architecture }}"
dashed_version: "{{ (kubelet_checksums[arch] | dict2items)[1].key }}"
old_version: 0.13.9
round_version: "{{ other_version }}"
other_version: "{{ round_version }}"
api_version: "{{ 'v1beta1' if kube_version is version('1.34.0', '<') else 'v1' }}"
endless_version: "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"
"#;

    fn read(text: &str) -> Node {
        yaml::parse(text).unwrap().remove(0)
    }

    fn values<'a>(defaults: &'a Node, checksums: &'a Node) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let entries = defaults.entries().iter().chain(checksums.entries());
        entries.filter_map(|(name, value)| Some((name.scalar()?, value)))
    }

    fn all(kube_version: Option<&str>) -> BTreeMap<String, String> {
        let (checksums, defaults) = (read(CHECKSUMS), read(DEFAULTS));
        Versions::new(values(&defaults, &checksums)).all(kube_version)
    }

    #[test]
    fn versions_are_worked_out_as_kubespray_does() {
        let found: Vec<(String, String)> = all(None).into_iter().collect();
        let expected = [
            ("api_version", "v1"),
            ("dashed_version", "1.34.1"),
            ("etcd_version", "3.6.1"),
            ("kube_major_version", "1.34"),
            ("kube_next_version", "1.35"),
            ("kube_version", "1.34.2"),
            ("old_version", "0.13.9"),
        ];
        assert_eq!(found, expected.map(|(name, version)| (name.to_owned(), version.to_owned())));
    }

    #[test]
    fn older_kubernetes_gets_matching_versions() {
        let found = all(Some("1.33.6"));
        assert_eq!(found["etcd_version"], "3.5.26");
        assert_eq!(found["api_version"], "v1beta1");
        let (checksums, defaults) = (read(CHECKSUMS), read(DEFAULTS));
        let versions = Versions::new(values(&defaults, &checksums));
        assert_eq!(versions.following(), BTreeSet::from(["api_version", "etcd_version"]));
    }

    #[test]
    fn tables_keep_their_order_and_leave_out_what_is_not_there() {
        let components = components(&read(CHECKSUMS));
        assert_eq!(components["kubelet"].versions["amd64"], ["1.34.2", "1.34.1", "1.33.7", "1.33.6"]);
        assert_eq!(components["kubelet"].versions["arm64"], ["1.33.7"]);
    }

    #[rstest]
    #[case::numbers("1.9.1", "1.10.0", Ordering::Less)]
    #[case::longer("3.6", "3.6.1", Ordering::Less)]
    #[case::equal("1.2.3", "1.2.3", Ordering::Equal)]
    #[case::word("1.2.3-rc1", "1.2.3", Ordering::Greater)]
    fn versions_are_compared_as_ansible_does(
        #[case] one: &str,
        #[case] other: &str,
        #[case] expected: Ordering,
    ) {
        assert_eq!(compare(one, other), expected);
    }
}
