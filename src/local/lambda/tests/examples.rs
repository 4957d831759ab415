//! The Functions in `examples/`.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tasklane_model::{EntryPoint, FunctionSpec, Runtime};

use super::harness::{Deployed, World};
use crate::package::testing;

/// Deploys an example. Returns `None` if its code must first be built or its packages installed, as its README says.
async fn deploy(world: &World, name: &str, built: &str) -> Option<Deployed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../examples").join(name);
    if !folder.join(built).exists() {
        return None;
    }
    let config: Value = serde_json::from_slice(&std::fs::read(folder.join("task-config.json")).unwrap()).unwrap();
    let text = |key: &str| config[key].as_str().unwrap();
    let code = folder.join(text("path"));
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(&code) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(&code).unwrap().to_str().unwrap().to_owned();
            files.push((path, std::fs::read(entry.path()).unwrap()));
        }
    }
    let files: Vec<_> = files.iter().map(|(path, content)| (path.as_str(), 0o755, content.as_slice())).collect();
    let change = |spec: &mut FunctionSpec| {
        spec.name = text("name").to_owned().try_into().unwrap();
        spec.configuration.set_entry_point(EntryPoint::parse(text("entryPoint")).unwrap());
        spec.configuration.set_runtime(Runtime::new(text("runtime")));
    };
    Some(world.deploy_zip(testing::zip_with_modes(&files), change).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_greeters_greet() {
    let world = World::new();
    for (name, built) in [("hello-js", "src"), ("hello-py", "src"), ("hello-rust", "dist/bootstrap")] {
        let Some(function) = deploy(&world, name, built).await else { continue };
        let ran = world.run(&function, json!({"data": {"name": "Ada"}})).await;
        assert_eq!(ran.returned(), json!({"message": "Hello, Ada!"}), "{name}");
        assert!(ran.own_lines()[0].ends_with("Saying hello to Ada, request R"), "{name}: {:?}", ran.log);
        assert_eq!(world.run(&function, json!({})).await.returned(), json!({"message": "Hello, world!"}), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flaky_one_fails_twice_and_then_succeeds() {
    let world = World::new();
    let function = deploy(&world, "flaky-js", "src").await.unwrap();
    let first = world.run(&function, json!({})).await;
    assert_eq!(
        (first.failed().name.as_str(), first.failed().message.as_str()),
        ("ConnectionError", "attempt 1 lost its connection")
    );
    assert_eq!(world.run(&function, json!({"retryForTaskIds": ["a"]})).await.failed().name, "ConnectionError");
    assert_eq!(world.run(&function, json!({"retryForTaskIds": ["a", "b"]})).await.returned(), json!({"attempt": 3}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_express_app_serves_requests() {
    let world = World::new();
    let Some(function) = deploy(&world, "express-api", "src/node_modules").await else { return };
    let request = |method: &str, path: &str, query: &str, headers: Value, body: Value, base64: bool| {
        json!({
            "version": "2.0", "rawPath": path, "rawQueryString": query, "headers": headers,
            "requestContext": {"http": {"method": method}}, "body": body, "isBase64Encoded": base64,
        })
    };
    let found = world
        .run(&function, request("GET", "/notes", "?contains=README", json!({}), Value::Null, false))
        .await
        .returned();
    assert_eq!(found["statusCode"], 200);
    assert_eq!(found["body"], r#"[{"id":"1","text":"Read the README"}]"#);
    let headers = json!({"content-type": "application/json"});
    let created =
        world.run(&function, request("POST", "/notes", "", headers, json!(r#"{"text":"é"}"#), false)).await.returned();
    assert_eq!((&created["statusCode"], &created["headers"]["location"]), (&json!(201), &json!("/notes/2")));
    let headers = json!({"content-type": "application/octet-stream"});
    let bytes = BASE64_STANDARD.encode([0, 1, 255]);
    let reversed = world.run(&function, request("POST", "/reverse", "", headers, json!(bytes), true)).await.returned();
    assert_eq!(
        (&reversed["body"], &reversed["isBase64Encoded"]),
        (&json!(BASE64_STANDARD.encode([255, 1, 0])), &json!(true))
    );
}
