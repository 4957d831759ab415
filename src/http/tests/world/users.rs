//! Users, their roles, and what strangers try (contract §21).

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tasklane_auth::IssuedCredential;
use tasklane_model::{ObjectId, PermissionMode};
use tasklane_service::FunctionOptions;
use tasklane_testing::TestLambda;

use super::{
    kit::{Answered, Kit},
    revocation::instance,
    signer::Signer,
};

/// What it takes to make a user with a role, as the official CLI does.
const ROLES: &str = "may CREATE_ROLE,VIEW_ROLE,ADD_ROLE_PERMISSION,REMOVE_ROLE_PERMISSION,VIEW_USER,ADD_ROLE_TO_USER,\
                     REMOVE_ROLE_FROM_USER,VIEW_TASKS,CREATE_TASKS,CREATE_CREDENTIALS";
const PASSWORD: &str = "0Oo-0123456789abcdef";

fn id(answered: &Answered) -> String {
    assert_eq!(answered.status, 200, "{}", answered.text);
    answered.json()["id"].as_str().unwrap().to_owned()
}

fn registration(email: &str) -> String {
    let body = json!({
        "email": email, "password": PASSWORD, "first_name": "invoices", "last_name": "exh.tasks",
        "phone_number": "0000000000", "language": "EN", "activation_mode": "manual",
    });
    body.to_string()
}

async fn role(kit: &Kit, name: &str, permissions: &[&str]) -> String {
    let created = kit.ask("POST /users/v1/roles", ROLES, json!({ "name": name, "description": "x" }).to_string()).await;
    if !permissions.is_empty() {
        let path = format!("POST /users/v1/roles/add_permissions?eq(name,{name})");
        let added = kit.ask(&path, ROLES, json!({ "permissions": permissions }).to_string()).await;
        assert_eq!(added.json(), json!({ "affectedRecords": 1 }), "{}", added.text);
    }
    id(&created)
}

async fn register(kit: &Kit, email: &str) -> Answered {
    kit.ask("POST /users/v1/register", "", registration(email)).await
}

async fn change_roles(kit: &Kit, verb: &str, user: &str, roles: &[&str]) -> Answered {
    let path = format!("POST /users/v1/{verb}_roles?eq(id,{user})");
    kit.ask(&path, ROLES, json!({ "roles": roles }).to_string()).await
}

/// A user with these permissions in a role, and the ids of both.
async fn user_with(kit: &Kit, name: &str, permissions: &[&str]) -> (String, String) {
    let role = role(kit, name, permissions).await;
    let user = id(&register(kit, &format!("{name}@example.com")).await);
    assert_eq!(change_roles(kit, "add", &user, &[&role]).await.json(), json!({ "affectedRecords": 1 }));
    (user, role)
}

/// Logs in with the consumer of a credential.
async fn log_in(kit: &Kit, consumer: &IssuedCredential, email: &str, password: &str) -> Answered {
    let alone = Signer::with(&consumer.consumer_key, consumer.consumer_secret.expose(), None);
    let url = "http://localhost:4000/auth/v2/oauth1/tokens";
    let signed = alone.sign(&Method::POST, url, kit.world.now());
    let body = json!({ "email": email, "password": password }).to_string();
    kit.ask("POST /auth/v2/oauth1/tokens", &signed, body).await
}

/// Somebody who signs with a consumer and the token that they logged in for.
struct Caller {
    signer: Signer,
    /// The id of the token.
    id: String,
}

impl Caller {
    async fn log_in(kit: &Kit, consumer: &IssuedCredential, email: &str) -> Self {
        let answered = log_in(kit, consumer, email, PASSWORD).await;
        let id = id(&answered);
        let token = answered.json();
        let (token, secret) = (token["token"].as_str().unwrap(), token["tokenSecret"].as_str().unwrap());
        let signer = Signer::with(&consumer.consumer_key, consumer.consumer_secret.expose(), Some((token, secret)));
        kit.issued.lock().unwrap().push(secret.to_owned());
        Self { signer, id }
    }

    async fn ask(&self, kit: &Kit, target: &str, body: &str) -> Answered {
        let (method, path) = target.split_once(' ').unwrap();
        let signed =
            self.signer.sign(&method.parse().unwrap(), &format!("http://localhost:4000{path}"), kit.world.now());
        kit.ask(target, &signed, body.to_owned()).await
    }
}

async fn function(kit: &Kit, name: &'static str, mode: PermissionMode) {
    let options = FunctionOptions { permission_mode: Some(mode), ..FunctionOptions::default() };
    kit.world.function(name, options).await;
    let answer = r#"{"statusCode":200,"body":"hello"}"#;
    kit.world.lambda.behave(name, move |_| async move { Ok(TestLambda::returned(answer)) });
}

#[tokio::test(start_paused = true)]
async fn the_calls_of_the_official_cli_make_a_user_with_a_role() {
    let kit = Kit::new().await;
    let found = async |what: &str| kit.ask(&format!("GET /users/v1/{what}"), ROLES, "").await.json()["data"].clone();
    assert_eq!(found("roles?eq(name,exh.tasks.invoices)").await, json!([]));
    let role = role(&kit, "exh.tasks.invoices", &["VIEW_TASKS", "VIEW_DOCUMENTS:{schemaName}"]).await;
    let names = &found("roles?eq(name,exh.tasks.invoices)").await[0]["permissions"];
    assert_eq!(names[0]["name"], "VIEW_DOCUMENTS:{schemaName}");
    assert_eq!(
        (&names[0]["grants"], &names[1]),
        (&json!(false), &json!({ "name": "VIEW_TASKS", "description": "VIEW_TASKS" }))
    );

    let email = "exh.tasks+invoices@extrahorizon.com";
    let by_email = "?eq(email,exh.tasks%2Binvoices%40extrahorizon.com)";
    assert_eq!(found(by_email).await, json!([]));
    let registered = register(&kit, "exh.tasks+Invoices@extrahorizon.com").await;
    let user = id(&registered);
    assert_eq!((&registered.json()["email"], user.len()), (&json!(email), 24));
    assert!(!registered.text.contains(PASSWORD) && registered.json().get("password").is_none());
    change_roles(&kit, "add", &user, &[&role]).await;
    assert_eq!(found(by_email).await[0]["roles"][0]["name"], "exh.tasks.invoices");

    let administrator = kit.credential(&["VIEW_TASKS"], None).await;
    let answered = log_in(&kit, &administrator, email, PASSWORD).await;
    assert_eq!(answered.headers["cache-control"], "no-store");
    assert_eq!(answered.json()["userId"], user);
    let caller = Caller::log_in(&kit, &administrator, email).await;
    let me = caller.ask(&kit, "GET /users/v1/me", "").await.json();
    assert_eq!((&me["id"], &me["email"], &me["permissions"]), (&json!(user), &json!(email), &json!(["VIEW_TASKS"])));
    assert_eq!(me["first_name"], "invoices");
    assert_eq!(caller.ask(&kit, "GET /tasks/v1", "").await.code(), 0);
    assert_eq!(caller.ask(&kit, "GET /tasks/v1/functions", "").await.code(), 10);

    // What is removed is gone with the next request.
    let remove = "POST /users/v1/roles/remove_permissions?eq(name,exh.tasks.invoices)";
    kit.ask(remove, ROLES, r#"{"permissions":["VIEW_TASKS","NOT_THERE"]}"#).await;
    assert_eq!(caller.ask(&kit, "GET /tasks/v1", "").await.code(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_change_needs_conditions_that_something_meets() {
    let kit = Kit::new().await;
    let role = role(&kit, "a", &[]).await;
    let permissions = r#"{"permissions":["VIEW_TASKS"]}"#;
    let roles = json!({ "roles": [role] }).to_string();
    let code =
        async |path: &str, body: &str| kit.ask(&format!("POST /users/v1/{path}"), ROLES, body.to_owned()).await.code();
    for (path, body) in [("roles/add_permissions", permissions), ("add_roles", &roles), ("remove_roles", &roles)] {
        assert_eq!(code(path, body).await, 20, "{path}");
        assert_eq!(code(&format!("{path}?eq(id,697db9a2c5f0a1b2c3d4e5f6)"), body).await, 16, "{path}");
        assert_eq!(code(&format!("{path}?limit(1)"), body).await, 19, "{path}");
    }
    assert_eq!(code("roles/add_permissions?eq(name,a)", r#"{"permissions":[]}"#).await, 15);
    assert_eq!(code("roles", r#"{"name":"a"}"#).await, 17);
    let unknown = r#"{"roles":["697db9a2c5f0a1b2c3d4e5f6"]}"#;
    register(&kit, "a@example.com").await;
    assert_eq!(code("add_roles?eq(email,a@example.com)", unknown).await, 16);
}

#[tokio::test(start_paused = true)]
async fn nobody_registers_unless_a_role_was_created_or_changed_a_moment_ago() {
    let kit = Kit::new().await;
    let closed = register(&kit, "a@example.com").await;
    assert_eq!((closed.status.as_u16(), closed.code()), (401, 10), "{}", closed.text);
    assert!(closed.text.contains("administrator"));
    assert!(kit.world.store.accounts.accounts().await.unwrap().is_empty());

    role(&kit, "r", &[]).await;
    tokio::time::advance(Duration::from_secs(119)).await;
    id(&register(&kit, "a@example.com").await);
    let again = register(&kit, "A@example.com").await;
    assert_eq!(again.code(), 203, "{}", again.text);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(register(&kit, "b@example.com").await.code(), 10);
    // A role that did not change says nothing about registrations.
    kit.ask("GET /users/v1/roles", ROLES, "").await;
    assert_eq!(register(&kit, "b@example.com").await.code(), 10);
    kit.ask("POST /users/v1/roles/remove_permissions?eq(name,r)", ROLES, r#"{"permissions":["X"]}"#).await;
    id(&register(&kit, "b@example.com").await);
}

#[tokio::test(start_paused = true)]
async fn strangers_cannot_fill_the_service_with_users() {
    let kit = Kit::new().await;
    let kept = user_with(&kit, "kept", &[]).await.0;
    let administrator = kit.credential(&[], None).await;
    for n in 0..50 {
        id(&register(&kit, &format!("stranger-{n}@example.com")).await);
    }
    let full = register(&kit, "one-more@example.com").await;
    assert_eq!(full.code(), 27, "{}", full.text);
    let stranger = Caller::log_in(&kit, &administrator, "stranger-0@example.com").await;
    // An hour later, those without a role are forgotten to make room, with their tokens.
    tokio::time::advance(Duration::from_secs(3601)).await;
    role(&kit, "another", &[]).await;
    id(&register(&kit, "one-more@example.com").await);
    assert_eq!(stranger.ask(&kit, "GET /users/v1/me", "").await.code(), 108);
    let users = kit.world.store.accounts.accounts().await.unwrap();
    assert_eq!(users.len(), 42, "ten were forgotten at once");
    assert!(users.iter().any(|user| user.value.account.id.to_string() == kept));
    let ids = kit.world.store.credentials.list().await.unwrap().into_iter().map(|credential| credential.id.to_string());
    assert!(!ids.collect::<Vec<_>>().contains(&stranger.id));
    assert_eq!(kit.world.store.accounts.registry().await.unwrap().value.accounts, 42);
}

#[tokio::test(start_paused = true)]
async fn a_user_without_a_role_may_not_even_do_what_all_users_may() {
    let kit = Kit::new().await;
    function(&kit, "all-users", PermissionMode::AllUsers).await;
    function(&kit, "public", PermissionMode::Public).await;
    let role = role(&kit, "nothing", &[]).await;
    let user = id(&register(&kit, "a@example.com").await);
    let administrator = kit.credential(&[], None).await;
    let caller = Caller::log_in(&kit, &administrator, "a@example.com").await;
    let all_users = [
        ("POST /tasks/v1/functions/all-users/execute", "{}"),
        ("GET /tasks/v1/api/all-users/", ""),
        ("POST /tasks/v1/api/all-users/x", "{}"),
    ];
    let everything_else = [
        ("GET /tasks/v1", ""),
        ("POST /tasks/v1", r#"{"functionName":"all-users"}"#),
        ("GET /tasklane/v1/events", ""),
        ("GET /tasklane/v1/overview", ""),
        ("GET /tasklane/v1/stats?step=3600", ""),
        ("GET /tasklane/v1/credentials", ""),
        ("POST /tasklane/v1/credentials", r#"{"userId":"ada","permissions":[]}"#),
        ("GET /users/v1/roles", ""),
        ("POST /users/v1/roles", r#"{"name":"x"}"#),
        ("POST /tasks/v1/functions/missing/execute", "{}"),
    ];
    let codes = async |targets: &[(&str, &str)]| {
        let mut codes = Vec::new();
        for (target, body) in targets {
            codes.push(caller.ask(&kit, target, body).await.code());
        }
        codes
    };
    assert_eq!(codes(&all_users).await, [10; 3]);
    assert_eq!(codes(&everything_else).await, [10; 10]);
    // They may learn who they are, and do what anybody may, as anybody.
    assert_eq!(caller.ask(&kit, "GET /users/v1/me", "").await.json()["permissions"], json!([]));
    assert_eq!(codes(&[("GET /tasks/v1/api/public/", "")]).await, [0]);
    kit.world.service.drain().await;
    let requests = kit.ask("GET /tasks/v1/apiRequests", "may VIEW_API_FUNCTION_REQUESTS", "").await.json();
    let call = requests["data"].as_array().unwrap().iter().find(|call| call["functionName"] == "public").unwrap();
    assert_eq!(call.get("userId"), None);

    // A role is enough, even if nothing is in it, and only as long as they have it.
    change_roles(&kit, "add", &user, &[&role]).await;
    assert_eq!(codes(&all_users).await, [0; 3]);
    assert_eq!(codes(&everything_else).await, [10; 10]);
    change_roles(&kit, "remove", &user, &[&role]).await;
    assert_eq!(codes(&all_users).await, [10; 3]);
}

#[tokio::test(start_paused = true)]
async fn nobody_gives_what_they_do_not_hold() {
    let kit = Kit::new().await;
    let (user, own) = user_with(&kit, "own", &["VIEW_TASKS"]).await;
    let strong = role(&kit, "strong", &["CREATE_TASKS"]).await;
    let add = async |who: &str, names: Value| {
        let body = json!({ "permissions": names }).to_string();
        kit.ask("POST /users/v1/roles/add_permissions?eq(name,own)", who, body).await
    };
    let little = "may ADD_ROLE_PERMISSION,ADD_ROLE_TO_USER,VIEW_TASKS,EXECUTE_TASK_FUNCTION:a";
    for name in
        ["DELETE_TASK_FUNCTION", "EXECUTE_TASK_FUNCTION", "EXECUTE_TASK_FUNCTION:b", "CREATE_CREDENTIALS_FOR_OTHERS"]
    {
        let refused = add(little, json!(["VIEW_TASKS", name])).await;
        assert_eq!(refused.code(), 10, "{name}: {}", refused.text);
        assert!(refused.text.contains(name));
    }
    assert_eq!(add(little, json!(["VIEW_TASKS", "EXECUTE_TASK_FUNCTION:a", "OF_ANOTHER_SERVICE"])).await.code(), 0);
    // Nobody hands out a role that holds more than they do, to themselves or to others.
    let give = async |who: &str, role: &str| {
        let body = json!({ "roles": [own, role] }).to_string();
        kit.ask(&format!("POST /users/v1/add_roles?eq(id,{user})"), who, body).await.code()
    };
    assert_eq!(give(little, &strong).await, 10);
    assert_eq!(give("may ADD_ROLE_TO_USER,VIEW_TASKS,EXECUTE_TASK_FUNCTION,CREATE_TASKS", &strong).await, 0);
    // An account's own permissions are what its roles grant.
    let boss = role(&kit, "boss", &["ADD_ROLE_PERMISSION", "ADD_ROLE_TO_USER", "VIEW_TASKS"]).await;
    let climber = id(&register(&kit, "climber@example.com").await);
    change_roles(&kit, "add", &climber, &[&boss]).await;
    let caller = Caller::log_in(&kit, &kit.credential(&[], None).await, "climber@example.com").await;
    let grant = "POST /users/v1/roles/add_permissions?eq(name,boss)";
    assert_eq!(caller.ask(&kit, grant, r#"{"permissions":["CREATE_TASKS"]}"#).await.code(), 10);
    let give = format!("POST /users/v1/add_roles?eq(id,{climber})");
    assert_eq!(caller.ask(&kit, &give, &json!({ "roles": [strong] }).to_string()).await.code(), 10);
}

/// A role as a version wrote it for which `VIEW_ROLE` and `CREATE_ROLE` were names of another service.
#[tokio::test(start_paused = true)]
async fn a_name_that_became_a_permission_grants_nothing_until_it_is_granted_again() {
    let kit = Kit::new().await;
    let (user, id) = user_with(&kit, "old", &["VIEW_TASKS"]).await;
    let accounts = &kit.world.store.accounts;
    let id: ObjectId = id.parse().unwrap();
    let mut roles = accounts.roles().await.unwrap();
    roles.retain(|role| role.value.id == id);
    roles[0].value.permissions = serde_json::from_str(r#"{"VIEW_TASKS":1,"VIEW_ROLE":0,"CREATE_ROLE":2}"#).unwrap();
    assert!(accounts.update_roles(&roles, &accounts.registry().await.unwrap()).await.unwrap());
    let caller = Caller::log_in(&kit, &kit.credential(&[], None).await, "old@example.com").await;
    assert_eq!(caller.ask(&kit, "GET /tasks/v1", "").await.code(), 0);
    assert_eq!(caller.ask(&kit, "GET /users/v1/roles", "").await.code(), 10);
    assert_eq!(caller.ask(&kit, "POST /users/v1/roles", r#"{"name":"x"}"#).await.code(), 10);
    // To hand the role out, one need not hold what it does not grant.
    let give = format!("POST /users/v1/add_roles?eq(id,{user})");
    let body = json!({ "roles": [id] }).to_string();
    assert_eq!(kit.ask(&give, "may ADD_ROLE_TO_USER,VIEW_TASKS", body).await.code(), 0);
    // To grant it again, one has to hold it.
    let again = "POST /users/v1/roles/add_permissions?eq(name,old)";
    let body = r#"{"permissions":["VIEW_ROLE"]}"#;
    assert_eq!(kit.ask(again, "may ADD_ROLE_PERMISSION", body).await.code(), 10);
    assert_eq!(kit.ask(again, "may ADD_ROLE_PERMISSION,VIEW_ROLE", body).await.code(), 0);
    assert_eq!(caller.ask(&kit, "GET /users/v1/roles", "").await.code(), 0);
}

#[tokio::test(start_paused = true)]
async fn wrong_passwords_are_refused_and_soon_not_even_checked() {
    let kit = Kit::new().await;
    user_with(&kit, "a", &[]).await;
    let consumer = kit.credential(&[], None).await;
    let code = async |email: &str, password: &str| log_in(&kit, &consumer, email, password).await.code();
    assert_eq!(code("nobody@example.com", PASSWORD).await, 106);
    for n in 0..10 {
        assert_eq!(code("a@example.com", &format!("{PASSWORD}{n}")).await, 106);
    }
    // Even the right one, and even of many at once none is checked.
    let many = futures::future::join_all((0..5).map(|_| code("a@example.com", PASSWORD))).await;
    assert_eq!(many, [211; 5]);
    assert_eq!(code("nobody@example.com", PASSWORD).await, 106);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(code("A@example.com", PASSWORD).await, 0);
    assert_eq!(code("a@example.com", "").await, 106, "the count starts again");

    let alone = Signer::with(&consumer.consumer_key, consumer.consumer_secret.expose(), None);
    let url = "http://localhost:4000/auth/v2/oauth1/tokens";
    for (body, expected) in
        [("", 13), ("{}", 14), (r#"{"email":"a@example.com"}"#, 14), (r#"{"email":"a","password":1}"#, 15)]
    {
        let signed = alone.sign(&Method::POST, url, kit.world.now());
        assert_eq!(kit.ask("POST /auth/v2/oauth1/tokens", &signed, body).await.code(), expected, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_listed_revoked_and_descend_from_the_credential_whose_consumer_asked() {
    let kit = Kit::new().await;
    let (user, _) = user_with(&kit, "a", &["VIEW_TASKS"]).await;
    let consumer = kit.credential(&[], None).await;
    let (one, other) = (
        Caller::log_in(&kit, &consumer, "a@example.com").await,
        Caller::log_in(&kit, &consumer, "a@example.com").await,
    );
    let list = kit.ask("GET /tasklane/v1/credentials", "may VIEW_CREDENTIALS", "").await.json();
    let listed = list["data"].as_array().unwrap().iter().find(|listed| listed["id"] == one.id).unwrap();
    assert_eq!((&listed["userId"], &listed["permissions"]), (&json!(user), &json!(["VIEW_TASKS"])));
    assert_eq!(listed["createdByCredentialId"], json!(consumer.id));

    let revoke =
        async |id: &str| kit.ask(&format!("DELETE /tasklane/v1/credentials/{id}"), "may DELETE_CREDENTIALS", "").await;
    assert_eq!(revoke(&one.id).await.json(), json!({ "affectedRecords": 1, "descendants": [] }));
    assert_eq!(one.ask(&kit, "GET /tasks/v1", "").await.code(), 108);
    assert_eq!(other.ask(&kit, "GET /tasks/v1", "").await.code(), 0);
    // A token outlives the credential whose consumer it is of, unless it is revoked with its descendants.
    let revoked = revoke(&consumer.id.to_string()).await.json();
    assert_eq!(revoked, json!({ "affectedRecords": 1, "descendants": [other.id] }));
    assert_eq!(other.ask(&kit, "GET /tasks/v1", "").await.code(), 0);
    assert_eq!(log_in(&kit, &consumer, "a@example.com", PASSWORD).await.code(), 107);
    revoke(&format!("{}?descendants=true", consumer.id)).await;
    assert_eq!(other.ask(&kit, "GET /tasks/v1", "").await.code(), 107);
}

/// The official CLI keeps the token that a Function has, and sets the consumer of the person who syncs.
#[tokio::test(start_paused = true)]
async fn the_token_of_a_user_works_with_every_valid_consumer() {
    let kit = Kit::new().await;
    user_with(&kit, "a", &["VIEW_TASKS"]).await;
    let (consumer, other) = (kit.credential(&["CREATE_TASKS"], None).await, kit.credential(&[], None).await);
    let token = log_in(&kit, &consumer, "a@example.com", PASSWORD).await.json();
    let (token, secret) = (token["token"].as_str().unwrap(), token["tokenSecret"].as_str().unwrap());
    let with = |consumer: &IssuedCredential, consumer_secret: &str, secret: &str| {
        let signer = Signer::with(&consumer.consumer_key, consumer_secret, Some((token, secret)));
        Caller { signer, id: String::new() }
    };
    let secret_of = |credential: &IssuedCredential| credential.consumer_secret.expose().to_owned();
    let by_other = with(&other, &secret_of(&other), secret);
    assert_eq!(by_other.ask(&kit, "GET /tasks/v1", "").await.code(), 0);
    assert_eq!(
        by_other.ask(&kit, "POST /tasks/v1", r#"{"functionName":"x"}"#).await.code(),
        10,
        "they hold what the user does"
    );
    assert_eq!(with(&other, &secret_of(&consumer), secret).ask(&kit, "GET /tasks/v1", "").await.code(), 109);
    assert_eq!(with(&other, &secret_of(&other), "x").ask(&kit, "GET /tasks/v1", "").await.code(), 109);
    assert!(kit.world.store.credentials.revoke(other.id).await.unwrap());
    assert_eq!(by_other.ask(&kit, "GET /tasks/v1", "").await.code(), 107);
    // A token that is not an account's works with its own consumer only.
    let plain = kit.credential(&["VIEW_TASKS"], None).await;
    let keys = (plain.token.as_str(), plain.token_secret.expose());
    let signer = Signer::with(&consumer.consumer_key, &secret_of(&consumer), Some(keys));
    assert_eq!(Caller { signer, id: String::new() }.ask(&kit, "GET /tasks/v1", "").await.code(), 108);
}

#[tokio::test(start_paused = true)]
async fn a_user_has_few_tokens() {
    let kit = Kit::new().await;
    user_with(&kit, "a", &[]).await;
    let consumer = kit.credential(&[], None).await;
    for _ in 0..50 {
        Caller::log_in(&kit, &consumer, "a@example.com").await;
    }
    let refused = log_in(&kit, &consumer, "a@example.com", PASSWORD).await;
    assert_eq!(refused.code(), 27, "{}", refused.text);
}

#[tokio::test(start_paused = true)]
async fn what_a_user_creates_ends_with_the_role_that_allowed_it() {
    let kit = Kit::new().await;
    let (user, role) = user_with(&kit, "a", &["VIEW_TASKS", "CREATE_TASKS", "CREATE_CREDENTIALS"]).await;
    let caller = Caller::log_in(&kit, &kit.credential(&[], None).await, "a@example.com").await;
    let create = json!({ "userId": user, "permissions": ["VIEW_TASKS", "CREATE_CREDENTIALS"] }).to_string();
    let child = caller.ask(&kit, "POST /tasklane/v1/credentials", &create).await.json();
    let bearer = |created: &Value| format!("Bearer {}", created["accessToken"].as_str().unwrap());
    let grandchild = kit.ask("POST /tasklane/v1/credentials", &bearer(&child), create.clone()).await.json();
    let codes = async || {
        let mut codes = Vec::new();
        for who in [bearer(&child), bearer(&grandchild)] {
            codes.push(kit.ask("GET /tasks/v1", &who, "").await.code());
            codes.push(kit.ask("POST /tasks/v1", &who, r#"{"functionName":"x"}"#).await.code());
        }
        codes
    };
    assert_eq!(codes().await, [0, 10, 0, 10], "they hold what they were given");
    kit.ask("POST /users/v1/roles/remove_permissions?eq(name,a)", ROLES, r#"{"permissions":["VIEW_TASKS"]}"#).await;
    assert_eq!(codes().await, [10, 10, 10, 10]);
    change_roles(&kit, "remove", &user, &[&role]).await;
    function(&kit, "all-users", PermissionMode::AllUsers).await;
    assert_eq!(kit.ask("GET /tasks/v1/api/all-users/", &bearer(&grandchild), "").await.code(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_changes_reaches_every_instance_within_five_seconds() {
    let kit = Kit::new().await;
    user_with(&kit, "a", &["VIEW_TASKS"]).await;
    let caller = Caller::log_in(&kit, &kit.credential(&[], None).await, "a@example.com").await;
    let other =
        Kit { router: instance(&kit), issued: std::sync::Mutex::default(), world: kit.world.beside(5, "other") };
    assert_eq!(caller.ask(&other, "GET /tasks/v1", "").await.code(), 0);
    kit.ask("POST /users/v1/roles/remove_permissions?eq(name,a)", ROLES, r#"{"permissions":["VIEW_TASKS"]}"#).await;
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(
        caller.ask(&other, "GET /tasks/v1", "").await.code(),
        0,
        "it must have been kept, or this shows nothing"
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(caller.ask(&other, "GET /tasks/v1", "").await.code(), 10);
}

/// What `tasklane sync` asks for.
async fn execution(kit: &Kit, who: &str, body: Value) -> Answered {
    kit.ask("PUT /tasklane/v1/functions/invoices/executionCredentials", who, body.to_string()).await
}

const SYNC: &str = "may UPDATE_TASK_FUNCTION,CREATE_ROLE,ADD_ROLE_PERMISSION,REMOVE_ROLE_PERMISSION,ADD_ROLE_TO_USER,\
                    VIEW_TASKS,CREATE_TASKS";

#[tokio::test(start_paused = true)]
async fn execution_credentials_are_made_in_one_call_that_can_be_repeated() {
    let kit = Kit::new().await;
    let wanted = json!({ "permissions": ["VIEW_TASKS", "VIEW_DOCUMENTS"] });
    let planned = execution(&kit, SYNC, json!({ "permissions": ["VIEW_TASKS"], "dryRun": true })).await.json();
    assert_eq!(
        (&planned["roleCreated"], &planned["credentialCreated"], planned.get("keys")),
        (&json!(true), &json!(true), None)
    );
    assert!(kit.world.store.accounts.roles().await.unwrap().is_empty());

    let made = execution(&kit, SYNC, wanted.clone()).await;
    assert_eq!((made.status.as_u16(), &made.headers["cache-control"]), (200, &"no-store".parse().unwrap()));
    let made = made.json();
    assert_eq!(
        (&made["role"], &made["email"]),
        (&json!("exh.tasks.invoices"), &json!("exh.tasks+invoices@extrahorizon.com"))
    );
    let key = |name: &str| made["keys"][name].as_str().unwrap().to_owned();
    let signer = Signer::with(&key("consumerKey"), &key("consumerSecret"), Some((&key("token"), &key("tokenSecret"))));
    let caller = Caller { signer, id: String::new() };
    let codes = async || {
        let viewed = caller.ask(&kit, "GET /tasks/v1", "").await.code();
        (viewed, caller.ask(&kit, "POST /tasks/v1", r#"{"functionName":"x"}"#).await.code())
    };
    assert_eq!(codes().await, (0, 10));

    // Again: nothing changes. No window is open for strangers, either.
    let token = key("token");
    let again =
        json!({ "permissions": ["VIEW_TASKS", "VIEW_DOCUMENTS"], "consumerKey": key("consumerKey"), "token": token });
    let unchanged = execution(&kit, SYNC, again).await.json();
    let nothing = json!({
        "role": "exh.tasks.invoices", "email": "exh.tasks+invoices@extrahorizon.com", "roleCreated": false,
        "permissionsAdded": [], "permissionsRemoved": [], "userCreated": false, "roleGiven": false, "credentialCreated": false,
    });
    assert_eq!(unchanged, nothing);
    assert_eq!(register(&kit, "a@example.com").await.code(), 10);

    let changed = json!({ "permissions": ["CREATE_TASKS"], "consumerKey": key("consumerKey"), "token": token });
    let changed = execution(&kit, SYNC, changed).await.json();
    assert_eq!(changed["permissionsAdded"], json!(["CREATE_TASKS"]));
    assert_eq!(changed["permissionsRemoved"], json!(["VIEW_DOCUMENTS", "VIEW_TASKS"]));
    assert_eq!((codes().await.0, codes().await.1 != 10), (10, true));
}

#[tokio::test(start_paused = true)]
async fn execution_credentials_give_nobody_more_than_they_hold() {
    let kit = Kit::new().await;
    let beyond = execution(&kit, SYNC, json!({ "permissions": ["DELETE_TASK_FUNCTION"] })).await;
    assert_eq!(beyond.code(), 10, "{}", beyond.text);
    for lacking in ["CREATE_ROLE", "ADD_ROLE_PERMISSION", "ADD_ROLE_TO_USER"] {
        let who = SYNC.replace(&format!("{lacking},"), "");
        let refused = execution(&kit, &who, json!({ "permissions": ["VIEW_TASKS"] })).await;
        assert_eq!(refused.code(), 10, "{lacking}: {}", refused.text);
        assert!(refused.text.contains(lacking));
    }
    assert!(kit.world.store.accounts.roles().await.unwrap().is_empty(), "nothing was half-done");

    // The address of somebody else is not taken over.
    let (boss, _) = user_with(&kit, "boss", &["CREATE_CREDENTIALS"]).await;
    let boss_of = json!({ "permissions": ["VIEW_TASKS"], "email": "boss@example.com" });
    let refused =
        execution(&kit, &format!("{SYNC},CREATE_CREDENTIALS_FOR_OTHERS,CREATE_CREDENTIALS"), boss_of.clone()).await;
    assert_eq!(refused.code(), 27, "{}", refused.text);
    // Not even with the Function's role, by somebody who could not act as them anyway.
    let role = role(&kit, "exh.tasks.invoices", &["VIEW_TASKS"]).await;
    change_roles(&kit, "add", &boss, &[&role]).await;
    assert_eq!(execution(&kit, SYNC, boss_of.clone()).await.code(), 10);
    assert_eq!(execution(&kit, &format!("{SYNC},CREATE_CREDENTIALS_FOR_OTHERS"), boss_of.clone()).await.code(), 10);
    let both = format!("{SYNC},CREATE_CREDENTIALS_FOR_OTHERS,CREATE_CREDENTIALS");
    assert_eq!(execution(&kit, &both, boss_of).await.json()["credentialCreated"], true);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_who_registered_the_address_of_a_function_gets_nothing() {
    let kit = Kit::new().await;
    role(&kit, "any", &[]).await;
    let email = "exh.tasks+invoices@extrahorizon.com";
    let squatter = id(&register(&kit, email).await);
    let consumer = kit.credential(&[], None).await;
    let stranger = Caller::log_in(&kit, &consumer, email).await;
    let made = execution(&kit, SYNC, json!({ "permissions": ["VIEW_TASKS"] })).await.json();
    assert_eq!((&made["userCreated"], &made["roleGiven"]), (&json!(true), &json!(false)));
    assert_eq!(stranger.ask(&kit, "GET /tasks/v1", "").await.code(), 108);
    assert_eq!(log_in(&kit, &consumer, email, PASSWORD).await.code(), 106);
    let users = kit.ask("GET /users/v1/", "may VIEW_USER", "").await.json();
    assert_eq!(users["page"]["total"], 1);
    assert_ne!(users["data"][0]["id"], json!(squatter));
    assert_eq!(kit.world.store.accounts.registry().await.unwrap().value.waiting.len(), 0);
}
