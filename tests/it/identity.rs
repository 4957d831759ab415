//! Authentication through the whole service: tokens of a simulated OIDC issuer, signatures behind a proxy, and stored
//! secrets.

use std::fs;

use serde_json::{Value, json};

use crate::support::{dev::Dev, issuer::Issuer, project::write_function, signed::signed, wait::until};

/// Returns the caller as the service reported it.
const WHO: &str = "exports.handler = async ({ headers }) => ({ statusCode: 200, body: JSON.stringify({
  user: headers['x-exh-requesting-user-id'], application: headers['x-exh-requesting-application-id'],
}) });";

fn start(home: &std::path::Path, issuer: &Issuer, more: &[&str]) -> Dev {
    let functions = home.join("functions");
    write_function(&functions, "who", WHO, &json!({ "executionPermission": "allUsers" }));
    write_function(&functions, "safe", WHO, &json!({}));
    let mut args = vec!["--oidc-issuer", issuer.url(), "--oidc-audience", "tasklane"];
    args.extend(more);
    let functions = functions.to_str().unwrap().to_owned();
    Dev::start(home, args.into_iter().chain([functions.as_str()]))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn code(answer: &Value) -> u64 {
    answer["code"].as_u64().unwrap_or_default()
}

#[test]
fn a_user_of_an_oidc_issuer_may_do_what_their_token_says() {
    let (home, issuer) = (tempfile::tempdir().unwrap(), Issuer::start());
    let dev = start(home.path(), &issuer, &[]);
    let may = |permissions: &[&str]| {
        bearer(&issuer.token(&json!({ "sub": "ada", "azp": "shop", "permissions": permissions })))
    };

    let viewer = may(&["VIEW_TASKS"]);
    let me = dev.ask_as(&viewer, "GET", "/users/v1/me", None).ok();
    assert_eq!(
        (&me["id"], &me["applicationId"], &me["permissions"]),
        (&json!("ada"), &json!("shop"), &json!(["VIEW_TASKS"]))
    );
    dev.ask_as(&viewer, "GET", "/tasks/v1/", None).ok();
    let refused = dev.ask_as(&viewer, "GET", "/tasks/v1/functions", None);
    assert_eq!((refused.status, code(&refused.body)), (401, 10), "{:?}", refused.body);

    // Functions see the caller, and permission modes apply.
    let seen = json!({ "user": "ada", "application": "shop" });
    assert_eq!(dev.ask_as(&may(&[]), "GET", "/tasks/v1/api/who/", None).ok(), seen);
    assert_eq!(code(&dev.ask_as(&may(&[]), "GET", "/tasks/v1/api/safe/", None).body), 10);
    assert_eq!(dev.ask_as(&may(&["EXECUTE_API_FUNCTION:safe"]), "GET", "/tasks/v1/api/safe/", None).ok(), seen);
    let requests = dev.get("/tasks/v1/apiRequests?eq(functionName,who)");
    assert_eq!(
        (&requests["data"][0]["userId"], &requests["data"][0]["applicationId"]),
        (&json!("ada"), &json!("shop"))
    );
    let task = dev.ask_as(&may(&["CREATE_TASKS"]), "POST", "/tasks/v1/", Some(&json!({ "functionName": "who" }))).ok();
    assert_eq!(task["createdByUserId"], "ada");

    // Nobody can grant permissions that they do not have.
    let grant = json!({ "userId": "eve", "permissions": ["DELETE_TASK_FUNCTION"] });
    let refused = dev.ask_as(&may(&["CREATE_CREDENTIALS"]), "POST", "/tasklane/v1/credentials", Some(&grant));
    assert_eq!(code(&refused.body), 10, "{:?}", refused.body);
    dev.stop();
}

#[test]
fn invalid_tokens_have_distinct_errors_and_the_services_own_keep_working() {
    let (home, issuer) = (tempfile::tempdir().unwrap(), Issuer::start());
    let dev = start(home.path(), &issuer, &[]);
    let outcome = |token: &str| {
        let answer = dev.ask_as(&bearer(token), "GET", "/users/v1/me", None);
        (answer.status, code(&answer.body))
    };
    assert_eq!(outcome(&issuer.token(&json!({ "sub": "ada" }))), (200, 0));
    assert_eq!(outcome(&issuer.token(&json!({ "sub": "ada", "exp": 1 }))), (401, 118));
    assert_eq!(outcome(&issuer.token(&json!({ "sub": "ada", "aud": "other" }))), (401, 117));
    assert_eq!(outcome(&issuer.token(&json!({ "sub": "ada", "iss": "https://other.example" }))), (401, 117));
    let good = issuer.token(&json!({ "sub": "ada" }));
    assert_eq!(outcome(&good[..good.len() - 4]), (401, 117));
    assert_eq!(outcome("a.b.c"), (401, 117));
    assert_eq!(outcome(&dev.credentials()["API_ACCESS_TOKEN"]), (200, 0));
    // An error on public paths, too (contract §6).
    let answer = dev.ask_as("Bearer a.b.c", "GET", "/tasks/v1/openapi.json", None);
    assert_eq!((answer.status, code(&answer.body)), (401, 117));

    assert!(!dev.stderr().contains(&good), "a token was logged");
    dev.stop();
}

#[test]
fn scopes_of_cognito_are_permissions() {
    let (home, issuer) = (tempfile::tempdir().unwrap(), Issuer::start());
    let flags = ["--oidc-permissions-claim", "scope", "--oidc-permissions-prefix", "tasklane/"];
    let dev = start(home.path(), &issuer, &flags);
    // Cognito's access tokens have no audience, a client, and scopes of resource servers.
    let token = issuer.token(&json!({
        "aud": null, "client_id": "tasklane", "token_use": "access", "sub": "5f9c", "scope": "openid tasklane/VIEW_TASKS other/CREATE_TASKS",
    }));
    let me = dev.ask_as(&bearer(&token), "GET", "/users/v1/me", None).ok();
    assert_eq!((&me["id"], &me["applicationId"]), (&json!("5f9c"), &json!("tasklane")));
    assert_eq!(me["permissions"], json!(["VIEW_TASKS"]));
    dev.stop();
}

#[test]
fn an_unreachable_issuer_is_reported_at_the_start_and_other_callers_still_have_access() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::start();
    issuer.be_away();
    let dev = start(home.path(), &issuer, &[]);
    until("the issuer is reported as unreachable", || dev.stderr().contains("OIDC issuer").then_some(()));
    let answer = dev.ask_as(&bearer(&issuer.token(&json!({ "sub": "ada" }))), "GET", "/users/v1/me", None);
    assert_eq!((answer.status, code(&answer.body)), (500, 1));
    dev.get("/users/v1/me");
    dev.stop();
}

#[test]
fn signatures_must_be_for_the_public_url() {
    let home = tempfile::tempdir().unwrap();
    let dev = Dev::start(home.path(), ["--public-url", "https://api.example.com"]);
    let status = |url: &str| {
        let target = "/tasks/v1/?limit(5)&eq(status,new)";
        dev.ask_as(&signed(&dev.credentials(), url, target), "GET", target, None).status
    };
    assert_eq!(status("https://api.example.com"), 200);
    for other in [dev.base_url(), "http://api.example.com", "https://api.example.com:8443", "https://other.example.com"]
    {
        assert_eq!(status(other), 401, "{other}");
    }
    dev.stop();

    // Without a public URL, it is the URL that reached the service.
    let home = tempfile::tempdir().unwrap();
    let dev = Dev::start::<&str>(home.path(), []);
    let status =
        |url: &str| dev.ask_as(&signed(&dev.credentials(), url, "/tasks/v1/"), "GET", "/tasks/v1/", None).status;
    assert_eq!((status(dev.base_url()), status("https://api.example.com")), (200, 401));
    dev.stop();
}

#[test]
fn a_signed_request_is_accepted_once_even_across_restarts() {
    let home = tempfile::tempdir().unwrap();
    // The port differs after the restart; the signed URL does not.
    let start = || Dev::start(home.path(), ["--public-url", "https://api.example.com"]);
    let dev = start();
    let request = signed(&dev.credentials(), "https://api.example.com", "/tasks/v1/");
    let send = |dev: &Dev| {
        let answer = dev.ask_as(&request, "GET", "/tasks/v1/", None);
        (answer.status, code(&answer.body))
    };
    assert_eq!(send(&dev), (200, 0));
    assert_eq!(send(&dev), (401, 110));
    dev.kill();

    let dev = start();
    assert_eq!(send(&dev), (401, 110));
    dev.stop();
}

#[test]
fn secrets_are_shown_once_and_not_stored() {
    let home = tempfile::tempdir().unwrap();
    let dev = Dev::start::<&str>(home.path(), []);
    let created = dev
        .ask("POST", "/tasklane/v1/credentials", Some(&json!({ "userId": "ada", "permissions": ["VIEW_TASKS"] })))
        .ok();
    let secrets =
        ["accessToken", "consumerSecret", "tokenSecret"].map(|name| created[name].as_str().unwrap().to_owned());
    assert_eq!(secrets[0].len(), "tl_".len() + 43, "256 bits in base64");
    let token = &secrets[0];
    assert_eq!(dev.ask_as(&bearer(token), "GET", "/users/v1/me", None).ok()["id"], "ada");
    let listed = dev.get("/tasklane/v1/credentials").to_string();
    assert!(listed.contains(created["consumerKey"].as_str().unwrap()));
    assert!(secrets.iter().all(|secret| !listed.contains(secret)));
    dev.ask("DELETE", &format!("/tasklane/v1/credentials/{}", created["id"].as_str().unwrap()), None).ok();
    let revoked = dev.ask_as(&bearer(token), "GET", "/users/v1/me", None);
    assert_eq!((revoked.status, code(&revoked.body)), (401, 117));
    assert!(secrets.iter().all(|secret| !dev.stderr().contains(secret)));
    dev.stop();

    let mut searched = 0;
    for file in
        walkdir::WalkDir::new(home.path()).into_iter().map(Result::unwrap).filter(|file| file.file_type().is_file())
    {
        let content = fs::read(file.path()).unwrap();
        for secret in &secrets {
            let found = content.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{} holds a secret", file.path().display());
        }
        searched += 1;
    }
    assert!(searched > 2, "the database was searched, too");
}
