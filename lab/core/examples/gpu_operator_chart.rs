//! Prints the data of one version of the GPU Operator's chart: see "A new version of the GPU Operator" in
//! CONTRIBUTING.md.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use lab_core::gpu_operator::build;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [checkout, version, commit] = &arguments[..] else {
        eprintln!("arguments: the folder of a checkout, its tag, its commit");
        return ExitCode::FAILURE;
    };
    let mut files = BTreeMap::new();
    if let Err(error) = read(Path::new(checkout), "", &mut files) {
        eprintln!("cannot read {checkout}: {error}");
        return ExitCode::FAILURE;
    }
    match build::build(&files, version, commit) {
        Ok(data) => {
            print!("{}", build::write(&data));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads every wanted file below a folder, by its path below the checkout.
fn read(folder: &Path, below: &str, files: &mut BTreeMap<String, String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read(&entry.path(), &format!("{path}/"), files)?;
        } else if build::wants(&path) {
            files.insert(path, std::fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}
