//! What a cluster has right now, asked on its machines: which of them can be logged in to, its nodes, its etcd.
//!
//! Asked there and not through the kubeconfig, which names one control plane: that one may be lost.
//! Changes nothing, decides nothing.

use std::collections::BTreeSet;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Node;
use kube::api::ObjectList;
use lab_core::deploy::change::{Etcd, Living, LivingNode, read_etcd};
use lab_core::spec::Role;

use crate::cluster::kubeconfig::{ADMIN, api_port, control_planes};
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::host::load::{self, Answer, Attempt, Question};
use crate::lab::{Lab, Reached, reach};
use crate::process::{Output, ProcessError};
use crate::timeouts::{
    ANSWER_API_TIMEOUT, ANSWER_ETCD_TIMEOUT, ANSWER_LOGIN_TIMEOUT, ANSWER_TIMEOUT, FACTS_LIFETIME,
};
use crate::wait::Deadline;
use crate::{files, validate};

/// One of the first files that kubeadm writes.
const KUBELET_SETTINGS: &str = "/var/lib/kubelet/config.yaml";
/// Where Kubespray says how etcd is reached on a member (roles/etcd/templates/etcd.env.j2).
const ETCD_SETTINGS: &str = "/etc/etcd.env";

/// The observed state, and the machines whose login did not end in time.
#[derive(Default)]
struct Seen {
    living: Living,
    late: Vec<String>,
}

/// Observes the cluster. Asks once more for missing answers, with a longer timeout, if this computer is overloaded.
///
/// # Errors
/// When the user asks to stop, or a machine may be lost or slow.
pub async fn look(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<Living> {
    let question =
        Question { of: "each answer", timeout: ANSWER_TIMEOUT, times: validate::times(cx, lab).await? };
    let notify = |note: &str| cx.progress.note(note);
    let answer = load::again_when_overloaded(question, load::watch, notify, async |times| {
        let seen = look_once(cx, lab, reached, times).await?;
        Ok(if lacks_nothing(lab, &seen.living) { Attempt::InTime(seen) } else { Attempt::Late(seen) })
    });
    Ok(known(answer.await?, &lab.cluster_words(cx))?)
}

/// Whether a deploy was cut off while kubeadm made or joined a control plane. From kubeadm's first files on Kubespray takes
/// that machine for done (roles/kubernetes/control-plane/tasks/kubeadm-setup.yml, "Check if kubeadm has already run"):
/// it makes none of the missing parts, and waits for a node that gets its network only later.
pub async fn is_cut_off(cx: &Cx, lab: &Lab, reached: &Reached, living: &Living) -> anyhow::Result<bool> {
    let is_ready = |name: &str| living.nodes.iter().flatten().any(|node| node.name == name && node.ready);
    let times = validate::times(cx, lab).await?;
    for machine in control_planes(lab).filter(|machine| !is_ready(&machine.name)) {
        let began = format!("test -e {KUBELET_SETTINGS}");
        if output_of(cx, lab, reached, &machine.name, &began, times).await.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The state of the cluster, or an error if a slow machine could be taken for a lost one.
fn known(answer: Answer<Seen>, words: &str) -> Result<Living, Failure> {
    match answer {
        Answer::Slow { value: Seen { late, .. }, times, overload } if !late.is_empty() => {
            let names: Vec<String> = late.iter().map(|name| format!("`{name}`")).collect();
            let message = format!(
                "it is not known whether {} can be reached: no login within {} s while this computer was busy ({})",
                names.join(", "),
                ANSWER_LOGIN_TIMEOUT.times(times).as_secs(),
                overload.evidence
            );
            Err(Failure::new(FailureKind::Provision, message).hint(format!(
                "call it again when this computer has less to do; `cargo xtask lab vm stop {} --cluster {words}` stops a machine that is lost",
                late[0]
            )))
        }
        Answer::InTime(seen) | Answer::Late { value: seen, .. } | Answer::Slow { value: seen, .. } => {
            Ok(seen.living)
        }
    }
}

/// Whether every machine, API server and member of etcd answered.
fn lacks_nothing(lab: &Lab, living: &Living) -> bool {
    let is_whole = |etcd: &Etcd| etcd.quorum && etcd.members.iter().all(|member| member.healthy);
    lab.spec.machines.iter().all(|machine| living.reached.contains(&machine.name))
        && control_planes(lab).all(|machine| living.answering.contains(&machine.name))
        && living.etcd.as_ref().is_some_and(is_whole)
}

/// One look. `times`: how many times longer than usual each answer may take.
async fn look_once(cx: &Cx, lab: &Lab, reached: &Reached, times: u32) -> anyhow::Result<Seen> {
    let mut logins = Vec::new();
    for machine in &lab.spec.machines {
        let (cx, name) = (cx.clone(), machine.name.clone());
        let timeout = format!("ConnectTimeout={}", ANSWER_LOGIN_TIMEOUT.times(times).as_secs());
        let probe = reached.inside(&reach::ssh(lab, &name).args(["-o", &timeout, "--", "true"]));
        logins.push(tokio::spawn(async move {
            let answered = probe.output(&cx.cancel, Deadline::after(ANSWER_TIMEOUT.times(times))).await;
            (name, answered)
        }));
    }
    let mut living = Living { remembered: remembered(lab)?, ..Living::default() };
    let mut late = Vec::new();
    for login in logins {
        match login.await.context("a login broke off")? {
            (name, Ok(output)) if output.status.success() => drop(living.reached.insert(name)),
            (name, answered) if is_late(&answered) => late.push(name),
            _ => {}
        }
    }
    for machine in control_planes(lab).filter(|machine| living.reached.contains(&machine.name)) {
        if let Some(nodes) = nodes(cx, lab, reached, &machine.name, times).await {
            living.answering.insert(machine.name.clone());
            living.nodes.get_or_insert(nodes);
        }
    }
    let members = lab.spec.machines.iter().filter(|machine| machine.roles.contains(&Role::Etcd));
    for machine in members.filter(|machine| living.reached.contains(&machine.name)) {
        let etcd = etcd(cx, lab, reached, &machine.name, times).await;
        // One that knows of a majority knows more than one that does not.
        let is_better = match (&living.etcd, &etcd) {
            (None, Some(_)) => true,
            (Some(known), Some(new)) => new.quorum && !known.quorum,
            _ => false,
        };
        if is_better {
            living.etcd = etcd;
        }
        if living.etcd.as_ref().is_some_and(|etcd| etcd.quorum) {
            break;
        }
    }
    anyhow::ensure!(
        !cx.cancel.is_cancelled(),
        crate::wait::WaitError::Cancelled { what: "a look at the cluster".to_owned() }
    );
    Ok(Seen { living, late })
}

/// Whether a login came to no end: OpenSSH says `Connection timed out` of connections and of the exchange of keys.
fn is_late(answered: &Result<Output, ProcessError>) -> bool {
    match answered {
        Ok(output) => output.stderr.contains("timed out"),
        Err(error) => matches!(error, ProcessError::Late { .. }),
    }
}

/// The machines whose facts Ansible remembers.
fn remembered(lab: &Lab) -> anyhow::Result<BTreeSet<String>> {
    let folder = lab.files.facts();
    let is_fresh = |name: &String| {
        let written = folder.join(name).metadata().and_then(|found| found.modified());
        written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < FACTS_LIFETIME))
    };
    Ok(files::names(&folder)?.into_iter().filter(is_fresh).collect())
}

/// The nodes, as the API server of one control plane knows them.
async fn nodes(cx: &Cx, lab: &Lab, reached: &Reached, machine: &str, times: u32) -> Option<Vec<LivingNode>> {
    let server = format!("https://127.0.0.1:{}", api_port(lab));
    let timeout = format!("{}s", ANSWER_API_TIMEOUT.times(times).as_secs());
    let words = ["kubectl", "--kubeconfig", ADMIN, "--server", &server, "--request-timeout", &timeout];
    let words = words.into_iter().chain(["get", "nodes", "--output", "json"]);
    let text = output_of(cx, lab, reached, machine, &words.collect::<Vec<_>>().join(" "), times).await?;
    let list: ObjectList<Node> = serde_json::from_str(&text).ok()?;
    let nodes = list.items.into_iter().map(|node| {
        let status = node.status.unwrap_or_default();
        let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
        LivingNode {
            name: node.metadata.name.unwrap_or_default(),
            ready: ready.is_some_and(|ready| ready.status == "True"),
            version: status
                .node_info
                .map(|info| info.kubelet_version.trim_start_matches('v').to_owned())
                .unwrap_or_default(),
        }
    });
    Some(nodes.collect())
}

/// The etcd, as one member knows it; `None` where there is none on the machine, or it does not answer.
async fn etcd(cx: &Cx, lab: &Lab, reached: &Reached, machine: &str, times: u32) -> Option<Etcd> {
    // A client that does not wait long for a member that is gone.
    let client =
        format!("etcdctl --command-timeout={}s --write-out=json", ANSWER_ETCD_TIMEOUT.times(times).as_secs());
    // The settings name the member's own address; etcdctl refuses another beside it as an argument.
    let ask = async |etcdctl: &str| {
        let program = format!("sh -c 'set -a; . {ETCD_SETTINGS}; {etcdctl}'");
        output_of(cx, lab, reached, machine, &program, times).await
    };
    if let Some(members) = ask(&format!("{client} member list")).await {
        // Some of what it says may be that a member is not well.
        let health = ask(&format!("{client} endpoint health --cluster || true")).await.unwrap_or_default();
        return Some(read_etcd(&lab.spec, &members, &health, ""));
    }
    let members = lab.spec.machines.iter().filter(|machine| machine.roles.contains(&Role::Etcd));
    let endpoints: Vec<String> = members.map(|machine| format!("https://{}:2379", machine.address)).collect();
    let all = endpoints.join(",");
    let status = ask(&format!("ETCDCTL_ENDPOINTS={all} {client} endpoint status || true")).await?;
    let etcd = read_etcd(&lab.spec, "", "", &status);
    etcd.members.iter().any(|member| member.healthy).then_some(etcd)
}

/// What a command says as root on a machine; `None` where it fails.
async fn output_of(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    machine: &str,
    command: &str,
    times: u32,
) -> Option<String> {
    let run = reached.inside(&reach::ssh(lab, machine).args(["--", "sudo", command]));
    let output = run.output(&cx.cancel, Deadline::after(ANSWER_TIMEOUT.times(times))).await.ok()?;
    output.status.success().then_some(output.stdout)
}

#[cfg(test)]
mod tests {
    use lab_core::load::Overload;
    use rstest::rstest;

    use super::*;
    use crate::{failure, failure_kind};

    fn seen(late: &[&str]) -> Seen {
        let reached = BTreeSet::from(["k1".to_owned()]);
        Seen {
            living: Living { reached, ..Living::default() },
            late: late.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn slow(late: &[&str]) -> Answer<Seen> {
        let overload = Overload { evidence: "load 14 on 2 processors".to_owned(), factor: 7 };
        Answer::Slow { value: seen(late), times: 7, overload }
    }

    #[rstest]
    #[case::all_answered(Answer::InTime(seen(&[])))]
    #[case::lost_on_an_idle_computer(Answer::Late { value: seen(&["k2"]), times: 1 })]
    #[case::lost_and_refusing_on_a_busy_computer(slow(&[]))]
    fn machines_that_are_lost_are_known_to_be(#[case] answer: Answer<Seen>) {
        assert_eq!(known(answer, "quick").unwrap(), seen(&[]).living);
    }

    #[test]
    fn machines_that_are_slow_are_not_taken_for_lost() {
        let error = anyhow::Error::from(known(slow(&["k2", "k3"]), "quick").unwrap_err());
        assert_eq!(failure_kind::of(&error), FailureKind::Provision);
        insta::assert_snapshot!(failure::render(&error), @r"
        error: it is not known whether `k2`, `k3` can be reached: no login within 35 s while this computer was busy (load 14 on 2 processors)

        hint: call it again when this computer has less to do; `cargo xtask lab vm stop k2 --cluster quick` stops a machine that is lost
        ");
    }

    #[rstest]
    #[case::connection("ssh: connect to host 192.168.200.11 port 22: Connection timed out", true)]
    #[case::exchange_of_keys("Connection timed out during banner exchange", true)]
    #[case::refused("ssh: connect to host 192.168.200.11 port 22: Connection refused", false)]
    #[case::gone("ssh: connect to host 192.168.200.11 port 22: No route to host", false)]
    fn login_is_late_if_ssh_gave_up_waiting(#[case] stderr: &str, #[case] expected: bool) {
        let status = std::os::unix::process::ExitStatusExt::from_raw(255 << 8);
        let output = Output { status, stdout: String::new(), stderr: stderr.to_owned() };
        assert_eq!(is_late(&Ok(output)), expected);
    }
}
