//! A provider for tests: it keeps definitions and states, runs nothing, and fails, hangs and dies on demand.
//!
//! Commands are processes, so that its state lies in a file: for the embedded host in the folder of that host, for a libvirt
//! that labs share in the folder that [`FOLDER`] names. A machine that it starts says on its console that it is ready.
//! What asks for it are two variables of the environment; no cluster file can.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::Context as _;
use lab_core::libvirt_xml::{
    NetworkHost, NetworkRecord, VolumeRecord, read_domain, read_network, read_volume,
};
use lab_core::plan::MachineState;
use lab_core::spec::MachineKind;
use lab_core::units::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::files::{self, SECRET};
use crate::layout::LabFiles;

use super::{Domains, FoundDomain, Networks, Provider, Storage};

/// The variable that asks for this provider, and names the folder for what labs share.
const FOLDER: &str = "LAB_TEST_PROVIDER";
/// The variable that asks for faults: `start_domain=fail,7=kill-after`. A number counts calls that change something, from 1.
const FAULTS: &str = "LAB_TEST_FAULTS";

/// The folder for what labs share, where the environment asks for this provider.
pub fn requested() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// What a call does instead of its work, or beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It fails.
    Fail,
    /// It never returns.
    Hang,
    /// It fails, and so does every later call: the connection is gone.
    Lose,
    /// The program is killed before the work.
    KillBefore,
    /// The program is killed after the work.
    KillAfter,
    /// The machine that it starts ends at once.
    End,
    /// The kernel of the machine that it starts panics.
    Panic,
}

impl Fault {
    fn parse(word: &str) -> anyhow::Result<Self> {
        Ok(match word {
            "fail" => Self::Fail,
            "hang" => Self::Hang,
            "lose" => Self::Lose,
            "kill-before" => Self::KillBefore,
            "kill-after" => Self::KillAfter,
            "end" => Self::End,
            "panic" => Self::Panic,
            _ => anyhow::bail!("{FAULTS}: there is no fault `{word}`"),
        })
    }
}

/// Everything that it keeps.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    domains: BTreeMap<String, Domain>,
    networks: BTreeMap<String, Network>,
    pools: BTreeMap<String, Pool>,
    /// How many runs of machines there were.
    runs: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Domain {
    xml: String,
    /// The number of its run; none while it is off.
    run: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Network {
    xml: String,
    active: bool,
    /// Its hosts, once they are others than in its definition.
    hosts: Option<Vec<NetworkHost>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Pool {
    path: String,
    volumes: BTreeMap<String, Volume>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Volume {
    xml: String,
    /// Its size, once it is another than in its definition.
    capacity: Option<Bytes>,
}

/// The fake.
pub struct Fake {
    file: PathBuf,
    uri: String,
    /// The lab whose consoles it writes; none where it is shared, and machines have no consoles on this computer.
    lab: Option<LabFiles>,
    calls: AtomicU32,
    lost: AtomicBool,
}

impl Fake {
    /// The one on the embedded host of a lab. It runs machines of both kinds.
    pub fn embedded(lab: &LabFiles) -> Self {
        let file = lab.host().folder.join("fake.json");
        Self::new(file, "fake:///embedded", Some(lab.clone()))
    }

    /// The one that stands in for a libvirt that labs share.
    pub fn shared(folder: &Path, uri: &str) -> Self {
        Self::new(folder.join("fake.json"), uri, None)
    }

    fn new(file: PathBuf, uri: &str, lab: Option<LabFiles>) -> Self {
        Self { file, uri: uri.to_owned(), lab, calls: AtomicU32::new(0), lost: AtomicBool::new(false) }
    }

    /// The fault of a call: the one of its verb, or the one of its number.
    fn fault(&self, verb: &str, number: Option<u32>) -> anyhow::Result<Option<Fault>> {
        let Ok(faults) = std::env::var(FAULTS) else { return Ok(None) };
        let number = number.map(|number| number.to_string());
        for fault in faults.split(',') {
            let (call, fault) = fault.split_once('=').with_context(|| format!("{FAULTS}: `{fault}`"))?;
            if call == verb || Some(call) == number.as_deref() {
                return Fault::parse(fault).map(Some);
            }
        }
        Ok(None)
    }

    /// Meets the fault of a call that comes before its work; returns one that comes with it or after it.
    fn begin(&self, verb: &str, number: Option<u32>) -> anyhow::Result<Option<Fault>> {
        let fault = self.fault(verb, number)?;
        match fault {
            Some(Fault::Lose) => self.lost.store(true, Ordering::Relaxed),
            Some(Fault::Fail) => anyhow::bail!("`{verb}` fails, as the test demands"),
            Some(Fault::Hang) => loop {
                std::thread::park();
            },
            Some(Fault::KillBefore) => die(),
            Some(Fault::KillAfter | Fault::End | Fault::Panic) | None => {}
        }
        anyhow::ensure!(!self.lost.load(Ordering::Relaxed), "the connection to the fake is lost");
        Ok(fault)
    }

    fn load(&self) -> anyhow::Result<State> {
        Ok(match files::read_if_present(&self.file)? {
            Some(text) => serde_json::from_str(&text).context("the fake cannot read its own state")?,
            None => State::default(),
        })
    }

    /// Looks at the state.
    fn look<T>(&self, verb: &str, look: impl FnOnce(&State) -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.begin(verb, None)?;
        look(&self.load()?)
    }

    /// Changes the state, one caller at a time among all processes.
    fn change<T>(
        &self,
        verb: &str,
        change: impl FnOnce(&mut State, Option<Fault>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let fault = self.begin(verb, Some(number))?;
        files::private_folder(self.file.parent().context("the state has no folder")?)?;
        let lock = std::fs::File::create(self.file.with_extension("lock"))?;
        lock.lock()?;
        let mut state = self.load()?;
        let done = change(&mut state, fault)?;
        files::write_atomic(&self.file, &serde_json::to_vec_pretty(&state)?, SECRET)?;
        if fault == Some(Fault::KillAfter) {
            die();
        }
        Ok(done)
    }

    /// Writes a line to the console of a machine.
    fn say(&self, machine: &str, line: &str) -> anyhow::Result<()> {
        let Some(lab) = &self.lab else { return Ok(()) };
        let console = lab.machine(machine).console();
        files::private_folder(console.parent().context("a console has a folder")?)?;
        let mut console = std::fs::OpenOptions::new().create(true).append(true).open(console)?;
        Ok(writeln!(console, "{line}")?)
    }
}

fn die() {
    // SIGKILL leaves no time for anything, which is what a test wants to prove.
    let _ = kill(Pid::this(), Signal::SIGKILL);
}

impl Provider for Fake {
    fn uri(&self, _: MachineKind) -> &str {
        &self.uri
    }

    fn without_containers(&self) -> Option<&str> {
        self.lab.is_none().then_some("they run on the embedded host only")
    }
}

impl Domain {
    fn state(&self) -> MachineState {
        if self.run.is_some() { MachineState::Running } else { MachineState::ShutOff }
    }
}

impl Domains for Fake {
    fn domains(&self) -> anyhow::Result<Vec<FoundDomain>> {
        self.look("domains", |state| {
            let mut found = Vec::new();
            for domain in state.domains.values() {
                if let Some(record) = read_domain(&domain.xml)? {
                    found.push(FoundDomain { record, state: domain.state(), run: domain.run });
                }
            }
            Ok(found)
        })
    }

    fn define_domain(&self, _: MachineKind, xml: &str) -> anyhow::Result<()> {
        self.change("define_domain", |state, _| {
            let record = read_domain(xml)?.context("the definition carries no lab's metadata")?;
            let run = state.domains.get(&record.name).and_then(|domain| domain.run);
            state.domains.insert(record.name, Domain { xml: xml.to_owned(), run });
            Ok(())
        })
    }

    fn start_domain(&self, name: &str) -> anyhow::Result<u32> {
        self.change("start_domain", |state, fault| {
            let domain =
                state.domains.get_mut(name).with_context(|| format!("there is no domain `{name}`"))?;
            if let Some(run) = domain.run {
                return Ok(run);
            }
            state.runs += 1;
            domain.run = (fault != Some(Fault::End)).then_some(state.runs);
            let machine = read_domain(&domain.xml)?.context("it was defined with metadata")?.machine;
            match fault {
                Some(Fault::Panic) => {
                    self.say(&machine, "Kernel panic - not syncing: as the test demands")?
                }
                Some(Fault::End) => self.say(&machine, "reboot: Power down")?,
                _ => self.say(&machine, "lab: ssh ready")?,
            }
            Ok(state.runs)
        })
    }

    fn resume_domain(&self, name: &str) -> anyhow::Result<u32> {
        self.start_domain(name)
    }

    fn shut_down_domain(&self, name: &str) -> anyhow::Result<()> {
        self.change("shut_down_domain", |state, _| {
            state.domains.get_mut(name).into_iter().for_each(|domain| domain.run = None);
            Ok(())
        })
    }

    fn power_off_domain(&self, name: &str) -> anyhow::Result<()> {
        self.change("power_off_domain", |state, _| {
            state.domains.get_mut(name).into_iter().for_each(|domain| domain.run = None);
            Ok(())
        })
    }

    fn domain_state(&self, name: &str) -> anyhow::Result<Option<(MachineState, Option<u32>)>> {
        self.look("domain_state", |state| {
            Ok(state.domains.get(name).map(|domain| (domain.state(), domain.run)))
        })
    }

    fn remove_domain(&self, name: &str) -> anyhow::Result<()> {
        self.change("remove_domain", |state, _| {
            state.domains.remove(name);
            Ok(())
        })
    }

    fn console_terminal(&self, name: &str) -> anyhow::Result<String> {
        anyhow::bail!("`{name}` has no console")
    }
}

impl State {
    fn network(&mut self, name: &str) -> anyhow::Result<&mut Network> {
        self.networks.get_mut(name).with_context(|| format!("there is no network `{name}`"))
    }

    fn pool(&mut self, name: &str) -> anyhow::Result<&mut Pool> {
        self.pools.get_mut(name).with_context(|| format!("there is no storage pool `{name}`"))
    }
}

impl Network {
    fn record(&self) -> anyhow::Result<Option<NetworkRecord>> {
        let record = read_network(&self.xml)?;
        Ok(record.map(|record| match &self.hosts {
            Some(hosts) => NetworkRecord { hosts: hosts.iter().cloned().collect(), ..record },
            None => record,
        }))
    }
}

impl Networks for Fake {
    fn networks(&self) -> anyhow::Result<Vec<(NetworkRecord, bool)>> {
        self.look("networks", |state| {
            let mut found = Vec::new();
            for network in state.networks.values() {
                found.extend(network.record()?.map(|record| (record, network.active)));
            }
            Ok(found)
        })
    }

    fn define_network(&self, xml: &str) -> anyhow::Result<()> {
        self.change("define_network", |state, _| {
            let record = read_network(xml)?.context("the definition carries no lab's metadata")?;
            let active = state.networks.get(&record.name).is_some_and(|network| network.active);
            state.networks.insert(record.name, Network { xml: xml.to_owned(), active, hosts: None });
            Ok(())
        })
    }

    fn start_network(&self, name: &str) -> anyhow::Result<()> {
        self.change("start_network", |state, _| {
            state.network(name)?.active = true;
            Ok(())
        })
    }

    fn update_network_hosts(
        &self,
        name: &str,
        remove: &[NetworkHost],
        add: &[NetworkHost],
    ) -> anyhow::Result<()> {
        self.change("update_network_hosts", |state, _| {
            let network = state.network(name)?;
            let mut hosts = network.record()?.context("it was defined with metadata")?.hosts;
            hosts.retain(|host| !remove.contains(host));
            hosts.extend(add.iter().cloned());
            network.hosts = Some(hosts.into_iter().collect());
            Ok(())
        })
    }

    fn remove_network(&self, name: &str) -> anyhow::Result<()> {
        self.change("remove_network", |state, _| {
            state.networks.remove(name);
            Ok(())
        })
    }
}

impl Pool {
    fn path_of(&self, volume: &str) -> String {
        format!("{}/{volume}", self.path)
    }
}

impl Storage for Fake {
    fn ensure_pool(&self, name: &str, path: &str) -> anyhow::Result<()> {
        self.change("ensure_pool", |state, _| {
            let pool = || Pool { path: path.to_owned(), volumes: BTreeMap::new() };
            state.pools.entry(name.to_owned()).or_insert_with(pool);
            Ok(())
        })
    }

    fn pools(&self) -> anyhow::Result<Vec<String>> {
        self.look("pools", |state| Ok(state.pools.keys().cloned().collect()))
    }

    fn remove_pool(&self, name: &str) -> anyhow::Result<()> {
        self.change("remove_pool", |state, _| {
            state.pools.remove(name);
            Ok(())
        })
    }

    fn volumes(&self, pool: &str) -> anyhow::Result<Vec<VolumeRecord>> {
        self.look("volumes", |state| {
            let Some(pool) = state.pools.get(pool) else { return Ok(vec![]) };
            let record = |volume: &Volume| {
                let record = read_volume(&volume.xml)?;
                Ok(VolumeRecord { capacity: volume.capacity.unwrap_or(record.capacity), ..record })
            };
            pool.volumes.values().map(record).collect()
        })
    }

    fn create_volume(&self, pool: &str, name: &str, xml: &str) -> anyhow::Result<String> {
        self.change("create_volume", |state, _| {
            let pool = state.pool(pool)?;
            let path = pool.path_of(name);
            // libvirt notes where it put a volume.
            let xml = xml.replacen("<target>", &format!("<target><path>{path}</path>"), 1);
            read_volume(&xml).context("the definition is none of a volume")?;
            pool.volumes.insert(name.to_owned(), Volume { xml, capacity: None });
            Ok(path)
        })
    }

    fn grow_volume(&self, pool: &str, name: &str, capacity: Bytes) -> anyhow::Result<()> {
        self.change("grow_volume", |state, _| {
            let volume = state.pool(pool)?.volumes.get_mut(name);
            volume.with_context(|| format!("there is no volume `{name}`"))?.capacity = Some(capacity);
            Ok(())
        })
    }

    fn volume_path(&self, pool: &str, name: &str) -> anyhow::Result<Option<String>> {
        self.look("volume_path", |state| {
            let pool = state.pools.get(pool).with_context(|| format!("there is no storage pool `{pool}`"))?;
            Ok(pool.volumes.contains_key(name).then(|| pool.path_of(name)))
        })
    }

    fn upload_volume(&self, pool: &str, name: &str, from: &Path) -> anyhow::Result<()> {
        self.change("upload_volume", |state, _| {
            anyhow::ensure!(state.pool(pool)?.volumes.contains_key(name), "there is no volume `{name}`");
            std::fs::metadata(from).with_context(|| format!("cannot open `{}`", from.display()))?;
            Ok(())
        })
    }

    fn remove_volume(&self, pool: &str, name: &str) -> anyhow::Result<()> {
        self.change("remove_volume", |state, _| {
            state.pools.get_mut(pool).into_iter().for_each(|pool| drop(pool.volumes.remove(name)));
            Ok(())
        })
    }
}
