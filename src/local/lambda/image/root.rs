//! The root file system of an image while it is unpacked.
//!
//! Every path is resolved by the kernel as if this folder were the root (`RESOLVE_IN_ROOT`), so no link of an image leads out
//! of it, neither an absolute one nor one with `..`.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, chmodat, fchmod, linkat, mkdirat, openat, openat2, statat,
        symlinkat, unlinkat,
    },
    io::Errno,
};

use super::Wrong;

/// Which of its bits a file keeps for everybody. As in Lambda, Functions run as users that own nothing, and nothing of an
/// image can be written, so what others may do is what counts.
const FOR_OTHERS: u32 = 0o005;

/// The folder that an image is unpacked to.
pub(super) struct Root(OwnedFd);

impl Root {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// Makes a folder. One that is there stays, with what is in it.
    pub(super) fn put_folder(&self, path: &Path, mode: u32) -> Result<(), Wrong> {
        let (parent, name) = self.place(path)?;
        if kind_of(&parent, name)? != Some(FileType::Directory) {
            remove_from(&parent, name)?;
            mkdirat(&parent, name, Mode::RWXU).map_err(io::Error::from)?;
        }
        // The owner, who unpacks and removes it, may do everything.
        let mode = Mode::RWXU | Mode::from_raw_mode(for_others(mode));
        Ok(chmodat(&parent, name, mode, AtFlags::empty()).map_err(io::Error::from)?)
    }

    pub(super) fn put_file(&self, path: &Path, mode: u32, content: &mut impl Read) -> Result<(), Wrong> {
        let (parent, name) = self.place(path)?;
        remove_from(&parent, name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&parent, name, flags, Mode::RUSR | Mode::WUSR).map_err(io::Error::from)?);
        copy(content, &mut file)?;
        Ok(fchmod(&file, Mode::from_raw_mode(for_others(mode))).map_err(io::Error::from)?)
    }

    /// A symbolic link may lead anywhere: it is followed in the jail only, and there this folder is the root.
    pub(super) fn put_link(&self, path: &Path, target: &OsStr) -> Result<(), Wrong> {
        let (parent, name) = self.place(path)?;
        remove_from(&parent, name)?;
        symlinkat(target, &parent, name).map_err(|errno| match errno {
            Errno::NAMETOOLONG | Errno::NOENT | Errno::INVAL => Wrong::new("is damaged: it has a link to nothing"),
            errno => io::Error::from(errno).into(),
        })
    }

    pub(super) fn put_hard_link(&self, path: &Path, target: &Path) -> Result<(), Wrong> {
        let broken = || Wrong::new(format!("is damaged: {path:?} is a hard link to {target:?}, which is no file"));
        let from = target.file_name().ok_or_else(broken)?;
        let folder = self.folder(target.parent().unwrap_or(Path::new(""))).map_err(|_| broken())?;
        if kind_of(&folder, from)?.is_none_or(|kind| kind == FileType::Directory) {
            return Err(broken());
        }
        let (parent, name) = self.place(path)?;
        remove_from(&parent, name)?;
        linkat(&folder, from, &parent, name, AtFlags::empty()).map_err(|errno| match errno {
            Errno::NOENT => broken(),
            errno => io::Error::from(errno).into(),
        })
    }

    /// Removes a file, or a folder with everything in it, if it is there.
    pub(super) fn remove(&self, path: &Path) -> Result<(), Wrong> {
        let Some(name) = path.file_name() else { return Ok(()) };
        match self.folder(path.parent().unwrap_or(Path::new(""))) {
            Ok(parent) => Ok(remove_from(&parent, name)?),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(errno) => Err(io::Error::from(errno).into()),
        }
    }

    /// Removes everything in a folder, if it is there.
    pub(super) fn clear(&self, path: &Path) -> Result<(), Wrong> {
        let folder = match self.folder(path) {
            Ok(folder) => folder,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(errno) => return Err(io::Error::from(errno).into()),
        };
        for entry in fs::read_dir(by_descriptor(&folder))? {
            remove_from(&folder, &entry?.file_name())?;
        }
        Ok(())
    }

    /// Makes the places that a jail covers, which must not be links, and removes the file that makes every program load a
    /// library, among them the jail's own.
    pub(super) fn prepare_mount_points(&self) -> Result<(), Wrong> {
        for folder in ["proc", "dev", "tmp", "etc"] {
            self.put_folder(Path::new(folder), 0o755)?;
        }
        let etc = Path::new("etc");
        for file in ["hosts", "resolv.conf"] {
            if self.kind_below(etc, file)? != Some(FileType::RegularFile) {
                self.put_file(&etc.join(file), 0o644, &mut io::empty())?;
            }
        }
        self.remove(&etc.join("ld.so.preload"))
    }

    fn kind_below(&self, folder: &Path, name: &str) -> Result<Option<FileType>, Wrong> {
        let folder = self.folder(folder).map_err(io::Error::from)?;
        Ok(kind_of(&folder, OsStr::new(name))?)
    }

    /// The folder of a path, made if it is missing, and the last step of the path.
    fn place<'a>(&self, path: &'a Path) -> Result<(OwnedFd, &'a OsStr), Wrong> {
        let name = path.file_name().ok_or_else(|| Wrong::new("is damaged: it has a file without a name"))?;
        let parent = self.make_folder(path.parent().unwrap_or(Path::new("")))?;
        Ok((parent, name))
    }

    fn make_folder(&self, path: &Path) -> Result<OwnedFd, Wrong> {
        let in_the_way = || Wrong::new(format!("is damaged: {path:?} is no folder, and has files in it"));
        match self.folder(path) {
            Ok(folder) => Ok(folder),
            Err(Errno::NOENT) => {
                let (parent, name) = self.place(path)?;
                match mkdirat(&parent, name, Mode::RWXU) {
                    Ok(()) => {}
                    // A link that leads nowhere.
                    Err(Errno::EXIST) => return Err(in_the_way()),
                    Err(errno) => return Err(io::Error::from(errno).into()),
                }
                let mode = Mode::from_raw_mode(0o755);
                chmodat(&parent, name, mode, AtFlags::empty()).map_err(io::Error::from)?;
                Ok(self.folder(path).map_err(io::Error::from)?)
            }
            Err(Errno::NOTDIR | Errno::LOOP) => Err(in_the_way()),
            Err(errno) => Err(io::Error::from(errno).into()),
        }
    }

    /// Opens a folder, with all links followed inside of this root.
    fn folder(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // The kernel asks to try again if something was renamed meanwhile.
        loop {
            match openat2(&self.0, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                opened => return opened,
            }
        }
    }
}

fn for_others(mode: u32) -> u32 {
    let others = mode & FOR_OTHERS;
    others << 6 | others << 3 | others
}

/// Copies what an archive has. A failure to read it is the archive's.
fn copy(from: &mut impl Read, to: &mut File) -> Result<(), Wrong> {
    use io::Write as _;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Wrong::new(format!("is damaged: a layer cannot be read: {error}"))),
        };
        to.write_all(&buffer[..count])?;
    }
}

fn by_descriptor(folder: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", folder.as_raw_fd())
}

/// What there is of this name in a folder. A link is not followed.
fn kind_of(folder: impl AsFd, name: &OsStr) -> io::Result<Option<FileType>> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(FileType::from_raw_mode(found.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn remove_from(folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match kind_of(folder, name)? {
        None => Ok(()),
        Some(FileType::Directory) => fs::remove_dir_all(Path::new(&by_descriptor(folder)).join(name)),
        Some(_) => Ok(unlinkat(folder, name, AtFlags::empty())?),
    }
}
