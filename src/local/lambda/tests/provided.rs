//! Functions that bring their own `bootstrap`.

use serde_json::json;
use tasklane_model::{FunctionSpec, Outcome, Runtime, TimeLimit};

use super::harness::{Deployed, World};
use crate::package::testing;

async fn deploy(world: &World, files: &[(&str, u32, &[u8])]) -> Deployed {
    let change = |spec: &mut FunctionSpec| {
        spec.configuration.set_runtime(Runtime::new("provided.al2023"));
        spec.configuration.time_limit = TimeLimit::new(5).unwrap();
    };
    world.deploy_zip(testing::zip_with_modes(files), change).await
}

/// Roughly AWS's own tutorial of a custom runtime.
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-walkthrough.html>
const SHELL: &str = r#"#!/bin/sh
set -eu
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
    event=$(curl -sS -D /tmp/headers "$api/invocation/next")
    id=$(grep -Fi Lambda-Runtime-Aws-Request-Id /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
    echo "handling $_HANDLER" >&2
    case $event in
        *fail*) curl -sS -X POST "$api/invocation/$id/error" -H 'Lambda-Runtime-Function-Error-Type: Shell.Failed' -d '{"errorMessage":"as asked","errorType":"Shell.Failed","stackTrace":["a"]}' >/dev/null ;;
        *header*) curl -sS -X POST "$api/invocation/$id/error" -H 'Lambda-Runtime-Function-Error-Type: Only.Header' -d 'no json' >/dev/null ;;
        *silent*) curl -sS -X POST "$api/invocation/$id/error" -d '{"errorType":"Shell.Failed","stackTrace":["at secret"]}' >/dev/null ;;
        *broken*) curl -sS -X POST "$api/invocation/$id/error" -d '{"errorType":"Shell.Failed","stack":"at secret' >/dev/null ;;
        *text*) curl -sS -X POST "$api/invocation/$id/response" -d 'plain text' >/dev/null ;;
        *wrong*) curl -sS -o /dev/null -w '%{http_code}\n' -X POST "$api/invocation/not-the-id/response" -d '1'
                 curl -sS -X POST "$api/invocation/$id/response" -d '"right"' >/dev/null ;;
        *) curl -sS -X POST "$api/invocation/$id/response" -d "{\"echo\":$event}" >/dev/null ;;
    esac
done
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_speaks_the_runtime_api() {
    let world = World::new();
    let function = deploy(&world, &[("bootstrap", 0o755, SHELL.as_bytes())]).await;
    let ran = world.run(&function, json!({"a": "b"})).await;
    assert_eq!(ran.returned(), json!({"echo": {"a": "b"}}));
    assert_eq!(ran.own_lines(), ["handling index.handler"]);
    let failed = world.run(&function, json!("fail")).await;
    let error = failed.failed();
    assert_eq!((error.name.as_str(), error.message.as_str(), error.trace.len()), ("Shell.Failed", "as asked", 1));
    let named = world.run(&function, json!("header")).await;
    assert_eq!((named.failed().name.as_str(), named.failed().message.as_str()), ("Only.Header", "no json"));
    for (how, words) in [("silent", "an error without a message"), ("broken", "report of the error cannot be read")] {
        let error = world.run(&function, json!(how)).await.failed().clone();
        assert!(error.message.contains(words) && !error.message.contains("secret"), "{how}: {}", error.message);
    }
    let wrong = world.run(&function, json!("wrong")).await;
    assert_eq!(wrong.returned(), json!("right"));
    assert_eq!(wrong.own_lines(), ["handling index.handler", "400"]);
    // Lambda passes on any response of a runtime.
    match world.run(&function, json!("text")).await.result.unwrap().outcome {
        Outcome::Returned(bytes) => assert_eq!(bytes, "plain text"),
        failed => panic!("{failed:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_that_cannot_start_is_reported_in_lambdas_words() {
    let world = World::new();
    for (files, words) in [
        (&[("main", 0o755, &b"x"[..])], "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
        (&[("bootstrap", 0o644, b"#!/bin/sh\n")], "fork/exec /var/task/bootstrap: permission denied"),
        (&[("bootstrap", 0o755, b"\x7fELFnot")], "fork/exec /var/task/bootstrap: exec format error"),
        (&[("bootstrap", 0o755, b"#!/no/such/shell\n")], "fork/exec /var/task/bootstrap: no such file or directory"),
    ] {
        let ran = world.run(&deploy(&world, files).await, json!({})).await;
        assert_eq!(ran.failed().name, "Runtime.InvalidEntrypoint");
        assert_eq!(ran.failed().message, format!("RequestId: {} Error: {words}", ran.request_id()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_that_exits_or_never_asks_for_work_has_its_own_error() {
    let world = World::new();
    let ends = deploy(&world, &[("bootstrap", 0o755, b"#!/bin/sh\necho bye\nexit 0\n")]).await;
    let ran = world.run(&ends, json!({})).await;
    assert_eq!(ran.failed().name, "Runtime.ExitError");
    assert!(ran.failed().message.ends_with("Error: Runtime exited without providing a reason"), "{:?}", ran.failed());
    assert_eq!(ran.own_lines()[0], "bye");

    let reports = "#!/bin/sh\ncurl -sS -X POST http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/init/error -d '{\"errorType\":\"Bad.Config\",\"errorMessage\":\"no key\"}' >/dev/null\nexit 1\n";
    let ran = world.run(&deploy(&world, &[("bootstrap", 0o755, reports.as_bytes())]).await, json!({})).await;
    assert_eq!((ran.failed().name.as_str(), ran.failed().message.as_str()), ("Bad.Config", "no key"));
}
