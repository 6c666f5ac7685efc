//! The Go toolchain: which one, whether it is new enough, and the environment that it compiles in.
//!
//! Its caches lie under `go` of the lab's cache: never the user's own. Which proxy modules come from is the user's setting;
//! that every module is checked against Go's public checksum database is not.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::process::{Invocation, ProcessError, invocation};
use crate::timeouts::GO_SETTINGS_TIMEOUT;
use crate::wait::Deadline;

/// Names a Go to use instead of the one on the path.
pub const VARIABLE: &str = "LAB_GO";
/// The first whose `go.mod` knows `godebug`, and which this program has been used with.
const OLDEST: &str = "1.24";
const HINT: &str = "run `cargo xtask setup`, which installs one, or name one in LAB_GO";

/// A Go that was asked for its version.
#[derive(Debug, Clone)]
pub struct Toolchain {
    program: OsString,
    caches: PathBuf,
    /// `go1.26.8`.
    pub version: String,
}

/// What `go env -json` says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Settings {
    goversion: String,
    gosumdb: String,
}

impl Toolchain {
    /// Finds it.
    ///
    /// # Errors
    /// When there is none, it is too old, or the checks of modules are switched off.
    pub async fn find(cx: &Cx, deadline: Deadline) -> anyhow::Result<Self> {
        let program = std::env::var_os(VARIABLE).unwrap_or_else(|| "go".into());
        let caches = cx.layout.cache().join("go");
        // Go would make the folder above for everybody.
        files::make_folder(&caches)?;
        lab_cache::note_use(cx.layout.cache(), "go", "");
        let ask = environment(invocation(&program), &caches).args(["env", "-json", "GOVERSION", "GOSUMDB"]);
        let stdout = match ask.read(&cx.cancel, deadline.at_most(GO_SETTINGS_TIMEOUT)).await {
            Ok(stdout) => stdout,
            Err(error @ ProcessError::Start { .. }) => {
                let failure =
                    Failure::new(FailureKind::Host, "own builds need a Go toolchain, and there is none");
                return Err(anyhow::Error::new(error).context(failure.hint(HINT)));
            }
            Err(error @ ProcessError::Cancelled { .. }) => return Err(error.into()),
            Err(error) => {
                let name = Path::new(&program).display().to_string();
                let failure = Failure::new(FailureKind::Host, format!("`{name}` does not say what it is"));
                return Err(anyhow::Error::new(error).context(failure.hint(HINT)));
            }
        };
        let settings: Settings =
            serde_json::from_str(&stdout).context("`go env` did not print the expected JSON")?;
        let found = Self { program, caches, version: settings.goversion };
        found.at_least(OLDEST, "own builds")?;
        if settings.gosumdb == "off" {
            let message =
                "Go's checksum database is switched off (GOSUMDB=off), and own builds are checked against it";
            return Err(Failure::new(FailureKind::Host, message)
                .hint("go env -u GOSUMDB; unset GOSUMDB")
                .into());
        }
        Ok(found)
    }

    /// Fails unless it is this new: `what` needs it.
    ///
    /// # Errors
    /// One sentence with both versions.
    pub fn at_least(&self, oldest: &str, what: &str) -> anyhow::Result<()> {
        if numbers(self.version.trim_start_matches("go")) >= numbers(oldest) {
            return Ok(());
        }
        let message = format!("{what} needs Go {oldest} or newer, and there is {}", self.version);
        Err(Failure::new(FailureKind::Host, message).hint(HINT).into())
    }

    /// A call of it for an architecture, `amd64`, for programs that are compiled with C or without.
    pub fn call(&self, architecture: &str, with_c: bool) -> Invocation {
        environment(invocation(&self.program), &self.caches)
            .env("GOARCH", architecture)
            .env("CGO_ENABLED", if with_c { "1" } else { "0" })
    }
}

/// Overrides the user's settings of Go that would change the output.
fn environment(call: Invocation, caches: &Path) -> Invocation {
    // What it learns of the checksum database it keeps there (`pkg/sumdb`), and not in the user's home.
    call.env("GOPATH", caches)
        .env("GOMODCACHE", caches.join("mod"))
        .env("GOCACHE", caches.join("build"))
        // The cache of modules can be removed like any other folder.
        .env("GOFLAGS", "-mod=mod -modcacherw")
        // The version that was found is the one that is recorded: no other is fetched.
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .env("GO111MODULE", "on")
        .env("GOOS", "linux")
        .env("GOAMD64", "v1")
        .env("GOARM64", "v8.0")
        .env("GOEXPERIMENT", "")
        // The C compiler that Rust links with, and Go's own flags for it.
        .env("CC", "cc")
        .env("CGO_CPPFLAGS", "")
        .env("CGO_CFLAGS", "-O2 -g")
        .env("CGO_LDFLAGS", "-O2 -g")
        // A pattern that fits nothing: no module is left unchecked.
        .env("GONOSUMDB", "none")
}

/// `1.26.8` as numbers to be compared; what follows them (`rc1`, `-custom`) is left out.
fn numbers(version: &str) -> Vec<u32> {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    version[..end].split('.').map_while(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_compared_as_numbers() {
        assert!(numbers("1.26.8") >= numbers("1.9"));
        assert!(numbers("1.24rc1") >= numbers("1.24"));
        assert!(numbers("1.19.8") < numbers("1.24"));
    }

    #[test]
    fn old_toolchain_is_refused_with_both_versions() {
        let old = Toolchain { program: "go".into(), caches: PathBuf::new(), version: "go1.19.8".into() };
        let error = old.at_least("1.24.0", "kubernetes 1.34.3").unwrap_err();
        assert_eq!(error.to_string(), "kubernetes 1.34.3 needs Go 1.24.0 or newer, and there is go1.19.8");
    }
}
