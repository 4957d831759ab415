//! Packs a code folder into a zip for AWS Lambda.

use std::{
    fs,
    io::{Cursor, Write},
    path::{Component, Path, PathBuf},
};

use bytes::Bytes;
use tasklane_model::CodeSha256;
use walkdir::{DirEntry, WalkDir};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Left out everywhere: version control, this tool's own data (including credentials), and files of the macOS Finder.
/// Everything else is packed, also `task-config.json` and hidden files.
pub const NEVER_PACKED: [&str; 3] = [".git", ".tasklane", ".DS_Store"];

/// AWS Lambda's limit for unpacked code: 250 MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MAX_UNPACKED_BYTES: u64 = 250 * 1024 * 1024;

/// A zip and its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Package {
    pub zip: Bytes,
    /// Its hash. Two packages of the same files have the same one.
    pub code_sha256: CodeSha256,
}

impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Package({} bytes, {})", self.zip.len(), self.code_sha256)
    }
}

/// Why a folder cannot be packed. Paths are relative to the folder, except in `Unreadable`.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("{} holds no files", .0.display())]
    Empty(PathBuf),
    /// A symbolic link that leads out of the folder. On Lambda, its target would not exist.
    #[error(
        "{} is a symbolic link to {}, outside of the code folder: put the files themselves there \
         (with npm workspaces: bundle, or `npm install --install-links`)",
        link.display(), target.display()
    )]
    LinkLeaves {
        link: PathBuf,
        /// The link's target as written.
        target: PathBuf,
    },
    /// A name that is not UTF-8. Not every system reads such a name in the same way.
    #[error("{} has a name that is not UTF-8", .0.display())]
    Name(PathBuf),
    /// A socket, a pipe or a device.
    #[error("{} is neither a file, a folder nor a symbolic link", .0.display())]
    Special(PathBuf),
    /// More than Lambda accepts.
    #[error("the code folder holds more than 250 MB, the limit of AWS Lambda")]
    TooLarge,
    #[error("cannot create the zip: {0}")]
    Zip(#[from] zip::result::ZipError),
}

/// Packs everything under `dir` except [`NEVER_PACKED`]. The same files give the same bytes on any machine and at any time:
/// names are sorted, the time stamp is fixed, and permissions are 755 for executable files and 644 for others. Symbolic
/// links are kept as links and not followed. An absolute link keeps its target on Lambda, such as a virtual environment's
/// interpreter.
///
/// Blocks: it reads files and compresses them.
///
/// # Errors
/// See [`PackError`].
pub fn pack(dir: &Path) -> Result<Package, PackError> {
    let mut packer = Packer::new(dir)?;
    let walk = WalkDir::new(dir)
        .min_depth(1)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !NEVER_PACKED.iter().any(|name| entry.file_name() == *name));
    for entry in walk {
        let entry = entry.map_err(|e| {
            let path = e.path().unwrap_or(dir).to_owned();
            PackError::Unreadable { path, cause: e.into() }
        })?;
        packer.add(&entry)?;
    }
    packer.finish()
}

struct Packer<'a> {
    dir: &'a Path,
    zip: ZipWriter<Cursor<Vec<u8>>>,
    unpacked_bytes: u64,
    entries: usize,
}

impl<'a> Packer<'a> {
    fn new(dir: &'a Path) -> Result<Self, PackError> {
        fs::metadata(dir).map_err(unreadable(dir))?;
        let zip = ZipWriter::new(Cursor::new(Vec::new()));
        Ok(Self { dir, zip, unpacked_bytes: 0, entries: 0 })
    }

    fn add(&mut self, entry: &DirEntry) -> Result<(), PackError> {
        let path = entry.path();
        let relative = path.strip_prefix(self.dir).unwrap_or(path);
        let name = zip_name(relative)?;
        let kind = entry.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(unreadable(path))?;
            check_link(relative, &target)?;
            self.zip.add_symlink(name, zip_name(&target)?, options(0o777))?;
        } else if kind.is_file() {
            let content = fs::read(path).map_err(unreadable(path))?;
            self.unpacked_bytes += content.len() as u64;
            if self.unpacked_bytes > MAX_UNPACKED_BYTES {
                return Err(PackError::TooLarge);
            }
            let executable = is_executable(&entry.metadata().map_err(|e| unreadable(path)(e.into()))?);
            self.zip.start_file(name, options(if executable { 0o755 } else { 0o644 }))?;
            self.zip.write_all(&content).map_err(zip::result::ZipError::from)?;
        } else if kind.is_dir() {
            // A folder is created with its first file; only empty ones need an entry.
            if fs::read_dir(path).map_err(unreadable(path))?.next().is_none() {
                self.zip.add_directory(name, options(0o755))?;
            }
            return Ok(());
        } else {
            return Err(PackError::Special(relative.to_owned()));
        }
        self.entries += 1;
        Ok(())
    }

    fn finish(self) -> Result<Package, PackError> {
        if self.entries == 0 {
            return Err(PackError::Empty(self.dir.to_owned()));
        }
        let zip = self.zip.finish()?.into_inner();
        let code_sha256 = CodeSha256::of(&zip);
        Ok(Package { zip: Bytes::from(zip), code_sha256 })
    }
}

/// A relative link's target must not lead out of the folder. Its real target does not matter, because links are not followed.
fn check_link(relative: &Path, target: &Path) -> Result<(), PackError> {
    let mut depth = relative.components().count() - 1;
    let stays_inside = target.components().all(|component| match component {
        Component::CurDir => true,
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::ParentDir => match depth.checked_sub(1) {
            Some(up) => {
                depth = up;
                true
            }
            None => false,
        },
        Component::RootDir | Component::Prefix(_) => false,
    });
    if stays_inside || target.is_absolute() {
        return Ok(());
    }
    Err(PackError::LinkLeaves { link: relative.to_owned(), target: target.to_owned() })
}

fn options(permissions: u32) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(6))
        .last_modified_time(zip::DateTime::DEFAULT)
        .system(zip::System::Unix)
        .unix_permissions(permissions)
}

fn zip_name(path: &Path) -> Result<String, PackError> {
    let text = path.to_str().ok_or_else(|| PackError::Name(path.to_owned()))?;
    Ok(text.replace(std::path::MAIN_SEPARATOR, "/"))
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> PackError {
    let path = path.to_owned();
    move |cause| PackError::Unreadable { path, cause }
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    // This system has no such bit. Everything is executable, so that a `bootstrap` is.
    true
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        io::Read,
        time::{Duration, SystemTime},
    };

    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (file, content) in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    fn entries(package: &Package) -> BTreeMap<String, (String, u32)> {
        let mut archive = zip::ZipArchive::new(Cursor::new(package.zip.to_vec())).unwrap();
        (0..archive.len())
            .map(|index| {
                let mut file = archive.by_index(index).unwrap();
                let mut content = String::new();
                file.read_to_string(&mut content).unwrap();
                (file.name().unwrap().into_owned(), (content, file.unix_mode().unwrap()))
            })
            .collect()
    }

    #[test]
    fn the_same_files_always_give_the_same_bytes() {
        let first = tree(&[("b.js", "b"), ("a/z.js", "z"), ("a.js", "a")]);
        let second = tree(&[("a.js", "a"), ("a/z.js", "z"), ("b.js", "b")]);
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        fs::File::options().write(true).open(second.path().join("b.js")).unwrap().set_modified(long_ago).unwrap();
        let (first, second) = (pack(first.path()).unwrap(), pack(second.path()).unwrap());
        assert_eq!(first, second);
        assert_eq!(first.code_sha256, CodeSha256::of(&first.zip));
        let names: Vec<_> = entries(&first).into_keys().collect();
        assert_eq!(names, ["a.js", "a/z.js", "b.js"]);
    }

    #[test]
    fn a_changed_content_or_name_changes_the_hash() {
        let hash = |files: &[(&str, &str)]| pack(tree(files).path()).unwrap().code_sha256;
        let hashes = [hash(&[("a", "1")]), hash(&[("a", "2")]), hash(&[("b", "1")]), hash(&[("a", "1"), ("b", "")])];
        for (index, one) in hashes.iter().enumerate() {
            assert!(!hashes[..index].contains(one));
        }
    }

    #[test]
    fn everything_is_packed_except_version_control_and_our_own_data() {
        let dir = tree(&[
            ("index.js", ""),
            ("task-config.json", ""),
            (".env", ""),
            ("node_modules/x/index.js", ""),
            (".git/HEAD", ""),
            (".tasklane/credentials", ""),
            ("lib/.DS_Store", ""),
        ]);
        fs::create_dir(dir.path().join("empty")).unwrap();
        let names: Vec<_> = entries(&pack(dir.path()).unwrap()).into_keys().collect();
        assert_eq!(names, [".env", "empty/", "index.js", "node_modules/x/index.js", "task-config.json"]);
    }

    #[test]
    fn a_folder_without_files_is_refused() {
        let dir = tree(&[(".git/HEAD", "")]);
        fs::create_dir(dir.path().join("empty")).unwrap();
        assert!(matches!(pack(dir.path()), Err(PackError::Empty(_))));
        assert!(matches!(pack(&dir.path().join("nowhere")), Err(PackError::Unreadable { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn executable_files_stay_executable_and_other_permissions_make_no_difference() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tree(&[("bootstrap", "#!"), ("data", "")]);
        let mode = |name: &str, mode| {
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        mode("bootstrap", 0o700);
        mode("data", 0o600);
        let first = pack(dir.path()).unwrap();
        mode("bootstrap", 0o775);
        mode("data", 0o664);
        assert_eq!(first, pack(dir.path()).unwrap());
        let entries = entries(&first);
        assert_eq!((entries["bootstrap"].1, entries["data"].1), (0o100_755, 0o100_644));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_kept_and_not_followed_and_those_that_lead_out_are_refused() {
        use std::os::unix::fs::symlink;
        let dir = tree(&[("code/lib/index.js", "x"), ("code/a/b/c", ""), ("outside/secret", "s3cret")]);
        let code = dir.path().join("code");
        let secret = dir.path().join("outside/secret").display().to_string();
        let link = |target: &str, name: &str| symlink(target, code.join(name)).unwrap();
        link("lib", "current");
        link("../../lib/index.js", "a/b/up.js");
        link("nowhere", "broken");
        // As in a virtual environment.
        link(&secret, "python3");
        link("python3", "python");
        let entries = entries(&pack(&code).unwrap());
        assert_eq!(entries["current"], ("lib".to_owned(), 0o120_777));
        assert_eq!(entries["a/b/up.js"].0, "../../lib/index.js");
        assert_eq!(entries["python3"], (secret, 0o120_777));
        assert_eq!(entries["python"].0, "python3");
        assert!(!entries.contains_key("current/index.js"));

        for target in ["../outside/secret", "../nowhere", "lib/../../outside"] {
            link(target, "out");
            let error = pack(&code).unwrap_err();
            assert!(
                matches!(&error, PackError::LinkLeaves { link, .. } if link == Path::new("out")),
                "{target}: {error}"
            );
            fs::remove_file(code.join("out")).unwrap();
        }
        assert!(pack(&code).is_ok());
    }
}
