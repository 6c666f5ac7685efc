//! Compiles the programs of one module: writes its `go.mod`, has what it needs downloaded and checked, compiles.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use lab_core::artifacts::{Module, ModuleVersion, Source, Stamp, Upstream, go_mod};
use serde::Deserialize;

use crate::cx::Cx;
use crate::files;
use crate::process::{Invocation, ProcessError};
use crate::wait::Deadline;

use super::explain;
use super::toolchain::Toolchain;

/// How much memory a linker of Kubernetes takes at most.
const LINKER: u64 = 2 << 30;

/// Programs that are compiled in one go.
#[derive(Debug)]
pub struct Unit {
    /// Their module.
    pub module: &'static Module,
    /// The version asked for, without `v`: what the programs say of themselves.
    pub version: String,
    /// The module's version, without `v`.
    pub module_version: String,
    /// Their names.
    pub programs: BTreeSet<&'static str>,
    /// `amd64`.
    pub architecture: String,
}

/// Where a unit is compiled.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its folder.
    pub folder: PathBuf,
    /// What Go says.
    pub log: PathBuf,
    /// Held by this program, and by every Go that it starts: no other process works in the folder.
    pub lock: Arc<std::fs::File>,
}

/// A unit that was compiled.
#[derive(Debug)]
pub struct Compiled<'a> {
    /// What was compiled.
    pub unit: &'a Unit,
    /// Where its programs lie.
    pub place: Place,
    /// Where its module lies; `None` for a program of our own that stands on none.
    pub source: Option<PathBuf>,
}

impl Compiled<'_> {
    /// Where a compiled program lies.
    pub fn program(&self, name: &str) -> PathBuf {
        let package = self.unit.module.package(name).unwrap_or(name);
        let built = if package == "." { self.unit.module.name } else { built_name(package) };
        programs_folder(&self.place).join(built)
    }
}

impl Place {
    /// A folder below this one, for another unit of the same batch.
    pub fn below(&self, name: &str) -> Self {
        Self { folder: self.folder.join(name), ..self.clone() }
    }
}

impl Unit {
    /// `kubernetes 1.34.3`.
    pub fn title(&self) -> String {
        format!("{} {}", self.module.name, self.version)
    }

    fn packages(&self) -> impl Iterator<Item = &'static str> {
        self.programs.iter().filter_map(|program| self.module.package(program))
    }

    /// Writes everything that Go reads, and downloads every module that is needed. Returns where its own module lies.
    ///
    /// # Errors
    /// When a module cannot be had, or the Go is too old for it.
    pub async fn prepare(
        &self,
        cx: &Cx,
        go: &Toolchain,
        place: &Place,
        deadline: Deadline,
    ) -> anyhow::Result<Option<PathBuf>> {
        files::make_folder(&place.folder)?;
        let (upstream, source) = self.upstream(cx, go, place, deadline).await?;
        if self.programs.is_empty() {
            return Ok(source);
        }
        if let Some(oldest) = &upstream.go {
            go.at_least(oldest, &self.title())?;
        }
        let text = go_mod(self.module, &self.module_version, &upstream);
        files::write_again(&place.folder.join("go.mod"), text.as_bytes(), files::PUBLIC)?;
        write_sources(&place.folder, self.module.sources)?;
        for (index, stub) in self.module.stubs.iter().enumerate() {
            write_sources(&place.folder.join(format!("stub-{index}")), stub.sources)?;
        }
        let list = self.call(go, place).args(["list", "-deps", "-f", ""]).args(self.packages());
        self.run(cx, list, place, deadline).await?;
        Ok(source)
    }

    /// The module's own `go.mod`, and where the module lies.
    async fn upstream(
        &self,
        cx: &Cx,
        go: &Toolchain,
        place: &Place,
        deadline: Deadline,
    ) -> anyhow::Result<(Upstream, Option<PathBuf>)> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Downloaded {
            go_mod: PathBuf,
            dir: PathBuf,
        }

        if self.module.version == ModuleVersion::Own {
            return Ok((Upstream::default(), None));
        }
        let path = self.module.fork.unwrap_or(self.module.path);
        let download = self.call(go, place).args(["mod", "download", "-json"]);
        let stdout =
            self.run(cx, download.arg(format!("{path}@v{}", self.module_version)), place, deadline).await?;
        let context = || format!("Go did not print the expected JSON for the module {path}");
        let downloaded: Downloaded = serde_json::from_str(&stdout).with_context(context)?;
        let edit = self.call(go, place).args(["mod", "edit", "-json"]).arg(&downloaded.go_mod);
        let upstream =
            serde_json::from_str(&self.run(cx, edit, place, deadline).await?).with_context(context)?;
        Ok((upstream, Some(downloaded.dir)))
    }

    /// Compiles what [`Unit::prepare`] prepared. A program that is up to date is left as it is.
    ///
    /// # Errors
    /// When it does not compile.
    pub async fn compile(
        &self,
        cx: &Cx,
        go: &Toolchain,
        place: &Place,
        deadline: Deadline,
    ) -> anyhow::Result<()> {
        let flags = self.linker_flags();
        let out = programs_folder(place);
        files::make_folder(&out)?;
        let build = self
            .call(go, place)
            .args(["build", "-trimpath", "-buildvcs=false", "-p", &parallel().to_string()])
            .args(["-ldflags", &flags, "-o"])
            .arg(format!("{}/", out.display()))
            .args(self.packages());
        self.run(cx, build, place, deadline).await?;
        Ok(())
    }

    fn linker_flags(&self) -> String {
        let argument = |stamp: &Stamp| format!(" -X {}", stamp.argument(&self.version, &self.module_version));
        let mut flags = format!("-s -w{}", self.module.stamps.iter().map(argument).collect::<String>());
        if !self.module.c_linker.is_empty() {
            flags += &format!(" '-extldflags={}'", self.module.c_linker.join(" "));
        }
        flags
    }

    fn call(&self, go: &Toolchain, place: &Place) -> Invocation {
        let with_c = !self.module.c_linker.is_empty();
        go.call(&self.architecture, with_c)
            .directory(&place.folder)
            // What an interrupted Go leaves is in the folder, and goes with it.
            .env("GOTMPDIR", &place.folder)
            .log(&place.log)
            .holding(&place.lock)
    }

    async fn run(
        &self,
        cx: &Cx,
        call: Invocation,
        place: &Place,
        deadline: Deadline,
    ) -> anyhow::Result<String> {
        let output = call.output(&cx.cancel, deadline).await;
        match output {
            Ok(output) if output.status.success() => Ok(output.stdout),
            // Of a module that cannot be had Go says why on standard output.
            Ok(output) => {
                let log_text = format!("{}\n{}", output.stdout, output.stderr);
                Err(explain::refused(&self.title(), &log_text, &place.log))
            }
            Err(error @ ProcessError::Late { .. }) => {
                let what = format!("compiling {} took longer than is ever needed", self.title());
                Err(anyhow::Error::new(error).context(explain::failure(&what, &place.log)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn programs_folder(place: &Place) -> PathBuf {
    place.folder.join("out")
}

fn write_sources(folder: &Path, sources: &[Source]) -> anyhow::Result<()> {
    for Source { path, text } in sources {
        files::write_again(&folder.join(path), text.as_bytes(), files::PUBLIC)?;
    }
    Ok(())
}

/// What Go calls the program of a package: the last part of its path that is no version.
fn built_name(package: &str) -> &str {
    let is_version = |part: &&str| {
        part.strip_prefix('v').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    package.rsplit('/').find(|part| !is_version(part)).unwrap_or(package)
}

/// How many compilers or linkers run at once: one a processor, where there is memory for as many linkers.
fn parallel() -> u64 {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    processors.min(available.map_or(processors, |kib| (kib << 10) / LINKER)).max(1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("go.etcd.io/etcd/server/v3", "server")]
    #[case("k8s.io/kubernetes/cmd/kubelet", "kubelet")]
    #[case("github.com/coredns/coredns", "coredns")]
    #[case("github.com/containernetworking/plugins/plugins/main/vlan", "vlan")]
    fn program_name_is_last_part_of_its_package(#[case] package: &str, #[case] name: &str) {
        assert_eq!(built_name(package), name);
    }
}
