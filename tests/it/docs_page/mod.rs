//! The page about the API, `/docs`, in Chromium (`browser.mjs`).

use serde_json::json;

use crate::support::{
    debian,
    dev::Dev,
    packages,
    project::{repository, write_function},
};

/// Answers with a page of its own, or with a long text.
const PAGES: &str = r"
exports.handler = async (event) => event.rawPath === '/long'
  ? { statusCode: 200, headers: { 'content-type': 'text/plain' }, body: 'x'.repeat(300000) }
  : { statusCode: 200, headers: { 'content-type': 'text/html' }, body: '<title>a page</title><img src=x onerror=globalThis.pwned=1>' };
";

#[test]
fn the_page_about_the_api_can_be_searched_and_calls_can_be_tried() {
    let (chromium, packages) = (debian::program("chromium"), packages::install());
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    write_function(&functions, "pages", PAGES, &json!({ "executionPermission": "public" }));
    let hostile = "<img src=x onerror=\"globalThis.pwned=1\">\u{202e}gnirts";
    write_function(&functions, "hostile", "exports.handler = async () => 1;", &json!({ "description": hostile }));
    let dev = Dev::start(home.path(), [functions.as_os_str()]);
    let plan = json!({
        "service": dev.base_url(), "chromium": chromium, "token": dev.credentials()["API_ACCESS_TOKEN"],
        "profile": home.path().join("profile"),
    });
    let output = packages::node()
        .arg(repository().join("tests/it/docs_page/browser.mjs"))
        .env("TASKLANE_TEST_PACKAGES", &packages)
        .env("TASKLANE_TEST_PLAN", plan.to_string())
        .env_remove("NODE_OPTIONS")
        .output()
        .expect("node starts");
    assert!(
        output.status.success(),
        "the browser found faults\n{}{}\n--- tasklane dev\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        dev.stderr()
    );
    dev.stop();
}
