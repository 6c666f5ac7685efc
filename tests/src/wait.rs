//! Waiting in tests: always for something, never for longer than a deadline.

use std::time::{Duration, Instant};

/// How often a probe is tried.
const INTERVAL: Duration = Duration::from_millis(50);

/// Tries `probe` until it gives something.
///
/// # Panics
/// When it has given nothing within `deadline`.
pub fn until<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < deadline, "{what}: not within {} s", deadline.as_secs());
        pause();
    }
}

/// A short rest between two looks.
pub fn pause() {
    rest(INTERVAL);
}

/// Lets time pass, for tests in which something happens at a certain time.
#[expect(clippy::disallowed_methods, reason = "this module is the one place of the tests that waits")]
pub fn rest(length: Duration) {
    std::thread::sleep(length);
}
