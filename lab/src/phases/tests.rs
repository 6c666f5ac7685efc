//! How lists of phases are carried out and reported.

use clap::CommandFactory as _;
use tokio_util::sync::CancellationToken;

use crate::cli::Arguments;
use crate::layout::Layout;
use crate::progress::Progress;

use super::*;

const fn phase(name: &'static str, look: for<'a> fn(&'a Run) -> Work<'a, Next<'a>>) -> Phase {
    Phase { name, title: "do it", without: "nothing is there", inputs: no_inputs, leaves: no_files, look }
}

const MADE: Phase = Phase {
    inputs: |_| Ok(Some("sha256:00".to_owned())),
    ..phase("made", |_| {
        Box::pin(async { Ok(Next::Run(Box::pin(async { Ok(Effect::Done("made".to_owned())) }))) })
    })
};
const THERE: Phase = phase("there", |_| Box::pin(async { Ok(Next::Done("there already".to_owned())) }));
const KEPT: Phase =
    phase("kept", |_| Box::pin(async { Ok(Next::Restore(Box::pin(async { Ok("restored".to_owned()) }))) }));
const BROKEN: Phase = phase("broken", |_| {
    Box::pin(async { Ok(Next::Run(Box::pin(async { Err(anyhow::anyhow!("no room")) }))) })
});

/// The report, a line a phase.
fn carried_out(phases: &[Phase], from: Option<&str>, until: Option<&str>) -> (Vec<String>, bool) {
    let layout = Layout::new("/nowhere", "/nowhere/cache");
    let cx = Cx { layout, cancel: CancellationToken::new(), progress: Progress::new(false), yes: true };
    let names: Vec<&str> = phases.iter().map(|phase| phase.name).collect();
    let range = Range::between(&names, from, until).unwrap();
    let run = Run::of(&cx, "quick", Options::new(Prints::Nothing, TooLow::Refuse));
    let mut report = Vec::new();
    let done = block_on(carry_out(&run, phases, &range, None, Some(&mut report)));
    let lines = report.iter().map(|phase| {
        let message = phase.message.as_deref().unwrap_or_default();
        let inputs = phase.inputs.as_deref().unwrap_or_default();
        let restored = if phase.restored { "restored" } else { "" };
        format!("{} {:?} {message}{inputs}{restored}", phase.name, phase.verdict).trim_end().to_owned()
    });
    (lines.collect(), done.is_ok())
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

#[test]
fn phases_are_reported_with_inputs_and_restoration() {
    let (lines, is_done) = carried_out(&[MADE, THERE, KEPT], None, None);
    assert_eq!(lines, ["made Passed sha256:00", "there Passed", "kept Passed restored"]);
    assert!(is_done);
}

#[test]
fn phases_after_a_failure_are_skipped_with_the_reason() {
    let (lines, is_done) = carried_out(&[MADE, BROKEN, THERE], None, None);
    assert_eq!(lines, ["made Passed sha256:00", "broken Failed no room", "there Skipped nothing is there"]);
    assert!(!is_done);
}

#[test]
fn phases_outside_the_range_are_skipped_and_do_not_fail() {
    let (lines, is_done) = carried_out(&[BROKEN, MADE, BROKEN], Some("made"), Some("made"));
    assert_eq!(lines, ["broken Skipped --from made", "made Passed sha256:00", "broken Skipped --until made"]);
    assert!(is_done);
}

#[test]
fn lists_name_each_phase_once() {
    for list in [UP, DEPLOY, CLOUD, E2E, END] {
        let mut names: Vec<&str> = list.iter().map(|phase| phase.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

/// The names are written down in the help of the commands.
#[test]
fn help_names_the_phases_of_each_list() {
    let root = Arguments::command();
    for (path, list) in [(&["cloud", "start"][..], CLOUD), (&["e2e"][..], E2E)] {
        let command = path.iter().fold(&root, |command, name| command.find_subcommand(name).unwrap());
        let names: Vec<&str> = list.iter().map(|phase| phase.name).collect();
        let help = command.get_after_help().unwrap().to_string();
        assert!(help.contains(&format!("Phases: {}.", names.join(", "))), "{help}");
    }
}
