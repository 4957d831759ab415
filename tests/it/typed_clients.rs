//! Clients that generators make of docs/openapi.json: in TypeScript and in Python.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::json;

use crate::support::{
    command::Ended,
    dev::Dev,
    packages,
    project::{repository, write_function},
    python,
};

const ECHO: &str = "exports.handler = async event => ({ got: event.data });";

/// What openapi-python-client leaves out, and says so: API Functions, which may answer anything; a zip; and an answer whose fields
/// depend on one of them.
const LEFT_OUT: [&str; 9] = [
    "GET /tasklane/v1/functions/{functionName}/versions/{version}/code",
    "GET /tasklane/v1/tasks/{taskId}/why",
    "DELETE /tasks/v1/api/{functionName}/{path}",
    "GET /tasks/v1/api/{functionName}/{path}",
    "HEAD /tasks/v1/api/{functionName}/{path}",
    "OPTIONS /tasks/v1/api/{functionName}/{path}",
    "PATCH /tasks/v1/api/{functionName}/{path}",
    "POST /tasks/v1/api/{functionName}/{path}",
    "PUT /tasks/v1/api/{functionName}/{path}",
];

#[test]
fn types_in_typescript_say_what_the_api_takes_and_answers() {
    let packages = packages::install().join("node_modules");
    let folder = tempfile::tempdir().unwrap();
    let types = folder.path().join("api.d.ts");
    let generator = packages.join("openapi-typescript/bin/cli.js");
    passes(packages::node().arg(generator).arg(document()).arg("--output").arg(&types));
    fs::copy(repository().join("tests/typed_clients/use.ts"), folder.path().join("use.ts")).unwrap();
    let options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "use.ts", "api.d.ts"];
    let tsc = packages.join("typescript/bin/tsc");
    passes(packages::node().current_dir(folder.path()).arg(tsc).args(options));
}

#[test]
fn a_client_in_python_creates_tasks_and_reads_them() {
    let programs = python::install("openapi-client");
    let home = tempfile::tempdir().unwrap();
    let client = home.path().join("client");
    let mut generator = Command::new(programs.join("openapi-python-client"));
    generator.arg("generate").arg("--path").arg(document()).arg("--output-path").arg(&client);
    let generated = passes(generator.env("PATH", &programs));
    let warnings = format!("{}{}", generated.stdout, generated.stderr);
    let named = warnings.lines().filter_map(|line| line.strip_prefix("WARNING parsing ")?.split(" within ").next());
    assert_eq!(named.collect::<BTreeSet<_>>(), BTreeSet::from(LEFT_OUT), "{warnings}");

    let functions = home.path().join("functions");
    write_function(&functions, "echo", ECHO, &json!({}));
    let dev = Dev::start(home.path(), [&functions]);
    let mut program = Command::new(programs.join("python"));
    program.arg(repository().join("tests/typed_clients/use.py")).env("PYTHONPATH", &client);
    passes(program.envs(dev.credentials()));
    dev.stop();
}

fn document() -> std::path::PathBuf {
    repository().join("docs/openapi.json")
}

fn passes(command: &mut Command) -> Ended {
    Ended::of(command).expect(0)
}
