//! Deploys and whole runs on a disk that is full, then read-only, then has room again.

use lab_tests::disk::{Attempt, Kind, attempts};
use lab_tests::kubespray::reaching;
use lab_tests::own_builds::passed_on;
use lab_tests::{Living, living, needs};

#[test]
fn cluster_on_a_full_disk_is_refused_in_one_sentence_and_goes_on_when_there_is_room() {
    needs!(Containers, Kubespray);
    let quick = Living::planned("quick", &living::quick());
    let said = |before, tried: &[Attempt<'_>]| {
        let command = passed_on(reaching(quick.checkout.lab(&[])));
        let run =
            attempts(&quick.checkout, command, ("output", Kind::Ext4), before, tried, "$LAB destroy quick");
        let said = living::to_its_end("the attempts", run).ok().stdout;
        println!("{said}");
        said
    };
    // It begins, and the machines are in want of room.
    let deploy = Attempt { command: "$LAB deploy quick", room: Some(200 << 10), closed: "quick/runs" };
    let said_of_deploy = said("$LAB up quick", &[deploy]);
    // Which task wants room first is not always the same one, nor whether the records of the run have some then.
    let (first, others) = said_of_deploy.split_once("\nread-only: ").expect("the output has all attempts");
    let sentences = ["exit code 21\nerror: ", "exit code 10\nerror: the disk of `output` is full"];
    let is_one = |sentence| first.starts_with(&format!("full: {sentence}")) && first.lines().count() == 2;
    assert!(sentences.iter().any(is_one), "{first}");
    insta::assert_snapshot!(others, @r"
    exit code 10
    error: the file system is read-only
    room: exit code 0
    ");
    let said_of_run = said(":", &[Attempt { command: "$LAB e2e quick", room: Some(0), closed: "" }]);
    insta::assert_snapshot!(said_of_run, @r"
    full: exit code 10
    error: the disk of `output` is full
    read-only: exit code 10
    error: the file system of `output` is read-only
    room: exit code 0
    ");
}
