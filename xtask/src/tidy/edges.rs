//! Which crate may depend on which. A new edge is an event: change [`ALLOWED`] and say why in the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::Finding;
use crate::repository;

/// Workspace crates that each crate may depend on, besides itself.
const ALLOWED: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("config", &["model"]),
    ("plan", &["model"]),
    ("http1", &[]),
    ("edge", &["http1", "model", "sys"]),
    ("objects", &["model", "sys"]),
    ("sys", &["model"]),
    ("supervise", &["model", "plan", "sys"]),
    ("services", &["model", "plan", "sys", "supervise"]),
    ("resources", &["model", "objects", "plan", "sys", "supervise"]),
    ("vault", &["model", "sys"]),
    ("mainstay", &["config", "edge", "model", "objects", "plan", "resources", "services", "supervise", "sys", "vault"]),
    // Only ever a dev-dependency of others.
    ("testkit", &["model", "plan", "supervise", "sys"]),
    ("xtask", &[]),
    ("directory", &[]),
    ("minimal", &[]),
];

/// Crates that tests may use besides.
const ALLOWED_IN_TESTS: &[(&str, &[&str])] = &[("xtask", &["config"])];

/// What a crate's manifest says.
pub(super) struct Manifest {
    pub(super) name: String,
    /// Its path from the repository's root.
    pub(super) path: String,
    /// What the crate itself needs.
    pub(super) dependencies: BTreeSet<String>,
    /// What its tests need besides.
    pub(super) dev_dependencies: BTreeSet<String>,
}

/// Every manifest of the workspace, as cargo reads it.
///
/// # Panics
///
/// When cargo cannot say: then nothing here can be checked.
pub(super) fn manifests() -> Vec<Manifest> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(repository::root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    items(&metadata["packages"]).map(manifest).collect()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn manifest(package: &Value) -> Manifest {
    let of_kind = |dev: bool| {
        items(&package["dependencies"])
            .filter(|dependency| (dependency["kind"] == "dev") == dev)
            .map(|dependency| text(&dependency["name"]))
            .collect()
    };
    let path = text(&package["manifest_path"]);
    let root = repository::root().canonicalize().unwrap_or_default();
    let path = path.strip_prefix(&format!("{}/", root.display())).unwrap_or(&path).to_owned();
    Manifest { name: text(&package["name"]), path, dependencies: of_kind(false), dev_dependencies: of_kind(true) }
}

/// Edges that the table does not allow, and crates that it does not know.
pub(super) fn check(manifests: &[Manifest]) -> Vec<Finding> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let in_tests: BTreeMap<&str, &[&str]> = ALLOWED_IN_TESTS.iter().copied().collect();
    let ours: BTreeSet<&str> = manifests.iter().map(|manifest| manifest.name.as_str()).collect();
    let mut findings = Vec::new();
    for manifest in manifests {
        let Some(may) = allowed.get(manifest.name.as_str()) else {
            let message = "a new crate: add it to the table in xtask/src/tidy/edges.rs and to ARCHITECTURE.md";
            findings.push(Finding::new(&manifest.path, 1, message));
            continue;
        };
        let tests_may = in_tests.get(manifest.name.as_str()).copied().unwrap_or_default();
        let workspace = |name: &&String| ours.contains(name.as_str());
        for name in manifest.dependencies.iter().filter(workspace).filter(|name| !may.contains(&name.as_str())) {
            let message = format!("`{}` may not depend on `{name}` (table in xtask/src/tidy/edges.rs)", manifest.name);
            findings.push(Finding::new(&manifest.path, 1, message));
        }
        for name in manifest.dev_dependencies.iter().filter(workspace) {
            let known = may.contains(&name.as_str()) || tests_may.contains(&name.as_str());
            if !known && name != "testkit" && *name != manifest.name {
                let message =
                    format!("tests of `{}` may not use `{name}` (table in xtask/src/tidy/edges.rs)", manifest.name);
                findings.push(Finding::new(&manifest.path, 1, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::{Manifest, check};

    fn manifest(name: &str, dependencies: &[&str], dev_dependencies: &[&str]) -> Manifest {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Manifest {
            name: name.to_owned(),
            path: format!("crates/{name}/Cargo.toml"),
            dependencies: set(dependencies),
            dev_dependencies: set(dev_dependencies),
        }
    }

    fn check_edges(manifests: &[Manifest], want: &Expect) {
        let found: String = check(manifests).iter().map(|finding| format!("{finding}\n")).collect();
        want.assert_eq(&found);
    }

    #[test]
    fn allowed_edges_and_foreign_crates_pass() {
        let manifests = [manifest("model", &["serde"], &[]), manifest("plan", &["model"], &["testkit"])];
        check_edges(&manifests, &expect![""]);
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_is_found() {
        let manifests = [
            manifest("model", &["plan"], &[]),
            manifest("plan", &["testkit"], &["model"]),
            manifest("testkit", &[], &["vault"]),
            manifest("vault", &[], &[]),
        ];
        check_edges(
            &manifests,
            &expect![[r#"
                crates/model/Cargo.toml:1: `model` may not depend on `plan` (table in xtask/src/tidy/edges.rs)
                crates/plan/Cargo.toml:1: `plan` may not depend on `testkit` (table in xtask/src/tidy/edges.rs)
                crates/testkit/Cargo.toml:1: tests of `testkit` may not use `vault` (table in xtask/src/tidy/edges.rs)
            "#]],
        );
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_found() {
        check_edges(
            &[manifest("telescope", &[], &[])],
            &expect![[r#"
                crates/telescope/Cargo.toml:1: a new crate: add it to the table in xtask/src/tidy/edges.rs and to ARCHITECTURE.md
            "#]],
        );
    }
}
