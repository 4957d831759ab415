//! The documents of an image: its index, its manifest, and its configuration.
//!
//! <https://github.com/opencontainers/image-spec>. An archive of `docker save` has a `manifest.json` of its own, and since
//! Docker 25 an OCI layout beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use tasklane_model::{CodeSha256, ImageReference};

use super::{Image, Wrong, layer::Layer, source::Source};

/// The operating system of all images that run here.
const OS: &str = "linux";

/// How many indexes are inside of each other at most.
const MAX_INDEXES: usize = 4;

/// How many images one layout may have.
const MAX_MANIFESTS: usize = 1000;

/// The most layers that an image has; Docker's limit.
const MAX_LAYERS: usize = 128;

/// The annotations that name an image in an index.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// An image in the `manifest.json` of `docker save`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The configuration of an image.
#[derive(Deserialize)]
pub(super) struct Document {
    architecture: String,
    os: String,
    #[serde(default)]
    config: Option<Settings>,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// What a container of the image is started with. `User` is left out: as in Lambda, Functions have users of their own.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Settings {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
}

/// An image that was found in a source.
pub(super) struct Parts {
    pub(super) digest: CodeSha256,
    /// The bytes that have this digest.
    pub(super) configuration: Vec<u8>,
    pub(super) document: Document,
    /// The lowest one first.
    pub(super) layers: Vec<Layer>,
}

impl Document {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The image with its files in `root`, or what is wrong with it.
    pub(super) fn image(&self, root: PathBuf) -> Result<Image, String> {
        let none = Settings::default();
        let Settings { entrypoint, cmd, env, working_dir } = self.config.as_ref().unwrap_or(&none);
        let command: Vec<_> = [entrypoint, cmd].into_iter().flatten().flatten().cloned().collect();
        if command.first().is_none_or(String::is_empty) {
            return Err("has neither an entry point nor a command, so there is nothing to start".to_owned());
        }
        let texts = command.iter().chain(env.iter().flatten()).chain(working_dir);
        if texts.into_iter().any(|text| text.contains('\0')) {
            return Err("has a zero byte in its command, its variables or its working directory".to_owned());
        }
        let variable = |text: &String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Image {
            root,
            command,
            environment: env.iter().flatten().filter_map(variable).collect(),
            folder: Path::new("/").join(working_dir.as_deref().unwrap_or_default()),
        })
    }

    fn check_platform(&self) -> Result<(), Wrong> {
        let platform = Platform { architecture: self.architecture.clone(), os: self.os.clone() };
        if platform.is_here() { Ok(()) } else { Err(elsewhere([&platform])) }
    }
}

impl Platform {
    fn is_here(&self) -> bool {
        self.os == OS && self.architecture == architecture()
    }
}

/// This machine's processor in the words of Docker.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn elsewhere<'a>(platforms: impl IntoIterator<Item = &'a Platform>) -> Wrong {
    let names: BTreeSet<_> =
        platforms.into_iter().map(|there| format!("{}/{}", there.os, there.architecture)).collect();
    let names = names.into_iter().take(10).collect::<Vec<_>>().join(", ");
    let here = architecture();
    Wrong::new(format!("has no image for {OS}/{here}, only for {names}: build it with --platform {OS}/{here}"))
}

impl Parts {
    /// The image of this name for this machine's processor. A source with one image has it under any name.
    pub(super) fn find(source: &Source, name: &ImageReference) -> Result<Self, Wrong> {
        if source.document("oci-layout")?.is_some()
            && let Some(index) = source.document("index.json")?
        {
            return Self::of_layout(source, name, &parsed("index.json", &index)?);
        }
        match source.document("manifest.json")? {
            Some(saved) => Self::of_saved(source, name, parsed("manifest.json", &saved)?),
            None => Err(Wrong::new(
                "is neither an OCI layout nor an archive of `docker save`: it has neither oci-layout and index.json, nor \
                 manifest.json",
            )),
        }
    }

    fn of_layout(source: &Source, name: &ImageReference, index: &Index) -> Result<Self, Wrong> {
        let mut found = Vec::new();
        collect(source, index, None, MAX_INDEXES, &mut found)?;
        let mut here: Vec<_> =
            found.iter().filter(|image| image.platform.as_ref().is_none_or(Platform::is_here)).collect();
        if here.is_empty() {
            let platforms: Vec<_> = found.iter().filter_map(|image| image.platform.as_ref()).collect();
            return Err(if platforms.is_empty() { Wrong::new("has no image in it") } else { elsewhere(platforms) });
        }
        let digests =
            |images: &[&Found]| images.iter().map(|image| image.digest.as_str()).collect::<BTreeSet<_>>().len();
        if digests(&here) > 1 {
            let names: BTreeSet<_> = here.iter().filter_map(|image| image.name.clone()).collect();
            here.retain(|image| {
                name.digest() == Some(image.digest.as_str())
                    || image.name.as_ref().is_some_and(|own| is_named(own, name))
            });
            if digests(&here) != 1 {
                return Err(several(&names, name));
            }
        }
        let Some(chosen) = here.first() else { return Err(Wrong::new("has no image in it")) };
        let manifest: Manifest = parsed("manifest", &blob(source, &chosen.digest)?)?;
        let configuration = blob(source, &manifest.config.digest)?;
        let mut layers = Vec::new();
        for layer in &manifest.layers {
            layers.push((blob_name(&layer.digest)?, Some(hash_in(&layer.digest)?)));
        }
        Self::new(configuration, layers)
    }

    fn of_saved(source: &Source, name: &ImageReference, saved: Vec<Saved>) -> Result<Self, Wrong> {
        let tags = |image: &Saved| image.repo_tags.clone().unwrap_or_default();
        let names: BTreeSet<_> = saved.iter().flat_map(tags).collect();
        let mut images = saved;
        if images.len() > 1 {
            images.retain(|image| tags(image).iter().any(|own| is_named(own, name)));
        }
        if images.len() > 1 || (images.is_empty() && !names.is_empty()) {
            return Err(several(&names, name));
        }
        let Some(image) = images.pop() else { return Err(Wrong::new("has no image in it")) };
        let configuration = source.document(&image.config)?;
        let configuration =
            configuration.ok_or_else(|| Wrong::new(format!("has no file {:?}: it is incomplete", image.config)))?;
        // Named after its digest, as a blob or as `<digest>.json`.
        let stem = image.config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
        if CodeSha256::of_hex(stem).is_some_and(|hash| hash != CodeSha256::of(&configuration)) {
            return Err(Wrong::new(format!("is damaged: {:?} does not have the digest of its name", image.config)));
        }
        Self::new(configuration, image.layers.into_iter().map(|layer| (layer, None)).collect())
    }

    fn new(configuration: Vec<u8>, layers: Vec<(String, Option<[u8; 32]>)>) -> Result<Self, Wrong> {
        let document = Document::read(&configuration)
            .map_err(|error| Wrong::new(format!("has a configuration that cannot be read: {error}")))?;
        document.check_platform()?;
        if layers.len() != document.rootfs.diff_ids.len() {
            let (has, names) = (layers.len(), document.rootfs.diff_ids.len());
            return Err(Wrong::new(format!("is damaged: it has {has} layers, and its configuration names {names}")));
        }
        if layers.len() > MAX_LAYERS {
            return Err(Wrong::new(format!("has more than {MAX_LAYERS} layers")));
        }
        let mut all = Vec::new();
        for ((name, digest), diff_id) in layers.into_iter().zip(&document.rootfs.diff_ids) {
            all.push(Layer { name, digest, diff_id: hash_in(diff_id)? });
        }
        Ok(Self { digest: CodeSha256::of(&configuration), configuration, document, layers: all })
    }
}

/// An image in an index.
struct Found {
    digest: String,
    platform: Option<Platform>,
    name: Option<String>,
}

/// Adds the images of an index and of those in it.
fn collect(
    source: &Source,
    index: &Index,
    inherited: Option<&str>,
    depth: usize,
    found: &mut Vec<Found>,
) -> Result<(), Wrong> {
    let Some(depth) = depth.checked_sub(1) else { return Err(Wrong::new("has too many indexes inside of each other")) };
    for descriptor in &index.manifests {
        let annotations = descriptor.annotations.as_ref();
        let own = annotations.and_then(|annotations| NAMES.iter().find_map(|key| annotations.get(*key)));
        let name = own.map(String::as_str).or(inherited);
        if descriptor.media_type.ends_with("image.index.v1+json")
            || descriptor.media_type.ends_with("manifest.list.v2+json")
        {
            collect(source, &parsed("index", &blob(source, &descriptor.digest)?)?, name, depth, found)?;
            continue;
        }
        let (digest, platform) = (descriptor.digest.clone(), descriptor.platform.clone());
        found.push(Found { digest, platform, name: name.map(str::to_owned) });
        if found.len() > MAX_MANIFESTS {
            return Err(Wrong::new(format!("has more than {MAX_MANIFESTS} images")));
        }
    }
    Ok(())
}

/// Whether a name in an archive means the same image: the whole name, or only the tag.
fn is_named(own: &str, wanted: &ImageReference) -> bool {
    own == wanted.as_str() || wanted.tag().is_some_and(|tag| own == tag)
}

fn several(names: &BTreeSet<String>, wanted: &ImageReference) -> Wrong {
    let names = names.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
    Wrong::new(format!("has several images ({names}), and none of them alone is {wanted}: save one image only"))
}

/// The content of a blob, if it has the digest of its name.
fn blob(source: &Source, digest: &str) -> Result<Vec<u8>, Wrong> {
    let name = blob_name(digest)?;
    let bytes = source.document(&name)?.ok_or_else(|| Wrong::new(format!("has no file {name}: it is incomplete")))?;
    if Sha256::digest(&bytes)[..] != hash_in(digest)? {
        return Err(Wrong::new(format!("is damaged: {name} does not have the digest of its name")));
    }
    Ok(bytes)
}

fn blob_name(digest: &str) -> Result<String, Wrong> {
    Ok(format!("blobs/sha256/{}", hex::encode(hash_in(digest)?)))
}

/// The hash in `sha256:…`.
fn hash_in(digest: &str) -> Result<[u8; 32], Wrong> {
    let mut hash = [0; 32];
    match digest.strip_prefix("sha256:").map(|text| hex::decode_to_slice(text, &mut hash)) {
        Some(Ok(())) => Ok(hash),
        Some(Err(_)) | None => Err(Wrong::new(format!("names the digest {digest:?}; only sha256 is supported"))),
    }
}

fn parsed<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Wrong> {
    serde_json::from_slice(bytes)
        .map_err(|error| Wrong::new(format!("has a file ({what}) that cannot be read: {error}")))
}
