//! The shapes that the table of parts is written in.

use serde::{Serialize, Serializer};

use super::userland::{PACKET_FILTER, Userland};

/// Whether something is downloaded as a file or pulled as an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file.
    File,
    /// A container image.
    Image,
}

/// One thing that a lock can name.
#[derive(Debug, Serialize)]
pub struct Part {
    /// The lock's name for it, `kubeadm`. A final `*` stands for any rest.
    pub name: &'static str,
    /// Its name in the lock.
    pub kind: Kind,
    /// The only versions that this line of the table is for, without `v`; every version where empty.
    // It chooses a recipe and is no part of one: the key of a build must not change with it.
    #[serde(skip)]
    pub versions: &'static [&'static str],
    /// Why the product is a stand-in, a program of our own; `None` where it is upstream's program.
    #[serde(skip)]
    pub stand_in: Option<&'static str>,
    /// How it is had.
    pub product: Product,
}

/// How a part is had without its upstream's own build.
#[derive(Debug, Serialize)]
pub enum Product {
    /// A program of a Go module, as a plain file.
    Program {
        /// Where it comes from.
        module: &'static Module,
        /// Its name among the module's programs.
        program: &'static str,
    },
    /// Programs of a Go module in a compressed archive.
    Archive {
        /// Where they come from.
        module: &'static Module,
        /// Its files, as the roles of Kubespray that unpack it expect.
        members: &'static [Member],
    },
    /// A container image around programs of a Go module.
    Image(Image),
    /// A Helm chart that lies in a Go module, packed as `helm package` packs it.
    Chart {
        /// The module.
        module: &'static Module,
        /// Its folder there. The chart's version and application version become the requested version.
        folder: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// A file of a package of Debian, the release that the lab's machines run.
    Debian {
        /// The package.
        package: &'static str,
        /// The file's path in it.
        path: &'static str,
    },
    /// It cannot be built here.
    None {
        /// Why.
        reason: &'static str,
        /// The replacement in a cluster whose artefacts are all built.
        instead: &'static str,
    },
}

/// A program in an archive.
#[derive(Debug, Serialize)]
pub struct Member {
    /// Its path there. `{version}` stands for the version and `{architecture}` for `amd64` or the like.
    pub path: &'static str,
    /// Its name among the module's programs.
    pub program: &'static str,
}

/// A container image.
#[derive(Debug, Serialize)]
pub struct Image {
    /// Where its programs come from.
    pub module: &'static Module,
    /// Its files.
    pub members: &'static [Member],
    /// The command it runs; the arguments of a pod come behind it.
    pub entrypoint: &'static [&'static str],
    /// The user and group it runs as where the pod does not say, as numbers; root where `None`.
    pub user: Option<&'static str>,
    /// What it has below its programs.
    #[serde(serialize_with = "is_some")]
    pub userland: Option<&'static Userland>,
    /// Programs of other modules.
    #[serde(skip_serializing_if = "is_empty")]
    pub others: &'static [(&'static Module, &'static [Member])],
    /// Its files that are no programs.
    #[serde(skip_serializing_if = "is_empty")]
    pub contents: &'static [Content],
    /// Variables of its environment, `NAME=value`.
    #[serde(skip_serializing_if = "is_empty")]
    pub environment: &'static [&'static str],
}

/// Files of an image that no compiler makes.
#[derive(Debug, Serialize)]
pub enum Content {
    /// What lies in the module.
    Module {
        /// Its path there; with a final `/` everything in that folder.
        from: &'static str,
        /// Its path in the image, with a final `/` where `from` has one.
        to: &'static str,
    },
    /// A file of our own where upstream has another one.
    Own {
        /// Its path in the image.
        path: &'static str,
        /// Permission bits.
        mode: u32,
        /// All of it.
        text: &'static str,
    },
}

/// A userland is written as a flag, for keys of builds from when there was only one: the key of a build has all of it.
fn is_some<S: Serializer>(userland: &Option<&'static Userland>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bool(userland.is_some())
}

/// Empty lists are not written, so that a new one changes no key of a build that has none.
fn is_empty<T>(list: &[T]) -> bool {
    list.is_empty()
}

/// Programs that are compiled in one go.
#[derive(Debug, Serialize)]
pub struct Module {
    /// Our name for it, for messages and logs.
    pub name: &'static str,
    /// The module's path, `k8s.io/kubernetes`. For a program of our own: the module it stands on, empty where none.
    pub path: &'static str,
    /// Further modules of the same version.
    pub siblings: &'static [&'static str],
    /// Further modules, `path version`.
    #[serde(skip_serializing_if = "is_empty")]
    pub requires: &'static [&'static str],
    /// Modules that cannot be had in the version that another one requires, and those in their place: `path version` both.
    #[serde(skip_serializing_if = "is_empty")]
    pub replaces: &'static [(&'static str, &'static str)],
    /// The module whose source takes the place of `path`'s, where that cannot be had.
    pub fork: Option<&'static str>,
    /// How the module's version follows from the one that is asked for.
    pub version: ModuleVersion,
    /// Dependencies that cannot be had and that no program needs: only tests use them.
    pub stubs: &'static [Stub],
    /// The source where the program is our own: it is package `.` then.
    pub sources: &'static [Source],
    /// Its programs.
    pub programs: &'static [Program],
    /// Variables of the programs that the linker sets.
    pub stamps: &'static [Stamp],
    /// Flags of the C linker, for programs that are compiled with C; empty for those without.
    #[serde(skip_serializing_if = "is_empty")]
    pub c_linker: &'static [&'static str],
}

/// How a module's version follows from the one that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ModuleVersion {
    /// `1.8.0` is `v1.8.0`.
    Same,
    /// The version of the libraries of the cluster's Kubernetes: for 1.34.3 that is `v0.34.3`.
    Staging,
    /// The version of the cluster's Kubernetes, which the source is part of: the image has a version of its own.
    Kubernetes,
    /// As these pairs say, both without `v`: the requested version, the module's. No other version can be had.
    Listed(&'static [(&'static str, &'static str)]),
    /// There is no module but our own.
    Own,
}

/// A module that takes the place of one that cannot be had.
#[derive(Debug, Serialize)]
pub struct Stub {
    /// The module's path.
    pub path: &'static str,
    /// The version that the requiring module names.
    pub version: &'static str,
    /// Its files.
    pub sources: &'static [Source],
}

/// A file of source text that is part of this program.
#[derive(Debug, Serialize)]
pub struct Source {
    /// Its path below the module.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// A program.
#[derive(Debug, Serialize)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// The Go package that it is compiled from.
    pub package: &'static str,
}

/// A variable that the linker sets.
#[derive(Debug, Serialize)]
pub struct Stamp {
    /// The package of the variable.
    pub package: &'static str,
    /// Its name.
    pub variable: &'static str,
    /// Its value.
    pub value: Stamped,
}

/// The value of a stamp, for version 1.34.3.
#[derive(Debug, Clone, Copy, Serialize)]
pub enum Stamped {
    /// `v1.34.3`.
    Tag,
    /// `1.34.3`.
    Version,
    /// The version of the module, without `v`.
    Module,
    /// `1`.
    Major,
    /// `34`.
    Minor,
    /// Just this.
    Text(&'static str),
}

impl Stamp {
    /// The argument of the linker's `-X` for a version and the module's own one, both without `v`.
    pub fn argument(&self, version: &str, module_version: &str) -> String {
        let number = |index: usize| version.split('.').nth(index).unwrap_or_default().to_owned();
        let value = match self.value {
            Stamped::Tag => format!("v{version}"),
            Stamped::Version => version.to_owned(),
            Stamped::Module => module_version.to_owned(),
            Stamped::Major => number(0),
            Stamped::Minor => number(1),
            Stamped::Text(text) => text.to_owned(),
        };
        format!("{}.{}={value}", self.package, self.variable)
    }
}

impl Member {
    /// The path for a version and an architecture.
    pub fn path(&self, version: &str, architecture: &str) -> String {
        self.path.replace("{version}", version).replace("{architecture}", architecture)
    }
}

impl Module {
    /// The Go package of a program.
    pub fn package(&self, program: &str) -> Option<&'static str> {
        self.programs.iter().find(|one| one.name == program).map(|one| one.package)
    }
}

impl Product {
    /// The module that it comes from.
    pub fn module(&self) -> Option<&'static Module> {
        match self {
            Self::Program { module, .. } | Self::Archive { module, .. } | Self::Chart { module, .. } => {
                Some(module)
            }
            Self::Image(image) => Some(image.module),
            Self::Debian { .. } | Self::None { .. } => None,
        }
    }

    /// The programs that are compiled for it, by module: its own one first, even where it has no programs.
    pub fn programs(&self) -> Vec<(&'static Module, Vec<&'static str>)> {
        let names = |members: &'static [Member]| members.iter().map(|member| member.program).collect();
        match self {
            Self::Program { module, program } => vec![(module, vec![program])],
            Self::Archive { module, members } => vec![(module, names(members))],
            Self::Chart { module, .. } => vec![(module, vec![])],
            Self::Image(image) => {
                let others = image.others.iter().map(|(module, members)| (*module, names(members)));
                [(image.module, names(image.members))].into_iter().chain(others).collect()
            }
            Self::Debian { .. } | Self::None { .. } => vec![],
        }
    }

    /// The packages of Debian that it needs.
    pub fn userland(&self) -> Option<&'static Userland> {
        match self {
            Self::Debian { .. } => Some(&PACKET_FILTER),
            Self::Image(image) => image.userland,
            _ => None,
        }
    }
}
