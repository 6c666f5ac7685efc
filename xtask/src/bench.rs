//! `cargo xtask bench`: the project's own measurements, timed from outside as a user would.
//!
//! Labs of measurements have names of their own (`bench-one`, `bench-four`, `bench-quick`, `bench-deploy`), so a lab in use
//! is never touched. Measurements that need one another are made in one scenario.

mod computer;
mod deploy;
mod report;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;

use crate::cargo::{self, cargo};
use crate::cx::Cx;
use crate::failure::{CHECKS, Failure};
use crate::flags;
use crate::folders::CACHE_VARIABLE;
use crate::handover;
use crate::host::Host;
use crate::setup::environment::Environment;
use crate::setup::{self, Needs};

use report::{Goal, json, table};

/// Something that is measured.
#[derive(Debug)]
struct Measurement {
    name: &'static str,
    what: &'static str,
    goal: Goal,
    /// Whether it needs machines, and so the base image.
    machines: bool,
    /// Measures it, and perhaps others.
    scenario: fn(&mut Bench<'_>) -> anyhow::Result<()>,
}

#[rustfmt::skip] // One line a measurement reads as the table it is.
const MEASUREMENTS: [Measurement; 25] = [
    Measurement { name: "cold-xtask", what: "build of xtask from nothing, crates downloaded", goal: Goal::Seconds(15.0), machines: false, scenario: cold_xtask },
    Measurement { name: "one-machine", what: "one machine from nothing to a login over SSH, image built", goal: Goal::Seconds(6.0), machines: true, scenario: one_machine },
    Measurement { name: "four-machines", what: "the four machines of `dev` from nothing to the last login over SSH, image built", goal: Goal::Seconds(45.0), machines: true, scenario: four_machines },
    Measurement { name: "four-ansible", what: "the same until Ansible has pinged all four", goal: Goal::Seconds(45.0), machines: true, scenario: four_machines },
    Measurement { name: "no-op-up", what: "`lab up` of the four when there is nothing to do", goal: Goal::Seconds(1.0), machines: true, scenario: four_machines },
    Measurement { name: "destroy", what: "`lab destroy` of the four", goal: Goal::Seconds(3.0), machines: true, scenario: four_machines },
    Measurement { name: "quick-up", what: "the three containers of `quick` from nothing to the last login over SSH, image built", goal: Goal::Seconds(5.0), machines: true, scenario: quick },
    Measurement { name: "quick-destroy", what: "`lab destroy` of the three", goal: Goal::Seconds(3.0), machines: true, scenario: quick },
    Measurement { name: "quick-ready", what: "`quick` from nothing, artefacts in the store, until every node is ready and every system pod runs", goal: Goal::Seconds(125.0), machines: true, scenario: deploy::quick },
    Measurement { name: "quick-verdict", what: "the same to the verdict of `validate`", goal: Goal::Seconds(150.0), machines: true, scenario: deploy::quick },
    Measurement { name: "quick-deploy", what: "`deploy` alone, from machines that answer over SSH", goal: Goal::Share(0.3, "quick-plain"), machines: true, scenario: deploy::quick },
    Measurement { name: "quick-plain", what: "the same by `ansible-playbook` with Kubespray's own settings, to compare", goal: Goal::None, machines: true, scenario: deploy::quick },
    Measurement { name: "quick-snapshot", what: "a snapshot of the deployed `quick`, until it is well again", goal: Goal::Seconds(90.0), machines: true, scenario: deploy::quick },
    Measurement { name: "quick-restore", what: "`lab restore` of it from nothing until every node is ready", goal: Goal::Seconds(8.0), machines: true, scenario: deploy::quick },
    Measurement { name: "cloud-start", what: "`cloud start` of `quick` from nothing, artefacts in the store", goal: Goal::Seconds(150.0), machines: true, scenario: deploy::cloud },
    Measurement { name: "cloud-start-kept", what: "the same from the snapshot that it kept", goal: Goal::Seconds(15.0), machines: true, scenario: deploy::cloud },
    Measurement { name: "cloud-status", what: "`cloud status` of it", goal: Goal::Seconds(2.0), machines: true, scenario: deploy::cloud },
    Measurement { name: "deploy-no-op", what: "`deploy` of it when there is nothing to do", goal: Goal::Seconds(3.0), machines: true, scenario: deploy::cloud },
    Measurement { name: "gpu-ready", what: "the GPU Operator on a healthy `gpu`, artefacts in the store, until every GPU of the plan can be used", goal: Goal::None, machines: true, scenario: deploy::gpu },
    Measurement { name: "gpu-verdict", what: "the same to the last check of the suite `gpu`", goal: Goal::Seconds(120.0), machines: true, scenario: deploy::gpu },
    Measurement { name: "kubespray-no-op", what: "`kubespray fetch` when it is there", goal: Goal::Seconds(1.0), machines: false, scenario: nothing_to_do },
    Measurement { name: "artifacts-list", what: "`artifacts list` of `quick` when nothing has changed", goal: Goal::Seconds(1.0), machines: false, scenario: nothing_to_do },
    Measurement { name: "lint-5000", what: "the inventory of 5,000 machines rendered, read and checked", goal: Goal::Seconds(0.25), machines: false, scenario: lint_5000 },
    Measurement { name: "artifacts-cold", what: "every artefact of `quick` built from nothing, modules downloaded; measured in the first run only", goal: Goal::Seconds(1200.0), machines: false, scenario: artifacts },
    Measurement { name: "artifacts-no-op", what: "`artifacts build` of them when there is nothing to do", goal: Goal::Seconds(1.0), machines: false, scenario: artifacts },
];

/// Seconds from the start of `lab up`.
struct Up {
    /// To the last machine that was logged in to.
    login: f64,
    /// To its end.
    whole: f64,
}

/// The kind of an event that reports a login (lab/src/progress.rs).
const REACHED: &str = "\"kind\":\"reached\"";

/// A run of measurements.
struct Bench<'a> {
    cx: &'a Cx,
    /// Holds the cluster files of the measurements.
    directory: PathBuf,
    /// Seconds by the name of the measurement, in the order of the runs.
    seconds: BTreeMap<&'static str, Vec<f64>>,
    /// Remarks below the table, by the name of a measurement. That of the last run is enough.
    remarks: BTreeMap<&'static str, String>,
}

impl flags::Bench {
    /// Measures, prints the table, writes the JSON. A missed goal is reported, and is no failure.
    pub fn run(self, cx: &Cx) -> anyhow::Result<()> {
        let chosen = choose(&self.names)?;
        let go = chosen.iter().any(|measurement| measurement.name.starts_with("artifacts-"));
        setup::ensure(cx, &Host::real(), Needs { lab: true, tools: false, go }, cx.yes)?;
        let directory = cx.folders.root.join("build/bench");
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let mut bench = Bench { cx, directory, seconds: BTreeMap::new(), remarks: BTreeMap::new() };

        let image = if chosen.iter().any(|measurement| measurement.machines) {
            eprintln!("building the lab program and the base image, if they are not there");
            bench.timed(|bench| bench.xtask(&["image", "build", "--yes"]))?
        } else {
            0.0
        };

        let mut scenarios: Vec<fn(&mut Bench<'_>) -> anyhow::Result<()>> = Vec::new();
        for measurement in &chosen {
            if !scenarios.iter().any(|known| std::ptr::fn_addr_eq(*known, measurement.scenario)) {
                scenarios.push(measurement.scenario);
            }
        }
        let mut failed = false;
        for run in 1..=self.runs {
            eprintln!("run {run} of {}", self.runs);
            for scenario in &scenarios {
                if let Err(error) = scenario(&mut bench) {
                    eprintln!("error: {error:#}");
                    failed = true;
                }
            }
        }

        // Some 13 GiB.
        cx.sh.remove_path(bench.directory.join("artifacts"))?;
        println!("{}", table(&chosen, &bench.seconds));
        for remark in bench.remarks.values() {
            println!("{remark}");
        }
        if let Some(path) = &self.json {
            let json = json(&chosen, &bench.seconds, computer::describe(cx), image);
            fs::write(path, format!("{json}\n"))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        if failed {
            return Err(Failure { code: CHECKS, message: "a measurement failed".into(), hint: None }.into());
        }
        Ok(())
    }
}

fn choose(names: &[String]) -> anyhow::Result<Vec<&'static Measurement>> {
    let known = || MEASUREMENTS.iter().map(|measurement| measurement.name).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = names.iter().find(|name| !MEASUREMENTS.iter().any(|one| one.name == *name)) {
        let message = format!("there is no measurement `{unknown}`");
        return Err(Failure::usage(message, format!("the measurements are {}", known())).into());
    }
    let chosen = |one: &&Measurement| names.is_empty() || names.iter().any(|name| name == one.name);
    Ok(MEASUREMENTS.iter().filter(chosen).collect())
}

/// The build that a new user waits for before the first word of `cargo xtask`.
fn cold_xtask(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let cx = bench.cx;
    cargo(cx).args(["fetch", "--quiet", "--locked"]).run()?;
    let target = cx.sh.create_temp_dir().context("cannot make a directory for the build")?;
    let seconds = bench.timed(|_| {
        let command = cargo(cx).args(["build", "--quiet", "--offline", "--package", "xtask", "--target-dir"]);
        Ok(command.arg(target.path()).run()?)
    })?;
    bench.record("cold-xtask", seconds);
    Ok(())
}

/// The time of the optimised program to render and check a large inventory, and of Ansible to read the same files.
fn lint_5000(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let cx = bench.cx;
    eprintln!("building the optimised lab program, if it is not there");
    cargo(cx).args(["build", "--quiet", "--release", "--package", "lab"]).run()?;
    let program = release_directory()?.join("lab");
    let folder = bench.directory.join("lint-5000");
    let output =
        cx.sh.cmd(program).args(["internal", "measure-check"]).arg(&folder).arg("5000").quiet().read()?;
    let ours = milliseconds(&output, "render_read_lint").context("the measurement printed no time")? / 1000.0;
    bench.record("lint-5000", ours);

    let ansible = Environment::ansible(&cx.folders).path.join("bin/ansible-inventory");
    let inventory = folder.join("inventory.ini");
    let theirs = bench.timed(|_| {
        let list = cx.sh.cmd(ansible).args(["--list", "--inventory"]).arg(inventory);
        Ok(list.quiet().ignore_stdout().run()?)
    })?;
    let remark = format!(
        "ansible-inventory --list reads the same 5,000 machines in {theirs:.2} s: {:.0} times as long",
        theirs / ours
    );
    bench.remarks.insert("lint-5000", remark);
    Ok(())
}

/// Where cargo puts optimised programs: beside the directory that we lie in.
fn release_directory() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let target = own.parent().and_then(Path::parent).context("this program's own file has no directory")?;
    Ok(target.join("release"))
}

/// A number of the JSON that `lab internal measure-check` prints.
fn milliseconds(json: &str, name: &str) -> Option<f64> {
    let (_, behind) = json.split_once(&format!("\"{name}\":"))?;
    let number: String = behind
        .trim_start()
        .chars()
        .take_while(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | '-'))
        .collect();
    number.parse().ok()
}

fn one_machine(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    const FILE: &str = "\
apiVersion: lab/v1alpha1
kind: Cluster
name: bench-one
network:
  subnet: 192.168.200.0/24
machines:
  - name: control-plane
    roles: [control-plane]
    cpus: 2
    memory: 2GiB
";
    let file = bench.cluster("bench-one", FILE)?;
    bench.xtask(&["lab", "destroy", &file, "--yes"])?;
    let up = bench.up(&file);
    // Destroyed after a failure too: nothing of a measurement is left behind.
    let destroyed = bench.xtask(&["lab", "destroy", &file, "--yes"]);
    bench.record("one-machine", up?.login);
    destroyed
}

fn four_machines(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let file = bench.like("dev", "bench-four")?;
    bench.xtask(&["lab", "destroy", &file, "--yes"])?;
    let up = bench.up(&file);
    let again = up.is_ok().then(|| bench.timed(|bench| bench.xtask(&["lab", "up", &file, "--yes"])));
    let destroyed = bench.timed(|bench| bench.xtask(&["lab", "destroy", &file, "--yes"]));
    let up = up?;
    bench.record("four-machines", up.login);
    bench.record("four-ansible", up.whole);
    if let Some(again) = again {
        bench.record("no-op-up", again?);
    }
    bench.record("destroy", destroyed?);
    Ok(())
}

fn quick(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let file = bench.like("quick", "bench-quick")?;
    bench.xtask(&["lab", "destroy", &file, "--yes"])?;
    let up = bench.up(&file);
    let destroyed = bench.timed(|bench| bench.xtask(&["lab", "destroy", &file, "--yes"]));
    bench.record("quick-up", up?.login);
    bench.record("quick-destroy", destroyed?);
    Ok(())
}

/// Calls that are repeated often, and should cost nothing then.
fn nothing_to_do(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let calls = [
        ("kubespray-no-op", ["kubespray", "fetch", "--cluster", "quick"].as_slice()),
        ("artifacts-list", &["artifacts", "list", "quick", "--yes"]),
    ];
    for (name, words) in calls {
        bench.xtask(words)?;
        let seconds = bench.timed(|bench| bench.xtask(words))?;
        bench.record(name, seconds);
    }
    Ok(())
}

/// Builds in a place of its own, so that neither the store nor the caches of the checkout help or are touched.
fn artifacts(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let cx = bench.cx;
    let place = bench.directory.join("artifacts");
    let lock = cx.folders.root.join("output/quick/inventory/artifacts.lock.json");
    bench.xtask(&["kubespray", "fetch", "--cluster", "quick"])?;
    // `artifacts list` first resolves the artefacts of the cluster.
    bench.xtask(&["artifacts", "list", "quick", "--yes"])?;
    let binary = cargo::build_lab(cx)?;
    let build = |_: &Bench<'_>| {
        let words = ["artifacts", "build", "--lock"].map(OsString::from).into_iter();
        let words: Vec<OsString> = words.chain([lock.clone().into_os_string()]).collect();
        let mut command = handover::command(cx, &Host::real(), binary.as_os_str(), &words);
        let status = command.env(CACHE_VARIABLE, &place).stdout(Stdio::null()).status()?;
        anyhow::ensure!(status.success(), "`artifacts build` failed with {status}");
        Ok(())
    };
    // A quarter of an hour of every processor: once says enough.
    if !bench.seconds.contains_key("artifacts-cold") {
        cx.sh.remove_path(&place)?;
        fs::create_dir_all(&place)?;
        let seconds = bench.timed(build)?;
        bench.record("artifacts-cold", seconds);
    }
    let seconds = bench.timed(build)?;
    bench.record("artifacts-no-op", seconds);
    Ok(())
}

impl Bench<'_> {
    /// Writes a cluster file and gives its path.
    fn cluster(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let folder = self.directory.join(name);
        let file = folder.join("cluster.yaml");
        fs::create_dir_all(&folder)?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file.to_string_lossy().into_owned())
    }

    /// The cluster of an inventory of ours under another name.
    fn like(&self, inventory: &str, name: &str) -> anyhow::Result<String> {
        let file = self.cx.folders.root.join(format!("inventories/{inventory}/cluster.yaml"));
        let text = fs::read_to_string(file).with_context(|| format!("cannot read `{inventory}`"))?;
        self.cluster(name, &text.replace(&format!("\nname: {inventory}\n"), &format!("\nname: {name}\n")))
    }

    /// `cargo xtask …`, with everything that costs a user: cargo's own look at the sources too.
    fn xtask(&self, words: &[&str]) -> anyhow::Result<()> {
        Ok(cargo(self.cx).arg("xtask").args(words).ignore_stdout().run()?)
    }

    /// `cargo xtask lab up`, timed to the last machine that was logged in to, and to its end. The events that it
    /// prints report each login; the time is read from our own clock.
    fn up(&self, file: &str) -> anyhow::Result<Up> {
        let start = Instant::now();
        let words = ["xtask", "lab", "up", file, "--yes", "--json"];
        let mut child = Command::from(cargo(self.cx).args(words)).stdout(Stdio::piped()).spawn()?;
        let mut login = None;
        for line in BufReader::new(child.stdout.take().context("no events")?).lines() {
            if line?.contains(REACHED) {
                login = Some(start.elapsed().as_secs_f64());
            }
        }
        let status = child.wait()?;
        anyhow::ensure!(status.success(), "`cargo xtask lab up` failed with {status}");
        let login = login.context("no machine was reached")?;
        Ok(Up { login, whole: start.elapsed().as_secs_f64() })
    }

    fn timed(&self, work: impl FnOnce(&Self) -> anyhow::Result<()>) -> anyhow::Result<f64> {
        let start = Instant::now();
        work(self)?;
        Ok(start.elapsed().as_secs_f64())
    }

    fn record(&mut self, name: &'static str, seconds: f64) {
        self.seconds.entry(name).or_default().push(seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_finds_time_by_name() {
        let output = "{\n  \"milliseconds\": {\n    \"lint\": 4.5,\n    \"render_read_lint\": 171.25\n  }\n}";
        assert_eq!(milliseconds(output, "render_read_lint"), Some(171.25));
        assert_eq!(milliseconds(output, "lint"), Some(4.5));
        assert_eq!(milliseconds(output, "gone"), None);
    }

    #[test]
    fn choose_lists_known_names_for_unknown_one() {
        let error = choose(&["one".into()]).unwrap_err();
        let hint = error.downcast_ref::<Failure>().unwrap().hint.clone().unwrap();
        assert!(hint.contains("one-machine"), "{hint}");
    }

    #[test]
    fn labs_of_measurements_are_not_the_users_own() {
        let dev = include_str!("../../inventories/dev/cluster.yaml");
        assert!(dev.contains("\nname: dev\n"));
        let quick = include_str!("../../inventories/quick/cluster.yaml");
        assert!(quick.contains("\nname: quick\n"));
    }
}
