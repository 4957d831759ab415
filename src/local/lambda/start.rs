//! What a Function's process is started with.

use std::{net::SocketAddr, path::Path};

use super::{runtimes::Support, site::Site, versions::Version};

/// What a process is started with.
pub(super) struct Start<'a> {
    pub(super) site: &'a Site,
    pub(super) version: &'a Version,
    pub(super) support: &'a Support,
    /// The Runtime API's listener for this process.
    pub(super) api: SocketAddr,
    /// A folder of its own: its temporary files, or with a jail what the jail needs.
    pub(super) scratch: &'a Path,
    /// The name of its log stream.
    pub(super) log_stream: &'a str,
}
