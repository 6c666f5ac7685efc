//! The files through which people and Ansible reach the machines: pinned host keys, OpenSSH's settings,
//! Kubespray's inventory. Written before the machines exist; nothing is ever learned from a machine.

use std::path::Path;

use anyhow::Context as _;
use lab_core::identity::USER;
use lab_core::kubespray::{ARTIFACTS_FILE, Access, AnsibleSettings, known_hosts, ssh_config};

use crate::artifacts::serve::Serving;
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files::{self, PUBLIC};
use crate::inventory::{self, unsayable};
use crate::kubespray::source::Pin;
use crate::lab::Lab;
use crate::lab::keys::Keys;

/// Ansible's settings for the Kubespray that the cluster file names, whether it is fetched or not: nothing of the
/// user's takes part, and what Ansible keeps stays in the lab's folder.
///
/// # Errors
/// When a path of the lab is not UTF-8.
pub fn ansible_settings(cx: &Cx, lab: &Lab) -> anyhow::Result<AnsibleSettings> {
    let pin = Pin::new(&lab.spec.kubespray.version)?;
    let settings = lab.files.ansible_settings();
    Ok(AnsibleSettings {
        cluster: lab.spec.name.clone(),
        checkout: utf8(&cx.layout.kubespray().checkout(&pin.commit))?,
        ours: utf8(&cx.layout.ansible())?,
        inventory: utf8(&lab.files.inventory())?,
        folder: utf8(settings.parent().context("Ansible's settings have no folder")?)?,
        ssh_config: utf8(&lab.files.ssh_config())?,
        sockets: utf8(&lab.files.sockets())?,
        machines: lab.spec.machines.len(),
    })
}

/// Writes the files where their contents differ, and says whether any of those did by which machines are
/// logged in to.
///
/// # Errors
/// When the files cannot express a path of the lab, a foreign file is in the way of the inventory, or a file
/// cannot be written.
pub fn write(cx: &Cx, lab: &Lab, keys: &Keys, serving: Option<&Serving>) -> anyhow::Result<bool> {
    let access = access(lab)?;
    let texts = [
        (lab.files.known_hosts(), known_hosts(&lab.spec, &keys.public().host)),
        (lab.files.ssh_config(), ssh_config(&lab.spec, &access).with_context(unsayable)?),
        (lab.files.ansible_settings(), ansible_settings(cx, lab)?.text().with_context(unsayable)?),
    ];
    let mut changed = false;
    for (path, text) in texts {
        changed |= files::write_if_changed(&path, text.as_bytes(), PUBLIC)?;
    }
    let folder = lab.files.inventory_folder();
    let mut rendered = inventory::rendered(cx.layout.root(), &lab.spec, &lab.files, &folder)?;
    rendered.extend(serving.map(|serving| (ARTIFACTS_FILE.to_owned(), serving.inventory.clone())));
    let written = inventory::write(&folder, &rendered)?;
    Ok(changed || written.written.iter().any(|path| folder.join(path) == lab.files.inventory()))
}

/// How the machines of a lab are logged in to.
///
/// # Errors
/// When a path of the lab is not UTF-8.
pub fn access(lab: &Lab) -> anyhow::Result<Access> {
    Ok(Access {
        user: USER.to_owned(),
        key: utf8(&lab.files.login_key())?,
        known_hosts: utf8(&lab.files.known_hosts())?,
        ssh_config: utf8(&lab.files.ssh_config())?,
    })
}

fn utf8(path: &Path) -> anyhow::Result<String> {
    let unsayable = || Failure::new(FailureKind::Host, format!("the path `{}` is not UTF-8", path.display()));
    path.to_str().map(str::to_owned).with_context(unsayable)
}
