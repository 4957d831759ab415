//! README's tour works as it is written there.

use std::os::unix::fs::symlink;

use crate::support::{packages, walk::Reader};

#[test]
fn the_tour_of_the_readme() {
    let packages = packages::install();
    let reader = Reader::new();
    // What README tells readers to install.
    symlink(packages.join("node_modules"), reader.folder().join("node_modules")).unwrap();
    reader.follow("README.md");
}
