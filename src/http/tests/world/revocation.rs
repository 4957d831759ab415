//! A revoked credential stops working on every instance within five seconds, in every form.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, StatusCode};
use tasklane_auth::{AuthSettings, Authenticator};
use tasklane_http::{HttpConfig, Router, router};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::{kit::Kit, signer::Signer};

/// Another instance on the same tables, which caches credentials as long as it can.
pub(super) fn instance(kit: &Kit) -> Router {
    let authenticator = Authenticator::new(
        Arc::new(kit.world.store.credentials.clone()),
        kit.world.secrets.clone(),
        Arc::new(kit.world.store.nonces.clone()),
        kit.world.clock.clone(),
        AuthSettings { keep_credentials: Duration::MAX, ..AuthSettings::default() },
    );
    router(kit.world.service.clone(), Arc::new(authenticator), HttpConfig::default(), TaskTracker::new())
}

async fn status(instance: &Router, authorization: &str) -> StatusCode {
    let request = Request::get("/tasks/v1").header("host", "localhost:4000").header("authorization", authorization);
    instance.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
}

#[tokio::test(start_paused = true)]
async fn a_revocation_reaches_every_instance_within_five_seconds() {
    let kit = Kit::new().await;
    let instances = [instance(&kit), instance(&kit), instance(&kit)];
    let credential = kit.credential(&["VIEW_TASKS"], None).await;
    let bearer = format!("Bearer {}", credential.access_token.expose());
    let signer = Signer::of(&credential);
    let signed = || signer.get("http://localhost:4000/tasks/v1", kit.world.now());

    // Each instance looks it up at another time, the last one just before the revocation.
    for instance in &instances {
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(
            (status(instance, &bearer).await, status(instance, &signed()).await),
            (StatusCode::OK, StatusCode::OK)
        );
    }
    let revoke = format!("DELETE /tasklane/v1/credentials/{}", credential.id);
    assert_eq!(kit.ask(&revoke, "may DELETE_CREDENTIALS", "").await.status, StatusCode::OK);

    // Using it does not keep it alive.
    let last = &instances[2];
    for _ in 0..4 {
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(
            status(last, &bearer).await,
            StatusCode::OK,
            "the cache must have kept it, or this test shows nothing"
        );
        assert_eq!(status(last, &signed()).await, StatusCode::OK);
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    for instance in &instances {
        assert_eq!(status(instance, &bearer).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(instance, &signed()).await, StatusCode::UNAUTHORIZED);
    }
}
