//! Features of Lambda's own runtimes besides calling a handler.

use std::process::Command;

use serde_json::json;
use tasklane_model::{FunctionSpec, Runtime};

use super::harness::{World, environment};
use crate::{SdkLanguage, Source, Support, package::testing};

#[tokio::test(flavor = "multi_thread")]
async fn child_processes_of_multiprocessing_start_no_second_runtime() {
    let world = World::new();
    let code = "import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor
from work import double
runs = 0
def handler(event, context):
    global runs
    runs += 1
    if 'start' not in event:
        return [os.getpid(), runs]
    method = multiprocessing.get_context(event['start'])
    here, there = method.Pipe()
    child = method.Process(target=double, args=(there, 21))
    child.start()
    answer = here.recv() if here.poll(8) else None
    child.join()
    return [answer, child.exitcode]
";
    let work = "def double(pipe, number):\n    pipe.send(number * 2)\n";
    let change = |spec: &mut FunctionSpec| spec.configuration.set_runtime(Runtime::new("python3.11"));
    let function = world.deploy(&[("index.py", code), ("work.py", work)], change).await;
    for start in ["spawn", "forkserver", "fork"] {
        assert_eq!(world.run(&function, json!({"start": start})).await.returned(), json!([42, 0]), "{start}");
    }
    let first = world.run(&function, json!({})).await.returned();
    assert_eq!(first[1], 4);
    assert_eq!(world.run(&function, json!({})).await.returned(), json!([first[0], 5]));
}

/// A virtual environment with an installed package `machine_only`, and with code that Python runs at every start.
fn python_with_packages(folder: &std::path::Path) -> std::path::PathBuf {
    let made = Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let python = folder.join("bin/python3");
    let ask = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let packages = Command::new(&python).args(["-c", ask]).output().unwrap();
    let packages = std::path::PathBuf::from(String::from_utf8(packages.stdout).unwrap().trim());
    std::fs::write(packages.join("machine_only.py"), "x = 1\n").unwrap();
    std::fs::write(packages.join("machine.pth"), "import sys; sys.machine = True\n").unwrap();
    python
}

/// This machine's own Python is in the place of one that pyenv installed, so the test needs no pyenv.
#[tokio::test(flavor = "multi_thread")]
async fn a_python_of_a_version_manager_runs_in_its_jail() {
    let ask = "import sys; print(*sys.version_info[:3], sep='.'); print(sys.base_prefix)";
    let about = Command::new("python3").args(["-c", ask]).output().unwrap();
    let about = String::from_utf8(about.stdout).unwrap();
    let (version, prefix) = about.trim().split_once('\n').unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join(".pyenv/versions")).unwrap();
    std::os::unix::fs::symlink(prefix, home.path().join(".pyenv/versions").join(version)).unwrap();
    let runtime = Runtime::new(format!("python{}", version.rsplit_once('.').unwrap().0));
    for world in [World::new(), World::unjailed()] {
        let support = world.lambda.engine.runtimes.look_in(&runtime, home.path()).await;
        assert!(matches!(&*support, Support::Exact(found) if found.source == Source::Manager("pyenv")), "{support:?}");
        let code = "import json, platform\ndef handler(event, context):\n    return platform.python_version()\n";
        let change = |spec: &mut FunctionSpec| spec.configuration.set_runtime(runtime.clone());
        let function = world.deploy(&[("index.py", code)], change).await;
        assert_eq!(world.run(&function, json!({})).await.returned(), json!(version));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_has_no_packages_but_the_functions_own() {
    let folder = tempfile::tempdir().unwrap();
    let python = python_with_packages(folder.path());
    let runtime = Runtime::new("python3.11");
    for (is_jailed, world) in [(true, World::new()), (false, World::unjailed())] {
        world.lambda.engine.runtimes.use_program(&runtime, &python).await;
        let change = |spec: &mut FunctionSpec| spec.configuration.set_runtime(runtime.clone());
        let looks = "import importlib.metadata, subprocess, sys, own
def handler(event, context):
    child = subprocess.run([sys.executable, '-c', 'import machine_only'], capture_output=True)
    found = sorted(found.metadata['Name'] for found in importlib.metadata.distributions())
    return [hasattr(sys, 'machine'), child.returncode, found, own.x, callable(exit), callable(help)]
";
        let function = world.deploy(&[("index.py", looks), ("own.py", "x = 'own'\n")], change).await;
        let seen = world.run(&function, json!({})).await.returned();
        // Without a jail, a Python that a Function starts is the machine's.
        let child = i32::from(is_jailed);
        assert_eq!(seen, json!([false, child, [], "own", true, true]), "jailed: {is_jailed}");
        let function = world.deploy(&[("index.py", "import machine_only")], change).await;
        let ran = world.run(&function, json!({})).await;
        assert_eq!(ran.failed().message, "Unable to import module 'index': No module named 'machine_only'");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_the_package_starts_the_runtime() {
    let world = World::new();
    let wrap = "#!/bin/sh\nexport WRAPPED=\"yes, $_HANDLER\"\necho wrapping\nexec \"$@\"\n";
    let python = "import os\ndef handler(event, context):\n    return os.environ['WRAPPED']\n";
    let node = "exports.handler = async () => process.env.WRAPPED";
    for (runtime, jailed) in [("python3.11", true), ("nodejs20.x", true), ("nodejs20.x", false)] {
        let unjailed = (!jailed).then(World::unjailed);
        let world = unjailed.as_ref().unwrap_or(&world);
        let zip = testing::zip_with_modes(&[
            ("index.py", 0o644, python.as_bytes()),
            ("index.js", 0o644, node.as_bytes()),
            ("wrap.sh", 0o755, wrap.as_bytes()),
            ("no-program", 0o644, wrap.as_bytes()),
        ]);
        let wrapped_by = async |wrapper: &str| {
            let change = |spec: &mut FunctionSpec| {
                spec.configuration.set_runtime(Runtime::new(runtime));
                spec.configuration.environment = environment(&[("AWS_LAMBDA_EXEC_WRAPPER", wrapper)]);
            };
            let function = world.deploy_zip(zip.clone(), change).await;
            world.run(&function, json!({})).await
        };
        let ran = wrapped_by("/var/task/wrap.sh").await;
        assert_eq!(ran.returned(), json!("yes, index.handler"), "{runtime}");
        assert_eq!(ran.own_lines(), ["wrapping"]);
        for (wrapper, exit, words) in [
            ("/opt/nothing", 127, "/opt/nothing: does not exist"),
            ("/var/task/no-program", 126, ": is not an executable"),
        ] {
            let ran = wrapped_by(wrapper).await;
            assert_eq!(ran.failed().name, "Runtime.ExitError");
            assert!(ran.failed().message.ends_with(&format!("exit status {exit}")), "{:?}", ran.failed());
            assert!(ran.own_lines()[0].ends_with(words), "{:?}", ran.log);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_that_lost_a_promise_fails_and_not_the_next_one() {
    let world = World::new();
    let code = "async function lost() { throw new Error('lost') }
exports.handler = async (event) => { if (event.bad) lost(); return 'ok' }";
    let function =
        world.deploy(&[("index.js", code)], |spec| spec.configuration.set_runtime(Runtime::new("nodejs24.x"))).await;
    for _ in 0..3 {
        let bad = world.run(&function, json!({"bad": true})).await;
        assert_eq!(bad.failed().name, "Runtime.ExitError");
        assert!(bad.failed().message.ends_with("Runtime exited with error: exit status 1"), "{:?}", bad.failed());
        assert!(bad.own_lines().iter().any(|line| line.contains("Error: lost")), "{:?}", bad.log);
        let good = world.run(&function, json!({"bad": false})).await;
        assert_eq!((good.returned(), good.own_lines()), (json!("ok"), vec![]));
    }
    // Up to nodejs22.x the answer stands, and the log mentions the promise.
    let function = world.deploy(&[("index.js", code)], |_| {}).await;
    let bad = world.run(&function, json!({"bad": true})).await;
    assert_eq!(bad.returned(), json!("ok"));
    assert!(bad.own_lines().iter().any(|line| line.contains("Runtime.UnhandledPromiseRejection")), "{:?}", bad.log);
    let good = world.run(&function, json!({"bad": false})).await;
    assert_eq!((good.returned(), good.own_lines()), (json!("ok"), vec![]));
}

/// Writes packages to where `tasklane runtimes add-sdk` installs them.
fn install_sdk(world: &World, language: SdkLanguage, files: &[(&str, &str)]) {
    let sdk = world.lambda.engine.site.config.sdk.as_ref().unwrap();
    for (name, content) in files {
        let file = sdk.packages(language).join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_aws_sdk_is_explained_and_an_installed_one_is_found() {
    let client = "@aws-sdk/client-s3";
    let imports = format!("import {{ S3Client }} from '{client}'; export const handler = async () => S3Client");
    let requires = format!("exports.handler = async () => require('{client}').S3Client");
    for world in [World::new(), World::unjailed()] {
        for (file, code) in [("index.mjs", &imports), ("index.js", &requires)] {
            let ran = world.run(&world.deploy(&[(file, code)], |_| {}).await, json!({})).await;
            let message = &ran.failed().message;
            assert!(message.contains(&format!("'{client}'")), "{message}");
            assert!(message.ends_with("run 'tasklane runtimes add-sdk', or put it into the package"), "{message}");
            assert_eq!(message.lines().count(), 1);
        }
        let boto = "import boto3\ndef handler(event, context):\n    return boto3.x";
        let ran = world.run(&world.python(boto).await, json!({})).await;
        let message = &ran.failed().message;
        assert!(message.starts_with("Unable to import module 'index': No module named 'boto3': "), "{message}");
        assert!(message.ends_with("run 'tasklane runtimes add-sdk', or put it into the package"), "{message}");

        let module = r#"{"main": "index.js"}"#;
        let files = [
            ("@aws-sdk/client-s3/package.json", module),
            ("@aws-sdk/client-s3/index.js", "exports.S3Client = require('dep')"),
            ("dep/index.js", "module.exports = 'installed'"),
        ];
        install_sdk(&world, SdkLanguage::Node, &files);
        install_sdk(&world, SdkLanguage::Python, &[("boto3/__init__.py", "x = 'installed'\n")]);
        // A process that was started before does not see it.
        world.lambda.engine.pool.end_idle(|_| true).await;
        for (file, code) in [("index.mjs", &imports), ("index.js", &requires)] {
            let found = world.deploy(&[(file, code)], |_| {}).await;
            assert_eq!(world.run(&found, json!({})).await.returned(), json!("installed"), "{file}");
            let own = [(file, code.as_str()), ("node_modules/@aws-sdk/client-s3/index.js", "exports.S3Client = 'own'")];
            let own = world.deploy(&own, |_| {}).await;
            assert_eq!(world.run(&own, json!({})).await.returned(), json!("own"), "{file}");
        }
        assert_eq!(world.run(&world.python(boto).await, json!({})).await.returned(), json!("installed"));
        let change = |spec: &mut FunctionSpec| spec.configuration.set_runtime(Runtime::new("python3.11"));
        let own = world.deploy(&[("index.py", boto), ("boto3.py", "x = 'own'\n")], change).await;
        assert_eq!(world.run(&own, json!({})).await.returned(), json!("own"));
        let other = world.node("exports.handler = async () => require('@aws-sdk/client-braket')").await;
        let ran = world.run(&other, json!({})).await;
        assert!(ran.failed().message.ends_with("installs: put it into the package"), "{:?}", ran.failed());
    }
}
