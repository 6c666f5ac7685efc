//! Takes values that differ from run to run out of snapshots.

use insta::Settings;

/// Settings for snapshots of the output of `lab` about the checkout at `root`.
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

/// The same for whole transcripts, and what differs from computer to computer and with its load.
pub fn transcript(root: &str) -> Settings {
    let mut settings = settings(root);
    // Keys of images, names of runs, days.
    settings.add_filter(r"\bdebian13-[0-9a-f]{16}\b", "debian13-[KEY]");
    settings.add_filter(r"\b\d{8}T\d{6}Z-\d+\b", "[RUN]");
    settings.add_filter(r"\b20\d\d-\d\d-\d\d(T[0-9:.]+Z| \d\d:\d\d UTC)?", "[TIME]");
    // Values that differ from computer to computer, and with its load.
    settings.add_filter(r#"machines are run by [^"\n]*"#, "machines are run by [ACCELERATION]");
    settings.add_filter(r#""acceleration": "(tcg|kvm)""#, r#""acceleration": "[ACCELERATION]""#);
    settings.add_filter(r#""bytes": [0-9]+"#, r#""bytes": [BYTES]"#);
    settings.add_filter(r#""seconds":[0-9.]+"#, r#""seconds":[SECONDS]"#);
    settings.add_filter(r"(?m)^this computer is busy.*\n", "");
    settings
}

/// The same for screens of deploys: figures of Ansible, the slowest tasks, pods that are not there yet.
pub fn deploy(root: &str) -> Settings {
    let mut settings = transcript(root);
    settings.add_filter(r"(?m)^([a-z0-9-]+)(?: +\d+){5}$", "$1 [FIGURES]");
    settings.add_filter(r"(?m)^(the plays|the slowest tasks):\n( .+\n)+", "$1: [LINES]\n");
    settings.add_filter(r"\b\d+ changes\b", "[N] changes");
    settings.add_filter(r"in \d+ s\b", "in [SECONDS]");
    settings.add_filter(
        r"[;,] (but for pods of the system that are )?on their way up(: `[^`]+`(, `[^`]+`)*)?",
        "",
    );
    settings
}

fn regex_escaped(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_alphanumeric() || c == '/' { vec![c] } else { vec!['\\', c] }).collect()
}
