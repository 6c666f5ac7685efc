//! Where the files of what a lab gives to its machines lie. Only paths: nothing here reads or writes.

use std::path::PathBuf;

/// What the embedded host gives to its machines, under `output/<cluster>/served/`.
#[derive(Debug, Clone)]
pub struct ServedFiles {
    /// `output/<cluster>/served`.
    pub folder: PathBuf,
}

impl ServedFiles {
    paths! {
        /// Layouts of links to the store, named by a digest of their contents.
        trees: "trees";
        /// A link to the layout that is served.
        current: "current";
        /// The servers to run, as `up` requests them.
        wanted: "wanted.json";
        /// What answers: the keeper says so.
        now: "now.json";
        /// Held by the living keeper.
        lock: "lock";
        /// The registry's settings.
        registry_settings: "registry.yml";
        /// What the file server was asked.
        files_log: "files.log";
        /// What the registry says.
        registry_log: "registry.log";
    }
}
