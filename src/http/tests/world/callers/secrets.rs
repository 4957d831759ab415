//! No secret appears in a log at any level, in a response, or in the `Debug` output of a value that holds one.

use tasklane_auth::issue;
use tasklane_aws::logging::holds_no_secret;
use tasklane_http::api_document;
use tasklane_model::{Environment, Identity, Permissions, UserId};
use tasklane_ports::{FunctionSpec, Ids, SystemChance};
use tasklane_service::{FunctionChange, FunctionOptions};
use tasklane_testing::log::capture;
use tracing_subscriber::{Layer, filter::filter_fn, fmt::format::FmtSpan, layer::SubscriberExt};

use crate::log::Kept;

use super::{
    Operation,
    rows::{Fixture, Target},
    who::Who,
};

/// The value of an environment variable.
const VALUE: &str = "planted-environment-value";

/// Operations whose response contains a Function's environment, which their permission allows to see.
const SHOW_ENVIRONMENTS: &[&str] = &["getFunction", "createFunction"];

/// What was logged and answered, and the secrets that must not be in it.
struct Scan {
    log: Kept,
    scanned: usize,
}

impl Scan {
    fn check(&mut self, case: &str, answer: &str, secrets: &[String]) {
        let log = self.log.take();
        self.scanned += log.len();
        for secret in secrets {
            assert!(!answer.contains(secret), "{case}: '{secret}' is in the answer\n{answer}");
        }
        for secret in secrets.iter().map(String::as_str).chain([VALUE]) {
            if let Some(at) = log.find(secret) {
                let line = log[..at].rfind('\n').map_or(0, |end| end + 1);
                panic!("{case}: '{secret}' is in the log\n{:.3000}", &log[line..]);
            }
        }
    }
}

#[tokio::test]
async fn no_secret_is_in_any_log_or_response_of_any_endpoint() {
    let log = Kept::default();
    // The most verbose level.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(log.clone())
        .with_ansi(false)
        .with_span_events(FmtSpan::FULL)
        .with_filter(filter_fn(holds_no_secret));
    let subscriber = tracing_subscriber::registry().with(lines);
    let _guard = capture(subscriber);
    let mut scan = Scan { log, scanned: 0 };

    let fixture = Fixture::new().await;
    let environment: Environment = Environment::parse([("API_KEY".into(), VALUE.into())].into()).unwrap();
    for target in [Target::Required, Target::AllUsers, Target::Public] {
        let options = FunctionOptions { environment: Some(environment.clone()), ..FunctionOptions::default() };
        let change = FunctionChange { options, ..FunctionChange::default() };
        fixture.kit.world.service.update_function(fixture.name_of(target), change).await.unwrap();
    }
    scan.check("setting it up", "", &[VALUE.to_owned()]);

    for operation in Operation::all() {
        for target in operation.targets() {
            for (who, shown) in Who::each() {
                // The test of all callers fails for an operation that is missing here.
                let Some(asked) = fixture.ask_for(&operation.id, *target).await else { continue };
                let function = fixture.name_of(*target);
                let authorization = who.authorization(&fixture.kit, shown, &operation, function, &asked.path).await;
                let request = format!("{} {}", operation.method, asked.path);
                let answered = fixture.kit.ask(&request, &authorization, asked.body).await;
                let mut secrets = std::mem::take(&mut *fixture.kit.issued.lock().unwrap());
                secrets.extend(signature_in(&authorization));
                let case = format!("{} by {who:?}, {shown:?}", operation.id);
                let heard = format!("{:?}\n{}", answered.headers, answered.text);
                let shows = SHOW_ENVIRONMENTS.contains(&operation.id.as_str()) && answered.status.is_success();
                if !shows {
                    secrets.push(VALUE.to_owned());
                }
                scan.check(&case, &heard, &secrets);
                // This shows that the value is there to be found.
                assert!(operation.id != "getFunction" || !shows || heard.contains(VALUE), "{heard}");
            }
        }
        refusals(&fixture, &operation, &mut scan).await;
    }
    assert!(scan.scanned > 500_000, "too little was logged: {}", scan.scanned);
    let document = serde_json::to_string(&api_document()).unwrap();
    scan.check("the API document", &document, &[VALUE.to_owned(), "planted".to_owned()]);
}

/// Errors name what was refused, without the secrets in it.
async fn refusals(fixture: &Fixture, operation: &Operation, scan: &mut Scan) {
    let Some(asked) = fixture.ask_for(&operation.id, Target::Required).await else { return };
    let request = format!("{} {}", operation.method, asked.path);
    for header in [
        "Bearer planted-token",
        "Bearer planted token",
        "Bearer eyJhbGciOiJub25lIn0.cGxhbnRlZA.planted",
        "Basic planted-basic",
        "planted-scheme",
        "OAuth oauth_signature=\"planted-signature\"",
        "OAuth oauth_consumer_key=\"k\", oauth_signature=\"planted-signature\", oauth_signature_method=\"planted-method\"",
        "OAuth oauth_consumer_key=\"planted-key, oauth_signature",
    ] {
        let answered = fixture.kit.ask(&request, header, asked.body.clone()).await;
        scan.check(&format!("{} with {header}", operation.id), &answered.text, &["planted".to_owned()]);
    }
    let who = format!("may {}", operation.permission());
    for environment in [
        format!("\"{VALUE}\""),
        format!("[\"{VALUE}\"]"),
        format!("{{\"A1\":\"{VALUE}\"}}"),
        format!("{{\"A1\":{{\"value\":[\"{VALUE}\"]}}}}"),
        format!("{{\"A1\":{{\"values\":\"{VALUE}\"}}}}"),
        format!("{{\"A1\":{{\"value\":\"{}\"}}}}", VALUE.repeat(1000)),
        format!("{{\"A1\":{{\"value\":\"{VALUE}\\u0000\"}}}}"),
        format!("{{\"AWS_REGION\":{{\"value\":\"{VALUE}\"}}}}"),
        format!("{{\"A1\":{{\"value\":\"{VALUE}\"}}"),
    ] {
        let body = format!("{{\"timeLimit\":30,\"environmentVariables\":{environment},\"name\":\"a\"}}");
        for body in [body.clone(), body.replace("30", "\"x\""), format!("{body},"), format!("[{body}]")] {
            let answered = fixture.kit.ask(&request, &who, body.clone()).await;
            let shows = SHOW_ENVIRONMENTS.contains(&operation.id.as_str()) && answered.status.is_success();
            let heard = if shows { "" } else { &answered.text };
            scan.check(&format!("{} of {body:.200}", operation.id), heard, &[VALUE.to_owned()]);
        }
    }
}

#[tokio::test]
async fn values_with_secrets_do_not_print_them() {
    let fixture = Fixture::new().await;
    let world = &fixture.kit.world;
    let identity = Identity {
        user_id: UserId::parse("ada").unwrap(),
        application_id: None,
        permissions: Permissions::parse::<String>([]).unwrap(),
    };
    let ids = Ids::new(std::sync::Arc::new(SystemChance));
    let (shown, _) = issue(identity, None, world.now(), &ids, &*world.secrets).await.unwrap();
    let environment = Environment::parse([("API_KEY".into(), VALUE.into())].into()).unwrap();
    let options = FunctionOptions { environment: Some(environment), ..FunctionOptions::default() };
    world.function("keeper", options.clone()).await;
    let function = world.service.get_function("keeper").await.unwrap();
    let spec = FunctionSpec { name: function.name.clone(), configuration: function.configuration.clone() };
    let change = FunctionChange { options: options.clone(), ..FunctionChange::default() };
    // A panic of `unwrap` or `assert` would print this.
    let printed = format!("{shown:#?} {options:?} {function:#?} {spec:?} {change:?}");
    for secret in [shown.access_token.expose(), shown.consumer_secret.expose(), shown.token_secret.expose(), VALUE] {
        assert!(!printed.contains(secret), "'{secret}' is in\n{printed}");
    }
}

/// The signature in a header of OAuth 1.0a, encoded and decoded.
fn signature_in(authorization: &str) -> Vec<String> {
    let Some((_, rest)) = authorization.split_once("oauth_signature=\"") else { return Vec::new() };
    let encoded = rest.split('"').next().unwrap_or_default();
    let meant = percent_encoding::percent_decode_str(encoded).decode_utf8_lossy().into_owned();
    vec![encoded.to_owned(), meant]
}
