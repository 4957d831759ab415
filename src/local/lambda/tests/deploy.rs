//! What deploying, retiring and removing leave on the disk.

use serde_json::json;
use tasklane_model::{InvokeError, Runtime};

use super::harness::{Deployed, World, environment, spec};
use crate::{DeployError, RETIRE_AFTER, package::testing};

fn code_folders(world: &World) -> usize {
    std::fs::read_dir(world.folder.path().join("lambda/code")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_new_versions_can_both_run_until_the_old_one_is_retired() {
    let world = World::new();
    let old = world.node("exports.handler = async () => process.env.STAGE + ' 1'").await;
    let mut spec = old.spec.clone();
    spec.configuration.environment = environment(&[("STAGE", "b")]);
    let configured = world.lambda.deploy(&spec, None, Some(&old.deployment)).await.unwrap();
    assert_eq!(configured.code_sha256, old.deployment.code_sha256);
    assert_ne!(configured.version, old.deployment.version);
    let new = Deployed { spec, deployment: configured };
    assert_eq!(world.run(&old, json!({})).await.returned(), json!("undefined 1"));
    assert_eq!(world.run(&new, json!({})).await.returned(), json!("b 1"));
    assert_eq!(world.run(&old, json!({})).await.returned(), json!("undefined 1"));
    assert_eq!(code_folders(&world), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn deploying_the_same_version_again_changes_nothing() {
    let world = World::new();
    let first = world.node("exports.handler = async () => 1").await;
    let again = world.node("exports.handler = async () => 1").await;
    assert_eq!(first.deployment, again.deployment);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_survives_a_restart() {
    let world = World::new();
    let function = world.deploy(&[("index.js", "exports.handler = async () => process.env.SECRET")], |spec| {
        spec.configuration.environment = environment(&[("SECRET", "s3cret")]);
    });
    let function = function.await;
    let World { lambda, folder, .. } = world;
    drop(lambda);
    let world = World::on(folder, |config| config.prefix = "test".to_owned());
    assert_eq!(world.run(&function, json!({})).await.returned(), json!("s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_can_read_secrets() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    world
        .deploy(&[("index.js", "")], |spec| spec.configuration.environment = environment(&[("SECRET", "s3cret")]))
        .await;
    let versions = world.folder.path().join("lambda/versions/f");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&versions), 0o700);
    for file in std::fs::read_dir(&versions).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_a_function_removes_its_code() {
    let world = World::new();
    let function = world.node("exports.handler = async () => 1").await;
    assert_eq!(world.run(&function, json!({})).await.returned(), json!(1));
    world.lambda.remove(&function.spec.name).await.unwrap();
    world.lambda.remove(&function.spec.name).await.unwrap();
    assert_eq!(code_folders(&world), 0);
    match world.invoke(&function, "{}".into(), world.new_id()).await {
        Err(InvokeError::Refused { name, message }) => {
            assert_eq!(name, "ResourceNotFoundException");
            assert_eq!(message, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:test-f");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_package_is_refused_and_leaves_nothing_on_the_disk() {
    let world = World::new();
    for code in [b"no zip".to_vec(), testing::zip(&[]), testing::zip(&[("a", ""), ("a/b", "")])] {
        let refused = world.lambda.deploy(&spec("f"), Some(code.into()), None).await;
        assert!(matches!(refused, Err(DeployError::InvalidCode(_))), "{refused:?}");
    }
    assert_eq!(code_folders(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_runtime_causes_a_notice_or_an_error_if_runtimes_are_strict() {
    let notices = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = notices.clone();
    let world = World::with(|config| {
        config.notice = std::sync::Arc::new(move |text| told.lock().unwrap().push(text.to_owned()))
    });
    for name in ["a", "b"] {
        let dotnet = world
            .deploy(&[("x.class", "")], |spec| {
                spec.name = name.to_owned().try_into().unwrap();
                spec.configuration.set_runtime(Runtime::new("dotnet8"));
            })
            .await;
        match world.run(&dotnet, json!({})).await.result {
            Err(InvokeError::Refused { name, message }) => {
                assert_eq!(name, "InvalidRuntimeException");
                assert!(message.contains("dotnet8"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    // It runs anyway, with one notice, because this machine's Python has another version.
    let python = world.deploy(&[("index.py", "def handler(e, c): return 1")], |spec| {
        spec.configuration.set_runtime(Runtime::new("python3.4"))
    });
    assert_eq!(world.run(&python.await, json!({})).await.returned(), json!(1));
    let notices = notices.lock().unwrap().clone();
    assert_eq!(notices.len(), 2, "{notices:?}");

    let strict = World::with(|config| config.strict_runtimes = true);
    for runtime in ["dotnet8", "python3.4"] {
        let mut spec = spec("f");
        spec.configuration.set_runtime(Runtime::new(runtime));
        let refused = strict.lambda.deploy(&spec, Some(testing::zip(&[("x", "")]).into()), None).await;
        assert!(
            matches!(&refused, Err(DeployError::InvalidConfiguration(text)) if text.contains(runtime)),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_retired_version_is_dropped_after_a_while_unless_it_was_deployed_again() {
    let world = World::new();
    let old = world.node("exports.handler = async () => 1").await;
    let new = world.node("exports.handler = async () => 2").await;
    world.lambda.retire(&old.spec.name, std::slice::from_ref(&new.deployment)).unwrap();
    assert_eq!(world.run(&old, json!({})).await.returned(), json!(1));
    // Back to the old version before it is dropped.
    world.node("exports.handler = async () => 1").await;
    world.lambda.retire(&new.spec.name, std::slice::from_ref(&old.deployment)).unwrap();
    tokio::time::pause();
    tokio::time::sleep(RETIRE_AFTER * 2).await;
    tokio::time::resume();
    super::harness::eventually("the second is gone", || code_folders(&world) == 1).await;
    assert_eq!(world.run(&old, json!({})).await.returned(), json!(1));
    assert!(matches!(world.run(&new, json!({})).await.result, Err(InvokeError::Refused { .. })));
}
