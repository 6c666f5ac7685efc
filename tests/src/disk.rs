//! Commands on a disk that is full, then read-only, then has room again: a file system of their own over a
//! folder of the checkout, in a mount namespace that ends with them.

use crate::{Checkout, Run};

/// A command to try on an unusable disk.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// A command for the shell, in which `$LAB` is the program.
    pub command: &'a str,
    /// The room in KiB on the full disk. `None`: no attempt with a full disk.
    pub room: Option<u32>,
    /// The folder, relative to the mounted one, that becomes read-only: a file system that a living lab writes to cannot.
    pub closed: &'a str,
}

/// The kind of a file system.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// In memory. A machine's data on it counts as the machine's memory.
    Tmpfs,
    /// In a file beside the folder.
    Ext4,
}

/// The words: the folder, the kind, the command before, three of each attempt, the command at the end.
const SCRIPT: &str = r#"
    folder=$0 kind=$1 before=$2
    shift 2
    mkdir -p "$folder" || exit 1
    if [ "$kind" = tmpfs ]; then
        mount -t tmpfs -o size=3G tmpfs "$folder" || exit 1
    else
        truncate --size 16G "$folder.disk" && mkfs.ext4 -q -m 0 "$folder.disk" && mount "$folder.disk" "$folder" || exit 1
        rmdir "$folder/lost+found"
    fi
    eval "$before" >"$folder.said" 2>&1 || { echo "the state before could not be made"; cat "$folder.said"; exit 1; }
    attempt() {
        eval "$tried" >"$folder.said" 2>&1
        echo "$1: exit code $?"
        sed -n '/^error: /p' "$folder.said" | head -n 1
    }
    while [ $# -gt 3 ]; do
        tried=$1 room=$2 closed=$folder/$3
        shift 3
        if [ "$room" ]; then
            # A living cluster writes meanwhile: the last MiB are taken as they are found.
            free=$(($(df --output=avail -k "$folder" | tail -n 1) - room))
            fallocate -l "$((free - 8192))KiB" "$folder/.filler" || exit 1
            head -c "$((room ? 8192 * 1024 : 1 << 30))" /dev/zero 2>/dev/null >"$folder/.filler.rest"
            attempt full
            rm "$folder/.filler" "$folder/.filler.rest"
        fi
        mkdir -p "$closed" && mount --bind "$closed" "$closed" && mount -o remount,bind,ro "$closed" || exit 1
        attempt read-only
        umount "$closed"
        attempt room
    done
    eval "$1" >"$folder.said" 2>&1 || cat "$folder.said"
"#;

/// The command that makes the attempts on `folder` of the checkout, with the environment of `command`. It prints the exit
/// code and the first error of each, and fails when the state before cannot be made.
pub fn attempts(
    checkout: &Checkout,
    command: Run,
    (folder, kind): (&str, Kind),
    before: &str,
    attempts: &[Attempt<'_>],
    after: &str,
) -> Run {
    let folder = checkout.root().join(folder).display().to_string();
    let rooms: Vec<String> =
        attempts.iter().map(|one| one.room.map(|room| room.to_string()).unwrap_or_default()).collect();
    let kind = match kind {
        Kind::Tmpfs => "tmpfs",
        Kind::Ext4 => "ext4",
    };
    let mut words = vec!["--mount", "sh", "-c", SCRIPT, &folder, kind, before];
    for (Attempt { command, closed, .. }, room) in attempts.iter().zip(&rooms) {
        words.extend([command, room.as_str(), closed]);
    }
    words.push(after);
    command.instead("unshare", &words).env("LAB", &checkout.program)
}
