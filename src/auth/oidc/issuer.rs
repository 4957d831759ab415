//! An issuer, and the keys that it published last.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use tasklane_model::{Error, ErrorKind, Result, Timestamp, User};
use tasklane_ports::{Clock, PortError};
use tasklane_runtime::{kept::Kept, lock::Lock};
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::{
    IssuerDocuments, OidcConfig,
    key_set::KeySet,
    refusal::{InvalidToken, Refusal},
    token::Token,
};

/// Older keys are fetched again before they are used. So a key that its issuer has withdrawn is not accepted longer
/// than this, as long as the issuer can be reached.
const FRESH_FOR: Duration = Duration::from_secs(10 * 60);
/// Older keys are not used at all, even if the issuer cannot be reached. Until then its tokens stay valid.
const USABLE_FOR: Duration = Duration::from_secs(6 * 60 * 60);
/// The shortest time between a successful fetch and the next, whatever keys tokens name.
const BETWEEN_FETCHES: Duration = Duration::from_secs(30);
/// The shortest time between a failed fetch and the next.
const AFTER_A_FAILURE: Duration = Duration::from_secs(5);

/// Identifies the callers that one OIDC issuer vouches for.
pub struct Issuer {
    config: OidcConfig,
    documents: Arc<dyn IssuerDocuments>,
    clock: Arc<dyn Clock>,
    kept: Lock<Option<Kept<Arc<KeySet>>>>,
    /// Locked while keys are fetched, so that there is one fetch at a time.
    last_fetch: Mutex<Option<Fetch>>,
}

#[derive(Clone, Copy)]
struct Fetch {
    began: Timestamp,
    went_well: bool,
}

/// The part of an issuer's provider metadata that is used here (OIDC Discovery §3).
#[derive(Deserialize)]
struct ProviderMetadata {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    /// Does not fetch anything yet.
    pub fn new(config: OidcConfig, documents: Arc<dyn IssuerDocuments>, clock: Arc<dyn Clock>) -> Self {
        Self { config, documents, clock, kept: Lock::default(), last_fetch: Mutex::default() }
    }

    /// The user that the token stands for.
    ///
    /// Fails with 117 if the token comes from another issuer, is for another audience, or is wrong in any other way;
    /// with 118 if it has expired, which is said only of a token with a valid signature; and with 1 (our fault) if the
    /// issuer's keys are not available.
    pub async fn identify(&self, token: &str) -> Result<User> {
        let token = Token::parse(token).map_err(refused)?;
        if token.claims.issuer() != Some(self.config.issuer().as_str()) {
            return Err(refused(InvalidToken("comes from an issuer that is not trusted here")));
        }
        if !self.keys_for(&token).await?.verify(&token) {
            return Err(refused(InvalidToken("is not signed with a key of its issuer")));
        }
        token.claims.user(&self.config, self.clock.now()).map_err(|refusal| match refusal {
            Refusal::Expired => Error::new(ErrorKind::AccessTokenExpired, "The access token has expired."),
            Refusal::Invalid(why) => refused(why),
        })
    }

    /// Fetches the keys now, to find out whether that works.
    pub async fn fetch(&self) -> Result<(), PortError> {
        let mut last = self.last_fetch.lock().await;
        self.fetch_holding(&mut last).await
    }

    /// The keys to check the token with, fresh ones if possible.
    async fn keys_for(&self, token: &Token<'_>) -> Result<Arc<KeySet>> {
        if let Some(kept) = self.usable().filter(|kept| kept.value().has_key_of(token)) {
            if kept.fresh(FRESH_FOR, self.clock.now()).is_none() {
                // While another request fetches the keys, the old ones are good enough.
                if let Ok(mut last) = self.last_fetch.try_lock() {
                    self.fetch_if_due(&mut last).await;
                }
            }
            return Ok(Arc::clone(self.usable().unwrap_or(kept).value()));
        }
        let mut last = self.last_fetch.lock().await;
        // Another request may have fetched the key meanwhile.
        if !self.usable().is_some_and(|kept| kept.value().has_key_of(token)) {
            self.fetch_if_due(&mut last).await;
        }
        let unavailable = || Error::internal(format!("no keys of the issuer {} are available", self.config.issuer()));
        self.usable().map(|kept| Arc::clone(kept.value())).ok_or_else(unavailable)
    }

    async fn fetch_if_due(&self, last: &mut Option<Fetch>) {
        let now = self.clock.now();
        // If the clock was set back, a fetch is due.
        let due = last.is_none_or(|Fetch { began, went_well }| {
            now < began || now.since(began) >= if went_well { BETWEEN_FETCHES } else { AFTER_A_FAILURE }
        });
        if due && let Err(error) = self.fetch_holding(last).await {
            warn!(issuer = %self.config.issuer(), %error, "the issuer's keys could not be fetched");
        }
    }

    async fn fetch_holding(&self, last: &mut Option<Fetch>) -> Result<(), PortError> {
        let began = self.clock.now();
        // Recorded before the fetch: a caller that gives up half-way has started one, too.
        *last = Some(Fetch { began, went_well: false });
        let keys = self.published_keys().await?;
        info!(issuer = %self.config.issuer(), keys = keys.len(), "fetched the issuer's keys");
        *last = Some(Fetch { began, went_well: true });
        let kept = Kept::new(Arc::new(keys), began);
        *self.kept.lock() = Some(kept);
        Ok(())
    }

    async fn published_keys(&self) -> Result<KeySet, PortError> {
        const READ: &str = "read an issuer's document";
        let issuer = self.config.issuer();
        let url = issuer.discovery_url();
        let metadata = self.documents.fetch(&url).await?;
        let metadata: ProviderMetadata =
            serde_json::from_slice(&metadata).map_err(|error| PortError::new(READ, format!("{url}: {error}")))?;
        if metadata.issuer != issuer.as_str() {
            let other: String = metadata.issuer.chars().take(200).collect();
            return Err(PortError::new(READ, format!("{url} describes another issuer, '{other}'")));
        }
        let url = &metadata.jwks_uri;
        if !issuer.may_keep_keys_at(url) {
            return Err(PortError::new(READ, "its jwks_uri is not an https URL"));
        }
        let document = self.documents.fetch(url).await?;
        KeySet::parse(&document).map_err(|error| PortError::new(READ, format!("{url}: {error}")))
    }

    fn usable(&self) -> Option<Kept<Arc<KeySet>>> {
        let kept = self.kept.lock().clone();
        kept.filter(|kept| kept.age(self.clock.now()) < USABLE_FOR)
    }
}

fn refused(why: InvalidToken) -> Error {
    Error::new(ErrorKind::AccessTokenUnknown, format!("The access token {why}."))
}
