//! The only module that starts programs.
//!
//! Every child gets `LC_ALL=C`, no inherited standard input unless asked for, and a process group of its
//! own, so that a cancelled or late program goes with all its children. A companion process
//! ([`reaper`]) ends them when this process is killed. Nothing here retries: a one-shot command and a
//! probe that is repeated are different things.

pub mod group;
pub mod reaper;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::wait::Deadline;

use self::group::GroupGuard;

/// How many of the last lines of a program's output an error quotes.
const QUOTED_LINES: usize = 15;

/// A program to be run, as plain data.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Name (looked up on `PATH`) or path of the program.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables added to the inherited environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The folder it starts in; the caller's own where `None`.
    pub directory: Option<PathBuf>,
    /// A file that receives both output streams as they come, beside what the caller reads.
    pub log: Option<PathBuf>,
    /// A locked file that the program holds too; see [`Invocation::holding`].
    pub held: Option<Arc<File>>,
    /// Whether root gives it namespaces of its own; see [`Invocation::isolated`].
    pub isolated: bool,
}

/// What a program that ran to its end left.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output, lossy UTF-8.
    pub stdout: String,
    /// Standard error, lossy UTF-8.
    pub stderr: String,
}

/// Why a program gave no usable result.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot run `{program}`: {source}")]
    Start {
        /// Its name.
        program: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Talking to it failed.
    #[error("lost `{program}` while it ran: {source}")]
    Stream {
        /// Its name.
        program: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It ended with another status than 0.
    #[error("`{program}` failed with {status}{}", quoted(.output))]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its output, errors last.
        output: String,
    },
    /// The deadline passed; the whole process group was ended.
    #[error("`{program}` did not end within {seconds:.0} s{}", quoted(.output))]
    Late {
        /// Its name.
        program: String,
        /// How long it was waited for.
        seconds: f64,
        /// The last lines of its output.
        output: String,
    },
    /// The user asked to stop; the whole process group was ended.
    #[error("`{program}` was interrupted")]
    Cancelled {
        /// Its name.
        program: String,
    },
}

fn quoted(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!(", its last words:\n{output}") }
}

/// Starts the description of a run of `program`.
pub fn invocation(program: impl AsRef<OsStr>) -> Invocation {
    Invocation {
        program: program.as_ref().to_owned(),
        arguments: Vec::new(),
        environment: Vec::new(),
        directory: None,
        log: None,
        held: None,
        isolated: false,
    }
}

/// unshare(1) with the namespaces of an isolated program. The program is the first process in them: the
/// kernel ends everything inside with it, and it ends with unshare.
const ISOLATE: [&str; 7] = [
    "unshare",
    "--mount",
    "--propagation=private",
    "--pid",
    "--fork",
    "--kill-child=SIGKILL",
    "--mount-proc",
];
/// The status of unshare(1) where there is no such program.
const NO_SUCH_PROGRAM: i32 = 127;

impl Invocation {
    /// Adds one argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets one variable of the environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the folder to start in.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Keeps everything the program says in a file, appended.
    pub fn log(mut self, path: impl Into<PathBuf>) -> Self {
        self.log = Some(path.into());
        self
    }

    /// Gives the program a share in a locked file, as its standard input, of which nothing is read. If we are
    /// killed, the lock lasts until the program has ended too, so that no other command works where it still does.
    pub fn holding(mut self, lock: &Arc<File>) -> Self {
        self.held = Some(lock.clone());
        self
    }

    /// For a program that mounts file systems or unpacks a whole system: root runs it in mount and process
    /// namespaces of its own, so that no other program sees its mounts, and all of it ends together. An
    /// ordinary user can mount nothing outside a user namespace, which such a program makes itself.
    pub fn isolated(mut self) -> Self {
        self.isolated = nix::unistd::geteuid().is_root();
        self
    }

    /// The program's name as messages show it.
    pub fn name(&self) -> String {
        Path::new(&self.program).file_name().unwrap_or(&self.program).to_string_lossy().into_owned()
    }

    #[expect(clippy::disallowed_methods, reason = "this module is the one place that starts programs")]
    fn bare_command(&self) -> std::process::Command {
        let isolate = ISOLATE.iter().filter(|_| self.isolated).map(OsStr::new);
        let mut words = isolate.chain([self.program.as_os_str()]);
        let mut command = std::process::Command::new(words.next().unwrap_or(&self.program));
        command.args(words).args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    fn command(&self) -> std::process::Command {
        let mut command = self.bare_command();
        if !self.environment.iter().any(|(name, _)| name == "LC_ALL") {
            command.env("LC_ALL", "C");
        }
        command
    }

    /// Runs the program to its end, with any status.
    ///
    /// # Errors
    /// When it cannot be started, when `deadline` passes, or when `cancel` is cancelled; in the last
    /// two cases its process group has been ended.
    pub async fn output(
        &self,
        cancel: &CancellationToken,
        deadline: Deadline,
    ) -> Result<Output, ProcessError> {
        self.run(cancel, deadline, None).await
    }

    /// Runs the program to its end, with any status, and hands out each line of its standard output as it
    /// comes. The output that is returned has none: it may be more than should be kept.
    ///
    /// # Errors
    /// As [`Invocation::output`].
    pub async fn stream(
        &self,
        cancel: &CancellationToken,
        deadline: Deadline,
        mut each: impl FnMut(&str),
    ) -> Result<Output, ProcessError> {
        let (sender, mut lines) = mpsc::unbounded_channel();
        let mut run = std::pin::pin!(self.run(cancel, deadline, Some(sender)));
        loop {
            tokio::select! {
                // No line is left once every sender is gone.
                Some(line) = lines.recv() => each(&line),
                ended = &mut run => {
                    while let Ok(line) = lines.try_recv() {
                        each(&line);
                    }
                    return ended;
                }
            }
        }
    }

    async fn run(
        &self,
        cancel: &CancellationToken,
        deadline: Deadline,
        lines: Option<mpsc::UnboundedSender<String>>,
    ) -> Result<Output, ProcessError> {
        let program = self.name();
        let lost = |source| ProcessError::Stream { program: program.clone(), source };
        let mut command = self.command();
        reaper::mark(&mut command);
        let mut command = tokio::process::Command::from(command);
        command.process_group(0).kill_on_drop(true);
        command.stdin(match &self.held {
            Some(lock) => lock.try_clone().map_err(lost)?.into(),
            None => Stdio::null(),
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|source| ProcessError::Start { program: program.clone(), source })?;
        let mut guard = GroupGuard::new(child.id());
        let log = match &self.log {
            Some(path) => Some(Arc::new(crate::files::open_log(path).map_err(lost)?)),
            None => None,
        };
        let stdout = match lines {
            Some(lines) => tokio::spawn(hand_out(child.stdout.take(), log.clone(), lines)),
            None => tokio::spawn(drain(child.stdout.take(), log.clone())),
        };
        let stderr = tokio::spawn(drain(child.stderr.take(), log));
        let why = tokio::select! {
            status = child.wait() => Ok(status.map_err(lost)?),
            () = deadline.passed() => Err(false),
            () = cancel.cancelled() => Err(true),
        };
        if why.is_err() {
            guard.end();
            // Reaped here so that nothing of it is left when the error is returned.
            let _ = child.wait().await;
        } else {
            guard.over();
        }
        let stdout = stdout.await.unwrap_or_default();
        let stderr = stderr.await.unwrap_or_default();
        match why {
            Ok(status) if self.isolated && status.code() == Some(NO_SUCH_PROGRAM) => {
                Err(ProcessError::Start { program, source: std::io::ErrorKind::NotFound.into() })
            }
            Ok(status) => Ok(Output { status, stdout, stderr }),
            Err(true) => Err(ProcessError::Cancelled { program }),
            Err(false) => Err(ProcessError::Late {
                program,
                seconds: deadline.length().as_secs_f64(),
                output: last_words(&stdout, &stderr),
            }),
        }
    }

    /// Runs the program to its end and returns its standard output.
    ///
    /// # Errors
    /// As [`Invocation::output`], and when the status is not 0.
    pub async fn read(&self, cancel: &CancellationToken, deadline: Deadline) -> Result<String, ProcessError> {
        let output = self.output(cancel, deadline).await?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(ProcessError::Failed {
            program: self.name(),
            status: output.status,
            output: last_words(&output.stdout, &output.stderr),
        })
    }

    /// Runs the program on the caller's own terminal, with the caller's umask, and returns its status. Signals of the terminal
    /// reach it directly, so it stays in the caller's process group. One that was sent to us alone is
    /// passed on.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn interactive(&self, cancel: &CancellationToken) -> Result<ExitStatus, ProcessError> {
        let program = self.name();
        crate::files::restore_umask();
        let mut command = tokio::process::Command::from(self.command());
        let mut child =
            command.spawn().map_err(|source| ProcessError::Start { program: program.clone(), source })?;
        let lost = |source| ProcessError::Stream { program: program.clone(), source };
        tokio::select! {
            status = child.wait() => return status.map_err(lost),
            () = cancel.cancelled() => {}
        }
        if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
            // It may have ended by itself, on the same signal.
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        child.wait().await.map_err(lost)
    }

    /// Runs the program to its end, with both outputs going to a file, and ends it when this future is dropped. For
    /// programs that run for days: nothing of what they say is kept in memory.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn logged(&self, log: File) -> Result<ExitStatus, ProcessError> {
        let program = self.name();
        let lost = |source| ProcessError::Stream { program: program.clone(), source };
        let mut command = tokio::process::Command::from(self.command());
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(lost)?).stderr(log);
        let mut child =
            command.spawn().map_err(|source| ProcessError::Start { program: program.clone(), source })?;
        let mut guard = GroupGuard::new(child.id());
        let status = child.wait().await.map_err(lost)?;
        guard.over();
        Ok(status)
    }

    /// Starts the program and leaves it to the caller, with the given streams.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(
        &self,
        stdin: Stdio,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<std::process::Child, ProcessError> {
        let mut command = self.command();
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        // It outlives the command where the caller does not wait for it.
        reaper::unmark(&mut command);
        command.spawn().map_err(|source| ProcessError::Start { program: self.name(), source })
    }

    /// Starts the program and leaves it alone: it outlives this one, with none of its streams and in a group of its own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn detached(&self) -> Result<(), ProcessError> {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        reaper::unmark(&mut command);
        command.spawn().map(drop).map_err(|source| ProcessError::Start { program: self.name(), source })
    }

    /// Becomes the program, with the environment as it is. Returns only when that fails.
    pub fn exec(&self) -> ProcessError {
        let source = self.bare_command().exec();
        ProcessError::Start { program: self.name(), source }
    }
}

async fn drain(stream: Option<impl tokio::io::AsyncRead + Unpin>, log: Option<Arc<File>>) -> String {
    let mut all = Vec::new();
    if let Some(mut stream) = stream {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            all.extend_from_slice(&buffer[..count]);
            if let Some(log) = &log {
                use std::io::Write as _;
                // A log that cannot be written must not end the program it belongs to.
                let _ = log.as_ref().write_all(&buffer[..count]);
            }
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Hands out a stream line by line, and keeps nothing.
async fn hand_out(
    stream: Option<impl tokio::io::AsyncRead + Unpin>,
    log: Option<Arc<File>>,
    lines: mpsc::UnboundedSender<String>,
) -> String {
    let Some(stream) = stream else { return String::new() };
    let mut stream = tokio::io::BufReader::new(stream);
    let mut line = Vec::new();
    while let Ok(1..) = stream.read_until(b'\n', &mut line).await {
        if let Some(log) = &log {
            use std::io::Write as _;
            // A log that cannot be written must not end the program it belongs to.
            let _ = log.as_ref().write_all(&line);
        }
        // The listener may have gone; the program runs to its end all the same.
        let _ = lines.send(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
        line.clear();
    }
    String::new()
}

/// The end of what a program said: standard error where there is any, else standard output.
fn last_words(stdout: &str, stderr: &str) -> String {
    let text = if stderr.trim().is_empty() { stdout } else { stderr };
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
}

#[cfg(test)]
mod tests;
