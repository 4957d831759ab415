//! What a Function's process is started with.

use std::{net::SocketAddr, path::Path};

use super::{runtimes::Support, site::Site, versions::Version};

pub(super) struct Start<'a> {
    pub(super) site: &'a Site,
    pub(super) version: &'a Version,
    pub(super) support: &'a Support,
    /// The address of the Runtime API's listener for this process.
    pub(super) api: SocketAddr,
    /// A folder of its own, for its temporary files, or with a jail for the files that the jail needs.
    pub(super) scratch: &'a Path,
    pub(super) log_stream: &'a str,
}
