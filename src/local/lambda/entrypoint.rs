//! Why the program of a Function cannot be started.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use nix::errno::Errno;

use super::{
    jail::{EntryFailure, Step},
    runtimes::Support,
    versions::Version,
};

/// A package's own program, as Lambda calls it.
const BOOTSTRAP: &str = "/var/task/bootstrap";

/// Why a process could not be started.
#[derive(Debug)]
pub(super) enum StartError {
    /// The package has no program that can be started. The message is Lambda's.
    InvalidEntrypoint(String),
    /// The folder that the image's program starts in is not there.
    InvalidFolder(String),
    /// The machine failed.
    Io(io::Error),
}

/// Checks whether a package's own `bootstrap` can be started, as far as that is possible without trying.
///
/// In a jail the kernel decides, from what the Function sees there. Without one the format is checked here, because
/// `exec` would not fail for an unknown format: it would run the file with a shell.
pub(super) fn check_bootstrap(bootstrap: &Path, is_jailed: bool) -> Result<(), StartError> {
    let invalid = |why: String| Err(StartError::InvalidEntrypoint(why));
    // Not opened, because it may be a link to anywhere.
    if fs::symlink_metadata(bootstrap).is_err() {
        return invalid(format!("Couldn't find valid bootstrap(s): [{BOOTSTRAP} /opt/bootstrap]"));
    }
    if is_jailed || !cfg!(target_os = "linux") {
        return Ok(());
    }
    let mut head = [0; 20];
    let Ok(Ok(read)) = fs::File::open(bootstrap).map(|file| file.take(20).read(&mut head)) else {
        // The kernel will say why.
        return Ok(());
    };
    let machine = u16::from_le_bytes([head[18], head[19]]);
    let here = match std::env::consts::ARCH {
        "x86_64" => Some(62),
        "aarch64" => Some(183),
        _ => None,
    };
    let is_program = read == head.len() && head.starts_with(b"\x7fELF") && here.is_none_or(|here| here == machine);
    if head.starts_with(b"#!") || is_program {
        return Ok(());
    }
    invalid(format!("fork/exec {BOOTSTRAP}: exec format error"))
}

/// The reason from the error of starting the process.
pub(super) fn not_started(support: &Support, error: io::Error) -> StartError {
    match (support, error.kind()) {
        (Support::Bootstrap, io::ErrorKind::PermissionDenied) => {
            StartError::InvalidEntrypoint(format!("fork/exec {BOOTSTRAP}: permission denied"))
        }
        // The file exists: the missing program is the one in its first line.
        (Support::Bootstrap, io::ErrorKind::NotFound) => {
            StartError::InvalidEntrypoint(format!("fork/exec {BOOTSTRAP}: no such file or directory"))
        }
        _ => StartError::Io(error),
    }
}

/// The reason from the failure of a jail's entry program.
pub(super) fn not_entered(failure: EntryFailure, is_bootstrap: bool, version: &Version) -> StartError {
    let EntryFailure { step, errno } = failure;
    // In Lambda's words, which are Go's.
    let said = errno.desc().to_lowercase();
    match (step, is_bootstrap, version.image()) {
        (Step::Program, true, _) => StartError::InvalidEntrypoint(format!("fork/exec {BOOTSTRAP}: {said}")),
        (Step::Program, _, Some(image)) => {
            let program = image.command.first().map_or("", String::as_str);
            let is_searched = !program.contains('/') && errno == Errno::ENOENT;
            StartError::InvalidEntrypoint(match is_searched {
                true => format!("exec: {program:?}: executable file not found in $PATH"),
                false => format!("fork/exec {program}: {said}"),
            })
        }
        (Step::Folder, _, Some(image)) => {
            StartError::InvalidFolder(format!("chdir {}: {said}", image.folder.display()))
        }
        _ => StartError::Io(EntryFailure { step, errno }.into()),
    }
}
