//! Linux: `/proc`, control groups, and sockets that the kernel knows the owner of.

pub(crate) mod birth;
pub(crate) mod cgroup;
pub(super) mod procfs;
pub(crate) mod sockets;
