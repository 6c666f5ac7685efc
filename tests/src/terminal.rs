//! A terminal for a program under test: the screen that a person would see, and the lines scrolled out of it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::Parser;

use crate::run::Run;
use crate::wait;

/// How many lines a terminal remembers that were scrolled out of its screen.
const REMEMBERED: usize = 2000;
/// How long a program may take to end, unless a test says otherwise.
const DEADLINE: Duration = Duration::from_secs(900);

/// A program in a terminal. Dropped, it is killed.
pub struct Terminal {
    child: Child,
    master: File,
    screen: Arc<Mutex<Parser>>,
}

impl Terminal {
    /// Starts a program in a terminal of this size.
    ///
    /// # Panics
    /// When there is no terminal, or the program cannot be started.
    pub fn start(run: Run, columns: u16, rows: u16) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("a terminal of one's own");
        let name = ptsname(&master, Vec::new()).expect("a terminal has a name");
        let name = name.to_str().expect("its name is text");
        let open = || File::options().read(true).write(true).open(name).expect("it can be opened");
        let (input, output, error) = (open(), open(), open());
        resize(&master, columns, rows);
        let screen = Arc::new(Mutex::new(Parser::new(at_least_one(rows), at_least_one(columns), REMEMBERED)));
        let master = File::from(master);
        let mut reader = master.try_clone().expect("a file can be had twice");
        let shown = screen.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The last program that has the terminal open closes it.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                shown.lock().expect("no holder of this lock panics").process(&buffer[..count]);
            }
        });
        // A session of its own, whose terminal this is: Ctrl-C in it goes to the program.
        let run = run.env("TERM", "xterm-256color").through(&["setsid", "--ctty", "--wait"]);
        let child = run.spawn([input, output, error].map(|file| Stdio::from(OwnedFd::from(file))));
        Self { child, master, screen }
    }

    /// Types something.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn write(&mut self, bytes: &[u8]) {
        self.master.write_all(bytes).expect("a terminal takes input");
    }

    /// Changes the size of the window.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn resize(&self, columns: u16, rows: u16) {
        resize(&self.master, columns, rows);
        let mut screen = self.screen.lock().expect("no holder of this lock panics");
        screen.screen_mut().set_size(at_least_one(rows), at_least_one(columns));
    }

    /// The text on the screen.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub fn screen(&self) -> String {
        trimmed(&self.screen.lock().expect("no holder of this lock panics").screen().contents())
    }

    /// All lines shown: those scrolled out of the screen, and those on it. A line that was too long for
    /// the screen is one line.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub fn history(&self) -> String {
        let mut parser = self.screen.lock().expect("no holder of this lock panics");
        let screen = parser.screen_mut();
        let (rows, columns) = screen.size();
        let (rows, columns) = (rows.get(), columns.get());
        screen.set_scrollback(usize::MAX);
        let mut text = String::new();
        loop {
            let above = screen.scrollback();
            // A window of the height of the screen, so far above it.
            let height = if above == 0 { usize::from(rows) } else { above.min(usize::from(rows)) };
            for (row, line) in (0..rows).zip(screen.rows(0, columns)).take(height) {
                text.push_str(&line);
                if !screen.row_wrapped(row) {
                    text.push('\n');
                }
            }
            if above == 0 {
                break;
            }
            screen.set_scrollback(above - height);
        }
        trimmed(&text)
    }

    /// Waits until something stands on the screen.
    ///
    /// # Panics
    /// When the deadline passes before that; with the screen.
    pub fn shows(&self, text: &str, deadline: Duration) {
        let start = Instant::now();
        while !self.screen().contains(text) {
            assert!(start.elapsed() < deadline, "the screen never showed `{text}`:\n{}", self.history());
            wait::pause();
        }
    }

    /// Waits for the end of the program. Gives its exit code and everything that was shown.
    ///
    /// # Panics
    /// When it does not end in time; with the screen.
    pub fn answer(mut self) -> (i32, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(start.elapsed() < DEADLINE, "the program does not end:\n{}", self.history());
            wait::pause();
        };
        // Its last output may not have been read yet.
        let (mut before, mut now) = (String::new(), self.history());
        while before != now {
            wait::rest(Duration::from_millis(200));
            (before, now) = (now, self.history());
        }
        (status.code().unwrap_or(-1), now)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: impl std::os::fd::AsFd, columns: u16, rows: u16) {
    let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("a terminal has a size");
}

fn at_least_one(size: u16) -> NonZeroU16 {
    NonZeroU16::new(size).unwrap_or(NonZeroU16::MIN)
}

/// Without blanks at the ends of lines, and without empty lines at the end.
fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}
