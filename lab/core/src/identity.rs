//! The identity of machines: the properties that distinguish them, planned before they exist.
//!
//! MAC addresses, UUIDs and machine ids are derived from the lab's id and the machine's name, so that
//! they are the same however often a machine is made again. SSH keys are made by the caller (they
//! need randomness) and given to [`MachineIdentity`]; how an identity reaches the machine is in
//! [`boot`] (the lab's own image) and [`cloud`] (an image with cloud-init).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::spec::{ClusterSpec, Egress, MachineSpec};
use crate::units::MacAddress;

use cpio::Entry;

pub mod boot;
pub mod cloud;
mod cpio;

/// The user that people and Ansible log in as, by key, with `sudo` without a password. It is also the
/// user of Debian's own cloud images.
pub const USER: &str = "debian";
/// Where a machine finds the certificate of the lab's own authority, by which it trusts the lab's registry.
pub const CA_ON_MACHINES: &str = "/etc/lab/ca.crt";

/// The unique id of a lab: 12 lower-case hexadecimal digits, chosen at random when the lab is first made and
/// stored in its state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabId(String);

/// Why a text is not a lab's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a lab id of 12 lower-case hexadecimal digits, found {found:?}")]
pub struct ParseLabIdError {
    /// The text found instead.
    pub found: String,
}

impl LabId {
    /// The id made of six random bytes.
    pub fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(hexadecimal(&bytes))
    }

    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LabId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LabId {
    type Err = ParseLabIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for LabId {
    type Error = ParseLabIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        if text.len() == 12 && text.chars().all(digit) {
            Ok(Self(text))
        } else {
            Err(ParseLabIdError { found: text })
        }
    }
}

impl From<LabId> for String {
    fn from(id: LabId) -> Self {
        id.0
    }
}

/// A UUID of version 8 (RFC 9562: bytes of the maker's own choosing, here a hash).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// The UUID made of the first bytes of a digest.
    pub(crate) fn from_digest(mut bytes: [u8; 16]) -> Self {
        bytes[6] = 0x80 | bytes[6] & 0x0f;
        bytes[8] = 0x80 | bytes[8] & 0x3f;
        Self(bytes)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hexadecimal(&self.0);
        let (a, b, c, d, e) = (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
        write!(f, "{a}-{b}-{c}-{d}-{e}")
    }
}

/// The numbers derived for one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineNumbers {
    /// In QEMU's range, `52:54:00`; unique in the lab.
    pub mac: MacAddress,
    /// Of the libvirt domain.
    pub uuid: Uuid,
    /// For `/etc/machine-id`: 32 lower-case hexadecimal digits.
    pub machine_id: String,
}

/// Derives the numbers of every machine of a lab, in the order of the file.
///
/// Only 24 bits of a MAC address are free, so that two machines of a large lab may hash to the same
/// one: the later in the file is then hashed again. A machine added at the end never changes an
/// earlier one.
pub fn machine_numbers<'a>(
    lab: &LabId,
    machines: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<String, MachineNumbers> {
    let mut taken = BTreeSet::new();
    let mut numbers = BTreeMap::new();
    for machine in machines {
        let mac = (0..)
            .map(|attempt| mac_address(lab, machine, attempt))
            .find(|mac| taken.insert(*mac))
            .expect("fewer machines than MAC addresses");
        let machine_id = hexadecimal(&digest::<16>("machine-id", lab, machine, 0));
        numbers.insert(machine.to_owned(), MachineNumbers { mac, uuid: uuid(lab, machine), machine_id });
    }
    numbers
}

fn mac_address(lab: &LabId, machine: &str, attempt: u32) -> MacAddress {
    let [a, b, c] = digest("mac", lab, machine, attempt);
    MacAddress([0x52, 0x54, 0x00, a, b, c])
}

/// The UUID of `what`, a machine or the network, in a lab.
fn uuid(lab: &LabId, what: &str) -> Uuid {
    Uuid::from_digest(digest("uuid", lab, what, 0))
}

/// The UUID of the lab's network. The name cannot be a machine's: it holds a slash.
pub fn network_uuid(lab: &LabId) -> Uuid {
    uuid(lab, "/network")
}

/// The first `N` bytes of a hash over the purpose, the lab, the name and the attempt.
fn digest<const N: usize>(purpose: &str, lab: &LabId, name: &str, attempt: u32) -> [u8; N] {
    digest_of(&[purpose, lab.as_str(), name, &attempt.to_string()])
}

/// The first `N` bytes of a hash over texts. Each is ended by a zero byte, which none of them can contain.
pub(crate) fn digest_of<const N: usize>(texts: &[&str]) -> [u8; N] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text);
        hash.update([0]);
    }
    let mut bytes = [0; N];
    bytes.copy_from_slice(&hash.finalize()[..N]);
    bytes
}

/// A short digest of a public key without its comment: it distinguishes keys, and is not for trust.
pub fn public_key_digest(public_key: &str) -> String {
    text_digest(&[&without_comment(public_key)])
}

/// The first 16 hexadecimal digits of a hash over texts, each ended by a zero byte.
fn text_digest(texts: &[&str]) -> String {
    hexadecimal(&digest_of::<8>(texts))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SSH host key of a machine, an ed25519 pair made by the caller.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey {
    /// The whole file that `ssh-keygen` writes, without a passphrase.
    pub private: String,
    /// One line, `ssh-ed25519 AAAA…`, with or without a comment.
    pub public: String,
}

impl fmt::Debug for HostKey {
    /// Leaves the private half out: debug output ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// All data that a machine gets about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineIdentity {
    /// Host name, and the name of the Kubernetes node.
    pub name: String,
    /// MAC address, UUID, machine id.
    pub numbers: MachineNumbers,
    /// Its address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// Default route and name server.
    pub gateway: Ipv4Addr,
    /// Of the network.
    pub mtu: u16,
    /// Its SSH host key.
    pub host_key: HostKey,
    /// The only public key that may log in, one line.
    pub login_key: String,
    /// Whether it reaches anything outside the lab.
    pub egress: Egress,
    /// The certificate of the lab's own authority, in PEM, where the lab serves artefacts: `/etc/lab/ca.crt`.
    pub authority: Option<String>,
    /// What a machine of the lab's own image gets besides, directories before their content: the driver's stand-in.
    pub extra: Vec<Entry>,
}

impl MachineIdentity {
    /// The identity of one machine of the cluster.
    pub fn new(
        spec: &ClusterSpec,
        machine: &MachineSpec,
        numbers: MachineNumbers,
        host_key: HostKey,
        login_key: &str,
    ) -> Self {
        Self {
            name: machine.name.clone(),
            numbers,
            address: machine.address,
            prefix: spec.network.subnet.prefix_len(),
            gateway: spec.network.gateway,
            mtu: spec.network.mtu,
            host_key,
            login_key: login_key.trim().to_owned(),
            egress: spec.network.egress,
            authority: None,
            extra: Vec::new(),
        }
    }

    /// `ADDRESS/PREFIX`.
    fn interface(&self) -> String {
        format!("{}/{}", self.address, self.prefix)
    }
}

/// The type and the base64 text of a public key, without its comment.
pub fn without_comment(public_key: &str) -> String {
    public_key.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
