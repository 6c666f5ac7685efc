//! Leftovers of killed commands of older versions in the cache: mounts and programs where a system was
//! unpacked. `lab` finds them by the same signs and ends them; this only reports.

use std::path::Path;

use super::{Finding, Fix};
use crate::folders::Folders;
use crate::host::Host;

/// Below these folders of the cache systems are unpacked.
const FOLDERS: [&str; 2] = ["images/.new-", "artifacts/builds/"];
/// The program that unpacks them.
const UNPACKER: &str = "mmdebstrap";
/// The variable that programs of today's commands carry (lab/src/process/reaper.rs).
const MARK: &str = "LAB_COMMAND=";

/// Looks at the mounts and programs of the computer.
pub fn probe(host: &Host, folders: &Folders) -> Finding {
    let places = FOLDERS.map(|folder| format!("{}/{folder}", folders.cache.display()));
    let is_inside = |text: &str| places.iter().any(|folder| text.contains(folder));
    let mounts = host.read("/proc/self/mountinfo").unwrap_or_default();
    // proc_pid_mountinfo(5): the fifth column is the mount point, with blanks as `\040`.
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let mounted = points.filter(|point| is_inside(&point.replace("\\040", " "))).count();
    let of_process = |pid: &str, file: &str| host.read(&format!("/proc/{pid}/{file}")).unwrap_or_default();
    let is_orphan = |pid: &String| {
        let words = of_process(pid, "cmdline");
        words.split('\0').take(2).any(|word| Path::new(word).ends_with(UNPACKER))
            && is_inside(&words)
            && !of_process(pid, "environ").split('\0').any(|entry| entry.starts_with(MARK))
    };
    let programs = host.list("/proc").into_iter().filter(|pid| pid.parse::<u32>().is_ok()).filter(is_orphan);
    match (mounted, programs.count()) {
        (0, 0) => Finding::good("none"),
        (mounts, programs) => Finding::note(
            format!("a killed command left {mounts} mounts and {programs} programs"),
            Some(Fix::Command("cargo xtask lab gc --remove".into())),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::Fake;

    fn with_cache(path: &str) -> Folders {
        Folders { root: "/srv/checkout".into(), cache: path.into() }
    }

    #[test]
    fn mounts_of_a_killed_command_are_named_with_the_command_that_ends_them() {
        let table = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
            30 22 0:5 / /srv/my\\040lab/cache/images/.new-x/mmdebstrap.y/proc rw - proc proc rw\n";
        let unpacker = |folder: &str| format!("/usr/bin/perl\0/usr/bin/mmdebstrap\0{folder}\0");
        let fake = Fake::new()
            .file("/proc/self/mountinfo", table)
            .file("/proc/7/cmdline", &unpacker("/srv/my lab/cache/images/.new-x"))
            .file("/proc/8/cmdline", &unpacker("/elsewhere"))
            .file("/proc/9/cmdline", &unpacker("/srv/my lab/cache/images/.new-y"))
            .file("/proc/9/environ", "PATH=/usr/bin\0LAB_COMMAND=1.2\0");
        let found = probe(&fake.host, &with_cache("/srv/my lab/cache"));
        assert_eq!(found.text, "a killed command left 1 mounts and 1 programs");
        assert_eq!(found.fix, Some(Fix::Command("cargo xtask lab gc --remove".into())));
        assert_eq!(probe(&fake.host, &with_cache("/srv/other/cache")), Finding::good("none"));
    }
}
