//! Every long command, killed at random moments for an hour, and the making of an image at twenty.

use std::time::{Duration, SystemTime};

use lab_tests::run::KILLED;
use lab_tests::soak::{SUBJECTS, Soak, named, soak, table};
use lab_tests::{Living, living, needs, wait};
use nix::sys::signal::Signal;

fn random_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    now.subsec_nanos().into()
}

#[test]
fn every_command_killed_at_random_moments_goes_on() {
    let seed = random_seed();
    let (rows, skipped) = soak(&SUBJECTS, seed, Duration::from_secs(3600), 1);
    println!("seed {seed}\n{}", table(&rows, &skipped));
    assert!(rows.iter().all(|row| row.is_good()), "seed {seed}\n{}", table(&rows, &skipped));
}

#[test]
fn image_killed_at_twenty_random_moments_is_made_all_the_same() {
    let seed = random_seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut image = Soak::begin(named("image").unwrap());
    while image.kills() < 20 {
        image.kill(random.f64());
        assert!(image.is_good(), "seed {seed}\n{}", table(&[image.end()], &[]));
    }
    assert!(image.end().is_good(), "seed {seed}");
}

/// The one moment that Kubespray cannot go on from: kubeadm has begun, and the nodes have no network yet.
#[test]
fn deploy_cut_off_while_kubeadm_runs_goes_on() {
    needs!(Containers, Kubespray);
    let quick = Living::planned("quick", &living::quick());
    quick.checkout.lab(&["up", "quick"]).answer().ok();
    let mut deploy = quick.checkout.lab(&["deploy", "quick", "--no-snapshot"]).start();
    deploy.says("Install the control plane: kubernetes/control-plane", Duration::from_secs(900));
    let has_begun = "test -e /var/lib/kubelet/config.yaml && echo begun; true";
    wait::until("kubeadm", Duration::from_secs(300), || {
        (quick.on("control-plane", has_begun) == "begun\n").then_some(())
    });
    deploy.signal(Signal::SIGKILL);
    deploy.answer().code(KILLED);

    let again = quick.deploy(&["quick", "--no-snapshot"]).ok();
    assert!(again.stderr.contains("what it left is taken away"), "{again}");
    quick.is_well();
    quick.destroy();
}
