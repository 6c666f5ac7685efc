//! The name of a build: the same recipe, versions and compiler give the same name, anything else another one.

use sha2::{Digest as _, Sha256};

use super::parts::{Part, Product};

/// Raised when the code around the recipes changes their output.
const FORMAT: u32 = 1;
/// The same for archives alone.
const ARCHIVE_FORMAT: u32 = 2;

/// The key of one part, 16 hexadecimal digits. `version` is the one asked for, `kubernetes` the cluster's, `compiler`
/// the version of Go. Packages of Debian are not part of it: they move on by themselves, and a build records them.
pub fn key(part: &Part, version: &str, kubernetes: &str, architecture: &str, compiler: &str) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        // The length first, so that no two lists of inputs read the same.
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text.as_bytes());
    };
    add(&FORMAT.to_string());
    add(&serde_json::to_string(part).expect("the table has a JSON form"));
    if let Some(userland) = part.product.userland() {
        add(&serde_json::to_string(userland).expect("the table has a JSON form"));
    }
    if matches!(part.product, Product::Archive { .. }) {
        add(&ARCHIVE_FORMAT.to_string());
    }
    add(version);
    add(architecture);
    // A part that takes nothing from the compiler or from Kubernetes is not rebuilt for another one.
    if !matches!(part.product, Product::Debian { .. } | Product::Chart { .. }) {
        add(kubernetes);
        add(compiler);
    }
    digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
