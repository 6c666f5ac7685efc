//! Times the rendering of a cluster of many machines and the check of the result, for `cargo xtask bench`.
//!
//! Each part is timed by itself, in one process that does it once, as a user's does. Writing the files is not counted:
//! it is the disk that is slow, and a check only reads them.

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use lab_core::cluster;
use lab_core::kubespray::index::Index;
use lab_core::kubespray::{DEFAULT_RELEASE, Login, render, settings};
use lab_core::lint::{self, Kubespray, Options};
use lab_core::source::SourceFile;

use crate::kubespray::read;
use crate::output;

/// Renders a cluster of `machines` machines into `folder`, which is emptied first, checks it, and prints the
/// milliseconds of each part as JSON.
///
/// # Errors
/// When a file cannot be written or read, or something is found: the inventory is right.
pub fn run(folder: &Path, machines: usize) -> anyhow::Result<()> {
    let source = SourceFile { path: "cluster.yaml".to_owned(), text: cluster_file(machines) };
    let login = Login {
        user: "debian".to_owned(),
        lab_dir: "/lab".to_owned(),
        key: "key".to_owned(),
        ssh_config: "ssh_config".to_owned(),
    };

    let (parse, spec) = timed(|| cluster::check(&source, None).spec);
    let spec = spec.context("the cluster file of the measurement is wrong")?;
    let (index_time, index) = timed(|| Index::known(DEFAULT_RELEASE));
    let index = index.context("the default release has no index")?;
    let (render_time, files) = timed(|| render(&spec, &index, &login));
    let files = files?;

    crate::files::remove(folder)?;
    for (path, text) in &files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        fs::write(path, text)?;
    }

    let (read_time, read) = timed(|| read::inventory(folder));
    let read = read?;
    let kubespray = Kubespray { index: &index, others: super::others };
    let (lint_time, report) = timed(|| lint::inventory(read, &kubespray, &Options::default()));
    anyhow::ensure!(report.findings.is_empty(), "something was found:\n{}", report.render(false));
    let (of_file, found) = timed(|| {
        let settings = settings(&spec, &index);
        lint::cluster(source.clone(), &spec, &settings, &kubespray, None, &Options::default())
    });
    anyhow::ensure!(found.is_empty(), "something was found in the cluster file");
    output::json(&serde_json::json!({
        "machines": machines,
        "files": files.len(),
        "milliseconds": {
            "cluster_file": parse,
            "index": index_time,
            "render": render_time,
            "read": read_time,
            "lint": lint_time,
            "lint_cluster_file": of_file,
            "render_read_lint": render_time + read_time + lint_time,
        },
    }))
}

/// Milliseconds that something takes, and what comes of it.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = black_box(work());
    (start.elapsed().as_secs_f64() * 1000.0, result)
}

/// A cluster file: one control plane, and workers with a label and a taint.
fn cluster_file(machines: usize) -> String {
    let mut text = "apiVersion: lab/v1alpha1\nkind: Cluster\nname: large\nnetwork: {subnet: 10.0.0.0/16}\n\
                    kubernetes: {network: {pods: 172.16.0.0/12}}\nmachines:\n  - {name: control-plane, roles: [control-plane]}\n"
        .to_owned();
    for number in 1..machines {
        let zone = number % 7;
        let _ = writeln!(
            text,
            "  - {{name: worker-{number}, labels: {{zone: z{zone}}}, taints: ['zone=z{zone}:NoSchedule']}}"
        );
    }
    text
}
