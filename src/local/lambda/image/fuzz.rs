//! Fuzzes the unpacking of layers.

use std::{fs, path::Path};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};
use tasklane_model::ImageReference;

use super::{ImageStore, Wrong, layer::Budget};

/// What stands for the absolute path of a folder outside of the image, in names and targets of links.
const OUTSIDE: &str = "@";

/// Treats the input as the only layer of an image. If it begins with `# `, it is a list of entries to make a layer from, one per
/// line: a letter for the kind, an octal mode, a name, and after a tab the content or the target of a link. A line with `--`
/// begins another layer.
///
/// Nothing outside of the image's root is made, changed or linked to; what is refused leaves nothing behind; and everything that
/// is unpacked is a file, a folder or a symbolic link.
pub fn image_layer(data: &[u8]) {
    let Ok(around) = tempfile::tempdir() else { return };
    let (layout, outside) = (around.path().join("layout"), around.path().join("outside"));
    for folder in [&layout, &outside] {
        if fs::create_dir(folder).is_err() {
            return;
        }
    }
    let kept = outside.join("kept");
    if fs::write(&kept, "kept").is_err() {
        return;
    }
    let layers = match data.strip_prefix(b"# ") {
        Some(list) => layers_of(&String::from_utf8_lossy(list), &outside),
        None => vec![data.to_vec()],
    };
    if write(&layout, &layers).is_err() {
        return;
    }
    let (Ok(store), Ok(name)) = (ImageStore::open(around.path().join("images")), ImageReference::parse("a")) else {
        return;
    };
    let unpacked = store.unpack(&layout, &name, Budget { bytes: 1 << 20, entries: 1000 });
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(around.path()), ["images", "layout", "outside"], "something was written beside the image");
    assert_eq!(names(&outside), ["kept"], "something was written outside of the image, or removed");
    assert_eq!(fs::read(&kept).ok().as_deref(), Some(&b"kept"[..]), "a file outside of the image was changed");
    let links = fs::metadata(&kept).map(|file| std::os::unix::fs::MetadataExt::nlink(&file)).ok();
    assert_eq!(links, Some(1), "the image has a file of the machine");
    match unpacked {
        Err(Wrong::Invalid(_)) => assert!(names(&around.path().join("images")).is_empty(), "a refused image was kept"),
        // A name that is too long for the file system, for example.
        Err(Wrong::Io(_)) => {}
        Ok(digest) => {
            let root = store.find(digest).map(|image| image.root);
            let Ok(root) = root else { panic!("an unpacked image cannot be read: {root:?}") };
            for entry in walkdir::WalkDir::new(root).into_iter().flatten() {
                let kind = entry.file_type();
                assert!(kind.is_file() || kind.is_dir() || kind.is_symlink(), "{entry:?}");
            }
        }
    }
}

/// Writes an archive of `docker save`, as a folder.
fn write(folder: &Path, layers: &[Vec<u8>]) -> std::io::Result<()> {
    let mut names = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        names.push(format!("layer-{at}"));
        fs::write(folder.join(format!("layer-{at}")), layer)?;
    }
    let diff_ids: Vec<_> =
        layers.iter().map(|layer| format!("sha256:{}", hex::encode(Sha256::digest(layer)))).collect();
    let architecture = super::documents::architecture();
    let configuration = json!({
        "architecture": architecture, "os": "linux", "config": { "Cmd": ["a"] }, "rootfs": { "diff_ids": diff_ids },
    });
    fs::write(folder.join("config"), configuration.to_string())?;
    let manifest = json!([{ "Config": "config", "Layers": names }]);
    fs::write(folder.join("manifest.json"), manifest.to_string())
}

fn layers_of(list: &str, outside: &Path) -> Vec<Vec<u8>> {
    let outside = outside.display().to_string();
    let layer = |lines: &[&str]| {
        let mut archive = Builder::new(Vec::new());
        lines.iter().for_each(|line| append(&mut archive, &line.replace(OUTSIDE, &outside)));
        archive.into_inner().unwrap_or_default()
    };
    let lines: Vec<_> = list.lines().collect();
    lines.split(|line| *line == "--").map(layer).collect()
}

/// Lines that describe no entry are left out.
fn append(archive: &mut Builder<Vec<u8>>, line: &str) {
    let (head, content) = line.split_once('\t').unwrap_or((line, ""));
    let mut fields = head.splitn(3, ' ');
    let (Some(kind), Some(mode), Some(name)) = (fields.next(), fields.next(), fields.next()) else { return };
    let (kind, content, target) = match kind {
        "f" => (EntryType::Regular, content, ""),
        "d" => (EntryType::Directory, "", ""),
        "l" => (EntryType::Symlink, "", content),
        "h" => (EntryType::Link, "", content),
        "c" => (EntryType::Char, "", ""),
        "p" => (EntryType::Fifo, "", ""),
        _ => return,
    };
    let mut header = Header::new_gnu();
    // Not with `set_path`, which refuses `..` and absolute paths. What is too long for the header is left out.
    let Some(fields) = header.as_gnu_mut() else { return };
    let (name, target) = (name.as_bytes(), target.as_bytes());
    let (Some(of_name), Some(of_target)) = (fields.name.get_mut(..name.len()), fields.linkname.get_mut(..target.len()))
    else {
        return;
    };
    of_name.copy_from_slice(name);
    of_target.copy_from_slice(target);
    header.set_entry_type(kind);
    header.set_mode(u32::from_str_radix(mode, 8).unwrap_or(0o644));
    header.set_size(content.len() as u64);
    header.set_cksum();
    let _ = archive.append(&header, content.as_bytes());
}
