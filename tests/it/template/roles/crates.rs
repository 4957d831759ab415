//! The crates of this workspace that a handler depends on, according to cargo.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::Path,
    process::Command,
};

use serde::Deserialize;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: String,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Only crates of this workspace have one.
    path: Option<String>,
    /// `None` for a normal dependency, not one of tests or the build script.
    kind: Option<String>,
}

/// The first file of each of these crates, from the root of the repository: `functions/api/src/main.rs`,
/// `src/model/lib.rs`.
pub fn entries(root: &Path, handler: &str) -> Vec<String> {
    let packages = packages(root);
    let mut found = BTreeSet::new();
    let mut open = vec![handler.to_owned()];
    while let Some(name) = open.pop() {
        if found.insert(name.clone()) {
            let dependencies = packages[&name].dependencies.iter();
            let ours = dependencies.filter(|dependency| dependency.path.is_some() && dependency.kind.is_none());
            open.extend(ours.map(|dependency| dependency.name.clone()));
        }
    }
    found.iter().map(|name| entry(root, &packages[name])).collect()
}

/// The library's first file, or the binary's if there is no library.
fn entry(root: &Path, package: &Package) -> String {
    let of_kind = |kind: &str| package.targets.iter().find(|target| target.kind.iter().any(|of| of == kind));
    let target = of_kind("lib").or_else(|| of_kind("bin"));
    let path = Path::new(&target.unwrap_or_else(|| panic!("{} has nothing to build", package.name)).src_path);
    path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()
}

fn packages(root: &Path) -> BTreeMap<String, Package> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = cargo
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "cargo metadata failed\n{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    metadata.packages.into_iter().map(|package| (package.name.clone(), package)).collect()
}
