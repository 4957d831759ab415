//! Images that are unpacked, and hostile ones that are not.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tar::EntryType;
use tasklane_model::{CodeSha256, ImageReference};

use super::{
    Image, ImageError, ImageStore,
    layer::Budget,
    testing::{TestImage, TestLayer, architectures, digest, gzip, layout, saved},
};

fn name(text: &str) -> ImageReference {
    ImageReference::parse(text).unwrap()
}

fn hello() -> Value {
    json!({ "Entrypoint": ["/bin/hello"] })
}

struct Unpacked {
    store: ImageStore,
    folder: tempfile::TempDir,
}

impl Unpacked {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: ImageStore::open(folder.path().join("images")).unwrap(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn add(&self, image: &TestImage) -> Result<CodeSha256, ImageError> {
        let place = self.path("layout");
        if place.exists() {
            fs::remove_dir_all(&place).unwrap();
        }
        image.layout(&place);
        self.store.add(&place, &name("hello:1"))
    }

    fn root(&self, image: &TestImage) -> PathBuf {
        let digest = self.add(image).unwrap();
        self.store.find(digest).unwrap().root
    }

    /// The error, after which nothing is left behind.
    #[track_caller]
    fn refused(&self, image: &TestImage) -> String {
        let error = self.add(image).unwrap_err();
        self.is_empty();
        assert!(matches!(error, ImageError::Invalid { .. }), "{error:?}");
        error.to_string()
    }

    #[track_caller]
    fn is_empty(&self) {
        assert_eq!(fs::read_dir(self.path("images")).unwrap().count(), 0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn every_form_of_an_image_is_the_same_image() {
    let world = Unpacked::new();
    let layer = TestLayer::new().folder("bin/", 0o755).file("bin/hello", 0o755, b"hello");
    let config =
        json!({ "Entrypoint": ["/bin/hello"], "Cmd": ["a", "b"], "Env": ["A=1=2", "B="], "WorkingDir": "srv" });
    let image = TestImage::new(vec![layer, TestLayer::new().file("etc/a", 0o644, b"a")], config);
    let [folder, archive, save] = ["layout", "oci.tar", "saved.tar"].map(|name| world.path(name));
    image.layout(&folder);
    image.archive(&archive);
    image.saved(&save);
    let digests = [&folder, &archive, &save].map(|place| world.store.add(place, &name("other")).unwrap());
    assert_eq!([digests[0]; 3], digests);
    assert_eq!(super::image_digest(&save, &name("other")).unwrap(), digests[0]);
    let found = world.store.find(digests[0]).unwrap();
    let root = found.root.clone();
    assert_eq!(fs::read_to_string(root.join("bin/hello")).unwrap(), "hello");
    let expected = Image {
        root,
        command: ["/bin/hello", "a", "b"].map(str::to_owned).to_vec(),
        environment: vec![("A".into(), "1=2".into()), ("B".into(), String::new())],
        folder: "/srv".into(),
    };
    assert_eq!(found, expected);
    world.store.keep_only(&digests.into()).unwrap();
    assert!(world.store.contains(digests[0]));
    world.store.keep_only(&[].into()).unwrap();
    world.is_empty();
}

#[test]
fn layers_cover_and_remove_what_is_below_them() {
    let world = Unpacked::new();
    let first = TestLayer::new()
        .file("a/kept", 0o644, b"1")
        .file("a/removed", 0o644, b"1")
        .file("a/covered", 0o644, b"1")
        .file("b/gone", 0o644, b"1")
        .file("b/below/gone", 0o644, b"1")
        .file("c", 0o644, b"1")
        .folder("d/", 0o755)
        .link("l", "a")
        .hard_link("h", "a/kept");
    let second = TestLayer::new()
        .file("a/covered", 0o600, b"22")
        .file("a/.wh.removed", 0o644, b"")
        .file("b/new", 0o644, b"2")
        // After what the same layer adds: it concerns only the layers below.
        .file("b/.wh..wh..opq", 0o644, b"")
        .file(".wh.d", 0o644, b"")
        .file(".wh.not-there", 0o644, b"")
        .file(".wh..wh.plnk", 0o644, b"")
        .folder("c/", 0o700)
        .file("c/inside", 0o755, b"2")
        // Through a link of the layer below.
        .file("l/through", 0o644, b"2");
    let root = world.root(&TestImage::new(vec![first, second], hello()));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    assert_eq!(["a/kept", "h", "b/new", "c/inside", "a/through"].map(read), ["1", "1", "2", "2", "2"]);
    for gone in ["a/removed", "b/gone", "b/below", "d", "a/.wh.removed", "b/.wh..wh..opq", ".wh..wh.plnk"] {
        assert!(fs::symlink_metadata(root.join(gone)).is_err(), "{gone}");
    }
    assert_eq!(fs::read_link(root.join("l")).unwrap(), Path::new("a"));
    assert_eq!(fs::metadata(root.join("h")).unwrap().ino(), fs::metadata(root.join("a/kept")).unwrap().ino());
}

#[test]
fn files_have_the_permissions_that_others_have_and_no_more() {
    let world = Unpacked::new();
    let layer = TestLayer::new()
        .file("run", 0o4755, b"")
        .file("read", 0o666, b"")
        .file("own", 0o600, b"")
        .folder("open/", 0o1777)
        .folder("closed/", 0o700)
        .link("tmp", "/var/tmp")
        .link("etc/resolv.conf", "/run/resolv.conf")
        .file("etc/ld.so.preload", 0o644, b"/evil.so")
        .entry(EntryType::Char, "device", "", 0o666, b"")
        .entry(EntryType::Fifo, "pipe", "", 0o666, b"");
    let root = world.root(&TestImage::new(vec![layer], hello()));
    let modes = ["run", "read", "own", "open", "closed", "missing"];
    let modes = modes.iter().filter(|name| root.join(name).exists()).map(|name| mode(&root.join(name)));
    assert_eq!(modes.collect::<Vec<_>>(), [0o555, 0o444, 0, 0o755, 0o700]);
    for absent in ["device", "pipe", "etc/ld.so.preload"] {
        assert!(fs::symlink_metadata(root.join(absent)).is_err(), "{absent}");
    }
    // What a jail mounts something over is no link.
    for folder in ["proc", "dev", "tmp", "etc"] {
        assert!(fs::symlink_metadata(root.join(folder)).unwrap().is_dir(), "{folder}");
    }
    assert!(fs::symlink_metadata(root.join("etc/resolv.conf")).unwrap().is_file());
    assert_eq!(mode(&root), 0o755);
}

#[test]
fn no_layer_writes_outside_of_its_image() {
    let world = Unpacked::new();
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    fs::write(outside.join("kept"), "kept").unwrap();
    let to = outside.to_str().unwrap();
    let up = "../../../../../../../../../../../../../..";
    let escape = format!("{up}{to}");

    for path in ["../escaped", "a/../../escaped", &escape] {
        let said = world.refused(&TestImage::new(vec![TestLayer::new().file(path, 0o644, b"x")], hello()));
        assert!(said.contains("a file outside of itself"), "{path}: {said}");
    }
    // An absolute path is below the image's root.
    let absolute = format!("{to}/absolute");
    let root = world.root(&TestImage::new(vec![TestLayer::new().file(&absolute, 0o644, b"x")], hello()));
    assert!(root.join(&absolute[1..]).is_file() && !outside.join("absolute").exists());
    world.store.keep_only(&[].into()).unwrap();

    // Through links, in the same layer and in a later one, absolute and relative.
    for target in [to, escape.as_str()] {
        let link = || TestLayer::new().link("link", target);
        for layers in [
            vec![link().file("link/escaped", 0o644, b"x")],
            vec![link(), TestLayer::new().file("link/escaped", 0o644, b"x")],
            vec![link(), TestLayer::new().folder("link/escaped/", 0o755)],
            vec![link(), TestLayer::new().link("link/escaped", "/etc/passwd")],
            vec![link(), TestLayer::new().file("link/.wh.kept", 0o644, b"")],
            vec![link(), TestLayer::new().file("link/.wh..wh..opq", 0o644, b"")],
        ] {
            // Some are refused, because the link leads nowhere in the image; others land in the image.
            let _ = world.add(&TestImage::new(layers, hello()));
            assert!(fs::symlink_metadata(outside.join("escaped")).is_err(), "{target}");
            assert_eq!(fs::read_to_string(outside.join("kept")).unwrap(), "kept", "{target}");
        }
        // A file takes the place of a link, and is not written through it.
        let over =
            vec![TestLayer::new().link("file", &format!("{to}/kept")), TestLayer::new().file("file", 0o644, b"x")];
        let root = world.root(&TestImage::new(over, hello()));
        assert_eq!(fs::read_to_string(root.join("file")).unwrap(), "x");
        assert_eq!(fs::read_to_string(outside.join("kept")).unwrap(), "kept");
        world.store.keep_only(&[].into()).unwrap();
    }

    // A hard link to a file of the machine, by its path and through a link.
    for target in [format!("{to}/secret"), format!("{escape}/secret")] {
        let linked = TestImage::new(vec![TestLayer::new().hard_link("stolen", &target)], hello());
        let said = world.refused(&linked);
        assert!(said.contains("hard link") || said.contains("outside of itself"), "{said}");
    }
    let through = TestLayer::new().link("link", to).hard_link("stolen", "link/secret");
    assert!(world.refused(&TestImage::new(vec![through], hello())).contains("hard link"));
    assert_eq!(fs::metadata(outside.join("secret")).unwrap().nlink(), 1);

    // The places that a jail is mounted over.
    for place in ["etc", "tmp", "proc", "dev"] {
        let root = world.root(&TestImage::new(vec![TestLayer::new().link(place, to)], hello()));
        assert!(fs::symlink_metadata(root.join(place)).unwrap().is_dir());
        world.store.keep_only(&[].into()).unwrap();
    }
    let left: Vec<_> = fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn an_image_that_is_not_what_its_digests_say_is_refused() {
    let world = Unpacked::new();
    let image = TestImage::new(vec![TestLayer::new().file("a", 0o644, b"a")], hello());
    let place = world.path("layout");
    let blobs = place.join("blobs/sha256");
    let blob = |bytes: &[u8]| blobs.join(&digest(bytes)["sha256:".len()..]);
    let refused = |change: &dyn Fn()| {
        image.layout(&place);
        change();
        let error = world.store.add(&place, &name("hello:1")).unwrap_err().to_string();
        world.is_empty();
        error
    };
    let layer = blob(&gzip(&image.layers[0]));
    let said = refused(&|| fs::write(&layer, gzip(&TestLayer::new().file("a", 0o644, b"b").finish())).unwrap());
    assert!(said.contains("does not have its digest"), "{said}");
    let said = refused(&|| fs::write(&layer, &gzip(&image.layers[0])[..40]).unwrap());
    assert!(said.contains("cannot be read"), "{said}");
    let said = refused(&|| fs::remove_file(&layer).unwrap());
    assert!(said.contains("incomplete"), "{said}");
    fs::remove_dir_all(&place).unwrap();
    // Every document, changed by one space.
    image.layout(&place);
    let documents: Vec<_> = fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().path()).collect();
    for document in documents.iter().filter(|path| **path != layer) {
        let said = refused(&|| fs::write(document, [fs::read(document).unwrap(), b" ".to_vec()].concat()).unwrap());
        assert!(said.contains("does not have the digest of its name"), "{said}");
        fs::remove_dir_all(&place).unwrap();
    }
    // What `docker save` wrote has no digests of its layers but those of the configuration.
    let file = world.path("saved.tar");
    image.saved(&file);
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(3).position(|part| part == b"a\0\0").unwrap();
    bytes[at] = b'z';
    fs::write(&file, bytes).unwrap();
    assert!(world.store.add(&file, &name("hello:1")).is_err());
    world.is_empty();
}

#[test]
fn an_image_has_bounds() {
    let world = Unpacked::new();
    let place = world.path("bomb");
    // Compressed to a thousandth.
    let image = TestImage::new(vec![TestLayer::new().file("zeros", 0o644, &vec![0; 4 << 20])], hello());
    image.layout(&place);
    let small = Budget { bytes: 2 << 20, entries: 10 };
    let said = world.store.unpack(&place, &name("hello"), small).unwrap_err().at(&place).to_string();
    assert!(said.contains("is too large"), "{said}");
    world.is_empty();
    // Together, and not each of them.
    let layer = || TestLayer::new().file("zeros", 0o644, &vec![0; 1 << 20]);
    let image = TestImage::new(vec![layer(), layer(), layer()], hello());
    fs::remove_dir_all(&place).unwrap();
    image.layout(&place);
    assert!(world.store.unpack(&place, &name("hello"), small).is_err());
    world.is_empty();
    let many = (0..11).fold(TestLayer::new(), |layer, at| layer.file(&format!("f{at}"), 0o644, b""));
    fs::remove_dir_all(&place).unwrap();
    TestImage::new(vec![many], hello()).layout(&place);
    assert!(world.store.unpack(&place, &name("hello"), small).is_err());
    let deep = "d/".repeat(40);
    let deeper = TestLayer::new().entry(EntryType::Directory, &deep, "", 0o755, b"");
    assert!(world.add(&TestImage::new(vec![deeper], hello())).is_ok());
    world.store.keep_only(&[].into()).unwrap();
    let circle = TestLayer::new().link("a", "b").link("b", "a").file("a/x", 0o644, b"");
    assert!(world.refused(&TestImage::new(vec![circle], hello())).contains("is no folder"));
    let too_many = (0..129).map(|_| TestLayer::new()).collect();
    assert!(world.refused(&TestImage::new(too_many, hello())).contains("more than 128 layers"));
}

#[test]
fn the_image_for_this_processor_is_chosen() {
    let world = Unpacked::new();
    let [here, other] = architectures();
    let of = |architecture: &str| {
        let layer = TestLayer::new().file("which", 0o644, architecture.as_bytes());
        TestImage { architecture: architecture.to_owned(), ..TestImage::new(vec![layer], hello()) }
    };
    let platform = |architecture: &str| json!({ "platform": { "architecture": architecture, "os": "linux" } });
    let place = world.path("layout");
    // As `docker buildx` writes it, with a document about how it was built.
    let attested = json!({ "platform": { "architecture": "unknown", "os": "unknown" } });
    layout(&place, &[(&of(other), platform(other)), (&of(here), platform(here)), (&of("x"), attested)]);
    let root = world.store.find(world.store.add(&place, &name("hello")).unwrap()).unwrap().root;
    assert_eq!(fs::read_to_string(root.join("which")).unwrap(), here);
    world.store.keep_only(&[].into()).unwrap();
    for with_platform in [true, false] {
        fs::remove_dir_all(&place).unwrap();
        layout(&place, &[(&of(other), if with_platform { platform(other) } else { json!({}) })]);
        let said = world.store.add(&place, &name("hello")).unwrap_err().to_string();
        assert!(said.contains(&format!("no image for linux/{here}, only for linux/{other}")), "{said}");
    }
}

#[test]
fn one_of_several_images_is_chosen_by_its_name() {
    let world = Unpacked::new();
    let of = |content: &str| TestImage::new(vec![TestLayer::new().file("which", 0o644, content.as_bytes())], hello());
    let tagged = |tag: &str| json!({ "annotations": { "org.opencontainers.image.ref.name": tag } });
    let [folder, file] = ["layout", "saved.tar"].map(|name| world.path(name));
    layout(&folder, &[(&of("1"), tagged("v1")), (&of("2"), tagged("registry/hello:v2"))]);
    saved(&file, &[(&of("1"), "hello:v1"), (&of("2"), "registry/hello:v2")]);
    let which = |place: &Path, wanted: &str| {
        let digest = world.store.add(place, &name(wanted)).map_err(|error| error.to_string())?;
        Ok::<_, String>(fs::read_to_string(world.store.find(digest).unwrap().root.join("which")).unwrap())
    };
    assert_eq!(which(&folder, "hello:v1").unwrap(), "1");
    for place in [&folder, &file] {
        assert_eq!(which(place, "registry/hello:v2").unwrap(), "2");
        let said = which(place, "hello:v3").unwrap_err();
        assert!(said.contains("has several images") && said.contains("save one image only"), "{said}");
    }
    assert_eq!(which(&file, "hello:v1").unwrap(), "1");
}

#[test]
fn what_is_no_image_is_refused_with_a_sentence() {
    let world = Unpacked::new();
    let add = |place: &Path| world.store.add(place, &name("hello")).unwrap_err().to_string();
    let folder = world.path("folder");
    fs::create_dir(&folder).unwrap();
    assert!(add(&folder).contains("is neither an OCI layout nor an archive of `docker save`"));
    assert!(add(&world.path("absent")).contains("cannot be read: No such file"));
    let file = world.path("file");
    fs::write(&file, "no image").unwrap();
    let said = add(&file);
    assert!(said.contains("not a readable tar archive") || said.contains("is neither"), "{said}");
    fs::write(&file, gzip(b"an archive")).unwrap();
    assert!(add(&file).contains("is compressed as a whole"));
    let layer = || vec![TestLayer::new().file("a", 0o644, b"a")];
    assert!(world.refused(&TestImage::new(layer(), json!({}))).contains("neither an entry point nor a command"));
    let zero = json!({ "Entrypoint": ["/bin/hello\u{0}"] });
    assert!(world.refused(&TestImage::new(layer(), zero)).contains("a zero byte"));
    let mut zstd = TestImage::new(layer(), hello());
    zstd.layers.push([&[0x28, 0xb5, 0x2f, 0xfd][..], b"more"].concat());
    assert!(world.refused(&zstd).contains("zstd"));
    // A folder's links are not followed, wherever they lead.
    TestImage::new(layer(), hello()).layout(&folder);
    fs::remove_file(folder.join("index.json")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("index.json")).unwrap();
    assert!(add(&folder).contains("no ordinary file"));
    // A manifest that names files elsewhere.
    for outside in ["../secret", "/etc/passwd", ""] {
        let manifest = json!([{ "Config": outside, "RepoTags": [], "Layers": [] }]);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
        assert!(add(folder.path()).contains("outside of itself"), "{outside}");
    }
    world.is_empty();
}

#[test]
fn unfinished_images_of_a_killed_server_are_removed_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let unfinished = folder.path().join("images/abc.unfinished");
    fs::create_dir_all(unfinished.join("root/lib")).unwrap();
    fs::set_permissions(unfinished.join("root/lib"), fs::Permissions::from_mode(0o700)).unwrap();
    ImageStore::open(folder.path().join("images")).unwrap();
    assert!(!unfinished.exists());
}
