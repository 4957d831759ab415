use super::*;

fn api() -> Value {
    serde_json::json!(crate::api_document())
}

#[test]
fn every_operation_and_every_record_is_on_the_page_once() {
    let api = api();
    let page = render(&api).html;
    let document = Document::new(&api);
    assert!(document.operations().count() > 20);
    for operation in document.operations() {
        let mark = format!(" id=\"{}\"", operation.id());
        assert_eq!(page.matches(&mark).count(), 1, "{} has a tag that no group of the page shows", operation.id());
    }
    for (name, _) in object(&api["components"]["schemas"]) {
        assert_eq!(page.matches(&format!("id=\"record-{name}\"")).count(), 1, "{name}");
    }
}

#[test]
fn every_fold_has_examples_and_nothing_is_repeated() {
    let page = render(&api()).html;
    let folds = page.matches("<details").count();
    assert_eq!(folds, page.matches("<h3>Example</h3><div class=\"copied\"><pre tabindex=\"0\">curl ").count());
    assert_eq!(folds, page.matches("<h3>Example response <code>200</code></h3>").count());
    assert_eq!(page.matches("<code>/tasks/v1/api/{functionName}/{path}</code>").count(), 1, "its methods share a fold");
    for error in ["OAUTH_SIGNATURE_EXCEPTION", "ACCESS_TOKEN_UNKNOWN_EXCEPTION"] {
        assert_eq!(page.matches(error).count(), 1, "{error}: the errors of every call are said once");
    }
    for word in ["Some(", "i64", "int64", "usize", "Option&lt;", "_is_", "start_timestamp"] {
        assert!(!page.contains(word), "the page has a word of the source: {word}");
    }
}

#[test]
fn every_link_on_the_page_leads_somewhere() {
    let page = render(&api()).html;
    for target in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(page.contains(&format!("id=\"{target}\"")), "#{target}");
    }
}

#[test]
fn the_page_loads_nothing_and_is_small() {
    let Page { html, policy } = render(&api());
    for part in [" src=", "@import", "url(", "innerHTML", " style=\"", " onclick"] {
        assert!(!html.contains(part), "{part}");
    }
    let links: Vec<_> = html.split(" href=\"").skip(1).filter(|rest| !rest.starts_with(['#', '/'])).collect();
    assert_eq!(links.len(), 1, "only the empty icon");
    assert!(html.len() < 450_000, "{}", html.len());
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[test]
fn hostile_text_in_a_document_is_text() {
    let text = "<img src=x onerror=alert(1)>\"'`</script>";
    let api = serde_json::json!({
        "info": { "title": text, "version": text, "description": text },
        "tags": [{ "name": text, "description": text }],
        "paths": { "/<b>": { "get": {
            "operationId": text, "tags": [text], "summary": text, "description": text,
            "parameters": [{ "name": text, "in": text, "description": text, "schema": { "type": text, "pattern": text } }],
            "responses": { "200": { "description": text, "content": { text: { "schema": { "type": "string", "enum": [text] } } } } },
        } } },
    });
    let html = render(&api).html;
    assert!(html.contains("&lt;img src=x") && !html.contains("<img") && !html.contains("<b>"), "{html}");
    assert_eq!(html.matches("</script>").count(), SCRIPTS.len());
}
