//! Calls of git, the same for everybody: no questions, no hooks, no settings that change what is checked out.
//!
//! Settings of the user that say how a server is reached (proxies, certificates, `insteadOf`) hold.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::cx::Cx;
use crate::process::{Invocation, Output, ProcessError, invocation};
use crate::wait::Deadline;

/// Settings that could make a checkout differ from its commit, or look as if it did.
const SETTINGS: [&str; 8] = [
    "advice.detachedHead=false",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.excludesFile=/dev/null",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.symlinks=true",
    "gc.auto=0",
];

/// git in a folder.
pub fn git(folder: &Path) -> Invocation {
    let settings = SETTINGS.iter().flat_map(|setting| ["-c", setting]);
    // Nobody is there to answer. Without optional locks several may look at one checkout at a time.
    // Root may look at what an ordinary user fetched.
    let mut owner = std::ffi::OsString::from("safe.directory=");
    owner.push(folder);
    let git = invocation("git").arg("--no-optional-locks").args(settings).arg("-c").arg(owner);
    let git = git.arg("-C").arg(folder);
    git.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CEILING_DIRECTORIES", folder.parent().unwrap_or(folder))
}

/// Makes an empty repository in a folder that is there.
///
/// # Errors
/// With git's words.
pub async fn init(cx: &Cx, folder: &Path, lock: &Arc<File>, deadline: Deadline) -> Result<(), ProcessError> {
    let init = git(folder).args(["init", "--quiet", "--template=", "--initial-branch=main"]);
    init.holding(lock).read(&cx.cancel, deadline).await.map(drop)
}

/// Fetches one commit or tag and nothing of its history. The output tells whether that worked.
///
/// # Errors
/// When git could not be run to its end.
pub async fn fetch(
    cx: &Cx,
    folder: &Path,
    source: &str,
    what: &str,
    lock: &Arc<File>,
    deadline: Deadline,
) -> Result<Output, ProcessError> {
    let mut fetch = git(folder).args(["fetch", "--quiet", "--no-tags", "--depth=1", "--", source, what]);
    if let Some(ssh) = without_questions(cx, folder, deadline).await {
        fetch = fetch.env("GIT_SSH_COMMAND", ssh);
    }
    fetch.holding(lock).output(&cx.cancel, deadline).await
}

/// How ssh is called so that it asks nothing, unless the user has said how it is to be called.
async fn without_questions(cx: &Cx, folder: &Path, deadline: Deadline) -> Option<&'static str> {
    if std::env::var_os("GIT_SSH_COMMAND").is_some() || std::env::var_os("GIT_SSH").is_some() {
        return None;
    }
    let own = git(folder).args(["config", "--get", "core.sshCommand"]);
    let is_own = own.output(&cx.cancel, deadline).await.is_ok_and(|output| output.status.success());
    (!is_own).then_some("ssh -o BatchMode=yes")
}

/// The commit that a name means, `None` where it means none.
///
/// # Errors
/// When git could not be run to its end.
pub async fn commit(
    cx: &Cx,
    folder: &Path,
    name: &str,
    deadline: Deadline,
) -> Result<Option<String>, ProcessError> {
    let parse = git(folder).args(["rev-parse", "--quiet", "--verify", &format!("{name}^{{commit}}")]);
    let output = parse.output(&cx.cancel, deadline).await?;
    Ok(output.status.success().then(|| output.stdout.trim().to_owned()))
}

/// Checks a commit out.
///
/// # Errors
/// With git's words.
pub async fn check_out(
    cx: &Cx,
    folder: &Path,
    commit: &str,
    lock: &Arc<File>,
    deadline: Deadline,
) -> Result<(), ProcessError> {
    let checkout = git(folder).args(["checkout", "--quiet", "--force", "--detach", commit]);
    checkout.holding(lock).read(&cx.cancel, deadline).await.map(drop)
}

/// What a checkout is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The commit that is checked out, `None` where there is none.
    pub commit: Option<String>,
    /// Files that are not as the commit has them, relative to the checkout.
    pub changed: Vec<String>,
}

/// Looks at a checkout; `None` where it is none.
///
/// # Errors
/// When git could not be run to its end.
pub async fn state(cx: &Cx, folder: &Path, deadline: Deadline) -> Result<Option<State>, ProcessError> {
    let status = git(folder).args(["status", "--porcelain=v2", "--branch", "--untracked-files=all", "-z"]);
    let output = status.output(&cx.cancel, deadline).await?;
    Ok(output.status.success().then(|| read_state(&output.stdout)))
}

/// Reads git-status(1), "Porcelain Format Version 2", with NUL between its lines.
fn read_state(text: &str) -> State {
    let mut state = State { commit: None, changed: Vec::new() };
    let mut lines = text.split('\0').filter(|line| !line.is_empty());
    while let Some(line) = lines.next() {
        let path = |fields: usize| line.splitn(fields, ' ').last().unwrap_or_default().to_owned();
        match line.split(' ').next() {
            Some("#") => {
                if let Some(commit) = line.strip_prefix("# branch.oid ") {
                    state.commit = (commit != "(initial)").then(|| commit.to_owned());
                }
            }
            Some("1") => state.changed.push(path(9)),
            Some("2") => {
                state.changed.push(path(10));
                // The name that the file had before.
                lines.next();
            }
            Some("u") => state.changed.push(path(11)),
            _ => state.changed.push(path(2)),
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_with_its_odd_names() {
        let text = "# branch.oid f4ccdb5e72395eaf9f3444056ebd1a6625ddb89a\0# branch.head (detached)\0\
            1 .M N... 100644 100644 100644 aaaa bbbb roles/a file.yml\0\
            2 R. N... 100644 100644 100644 aaaa bbbb R100 new.yml\0old.yml\0? roles/extra\0";
        let state = read_state(text);
        assert_eq!(state.commit.as_deref(), Some("f4ccdb5e72395eaf9f3444056ebd1a6625ddb89a"));
        assert_eq!(state.changed, ["roles/a file.yml", "new.yml", "roles/extra"]);
        assert_eq!(read_state("# branch.oid (initial)\0").commit, None);
    }
}
