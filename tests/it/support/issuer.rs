//! An OIDC issuer for one test: a real web server on loopback, with a key that tests/vectors/jwt.mjs made.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Value, json};

/// The key for signatures.
const KEY: &str = "rsa-1";

/// Serves its keys until the test's process ends.
pub struct Issuer {
    url: String,
    away: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Published {
    description: Value,
    keys: Value,
    away: Arc<AtomicBool>,
}

impl Issuer {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let away = Arc::new(AtomicBool::new(false));
        let published = Published {
            description: json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }),
            keys: json!({ "keys": [recorded_key()["jwk"]] }),
            away: away.clone(),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(description))
            .route("/keys", get(keys))
            .with_state(published);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
            });
        });
        Self { url, away }
    }

    /// Its URL, exactly as in its tokens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns only errors from now on.
    pub fn be_away(&self) {
        self.away.store(true, Ordering::Relaxed);
    }

    /// A token for the audience `tasklane` that is valid for a day, with these claims; null removes a claim.
    pub fn token(&self, claims: &Value) -> String {
        let tomorrow = jiff::Timestamp::now().as_second() + 86_400;
        let mut all = json!({ "iss": self.url, "aud": "tasklane", "exp": tomorrow });
        let all_fields = all.as_object_mut().unwrap();
        all_fields.extend(claims.as_object().unwrap().clone());
        all_fields.retain(|_, value| !value.is_null());
        let header = json!({ "alg": "RS256", "kid": KEY, "typ": "JWT" });
        let message = [header, all].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let pkcs8 = BASE64_STANDARD.decode(recorded_key()["pkcs8"].as_str().unwrap()).unwrap();
        let key = RsaKeyPair::from_pkcs8(&pkcs8).unwrap();
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

async fn description(State(published): State<Published>) -> Response {
    published.answer(&published.description)
}

async fn keys(State(published): State<Published>) -> Response {
    published.answer(&published.keys)
}

impl Published {
    fn answer(&self, document: &Value) -> Response {
        if self.away.load(Ordering::Relaxed) {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        Json(document.clone()).into_response()
    }
}

fn recorded_key() -> Value {
    let recorded: Value = serde_json::from_str(include_str!("../../vectors/jwt.json")).unwrap();
    recorded["keys"].as_array().unwrap().iter().find(|key| key["jwk"]["kid"] == KEY).unwrap().clone()
}
