//! Where files lie: the checkout, and the cache that all checkouts of a user share. Only paths.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Names another cache.
pub const CACHE_VARIABLE: &str = "LAB_CACHE";

/// The two folders that everything lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// The root of the checkout.
    pub root: PathBuf,
    /// The cache that all checkouts of this user share, and can do without: images, artefacts, environments.
    pub cache: PathBuf,
}

impl Folders {
    /// Those of a checkout, with the cache that the environment names.
    ///
    /// # Errors
    /// When the environment names no absolute folder, or one of another user.
    pub fn of(root: PathBuf) -> anyhow::Result<Self> {
        let cache = cache(&root, |name| env::var_os(name))?;
        let own = Path::new("/proc/self").metadata().map(|metadata| metadata.uid());
        if let Some(message) = own.ok().and_then(|own| lab_cache::refusal(&cache, own)) {
            return Err(Failure::usage(message, lab_cache::HINT).into());
        }
        Ok(Self { root, cache })
    }

    /// Environments of Python packages, and what setup unpacks.
    pub fn environments(&self) -> PathBuf {
        self.cache.join("environments")
    }

    /// Base images.
    pub fn images(&self) -> PathBuf {
        self.cache.join("images")
    }
}

/// `$LAB_CACHE`, else `lab` in the folder that the XDG Base Directory Specification gives to caches, which ignores a
/// relative one.
fn cache(root: &Path, variable: impl Fn(&str) -> Option<OsString>) -> anyhow::Result<PathBuf> {
    let folder = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = folder(CACHE_VARIABLE) {
        if !named.is_absolute() {
            let message = format!("{CACHE_VARIABLE} names `{}`, which is no absolute path", named.display());
            return Err(Failure::usage(message, "name a folder from `/` on, or unset it").into());
        }
        return Ok(named);
    }
    let is_absolute = |path: &PathBuf| path.is_absolute();
    let caches = folder("XDG_CACHE_HOME")
        .filter(is_absolute)
        .or_else(|| folder("HOME").filter(is_absolute).map(|home| home.join(".cache")));
    // A service may have no home: then each checkout has a cache of its own.
    Ok(caches.map_or_else(|| root.join("build/cache"), |caches| caches.join("lab")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<String, String> {
        let find =
            |name: &str| variables.iter().find(|(found, _)| *found == name).map(|(_, value)| value.into());
        cache(Path::new("/checkout"), find)
            .map(|path| path.display().to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn cache_is_where_the_user_keeps_caches_unless_another_is_named() {
        let home = ("HOME", "/home/alice");
        assert_eq!(of(&[home]).unwrap(), "/home/alice/.cache/lab");
        assert_eq!(of(&[home, ("XDG_CACHE_HOME", "/caches")]).unwrap(), "/caches/lab");
        assert_eq!(of(&[home, ("XDG_CACHE_HOME", "caches")]).unwrap(), "/home/alice/.cache/lab");
        assert_eq!(of(&[home, (CACHE_VARIABLE, "")]).unwrap(), "/home/alice/.cache/lab");
        assert_eq!(of(&[home, (CACHE_VARIABLE, "/mnt/lab")]).unwrap(), "/mnt/lab");
        assert!(of(&[home, (CACHE_VARIABLE, "mine")]).unwrap_err().contains("`mine`"));
        assert_eq!(of(&[]).unwrap(), "/checkout/build/cache");
    }
}
