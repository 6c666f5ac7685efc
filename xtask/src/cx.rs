//! The context of every command: the checkout, a shell that stands in it, and whether the user has
//! already said yes.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Context as _;
use xshell::Shell;

use crate::failure::Failure;
use crate::folders::Folders;

/// Handed to every command as its first argument.
pub struct Cx {
    /// The checkout and the cache.
    pub folders: Folders,
    /// Runs programs; its current directory is the root of the checkout.
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
        let folders = Folders::of(checkout()?)?;
        let sh = Shell::new().context("cannot find the current directory")?;
        sh.change_dir(&folders.root);
        Ok(Self { folders, sh, yes })
    }

    /// The same with an empty cache below `build/`, which goes when the second value is dropped.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn cold(&self) -> anyhow::Result<(Self, ColdCache)> {
        let build = self.folders.root.join("build");
        fs::create_dir_all(&build).context("cannot make the folder build")?;
        // Leftovers of killed commands.
        for entry in fs::read_dir(&build).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let process = name.strip_prefix("cold-").and_then(|pid| pid.parse::<u32>().ok());
            if process.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                fs::remove_dir_all(entry.path()).with_context(|| format!("cannot remove build/{name}"))?;
            }
        }
        let cache = build.join(format!("cold-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&cache).context("cannot make the cold cache")?;
        let held = ColdCache(cache.clone());
        let sh = Shell::new().context("cannot find the current directory")?;
        sh.change_dir(&self.folders.root);
        let folders = Folders { root: self.folders.root.clone(), cache };
        Ok((Self { folders, sh, yes: self.yes }, held))
    }
}

/// Removes the folder of a cold cache when it is dropped.
pub struct ColdCache(PathBuf);

impl Drop for ColdCache {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warning: cannot remove {}: {error}", self.0.display());
        }
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
