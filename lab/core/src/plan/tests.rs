//! Plans for single changes, and for any change at all against a model of the world.

use std::fmt::Write as _;

use rstest::rstest;

use super::*;
use crate::fixtures;
use crate::spec::{GpuRequest, MachineKind, MachineSpec};

mod convergence;
mod world;

/// Everything a plan is made from, in one place to be changed by a test.
#[derive(Debug, Clone)]
struct Case {
    spec: ClusterSpec,
    acceleration: Acceleration,
    images: BTreeMap<ImageSpec, String>,
    keys: PublicKeys,
    observed: Observed,
}

impl Case {
    /// The original plan's machines, nothing made yet.
    fn fresh() -> Self {
        let spec = fixtures::spec();
        let host = spec
            .machines
            .iter()
            .map(|machine| (machine.name.clone(), fixtures::host_key(&machine.name).public));
        Self {
            images: BTreeMap::from([(ImageSpec::Debian13, "0123456789abcdef".repeat(4))]),
            keys: PublicKeys { login: fixtures::LOGIN_KEY.to_owned(), host: host.collect() },
            acceleration: Acceleration::Tcg,
            observed: Observed::default(),
            spec,
        }
    }

    /// The same, made and reached.
    fn up() -> Self {
        let mut case = Self::fresh();
        let desired = case.desired();
        case.observed.network = Some(ObservedNetwork {
            active: true,
            settings: Some(desired.network.settings),
            hosts: desired.network.hosts,
        });
        for (name, Wanted { applied, disk, .. }) in desired.machines {
            let disk = ObservedDisk { size: disk, image: Some(applied.image.clone()) };
            let domain =
                ObservedDomain { state: MachineState::Running, applied: Some(applied), reached: true };
            case.observed
                .machines
                .insert(name, ObservedMachine { domain: Some(domain), disk: Some(disk), identity: true });
        }
        case
    }

    fn inputs<'a>(&'a self, lab: &'a LabId) -> Inputs<'a> {
        let Self { spec, acceleration, images, keys, .. } = self;
        Inputs { spec, lab, acceleration: *acceleration, images, keys }
    }

    fn desired(&self) -> Desired {
        desired(&self.inputs(&fixtures::lab()))
    }

    fn plan(&self) -> Plan {
        plan(&self.inputs(&fixtures::lab()), &self.observed)
    }

    /// The observation of the second machine.
    fn worker(&mut self) -> &mut ObservedMachine {
        self.observed.machines.get_mut("cpu-worker").unwrap()
    }

    fn worker_domain(&mut self) -> &mut ObservedDomain {
        self.worker().domain.as_mut().unwrap()
    }

    fn network(&mut self) -> &mut ObservedNetwork {
        self.observed.network.as_mut().unwrap()
    }
}

/// The printed plan, and below it the steps in the order that they are carried out.
fn described(case: &Case) -> String {
    let plan = case.plan();
    let mut text = render(&plan, false);
    let line = |ids: Vec<&str>| ids.join(", ");
    let before =
        plan.machines.iter().flat_map(|machine| &machine.before).map(|step| step.id.as_str()).collect();
    let network = plan.network.steps.iter().map(|step| step.id.as_str()).collect();
    let after =
        plan.machines.iter().map(|machine| machine.steps.iter().map(|step| step.id.as_str()).collect());
    for ids in [before, network].into_iter().chain(after).filter(|ids: &Vec<&str>| !ids.is_empty()) {
        let _ = write!(text, "\n{}", line(ids));
    }
    text
}

#[test]
fn nothing_is_there_yet() {
    insta::assert_snapshot!(described(&Case::fresh()));
}

#[test]
fn everything_is_as_it_should_be() {
    let case = Case::up();
    assert!(case.plan().is_noop());
    insta::assert_snapshot!(described(&case));
}

#[rstest]
#[case::more_memory("more_memory", |case: &mut Case| case.spec.machines[1].memory = Bytes::from_gib(2))]
#[case::more_memory_while_off("more_memory_while_off", |case: &mut Case| {
    case.spec.machines[1].memory = Bytes::from_gib(2);
    case.spec.machines[1].auto_start = false;
    case.worker_domain().state = MachineState::ShutOff;
})]
#[case::several_at_once("several_at_once", |case: &mut Case| {
    case.spec.machines[1].cpus = 4;
    case.spec.machines[1].memory = Bytes::from_gib(2);
    case.spec.machines[1].disk = Bytes::from_gib(12);
})]
#[case::smaller_disk("smaller_disk", |case: &mut Case| case.spec.machines[1].disk = Bytes::from_gib(4))]
#[case::other_image("other_image", |case: &mut Case| {
    case.images.insert(ImageSpec::Debian13, "fedcba9876543210".repeat(4));
})]
#[case::other_kind("other_kind", |case: &mut Case| case.spec.machines[1].kind = MachineKind::Container)]
#[case::other_address("other_address", |case: &mut Case| case.spec.machines[1].address = "192.168.200.99".parse().unwrap())]
#[case::other_login_key("other_login_key", |case: &mut Case| case.keys.login = "ssh-ed25519 AAAAother".to_owned())]
#[case::lost_host_key("lost_host_key", |case: &mut Case| {
    case.keys.host.remove("cpu-worker");
})]
#[case::other_acceleration("other_acceleration", |case: &mut Case| case.acceleration = Acceleration::Kvm)]
#[case::other_mtu("other_mtu", |case: &mut Case| case.spec.network.mtu = 1400)]
#[case::stand_in_gpus("stand_in_gpus", |case: &mut Case| {
    case.spec.machines[1].gpus = vec![GpuRequest::StandIn("L4".to_owned())];
    case.spec.machines.push(MachineSpec { gpus: case.spec.machines[1].gpus.clone(), ..fixtures::machine("new", 14) });
})]
#[case::removed("removed", |case: &mut Case| {
    case.spec.machines.remove(1);
})]
#[case::renamed("renamed", |case: &mut Case| case.spec.machines[1].name = "worker".to_owned())]
#[case::added("added", |case: &mut Case| case.spec.machines.push(fixtures::machine("one-more", 14)))]
#[case::added_but_not_started("added_but_not_started", |case: &mut Case| {
    case.spec.machines.push(MachineSpec { auto_start: false, ..fixtures::machine("one-more", 14) });
})]
#[case::shut_off("shut_off", |case: &mut Case| case.worker_domain().state = MachineState::ShutOff)]
#[case::shut_off_and_started_by_hand("shut_off_and_started_by_hand", |case: &mut Case| {
    case.worker_domain().state = MachineState::ShutOff;
    case.spec.machines[1].auto_start = false;
})]
#[case::crashed("crashed", |case: &mut Case| case.worker_domain().state = MachineState::Crashed)]
#[case::paused("paused", |case: &mut Case| case.worker_domain().state = MachineState::Paused)]
#[case::not_reached("not_reached", |case: &mut Case| case.worker_domain().reached = false)]
#[case::disk_missing("disk_missing", |case: &mut Case| case.worker().disk = None)]
#[case::domain_missing("domain_missing", |case: &mut Case| case.worker().domain = None)]
#[case::domain_missing_and_other_image("domain_missing_and_other_image", |case: &mut Case| {
    case.worker().domain = None;
    case.worker().disk.as_mut().unwrap().image = None;
})]
#[case::unreadable("unreadable", |case: &mut Case| case.worker_domain().applied = None)]
#[case::network_missing("network_missing", |case: &mut Case| case.observed.network = None)]
#[case::network_inactive("network_inactive", |case: &mut Case| case.network().active = false)]
#[case::network_unreadable("network_unreadable", |case: &mut Case| case.network().settings = None)]
#[case::definition_broken_off("definition_broken_off", |case: &mut Case| {
    // The new disk was made, and then the power went.
    case.images.insert(ImageSpec::Debian13, "fedcba9876543210".repeat(4));
    case.spec.machines.truncate(2);
    case.spec.machines.remove(0);
    case.observed.machines.retain(|name, _| name == "cpu-worker");
    case.worker().disk.as_mut().unwrap().image = Some("fedcba9876543210".repeat(4));
    case.worker_domain().state = MachineState::ShutOff;
})]
fn plan_follows_change(#[case] name: &str, #[case] change: fn(&mut Case)) {
    let mut case = Case::up();
    change(&mut case);
    assert!(!case.plan().is_noop() || name == "shut_off_and_started_by_hand");
    insta::assert_snapshot!(name, described(&case));
}

#[test]
fn labels_taints_and_roles_are_no_business_of_machines() {
    let mut case = Case::up();
    for machine in &mut case.spec.machines {
        machine.labels.insert("disk".to_owned(), "fast".to_owned());
        machine.taints.clear();
        machine.roles.insert(crate::spec::Role::Worker);
        machine.auto_start = false;
    }
    assert!(case.plan().is_noop());
}

#[test]
fn colours_are_for_terminals() {
    let plan = Case::fresh().plan();
    let coloured = render(&plan, true);
    assert!(coloured.contains("\u{1b}[32m"), "{coloured:?}");
    assert!(!render(&plan, false).contains('\u{1b}'));
}

#[test]
fn plan_serializes_for_scripts() {
    let mut case = Case::up();
    case.spec.machines[1].memory = Bytes::from_gib(2);
    case.spec.machines.truncate(2);
    insta::assert_snapshot!(serde_json::to_string_pretty(&case.plan()).unwrap());
}
