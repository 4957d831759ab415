//! Packs folders of files.

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
fn everything_is_packed_except_version_control_our_own_data_and_secrets() {
    let dir = tree(&[
        ("index.js", ""),
        ("task-config.json", ""),
        (".env", ""),
        (".hidden", ""),
        ("lib/.npmrc", ""),
        (".venv/bin/python", ""),
        ("node_modules/x/index.js", ""),
        (".git/HEAD", ""),
        (".tasklane/credentials", ""),
        ("lib/.DS_Store", ""),
        ("a.test.js", ""),
        (".tasklaneignore", "*.test.js"),
    ]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    let listing = Listing::of(dir.path()).unwrap();
    let names: Vec<_> = entries(&listing.pack(&|| false).unwrap()).into_keys().collect();
    assert_eq!(names, [".hidden", "empty/", "index.js", "node_modules/x/index.js", "task-config.json"]);
    assert_eq!(listing.left_out(), [".env", ".venv/", "lib/.npmrc"]);
}

#[test]
fn a_fingerprint_changes_with_what_is_packed_and_nothing_else() {
    let dir = tree(&[("index.js", "a"), ("lib/x.js", "x"), (".git/HEAD", ""), (".tasklaneignore", "*.log")]);
    let fingerprint = || loop {
        // None until the last change is older than the tick of the file system's clock.
        match Listing::of(dir.path()).unwrap().fingerprint() {
            Some(fingerprint) => return fingerprint,
            None => std::thread::yield_now(),
        }
    };
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("index.js", "b");
    assert_eq!(Listing::of(dir.path()).unwrap().fingerprint(), None, "it changed just now");
    let first = fingerprint();
    assert_eq!(first, fingerprint());
    write(".git/HEAD", "x");
    write("debug.log", "x");
    assert_eq!(first, fingerprint(), "of ignored files");
    write("index.js", "c");
    let second = fingerprint();
    assert_ne!(first, second, "the same size");
    write("new.js", "");
    let third = fingerprint();
    assert_ne!(second, third);
    fs::rename(dir.path().join("lib/x.js"), dir.path().join("lib/y.js")).unwrap();
    assert_ne!(third, fingerprint());
    // A stored one can be compared.
    let text = serde_json::to_string(&fingerprint()).unwrap();
    assert_eq!(serde_json::from_str::<Fingerprint>(&text).unwrap(), fingerprint());
}

#[test]
fn packing_stops_between_two_pieces() {
    let dir = tree(&[("a", "1"), ("b", "2"), ("c", "3")]);
    let looks = std::cell::Cell::new(0);
    let stopped = Listing::of(dir.path()).unwrap().pack(&|| {
        looks.set(looks.get() + 1);
        looks.get() > 3
    });
    assert!(matches!(stopped, Err(PackError::Stopped)));
    assert_eq!(looks.get(), 4);
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
    assert!(!entries.contains_key("broken"));
    assert_eq!(Listing::of(&code).unwrap().left_out(), ["broken (a link to nothing)"]);

    for target in ["../outside/secret", "../nowhere", "lib/../../outside"] {
        link(target, "out");
        let error = pack(&code).unwrap_err();
        assert!(matches!(&error, PackError::LinkLeaves { link, .. } if link == Path::new("out")), "{target}: {error}");
        fs::remove_file(code.join("out")).unwrap();
    }
    assert!(pack(&code).is_ok());
}
