//! How the machines of a lab are logged in to: one `ssh_config` and one `known_hosts` that are the
//! lab's own.
//!
//! Nothing of the user's own SSH settings takes part, and no host key is ever learned: both files are
//! written before the machines exist. Host key checking is never off.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::identity::without_comment;
use crate::spec::ClusterSpec;

/// The files of a lab that logging in needs. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The user to log in as.
    pub user: String,
    /// The private key.
    pub key: String,
    /// Where [`known_hosts`] is written to.
    pub known_hosts: String,
    /// Where [`ssh_config`] is written to.
    pub ssh_config: String,
}

/// Why the files cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// OpenSSH or Ansible would read it as something else, however it is quoted.
    #[error("the path {path:?} cannot be used for SSH: it holds {character:?}")]
    Character {
        /// The path.
        path: String,
        /// The character that cannot be in it.
        character: char,
    },
}

impl Access {
    /// Checks that every path can be written in both files.
    ///
    /// # Errors
    /// Names the path and its mistake.
    pub(super) fn check(&self) -> Result<(), AccessError> {
        [&self.key, &self.known_hosts, &self.ssh_config].into_iter().try_for_each(|path| check_path(path))
    }
}

/// Checks that OpenSSH and Ansible can read a path.
pub(super) fn check_path(path: &str) -> Result<(), AccessError> {
    // A quote or a backslash has no escape that all versions of OpenSSH know, `%`, `$` and `{`
    // start a token or a variable in it or a template in Ansible, and `~` a home directory.
    let bad = |c: char| c.is_control() || matches!(c, '"' | '\'' | '\\' | '%' | '$' | '{' | '}' | '~');
    match path.chars().find(|c| bad(*c)) {
        Some(character) => Err(AccessError::Character { path: path.to_owned(), character }),
        None => Ok(()),
    }
}

/// The pinned host keys, by name and by address. `host_keys`: public keys by machine; a machine
/// without one gets no line, and cannot be logged in to.
pub fn known_hosts(spec: &ClusterSpec, host_keys: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for machine in &spec.machines {
        if let Some(key) = host_keys.get(&machine.name) {
            let _ = writeln!(text, "{},{} {}", machine.name, machine.address, without_comment(key));
        }
    }
    text
}

/// The configuration for `ssh -F`: every machine by its name and by its address.
///
/// # Errors
/// If a path cannot be written so that OpenSSH reads it back.
pub fn ssh_config(spec: &ClusterSpec, access: &Access) -> Result<String, AccessError> {
    access.check()?;
    let mut text = format!(
        "# Made by the lab {} from its cluster file; changes are overwritten.\n\
         # Use: ssh -F THIS_FILE MACHINE\n\n",
        spec.name
    );
    for machine in &spec.machines {
        let _ = write!(text, "Host {} {}\n    HostName {1}\n\n", machine.name, machine.address);
    }
    let options = [
        ("User", access.user.clone()),
        ("IdentityFile", quoted(&access.key)),
        ("IdentitiesOnly", "yes".to_owned()),
        ("IdentityAgent", "none".to_owned()),
        ("UserKnownHostsFile", quoted(&access.known_hosts)),
        ("GlobalKnownHostsFile", "/dev/null".to_owned()),
        ("StrictHostKeyChecking", "yes".to_owned()),
        ("UpdateHostKeys", "no".to_owned()),
        ("HostKeyAlgorithms", "ssh-ed25519".to_owned()),
        ("PreferredAuthentications", "publickey".to_owned()),
        ("PasswordAuthentication", "no".to_owned()),
        ("KbdInteractiveAuthentication", "no".to_owned()),
        ("GSSAPIAuthentication", "no".to_owned()),
        ("ForwardAgent", "no".to_owned()),
        // A shared connection outlives its command, and would keep the network of a lab that is gone.
        ("ControlMaster", "no".to_owned()),
        ("ServerAliveInterval", "15".to_owned()),
        ("ServerAliveCountMax", "8".to_owned()),
        ("LogLevel", "ERROR".to_owned()),
    ];
    text.push_str("Host *\n");
    for (name, value) in options {
        let _ = writeln!(text, "    {name} {value}");
    }
    Ok(text)
}

/// Paths may hold blanks.
pub(super) fn quoted(path: &str) -> String {
    format!("\"{path}\"")
}
