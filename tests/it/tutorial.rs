//! The tutorial works as it is written, from its first command to its last.

use crate::support::walk::Reader;

#[test]
fn the_tutorial() {
    Reader::new().follow("docs/tutorial.md");
}
