//! What a machine says on its serial console while it starts: watched through the file that its host
//! writes, by events of the file system, not by looking again and again.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use inotify::{EventMask, Inotify, WatchMask};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;

use crate::files;

/// The line that the base image's initial file system prints once the root disk is there.
const ROOT_MOUNTED: &str = "lab: root mounted";
/// The line that a machine prints once sshd accepts connections.
const SSH_READY: &str = "lab: ssh ready";
/// The start of a line with the reason why the initial file system gave up.
const FAILED: &str = "lab: FAILED";
/// What the kernel prints when it gives up (kernel/panic.c).
const PANIC: &str = "Kernel panic - not syncing";

/// Something a machine said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsoleEvent {
    /// Its root disk is mounted.
    RootMounted,
    /// sshd accepts connections.
    SshReady,
    /// Its kernel gave up; the line that says so.
    Panicked(String),
    /// It will not come up; the line that says so.
    Dead(String),
}

/// What a line of a console means, if anything.
fn meaning(line: &str) -> Option<ConsoleEvent> {
    let line = line.trim_end();
    if line.contains(SSH_READY) {
        Some(ConsoleEvent::SshReady)
    } else if line.contains(ROOT_MOUNTED) {
        Some(ConsoleEvent::RootMounted)
    } else if line.contains(PANIC) {
        // Under load two processors of one machine can panic in each other's words: the line is quoted as it is.
        Some(ConsoleEvent::Panicked(line.to_owned()))
    } else if line.contains(FAILED) {
        Some(ConsoleEvent::Dead(line.to_owned()))
    } else {
        None
    }
}

/// How long a console log is now: where watching has to begin for the next start.
pub fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

/// Sends a message whenever a file is made or grows. The file need not exist yet; the watch ends with the receiver.
///
/// # Errors
/// When the system refuses to watch the file's folder.
pub fn growth(path: &Path) -> anyhow::Result<mpsc::Receiver<()>> {
    let folder = path.parent().context("a log has no folder")?;
    let name = path.file_name().context("a log has no name")?.to_owned();
    files::private_folder(folder)?;
    let inotify = Inotify::init().context("cannot watch files")?;
    inotify
        .watches()
        .add(folder, WatchMask::MODIFY | WatchMask::CREATE)
        .with_context(|| format!("cannot watch `{}`", folder.display()))?;
    let mut events = inotify.into_event_stream([0; 4096])?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = sender.closed() => return,
            };
            let Some(Ok(event)) = event else { return };
            if event.name.as_ref() == Some(&name) || event.mask.contains(EventMask::Q_OVERFLOW) {
                // A full channel already holds the news.
                let _ = sender.try_send(());
            }
        }
    });
    Ok(receiver)
}

/// Watches a console log from `offset` on. The log need not be there yet; the watch ends with the receiver.
///
/// # Errors
/// As [`growth`].
pub fn watch(path: &Path, offset: u64) -> anyhow::Result<mpsc::Receiver<ConsoleEvent>> {
    let mut grown = growth(path)?;
    let (sender, receiver) = mpsc::channel(16);
    let mut log = Tail { path: path.to_owned(), offset, rest: Vec::new() };
    tokio::spawn(async move {
        loop {
            for event in log.read() {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                more = grown.recv() => if more.is_none() { return },
                () = sender.closed() => return,
            }
        }
    });
    Ok(receiver)
}

/// The part of a growing log that was not read yet.
struct Tail {
    path: PathBuf,
    offset: u64,
    rest: Vec<u8>,
}

impl Tail {
    /// What the whole lines since the last call mean.
    fn read(&mut self) -> Vec<ConsoleEvent> {
        let mut bytes = Vec::new();
        // A log that is not there yet or cannot be read counts as empty.
        let read = std::fs::File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.offset)).and_then(|_| file.read_to_end(&mut bytes))
        });
        if read.is_err() {
            return vec![];
        }
        self.offset += bytes.len() as u64;
        self.rest.extend(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return vec![] };
        let lines: Vec<u8> = self.rest.drain(..=end).collect();
        String::from_utf8_lossy(&lines).lines().filter_map(meaning).collect()
    }
}

/// The last lines of a console log, for a message.
pub fn last_lines(path: &Path, offset: u64, count: usize) -> String {
    let Ok(bytes) = std::fs::read(path) else { return "(the console log cannot be read)".to_owned() };
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let text = String::from_utf8_lossy(&bytes[from..]);
    let clean: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| !c.is_control() || *c == '\t').collect())
        .filter(|line: &String| !line.trim().is_empty())
        .collect();
    if clean.is_empty() {
        return "(the console is silent)".to_owned();
    }
    clean[clean.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[rstest::rstest]
    #[case("lab: root mounted\r", Some(ConsoleEvent::RootMounted))]
    #[case("[    9.1] lab: ssh ready", Some(ConsoleEvent::SshReady))]
    #[case("Welcome to Debian", None)]
    #[case("lab: FAILED no root disk", Some(ConsoleEvent::Dead("lab: FAILED no root disk".to_owned())))]
    #[case(
        "[    1.4] Kernel panic - not syncing: Fatal exception",
        Some(ConsoleEvent::Panicked("[    1.4] Kernel panic - not syncing: Fatal exception".to_owned()))
    )]
    fn lines_are_understood(#[case] line: &str, #[case] expected: Option<ConsoleEvent>) {
        assert_eq!(meaning(line), expected);
    }

    #[tokio::test]
    async fn only_lines_after_the_start_count_and_may_come_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.log");
        std::fs::write(&path, "lab: ssh ready\n").unwrap();
        let mut events = watch(&path, length(&path)).unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        write!(file, "lab: root ").unwrap();
        writeln!(file, "mounted").unwrap();
        assert_eq!(events.recv().await, Some(ConsoleEvent::RootMounted));
        writeln!(file, "lab: ssh ready").unwrap();
        assert_eq!(events.recv().await, Some(ConsoleEvent::SshReady));
    }
}
