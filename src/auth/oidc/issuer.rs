//! An issuer and the keys that it published last.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use serde::Deserialize;
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::{
    IssuerDocuments, OidcConfig,
    key_set::KeySet,
    refusal::{InvalidToken, Refusal},
    token::Token,
};
use crate::{
    model::{Error, ErrorKind, Result, Timestamp, User},
    ports::{Clock, PortError},
};

/// After that keys are fetched again before they are used, so a key that its issuer withdrew counts no longer than that
/// while the issuer can be reached.
const FRESH_FOR: Duration = Duration::from_secs(10 * 60);
/// After that they are not used any more, though the issuer cannot be reached. Until then its tokens go on to count.
const USABLE_FOR: Duration = Duration::from_secs(6 * 60 * 60);
/// No fetch begins sooner than that after one that went well, whatever keys tokens name.
const BETWEEN_FETCHES: Duration = Duration::from_secs(30);
/// No fetch begins sooner than that after one that failed.
const AFTER_A_FAILURE: Duration = Duration::from_secs(5);

/// Knows the callers that one OIDC issuer vouches for.
pub struct Issuer {
    config: OidcConfig,
    documents: Arc<dyn IssuerDocuments>,
    clock: Arc<dyn Clock>,
    kept: RwLock<Option<Kept>>,
    /// Held while keys are fetched: there is one fetch at a time.
    last_fetch: Mutex<Option<Fetch>>,
}

/// The keys that were fetched last.
#[derive(Clone)]
struct Kept {
    keys: Arc<KeySet>,
    fetched: Timestamp,
}

#[derive(Clone, Copy)]
struct Fetch {
    began: Timestamp,
    went_well: bool,
}

/// What is read of an issuer's description (OIDC Discovery §3).
#[derive(Deserialize)]
struct Description {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    /// Fetches nothing yet.
    pub fn new(config: OidcConfig, documents: Arc<dyn IssuerDocuments>, clock: Arc<dyn Clock>) -> Self {
        Self { config, documents, clock, kept: RwLock::default(), last_fetch: Mutex::default() }
    }

    /// Whom the token stands for.
    ///
    /// 117 for one that is not this issuer's, not for our audience, or wrong in any other way, and 118 for one whose
    /// time is over; that is told only of a token whose signature is good. A fault of ours (1) when the issuer's keys
    /// cannot be had.
    pub async fn identify(&self, token: &str) -> Result<User> {
        let token = Token::parse(token).map_err(refused)?;
        if token.claims.issuer() != Some(self.config.issuer().as_str()) {
            return Err(refused(InvalidToken("is of another issuer than the one that is trusted here")));
        }
        if !self.keys_for(&token).await?.verify(&token) {
            return Err(refused(InvalidToken("is not signed with a key of its issuer")));
        }
        token.claims.user(&self.config, self.clock.now()).map_err(|refusal| match refusal {
            Refusal::Expired => Error::new(ErrorKind::AccessTokenExpired, "The access token has expired."),
            Refusal::Invalid(why) => refused(why),
        })
    }

    /// Fetches the keys now, for whoever wants to know that it works.
    pub async fn fetch(&self) -> Result<(), PortError> {
        let mut last = self.last_fetch.lock().await;
        self.fetch_holding(&mut last).await
    }

    /// The keys that the token is to be checked with: fresh ones where they can be had.
    async fn keys_for(&self, token: &Token<'_>) -> Result<Arc<KeySet>> {
        if let Some(kept) = self.usable().filter(|kept| kept.keys.has_key_of(token)) {
            if !kept.is_fresh(self.clock.now()) {
                // Whoever finds a fetch in progress does without it: the keys at hand are good enough.
                if let Ok(mut last) = self.last_fetch.try_lock() {
                    self.fetch_if_due(&mut last).await;
                }
            }
            return Ok(self.usable().unwrap_or(kept).keys);
        }
        let mut last = self.last_fetch.lock().await;
        // Somebody may have fetched it while this one waited.
        if !self.usable().is_some_and(|kept| kept.keys.has_key_of(token)) {
            self.fetch_if_due(&mut last).await;
        }
        let unavailable = || Error::internal(format!("there are no keys of the issuer {}", self.config.issuer()));
        self.usable().map(|kept| kept.keys).ok_or_else(unavailable)
    }

    async fn fetch_if_due(&self, last: &mut Option<Fetch>) {
        let now = self.clock.now();
        // A clock that was set back makes a fetch due.
        let due = last.is_none_or(|Fetch { began, went_well }| {
            now < began || now.since(began) >= if went_well { BETWEEN_FETCHES } else { AFTER_A_FAILURE }
        });
        if due && let Err(error) = self.fetch_holding(last).await {
            warn!(issuer = %self.config.issuer(), %error, "the issuer's keys could not be fetched");
        }
    }

    async fn fetch_holding(&self, last: &mut Option<Fetch>) -> Result<(), PortError> {
        let began = self.clock.now();
        // Whoever gives up half-way has begun one too.
        *last = Some(Fetch { began, went_well: false });
        let keys = self.published_keys().await?;
        info!(issuer = %self.config.issuer(), keys = keys.len(), "fetched the issuer's keys");
        *last = Some(Fetch { began, went_well: true });
        let kept = Kept { keys: Arc::new(keys), fetched: began };
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        Ok(())
    }

    async fn published_keys(&self) -> Result<KeySet, PortError> {
        const READ: &str = "read an issuer's document";
        let issuer = self.config.issuer();
        let url = issuer.discovery_url();
        let description = self.documents.fetch(&url).await?;
        let description: Description =
            serde_json::from_slice(&description).map_err(|error| PortError::new(READ, format!("{url}: {error}")))?;
        if description.issuer != issuer.as_str() {
            let other: String = description.issuer.chars().take(200).collect();
            return Err(PortError::new(READ, format!("{url} describes another issuer, '{other}'")));
        }
        let url = &description.jwks_uri;
        if !issuer.may_keep_keys_at(url) {
            return Err(PortError::new(READ, "its jwks_uri is no URL over TLS"));
        }
        let document = self.documents.fetch(url).await?;
        KeySet::parse(&document).map_err(|error| PortError::new(READ, format!("{url}: {error}")))
    }

    fn usable(&self) -> Option<Kept> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner).clone();
        kept.filter(|kept| kept.is_usable(self.clock.now()))
    }
}

impl Kept {
    fn is_fresh(&self, now: Timestamp) -> bool {
        // Keys from the future are those of a clock that was set back: nobody knows how old they are.
        now >= self.fetched && now.since(self.fetched) < FRESH_FOR
    }

    fn is_usable(&self, now: Timestamp) -> bool {
        now.since(self.fetched) < USABLE_FOR
    }
}

fn refused(why: InvalidToken) -> Error {
    Error::new(ErrorKind::AccessTokenUnknown, format!("The access token {why}."))
}
