//! The API document in `docs/` equals the served one.

use std::{env, fs, path::Path};

#[test]
fn the_document_in_docs_equals_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let made = serde_json::to_string_pretty(tasklane::http::api_document()).unwrap() + "\n";
    if env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &made).unwrap();
    }
    // Compared as values, because the order of an object's fields depends on a feature of serde_json that any dependency can enable.
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        value(&kept) == value(&made),
        "docs/openapi.json is not what the code describes any more.\n\
         If the change of the API is meant, regenerate it: UPDATE_OPENAPI=1 cargo test --test it openapi"
    );
}
