//! The folders of labs, and the cache, that only their owner enters. Closes those that an older version made for everybody;
//! makes none, and decides nothing about what lies in them.

use std::path::PathBuf;

use crate::files;
use crate::layout::Layout;

/// Closes every private folder that other users of the computer can enter. Returns one sentence for each that was open,
/// or that cannot be closed: the command that was asked for goes on.
pub fn close_open_folders(layout: &Layout) -> Vec<String> {
    let labs = files::names(&layout.output()).unwrap_or_default();
    let labs = labs.iter().map(|name| layout.output().join(name)).filter(|path| path.is_dir());
    let folders: Vec<PathBuf> = layout.private().into_iter().chain(labs).collect();
    folders.iter().filter_map(|folder| close(layout, folder)).collect()
}

fn close(layout: &Layout, folder: &std::path::Path) -> Option<String> {
    let shown = layout.shown(folder);
    match files::close_to_others(folder) {
        Ok(false) => None,
        Ok(true) => {
            Some(format!("note: `{shown}` was open to other users of this computer; now it is closed"))
        }
        Err(error) => Some(format!("warning: `{shown}` is open to other users of this computer: {error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn folders_of_an_older_version_are_closed_once_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path(), folder.path().join("cache"));
        let open = ["output", "output/a", "output/snapshots", "cache"];
        for name in open {
            fs::create_dir_all(folder.path().join(name)).unwrap();
            fs::set_permissions(folder.path().join(name), Permissions::from_mode(0o755)).unwrap();
        }
        let notes = close_open_folders(&layout).join("\n");
        for name in open {
            assert!(notes.contains(&format!("`{name}` was open")), "{notes}");
            let mode = folder.path().join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o700, "{name}");
        }
        assert_eq!(close_open_folders(&layout), Vec::<String>::new());
        assert!(!folder.path().join("cache/artifacts").exists(), "nothing is made");
    }
}
