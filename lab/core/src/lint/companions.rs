//! Variables that Kubespray takes only together with others: a table of the assertions of its roles.

use serde_json::Value;

use crate::source::{Code, Severity};

use super::{Lint, Part, is_judged, shown, truth};

/// The required value.
#[derive(Debug, Clone, Copy)]
enum Is {
    Yes,
    No,
    Word(&'static str),
    NotWord(&'static str),
    OneOf(&'static [&'static str]),
    /// Anything at all.
    Set,
}

impl Is {
    fn holds(self, value: &Value) -> bool {
        match self {
            Self::Yes => truth(value) == Some(true),
            Self::No => truth(value) == Some(false),
            Self::Word(word) => value.as_str() == Some(word),
            Self::NotWord(word) => value.as_str().is_some_and(|text| text != word),
            Self::OneOf(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Self::Set => !matches!(value, Value::Null) && value.as_str() != Some(""),
        }
    }
}

/// With all of `when`, Kubespray requires `needs`.
struct Companion {
    when: &'static [(&'static str, Is)],
    needs: (&'static str, Is),
    message: &'static str,
    hint: &'static str,
    /// A part of the name of the file that asserts it.
    file: &'static str,
}

const VALIDATE: &str = "roles/validate_inventory/";
const CLOUDS: &[&str] = &["hcloud", "huaweicloud", "oci", "openstack", "vsphere", "manual"];

#[rustfmt::skip] // One line a rule reads as the table it is.
const COMPANIONS: [Companion; 8] = [
    Companion { when: &[("download_localhost", Is::Yes)], needs: ("download_run_once", Is::Yes), message: "`download_localhost` needs `download_run_once: true`", hint: "set `download_run_once: true` beside it", file: VALIDATE },
    Companion { when: &[("etcd_deployment_type", Is::Word("docker"))], needs: ("container_manager", Is::Word("docker")), message: "etcd runs in Docker only where everything does", hint: "set `etcd_deployment_type: host`", file: VALIDATE },
    Companion { when: &[("kata_containers_enabled", Is::Yes)], needs: ("container_manager", Is::NotWord("docker")), message: "Kata containers do not run in Docker", hint: "set `container_manager: containerd`", file: VALIDATE },
    Companion { when: &[("gvisor_enabled", Is::Yes)], needs: ("container_manager", Is::Word("containerd")), message: "gVisor runs only in containerd", hint: "set `container_manager: containerd`", file: VALIDATE },
    Companion { when: &[("kube_external_ca_mode", Is::Yes)], needs: ("auto_renew_certificates", Is::No), message: "certificates of another authority cannot be renewed here", hint: "set `auto_renew_certificates: false`", file: VALIDATE },
    Companion { when: &[("cloud_provider", Is::Word("external"))], needs: ("external_cloud_provider", Is::OneOf(CLOUDS)), message: "`cloud_provider: external` needs to know which one", hint: "set `external_cloud_provider` to hcloud, huaweicloud, oci, openstack, vsphere or manual", file: VALIDATE },
    Companion { when: &[("metallb_enabled", Is::Yes), ("kube_proxy_mode", Is::Word("ipvs"))], needs: ("kube_proxy_strict_arp", Is::Yes), message: "MetalLB with `kube_proxy_mode: ipvs` needs `kube_proxy_strict_arp: true`", hint: "set `kube_proxy_strict_arp: true`", file: "kubernetes-apps/metallb/" },
    Companion { when: &[("peer_with_calico_rr", Is::Yes)], needs: ("cluster_id", Is::Set), message: "route reflectors of Calico need a `cluster_id`", hint: "set `cluster_id` to an IPv4 address that no other cluster has", file: "calico/tasks/check.yml" },
];

pub(super) fn check(lint: &mut Lint<'_>) {
    for Companion { when, needs: (needed, is), message, hint, file } in &COMPANIONS {
        // A rule that depends on an unknown default of Kubespray reports nothing.
        let holds = |(name, is): &(&str, Is)| lint.value(name).is_some_and(|value| is.holds(value));
        if !lint.index.variables.contains_key(*needed) || !when.iter().all(holds) {
            continue;
        }
        let found = lint.setting(needed);
        let right = match (found, lint.value(needed)) {
            (Some(setting), _) if !is_judged(&setting.value) => true,
            (_, Some(value)) => is.holds(value),
            // Without a default it is not there; a default that is worked out is not known.
            (None, None) => {
                lint.index.variables.get(*needed).is_some_and(|variable| !variable.defaults.is_empty())
            }
            (Some(_), None) => true,
        };
        let first = lint.setting(when[0].0).or(found);
        let Some(setting) = first.filter(|_| !right) else { continue };
        let source = lint.asserted(needed, file);
        let mut message = (*message).to_owned();
        if let Some(found) = found {
            message = format!("{message}, and it is {}", shown(&found.value));
        }
        let related =
            found.filter(|found| !std::ptr::eq(*found, setting)).map(|found| (lint.subject.place)(found).1);
        let finding =
            lint.report_finding(Severity::Error, Code::MissingCompanion, setting, Part::Name, message);
        finding.hint(*hint);
        finding.source = source;
        if let Some(related) = related {
            finding.related_at(related, "set here");
        }
    }
}
