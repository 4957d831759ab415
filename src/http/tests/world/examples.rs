//! The examples of the API document are calls that the service understands.

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tasklane_http::api_document;
use tasklane_service::FunctionOptions;
use tower::ServiceExt;

use super::kit::Kit;

/// The codes of errors that say: this call is written wrongly.
const MISUNDERSTOOD: [u64; 8] = [12, 14, 15, 19, 20, 22, 26, 1401];

#[tokio::test]
async fn the_service_understands_every_example_of_its_document() {
    let kit = Kit::new().await;
    kit.world.function("invoices", FunctionOptions::default()).await;
    let document = json!(api_document());
    let (mut bodies, mut queries) = (0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let who = match operation["x-access"]["permission"].as_str() {
                Some(permission) => format!("may {permission}"),
                None => String::new(),
            };
            let mut target = format!("{} {path}", method.to_uppercase());
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let example = parameter["example"].as_str();
                match (parameter["in"].as_str().unwrap(), example) {
                    ("path", _) => {
                        let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
                        target = target.replace(&name, parameter["schema"]["example"].as_str().unwrap_or("1"));
                    }
                    ("query", Some(example)) => {
                        assert_eq!(parameter["name"], "rql", "{target}: RQL is the query string itself");
                        target += &format!("?{example}");
                        queries += 1;
                    }
                    _ => {}
                }
            }
            let body = operation["requestBody"]["content"]["application/json"].get("example");
            bodies += u32::from(body.is_some());
            let text = body.map(ToString::to_string).unwrap_or_default();
            let request = kit.request(&target, &[("authorization", who.as_str())], text).await;
            let (parts, answer) = kit.router.clone().oneshot(request).await.unwrap().into_parts();
            // A stream that was understood does not end.
            if parts.status.is_success() {
                continue;
            }
            let answer = answer.collect().await.unwrap().to_bytes();
            let code =
                serde_json::from_slice::<Value>(&answer).unwrap_or_default()["code"].as_u64().unwrap_or_default();
            let is_body_missing = body.is_none() && operation.get("requestBody").is_some();
            assert!(
                is_body_missing || !MISUNDERSTOOD.contains(&code),
                "{target} {body:?} → {} {}",
                parts.status,
                String::from_utf8_lossy(&answer)
            );
        }
    }
    assert!(bodies > 20 && queries > 10, "{bodies} {queries}");
}
