//! Images for tests, made without Docker.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    sync::OnceLock,
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// A layer under construction.
pub(crate) struct TestLayer(Builder<Vec<u8>>);

impl TestLayer {
    pub(crate) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(crate) fn file(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, "", mode, content)
    }

    pub(crate) fn folder(self, path: &str, mode: u32) -> Self {
        self.entry(EntryType::Directory, path, "", mode, b"")
    }

    pub(crate) fn link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, 0o777, b"")
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, target, 0o644, b"")
    }

    /// Any entry, also one that no tool would write.
    pub(crate) fn entry(mut self, kind: EntryType, path: &str, target: &str, mode: u32, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        let fields = header.as_gnu_mut().unwrap();
        // Not with `set_path`, which refuses `..` and absolute paths.
        fields.name[..path.len()].copy_from_slice(path.as_bytes());
        fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// An image: its layers as tar archives, and the `config` of its configuration.
#[derive(Clone)]
pub(crate) struct TestImage {
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) config: Value,
    pub(crate) architecture: String,
}

/// The architecture of this machine, and the other one.
pub(crate) fn architectures() -> [&'static str; 2] {
    if cfg!(target_arch = "aarch64") { ["arm64", "amd64"] } else { ["amd64", "arm64"] }
}

impl TestImage {
    pub(crate) fn new(layers: Vec<TestLayer>, config: Value) -> Self {
        let layers = layers.into_iter().map(TestLayer::finish).collect();
        Self { layers, config, architecture: architectures()[0].to_owned() }
    }

    fn configuration(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| digest(layer)).collect();
        let rootfs = json!({ "type": "layers", "diff_ids": diff_ids });
        json!({ "architecture": self.architecture, "os": "linux", "config": self.config, "rootfs": rootfs })
            .to_string()
            .into_bytes()
    }

    /// Writes an OCI layout into this folder.
    pub(crate) fn layout(&self, folder: &Path) {
        layout(folder, &[(self, json!({}))]);
    }

    /// Writes an OCI layout as a tar archive.
    pub(crate) fn archive(&self, file: &Path) {
        let folder = tempfile::tempdir().unwrap();
        self.layout(folder.path());
        let mut archive = Builder::new(fs::File::create(file).unwrap());
        archive.append_dir_all(".", folder.path()).unwrap();
        archive.finish().unwrap();
    }

    /// Writes what `docker save` wrote before Docker 25.
    pub(crate) fn saved(&self, file: &Path) {
        saved(file, &[(self, "hello:1")]);
    }
}

/// Writes an OCI layout with these images, each with more fields of its descriptor.
pub(crate) fn layout(folder: &Path, images: &[(&TestImage, Value)]) {
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    let write = |bytes: &[u8]| {
        let digest = digest(bytes);
        fs::write(folder.join("blobs/sha256").join(&digest["sha256:".len()..]), bytes).unwrap();
        json!({ "digest": digest, "size": bytes.len() })
    };
    let mut manifests = Vec::new();
    for (image, more) in images {
        // The first layer is compressed, as registries have them, and the others are not.
        let compressed = |(at, layer): (usize, &Vec<u8>)| if at == 0 { gzip(layer) } else { layer.clone() };
        let layers: Vec<_> = image.layers.iter().enumerate().map(compressed).map(|layer| write(&layer)).collect();
        let config = write(&image.configuration());
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        let mut descriptor = write(manifest.to_string().as_bytes());
        descriptor["mediaType"] = json!("application/vnd.oci.image.manifest.v1+json");
        for (name, value) in more.as_object().unwrap() {
            descriptor[name] = value.clone();
        }
        manifests.push(descriptor);
    }
    fs::write(folder.join("index.json"), json!({ "schemaVersion": 2, "manifests": manifests }).to_string()).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// Writes an archive of `docker save` with these images and their tags.
pub(crate) fn saved(file: &Path, images: &[(&TestImage, &str)]) {
    let mut archive = Builder::new(fs::File::create(file).unwrap());
    let mut put = |name: &str, bytes: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes).unwrap();
    };
    let mut manifest = Vec::new();
    for (at, (image, tag)) in images.iter().enumerate() {
        let configuration = image.configuration();
        let name = format!("{}.json", &digest(&configuration)["sha256:".len()..]);
        put(&name, &configuration);
        let mut layers = Vec::new();
        for (number, layer) in image.layers.iter().enumerate() {
            let name = format!("{at}-{number}/layer.tar");
            put(&name, layer);
            layers.push(name);
        }
        manifest.push(json!({ "Config": name, "RepoTags": [tag], "Layers": layers }));
    }
    put("manifest.json", json!(manifest).to_string().as_bytes());
    archive.finish().unwrap();
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    io::copy(&mut &bytes[..], &mut encoder).unwrap();
    encoder.flush().unwrap();
    encoder.finish().unwrap()
}

/// A static program that speaks the Runtime API. Its events are strings: see `client.c`.
pub(crate) fn client() -> &'static [u8] {
    static CLIENT: OnceLock<Vec<u8>> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (source, program) = (folder.path().join("client.c"), folder.path().join("client"));
        fs::write(&source, include_str!("client.c")).unwrap();
        let compiled = std::process::Command::new("cc").arg("-static").arg("-o").args([&program, &source]).status();
        assert!(compiled.is_ok_and(|status| status.success()), "a C compiler, `cc`, is needed, and its static libc");
        fs::read(program).unwrap()
    })
}
