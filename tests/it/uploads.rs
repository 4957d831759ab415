//! Code of any size: announced, sent and deployed (contract §19).

use std::fs;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tasklane::model::CodeSha256;

use crate::support::{
    command::{Ended, tasklane},
    dev::{Answer, Dev},
    project::write_function,
    random::noise,
};

fn put(url: &str, zip: Vec<u8>) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // Without any credential: the URL authorises.
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.put(url).body(zip).send().await.unwrap();
        let status = response.status().as_u16();
        Answer { status, body: response.json().await.unwrap() }
    })
}

fn announced(dev: &Dev, function: &str, zip: &[u8]) -> Value {
    let body = json!({ "functionName": function, "sha256": CodeSha256::of(zip), "size": zip.len() });
    dev.ask("POST", "/tasklane/v1/uploads", Some(&body)).ok()
}

#[test]
fn code_of_any_size_is_deployed() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    let source = "const fs = require('node:fs');
exports.handler = async () => fs.statSync(__dirname + '/model.bin').size;";
    let folder = write_function(&functions, "large", source, &json!({}));
    fs::write(folder.join("code/model.bin"), noise(20 << 20)).unwrap();
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let dev = Dev::start(home.path(), [&empty]);
    let sync = || {
        let credentials = dev.credentials_file();
        let args = ["sync", "--credentials", credentials.to_str().unwrap(), "--path", functions.to_str().unwrap()];
        Ended::of(tasklane(home.path()).args(args))
    };
    sync().expect(0);
    let execute =
        |name: &str| dev.ask("POST", &format!("/tasks/v1/functions/{name}/execute"), None).ok()["result"].clone();
    assert_eq!(execute("large"), 20 << 20);
    assert_eq!(dev.stderr().matches("PUT /tasklane/v1/uploads/").count(), 1, "{}", dev.stderr());

    // By hand, as any client does it.
    let hello = zip_of(&home);
    let upload = announced(&dev, "small", &hello);
    assert_eq!((&upload["method"], upload["headers"].is_object()), (&json!("PUT"), true));
    let url = upload["url"].as_str().unwrap();
    assert!(url.starts_with(dev.base_url()), "{url}");
    let create = json!({
        "name": "small", "codeUploadId": upload["uploadId"], "entryPoint": "index.handler", "runtime": "nodejs20.x",
    });
    let early = dev.ask("POST", "/tasks/v1/functions", Some(&create));
    assert_eq!((early.status, &early.body["code"]), (400, &json!(1503)));
    let wrong = put(url, noise(hello.len()));
    assert_eq!((wrong.status, &wrong.body["code"]), (400, &json!(1401)), "{}", wrong.body);
    let longer = put(url, [hello.clone(), vec![0]].concat());
    assert_eq!(longer.body["code"], 1401, "{}", longer.body);
    assert_eq!(put(url, hello.clone()).status, 200);
    let mut both = create.clone();
    both["code"] = json!(BASE64_STANDARD.encode(&hello));
    let refused = dev.ask("POST", "/tasks/v1/functions", Some(&both));
    assert_eq!((refused.status, &refused.body["code"]), (400, &json!(26)), "{}", refused.body);
    assert_eq!(dev.ask("POST", "/tasks/v1/functions", Some(&create)).status, 200);
    assert_eq!(execute("small"), "hello");

    let held = announced(&dev, "small", &hello);
    assert_eq!((&held["held"], held["url"].is_null()), (&json!(true), true));
    let change = json!({ "codeUploadId": held["uploadId"], "memoryLimit": 256 });
    assert_eq!(dev.ask("PUT", "/tasks/v1/functions/small", Some(&change)).status, 200);
    assert_eq!(execute("small"), "hello");
    let unknown = json!({ "codeUploadId": "0123456789abcdef0123456789abcdef" });
    let refused = dev.ask("PUT", "/tasks/v1/functions/small", Some(&unknown));
    assert_eq!((refused.status, &refused.body["code"]), (400, &json!(1503)));
    let too_large = json!({ "functionName": "small", "sha256": BASE64_STANDARD.encode([0; 32]), "size": 262_144_001 });
    assert_eq!(dev.ask("POST", "/tasklane/v1/uploads", Some(&too_large)).body["code"], 15);
    dev.stop();
}

fn zip_of(home: &tempfile::TempDir) -> Vec<u8> {
    let file = home.path().join("hello.zip");
    let script = "import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as zip:
    zip.writestr('index.js', \"exports.handler = async () => 'hello';\")";
    let made = std::process::Command::new("python3").args(["-c", script]).arg(&file).status().unwrap();
    assert!(made.success());
    fs::read(file).unwrap()
}
