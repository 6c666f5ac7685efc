//! The hand-over to the `lab` program: sees that this computer is set up, builds it, becomes it.
//!
//! `xtask` never links `lab`; it only execs it, so all input and output of `lab` pass unchanged.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::cargo;
use crate::cx::Cx;
use crate::failure::Failure;
use crate::folders::CACHE_VARIABLE;
use crate::host::Host;
use crate::setup::environment::{self, Environment};
use crate::setup::{self, Needs};

/// Runs `lab [FIRST] WORDS…` in place of this process.
///
/// `$LAB_BIN` names a prebuilt program; its user has set up the computer for it, so nothing
/// is checked or built then.
///
/// # Errors
/// Only when there is nothing to become: the setup is incomplete or `lab` does not build.
pub fn run(cx: &Cx, first: Option<&str>, words: Vec<OsString>) -> anyhow::Result<()> {
    let host = Host::real();
    let binary = match env::var_os("LAB_BIN") {
        Some(path) => prebuilt(path)?,
        None => {
            let go = first == Some("artifacts") && words.first().is_some_and(|word| word == "build");
            setup::ensure(cx, &host, Needs { lab: true, tools: false, go }, cx.yes || says_yes(&words))?;
            cargo::build_lab(cx)?
        }
    };
    let yes = cx.yes.then(|| OsString::from("--yes"));
    let arguments: Vec<OsString> = yes.into_iter().chain(first.map(OsString::from)).chain(words).collect();
    // `exec` comes back only when it failed.
    let error = command(cx, &host, binary.as_os_str(), &arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", binary.display()))
}

fn prebuilt(path: OsString) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(path);
    if !path.is_file() {
        let message = format!("LAB_BIN names {}, which is no file", path.display());
        return Err(Failure::usage(message, "unset LAB_BIN").into());
    }
    Ok(path.canonicalize()?)
}

/// Whether the user said yes among the words for `lab`. What follows `--` belongs to yet another program.
fn says_yes(words: &[OsString]) -> bool {
    words.iter().take_while(|word| *word != "--").any(|word| word == "--yes" || word == "-y")
}

/// The `lab` program in the environment that it is made for.
///
/// Labs must behave the same for every caller: variables that steer libvirt, Kubernetes clients,
/// Ansible, Python and the language of messages come from the lab's own files, never from the caller.
pub fn command(cx: &Cx, host: &Host, binary: &OsStr, arguments: &[OsString]) -> Command {
    let dropped = env::vars_os().map(|(name, _)| name).filter(|name| is_dropped(&name.to_string_lossy()));
    let sanitised = dropped.fold(cx.sh.cmd(binary), xshell::Cmd::env_remove);
    let mut command =
        Command::from(sanitised.args(arguments).env("LC_ALL", "C.UTF-8").envs(environment(cx, host)));
    // Paths among the arguments are relative to where the user stands, not to the root.
    if let Ok(here) = env::current_dir() {
        command.current_dir(here);
    }
    command
}

/// The variables that describe this computer and this checkout to `lab`.
pub fn environment(cx: &Cx, host: &Host) -> Vec<(&'static str, OsString)> {
    let folders = &cx.folders;
    let go = environment::go_of_setup(host, folders).map(|go| ("LAB_GO", go.into()));
    let always = [
        ("PATH", host.search_path()),
        ("LAB_ROOT", folders.root.clone().into()),
        (CACHE_VARIABLE, folders.cache.clone().into()),
        ("LAB_ANSIBLE", Environment::ansible(folders).path.into()),
    ];
    always.into_iter().chain(go).collect()
}

fn is_dropped(name: &str) -> bool {
    const PREFIXES: [&str; 9] =
        ["CARGO", "RUSTUP", "ANSIBLE_", "LIBVIRT_", "VIRSH_", "KUBE", "LC_", "PYTHON", "GIT_"];
    const NAMES: [&str; 6] =
        ["LANG", "LANGUAGE", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "OUT_DIR", "RUST_RECURSION_COUNT"];
    // How git reaches a server is the user's business; which repository it works on is ours.
    const KEPT: [&str; 6] = [
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_SSL_",
        "GIT_SSH",
        "GIT_PROXY_",
    ];
    if KEPT.iter().any(|kept| name.starts_with(kept)) {
        return false;
    }
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_counts_only_before_another_programs_words() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(says_yes(&words("up dev --yes")));
        assert!(says_yes(&words("-y up")));
        assert!(!says_yes(&words("exec cpu-worker -- apt-get install --yes")));
        assert!(!says_yes(&words("up dev")));
    }

    #[test]
    fn drops_what_would_steer_the_lab_from_outside() {
        for name in
            ["KUBECONFIG", "LIBVIRT_DEFAULT_URI", "ANSIBLE_CONFIG", "CARGO_PKG_NAME", "LC_ALL", "GIT_DIR"]
        {
            assert!(is_dropped(name), "{name}");
        }
        for name in ["HOME", "PATH", "TERM", "NO_COLOR", "LAB_SKIPS", "RUST_BACKTRACE", "GIT_SSL_CAINFO"] {
            assert!(!is_dropped(name), "{name}");
        }
    }
}
