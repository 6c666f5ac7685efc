//! Ansible's settings for one cluster: `ansible.cfg`, with absolute paths, so that it means the same wherever
//! Ansible is started.
//!
//! Kubespray comes with settings of its own that it needs to find its roles; these take their place. They
//! differ only where they must: host keys are checked, each cluster has a cache of facts, and our own plugins
//! can be chosen. One reports events as data, one runs tasks with less work for each.

use std::fmt::Write as _;

use super::access::{AccessError, quoted};

/// The settings of one cluster. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsibleSettings {
    /// Whose they are.
    pub cluster: String,
    /// Kubespray's checkout, whether it is fetched yet or not.
    pub checkout: String,
    /// The folder of roles and plugins that are ours.
    pub ours: String,
    /// The inventory that is taken where none is given.
    pub inventory: String,
    /// Where Ansible keeps its own things: facts, temporary files, the log.
    pub folder: String,
    /// OpenSSH's settings for the machines.
    pub ssh_config: String,
    /// Where sockets of shared SSH connections go.
    pub sockets: String,
    /// How many machines there are.
    pub machines: usize,
}

/// Ansible's default, which is enough for as many machines.
const FORKS: usize = 5;
/// The longest path of a socket that Linux takes: `sun_path` of unix(7) is 108 bytes with its final NUL.
const LONGEST_SOCKET: usize = 107;
/// The addition to the folder: a slash and the ten characters by which Ansible's ssh plugin names a
/// connection, then the dot and the sixteen characters that OpenSSH appends while it makes the socket.
const SOCKET_NAME: usize = 1 + 10 + 1 + 16;

impl AnsibleSettings {
    /// Whether connections can be shared: the path of a socket is short enough.
    pub fn shares_connections(&self) -> bool {
        self.sockets.len() + SOCKET_NAME <= LONGEST_SOCKET
    }

    /// The variable `ansible_ssh_args` for a run that logs in to each machine once and keeps the connection for a
    /// minute after its last task. The inventory has one without sharing, because a connection that outlives
    /// its command keeps the network of a lab that is gone: the command that shares them must end them.
    pub fn sharing_ssh_args(&self) -> String {
        format!("-F {} -o ControlMaster=auto -o ControlPersist=60s", quoted(&self.ssh_config))
    }

    /// The text of `ansible.cfg`.
    ///
    /// # Errors
    /// If a path cannot be written so that Ansible reads it back.
    pub fn text(&self) -> Result<String, AccessError> {
        let Self { cluster, checkout, ours, inventory, folder, ssh_config, sockets, machines } = self;
        let paths = [checkout, ours, inventory, folder, ssh_config, sockets];
        // A colon or a comma ends a path in a list of them, a semicolon begins a comment.
        let bad = |c: &char| c.is_control() || "\"'\\%${}~:;,".contains(*c);
        for path in paths {
            if let Some(character) = path.chars().find(bad) {
                return Err(AccessError::Character { path: path.clone(), character });
            }
        }
        let forks = (*machines).max(FORKS).to_string();
        let mut text = format!(
            "# Made by the lab {cluster} from its cluster file; changes are overwritten.\n\
             # Use: ANSIBLE_CONFIG=THIS_FILE ansible-playbook …\n"
        );
        let sections: [(&str, &[(&str, &str)]); 4] = [
            (
                "defaults",
                &[
                    ("inventory", inventory),
                    ("roles_path", &format!("{checkout}/roles:{ours}/roles")),
                    ("library", &format!("{checkout}/library")),
                    ("home", &format!("{folder}/home")),
                    ("local_tmp", &format!("{folder}/tmp")),
                    ("forks", &forks),
                    ("timeout", "120"),
                    ("host_key_checking", "True"),
                    ("gathering", "smart"),
                    ("fact_caching", "jsonfile"),
                    ("fact_caching_connection", &format!("{folder}/facts")),
                    ("fact_caching_timeout", "86400"),
                    ("action_plugins", &format!("{ours}/action_plugins")),
                    ("callback_plugins", &format!("{ours}/callback_plugins")),
                    ("strategy_plugins", &format!("{ours}/strategy_plugins")),
                    ("deprecation_warnings", "False"),
                    // Group names with a dash are Kubespray's old ones; it maps them itself.
                    ("force_valid_group_names", "ignore"),
                ],
            ),
            ("inventory", &[("ignore_patterns", "artifacts, credentials")]),
            ("connection", &[("pipelining", "True")]),
            (
                "ssh_connection",
                &[
                    ("pipelining", "True"),
                    ("retries", "3"),
                    ("ssh_args", &format!("-F {} -o ControlMaster=no", quoted(ssh_config))),
                    ("control_path_dir", sockets),
                ],
            ),
        ];
        for (section, values) in sections {
            let _ = writeln!(text, "\n[{section}]");
            for (name, value) in values {
                let _ = writeln!(text, "{name} = {value}");
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> AnsibleSettings {
        AnsibleSettings {
            cluster: "dev".to_owned(),
            checkout: "/home/user/my labs/build/3rd-party/kubespray/checkouts/f4ccdb".to_owned(),
            ours: "/home/user/my labs/ansible".to_owned(),
            inventory: "/home/user/my labs/output/dev/inventory/inventory.ini".to_owned(),
            folder: "/home/user/my labs/output/dev/ansible".to_owned(),
            ssh_config: "/home/user/my labs/output/dev/ssh_config".to_owned(),
            sockets: "/home/user/my labs/output/dev/cp".to_owned(),
            machines: 4,
        }
    }

    #[test]
    fn cluster_gets_settings() {
        insta::assert_snapshot!(settings().text().unwrap());
    }

    #[test]
    fn there_are_as_many_forks_as_machines() {
        let text = AnsibleSettings { machines: 40, ..settings() }.text().unwrap();
        assert!(text.contains("\nforks = 40\n"), "{text}");
    }

    #[test]
    fn settings_refuse_path_that_ansible_would_cut() {
        for (path, character) in [("/a:b", ':'), ("/a ; b", ';'), ("/100%", '%'), ("/{{ x }}", '{')] {
            let refused = AnsibleSettings { checkout: path.to_owned(), ..settings() }.text();
            assert_eq!(refused, Err(AccessError::Character { path: path.to_owned(), character }));
        }
    }

    #[test]
    fn connections_are_shared_where_a_socket_has_room() {
        let with = |length: usize| AnsibleSettings { sockets: "x".repeat(length), ..settings() };
        assert!(with(79).shares_connections());
        assert!(!with(80).shares_connections());
    }
}
