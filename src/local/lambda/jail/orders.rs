//! The orders for the entry program of a jail, and its report if it fails.
//!
//! Both are in one unnamed file in memory. Command lines are public, and the environment of the entry program must stay
//! empty: it is still privileged, and a Function's variables can tell a program what to load.

use std::{
    collections::BTreeMap,
    ffi::CString,
    fs::File,
    io::{self, Write as _},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::FileExt},
    },
    path::Path,
};

use nix::errno::Errno;
#[cfg(target_os = "linux")]
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Which user the Function runs as, and the program to start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Orders {
    /// A user id and a group id, if the server is root.
    pub(super) identity: Option<(u32, u32)>,
    /// The folder to start in.
    pub(super) folder: CString,
    /// Without a slash it is searched for on the `PATH` of the environment.
    pub(super) program: CString,
    /// The program's `argv`, its name included.
    pub(super) arguments: Vec<CString>,
    pub(super) environment: Vec<CString>,
}

/// The server's view of an [`Orders`] file.
#[derive(Debug)]
pub(in super::super) struct Entry {
    file: File,
    length: u64,
}

/// Why a Function's program could not be started in its jail.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct EntryFailure {
    pub(in super::super) step: Step,
    pub(in super::super) errno: Errno,
}

/// The steps of the entry program, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    Limits,
    Identity,
    Rights,
    Folder,
    Program,
}

impl Step {
    const ALL: [Self; 5] = [Self::Limits, Self::Identity, Self::Rights, Self::Folder, Self::Program];

    fn name(self) -> &'static str {
        match self {
            Self::Limits => "limit its processes",
            Self::Identity => "become its user",
            Self::Rights => "give up its rights",
            Self::Folder => "enter its folder",
            Self::Program => "start its program",
        }
    }
}

impl Orders {
    pub(super) fn new(
        identity: Option<(u32, u32)>,
        folder: &Path,
        program: &Path,
        arguments: &[String],
        environment: &BTreeMap<String, String>,
    ) -> io::Result<Self> {
        let folder = CString::new(folder.as_os_str().as_bytes())?;
        let program = CString::new(program.as_os_str().as_bytes())?;
        let mut all = vec![program.clone()];
        for argument in arguments {
            all.push(CString::new(argument.as_bytes())?);
        }
        let variable = |(name, value): (&String, &String)| CString::new(format!("{name}={value}"));
        let environment = environment.iter().map(variable).collect::<Result<_, _>>()?;
        Ok(Self { identity, folder, program, arguments: all, environment })
    }

    /// Writes the orders to a file. Returns a descriptor for the entry program, and the server's view.
    pub(super) fn into_file(self) -> io::Result<(OwnedFd, Entry)> {
        let bytes = self.encode();
        let file = nameless(&bytes)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok((file.try_clone()?.into(), Entry { file, length }))
    }

    /// Fields that each end with a zero byte: user and group, the number of arguments, the folder, the program, its arguments, and
    /// its environment.
    fn encode(self) -> Vec<u8> {
        let Self { identity, folder, program, arguments, environment } = self;
        let identity = identity.map_or(String::new(), |(user, group)| format!("{user} {group}"));
        let mut bytes = format!("{identity}\0{}\0", arguments.len()).into_bytes();
        for piece in [folder, program].iter().chain(&arguments).chain(&environment) {
            bytes.extend_from_slice(piece.as_bytes_with_nul());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut pieces = bytes.split_inclusive(|byte| *byte == 0).map(|piece| CString::from_vec_with_nul(piece.into()));
        let mut next = || pieces.next()?.ok();
        let (identity, count) = (next()?, next()?);
        let identity = match identity.to_str().ok()?.split_once(' ') {
            Some((user, group)) => Some((user.parse().ok()?, group.parse().ok()?)),
            None => None,
        };
        let count: usize = count.to_str().ok()?.parse().ok()?;
        let (folder, program) = (next()?, next()?);
        let rest = pieces.collect::<Result<Vec<_>, _>>().ok()?;
        let (arguments, environment) = rest.split_at_checked(count)?;
        Some(Self { identity, folder, program, arguments: arguments.to_vec(), environment: environment.to_vec() })
    }
}

impl Entry {
    /// Why the entry program failed, if it did.
    pub(in super::super) fn failure(&self) -> Option<EntryFailure> {
        let mut said = [0; 16];
        let count = self.file.read_at(&mut said, self.length).ok()?;
        EntryFailure::decode(said.get(..count)?)
    }
}

impl EntryFailure {
    /// Appends the failure to the orders.
    pub(super) fn write(&self, orders: &mut File) -> io::Result<()> {
        let step = Step::ALL.iter().position(|step| *step == self.step).unwrap_or_default();
        writeln!(orders, "{step} {}", self.errno as i32)
    }

    fn decode(said: &[u8]) -> Option<Self> {
        let (step, errno) = str::from_utf8(said).ok()?.strip_suffix('\n')?.split_once(' ')?;
        let step = *Step::ALL.get(step.parse::<usize>().ok()?)?;
        Some(Self { step, errno: Errno::from_raw(errno.parse().ok()?) })
    }
}

impl From<EntryFailure> for io::Error {
    fn from(EntryFailure { step, errno }: EntryFailure) -> Self {
        Self::other(format!("the Function's process could not {}: {}", step.name(), errno.desc()))
    }
}

/// An unnamed file with these bytes, positioned at its start.
pub(super) fn nameless(bytes: &[u8]) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    let file = File::from(memfd_create(c"tasklane-jail", MFdFlags::MFD_CLOEXEC)?);
    #[cfg(not(target_os = "linux"))]
    let file = tempfile::tempfile()?;
    file.write_all_at(bytes, 0)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_arrive_as_they_were_written() {
        let environment = BTreeMap::from([("A".to_owned(), "1 = 2\n".to_owned()), ("B".to_owned(), String::new())]);
        for identity in [None, Some((62_001, 62_002))] {
            let arguments = ["-c".to_owned(), String::new()];
            let orders = || Orders::new(identity, Path::new("/srv"), Path::new("/bin/sh"), &arguments, &environment);
            assert_eq!(Orders::decode(&orders().unwrap().encode()), Some(orders().unwrap()));
        }
        assert_eq!(Orders::decode(b""), None);
        assert_eq!(Orders::decode(b"\x009\0/\0/bin/sh\0/bin/sh\0"), None);
    }

    #[test]
    fn an_entry_program_reports_its_failed_step() {
        let orders = Orders::new(None, Path::new("/"), Path::new("/bin/sh"), &[], &BTreeMap::new()).unwrap();
        let (descriptor, entry) = orders.into_file().unwrap();
        assert_eq!(entry.failure(), None);
        let failure = || EntryFailure { step: Step::Program, errno: Errno::ENOEXEC };
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&descriptor));
        failure().write(&mut File::options().append(true).open(path).unwrap()).unwrap();
        assert_eq!(entry.failure(), Some(failure()));
        assert_eq!(
            io::Error::from(failure()).to_string(),
            "the Function's process could not start its program: Exec format error"
        );
    }
}
