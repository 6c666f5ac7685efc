//! The screen of a terminal: finished lines once, whole and in order; live lines within the width.

use std::time::Duration;

use lab_tests::cluster::Cluster;
use lab_tests::computer::Computer;
use lab_tests::terminal::Terminal;
use lab_tests::{Checkout, needs, redact};

const SOON: Duration = Duration::from_secs(120);
/// The frames of the spinner of a live line.
const SPINNER: &str = "⠁⠂⠄⡀⢀⠠⠐⠈";

/// Where a text stands that must stand there once.
fn once(shown: &str, text: &str) -> usize {
    assert_eq!(shown.matches(text).count(), 1, "`{text}` in\n{shown}");
    shown.find(text).unwrap_or_default()
}

#[test]
fn screen_keeps_each_finished_line_once_at_any_size() {
    needs!(Containers);
    let names = ["a-machine-with-a-long-name", "b", "c"];
    let checkout = Checkout::with(&Cluster::new("seen", &names).kind("container"));
    let before = Computer::look(checkout.root());
    for (columns, rows) in [(80, 24), (200, 50), (44, 8)] {
        let (code, shown) = Terminal::start(checkout.lab(&["up", "seen"]), columns, rows).answer();
        assert_eq!(code, 0, "{shown}");
        for name in names {
            once(&shown, &format!("✓ {name:<16} reached over ssh in "));
        }
        once(&shown, "✓ ansible          3 of 3 machines answered");
        assert!(!shown.contains(|character| SPINNER.contains(character)), "a spinner stays:\n{shown}");
        checkout.lab(&["destroy", "seen", "--yes"]).answer().ok();
    }
    checkout.destroy("seen", &before);
}

#[test]
fn screen_of_up_shows_the_plan_what_was_done_and_what_comes_next() {
    needs!(Containers);
    let checkout = Checkout::with(&Cluster::new("seen", &["node"]).kind("container"));
    let before = Computer::look(checkout.root());
    let terminal = Terminal::start(checkout.lab(&["up", "seen"]), 100, 30);
    terminal.shows("node", SOON);
    // A window that becomes smaller while live lines stand in it.
    terminal.resize(60, 12);
    let (code, shown) = terminal.answer();
    assert_eq!(code, 0, "{shown}");
    let places: Vec<usize> = ["✓ node ", "✓ ansible "].map(|line| once(&shown, line)).into();
    assert!(places.is_sorted(), "{shown}");
    checkout.lab(&["destroy", "seen", "--yes"]).answer().ok();

    let (code, shown) = Terminal::start(checkout.lab(&["up", "seen"]), 100, 30).answer();
    assert_eq!(code, 0, "{shown}");
    redact::settings(&checkout.root().display().to_string())
        .bind(|| insta::assert_snapshot!("screen_of_up", shown));
    checkout.destroy("seen", &before);
}

#[test]
fn screen_of_an_interrupted_up_keeps_what_was_asked_and_what_is_left() {
    let checkout = Checkout::with(&Cluster::new("seen", &["node"]));
    let before = Computer::look(checkout.root());
    let mut terminal = Terminal::start(checkout.lab(&["up", "seen"]), 100, 30);
    terminal.shows("booting", SOON);
    terminal.write(b"\x03");
    let (code, shown) = terminal.answer();
    assert_eq!(code, 130, "{shown}");
    let stop = "stopping after the step at hand; press Ctrl-C again to stop at once";
    let from = once(&shown, stop);
    redact::settings(&checkout.root().display().to_string())
        .bind(|| insta::assert_snapshot!("screen_of_an_interrupted_up", &shown[from..]));
    checkout.destroy("seen", &before);
}

#[test]
fn screen_of_a_failure_ends_with_its_error_and_hint() {
    let checkout = Checkout::with(&Cluster::new("seen", &["node"]));
    let (code, shown) = Terminal::start(checkout.lab(&["ssh", "node", "--cluster", "seen"]), 80, 24).answer();
    assert_eq!(code, 20, "{shown}");
    redact::settings(&checkout.root().display().to_string())
        .bind(|| insta::assert_snapshot!("screen_of_a_failure", shown));
}
