//! Tests that cannot run on this computer. Skipped is not passed: it is written down, counted, and made a
//! failure where `cargo xtask test --require` says so.

use std::io::Write as _;

pub use lab_core::needs::Need;

use crate::checkout::registry;
use crate::kubespray::unreachable;

/// Writes down why the calling test cannot run, and returns from it.
///
/// To be called in the function of the test itself: its name is the one that is written down.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {{
        fn here() {}
        $crate::skip::record(std::any::type_name_of_val(&here), &format!($($reason)+));
        return;
    }};
}

/// Skips the calling test where one of these needs (variants of [`lab_core::needs::Need`]) is not met.
#[macro_export]
macro_rules! needs {
    ($($need:ident),+) => {
        $(if let Some(why) = $crate::skip::lacks($crate::skip::Need::$need) {
            $crate::skip!("{why}");
        })+
    };
}

/// Why a need is not met on this computer; `None` where it is.
///
/// # Panics
/// At a need of a cluster, which no test has.
pub fn lacks(need: Need) -> Option<String> {
    let program = |name: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_there = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        (!is_there).then(|| format!("there is no {name} on this computer"))
    };
    match need {
        Need::Root => (!nix::unistd::geteuid().is_root()).then(|| "only root can do this".to_owned()),
        Need::Containers => no_containers().map(str::to_owned),
        Need::Kubespray => unreachable(),
        Need::Registry => registry()
            .is_none()
            .then(|| "there is no docker-registry; `cargo xtask setup` unpacks it".to_owned()),
        Need::CMake => program("cmake"),
        Need::Make => program("make"),
        Need::TwoNodes
        | Need::MetricsServer
        | Need::Probes
        | Need::GpuOperator
        | Need::SharedGpus
        | Need::GpuExporter
        | Need::Cuda => panic!("{need:?} is of a cluster"),
    }
}

/// The reason why machines cannot be containers here, as far as a test may decide it. It does not look at facts that the
/// product finds out.
pub fn no_containers() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("containers need root");
    }
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let driver = "libvirt/connection-driver/libvirt_driver_lxc.so";
    let there = folders.iter().any(|folder| std::path::Path::new(folder).join(driver).exists());
    (!there).then_some("libvirt's LXC driver is not installed")
}

/// Adds a line to the file that `LAB_SKIPS` names. `here` is the path of an item inside the test's function.
pub fn record(here: &str, reason: &str) {
    let name = test_name(here);
    eprintln!("{name} is skipped: {reason}");
    let Some(path) = std::env::var_os("LAB_SKIPS") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    // One write, so that lines of tests that run at the same time do not mix.
    let line = format!("{name}\t{}\n", reason.replace(['\t', '\n'], " "));
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("LAB_SKIPS names a file that can be written");
}

/// `lab::life::a_test::here` is the test `life::a_test` of the binary `lab`.
fn test_name(here: &str) -> &str {
    let test = here.rsplit_once("::").map_or(here, |(test, _)| test);
    test.split_once("::").map_or(test, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_name_is_that_of_runner() {
        assert_eq!(test_name("lab::user::an_ordinary_user::here"), "user::an_ordinary_user");
        assert_eq!(test_name("lab::a_test::here"), "a_test");
    }
}
