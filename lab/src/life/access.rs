//! The files through which people and Ansible reach the machines: pinned host keys, OpenSSH's settings,
//! Kubespray's inventory. Written before the machines exist; nothing is ever learned from a machine.

use std::path::Path;

use anyhow::Context as _;
use lab_core::identity::USER;
use lab_core::kubespray::{Access, inventory_ini, known_hosts, ssh_config};

use crate::failure::{Failure, exit};
use crate::files::{self, PUBLIC};

use super::keys::Keys;
use super::lab::Lab;

/// Ansible's settings: nothing of the user's takes part, what it keeps stays in the lab's folder, and
/// pipelining saves each module two copies over ssh.
fn ansible_settings(lab: &Lab) -> anyhow::Result<String> {
    let settings = lab.files.ansible_settings();
    let folder = utf8(settings.parent().context("Ansible's settings have no folder")?)?;
    Ok(format!(
        "# Made by the lab {} from its cluster file; changes are overwritten.\n\
         [defaults]\nhome = {folder}/home\nlocal_tmp = {folder}/tmp\nhost_key_checking = True\n\n\
         [ssh_connection]\npipelining = True\n",
        lab.spec.name
    ))
}

/// Writes the files where their contents differ, and says whether any did.
///
/// # Errors
/// When a path of the lab cannot be said in them, or a file cannot be written.
pub fn write(lab: &Lab, keys: &Keys) -> anyhow::Result<bool> {
    let access = access(lab)?;
    let unsayable = || {
        Failure::new(exit::HOST, "the lab's folder cannot be used for SSH")
            .hint("move the checkout to a folder whose path has only letters, digits, blanks and . _ - /")
    };
    let texts = [
        (lab.files.known_hosts(), known_hosts(&lab.spec, &keys.public().host)),
        (lab.files.ssh_config(), ssh_config(&lab.spec, &access).with_context(unsayable)?),
        (lab.files.ansible_settings(), ansible_settings(lab)?),
        (lab.files.inventory(), inventory_ini(&lab.spec, &access).with_context(unsayable)?),
    ];
    let mut changed = false;
    for (path, text) in texts {
        changed |= files::write_if_changed(&path, text.as_bytes(), PUBLIC)?;
    }
    Ok(changed)
}

fn access(lab: &Lab) -> anyhow::Result<Access> {
    Ok(Access {
        user: USER.to_owned(),
        key: utf8(&lab.files.login_key())?,
        known_hosts: utf8(&lab.files.known_hosts())?,
        ssh_config: utf8(&lab.files.ssh_config())?,
    })
}

fn utf8(path: &Path) -> anyhow::Result<String> {
    let unsayable = || Failure::new(exit::HOST, format!("the path `{}` is not UTF-8", path.display()));
    path.to_str().map(str::to_owned).with_context(unsayable)
}
