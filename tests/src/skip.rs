//! Tests that cannot run on this computer. Skipped is not passed: it is written down, counted, and made a
//! failure where `cargo xtask test --require` says so.

use std::io::Write as _;

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

/// Skips the calling test where machines cannot be containers.
#[macro_export]
macro_rules! needs_containers {
    () => {
        if let Some(why) = $crate::skip::no_containers() {
            $crate::skip!("{why}");
        }
    };
}

/// Why machines cannot be containers here, as far as a test may decide it: what is the product's to find out is not
/// looked at.
#[must_use]
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
    fn a_test_is_named_as_its_runner_names_it() {
        assert_eq!(test_name("lab::user::an_ordinary_user::here"), "user::an_ordinary_user");
        assert_eq!(test_name("lab::a_test::here"), "a_test");
    }
}
