//! Where the files of what a lab gives to its machines lie. Only paths: nothing here reads or writes.

use std::path::PathBuf;

/// What the embedded host gives to its machines, under `output/<cluster>/served/`.
#[derive(Debug, Clone)]
pub struct ServedFiles {
    /// `output/<cluster>/served`.
    pub folder: PathBuf,
}

impl ServedFiles {
    /// Layouts of links to the store, named by what is in them.
    pub fn trees(&self) -> PathBuf {
        self.folder.join("trees")
    }

    /// A link to the layout that is served.
    pub fn current(&self) -> PathBuf {
        self.folder.join("current")
    }

    /// What is to be served: `up` says so.
    pub fn wanted(&self) -> PathBuf {
        self.folder.join("wanted.json")
    }

    /// What answers: the keeper says so.
    pub fn now(&self) -> PathBuf {
        self.folder.join("now.json")
    }

    /// Held by the living keeper.
    pub fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// The registry's settings.
    pub fn registry_settings(&self) -> PathBuf {
        self.folder.join("registry.yml")
    }

    /// What the file server was asked.
    pub fn files_log(&self) -> PathBuf {
        self.folder.join("files.log")
    }

    /// What the registry says.
    pub fn registry_log(&self) -> PathBuf {
        self.folder.join("registry.log")
    }
}
