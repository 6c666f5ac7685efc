//! Calls of git, the same for every user: no questions, no hooks, no settings that change checked-out files.
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

/// Answers git's question for a user and a password with what stands in the environment, which other users of the
/// computer cannot read. A command line they can.
const CREDENTIAL_HELPER: &str = r#"credential.helper=!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$LAB_GIT_USER" "$LAB_GIT_PASSWORD"; }; f"#;

/// git in a folder.
pub fn git(folder: &Path) -> Invocation {
    let settings = SETTINGS.iter().flat_map(|setting| ["-c", setting]);
    // git must not ask questions. Without optional locks several commands may read one checkout at a time.
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

/// Fetches one commit or tag and nothing of its history. The status of the output says whether that worked.
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
    let mut fetch = git(folder);
    let mut source = source.to_owned();
    if let Some((without, user, password)) = credentials(&source) {
        source = without;
        // The empty one switches the user's own helpers off: the address names the user.
        fetch = fetch.args(["-c", "credential.helper=", "-c", CREDENTIAL_HELPER]);
        fetch = fetch.env("LAB_GIT_USER", user).env("LAB_GIT_PASSWORD", password);
    }
    fetch = fetch.args(["fetch", "--quiet", "--no-tags", "--depth=1", "--", &source, what]);
    if let Some(ssh) = without_questions(cx, folder, deadline).await {
        fetch = fetch.env("GIT_SSH_COMMAND", ssh);
    }
    fetch.holding(lock).output(&cx.cancel, deadline).await
}

/// The address of a server of HTTP without the user and the password that it names, and those two.
fn credentials(source: &str) -> Option<(String, String, String)> {
    let (scheme, rest) = source.split_once("://").filter(|(scheme, _)| scheme.starts_with("http"))?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (account, host) = rest[..end].rsplit_once('@')?;
    let (user, password) = account.split_once(':').unwrap_or((account, ""));
    Some((format!("{scheme}://{host}{}", &rest[end..]), decoded(user), decoded(password)))
}

/// The text that stands percent-encoded in an address (RFC 3986, 2.1).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code =
            after.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The call of ssh that asks nothing, unless the user has configured one.
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
    fn credentials_are_separated_from_address() {
        let found = credentials("https://me:p%40ss%2fword@host:8443/x.git").unwrap();
        assert_eq!(found, ("https://host:8443/x.git".into(), "me".into(), "p@ss/word".into()));
        let token = credentials("http://tok%zen@host").unwrap();
        assert_eq!(token, ("http://host".into(), "tok%zen".into(), String::new()));
        for none in ["https://host/a@b", "ssh://git@host/x", "git@host:x", "/a/folder"] {
            assert_eq!(credentials(none), None, "{none}");
        }
    }

    #[test]
    fn status_is_parsed_with_odd_names() {
        let text = "# branch.oid f4ccdb5e72395eaf9f3444056ebd1a6625ddb89a\0# branch.head (detached)\0\
            1 .M N... 100644 100644 100644 aaaa bbbb roles/a file.yml\0\
            2 R. N... 100644 100644 100644 aaaa bbbb R100 new.yml\0old.yml\0? roles/extra\0";
        let state = read_state(text);
        assert_eq!(state.commit.as_deref(), Some("f4ccdb5e72395eaf9f3444056ebd1a6625ddb89a"));
        assert_eq!(state.changed, ["roles/a file.yml", "new.yml", "roles/extra"]);
        assert_eq!(read_state("# branch.oid (initial)\0").commit, None);
    }
}
