//! What differs from run to run in what people see, taken out of snapshots.

use insta::Settings;

/// Settings for snapshots of what `lab` says about the checkout at `root`.
pub fn settings(root: &str) -> Settings {
    let mut settings = Settings::clone_current();
    settings.add_filter(&regex_escaped(root), "[ROOT]");
    // Ids of labs, in names too.
    settings.add_filter(r"\b[0-9a-f]{12}\b", "[LAB]");
    settings.add_filter(r"\blab[0-9a-f]{12}\b", "lab[LAB]");
    settings.add_filter(r" *\d+\.\d s\b", " [SECONDS]");
    settings.add_filter(r"(?m)^ *\d+\.\ds ", "[SECONDS] ");
    settings.add_filter(r"process \d+", "process [PID]");
    settings.add_filter(r"\b52:54:00:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}\b", "[MAC]");
    settings.set_omit_expression(true);
    settings
}

fn regex_escaped(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_alphanumeric() || c == '/' { vec![c] } else { vec!['\\', c] }).collect()
}
