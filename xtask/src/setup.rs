//! `cargo xtask setup`: installs what a lab needs and this computer lacks.
//!
//! Setup looks at the computer and remembers nothing: a complete computer costs a few system calls,
//! so every command that needs the setup calls [`ensure`] first. Nothing is changed before the user has
//! seen it and said yes.

pub mod environment;
mod limits;
pub mod packages;
pub mod registry;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Context as _;

use self::environment::Environment;
use self::limits::Wanted;
use self::packages::{Component, Distribution, Family};
use crate::cx::Cx;
use crate::failure::Failure;
use crate::flags;
use crate::host::Host;

/// The parts that a command is about to use.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// Building and running labs: packages, devices, subordinate ids, Ansible.
    pub lab: bool,
    /// The contributors' tools.
    pub tools: bool,
    /// Own builds of artefacts: a Go toolchain.
    pub go: bool,
}

/// The changes that a computer needs, in this order.
#[derive(Debug)]
pub struct Plan {
    distribution: Distribution,
    missing: Vec<&'static Component>,
    /// In the order of the components, each once. Empty where their names are not known.
    packages: Vec<&'static str>,
    /// Those of [`LIBVIRT_FOLDERS`] that are not there.
    folders: Vec<&'static str>,
    tun: Option<Tun>,
    subordinate_ids: Option<SubordinateIds>,
    environments: Vec<Environment>,
    registry: Option<Registry>,
}

/// The registry is not there, and can be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Registry {
    /// Labs do without where nothing is deployed; the tests do not.
    required: bool,
}

/// Where libvirt's daemons keep their files, compiled into them. An embedded host lays private folders over
/// them, which only works where there is something to lie on: Debian's `libvirt-daemon` alone makes the first.
const LIBVIRT_FOLDERS: [&str; 4] =
    ["/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt"];

/// `/dev/net/tun` cannot be opened by everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tun {
    exists: bool,
    /// Root opens it all the same, so labs of root do without the change.
    required: bool,
}

/// The user has no subordinate ids.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SubordinateIds {
    user: String,
    /// The first of the 65536 ids to be given.
    first: u64,
}

/// How many subordinate ids a user gets: what `useradd` gives, enough for a whole system's users.
const SUBORDINATE_IDS: u64 = 65_536;

impl flags::Setup {
    /// Shows the plan, asks, and carries it out; then the same for the kernel's limits.
    pub fn run(self, cx: &Cx) -> anyhow::Result<()> {
        let host = Host::real();
        if self.undo {
            return limits::undo(cx, &host, self.dry_run);
        }
        if self.limits {
            return limits::raise(cx, &host, Wanted::Raised, self.dry_run);
        }
        let needs = Needs { lab: true, tools: false, go: true };
        let plan = planned(cx, &host, needs);
        if plan.is_empty() {
            println!("nothing to do: everything a lab needs is here");
        } else if self.dry_run {
            print!("{}", plan.text(&host));
        } else {
            consent(&plan, &host, cx.yes)?;
            plan.apply(cx, &host, needs)?;
        }
        limits::raise(cx, &host, Wanted::Offered, self.dry_run)
    }
}

/// Sees to it that everything that is needed is there; asks first if it is not.
///
/// # Errors
/// When something is missing and the user does not want it installed, or cannot be asked.
pub fn ensure(cx: &Cx, host: &Host, needs: Needs, yes: bool) -> anyhow::Result<()> {
    let plan = planned(cx, host, needs);
    if !plan.is_ready() {
        consent(&plan, host, yes)?;
        plan.apply(cx, host, needs)?;
    }
    let registry = registry::folder(&cx.folders);
    let registry = (needs.lab && registry.is_dir()).then_some(registry);
    for path in environments(cx, host, needs).into_iter().map(|one| one.path).chain(registry) {
        lab_cache::note_use(&cx.folders.cache, "environments", path.file_name().unwrap_or_default());
    }
    Ok(())
}

/// The changes that the computer needs for this checkout.
fn planned(cx: &Cx, host: &Host, needs: Needs) -> Plan {
    let missing = needs.lab && registry::can_be_had(host, &cx.folders);
    let registry = missing.then_some(Registry { required: needs.tools });
    Plan { registry, ..Plan::make(host, needs, environments(cx, host, needs)) }
}

fn environments(cx: &Cx, host: &Host, needs: Needs) -> Vec<Environment> {
    let lab = needs.lab.then(|| Environment::ansible(&cx.folders));
    let tools = needs.tools.then(|| Environment::tools(&cx.folders));
    // One that the computer has is as good, and is there already.
    let go = (needs.go && environment::go(host).is_none()).then(|| Environment::go(&cx.folders));
    lab.into_iter().chain(tools).chain(go).collect()
}

/// Shows the plan and returns only if it may be carried out.
fn consent(plan: &Plan, host: &Host, yes: bool) -> anyhow::Result<()> {
    eprint!("{}", plan.text(host));
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let hint = "add --yes, or run `cargo xtask setup` on a terminal first";
        return Err(
            Failure::host("this computer is not set up, and there is no terminal to ask on", hint).into()
        );
    }
    if ask("Go ahead?", true)? {
        return Ok(());
    }
    Err(Failure::host("nothing was changed", "`cargo xtask doctor` says what works without it").into())
}

/// Asks a question on the terminal; `otherwise` is the answer of an empty line. The end of the input is a no.
fn ask(question: &str, otherwise: bool) -> anyhow::Result<bool> {
    eprint!("\n{question} {} ", if otherwise { "[Y/n]" } else { "[y/N]" });
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => true,
        "" => otherwise && read > 0,
        _ => false,
    })
}

impl Plan {
    /// Looks at the computer; changes nothing.
    pub fn make(host: &Host, needs: Needs, environments: Vec<Environment>) -> Self {
        let distribution = Distribution::of(host);
        let environments: Vec<_> = environments.into_iter().filter(|one| !one.is_complete()).collect();
        let mut missing = if needs.lab { packages::missing(host) } else { Vec::new() };
        if !environments.is_empty() && environment::python(host).is_none() {
            missing.push(packages::PYTHON);
        }
        let mut packages = Vec::new();
        for package in missing.iter().filter_map(|component| distribution.package(component)) {
            if !packages.contains(&package) {
                packages.push(package);
            }
        }
        let folders = LIBVIRT_FOLDERS.into_iter().filter(|path| needs.lab && !host.exists(path)).collect();
        let tun = if needs.lab { tun(host) } else { None };
        let subordinate_ids = if needs.lab { subordinate_ids(host) } else { None };
        Self { distribution, missing, packages, folders, tun, subordinate_ids, environments, registry: None }
    }

    /// Whether there is nothing to do at all.
    pub fn is_empty(&self) -> bool {
        self.is_ready() && self.tun.is_none() && self.registry.is_none()
    }

    /// Whether everything that is required is there.
    pub fn is_ready(&self) -> bool {
        self.missing.is_empty()
            && self.folders.is_empty()
            && self.tun.is_none_or(|tun| !tun.required)
            && self.subordinate_ids.is_none()
            && self.environments.is_empty()
            && self.registry.is_none_or(|registry| !registry.required)
    }

    /// The planned changes and their reasons, with every command that needs root.
    pub fn text(&self, host: &Host) -> String {
        let mut text = format!("To be set up on this computer ({}):\n", self.distribution.name);
        if !self.missing.is_empty() {
            text += "\nMissing:\n";
        }
        for component in &self.missing {
            let _ = match self.distribution.package(component) {
                Some(package) => writeln!(text, "  {package:<29} {}", component.what),
                None => writeln!(text, "  {}", component.what),
            };
        }
        let commands = self.root_commands();
        if !commands.is_empty() {
            text += if host.uid == 0 { "\nCommands:\n" } else { "\nCommands, as root:\n" };
        }
        for (command, why) in &commands {
            let _ = writeln!(text, "  {}", command.join(" "));
            if !why.is_empty() {
                let _ = writeln!(text, "      {why}");
            }
        }
        if !self.environments.is_empty() {
            text += "\nPython environments, from Python's package index:\n";
        }
        for environment in &self.environments {
            let _ =
                writeln!(text, "  {}, as pinned in {}", environment.path.display(), environment.requirements);
        }
        if self.registry.is_some() {
            let _ = write!(
                text,
                "\nUnpacked, not installed, so that no service of it starts:\n  {:<29} a registry, which gives images to machines\n",
                registry::PACKAGE
            );
        }
        text
    }

    /// Everything that needs root, each with its reason.
    fn root_commands(&self) -> Vec<(Vec<String>, &'static str)> {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut commands = Vec::new();
        if let Some(family) = self.distribution.family.filter(|_| !self.packages.is_empty()) {
            let install =
                family.install().iter().chain(&self.packages).map(|word| (*word).to_owned()).collect();
            let why = if family == Family::Debian && self.packages.contains(&"libvirt-daemon") {
                "Debian may start libvirt's own daemon with it; labs use a private one."
            } else {
                ""
            };
            commands.push((install, why));
        }
        if !self.folders.is_empty() {
            let command =
                ["mkdir", "-p"].iter().chain(&self.folders).map(|word| (*word).to_owned()).collect();
            commands.push((command, "A lab's private libvirt lays its own folders over these."));
        }
        if let Some(tun) = self.tun {
            if !tun.exists {
                commands.push((words("mkdir -p /dev/net"), ""));
                commands.push((words("mknod /dev/net/tun c 10 200"), ""));
            }
            let why = "The mode that udev gives it everywhere; labs of ordinary users need it.";
            commands.push((words("chmod 0666 /dev/net/tun"), why));
        }
        if let Some(SubordinateIds { user, first }) = &self.subordinate_ids {
            let range = format!("{first}-{}", first + SUBORDINATE_IDS - 1);
            let command = words(&format!("usermod --add-subuids {range} --add-subgids {range} {user}"));
            commands.push((command, "A lab of an ordinary user runs in a namespace with these ids."));
        }
        commands
    }

    /// Does it all, and looks again whether it helped.
    fn apply(&self, cx: &Cx, host: &Host, needs: Needs) -> anyhow::Result<()> {
        if !self.missing.is_empty() && self.distribution.family != Some(Family::Debian) {
            let message = format!("packages are not installed for you on {}", self.distribution.name);
            return Err(
                Failure::host(message, "install the packages listed above, then run this again").into()
            );
        }
        let commands = self.root_commands();
        let root = Root::new(cx, host, commands.is_empty())?;
        for (command, _) in &commands {
            let result = if command[0] == "apt-get" { root.install(command) } else { root.run(command) };
            let is_tun = command.iter().any(|word| word.starts_with("/dev/net"));
            match result {
                Err(error) if is_tun && self.tun.is_some_and(|tun| !tun.required) => {
                    eprintln!("note: {error:#}; labs of ordinary users will not work here");
                }
                other => other?,
            }
        }
        if !self.environments.is_empty() {
            let python = environment::python(host).ok_or_else(environment::no_python)?;
            for environment in &self.environments {
                eprintln!("making {}", environment.path.display());
                environment.make(&cx.sh, &cx.folders, &python)?;
            }
        }
        if let Some(Registry { required }) = self.registry {
            eprintln!("unpacking {}", registry::folder(&cx.folders).display());
            match registry::make(cx) {
                Err(error) if !required => eprintln!("note: {error:#}; machines will get no images"),
                other => other?,
            }
        }
        let after = planned(cx, host, needs);
        if !after.is_ready() {
            eprint!("{}", after.text(host));
            return Err(Failure::host("something is still missing", "`cargo xtask doctor` says more").into());
        }
        eprintln!("this computer is set up");
        Ok(())
    }
}

/// A way to run commands as root.
struct Root<'a> {
    cx: &'a Cx,
    /// None: we are root.
    sudo: Option<PathBuf>,
    path: OsString,
}

impl<'a> Root<'a> {
    fn new(cx: &'a Cx, host: &Host, unused: bool) -> anyhow::Result<Self> {
        let sudo = host.program("sudo").filter(|_| host.uid != 0);
        if host.uid != 0 && sudo.is_none() && !unused {
            let hint = "run the commands above as root, then this again";
            return Err(Failure::host("some of this needs root, and there is no sudo", hint).into());
        }
        Ok(Self { cx, sudo, path: host.search_path() })
    }

    /// Runs one command. Its output goes to stderr: stdout is for our own results.
    fn run(&self, command: &[String]) -> anyhow::Result<()> {
        eprintln!("$ {}", command.join(" "));
        let shell = self.cx.sh.cmd("sh").args(["-c", "exec \"$@\" >&2", "sh"]).args(&self.sudo);
        let environment = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"];
        let command = shell.args(environment).args(command).env("PATH", &self.path).quiet();
        Ok(command.run()?)
    }

    /// Installs packages with apt, with fresh package lists if the ones at hand do not serve.
    fn install(&self, command: &[String]) -> anyhow::Result<()> {
        let update = ["apt-get", "update"].map(str::to_owned);
        let trial = self.cx.sh.cmd(&command[0]).args(&command[1..]).arg("--simulate").quiet();
        let known = trial.ignore_stdout().ignore_stderr().run().is_ok();
        if !known {
            // One dead source among good ones must not stop us; if it matters, the installation fails.
            let _ = self.run(&update);
        }
        match self.run(command) {
            Err(_) if known => {
                let _ = self.run(&update);
                self.run(command)
            }
            result => result,
        }
        .context("the packages could not be installed")
    }
}

/// Whether `/dev/net/tun` is there for everybody.
fn tun(host: &Host) -> Option<Tun> {
    let mode = host.mode("/dev/net/tun");
    let open = mode.is_some_and(|mode| mode & 0o666 == 0o666);
    (!open).then_some(Tun { exists: mode.is_some(), required: host.uid != 0 || mode.is_none() })
}

/// Whether the user who runs us has subordinate ids. Root needs none.
fn subordinate_ids(host: &Host) -> Option<SubordinateIds> {
    if host.user == "root" || host.uid == 0 && host.user == "0" {
        return None;
    }
    let files = ["/etc/subuid", "/etc/subgid"].map(|path| host.read(path).unwrap_or_default());
    let has = |text: &String| {
        let names = [host.user.clone(), host.uid.to_string()];
        text.lines()
            .any(|line| line.split(':').next().is_some_and(|name| names.iter().any(|own| own == name)))
    };
    if files.iter().all(has) {
        return None;
    }
    let taken = files.iter().flat_map(|text| text.lines()).filter_map(end_of_range);
    // Below 100000 lie the ids of real users.
    Some(SubordinateIds { user: host.user.clone(), first: taken.max().unwrap_or(0).max(100_000) })
}

/// The first id after a line `user:first:count` of subuid(5).
fn end_of_range(line: &str) -> Option<u64> {
    let mut fields = line.split(':').skip(1).map(|field| field.trim().parse::<u64>());
    Some(fields.next()?.ok()?.saturating_add(fields.next()?.ok()?))
}

#[cfg(test)]
mod tests;
