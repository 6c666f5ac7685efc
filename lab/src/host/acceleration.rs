//! What runs the processors of machines: KVM where a probe boot proves it, else QEMU's emulation.
//!
//! `/dev/kvm` proves nothing: there are computers where it opens and a stock kernel hangs. KVM is used
//! only if the processor says that it can virtualise, the device opens, and a kernel boots to the end.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab_core::libvirt_xml::Acceleration;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::files::{self, PUBLIC};
use crate::image::{BaseImage, Boot};
use crate::process::{ProcessError, invocation};
use crate::timeouts::PROBE_BOOT_TIMEOUT;
use crate::wait::Deadline;

use super::load::{self, Attempt, Question};

/// What emulation costs, for a person.
const COST: &str = "everything in the machines takes ten to twenty times longer";

/// The decision, and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The verdict.
    pub kind: Acceleration,
    /// The verdict, the reason and the cost, as the end of "machines are run by …".
    pub words: String,
}

/// Decides. Without an image nothing can be booted: then an earlier probe counts, or KVM is assumed where
/// nothing speaks against it.
///
/// # Errors
/// When the user asks to stop during the probe.
pub async fn decide(cx: &Cx, image: Option<&BaseImage>) -> anyhow::Result<Decision> {
    if let Some(why) =
        obstacle(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default(), std::env::consts::ARCH)
            .or_else(|| {
                std::fs::OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open("/dev/kvm")
                    .err()
                    .map(|error| format!("/dev/kvm: {error}"))
            })
    {
        return Ok(emulation(&why));
    }
    let file = cache_file(cx);
    if let Some(decision) = files::read_own(&file)? {
        return Ok(decision);
    }
    let Some(Boot::Direct { kernel, initrd, .. }) = image.map(|image| &image.boot) else {
        return Ok(Decision { kind: Acceleration::Kvm, words: "KVM, not proven yet".to_owned() });
    };
    cx.progress.note("trying whether KVM runs a kernel here");
    let question = Question { of: "the probe boot", timeout: PROBE_BOOT_TIMEOUT, times: 1 };
    let notify = |note: &str| cx.progress.note(note);
    let answer = load::again_when_overloaded(question, load::watch, notify, async |times| {
        boots(cx, "kvm", kernel, initrd, PROBE_BOOT_TIMEOUT.times(times)).await
    });
    // A boot that is slow on an overloaded computer had forty times as long as it takes.
    let decision = match answer.await?.into_result() {
        Ok(()) => Decision { kind: Acceleration::Kvm, words: "KVM: a probe boot ran to its end".to_owned() },
        Err(why) => emulation(&format!("KVM is there, but a probe boot failed: {why:#}")),
    };
    files::write_atomic(&file, &serde_json::to_vec(&decision)?, PUBLIC)?;
    Ok(decision)
}

fn emulation(why: &str) -> Decision {
    Decision { kind: Acceleration::Tcg, words: format!("QEMU's emulation (TCG), because {why}; {COST}") }
}

/// What the processor says against KVM, if anything: x86 needs `vmx` or `svm` among its flags.
fn obstacle(cpuinfo: &str, arch: &str) -> Option<String> {
    if !matches!(arch, "x86_64" | "x86") {
        return None;
    }
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let able = flags.split_ascii_whitespace().any(|flag| matches!(flag, "vmx" | "svm"));
    (!able).then(|| "the processor shows neither vmx nor svm".to_owned())
}

/// The verdict holds for one kernel and one QEMU: a new one of either is probed again.
fn cache_file(cx: &Cx) -> PathBuf {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let qemu = Path::new("/usr/bin").join(qemu()).metadata().map_or(0, |metadata| metadata.mtime());
    cx.layout.cache().join(format!("acceleration-{}-{qemu}.json", kernel.trim()))
}

fn qemu() -> String {
    format!("qemu-system-{}", std::env::consts::ARCH)
}

/// Boots the image's kernel with its initial file system and no disk: it says so and powers off.
async fn boots(
    cx: &Cx,
    accelerator: &str,
    kernel: &Path,
    initrd: &Path,
    within: Duration,
) -> anyhow::Result<Attempt<anyhow::Result<()>>> {
    let run = invocation(qemu())
        .args([
            "-accel",
            accelerator,
            "-machine",
            "q35",
            "-m",
            "256",
            "-no-reboot",
            "-nodefaults",
            "-no-user-config",
        ])
        .args(["-display", "none", "-serial", "stdio", "-append", "console=ttyS0 panic=-1 quiet", "-kernel"])
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd);
    let ended = match run.output(&cx.cancel, Deadline::after(within)).await {
        Err(ProcessError::Late { .. }) => {
            let why = anyhow::anyhow!("nothing within {} s", within.as_secs());
            return Ok(Attempt::Late(Err(why)));
        }
        Err(ProcessError::Cancelled { program }) => return Err(ProcessError::Cancelled { program }.into()),
        ended => ended,
    };
    Ok(Attempt::InTime(match ended {
        Ok(output) if output.stdout.contains("lab: FAILED") => Ok(()),
        Ok(output) => {
            Err(anyhow::anyhow!("{}", output.stderr.lines().last().unwrap_or("the kernel said nothing")))
        }
        Err(error) => Err(error.into()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::intel("flags\t\t: fpu vmx sse\n", "x86_64", false)]
    #[case::amd("flags\t\t: fpu svm\n", "x86_64", false)]
    #[case::neither("flags\t\t: fpu vmxoff sse\n", "x86_64", true)]
    #[case::nothing("", "x86_64", true)]
    #[case::arm("Features\t: fp\n", "aarch64", false)]
    fn processor_without_virtualisation_excludes_kvm(
        #[case] cpuinfo: &str,
        #[case] arch: &str,
        #[case] against: bool,
    ) {
        assert_eq!(obstacle(cpuinfo, arch).is_some(), against);
    }
}
