//! What is sent, and how responses are read.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tasklane_model::{FunctionName, Json, ObjectId, Secret};

use super::{testing::Server, *};

const ID: &str = "0123456789abcdef01234567";

fn name(text: &str) -> FunctionName {
    FunctionName::parse(text).unwrap()
}

fn task(id: usize) -> Value {
    json!({
        "id": format!("{id:024x}"), "functionName": "hello", "status": "new", "statusChangedTimestamp": "2026-01-31T08:15:30.123Z",
        "data": { "number": 1.0 }, "tags": [], "startTimestamp": "2026-01-31T08:15:30.123Z", "priority": 0,
        "createdByUserId": "ada", "creationTimestamp": "2026-01-31T08:15:30.123Z", "updateTimestamp": "2026-01-31T08:15:30.123Z",
        "somethingNew": true,
    })
}

fn page(data: &[Value], total: usize, offset: usize, limit: usize) -> Value {
    json!({ "query": "", "page": { "total": total, "offset": offset, "limit": limit }, "data": data })
}

/// `limit(a,b)` of a target.
fn limits(target: &str) -> (usize, usize) {
    let inside = target.split_once("limit(").unwrap().1.split(')').next().unwrap();
    let (limit, offset) = inside.split_once(',').unwrap_or((inside, "0"));
    (limit.parse().unwrap(), offset.parse().unwrap())
}

#[tokio::test]
async fn a_bearer_token_travels_in_its_header() {
    let server = Server::start(|_| (200, page(&[], 0, 0, 20))).await;
    server.client().functions().await.unwrap();
    assert_eq!(server.seen()[0].authorization, "Bearer s3cret-token");
    assert_eq!(server.lines(), ["GET /tasks/v1/functions"]);
}

/// Recomputes the signature as a server does: from the received target and header.
#[tokio::test]
async fn an_oauth1_signature_covers_the_query_as_it_arrives() {
    let server = Server::start(|_| (200, page(&[], 0, 0, 20))).await;
    let keys = OAuth1Keys {
        consumer_key: "ck&=".to_owned(),
        consumer_secret: Secret::new("c s"),
        token: Some(("to/ken".to_owned(), Secret::new("t+s"))),
    };
    let client = server.client_with(Credential::OAuth1(keys));
    let query = Query::new().eq("functionName", "a b)é%").and("in(status,new,failed)");
    client.tasks(query, HowMany::First(5)).await.unwrap();
    client.tasks(Query::new(), HowMany::First(5)).await.unwrap();

    let mut nonces = Vec::new();
    for seen in server.seen() {
        let encode = |text: &str| -> String {
            text.bytes()
                .map(|b| match b {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
                    _ => format!("%{b:02X}"),
                })
                .collect()
        };
        let decode = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let mut header: Vec<(String, String)> = seen
            .authorization
            .strip_prefix("OAuth ")
            .unwrap()
            .split(", ")
            .map(|part| part.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), decode(value.trim_matches('"'))))
            .collect();
        let signature = header.iter().position(|(name, _)| name == "oauth_signature").unwrap();
        let (_, signature) = header.remove(signature);
        nonces.push(header.iter().find(|(name, _)| name == "oauth_nonce").unwrap().1.clone());

        let (path, query) = seen.target.split_once('?').unwrap();
        let parameters = query.split('&').map(|part| part.split_once('=').unwrap_or((part, "")));
        let mut all: Vec<(String, String)> = parameters
            .map(|(name, value)| (encode(&decode(name)), encode(&decode(value))))
            .chain(header.iter().map(|(name, value)| (encode(name), encode(value))))
            .collect();
        all.sort();
        let all: Vec<String> = all.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let address = format!("{}{path}", server.address());
        let base = format!("GET&{}&{}", encode(&address), encode(&all.join("&")));
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(b"c%20s&t%2Bs").unwrap();
        mac.update(base.as_bytes());
        assert_eq!(signature, BASE64.encode(mac.finalize().into_bytes()), "{base}");
    }
    assert_ne!(nonces[0], nonces[1]);
}

#[tokio::test]
async fn an_error_of_the_service_is_printed_as_sent() {
    let server = Server::start(|_| {
        (404, json!({ "code": 16, "name": "RESOURCE_UNKNOWN_EXCEPTION", "message": "There is no function 'x'." }))
    })
    .await;
    let error = server.client().function(&name("x")).await.unwrap_err();
    assert_eq!(error.to_string(), "16 RESOURCE_UNKNOWN_EXCEPTION: There is no function 'x'.");
    assert!(server.client().find_function(&name("x")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_response_from_something_else_is_recognized() {
    let server = Server::start(|_| (200, json!("hello"))).await;
    let error = server.client().functions().await.unwrap_err().to_string();
    assert!(error.contains("is not from a tasklane service"), "{error}");
    let server = Server::start(|_| (302, Value::Null)).await;
    let error = server.client().functions().await.unwrap_err().to_string();
    assert!(error.ends_with("HTTP 302 Found"), "{error}");
}

#[tokio::test]
async fn an_unreachable_local_service_gives_a_hint() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let base = BaseUrl::from_host(&address).unwrap();
    let client = Client::new(base, Credential::Bearer(Secret::new("s3cret"))).unwrap().with_retry_delays(&[]);
    let error = client.functions().await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot reach {address}: ")), "{error}");
    assert!(error.ends_with("; is `tasklane dev` running?"), "{error}");
    assert!(!format!("{client:?}").contains("s3cret"));
}

#[tokio::test]
async fn reads_are_retried_and_writes_are_not() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let failing = |_: &_| {
        ASKED.fetch_add(1, Ordering::SeqCst);
        (503, json!("<html>"))
    };
    let server = Server::start(failing).await;
    let client = server.client().with_retry_delays(&[Duration::ZERO; 2]);
    let error = client.functions().await.unwrap_err().to_string();
    assert_eq!(error, "HTTP 503 Service Unavailable: the service is not available");
    assert_eq!(ASKED.swap(0, Ordering::SeqCst), 3);
    client.set_function_enabled(&name("x"), false).await.unwrap_err();
    client.execute(&name("x"), None, None).await.unwrap_err();
    assert_eq!(ASKED.swap(0, Ordering::SeqCst), 2);
    // With an idempotency key, a second request does no harm.
    let key = tasklane_model::IdempotencyKey::parse("k").unwrap();
    client.execute(&name("x"), None, Some(&key)).await.unwrap_err();
    assert_eq!(ASKED.load(Ordering::SeqCst), 3);

    let recovering = AtomicUsize::new(0);
    let server = Server::start(move |_| match recovering.fetch_add(1, Ordering::SeqCst) {
        0 => (500, json!({ "code": 1, "name": "SERVER_EXCEPTION", "message": "" })),
        _ => (200, page(&[], 0, 0, 20)),
    })
    .await;
    assert!(server.client().with_retry_delays(&[Duration::ZERO]).functions().await.is_ok());
}

#[tokio::test]
async fn lists_are_read_to_the_last_page() {
    let server = Server::start(|seen| {
        let (limit, offset) = limits(&seen.target);
        // A Task that was created meanwhile pushes the last one of the first page onto the second.
        let first = if offset == 0 { 0 } else { offset - 1 };
        let data: Vec<_> = (first..120).map(task).take(limit).collect();
        (200, page(&data, 120, offset, limit))
    })
    .await;
    let all = server.client().tasks(Query::new().and("eq(status,new)"), HowMany::All).await.unwrap();
    let ids: Vec<_> = all.parse().unwrap().iter().map(|task| task.value.id).collect();
    assert_eq!(ids.len(), 120);
    assert!(ids.is_sorted_by(|a, b| a < b));
    assert_eq!(server.lines()[1], "GET /tasks/v1/?eq(status,new)&limit(50,50)");

    let some = server.client().tasks(Query::new(), HowMany::First(60)).await.unwrap();
    assert_eq!((some.records.len(), some.total), (60, Some(120)));

    let server =
        Server::start(|_| (200, page(&[json!({ "status": "new" }), json!({ "status": "new" })], 2, 0, 50))).await;
    let partial = server.client().tasks(Query::new().and("select(status)"), HowMany::All).await.unwrap();
    assert_eq!(partial.records.len(), 2);
    assert!(partial.parse().is_err());
}

#[tokio::test]
async fn a_record_keeps_its_json_as_sent() {
    let server = Server::start(|_| (200, page(&[task(7)], 1, 0, 20))).await;
    let id: ObjectId = format!("{:024x}", 7).parse().unwrap();
    let found = server.client().find_task(id).await.unwrap().unwrap();
    assert_eq!(found.value.data.as_ref().unwrap().as_str(), r#"{"number":1.0}"#);
    assert_eq!(found.value.origin.created_by_user_id.as_ref().unwrap().as_str(), "ada");
    assert!(found.json.as_str().contains(r#""somethingNew":true"#));
    assert_eq!(server.lines(), [format!("GET /tasks/v1/?eq(id,{id})")]);
}

#[tokio::test]
async fn an_execution_returns_its_task_and_its_result() {
    let server = Server::start(|seen| {
        let mut answer = task(1);
        answer["result"] = seen.body["data"].clone();
        (200, answer)
    })
    .await;
    let data = Json::parse(r#"{"a": 1.50}"#.to_owned()).unwrap();
    let executed = server.client().execute(&name("hello"), Some(&data), None).await.unwrap();
    assert_eq!(executed.value.result.to_value(), json!({ "a": 1.5 }));
    assert_eq!(executed.value.task.function_name, name("hello"));
    assert_eq!(server.lines(), ["POST /tasks/v1/functions/hello/execute"]);
    assert_eq!(server.seen()[0].body, json!({ "data": { "a": 1.5 } }));
    server.client().execute(&name("hello"), None, None).await.unwrap();
    assert_eq!(server.seen()[1].body, json!({}));
}

#[tokio::test]
async fn log_lines_are_read_to_the_end() {
    let server = Server::start(|seen| {
        let (limit, offset) = limits(&seen.target);
        let lines: Vec<_> = (offset..70)
            .take(limit)
            .map(|n| json!({ "message": format!("line {n}"), "timestamp": "2026-01-31T08:15:30.123Z" }))
            .collect();
        (200, json!({ "page": { "offset": offset, "limit": limit }, "data": lines }))
    })
    .await;
    let source = LogSource::Task(ID.parse().unwrap());
    let lines = server.client().logs(source, Some("2026-01-31T08:15:30.123Z".parse().unwrap())).await.unwrap();
    assert_eq!(lines.len(), 70);
    assert_eq!(lines[69].message, "line 69");
    assert!(server.lines()[1].starts_with(&format!("GET /tasks/v1/{ID}/logs?ge(timestamp,2026-01-31T08%253A15")));

    for code in [1408, 1413] {
        let server = Server::start(move |_| (400, json!({ "code": code, "name": "NONE_YET", "message": "" }))).await;
        assert!(server.client().logs(source, None).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_created_credential_does_not_show_its_secrets_by_accident() {
    let server = Server::start(|_| {
        (200, json!({
            "id": ID, "userId": "ada", "permissions": ["VIEW_TASKS"], "creationTimestamp": "2026-01-31T08:15:30.123Z",
            "consumerKey": "ck", "consumerSecret": "s3cret-1", "token": "t", "tokenSecret": "s3cret-2", "accessToken": "s3cret-3",
        }))
    })
    .await;
    let new = NewCredential {
        user_id: "ada".to_owned().try_into().unwrap(),
        application_id: None,
        permissions: tasklane_model::Permissions::parse(["VIEW_TASKS"]).unwrap(),
        expires_timestamp: None,
    };
    let created = server.client().create_credential(&new).await.unwrap().value;
    assert_eq!(created.access_token.expose(), "s3cret-3");
    assert!(!format!("{created:?}").contains("s3cret"));
    assert_eq!(server.seen()[0].body, json!({ "userId": "ada", "permissions": ["VIEW_TASKS"] }));
}

#[tokio::test]
async fn execution_credentials_are_asked_for_with_the_keys_that_there_are_and_new_ones_are_not_printed() {
    let server = Server::start(|_| {
        let answer = json!({
            "role": "exh.tasks.hello", "email": "exh.tasks+hello@extrahorizon.com", "roleCreated": true,
            "permissionsAdded": ["VIEW_TASKS"], "permissionsRemoved": [], "userCreated": true, "roleGiven": false,
            "credentialCreated": true,
            "keys": { "consumerKey": "ck", "consumerSecret": "c-secret", "token": "t", "tokenSecret": "t-secret" },
        });
        (200, answer)
    })
    .await;
    let body = ExecutionCredentialsBody {
        permissions: tasklane_model::Permissions::parse(["VIEW_TASKS"]).unwrap(),
        email: None,
        consumer_key: Some("ck".to_owned()),
        token: Some("t".to_owned()),
        dry_run: false,
    };
    let made = server.client().set_execution_credentials(&name("hello"), &body).await.unwrap().value;
    assert_eq!(server.lines(), ["PUT /tasklane/v1/functions/hello/executionCredentials"]);
    let sent = json!({ "permissions": ["VIEW_TASKS"], "consumerKey": "ck", "token": "t" });
    assert_eq!(server.seen()[0].body, sent);
    assert_eq!(made.keys.as_ref().unwrap().token_secret.expose(), "t-secret");
    assert!(!format!("{made:?}").contains("secret\""), "{made:?}");
}
