//! From a request's `Authorization` header to its caller.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{
    HeaderMap,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use subtle::ConstantTimeEq;
use tasklane_model::{Application, ApplicationId, Caller, Error, ErrorKind, Result, Timestamp};
use tasklane_ports::{Clock, PortError};

use super::{
    CredentialSource, GuessSettings, NonceMemory, SecretBox, Sighting, StoredCredential, access_token,
    cache::Cache,
    credential::{consumer_secret_context, token_secret_context},
    guesses::Guesses,
    nonces::WINDOW_SECS,
    oauth1::{self, OAuthHeader},
    oidc::{self, Issuer},
};

pub struct Authenticator {
    source: Arc<dyn CredentialSource>,
    secrets: Arc<dyn SecretBox>,
    nonces: Arc<dyn NonceMemory>,
    clock: Arc<dyn Clock>,
    consumers: Cache<String, Consumer>,
    account_tokens: Cache<String, Consumer>,
    tokens: Cache<[u8; 32], StoredCredential>,
    issuer: Option<Arc<Issuer>>,
    guesses: Guesses,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct AuthSettings {
    /// How long a credential is used without reading it again, and so how long it may work after its revocation. At most
    /// 5 seconds; zero reads it every time. It saves a read and two decryptions per request.
    pub keep_credentials: Duration,
    /// How long responses to wrong credentials are delayed.
    pub guesses: GuessSettings,
}

const MOST_KEPT: Duration = Duration::from_secs(5);

/// The parts of a request that identify its sender. Has no `Debug`, because the headers hold the credential.
#[derive(Clone, Copy)]
pub struct RequestParts<'a> {
    pub method: &'a str,
    /// The absolute URL as the client used it, with path and query unchanged: OAuth 1.0a signs it.
    pub url: &'a str,
    pub headers: &'a HeaderMap,
    /// The body, if it is a form and [`Authenticator::needs_form`] asked for it.
    pub form: Option<&'a [u8]>,
    /// The address that the request came from, known from a trusted source (never a header). Guesses are counted by it.
    pub address: Option<IpAddr>,
}

/// The credential that a request carries.
enum Shown<'a> {
    Nothing,
    Signature(OAuthHeader),
    Token(&'a str),
}

/// Whose keys a request is signed with.
enum Signer {
    Known(Keys),
    /// The consumer exists and has no such token.
    UnknownToken,
    UnknownConsumer,
}

/// The keys that a request is signed with: a consumer, and a token with its user.
struct Keys {
    consumer: Arc<Consumer>,
    token: Arc<Consumer>,
}

/// A credential with its opened secrets, which signatures are checked with.
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
            account_tokens: Cache::new(keep),
            tokens: Cache::new(keep),
            issuer: None,
            guesses: Guesses::new(settings.guesses),
        }
    }

    /// Also accepts JWTs of this issuer.
    #[must_use]
    pub fn trusting(mut self, issuer: Option<Arc<Issuer>>) -> Self {
        self.issuer = issuer;
        self
    }

    /// The sender of the request: [`Caller::Nobody`] if it carries no credential, an error if the credential is invalid.
    ///
    /// - OAuth 1.0a, checked in this order: 109 for a malformed header, 107 for an unknown consumer (also if its
    ///   credential was revoked), 108 for a token that belongs to another consumer, was revoked or has expired, 109 for a wrong
    ///   signature, 110 for a time stamp outside the window or a nonce that was used before. The last check comes last
    ///   so that only a client that holds the secrets learns its result or fills the store of nonces.
    /// - Bearer with an opaque token: 117 if it is unknown, revoked or malformed, 118 if it has expired.
    /// - Bearer with a JWT, if there is an issuer: see [`Issuer::identify`].
    /// - Any other scheme, or two credentials at once: 104.
    ///
    /// A sender of many wrong credentials has to wait for the response; see [`GuessSettings`].
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

    /// Whether the signature may cover a form in the body (RFC 5849 §3.4.1.3.1), which then has to be read. True only
    /// for known consumers and current requests; for others, the server does not wait for the body.
    pub async fn needs_form(&self, request: &RequestParts<'_>) -> bool {
        let Ok(Shown::Signature(header)) = Shown::by(request.headers) else { return false };
        let now = self.clock.now();
        if !has_form(request.headers) || now.as_secs().abs_diff(header.timestamp) > WINDOW_SECS.unsigned_abs() {
            return false;
        }
        let Ok(Signer::Known(keys)) = self.signer(&header, now).await else { return false };
        !oauth1::verify(request.signed(), &header, &keys.secrets_of(&header))
    }

    /// Counts a wrong credential as a guess. One that used to be valid (110, 118), or that could not be checked (1), is not
    /// a guess.
    async fn count_guess(&self, kind: ErrorKind, shown: &Shown<'_>, address: Option<IpAddr>) {
        let consumer = match shown {
            Shown::Signature(header) => Some(header.consumer_key.as_str()),
            Shown::Nothing | Shown::Token(_) => None,
        };
        match kind {
            // The consumer may be guessed, too, so only the address identifies the sender.
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
        let unknown = || Error::new(ErrorKind::AccessTokenUnknown, "The access token is unknown or was revoked.");
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
        if !credential.access_token_hash.is_some_and(|own| own.ct_eq(&hash).into()) {
            return Err(unknown());
        }
        if credential.has_expired(now) {
            return Err(Error::new(ErrorKind::AccessTokenExpired, "The access token has expired."));
        }
        Ok(credential.caller())
    }

    async fn by_signature(&self, request: &RequestParts<'_>, header: &OAuthHeader) -> Result<Caller> {
        let now = self.clock.now();
        let unknown_consumer = || Error::new(ErrorKind::OauthKey, "The OAuth consumer key is unknown or was revoked.");
        let wrong_token = || {
            let message = "The OAuth token belongs to another consumer, was revoked or has expired.";
            Error::new(ErrorKind::OauthToken, message)
        };
        let keys = match self.signer(header, now).await? {
            Signer::Known(keys) => keys,
            Signer::UnknownToken => return Err(wrong_token()),
            Signer::UnknownConsumer => return Err(unknown_consumer()),
        };
        if keys.token.credential.has_expired(now) {
            return Err(if header.token.is_some() { wrong_token() } else { unknown_consumer() });
        }
        if let Some(name) = oauth1::misplaced(request.url, request.form) {
            let name: String = name.chars().take(64).collect();
            let message = format!("The parameter '{name}' is allowed only in the Authorization header.");
            return Err(Error::new(ErrorKind::OauthSignature, message));
        }
        if !oauth1::verify(request.signed(), header, &keys.secrets_of(header)) {
            return Err(Error::new(
                ErrorKind::OauthSignature,
                "The OAuth signature does not match the request: check the secrets, and that the signed URL is the one \
                 that reaches the service. The official clients leave parameters with names such as toString and \
                 constructor out of the signature, so a URL cannot have them.",
            ));
        }
        self.count_once(header, now).await?;
        keys.caller(header)
    }

    /// Fails with 110 if the time stamp is outside the window or the request was seen before.
    async fn count_once(&self, header: &OAuthHeader, now: Timestamp) -> Result<()> {
        if now.as_secs().abs_diff(header.timestamp) > WINDOW_SECS.unsigned_abs() {
            return Err(Error::new(
                ErrorKind::DuplicateRequest,
                format!("oauth_timestamp differs by more than {WINDOW_SECS} seconds from the service's clock ({now})."),
            ));
        }
        // The first whole second after the window.
        let expires = Timestamp::saturating_from_millis((header.timestamp + WINDOW_SECS + 1).saturating_mul(1000));
        let sighting =
            Sighting { consumer_key: &header.consumer_key, nonce: &header.nonce, timestamp: header.timestamp, expires };
        if self.nonces.remember(sighting).await.map_err(Error::internal)? {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::DuplicateRequest, "This oauth_nonce was used before."))
        }
    }

    /// Whose keys a request is signed with, according to its header.
    async fn signer(&self, header: &OAuthHeader, now: Timestamp) -> Result<Signer> {
        let consumer = self.consumer(&header.consumer_key, now).await?;
        let Some(token) = &header.token else {
            return Ok(consumer.map_or(Signer::UnknownConsumer, |consumer| Signer::Known(Keys::of(consumer))));
        };
        if let Some(consumer) = &consumer
            && consumer.credential.token == *token
        {
            return Ok(Signer::Known(Keys::of(Arc::clone(consumer))));
        }
        let of_account = self.token_of_account(token, now).await?;
        Ok(match (of_account, consumer) {
            (Some(own), _) if own.credential.consumer_key == header.consumer_key => Signer::Known(Keys::of(own)),
            (Some(token), Some(consumer)) if !consumer.credential.has_expired(now) => {
                Signer::Known(Keys { consumer, token })
            }
            (None, Some(_)) => Signer::UnknownToken,
            (Some(_), Some(_)) | (_, None) => Signer::UnknownConsumer,
        })
    }

    async fn consumer(&self, key: &str, now: Timestamp) -> Result<Option<Arc<Consumer>>> {
        let look_up = async || self.source.by_consumer_key(key).await;
        self.remembered(&self.consumers, key.to_owned(), now, look_up).await
    }

    async fn token_of_account(&self, token: &str, now: Timestamp) -> Result<Option<Arc<Consumer>>> {
        let look_up = async || self.source.by_token(token).await;
        self.remembered(&self.account_tokens, token.to_owned(), now, look_up).await
    }

    /// The credential with this key and its opened secrets, from the cache or else as it is looked up.
    async fn remembered<K: Eq + std::hash::Hash>(
        &self,
        cache: &Cache<K, Consumer>,
        key: K,
        now: Timestamp,
        look_up: impl AsyncFnOnce() -> Result<Option<StoredCredential>, PortError>,
    ) -> Result<Option<Arc<Consumer>>> {
        if let Some(consumer) = cache.get(&key, now) {
            return Ok(Some(consumer));
        }
        let Some(credential) = look_up().await.map_err(Error::internal)? else { return Ok(None) };
        let consumer = Arc::new(self.opened(credential).await.map_err(Error::internal)?);
        cache.put(key, consumer.clone(), now);
        Ok(Some(consumer))
    }

    async fn opened(&self, credential: StoredCredential) -> Result<Consumer, PortError> {
        let (consumer, token) = (consumer_secret_context(credential.id), token_secret_context(credential.id));
        let (consumer_secret, token_secret) = futures::try_join!(
            self.secrets.open(&credential.consumer_secret, &consumer),
            self.secrets.open(&credential.token_secret, &token),
        )?;
        Ok(Consumer { credential, consumer_secret, token_secret })
    }
}

impl Keys {
    /// A credential's own consumer and token.
    fn of(credential: Arc<Consumer>) -> Self {
        Self { consumer: Arc::clone(&credential), token: credential }
    }

    /// The secrets that this header's signature is made with.
    fn secrets_of(&self, header: &OAuthHeader) -> oauth1::Secrets<'_> {
        let token = if header.token.is_some() { &self.token.token_secret[..] } else { &[] };
        oauth1::Secrets { consumer: &self.consumer.consumer_secret, token }
    }

    /// Who calls with them: the user of the token, through the application of the consumer.
    fn caller(&self, header: &OAuthHeader) -> Result<Caller> {
        let credential = &self.consumer.credential;
        let application = credential.identity.application_id.clone();
        if header.token.is_some() {
            return Ok(self.token.credential.caller().through(application));
        }
        // A consumer without an application is treated as an application of its own.
        let own = || ApplicationId::parse(credential.consumer_key.as_str()).map_err(Error::internal);
        let id = application.map_or_else(own, Ok)?;
        Ok(Caller::Application(Application { id, credential: credential.id }))
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
                Error::new(ErrorKind::OauthSignature, format!("The OAuth header is malformed: {wrong}."))
            })
        } else if scheme.eq_ignore_ascii_case("Bearer") {
            Ok(Self::Token(rest.trim()))
        } else {
            Err(not_understood())
        }
    }
}

fn not_understood() -> Error {
    Error::new(ErrorKind::UserNotAuthenticated, "Unsupported Authorization header: use OAuth 1.0a or Bearer.")
}
