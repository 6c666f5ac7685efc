//! From any world, broken off anywhere, to the spec.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;

use super::world::World;
use super::*;

const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];

/// A cluster file with some of the five machines, each with one of a few values for everything.
fn cases() -> impl Strategy<Value = Case> {
    let machine = (any::<bool>(), 1..3_u32, 1..3_u64, 8..11_u64, any::<bool>(), prop::bool::weighted(0.8));
    let machines = prop::collection::vec(machine, NAMES.len());
    // A shift moves every machine to another one's address.
    let globals = (prop::bool::weighted(0.8), 0..3_u8, 0..2_u8, 0..2_u8, prop::bool::weighted(0.8));
    (machines, globals).prop_map(|(machines, (same_mtu, shift, image, key, translated))| {
        let mut case = Case::fresh();
        case.spec.network.mtu = if same_mtu { 1500 } else { 1400 };
        case.acceleration = if translated { Acceleration::Tcg } else { Acceleration::Kvm };
        case.images = BTreeMap::from([(ImageSpec::Debian13, format!("image-{image}"))]);
        case.keys.login = format!("ssh-ed25519 AAAA{key}");
        case.spec.machines = machines
            .into_iter()
            .zip(NAMES)
            .enumerate()
            .filter(|(_, ((present, ..), _))| *present)
            .map(|(index, ((_, cpus, memory, disk, container, auto_start), name))| {
                let last_octet = 10 + (index as u8 + shift) % 5;
                MachineSpec {
                    cpus,
                    memory: Bytes::from_gib(memory),
                    disk: Bytes::from_gib(disk),
                    kind: if container { MachineKind::Container } else { MachineKind::Vm },
                    auto_start,
                    ..fixtures::machine(name, last_octet)
                }
            })
            .collect();
        case
    })
}

/// A change between observations.
#[derive(Debug, Clone)]
enum Accident {
    Machine(Index, MachineState),
    Unreached(Index),
    DiskLost(Index),
    DomainLost(Index),
    NetworkStopped,
    NetworkLost,
}

fn accidents() -> impl Strategy<Value = Vec<Accident>> {
    let state =
        prop_oneof![Just(MachineState::Paused), Just(MachineState::Crashed), Just(MachineState::ShutOff)];
    let accident = prop_oneof![
        (any::<Index>(), state).prop_map(|(machine, state)| Accident::Machine(machine, state)),
        any::<Index>().prop_map(Accident::Unreached),
        any::<Index>().prop_map(Accident::DiskLost),
        any::<Index>().prop_map(Accident::DomainLost),
        Just(Accident::NetworkStopped),
        Just(Accident::NetworkLost),
    ];
    prop::collection::vec(accident, 0..4)
}

fn happens(world: &mut World, accident: &Accident) {
    let names: Vec<String> = world.machines.keys().cloned().collect();
    let machine = |index: &Index| (!names.is_empty()).then(|| index.get(&names).clone());
    match accident {
        Accident::NetworkStopped => world.stop_network(),
        Accident::NetworkLost => world.network = None,
        Accident::Machine(index, state) => {
            let Some(machine) = machine(index).and_then(|name| world.machines.get_mut(&name)) else { return };
            let Some(domain) = &mut machine.domain else { return };
            if *state == MachineState::ShutOff {
                domain.process = None;
            } else if let Some(process) = &mut domain.process {
                process.state = *state;
            }
        }
        Accident::Unreached(index) => {
            let Some(machine) = machine(index).and_then(|name| world.machines.get_mut(&name)) else { return };
            if let Some(process) = machine.domain.as_mut().and_then(|domain| domain.process.as_mut()) {
                process.reached = false;
            }
        }
        Accident::DiskLost(index) => {
            let Some(machine) = machine(index).and_then(|name| world.machines.get_mut(&name)) else { return };
            machine.disk = None;
        }
        Accident::DomainLost(index) => {
            let Some(machine) = machine(index).and_then(|name| world.machines.get_mut(&name)) else { return };
            // libvirt undefines no machine that runs.
            if machine.disk.is_some()
                && machine.domain.as_ref().is_some_and(|domain| domain.process.is_none())
            {
                machine.domain = None;
            }
        }
    }
}

/// Carries a plan out, the machines interleaved by `order`, and breaks off after `limit` steps.
fn carry_out(world: &mut World, case: &mut Case, order: &[Index], limit: usize) {
    case.observed = world.observe();
    let (plan, wanted) = (case.plan(), case.desired());
    let mut order = order.iter().cycle();
    let mut left = limit;
    let chains = |steps: fn(&MachineActions) -> &[MachineStep]| {
        plan.machines.iter().map(|machine| (machine.name.as_str(), steps(machine))).collect::<Vec<_>>()
    };
    interleave(world, chains(|machine| &machine.before), &mut order, &mut left, &wanted);
    for step in &plan.network.steps {
        if left == 0 {
            return;
        }
        left -= 1;
        world.network_step(&step.operation, &wanted);
    }
    interleave(world, chains(|machine| &machine.steps), &mut order, &mut left, &wanted);
}

fn interleave<'a>(
    world: &mut World,
    mut chains: Vec<(&str, &[MachineStep])>,
    order: &mut impl Iterator<Item = &'a Index>,
    left: &mut usize,
    wanted: &Desired,
) {
    loop {
        chains.retain(|(_, steps)| !steps.is_empty());
        if chains.is_empty() || *left == 0 {
            return;
        }
        *left -= 1;
        let chosen = order.next().expect("an endless order").index(chains.len());
        let (name, steps) = &mut chains[chosen];
        let (first, rest) = steps.split_first().expect("a chain with steps");
        world.machine_step(name, &first.operation, wanted);
        *steps = rest;
    }
}

proptest! {
    #![proptest_config(Config { cases: 400, failure_persistence: None, ..Config::default() })]

    #[test]
    fn plan_converges_after_any_interruption(
        mut first in cases(),
        second in prop::option::of(cases()),
        accidents in accidents(),
        order in prop::collection::vec(any::<Index>(), 1..40),
        limit in 0..60_usize,
    ) {
        let mut world = World::default();
        carry_out(&mut world, &mut first, &order, usize::MAX);
        world.assert_is(&first.desired());

        // Often the file stays as it is, and only the world changes.
        let mut second = second.unwrap_or(first);
        for accident in &accidents {
            happens(&mut world, accident);
        }
        carry_out(&mut world, &mut second, &order, limit);
        carry_out(&mut world, &mut second, &order, usize::MAX);
        world.assert_is(&second.desired());

        second.observed = world.observe();
        let plan = second.plan();
        prop_assert!(plan.is_noop(), "{}", described(&second));
    }

    #[test]
    fn every_machine_has_exactly_one_entry_and_every_step_its_own_id(
        mut first in cases(),
        mut second in cases(),
        accidents in accidents(),
        order in prop::collection::vec(any::<Index>(), 1..40),
    ) {
        let mut world = World::default();
        carry_out(&mut world, &mut first, &order, usize::MAX);
        for accident in &accidents {
            happens(&mut world, accident);
        }
        second.observed = world.observe();
        let plan = second.plan();
        let names: Vec<&str> = plan.machines.iter().map(|machine| machine.name.as_str()).collect();
        let in_file: Vec<&str> = second.spec.machines.iter().map(|machine| machine.name.as_str()).collect();
        prop_assert_eq!(&names[..in_file.len()], &in_file[..]);
        let gone: BTreeSet<&str> = names[in_file.len()..].iter().copied().collect();
        let expected: BTreeSet<&str> =
            second.observed.machines.keys().map(String::as_str).filter(|name| !in_file.contains(name)).collect();
        prop_assert_eq!(gone, expected);
        let ids: Vec<&str> = plan
            .machines
            .iter()
            .flat_map(|machine| machine.before.iter().chain(&machine.steps))
            .map(|step| step.id.as_str())
            .chain(plan.network.steps.iter().map(|step| step.id.as_str()))
            .collect();
        prop_assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }

    #[test]
    fn data_is_lost_only_where_the_plan_says_so(
        mut first in cases(),
        mut second in cases(),
        order in prop::collection::vec(any::<Index>(), 1..40),
    ) {
        let mut world = World::default();
        carry_out(&mut world, &mut first, &order, usize::MAX);
        let disks = |world: &World| {
            let disks = world.machines.iter().filter_map(|(name, machine)| Some((name.clone(), machine.disk.as_ref()?.generation)));
            disks.collect::<BTreeMap<_, _>>()
        };
        let before = disks(&world);
        second.observed = world.observe();
        let plan = second.plan();
        carry_out(&mut world, &mut second, &order, usize::MAX);
        let after = disks(&world);
        for machine in &plan.machines {
            if let Some(generation) = before.get(&machine.name) {
                let lost = after.get(&machine.name) != Some(generation);
                prop_assert_eq!(lost, machine.destroys_data, "{}", machine.name);
            }
        }
    }
}
