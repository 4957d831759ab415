//! Opens a page in the browser of the person at this machine.

use std::process::{Command, Stdio};

use crate::output;

/// The programs that open a URL, by operating system.
const OPENERS: [&str; 2] = if cfg!(target_os = "macos") { ["open", "open"] } else { ["xdg-open", "wslview"] };

/// Opens the page, or says that there is no browser.
pub(crate) fn open(url: &str) {
    let opened = OPENERS.iter().any(|program| {
        let mut command = Command::new(program);
        command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_ok()
    });
    if !opened {
        output::note(&format!("warning: found no program that opens a browser; open {url} yourself"));
    }
}
