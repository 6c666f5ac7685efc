//! The computer as another of its users sees it: the paths that exist for them, and what they can read of processes.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::run::{Run, run};

/// The account that every computer has and that owns nothing.
pub const OVERFLOW_USER: u32 = 65_534;
/// The first person's account on most computers.
pub const FIRST_PERSON: u32 = 1000;

/// Tries everything of a process that the kernel gives to its owner alone, and prints each success: `PID ENTRY`.
const LOOK_AT_PROCESSES: &str = r#"
for pid; do
    cd /proc/$pid || continue
    for link in cwd exe root ns/mnt ns/net; do readlink $link && echo "$pid $link" >&3; done
    for folder in fd map_files root/ cwd/; do ls $folder && echo "$pid $folder" >&3; done
    for file in auxv environ io maps smaps stack syscall; do cat $file && echo "$pid $file" >&3; done
    (: <mem) && echo "$pid mem" >&3
    cd /
done 3>&1 >/dev/null 2>&1
"#;

/// A program, as this user, with no group of the caller's.
pub fn run_as(user: u32, program: &Path) -> Run {
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    // setpriv itself looks its program up with the capabilities of the caller; a shell that it starts has none.
    let prefix = ["setpriv", &uid, &gid, "--clear-groups", "--", "sh", "-c", "exec \"$0\" \"$@\""];
    run(program).through(&prefix).directory(Path::new("/"))
}

/// Those of these paths that exist for a user. A path that does not cannot be read, listed, started or connected to.
///
/// # Panics
/// When the user cannot be looked as.
pub fn visible(user: u32, paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut list = Vec::new();
    for path in paths {
        list.extend_from_slice(path.as_os_str().as_bytes());
        list.push(0);
    }
    let look = "xargs --null --no-run-if-empty stat --printf='%n\\n' 2>/dev/null; exit 0";
    let seen = run_as(user, Path::new("sh")).args(["-c", look]).input(&list).answer().ok().stdout;
    seen.lines().map(PathBuf::from).collect()
}

/// Entries of /proc that are an owner's alone and that a user can read of these processes, as `PID ENTRY`.
///
/// # Panics
/// When the user cannot be looked as.
pub fn given_of_processes(user: u32, pids: &[i32]) -> Vec<String> {
    let look = run_as(user, Path::new("sh")).args(["-c", LOOK_AT_PROCESSES, "sh"]);
    let given = look.args(pids.iter().map(i32::to_string)).answer().ok().stdout;
    given.lines().map(str::to_owned).collect()
}
