//! Valid tokens and the users that they stand for.

use serde_json::{Value, json};
use tasklane_model::ErrorKind;

use super::super::testing::{Fixture, ISSUER, claims, claims_with, config, noon, recorded, sign_as, token};
use crate::oidc::OidcConfig;

#[tokio::test]
async fn a_token_with_any_supported_algorithm_identifies_its_subject() {
    let fixture = Fixture::new();
    let taken = recorded().tokens.into_iter().filter(|recorded| recorded.kid != "rsa-small");
    let mut algorithms = Vec::new();
    for recorded in taken {
        let identity =
            fixture.identify(&recorded.token).await.unwrap_or_else(|error| panic!("{}: {error}", recorded.alg));
        assert_eq!(identity.user_id.as_str(), "ada");
        assert_eq!(identity.permissions.iter().collect::<Vec<_>>(), ["VIEW_TASKS"]);
        algorithms.push(recorded.alg);
    }
    algorithms.sort_unstable();
    algorithms.dedup();
    assert_eq!(algorithms, ["ES256", "ES384", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"]);
}

#[tokio::test]
async fn tokens_signed_by_node_and_by_these_tests_are_equivalent() {
    let fixture = Fixture::new();
    for kid in ["rsa-1", "p256"] {
        let alg = if kid == "p256" { "ES256" } else { "RS256" };
        let token = sign_as(kid, &json!({ "alg": alg, "kid": kid, "typ": "at+jwt" }), &claims());
        assert_eq!(fixture.outcome(&token).await, Ok("ada".to_owned()));
    }
}

#[tokio::test]
async fn a_token_must_be_for_one_of_our_audiences() {
    let fixture = Fixture::with(OidcConfig::new(ISSUER.parse().unwrap(), ["tasklane", "tasklane-cli"]).unwrap());
    for (changes, taken) in [
        (json!({ "aud": "tasklane" }), true),
        (json!({ "aud": ["other", "tasklane-cli"] }), true),
        // Cognito's access tokens have no audience.
        (json!({ "aud": null, "client_id": "tasklane-cli", "token_use": "access" }), true),
        (json!({ "aud": null, "client_id": "other" }), false),
        // If there is an audience, it decides.
        (json!({ "aud": "other", "client_id": "tasklane" }), false),
        (json!({ "aud": [], "client_id": "tasklane" }), false),
        (json!({ "aud": null }), false),
        (json!({ "aud": "" }), false),
        (json!({ "aud": "TASKLANE" }), false),
        (json!({ "aud": "tasklane " }), false),
        (json!({ "aud": { "tasklane": true } }), false),
        (json!({ "aud": [["tasklane"]] }), false),
    ] {
        let outcome = fixture.outcome(&token(&claims_with(changes.clone()))).await;
        assert_eq!(outcome.is_ok(), taken, "{changes}: {outcome:?}");
        if !taken {
            assert_eq!(outcome, Err(ErrorKind::AccessTokenUnknown));
        }
    }
}

#[tokio::test]
async fn a_token_is_valid_from_its_start_to_its_expiry() {
    let fixture = Fixture::new();
    let now = noon().as_secs();
    for (changes, expected) in [
        (json!({ "exp": now + 1 }), Ok("ada".to_owned())),
        (json!({ "exp": now as f64 + 0.5 }), Ok("ada".to_owned())),
        (json!({ "exp": now }), Err(ErrorKind::AccessTokenExpired)),
        (json!({ "exp": now - 1 }), Err(ErrorKind::AccessTokenExpired)),
        (json!({ "exp": 0 }), Err(ErrorKind::AccessTokenExpired)),
        (json!({ "exp": -1 }), Err(ErrorKind::AccessTokenExpired)),
        (json!({ "exp": null }), Err(ErrorKind::AccessTokenUnknown)),
        (json!({ "exp": (now + 60).to_string() }), Err(ErrorKind::AccessTokenUnknown)),
        (json!({ "exp": [now + 60] }), Err(ErrorKind::AccessTokenUnknown)),
        // Clocks differ a little.
        (json!({ "nbf": now + 30, "iat": now + 30 }), Ok("ada".to_owned())),
        (json!({ "nbf": now + 31 }), Err(ErrorKind::AccessTokenUnknown)),
        (json!({ "iat": now + 31 }), Err(ErrorKind::AccessTokenUnknown)),
        (json!({ "nbf": "now" }), Err(ErrorKind::AccessTokenUnknown)),
    ] {
        let outcome = fixture.outcome(&token(&claims_with(changes.clone()))).await;
        assert_eq!(outcome, expected, "{changes}");
    }
    // null is present but is not a time.
    let nothing =
        token(&json!({ "iss": ISSUER, "aud": "tasklane", "sub": "ada", "exp": now + 60, "nbf": Value::Null }));
    assert_eq!(fixture.outcome(&nothing).await, Err(ErrorKind::AccessTokenUnknown));
}

#[tokio::test]
async fn the_caller_is_the_subject_and_the_application_the_client() {
    let fixture = Fixture::new();
    let long = "a".repeat(129);
    for subject in
        [json!(null), json!(""), json!("a b"), json!("é"), json!("a\nb"), json!(long), json!(7), json!(["ada"])]
    {
        let outcome = fixture.outcome(&token(&claims_with(json!({ "sub": subject })))).await;
        assert_eq!(outcome, Err(ErrorKind::AccessTokenUnknown), "{subject}");
    }
    let application = async |changes: Value| {
        let identity = fixture.identify(&token(&claims_with(changes))).await.unwrap();
        identity.identity.application_id.map(|id| id.to_string())
    };
    assert_eq!(application(json!({ "sub": "auth0|5f" })).await, None);
    assert_eq!(application(json!({ "client_id": "shop", "azp": "other" })).await.as_deref(), Some("shop"));
    assert_eq!(application(json!({ "azp": "shop" })).await.as_deref(), Some("shop"));
    assert_eq!(application(json!({ "azp": "the shop" })).await, None);
}

#[tokio::test]
async fn permissions_are_read_from_the_configured_claim() {
    let permissions = async |config: OidcConfig, changes: Value| {
        let identity = Fixture::with(config).identify(&token(&claims_with(changes))).await.unwrap();
        identity.permissions.iter().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let both = ["EXECUTE_TASK_FUNCTION:invoices", "VIEW_TASKS"];
    let at = |claim: &str| config().with_permissions_claim(claim);
    for (config, changes) in [
        (config(), json!({ "permissions": both })),
        (config(), json!({ "permissions": "VIEW_TASKS EXECUTE_TASK_FUNCTION:invoices" })),
        // Other services' groups are ignored if they cannot be permissions.
        (config(), json!({ "permissions": ["VIEW_TASKS", "the editors", "", 7, null, both[0]] })),
        (at("cognito:groups"), json!({ "cognito:groups": both, "permissions": ["DELETE_TASK_FUNCTION"] })),
        (at("https://example.com/roles"), json!({ "https://example.com/roles": both })),
        (at("realm_access.roles"), json!({ "realm_access": { "roles": both } })),
        (at("a.b.c"), json!({ "a": { "b": { "c": both } } })),
        // A claim with the whole name comes first.
        (at("a.b"), json!({ "a.b": both, "a": { "b": ["DELETE_TASK_FUNCTION"] } })),
        (
            at("scope").with_permissions_prefix("tasklane/"),
            json!({ "scope": "openid tasklane/VIEW_TASKS other/DELETE_TASK_FUNCTION CREATE_TASKS tasklane/EXECUTE_TASK_FUNCTION:invoices" }),
        ),
    ] {
        assert_eq!(permissions(config, changes.clone()).await, both, "{changes}");
    }
    for (config, changes) in [
        (config(), json!({})),
        (config(), json!({ "permissions": null, "scope": "VIEW_TASKS" })),
        (config(), json!({ "permissions": { "VIEW_TASKS": true } })),
        (config(), json!({ "permissions": true })),
        (config(), json!({ "permissions": [["VIEW_TASKS"]] })),
        (at("a.b"), json!({ "a": ["VIEW_TASKS"] })),
        (at("a."), json!({ "a": "VIEW_TASKS" })),
        (at("scope").with_permissions_prefix("tasklane/"), json!({ "scope": "tasklane/" })),
    ] {
        assert!(permissions(config, changes.clone()).await.is_empty(), "{changes}");
    }
}
