//! Schemathesis reads the served API document and sends valid and invalid requests.

use std::process::Command;

use serde_json::json;

use crate::support::{
    dev::Dev,
    project::{repository, write_function},
    python,
};

/// Limited, so that everything takes less than two minutes: about a hundred requests per endpoint.
const EXAMPLES: &str = "40";

#[test]
fn every_response_is_documented_and_none_is_an_internal_error() {
    let programs = python::install("schemathesis");
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    for name in ["hello", "doomed"] {
        let source = "exports.handler = async event => ({ statusCode: 200, body: event.rawPath ?? 'task' });";
        write_function(&functions, name, source, &json!({ "timeLimit": 5 }));
    }
    let dev = Dev::start(home.path(), [&functions]);
    let token = &dev.credentials()["API_ACCESS_TOKEN"];
    let output = Command::new(programs.join("schemathesis"))
        .current_dir(home.path())
        .arg("--config-file")
        .arg(repository().join("tests/it/schemathesis.toml"))
        .args(["run", &format!("{}/tasks/v1/openapi.json", dev.base_url())])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES])
        .args(["--seed", "1", "--generation-database", "none", "--continue-on-failure", "--no-color"])
        .env("PYTHONUTF8", "1")
        .output()
        .expect("schemathesis starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    // Without its credential, every response would be a documented 401.
    assert!(!printed.contains("Authentication failed"), "{printed}");
    let count = printed.lines().find_map(|line| line.trim().split_once(" generated,")?.0.parse::<u32>().ok());
    assert!(count.is_some_and(|count| count > 1000), "{printed}");
    assert!(!dev.stderr().contains(token.as_str()), "the token was logged");
    dev.stop();
}
