//! What this machine has for all Functions together.

use std::path::Path;

use nix::sys::{
    resource::{Resource, getrlimit},
    statvfs::statvfs,
};

/// What this machine has. What cannot be found out is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// How many processors this process may use.
    pub processors: usize,
    /// The memory of the machine, or of the container that this process is in.
    pub memory: Option<Memory>,
    /// How many files one process may have open, once it has raised its limit as far as it may.
    pub open_files: Option<u64>,
    /// How many bytes are free on the disk of the data folder.
    pub free_disk: Option<u64>,
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    /// What new processes may take.
    pub available: u64,
}

impl Machine {
    /// Looks at this machine. `data_dir` need not exist.
    pub fn look(data_dir: &Path) -> Self {
        // The types of these numbers differ between systems.
        #[allow(clippy::useless_conversion)]
        let free_disk = statvfs(Self::existing(data_dir))
            .ok()
            .map(|disk| u64::from(disk.blocks_available()).saturating_mul(disk.fragment_size()));
        Self {
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory: Memory::look(),
            open_files: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(_, hard)| hard),
            free_disk,
        }
    }

    /// The folder, or the nearest one above it that exists.
    pub fn existing(folder: &Path) -> &Path {
        let existing = folder.ancestors().find(|folder| folder.exists());
        // The last one of a relative path is empty.
        existing.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

impl Memory {
    fn look() -> Option<Self> {
        let mut system = sysinfo::System::new();
        system.refresh_memory();
        let machine = Self { total: system.total_memory(), available: system.available_memory() };
        // A container may have less than its machine.
        let found = match system.cgroup_limits() {
            Some(limits) if limits.total_memory < machine.total => {
                Self { total: limits.total_memory, available: limits.free_memory.min(machine.available) }
            }
            Some(_) | None => machine,
        };
        (found.total > 0).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_something_of_everything() {
        let machine = Machine::look(Path::new("no such folder/below another"));
        assert!(machine.processors > 0 && machine.open_files > Some(0) && machine.free_disk > Some(0), "{machine:?}");
        let memory = machine.memory.unwrap();
        assert!(0 < memory.available && memory.available <= memory.total, "{memory:?}");
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Machine::existing(&folder.path().join("a/b")), folder.path());
        assert_eq!(Machine::existing(Path::new("no such folder")), Path::new("."));
    }
}
