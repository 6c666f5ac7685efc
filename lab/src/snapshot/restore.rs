//! Bringing a lab back as it was when a snapshot was taken of it: the same machines with the same keys and disks, and
//! proof that they live now.

use anyhow::Context as _;
use jiff::Timestamp;
use lab_core::snapshot::{Manifest, misfits};

use crate::cx::Cx;
use crate::disks::{digest, layers, snapshots};
use crate::failure::{Failure, FailureKind};
use crate::files::{self, SECRET};
use crate::host::load::{self, Answer, Attempt, Question};
use crate::lab::state::{CLUSTER, StateFile};
use crate::lab::{Lab, Reached, reach};
use crate::machines::apply::kill_point;
use crate::machines::{destroy, make};
use crate::process::ProcessError;
use crate::progress::Kind;
use crate::timeouts::CLOCK_TIMEOUT;
use crate::validate::ready::not_ready;
use crate::wait::Deadline;

/// By how many seconds a machine's clock may differ from this computer's, beside what the question takes.
const CLOCK: i64 = 2;
/// Certificates that end sooner than this cause a warning.
const SOON: i64 = 7 * 24 * 3600;

/// Makes the lab, which the caller holds, what it was in a snapshot. What it is now is lost. Ends when every node of its
/// cluster is ready, where it was well.
///
/// # Errors
/// When the snapshot does not fit the cluster file, is damaged, or does not come to life.
pub async fn restore(cx: &Cx, lab: &Lab, manifest: &Manifest) -> anyhow::Result<()> {
    let (files, words, name) = (cx.layout.snapshots(), lab.cluster_words(cx), &manifest.name);
    let store_held = snapshots::hold(&files)?;
    let misfits = misfits(manifest, &lab.spec, &snapshots::images(&lab.spec)?);
    anyhow::ensure!(
        misfits.is_empty(),
        Failure::new(
            FailureKind::Plan,
            format!("the snapshot `{name}` does not fit the cluster file: {}", misfits.join("; "))
        )
        .hint(format!("`cargo xtask lab snapshots {words}` shows which fit"))
    );
    let task = cx.progress.task("snapshot");
    task.step(&format!("bringing `{name}` back"));
    let kept = kept_files(cx, manifest)?;
    if lab.files.folder.is_dir() {
        destroy::clear(cx, &lab.files).await?;
        files::remove(&lab.files.state())?;
    }
    kill_point("restore/clear", "after");
    // From here on the lab is what the snapshot says; a call that is killed is followed by one that clears it again.
    let (spec, id) = (&lab.spec, manifest.lab.clone());
    let state = StateFile::again(&lab.files, &spec.name, lab.cluster_file.clone(), spec.host.clone(), id)?;
    for machine in manifest.machines.keys() {
        state.record(&format!("machine/{machine}"))?;
    }
    for (path, bytes) in kept {
        files::write_atomic(&lab.files.folder.join(path), &bytes, SECRET)?;
    }
    kill_point("restore/lay", "before");
    let mut work = tokio::task::JoinSet::new();
    for (machine, kept) in manifest.machines.clone() {
        let (cx, lab) = (cx.clone(), lab.clone());
        work.spawn(async move {
            let applied = &kept.applied;
            layers::lay(&cx, &lab.files, &machine, applied.kind, &applied.image, &kept.layers).await
        });
    }
    while let Some(laid) = work.join_next().await {
        laid.context("laying out a disk broke off")??;
    }
    drop(store_held);
    kill_point("restore/lay", "after");
    if manifest.kubernetes.is_some() {
        state.record(CLUSTER)?;
    }
    task.step("starting the machines");
    let made = make::make(cx, lab, &state, None).await?;
    let reached = &made.reached;
    if manifest.well {
        task.step("waiting until every node is ready");
        let asked = ["nodes", "leases"];
        if let Some(why) = not_ready(cx, lab, reached, &asked).await {
            task.failed("its cluster is not as it must be");
            let message = format!("the snapshot `{name}` was restored, and its cluster is not as it must be");
            let hint =
                format!("`cargo xtask validate {words}` shows more, `cargo xtask deploy {words}` mends it");
            return Err(
                anyhow::anyhow!("{why}").context(Failure::new(FailureKind::Deploy, message).hint(hint))
            );
        }
    }
    let what = match (manifest.well, &manifest.kubernetes) {
        (true, _) => "every node is ready",
        (false, Some(_)) => "every machine answers; its cluster was not well, and is not waited for",
        (false, None) => "every machine answers",
    };
    task.done_as(
        Kind::Restored,
        &format!("`{name}` is back in {:.1} s, {what}", task.elapsed().as_secs_f64()),
    );
    for note in clocks_and_certificates(cx, lab, reached).await? {
        cx.progress.note(&note);
    }
    Ok(())
}

/// The lab's own files of a snapshot, compared with their digests before anything is touched.
fn kept_files(cx: &Cx, manifest: &Manifest) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let folder = cx.layout.snapshots().kept(&manifest.cluster, &manifest.name);
    let read = |(path, wanted): (&String, &String)| {
        let place = folder.join(path);
        let damaged = || {
            Failure::new(
                FailureKind::Plan,
                format!("the snapshot `{}` is damaged: `{path}` is not what it was", manifest.name),
            )
        };
        let found = digest::of(&place).with_context(damaged)?;
        anyhow::ensure!(found.digest == *wanted, damaged());
        Ok((path.clone(), std::fs::read(&place)?))
    };
    manifest.files.iter().map(read).collect()
}

/// Asks every machine for its clock and its certificates. A wrong clock is an error, because nothing of a cluster works
/// then; certificates that end soon are returned as warnings.
async fn clocks_and_certificates(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<Vec<String>> {
    // Kubespray's folders (roles/kubernetes/control-plane: kube_cert_dir, roles/etcd: etcd_cert_dir) and kubelet's own.
    let ask = format!(
        "for file in /etc/kubernetes/ssl/*.crt /etc/kubernetes/ssl/etcd/*.crt /etc/ssl/etcd/ssl/*.pem /var/lib/kubelet/pki/kubelet-client-current.pem; do \
         case $file in *-key.pem) continue;; esac; [ -f $file ] && ! openssl x509 -noout -checkend {SOON} -in $file >/dev/null && \
         echo \"$file $(openssl x509 -noout -enddate -in $file)\"; done; date +%s"
    );
    let mut work = tokio::task::JoinSet::new();
    for machine in lab.spec.machines.iter().filter(|machine| machine.auto_start) {
        let (cx, name) = (cx.clone(), machine.name.clone());
        let program =
            reached.inside(&reach::ssh(lab, &name).args(["--", "sudo", "sh", "-c"]).arg(format!("'{ask}'")));
        work.spawn(async move {
            let question =
                Question { of: &format!("the clock of `{name}`"), timeout: CLOCK_TIMEOUT, times: 1 };
            let notify = |note: &str| cx.progress.note(note);
            let answer = load::again_when_overloaded(question, load::watch, notify, |times| {
                let (cancel, program) = (cx.cancel.clone(), program.clone());
                async move {
                    let before = Timestamp::now().as_second();
                    let result = program.read(&cancel, Deadline::after(CLOCK_TIMEOUT.times(times))).await;
                    Ok(match result {
                        Err(late @ ProcessError::Late { .. }) => Attempt::Late(Err(late)),
                        result => Attempt::InTime(result.map(|text| (before, text))),
                    })
                }
            });
            let result = answer.await.and_then(Answer::into_result);
            (name, result)
        });
    }
    let mut warnings = Vec::new();
    while let Some(answered) = work.join_next().await {
        let (name, result) = answered.context("asking a machine broke off")?;
        let (before, text) = result.with_context(|| format!("`{name}` does not say what time it is"))?;
        let mut lines: Vec<&str> = text.trim().lines().collect();
        let clock: i64 = lines.pop().unwrap_or_default().parse().context("a clock is a number")?;
        let after = Timestamp::now().as_second();
        anyhow::ensure!(
            (before - CLOCK..=after + CLOCK).contains(&clock),
            Failure::new(
                FailureKind::Provision,
                format!("the clock of `{name}` is {} s off", clock - before)
            )
        );
        warnings.extend(lines.iter().map(|line| {
            format!("warning: a certificate of `{name}` ends within a week or has ended: {line}; `cargo xtask deploy upgrade` or kubeadm's `certs renew` makes new ones")
        }));
    }
    Ok(warnings)
}
