//! Seals secrets with KMS.

use std::{collections::HashMap, fmt, sync::Arc};

use aws_sdk_kms::{Client, primitives::Blob};
use tasklane_auth::{Sealed, SecretBox};
use tasklane_ports::{PortError, PortFuture};
use tasklane_runtime::{lock::Lock, on_demand::OnDemand};
use tracing::error;

use super::{
    config,
    fault::{Fault, Reach, port_error},
    metrics::{COUNTED, MetricName},
};

/// The key of the owner of a secret in KMS's encryption context. CloudTrail shows the context with each use of the key.
const CONTEXT: &str = "tasklane:secret";

/// How many opened secrets are cached. Each signed request needs two, and each call of KMS costs 5 ms and money.
const MOST_REMEMBERED: usize = 1_000;

/// Opened secrets by their sealed form and context.
type Opened = HashMap<(Vec<u8>, String), Vec<u8>>;

/// [`SecretBox`] with a KMS key that never leaves KMS. This process caches opened secrets. The cached secret of a
/// revoked credential is useless, because the credential is not found any more.
#[derive(Clone)]
pub struct KmsSecretBox {
    client: OnDemand<Client>,
    key: String,
    opened: Arc<Lock<Opened>>,
}

impl KmsSecretBox {
    /// Uses the key with this id, ARN or alias.
    pub fn new(config: &aws_config::SdkConfig, key: impl Into<String>) -> Self {
        Self { client: config::client(config, Client::new), key: key.into(), opened: Arc::default() }
    }
}

impl fmt::Debug for KmsSecretBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsSecretBox").field("key", &self.key).finish_non_exhaustive()
    }
}

impl SecretBox for KmsSecretBox {
    fn seal<'a>(&'a self, secret: &'a [u8], context: &'a str) -> PortFuture<'a, Result<Sealed, PortError>> {
        const ACTION: &str = "seal a secret with KMS";
        Box::pin(async move {
            let answer = self
                .client
                .encrypt()
                .key_id(&self.key)
                .plaintext(Blob::new(secret))
                .encryption_context(CONTEXT, context)
                .send()
                .await
                .map_err(|error| refused(ACTION, Fault::from(error)))?;
            let sealed = answer.ciphertext_blob.ok_or_else(|| PortError::new(ACTION, "the response is empty"))?;
            Ok(Sealed::from_bytes(sealed.into_inner()))
        })
    }

    fn open<'a>(&'a self, sealed: &'a Sealed, context: &'a str) -> PortFuture<'a, Result<Vec<u8>, PortError>> {
        const ACTION: &str = "open a secret with KMS";
        Box::pin(async move {
            let name = (sealed.as_bytes().to_vec(), context.to_owned());
            if let Some(secret) = self.opened.lock().get(&name) {
                return Ok(secret.clone());
            }
            let answer = self
                .client
                .decrypt()
                // With the key id, KMS refuses a ciphertext of another key.
                .key_id(&self.key)
                .ciphertext_blob(Blob::new(sealed.as_bytes()))
                .encryption_context(CONTEXT, context)
                .send()
                .await
                .map_err(|error| refused(ACTION, Fault::from(error)))?;
            let secret = answer.plaintext.ok_or_else(|| PortError::new(ACTION, "the response is empty"))?.into_inner();
            let mut opened = self.opened.lock();
            if opened.len() >= MOST_REMEMBERED {
                opened.clear();
            }
            opened.insert(name, secret.clone());
            Ok(secret)
        })
    }
}

/// The error of a call that KMS did not carry out. Nobody gets in without the key, so each refusal is counted.
fn refused(action: &'static str, fault: Fault) -> PortError {
    if fault.reach == Reach::Answered {
        error!(
            target: COUNTED, metric = MetricName::KeyRefused.as_str(), error = %fault,
            "KMS refused the key that seals secrets"
        );
    }
    port_error(action, fault)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Counted, ReplayClient, Reply};

    const DECRYPT: &str = "TrentService.Decrypt";

    #[tokio::test]
    async fn a_secret_is_bound_to_its_context_and_opened_once() {
        let opened = || Reply::ok(json!({ "Plaintext": "czNjcmV0", "KeyId": "key" }));
        let wire = ReplayClient::replaying([
            Reply::ok(json!({ "CiphertextBlob": "c2VhbGVk", "KeyId": "key" })),
            opened(),
            opened(),
        ]);
        let secrets = KmsSecretBox::new(&wire.sdk_config(), "key");
        let sealed = secrets.seal(b"s3cret", "consumer-secret/a").await.unwrap();
        assert_eq!(sealed.as_bytes(), b"sealed");
        for _ in 0..3 {
            assert_eq!(secrets.open(&sealed, "consumer-secret/a").await.unwrap(), b"s3cret");
        }
        // In another context the same bytes are not cached, so KMS is asked and can refuse.
        secrets.open(&sealed, "consumer-secret/b").await.unwrap();
        let contexts: Vec<_> = wire.bodies(DECRYPT).iter().map(|body| body["EncryptionContext"].clone()).collect();
        assert_eq!(contexts, [json!({ CONTEXT: "consumer-secret/a" }), json!({ CONTEXT: "consumer-secret/b" })]);
        assert!(!format!("{secrets:?}").contains("s3cret"));
        wire.assert_used_up();
    }

    #[tokio::test]
    async fn a_secret_that_kms_refuses_to_open_is_not_cached() {
        let refused = || Reply::error(400, "InvalidCiphertextException", "");
        let wire = ReplayClient::replaying([refused(), refused()]);
        let secrets = KmsSecretBox::new(&wire.sdk_config(), "key");
        let sealed = Sealed::from_bytes(b"forged".to_vec());
        for _ in 0..2 {
            assert!(secrets.open(&sealed, "token-secret/a").await.is_err());
        }
        wire.assert_used_up();
    }

    #[tokio::test]
    async fn a_refused_key_is_counted_and_a_lost_connection_is_not() {
        let disabled = Reply::error(400, "DisabledException", "the key is disabled");
        let wire = ReplayClient::replaying([disabled, Reply::Broken, Reply::Broken, Reply::Broken]);
        let secrets = KmsSecretBox::new(&wire.sdk_config(), "key");
        let counted = Counted::begin();
        let refused = secrets.seal(b"s3cret", "token-secret/a").await.unwrap_err().to_string();
        assert!(refused.contains("DisabledException"), "{refused}");
        secrets.seal(b"s3cret", "token-secret/a").await.unwrap_err();
        assert_eq!(counted.names(), ["KeyRefused"]);
        assert!(!counted.lines()[0].to_string().contains("s3cret"));
    }
}
