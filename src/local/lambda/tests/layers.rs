//! Layers, which folders and zips of this machine stand in for.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tasklane_model::{AwsOptions, FunctionSpec, Layers, Runtime};

use super::harness::{Deployed, World, environment, eventually};
use crate::{JailMode, package::testing};

const LAYER: &str = "arn:aws:lambda:eu-west-1:123456789012:layer";

fn with_layers(spec: &mut FunctionSpec, names: &[&str]) {
    let layers = Layers::parse(names.iter().map(|name| format!("{LAYER}:{name}"))).unwrap();
    spec.configuration.aws = Some(AwsOptions { layers: Some(layers), ..AwsOptions::default() });
}

fn write(folder: &Path, name: &str, content: &str) {
    let file = folder.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

/// A world with the layer `folder`, in any version, and version 2 of the layer `zip`.
fn world(jail: JailMode, places: &Path) -> World {
    let folder = places.join("folder");
    write(&folder, "nodejs/node_modules/shared/index.js", "module.exports = 'from the folder';");
    write(&folder, "python/shared.py", "x = 'from the folder'\n");
    write(&folder, "python/lib/python3.11/site-packages/installed.py", "x = 'installed'\n");
    write(&folder, "bin/tool", "#!/bin/sh\necho tool\n");
    write(&folder, "wrapper", "#!/bin/sh\nexport WRAPPED=yes\nexec \"$@\"\n");
    for program in ["bin/tool", "wrapper"] {
        // The other bits are those of people with a strict umask.
        fs::set_permissions(folder.join(program), fs::Permissions::from_mode(0o700)).unwrap();
    }
    let zip = testing::zip(&[("nodejs/node_modules/shared/index.js", "module.exports = 'from the zip';")]);
    fs::write(places.join("layer.zip"), zip).unwrap();
    World::with(|config| {
        config.jail = jail;
        config.layers =
            [(format!("{LAYER}:folder"), folder), (format!("{LAYER}:zip:2"), places.join("layer.zip"))].into();
    })
}

const NODE: &str = "const { execSync } = require('node:child_process');
exports.handler = async () => [require('shared'), execSync('tool').toString(), process.env.WRAPPED ?? 'no'];";
const PYTHON: &str = "import os, shared, installed
def handler(event, context):
    return [shared.x, installed.x, '_TASKLANE_LAYERS' in os.environ]
";

#[tokio::test(flavor = "multi_thread")]
async fn code_finds_the_files_of_its_layers_with_and_without_a_jail() {
    for jail in [JailMode::On, JailMode::Off] {
        let places = tempfile::tempdir().unwrap();
        let world = world(jail, places.path());
        let function = world.deploy(&[("index.js", NODE)], |spec| with_layers(spec, &["folder:7"])).await;
        assert_eq!(world.run(&function, json!({})).await.returned(), json!(["from the folder", "tool\n", "no"]));
        let both = |spec: &mut FunctionSpec| {
            with_layers(spec, &["folder:7", "zip:2"]);
            spec.configuration.environment = environment(&[("AWS_LAMBDA_EXEC_WRAPPER", "/opt/wrapper")]);
        };
        let function = world.deploy(&[("index.js", NODE)], both).await;
        assert_eq!(world.run(&function, json!({})).await.returned(), json!(["from the zip", "tool\n", "yes"]));
        let python = |spec: &mut FunctionSpec| {
            with_layers(spec, &["folder:1"]);
            spec.configuration.set_runtime(Runtime::new("python3.11"));
        };
        let function = world.deploy(&[("index.py", PYTHON)], python).await;
        assert_eq!(world.run(&function, json!({})).await.returned(), json!(["from the folder", "installed", false]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_layer_is_seen_by_new_runs() {
    let places = tempfile::tempdir().unwrap();
    let world = world(JailMode::On, places.path());
    let function = world.deploy(&[("index.js", NODE)], |spec| with_layers(spec, &["folder:1"])).await;
    let shared = async |world: &World, function: &Deployed| world.run(function, json!({})).await.returned()[0].clone();
    assert_eq!(shared(&world, &function).await, "from the folder");
    write(&places.path().join("folder"), "nodejs/node_modules/shared/index.js", "module.exports = 'changed';");
    let begun = std::time::Instant::now();
    while shared(&world, &function).await != "changed" {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The older folder goes with its last process.
    let scratch = world.lambda.engine.site.scratch.path().to_owned();
    world.lambda.engine.pool.end_idle(|_| true).await;
    eventually("one folder of layers is left", || {
        let names = fs::read_dir(&scratch).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("layers-")).count() == 1
    })
    .await;
    fs::remove_dir_all(places.path().join("folder")).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let ran = world.run(&function, json!({})).await;
    let error = format!("{:?}", ran.result.unwrap_err());
    assert!(error.contains("the layers of f cannot be read") && error.contains("folder"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_can_bring_the_runtime() {
    for jail in [JailMode::On, JailMode::Off] {
        let places = tempfile::tempdir().unwrap();
        let world = world(jail, places.path());
        let bootstrap = "#!/bin/sh\necho \"runtime of the layer, code in $LAMBDA_TASK_ROOT\"\nexit 3\n";
        write(&places.path().join("folder"), "bootstrap", bootstrap);
        fs::set_permissions(places.path().join("folder/bootstrap"), fs::Permissions::from_mode(0o755)).unwrap();
        let change = |spec: &mut FunctionSpec| {
            with_layers(spec, &["folder:1"]);
            spec.configuration.set_runtime(Runtime::new("provided.al2023"));
        };
        let function = world.deploy(&[("main", "x")], change).await;
        let ran = world.run(&function, json!({})).await;
        let lines = ran.log.iter().map(|line| world.shown(&function, line)).collect::<Vec<_>>();
        assert!(lines.iter().any(|line| line == "runtime of the layer, code in TASK"), "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_aws_can_do_is_said_once() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&said);
    let world = World::with(|config| config.notice = Arc::new(move |text| to.lock().unwrap().push(text.to_owned())));
    for _ in 0..2 {
        let function = world
            .deploy(&[("index.js", "exports.handler = async () => 1;")], |spec| {
                with_layers(spec, &["absent:1"]);
                let aws = spec.configuration.aws.as_mut().unwrap();
                aws.role = Some("arn:aws:iam::123456789012:role/tasklane/a/b".to_owned().try_into().unwrap());
            })
            .await;
        assert_eq!(world.run(&function, json!({})).await.returned(), json!(1));
    }
    let said = said.lock().unwrap();
    let about = |words: &str| said.iter().filter(|text| text.contains(words)).count();
    assert_eq!((about("f runs without its layer"), about("this has no effect here: role")), (1, 1), "{said:?}");
}
