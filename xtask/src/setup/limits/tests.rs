//! Limits of made-up computers. The commands are run for real, with a stand-in for sysctl(8) below the same root.

use super::*;
use crate::host::fake::Fake;

const INSTANCES: &str = "fs.inotify.max_user_instances";
const WATCHES: &str = "fs.inotify.max_user_watches";

/// A computer with these numbers of instances and watches, and with as much as usual of everything else.
fn computer(instances: u64, watches: u64) -> Fake {
    let settings = [
        (INSTANCES, instances),
        (WATCHES, watches),
        ("kernel.keys.root_maxkeys", 1_000_000),
        ("kernel.keys.root_maxbytes", 25_000_000),
        ("kernel.pid_max", 32_768),
        ("fs.file-max", 2_466_183),
    ];
    settings
        .iter()
        .fold(Fake::new(), |fake, (setting, value)| fake.file(&limits::path(setting), &format!("{value}\n")))
}

/// Runs commands as setup would, but for `sysctl`, which changes files below the root of the made-up computer.
fn run(fake: &Fake, commands: &[Vec<String>]) {
    let root = fake.host.at("/").display().to_string();
    let stand_in = format!(
        "for word; do case $word in\n--load=*) lines=$(grep -v '^#' \"${{word#*=}}\" | tr -d ' ') ;;\n*=*) lines=$word ;;\nesac; done\n\
         for line in $lines; do echo \"${{line#*=}}\" >\"{root}/proc/sys/$(echo \"${{line%=*}}\" | tr . /)\"; done"
    );
    let sh = xshell::Shell::new().unwrap();
    for command in commands {
        let done = match command[0].as_str() {
            "sysctl" => sh.cmd("sh").args(["-c", &stand_in, "sysctl"]).args(&command[1..]).quiet().run(),
            "install" | "rm" => sh.cmd(&command[0]).args(&command[1..]).quiet().run(),
            other => panic!("{other} is no command of limits"),
        };
        done.unwrap();
    }
}

/// Raises the limits of a made-up computer.
fn raised(fake: Fake) -> Fake {
    let all = merged(written(&fake.host).unwrap().unwrap_or_default(), changes(&fake.host));
    let fake = fake.file("/draft", &file(&all));
    let draft = fake.host.at("/draft").display().to_string();
    run(&fake, &raise_commands(&fake.host, &draft));
    fake
}

fn values(fake: &Fake) -> [Option<u64>; 2] {
    [INSTANCES, WATCHES].map(|setting| limits::value(&fake.host, setting))
}

#[test]
fn only_limits_that_are_too_low_are_raised() {
    let names = |instances, watches| -> Vec<String> {
        changes(&computer(instances, watches).host).into_iter().map(|change| change.setting).collect()
    };
    assert_eq!(names(128, 192_536), [INSTANCES]);
    assert_eq!(names(128, 2_000), [INSTANCES, WATCHES]);
    assert_eq!(names(8192, 524_288), [""; 0]);
    assert_eq!(changes(&Fake::new().host), [], "what cannot be read is not changed");
}

#[test]
fn yes_alone_leaves_the_kernel_as_it_is() {
    for (wanted, yes, is_terminal, decision) in [
        (Wanted::Offered, true, true, Decision::Leave),
        (Wanted::Offered, true, false, Decision::Leave),
        (Wanted::Offered, false, false, Decision::Leave),
        (Wanted::Offered, false, true, Decision::Ask),
        (Wanted::Raised, false, true, Decision::Ask),
        (Wanted::Raised, false, false, Decision::Refuse),
        (Wanted::Raised, true, false, Decision::Raise),
        (Wanted::Raised, true, true, Decision::Raise),
    ] {
        assert_eq!(decide(wanted, yes, is_terminal), decision, "{wanted:?} {yes} {is_terminal}");
    }
}

#[test]
fn text_names_the_file_and_the_values() {
    insta::assert_snapshot!(text(&changes(&computer(128, 2_000).host)), @"

    Containers of all labs share these limits of the kernel. To be raised, now and at every boot:
      fs.inotify.max_user_instances   from 128 to 1024
      fs.inotify.max_user_watches     from 2000 to 524288
    Written to /etc/sysctl.d/90-lab.conf; `cargo xtask setup --undo` takes it back.
    ");
}

#[test]
fn raised_limits_are_in_the_file_with_those_before() {
    let fake = raised(computer(128, 192_536));
    assert_eq!(values(&fake), [Some(1024), Some(192_536)]);
    insta::assert_snapshot!(fake.host.read(FILE).unwrap(), @"
    # Written by `cargo xtask setup --limits`; `cargo xtask setup --undo` takes it back.
    # Containers of all labs share these limits of the kernel.
    # fs.inotify.max_user_instances was 128
    fs.inotify.max_user_instances = 1024
    ");
    assert_eq!(changes(&fake.host), [], "a second time there is nothing to do");
}

#[test]
fn undo_sets_values_back_and_leaves_no_file() {
    let fake = raised(computer(128, 2_000));
    let written = written(&fake.host).unwrap().unwrap();
    run(&fake, &undo_commands(&fake.host, &written));
    assert_eq!(values(&fake), [Some(128), Some(2_000)]);
    assert_eq!(super::written(&fake.host).unwrap(), None);
}

#[test]
fn undo_leaves_values_that_were_changed_since() {
    let fake = raised(computer(128, 2_000)).file(&limits::path(INSTANCES), "4096\n");
    let written = written(&fake.host).unwrap().unwrap();
    run(&fake, &undo_commands(&fake.host, &written));
    assert_eq!(values(&fake), [Some(4096), Some(2_000)]);
}

#[test]
fn values_before_the_first_change_are_kept() {
    let fake = raised(computer(128, 192_536));
    // Both are lowered by hand, and setup runs again.
    let fake = fake.file(&limits::path(INSTANCES), "256\n").file(&limits::path(WATCHES), "1000\n");
    let fake = raised(fake);
    let before: Vec<(String, u64)> = written(&fake.host)
        .unwrap()
        .unwrap()
        .into_iter()
        .map(|change| (change.setting, change.before))
        .collect();
    assert_eq!(before, [(INSTANCES.to_owned(), 128), (WATCHES.to_owned(), 1000)]);
}

#[test]
fn file_of_another_program_is_refused() {
    let fake = computer(128, 192_536).file(FILE, "fs.inotify.max_user_instances = 512\n");
    let error = written(&fake.host).unwrap_err();
    assert_eq!(error.to_string(), "/etc/sysctl.d/90-lab.conf was not written by this program");
}

#[test]
fn note_on_limits_that_stay_names_the_command() {
    let note = left_alone(&limits::examine(&computer(128, 192_536).host));
    insta::assert_snapshot!(note, @"the kernel's limits are enough for 2 clusters of containers and stay as they are; `cargo xtask setup --limits` raises them");
}
