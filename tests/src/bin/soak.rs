//! `soak SEED MINUTES [COMMAND…]`: what `cargo xtask soak` runs. Reads its words, prints the table.

use std::process::ExitCode;
use std::time::Duration;

use lab_tests::soak::{SUBJECTS, Subject, named, soak, table};

/// As `lab` has it for checks that fail.
const FAILED: u8 = 30;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (Some(seed), Some(minutes)) =
        (words.first().and_then(|word| word.parse().ok()), words.get(1).and_then(|word| word.parse().ok()))
    else {
        eprintln!("error: call it as `cargo xtask soak`");
        return ExitCode::from(2);
    };
    let mut subjects: Vec<Subject> = Vec::new();
    for name in &words[2..] {
        let Some(subject) = named(name) else {
            let names: Vec<&str> = SUBJECTS.iter().map(|subject| subject.name).collect();
            eprintln!("there is no command `{name}` to soak; there are {}", names.join(", "));
            return ExitCode::from(2);
        };
        subjects.push(subject);
    }
    if subjects.is_empty() {
        subjects.extend(SUBJECTS.into_iter().filter(|subject| !subject.needs_cluster));
    }
    // The table has the messages of panics.
    std::panic::set_hook(Box::new(|_| {}));
    let (rows, skipped) = soak(&subjects, seed, Duration::from_secs(60) * minutes, 1);
    print!("{}", table(&rows, &skipped));
    println!("\nseed {seed}");
    if rows.iter().all(|row| row.is_good()) { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}
