//! Creating credentials.

use tasklane_model::{Identity, ObjectId, Permissions, Secret, Timestamp};
use tasklane_ports::{Ids, PortError};

use super::{OfAccount, SecretBox, StoredCredential, access_token};

/// A new credential as its owner sees it. The service cannot show its secrets again.
#[derive(Clone, Debug)]
pub struct IssuedCredential {
    /// The id, which is needed to revoke it.
    pub id: ObjectId,
    pub identity: Identity,
    pub consumer_key: String,
    pub consumer_secret: Secret,
    pub token: String,
    pub token_secret: Secret,
    /// The access token, for `Authorization: Bearer`.
    pub access_token: Secret,
    pub creation_timestamp: Timestamp,
    /// When it expires; `None`: only when revoked.
    pub expires: Option<Timestamp>,
}

/// Creates a credential: the form for its owner, and the form that is stored.
pub async fn issue(
    identity: Identity,
    expires: Option<Timestamp>,
    now: Timestamp,
    ids: &Ids,
    secrets: &dyn SecretBox,
) -> Result<(IssuedCredential, StoredCredential), PortError> {
    let id = ids.next(now);
    let new = IssuedCredential {
        id,
        identity,
        consumer_key: hex::encode(ids.secret::<16>()),
        consumer_secret: Secret::new(hex::encode(ids.secret::<32>())),
        token: hex::encode(ids.secret::<16>()),
        token_secret: Secret::new(hex::encode(ids.secret::<32>())),
        access_token: Secret::new(access_token::token_of(ids.secret())),
        creation_timestamp: now,
        expires,
    };
    let consumer_secret = secrets.seal(new.consumer_secret.expose().as_bytes(), &consumer_secret_context(id)).await?;
    let token_secret = secrets.seal(new.token_secret.expose().as_bytes(), &token_secret_context(id)).await?;
    let access_token_hash = access_token::hash(new.access_token.expose())
        .ok_or_else(|| PortError::new("issue an access token", "the new token is malformed"))?;
    let stored = StoredCredential {
        id,
        identity: new.identity.clone(),
        consumer_key: new.consumer_key.clone(),
        consumer_secret,
        token: new.token.clone(),
        token_secret,
        access_token_hash: Some(access_token_hash),
        account: None,
        creation_timestamp: now,
        expires,
        created_by_user_id: None,
        ancestors: Vec::new(),
    };
    Ok((new, stored))
}

/// A new token of an existing consumer, as its owner sees it. The service cannot show its secret again.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    pub token: String,
    pub token_secret: Secret,
}

/// Creates a token for an account: another credential with the consumer of `consumer`, from which it descends. It expires
/// with it. `None` if `consumer` has too many ancestors.
pub async fn issue_token(
    consumer: &StoredCredential,
    account: ObjectId,
    now: Timestamp,
    ids: &Ids,
    secrets: &dyn SecretBox,
) -> Result<Option<(IssuedToken, StoredCredential)>, PortError> {
    let Some(ancestors) = consumer.lineage().of_child() else { return Ok(None) };
    let id = ids.next(now);
    let token = hex::encode(ids.secret::<16>());
    let token_secret = Secret::new(hex::encode(ids.secret::<32>()));
    // Sealed again, because secrets are bound to their record.
    let opened = secrets.open(&consumer.consumer_secret, &consumer_secret_context(consumer.id)).await?;
    let identity = Identity {
        user_id: account.into(),
        application_id: consumer.identity.application_id.clone(),
        permissions: Permissions::none(),
    };
    let stored = StoredCredential {
        id,
        identity,
        account: Some(OfAccount { within: None, has_role: false }),
        consumer_key: consumer.consumer_key.clone(),
        consumer_secret: secrets.seal(&opened, &consumer_secret_context(id)).await?,
        token: token.clone(),
        token_secret: secrets.seal(token_secret.expose().as_bytes(), &token_secret_context(id)).await?,
        access_token_hash: None,
        creation_timestamp: now,
        expires: consumer.expires,
        created_by_user_id: Some(account.into()),
        ancestors,
    };
    Ok(Some((IssuedToken { token, token_secret }, stored)))
}

/// The context in which a consumer secret is sealed.
pub(super) fn consumer_secret_context(credential: ObjectId) -> String {
    format!("credential/{credential}/consumer-secret")
}

/// The context in which a token secret is sealed.
pub(super) fn token_secret_context(credential: ObjectId) -> String {
    format!("credential/{credential}/token-secret")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::KeyFile;
    use tasklane_model::UserId;
    use tasklane_ports::SystemChance;

    #[tokio::test]
    async fn no_secret_is_printed_or_stored_in_the_clear() {
        let key = KeyFile::ephemeral();
        let identity =
            Identity { user_id: UserId::parse("ada").unwrap(), application_id: None, permissions: Permissions::none() };
        let ids = Ids::new(Arc::new(SystemChance));
        let (new, stored) = issue(identity, None, Timestamp::EPOCH, &ids, &key).await.unwrap();
        let secrets = [&new.consumer_secret, &new.token_secret, &new.access_token];
        let printed = format!("{new:?} {stored:?}");
        for secret in secrets {
            assert!(!printed.contains(secret.expose()));
            assert!(
                !stored.consumer_secret.as_bytes().windows(8).any(|part| secret.expose().as_bytes().starts_with(part))
            );
            assert!(
                !stored.token_secret.as_bytes().windows(8).any(|part| secret.expose().as_bytes().starts_with(part))
            );
        }
        assert!(printed.contains("[secret]") && printed.contains(&new.consumer_key));
        let opened = key.open(&stored.token_secret, &token_secret_context(new.id)).await.unwrap();
        assert_eq!(opened, new.token_secret.expose().as_bytes());
        // Bound to its record and its field.
        key.open(&stored.token_secret, &consumer_secret_context(new.id)).await.unwrap_err();
    }

    #[tokio::test]
    async fn no_two_credentials_share_anything() {
        let (key, ids) = (KeyFile::ephemeral(), Ids::new(Arc::new(SystemChance)));
        let identity =
            Identity { user_id: UserId::parse("ada").unwrap(), application_id: None, permissions: Permissions::none() };
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let (new, _) = issue(identity.clone(), None, Timestamp::EPOCH, &ids, &key).await.unwrap();
            let secrets = [&new.consumer_secret, &new.token_secret, &new.access_token].map(|s| s.expose().to_owned());
            let all = [new.id.to_string(), new.consumer_key, new.token].into_iter().chain(secrets);
            assert!(all.into_iter().all(|text| seen.insert(text)));
        }
    }
}
