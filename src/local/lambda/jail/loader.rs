//! How this program is loaded where the machine's libraries are not: in a jail with the files of an image.
//!
//! The kernel would load the entry program with the loader and the libraries that the image has under the same paths, if it has
//! any. They would run with the rights that the entry program still has. So it is started by this machine's own loader, with this
//! machine's libraries, all by descriptors: the jail shows none of them.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, OpenOptions},
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use nix::libc;

/// The loader of this program, and the folders of its libraries.
#[derive(Debug)]
pub(super) struct Loader {
    program: OwnedFd,
    libraries: Vec<OwnedFd>,
    has_cache: bool,
}

impl Loader {
    /// The loader of the running program; `None` if it needs none.
    pub(super) fn find() -> io::Result<Option<Self>> {
        let Some(base) = base(&fs::read("/proc/self/auxv")?) else { return Ok(None) };
        let maps = fs::read("/proc/self/maps")?;
        let (mut program, mut folders) = (None, BTreeSet::new());
        for (start, file) in maps.split(|byte| *byte == b'\n').filter_map(mapping) {
            if start == base {
                program = Some(file.clone());
            }
            let is_library = file.file_name().is_some_and(|name| name.as_bytes().windows(3).any(|part| part == b".so"));
            folders.extend(file.parent().filter(|_| is_library).map(Path::to_owned));
        }
        let program = program.ok_or_else(|| io::Error::other("the loader of this program was not found"))?;
        let is_musl = program.file_name().is_some_and(|name| name.as_bytes().starts_with(b"ld-musl"));
        Ok(Some(Self {
            program: open(&program, 0)?,
            libraries: folders.iter().map(|folder| open(folder, libc::O_DIRECTORY)).collect::<io::Result<_>>()?,
            has_cache: !is_musl,
        }))
    }

    /// The words of a command line that come before the program's, and the descriptors that they name.
    pub(super) fn words(&self) -> io::Result<(Vec<String>, Vec<OwnedFd>)> {
        let mut descriptors = vec![self.program.try_clone()?];
        for folder in &self.libraries {
            descriptors.push(folder.try_clone()?);
        }
        let mut paths = descriptors.iter().map(|descriptor| format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
        let mut words: Vec<_> = paths.next().into_iter().collect();
        if self.has_cache {
            // The cache would be the image's.
            words.push("--inhibit-cache".to_owned());
        }
        words.extend(["--library-path".to_owned(), paths.collect::<Vec<_>>().join(":")]);
        Ok((words, descriptors))
    }
}

/// Where the loader is in memory, from the vector that the kernel passes to each program; `None` if there is no loader.
fn base(vector: &[u8]) -> Option<usize> {
    const AT_BASE: usize = 7;
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.try_into().map(usize::from_ne_bytes).ok();
    let entry = vector.chunks_exact(2 * WORD).find(|entry| word(&entry[..WORD]) == Some(AT_BASE))?;
    word(&entry[WORD..]).filter(|base| *base != 0)
}

/// The start and the file of a line of `/proc/self/maps`.
fn mapping(line: &[u8]) -> Option<(usize, PathBuf)> {
    let start = str::from_utf8(line.split(|byte| *byte == b'-').next()?).ok()?;
    let file = &line[line.iter().position(|byte| *byte == b'/')?..];
    // Replaced by an update since this program was started.
    let file = file.strip_suffix(b" (deleted)").unwrap_or(file);
    Some((usize::from_str_radix(start, 16).ok()?, PathBuf::from(OsStr::from_bytes(file))))
}

#[cfg(target_os = "linux")]
const ONLY_A_PLACE: i32 = libc::O_PATH;
// Nothing enters a jail elsewhere.
#[cfg(not(target_os = "linux"))]
const ONLY_A_PLACE: i32 = 0;

fn open(path: &Path, more: i32) -> io::Result<OwnedFd> {
    Ok(OpenOptions::new().read(true).custom_flags(ONLY_A_PLACE | more).open(path)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_of_this_program_runs_it_again() {
        let loader = Loader::find().unwrap().expect("tests are linked dynamically");
        let (words, descriptors) = loader.words().unwrap();
        assert_eq!(words.len(), 4);
        assert!(words[3].starts_with("/proc/self/fd/"));
        assert!(descriptors.len() >= 2, "{words:?}");
        let real = fs::read_link(format!("/proc/self/fd/{}", descriptors[0].as_raw_fd())).unwrap();
        assert!(real.file_name().unwrap().as_bytes().starts_with(b"ld"), "{real:?}");
    }

    #[test]
    fn lines_of_maps_are_read() {
        let line = b"7f00-7f10 r--p 00000000 08:01 123    /lib/x86_64-linux-gnu/libc.so.6 (deleted)";
        assert_eq!(mapping(line), Some((0x7f00, PathBuf::from("/lib/x86_64-linux-gnu/libc.so.6"))));
        assert_eq!(mapping(b"7f00-7f10 rw-p 00000000 00:00 0 [heap]"), None);
        assert_eq!(mapping(b""), None);
        assert_eq!(base(&[]), None);
    }
}
