//! From a request's `Authorization` header to its caller.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{
    HeaderMap,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use subtle::ConstantTimeEq;

use super::{
    CredentialSource, GuessSettings, NonceMemory, SecretBox, Sighting, StoredCredential, access_token,
    cache::Cache,
    credential::{consumer_secret_context, token_secret_context},
    guesses::Guesses,
    nonces::WINDOW_SECS,
    oauth1::{self, OAuthHeader},
    oidc::{self, Issuer},
};
use crate::{
    model::{ApplicationId, Caller, Error, ErrorKind, Result, Timestamp},
    ports::{Clock, PortError},
};

/// Knows callers by their credentials.
pub struct Authenticator {
    source: Arc<dyn CredentialSource>,
    secrets: Arc<dyn SecretBox>,
    nonces: Arc<dyn NonceMemory>,
    clock: Arc<dyn Clock>,
    consumers: Cache<String, Consumer>,
    tokens: Cache<[u8; 32], StoredCredential>,
    issuer: Option<Arc<Issuer>>,
    guesses: Guesses,
}

/// How an [`Authenticator`] is set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuthSettings {
    /// How long a credential that was found counts without another look, so how long after its revocation it may
    /// still count. At most 5 seconds are taken; zero looks every time. It saves a read and two decryptions a request.
    pub keep_credentials: Duration,
    /// How much later than others wrong credentials are answered.
    pub guesses: GuessSettings,
}

const MOST_KEPT: Duration = Duration::from_secs(5);

/// What of a request tells who sent it. It has no `Debug`: the headers hold the credential.
#[derive(Clone, Copy)]
pub struct RequestParts<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The absolute URL as the client saw it, its path and query untouched: OAuth 1.0a signs it.
    pub url: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body, where it is a form that [`Authenticator::needs_form`] asked for.
    pub form: Option<&'a [u8]>,
    /// Where it came from, as somebody knows who cannot be lied to (never a header): guesses are counted by it.
    pub address: Option<IpAddr>,
}

/// What a request shows of its sender.
enum Shown<'a> {
    Nothing,
    Signature(OAuthHeader),
    Token(&'a str),
}

/// A credential with what its signatures are checked by.
struct Consumer {
    credential: StoredCredential,
    consumer_secret: Vec<u8>,
    token_secret: Vec<u8>,
}

impl Authenticator {
    /// Looks credentials up in `source`, opens their secrets with `secrets`, and remembers signatures in `nonces`.
    pub fn new(
        source: Arc<dyn CredentialSource>,
        secrets: Arc<dyn SecretBox>,
        nonces: Arc<dyn NonceMemory>,
        clock: Arc<dyn Clock>,
        settings: AuthSettings,
    ) -> Self {
        let keep = settings.keep_credentials.min(MOST_KEPT);
        Self {
            source,
            secrets,
            nonces,
            clock,
            consumers: Cache::new(keep),
            tokens: Cache::new(keep),
            issuer: None,
            guesses: Guesses::new(settings.guesses),
        }
    }

    /// Takes JWTs of this issuer too.
    #[must_use]
    pub fn trusting(mut self, issuer: Option<Arc<Issuer>>) -> Self {
        self.issuer = issuer;
        self
    }

    /// Who sent the request: [`Caller::Nobody`] when it carries no credential, an error when it carries a bad one.
    ///
    /// - OAuth 1.0a, checked in this order: 109 when the header is no OAuth header, 107 for an unknown consumer (that
    ///   of a revoked credential is unknown), 108 for a token that is not its consumer's or has expired, 109 for a
    ///   signature that does not fit, 110 for a time stamp out of its window or a nonce seen before. The last comes
    ///   last so that only who holds the secrets can learn of it, or fill the memory of nonces.
    /// - Bearer, an opaque token: 117 for one that is unknown, revoked or none of ours, 118 for one that has expired.
    /// - Bearer, a JWT, where there is an issuer: see [`Issuer::identify`].
    /// - Another scheme, or two credentials at once: 104.
    ///
    /// Whoever shows many wrong ones waits for the answer; see [`GuessSettings`].
    pub async fn authenticate(&self, request: RequestParts<'_>) -> Result<Caller> {
        let shown = Shown::by(request.headers)?;
        let result = match &shown {
            Shown::Nothing => Ok(Caller::Nobody),
            Shown::Signature(header) => self.by_signature(&request, header).await,
            Shown::Token(token) => self.by_token(token).await,
        };
        if let Err(error) = &result {
            self.count_guess(error.kind(), &shown, request.address).await;
        }
        result
    }

    /// Whether the signature could only fit together with the form in the body (RFC 5849 §3.4.1.3.1), which has to be read
    /// for that. It is so for known consumers only, and for requests of now: nobody else has their body waited for.
    pub async fn needs_form(&self, request: &RequestParts<'_>) -> bool {
        let Ok(Shown::Signature(header)) = Shown::by(request.headers) else { return false };
        let now = self.clock.now();
        if !has_form(request.headers) || now.as_secs().abs_diff(header.timestamp) > WINDOW_SECS.unsigned_abs() {
            return false;
        }
        let Ok(Some(consumer)) = self.consumer(&header.consumer_key, now).await else { return false };
        let token_secret = match &header.token {
            Some(token) if *token == consumer.credential.token => &consumer.token_secret[..],
            Some(_) => return false,
            None => &[],
        };
        let secrets = oauth1::Secrets { consumer: &consumer.consumer_secret, token: token_secret };
        !oauth1::verify(request.signed(), &header, &secrets)
    }

    /// A credential that is not what it says may be a guess. One that was good once (110, 118), or that nobody could
    /// check (1), is none.
    async fn count_guess(&self, kind: ErrorKind, shown: &Shown<'_>, address: Option<IpAddr>) {
        let consumer = match shown {
            Shown::Signature(header) => Some(header.consumer_key.as_str()),
            Shown::Nothing | Shown::Token(_) => None,
        };
        match kind {
            // Whoever guesses consumers, too, is counted by where they are.
            ErrorKind::OauthKey | ErrorKind::AccessTokenUnknown => {
                self.guesses.count(address, None, &*self.clock).await
            }
            ErrorKind::OauthToken | ErrorKind::OauthSignature => {
                self.guesses.count(address, consumer, &*self.clock).await;
            }
            _ => {}
        }
    }

    async fn by_token(&self, token: &str) -> Result<Caller> {
        match &self.issuer {
            Some(issuer) if oidc::looks_like_one(token) => issuer.identify(token).await.map(Caller::User),
            Some(_) | None => self.by_access_token(token).await,
        }
    }

    async fn by_access_token(&self, token: &str) -> Result<Caller> {
        let unknown = || Error::new(ErrorKind::AccessTokenUnknown, "The access token is unknown, or was revoked.");
        let hash = access_token::hash(token).ok_or_else(unknown)?;
        let now = self.clock.now();
        let credential = match self.tokens.get(&hash, now) {
            Some(credential) => credential,
            None => {
                let found = self.source.by_access_token_hash(&hash).await.map_err(Error::internal)?;
                let credential = Arc::new(found.ok_or_else(unknown)?);
                self.tokens.put(hash, credential.clone(), now);
                credential
            }
        };
        if !bool::from(credential.access_token_hash.ct_eq(&hash)) {
            return Err(unknown());
        }
        if credential.has_expired(now) {
            return Err(Error::new(ErrorKind::AccessTokenExpired, "The access token has expired."));
        }
        Ok(Caller::User(credential.user()))
    }

    async fn by_signature(&self, request: &RequestParts<'_>, header: &OAuthHeader) -> Result<Caller> {
        let now = self.clock.now();
        let unknown_consumer = || Error::new(ErrorKind::OauthKey, "The OAuth consumer key is unknown, or was revoked.");
        let consumer = self.consumer(&header.consumer_key, now).await?.ok_or_else(unknown_consumer)?;
        let credential = &consumer.credential;
        let token_secret = match &header.token {
            Some(token) if *token == credential.token && !credential.has_expired(now) => &consumer.token_secret[..],
            Some(_) => {
                return Err(Error::new(
                    ErrorKind::OauthToken,
                    "The OAuth token is not one of this consumer, or has expired.",
                ));
            }
            None if credential.has_expired(now) => return Err(unknown_consumer()),
            None => &[],
        };
        if let Some(name) = oauth1::misplaced(request.url, request.form) {
            let name: String = name.chars().take(64).collect();
            let message = format!("The parameter '{name}' belongs into the Authorization header, and nowhere else.");
            return Err(Error::new(ErrorKind::OauthSignature, message));
        }
        let secrets = oauth1::Secrets { consumer: &consumer.consumer_secret, token: token_secret };
        if !oauth1::verify(request.signed(), header, &secrets) {
            return Err(Error::new(
                ErrorKind::OauthSignature,
                "The OAuth signature does not fit the request: check the secrets, and that the URL that was signed is \
                 the one that reaches the service. Names such as toString and constructor cannot be parameters of a URL \
                 that the official clients sign: they sign everything else.",
            ));
        }
        self.count_once(header, now).await?;
        if header.token.is_some() {
            return Ok(Caller::User(credential.user()));
        }
        match &credential.identity.application_id {
            Some(application) => Ok(Caller::Application(application.clone())),
            // A consumer that belongs to no application is one of its own.
            None => {
                ApplicationId::parse(credential.consumer_key.as_str()).map(Caller::Application).map_err(Error::internal)
            }
        }
    }

    /// 110 when the time stamp is out of its window, or the request was seen before.
    async fn count_once(&self, header: &OAuthHeader, now: Timestamp) -> Result<()> {
        if now.as_secs().abs_diff(header.timestamp) > WINDOW_SECS.unsigned_abs() {
            return Err(Error::new(
                ErrorKind::DuplicateRequest,
                format!(
                    "oauth_timestamp is more than {WINDOW_SECS} seconds from the service's clock, which says {now}."
                ),
            ));
        }
        // The whole second after the window's last one.
        let expires = Timestamp::saturating_from_millis((header.timestamp + WINDOW_SECS + 1).saturating_mul(1000));
        let sighting =
            Sighting { consumer_key: &header.consumer_key, nonce: &header.nonce, timestamp: header.timestamp, expires };
        if self.nonces.remember(sighting).await.map_err(Error::internal)? {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::DuplicateRequest, "A request with this oauth_nonce was seen before."))
        }
    }

    async fn consumer(&self, key: &str, now: Timestamp) -> Result<Option<Arc<Consumer>>> {
        let key = key.to_owned();
        if let Some(consumer) = self.consumers.get(&key, now) {
            return Ok(Some(consumer));
        }
        match self.look_up(&key).await.map_err(Error::internal)? {
            Some(consumer) => {
                let consumer = Arc::new(consumer);
                self.consumers.put(key, consumer.clone(), now);
                Ok(Some(consumer))
            }
            None => Ok(None),
        }
    }

    async fn look_up(&self, key: &str) -> Result<Option<Consumer>, PortError> {
        let Some(credential) = self.source.by_consumer_key(key).await? else { return Ok(None) };
        let (consumer, token) = (consumer_secret_context(credential.id), token_secret_context(credential.id));
        let (consumer_secret, token_secret) = futures::try_join!(
            self.secrets.open(&credential.consumer_secret, &consumer),
            self.secrets.open(&credential.token_secret, &token),
        )?;
        Ok(Some(Consumer { credential, consumer_secret, token_secret }))
    }
}

impl<'a> RequestParts<'a> {
    fn signed(&self) -> oauth1::Signed<'a> {
        oauth1::Signed { method: self.method, url: self.url, form: self.form }
    }
}

fn has_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

impl<'a> Shown<'a> {
    fn by(headers: &'a HeaderMap) -> Result<Self> {
        let mut credentials = headers.get_all(AUTHORIZATION).iter();
        let credential = match (credentials.next(), credentials.next()) {
            (None, _) => return Ok(Self::Nothing),
            (Some(credential), None) => credential.to_str().map_err(|_| not_understood())?,
            (Some(_), Some(_)) => {
                return Err(Error::new(
                    ErrorKind::UserNotAuthenticated,
                    "The request carries more than one Authorization header; send one.",
                ));
            }
        };
        let (scheme, rest) = credential.trim().split_once([' ', '\t']).unwrap_or((credential.trim(), ""));
        if scheme.eq_ignore_ascii_case("OAuth") {
            OAuthHeader::parse(rest).map(Self::Signature).map_err(|wrong| {
                Error::new(ErrorKind::OauthSignature, format!("The OAuth header cannot be read: {wrong}."))
            })
        } else if scheme.eq_ignore_ascii_case("Bearer") {
            Ok(Self::Token(rest.trim()))
        } else {
            Err(not_understood())
        }
    }
}

fn not_understood() -> Error {
    Error::new(
        ErrorKind::UserNotAuthenticated,
        "The Authorization header is none that the service understands: it takes OAuth 1.0a and Bearer.",
    )
}
