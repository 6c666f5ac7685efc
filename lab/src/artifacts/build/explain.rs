//! One sentence for what Go could not do, with what can be done about it.

use std::path::Path;

use crate::failure::{Failure, FailureKind};

/// How many of the last lines of a log an error quotes.
const QUOTED_LINES: usize = 8;
const OTHER_VERSION: &str = "ask for another version in the cluster file, or take its maker's own build with \
                             `cargo xtask artifacts fetch`";

/// A failure that names the log.
pub fn failure(what: &str, log: &Path) -> Failure {
    Failure::new(FailureKind::Host, format!("{what} (the log is `{}`)", log.display()))
}

/// Explains a failure of Go to prepare or compile something by its output.
pub fn refused(title: &str, log_text: &str, log: &Path) -> anyhow::Error {
    let (what, hint) = reason(title, log_text);
    let mut failure = failure(&what, log);
    if let Some(hint) = hint {
        failure = failure.hint(hint);
    }
    let lines: Vec<&str> = log_text.lines().filter(|line| !is_noise(line)).collect();
    let last = lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n");
    anyhow::anyhow!("Go says:\n{last}").context(failure)
}

fn is_noise(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with("go: downloading ")
}

fn reason(title: &str, log_text: &str) -> (String, Option<&'static str>) {
    let says = |words: &[&str]| words.iter().any(|word| log_text.contains(word));
    if says(&["no space left on device"]) {
        let hint = "make some 12 GiB of room and try again: it goes on where it stopped";
        return (format!("cannot build {title}: the disk is full"), Some(hint));
    }
    if says(&["cgo: C compiler"]) {
        let hint = "run `cargo xtask setup`, which installs one";
        return (format!("cannot build {title}: it needs a C compiler, and there is no `cc`"), Some(hint));
    }
    if says(&["GOPROXY=off"]) {
        let hint = "go env -u GOPROXY; unset GOPROXY";
        return (format!("cannot build {title}: no module may be downloaded here (GOPROXY=off)"), Some(hint));
    }
    if says(&["SECURITY ERROR", "checksum mismatch"]) {
        let hint = "do not switch the check off: find out who changed the module";
        return (
            format!("cannot build {title}: a module is not what Go's checksum database knows"),
            Some(hint),
        );
    }
    if let Some(line) = log_text.lines().find(|line| {
        line.contains("403 Forbidden") || line.contains("404 Not Found") || line.contains("410 Gone")
    }) {
        let status = ["403 Forbidden", "404 Not Found", "410 Gone"];
        let status = status.into_iter().find(|one| line.contains(one)).unwrap_or_default();
        let module = module(line).unwrap_or_else(|| "that it needs".to_owned());
        let what = format!("cannot build {title}: the module proxy refuses the module {module} ({status})");
        return (what, Some(OTHER_VERSION));
    }
    if says(&["dial tcp", "no such host", "connection refused", "i/o timeout", "TLS handshake timeout"]) {
        let hint = "see that there is a network, or set GOPROXY to a proxy that can be reached";
        return (format!("cannot build {title}: the module proxy cannot be reached"), Some(hint));
    }
    if let Some(line) =
        log_text.lines().find(|line| line.contains("invalid version") || line.contains("unknown revision"))
    {
        let module = module(line).unwrap_or_else(|| "that it needs".to_owned());
        return (
            format!("cannot build {title}: there is no such version of the module {module}"),
            Some(OTHER_VERSION),
        );
    }
    (format!("cannot build {title}: it does not compile"), None)
}

/// The `path version` of the first `path@version` in a line, which may begin with the file that asks for it.
fn module(line: &str) -> Option<String> {
    let is_module = |word: &&str| word.contains('@') && word.contains('/') && !word.starts_with('/');
    let word = line.split([' ', '"', '\t']).find(is_module)?;
    let (path, version) = word.trim_end_matches(':').split_once('@')?;
    Some(format!("{path} {}", version.split([':', '/']).next().unwrap_or(version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_one_sentence_with_advice() {
        let cases = [
            r#"	"Error": "go.etcd.io/etcd/server/v3@v3.5.26: reading https://p.invalid/x/v3.5.26.info: 403 Forbidden\n\tserver response: This""#,
            "go: github.com/x/y@v1.2.3: reading https://p.invalid/y: 404 Not Found",
            "/go/mod/k8s.io/kubernetes@v1.33.7/cmd/app/options.go:37:2: k8s.io/x@v0.33.7: verifying module: k8s.io/x@v0.33.7: reading https://p.invalid/lookup/k8s.io/x@v0.33.7: 404 Not Found",
            "go: k8s.io/x@v9.9.9: invalid version: unknown revision v9.9.9",
            "go: a/b@v1: Get \"https://p.invalid\": dial tcp: lookup p.invalid: no such host",
            "go: a/b@v1: module lookup disabled by GOPROXY=off",
            "write /x/y: no space left on device",
            "verifying module: checksum mismatch\nSECURITY ERROR",
            r#"cgo: C compiler "cc" not found: exec: "cc": executable file not found in $PATH"#,
            "./main.go:3:2: undefined: x",
        ];
        let lines = cases.iter().map(|log_text| {
            let (what, hint) = reason("etcd 3.5.26", log_text);
            format!("{what}\n  hint: {}", hint.unwrap_or("none"))
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn cause_is_last_output_of_go() {
        let error = refused("x 1", "go: downloading a v1\n./main.go:3:2: undefined: x\n", Path::new("/log"));
        assert_eq!(error.to_string(), "cannot build x 1: it does not compile (the log is `/log`)");
        assert_eq!(error.root_cause().to_string(), "Go says:\n./main.go:3:2: undefined: x");
    }
}
