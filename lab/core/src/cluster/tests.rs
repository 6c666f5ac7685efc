//! The inventories that come with the project, the schema, and messages.

use std::path::{Path, PathBuf};

use super::*;

fn inventories() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../inventories")
}

fn source(text: &str) -> SourceFile {
    SourceFile { path: "cluster.yaml".to_owned(), text: text.to_owned() }
}

#[test]
fn the_committed_schema_is_the_schema_of_the_types() {
    let path = inventories().join("cluster.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, format!("{:#}\n", schema())).unwrap();
    }
    let committed: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(committed == schema(), "write it again: UPDATE_SCHEMA=1 cargo test -p lab-core schema");
}

#[test]
fn every_inventory_checks_without_findings() {
    for name in ["dev", "cloud-cluster"] {
        let text = std::fs::read_to_string(inventories().join(name).join("cluster.yaml")).unwrap();
        let source = source(&text);
        let checked = check(&source, None);
        assert_eq!(render(&checked.findings, &source, false), "");
        assert_eq!(checked.spec.unwrap().name, name);
    }
}
