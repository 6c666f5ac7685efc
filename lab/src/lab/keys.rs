//! SSH keys: one that opens every machine, and a host key for each. Made by OpenSSH's own tool, kept in
//! the lab's folder, never replaced while they are there.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use lab_core::identity::HostKey;
use lab_core::plan::PublicKeys;
use lab_core::spec::HostSpec;

use crate::cx::Cx;
use crate::files;
use crate::process::invocation;
use crate::timeouts::KEY_GENERATION_TIMEOUT;
use crate::wait::Deadline;

use super::{Lab, authority};

/// All key pairs of a lab.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// The public half of the login key.
    pub login: String,
    /// Host keys by machine.
    pub host: BTreeMap<String, HostKey>,
    /// The certificate of the lab's own authority, in PEM; only where the lab can serve artefacts.
    pub authority: Option<String>,
}

impl Keys {
    /// Only the public halves.
    pub fn public(&self) -> PublicKeys {
        let host = self.host.iter().map(|(name, key)| (name.clone(), key.public.clone())).collect();
        PublicKeys { login: self.login.clone(), host }
    }
}

/// The existing keys; missing ones are left out.
///
/// # Errors
/// When a key is there and cannot be read.
pub fn read(lab: &Lab) -> anyhow::Result<Keys> {
    let login = files::read_if_present(&lab.files.login_key().with_extension("pub"))?.unwrap_or_default();
    let mut host = BTreeMap::new();
    for machine in &lab.spec.machines {
        let path = lab.files.machine(&machine.name).host_key();
        let private = files::read_if_present(&path)?;
        let public = files::read_if_present(&path.with_extension("pub"))?;
        if let (Some(private), Some(public)) = (private, public) {
            host.insert(machine.name.clone(), HostKey { private, public });
        }
    }
    Ok(Keys { login, host, authority: authority::read(&lab.files)? })
}

/// Makes the keys that are missing, all at once, and reads them all.
///
/// # Errors
/// When `ssh-keygen` fails.
pub async fn ensure(cx: &Cx, lab: &Lab) -> anyhow::Result<Keys> {
    let mut wanted = vec![(lab.files.login_key(), format!("lab-{}", lab.spec.name))];
    wanted.extend(
        lab.spec
            .machines
            .iter()
            .map(|machine| (lab.files.machine(&machine.name).host_key(), machine.name.clone())),
    );
    let mut work = tokio::task::JoinSet::new();
    for (path, comment) in wanted {
        if !path.exists() || !path.with_extension("pub").exists() {
            let cx = cx.clone();
            work.spawn(async move { generate(&cx, &path, &comment).await });
        }
    }
    if lab.spec.host == HostSpec::Embedded {
        let lab = lab.clone();
        cx.blocking(move || authority::ensure(&lab.files, &lab.spec.name)).await?;
    }
    while let Some(made) = work.join_next().await {
        made.context("making a key broke off")??;
    }
    read(lab)
}

async fn generate(cx: &Cx, path: &Path, comment: &str) -> anyhow::Result<()> {
    let folder = path.parent().context("a key has no folder")?;
    files::private_folder(folder)?;
    // Made beside its place and moved there private half first: a public half means that both are whole.
    let draft = path.with_extension("draft");
    let draft_public = draft.with_extension("draft.pub");
    for old in [&draft, &draft_public] {
        files::remove(old)?;
    }
    invocation("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
        .arg(&draft)
        .read(&cx.cancel, Deadline::after(KEY_GENERATION_TIMEOUT))
        .await?;
    std::fs::rename(&draft, path)?;
    std::fs::rename(&draft_public, path.with_extension("pub"))?;
    Ok(())
}
