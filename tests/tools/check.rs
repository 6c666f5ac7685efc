//! `check` as people call it: an inventory that another person wrote, what it prints, how it ends.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use lab_core::kubespray::TAGS;
use lab_tests::checkout::real_root;
use lab_tests::{Checkout, Run, redact};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use rstest::rstest;
use serde_json::json;

/// The inventory of the original plan, as it was written.
fn plan() -> PathBuf {
    real_root().join("tests/fixtures/original-plan")
}

fn check(checkout: &Checkout, inventory: &Path, words: &[&str]) -> Run {
    checkout.lab(&["check", "--inventory"]).arg(inventory).args(words)
}

/// An inventory with one misspelt name and one warning.
fn small(checkout: &Checkout) -> PathBuf {
    let folder = checkout.root().join("mine");
    fs::create_dir_all(folder.join("group_vars")).unwrap();
    fs::write(
        folder.join("hosts.yaml"),
        "all: {children: {kube_control_plane: {hosts: {a: }}, etcd: {hosts: {a: }}}}\n",
    )
    .unwrap();
    fs::write(folder.join("group_vars/all.yml"), "unsafe_show_logs: true\nkube_verison: 1.34.3\n").unwrap();
    folder
}

#[test]
fn check_refuses_original_plan_with_every_mistake() {
    let checkout = Checkout::new();
    let said = check(&checkout, &plan(), &["--kubespray", "v2.31.0"]).answer().code(2);
    assert_eq!(said.stderr, "");
    assert!(said.stdout.ends_with("\n10 errors, 3 warnings\n"), "{said}");
    let said = check(&checkout, &plan().join("inventory.ini"), &["--json"]).answer().code(2).json();
    assert_eq!(said["counts"], json!({"errors": 9, "warnings": 1, "notes": 0, "allowed": 0}));
    assert_eq!(said["kubespray"], "v2.30.0", "the default release");
}

#[test]
fn warnings_alone_are_no_failure_unless_asked_for() {
    let checkout = Checkout::new();
    let folder = small(&checkout);
    fs::write(folder.join("group_vars/all.yml"), "unsafe_show_logs: true\n").unwrap();
    let said = check(&checkout, &folder, &[]).answer().ok();
    redact::settings(&checkout.root().display().to_string()).bind(|| insta::assert_snapshot!(said.stdout));
    check(&checkout, &folder, &["--strict"]).answer().code(2);
    let allowed = "unsafe_show_logs: true # lab:allow shown-secrets: for a day\n";
    fs::write(folder.join("group_vars/all.yml"), allowed).unwrap();
    let said = check(&checkout, &folder, &["--strict"]).answer().ok();
    assert!(
        said.stdout.contains("is right for Kubespray v2.30.0: 1 machine in 2 files; 1 allowed"),
        "{said}"
    );
}

#[test]
fn findings_go_to_a_file_as_sarif_while_people_read_them() {
    let checkout = Checkout::new();
    let folder = small(&checkout);
    let file = checkout.root().join("findings.sarif");
    let said = check(&checkout, &folder, &["--sarif", file.to_str().unwrap()]).answer().code(2);
    assert!(said.stdout.contains("error[unknown-variable]"), "{said}");
    let written: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(written["version"], "2.1.0");
    assert_eq!(written["runs"][0]["results"].as_array().unwrap().len(), 2);
    let printed = check(&checkout, &folder, &["--sarif", "-"]).answer().code(2).json();
    assert_eq!(printed, written);
}

#[rstest]
#[case::both_on_standard_output("both", &["check", "--inventory", "mine", "--json", "--sarif", "-"])]
#[case::no_such_inventory("no_such_inventory", &["check", "--inventory", "gone"])]
#[case::no_hosts("no_hosts", &["check", "--inventory", "inventories"])]
#[case::no_such_release("no_such_release", &["check", "--inventory", "mine", "--kubespray", "v2.31"])]
#[case::not_built_in("not_built_in", &["check", "--inventory", "mine", "--kubespray", "v2.28.0"])]
#[case::no_such_code("no_such_code", &["check", "--explain", "removed-varable"])]
fn check_refuses_impossible_request(#[case] name: &str, #[case] words: &[&str]) {
    let checkout = Checkout::new();
    small(&checkout);
    let said = checkout.lab(words).answer().code(2);
    assert_eq!(said.stdout, "");
    redact::settings(&checkout.root().display().to_string()).bind(|| {
        insta::assert_snapshot!(format!("check_{name}"), said.stderr);
    });
}

/// Puts something else than an ordinary file under a path.
fn put(kind: &str, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match kind {
        "folder" => fs::create_dir(path).unwrap(),
        "fifo" => mkfifo(path, Mode::S_IRWXU).unwrap(),
        "dangling" => symlink("nowhere", path).unwrap(),
        "loop" => symlink(path, path).unwrap(),
        _ => unreachable!(),
    }
}

/// Opening a FIFO waits for a writer, which never comes.
#[rstest]
#[case::variables_of_a_group("fifo", "mine/group_vars/all/more.yml", "--inventory=mine")]
#[case::variables_of_a_host("fifo", "mine/host_vars/a", "--inventory=mine")]
#[case::hosts("fifo", "other/hosts", "--inventory=other")]
#[case::hosts_themselves("fifo", "other/hosts", "--inventory=other/hosts")]
#[case::link_to_nowhere("dangling", "mine/group_vars/all/more.yml", "--inventory=mine")]
#[case::cluster_fifo("fifo", "other/cluster.yaml", "other")]
#[case::cluster_fifo_itself("fifo", "other/cluster.yaml", "other/cluster.yaml")]
#[case::cluster_by_name("fifo", "inventories/other/cluster.yaml", "other")]
#[case::cluster_folder("folder", "other/cluster.yaml", "other")]
#[case::cluster_loop("loop", "other/cluster.yaml", "other")]
#[case::cluster_dangling("dangling", "other/cluster.yaml", "other")]
fn check_refuses_everything_but_ordinary_files(#[case] kind: &str, #[case] path: &str, #[case] word: &str) {
    let checkout = Checkout::new();
    let inventory = small(&checkout);
    fs::rename(inventory.join("group_vars/all.yml"), inventory.join("all.yml")).unwrap();
    fs::create_dir(inventory.join("group_vars/all")).unwrap();
    put(kind, &checkout.root().join(path));
    let said = checkout.lab(&["check", word]).answer().code(2);
    let named = match kind {
        "folder" => "a folder",
        "fifo" => "a FIFO",
        "dangling" => "a link that leads nowhere",
        _ => "a link that leads back to itself",
    };
    assert_eq!(said.stdout, "");
    assert!(said.stderr.contains(&format!("{path}` is {named}, not a file\n")), "{said}");
}

#[test]
fn check_distinguishes_a_folder_without_a_cluster_file_from_no_cluster() {
    let checkout = Checkout::new();
    small(&checkout);
    let said = checkout.lab(&["check", "mine"]).answer().code(2);
    assert!(said.stderr.starts_with("error: the folder `mine` has no cluster.yaml\n"), "{said}");
    let said = checkout.lab(&["check", "gone"]).answer().code(2);
    assert!(said.stderr.starts_with("error: there is no cluster `gone`, neither a name"), "{said}");
}

#[test]
fn check_refuses_a_large_file_with_its_size_and_the_limit() {
    let checkout = Checkout::new();
    let inventory = small(&checkout);
    let large = |path: &Path, bytes: u64| fs::File::create(path).unwrap().set_len(bytes).unwrap();
    checkout.write("mine", "");
    large(&checkout.root().join("inventories/mine/cluster.yaml"), 10_000_000);
    large(&inventory.join("group_vars/all.yml"), 20_000_000);
    let of_cluster = checkout.lab(&["check", "mine"]).answer().code(2).stderr;
    let of_inventory = check(&checkout, Path::new("mine"), &[]).answer().code(2).stderr;
    redact::settings(&checkout.root().display().to_string()).bind(|| {
        insta::assert_snapshot!(format!("{of_cluster}\n{of_inventory}"));
    });
}

/// Some of each kind are for people, all of them for programs.
#[test]
fn check_counts_hundreds_of_own_names() {
    let checkout = Checkout::new();
    let folder = small(&checkout);
    let own: String = (0..500).map(|number| format!("homelab_{number}: 1\n")).collect();
    fs::write(folder.join("group_vars/all.yml"), own).unwrap();
    let said = check(&checkout, &folder, &[]).answer().ok();
    assert!(
        said.stdout.contains("\nwarning[unknown-variable]: and 480 more; `check --json` lists all of them\n"),
        "{said}"
    );
    assert!(said.stdout.lines().count() < 200, "{said}");
    let json = check(&checkout, &folder, &["--json"]).answer().ok().json();
    assert_eq!(json["findings"].as_array().unwrap().len(), 500);
}

/// A check changes nothing, so it finishes no step first.
#[rstest]
#[case(Signal::SIGTERM)]
#[case(Signal::SIGINT)]
fn check_ends_on_the_first_signal(#[case] signal: Signal) {
    let checkout = Checkout::new();
    let folder = small(&checkout);
    fs::remove_file(folder.join("group_vars/all.yml")).unwrap();
    fs::create_dir(folder.join("group_vars/all")).unwrap();
    // Files that are right and take half a minute to judge.
    for number in 0..8 {
        let own: String = (0..100_000).map(|name| format!("homelab_{number}_{name}: 1\n")).collect();
        fs::write(folder.join(format!("group_vars/all/{number}.yml")), own).unwrap();
    }
    let started = check(&checkout, &folder, &[]).start();
    started.listens_to_ctrl_c();
    started.signal(signal);
    let said = started.answer().code(130);
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", "stopped; nothing was changed\n"));
}

#[test]
fn check_explains_code() {
    let said = Checkout::new().lab(&["check", "--explain", "unread-file"]).answer().ok();
    insta::assert_snapshot!(said.stdout);
}

/// A rendered inventory is right to the lab's own check: for every release where the file asks for no version of its own.
#[test]
fn rendered_inventory_has_no_findings() {
    let checkout = Checkout::new();
    let own = |name: &str| {
        fs::read_to_string(real_root().join("inventories").join(name).join("cluster.yaml")).unwrap()
    };
    let dev = own("dev");
    assert!(!dev.contains("\nkubespray:"), "a release is added below");
    let mut clusters = vec![("cloud-cluster", "v2.30.0", own("cloud-cluster"))];
    clusters.extend(TAGS.map(|tag| ("dev", tag, format!("{dev}\nkubespray: {{version: {tag}}}\n"))));
    for (name, tag, text) in clusters {
        checkout.write(name, &text);
        let folder = checkout.root().join(format!("rendered-{name}-{tag}"));
        checkout.lab(&["inventory", "render", name, "--output"]).arg(&folder).answer().ok();
        let said = check(&checkout, &folder, &["--kubespray", tag, "--json"]).answer().ok().json();
        assert_eq!(said["findings"], json!([]), "{name} with {tag}");
    }
}

#[test]
fn cluster_file_is_judged_by_rendered_inventory() {
    let checkout = Checkout::new();
    let text = lab_tests::cluster::Cluster::new("mine", &["one"]).text();
    let variables = "kubespray:\n  variables:\n    k8s_cluster:\n      kube_feature_gate: []\n      deploy_netchecker: true\n";
    checkout.write("mine", &format!("{text}{variables}"));
    let said = checkout.lab(&["check", "mine"]).answer().code(2);
    redact::settings(&checkout.root().display().to_string()).bind(|| insta::assert_snapshot!(said.stdout));
    let newer = checkout.lab(&["check", "mine", "--kubespray", "v2.31.0", "--json"]).answer().code(2).json();
    let codes: Vec<_> =
        newer["findings"].as_array().unwrap().iter().map(|finding| &finding["code"]).collect();
    assert_eq!(codes, ["unknown-variable", "dropped-addon"]);
}
