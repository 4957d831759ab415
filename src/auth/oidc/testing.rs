//! An issuer with keys and a clock, all in this process.

// An error in a test's helper fails the test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::new_without_default, missing_docs)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tasklane_model::{ErrorKind, Result, Timestamp, User};
use tasklane_ports::{Clock, PortError, PortFuture};

use crate::oidc::{Issuer, IssuerDocuments, OidcConfig};

pub const ISSUER: &str = "https://issuer.example";
pub const DESCRIPTION: &str = "https://issuer.example/.well-known/openid-configuration";
pub const KEYS: &str = "https://keys.example/jwks";

/// The output of `tests/vectors/jwt.mjs`.
#[derive(Deserialize)]
pub struct Recorded {
    pub keys: Vec<RecordedKey>,
    pub tokens: Vec<RecordedToken>,
}

#[derive(Deserialize)]
pub struct RecordedKey {
    pub jwk: Value,
    pkcs8: String,
}

#[derive(Deserialize)]
pub struct RecordedToken {
    pub alg: String,
    pub kid: String,
    pub token: String,
}

pub fn recorded() -> Recorded {
    serde_json::from_str(include_str!("../../../tests/vectors/jwt.json")).unwrap()
}

impl Recorded {
    pub fn key(&self, kid: &str) -> &RecordedKey {
        self.keys.iter().find(|key| key.jwk["kid"] == kid).unwrap()
    }

    pub fn jwks(&self) -> Value {
        json!({ "keys": self.keys.iter().map(|key| &key.jwk).collect::<Vec<_>>() })
    }
}

/// A time at which the recorded tokens are valid.
pub fn noon() -> Timestamp {
    "2026-01-31T12:00:30Z".parse().unwrap()
}

/// The claims of a valid token.
pub fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": "tasklane", "sub": "ada", "exp": noon().as_secs() + 3600 })
}

/// The claims with these changes; null removes a claim.
pub fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with this header and these claims, signed with the recorded key `kid` by RS256 or ES256.
pub fn sign_as(kid: &str, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let pkcs8 = BASE64_STANDARD.decode(&recorded().key(kid).pkcs8).unwrap();
    let random = SystemRandom::new();
    let signature = if kid.starts_with("rsa") {
        let key = RsaKeyPair::from_pkcs8(&pkcs8).unwrap();
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
        signature
    } else {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &random).unwrap();
        key.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec()
    };
    format!("{message}.{}", encode(signature))
}

/// A correctly signed token with these claims.
pub fn token(claims: &Value) -> String {
    sign_as("p256", &json!({ "alg": "ES256", "kid": "p256" }), claims)
}

/// An issuer's web server: its documents, and the requests that it got.
#[derive(Default)]
pub struct Published {
    documents: Mutex<HashMap<String, std::result::Result<Bytes, &'static str>>>,
    fetched: Mutex<Vec<String>>,
    /// How long each response takes.
    pub delay: Mutex<Duration>,
}

impl Published {
    pub fn put(&self, url: &str, document: &Value) {
        self.documents.lock().unwrap().insert(url.to_owned(), Ok(Bytes::from(document.to_string())));
    }

    pub fn fail(&self, url: &str) {
        self.documents.lock().unwrap().insert(url.to_owned(), Err("HTTP 503"));
    }

    /// How often the keys were requested.
    pub fn fetches(&self) -> usize {
        self.fetched.lock().unwrap().iter().filter(|url| *url == DESCRIPTION).count()
    }

    pub fn fetched(&self) -> Vec<String> {
        self.fetched.lock().unwrap().clone()
    }
}

impl IssuerDocuments for Published {
    fn fetch<'a>(&'a self, url: &'a str) -> PortFuture<'a, std::result::Result<Bytes, PortError>> {
        Box::pin(async move {
            self.fetched.lock().unwrap().push(url.to_owned());
            let delay = *self.delay.lock().unwrap();
            tokio::time::sleep(delay).await;
            let document = self.documents.lock().unwrap().get(url).cloned();
            document.unwrap_or(Err("HTTP 404")).map_err(|cause| PortError::new("fetch", cause))
        })
    }
}

pub struct SetClock(Mutex<Timestamp>);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep<'a>(&'a self, _: Duration) -> PortFuture<'a, ()> {
        Box::pin(async {})
    }
}

/// A service that trusts the issuer.
pub struct Fixture {
    pub issuer: Issuer,
    pub published: Arc<Published>,
    pub clock: Arc<SetClock>,
}

impl Fixture {
    /// With all the recorded keys published.
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: OidcConfig) -> Self {
        let published = Arc::new(Published::default());
        published.put(DESCRIPTION, &json!({ "issuer": ISSUER, "jwks_uri": KEYS }));
        published.put(KEYS, &recorded().jwks());
        let clock = Arc::new(SetClock(Mutex::new(noon())));
        Self { issuer: Issuer::new(config, published.clone(), clock.clone()), published, clock }
    }

    pub async fn identify(&self, token: &str) -> Result<User> {
        self.issuer.identify(token).await
    }

    /// The result for a token: its user's name, or the error.
    pub async fn outcome(&self, token: &str) -> std::result::Result<String, ErrorKind> {
        let identity = self.identify(token).await.map_err(|error| error.kind())?;
        Ok(identity.user_id.to_string())
    }

    pub fn later(&self, by: Duration) {
        let mut now = self.clock.0.lock().unwrap();
        *now = now.saturating_add(by);
    }

    pub fn earlier(&self, by: Duration) {
        let mut now = self.clock.0.lock().unwrap();
        *now = now.saturating_sub(by);
    }
}

pub fn config() -> OidcConfig {
    OidcConfig::new(ISSUER.parse().unwrap(), ["tasklane"]).unwrap()
}
