//! Delegating credentials, and revoking them.

use std::time::Duration;

use serde_json::{Value, json};
use tasklane_model::Timestamp;

use super::kit::{Answered, Kit};

const CREDENTIALS: &str = "POST /tasklane/v1/credentials";

/// Creates a credential with this bearer token.
async fn create(kit: &Kit, bearer: &str, body: Value) -> Answered {
    let answered = kit.ask(CREDENTIALS, bearer, body.to_string()).await;
    if answered.status == 200 {
        let secrets = ["accessToken", "consumerSecret", "tokenSecret"];
        kit.issued.lock().unwrap().extend(secrets.map(|secret| answered.json()[secret].as_str().unwrap().to_owned()));
    }
    answered
}

fn bearer_of(created: &Answered) -> String {
    format!("Bearer {}", created.json()["accessToken"].as_str().unwrap())
}

async fn is_known(kit: &Kit, bearer: &str) -> bool {
    kit.ask("GET /users/v1/me", bearer, "").await.status == 200
}

async fn bearer(kit: &Kit, permissions: &[&str], expires: Option<Timestamp>) -> (String, String) {
    let credential = kit.credential(permissions, expires).await;
    (format!("Bearer {}", credential.access_token.expose()), credential.id.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_delegate_cannot_impersonate_others_or_outlive_its_own_credential() {
    let kit = Kit::new().await;
    let ends = kit.world.now().saturating_add(Duration::from_secs(8));
    let (delegate, _) = bearer(&kit, &["CREATE_CREDENTIALS", "EXECUTE_TASK_FUNCTION:victim"], Some(ends)).await;
    let code = async |body: Value| create(&kit, &delegate, body).await.code();
    assert_eq!(code(json!({ "userId": "administrator", "applicationId": "console", "permissions": [] })).await, 10);
    assert_eq!(code(json!({ "userId": "administrator", "permissions": [] })).await, 10);
    assert_eq!(code(json!({ "userId": "ada", "applicationId": "console", "permissions": [] })).await, 10);
    let late = ends.saturating_add(Duration::from_millis(1));
    assert_eq!(code(json!({ "userId": "ada", "permissions": [], "expiresTimestamp": late })).await, 15);

    let all = json!(["CREATE_CREDENTIALS", "EXECUTE_TASK_FUNCTION:victim"]);
    let own = create(&kit, &delegate, json!({ "userId": "ada", "permissions": all })).await;
    assert_eq!(own.json()["expiresTimestamp"], ends.to_string());
    assert!(is_known(&kit, &bearer_of(&own)).await);
    tokio::time::advance(Duration::from_secs(9)).await;
    assert!(!is_known(&kit, &bearer_of(&own)).await && !is_known(&kit, &delegate).await);
}

#[tokio::test]
async fn unknown_permissions_are_refused_with_a_suggestion() {
    let kit = Kit::new().await;
    let (all, _) = bearer(&kit, &["CREATE_CREDENTIALS", "VIEW_TASKS"], None).await;
    for name in ["SOME_FUTURE_PERMISSION", "*", "ALL", "VIEW_TASKS,", "VIEW_TASK", "view_tasks", "VIEW_TASKS:x"] {
        let answered = create(&kit, &all, json!({ "userId": "ada", "permissions": [name] })).await;
        assert_eq!(answered.code(), 15, "{name}: {}", answered.text);
        assert!(answered.text.contains(name) && answered.text.contains("VIEW_TASKS"), "{}", answered.text);
    }
}

#[tokio::test]
async fn a_revocation_lists_the_descendants_and_revokes_them_on_request() {
    let kit = Kit::new().await;
    let (first, first_id) = bearer(&kit, &["CREATE_CREDENTIALS"], None).await;
    let body = || json!({ "userId": "ada", "permissions": ["CREATE_CREDENTIALS"] });
    let second = create(&kit, &first, body()).await;
    let third = create(&kit, &bearer_of(&second), body()).await;
    let id = |created: &Answered| created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(second.json()["createdByCredentialId"], first_id);
    assert_eq!(third.json()["createdByUserId"], "ada");

    let revoke = async |id: &str, query: &str| {
        kit.ask(&format!("DELETE /tasklane/v1/credentials/{id}{query}"), "may DELETE_CREDENTIALS", "").await
    };
    assert_eq!(revoke(&first_id, "?descendants=perhaps").await.code(), 26);
    // Only the one in the middle is revoked: the last one is still a descendant of the first.
    let middle = revoke(&id(&second), "").await.json();
    assert_eq!(middle, json!({ "affectedRecords": 1, "descendants": [id(&third)] }));
    let alone = revoke(&first_id, "?descendants=false").await.json();
    assert_eq!(alone, json!({ "affectedRecords": 1, "descendants": [id(&third)] }));
    assert!(is_known(&kit, &bearer_of(&third)).await);
    let rest = revoke(&first_id, "?descendants=true").await.json();
    assert_eq!(rest, json!({ "affectedRecords": 1, "descendants": [id(&third)] }));
    assert!(!is_known(&kit, &bearer_of(&third)).await);
    assert_eq!(revoke(&first_id, "?descendants=true").await.code(), 16);
}

#[tokio::test]
async fn a_credential_that_is_being_revoked_cannot_create_others() {
    let kit = Kit::new().await;
    let parent = kit.credential(&["CREATE_CREDENTIALS"], None).await;
    let stored = kit.world.store.credentials.list().await.unwrap().remove(0);
    let caller = tasklane_model::Caller::User(stored.user());
    kit.world.service.revoke_credential(parent.id, true).await.unwrap();
    // The caller was authenticated before.
    let new = tasklane_service::NewCredential {
        user_id: stored.identity.user_id.clone(),
        application_id: None,
        permissions: tasklane_model::Permissions::none(),
        expires_timestamp: None,
    };
    let error = kit.world.service.create_credential(&caller, new).await.unwrap_err();
    assert_eq!(error.kind(), tasklane_model::ErrorKind::AccessTokenUnknown);
    assert!(kit.world.store.credentials.list().await.unwrap().is_empty());
}
