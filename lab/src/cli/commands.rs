//! One function a command: opens the lab, calls the room that does the work, prints data on standard output.

use std::time::{Duration, SystemTime};

use lab_core::secrets;
use lab_core::spec::ImageSpec;

use crate::ansible::run::Prints;
use crate::artifacts::lock;
use crate::cluster::{kubeconfig, kubectl};
use crate::cx::Cx;
use crate::deploy::plain;
use crate::failure::FailureKind;
use crate::lab::{Lab, running};
use crate::machines::limits::TooLow;
use crate::machines::{destroy, down, gc, image_use, shell, single, status, topology};
use crate::phases::{E2E, Options, Run, UP, carry_out_all, e2e, up};
use crate::{contents, image, output, proxy, validate};

use super::exit_code;
use super::{Cache, Command, Drawing, Image, Internal, Vm, cloud, gpu_operator, inventory, kubespray};

impl Command {
    /// Whether it only reads and prints, so that it may be ended at any moment. A command that writes anything of a
    /// lab, a store or a checkout, or that makes folders for other programs, is none of these.
    pub fn changes_nothing(&self) -> bool {
        match self {
            Self::Check(_)
            | Self::Status { .. }
            | Self::Topology { .. }
            | Self::Vm(Vm::Status(_))
            | Self::Gc { remove: false, .. }
            | Self::Cloud(cloud::Command::Status { .. })
            | Self::GpuOperator(
                gpu_operator::Command::Status { .. } | gpu_operator::Command::Values { .. },
            )
            | Self::Inventory(inventory::Command::Diff { .. })
            | Self::Kubespray(
                kubespray::Command::Status { .. }
                | kubespray::Command::Index { .. }
                | kubespray::Command::Diff { .. },
            )
            | Self::Image(Image::List { .. } | Image::Verify)
            | Self::Cache(Cache::Show { .. } | Cache::Gc { remove: false, .. }) => true,
            Self::Snapshots { remove, .. } => remove.is_empty(),
            _ => false,
        }
    }
}

/// Runs a command. Returns the exit code where the command has one of its own.
///
/// # Errors
/// Those of the command.
#[expect(clippy::too_many_lines, reason = "one branch a command")]
pub async fn run(cx: &Cx, command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Plan { cluster, json } => up::show_plan(cx, &Lab::open(cx, &cluster.cluster)?, json).await?,
        Command::Up { cluster, fresh, .. } => {
            let options = Options { new_machines: fresh, ..of_up() };
            carry_out_all(&Run::of(cx, &cluster.cluster, options), UP).await?;
        }
        Command::Down { cluster, .. } => down::down(cx, &Lab::open(cx, &cluster.cluster)?).await?,
        Command::Destroy { cluster, .. } => {
            let (name, files) = destroy::find(cx, &cluster.cluster)?;
            destroy::destroy(cx, &name, &files).await?;
        }
        Command::Status { cluster, json } => {
            let lab = Lab::open(cx, &cluster.cluster)?;
            let status = status::look(cx, &lab).await?;
            if json {
                output::json(&status)?;
            } else {
                output::print(status::table(&status))?;
            }
        }
        Command::Ssh { machine, of, words } => {
            return shell::ssh(cx, &Lab::open(cx, &of.cluster)?, &machine, &words)
                .await
                .map(exit_code::of_status);
        }
        Command::Exec { machines, all, of, json, words } => {
            let lab = Lab::open(cx, &of.cluster)?;
            return shell::exec(cx, &lab, (!all).then_some(machines), &words, json).await;
        }
        Command::GpuFault(arguments) => super::gpu::run(cx, arguments).await?,
        Command::Console { machine, of } => {
            return shell::console(cx, &Lab::open(cx, &of.cluster)?, &machine)
                .await
                .map(exit_code::of_status);
        }
        Command::Logs { machine, follow, of, files, registry, .. } => {
            let lab = Lab::open(cx, &of.cluster)?;
            let path = match machine {
                Some(machine) => lab.files.machine(&lab.machine(&machine)?.name).console(),
                None if files => lab.files.served().files_log(),
                None if registry => lab.files.served().registry_log(),
                None => lab.files.host().log(),
            };
            shell::logs(cx, &path, follow).await?;
        }
        Command::Topology { cluster, format } => {
            let lab = Lab::open(cx, &cluster.cluster)?;
            let status = status::look(cx, &lab).await?;
            match format {
                Drawing::Tree => output::print(topology::tree(&lab.spec, &status))?,
                Drawing::Mermaid => output::print(topology::mermaid(&lab.spec, &status))?,
                Drawing::Json => {
                    let mut both = serde_json::json!({ "spec": &*lab.spec, "status": status });
                    secrets::hide(&mut both);
                    output::json(&both)?;
                }
            }
        }
        Command::Proxy { forwards, of } => proxy(cx, &Lab::open(cx, &of.cluster)?, &forwards).await?,
        Command::Enter { of, words } => {
            return shell::enter(cx, &Lab::open(cx, &of.cluster)?, &words).await.map(exit_code::of_status);
        }
        Command::Gc { uri, remove } => {
            let found = gc::find(cx, uri.as_deref()).await?;
            for leftover in &found {
                output::line(leftover)?;
            }
            if remove {
                gc::remove(cx, found).await?;
            } else if !found.is_empty() {
                return Ok(exit_code::of(FailureKind::Leftovers));
            }
        }
        Command::Snapshot { cluster, name } => {
            super::snapshot::take(cx, &Lab::open(cx, &cluster.cluster)?, name).await?;
        }
        Command::Restore { cluster, name } => {
            super::snapshot::restore(cx, &Lab::open(cx, &cluster)?, name).await?;
        }
        Command::Snapshots { cluster, verify, remove, json } => {
            let lab = Lab::open(cx, &cluster.cluster)?;
            return super::snapshot::list(cx, &lab, verify, &remove, json).await;
        }
        Command::Cloud(command) => {
            return super::cloud::run(cx, command).await;
        }
        Command::Deploy(arguments) => super::deploy::run(cx, arguments).await?,
        Command::GpuOperator(command) => return super::gpu_operator::run(cx, command).await,
        Command::Validate { cluster, checks, patience, json } => {
            let lab = Lab::open(cx, &cluster.cluster)?;
            let patience = patience.map(Duration::from_secs);
            validate::run(cx, &lab, &running(cx, &lab).await?, &checks, patience, json).await?;
        }
        Command::EndToEnd { cluster, keep, json, limits, range } => {
            let range = range.of(E2E)?;
            let lab = match cluster {
                Some(cluster) => Lab::open(cx, &cluster)?,
                None => e2e::default(cx).await?,
            };
            let prints = if json { Prints::Nothing } else { Prints::Tables };
            let options = e2e::options(Options::new(prints, limits.too_low()));
            e2e::run(cx, &lab, options, &range, keep, json).await?;
        }
        Command::Kubectl { of, words } => {
            let lab = Lab::open(cx, &of.cluster)?;
            return kubectl::run(cx, &lab, &running(cx, &lab).await?, &words).await.map(exit_code::of_status);
        }
        Command::Kubeconfig { cluster, merge } => {
            let lab = Lab::open(cx, &cluster.cluster)?;
            let merge = merge.map(|file| file.map_or_else(kubeconfig::of_user, Ok)).transpose()?;
            kubeconfig::show(cx, &lab, &running(cx, &lab).await?, merge).await?;
        }
        Command::Vm(vm) => return one_machine(cx, vm).await,
        Command::Check(arguments) => return super::check::run(cx, arguments).await,
        Command::Kubespray(command) => return super::kubespray::run(cx, command).await,
        Command::Inventory(command) => return super::inventory::run(cx, command).await,
        Command::Artifacts(command) => return super::artifacts::run(cx, command).await,
        Command::Image(image) => return images(cx, image).await,
        Command::Cache(command) => {
            cx.clone()
                .blocking({
                    let cx = cx.clone();
                    move || shared(&cx, &command)
                })
                .await?
        }
        Command::Internal(Internal::Validate { patience, times, starting, lenient, cluster, checks }) => {
            let patience = Duration::from_secs(patience);
            let site = validate::Site::open(&Lab::open(cx, &cluster)?, patience, times, lenient).await?;
            validate::run_here(site, &checks, starting).await?;
        }
        Command::Internal(Internal::DeployPlainly { cluster }) => {
            plain::deploy(cx, &Lab::open(cx, &cluster)?).await?;
        }
        Command::Internal(Internal::LockInputs { cluster }) => {
            output::line(lock::inputs(cx, &Lab::open(cx, &cluster)?)?)?;
        }
        Command::Internal(_) => anyhow::bail!("this part is started without a runtime"),
    }
    Ok(0)
}

async fn proxy(cx: &Cx, lab: &Lab, forwards: &[String]) -> anyhow::Result<()> {
    let mut forwards: Vec<proxy::Forward> =
        forwards.iter().map(|text| proxy::parse(lab, text)).collect::<anyhow::Result<_>>()?;
    let reached = running(cx, lab).await?;
    if forwards.is_empty() {
        forwards.push(kubeconfig::forward(lab)?);
    }
    proxy::serve(cx, &reached, &forwards).await
}

async fn one_machine(cx: &Cx, vm: Vm) -> anyhow::Result<u8> {
    match vm {
        Vm::Start(one) => {
            let lab = Lab::open(cx, &one.of.cluster)?;
            lab.machine(&one.machine)?;
            start_one(cx, &lab, one.machine).await?;
        }
        Vm::Stop(one) => single::stop(cx, &Lab::open(cx, &one.of.cluster)?, &one.machine).await?,
        Vm::Restart(one) => {
            let lab = Lab::open(cx, &one.of.cluster)?;
            single::stop(cx, &lab, &one.machine).await?;
            start_one(cx, &lab, one.machine).await?;
        }
        Vm::Status(one) => {
            let lab = Lab::open(cx, &one.of.cluster)?;
            lab.machine(&one.machine)?;
            let status = status::look(cx, &lab).await?;
            let state = status
                .machines
                .iter()
                .find(|machine| machine.name == one.machine)
                .map_or("absent", |machine| machine.state);
            output::line(state)?;
            return Ok(exit_code::unless(state == "running", FailureKind::Provision));
        }
    }
    Ok(0)
}

/// How machines are made and started by a command that does no more.
fn of_up() -> Options {
    Options { ping: true, ..Options::new(Prints::Nothing, TooLow::Warn) }
}

async fn start_one(cx: &Cx, lab: &Lab, machine: String) -> anyhow::Result<()> {
    let run = Run::of_lab(cx, lab, Options { only: Some(machine), ..of_up() });
    carry_out_all(&run, UP).await
}

async fn images(cx: &Cx, command: Image) -> anyhow::Result<u8> {
    let store = cx.layout.images();
    match command {
        Image::Build => {
            let base = image::ensure(cx, &ImageSpec::Debian13, cx.layout.root()).await?;
            output::line(base.key)?;
        }
        Image::List { json } => {
            let found = image::list(&store)?;
            if json {
                output::json(&found)?;
            } else {
                output::print(image_table(&found))?;
            }
        }
        Image::Verify => {
            let mut wrong = 0;
            for manifest in image::list(&store)? {
                let problems = image::verify(&store, &manifest.key)?;
                output::line(format_args!(
                    "{}  {}",
                    manifest.key,
                    if problems.is_empty() { "as made" } else { "DAMAGED" }
                ))?;
                for problem in &problems {
                    output::line(format_args!("  {problem}"))?;
                }
                wrong += problems.len();
            }
            return Ok(exit_code::unless(wrong == 0, FailureKind::Checks));
        }
        Image::Gc => {
            let mut keep: Vec<String> = image_use::users(cx)?.into_keys().collect();
            keep.push(image::key(&ImageSpec::Debian13)?);
            for removed in image::gc(&store, &keep)? {
                output::line(format_args!("removed {removed}"))?;
            }
        }
    }
    Ok(0)
}

fn shared(cx: &Cx, command: &Cache) -> anyhow::Result<()> {
    let entries = contents::look(cx)?;
    let (remove, days) = match *command {
        Cache::Show { json: true } => return output::json(&entries),
        Cache::Show { json: false } => {
            output::line(format_args!("the cache is `{}`", cx.layout.cache().display()))?;
            return output::print(contents::table(&entries));
        }
        Cache::Gc { remove, days } => (remove, days),
    };
    let mut going = contents::unused(&entries, SystemTime::now(), days);
    let kept = if remove { contents::remove(cx, &going)? } else { Vec::new() };
    going.retain(|entry| !kept.contains(entry));
    let what = if remove { "removed" } else { "could go" };
    for (what, entries) in [(what, &going), ("in use by a command", &kept)] {
        for entry in entries {
            output::line(format_args!("{what}  {}/{}  {} MiB", entry.part, entry.name, entry.bytes >> 20))?;
        }
    }
    if going.is_empty() && kept.is_empty() {
        output::line("nothing can go")?;
    } else if !remove {
        output::line("`cargo xtask cache gc --remove` removes it")?;
    }
    output::line("within the artefacts, `cargo xtask artifacts gc` finds what no cluster needs")
}

fn image_table(found: &[image::Manifest]) -> String {
    let mut text = format!("{:64}  {:>9}  {:>8}  SOURCE\n", "KEY", "SIZE", "SECONDS");
    for manifest in found {
        let mib = manifest.files.values().map(|file| file.size.0).sum::<u64>() >> 20;
        text.push_str(&format!(
            "{:64}  {mib:>5} MiB  {:>8}  {}\n",
            manifest.key, manifest.seconds, manifest.source
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use rstest::rstest;

    use crate::cli::Arguments;

    /// A command that writes must not be ended in the middle of a step by the first signal.
    #[rstest]
    #[case("check dev", true)]
    #[case("check --inventory mine", true)]
    #[case("kubespray index v2.30.0", true)]
    #[case("inventory diff dev", true)]
    #[case("status dev", true)]
    #[case("gc", true)]
    #[case("gc --remove", false)]
    #[case("snapshots quick", true)]
    #[case("snapshots quick --remove one", false)]
    #[case("inventory render dev", false)]
    #[case("inventory check dev", false)]
    #[case("artifacts verify", false)]
    #[case("up dev", false)]
    #[case("destroy dev", false)]
    fn changes_nothing_is_true_only_for_commands_that_read(#[case] words: &str, #[case] expected: bool) {
        let arguments = Arguments::parse_from(std::iter::once("lab").chain(words.split(' ')));
        assert_eq!(arguments.command.changes_nothing(), expected);
    }
}
