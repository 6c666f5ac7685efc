//! The content of a deployed cluster, without values that differ at each deploy, so that two can be compared.
//!
//! Every object of the API, and what a deploy leaves on each machine. Left out or made alike: values drawn by lot (addresses
//! of pods and services, names' endings, identities, tokens, keys), when something happened, and on which node a pod
//! that may run anywhere does.

use std::collections::BTreeMap;
use std::time::Duration;

use lab_tests::{Living, living, needs, wait};
use serde_json::{Map, Value, json};

/// Prints the files, users, units, settings and images of a machine; runs there.
const LOOK: &str = include_str!("look.py");
/// Kinds that only report what happens, and when, or that hold nothing but addresses that are drawn by lot.
const FLEETING: [&str; 8] = [
    "CertificateSigningRequest",
    "ComponentStatus",
    "EndpointSlice",
    "Endpoints",
    "Event",
    "IPAddress",
    "Lease",
    "NodeMetrics",
];
/// Of the fields that the server writes into every object.
const OF_THE_SERVER: [&str; 6] =
    ["creationTimestamp", "generation", "managedFields", "ownerReferences", "resourceVersion", "uid"];
/// Names of a computer, and networks that nodes get in the order in which they come.
const OF_A_NODE: [&str; 6] = ["bootID", "machineID", "systemUUID", "podCIDR", "podCIDRs", "kernelVersion"];

/// Identities and days, wherever they are.
const DRAWN_BY_LOT: [&str; 5] = [
    "caBundle",
    "kubernetes.io/config.hash",
    "kubernetes.io/config.mirror",
    "kubernetes.io/config.seen",
    "since",
];

/// Kubespray downloads this image to control planes only (kubespray_defaults, `downloads`); a worker has it where the one pod
/// happens to run.
const OF_ONE_POD: &str = "registry.k8s.io/metrics-server/";

#[test]
fn short_deploy_gives_same_cluster_as_plain_deploy() {
    needs!(Containers, Kubespray);
    let quick = Living::planned("quick", &living::quick());
    let deployed = |words: &[&str]| {
        quick.checkout.lab(&["artifacts", "list", "quick"]).answer().ok();
        quick.checkout.lab(&["up", "quick", "--fresh"]).answer().ok();
        living::to_its_end(&words.join(" "), quick.checkout.lab(words)).ok();
        quick.passes(&[]);
        // That of the checks is empty, and still on its way out.
        wait::until("the end of the checks' namespace", Duration::from_secs(300), || {
            quick.kubectl("get namespaces -l lab.checks -o name").ok().stdout.is_empty().then_some(())
        });
        let found = look(&quick);
        quick.destroy();
        found
    };
    let ours = deployed(&["deploy", "quick", "--no-snapshot"]);
    let plain = deployed(&["internal", "deploy-plainly", "quick"]);
    assert_eq!(differences(&ours, &plain), Vec::<String>::new());
}

/// The values found, by place.
type Likeness = BTreeMap<String, Value>;

/// Looks at a deployed cluster.
fn look(quick: &Living) -> Likeness {
    let mut found = Likeness::new();
    let script = format!("sudo python3 - <<'EOF'\n{LOOK}\nEOF");
    for machine in ["control-plane", "worker-1", "worker-2"] {
        let answer: Value = serde_json::from_str(&quick.on(machine, &script)).expect("a machine prints JSON");
        for (what, value) in answer.as_object().expect("it prints an object") {
            match value.as_object() {
                Some(entries) => {
                    found.extend(
                        entries
                            .iter()
                            .map(|(name, entry)| (format!("{machine}: {what} {name}"), entry.clone())),
                    );
                }
                None => {
                    let mut value = value.clone();
                    if let Some(images) = value.as_array_mut().filter(|_| machine != "control-plane") {
                        images.retain(|image| !image.as_str().is_some_and(|one| one.starts_with(OF_ONE_POD)));
                    }
                    found.insert(format!("{machine}: {what}"), value);
                }
            }
        }
    }
    let kinds = quick.kubectl("api-resources --verbs=list --output=name").ok().stdout;
    let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.ends_with(".metrics.k8s.io")).collect();
    let objects =
        quick.kubectl(&format!("get {} --all-namespaces --output=json", kinds.join(","))).ok().json();
    found.extend(of_the_api(objects["items"].as_array().expect("a list has items")));
    found
}

/// Where two clusters differ, in words: where, what the one has, what the other has.
fn differences(one: &Likeness, other: &Likeness) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differ = names.into_iter().filter(|name| one.get(*name) != other.get(*name));
    let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
    differ.map(|name| format!("{name}\n  {}\n  {}", shown(one.get(name)), shown(other.get(name)))).collect()
}

/// The objects, by kind, namespace and name; a number distinguishes those that are called alike now.
fn of_the_api(objects: &[Value]) -> Likeness {
    let mut alike: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for object in objects {
        let kind = object["kind"].as_str().unwrap_or_default();
        // A token of kubeadm's is there until it expires.
        let is_token = object["type"] == "bootstrap.kubernetes.io/token";
        if FLEETING.contains(&kind) || is_token {
            continue;
        }
        let (name, object) = settled(kind, object.clone());
        alike.entry(name).or_default().push(object.to_string());
    }
    let mut found = Likeness::new();
    for (name, mut objects) in alike {
        objects.sort();
        for (number, object) in objects.iter().enumerate() {
            let object = serde_json::from_str(object).expect("it was JSON before");
            found.insert(format!("{name} {number}"), object);
        }
    }
    found
}

fn settled(kind: &str, mut object: Value) -> (String, Value) {
    let metadata = object["metadata"].as_object_mut().expect("an object has metadata");
    metadata.retain(|name, _| !OF_THE_SERVER.contains(&name.as_str()));
    let mut name = metadata.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(begins) = metadata.get("generateName").and_then(Value::as_str) {
        name = format!("{begins}…");
    }
    metadata.insert("name".to_owned(), json!(name));
    let namespace = metadata.get("namespace").and_then(Value::as_str).unwrap_or("-").to_owned();
    match kind {
        "Node" => {
            object["status"]["conditions"] = conditions(&object["status"]["conditions"]);
            object["status"]["images"] = Value::Null;
        }
        "Pod" => {
            let is_static = name.contains(object["spec"]["nodeName"].as_str().unwrap_or("…"));
            if object["spec"]["affinity"]["nodeAffinity"].is_null() && !is_static {
                object["spec"]["nodeName"] = json!("…");
            }
            object["status"] = json!({"phase": object["status"]["phase"], "conditions": conditions(&object["status"]["conditions"])});
        }
        "Service" if !["kubernetes", "coredns"].contains(&name.as_str()) => {
            for field in ["clusterIP", "clusterIPs"] {
                if object["spec"][field] != "None" {
                    object["spec"][field] = json!("…");
                }
            }
        }
        _ => object["status"] = Value::Null,
    }
    // The content of secrets is drawn by lot, all of it.
    if kind == "Secret" {
        for field in object["data"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            *field = json!("…");
        }
    }
    (format!("{kind} {namespace}/{name}"), made_alike(object))
}

/// Conditions without their times, order and messages.
fn conditions(conditions: &Value) -> Value {
    let conditions = conditions.as_array().into_iter().flatten();
    let mut states: Vec<String> =
        conditions.map(|condition| format!("{} {}", condition["type"], condition["status"])).collect();
    states.sort();
    json!(states)
}

fn made_alike(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            // The signature of a token, under the token's first half, is there as long as the token.
            let kept = fields.into_iter().filter(|(name, _)| {
                !OF_A_NODE.contains(&name.as_str()) && !name.starts_with("jws-kubeconfig-")
            });
            let alike = kept.map(|(name, value)| {
                let timed = name.ends_with("restartedAt") || name.ends_with("Time");
                let drawn = timed || DRAWN_BY_LOT.contains(&name.as_str());
                let value = if drawn { json!("…") } else { made_alike(value) };
                (name, value)
            });
            alike.collect::<Map<_, _>>().into()
        }
        Value::Array(values) => values.into_iter().map(made_alike).collect(),
        Value::String(text) => json!(text_made_alike(&text)),
        other => other,
    }
}

fn text_made_alike(text: &str) -> String {
    if text.contains("-----BEGIN ") || text.contains("LS0tLS1CRUdJTi") {
        let kept = text.lines().filter(|line| line.contains(": ") && !line.contains("LS0tLS1CRUdJTi"));
        return kept.collect::<Vec<_>>().join("\n");
    }
    // The volume of a pod's token has an ending of five letters.
    match text.strip_prefix("kube-api-access-") {
        Some(_) => "kube-api-access-…".to_owned(),
        None => text.to_owned(),
    }
}
