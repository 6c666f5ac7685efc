//! Whether machines of kind `container` can run on this computer.

use std::path::Path;

use super::cgroups;
use super::supervisor::driver_folder;

/// Why containers cannot run here, as a sentence without its full stop; none if they can.
pub fn obstacle() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        // libvirt's LXC driver makes device nodes, which the kernel forbids in a user namespace.
        return Some(
            "containers need root: the kernel lets no other user make their device files".to_owned(),
        );
    }
    let driver = driver_folder().ok().map(|folder| folder.join("libvirt_driver_lxc.so"));
    if !driver.is_some_and(|driver| driver.exists()) {
        return Some("libvirt's LXC driver is not installed".to_owned());
    }
    let file_systems = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let overlay = file_systems.lines().any(|line| line.split_whitespace().last() == Some("overlay"));
    if !overlay && !Path::new("/sys/module/overlay").exists() {
        return Some("the kernel has no overlay file system loaded (`modprobe overlay`)".to_owned());
    }
    cgroups::obstacle()
}
