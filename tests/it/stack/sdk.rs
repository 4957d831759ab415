//! The official JavaScript SDK, which accepts the gateway's name because `localhost` is in it.

use super::deployed::Deployed;
use crate::support::{packages, project::repository};

pub fn works_through_the_gateway(stack: &Deployed<'_>) {
    let packages = packages::install();
    let output = packages::node()
        .args(["--test", "--test-reporter=spec", "--test-timeout=120000"])
        .arg(repository().join("tests/sdk/stack/gateway.test.mjs"))
        .env("TASKLANE_TEST_PACKAGES", packages)
        .env("TASKLANE_TEST_CREDENTIALS", stack.credentials_file())
        .env_remove("NODE_TEST_CONTEXT")
        .env_remove("NODE_OPTIONS")
        .output()
        .expect("node starts");
    assert!(
        output.status.success(),
        "the SDK's calls failed\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
