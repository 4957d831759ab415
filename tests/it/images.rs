//! Functions that run a container image, from their task-config.json to their answer.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
    sync::OnceLock,
};

use serde_json::{Value, json};

use crate::support::{
    command::{Ended, run, tasklane},
    dev::Dev,
    project::{repository, write_function},
};

const URI: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hello";

/// The runtime of the local Lambda's own tests, linked statically.
fn client() -> &'static [u8] {
    static CLIENT: OnceLock<Vec<u8>> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (source, program) = (repository().join("src/local/lambda/image/client.c"), folder.path().join("client"));
        let compiled = Command::new("cc").arg("-static").arg("-o").args([&program, &source]).status();
        assert!(compiled.is_ok_and(|status| status.success()), "a C compiler, `cc`, is needed, and its static libc");
        fs::read(program).unwrap()
    })
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

fn tar(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, mode, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Writes what `docker save` writes of an image with this content in `/which`. Returns its digest.
fn save(file: &Path, which: &str) -> String {
    let layer = tar(&[("app/hello", 0o755, client()), ("which", 0o644, which.as_bytes())]);
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({
        "architecture": architecture, "os": "linux",
        "config": { "Entrypoint": ["hello"], "Env": ["PATH=/app"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))] },
    });
    let config = config.to_string().into_bytes();
    let digest = sha256(&config);
    let manifest = json!([{ "Config": format!("{digest}.json"), "RepoTags": ["hello:1"], "Layers": ["1/layer.tar"] }]);
    let (named, manifest) = (format!("{digest}.json"), manifest.to_string());
    let files: [(&str, u32, &[u8]); 3] =
        [(&named, 0o644, &config), ("1/layer.tar", 0o644, &layer), ("manifest.json", 0o644, manifest.as_bytes())];
    // As one write, like a program that renames its result: `dev` may look at any time.
    let unfinished = file.with_extension("unfinished");
    std::io::Write::write_all(&mut File::create(&unfinished).unwrap(), &tar(&files)).unwrap();
    fs::rename(unfinished, file).unwrap();
    digest
}

fn write_config(folder: &Path, name: &str, image: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("task-config.json"), json!({ "name": name, "image": image }).to_string()).unwrap();
}

fn execute(dev: &Dev, name: &str, data: &str) -> Value {
    let body = json!({ "data": data });
    dev.ask("POST", &format!("/tasks/v1/functions/{name}/execute"), Some(&body)).ok()["result"].clone()
}

#[test]
fn an_image_runs_once_without_a_service() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("hello");
    write_config(&folder, "hello", "./image.tar");
    let absent = Ended::of(tasklane(home.path()).arg("run").arg(&folder)).expect(2);
    assert!(absent.stderr.contains("do you have to build the image first?"), "{}", absent.stderr);
    save(&folder.join("image.tar"), "run");
    let event = r#""read:/which""#;
    let ended = Ended::of(tasklane(home.path()).arg("run").arg(&folder).args(["--event", event])).expect(0);
    assert_eq!(ended.json(), json!("run"));
    assert!(ended.stderr.contains("the image started"), "{}", ended.stderr);
    // By the name that it has on AWS.
    write_config(&folder, "hello", &format!("{URI}:1"));
    let refused = Ended::of(tasklane(home.path()).arg("run").arg(&folder)).expect(2);
    assert!(refused.stderr.contains(&format!("--image {URI}:1=PATH")), "{}", refused.stderr);
    let given = format!("{URI}={}", folder.join("image.tar").display());
    let mut command = tasklane(home.path());
    command.arg("run").arg(&folder).args(["--image", &given, "--event", event]);
    assert_eq!(Ended::of(&mut command).expect(0).json(), json!("run"));
    let unread = Ended::of(tasklane(home.path()).arg("run").arg(&folder).args(["--image", URI])).expect(2);
    assert!(unread.stderr.contains("expected URI=PATH"), "{}", unread.stderr);
}

#[test]
fn an_image_is_served_replaced_and_rolled_back() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    let (own, of_aws) = (functions.join("own/image.tar"), home.path().join("aws.tar"));
    write_config(&functions.join("own"), "own", "./image.tar");
    write_config(&functions.join("aws"), "aws", &format!("{URI}:1"));
    write_function(&functions, "zip", "exports.handler = async () => 'zip';", &json!({}));
    let first = save(&own, "one");
    save(&of_aws, "of aws");
    let given = format!("--image={URI}={}", of_aws.display());
    let dev = Dev::start(home.path(), [functions.to_str().unwrap(), &given]);
    assert_eq!(execute(&dev, "own", "read:/which"), json!("one"));
    assert_eq!(execute(&dev, "aws", "read:/which"), json!("of aws"));
    assert_eq!(execute(&dev, "aws", "variable:AWS_LAMBDA_FUNCTION_NAME"), json!("tasklane-aws"));
    let details = dev.get("/tasks/v1/functions/own");
    assert_eq!(
        (&details["image"], details.get("runtime"), details.get("entryPoint")),
        (&json!("local/own"), None, None)
    );
    assert_eq!(dev.get("/tasks/v1/functions/aws")["image"], format!("{URI}:1"));
    assert!(dev.get("/tasks/v1/functions/zip").get("image").is_none());
    let code_of = |details: &Value| details["codeSha256"].as_str().unwrap().to_owned();
    use base64::Engine as _;
    assert_eq!(code_of(&details), base64::prelude::BASE64_STANDARD.encode(hex::decode(first).unwrap()));

    // Another image in its place.
    save(&own, "two");
    dev.says("own: updated (code)");
    assert_eq!(execute(&dev, "own", "read:/which"), json!("two"));
    let version = dev.ask("POST", "/tasklane/v1/functions/own/rollback", Some(&json!({ "to": 1 }))).ok();
    assert_eq!((&version["number"], &version["changed"]), (&json!(3), &json!(["code"])));
    assert_eq!(execute(&dev, "own", "read:/which"), json!("one"));
    let code = dev.ask("GET", "/tasklane/v1/functions/own/versions/1/code", None);
    assert_eq!((code.status, &code.body["code"]), (404, &json!(1504)), "{}", code.body);
    let diff = run(home.path(), ["diff", "own", "1", "2"]).expect(1);
    assert!(diff.stdout.contains("code"), "{}", diff.stdout);
    let shown = run(home.path(), ["get", "aws"]).expect(0);
    assert!(shown.stdout.contains(&format!("Image             {URI}:1")), "{}", shown.stdout);

    // Through the API.
    let put = |name: &str, body: Value| {
        let answer = dev.ask("PUT", &format!("/tasks/v1/functions/{name}"), Some(&body));
        (answer.status, answer.body["code"].clone(), answer.body["message"].as_str().unwrap_or_default().to_owned())
    };
    let (status, code, message) = put("zip", json!({ "image": format!("{URI}:1") }));
    assert_eq!((status, code), (400, json!(1402)), "{message}");
    let (status, code, message) = put("aws", json!({ "runtime": "nodejs22.x" }));
    assert_eq!((status, code), (400, json!(1402)), "{message}");
    let (status, code, message) = put("aws", json!({ "image": "a:1", "entryPoint": "index.handler" }));
    assert_eq!((status, code), (400, json!(26)), "{message}");
    let (status, code, message) = put("aws", json!({ "image": "registry/unknown:1" }));
    assert_eq!((status, code), (400, json!(1402)), "{message}");
    assert!(message.contains("--image registry/unknown:1=PATH"), "{message}");
    // A caller cannot name a file of this machine.
    let (status, code, message) = put("aws", json!({ "image": of_aws.to_str().unwrap() }));
    assert_eq!((status, code), (400, json!(15)), "{message}");
    assert_eq!(put("aws", json!({ "image": format!("{URI}:2"), "memoryLimit": 256 })).0, 200);
    assert_eq!(dev.get("/tasks/v1/functions/aws")["image"], format!("{URI}:2"));
    assert_eq!(put("zip", json!({ "image": null })).0, 200);
    let nothing = dev.ask("POST", "/tasks/v1/functions", Some(&json!({ "name": "new", "image": null })));
    assert_eq!(nothing.body["message"], "Required fields are missing: 'code', 'entryPoint', 'runtime'.");
    let body = json!({ "name": "new", "image": format!("{URI}:1") });
    assert_eq!(dev.ask("POST", "/tasks/v1/functions", Some(&body)).status, 200);
    assert_eq!(execute(&dev, "new", "read:/which"), json!("of aws"));
    dev.stop();
}

#[test]
fn without_a_jail_an_image_is_kept_and_does_not_run() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    write_config(&functions.join("own"), "own", "./image.tar");
    save(&functions.join("own/image.tar"), "one");
    let dev = Dev::start(home.path(), [functions.to_str().unwrap(), "--jail", "off"]);
    let said = dev.says("own: warning: an image cannot run here");
    assert!(said.contains("an image runs in a jail"), "{said}");
    let answer = dev.ask("POST", "/tasks/v1/functions/own/execute", Some(&json!({ "data": "user" })));
    assert!(answer.status >= 400, "{answer:?}");
    assert!(answer.body.to_string().contains("cannot run on this machine"), "{answer:?}");
    dev.stop();
}
