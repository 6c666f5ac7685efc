//! A model of the world in which the steps of a plan are carried out. A step that could not be carried
//! out in the real one panics here.

use super::*;

/// The state of libvirt, the host's files and the running machines.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) network: Option<Network>,
    pub(super) machines: BTreeMap<String, Machine>,
    /// Counts resources that must be distinguished from their predecessors: disks, and starts of the network.
    generation: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Network {
    settings: NetworkSettings,
    hosts: BTreeSet<NetworkHost>,
    /// Which start of the network this is; none if it is not active.
    pub(super) started: Option<u32>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Machine {
    pub(super) domain: Option<Domain>,
    pub(super) disk: Option<Disk>,
    /// The identity in the files that it is started with.
    identity: Option<AppliedMachine>,
}

#[derive(Debug, Clone)]
pub(super) struct Domain {
    applied: AppliedMachine,
    pub(super) process: Option<Process>,
}

#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) state: MachineState,
    pub(super) reached: bool,
    applied: AppliedMachine,
    identity: AppliedMachine,
    /// The start of the network that its cable hangs on.
    network: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Disk {
    found: ObservedDisk,
    pub(super) generation: u32,
}

impl World {
    pub(super) fn observe(&self) -> Observed {
        let network = self.network.as_ref().map(|network| ObservedNetwork {
            active: network.started.is_some(),
            settings: Some(network.settings.clone()),
            hosts: network.hosts.clone(),
        });
        let machines = self.machines.iter().map(|(name, machine)| {
            let domain = machine.domain.as_ref().map(|domain| ObservedDomain {
                state: domain.process.as_ref().map_or(MachineState::ShutOff, |process| process.state),
                applied: Some(domain.applied.clone()),
                reached: domain.process.as_ref().is_some_and(|process| process.reached),
            });
            let disk = machine.disk.as_ref().map(|disk| disk.found.clone());
            (name.clone(), ObservedMachine { domain, disk, identity: machine.identity.is_some() })
        });
        Observed { network, machines: machines.collect() }
    }

    fn next_generation(&mut self) -> u32 {
        self.generation += 1;
        self.generation
    }

    pub(super) fn network_step(&mut self, operation: &NetworkOperation, wanted: &Desired) {
        match operation {
            NetworkOperation::Remove => {
                self.assert_network_is_unused();
                assert!(self.network.take().is_some());
            }
            NetworkOperation::Define => {
                assert!(self.network.as_ref().is_none_or(|network| network.started.is_none()));
                let NetworkPlan { settings, hosts, .. } = wanted.network.clone();
                self.network = Some(Network { settings, hosts, started: None });
            }
            NetworkOperation::Start => {
                self.assert_network_is_unused();
                let generation = self.next_generation();
                let network = self.network.as_mut().expect("a defined network");
                assert!(network.started.replace(generation).is_none());
            }
            NetworkOperation::UpdateHosts { remove, add } => {
                let network = self.network.as_mut().expect("a defined network");
                assert!(network.started.is_some());
                for host in remove {
                    assert!(network.hosts.remove(host));
                }
                for host in add {
                    assert!(network.hosts.insert(host.clone()));
                }
                let addresses: BTreeSet<_> = network.hosts.iter().map(|host| host.address).collect();
                assert_eq!(addresses.len(), network.hosts.len(), "two machines with one address");
            }
        }
    }

    /// A network that goes away takes the cables of running machines with it.
    fn assert_network_is_unused(&self) {
        let running = self.processes().map(|(name, _)| name).collect::<Vec<_>>();
        assert!(running.is_empty(), "{running:?} would lose the network");
    }

    fn processes(&self) -> impl Iterator<Item = (&String, &Process)> {
        self.machines
            .iter()
            .filter_map(|(name, machine)| Some((name, machine.domain.as_ref()?.process.as_ref()?)))
    }

    /// Forgets machines of which nothing is left.
    fn forget(&mut self, name: &str) {
        self.machines.retain(|other, machine| {
            other != name || machine.domain.is_some() || machine.disk.is_some() || machine.identity.is_some()
        });
    }

    pub(super) fn machine_step(&mut self, name: &str, operation: &MachineOperation, wanted: &Desired) {
        use MachineOperation::*;
        let generation = self.next_generation();
        let network = self.network.as_ref().and_then(|network| network.started);
        let wanted = wanted.machines.get(name);
        if let (Start, Some(wanted)) = (operation, wanted) {
            for (other, process) in self.processes() {
                assert!(
                    process.identity.address != wanted.applied.address,
                    "{name} takes the address of {other}"
                );
            }
        }
        let machine = self.machines.entry(name.to_owned()).or_default();
        let process = machine.domain.as_mut().and_then(|domain| domain.process.as_mut());
        match operation {
            Stop => {
                assert_eq!(process.expect("a running machine").state, MachineState::Running);
                machine.domain.as_mut().unwrap().process = None;
            }
            PowerOff => {
                assert!(process.is_some());
                machine.domain.as_mut().unwrap().process = None;
            }
            Resume => {
                let process = process.expect("a paused machine");
                assert_eq!(process.state, MachineState::Paused);
                process.state = MachineState::Running;
            }
            WaitReachable => {
                let process = process.expect("a running machine");
                assert_eq!(process.state, MachineState::Running);
                assert_eq!(Some(process.network), network, "{name} is not on the network");
                process.reached = true;
            }
            Start => {
                assert!(process.is_none() && machine.disk.is_some());
                let domain = machine.domain.as_mut().expect("a defined domain");
                domain.process = Some(Process {
                    state: MachineState::Running,
                    reached: false,
                    applied: domain.applied.clone(),
                    identity: machine.identity.clone().expect("identity files"),
                    network: network.expect("an active network"),
                });
            }
            RemoveIdentity => {
                assert!(process.is_none());
                assert!(machine.identity.take().is_some());
            }
            RemoveDisk => {
                assert!(process.is_none());
                assert!(machine.disk.take().is_some());
            }
            RemoveDomain => {
                assert!(process.is_none() && machine.disk.is_none(), "the domain goes last");
                assert!(machine.domain.take().is_some());
            }
            CreateDisk { size, image } => {
                let found = ObservedDisk { size: *size, image: Some(image.clone()) };
                assert!(machine.disk.replace(Disk { found, generation }).is_none());
            }
            GrowDisk { from, to } => {
                assert!(process.is_none());
                let disk = machine.disk.as_mut().expect("a disk");
                assert!(disk.found.size == *from && from < to);
                disk.found.size = *to;
            }
            WriteIdentity => {
                assert!(process.is_none());
                machine.identity = Some(wanted.expect("a machine of the file").applied.clone());
            }
            DefineDomain => {
                assert!(process.is_none() && machine.disk.is_some());
                let applied = wanted.expect("a machine of the file").applied.clone();
                machine.domain = Some(Domain { applied, process: None });
            }
        }
        self.forget(name);
    }

    /// Whether the world matches the spec. A machine that is started by hand may run or not.
    pub(super) fn assert_is(&self, wanted: &Desired) {
        let network = self.network.as_ref().expect("a network");
        assert!(network.started.is_some());
        assert_eq!(network.settings, wanted.network.settings);
        assert_eq!(network.hosts, wanted.network.hosts);
        let left: BTreeSet<&String> = self.machines.keys().collect();
        assert_eq!(left, wanted.machines.keys().collect());
        for (name, Wanted { applied, disk, auto_start }) in &wanted.machines {
            let machine = &self.machines[name];
            let found = &machine.disk.as_ref().expect("a disk").found;
            assert_eq!((found.size, found.image.as_ref()), (*disk, Some(&applied.image)));
            assert_eq!(machine.identity.as_ref(), Some(applied));
            let domain = machine.domain.as_ref().expect("a domain");
            assert_eq!(&domain.applied, applied);
            assert!(domain.process.is_some() || !auto_start, "{name} does not run");
            if let Some(process) = &domain.process {
                assert_eq!(
                    (&process.applied, &process.identity),
                    (applied, applied),
                    "{name} runs something else"
                );
                assert_eq!(Some(process.network), network.started, "{name} is not on the network");
                assert_eq!((process.state, process.reached), (MachineState::Running, true));
            }
        }
    }

    /// Stops the network as a person might: every machine on it loses it.
    pub(super) fn stop_network(&mut self) {
        if let Some(network) = &mut self.network {
            network.started = None;
        }
    }
}
