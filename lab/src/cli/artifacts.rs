//! The arguments of `artifacts`, and which room each goes to. Decides nothing.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lab_core::artifacts::lock::Lock;

use crate::ansible::needs;
use crate::artifacts::list::{self, shown};
use crate::artifacts::store::Store;
use crate::artifacts::{build, bundle, fetch, gc, lock, verify};
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::lab::Lab;
use crate::output;

/// Artefacts: every file and container image that a deploy needs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fetch what a cluster needs and the store lacks, from upstream or from the mirrors of its file
    #[command(after_help = "After an interruption the next call goes on from there.\n\n\
                      Examples:\n  cargo xtask artifacts fetch quick\n  \
                      cargo xtask artifacts fetch --lock artifacts.lock.json")]
    Fetch {
        #[command(flatten)]
        of: Of,
        /// Fetch the exact thing too where there is an own build of it
        #[arg(long)]
        exact: bool,
        /// Print the fetched artefacts as JSON
        #[arg(long)]
        json: bool,
    },
    /// Compile missing artefacts from their Go modules, and take the rest from Debian's packages
    #[command(
        after_help = "Needs Go; `cargo xtask setup` installs one. After an interruption the next call goes on from there.\n\n\
                      Examples:\n  cargo xtask artifacts build quick\n  \
                      cargo xtask artifacts build --lock artifacts.lock.json --json"
    )]
    Build {
        #[command(flatten)]
        of: Of,
        /// Print what became of each as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a cluster needs: version, source, digest, size, state
    #[command(after_help = "Example: cargo xtask artifacts list quick --json")]
    List {
        #[command(flatten)]
        of: Of,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Read every byte again, and set aside blobs that do not match their digest
    #[command(after_help = "Exit codes: 0 all is right, 30 something was not.\n\n\
                      Examples:\n  cargo xtask artifacts verify\n  cargo xtask artifacts verify quick")]
    Verify {
        /// Only what this cluster needs: a name under inventories/, or a path
        cluster: Option<String>,
        /// Only what this lock names
        #[arg(long, value_name = "FILE", conflicts_with = "cluster")]
        lock: Option<PathBuf>,
        /// Print the findings as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write everything that a cluster needs to one file, for a site that nothing else reaches
    #[command(after_help = "Example: cargo xtask artifacts export quick --output quick.tar")]
    Export {
        #[command(flatten)]
        of: Of,
        /// The file
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Write what there is where something is missing
        #[arg(long)]
        incomplete: bool,
        /// Print the counts of the bundle as JSON
        #[arg(long)]
        json: bool,
    },
    /// Read such a file into the store; every digest is checked
    #[command(after_help = "Example: cargo xtask artifacts import quick.tar")]
    Import {
        /// What `export` wrote
        #[arg(value_name = "FILE")]
        bundle: PathBuf,
        /// Print the counts of the bundle as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what no known cluster needs and what interrupted commands left, and remove it on request
    #[command(after_help = "Examples:\n  cargo xtask artifacts gc\n  cargo xtask artifacts gc --remove")]
    Gc {
        /// Remove it
        #[arg(long)]
        remove: bool,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Whose artefacts.
#[derive(Debug, Args)]
pub struct Of {
    /// A name under inventories/, or the path of a cluster file
    #[arg(default_value = "dev")]
    pub cluster: String,
    /// What this lock names, instead of what a cluster needs
    #[arg(long, value_name = "FILE", conflicts_with = "cluster")]
    pub lock: Option<PathBuf>,
}

impl Of {
    /// The lock, and the name of the cluster that it belongs to. A command that `fetches` anyway fetches the Kubespray
    /// that the lock needs.
    async fn read(&self, cx: &Cx, fetches: bool) -> anyhow::Result<(Option<String>, Lock)> {
        match &self.lock {
            Some(path) => Ok((None, lock::read(path)?)),
            None => {
                let lab = Lab::open(cx, &self.cluster)?;
                Ok((Some(lab.spec.name.clone()), needs::of_cluster(cx, &lab, fetches).await?))
            }
        }
    }
}

/// Runs a command. Returns the exit code where the command has one of its own.
///
/// # Errors
/// Those of the command.
#[expect(clippy::too_many_lines, reason = "one branch a command")]
pub async fn run(cx: &Cx, command: Command) -> anyhow::Result<u8> {
    let store = Store::open(&cx.layout);
    match command {
        Command::Fetch { of, exact, json } => {
            let (_, lock) = of.read(cx, true).await?;
            let fetched = fetch::fetch(cx, &store, &lock, exact).await?;
            if json {
                output::json(&fetched)?;
            } else {
                output::line(format_args!(
                    "{} artefacts: {} fetched ({}), {} were here, {} of them own builds",
                    fetched.needed,
                    fetched.fetched,
                    shown(fetched.bytes),
                    fetched.present,
                    fetched.own_builds
                ))?;
            }
        }
        Command::Build { of, json } => {
            let (_, lock) = of.read(cx, true).await?;
            let outcomes = build::build(cx, &lock).await?;
            if json {
                output::json(&outcomes)?;
            } else {
                output::print(build::summary(&outcomes))?;
            }
        }
        Command::List { of, json } => {
            let (cluster, lock) = of.read(cx, false).await?;
            let list = list::look(&store, cluster.as_deref(), &lock)?;
            if json {
                output::json(&list)?;
            } else {
                output::print(list.text())?;
            }
        }
        Command::Verify { cluster, lock, json } => {
            let of = match (cluster, lock) {
                (None, None) => None,
                (cluster, lock) => {
                    Some(Of { cluster: cluster.unwrap_or_default(), lock }.read(cx, false).await?.1)
                }
            };
            let verified = verify::verify(cx, &store, of.as_ref()).await?;
            if json {
                output::json(&verified)?;
            } else {
                for one in &verified.corrupt {
                    let of = if one.of.is_empty() { "nothing known".to_owned() } else { one.of.join(", ") };
                    output::line(format_args!(
                        "CORRUPT {} of {of}: its bytes are {}",
                        one.digest, one.found
                    ))?;
                }
                output::line(format_args!("{} blobs, {}", verified.blobs, shown(verified.bytes)))?;
            }
            let count = verified.corrupt.len();
            if count > 0 {
                let blobs = if count == 1 { "blob has" } else { "blobs have" };
                let message = format!("{count} {blobs} other bytes than the digest says, and were set aside");
                let hint = "`cargo xtask artifacts fetch` or `build` replaces them";
                return Err(Failure::new(FailureKind::Checks, message).hint(hint).into());
            }
        }
        Command::Export { of, output: path, incomplete, json } => {
            let (_, lock) = of.read(cx, false).await?;
            let moved = bundle::export(cx, &store, &lock, &path, incomplete).await?;
            print_moved(&moved, "written", json)?;
        }
        Command::Import { bundle, json } => {
            print_moved(&bundle::import(cx, &store, &bundle).await?, "read", json)?
        }
        Command::Gc { remove, json } => {
            let unused = gc::collect(cx, &store, remove)?;
            if json {
                output::json(&unused)?;
            } else {
                for name in &unused.artifacts {
                    output::line(format_args!("{} {name}", if remove { "removed" } else { "unused" }))?;
                }
                let kept = if unused.kept_for.is_empty() {
                    "no cluster".to_owned()
                } else {
                    unused.kept_for.join(", ")
                };
                output::line(format_args!(
                    "{} blobs, {}, {}; the rest is for {kept}",
                    unused.blobs,
                    shown(unused.bytes),
                    if remove { "removed" } else { "could go: --remove removes them" }
                ))?;
            }
        }
    }
    Ok(0)
}

fn print_moved(moved: &bundle::Moved, done: &str, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(moved);
    }
    for name in &moved.lacking {
        output::line(format_args!("lacking {name}"))?;
    }
    output::line(format_args!(
        "{} files and {} images: {} blobs {done}, {}",
        moved.files,
        moved.images,
        moved.blobs,
        shown(moved.bytes)
    ))
}
