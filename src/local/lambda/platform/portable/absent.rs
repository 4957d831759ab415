//! What other systems than Linux do not have. The types have no values, so the code that uses them is never run.

/// Starting a program in a control group.
pub(crate) mod birth {
    use std::{
        io,
        os::fd::{BorrowedFd, OwnedFd},
        process::{Command, ExitStatus},
    };

    #[derive(Debug)]
    pub(crate) enum Born {}

    pub(crate) fn start(
        _: &Command,
        _: &OwnedFd,
        _: BorrowedFd<'_>,
        _: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<Born> {
        Err(io::ErrorKind::Unsupported.into())
    }

    impl Born {
        pub(crate) fn id(&self) -> i32 {
            match *self {}
        }

        // As on Linux, where it has to wait.
        #[allow(clippy::unused_async)]
        pub(crate) async fn wait(&self) -> io::Result<ExitStatus> {
            match *self {}
        }
    }
}

/// Control groups.
pub(crate) mod cgroup {
    use std::{io, os::fd::BorrowedFd, path::Path};

    #[derive(Debug)]
    pub(crate) enum Groups {}

    #[derive(Debug)]
    pub(crate) enum Group {}

    /// What the kernel limits for a whole group.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct GroupLimits {
        /// How much memory its processes use together.
        pub memory: bool,
        /// How many processes there are.
        pub processes: bool,
    }

    impl Groups {
        pub(crate) fn find(_: &Path) -> Option<Self> {
            None
        }

        pub(crate) fn group(&self, _: &str, _: u64) -> io::Result<Group> {
            match *self {}
        }

        pub(crate) fn folder(&self) -> &Path {
            match *self {}
        }

        pub(crate) fn limits(&self) -> GroupLimits {
            match *self {}
        }
    }

    impl Group {
        pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
            match *self {}
        }

        pub(crate) fn freeze(&self, _: bool) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn kill(&self) {
            match *self {}
        }

        pub(crate) fn ran_out_of_memory(&self) -> bool {
            match *self {}
        }

        // As on Linux, where it has to wait.
        #[allow(clippy::unused_async)]
        pub(crate) async fn remove(&self) {
            match *self {}
        }
    }
}

/// The owners of sockets, which only a jail's Runtime API asks about.
pub(crate) mod sockets {
    use std::net::SocketAddr;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Socket {
        pub(crate) user: u32,
        pub(crate) inode: u64,
    }

    pub(crate) fn client(_: SocketAddr, _: SocketAddr) -> Option<Socket> {
        None
    }
}
