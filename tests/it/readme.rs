//! README's steps work as they are written there.

use std::{fs, os::unix::fs::symlink};

use crate::support::{dev::Dev, packages, project::repository};

/// The content of README's first code block in this language that holds the text.
fn block(language: &str, holding: &str) -> String {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let blocks = readme.split("\n```").skip(1).step_by(2);
    let of_language = blocks.filter_map(|block| block.strip_prefix(&format!("{language}\n")));
    of_language.map(str::to_owned).find(|block| block.contains(holding)).expect("README has such a block")
}

#[test]
fn the_step_with_the_sdk_prints_what_readme_says() {
    let packages = packages::install();
    let home = tempfile::tempdir().unwrap();
    let dev = Dev::start(home.path(), [repository().join("examples/hello-js")]);
    symlink(packages.join("node_modules"), home.path().join("node_modules")).unwrap();
    fs::write(home.path().join("tour.mjs"), block("js", "createOAuth1Client")).unwrap();

    let typed = block("console", "tour.mjs");
    let (command, output) = typed.split_once('\n').unwrap();
    let mut words = command.trim_start_matches("$ ").split(' ');
    assert_eq!(words.next(), Some("node"));
    let mut node = packages::node();
    let ended = node.args(words).current_dir(home.path()).env_remove("NODE_OPTIONS").output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(String::from_utf8_lossy(&ended.stdout).trim(), output.trim(), "{stderr}");
    dev.stop();
}
