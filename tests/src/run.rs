//! Running programs in tests, each with a deadline: a program that hangs fails its test, and the test's lab
//! is destroyed all the same.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// How long a program may take unless a test says otherwise. The longest builds a base image.
const DEADLINE: Duration = Duration::from_secs(900);
/// The exit code of a program that SIGKILL ended.
pub const KILLED: i32 = 128 + 9;

/// The caller's variables that programs under test get: where programs are, and how to reach the package mirror for the
/// base image.
const PASSED_ON: [&str; 7] =
    ["PATH", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// A program to be run.
#[derive(Debug, Clone)]
pub struct Run {
    words: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    directory: Option<PathBuf>,
    input: Option<Vec<u8>>,
}

/// A program, with an environment that holds next to nothing.
pub fn run(program: impl AsRef<OsStr>) -> Run {
    let passed_on = PASSED_ON.into_iter().filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?)));
    Run {
        words: vec![program.as_ref().to_owned()],
        environment: passed_on.chain([("LC_ALL".to_owned(), "C.UTF-8".into())]).collect(),
        directory: None,
        input: None,
    }
}

impl Run {
    /// Adds one argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.words.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Has it started by another program, whose own words come first: `sudo`, `nsenter` and the like.
    pub fn through<A: AsRef<OsStr>>(mut self, words: &[A]) -> Self {
        self.words.splice(0..0, words.iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Another program in the same place, with the same environment.
    pub fn instead(mut self, program: &str, arguments: &[&str]) -> Self {
        self.words = [program].iter().chain(arguments).map(OsString::from).collect();
        self
    }

    /// Sets one variable of the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the folder to start in.
    pub fn directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Gives bytes for standard input.
    pub fn input(mut self, bytes: &[u8]) -> Self {
        self.input = Some(bytes.to_vec());
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    pub fn answer(self) -> Answer {
        self.start().answer()
    }

    /// Starts it and does not wait, nor end its standard input; see [`Started::write`].
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn talk(self) -> Started {
        self.start_with(true)
    }

    /// Starts it and does not wait.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(self) -> Started {
        self.start_with(false)
    }

    /// Starts it with these for standard input, output and error.
    ///
    /// # Panics
    /// When it cannot be started.
    pub(crate) fn spawn(self, [input, output, error]: [Stdio; 3]) -> Child {
        let mut command = self.command();
        command.stdin(input).stdout(output).stderr(error);
        command.spawn().unwrap_or_else(|error| panic!("cannot run {:?}: {error}", self.words))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this module is the one place of the tests that starts programs"
    )]
    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).env_clear().envs(self.environment.clone());
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    fn start_with(self, talk: bool) -> Started {
        let said: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        let said = said.join(" ");
        let mut command = self.command();
        // A group of its own, as a shell gives every command: Ctrl-C goes to all of it.
        command.process_group(0);
        command.stdin(if talk || self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run `{said}`: {error}"));
        let mut stdin = child.stdin.take();
        if let Some(input) = self.input
            && let Some(mut stdin) = stdin.take()
        {
            std::thread::spawn(move || stdin.write_all(&input));
        }
        let stdout = Heard::listen(child.stdout.take());
        let stderr = Heard::listen(child.stderr.take());
        Started { child: Some(child), said, start, stdin, stdout, stderr }
    }
}

/// The output of a program so far.
#[derive(Debug, Clone, Default)]
struct Heard(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Heard {
    fn listen(stream: Option<impl Read + Send + 'static>) -> Self {
        let heard = Self::default();
        if let Some(mut stream) = stream {
            let heard = heard.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    heard
                        .0
                        .lock()
                        .expect("no holder of this lock panics")
                        .extend_from_slice(&buffer[..count]);
                }
            });
        }
        heard
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no holder of this lock panics")).into_owned()
    }

    /// Whether the output is complete: the listening thread has dropped its half.
    fn is_over(&self) -> bool {
        std::sync::Arc::strong_count(&self.0) == 1
    }
}

/// A program that runs. Dropped, it is killed.
#[derive(Debug)]
pub struct Started {
    child: Option<Child>,
    said: String,
    start: Instant,
    stdin: Option<ChildStdin>,
    stdout: Heard,
    stderr: Heard,
}

impl Started {
    /// Its output so far, both streams.
    pub fn so_far(&self) -> String {
        self.stdout.text() + &self.stderr.text()
    }

    /// Waits until it has printed `words` on either stream.
    ///
    /// # Panics
    /// When it ends or the deadline passes before that; with all its output.
    pub fn says(&mut self, words: &str, deadline: Duration) {
        let start = Instant::now();
        loop {
            let over =
                self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|ended| ended.is_some()))
                    && self.stdout.is_over()
                    && self.stderr.is_over();
            let said = self.so_far();
            if said.contains(words) {
                return;
            }
            assert!(!over, "`{}` has ended and never said `{words}`:\n{said}", self.said);
            assert!(start.elapsed() < deadline, "`{}` has not said `{words}`:\n{said}", self.said);
            crate::wait::pause();
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|ended| ended.is_some()))
    }

    /// Says something to it that was started with [`Run::talk`].
    ///
    /// # Panics
    /// When it listens no more.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("it was started to be talked to");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("it listens");
    }

    /// Sends a signal to it alone, as `kill` does.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it can be signalled");
    }

    /// Sends a signal to it and to all that it started, as a terminal does on Ctrl-C.
    ///
    /// # Panics
    /// When it is gone.
    pub fn press(&self, signal: Signal) {
        killpg(self.pid(), signal).expect("its group can be signalled");
    }

    /// Waits until it does something of its own on SIGINT: before that, Ctrl-C just ends it.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn listens_to_ctrl_c(&self) {
        let status = format!("/proc/{}/status", self.pid());
        crate::wait::until("a handler of SIGINT", Duration::from_secs(20), || {
            // proc_pid_status(5): SigCgt is a mask in hexadecimal, the first signal its lowest bit.
            let text = std::fs::read_to_string(&status).ok()?;
            let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim().to_owned();
            let mask = u64::from_str_radix(&mask, 16).ok()?;
            (mask & (1 << (Signal::SIGINT as u32 - 1)) != 0).then_some(())
        });
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it is gone.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.as_ref().expect("it was not waited for").id().cast_signed())
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn answer(mut self) -> Answer {
        let mut child = self.child.take().expect("it is waited for once");
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if self.start.elapsed() > DEADLINE {
                let _ = child.kill();
                let _ = child.wait();
                panic!("`{}` did not end within {} s:\n{}", self.said, DEADLINE.as_secs(), self.so_far());
            }
            crate::wait::pause();
        };
        let took = self.start.elapsed();
        // Leftover processes must not hold on to the output, but may for a moment.
        let drained = Instant::now();
        while !(self.stdout.is_over() && self.stderr.is_over()) {
            assert!(
                drained.elapsed() < Duration::from_secs(10),
                "`{}` left a child that holds its output",
                self.said
            );
            crate::wait::pause();
        }
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        let code =
            status.code().or(signal.map(|signal| 128 + signal)).expect("a process ends in one of two ways");
        Answer { said: self.said.clone(), code, stdout: self.stdout.text(), stderr: self.stderr.text(), took }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts a program over and over and kills it, each time `step` later than the time before, until it ends well by
/// itself or was started `rounds` times. `look` sees what each killed one left. Returns how many were killed.
///
/// # Panics
/// When it ends by itself with a failure.
pub fn kill_ever_later(
    step: Duration,
    rounds: u32,
    start: impl Fn() -> Started,
    mut look: impl FnMut(),
) -> u32 {
    for round in 1..=rounds {
        let started = start();
        crate::wait::rest(step * round);
        // It may end between any look at it and the signal, so its exit code alone says who was first.
        started.signal(Signal::SIGKILL);
        let answer = started.answer();
        if answer.code == 0 {
            return round - 1;
        }
        answer.code(KILLED);
        look();
    }
    rounds
}

/// The result of a program that ended.
#[derive(Debug, Clone)]
pub struct Answer {
    said: String,
    /// Its exit code; 128 and the signal's number where a signal ended it, as a shell says it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Answer {
    /// Itself, if the exit code is 0.
    ///
    /// # Panics
    /// When it is another; with all that was said.
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Itself, if the exit code is `expected`.
    ///
    /// # Panics
    /// When it is another; with all that was said.
    pub fn code(self, expected: i32) -> Self {
        assert!(self.code == expected, "`{}` should have ended with {expected}:\n{self}", self.said);
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("`{}`: {error}:\n{self}", self.said))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}
