//! What a release publishes (`infra/release/build`): each package is installed in its own way into an empty place, and
//! runs the first command of README.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::{Value, json};

use crate::support::{command::Ended, project::repository};

/// The artifacts of the program under test, made once for all tests of a run.
fn artifacts() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("release-artifacts");
        let _ = fs::remove_dir_all(&out);
        build(program(), &out);
        out
    })
}

/// The program under test as a release has it: without symbols, which are most of its size.
fn program() -> &'static Path {
    static STRIPPED: OnceLock<PathBuf> = OnceLock::new();
    STRIPPED.get_or_init(|| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stripped-tasklane");
        done(Command::new("strip").arg("-o").arg(&program).arg(env!("CARGO_BIN_EXE_tasklane")), "Install binutils.");
        program
    })
}

/// Small stand-ins for the handlers, which take long to build.
fn handlers() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("release-handlers");
    for architecture in ["arm64", "x86_64"] {
        fs::create_dir_all(folder.join(architecture)).unwrap();
        for handler in ["api", "dispatcher", "ticker"] {
            fs::write(folder.join(architecture).join(format!("{handler}.zip")), "PK").unwrap();
        }
    }
    folder
}

#[test]
fn each_package_has_the_handlers_where_the_program_looks_for_them() {
    let listed = |artifact: PathBuf| done(Command::new("tar").arg("-tzf").arg(artifact), "Install tar.");
    let tar = listed(artifact("-linux-gnu.tar.gz"));
    assert!(tar.lines().any(|path| path.ends_with("/handlers/arm64/api.zip")), "{tar}");
    let cpu = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let npm = listed(artifact(&format!("tasklane-linux-{cpu}-{}.tgz", env!("CARGO_PKG_VERSION"))));
    assert!(npm.contains("package/bin/tasklane\n"), "{npm}");
    assert!(npm.contains("package/share/tasklane/handlers/x86_64/ticker.zip"), "{npm}");
    let wheel = artifact(&format!("_{}.whl", std::env::consts::ARCH));
    let wheel = done(Command::new("python3").args(["-m", "zipfile", "-l"]).arg(wheel), "Install Python.");
    assert!(wheel.contains(".data/data/share/tasklane/handlers/arm64/dispatcher.zip"), "{wheel}");
}

fn build(program: &Path, out: &Path) {
    let mut build = Command::new(repository().join("infra/release/build"));
    build.arg("--handlers").arg(handlers());
    build.arg("--binary").arg(program).arg("--out").arg(out).args(["--with", "node", "--fast"]);
    build.args(["--downloads", "https://downloads.test/tasklane"]).env("SOURCE_DATE_EPOCH", "1700000000");
    done(&mut build, "It needs Python 3.11 or later.");
}

/// The artifact whose name ends like this.
fn artifact(end: &str) -> PathBuf {
    let found = fs::read_dir(artifacts()).unwrap().map(|entry| entry.unwrap().path());
    let mut found = found.filter(|path| path.to_str().is_some_and(|path| path.ends_with(end)));
    let first = found.next().unwrap_or_else(|| panic!("no artifact ends with {end}"));
    assert!(found.next().is_none(), "several artifacts end with {end}");
    first
}

/// Runs a command to its end, and returns what it printed.
fn done(command: &mut Command, advice: &str) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start ({error}). {advice}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed. {advice}\n{said}{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).expect("it prints text")
}

/// The arguments of the first command of README, for a shell.
fn first_command() -> String {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let line = readme.lines().find_map(|line| line.strip_prefix("cargo run -- "));
    line.expect("README runs a Function first").to_owned()
}

/// Runs README's first command with the program that this shell text names.
fn greets(program: &str) {
    let home = tempfile::tempdir().unwrap();
    let line = format!("{program} {}", first_command());
    let mut shell = Command::new("sh");
    let path = std::env::var_os("PATH").expect("there is a PATH");
    shell.args(["-c", &line]).current_dir(repository()).env_clear().env("PATH", path).env("HOME", home.path());
    assert_eq!(Ended::of(&mut shell).expect(0).json(), json!({ "message": "Hello, Ada!" }));
}

#[test]
fn the_tar_archive() {
    let place = tempfile::tempdir().unwrap();
    let archive = artifact(".tar.gz");
    done(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(place.path()), "Install tar.");
    let name = archive.file_name().unwrap().to_str().unwrap().trim_end_matches(".tar.gz");
    let folder = place.path().join(name);
    greets(folder.join("tasklane").to_str().unwrap());
    for file in ["LICENSE-MIT", "LICENSE-APACHE", "README.md", "man/man1/tasklane-tasks-create.1"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    for (shell, file) in [("bash", "tasklane.bash"), ("zsh", "_tasklane"), ("fish", "tasklane.fish")] {
        let script = fs::read_to_string(folder.join("completions").join(file)).unwrap();
        assert!(script.contains("tasklane"), "{shell}");
    }
}

#[test]
fn the_debian_package() {
    let place = tempfile::tempdir().unwrap();
    let package = artifact(".deb");
    done(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(place.path()), "Install dpkg.");
    greets(place.path().join("usr/bin/tasklane").to_str().unwrap());
    let field = |name: &str| done(Command::new("dpkg-deb").arg("--field").arg(&package).arg(name), "Install dpkg.");
    assert_eq!(field("Package").trim(), "tasklane");
    assert_eq!(field("Version").trim(), env!("CARGO_PKG_VERSION"));
    assert!(field("Depends").starts_with("libc6 (>= 2."), "{}", field("Depends"));
    let doc = place.path().join("usr/share/doc/tasklane");
    assert!(doc.join("copyright").is_file() && place.path().join("usr/share/man/man1/tasklane.1.gz").is_file());
    // What dpkg --verify compares later.
    let control = place.path().join("control");
    done(Command::new("dpkg-deb").arg("--control").arg(&package).arg(&control), "Install dpkg.");
    let check = ["--check", "--quiet", "control/md5sums"];
    done(Command::new("md5sum").args(check).current_dir(place.path()), "Install coreutils.");
}

#[test]
fn the_wheel() {
    let place = tempfile::tempdir().unwrap();
    let venv = place.path().join("venv");
    done(Command::new("python3").args(["-m", "venv"]).arg(&venv), "Install Python's venv (python3-venv on Debian).");
    let arguments = ["-m", "pip", "install", "--quiet", "--no-index", "--no-input", "--disable-pip-version-check"];
    let python = venv.join("bin/python");
    let architecture = std::env::consts::ARCH;
    let wheels = [artifact(&format!("_{architecture}.whl")), artifact("-any.whl")];
    done(Command::new(&python).args(arguments).args(wheels), "");
    greets(venv.join("bin/tasklane").to_str().unwrap());
    let shown = done(Command::new(&python).args(["-m", "pip", "--disable-pip-version-check", "show", "tasklane"]), "");
    assert!(shown.contains(&format!("Version: {}\n", env!("CARGO_PKG_VERSION"))), "{shown}");
    // The kit finds the program that was installed beside it.
    let script = "import importlib.metadata as m, tasklane_testing as t
print([point.value for point in m.entry_points(group='pytest11')])
with t.Service() as service: print(service.tasks())";
    let path = std::env::join_paths([venv.join("bin"), "/usr/bin".into(), "/bin".into()]).unwrap();
    let mut kit = Command::new(&python);
    let printed = done(kit.args(["-c", script]).env("PATH", path).env_remove("TASKLANE_BIN"), "");
    assert_eq!(printed, "['tasklane_testing.plugin']\n[]\n");
}

#[test]
fn the_packages_for_npm() {
    let place = tempfile::tempdir().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let launcher = artifacts().join(format!("tasklane-{version}.tgz"));
    let cpu = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let program = artifacts().join(format!("tasklane-linux-{cpu}-{version}.tgz"));
    let mut npm = Command::new("npm");
    npm.args(["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]);
    npm.arg("--cache").arg(place.path().join("cache")).arg("--prefix").arg(place.path());
    let kit = artifacts().join(format!("tasklane-testing-{version}.tgz"));
    done(npm.arg(&launcher).arg(&program).arg(&kit), "Install Node.js 20 or later, which brings npm.");
    greets(place.path().join("node_modules/.bin/tasklane").to_str().unwrap());
    // The kit finds the program that was installed beside it.
    let script = "import { start } from 'tasklane-testing';
        const service = await start(); console.log(await service.tasks()); await service.close();";
    let mut node = Command::new("node");
    node.args(["--input-type=module", "-e", script]).current_dir(place.path()).env_remove("TASKLANE_BIN");
    let bin = place.path().join("node_modules/.bin");
    let mut path = vec![bin];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").expect("there is a PATH")));
    assert_eq!(done(node.env("PATH", std::env::join_paths(path).unwrap()), ""), "[]\n");
    // Nothing runs at installation.
    for package in ["tasklane".to_owned(), "tasklane-testing".to_owned(), format!("@tasklane/linux-{cpu}")] {
        let manifest = fs::read(place.path().join("node_modules").join(package).join("package.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        assert!(manifest.get("scripts").is_none(), "{manifest}");
        assert_eq!(manifest["version"], version);
    }
    // Without the package of the platform it says what is missing.
    fs::remove_dir_all(place.path().join("node_modules/@tasklane")).unwrap();
    let ended = Ended::of(&mut Command::new(place.path().join("node_modules/.bin/tasklane"))).expect(2);
    assert!(ended.stderr.contains(&format!("@tasklane/linux-{cpu} is not installed")), "{}", ended.stderr);
}

#[test]
fn the_image() {
    let place = tempfile::tempdir().unwrap();
    let (layout, root) = (place.path().join("layout"), place.path().join("root"));
    fs::create_dir_all(&layout).unwrap();
    fs::create_dir_all(&root).unwrap();
    let unpack = |archive: &Path, to: &Path| {
        done(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(to), "Install tar.");
    };
    unpack(&artifact(".oci.tar"), &layout);
    let read = |path: &str| serde_json::from_slice::<Value>(&fs::read(layout.join(path)).unwrap()).unwrap();
    let blob = |described: &Value| format!("blobs/{}", described["digest"].as_str().unwrap().replace(':', "/"));
    let manifest = read(&blob(&read("index.json")["manifests"][0]));
    for layer in manifest["layers"].as_array().unwrap() {
        unpack(&layout.join(blob(layer)), &root);
    }
    let config = read(&blob(&manifest["config"]));
    let entry_point = config["config"]["Entrypoint"][0].as_str().unwrap();
    let environment = config["config"]["Env"][0].as_str().unwrap().trim_start_matches("PATH=");
    done(Command::new(repository().join("infra/debian/install")).arg("bwrap"), "");
    let examples = repository().join("examples");
    // The root of the image, and what a container engine adds.
    greets(&format!(
        "bwrap --bind {root} / --ro-bind {examples} /work/examples --proc /proc --dev /dev --chdir {folder} \
         --unshare-all --setenv PATH {environment} --setenv HOME /tmp {entry_point}",
        root = root.display(),
        examples = examples.display(),
        folder = config["config"]["WorkingDir"].as_str().unwrap(),
    ));
}

#[test]
fn the_lists_of_what_there_is() {
    let version = env!("CARGO_PKG_VERSION");
    done(Command::new("sha256sum").args(["--check", "--strict", "--quiet", "SHA256SUMS"]).current_dir(artifacts()), "");
    let sums = fs::read_to_string(artifacts().join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), fs::read_dir(artifacts()).unwrap().count() - 1, "each artifact has a checksum");

    let bill: Value = serde_json::from_slice(&fs::read(artifact(".cdx.json")).unwrap()).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["metadata"]["component"]["version"]), (&json!("CycloneDX"), &json!(version)));
    let names: Vec<_> =
        bill["components"].as_array().unwrap().iter().map(|each| each["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"tokio") && names.contains(&"tasklane-model"), "{names:?}");
    // Only tests use these.
    assert!(!names.contains(&"proptest") && !names.contains(&"tasklane-testing"), "{names:?}");

    let formula = fs::read_to_string(artifact(".rb")).unwrap();
    let archive = artifact(".tar.gz");
    let name = archive.file_name().unwrap().to_str().unwrap();
    assert!(formula.contains(&format!("\"https://downloads.test/tasklane/{name}\"")), "{formula}");
    assert!(!formula.contains('@'), "{formula}");
    let sum = sums.lines().find(|line| line.ends_with(name)).unwrap().split(' ').next().unwrap();
    assert!(formula.contains(sum), "{formula}");
}

#[test]
fn the_same_program_makes_the_same_artifacts() {
    let (first, again) = (artifacts(), tempfile::tempdir().unwrap());
    build(program(), again.path());
    let sums = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert_eq!(sums(first), sums(again.path()));
}

#[test]
fn what_cannot_be_packaged_is_refused_with_a_reason() {
    let out = tempfile::tempdir().unwrap();
    let text = repository().join("README.md");
    for (program, why) in [(Path::new("/missing"), "there is no program"), (&text, "no 64-bit program for Linux")] {
        let mut build = Command::new(repository().join("infra/release/build"));
        let ended = Ended::of(build.arg("--binary").arg(program).arg("--out").arg(out.path())).expect(1);
        assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains(why), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}
