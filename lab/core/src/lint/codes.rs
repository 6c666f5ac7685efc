//! The meaning of the lint's codes, their reason and their source: for `check --explain` and `docs/lint.md`.

use std::fmt::Write as _;

use crate::source::Code;
use crate::source::suggest::KnownWords;

/// The explanation of one code.
#[derive(Debug, Clone, Copy)]
pub struct Explanation {
    /// The code.
    pub code: Code,
    /// Why it matters.
    pub why: &'static str,
    /// The fix.
    pub mend: &'static str,
    /// The source: a file of Kubespray, or a document.
    pub source: &'static str,
}

macro_rules! explanations {
    ($($title:literal { $($code:ident: $why:literal, $mend:literal, $source:literal;)+ })+) => {
        /// Every code of the lint, in the order of the documentation, by its chapters.
        pub const EXPLANATIONS: &[(&str, &[Explanation])] = &[
            $(($title, &[$(Explanation { code: Code::$code, why: $why, mend: $mend, source: $source },)+]),)+
        ];
    };
}

explanations! {
    "Files" {
        Syntax: "Ansible cannot read the file, or would read it as something else.",
            "Mend the line that is shown.", "YAML 1.1, as PyYAML reads it";
        DuplicateKey: "Of a key that is in one mapping twice, Ansible takes the last one and passes over the others.",
            "Keep one of them.", "ansible-core";
        BadInventory: "Ansible refuses a file of hosts with such a line, or passes over it.",
            "Mend the line that is shown.", "ansible-core, lib/ansible/plugins/inventory";
        UnreadFile: "Ansible looks for `NAME`, `NAME.yml`, `NAME.yaml` and `NAME.json`, and stops at the first one: a folder `group_vars/all` hides `group_vars/all.yml`. Ansible ignores a file whose name is no group and no host.",
            "Move the file into the folder, or name it after a group or a host.", "ansible-core, lib/ansible/parsing/dataloader.py";
        NotJudged: "An encrypted value can be read only with its password, which this check does not ask for.",
            "Nothing: it is a note.", "ansible-vault";
    }
    "Names" {
        UnknownVariable: "Ansible takes every name. One that no role reads has no effect, and nothing says so.",
            "Write the name that Kubespray has. A name of your own is not reported where another value uses it, where it starts with a prefix given by `--own-prefix`, or where it is allowed.", "roles/**/defaults, roles/**/vars, inventory/sample, and every template of Kubespray";
        BadVariable: "Templates cannot use such a name, so no role can read it.",
            "Use letters, digits and `_`.", "ansible-core";
        RemovedVariable: "An older Kubespray had the variable, this one does not: it has no effect, or Kubespray refuses to run with it.",
            "Take it away, or set its replacement.", "the indexes of both versions; roles/validate_inventory/tasks/main.yml; roles/network_plugin/calico/tasks/check.yml";
        DeprecatedVariable: "Kubespray still takes the variable, warns of it, or does something outdated with it.",
            "Set its replacement.", "roles/validate_inventory/tasks/main.yml; roles/kubernetes/node-label/tasks/main.yml";
        DroppedAddon: "The inventory asks for an add-on that this Kubespray does not install any more: there would be none, and nothing says so. Since v2.31.0 these are ingress-nginx, the dashboard and netchecker.",
            "Install the add-on by other means, or choose an older Kubespray.", "the indexes of both versions";
        FixedVariable: "The variable stands in the `vars` of a role, which win over every inventory.",
            "Take it away; only `--extra-vars` on the command line would win.", "roles/*/vars/main.yml";
        IneffectiveVariable: "The variable is set for a group without machines, or for `k8s_cluster` where machines that are only members of etcd need it too.",
            "Set it for the group that has the machines, or for everybody in group_vars/all.", "ansible-core; roles/etcd";
        OverriddenVariable: "Of several values for the same group or the same machine, Ansible takes the last one that it reads: files sorted by name, all of them after the file of hosts.",
            "Keep one of them.", "ansible-core, lib/ansible/vars/plugins.py";
        MisplacedFile: "A file in the folder of one group reaches all of that group, with any name of its own. Kubespray's sample has `group_vars/k8s_cluster/kube_control_plane.yml`, which reaches the workers too.",
            "Move it to group_vars/GROUP.yml.", "inventory/sample/group_vars/k8s_cluster/kube_control_plane.yml";
    }
    "Values" {
        WrongShape: "Kubespray uses the value as another kind than it is, and fails in the middle of a deployment, or does something else.",
            "Write the kind of value that the default has.", "the default of the variable";
        WrongType: "A file of variables is a mapping, and nothing else.",
            "Write each variable as `name: value`.", "ansible-core";
        TextBoolean: "In an INI file `true` is a text, and so is `\"true\"` in YAML. To a condition of Ansible a text that is not empty is true, `false` too. Kubespray asserts that some are real booleans.",
            "Write true or false without quotes in YAML, True or False in INI.", "roles/validate_inventory/tasks/main.yml";
        UnknownChoice: "Kubespray knows a few words for this variable, and asserts that it is one of them.",
            "Write one of the words.", "roles/validate_inventory/tasks/main.yml; roles/network_plugin/calico/tasks/check.yml";
        MissingCompanion: "Kubespray asserts that the one is set with the other.",
            "Set both.", "roles/validate_inventory/tasks/main.yml; roles/kubernetes-apps/metallb/tasks/main.yml; roles/network_plugin/calico/tasks/check.yml";
        BadLabel: "`node_labels` is a flat mapping of texts, for each machine that has the variable. Anything else becomes a label that Kubernetes refuses near the end of a deployment, or one that was not meant.",
            "Put the labels of each machine into its host_vars, with every value in quotes.", "roles/kubernetes/node-label/tasks/main.yml";
        BadTaint: "`node_taints` is a list of texts, `key=value:Effect`. Anything else fails near the end of a deployment, or is passed over without a word (since v2.31.0).",
            "Put the taints of each machine into its host_vars, as texts.", "roles/kubernetes/node-taint/tasks/main.yml";
    }
    "Versions" {
        VersionFormat: "Since v2.28.0 Kubespray wants versions without a `v`, and puts it in front of the tags of images itself. A number without quotes loses its zeros: 1.30 becomes 1.3.",
            "Write the bare version, in quotes.", "roles/kubespray_defaults/vars/main/checksums.yml";
        UnsupportedVersion: "Kubespray installs only versions that it has a checksum of.",
            "Choose one that it has, or leave the variable out and take the tested one; or give the checksum too (`kubelet_binary_checksum`).", "roles/kubespray_defaults/vars/main/checksums.yml";
        VersionPair: "The two versions were not made for one another.",
            "Leave the second one out: Kubespray takes one that was tested.", "roles/kubespray_defaults/vars/main/main.yml; Kubernetes' release notes";
        RemovedFeatureGate: "A component of Kubernetes that is given a gate it does not know any more refuses to start, and the deployment ends in a timeout.",
            "Take it away: its feature is always on, or gone.", "Kubernetes' lists of feature gates";
        UnknownFeatureGate: "A component of Kubernetes that is given a gate it does not know refuses to start.",
            "Write the right name, or choose a Kubernetes that has it.", "Kubernetes' lists of feature gates";
        DuplicateFeatureGate: "Of a gate that is given twice, one value wins.",
            "Keep one.", "Kubernetes";
        BadFeatureGate: "Gates are texts like `NodeSwap=true`; Kubespray joins them with commas.",
            "Write each as one text.", "roles/kubernetes/control-plane/templates/kubeadm-config.v1beta4.yaml.j2";
    }
    "Networks" {
        BadSubnet: "Kubespray asserts that it is a network, without bits behind its prefix.",
            "Write it like 10.233.64.0/18.", "roles/validate_inventory/tasks/main.yml";
        BadAddress: "It is not an address.", "Write it like 10.0.0.1.", "roles/kubernetes/preinstall/tasks/0040-verify-settings.yml";
        DuplicateAddress: "Two machines cannot have one address.", "Give each its own.", "";
        OverlappingNetworks: "Pods, services and machines find one another by address: one address in two networks reaches the wrong one. Kubespray compares only pods and services.",
            "Choose networks that are apart.", "roles/validate_inventory/tasks/main.yml";
        TooFewPodAddresses: "Every machine needs a part of the pods' network, and every pod of a machine an address of that part.",
            "Make the network larger, or the parts smaller.", "roles/validate_inventory/tasks/main.yml";
        MtuTooLarge: "Packets that are larger than the network carries are lost, and connections hang.",
            "Write a smaller size, or leave it out.", "roles/network_plugin/calico/templates/calico-node.yml.j2";
        MtuEncapsulation: "Packets between machines are wrapped: VXLAN takes 50 bytes of each, IP-in-IP 20, WireGuard 60. Pods may send the rest.",
            "Write a size that leaves room, or leave it out.", "roles/network_plugin/calico_defaults/defaults/main.yml; roles/network_plugin/calico/tasks/check.yml";
        UncertifiedAddress: "The certificate of the API names the addresses that Kubespray knows: `ip`, `access_ip`, the load balancer. `ansible_host` is not among them.",
            "Add the address to `supplementary_addresses_in_ssl_keys`.", "roles/kubernetes/control-plane/tasks/kubeadm-setup.yml";
    }
    "Machines and groups" {
        BadName: "Kubespray names the node after the machine, and Kubernetes takes small letters, digits, `-` and `.`.",
            "Rename the machine.", "roles/kubernetes/preinstall/tasks/0040-verify-settings.yml";
        DuplicateName: "Names identify the members of etcd.", "Give each its own.", "roles/etcd";
        UnknownGroup: "Kubespray does nothing with machines of a group that it does not know.",
            "Use the name that Kubespray has. Groups of your own may have any name that is not nearly one of these.", "the `hosts` of Kubespray's playbooks";
        NoControlPlane: "Kubernetes needs a control plane.", "Put a machine into `kube_control_plane`.", "roles/validate_inventory/tasks/main.yml";
        NoEtcd: "Kubernetes keeps everything in etcd.", "Put machines into `etcd`.", "roles/validate_inventory/tasks/main.yml";
        EvenEtcd: "An even number of members survives no more failures than one less, and is one more that can fail.",
            "Have 1, 3 or 5.", "roles/validate_inventory/tasks/main.yml";
        ImpliedGroup: "Kubespray makes the group `k8s_cluster` when it starts. What reads the inventory before, or without Kubespray, does not see the variables of that group.",
            "Add `[k8s_cluster:children]` to the file of hosts.", "roles/dynamic_groups/tasks/main.yml";
        OldGroup: "Kubespray puts the machines of the old group into the new one; variables that are set for one of the names do not reach the other before that.",
            "Use the new name.", "roles/dynamic_groups/tasks/main.yml";
        DiskPressure: "Machines that are containers have no disk of their own: kubelet on each measures the computer's. Below its limits it removes images, makes pods leave and takes no new ones.",
            "Free some of the computer's disk. Limits of your own in `eviction_hard` and `kubelet_image_gc_high_threshold` take the place of those that the lab sets for containers.", "roles/kubernetes/node/templates/kubelet-config.v1beta1.yaml.j2";
        UnpinnedEtcdName: "Without a name of its own, a member is called etcd1, etcd2, … by its place in the group. In another order, the members of a living cluster would change their names.",
            "Set `etcd_member_name` for each member.", "roles/kubespray_defaults/defaults/main/main.yml";
    }
    "Security" {
        OpenKubelet: "Every client that reaches the kubelet can read the node's pods, and run commands in them.",
            "Leave the variable out: the default is safe.", "roles/kubernetes/node/defaults/main.yml";
        WeakAuthentication: "The way in is weaker than the default.",
            "Leave the variable out: the default is safe.", "the default of the variable";
        AnonymousAccess: "The API answers whom it does not know, which is harmless only with RBAC.",
            "Leave `authorization_modes` out.", "roles/kubespray_defaults/defaults/main/main.yml";
        ShownSecrets: "Kubespray hides values that hold secrets from the log, unless this variable forbids it.",
            "Set it on the command line for one run.", "roles/kubespray_defaults/defaults/main/download.yml";
        IgnoredAsserts: "Kubespray would go on with settings that it refuses, and fail later and worse.",
            "Mend the settings that the assertions refuse.", "roles/validate_inventory/tasks/main.yml";
        BecomeEverywhere: "Kubespray hands some tasks to the computer it runs on, with `become: false`; a variable for everybody wins over that.",
            "Call ansible-playbook with `--become`, or set the variable for the groups of the machines.", "roles/kubernetes/client/tasks/main.yml";
        HostKeyChecking: "Without the machines' keys, any server that answers at the address is given root's password.",
            "Keep a known_hosts file for the machines.", "OpenSSH";
        PlainPassword: "Every reader of the file has the password; so has its history.",
            "Encrypt it with ansible-vault, or look it up.", "ansible-vault";
    }
    "Allowing a finding" {
        BadAllowance: "A comment that is not understood allows nothing.",
            "Write it like `# lab:allow removed-variable: used by our own role`.", "";
        UnusedAllowance: "What it allowed is gone, and the next such mistake would go by without a word.",
            "Take it away.", "";
    }
}

/// The explanation of a code, where it is one of the lint.
pub fn explanation(code: Code) -> Option<&'static Explanation> {
    EXPLANATIONS.iter().flat_map(|(_, chapter)| *chapter).find(|explanation| explanation.code == code)
}

/// The text that `check --explain` prints.
///
/// # Errors
/// Where there is no such code: the message, and the nearest code.
pub fn explain(word: &str) -> Result<String, (String, String)> {
    let Some(code) = Code::parse(word) else {
        let known = Code::ALL.iter().map(|code| code.as_str());
        let hint = KnownWords::new(known)
            .nearest_within(word, 4)
            .map_or_else(|| "docs/lint.md has a list".to_owned(), |near| format!("did you mean `{near}`?"));
        return Err((format!("there is no code {}", crate::source::suggest::quote(word)), hint));
    };
    let mut text = format!("{code}: {}\n", code.summary());
    if let Some(Explanation { why, mend, source, .. }) = explanation(code) {
        let _ = write!(text, "\n{why}\n\nWhat to do: {mend}\n");
        if !source.is_empty() {
            let _ = writeln!(text, "Source: {source}");
        }
    }
    Ok(text)
}

/// `docs/lint.md`.
pub fn documentation() -> String {
    let mut text = String::from(
        "# What the check finds\n\n\
         <!-- Made from lab/core/src/lint/codes.rs: run its tests with INSTA_UPDATE=always. -->\n\n\
         `cargo xtask check CLUSTER` judges a cluster file and the inventory that it renders to; `cargo xtask check --inventory DIR \
         --kubespray TAG` judges an inventory of another author. Errors end with exit code 2, warnings with 0, \
         or with 2 after `--strict`. `--json` and `--sarif FILE` are for programs; `--explain CODE` prints one of the \
         paragraphs below.\n\n\
         People are shown the first twenty findings of each code and severity, and the number of the others; `--json` \
         and `--sarif` have all of them. A file that is no ordinary file, or is too large, is refused before it is \
         read: a cluster file has at most 4 MiB and 250,000 values, a file of an inventory 16 MiB. A check changes \
         nothing, and Ctrl-C ends it at once. `--kubespray` takes the tag of a release that is built in, or the \
         folder of a checkout of v2.28.0 or newer.\n\n\
         A finding is allowed by a comment on its line or above it, with a reason: \
         `# lab:allow CODE: reason`. A comment that allows nothing is reported. A template or an encrypted value is not \
         judged.\n",
    );
    for (title, chapter) in EXPLANATIONS {
        let _ = write!(
            text,
            "\n## {title}\n\n| code | meaning | reason, and fix | source |\n|---|---|---|---|\n"
        );
        for Explanation { code, why, mend, source } in *chapter {
            let _ = writeln!(text, "| `{code}` | {} | {why} **{mend}** | {source} |", code.summary());
        }
    }
    text.push_str("\n## Only in cluster files\n\n| code | meaning |\n|---|---|\n");
    for code in Code::ALL.iter().filter(|code| explanation(**code).is_none()) {
        let _ = writeln!(text, "| `{code}` | {} |", code.summary());
    }
    text
}
