//! What every command needs: the checkout, a shell that stands in it, and whether the user has
//! already said yes.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use xshell::Shell;

use crate::failure::Failure;

/// Handed to every command as its first argument.
pub struct Cx {
    /// The root of the checkout.
    pub root: PathBuf,
    /// Runs programs; its current directory is `root`.
    pub sh: Shell,
    /// `--yes`: questions are answered with yes.
    pub yes: bool,
}

impl Cx {
    /// Finds the checkout and opens a shell there.
    ///
    /// # Errors
    /// When the program is run outside a checkout.
    pub fn new(yes: bool) -> anyhow::Result<Self> {
        let root = checkout()?;
        let sh = Shell::new().context("cannot find the current directory")?;
        sh.change_dir(&root);
        Ok(Self { root, sh, yes })
    }
}

/// The checkout is looked up when the program runs, never when it is built: a cached binary must not
/// work on another checkout than the one it is called in.
fn checkout() -> anyhow::Result<PathBuf> {
    if let Some(package) = env::var_os("CARGO_MANIFEST_DIR")
        && let Some(root) = Path::new(&package).parent()
        && is_checkout(root)
    {
        return Ok(root.to_owned());
    }
    let here = env::current_dir().context("cannot find the current directory")?;
    let root = here.ancestors().find(|path| is_checkout(path));
    let root = root.ok_or_else(|| Failure::usage("this is not a checkout of the project", "cd into one"))?;
    Ok(root.to_owned())
}

fn is_checkout(path: &Path) -> bool {
    path.join("xtask/Cargo.toml").is_file() && path.join("lab/Cargo.toml").is_file()
}
