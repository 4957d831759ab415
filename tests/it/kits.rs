//! The kits for tests in JavaScript and Python, with the runners that people use.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::support::{command::Ended, packages, project::repository, python};

#[test]
fn what_the_kit_for_javascript_promises() {
    let kit = repository().join("infra/testing-kits/js");
    passes(packages::node().current_dir(&kit).args(["--test", "--test-timeout=300000", "test/kit.test.mjs"]));
}

#[test]
fn the_types_of_the_kit_for_javascript() {
    let kit = repository().join("infra/testing-kits/js");
    let tsc = packages::install().join("node_modules/typescript/bin/tsc");
    let files = ["test/types.mts", "test/types.cts"];
    let options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"];
    passes(packages::node().current_dir(kit).arg(tsc).args(options).args(files));
}

#[test]
fn the_example_with_the_runner_of_node() {
    let example = Example::new();
    let arguments = ["--test", "--test-timeout=300000", "test/digest.node.test.mjs"];
    passes(packages::node().current_dir(&example.folder).args(arguments));
}

#[test]
fn the_example_with_vitest() {
    let example = Example::new();
    let vitest = example.folder.join("node_modules/vitest/vitest.mjs");
    let config = example.folder.join("vitest.config.mjs");
    // The runners take files with other names for tests, too.
    fs::write(&config, "export default { test: { include: ['test/*.vitest.test.mjs'] } };").unwrap();
    passes(packages::node().current_dir(&example.folder).arg(vitest).args(["run", "--no-cache"]));
}

#[test]
fn the_example_with_jest() {
    let example = Example::new();
    let jest = example.folder.join("node_modules/jest/bin/jest.js");
    let config = r#"{ "testMatch": ["**/*.jest.test.js"], "watchman": false, "cacheDirectory": "cache" }"#;
    fs::write(example.folder.join("jest.config.json"), config).unwrap();
    passes(packages::node().current_dir(&example.folder).arg(jest));
}

#[test]
fn what_the_kit_for_python_promises() {
    let folder = repository().join("infra/testing-kits/python/tests");
    pytest(&folder);
}

#[test]
fn the_example_with_pytest() {
    let example = Example::new();
    pytest(&example.folder);
}

/// The example, with the packages that its reader would install.
struct Example {
    folder: PathBuf,
    _home: TempDir,
}

impl Example {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("example");
        copy(&repository().join("examples/tested-service"), &folder);
        let modules = folder.join("node_modules");
        fs::create_dir(&modules).unwrap();
        for entry in fs::read_dir(packages::install_from("js-runners").join("node_modules")).unwrap() {
            let entry = entry.unwrap();
            symlink(entry.path(), modules.join(entry.file_name())).unwrap();
        }
        symlink(repository().join("infra/testing-kits/js"), modules.join("tasklane-testing")).unwrap();
        Self { folder, _home: home }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Runs the tests of this folder with the kit as pip would install it: its entry point is that of its `pyproject.toml`.
fn pytest(folder: &Path) {
    let python = python::install("pytest").join("python");
    let site = tempfile::tempdir().unwrap();
    let kit = repository().join("infra/testing-kits/python");
    copy(&kit.join("tasklane_testing"), &site.path().join("tasklane_testing"));
    let project = fs::read_to_string(kit.join("pyproject.toml")).unwrap();
    let plugin = project.split("[project.entry-points.pytest11]\n").nth(1).expect("it has an entry point for pytest");
    let plugin = plugin.lines().next().unwrap().replace('"', "");
    let info = site.path().join("tasklane_testing-0.dist-info");
    fs::create_dir(&info).unwrap();
    fs::write(info.join("METADATA"), "Metadata-Version: 2.1\nName: tasklane-testing\nVersion: 0\n").unwrap();
    fs::write(info.join("entry_points.txt"), format!("[pytest11]\n{plugin}\n")).unwrap();
    let mut command = Command::new(python);
    command.current_dir(folder).env("PYTHONPATH", site.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    passes(command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "."]));
}

/// Runs tests that start this `tasklane`. Panics with the output if one fails.
fn passes(command: &mut Command) {
    command
        .env("TASKLANE_BIN", env!("CARGO_BIN_EXE_tasklane"))
        // Otherwise node treats the tests as part of an outer run.
        .env_remove("NODE_TEST_CONTEXT")
        .env_remove("NODE_OPTIONS")
        .env("CI", "true");
    let ended = Ended::of(command);
    assert_eq!(ended.code, 0, "{command:?}\n{}\n{}", ended.stdout, ended.stderr);
}
