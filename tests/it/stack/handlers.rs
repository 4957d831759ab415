//! The three handlers as the stack deploys them: one zip each, with a `bootstrap` in it.

use std::{
    env,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::support::project::repository;

/// The handlers, by the names of their crates.
const HANDLERS: [&str; 3] = ["api", "dispatcher", "ticker"];

/// A folder with their zips from `infra/build-lambdas`, such as target/lambda/x86_64.
const BUILT: &str = "TASKLANE_TEST_HANDLERS";

/// A folder with `api.zip`, `dispatcher.zip` and `ticker.zip`: those of the folder that `TASKLANE_TEST_HANDLERS` names,
/// or of this tree's code, built for this machine.
pub fn zips() -> TempDir {
    let folder = tempfile::tempdir().expect("there is room for the zips");
    let zip_of = |handler: &str| folder.path().join(format!("{handler}.zip"));
    if let Some(built) = env::var_os(BUILT) {
        for handler in HANDLERS {
            let built = repository().join(&built).join(handler).join("bootstrap.zip");
            fs::copy(&built, zip_of(handler))
                .unwrap_or_else(|error| panic!("there is no handler {}: {error}", built.display()));
        }
    } else {
        let binaries = build();
        for handler in HANDLERS {
            pack(&binaries.join(handler), &zip_of(handler));
        }
    }
    folder
}

fn pack(binary: &Path, into: &Path) {
    let binary = fs::read(binary).unwrap_or_else(|error| panic!("there is no handler {}: {error}", binary.display()));
    let mut zip = ZipWriter::new(File::create(into).expect("a zip can be written"));
    // Better compression would take longer than everything else.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).unix_permissions(0o755);
    zip.start_file("bootstrap", options).expect("a zip can be written");
    zip.write_all(&binary).expect("a zip can be written");
    zip.finish().expect("a zip can be written");
}

/// Builds them with a separate profile, and so in a separate folder, so that this cargo and the one that runs the test
/// do not wait for each other.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in target/");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked", "--quiet", "--profile", "stack"]).arg("--target-dir").arg(target);
    for handler in HANDLERS {
        cargo.args(["-p", handler]);
    }
    let output = cargo.current_dir(repository()).output().expect("cargo starts");
    assert!(output.status.success(), "the handlers do not build\n{}", String::from_utf8_lossy(&output.stderr));
    target.join("stack")
}
