//! Functions: deployed with the command, executed, changed, and called over HTTP.

use serde_json::json;

use super::deployed::Deployed;
use crate::support::{
    project::{repository, write_function, write_source},
    random::noise,
};

/// Returns its request, with the bytes of the body reversed.
const MIRROR: &str = "
exports.handler = async event => {
  console.log('mirroring', event.rawPath);
  const bytes = Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8').reverse();
  return {
    statusCode: 201,
    headers: {
      'content-type': 'application/octet-stream', 'x-path': event.rawPath, 'x-query': event.rawQueryString,
      'x-method': event.requestContext.http.method, 'x-user': event.headers['x-exh-requesting-user-id'] ?? 'nobody',
    },
    body: bytes.toString('base64'),
    isBase64Encoded: true,
  };
};";

pub fn are_synced(stack: &Deployed<'_>) {
    for example in ["hello-js", "hello-py"] {
        let folder = repository().join("examples").join(example);
        stack.run(&["sync", "--path", folder.to_str().expect("a path")]).expect(0);
    }
    let own = stack.home().join("functions");
    write_function(&own, "mirror", MIRROR, &json!({ "executionPermission": "allUsers" }));
    write_function(
        &own,
        "version",
        "exports.handler = async () => 'old ' + process.env.MARK;",
        &json!({
            "environment": { "MARK": "old" },
        }),
    );
    stack.run(&["sync", "--path", own.to_str().expect("a path")]).expect(0);
    let planned = stack.run(&["sync", "--plan", "--path", own.to_str().expect("a path")]);
    planned.expect(0);
    let listed = stack.json(&["list"]);
    let names: Vec<_> = listed.as_array().expect("a list").iter().map(|function| &function["name"]).collect();
    assert_eq!(names, ["hello-js", "hello-py", "mirror", "version"]);
    let lambda = stack.left()["functions"].to_string();
    assert!(lambda.contains(&format!("\"{}-hello-py\"", stack.prefix)), "{lambda}");
}

pub fn are_executed(stack: &Deployed<'_>) {
    for name in ["hello-js", "hello-py"] {
        let executed = stack.json(&["execute", name, "--data", r#"{"name":"Zoë 🚀"}"#]);
        assert_eq!(executed["result"], json!({ "message": "Hello, Zoë 🚀!" }), "{name}");
        assert_eq!(executed["status"], "complete");
        let logs = stack.run(&["tasks", "logs", executed["id"].as_str().expect("an id")]).expect(0).stdout;
        // Python's `print` does not write a request id.
        assert!(logs.contains("Saying hello to Zoë 🚀"), "{logs}");
        assert!(logs.contains("START RequestId") && logs.contains("REPORT RequestId"), "{logs}");
    }
    let refused = stack.ask("POST", "/tasks/v1/functions/hello-js/execute", None, false);
    assert_eq!((refused.status, refused.json()["code"].clone()), (401, json!(104)));
    let unknown = stack.ask("POST", "/tasks/v1/functions/nowhere/execute", None, true);
    assert_eq!((unknown.status, unknown.json()["code"].clone()), (404, json!(16)));
}

/// A Function with a secret of each kind, and with options that only AWS can carry out.
pub fn have_options_of_aws(stack: &Deployed<'_>) {
    let prefix = &stack.prefix;
    let parameter = format!("/tasklane/{prefix}/token");
    stack.aws("ssm", "put_parameter", &json!({ "Name": parameter, "Value": "t0ken", "Type": "SecureString" }));
    let secret = format!("tasklane/{prefix}/db");
    let stored = json!({ "password": "pa55", "port": 5432 }).to_string();
    stack.aws("secretsmanager", "create_secret", &json!({ "Name": secret, "SecretString": stored }));
    let own = stack.home().join("of-aws");
    let of = |key: &str| format!("secretsmanager:{secret}#{key}");
    write_function(
        &own,
        "of-aws",
        "exports.handler = async () => [process.env.TOKEN, process.env.PASSWORD, process.env.PORT].join(' ');",
        &json!({
            "secrets": { "TOKEN": format!("ssm:{parameter}"), "PASSWORD": of("password"), "PORT": of("port") },
            "aws": { "ephemeralStorage": 1024, "tracing": "Active", "logRetentionDays": 7 },
        }),
    );
    let path = own.to_str().expect("a path");
    stack.run(&["sync", "--path", path]).expect(0);
    assert_eq!(stack.json(&["execute", "of-aws"])["result"], "t0ken pa55 5432");
    let details = stack.ask("GET", "/tasks/v1/functions/of-aws", None, true).ok();
    assert_eq!(details["secrets"]["TOKEN"], format!("ssm:{parameter}"));
    assert!(!details.to_string().contains("t0ken"), "{details}");
    let name = format!("{prefix}-of-aws");
    let held = || stack.aws("lambda", "get_function_configuration", &json!({ "FunctionName": name }));
    let kept = || {
        let groups = json!({ "logGroupNamePrefix": format!("/aws/lambda/{name}") });
        stack.aws("logs", "describe_log_groups", &groups)["logGroups"][0]["retentionInDays"].clone()
    };
    let is = held();
    let options = (&is["EphemeralStorage"]["Size"], &is["TracingConfig"]["Mode"], kept());
    assert_eq!(options, (&json!(1024), &json!("Active"), json!(7)));
    // Unchanged, nothing is to be done; without the options, Lambda has its defaults again.
    stack.run(&["sync", "--plan", "--path", path]).expect(0);
    write_function(
        &own,
        "of-aws",
        "exports.handler = async () => process.env.TOKEN ?? 'none';",
        &json!({ "aws": null, "secrets": null }),
    );
    stack.run(&["sync", "--path", path]).expect(0);
    assert_eq!(stack.json(&["execute", "of-aws"])["result"], "none");
    let is = held();
    let options = (&is["EphemeralStorage"]["Size"], &is["TracingConfig"]["Mode"], kept());
    assert_eq!(options, (&json!(512), &json!("PassThrough"), json!(30)));
    // What another deployment owns is not read.
    let other = json!({ "secrets": { "TOKEN": "ssm:/tasklane/other/token" } });
    write_function(&own, "of-aws", "exports.handler = async () => 1;", &other);
    let refused = stack.run(&["sync", "--path", path]).expect(2);
    assert!(refused.stderr.contains("reads only what is below"), "{}", refused.stderr);
    stack.run(&["delete", "of-aws"]).expect(0);
}

/// A Function whose code is larger than any request.
pub fn are_of_any_size(stack: &Deployed<'_>) {
    const SIZE: usize = 40 << 20;
    let own = stack.home().join("large");
    let source = "exports.handler = async () => require('node:fs').statSync(__dirname + '/model.bin').size;";
    let folder = write_function(&own, "large", source, &json!({}));
    std::fs::write(folder.join("code/model.bin"), noise(SIZE)).expect("there is room");
    let path = own.to_str().expect("a path");
    stack.run(&["sync", "--path", path]).expect(0);
    assert_eq!(stack.json(&["execute", "large"])["result"], SIZE);
    // Lambda has these bytes, so they are not sent again.
    stack.run(&["sync", "--force", "--path", path]).expect(0);
    assert_eq!(stack.json(&["execute", "large"])["result"], SIZE);
    stack.run(&["delete", "large"]).expect(0);
}

pub fn answer_http(stack: &Deployed<'_>) {
    let bytes: Vec<u8> = (0..=255).collect();
    let body = Some(("application/octet-stream", bytes.clone()));
    let answer = stack.ask("PATCH", "/tasks/v1/api/mirror/a/path?x=1&y=%C3%A9", body, true);
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(header("content-type"), "application/octet-stream");
    assert_eq!((header("x-method"), header("x-path"), header("x-query")), ("PATCH", "/a/path", "?x=1&y=%C3%A9"));
    assert_eq!(header("x-user"), "administrator");
    assert_eq!(answer.body, bytes.into_iter().rev().collect::<Vec<_>>(), "bytes go through unchanged");

    let record = stack.json(&["api-requests", "list"])[0].clone();
    assert_eq!(
        (&record["functionName"], &record["statusCode"], &record["path"]),
        (&json!("mirror"), &json!(201), &json!("a/path?x=1&y=%C3%A9"))
    );
    let logs = stack.run(&["api-requests", "logs", record["id"].as_str().expect("an id")]).expect(0).stdout;
    assert!(logs.contains("mirroring /a/path"), "{logs}");

    let nobody = stack.ask("GET", "/tasks/v1/api/mirror/", None, false);
    assert_eq!((nobody.status, nobody.json()["code"].clone()), (401, json!(104)));
}

/// During a change, responses come from the old code with the old configuration, or the new with the new; afterwards only
/// from the new, in every process of the service.
pub fn change_at_once(stack: &Deployed<'_>) {
    let result = || stack.json(&["execute", "version"])["result"].clone();
    assert_eq!(result(), "old old");
    let own = stack.home().join("functions");
    write_function(&own, "version", "", &json!({ "environment": { "MARK": "new" } }));
    write_source(&own, "version", "exports.handler = async () => 'new ' + process.env.MARK;");
    let path = own.join("version");
    std::thread::scope(|scope| {
        let sync = scope.spawn(|| stack_sync(stack, &path));
        while !sync.is_finished() {
            let seen = result();
            assert!(seen == "old old" || seen == "new new", "old and new were mixed: {seen}");
        }
        sync.join().expect("it is synced");
    });
    assert_eq!(result(), "new new");
}

/// Follows [`change_at_once`]. Versions of the Function are versions in Lambda, and `live` names the current one.
pub fn go_back_and_try_a_version(stack: &Deployed<'_>) {
    let result = || stack.json(&["execute", "version"])["result"].clone();
    let live = || {
        let function = format!("{}-version", stack.prefix);
        let alias = stack.aws("lambda", "get_alias", &json!({ "FunctionName": function, "Name": "live" }));
        alias["FunctionVersion"].clone()
    };
    let new = live();
    stack.run(&["rollback", "version"]).expect(0);
    assert_eq!(result(), "old old");
    let old = live();
    assert_ne!(old, new);
    let listed = stack.json(&["versions", "version"]);
    assert_eq!((&listed[0]["number"], &listed[0]["changed"]), (&json!(3), &json!(["code", "environmentVariables"])));
    let zip = stack.home().join("new.zip");
    stack.run(&["versions", "version", "--download", "2", "--output", zip.to_str().expect("a path")]).expect(0);
    assert!(std::fs::read(zip).expect("the zip").starts_with(b"PK"));

    stack
        .run(&["sync", "--publish-only", "--path", stack.home().join("functions/version").to_str().expect("a path")])
        .expect(0);
    assert_eq!((result(), live()), (json!("old old"), old));
    stack.run(&["canary", "version", "4", "--percent", "99", "--fail-when", "1/5"]).expect(0);
    let tried = (0..8).filter(|_| result() == "new new").count();
    assert!(tried >= 4, "{tried} of 8 runs at 99 %");
    stack.run(&["rollback", "version", "--to", "4"]).expect(0);
    assert_eq!(result(), "new new");
    assert!(stack.json(&["canary", "version"]).is_null());
}

fn stack_sync(stack: &Deployed<'_>, path: &std::path::Path) {
    stack.run(&["sync", "--path", path.to_str().expect("a path")]).expect(0);
}
