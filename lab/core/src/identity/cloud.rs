//! The same identity for an image with cloud-init: the three documents of a NoCloud seed.
//!
//! They are JSON, which is YAML, below the first line that cloud-init asks for: every string is
//! quoted, so that nothing in it (a key, a name like `no`) can be read as anything else.

use std::fmt;
use std::io::{Cursor, Write as _};

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions, format_volume};
use serde_json::{Value, json};

use super::{CA_ON_MACHINES, MachineIdentity, USER};

/// The documents of a seed. `user_data` holds a private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed {
    /// The file `user-data`.
    pub user_data: String,
    /// The file `meta-data`.
    pub meta_data: String,
    /// The file `network-config`.
    pub network_config: String,
}

impl fmt::Debug for Seed {
    /// Leaves the user data out: debug output ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { meta_data, network_config, .. } = self;
        f.debug_struct("Seed")
            .field("meta_data", meta_data)
            .field("network_config", network_config)
            .finish_non_exhaustive()
    }
}

/// The line that a machine prints on its console as soon as its SSH server runs; the same words as the lab's
/// own image.
const READY: &str = "lab: ssh ready";

/// The seed of a machine.
///
/// The instance id is made from everything in the seed: cloud-init applies a seed once per instance
/// id, so that a changed identity is applied and an unchanged one costs nothing.
pub fn seed(identity: &MachineIdentity) -> Seed {
    let user_data = document("#cloud-config\n", &user_data(identity));
    let network_config = document("", &network_config(identity));
    let instance = super::text_digest(&[&identity.numbers.machine_id, &user_data, &network_config]);
    let meta_data = json!({ "instance-id": format!("lab-{instance}"), "local-hostname": identity.name });
    Seed { user_data, meta_data: document("", &meta_data), network_config }
}

/// Size of a seed's disk. The documents take a few kilobytes.
const DISK_SIZE: usize = 1 << 20;

/// The disk that carries a seed: a FAT file system with the label that cloud-init looks for. It holds
/// a private key: write it with mode 0600.
///
/// # Panics
/// If the documents are longer than a megabyte together, which no key is.
pub fn seed_disk(seed: &Seed) -> Vec<u8> {
    let mut disk = vec![0; DISK_SIZE];
    write_disk(&mut disk, seed).expect("the seed of a machine fits onto its disk");
    disk
}

fn write_disk(disk: &mut [u8], seed: &Seed) -> std::io::Result<()> {
    let options = FormatVolumeOptions::new().volume_label(*b"CIDATA     ");
    format_volume(Cursor::new(&mut *disk), options)?;
    let volume = FileSystem::new(Cursor::new(disk), FsOptions::new())?;
    let Seed { user_data, meta_data, network_config } = seed;
    for (name, text) in
        [("user-data", user_data), ("meta-data", meta_data), ("network-config", network_config)]
    {
        volume.root_dir().create_file(name)?.write_all(text.as_bytes())?;
    }
    volume.unmount()
}

fn document(first_line: &str, value: &Value) -> String {
    format!("{first_line}{value:#}\n")
}

fn user_data(identity: &MachineIdentity) -> Value {
    // A restart must say that it is ready too, and `runcmd` runs only once per instance.
    let mut written = vec![json!({
        "path": "/etc/systemd/system/lab-ready.service",
        "content": ready_unit(),
    })];
    written.extend(
        identity.authority.as_ref().map(|authority| json!({ "path": CA_ON_MACHINES, "content": authority })),
    );
    let MachineIdentity { name, numbers, host_key, login_key, .. } = identity;
    json!({
        "hostname": name,
        "fqdn": name,
        "preserve_hostname": false,
        "manage_etc_hosts": "localhost",
        // Host keys that came with the image are everybody's.
        "ssh_deletekeys": true,
        "ssh_keys": {
            "ed25519_private": format!("{}\n", host_key.private.trim_end()),
            "ed25519_public": host_key.public.trim(),
        },
        "ssh_pwauth": false,
        "disable_root": true,
        "users": [{
            "name": USER,
            "shell": "/bin/bash",
            "lock_passwd": true,
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "ssh_authorized_keys": [login_key],
        }],
        // The image may carry a machine id of its own, or have made one before cloud-init ran.
        "bootcmd": [["sh", "-c", format!("echo {} > /etc/machine-id", numbers.machine_id)]],
        "write_files": written,
        "runcmd": [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "--no-block", "lab-ready.service"]],
    })
}

/// A unit that says on the console that the SSH server runs.
fn ready_unit() -> String {
    format!(
        "[Unit]\nDescription=Tell the lab that SSH is ready\nAfter=ssh.service sshd.service ssh.socket\n\n\
         [Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo \"{READY}\" > /dev/console'\n\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

fn network_config(identity: &MachineIdentity) -> Value {
    let MachineIdentity { numbers, mtu, gateway, .. } = identity;
    json!({
        "version": 2,
        "ethernets": {
            // Without a name to set, cloud-init's renderers match by this key as if it were a name.
            "eth0": {
                "match": { "macaddress": numbers.mac.to_string() },
                "set-name": "eth0",
                "dhcp4": false,
                "mtu": mtu,
                "addresses": [identity.interface()],
                "routes": [{ "to": "0.0.0.0/0", "via": gateway }],
                "nameservers": { "addresses": [gateway] },
            },
        },
    })
}
