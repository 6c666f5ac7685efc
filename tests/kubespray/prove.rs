//! Proving what Kubespray is given: with real Ansible, Kubespray's own playbooks, and no network at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use lab_core::kubespray::release;
use lab_tests::checkout::{read_json, real_root};
use lab_tests::kubespray::{TAGS, reaching};
use lab_tests::{Answer, Checkout, Run, needs, redact, run};
use serde_json::Value;

/// Fetches a release into the checkout under test, where other tests find it too.
fn fetch(checkout: &Checkout, tag: &str) -> Value {
    reaching(checkout.lab(&["kubespray", "fetch", "--version", tag, "--json"])).answer().ok().json()
}

/// The original plan's four machines, small, with other words about Kubernetes.
fn plan(tag: &str, kubernetes: &str) -> String {
    let dev = fs::read_to_string(real_root().join("inventories/dev/cluster.yaml")).unwrap();
    format!("{dev}\nkubespray: {{version: {tag}}}\n{kubernetes}\n").replace("name: dev", "name: plan")
}

/// A program where there is no network: a connection to any address fails at once.
fn without_network(run: Run) -> Run {
    run.through(&["unshare", "--map-root-user", "--net"])
}

fn check(checkout: &Checkout, cluster: &str) -> Answer {
    without_network(checkout.lab(&["inventory", "check", cluster, "--require-checkout"])).answer()
}

fn lock(checkout: &Checkout, cluster: &str) -> Value {
    read_json(&checkout.output(cluster).join("inventory/artifacts.lock.json"))
}

/// The output for people, without values that differ from run to run.
fn redacted(checkout: &Checkout) -> insta::Settings {
    let mut settings = redact::settings(&checkout.root().display().to_string());
    settings.add_filter(r"/tmp/lab-check-\w+", "[FOLDER]");
    settings
}

#[test]
fn shipped_labs_hold_without_network() {
    needs!(Kubespray);
    let checkout = Checkout::new();
    fetch(&checkout, "v2.30.0");
    for name in ["dev", "cloud-cluster"] {
        let text = fs::read_to_string(real_root().join(format!("inventories/{name}/cluster.yaml"))).unwrap();
        checkout.write(name, &text);
        let answer = check(&checkout, name).ok();
        redacted(&checkout).bind(|| insta::assert_snapshot!(format!("{name}_holds"), answer.stdout));
        let before = lock(&checkout, name);
        check(&checkout, name).ok();
        assert_eq!(lock(&checkout, name), before, "the lock is the same for the same inventory");
    }
    let left: Vec<_> =
        fs::read_dir(checkout.output("dev")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["inventory"], "nothing else is left in the lab's folder");
    checkout.lab(&["destroy", "dev"]).answer().ok();
    assert!(!checkout.output("dev").exists(), "nor is that after a destroy");
}

/// One line for each file and image of a lock.
fn listed(lock: &Value) -> String {
    let of = |what: &str, key: &str| {
        let entries = lock[what].as_array().unwrap().iter();
        let lines = entries.map(|entry| {
            let groups: Vec<_> =
                entry["groups"].as_array().unwrap().iter().map(|group| group.as_str().unwrap()).collect();
            assert_eq!(entry.get("machines"), None, "no machine of the plan is an exception");
            let name = entry["name"].as_str().unwrap();
            let place = entry[key].as_str().unwrap();
            // Of a file its name is enough; an image is not known without its registry.
            let place = if key == "dest" { place.rsplit('/').next().unwrap() } else { place };
            format!("{name:<32} {:<18} {place}", groups.join(" "))
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    let kubernetes = lock["kubernetes"].as_str().unwrap();
    format!("Kubernetes {kubernetes}\n\n{}\n\n{}", of("files", "dest"), of("images", "image"))
}

#[test]
fn every_release_resolves_to_all_that_a_deploy_needs() {
    needs!(Kubespray);
    let checkout = Checkout::new();
    for tag in TAGS {
        fetch(&checkout, tag);
        // Upstream dropped its ingress controller with v2.31.0.
        let has_ingress = tag != "v2.31.0";
        let kubernetes = format!(
            "kubernetes: {{addons: {{metrics_server: true{}}}}}",
            if has_ingress { ", ingress_nginx: true" } else { "" }
        );
        checkout.write("plan", &plan(tag, &kubernetes));
        check(&checkout, "plan").ok();
        let lock = lock(&checkout, "plan");
        assert_eq!(lock["kubespray"]["version"], tag);
        assert_eq!(lock["kubespray"]["commit"], release(tag).unwrap().commit);
        let counts = [&lock["files"], &lock["images"]].map(|list| list.as_array().unwrap().len());
        assert_eq!(counts, [11, if has_ingress { 15 } else { 14 }], "{tag}");
        insta::assert_snapshot!(format!("artifacts_of_{tag}"), listed(&lock));
    }
}

#[test]
fn check_names_key_behind_refusal_of_kubespray() {
    needs!(Kubespray);
    let checkout = Checkout::new();
    fetch(&checkout, "v2.30.0");
    let base = plan("v2.30.0", "").replace("kubespray: {version: v2.30.0}", "");
    let with = |variables: &str| {
        format!("{base}\nkubespray:\n  version: v2.30.0\n  variables:\n    k8s_cluster: {variables}\n")
    };
    for (name, variables) in [
        ("a_word_that_is_none", "{cert_management: magic}"),
        ("a_choice_that_needs_another", "{download_localhost: true}"),
        ("a_text_for_a_yes_or_no", "{helm_enabled: 'true'}"),
        ("a_version_that_has_no_checksum", "{etcd_version: 9.9.9}"),
    ] {
        checkout.write("plan", &with(variables));
        let answer = check(&checkout, "plan").code(30);
        redacted(&checkout).bind(|| insta::assert_snapshot!(format!("refused_{name}"), answer.stdout));
    }
}

/// Kubespray's own assertions also catch mistakes that no cluster file can make. The test runs them.
#[test]
fn kubesprays_assertions_are_the_real_ones() {
    needs!(Kubespray);
    let checkout = Checkout::new();
    let fetched = fetch(&checkout, "v2.30.0");
    checkout.write("plan", &plan("v2.30.0", ""));
    let folder = checkout.root().join("rendered");
    checkout.lab(&["inventory", "render", "plan", "--output"]).arg(&folder).answer().ok();
    let kubespray = PathBuf::from(fetched["checkout"].as_str().unwrap());
    let settings = checkout.root().join("ansible.cfg");
    let text = format!("[defaults]\nroles_path = {0}/roles\nlibrary = {0}/library\n", kubespray.display());
    fs::write(&settings, text).unwrap();
    let ask = || {
        let program = fetched["environment"]["path"].as_str().unwrap().to_owned() + "/bin/ansible-playbook";
        let ask = run(program).arg("--inventory").arg(folder.join("inventory.ini"));
        let ask = ask.arg(kubespray.join("playbooks/boilerplate.yml"));
        without_network(ask.env("ANSIBLE_CONFIG", &settings).env("HOME", checkout.home())).answer()
    };
    let inventory = folder.join("inventory.ini");
    let right = fs::read_to_string(&inventory).unwrap();
    ask().ok();
    for (from, to, says) in [
        (
            "[etcd]\ncontrol-plane\n",
            "[etcd]\ncontrol-plane\ncpu-worker\n",
            "Stop if even number of etcd hosts",
        ),
        ("[kube_control_plane]\ncontrol-plane\n", "[kube_control_plane]\n", "kube_control_plane"),
        ("[all:vars]\n", "[all:vars]\nkube_network_plugin=weave\n", "The selected choice is not supported"),
    ] {
        assert!(right.contains(from), "{from} in\n{right}");
        fs::write(&inventory, right.replace(from, to)).unwrap();
        let answer = ask().code(2);
        assert!(answer.stdout.contains(says), "{says}: {answer}");
    }
}

#[test]
fn check_reports_unproven_steps_without_checkout() {
    let checkout = Checkout::with_own_cache();
    checkout.write("plan", &plan("v2.30.0", ""));
    let answer = checkout.lab(&["inventory", "check", "plan"]).answer().ok();
    redacted(&checkout).bind(|| insta::assert_snapshot!("without_a_checkout", answer.stdout));
    let required = checkout.lab(&["inventory", "check", "plan", "--require-checkout"]).answer().code(30);
    redacted(&checkout).bind(|| insta::assert_snapshot!("a_checkout_is_required", required.stderr));
    let report = checkout.lab(&["inventory", "check", "plan", "--json"]).answer().ok().json();
    let verdicts: BTreeMap<_, _> = report["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["name"].as_str().unwrap().to_owned(), step["verdict"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(verdicts["inventory"], "proven");
    assert_eq!(verdicts["assertions"], "not-proven");
}

/// Ansible's own word for what it understands of our settings.
#[test]
fn ansible_reads_its_settings_as_they_are_meant() {
    needs!(Kubespray);
    let checkout = Checkout::new();
    let fetched = fetch(&checkout, "v2.30.0");
    let root = checkout.root().join("my labs");
    fs::create_dir(&root).unwrap();
    let at = |path: &str| root.join(path).display().to_string();
    let settings = lab_core::kubespray::AnsibleSettings {
        cluster: "plan".to_owned(),
        checkout: fetched["checkout"].as_str().unwrap().to_owned(),
        ours: at("ours"),
        inventory: at("inventory.ini"),
        folder: at("ansible"),
        ssh_config: at("ssh_config"),
        sockets: at("cp"),
        machines: 12,
    };
    let place = root.join("ansible.cfg");
    fs::write(&place, settings.text().unwrap()).unwrap();
    let program = fetched["environment"]["path"].as_str().unwrap().to_owned() + "/bin/ansible-config";
    let dump = run(program).args(["dump", "--only-changed", "--type", "all", "--format", "json"]);
    let dump = dump.env("ANSIBLE_CONFIG", &place).env("HOME", checkout.home()).answer().ok();
    assert_eq!(dump.stderr, "", "Ansible warns");
    let dump = dump.json();
    let ssh = dump.as_array().unwrap().iter().filter_map(|entry| entry.get("CONNECTION_PLUGINS")).flat_map(
        |plugins| {
            plugins
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|plugin| plugin.get("ssh"))
                .flat_map(|ssh| ssh.as_array().unwrap())
        },
    );
    let lines = dump.as_array().unwrap().iter().chain(ssh).filter_map(|entry| {
        let (name, value) = (entry.get("name")?.as_str()?, &entry["value"]);
        Some(format!("{name} = {value}\n"))
    });
    let text = lines.collect::<String>().replace(fetched["checkout"].as_str().unwrap(), "[CHECKOUT]");
    let mut settings = redacted(&checkout);
    settings.add_filter(r"ansible-local-\w+", "[TEMPORARY]");
    settings.bind(|| insta::assert_snapshot!("ansibles_settings", text));
}

#[test]
fn lock_is_renewed_only_when_out_of_date() {
    needs!(Kubespray);
    let checkout = Checkout::with_own_cache();
    fetch(&checkout, "v2.30.0");
    checkout.write("plan", &plan("v2.30.0", ""));
    let list = || without_network(checkout.lab(&["artifacts", "list", "plan", "--json"])).answer();
    let names = |answer: &Answer| {
        let rows = answer.json()["artifacts"].as_array().unwrap().clone();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let asks = "asking Kubespray what the cluster needs";
    let first = list().ok();
    assert!(first.stderr.contains(asks), "{first}");
    let again = list().ok();
    assert!(!again.stderr.contains(asks), "{again}");

    checkout.write("plan", &plan("v2.30.0", "kubernetes: {addons: {metrics_server: true}}"));
    let changed = list().ok();
    assert!(changed.stderr.contains(asks), "{changed}");
    assert!(names(&changed).contains(&"metrics_server".to_owned()) && names(&changed) != names(&first));

    // The needs of a lab are known even when nothing else is left of it.
    fs::remove_dir_all(checkout.output("plan")).unwrap();
    let known = list().ok();
    assert!(!known.stderr.contains(asks), "{known}");
    assert_eq!(names(&known), names(&changed));

    fs::remove_dir_all(checkout.cache().join("kubespray")).unwrap();
    list().ok();
    checkout.write("plan", &plan("v2.30.0", ""));
    let lost = list().code(10);
    redacted(&checkout).bind(|| insta::assert_snapshot!("a_lock_without_kubespray", error(&lost)));
}

/// The error of a failed command, without the times.
fn error(answer: &Answer) -> &str {
    &answer.stderr[answer.stderr.find("error: ").expect("an error is printed")..]
}
