//! Functions that run a container image.

use std::{fs, path::PathBuf, sync::Arc};

use serde_json::{Value, json};
use tasklane_model::{Configuration, Deployment, FunctionSpec, ImageReference, InvokeError, MemoryLimit, TimeLimit};

use super::harness::{Deployed, World, also_as_an_ordinary_user, environment, eventually, spec};
use crate::{
    Code, DeployError, ImageSource, JailMode,
    image::testing::{TestImage, TestLayer, client},
};

/// One image, whatever its name.
struct OnePlace(PathBuf);

impl ImageSource for OnePlace {
    fn place(&self, image: &ImageReference) -> Option<PathBuf> {
        (image.repository() == "hello").then(|| self.0.clone())
    }
}

struct Images {
    world: World,
    place: PathBuf,
}

impl Images {
    fn new(jail: JailMode) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("image.tar");
        let images = Arc::new(OnePlace(place.clone()));
        let world = World::on(folder, |config| {
            config.images = images;
            config.jail = jail;
        });
        Self { world, place }
    }

    async fn deploy(&self, image: &TestImage, change: impl FnOnce(&mut FunctionSpec)) -> Deployed {
        image.archive(&self.place);
        let mut spec = of("hello:1");
        change(&mut spec);
        let deployment = self.world.lambda.deploy(&spec, Some(Code::Image), None).await.unwrap();
        Deployed { spec, deployment }
    }

    async fn ask(&self, function: &Deployed, what: &str) -> String {
        let ran = self.world.run(function, json!(what)).await;
        ran.returned().as_str().unwrap().to_owned()
    }
}

fn of(image: &str) -> FunctionSpec {
    FunctionSpec {
        configuration: Configuration {
            time_limit: TimeLimit::new(5).unwrap(),
            memory_limit: MemoryLimit::new(128).unwrap(),
            ..Configuration::of_image(ImageReference::parse(image).unwrap())
        },
        ..spec("f")
    }
}

/// An image with the test program as `/app/hello`, whose layers are covered by another one.
fn hello(config: Value) -> TestImage {
    let base = TestLayer::new()
        .file("app/hello", 0o755, client())
        .file("app/not-a-program", 0o755, b"no program\n")
        .file("etc/hostname", 0o644, b"of-the-image\n")
        .file("etc/gone", 0o644, b"gone")
        .file("secret", 0o600, b"secret")
        .folder("work/", 0o755);
    TestImage::new(vec![base, TestLayer::new().file("etc/.wh.gone", 0o644, b"")], config)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_runs_with_its_own_files_entry_point_and_variables() {
    also_as_an_ordinary_user("images::an_image_runs_with_its_own_files_entry_point_and_variables").await;
    let images = Images::new(JailMode::On);
    let config = json!({
        "Entrypoint": ["hello", "first"], "Cmd": ["second"], "WorkingDir": "/work", "User": "root",
        "Env": ["PATH=/nowhere:/app", "OF_IMAGE=yes", "BOTH=image", "AWS_REGION=mars", "TZ=:Europe/Brussels"],
    });
    let function = images
        .deploy(&hello(config), |spec| {
            spec.configuration.environment = environment(&[("BOTH", "function"), ("OF_FUNCTION", "yes")]);
        })
        .await;
    let ran = images.world.run(&function, json!("arguments")).await;
    assert_eq!(ran.returned(), json!("hello first second"));
    assert_eq!(ran.own_lines(), ["the image started", "doing arguments"]);
    assert!(ran.log.last().unwrap().contains("Memory Size: 128 MB"), "{:?}", ran.log);
    for (what, answer) in [
        ("folder", "/work"),
        ("user", "nobody"),
        ("variable:OF_IMAGE", "yes"),
        ("variable:BOTH", "function"),
        ("variable:OF_FUNCTION", "yes"),
        ("variable:PATH", "/nowhere:/app"),
        ("variable:TZ", ":Europe/Brussels"),
        ("variable:AWS_REGION", "us-east-1"),
        ("variable:AWS_LAMBDA_FUNCTION_NAME", "test-f"),
        ("variable:AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        // What belongs to packages and to our bootstraps.
        ("variable:_HANDLER", "(none)"),
        ("variable:LAMBDA_TASK_ROOT", "(none)"),
        ("variable:AWS_EXECUTION_ENV", "(none)"),
        ("variable:_TASKLANE_RUNTIME_SOCKET", "(none)"),
        // Its own files, and none of the machine's.
        ("read:/etc/hostname", "of-the-image\n"),
        ("read:/etc/gone", "No such file or directory"),
        ("read:/secret", "Permission denied"),
        ("read:/etc/passwd", "No such file or directory"),
        ("read:/usr/bin/env", "No such file or directory"),
        (
            "read:/proc/1/root/usr/bin/env",
            if nix::unistd::geteuid().is_root() { "Permission denied" } else { "No such file or directory" },
        ),
        ("list:/", "app dev etc proc secret tmp work"),
        ("list:/var", "No such file or directory"),
        // Only `/tmp` can be written.
        ("write:/tmp/x", "written"),
        ("list:/tmp", "x"),
        ("write:/work/x", "Read-only file system"),
        ("write:/x", "Read-only file system"),
        ("write:/dev/shm/x", "Read-only file system"),
        ("write:/dev/null", "written"),
    ] {
        assert_eq!(images.ask(&function, what).await, answer, "{what}");
    }
    let resolvers = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert_eq!(images.ask(&function, "read:/etc/resolv.conf").await, resolvers.chars().take(2000).collect::<String>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_fails_as_in_lambda() {
    let images = Images::new(JailMode::On);
    let run = async |config: Value, event: &str| {
        let function =
            images.deploy(&hello(config), |spec| spec.configuration.time_limit = TimeLimit::new(3).unwrap()).await;
        let ran = images.world.run(&function, json!(event)).await;
        let error = ran.failed();
        let message = error.message.split_once(" Error: ").unwrap().1;
        (error.name.clone(), message.to_owned())
    };
    for (config, event, name, message) in [
        (json!({ "Cmd": ["/app/hello"] }), "exit:7", "Runtime.ExitError", "Runtime exited with error: exit status 7"),
        (json!({ "Cmd": ["/app/hello"] }), "sleep:60", "Sandbox.Timedout", "Task timed out after 3.00 seconds"),
        (
            json!({ "Cmd": ["/app/absent"] }),
            "",
            "Runtime.InvalidEntrypoint",
            "fork/exec /app/absent: no such file or directory",
        ),
        (json!({ "Cmd": ["/work"] }), "", "Runtime.InvalidEntrypoint", "fork/exec /work: permission denied"),
        (
            json!({ "Cmd": ["/app/not-a-program"] }),
            "",
            "Runtime.InvalidEntrypoint",
            "fork/exec /app/not-a-program: exec format error",
        ),
        (
            json!({ "Cmd": ["python"] }),
            "",
            "Runtime.InvalidEntrypoint",
            "exec: \"python\": executable file not found in $PATH",
        ),
        (
            json!({ "Cmd": ["/app/hello"], "WorkingDir": "/absent" }),
            "",
            "Runtime.InvalidWorkingDir",
            "chdir /absent: no such file or directory",
        ),
    ] {
        assert_eq!(run(config, event).await, (name.to_owned(), message.to_owned()), "{event}");
    }
}

/// The loader and the libraries of an image must not run with the rights that the entry program has before the Function's
/// program starts.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_image_runs_before_the_rights_are_gone() {
    also_as_an_ordinary_user("images::nothing_of_an_image_runs_before_the_rights_are_gone").await;
    let images = Images::new(JailMode::On);
    let mut layer = TestLayer::new().file("app/hello", 0o755, client());
    let names = ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libgcc_s.so.1"];
    let folders =
        ["lib", "lib64", "usr/lib", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "usr/lib/x86_64-linux-gnu"];
    for folder in folders {
        for name in names {
            layer = layer.file(&format!("{folder}/{name}"), 0o755, b"no library");
        }
    }
    let layer = layer.file("etc/ld.so.preload", 0o644, b"/lib/libm.so.6\n").file("etc/ld.so.cache", 0o644, b"no cache");
    let image = TestImage::new(vec![layer], json!({ "Entrypoint": ["/app/hello"] }));
    let function = images.deploy(&image, |_| {}).await;
    assert_eq!(images.ask(&function, "user").await, "nobody");
    let status = images.ask(&function, "read:/proc/self/status").await;
    for (field, value) in [("CapEff:", "0000000000000000"), ("CapBnd:", ""), ("NoNewPrivs:", "1"), ("Seccomp:", "2")] {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_else(|| panic!("{field}: {status}"));
        assert!(line.ends_with(value), "{line}");
    }
    assert_eq!(
        images
            .ask(&function, "list:/proc/self/fd")
            .await
            .split(' ')
            .filter(|name| name.parse::<u32>().is_ok_and(|number| number > 3))
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_kept_as_long_as_a_version_needs_it() {
    let images = Images::new(JailMode::On);
    let lambda = &images.world.lambda;
    let with = |content: &str| {
        let layer = TestLayer::new().file("app/hello", 0o755, client()).file("which", 0o644, content.as_bytes());
        TestImage::new(vec![layer], json!({ "Entrypoint": ["/app/hello"] }))
    };
    let first = images.deploy(&with("1"), |_| {}).await;
    assert_eq!(images.ask(&first, "read:/which").await, "1");
    let second = images.deploy(&with("2"), |_| {}).await;
    assert_ne!(first.deployment, second.deployment, "the same name leads to another image now");
    assert_eq!(images.ask(&second, "read:/which").await, "2");
    // As after a rollback.
    assert_eq!(images.ask(&first, "read:/which").await, "1");
    // Without the image, the configuration changes and the image stays, also if it is no longer in its place.
    fs::remove_file(&images.place).unwrap();
    let mut spec = of("hello:1");
    spec.configuration.environment = environment(&[("NEW", "new")]);
    let deployment = lambda.deploy(&spec, None, Some(&first.deployment)).await.unwrap();
    assert_eq!(deployment.code_sha256, first.deployment.code_sha256);
    let changed = Deployed { spec, deployment };
    assert_eq!(images.ask(&changed, "variable:NEW").await, "new");
    assert_eq!(images.ask(&changed, "read:/which").await, "1");
    assert_eq!(lambda.code_of(&changed.deployment).await.unwrap(), None);
    let folder = images.world.folder.path().join("lambda/images");
    let unpacked = || fs::read_dir(&folder).unwrap().count();
    assert_eq!(unpacked(), 2);
    lambda.remove(&changed.spec.name).await.unwrap();
    eventually("the images are removed", || unpacked() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_used_is_refused() {
    let images = Images::new(JailMode::On);
    let deploy = async |name: &str, current: Option<&Deployment>| {
        images.world.lambda.deploy(&of(name), Some(Code::Image), current).await.unwrap_err()
    };
    let refused = |error: DeployError| match error {
        DeployError::InvalidConfiguration(why) => why,
        other => panic!("{other:?}"),
    };
    let unknown = refused(deploy("other:1", None).await);
    assert!(unknown.contains("This machine does not have the image other:1: --image other:1=PATH"), "{unknown}");
    let absent = refused(deploy("hello:1", None).await);
    assert!(absent.contains("image.tar cannot be read: No such file"), "{absent}");
    fs::write(&images.place, "no archive").unwrap();
    assert!(refused(deploy("hello:1", None).await).starts_with("The image at /"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_jail_an_image_is_deployed_and_does_not_run() {
    let images = Images::new(JailMode::Off);
    let function = images.deploy(&hello(json!({ "Entrypoint": ["/app/hello"] })), |_| {}).await;
    let Err(InvokeError::Refused { name, message }) = images.world.run(&function, json!("user")).await.result else {
        panic!("it ran")
    };
    assert_eq!(name, "InvalidImage");
    assert!(message.contains("an image runs in a jail") && message.ends_with("it is switched off"), "{message}");
}
