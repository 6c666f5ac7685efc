//! Settings that open a door, or show a secret.

use serde_json::Value;

use crate::kubespray::{Scope, Setting};
use crate::source::{Code, Severity};

use super::{Lint, Part, is_judged, truth};

/// The value that is reported.
#[derive(Clone, Copy)]
enum When {
    Yes,
    No,
    /// A number other than zero.
    NotZero,
}

/// A variable that weakens the cluster.
struct Smell {
    name: &'static str,
    when: When,
    code: Code,
    message: &'static str,
    hint: &'static str,
}

#[rustfmt::skip] // One line a variable reads as the table it is.
const SMELLS: [Smell; 12] = [
    Smell { name: "kube_read_only_port", when: When::NotZero, code: Code::OpenKubelet, message: "every node answers without asking who it is on this port", hint: "leave it out: it is 0" },
    Smell { name: "kubelet_authentication_token_webhook", when: When::No, code: Code::OpenKubelet, message: "the kubelet would not authenticate clients by the API", hint: "leave it out: it is true" },
    Smell { name: "kubelet_authorization_mode_webhook", when: When::No, code: Code::OpenKubelet, message: "the kubelet would allow everything to everybody whom it knows", hint: "leave it out: it is true" },
    Smell { name: "kube_token_auth", when: When::Yes, code: Code::WeakAuthentication, message: "tokens in a file never expire, and cannot be taken back while the API runs", hint: "use service accounts or OpenID Connect" },
    Smell { name: "kube_basic_auth", when: When::Yes, code: Code::WeakAuthentication, message: "Kubernetes has no passwords any more", hint: "use certificates or OpenID Connect" },
    Smell { name: "kube_webhook_token_auth_url_skip_tls_verify", when: When::Yes, code: Code::WeakAuthentication, message: "any server that answers at that address says who is who", hint: "give it a certificate, and leave this out" },
    Smell { name: "etcd_secure_client", when: When::No, code: Code::WeakAuthentication, message: "etcd would answer clients without a certificate", hint: "leave it out: it is true" },
    Smell { name: "etcd_peer_client_auth", when: When::No, code: Code::WeakAuthentication, message: "etcd would take members without a certificate", hint: "leave it out: it is true" },
    Smell { name: "dashboard_skip_login", when: When::Yes, code: Code::WeakAuthentication, message: "the dashboard would let everybody in", hint: "leave it out: it is false" },
    Smell { name: "unsafe_show_logs", when: When::Yes, code: Code::ShownSecrets, message: "passwords and tokens would be in the log of Ansible", hint: "set it on the command line while you look for a mistake, and not here" },
    Smell { name: "download_validate_certs", when: When::No, code: Code::WeakAuthentication, message: "files would be taken from any server that answers", hint: "add the authority's certificate to the machines, and leave this out" },
    Smell { name: "ignore_assert_errors", when: When::Yes, code: Code::IgnoredAsserts, message: "Kubespray would go on with settings that it refuses", hint: "mend what it asserts, and leave this out" },
];

pub(super) fn check(lint: &mut Lint<'_>) {
    for smell in &SMELLS {
        if !lint.index.variables.contains_key(smell.name) {
            continue;
        }
        for setting in lint.judged(smell.name) {
            let value = &setting.value;
            let found = match smell.when {
                When::Yes => truth(value) == Some(true),
                When::No => truth(value) == Some(false),
                When::NotZero => number(value).is_some_and(|number| number != 0),
            };
            if found {
                let source = lint.source_of(smell.name);
                let message = format!("`{}`: {}", smell.name, smell.message);
                let finding =
                    lint.report_finding(Severity::Warning, smell.code, setting, Part::Value, message);
                finding.hint(smell.hint);
                finding.source = source;
            }
        }
    }
    anonymous(lint);
    become_everywhere(lint);
    host_keys(lint);
    passwords(lint);
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Kubespray's default lets the API answer whom it does not know, which RBAC makes harmless. Without RBAC it is not.
fn anonymous(lint: &mut Lint<'_>) {
    for setting in lint.judged("authorization_modes") {
        let Value::Array(modes) = &setting.value else { continue };
        let has = |mode: &str| modes.iter().any(|found| found.as_str() == Some(mode));
        let anonymous = lint.value("kube_api_anonymous_auth").and_then(truth) != Some(false);
        let message = if has("AlwaysAllow") {
            "everybody may do everything"
        } else if !has("RBAC") && anonymous {
            "without RBAC, no rule limits an unknown client"
        } else {
            continue;
        };
        let source = lint.source_of("authorization_modes");
        let finding = lint.report_finding(
            Severity::Warning,
            Code::AnonymousAccess,
            setting,
            Part::Value,
            format!("`authorization_modes`: {message}"),
        );
        finding.hint("leave it out: it is [Node, RBAC]");
        finding.source = source;
    }
}

/// Tasks that Kubespray hands to this computer would become root here.
fn become_everywhere(lint: &mut Lint<'_>) {
    for setting in lint.judged("ansible_become") {
        if setting.scope == Scope::Group("all".to_owned()) && truth(&setting.value) == Some(true) {
            lint.report_finding(
                Severity::Warning,
                Code::BecomeEverywhere,
                setting,
                Part::Name,
                "`ansible_become` for everybody also reaches Kubespray's tasks on this computer: it would become root here",
            )
            .hint("call ansible-playbook with --become, or set it for k8s_cluster and etcd");
        }
    }
}

fn host_keys(lint: &mut Lint<'_>) {
    let off = |setting: &&Setting| match setting.name.as_str() {
        "ansible_host_key_checking" | "ansible_ssh_host_key_checking" => truth(&setting.value) == Some(false),
        _ => setting.value.as_str().is_some_and(|text| {
            let text: String = text.to_ascii_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
            ["stricthostkeychecking=no", "stricthostkeychecking=off", "userknownhostsfile=/dev/null"]
                .iter()
                .any(|option| text.contains(option))
        }),
    };
    for name in [
        "ansible_host_key_checking",
        "ansible_ssh_host_key_checking",
        "ansible_ssh_args",
        "ansible_ssh_common_args",
        "ansible_ssh_extra_args",
    ] {
        let found: Vec<_> = lint.judged(name).into_iter().filter(off).take(3).collect();
        for setting in found {
            let message =
                format!("`{name}`: any server that answers at the address is taken for the machine");
            lint.report_finding(Severity::Warning, Code::HostKeyChecking, setting, Part::Value, message)
                .hint("put the machines' keys into a known_hosts file, and check them");
        }
    }
}

/// Endings of names whose values are secrets.
const SECRETS: [&str; 5] = ["_password", "_passwd", "_pass", "_api_key", "_secret_key"];

fn passwords(lint: &mut Lint<'_>) {
    let mut names: Vec<&str> =
        lint.values.names().filter(|name| SECRETS.iter().any(|ending| name.ends_with(ending))).collect();
    names.sort_unstable();
    for name in names {
        for (setting, more) in lint.settings_to_report(name) {
            let Some(text) = setting.value.as_str() else { continue };
            let default = lint.index.variables.get(name).and_then(super::default_of);
            // The name of a file that Ansible looks up is no secret, and neither is Kubespray's default.
            if text.is_empty()
                || !is_judged(&setting.value)
                || default == Some(&setting.value)
                || text.starts_with('/')
            {
                continue;
            }
            let message = format!("`{name}` stands here for everybody to read{}", super::names::and(more));
            lint.report_finding(Severity::Warning, Code::PlainPassword, setting, Part::Name, message)
                .hint(format!("encrypt it: ansible-vault encrypt_string --name {name}"));
        }
    }
    let entries = lint.judged("containerd_registry_auth");
    for setting in entries {
        let Value::Array(items) = &setting.value else { continue };
        let plain =
            |item: &Value| item.get("password").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        if items.iter().any(plain) {
            lint.report_finding(
                Severity::Warning,
                Code::PlainPassword,
                setting,
                Part::Name,
                "the password of a registry stands here for everybody to read",
            )
            .hint("put the passwords into variables of their own, and encrypt those: ansible-vault encrypt_string");
        }
    }
}
