//! The files that give a machine of the lab's own image its identity at boot.
//!
//! They ride behind the image's initial file system as one more archive; the image copies the tree
//! under `identity/` over its root at every boot. A machine that is started with another archive is
//! another machine. The names, modes and shapes here are a contract with the image's initrd, which
//! reads `10-lab.network` itself: change both or neither.

use super::cpio::archive;
pub use super::cpio::{Content, Entry};
use super::{CA_ON_MACHINES, MachineIdentity, USER};
use crate::spec::Egress;

/// The file in which apt looks for servers, on a machine that reaches none.
const NO_PACKAGES: &str = "# The lab has no way out (`egress: none`): its packages are in the image.\n";

/// User and group of [`USER`], as the image's recipe makes them (`configure.sh`). A container shares user ids with the
/// computer, whose account of the same id reaches the processes of this user by /proc. 1000 is the first person's account
/// nearly everywhere; this is the last id that Debian gives to people.
const USER_ID: u32 = 59_999;

/// The archive to append to the image's initrd. It holds a private key: write it with mode 0600.
///
/// The length of the initrd before it must be a multiple of 4.
pub fn identity_archive(identity: &MachineIdentity) -> Vec<u8> {
    archive(&entries(identity))
}

/// The same files for a machine whose root the host itself can write: paths from the root of the machine,
/// directories before their content. One of them is a private key.
pub fn identity_entries(identity: &MachineIdentity) -> Vec<Entry> {
    let below = |entry: Entry| {
        let path = entry.path.strip_prefix("identity/")?.to_owned();
        Some(Entry { path, ..entry })
    };
    entries(identity).into_iter().filter_map(below).collect()
}

/// The tree, directories before their content.
pub(super) fn entries(identity: &MachineIdentity) -> Vec<Entry> {
    let MachineIdentity { name, numbers, address, gateway, host_key, login_key, .. } = identity;
    let home = format!("home/{USER}");
    // Other machines are found by the name server of the network, which follows the cluster file; a
    // list of them here would be as old as the last start of this machine.
    let hosts = format!("127.0.0.1 localhost\n{address} {name}\n::1 localhost ip6-localhost ip6-loopback\n");
    let mut entries = vec![
        directory("", 0o755, 0),
        directory("etc", 0o755, 0),
        file("etc/hostname", 0o644, 0, format!("{name}\n")),
        file("etc/hosts", 0o644, 0, hosts),
        file("etc/machine-id", 0o444, 0, format!("{}\n", numbers.machine_id)),
        file("etc/resolv.conf", 0o644, 0, format!("nameserver {gateway}\n")),
        directory("etc/systemd", 0o755, 0),
        directory("etc/systemd/network", 0o755, 0),
        file("etc/systemd/network/10-lab.network", 0o644, 0, network_unit(identity)),
        directory("etc/ssh", 0o755, 0),
        file("etc/ssh/ssh_host_ed25519_key", 0o600, 0, line_ended(&host_key.private)),
        file("etc/ssh/ssh_host_ed25519_key.pub", 0o644, 0, line_ended(&host_key.public)),
        directory("home", 0o755, 0),
        directory(&home, 0o700, USER_ID),
        directory(&format!("{home}/.ssh"), 0o700, USER_ID),
        file(&format!("{home}/.ssh/authorized_keys"), 0o600, USER_ID, line_ended(login_key)),
    ];
    if identity.egress == Egress::None {
        // Else each look for packages waits for servers that no answer comes from: 70 s of a deploy.
        entries.push(directory("etc/apt", 0o755, 0));
        entries.push(file("etc/apt/sources.list", 0o644, 0, NO_PACKAGES.to_owned()));
    }
    if let Some(authority) = &identity.authority {
        entries.push(directory("etc/lab", 0o755, 0));
        entries.push(file(CA_ON_MACHINES.trim_start_matches('/'), 0o644, 0, line_ended(authority)));
    }
    let below = |entry: &Entry| Entry { path: format!("identity/{}", entry.path), ..entry.clone() };
    entries.extend(identity.extra.iter().map(below));
    entries
}

/// The machine's only interface. No blanks round `=` and no quotes: the image's initrd reads it with a
/// shell.
fn network_unit(identity: &MachineIdentity) -> String {
    let MachineIdentity { numbers, mtu, gateway, .. } = identity;
    format!(
        "[Match]\nMACAddress={}\n\n[Link]\nMTUBytes={mtu}\n\n[Network]\nAddress={}\nGateway={gateway}\nDNS={gateway}\n",
        numbers.mac,
        identity.interface()
    )
}

fn directory(path: &str, permissions: u32, owner: u32) -> Entry {
    let path = if path.is_empty() { "identity".to_owned() } else { format!("identity/{path}") };
    Entry { path, permissions, owner, content: Content::Directory }
}

fn file(path: &str, permissions: u32, owner: u32, text: String) -> Entry {
    Entry { path: format!("identity/{path}"), permissions, owner, content: Content::File(text.into_bytes()) }
}

/// OpenSSH refuses a private key whose last line is not ended.
fn line_ended(text: &str) -> String {
    format!("{}\n", text.trim_end())
}
