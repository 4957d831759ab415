//! Web frameworks run as API Functions, with the lines that docs/write-functions.md shows.

use std::{fs, path::Path};

use serde_json::json;

use crate::support::{dev::Dev, project::write_function, python};

/// What FastAPI and every other such framework is to the adapter: an ASGI application. It answers with what it was asked.
const APP: &str = r#"
import json
from mangum import Mangum

async def app(scope, receive, send):
    seen = {"path": scope["path"], "query": scope["query_string"].decode(), "method": scope["method"]}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})

adapter = Mangum(app, lifespan="off")
"#;

/// The handler in the page for those who write Functions.
fn handler() -> String {
    let page = fs::read_to_string(crate::support::project::repository().join("docs/write-functions.md")).unwrap();
    let (_, rest) = page.split_once("adapter = Mangum(app)\n").expect("the page shows how Mangum is used");
    rest.split("```").next().unwrap().to_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn an_application_behind_mangum_sees_its_path_and_every_query_parameter() {
    let programs = python::install("mangum");
    let library = programs.parent().unwrap().join("lib");
    let python = fs::read_dir(&library).unwrap().next().unwrap().unwrap().path();
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    let more = json!({ "runtime": "python3.11", "executionPermission": "public" });
    let code = write_function(&functions, "asgi", "", &more).join("code");
    fs::write(code.join("index.py"), format!("{APP}{}", handler())).unwrap();
    for package in ["mangum", "typing_extensions.py"] {
        let (from, to) = (python.join("site-packages").join(package), code.join(package));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
    let dev = Dev::start(home.path(), [&functions]);
    let seen = dev.get("/tasks/v1/api/asgi/items/5?q=x&r=y");
    assert_eq!(seen, json!({ "path": "/items/5", "query": "q=x&r=y", "method": "GET" }));
    dev.stop();
}
