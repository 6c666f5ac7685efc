//! The reference of the cluster file, `docs/configuration.md`: the test makes the text between its marks from
//! the schema of the types and from the settings, and compares it with the committed file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::*;
use crate::cluster::schema;
use crate::kubespray::DEFAULT_RELEASE;
use crate::spec::{ContainerEngine, Encapsulation};

/// An option of the cluster file.
struct Choice {
    path: String,
    kind: String,
    default: String,
    meaning: String,
}

/// The options below a node of the schema, in alphabetical order as the schema has them.
fn choices(path: &str, node: &Value, required: bool, found: &mut Vec<Choice>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if let Some(properties) = node.get("properties").and_then(Value::as_object) {
        let needed =
            |key: &str| node["required"].as_array().is_some_and(|list| list.iter().any(|word| word == key));
        for (key, value) in properties {
            choices(&below(key), value, needed(key), found);
        }
        return;
    }
    if node["items"].get("properties").is_some() {
        choices(&format!("{path}[]"), &node["items"], false, found);
        return;
    }
    found.push(Choice {
        path: path.to_owned(),
        kind: kind(node),
        default: match node.get("default") {
            Some(Value::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
            None if required => "needed".to_owned(),
            None => String::new(),
        },
        meaning: node["description"].as_str().unwrap_or_default().replace('\n', " "),
    });
}

/// The expected value, in words.
fn kind(node: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(expected) = node.get("patternErrorMessage") {
        return text(expected).trim_start_matches("expected ").to_owned();
    }
    if let Some(words) = node["enum"].as_array() {
        let words: Vec<String> = words.iter().map(|word| format!("`{}`", text(word))).collect();
        return words.join(", ");
    }
    if let (Some(least), Some(most)) = (node.get("minimum"), node.get("maximum")) {
        return format!("{least} to {most}");
    }
    if let Some(options) = node["anyOf"].as_array() {
        let one = |option: &Value| match option["properties"].as_object() {
            Some(keys) => {
                let keys: Vec<String> = keys.keys().map(|key| format!("`{key}`")).collect();
                format!("a mapping with {}", keys.join(", "))
            }
            None => kind(option),
        };
        return options.iter().map(one).collect::<Vec<_>>().join(", or ");
    }
    match node["type"].as_str() {
        Some("boolean") => "`true`, `false`".to_owned(),
        Some("array") => format!("a list: {}", kind(&node["items"])),
        Some("object") => {
            format!("a mapping: {} to {}", kind(&node["propertyNames"]), kind(&node["additionalProperties"]))
        }
        _ => "any value".to_owned(),
    }
}

/// Variables by the option that they come from; each with its file and the words under which it is set.
type Rendered = BTreeMap<String, BTreeMap<(String, String), BTreeSet<String>>>;

/// Renders every option with every plugin, runtime and encapsulation, and notes the result.
fn rendered(index: &Index) -> Rendered {
    let mut rendered = Rendered::new();
    for (plugin_word, plugin) in NetworkPlugin::WORDS {
        for (engine_word, engine) in ContainerEngine::WORDS {
            for (_, encapsulation) in Encapsulation::WORDS {
                let mut spec = fixtures::everything();
                spec.kubernetes.network.plugin = Some(*plugin);
                spec.kubernetes.network.encapsulation = Some(*encapsulation);
                spec.kubernetes.container_runtime.engine = Some(*engine);
                for entry in entries(&spec, index) {
                    let Setting { scope, name, origin: Origin::ClusterFile(path), .. } = entry.setting else {
                        continue;
                    };
                    let file = super::super::files::path(&spec, index, &scope, &name);
                    let machine = match &scope {
                        Scope::Host(machine) => machine.as_str(),
                        Scope::Group(_) => "-",
                    };
                    let file = file.replace(&format!("/{machine}."), "/<machine>.");
                    let path = path.replace(&format!("machines.{machine}."), "machines[].");
                    let under = if path.starts_with("kubernetes.container_runtime.v") {
                        engine_word
                    } else {
                        plugin_word
                    };
                    rendered
                        .entry(path)
                        .or_default()
                        .entry((name, file))
                        .or_default()
                        .insert((*under).to_owned());
                }
            }
        }
    }
    rendered
}

/// `calico_mtu` in which file, for which plugin.
fn becomes(path: &str, rendered: &Rendered) -> String {
    let Some(variables) = rendered.get(path) else { return String::new() };
    let every = [NetworkPlugin::WORDS.len(), ContainerEngine::WORDS.len()];
    let mut by_file: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
    for ((name, file), under) in variables {
        let under = if every.contains(&under.len()) {
            String::new()
        } else {
            let words: Vec<&str> = under.iter().map(String::as_str).collect();
            format!(" ({})", words.join(", "))
        };
        by_file.entry((file, under)).or_default().push(format!("`{name}`"));
    }
    let places: Vec<String> = by_file
        .iter()
        .map(|((file, under), names)| format!("{} in `{file}`{under}", names.join(", ")))
        .collect();
    places.join("; ")
}

/// Kubespray's default where the option is missing, if it is one plain value.
fn of_kubespray(path: &str, rendered: &Rendered, index: &Index) -> Option<String> {
    let variables = rendered.get(path).filter(|variables| variables.len() == 1)?;
    let ((name, _), _) = variables.first_key_value()?;
    let values: BTreeSet<String> = index
        .variables
        .get(name)?
        .defaults
        .iter()
        .map(|default| {
            default.value.as_ref().map_or_else(
                || "?".to_owned(),
                |value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                },
            )
        })
        .collect();
    let value = values.first().filter(|value| values.len() == 1 && *value != "?" && !value.is_empty())?;
    Some(format!("Kubespray's: `{value}`"))
}

/// The lines between the marks of a section.
fn section(name: &str, rendered: &Rendered, index: &Index) -> String {
    let schema = schema();
    let mut found = Vec::new();
    match name {
        "file" => {
            choices("", &schema, false, &mut found);
            found.retain(|choice| !choice.path.contains(['.', '[']));
        }
        name => choices(name, &schema["properties"][name], false, &mut found),
    }
    assert!(!found.is_empty(), "there are no options in {name}");
    let mut text = "| key | value | default | meaning |\n|---|---|---|---|\n".to_owned();
    let mut becoming = String::new();
    for Choice { path, kind, default, meaning } in found {
        let default = if default.is_empty() {
            of_kubespray(&path, rendered, index).unwrap_or_default()
        } else {
            default
        };
        let cell = |text: &str| text.replace('|', "\\|");
        writeln!(text, "| `{path}` | {} | {} | {} |", cell(&kind), cell(&default), cell(&meaning)).unwrap();
        let variables = becomes(&path, rendered);
        if !variables.is_empty() {
            writeln!(becoming, "| `{path}` | {variables} |").unwrap();
        }
    }
    if becoming.is_empty() { text } else { format!("{text}\n| key | becomes |\n|---|---|\n{becoming}") }
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md")
}

#[test]
fn reference_is_made_from_types() {
    let index = known(DEFAULT_RELEASE);
    let rendered = rendered(&index);
    let committed = std::fs::read_to_string(document()).unwrap();
    let (mut made, mut rest, mut sections) = (String::new(), committed.as_str(), BTreeSet::new());
    while let Some((before, after)) = rest.split_once("<!-- options of ") {
        let (name, after) = after.split_once(" -->\n").expect("a mark is a line");
        let (_, after) = after.split_once("<!-- end -->").expect("a section has an end");
        write!(made, "{before}<!-- options of {name} -->\n{}<!-- end -->", section(name, &rendered, &index))
            .unwrap();
        sections.insert(name.to_owned());
        rest = after;
    }
    made += rest;
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(document(), &made).unwrap();
    } else {
        assert!(
            made == committed,
            "write it again: INSTA_UPDATE=always cargo test -p lab-core reference_is_made\n{made}"
        );
    }
    for (key, node) in schema()["properties"].as_object().unwrap() {
        let has_section = node.get("properties").is_some() || node["items"].get("properties").is_some();
        assert!(!has_section || sections.contains(key), "there is no section for `{key}`");
    }
    assert!(sections.contains("file"));
}

/// The files that are read as they stand in the document are right.
#[test]
fn examples_of_the_reference_are_cluster_files() {
    let text = std::fs::read_to_string(document()).unwrap();
    let examples: Vec<&str> =
        text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let source = crate::source::SourceFile { path: "example".to_owned(), text: example.to_owned() };
        let checked = crate::cluster::check(&source, None);
        assert_eq!(crate::source::render(&checked.findings, &source, false), "");
    }
}
