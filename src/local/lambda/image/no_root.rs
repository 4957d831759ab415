//! In place of [`Root`](super::root::Root) where there is no `openat2`: an image runs in a jail, which needs Linux, so none is
//! unpacked elsewhere.

use std::{convert::Infallible, ffi::OsStr, io, io::Read, path::Path};

use super::Wrong;

pub(super) struct Root(Infallible);

impl Root {
    pub(super) fn open(_: &Path) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "images can only be unpacked on Linux"))
    }

    pub(super) fn put_folder(&self, _: &Path, _: u32) -> Result<(), Wrong> {
        match self.0 {}
    }

    pub(super) fn put_file(&self, _: &Path, _: u32, _: &mut impl Read) -> Result<(), Wrong> {
        match self.0 {}
    }

    pub(super) fn put_link(&self, _: &Path, _: &OsStr) -> Result<(), Wrong> {
        match self.0 {}
    }

    pub(super) fn put_hard_link(&self, _: &Path, _: &Path) -> Result<(), Wrong> {
        match self.0 {}
    }

    pub(super) fn remove(&self, _: &Path) -> Result<(), Wrong> {
        match self.0 {}
    }

    pub(super) fn clear(&self, _: &Path) -> Result<(), Wrong> {
        match self.0 {}
    }

    pub(super) fn prepare_mount_points(&self) -> Result<(), Wrong> {
        match self.0 {}
    }
}
