use serde_json::{Value, json};

use super::*;

fn event(changes: Value) -> GatewayEvent {
    let mut event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/tasks/v1/", "rawQueryString": "",
        "headers": { "host": "api.example.com", "x-forwarded-proto": "https" },
        "requestContext": { "stage": "$default", "domainName": "api.example.com", "http": { "method": "GET" } },
        "isBase64Encoded": false,
    });
    for (field, value) in changes.as_object().unwrap() {
        event[field] = value.clone();
    }
    serde_json::from_value(event).unwrap()
}

fn uri_of(path: &str, query: &str) -> String {
    event(json!({ "rawPath": path, "rawQueryString": query })).into_request().unwrap().uri().to_string()
}

#[test]
fn path_and_query_are_what_the_client_wrote() {
    let uri = uri_of("/tasks/v1/", "eq(data.a,%2520)&limit(1)");
    assert_eq!(uri, "https://api.example.com/tasks/v1/?eq(data.a,%2520)&limit(1)");
    // Characters that the gateway has decoded are encoded again.
    assert_eq!(uri_of("/tasks/v1/api/f/a b/é?x#y", ""), "https://api.example.com/tasks/v1/api/f/a%20b/%C3%A9%3Fx%23y");
    assert_eq!(uri_of("/a%252Fb/100%", ""), "https://api.example.com/a%252Fb/100%25");
    // Neither resolved nor merged.
    assert_eq!(uri_of("/tasks/v1/api/f/../x//y/.", ""), "https://api.example.com/tasks/v1/api/f/../x//y/.");
}

#[test]
fn the_stage_is_removed_from_the_path() {
    let context = json!({ "stage": "prod", "http": { "method": "GET" } });
    for (path, rest) in [("/prod/tasks/v1", "/tasks/v1"), ("/prod", "/"), ("/production/x", "/production/x")] {
        let request = event(json!({ "rawPath": path, "requestContext": context })).into_request().unwrap();
        assert_eq!(request.uri().path(), rest);
    }
}

#[test]
fn the_signature_covers_a_stage_that_the_client_wrote() {
    let path = |domain: &str, stage: &str, path: &str| {
        let context = json!({ "stage": stage, "domainName": domain, "http": { "method": "GET" } });
        let headers = json!({ "host": domain, "x-forwarded-proto": "HTTPS" });
        let event =
            event(json!({ "rawPath": path, "rawQueryString": "a", "headers": headers, "requestContext": context }));
        let request = event.into_request().unwrap();
        (request.uri().to_string(), request.extensions().get::<ClientUri>().map(|seen| seen.0.to_string()))
    };
    let own = "0a1b2c3d4e.execute-api.eu-west-1.amazonaws.com";
    assert_eq!(
        path(own, "prod", "/prod/tasks/v1/"),
        (format!("https://{own}/tasks/v1/?a"), Some(format!("https://{own}/prod/tasks/v1/?a")))
    );
    // Behind a custom domain, the gateway adds the stage, which the client does not know about.
    let custom = "https://api.example.com/tasks/v1/?a".to_owned();
    assert_eq!(path("api.example.com", "prod", "/prod/tasks/v1/"), (custom.clone(), None));
    assert_eq!(path("api.example.com", "$default", "/tasks/v1/"), (custom, None));
    assert_eq!(path(own, "$default", "/tasks/v1/"), (format!("https://{own}/tasks/v1/?a"), None));
}

#[test]
fn the_address_comes_from_the_connection_and_not_from_a_header() {
    let address = |context: Value| {
        let headers = json!({ "host": "a.example", "x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9" });
        let request = event(json!({ "headers": headers, "requestContext": context })).into_request().unwrap();
        request.extensions().get::<ClientAddress>().map(|address| address.0.to_string())
    };
    assert_eq!(address(json!({ "http": { "method": "GET", "sourceIp": "192.0.2.7" } })).as_deref(), Some("192.0.2.7"));
    assert_eq!(
        address(json!({ "http": { "method": "GET", "sourceIp": "2001:db8::7" } })).as_deref(),
        Some("2001:db8::7")
    );
    assert_eq!(address(json!({ "http": { "method": "GET" } })), None);
}

#[test]
fn binary_bodies_are_unchanged_in_both_directions() {
    let bytes: Vec<u8> = (0..=255).collect();
    let event = event(json!({ "body": BASE64_STANDARD.encode(&bytes), "isBase64Encoded": true }));
    assert_eq!(event.into_request().unwrap().body(), &bytes);

    let answer = GatewayAnswer::of("/", Response::new(Bytes::from(bytes.clone())));
    assert!(answer.is_base64_encoded);
    assert_eq!(BASE64_STANDARD.decode(answer.body).unwrap(), bytes);
    let answer = GatewayAnswer::of("/", Response::new(Bytes::from("é")));
    assert_eq!((answer.body.as_str(), answer.is_base64_encoded), ("é", false));
}

#[test]
fn cookies_and_repeated_headers_survive() {
    let request = event(json!({ "cookies": ["a=1", "b=2"] })).into_request().unwrap();
    assert_eq!(request.headers()["cookie"], "a=1; b=2");

    let response = Response::builder()
        .header("vary", "origin")
        .header("vary", "accept")
        .header("set-cookie", "a=1, Path=/")
        .header("set-cookie", "b=2")
        .body(Bytes::new())
        .unwrap();
    let answer = GatewayAnswer::of("/", response);
    assert_eq!(answer.headers, BTreeMap::from([("vary".to_owned(), "origin, accept".to_owned())]));
    assert_eq!(answer.cookies, ["a=1, Path=/", "b=2"]);
}

#[test]
fn an_emulator_that_names_no_scheme_uses_http() {
    let headers = json!({ "host": "0a1b2c3d.execute-api.localhost:4566" });
    let request = event(json!({ "headers": headers })).into_request().unwrap();
    assert_eq!(request.uri().to_string(), "http://0a1b2c3d.execute-api.localhost:4566/tasks/v1/");
}

#[test]
fn a_response_that_is_too_large_becomes_an_error() {
    let error = |path: &str, body: String| -> Value {
        let answer = GatewayAnswer::of(path, Response::new(Bytes::from(body)));
        assert_ne!(answer.status_code, 200);
        serde_json::from_str(&answer.body).unwrap()
    };
    let result = format!(r#"{{"id":"0123456789abcdef01234567","result":"{}"}}"#, "a".repeat(MAX_ANSWER_BYTES));
    let answer = error("/tasks/v1/functions/f/execute", result);
    assert_eq!((&answer["code"], &answer["taskId"]), (&json!(1405), &json!("0123456789abcdef01234567")));
    // Quotes take two bytes each in JSON, so this is larger than it looks.
    assert_eq!(error("/tasks/v1/api/f/", "\"".repeat(4 * 1024 * 1024))["code"], 1409);
    assert_eq!(error("/tasks/v1/", format!("{{\"data\":[\"{}\"]}}", "a".repeat(MAX_ANSWER_BYTES)))["code"], 26);
    // A response just under the limit is passed on.
    let body = "a".repeat(MAX_ANSWER_BYTES - 1024);
    assert_eq!(GatewayAnswer::of("/tasks/v1/api/f/", Response::new(Bytes::from(body))).status_code, 200);
}
