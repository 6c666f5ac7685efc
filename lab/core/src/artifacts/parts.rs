//! The shapes that the table of parts is written in.

use serde::Serialize;

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
    /// Whether it has Debian's packet filter tools with their libraries: [`super::DEBIAN_USERLAND`].
    pub userland: bool,
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
    /// `1`.
    Major,
    /// `34`.
    Minor,
    /// Just this.
    Text(&'static str),
}

impl Stamp {
    /// The argument of the linker's `-X` for a version without `v`.
    pub fn argument(&self, version: &str) -> String {
        let number = |index: usize| version.split('.').nth(index).unwrap_or_default().to_owned();
        let value = match self.value {
            Stamped::Tag => format!("v{version}"),
            Stamped::Version => version.to_owned(),
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
    /// The module and the programs of it that this product needs.
    pub fn programs(&self) -> Option<(&'static Module, Vec<&'static str>)> {
        let of = |members: &'static [Member]| members.iter().map(|member| member.program).collect();
        match self {
            Self::Program { module, program } => Some((module, vec![program])),
            Self::Archive { module, members } => Some((module, of(members))),
            Self::Image(image) => Some((image.module, of(image.members))),
            Self::Debian { .. } | Self::None { .. } => None,
        }
    }

    /// Whether it needs packages of Debian.
    pub fn needs_debian(&self) -> bool {
        matches!(self, Self::Debian { .. } | Self::Image(Image { userland: true, .. }))
    }
}
